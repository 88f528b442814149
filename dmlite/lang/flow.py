"""Which variables have a value at one point of a body, on all paths that lead there or on some."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from dmlite.lang.nodes import Binary, Call, Expr, Literal, Name, Unary
from dmlite.lang.walk import walk

MAX_NODES: Final = 32  # a longer condition is not remembered
MAX_CONDITIONS: Final = 32  # remembered at a time


@dataclass(frozen=True)
class Condition:
    """A test that gives the same answer as long as none of its variables is assigned."""

    text: str
    names: frozenset[str]
    truth: bool


def condition(expr: Expr, truth: bool) -> Condition | None:
    """`expr` being `truth`; None where a second look may say otherwise, or is too long to keep."""
    names: set[str] = set()
    for count, node in enumerate(walk(expr)):
        if count == MAX_NODES or not isinstance(node, (Name, Literal, Unary, Binary)):
            return None
        if isinstance(node, Name):
            names.add(node.name)
    while isinstance(expr, Unary) and expr.op == "!":
        expr, truth = expr.operand, not truth
    return Condition(repr(expr), frozenset(names), truth)


@dataclass
class State:
    """Variables set on every path, on some path, and known to be scalars; `dead` after a stop().

    given: what is set besides where a condition holds, so that two `if (verbose)` are taken for the same branch.
    """

    sure: set[str] = field(default_factory=set)
    maybe: set[str] = field(default_factory=set)
    scalars: set[str] = field(default_factory=set)
    dead: bool = False
    given: dict[Condition, frozenset[str]] = field(default_factory=dict)

    def copy(self) -> State:
        return State(set(self.sure), set(self.maybe), set(self.scalars), self.dead, dict(self.given))

    def bind(self, name: str, scalar: bool = False) -> None:
        """The variable gets a value."""
        self.sure.add(name)
        self.maybe.add(name)
        (self.scalars.add if scalar else self.scalars.discard)(name)
        self.forget((name,))

    def forget(self, names: Collection[str]) -> None:
        """Conditions over these variables may have changed."""
        for test in [test for test in self.given if not test.names.isdisjoint(names)]:
            del self.given[test]

    def assume(self, cond: Expr, truth: bool) -> None:
        """Go on where `cond` is `truth`. What `exists` alone tells to be set nobody has set here, so it is not among what may be."""
        self.sure |= _existing(cond, truth)
        if self.given and (test := condition(cond, truth)):
            self.sure |= self.given.get(test, frozenset())

    def learn(self, test: Condition | None, ends: Iterable[State]) -> None:
        """Remember what the paths on which `test` holds have set."""
        alive = [end for end in ends if not end.dead]
        extra = set.intersection(*(end.sure for end in alive)) - self.sure if test and alive else None
        if test and extra:
            if len(self.given) >= MAX_CONDITIONS:
                del self.given[next(iter(self.given))]
            self.given[test] = self.given.get(test, frozenset()) | extra

    def become(self, *ends: State) -> None:
        """The state after paths join; paths that ended in stop() do not count."""
        alive = [end for end in ends if not end.dead] or list(ends)
        self.sure = set.intersection(*(end.sure for end in alive))
        self.maybe = set.union(*(end.maybe for end in alive))
        self.scalars = set.intersection(*(end.scalars for end in alive))
        self.dead = all(end.dead for end in ends)
        first, *others = (end.given for end in alive)
        kept = (test for test in first if all(test in given for given in others))
        self.given = {test: frozenset.intersection(first[test], *(given[test] for given in others)) for test in kept}


def _existing(cond: Expr, truth: bool) -> set[str]:
    """The variables that `exists` proves to be set where `cond` is `truth`."""
    found: set[str] = set()
    stack = [(cond, truth)]
    while stack:
        expr, holds = stack.pop()
        match expr:
            case Unary("!", operand):
                stack.append((operand, not holds))
            case Binary("&" | "|" as op, left, right) if (op == "&") == holds:
                stack += [(left, holds), (right, holds)]
            case Call("exists", (arg,), None) if holds:
                match arg.value:
                    case Name(name) | Literal(str(name)):
                        found.add(name)
    return found
