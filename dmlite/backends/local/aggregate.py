"""Aggregates of dense and CSR matrices: of all cells (a Python float), by row (n x 1), by column (1 x m), and running ones.

NaN propagates everywhere, except through the positions of row extremes. Aggregating no cells at all gives 0 (sum), 1 (prod), NaN (mean,
var, sd), Inf (min) and -Inf (max); a row or column aggregate over a side of length 0 is a vector of zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import Any, Final

import numpy as np

from dmlite.backends.local import compiled, elementwise
from dmlite.backends.local.storage import Matrix, dense, is_matrix
from dmlite.errors import DMLRuntimeError

_BLOCK: Final = 1 << 20  # cells that a pass with an intermediate works on at a time, so that it stays in cache
_NARROW: Final = 16  # columns up to which rows are gone through column by column, as NumPy's reductions are slow along short rows

_APART: Final = 4  # multiplications that take as long as NumPy takes for a cell when it goes column by column
_SLOW: Final = 64  # multiplications that take as long as one step of a loop in Python

_Kernel = Callable[[Matrix], np.ndarray]


# ---------------------------------------------------------------- all cells
def sum(x: Matrix) -> float:
    """Sum of all cells."""
    return float(np.add.reduce(x, axis=None) if isinstance(x, np.ndarray) else np.add.reduce(x.data))


def prod(x: Matrix) -> float:
    """Product of all cells."""
    if isinstance(x, np.ndarray):
        return float(np.multiply.reduce(x, axis=None))
    if x.nnz == _size(x):
        return float(np.multiply.reduce(x.data))
    return 0.0 if np.isfinite(x.data).all() else math.nan


def _size(x: Matrix) -> int:
    return x.shape[0] * x.shape[1]


def mean(x: Matrix) -> float:
    """Mean of all cells; NaN without cells."""
    return sum(x) / size if (size := _size(x)) else math.nan


def mean_w(x: Matrix, w: Matrix) -> float:
    """sum(w * x) / sum(w). Raises DMLRuntimeError when the shapes do not fit."""
    total = sum(w)
    return sum(elementwise.mul(w, x)) / total if total else math.nan


def sumsq(x: Matrix) -> float:
    """sum(x ^ 2)."""
    cells = x.ravel(order="K") if isinstance(x, np.ndarray) else x.data
    return float(cells.dot(cells))


def nnz(x: Matrix) -> float:
    """Number of non-zero cells, NaN among them."""
    return float(np.count_nonzero(x if isinstance(x, np.ndarray) else x.data))


def var(x: Matrix) -> float:
    """Sample variance; 0.0 for a single cell, NaN without cells."""
    size = _size(x)
    if size < 2:
        return 0.0 if size else math.nan
    center = mean(x)
    cells = x.ravel(order="K") if isinstance(x, np.ndarray) else x.data
    total = (size - cells.size) * center * center if cells.size < size else 0.0
    for i in range(0, cells.size, _BLOCK):
        total += sumsq(cells[i : i + _BLOCK] - center)
    return total / (size - 1)


def sd(x: Matrix) -> float:
    """Sample standard deviation; 0.0 for a single cell, NaN without cells."""
    return math.sqrt(var(x))


def _extreme(f: np.ufunc, none: float) -> Callable[[Any], Any]:
    def kernel(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            return float(f.reduce(x, axis=None, initial=none))
        if not is_matrix(x):
            return x
        stored = f.reduce(x.data, initial=none)
        return float(stored if x.nnz == _size(x) else f(stored, 0.0))

    return kernel


min_agg = _extreme(np.minimum, math.inf)
max_agg = _extreme(np.maximum, -math.inf)


def trace(x: Matrix) -> float:
    """Sum of the diagonal. Raises DMLRuntimeError for a matrix that is not square."""
    if x.shape[0] != x.shape[1]:
        raise DMLRuntimeError(f"trace needs a square matrix, not {x.shape[0]}x{x.shape[1]}")
    return float(np.add.reduce(x.diagonal()))


# ---------------------------------------------------------------- by row (axis 1) and by column (axis 0)
def _vector(x: np.ndarray, axis: int) -> np.ndarray:
    return x.reshape(-1, 1) if axis else x.reshape(1, -1)


def _zeros(x: Matrix, axis: int) -> np.ndarray:
    return np.zeros((x.shape[0], 1) if axis else (1, x.shape[1]))


def _groups(x: Matrix, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The stored cells of a CSR matrix by row or column: where each group starts, how many each has, the cells."""
    grouped = x if axis else x.tocsc()
    return grouped.indptr[:-1], np.diff(grouped.indptr), grouped.data


def _reduced(f: np.ufunc, starts: np.ndarray, counts: np.ndarray, data: np.ndarray, empty: float = 0.0) -> np.ndarray:
    """`f` over the stored cells of each group."""
    out = np.full(len(counts), empty)
    filled = counts > 0
    if data.size:
        out[filled] = f.reduceat(data, starts[filled])
    return out


def _sums(axis: int) -> _Kernel:
    """Sums along an axis; BLAS is up to three times faster than the ufunc, which is slow for narrow matrices."""

    def kernel(x: Matrix) -> np.ndarray:
        if isinstance(x, np.ndarray):
            if x.shape[1] == 1 and not axis:
                return np.add.reduce(x, axis=0, keepdims=True)
            return _vector(x @ np.ones(x.shape[1]) if axis else np.ones(x.shape[0]) @ x, axis)
        return _vector(x @ np.ones(x.shape[1]) if axis else np.ones(x.shape[0]) @ x, axis)

    return kernel


def _by_axis(f: np.ufunc, axis: int) -> _Kernel:
    """The reduction by a ufunc along an axis."""

    def kernel(x: Matrix) -> np.ndarray:
        if not x.shape[axis]:
            return _zeros(x, axis)
        if isinstance(x, np.ndarray):
            return _folded(f, x) if axis and _is_narrow(x) else f.reduce(x, axis=axis, keepdims=True)
        starts, counts, data = _groups(x, axis)
        out = _reduced(f, starts, counts, data)
        gaps = counts < x.shape[axis]
        out[gaps] = _reduced(np.add, starts, counts, data * 0.0)[gaps] if f is np.multiply else f(out[gaps], 0.0)
        return _vector(out, axis)

    return kernel


def _is_narrow(x: np.ndarray) -> bool:
    return 1 < x.shape[1] <= _NARROW and x.shape[0] > _NARROW


def _folded(f: np.ufunc, x: np.ndarray) -> np.ndarray:
    """The reduction along rows by a ufunc, all rows at once."""
    out = f(x[:, :1], x[:, 1:2])
    for j in range(2, x.shape[1]):
        f(out, x[:, j : j + 1], out=out)
    return out


def _means(sums: _Kernel, axis: int) -> _Kernel:
    def kernel(x: Matrix) -> np.ndarray:
        out = sums(x)
        if x.shape[axis]:
            out /= x.shape[axis]
        return out

    return kernel


def _squares(x: np.ndarray, center: np.ndarray, axis: int) -> np.ndarray:
    """Sums of (x - center) ^ 2 of a dense matrix along an axis."""
    out = _zeros(x, axis)
    step = max(1, _BLOCK // x.shape[1])
    for i in range(0, x.shape[0], step):
        if axis:
            d = x[i : i + step] - center[i : i + step]
            out[i : i + step, 0] = np.einsum("ij,ij->i", d, d)
        else:
            d = x[i : i + step] - center
            out[0] += np.einsum("ij,ij->j", d, d)
    return out


def _variances(means: _Kernel, axis: int) -> _Kernel:
    def kernel(x: Matrix) -> np.ndarray:
        n = x.shape[axis]
        if n < 2 or not _size(x):
            return _zeros(x, axis)
        center = means(x)
        if isinstance(x, np.ndarray):
            return _squares(x, center, axis) / (n - 1)
        counts = np.diff(x.indptr) if axis else np.bincount(x.indices, minlength=x.shape[1])
        groups = np.repeat(np.arange(x.shape[0]), counts) if axis else x.indices
        flat = center.ravel()
        squares = np.bincount(groups, weights=(x.data - flat[groups]) ** 2, minlength=flat.size)
        return _vector((squares + (n - counts) * flat**2) / (n - 1), axis)

    return kernel


def _rooted(variances: _Kernel) -> _Kernel:
    def kernel(x: Matrix) -> np.ndarray:
        out = variances(x)
        return np.sqrt(out, out=out)

    return kernel


def _square_sums(sums: _Kernel, axis: int) -> _Kernel:
    def kernel(x: Matrix) -> np.ndarray:
        if isinstance(x, np.ndarray):
            return _vector(np.einsum("ij,ij->i" if axis else "ij,ij->j", x, x), axis)
        return sums(elementwise.square(x))

    return kernel


rowSums, colSums = _sums(1), _sums(0)
rowProds, colProds = _by_axis(np.multiply, 1), _by_axis(np.multiply, 0)
rowMins, colMins = _by_axis(np.minimum, 1), _by_axis(np.minimum, 0)
rowMaxs, colMaxs = _by_axis(np.maximum, 1), _by_axis(np.maximum, 0)
rowMeans, colMeans = _means(rowSums, 1), _means(colSums, 0)
rowVars, colVars = _variances(rowMeans, 1), _variances(colMeans, 0)
rowSds, colSds = _rooted(rowVars), _rooted(colVars)
rowSumsSq, colSumsSq = _square_sums(rowSums, 1), _square_sums(colSums, 0)


# ---------------------------------------------------------------- positions of extremes
def _position(f: np.ufunc) -> _Kernel:
    """Column number of the last cell of each row that equals the extreme by `f` (fmax or fmin); 1 when all are NaN."""

    def kernel(x: Matrix) -> np.ndarray:
        m = x.shape[1]
        if not m:
            return _zeros(x, 1)
        if not isinstance(x, np.ndarray):
            return _sparse_position(f, x)
        if _is_narrow(x):
            return _narrow_position(np.greater if f is np.fmin else np.less, x)
        hits = x == f.reduce(x, axis=1, keepdims=True)
        found = m - np.argmax(hits[:, ::-1], axis=1)
        found[(found == m) & ~hits[:, -1]] = 1
        return _vector(found.astype(np.float64), 1)

    return kernel


def _narrow_position(is_worse: np.ufunc, x: np.ndarray) -> np.ndarray:
    """All rows at once, column by column; what is not worse than the best so far takes its place, NaN never does."""
    best = x[:, 0].copy()
    found = np.ones(x.shape[0])
    for j in range(1, x.shape[1]):
        column = x[:, j]
        better = np.logical_not(is_worse(column, best))
        better &= column == column
        np.copyto(best, column, where=better)
        np.copyto(found, j + 1.0, where=better)
    return _vector(found, 1)


def _sparse_position(f: np.ufunc, x: Matrix) -> np.ndarray:
    n, m = x.shape
    starts, counts, data = _groups(x, 1)
    rows = np.repeat(np.arange(n), counts)
    best = _reduced(f, starts, counts, data, empty=math.nan)
    gaps = counts < m
    best[gaps] = f(best[gaps], 0.0)
    found = np.ones(n)
    hits = data == best[rows]
    found[rows[hits]] = x.indices[hits] + 1  # in the order of columns, so that the last one stays
    # A stored cell is part of the unbroken run at the end of its row exactly when no column is missing after it;
    # the last cell that is not stored stands before this run.
    after = x.indptr[1:][rows] - np.arange(data.size)
    run = np.bincount(rows[x.indices == m - after], minlength=n)
    found[best == 0] = (m - run)[best == 0]
    return _vector(found, 1)


rowIndexMax = _position(np.fmax)
rowIndexMin = _position(np.fmin)


# ---------------------------------------------------------------- running aggregates
def _running(f: np.ufunc, kind: str) -> _Kernel:
    """From row to row, which compiled loops do for all columns at once, NumPy column by column."""

    def kernel(x: Matrix) -> np.ndarray:
        x = dense(x)
        loops = compiled.ready(_APART * x.size) if x.shape[1] > 1 and x.flags.c_contiguous else None
        if loops is None:
            return f.accumulate(x, axis=0)
        out = np.empty(x.shape)
        loops.running(getattr(loops, kind), x, out)
        return out

    return kernel


cumsum = _running(np.add, "SUM")
cumprod = _running(np.multiply, "PROD")
cummin = _running(np.minimum, "MIN")
cummax = _running(np.maximum, "MAX")


def rowcumsum(x: Matrix) -> np.ndarray:
    """Running sums from column to column, n x m."""
    return np.add.accumulate(dense(x), axis=1)


def cumsum_up(x: Matrix) -> np.ndarray:
    """rev(cumsum(rev(x))), n x m."""
    return np.ascontiguousarray(np.add.accumulate(dense(x)[::-1], axis=0)[::-1])


def cumsumprod(x: Matrix) -> np.ndarray:
    """y[i] = x[i,1] + x[i,2] * y[i-1] with y[0] = 0, for x of n x 2; n x 1. Raises DMLRuntimeError for other widths."""
    if x.shape[1] != 2:
        raise DMLRuntimeError(f"cumsumprod needs a matrix of two columns, not {x.shape[0]}x{x.shape[1]}")
    x = dense(x)
    if loops := compiled.ready(_SLOW * len(x)):
        out = np.empty((len(x), 1))
        loops.running_products(np.ascontiguousarray(x), out[:, 0])
        return out
    summands, factors = x.T.tolist()
    steps = accumulate(zip(summands, factors, strict=True), lambda y, step: step[0] + step[1] * y, initial=0.0)
    return np.array(list(steps)[1:], dtype=np.float64).reshape(-1, 1)
