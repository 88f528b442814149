"""Types of the variables in generated programs."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import Any

MATRIX_NAMES = ("A", "B", "C", "X", "Y")


@dataclass(frozen=True)
class M:
    """A matrix; a dimension is None when it is not known to the generator. frozen: new values must keep the type."""

    rows: int | None
    cols: int | None
    frozen: bool = False
    may_be_empty: bool = False

    @property
    def known(self) -> bool:
        return self.rows is not None and self.cols is not None

    @property
    def cells(self) -> int:
        return self.rows * self.cols if self.known else 0  # type: ignore[operator]


ANY: Any = M(None, None)  # as the type a variable may take: every one


@dataclass(frozen=True)
class S:
    """A scalar; `range` are the bounds of an int that may serve as an index."""

    vtype: str
    range: tuple[int, int] | None = None
    frozen: bool = False


@dataclass(frozen=True)
class L:
    """A list of items with these types."""

    items: tuple[Any, ...]
    names: tuple[str, ...] | None = None
    frozen: bool = False


def join(a: Any, b: Any) -> Any:
    """The type that covers both; None when there is none."""
    if type(a) is not type(b):
        return None
    if isinstance(a, M):
        return M(
            a.rows if a.rows == b.rows else None,
            a.cols if a.cols == b.cols else None,
            may_be_empty=a.may_be_empty or b.may_be_empty or 0 in (a.rows, a.cols, b.rows, b.cols),
        )
    if isinstance(a, S):
        if a.vtype != b.vtype:
            return None
        return S(a.vtype, (min(a.range[0], b.range[0]), max(a.range[1], b.range[1])) if a.range and b.range else None)
    if len(a.items) != len(b.items) or a.names != b.names:
        return None
    items = tuple(join(x, y) for x, y in zip(a.items, b.items, strict=True))
    return None if None in items else L(items, a.names)


@dataclass
class Env:
    """The variables of a scope. maybe: names that some path sets and another does not; locked: names that may only be read."""

    vars: dict[str, Any]
    maybe: set[str] = field(default_factory=set)
    locked: set[str] = field(default_factory=set)

    def __iter__(self) -> Any:
        return iter(self.vars)

    def __len__(self) -> int:
        return len(self.vars)

    def copy(self) -> Env:
        return Env(dict(self.vars), set(self.maybe), set(self.locked))

    def frozen(self, rng: random.Random | None = None) -> Env:
        """A copy whose variables keep their types; with `rng`, some matrices forget a dimension, so that it may change."""
        out = self.copy()
        for name, kind in self.vars.items():
            if rng is not None and isinstance(kind, M) and name not in self.locked and not kind.frozen and rng.random() < 0.3:
                drop = rng.choice(((None, kind.cols), (kind.rows, None), (None, None)))
                kind = M(*drop, may_be_empty=kind.may_be_empty or (kind.known and not kind.cells))
            if isinstance(kind, S):
                kind = replace(kind, range=kind.range if name in self.locked else None)
            out.vars[name] = replace(kind, frozen=True)
        return out

    def frozen_dims(self) -> Env:
        """What may be relied on in a condition that is evaluated again and again: scalars only."""
        return Env(
            {n: replace(k, range=None) for n, k in self.vars.items() if isinstance(k, S) and n in self.locked}, set(), set(self.vars)
        )

    def frozen_as(self, other: Env) -> Env:
        """This scope with the types of another one, for the path that skips a loop."""
        return Env({n: other.vars.get(n, k) for n, k in self.vars.items()}, set(self.maybe), set(self.locked))

    def become(self, end: Env) -> None:
        """What holds after a loop that ran."""
        frozen = {n for n, k in self.vars.items() if k.frozen}
        self.vars = {n: replace(k, frozen=n in frozen) for n, k in end.vars.items()}
        self.maybe = set(end.maybe)

    def merge(self, a: Env, b: Env) -> None:
        """What holds after either of two paths."""
        frozen = {n for n, k in self.vars.items() if k.frozen}
        maybe = a.maybe | b.maybe
        out: dict[str, Any] = {}
        for name in dict.fromkeys((*a.vars, *b.vars)):
            both = join(a.vars[name], b.vars[name]) if name in a.vars and name in b.vars else None
            if both is None or name in maybe:
                maybe.add(name)
            else:
                out[name] = replace(both, frozen=name in frozen)
        self.vars, self.maybe = out, maybe
