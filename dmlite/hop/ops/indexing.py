"""Operator rows: parts of a matrix or list, read and written.

Bounds count from 1 and include the upper one. Along each dimension a missing lower bound means all of it, and a missing upper
bound means the lower one alone.
"""

from __future__ import annotations

from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size


def _width(x: Fact, low: Fact, high: Fact, whole: int | None) -> int | None:
    """Cells between constant bounds; None when not known here (an unknown bound may also be a missing one).

    Raises ShapeError when constant bounds do not lie within the matrix.
    """
    first, last = low.const_int(), high.const_int()
    for bound in (first, last):
        if bound is not None and (bound < 1 or (whole is not None and bound > whole)):
            raise ShapeError(f"index {bound} is outside of a {x.shape_text()} matrix")
    if first is None or last is None:
        return None
    if last < first:
        raise ShapeError(f"the range {first}:{last} is empty", "the upper bound may not be below the lower one")
    return last - first + 1


def _index_size(x: Fact, rl: Fact, ru: Fact, cl: Fact, cu: Fact) -> Size:
    if not x.is_matrix:
        return None, None
    return _width(x, rl, ru, x.rows), _width(x, cl, cu, x.cols)


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
