"""Patterns: DML expressions with typed holes, matched against HOPs modulo commutativity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from dmlite.hop.facts import UNKNOWN, Fact, matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.node import HOLE, LITERAL, Hop, literal, make
from dmlite.hop.ops import BY_NAME
from dmlite.hop.text import dml_to_hop
from dmlite.rewrite.parsed import parsed

ABSENT: Final = "none"  # in a pattern: an argument that is left out
ANYTHING: Final = "any"  # holes whose name starts so stand for any node, also for an argument that is left out


def parse_pattern(text: str) -> Hop:
    """The HOP of a pattern's DML text, with HOLE nodes for its names."""
    return parsed().node(text, lambda text: dml_to_hop(text, _leaf))


def _leaf(name: str) -> tuple[Hop, Fact]:
    if name == ABSENT:
        return literal(None), UNKNOWN
    return make(HOLE, (), name), matrix() if name[0].isupper() else scalar("double")


class Holes:
    """Finds the ways in which a pattern fits a node."""

    def __init__(self, facts: FactTable):
        self.facts = facts

    def matches(self, pattern: Hop, node: Hop, bound: Mapping[str, Hop] | None = None) -> Iterator[dict[str, Hop]]:
        """Every binding of the holes under which `pattern` is `node`."""
        bound = bound or {}
        if pattern.op == HOLE:
            known = bound.get(pattern.value)
            if known is node or (known is None and self._kind_fits(pattern.value, node)):
                yield {**bound, pattern.value: node}
        elif pattern.op == LITERAL:
            if node.op == LITERAL and _equal(pattern.value, node.value):
                yield dict(bound)
        elif (
            pattern.op == node.op
            and pattern.value == node.value
            and len(pattern.args) == len(node.args)
            and (not node.tag or node.op == "rand")
        ):
            yield from self._operands(pattern.args, node.args, bound)
            if len(pattern.args) == 2 and BY_NAME[node.op].commutative and node.args[0] is not node.args[1]:
                yield from self._operands(pattern.args, node.args[::-1], bound)

    def _operands(self, patterns: tuple[Hop, ...], nodes: tuple[Hop, ...], bound: Mapping[str, Hop]) -> Iterator[dict[str, Hop]]:
        if not patterns:
            yield dict(bound)
            return
        for first in self.matches(patterns[0], nodes[0], bound):
            yield from self._operands(patterns[1:], nodes[1:], first)

    def _kind_fits(self, name: str, node: Hop) -> bool:
        kind = wanted(name)
        if kind is None:
            return True
        fact = self.facts[node]
        return fact.kind == kind and (kind == "matrix" or fact.vtype in ("double", "int"))


@cache
def wanted(hole: str) -> str | None:
    """The kind of value that a hole stands for, by its name; None for any."""
    return None if hole.startswith(ANYTHING) else "matrix" if hole[0].isupper() else "scalar"


def _equal(pattern: Any, value: Any) -> bool:
    """Numbers match by value (1 and 1.0 alike), everything else by type and value."""
    if isinstance(pattern, bool) or isinstance(value, bool) or not isinstance(pattern, (int, float)):
        return type(pattern) is type(value) and pattern == value
    return isinstance(value, (int, float)) and pattern == value
