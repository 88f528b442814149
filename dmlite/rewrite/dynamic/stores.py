"""Parts that are written and read back: stores that are overwritten, and binds written column by column."""

from __future__ import annotations

from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.node import Hop
from dmlite.rewrite.dynamic.known import NONE, Guard, apply
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import alone, both

_BOUNDS: Final = "any1, any2, any3, any4"
_SHAPES: Final = "X=5x4 Y=2x2 any1=2 any2=3 any3=1 any4=2"


def _same_shape(a: Fact, b: Fact) -> bool:
    return a.is_matrix and a.cells is not None and (a.rows, a.cols) == (b.rows, b.cols)


def _fits_like(hole: str, other: str) -> Guard:
    """Whatever is stored fits where the other does: a number fits anywhere."""
    return lambda m: m.fact(hole).is_scalar or _same_shape(m.fact(hole), m.fact(other))


def _range(low: Hop, high: Hop, size: int | None) -> tuple[int, int] | None:
    """Constant bounds inside of a dimension, counted from 1; None when they are not known."""
    if low is NONE:
        return None if size is None else (1, size)
    if not low.is_literal or not high.is_literal or size is None:
        return None
    first = int(low.value)
    last = first if high is NONE else int(high.value)
    return (first, last) if 1 <= first <= last <= size else None


def _disjoint(m: Match) -> bool:
    """Constant ranges that share no cell, both inside of the matrix."""
    x, y = m.fact("X"), m.fact("Y")
    read, written = m.root.args[1:], m.root.args[0].args[2:]
    ranges = []
    for at, size in ((0, x.rows), (2, x.cols)):
        ranges.append((_range(read[at], read[at + 1], size), _range(written[at], written[at + 1], size)))
    if any(r is None for pair in ranges for r in pair):
        return False
    (rows, into_rows), (cols, into_cols) = ranges
    stored = (into_rows[1] - into_rows[0] + 1, into_cols[1] - into_cols[0] + 1)
    apart = any(a[1] < b[0] or b[1] < a[0] for a, b in ((rows, into_rows), (cols, into_cols)))
    return apart and (y.rows, y.cols) == stored


def _stored(m: Match) -> bool:
    """The range is certainly legal, or the store stays and refuses it."""
    store, x = m.root.args[0], m.fact("X")
    bounds = m.root.args[1:]
    return not m.only_use(store) or None not in (_range(*bounds[:2], x.rows), _range(*bounds[2:], x.cols))


# ---------------------------------------------------------------- written side by side
def _parts(m: Match, axis: int) -> list[Hop] | None:
    """The values of a chain of stores that together cover all of a matrix along one axis (0 rows, 1 columns), in order."""
    target = m.facts[m.root]
    sizes = (target.rows, target.cols)
    length, across = sizes[axis], sizes[1 - axis]
    if length is None or across is None:
        return None
    found: dict[int, tuple[int, Hop]] = {}
    covered, hop = 0, m.root
    while hop.op == "leftindex" and covered < length and (hop is m.root or m.only_use(hop)):
        along = _range(*hop.args[2 + 2 * axis : 4 + 2 * axis], length)
        beside = _range(*hop.args[4 - 2 * axis : 6 - 2 * axis], across)
        value = m.facts[hop.args[1]]
        if along is None or beside != (1, across) or not value.is_matrix:
            return None
        width = along[1] - along[0] + 1
        if (value.rows, value.cols) != ((width, across) if axis == 0 else (across, width)):
            return None
        if any(first <= along[1] and along[0] <= last for first, (last, _) in found.items()):
            return None
        found[along[0]] = along[1], hop.args[1]
        covered += width
        hop = hop.args[0]
    return [value for _, (_, value) in sorted(found.items())] if covered == length and len(found) > 1 else None


def _bound(m: Match) -> Hop | None:
    for axis, op in ((1, "cbind"), (0, "rbind")):
        parts = _parts(m, axis)
        if parts is not None:
            return apply(op, *parts)
    return None


RULES: Final = (
    Rule(
        "read_of_store",
        f"index(leftindex(X, Y, {_BOUNDS}), {_BOUNDS})",
        "Y",
        "what was just written is read",
        where=lambda m: _same_shape(m.fact("Y"), m.root_fact) and _stored(m),
        shapes=_SHAPES,
    ),
    Rule(
        "read_beside_store",
        "index(leftindex(X, Y, any5, any6, any7, any8), any1, any2, any3, any4)",
        lambda m: apply("index", m.bound["X"], *m.root.args[1:]),
        "these cells are as they were",
        where=_disjoint,
        shapes=f"{_SHAPES} any5=4 any6=5 any7=3 any8=4",
        example="X[2:3, 1:2]",
    ),
    Rule(
        "store_twice",
        f"leftindex(leftindex(X, any5, {_BOUNDS}), any6, {_BOUNDS})",
        f"leftindex(X, any6, {_BOUNDS})",
        "the first value is never read",
        where=both(alone, _fits_like("any5", "any6")),
        shapes="X=5x4 any5=7 any6=8 any1=2 any2=3 any3=1 any4=2",
    ),
    Rule(
        "stores_side_by_side",
        f"leftindex(leftindex(X, A, {_BOUNDS}), B, any5, any6, any7, any8)",
        _bound,
        "the parts are put together at once, and the old matrix is not needed",
        where=lambda m: _bound(m) is not None,
        shapes="X=5x4 A=5x2 B=5x2 any1=1 any2=5 any3=1 any4=2 any5=1 any6=5 any7=3 any8=4",
        example="cbind(A, B)",
    ),
)
