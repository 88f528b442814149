"""What sets rules that fuse apart: products match in every spelling, and cost decides over a match rather than its uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cached_property, reduce
from typing import ClassVar, Final

from dmlite.hop.node import HOLE, Hop, make
from dmlite.rewrite.pattern import Holes
from dmlite.rewrite.rule import Rule

LONGEST_CHAIN: Final = 8  # factors of a product of cells that are looked at


def transposed(hop: Hop) -> Hop:
    """The transpose of a node, without transposing twice."""
    return hop.args[0] if hop.op == "t" else make("t", (hop,))


def factors(hop: Hop) -> list[Hop]:
    """The operands of a chain of cellwise products, from left to right; a very long chain is taken apart only so far."""
    found, stack = [], [hop]
    while stack:
        factor = stack.pop()
        if factor.op == "mul" and len(found) + len(stack) < LONGEST_CHAIN:
            stack.extend(reversed(factor.args))
        else:
            found.append(factor)
    return found


class Products(Holes):
    """Matches modulo commutativity, and further:

    `t(X)` with a hole X fits any matrix, whose transpose X stands for then, so that `U %*% t(V)` is any product;
    `A %*% B` fits `t(t(B) %*% t(A))` as well;
    `W * f(X)` with a hole W fits a longer product of cells of which one is `f(X)`, however it is bracketed.
    """

    def matches(self, pattern: Hop, node: Hop, bound: Mapping[str, Hop] | None = None) -> Iterator[dict[str, Hop]]:
        bound = bound or {}
        if pattern.op == "t" and pattern.args[0].op == HOLE:
            if self.facts[node].is_matrix:
                yield from super().matches(pattern.args[0], transposed(node), bound)
        elif pattern.op == "matmul" and node.op == "t" and node.args[0].op == "matmul":
            a, b = node.args[0].args
            yield from self._operands(pattern.args, (transposed(b), transposed(a)), bound)
        elif pattern.op == "mul" and node.op == "mul" and pattern.args[0].op == HOLE and any(a.op == "mul" for a in node.args):
            yield from super().matches(pattern, node, bound)
            yield from self._rebracketed(pattern.args, factors(node), bound)
        else:
            yield from super().matches(pattern, node, bound)

    def _rebracketed(self, patterns: tuple[Hop, ...], chain: list[Hop], bound: Mapping[str, Hop]) -> Iterator[dict[str, Hop]]:
        hole, cell = patterns
        for i, factor in enumerate(chain):
            if factor.op == cell.op:
                rest = reduce(lambda x, y: make("mul", (x, y)), chain[:i] + chain[i + 1 :])
                yield from self._operands((cell, hole), (factor, rest), bound)


_FLEXIBLE: Final = frozenset({HOLE, "t", "matmul"})  # operators of patterns that others may stand for


@dataclass(frozen=True, eq=False)
class Fusion(Rule):
    """A rule whose result is worth having only where it costs less than what it makes superfluous.

    `where` guards what the result means. That nobody else needs the inside of the match is part of the cost; only a product
    in it must really become superfluous, unless the rule pays besides it (`shared`).
    """

    shared: bool = False

    matcher: ClassVar[type[Holes]] = Products
    optional: ClassVar[frozenset[str]] = frozenset({"t"})
    fuses: ClassVar[bool] = True

    @cached_property
    def needs_product(self) -> bool:
        """Whether every spelling holds a matrix product, so that only its neighbourhood need be searched."""
        return all("%*%" in text for text in self.spellings)

    @cached_property
    def _heads(self) -> tuple[tuple[Hop, frozenset[str]], ...]:
        """The patterns, each with the operators that must be found right below its root."""
        return tuple((p, frozenset(a.op for a in p.args if a.op not in _FLEXIBLE)) for p in self.patterns)

    def fitting(self, root: Hop, below: Set[str]) -> tuple[Hop, ...]:
        """The patterns that the operators `below` a node do not rule out."""
        return tuple(p for p, needed in self._heads if p.op == root.op and needed <= below)
