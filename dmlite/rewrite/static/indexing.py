"""Slices move inwards, so that only the cells that are wanted are computed."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, literal, make
from dmlite.rewrite.rule import Match, Rule, Values
from dmlite.rewrite.static.guards import UNARY, Guard, alone, both, fits, same_shape

_FEWER: Final = "only the cells that are wanted are computed"
_BOUNDS: Final = "any1, any2, any3, any4"
_SHAPES: Final = "any1=2 any2=3 any3=1 any4=2"
_ALL: Final = literal(None)
_BINARY: Final = ("{} + {}", "{} - {}", "{} * {}", "{} / {}", "{} ^ {}", "min({}, {})", "max({}, {})",
                  "{} < {}", "{} <= {}", "{} > {}", "{} >= {}", "{} == {}", "{} != {}")  # fmt: skip


def _slice(x: Hop, rows: tuple[Hop, Hop], cols: tuple[Hop, Hop]) -> Hop:
    """X[rows, cols]; X itself where all of both is taken."""
    return x if rows[0] is cols[0] is _ALL else make("index", [x, *rows, *cols])


def _of(pattern: str) -> str:
    return f"index({pattern}, {_BOUNDS})"


def _bounds(m: Match) -> tuple[tuple[Hop, Hop], tuple[Hop, Hop]]:
    _, top, bottom, left, right = m.root.args
    return (top, bottom), (left, right)


def _inwards(m: Match) -> Hop:
    """The function of the slices of its matrices."""
    inner = m.root.args[0]
    return make(inner.op, [_slice(a, *_bounds(m)) if m.facts[a].is_matrix else a for a in inner.args])


def _turned(m: Match) -> Hop:
    rows, cols = _bounds(m)
    return make("t", [_slice(m.bound["X"], cols, rows)])


def _of_product(m: Match) -> Hop:
    rows, cols = _bounds(m)
    none = (_ALL, _ALL)
    return make("matmul", [_slice(m.bound["A"], rows, none), _slice(m.bound["B"], none, cols)])


_CELLS: Final = (
    Rule("slice_of_function", tuple(_of(f"{f}(X)") for f in UNARY), _inwards, _FEWER, where=alone, shapes=_SHAPES, example="exp(X[2:3, 1:2])"),
    Rule(
        "slice_of_pair", tuple(_of(form.format("X", "Y")) for form in _BINARY), _inwards, _FEWER,
        where=both(alone, same_shape("X", "Y")), shapes=_SHAPES, example="X[2:3, 1:2] + Y[2:3, 1:2]",
    ),
    Rule(
        "slice_beside_scalar", (*(_of(form.format("X", "a")) for form in _BINARY), *(_of(form.format("a", "X")) for form in _BINARY)),
        _inwards, _FEWER, where=alone, shapes=_SHAPES, example="X[2:3, 1:2] + a",
    ),
    Rule("slice_of_transpose", _of("t(X)"), _turned, "the slice is transposed instead of the matrix", where=alone, shapes=_SHAPES, example="t(X[1:2, 2:3])"),
    Rule(
        "slice_of_matmul", _of("A %*% B"), _of_product, "only the rows and columns that are wanted are multiplied", "reassociates",
        where=both(alone, fits("A", "B")), shapes=f"A=5x4 B=4x3 {_SHAPES}", example="A[2:3, ] %*% B[, 1:2]",
    ),
)  # fmt: skip


# ---------------------------------------------------------------- slices of slices
def _inside(low: float | None, high: float | None, size: int | None) -> bool:
    """Constant bounds that are within a known size."""
    return None not in (low, high, size) and float(low).is_integer() and float(high).is_integer() and 1 <= low <= high <= size  # type: ignore[operator, arg-type]


def _constant_bounds(hops: tuple[Hop, ...]) -> tuple[int | None, int | None] | None:
    """Both bounds as numbers, `i` alone as `i:i`; (None, None) for all; None when they are not constant."""
    low, high = (h.value if h.is_literal else "?" for h in hops)
    if low is None:
        return None, None
    high = low if high is None else high
    return (low, high) if {low.__class__, high.__class__} <= {int, float} else None  # type: ignore[union-attr]


def _composed(m: Match) -> Hop | None:
    """One slice with the bounds of both; the inner one must be known to be legal."""
    x, inner = m.bound["X"], m.root.args[0]
    fact = m.facts[x]
    bounds: list[Hop] = []
    for outer, within, size in zip(_bounds(m), (inner.args[1:3], inner.args[3:5]), (fact.rows, fact.cols), strict=True):
        first, second = _constant_bounds(within), _constant_bounds(outer)
        if first is None or second is None:
            return None
        if first[0] is None:
            bounds += outer
            continue
        low, high = first
        if not _inside(low, high, size):
            return None
        if second[0] is not None:
            if not _inside(*second, int(high - low) + 1):  # type: ignore[operator]
                return None
            low, high = low + second[0] - 1, low + second[1] - 1  # type: ignore[operator]
        bounds += [literal(int(low)), literal(int(high))]  # type: ignore[arg-type]
    return make("index", [x, *bounds])


_COMPOSED: Final = (
    Rule(
        "slice_of_slice", "index(index(X, any5, any6, any7, any8), any1, any2, any3, any4)", _composed, "one slice instead of two",
        where=alone, shapes="X=5x4 any5=2 any6=5 any7=2 any8=4 any1=2 any2=3 any3=1 any4=2", example="X[3:4, 2:3]",
    ),
)  # fmt: skip

# ---------------------------------------------------------------- slices of aggregates
_BY_SIDE: Final[dict[str, Values]] = {
    "Sums": "reassociates", "Means": "reassociates", "Prods": "reassociates", "Vars": "reassociates", "Sds": "reassociates",
    "SumsSq": "reassociates", "Mins": "exact", "Maxs": "exact",
}  # fmt: skip


def _whole(hole: str) -> Guard:
    """The only column (row) of the aggregate is taken."""

    def guard(m: Match) -> bool:
        bound = m.bound[hole]
        return bound.is_literal and bound.value in (None, 1) and bound.value is not True

    return guard


def _rows_first(m: Match) -> Hop:
    return make(m.root.args[0].op, [_slice(m.bound["X"], _bounds(m)[0], (_ALL, _ALL))])


def _cols_first(m: Match) -> Hop:
    return make(m.root.args[0].op, [_slice(m.bound["X"], (_ALL, _ALL), _bounds(m)[1])])


_AGGREGATES: Final = (
    *(
        Rule(
            f"slice_of_row{agg}", f"index(row{agg}(X), any1, any2, any3, any4)", _rows_first, "only the rows that are wanted are aggregated", values,
            where=both(alone, _whole("any3"), _whole("any4")), shapes="any1=2 any2=3 any3=1 any4=1", example=f"row{agg}(X[2:3, ])",
        )
        for agg, values in _BY_SIDE.items()
    ),
    *(
        Rule(
            f"slice_of_col{agg}", f"index(col{agg}(X), any1, any2, any3, any4)", _cols_first, "only the columns that are wanted are aggregated", values,
            where=both(alone, _whole("any1"), _whole("any2")), shapes="any1=1 any2=1 any3=2 any4=3", example=f"col{agg}(X[, 2:3])",
        )
        for agg, values in _BY_SIDE.items()
    ),
)  # fmt: skip

# ---------------------------------------------------------------- single cells
_ARITHMETIC: Final = ("{} + {}", "{} - {}", "{} * {}", "{} / {}", "{} ^ {}", "min({}, {})", "max({}, {})")


def _cell(*holes: str) -> Guard:
    return lambda m: all(m.fact(h).is_cell for h in holes)


def _as_scalars(m: Match) -> Hop:
    """The operator on the scalars."""
    inner = m.root.args[0]
    return make(inner.op, [make("as.scalar", [a]) if m.facts[a].is_matrix else a for a in inner.args])


_SCALARS: Final = (
    Rule(
        "scalar_of_pair", tuple(f"as.scalar({form.format('X', 'Y')})" for form in _ARITHMETIC), _as_scalars, "numbers are cheaper than single cells",
        "reassociates", where=both(alone, _cell("X", "Y")), shapes="X=1x1 Y=1x1", example="as.scalar(X) + as.scalar(Y)",
    ),
    Rule(
        "scalar_beside_scalar",
        (*(f"as.scalar({form.format('X', 'a')})" for form in _ARITHMETIC), *(f"as.scalar({form.format('a', 'X')})" for form in _ARITHMETIC)),
        _as_scalars, "numbers are cheaper than single cells", "reassociates",  # powers of numbers are rounded otherwise
        where=both(alone, _cell("X")), shapes="X=1x1", example="as.scalar(X) + a",
    ),
    Rule(
        "scalar_of_function", tuple(f"as.scalar({f}(X))" for f in ("exp", "log", "sqrt", "abs", "neg", "square")), _as_scalars,
        "numbers are cheaper than single cells", "reassociates", where=both(alone, _cell("X")), shapes="X=1x1", example="exp(as.scalar(X))",
    ),
)  # fmt: skip

RULES: Final = (*_COMPOSED, *_CELLS, *_AGGREGATES, *_SCALARS)
