"""Kernels: parts of a matrix or list, read and written. Bounds count from 1 and include the upper one.

Along each dimension `(None, None)` is all of it and `(i, None)` is `i` alone.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from dmlite.backends.local import lists
from dmlite.backends.local.casts import describe
from dmlite.backends.local.storage import SPARSE_LIMIT, Matrix, dense, is_matrix, settle, sparse
from dmlite.errors import DMLRuntimeError
from dmlite.hop.ops.indexing import outside
from dmlite.values import DMLList

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def out_of_range(low: int, high: int, shape: tuple[int, int], axis: int) -> None:
    """Report a row (axis 0) or column range that is not within the matrix. Raises DMLRuntimeError."""
    message, hint = outside(low, high, f"{shape[0]}x{shape[1]}", axis)
    raise DMLRuntimeError(message, hint=hint)


def index(X: Matrix | DMLList, rl: Any, ru: Any, cl: Any, cu: Any) -> Matrix | DMLList:
    """Rows rl..ru and columns cl..cu of X (a view when X is dense), or elements rl..ru of a list, as a list.

    Raises DMLRuntimeError when the bounds are not within X or select nothing.
    """
    if X.__class__ is np.ndarray:
        rows, cols = X.shape
        if rl is None:
            top, bottom = 0, rows
        elif rl.__class__ is int and (ru is None or ru.__class__ is int):
            top, bottom = rl - 1, rl if ru is None else ru
        else:
            top, bottom = _floored(rl, ru)
        if cl is None:
            left, right = 0, cols
        elif cl.__class__ is int and (cu is None or cu.__class__ is int):
            left, right = cl - 1, cl if cu is None else cu
        else:
            left, right = _floored(cl, cu)
        if (0 <= top < bottom <= rows or rl is None) and (0 <= left < right <= cols or cl is None):
            return X[top:bottom, left:right]
        raise _outside(X, rl, ru, cl, cu)
    if isinstance(X, DMLList):
        _check_list_bounds(rl, cl)
        return lists.section(X, rl, ru)
    if not is_matrix(X):
        raise DMLRuntimeError(f"{describe(X)} has no parts", hint="only matrices and lists can be indexed")
    return _csr_part(X, *ranges(X, rl, ru, cl, cu))


def leftindex(X: Matrix | DMLList, value: Any, rl: Any, ru: Any, cl: Any, cu: Any) -> Matrix | DMLList:
    """A new X with the range replaced by a matrix of its shape, or filled with a number; in a list, one element replaced.

    Raises DMLRuntimeError when the range is not within X or the value does not fit.
    """
    return leftindex_inplace(X.copy() if X.__class__ is np.ndarray else X, value, rl, ru, cl, cu)


def leftindex_inplace(X: Matrix | DMLList, value: Any, rl: Any, ru: Any, cl: Any, cu: Any) -> Matrix | DMLList:
    """As `leftindex`, but a dense X is changed and returned; the caller must own it."""
    if X.__class__ is np.ndarray:
        part = index(X, rl, ru, cl, cu)
        if not isinstance(value, (int, float)):
            value = dense(fitting(value, part.shape))
        part[:] = value
        return X
    if isinstance(X, DMLList):
        _check_list_bounds(rl, cl)
        if ru is not None:
            raise DMLRuntimeError("only one element of a list can be replaced at a time", hint="use L[i] = value")
        return lists.replaced(X, rl, value)
    if not is_matrix(X):
        raise DMLRuntimeError(f"{describe(X)} has no parts", hint="only matrices and lists can be indexed")
    return _splice(X, value, *ranges(X, rl, ru, cl, cu))


# ---------------------------------------------------------------- bounds
def _floored(low: Any, high: Any) -> tuple[int, int]:
    """0-based start and stop of a range given by numbers; (0, 0), which selects nothing, when they are none."""
    numbers = (low, low if high is None else high)
    if not all(isinstance(n, (int, float)) and isfinite(n) for n in numbers):
        return 0, 0
    first, last = (int(n // 1) for n in numbers)
    return first - 1, last


def ranges(X: Matrix, rl: Any, ru: Any, cl: Any, cu: Any) -> tuple[int, int, int, int]:
    """0-based start and stop of rows and of columns. Raises DMLRuntimeError when they are not within X or select nothing."""
    rows, cols = X.shape
    top, bottom = (0, rows) if rl is None else _floored(rl, ru)
    left, right = (0, cols) if cl is None else _floored(cl, cu)
    if (0 <= top < bottom <= rows or rl is None) and (0 <= left < right <= cols or cl is None):
        return top, bottom, left, right
    raise _outside(X, rl, ru, cl, cu)


def _outside(X: Matrix, rl: Any, ru: Any, cl: Any, cu: Any) -> DMLRuntimeError:
    parts = [
        "" if low is None else describe(low) if high is None else f"{describe(low)}:{describe(high)}" for low, high in ((rl, ru), (cl, cu))
    ]
    hint = "a bound is a number"
    for axis, (low, high) in enumerate(((rl, ru), (cl, cu))):
        first, last = (0, 0) if low is None else _floored(low, high)
        if low is not None and isinstance(low, (int, float)) and not 0 <= first < last <= X.shape[axis]:
            _, hint = outside(low, low if high is None else high, "", axis)
    return DMLRuntimeError(f"index [{parts[0]},{parts[1]}] is not within {describe(X)}", hint=hint)


def _check_list_bounds(rl: Any, cl: Any) -> None:
    if rl is None or cl is not None:
        raise DMLRuntimeError("a list has one dimension", hint='use L[i], L["name"] or L[a:b]')


def fitting(value: Any, shape: tuple[int, int]) -> Matrix:
    """`value` if it is a matrix of that shape. Raises DMLRuntimeError otherwise."""
    if is_matrix(value) and value.shape == shape:
        return value
    raise DMLRuntimeError(
        f"{describe(value)} cannot be assigned to a range of {shape[0]}x{shape[1]}", hint="it needs a matrix of that shape, or a number"
    )


# ---------------------------------------------------------------- CSR
def _csr_part(X: csr_array, top: int, bottom: int, left: int, right: int) -> Matrix:
    from scipy.sparse import csr_array

    start, stop = X.indptr[top], X.indptr[bottom]
    if bottom - top == right - left == 1:
        at = start + np.searchsorted(X.indices[start:stop], left)
        found = at < stop and X.indices[at] == left
        return np.array([[X.data[at] if found else 0.0]])
    if right - left < X.shape[1]:
        return settle(X[top:bottom, left:right])
    pointers = X.indptr[top : bottom + 1] - start
    return settle(csr_array((X.data[start:stop].copy(), X.indices[start:stop].copy(), pointers), shape=(bottom - top, right - left)))


def _splice(X: csr_array, value: Any, top: int, bottom: int, left: int, right: int) -> Matrix:
    """X with one range replaced; only the rows that it touches are sorted again."""
    from scipy.sparse import coo_array, csr_array

    shape = (bottom - top, right - left)
    if isinstance(value, (int, float)):
        value = csr_array(shape) if value == 0 else np.full(shape, float(value))
    else:
        value = fitting(value, shape)
    added = value.nnz if not isinstance(value, np.ndarray) else value.size
    if X.nnz + added > SPARSE_LIMIT * X.shape[0] * X.shape[1] or X.shape[1] == 1:
        out = dense(X)
        out[top:bottom, left:right] = dense(value)
        return out
    start, stop = X.indptr[top], X.indptr[bottom]
    columns = X.indices[start:stop]
    kept = (columns < left) | (columns >= right)
    places = np.repeat(np.arange(bottom - top), np.diff(X.indptr[top : bottom + 1]))[kept]
    piece = sparse(value).tocoo()
    band = coo_array(
        (
            np.concatenate((X.data[start:stop][kept], piece.data)),
            (np.concatenate((places, piece.row)), np.concatenate((columns[kept], piece.col + left))),
        ),
        shape=(bottom - top, X.shape[1]),
    ).tocsr()
    pointers = np.concatenate((X.indptr[:top], band.indptr + start, X.indptr[bottom + 1 :] + (band.nnz - (stop - start))))
    data = np.concatenate((X.data[:start], band.data, X.data[stop:]))
    indices = np.concatenate((X.indices[:start], band.indices, X.indices[stop:]))
    return settle(csr_array((data, indices, pointers), shape=X.shape))
