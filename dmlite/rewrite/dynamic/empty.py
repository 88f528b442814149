"""Operands without a single non-zero: what they add, scale and select is known beforehand."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, literal
from dmlite.rewrite.dynamic.known import Guard, apply, empty, filled_result, filled_with, nonempty, number_result, sized
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import both, fits, full, where_finite, within

_ZERO_STAYS: Final = (
    "abs(X)",
    "sign(X)",
    "sqrt(X)",
    "round(X)",
    "floor(X)",
    "ceil(X)",
    "sin(X)",
    "tan(X)",
    "asin(X)",
    "atan(X)",
    "sinh(X)",
    "tanh(X)",
    "square(X)",
    "sprop(X)",
    "rev(X)",
    "cumsum(X)",
    "cumprod(X)",
    "cummin(X)",
    "cummax(X)",
    "rowcumsum(X)",
    "is_na(X)",
    "X * a",
)
_BY_ROW: Final = ("rowMeans(X)", "rowProds(X)", "rowMins(X)", "rowMaxs(X)", "rowVars(X)", "rowSds(X)")
_BY_COLUMN: Final = tuple(f.replace("row", "col") for f in _BY_ROW)


def _sized_fit(left: str, right: str) -> Guard:
    return both(fits(left, right), sized())


def _beside(dropped: str, kept: str) -> Guard:
    """The kept operand is as large as the result, and the other would have fitted."""
    return both(full(kept), within(dropped, kept))


def _zero_scaled(m: Match) -> bool:
    """Zero times a number is zero unless the number is not finite."""
    return m.root.op != "mul" or not m.fact("a").may_nan


_CELLS: Final = (
    Rule(
        "zero_stays_zero",
        _ZERO_STAYS,
        "X",
        "zero goes to zero",
        where=both(empty("X"), lambda m: "a" not in m.bound or _zero_scaled(m)),
        shapes="a=2",
        facts="X nnz=0",
    ),
    Rule(
        "plus_empty",
        "X + Y",
        "X",
        "adding zeros changes nothing",
        where=both(empty("Y"), _beside("Y", "X")),
        shapes="X=5x4 Y=5x4",
        facts="Y nnz=0",
    ),
    Rule(
        "minus_empty",
        "X - Y",
        "X",
        "subtracting zeros changes nothing",
        where=both(empty("Y"), _beside("Y", "X")),
        shapes="X=5x4 Y=5x4",
        facts="Y nnz=0",
    ),
    Rule(
        "empty_minus",
        "Y - X",
        "-X",
        "zeros minus a matrix is a change of sign",
        where=both(empty("Y"), _beside("Y", "X")),
        shapes="X=5x4 Y=5x4",
        facts="Y nnz=0",
    ),
    where_finite(
        Rule(
            "times_empty",
            "X * Y",
            "Y",
            "zeros stay zeros",
            where=both(empty("Y"), _beside("X", "Y")),
            shapes="X=5x4 Y=5x4",
            facts="Y nnz=0",
        ),
        "X",
    ),
    Rule(
        "and_empty",
        "X & Y",
        "Y",
        "nothing is and-ed with FALSE",
        where=both(empty("Y"), _beside("X", "Y")),
        shapes="X=5x4 Y=5x4",
        facts="Y nnz=0",
    ),
    Rule(
        "or_empty",
        "X | Y",
        "X != 0",
        "or-ing with FALSE changes nothing",
        where=both(empty("Y"), _beside("Y", "X")),
        shapes="X=5x4 Y=5x4",
        facts="Y nnz=0",
    ),
    Rule(
        "choice_nowhere",
        "ifelse(C, any1, B)",
        "B",
        "the condition holds nowhere",
        where=both(empty("C"), _beside("C", "B"), within("any1", "B")),
        shapes="C=5x4 B=5x4 any1=1",
        facts="C nnz=0",
    ),
)

_PRODUCTS: Final = (
    where_finite(
        Rule(
            "empty_times_matrix",
            "X %*% Y",
            filled_result(0),
            "a product with zeros is zero",
            where=both(empty("X"), _sized_fit("X", "Y")),
            shapes="X=5x4 Y=4x3",
            facts="X nnz=0",
            example="fill(0, 5, 3)",
        ),
        "Y",
    ),
    where_finite(
        Rule(
            "matrix_times_empty",
            "X %*% Y",
            filled_result(0),
            "a product with zeros is zero",
            where=both(empty("Y"), _sized_fit("X", "Y")),
            shapes="X=5x4 Y=4x3",
            facts="Y nnz=0",
            example="fill(0, 5, 3)",
        ),
        "X",
    ),
)

_AGGREGATES: Final = (
    Rule(
        "sum_of_empty",
        ("sum(X)", "sumsq(X)", "nnz(X)"),
        number_result(0.0),
        "the sum of zeros",
        where=empty("X"),
        facts="X nnz=0",
        example="0.0",
    ),
    Rule(
        "trace_of_empty",
        "trace(X)",
        number_result(0.0),
        "the sum of zeros",
        where=lambda m: empty("X")(m) and m.fact("X").is_square,
        shapes="X=4x4",
        facts="X nnz=0",
        example="0.0",
    ),
    Rule(
        "mean_of_empty",
        ("mean(X)", "min(X)", "max(X)", "prod(X)", "var(X)", "sd(X)"),
        number_result(0.0),
        "all cells are zero",
        where=both(empty("X"), nonempty("X")),
        shapes="X=5x4",
        facts="X nnz=0",
        example="0.0",
    ),
    Rule(
        "row_sums_of_empty",
        ("rowSums(X)", "rowSumsSq(X)", "colSums(X)", "colSumsSq(X)"),
        filled_result(0),
        "the sums of zeros",
        where=both(empty("X"), sized("X")),
        shapes="X=5x4",
        facts="X nnz=0",
        example="fill(0, 5, 1)",
    ),
    Rule(
        "row_means_of_empty",
        (*_BY_ROW, *_BY_COLUMN),
        filled_result(0),
        "all cells are zero",
        where=both(empty("X"), nonempty("X")),
        shapes="X=5x4",
        facts="X nnz=0",
        example="fill(0, 5, 1)",
    ),
)


def _rows_in_order(m: Match) -> Hop | None:
    rows = m.fact("X").rows
    return None if rows is None else apply("seq", literal(1), literal(rows), literal(1))


def _sorts_by_first(m: Match) -> bool:
    by = m.fact("a").const_int()
    return empty("X")(m) and by is not None and 1 <= by <= (m.fact("X").cols or 0) and (m.fact("X").rows or 0) > 0


def _range_inside(m: Match) -> bool:
    """Constant bounds that lie within the matrix: the size rule refuses others, and so would not know the shape."""
    return empty("X")(m) and sized("X")(m) and sized()(m) and all(b.is_literal for b in m.root.args[1:])


def _same_range(m: Match) -> bool:
    bounds = m.root.args[2:]
    return empty("X", "Y")(m) and sized("X", "Y")(m) and all(b.is_literal for b in bounds) and _width_fits(m)


def _width_fits(m: Match) -> bool:
    x, y = m.fact("X"), m.fact("Y")
    widths = []
    for low, high, whole in zip(m.root.args[2::2], m.root.args[3::2], (x.rows, x.cols), strict=True):
        widths.append(whole if low.value is None else 1 if high.value is None else int(high.value) - int(low.value) + 1)
    return widths == [y.rows, y.cols]


_ARRANGED: Final = (
    Rule(
        "order_of_empty",
        "order(X, a)",
        "X",
        "equal rows keep their order",
        where=_sorts_by_first,
        shapes="X=5x4 a=2",
        facts="X nnz=0",
    ),
    Rule(
        "order_index_of_empty",
        "order(X, a, index.return=TRUE)",
        _rows_in_order,
        "equal rows keep their order",
        where=_sorts_by_first,
        shapes="X=5x4 a=2",
        facts="X nnz=0",
        example="seq(1, 5, 1)",
    ),
    Rule(
        "part_of_empty",
        "index(X, anya, anyb, anyc, anyd)",
        filled_result(0),
        "a part of zeros",
        where=_range_inside,
        shapes="X=5x4 anya=2 anyb=3 anyc=1 anyd=4",
        facts="X nnz=0",
        example="fill(0, 2, 4)",
    ),
    Rule(
        "store_of_empty",
        "leftindex(X, Y, anya, anyb, anyc, anyd)",
        "X",
        "zeros replaced by zeros",
        where=_same_range,
        shapes="X=5x4 Y=2x4 anya=2 anyb=3 anyc=1 anyd=4",
        facts="X nnz=0; Y nnz=0",
    ),
    Rule(
        "diag_of_empty",
        "diag(X)",
        lambda m: filled_with(0, m.root_fact.rows, m.root_fact.cols),
        "the diagonal of zeros",
        where=lambda m: empty("X")(m) and (m.fact("X").cols or 0) > 1 and m.fact("X").is_square,
        shapes="X=4x4",
        facts="X nnz=0",
        example="fill(0, 4, 1)",
    ),
)

RULES: Final = (*_CELLS, *_PRODUCTS, *_AGGREGATES, *_ARRANGED)
