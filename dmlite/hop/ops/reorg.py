"""Operator rows: cells of one matrix put elsewhere, selected, replaced, or counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size, column, row, same


def _nnz(x: Fact, *_: Fact) -> int | None:
    return x.nnz


def _transposed(x: Fact) -> Size:
    return x.cols, x.rows


def _order_size(x: Fact, by: Fact, _decreasing: Fact, index: Fact) -> Size:
    key = by.const_int()
    if key is not None and (key < 1 or (x.cols is not None and key > x.cols)):
        raise ShapeError(f"order of a {x.shape_text()} matrix by column {key}", "columns are 1 to ncol(X)")
    return x.rows, x.cols if index.value is False else 1 if index.value is True else None


def _order_nnz(x: Fact, _by: Fact, _decreasing: Fact, index: Fact) -> int | None:
    return x.nnz if index.value is False else None


def _order_flops(x: Fact, *_: Fact) -> float | None:
    return None if x.rows is None else 20.0 * x.rows * math.log2(x.rows + 2)


def _kept_size(x: Fact, margin: Fact, *_: Fact) -> Size:
    return None if margin.value != "cols" else x.rows, None if margin.value != "rows" else x.cols


def _replace_nnz(x: Fact, pattern: Fact, replacement: Fact) -> int | None:
    """Zeros stay zeros unless they are what is replaced."""
    return x.nnz if (pattern.is_const and pattern.value != 0) or replacement.value == 0 else None


def _unique_size(x: Fact, dir: Fact) -> Size:
    return {"rc": (None, 1), "r": (None, x.cols), "c": (x.rows, None)}.get(str(dir.value), (None, None))


def _moved(name: str, params: str, kernel: str, doc: str, size: Callable[..., Size] = same, view: bool = False) -> Op:
    """A row whose result holds the cells of X elsewhere, so that it has the non-zeros of X."""
    return Op(name, params, "M", f"reorg.{kernel}", doc, size=size, nnz=_nnz, zero=(0,), view=view)


def _distinct(suffix: str, more: str, how: str) -> tuple[Op, ...]:
    """Counting distinct values of a matrix, with `dir` of its rows (r) or columns (c)."""
    name, total = f"countDistinct{suffix}", f"count_distinct{'_approx' if suffix else ''}"
    doc = f"The number of distinct values{{}}{how}."
    return (
        Op(name, f"X: M{more}", "I", f"reorg.{total}", doc.format("")),
        Op(f"{name}_by", f"X: M{more}, dir: T", "A", f"reorg.{total}", doc.format(" of each row (r) or column (c)"), spelling=name),
        Op(f"rowCountDistinct{suffix}", f"X: M{more}", "M", "reorg.row_count_distinct", doc.format(" of each row"), size=column),
        Op(f"colCountDistinct{suffix}", f"X: M{more}", "M", "reorg.col_count_distinct", doc.format(" of each column"), size=row),
    )


ROWS: Final[tuple[Op, ...]] = (
    _moved("t", "X: M", "t", "The transpose.", size=_transposed, view=True),
    _moved("rev", "X: M", "rev", "The rows in reverse order."),
    _moved("roll", "X: M, k: D", "roll", "The rows moved down by k, those that leave at the end coming in at the start."),
    Op(
        "order",
        "target: M, by: S|M = 1, decreasing: B = FALSE, index.return: B = FALSE",
        "M",
        "reorg.order",
        "The rows sorted by one or more columns, or their order as a column of row numbers. Equal rows keep their order, NaN comes last.",
        size=_order_size,
        nnz=_order_nnz,
        flops=_order_flops,
    ),
    Op(
        "removeEmpty",
        "target: M, margin: T, select: M = ?, empty.return: B = TRUE",
        "M",
        "reorg.remove_empty",
        "The rows or columns with a non-zero, or those that `select` marks; one of zeros when none is left, unless empty.return=FALSE.",
        size=_kept_size,
        nnz=_nnz,
    ),
    Op(
        "replace",
        "target: M, pattern: S, replacement: S",
        "M",
        "reorg.replace",
        "The matrix with every cell that equals the pattern (NaN too) replaced.",
        size=same,
        nnz=_replace_nnz,
    ),
    Op("contains", "target: M, pattern: S", "B", "reorg.contains", "Whether any cell equals the pattern (NaN too)."),
    Op(
        "unique",
        'X: M, dir: T = "rc"',
        "M",
        "reorg.unique",
        "The distinct values as a column (rc), the distinct rows (r) or columns (c), in ascending order, NaN last.",
        size=_unique_size,
    ),
    *_distinct("", "", ""),
    *_distinct("Approx", ', type: T = "KMV"', " (counted exactly, whatever the type)"),
    Op("nrow", "X: M|L|F", "I", "reorg.nrow", "The number of rows; of a list, of its elements."),
    Op("ncol", "X: M|L|F", "I", "reorg.ncol", "The number of columns; 1 for a list."),
    Op("length", "X: M|L|F", "I", "reorg.length", "The number of cells; of a list, of its elements."),
    _moved("compress", "X: M", "identity", "The matrix itself: how it is stored is chosen without being asked.", view=True),
    _moved("decompress", "X: M", "identity", "The matrix itself: how it is stored is chosen without being asked.", view=True),
)
