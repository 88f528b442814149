"""Kernels: the cells of one matrix put elsewhere, selected, replaced, or counted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dmlite.backends.local.casts import describe, number
from dmlite.backends.local.storage import Matrix, dense, is_matrix, settle
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve
from dmlite.values import DMLList

if TYPE_CHECKING:
    from scipy.sparse import csr_array


# ---------------------------------------------------------------- sizes
def nrow(X: Matrix | DMLList) -> int:
    """Rows of a matrix, elements of a list. Raises DMLRuntimeError for anything else."""
    return len(X) if isinstance(X, DMLList) else _shape(X, "nrow")[0]


def ncol(X: Matrix | DMLList) -> int:
    """Columns of a matrix; 1 for a list. Raises DMLRuntimeError for anything else."""
    return 1 if isinstance(X, DMLList) else _shape(X, "ncol")[1]


def length(X: Matrix | DMLList) -> int:
    """Cells of a matrix, elements of a list. Raises DMLRuntimeError for anything else."""
    if isinstance(X, DMLList):
        return len(X)
    rows, cols = _shape(X, "length")
    return rows * cols


def _shape(X: Any, what: str) -> tuple[int, int]:
    shape = getattr(X, "shape", None)
    if shape is None:
        raise DMLRuntimeError(f"{what} of {describe(X)}", hint="only matrices, frames and lists have a size")
    return shape


# ---------------------------------------------------------------- cells put elsewhere
def identity(X: Matrix) -> Matrix:
    """X itself."""
    return X


def t(X: Matrix) -> Matrix:
    """The transpose; a view when X is dense."""
    return X.T if X.__class__ is np.ndarray else settle(X.T.tocsr())


def rev(X: Matrix) -> Matrix:
    """The rows in reverse order."""
    return X[::-1].copy()


def roll(X: Matrix, k: Any) -> Matrix:
    """The rows moved down by k, around the end; up when k is negative. Raises DMLRuntimeError when k is no finite number."""
    rows = X.shape[0]
    if not abs(number(k, "shift of roll")) < 2**62:
        raise DMLRuntimeError(f"shift of roll is {describe(k)}, expected a whole number")
    if X.__class__ is np.ndarray:
        return np.roll(X, int(k), axis=0)
    return _rows_of(X, np.roll(np.arange(rows), int(k)))


def _rows_of(X: Matrix, places: np.ndarray) -> Matrix:
    """The rows of X at 0-based `places`, in that order."""
    return X[places] if X.__class__ is np.ndarray else settle(X[places])


# ---------------------------------------------------------------- sorted
def order(target: Matrix, by: Any, decreasing: Any, index_return: Any) -> Matrix:
    """The rows of `target` sorted by the 1-based column(s) `by`, or their order as a column of 1-based row numbers.

    Rows with equal keys keep their order in both directions; NaN comes last in both.
    Raises DMLRuntimeError for columns that do not exist.
    """
    columns = key_columns(target, by)
    if target.__class__ is np.ndarray and target.shape[1] == 1 and not index_return:
        return -np.sort(-target, axis=0) if decreasing else np.sort(target, axis=0)
    keys = [dense(target[:, [c]]).ravel() for c in columns]
    if decreasing:
        keys = [-key for key in keys]
    places = np.argsort(keys[0], kind="stable") if len(keys) == 1 else np.lexsort(keys[::-1])
    if index_return:
        return (places + 1.0).reshape(-1, 1)
    return _rows_of(target, places)


def key_columns(target: Matrix, by: Any) -> list[int]:
    """0-based columns from a 1-based one, or from a vector of those. Raises DMLRuntimeError for columns that do not exist."""
    wanted = dense(by).ravel().tolist() if is_matrix(by) else [number(by, "by of order")]
    if not wanted or not all(1 <= c < target.shape[1] + 1 for c in wanted):
        raise DMLRuntimeError(f"order of {describe(target)} by column {', '.join(map(describe, wanted)) or 'none'}")
    return [int(c) - 1 for c in wanted]


# ---------------------------------------------------------------- selected and replaced
def remove_empty(target: Matrix, margin: Any, select: Matrix | None, empty_return: Any) -> Matrix:
    """The rows (or columns) with a non-zero or NaN, or those where the vector `select` is not zero.

    When none is left: one row (column) of zeros, or none when not `empty_return`.
    Raises DMLRuntimeError for another margin, or a `select` of another length.
    """
    if margin not in ("rows", "cols"):
        raise DMLRuntimeError(f"margin of removeEmpty is {describe(margin)}", hint='it is "rows" or "cols"')
    axis = 0 if margin == "rows" else 1
    keep = occupied(target, axis) if select is None else selected(target, axis, select)
    if not keep.any():
        left = 1 if empty_return else 0
        shape = (left, target.shape[1]) if axis == 0 else (target.shape[0], left)
        reserve(*shape, "an empty selection")
        return np.zeros(shape)
    if target.__class__ is np.ndarray:
        return target.compress(keep, axis=axis)
    places = np.flatnonzero(keep)
    return settle(target[places] if axis == 0 else target[:, places])


def occupied(target: Matrix, axis: int) -> np.ndarray:
    """Which rows (axis 0) or columns hold a non-zero or NaN."""
    if target.__class__ is np.ndarray:
        return (target != 0).any(axis=1 - axis)
    if axis == 0:
        return np.diff(target.indptr) > 0
    return np.bincount(target.indices, minlength=target.shape[1]) > 0


def selected(target: Matrix, axis: int, select: Matrix) -> np.ndarray:
    """Which rows (axis 0) or columns a vector selects. Raises DMLRuntimeError when its length is another."""
    size = target.shape[axis]
    if 1 not in select.shape or select.shape[0] * select.shape[1] != size:
        side = ("rows", "columns")[axis]
        raise DMLRuntimeError(f"select of removeEmpty is {describe(select)}, expected a vector of the {size} {side} of {describe(target)}")
    return dense(select).ravel() != 0


def replace(target: Matrix, pattern: Any, replacement: Any) -> Matrix:
    """`target` with every cell that equals the number `pattern` (NaN equals NaN) replaced.

    Raises DMLRuntimeError when either is not a number.
    """
    pattern, value = number(pattern, "pattern of replace"), float(number(replacement, "replacement of replace"))
    if target.__class__ is np.ndarray:
        return np.where(_equals(target, pattern), value, target)
    if pattern != 0:
        out = target.copy()
        out.data[_equals(out.data, pattern)] = value
        return settle(out)
    if value == 0:
        return target.copy()
    full = dense(target)
    full[full == 0] = value
    return full


def contains(target: Matrix, pattern: Any) -> bool:
    """Whether any cell equals the number `pattern` (NaN equals NaN). Raises DMLRuntimeError when it is not a number."""
    pattern = number(pattern, "pattern of contains")
    if target.__class__ is np.ndarray:
        return bool(_equals(target, pattern).any())
    return bool(_equals(target.data, pattern).any()) or (pattern == 0 and _has_zeros(target))


def _equals(cells: np.ndarray, pattern: float) -> np.ndarray:
    return cells == pattern if pattern == pattern else np.isnan(cells)


def _has_zeros(X: csr_array) -> bool:
    return X.nnz < X.shape[0] * X.shape[1]


# ---------------------------------------------------------------- distinct values
def unique(X: Matrix, dir: Any) -> Matrix:
    """The distinct values as a column ("rc"), distinct rows ("r") or distinct columns ("c"), ascending, NaN last and once.

    Raises DMLRuntimeError for another `dir`.
    """
    if _direction(dir) == "rc":
        return _distinct_values(X).reshape(-1, 1)
    return _distinct_rows(dense(X)) if dir == "r" else _distinct_rows(dense(X).T).T.copy()


def count_distinct(X: Matrix, dir: Any = "rc") -> Matrix | int:
    """The number of distinct values of the whole matrix ("rc"), as n x 1 of each row ("r"), as 1 x m of each column ("c").

    NaN is one value. Raises DMLRuntimeError for another `dir`.
    """
    if _direction(dir) == "rc":
        return len(_distinct_values(X))
    return row_count_distinct(X) if dir == "r" else col_count_distinct(X)


def count_distinct_approx(X: Matrix, type: str, dir: Any = "rc") -> Matrix | int:
    """`count_distinct`: the exact number, whichever sketch is asked for."""
    return count_distinct(X, dir)


def row_count_distinct(X: Matrix, type: str = "") -> np.ndarray:
    """The number of distinct values of each row, n x 1."""
    if X.__class__ is not np.ndarray:
        return _stored_distinct(X).reshape(-1, 1)
    if X.shape[1] == 0:
        return np.zeros((X.shape[0], 1))
    cells = np.sort(X, axis=1)
    return 1.0 + np.count_nonzero(_differ(cells[:, 1:], cells[:, :-1]), axis=1, keepdims=True)


def col_count_distinct(X: Matrix, type: str = "") -> np.ndarray:
    """The number of distinct values of each column, 1 x m."""
    return row_count_distinct(X.T if X.__class__ is np.ndarray else X.T.tocsr()).T.copy()


def _direction(dir: Any) -> str:
    if dir not in ("rc", "r", "c"):
        raise DMLRuntimeError(f"dir is {describe(dir)}", hint='it is "rc" (all cells), "r" (rows) or "c" (columns)')
    return dir


def _distinct_values(X: Matrix) -> np.ndarray:
    if X.__class__ is np.ndarray:
        return np.unique(X)
    return np.unique(np.append(X.data, 0.0) if _has_zeros(X) else X.data)


def _distinct_rows(X: np.ndarray) -> np.ndarray:
    if X.shape[1] == 0 or X.shape[0] == 0:
        return X[:1].copy()
    rows = X[np.lexsort(X.T[::-1])]
    new = np.concatenate(([True], _differ(rows[1:], rows[:-1]).any(axis=1)))
    return rows[new]


def _stored_distinct(X: csr_array) -> np.ndarray:
    """Distinct values per row of a CSR matrix, the zeros that are not stored being one."""
    counts = np.diff(X.indptr)
    owner = np.repeat(np.arange(X.shape[0]), counts)
    cells = X.data[np.lexsort((X.data, owner))]
    new = np.ones(len(cells), dtype=bool)
    new[1:] = _differ(cells[1:], cells[:-1]) | (owner[1:] != owner[:-1])
    return np.bincount(owner, weights=new, minlength=X.shape[0]) + (counts < X.shape[1])


def _differ(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two arrays differ, NaN being equal to NaN."""
    return (a != b) & ((a == a) | (b == b))
