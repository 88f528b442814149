"""Operator rows: parts of a matrix or list, read and written.

Bounds count from 1 and include the upper one. Along each dimension a missing lower bound means all of it, and a missing upper
bound means the lower one alone.
"""

from __future__ import annotations

from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size


def outside(low: float, high: float, shape: str, axis: int) -> tuple[str, str]:
    """Message and hint for a range that is not within a matrix of this shape, along its rows (axis 0) or columns (1)."""
    what, size = (("row", "nrow"), ("column", "ncol"))[axis]
    if high < low:
        return f"the {what} range {low}:{high} is empty", "the upper bound may not be below the lower one"
    hint = f"{what}s are 1 to {size}(X); a matrix does not grow, but {'rc'[axis]}bind joins two"
    if low < 0:
        hint = f'no index leaves {what}s out; removeEmpty(target=X, margin="{what[:3]}s", select=..) drops them'
    elif low < 1:
        hint = "indices count from 1"
    return f"{what} index {low if low == high else f'{low}:{high}'} is outside of a {shape} matrix", hint


def _width(x: Fact, low: Fact, high: Fact, axis: int) -> int | None:
    """Cells between constant bounds; None when not known here (an unknown bound may also be a missing one).

    Raises ShapeError when constant bounds do not lie within the matrix.
    """
    first, last = low.const_int(), high.const_int()
    whole = (x.rows, x.cols)[axis]
    known = [bound for bound in (first, last) if bound is not None]
    if known and (min(known) < 1 or (whole is not None and max(known) > whole)):
        raise ShapeError(*outside(known[0], known[-1], x.shape_text(), axis))
    if first is None or last is None:
        return None
    if last < first:
        raise ShapeError(*outside(first, last, x.shape_text(), axis))
    return last - first + 1


def _index_size(x: Fact, rl: Fact, ru: Fact, cl: Fact, cu: Fact) -> Size:
    if not x.is_matrix:
        return None, None
    return _width(x, rl, ru, 0), _width(x, cl, cu, 1)


def _index_nnz(x: Fact, *_: Fact) -> int | None:
    return x.nnz


def _leftindex_size(x: Fact, value: Fact, rl: Fact, ru: Fact, cl: Fact, cu: Fact) -> Size:
    rows, cols = _index_size(x, rl, ru, cl, cu)
    if value.is_matrix and any(a is not None and b not in (None, a) for a, b in ((rows, value.rows), (cols, value.cols))):
        target = Fact(rows=rows, cols=cols).shape_text()
        raise ShapeError(f"a {value.shape_text()} matrix does not fit into the {target} range it is assigned to")
    return x.rows, x.cols


def _leftindex_nnz(x: Fact, value: Fact, *_: Fact) -> int | None:
    """A scalar may fill any range, so only zero keeps the bound."""
    added = value.nnz if value.is_matrix else 0 if value.is_const and value.value == 0 else None
    return None if x.nnz is None or added is None else x.nnz + added


ROWS: Final[tuple[Op, ...]] = (
    Op(
        "index",
        "X: M|L, rl: A, ru: A, cl: A, cu: A",
        "A",
        "indexing.index",
        "The rows rl..ru and columns cl..cu of a matrix, or the elements rl..ru of a list (numbers or names) as a list.",
        size=_index_size,
        nnz=_index_nnz,
        zero=(0,),
        spelling="[]",
        view=True,
    ),
    Op(
        "leftindex",
        "X: M|L, value: A, rl: A, ru: A, cl: A, cu: A",
        "A",
        "indexing.leftindex",
        "X with the rows rl..ru and columns cl..cu replaced by a matrix of that shape or by a number, or one element of a list replaced.",
        size=_leftindex_size,
        nnz=_leftindex_nnz,
        spelling="[]=",
    ),
)
