"""The rewrite rule: one record whose before and after are DML text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop
from dmlite.rewrite.pattern import Holes, parse_pattern

Values = Literal["exact", "reassociates", "ignores-nan"]


@dataclass(frozen=True)
class Match:
    """Where a rule's pattern was found: what each hole stands for, and what is known about it."""

    root: Hop
    bound: Mapping[str, Hop]
    facts: FactTable
    uses: Mapping[Hop, int]

    def fact(self, hole: str) -> Fact:
        return self.facts[self.bound[hole]]

    @property
    def root_fact(self) -> Fact:
        return self.facts[self.root]

    def only_use(self, hop: Hop) -> bool:
        """Whether nothing but the matched expression needs `hop`."""
        return self.uses.get(hop, 1) <= 1

    def inner_only(self) -> bool:
        """Whether every operator strictly inside the match serves the match alone, so that rewriting drops them all."""
        stack = list(self.root.args)
        holes = set(self.bound.values())
        while stack:
            hop = stack.pop()
            if hop in holes or not hop.args:
                continue
            if not self.only_use(hop):
                return False
            stack.extend(hop.args)
        return True


@dataclass(frozen=True)
class Rule:
    """`before` becomes `after` where the guard holds.

    before, after: DML expressions. Upper-case names are matrix holes, lower-case names scalar holes, which stand for
    any node of that kind; the same hole twice stands for the same node. Internal operators are written by their table name.
    `before` may be several spellings of the same thing. An `after` that must be computed is a function of the match that
    gives the node, or None to decline; `example` then says in DML what it gives for the first spelling.
    where: a guard on what is known; None always holds.
    why: the reason, one line, as shown by explain.
    values: exact (bit for bit, up to the sign of zero) | reassociates (rounding may differ) | ignores-nan (differs where
        NaN or Inf meet a zero).
    shapes: for the generic test, the shape of each hole as "X=3x4"; holes not named are 5x4.
    """

    name: str
    before: str | tuple[str, ...]
    after: str | Callable[[Match], Hop | None]
    why: str
    values: Values = "exact"
    where: Callable[[Match], bool] | None = None
    shapes: str = ""
    example: str = ""

    @cached_property
    def patterns(self) -> tuple[Hop, ...]:
        spellings = (self.before,) if isinstance(self.before, str) else self.before
        return tuple(map(parse_pattern, spellings))

    @cached_property
    def replacement(self) -> Hop:
        return parse_pattern(self.after if isinstance(self.after, str) else self.example)

    def apply(self, root: Hop, facts: FactTable, uses: Mapping[Hop, int]) -> Hop | None:
        """The node that replaces `root`, or None when the rule does not apply."""
        for pattern in self.patterns:
            if pattern.op != root.op:
                continue
            for bound in Holes(facts).matches(pattern, root):
                match = Match(root, bound, facts, uses)
                if self.where is None or self.where(match):
                    new = self.after(match) if callable(self.after) else instantiate(self.replacement, bound)
                    if new is not None:
                        return new
        return None


def instantiate(pattern: Hop, bound: Mapping[str, Hop]) -> Hop:
    """`pattern` with its holes filled."""
    from dmlite.hop.node import HOLE, make

    if pattern.op == HOLE:
        return bound[pattern.value]
    if not pattern.args:
        return pattern
    return make(pattern.op, (instantiate(a, bound) for a in pattern.args), pattern.value, pattern.tag)
