"""HOPs: frozen, interned operator nodes. Two nodes that compute the same thing are the same object.

A node carries no facts; what is known about it (dimensions, spans) lives in tables beside it, because the
same node means different facts in different blocks.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Iterable, Iterator
from typing import Any, Final
from weakref import WeakValueDictionary

LITERAL: Final = "literal"  # value: the constant (None for an absent argument)
LIVE_IN: Final = "live_in"  # value: the name of the variable
PICK: Final = "pick"  # value: which result of the operand, counted from 0
HOLE: Final = "hole"  # value: the name; only in patterns of rewrite rules

_tags = itertools.count(1)
_interned: WeakValueDictionary[tuple[Any, ...], Hop] = WeakValueDictionary()


class Hop:
    """One operator applied to operands. Build with `make`, `literal` or `live_in`; never directly."""

    __slots__ = ("__weakref__", "args", "op", "tag", "value")

    op: str
    args: tuple[Hop, ...]
    value: Any
    tag: int

    def __repr__(self) -> str:
        if self.op == LITERAL:
            return repr(self.value)
        if self.op in (LIVE_IN, HOLE):
            return str(self.value)
        suffix = f"[{self.value}]" if self.op == PICK else ""
        return f"{self.op}({', '.join(map(repr, self.args))}){suffix}"

    def __reduce__(self) -> tuple[Any, ...]:
        return make, (self.op, self.args, self.value, self.tag)

    @property
    def is_literal(self) -> bool:
        return self.op == LITERAL


def make(op: str, args: Iterable[Hop] = (), value: Any = None, tag: int = 0) -> Hop:
    """The node for `op` over `args`; `tag` keeps nodes apart that must not be merged (effects, random draws)."""
    args = tuple(args)
    key = (op, args, tag, value.__class__, repr(value))
    found = _interned.get(key)
    if found is not None:
        return found
    node = Hop()
    node.op, node.args, node.value, node.tag = op, args, value, tag
    _interned[key] = node
    return node


def literal(value: Any) -> Hop:
    return make(LITERAL, (), value)


def live_in(name: str) -> Hop:
    return make(LIVE_IN, (), name)


def fresh_tag() -> int:
    return next(_tags)


def beyond(tag: int) -> None:
    """Fresh tags are larger than one of another process from here on."""
    global _tags
    _tags = itertools.count(max(tag, next(_tags)) + 1)


def postorder(roots: Iterable[Hop], known: Container[Hop] = ()) -> Iterator[Hop]:
    """Every node below `roots` once, operands first, in the order of the roots; nothing that is `known`, nor what only such need."""
    seen: set[Hop] = set()
    for root in roots:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in seen or node in known:
                stack.pop()
                continue
            missing = [arg for arg in node.args if arg not in seen and arg not in known]
            if missing:
                missing.reverse()
                stack.extend(missing)
            else:
                stack.pop()
                seen.add(node)
                yield node


def users(order: Iterable[Hop], roots: Iterable[Hop]) -> dict[Hop, set[Hop | None]]:
    """Who reads each node of a DAG given in postorder; None stands for whoever needs a root."""
    order = list(order)
    found: dict[Hop, set[Hop | None]] = {hop: set() for hop in order}
    for root in roots:
        found[root].add(None)
    for hop in order:
        for arg in hop.args:
            found[arg].add(hop)
    return found
