"""Loops over the stored cells of CSR matrices, for Numba: what NumPy can only do by gathering rows into blocks.

Importing this module compiles it, or loads it from the disk; `compiled` does so in the background. Every function works on
the rows from `low` to before `high` without the GIL, so that threads can share the rows. U is m x k, V n x k, both by rows.
d is the cell of U %*% t(V), w the stored cell, x the cell of a further operand and eps a number.

The stored cells of a row are taken in blocks: first their d, then the results, then what is done with those. Each of the three is a
plain loop that becomes vector instructions, and rows of V that the last one reads again are still in cache. Four cells at a time
share each load of a row of U or of the result, and hide the wait for four rows of V.
"""

from __future__ import annotations

import math

import numba
import numpy as np
from numba import float64, int64, uint32, void

from dmlite.backends.local.jit.lanes import plus_times, put, zeros

# Sums may be grouped in any way, but NaN and infinities are kept.
OPTIONS = {"cache": True, "nogil": True, "fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
INLINED = {**OPTIONS, "forceinline": True}
_ORDERED = {**INLINED, "fastmath": {"contract", "nsz"}}  # gathering cells into vectors takes longer than adding them one by one
_index, _cells, _matrix = uint32[::1], float64[::1], float64[:, ::1]
_BLOCK = 128  # cells of a row that are worked on together

PRODUCT, MUL, DIV, MINUS, MINUS_WEIGHTED, SQUARED, SQUARED_NZ, CROSS, LOG, SIGMOID, SIGMOID_MINUS = range(11)


# ---------------------------------------------------------------- a block of cells of one row
@numba.njit(void(_cells, _matrix, _index, int64, int64, _cells), **INLINED)
def _dots(row, v, indices, start, stop, out):
    """The products of a row of U with the rows of V at the cells from `start` to before `stop`."""
    k = v.shape[1]
    p = start
    while p + 4 <= stop:
        j0, j1, j2, j3 = indices[p], indices[p + 1], indices[p + 2], indices[p + 3]
        d0 = d1 = d2 = d3 = 0.0
        for c in range(k):
            a = row[c]
            d0 += a * v[j0, c]
            d1 += a * v[j1, c]
            d2 += a * v[j2, c]
            d3 += a * v[j3, c]
        q = p - start
        out[q], out[q + 1], out[q + 2], out[q + 3] = d0, d1, d2, d3
        p += 4
    while p < stop:
        j = indices[p]
        d = 0.0
        for c in range(k):
            d += row[c] * v[j, c]
        out[p - start] = d
        p += 1


@numba.njit(void(int64, _cells, _cells, float64, int64, int64, _cells), **INLINED)
def _results(kind, data, x, eps, start, stop, d):
    """The results at the cells from `start` to before `stop`, in place of their d."""
    w = data[start:stop]
    n = stop - start
    if kind == MUL:
        for q in range(n):
            d[q] = w[q] * d[q]
    elif kind == DIV:
        for q in range(n):
            d[q] = w[q] / (d[q] + eps)
    elif kind == MINUS:
        for q in range(n):
            d[q] = d[q] - w[q]
    elif kind == MINUS_WEIGHTED:
        for q in range(n):
            d[q] = w[q] * (d[q] - x[start + q])
    elif kind == SQUARED:
        for q in range(n):
            d[q] = w[q] * (x[start + q] - d[q]) * (x[start + q] - d[q])
    elif kind == SQUARED_NZ:
        for q in range(n):
            d[q] = (w[q] - d[q]) * (w[q] - d[q])
    elif kind == CROSS:
        for q in range(n):
            d[q] = w[q] * (w[q] - 2.0 * d[q])
    elif kind == LOG:
        for q in range(n):
            d[q] = w[q] * math.log(d[q] + eps)
    elif kind != PRODUCT:
        sign = 1.0 if kind == SIGMOID else -1.0
        for q in range(n):
            z = sign * d[q]
            e = math.exp(-abs(z))
            d[q] = w[q] * ((1.0 if z >= 0 else e) / (1.0 + e)) if z == z else w[q] * z


@numba.njit(void(_cells, _matrix, _index, int64, int64, _cells), **INLINED)
def _gather(q, v, indices, start, stop, out):
    """Adds the rows of V at the cells from `start` to before `stop`, each times its number of `q`, to `out`; zeros meet no NaN."""
    k = v.shape[1]
    p = 0
    while p < stop - start:
        at = start + p
        if p + 4 <= stop - start and q[p] != 0.0 and q[p + 1] != 0.0 and q[p + 2] != 0.0 and q[p + 3] != 0.0:
            j0, j1, j2, j3 = indices[at], indices[at + 1], indices[at + 2], indices[at + 3]
            q0, q1, q2, q3 = q[p], q[p + 1], q[p + 2], q[p + 3]
            for c in range(k):
                out[c] += q0 * v[j0, c] + q1 * v[j1, c] + q2 * v[j2, c] + q3 * v[j3, c]
            p += 4
        else:
            if q[p] != 0.0:
                j = indices[at]
                for c in range(k):
                    out[c] += q[p] * v[j, c]
            p += 1


@numba.njit(void(_cells, _cells, _index, int64, int64, _matrix), **INLINED)
def _scatter(q, row, indices, start, stop, out):
    """Adds `row`, times each number of `q`, to the row of `out` at its cell; zeros meet no NaN."""
    k = row.size
    for p in range(start, stop):
        a = q[p - start]
        if a != 0.0:
            j = indices[p]
            for c in range(k):
                out[j, c] += a * row[c]


# ---------------------------------------------------------------- the weighted family
@numba.njit(void(int64, _index, _index, _cells, _matrix, _matrix, _cells, float64, int64, int64, _cells), **OPTIONS)
def cells(kind, indptr, indices, data, u, v, x, eps, low, high, out):
    """The results at the stored cells."""
    for i in range(low, high):
        start, stop = int64(indptr[i]), int64(indptr[i + 1])
        _dots(u[i], v, indices, start, stop, out[start:stop])
        _results(kind, data, x, eps, start, stop, out[start:stop])


@numba.njit(float64(int64, _index, _index, _cells, _matrix, _matrix, _cells, float64, int64, int64), **OPTIONS)
def total(kind, indptr, indices, data, u, v, x, eps, low, high):
    """The sum of the results; one block at a time, so that rounding does not grow with the number of cells alone."""
    block = np.empty(_BLOCK)
    result = 0.0
    for i in range(low, high):
        end = int64(indptr[i + 1])
        for start in range(int64(indptr[i]), end, _BLOCK):
            stop = min(start + _BLOCK, end)
            _dots(u[i], v, indices, start, stop, block)
            _results(kind, data, x, eps, start, stop, block)
            part = 0.0
            for q in range(stop - start):
                part += block[q]
            result += part
    return result


@numba.njit(void(int64, _index, _index, _cells, _matrix, _matrix, _cells, float64, int64, int64, _matrix), **OPTIONS)
def right(kind, indptr, indices, data, u, v, x, eps, low, high, out):
    """The results times V, m x k."""
    block, row = np.empty(_BLOCK), np.empty(u.shape[1])
    for i in range(low, high):
        row[:] = 0.0
        end = int64(indptr[i + 1])
        for start in range(int64(indptr[i]), end, _BLOCK):
            stop = min(start + _BLOCK, end)
            _dots(u[i], v, indices, start, stop, block)
            _results(kind, data, x, eps, start, stop, block)
            _gather(block, v, indices, start, stop, row)
        out[i] = row


@numba.njit(void(int64, _index, _index, _cells, _matrix, _matrix, _cells, float64, int64, int64, _matrix), **OPTIONS)
def left(kind, indptr, indices, data, u, v, x, eps, low, high, out):
    """Adds the transposed results times U to `out`, n x k."""
    block = np.empty(_BLOCK)
    for i in range(low, high):
        end = int64(indptr[i + 1])
        for start in range(int64(indptr[i]), end, _BLOCK):
            stop = min(start + _BLOCK, end)
            _dots(u[i], v, indices, start, stop, block)
            _results(kind, data, x, eps, start, stop, block)
            _scatter(block, u[i], indices, start, stop, out)


# ---------------------------------------------------------------- products with a dense matrix
@numba.njit(float64(_cells, _matrix, _index, int64, int64), **_ORDERED)
def _dot(data, b, indices, start, stop):
    """The product of a stored row with a column."""
    result = 0.0
    for p in range(start, stop):
        result += data[p] * b[indices[p], 0]
    return result


@numba.njit(void(_index, _index, _cells, _matrix, int64, int64, _matrix), **OPTIONS)
def product(indptr, indices, data, b, low, high, out):
    """CSR times a dense matrix."""
    if b.shape[1] == 1:
        for i in range(low, high):
            out[i, 0] = _dot(data, b, indices, indptr[i], indptr[i + 1])
        return
    row = np.empty(b.shape[1])
    for i in range(low, high):
        start, stop = int64(indptr[i]), int64(indptr[i + 1])
        row[:] = 0.0
        _gather(data[start:stop], b, indices, start, stop, row)
        out[i] = row


def _strip(width):
    """Sums of so many columns of rows of B, which stay in registers until the row of the result is done."""

    @numba.njit(void(_cells, _index, int64, int64, _matrix, int64, _cells), **INLINED)
    def strip(data, indices, start, stop, b, c, out):
        total = zeros(width)
        for p in range(start, stop):
            if data[p] != 0.0:  # zeros meet no NaN
                total = plus_times(total, data[p], b[indices[p]], c)
        put(total, out, c)

    return strip


LANES = (4, 8, 16)  # of a strip; `thin` takes rows of B that are filled up to the sum of some sixteens and one of these
_strip4, _strip8, _strip16 = map(_strip, LANES)


@numba.njit(void(_index, _index, _cells, _matrix, int64, int64, _matrix), **OPTIONS)
def thin(indptr, indices, data, b, low, high, out):
    """CSR times a dense matrix of few columns, of which `out` takes the first."""
    k, width = out.shape[1], b.shape[1]
    beside = np.empty(width)
    for i in range(low, high):
        start, stop = int64(indptr[i]), int64(indptr[i + 1])
        row = out[i] if k == width else beside
        c = 0
        while c + 16 <= width:
            _strip16(data, indices, start, stop, b, c, row)
            c += 16
        if c + 8 <= width:
            _strip8(data, indices, start, stop, b, c, row)
        elif c < width:
            _strip4(data, indices, start, stop, b, c, row)
        if k != width:
            for c in range(k):
                out[i, c] = row[c]


@numba.njit(void(_index, _index, _cells, _matrix, int64, int64, _matrix), **OPTIONS)
def product_of_transpose(indptr, indices, data, b, low, high, out):
    """Adds the transpose of a CSR matrix times a dense one to `out`."""
    for i in range(low, high):
        start, stop = int64(indptr[i]), int64(indptr[i + 1])
        if b.shape[1] == 1:
            for p in range(start, stop):
                out[indices[p], 0] += data[p] * b[i, 0]
        else:
            _scatter(data[start:stop], b[i], indices, start, stop, out)


NOTHING, TIMES, LESS = range(3)  # how the two products of a chain are combined with what stands beside them


@numba.njit(void(_index, _index, _cells, _matrix, int64, _matrix, int64, int64, _matrix), **OPTIONS)
def chain(indptr, indices, data, v, combine, beside, low, high, out):
    """Adds t(X) %*% (X %*% V, combined with `beside`, of one column or as many as V) to `out`, each row of X read once."""
    k = v.shape[1]
    row = np.empty(k)
    for i in range(low, high):
        start, stop = int64(indptr[i]), int64(indptr[i + 1])
        if k == 1:
            row[0] = _dot(data, v, indices, start, stop)
        else:
            row[:] = 0.0
            _gather(data[start:stop], v, indices, start, stop, row)
        for c in range(k):
            if combine != NOTHING:
                y = beside[i, c if beside.shape[1] > 1 else 0]
                row[c] = row[c] * y if combine == TIMES else row[c] - y
        if k == 1:
            for p in range(start, stop):
                out[indices[p], 0] += data[p] * row[0]
        else:
            _scatter(data[start:stop], row, indices, start, stop, out)


# ---------------------------------------------------------------- products of two CSR matrices
@numba.njit(void(_index, _index, _index, _index, int64, int64, int64, _index), **OPTIONS)
def count(indptr, indices, other_indptr, other_indices, cols, low, high, out):
    """How many cells each row of a product of `cols` columns will store."""
    last = np.full(cols, -1, np.int64)
    for i in range(low, high):
        found = 0
        for p in range(int64(indptr[i]), int64(indptr[i + 1])):
            j = indices[p]
            for q in range(int64(other_indptr[j]), int64(other_indptr[j + 1])):
                c = other_indices[q]
                if last[c] != i:
                    last[c] = i
                    found += 1
        out[i] = found


@numba.njit(void(_index, _index, _cells, _index, _index, _cells, int64, int64, int64, _index, _index, _cells), **OPTIONS)
def fill(indptr, indices, data, other_indptr, other_indices, other_data, cols, low, high, out_indptr, out_indices, out_data):
    """The rows of a product whose rows are counted, in the order of their columns."""
    sums = np.zeros(cols)
    last = np.full(cols, -1, np.int64)
    for i in range(low, high):
        start, stop = int64(out_indptr[i]), int64(out_indptr[i + 1])
        at = start
        for p in range(int64(indptr[i]), int64(indptr[i + 1])):
            j, w = indices[p], data[p]
            for q in range(int64(other_indptr[j]), int64(other_indptr[j + 1])):
                c = other_indices[q]
                if last[c] != i:
                    last[c] = i
                    out_indices[at] = c
                    at += 1
                sums[c] += w * other_data[q]
        if (stop - start) * 32 > cols:
            at = start
            for c in range(cols):
                if last[c] == i:
                    out_indices[at] = c
                    at += 1
        else:
            out_indices[start:stop].sort()
        for p in range(start, stop):
            c = out_indices[p]
            out_data[p] = sums[c]
            sums[c] = 0.0


@numba.njit(void(_index, _index, _cells, _index, _index, _cells, int64, int64, _matrix), **OPTIONS)
def product_of_sparse(indptr, indices, data, other_indptr, other_indices, other_data, low, high, out):
    """Adds CSR times CSR to `out`."""
    for i in range(low, high):
        row = out[i]
        for p in range(int64(indptr[i]), int64(indptr[i + 1])):
            j, w = indices[p], data[p]
            for q in range(int64(other_indptr[j]), int64(other_indptr[j + 1])):
                row[other_indices[q]] += w * other_data[q]


@numba.njit(void(_index, _index, _cells, _index, _index, _cells, int64, int64, _matrix), **OPTIONS)
def transpose_times_sparse(indptr, indices, data, other_indptr, other_indices, other_data, low, high, out):
    """Adds the transpose of a CSR matrix times another to `out`, each row of both read once."""
    for i in range(low, high):
        start, stop = int64(other_indptr[i]), int64(other_indptr[i + 1])
        for p in range(int64(indptr[i]), int64(indptr[i + 1])):
            row, w = out[indices[p]], data[p]
            for q in range(start, stop):
                row[other_indices[q]] += w * other_data[q]


@numba.njit(void(_index, _index, _cells, int64, int64, _matrix), **OPTIONS)
def gram(indptr, indices, data, low, high, out):
    """Adds the upper triangle of t(X) %*% X to `out`."""
    for i in range(low, high):
        stop = int64(indptr[i + 1])
        for p in range(int64(indptr[i]), stop):
            row, w = out[indices[p]], data[p]
            for q in range(p, stop):
                row[indices[q]] += w * data[q]
