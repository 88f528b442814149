"""Operator rows: aggregates of a whole matrix, of its rows, of its columns; and running aggregates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size, cellwise, column, row, same

_X: Final = "X: M"


def _cost(flops: float) -> Callable[..., float | None]:
    """So many operations a stored cell of the operand."""

    def rule(x: Fact, *_: Fact) -> float | None:
        cells = x.cells if x.nnz is None else x.nnz
        return None if cells is None else flops * cells

    return rule


def _column_nnz(x: Fact) -> int | None:
    """A row without non-zeros aggregates to zero."""
    return x.nnz if x.rows is None or x.nnz is None else min(x.nnz, x.rows)


def _row_nnz(x: Fact) -> int | None:
    return x.nnz if x.cols is None or x.nnz is None else min(x.nnz, x.cols)


def _square_size(x: Fact) -> Size:
    if x.rows is not None and x.cols is not None and x.rows != x.cols:
        raise ShapeError(f"trace needs a square matrix, not {x.shape_text()}")
    return None, None


def _two_columns(x: Fact) -> Size:
    if x.cols not in (None, 2):
        raise ShapeError(f"cumsumprod needs a matrix of two columns, not {x.shape_text()}")
    return x.rows, 1


def _weighted(x: Fact, w: Fact) -> Size:
    cellwise(x, w)
    return None, None


def _full(name: str, doc: str, flops: float = 1, **kw: Any) -> Op:
    return Op(name, kw.pop("params", _X), "D", f"aggregate.{name}", doc, flops=_cost(flops), **kw)


def _rows(name: str, doc: str, flops: float = 1, **kw: Any) -> Op:
    return Op(name, _X, "M", f"aggregate.{name}", doc, **{"size": column, "nnz": _column_nnz, "flops": _cost(flops), **kw})


def _cols(name: str, doc: str, flops: float = 1, **kw: Any) -> Op:
    return Op(name, _X, "M", f"aggregate.{name}", doc, **{"size": row, "nnz": _row_nnz, "flops": _cost(flops), **kw})


def _running(name: str, doc: str, **kw: Any) -> Op:
    return Op(name, _X, "M", f"aggregate.{name}", doc, **{"size": same, **kw})


_FULL: Final = (
    _full("sum", "Sum of all cells."),
    _full("prod", "Product of all cells."),
    _full("mean", "Mean of all cells.", aliases=("avg",)),
    _full("mean_w", "Weighted mean: sum(W * X) / sum(W).", 3, params="X: M, W: M", size=_weighted, spelling="mean", aliases=("avg",)),
    _full("var", "Sample variance of all cells (divided by n - 1); 0 for a single cell.", 4),
    _full("sd", "Sample standard deviation of all cells; 0 for a single cell.", 4),
    _full("min_agg", "Smallest cell; NaN wins.", params="X: M|D", spelling="min", aliases=("pmin",)),
    _full("max_agg", "Largest cell; NaN wins.", params="X: M|D", spelling="max", aliases=("pmax",)),
    _full("trace", "Sum of the diagonal of a square matrix.", size=_square_size, aliases=("tr",)),
    _full("sumsq", "sum(X ^ 2) in one pass.", 2, spelling="sumsq()"),
    _full("nnz", "Number of non-zero cells: sum(X != 0).", spelling="nnz()"),
)

_BY_ROW: Final = (
    _rows("rowSums", "Sum of each row."),
    _rows("rowProds", "Product of each row."),
    _rows("rowMeans", "Mean of each row."),
    _rows("rowVars", "Sample variance of each row; 0 for a single cell.", 4),
    _rows("rowSds", "Sample standard deviation of each row; 0 for a single cell.", 4),
    _rows("rowMins", "Smallest cell of each row; NaN wins."),
    _rows("rowMaxs", "Largest cell of each row; NaN wins."),
    _rows("rowIndexMax", "Column number of the largest cell of each row; the last of equal ones, NaN skipped.", 3, nnz=None),
    _rows("rowIndexMin", "Column number of the smallest cell of each row; the last of equal ones, NaN skipped.", 3, nnz=None),
    _rows("rowSumsSq", "rowSums(X ^ 2) in one pass.", 2, spelling="rowSumsSq()"),
)

_BY_COLUMN: Final = (
    _cols("colSums", "Sum of each column."),
    _cols("colProds", "Product of each column."),
    _cols("colMeans", "Mean of each column."),
    _cols("colVars", "Sample variance of each column; 0 for a single cell.", 4),
    _cols("colSds", "Sample standard deviation of each column; 0 for a single cell.", 4),
    _cols("colMins", "Smallest cell of each column; NaN wins."),
    _cols("colMaxs", "Largest cell of each column; NaN wins."),
    _cols("colSumsSq", "colSums(X ^ 2) in one pass.", 2, spelling="colSumsSq()"),
)

_RUNNING: Final = (
    _running("cumsum", "Running sum down each column."),
    _running("cumprod", "Running product down each column."),
    _running("cummin", "Running minimum down each column; NaN stays."),
    _running("cummax", "Running maximum down each column; NaN stays."),
    _running("rowcumsum", "Running sum along each row."),
    _running("cumsum_up", "Running sum up each column, from the last row.", spelling="cumsum_up()"),
    _running("cumsumprod", "y[i] = X[i,1] + X[i,2] * y[i-1] with y[0] = 0, for X of two columns.", size=_two_columns, flops=_cost(1)),
)

ROWS: Final[tuple[Op, ...]] = (*_FULL, *_BY_ROW, *_BY_COLUMN, *_RUNNING)
