"""The rewrite rule: one record whose before and after are DML text."""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final, Literal

from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import HOLE, Hop, literal, make
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
        holes = set(self.bound.values())
        inside: Counter[Hop] = Counter()
        stack = [self.root]
        while stack:
            for arg in stack.pop().args:
                if arg in holes or not arg.args:
                    continue
                if arg not in inside:
                    stack.append(arg)
                inside[arg] += 1
        return all(self.uses.get(hop, count) <= count for hop, count in inside.items())


@dataclass(frozen=True, eq=False)
class Rule:
    """`before` becomes `after` where the guard holds.

    before, after: DML expressions. Upper-case names are matrix holes, lower-case names scalar holes, which stand for
    any node of that kind; the same hole twice stands for the same node. Internal operators are written by their table name.
    `before` may be several spellings of the same thing. An `after` that must be computed is a function of the match that
    gives the node, or None to decline; `example` then says in DML what it gives for the first spelling.
    where: a guard on what is known; None always holds.
    why: the reason, one line, as shown by explain.
    values: exact (bit for bit, up to the sign of zero) | reassociates (rounding may differ, and where infinities are summed
        whether NaN or Inf comes of them) | ignores-nan (a NaN or an overflow of the expression may become a number).
        What is a finite number as written stays that number under every tag.
    shapes: for the generic test, the shape of each hole as "X=3x4", and the constant that a scalar hole stands for as "a=2";
        matrix holes not named are 5x4, scalar holes not named are not constant.
    facts: for the generic test, what the guard wants to know besides, as "X low=0 integer; Y finite".
    """

    matcher: ClassVar[type[Holes]] = Holes
    optional: ClassVar[frozenset[str]] = frozenset()  # words of spellings that a match may do without
    fuses: ClassVar[bool] = False  # chosen by cost after all other rules, see `fuse/`

    name: str
    before: str | tuple[str, ...]
    after: str | Callable[[Match], Hop | None]
    why: str
    values: Values = "exact"
    where: Callable[[Match], bool] | None = None
    shapes: str = ""
    facts: str = ""
    example: str = ""

    @property
    def spellings(self) -> tuple[str, ...]:
        return (self.before,) if isinstance(self.before, str) else self.before

    @property
    def patterns(self) -> tuple[Hop, ...]:
        return tuple(map(self.pattern, range(len(self.spellings))))

    def pattern(self, which: int) -> Hop:
        """One spelling, parsed when it is first asked for."""
        found = self._parsed.get(which)
        if found is None:
            found = self._parsed[which] = parse_pattern(self.spellings[which])
        return found

    @cached_property
    def _parsed(self) -> dict[int, Hop]:
        return {}

    @cached_property
    def words(self) -> tuple[frozenset[str], ...]:
        """The functions and symbols of each spelling, all of which a program must hold for the rule to fit."""
        return tuple(words_of(text) - self.optional for text in self.spellings)

    @cached_property
    def replacement(self) -> Hop:
        return parse_pattern(self.after if isinstance(self.after, str) else self.example)

    def apply(self, root: Hop, facts: FactTable, uses: Mapping[Hop, int], patterns: tuple[Hop, ...] | None = None) -> Hop | None:
        """The node that replaces `root`, or None when the rule does not apply. patterns: the spellings to try, None for all."""
        matcher = self.matcher(facts)
        for pattern in self.patterns if patterns is None else patterns:
            if pattern.op != root.op:
                continue
            for bound in matcher.matches(pattern, root):
                match = Match(root, bound, facts, uses)
                if self.where is None or self.where(match):
                    new = self.after(match) if callable(self.after) else instantiate(self.replacement, bound, facts)
                    if new is not None:
                        return new
        return None


_QUOTED: Final = re.compile(r'"[^"]*"')
_WORD: Final = re.compile(r"[A-Za-z][\w.]*(?=\()|%[*/]?%|[<>=!]=|-(?!\d)|[+*/^<>&|!\[]")


def words_of(text: str) -> frozenset[str]:
    """The functions and symbols in a DML expression."""
    return frozenset(_WORD.findall(_QUOTED.sub("", text)))


def instantiate(pattern: Hop, bound: Mapping[str, Hop], facts: FactTable | None = None) -> Hop:
    """`pattern` with its holes filled; arithmetic on constants is done at once, and so are known sizes, which costs depend on."""
    if pattern.op == HOLE:
        return bound[pattern.value]
    if not pattern.args:
        return pattern
    args = [instantiate(a, bound, facts) for a in pattern.args]
    return folded(pattern.op, args) or _known_size(pattern.op, args, facts) or make(pattern.op, args, pattern.value, pattern.tag)


def _known_size(op: str, args: Sequence[Hop], facts: FactTable | None) -> Hop | None:
    if facts is None or op not in ("nrow", "ncol", "length"):
        return None
    fact = facts[args[0]]
    size = {"nrow": fact.rows, "ncol": fact.cols, "length": fact.cells}[op] if fact.is_matrix else None
    return None if size is None else literal(size)


_FOLDED: Final[dict[str, Callable[..., float]]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "abs": math.fabs,
    "square": lambda x: float(x * x),
    "min2": lambda x, y: _extreme(min, x, y),
    "max2": lambda x, y: _extreme(max, x, y),
}


def _extreme(choose: Callable[[float, float], float], x: float, y: float) -> float:
    """The smaller or larger number: an int only of two ints, and NaN beside NaN."""
    if x != x or y != y:
        return math.nan
    return choose(x, y) if x.__class__ is y.__class__ else float(choose(x, y))


def folded(op: str, args: Sequence[Hop]) -> Hop | None:
    """The constant that an operator on constant numbers gives; None where that is left to the run time."""
    function = _FOLDED.get(op)
    values = [a.value for a in args if a.is_literal and a.value.__class__ in (int, float)]
    if function is None or len(values) < len(args):
        return None
    try:
        result = function(*values)
    except (ArithmeticError, ValueError):
        return None
    exact = -(2**63) <= result < 2**63 if isinstance(result, int) else math.isfinite(result)
    return literal(result) if exact else None
