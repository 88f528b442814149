"""Vectors, single cells and full ranges: operators that have nothing to do there, or less than they seem to."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, literal
from dmlite.rewrite.dynamic.known import NONE, apply, cell, filled_result, same_rows, sized
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import both, filled, finite, full, within


def _column(m: Match) -> bool:
    return m.fact("X").cols == 1


def _row(m: Match) -> bool:
    return m.fact("X").rows == 1


def _one_row(m: Match) -> bool:
    """A row, and not rolled by NaN, which is refused."""
    return _row(m) and ("a" not in m.bound or finite("a")(m))


_OF_COLUMN: Final = tuple(f"{f}(X)" for f in ("rowSums", "rowMeans", "rowMins", "rowMaxs", "rowProds", "rowcumsum"))
_OF_ROW: Final = tuple(
    f"{f}(X)" for f in ("colSums", "colMeans", "colMins", "colMaxs", "colProds", "cumsum", "cumprod", "cummin", "cummax")
)
_VECTORS: Final = (
    Rule("row_aggregate_of_column", _OF_COLUMN, "X", "a column is its own aggregate by row", where=_column, shapes="X=5x1"),
    Rule("col_aggregate_of_row", _OF_ROW, "X", "a row is its own aggregate by column", where=_row, shapes="X=1x4"),
    Rule("row_sums_of_squared_column", "rowSumsSq(X)", "square(X)", "one cell a row: nothing to add up", where=_column, shapes="X=5x1"),
    Rule("col_sums_of_squared_row", "colSumsSq(X)", "square(X)", "one cell a column: nothing to add up", where=_row, shapes="X=1x4"),
    Rule(
        "row_variance_of_column",
        ("rowVars(X)", "rowSds(X)"),
        filled_result(0),
        "one value does not vary",
        where=both(_column, sized("X")),
        shapes="X=5x1",
        example="fill(0, 5, 1)",
    ),
    Rule(
        "col_variance_of_row",
        ("colVars(X)", "colSds(X)"),
        filled_result(0),
        "one value does not vary",
        where=both(_row, sized("X")),
        shapes="X=1x4",
        example="fill(0, 1, 4)",
    ),
    Rule("reverse_of_row", ("rev(X)", "roll(X, a)"), "X", "one row cannot change places", where=_one_row, shapes="X=1x4 a=2"),
    Rule("roll_by_nothing", "roll(X, 0)", "X", "every row stays where it is"),
    Rule("order_of_row", "order(X, 1)", "X", "one row is in order", where=_row, shapes="X=1x4"),
    Rule(
        "sum_of_column_product",
        "sum(V * W)",
        "as.scalar(t(V) %*% W)",
        "a dot product needs no vector of products",
        "reassociates",
        where=lambda m: m.inner_only() and m.fact("V").cols == m.fact("W").cols == 1 and same_rows("V", "W")(m),
        shapes="V=5x1 W=5x1",
    ),
    Rule(
        "sum_of_row_product",
        "sum(R * S)",
        "as.scalar(R %*% t(S))",
        "a dot product needs no vector of products",
        "reassociates",
        where=lambda m: m.inner_only() and m.fact("R").rows == m.fact("S").rows == 1 and m.fact("R").cols == m.fact("S").cols is not None,
        shapes="R=1x4 S=1x4",
    ),
)

_FULL: Final = tuple(f"{f}(X)" for f in ("sum", "mean", "min", "max", "prod", "trace"))
_CELL_OPERATORS: Final = ("+", "-", "*", "/", ">", ">=", "<", "<=", "==", "!=")


def _cell_beside_matrix(m: Match) -> bool:
    return m.fact("Y").is_cell and not m.fact("X").is_cell and m.fact("X").cells is not None


_CELLS: Final = (
    Rule("aggregate_of_cell", _FULL, "as.scalar(X)", "one cell is its own aggregate", where=cell("X"), shapes="X=1x1"),
    Rule(
        "variance_of_cell",
        ("var(X)", "sd(X)"),
        lambda m: literal(0.0),
        "one value does not vary",
        where=cell("X"),
        shapes="X=1x1",
        example="0.0",
    ),
    Rule("rearranged_cell", ("t(X)", "diag(X)", "rev(X)"), "X", "a single cell has no order", where=cell("X"), shapes="X=1x1"),
    Rule(
        "cell_on_the_right",
        tuple(f"X {op} Y" for op in _CELL_OPERATORS),
        lambda m: apply(m.root.op, m.bound["X"], apply("as.scalar", m.bound["Y"])),
        "a number instead of a matrix to be spread",
        where=_cell_beside_matrix,
        shapes="X=5x4 Y=1x1",
        example="X + as.scalar(Y)",
    ),
    Rule(
        "cell_on_the_left",
        tuple(f"Y {op} X" for op in _CELL_OPERATORS if op not in "+*==!="),
        lambda m: apply(m.root.op, apply("as.scalar", m.bound["Y"]), m.bound["X"]),
        "a number instead of a matrix to be spread",
        where=_cell_beside_matrix,
        shapes="X=5x4 Y=1x1",
        example="as.scalar(Y) - X",
    ),
    Rule(
        "product_with_cell",
        "X %*% Y",
        "X * as.scalar(Y)",
        "a product with one number scales",
        where=lambda m: m.fact("Y").is_cell and _column(m),
        shapes="X=5x1 Y=1x1",
    ),
    Rule(
        "product_of_cell",
        "X %*% Y",
        "Y * as.scalar(X)",
        "a product with one number scales",
        where=lambda m: m.fact("X").is_cell and m.fact("Y").rows == 1 and m.fact("Y").cols != 1,
        shapes="X=1x1 Y=1x4",
    ),
)


def _known_dim(m: Match) -> Hop | None:
    fact = m.fact("X")
    size = {"nrow": fact.rows, "ncol": fact.cols, "length": fact.cells}[m.root.op]
    return None if size is None else literal(size)


def _counted(m: Match) -> Hop | None:
    fact = m.fact("X")
    return literal(float(fact.nnz)) if fact.nnz is not None and fact.nnz_min == fact.nnz else None


def _whole(low: Hop, high: Hop, size: int | None) -> bool:
    """Whether bounds certainly select all of a dimension."""
    if low is NONE:
        return True
    if size is None or not low.is_literal or low.value != 1:
        return False
    return size == 1 if high is NONE else high.is_literal and high.value == size


def whole_range(m: Match) -> bool:
    x, (rl, ru, cl, cu) = m.fact("X"), m.root.args[-4:]
    return _whole(rl, ru, x.rows) and _whole(cl, cu, x.cols)


def _stores_all(m: Match) -> bool:
    x, y = m.fact("X"), m.fact("Y")
    return x.cells is not None and (x.rows, x.cols) == (y.rows, y.cols) and whole_range(m) and _may_be_dropped(m)


def _may_be_dropped(m: Match) -> bool:
    """The old value is no store, whose places may turn out not to be there."""
    return m.bound["X"].op != "leftindex"


_SIZES: Final = (
    Rule(
        "size_is_known", ("nrow(X)", "ncol(X)", "length(X)"), _known_dim, "the size is known", where=sized("X"), shapes="X=5x4", example="5"
    ),
    Rule(
        "non_zeros_are_known",
        "nnz(X)",
        _counted,
        "how many there are is known for certain",
        where=lambda m: _counted(m) is not None,
        shapes="X=5x4",
        facts="X nnz_min=20 low=1",
        example="20.0",
    ),
    Rule(
        "reshape_to_same",
        ("reshape(X, any1, any2, TRUE)", "reshape(X, any1, any2, FALSE)"),
        "X",
        "it has that shape already",
        where=lambda m: _keeps_shape(m),
        shapes="X=5x4 any1=5 any2=4",
    ),
    Rule(
        "reshape_twice",
        ("reshape(reshape(X, a, b, TRUE), any1, any2, TRUE)", "reshape(reshape(X, a, b, FALSE), any1, any2, FALSE)"),
        lambda m: apply("reshape", m.bound["X"], *m.root.args[1:]),
        "only the last shape matters",
        where=both(filled("X"), lambda m: _fits_twice(m)),
        shapes="X=5x4 a=4 b=5 any1=2 any2=10",
        example="reshape(X, 2, 10, TRUE)",
    ),
    Rule(
        "whole_range",
        "index(X, anya, anyb, anyc, anyd)",
        "X",
        "all of it is selected",
        where=whole_range,
        shapes="X=5x4 anya=1 anyb=5 anyc=1 anyd=4",
    ),
    Rule(
        "store_whole",
        "leftindex(X, Y, anya, anyb, anyc, anyd)",
        "Y",
        "nothing of the old value is left",
        where=_stores_all,
        shapes="X=5x4 Y=5x4 anya=1 anyb=5 anyc=1 anyd=4",
    ),
    Rule(
        "store_number_whole",
        "leftindex(X, a, anya, anyb, anyc, anyd)",
        lambda m: apply("fill", m.bound["a"], *map(literal, _dims(m)), literal(True)),
        "nothing of the old value is left",
        where=lambda m: filled("X")(m) and whole_range(m) and _may_be_dropped(m),
        shapes="X=5x4 a=1.5 anya=1 anyb=5 anyc=1 anyd=4",
        example="fill(1.5, 5, 4)",
    ),
    Rule(
        "nothing_removed",
        ('removeEmpty(X, "rows")', 'removeEmpty(X, "cols")'),
        "X",
        "every cell is certainly not zero",
        where=lambda m: filled("X")(m) and m.fact("X").nnz_min == m.fact("X").cells,
        shapes="X=5x4",
        facts="X nnz_min=20 low=1",
    ),
    Rule(
        "bind_nothing",
        ("cbind(X, Y)", "cbind(Y, X)"),
        "X",
        "a matrix without columns adds nothing",
        where=lambda m: same_rows("X", "Y")(m) and m.fact("Y").cols == 0,
        shapes="X=5x4 Y=5x0",
    ),
    Rule(
        "bind_nothing_below",
        ("rbind(X, Y)", "rbind(Y, X)"),
        "X",
        "a matrix without rows adds nothing",
        where=lambda m: m.fact("X").cols == m.fact("Y").cols is not None and m.fact("Y").rows == 0,
        shapes="X=5x4 Y=0x4",
    ),
    Rule(
        "triangle_already",
        ("lower.tri(X, TRUE, TRUE)", "upper.tri(X, TRUE, TRUE)"),
        "X",
        "it is that triangle already",
        where=lambda m: m.root.op.split(".")[0] in m.fact("X").structure,
        shapes="X=4x4",
        facts="X lower upper diagonal",
    ),
)


_CHOSEN: Final = (
    Rule(
        "always_chosen",
        ("ifelse(TRUE, A, any1)", "ifelse(FALSE, any1, A)", "ifelse(1, A, any1)", "ifelse(0, any1, A)"),
        "A",
        "the condition is known",
        where=both(full("A"), within("any1", "A")),
        shapes="A=5x4 any1=1",
    ),
    Rule(
        "chosen_everywhere",
        "ifelse(C, A, any1)",
        "A",
        "the condition holds in every cell",
        where=lambda m: full("A")(m) and _everywhere(m),
        shapes="C=5x4 A=5x4 any1=1",
        facts="C nnz_min=20 low=1",
    ),
)


def _everywhere(m: Match) -> bool:
    """The condition holds in all of its cells, and what it does not choose would have fitted."""
    c = m.fact("C")
    return c.cells is not None and c.nnz_min == c.cells and within("C", "A")(m) and within("any1", "A")(m)


def _dims(m: Match) -> tuple[int, int]:
    rows, cols = m.fact("X").rows, m.fact("X").cols
    assert rows is not None and cols is not None
    return rows, cols


def _keeps_shape(m: Match) -> bool:
    """Both sizes are those of X, or left out: one that is not known might be refused."""
    asked = ((m.bound[h], size) for h, size in zip(("any1", "any2"), (m.fact("X").rows, m.fact("X").cols), strict=True))
    return full("X")(m) and all(hop is NONE or (hop.is_literal and hop.value == size) for hop, size in asked)


def _fits_twice(m: Match) -> bool:
    a, b = m.fact("a").const_int(), m.fact("b").const_int()
    return a is not None and b is not None and a * b == m.fact("X").cells


RULES: Final = (*_VECTORS, *_CELLS, *_SIZES, *_CHOSEN)
