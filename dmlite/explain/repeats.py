"""How often the parts of a program run, as far as that is known before it runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dmlite.hop.node import LITERAL
from dmlite.hop.program import Block, CallNode, ForNode, FunctionInstance, IfNode, Node, Program, WhileNode, children


@dataclass(frozen=True)
class Repeats:
    """times: executions, where a loop of unknown length counts as one round. open: such a loop is around. maybe: a branch is around."""

    times: int = 1
    open: bool = False
    maybe: bool = False

    def within(self, outer: Repeats) -> Repeats:
        """The same inside of what itself runs `outer` often."""
        return Repeats(self.times * outer.times, self.open or outer.open, self.maybe or outer.maybe)

    def __add__(self, other: Repeats) -> Repeats:
        return Repeats(self.times + other.times, self.open or other.open, self.maybe or other.maybe)

    def __str__(self) -> str:
        """`70 times`, `at most 70 times`, `70 times a round`; empty for once."""
        if self.times == 1:
            return ""
        return f"{'at most ' * self.maybe}{self.times} times{' a round' * self.open}"


ONCE = Repeats()
Constants = Mapping[str, Any]


def constants_of(nodes: Iterable[Node]) -> dict[str, Any]:
    """The variables that blocks among `nodes`, nested ones too, bind to literals."""
    return {
        root.name: root.hop.value
        for node, _ in walked(nodes, {}, ONCE)
        if isinstance(node, Block)
        for root in node.roots
        if root.name is not None and root.hop.op == LITERAL
    }


def rounds(node: ForNode, constants: Constants) -> int | None:
    """How often a loop runs whose bounds are constants."""
    found = [constants.get(b) for b in (node.start, node.stop, node.step) if b is not None]
    values = [v for v in found if isinstance(v, int) and not isinstance(v, bool)]
    if len(values) < len(found):
        return None
    start, stop = values[:2]
    step = values[2] if len(values) > 2 else 1 if stop >= start else -1
    return max(0, (stop - start) // step + 1) if step else None


def inside(node: Node, constants: Constants, outer: Repeats) -> Repeats:
    """How often the body of a loop or a branch runs."""
    match node:
        case ForNode():
            count = rounds(node, constants)
            return Repeats(1 if count is None else count, count is None).within(outer)
        case WhileNode():
            return Repeats(open=True).within(outer)
        case IfNode():
            return Repeats(maybe=True).within(outer)
    return outer


def walked(nodes: Iterable[Node], constants: Constants, outer: Repeats) -> Iterator[tuple[Node, Repeats]]:
    """Every node, nested ones too, with how often it runs."""
    for node in nodes:
        yield node, outer
        if not isinstance(node, (Block, CallNode)):
            for body in children(node):
                yield from walked(body, constants, inside(node, constants, outer))


def reached(program: Program) -> dict[str, Repeats]:
    """The functions that are called, main first, callers before what they call, with how often each runs."""
    calls = {f.key: _calls(f) for f in (program.main, *program.functions.values())}
    order: list[str] = []
    _visit(program.main.key, calls, order, set())
    found: defaultdict[str, Repeats] = defaultdict(lambda: Repeats(0))
    found[program.main.key] = ONCE
    for caller in reversed(order):
        for callee, repeats in calls[caller]:
            again = Repeats(repeats.times, True, repeats.maybe) if callee == caller else repeats.within(found[caller])
            found[callee] = found[callee] + again
    return {key: found[key] for key in reversed(order)}


def _calls(function: FunctionInstance) -> list[tuple[str, Repeats]]:
    constants = constants_of(function.body)
    return [(node.function, repeats) for node, repeats in walked(function.body, constants, ONCE) if isinstance(node, CallNode)]


def _visit(key: str, calls: Mapping[str, list[tuple[str, Repeats]]], order: list[str], seen: set[str]) -> None:
    """Postorder of the functions below one."""
    seen.add(key)
    for callee, _ in reversed(calls[key]):
        if callee not in seen:
            _visit(callee, calls, order, seen)
    order.append(key)
