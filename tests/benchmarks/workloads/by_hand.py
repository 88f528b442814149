"""The limit: the same work written by hand in Numba for two or more cores, as well as we can."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange, types
from numba.extending import intrinsic

# Sums may be regrouped, which vectors need; NaN and infinities stay what they are.
FAST = {"reassoc", "contract", "nsz"}


@intrinsic
def _float_of_bits(_: Any, bits: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return types.float64(types.int64), code


@njit(inline="always")
def exp(x: float) -> float:
    """A Taylor polynomial on half a power of two and the exponent by its bits, which compilers make vectors of; clamps to finite values."""
    y = min(max(x, -708.0), 709.0)
    n = np.floor(y * 1.4426950408889634 + 0.5)
    r = y - n * 6.93147180369123816490e-01 - n * 1.90821492927058770002e-10
    p = 1 / 6227020800.0
    p = p * r + 1 / 479001600.0
    p = p * r + 1 / 39916800.0
    p = p * r + 1 / 3628800.0
    p = p * r + 1 / 362880.0
    p = p * r + 1 / 40320.0
    p = p * r + 1 / 5040.0
    p = p * r + 1 / 720.0
    p = p * r + 1 / 120.0
    p = p * r + 1 / 24.0
    p = p * r + 1 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return p * _float_of_bits((np.int64(n) + 1023) << 52)


@njit(parallel=True, fastmath=FAST)
def chains(X: np.ndarray, Y: np.ndarray, w: np.ndarray, s: float, A: np.ndarray) -> float:
    """Both chains in one pass: A is filled, the sum of the second comes back."""
    parts = np.empty(X.shape[0])
    for i in prange(X.shape[0]):
        total = 0.0
        weight = w[i, 0]
        for j in range(X.shape[1]):
            x, y = X[i, j], Y[i, j]
            A[i, j] = (x * y + x * s - y) / (1 + abs(x))
            total += exp(-x * s) * weight + abs(y - s)
        parts[i] = total
    return parts.sum()


@njit(parallel=True, fastmath=FAST)
def gram_vector(X: np.ndarray, p: np.ndarray, parts: int) -> np.ndarray:
    """t(X) %*% (X %*% p) in one pass over X, eight rows at a time."""
    n, m = X.shape
    sums = np.zeros((parts, m))
    for part in prange(parts):
        out = np.zeros(m)
        inner = np.empty(8)
        for top in range(n * part // parts, n * (part + 1) // parts, 8):
            count = min(8, n * (part + 1) // parts - top)
            for k in range(count):
                dot = 0.0
                for j in range(m):
                    dot += X[top + k, j] * p[j]
                inner[k] = dot
            for k in range(count):
                for j in range(m):
                    out[j] += inner[k] * X[top + k, j]
        sums[part] = out
    return sums.sum(0)


@njit(parallel=True, fastmath=FAST)
def weighted_right(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, U: np.ndarray, V: np.ndarray) -> np.ndarray:
    """(W / (U %*% t(V))) %*% V for W in CSR; with W transposed and U and V changed over, the product from the left."""
    out = np.empty_like(U)
    rank = U.shape[1]
    for i in prange(U.shape[0]):
        u = U[i]
        row = np.zeros(rank)
        for k in range(indptr[i], indptr[i + 1]):
            v = V[indices[k]]
            dot = 0.0
            for r in range(rank):
                dot += u[r] * v[r]
            q = data[k] / dot
            for r in range(rank):
                row[r] += q * v[r]
        out[i] = row
    return out


@njit(parallel=True, fastmath=FAST)
def known_part(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, U: np.ndarray, V: np.ndarray) -> float:
    """sum(W^2 - 2 W * (U %*% t(V))) for W in CSR; with the sum of squares of the product it makes the squared loss."""
    parts = np.empty(U.shape[0])
    rank = U.shape[1]
    for i in prange(U.shape[0]):
        u = U[i]
        total = 0.0
        for k in range(indptr[i], indptr[i + 1]):
            v = V[indices[k]]
            dot = 0.0
            for r in range(rank):
                dot += u[r] * v[r]
            total += data[k] * (data[k] - 2 * dot)
        parts[i] = total
    return parts.sum()
