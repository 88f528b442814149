"""Loops over the stored cells of a CSR driver, for Numba: what NumPy can only do by gathering rows into blocks.

Importing this module compiles it, or loads it from the disk; `compiled` does so in the background. Every function works on
the rows from `low` to before `high` without the GIL, so that threads can share the rows. U is m x k, V n x k, both by rows.
d is the cell of U %*% t(V), w the stored cell, x the cell of a further operand and eps a number.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import float64, int32, int64, void

# Sums may be grouped in any way, but NaN and infinities are kept.
_OPTIONS = {"cache": True, "nogil": True, "fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
_index, _cells, _matrix = int32[::1], float64[::1], float64[:, ::1]

PRODUCT, MUL, DIV, MINUS, MINUS_WEIGHTED, SQUARED, SQUARED_NZ, CROSS, LOG, SIGMOID, SIGMOID_MINUS = range(11)


@numba.njit(inline="always")
def _dot(u, v, i, j):
    d = 0.0
    for c in range(u.shape[1]):
        d += u[i, c] * v[j, c]
    return d


@numba.njit(inline="always")
def _cell(kind, w, d, x, eps):
    if kind == PRODUCT:
        return d
    if kind == MUL:
        return w * d
    if kind == DIV:
        return w / (d + eps)
    if kind == MINUS:
        return d - w
    if kind == MINUS_WEIGHTED:
        return w * (d - x)
    if kind == SQUARED:
        return w * (x - d) * (x - d)
    if kind == SQUARED_NZ:
        return (w - d) * (w - d)
    if kind == CROSS:
        return w * (w - 2.0 * d)
    if kind == LOG:
        return w * math.log(d + eps)
    z = d if kind == SIGMOID else -d
    e = math.exp(-abs(z))
    return w * ((1.0 if z >= 0 else e) / (1.0 + e)) if z == z else w * z


@numba.njit(void(int64, _index, _index, _cells, _matrix, _matrix, _cells, float64, int64, int64, _cells), **_OPTIONS)
def cells(kind, indptr, indices, data, u, v, x, eps, low, high, out):
    """The results at the stored cells."""
    beside = x.size > 0
    for i in range(low, high):
        for p in range(indptr[i], indptr[i + 1]):
            d = _dot(u, v, i, indices[p])
            out[p] = _cell(kind, data[p], d, x[p] if beside else 0.0, eps)


@numba.njit(float64(int64, _index, _index, _cells, _matrix, _matrix, _cells, float64, int64, int64), **_OPTIONS)
def total(kind, indptr, indices, data, u, v, x, eps, low, high):
    """The sum of the results; one row at a time, so that rounding does not grow with the number of rows alone."""
    beside = x.size > 0
    result = 0.0
    for i in range(low, high):
        row = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            d = _dot(u, v, i, indices[p])
            row += _cell(kind, data[p], d, x[p] if beside else 0.0, eps)
        result += row
    return result


@numba.njit(void(int64, _index, _index, _cells, _matrix, _matrix, _cells, float64, int64, int64, _matrix), **_OPTIONS)
def right(kind, indptr, indices, data, u, v, x, eps, low, high, out):
    """The results times V, m x k."""
    beside = x.size > 0
    k = u.shape[1]
    for i in range(low, high):
        for c in range(k):
            out[i, c] = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            q = _cell(kind, data[p], _dot(u, v, i, j), x[p] if beside else 0.0, eps)
            if q != 0.0:
                for c in range(k):
                    out[i, c] += q * v[j, c]


@numba.njit(void(int64, _index, _index, _cells, _matrix, _matrix, _cells, float64, int64, int64, _matrix), **_OPTIONS)
def left(kind, indptr, indices, data, u, v, x, eps, low, high, out):
    """Adds the transposed results times U to `out`, n x k."""
    beside = x.size > 0
    k = u.shape[1]
    for i in range(low, high):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            q = _cell(kind, data[p], _dot(u, v, i, j), x[p] if beside else 0.0, eps)
            if q != 0.0:
                for c in range(k):
                    out[j, c] += q * u[i, c]


@numba.njit(void(_index, _index, _cells, _matrix, int64, int64, _matrix), **_OPTIONS)
def product(indptr, indices, data, b, low, high, out):
    """CSR times a dense matrix."""
    k = b.shape[1]
    for i in range(low, high):
        for c in range(k):
            out[i, c] = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            j, w = indices[p], data[p]
            for c in range(k):
                out[i, c] += w * b[j, c]


@numba.njit(void(_index, _index, _cells, _matrix, int64, int64, _matrix), **_OPTIONS)
def product_of_transpose(indptr, indices, data, b, low, high, out):
    """Adds the transpose of a CSR matrix times a dense one to `out`."""
    k = b.shape[1]
    for i in range(low, high):
        for p in range(indptr[i], indptr[i + 1]):
            j, w = indices[p], data[p]
            for c in range(k):
                out[j, c] += w * b[i, c]


NOTHING = np.empty(0)
