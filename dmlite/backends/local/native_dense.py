"""Loops over dense matrices, for Numba: products with few columns, which BLAS copies more than it computes, and rows that are joined.

What `native` says of compiling and of rows holds here too. Matrices lie in memory by rows.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import float64, int64, void

from dmlite.backends.local.native import INLINED, LESS, NOTHING, OPTIONS, TIMES  # noqa: F401 (callers choose by name)

_cells, _matrix = float64[::1], float64[:, ::1]


# ---------------------------------------------------------------- products with few columns
@numba.njit(void(_matrix, _matrix, int64, int64, _matrix), **OPTIONS)
def thin(x, vt, low, high, out):
    """X %*% t(vt), each row of X read once."""
    for i in range(low, high):
        row = x[i]
        for c in range(vt.shape[0]):
            column, d = vt[c], 0.0
            for j in range(row.size):
                d += row[j] * column[j]
            out[i, c] = d


@numba.njit(void(_matrix, _matrix, int64, int64, _matrix), **OPTIONS)
def thin_of_transpose(x, w, low, high, out):
    """Adds t(W) %*% X to `out`, two rows of X at a time."""
    i = low
    while i < high:
        last = min(i + 1, high - 1)
        row, other = x[i], x[last]
        for c in range(w.shape[1]):
            a, b, sums = w[i, c], w[last, c] if last > i else 0.0, out[c]
            if last > i:
                for j in range(row.size):
                    sums[j] += a * row[j] + b * other[j]
            else:
                for j in range(row.size):
                    sums[j] += a * row[j]
        i += 2


@numba.njit(void(_matrix, _matrix, int64, _matrix, int64, int64, _matrix), **OPTIONS)
def thin_chain(x, vt, combine, beside, low, high, out):
    """Adds the transpose of `chain` of a dense X to `out`, each row of X read once."""
    q = np.empty((2, vt.shape[0]))
    for start in range(low, high, 2):
        stop = min(start + 2, high)
        thin(x[start:stop], vt, 0, stop - start, q)
        if combine != NOTHING:
            for i in range(start, stop):
                for c in range(vt.shape[0]):
                    y = beside[i, c if beside.shape[1] > 1 else 0]
                    d = q[i - start, c]
                    q[i - start, c] = d * y if combine == TIMES else d - y
        thin_of_transpose(x[start:stop], q, 0, stop - start, out)


# ---------------------------------------------------------------- running aggregates, and groups of rows
SUM, PROD, MIN, MAX = range(4)


@numba.njit(float64(int64, float64, float64), **INLINED)
def _join(kind, a, b):
    """Two numbers as one; NaN stays."""
    if kind == SUM:
        return a + b
    if kind == PROD:
        return a * b
    if a != a:
        return a
    if kind == MIN:
        return b if b < a or b != b else a
    return b if b > a or b != b else a


@numba.njit(void(int64, _matrix, _matrix), **OPTIONS)
def running(kind, x, out):
    """Each row joined with all rows before it."""
    out[:1] = x[:1]
    for i in range(1, x.shape[0]):
        before, row, now = out[i - 1], x[i], out[i]
        for j in range(x.shape[1]):
            now[j] = _join(kind, before[j], row[j])


@numba.njit(void(_matrix, _cells), **OPTIONS)
def running_products(x, out):
    """y[i] = x[i, 0] + x[i, 1] * y[i - 1]."""
    y = 0.0
    for i in range(x.shape[0]):
        y = x[i, 0] + x[i, 1] * y
        out[i] = y


@numba.njit(void(int64, _matrix, int64[::1], _cells, int64, int64, _matrix), **OPTIONS)
def grouped(kind, x, at, share, low, high, out):
    """Joins each row, for sums times its share, with the row of `out` of its group."""
    for i in range(low, high):
        row, group = x[i], out[at[i]]
        weight = share[i] if kind == SUM else 1.0
        for j in range(x.shape[1]):
            group[j] = _join(kind, group[j], weight * row[j])
