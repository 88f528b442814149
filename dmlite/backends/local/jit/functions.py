"""The functions that generated loops may call, for Numba; only the process that compiles imports this module.

Loops over them become vector instructions: no branches, no calls, no tables. exp, log and tanh are right to about one unit
in the last place; everything keeps NaN, infinities and signed zeros as IEEE 754 has them.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import float64, int32, int64, njit, types
from numba.extending import intrinsic

from dmlite.backends.local.jit.lanes import dot, get, plus_times, put, zeros  # noqa: F401 (loops call them)

# Without the freedom to regroup, which would undo the rounding that exp and log are built on.
_exactly = njit(forceinline=True, error_model="numpy")
_closely = njit(forceinline=True, error_model="numpy", fastmath={"contract"})  # products are added in one instruction, rounded once

_ROUNDER = 6755399441055744.0  # 1.5 * 2^52: adding it leaves the nearest whole number in the low bits
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10


@intrinsic
def _bits(_typing, x):
    """The 64 bits of a double as an integer."""
    return int64(float64), lambda _context, builder, _signature, args: builder.bitcast(args[0], ir.IntType(64))


@intrinsic
def _double(_typing, x):
    """The double that has these 64 bits."""
    return float64(int64), lambda _context, builder, _signature, args: builder.bitcast(args[0], ir.DoubleType())


# ---------------------------------------------------------------- sums
@njit(forceinline=True, fastmath={"reassoc", "nsz"})
def plus(total, x):
    """A sum whose terms may be grouped in any way; nothing else may be regrouped."""
    return total + x


@njit(forceinline=True, fastmath={"reassoc", "nsz", "contract"})
def plus_product(total, x, y):
    """total + x * y in one instruction."""
    return total + x * y


@_exactly
def least(a, b):
    """The smaller of two; NaN wins."""
    return a if (a < b) | (a != a) else b


@_exactly
def most(a, b):
    """The larger of two; NaN wins."""
    return a if (a > b) | (a != a) else b


@_exactly
def reaches_least(x, best):
    """1 where x is a number that is not above the best so far; NaN is above everything."""
    return 1.0 if (x == x) & (not (x > best)) else 0.0


@_exactly
def reaches_most(x, best):
    """1 where x is a number that is not below the best so far; NaN is below everything."""
    return 1.0 if (x == x) & (not (x < best)) else 0.0


# ---------------------------------------------------------------- cells
@_exactly
def truth(condition):
    return 1.0 if condition else 0.0


@_exactly
def choose(condition, a, b):
    return a if condition != 0.0 else b


@_exactly
def sign(x):
    return (1.0 if x > 0.0 else -1.0 if x < 0.0 else 0.0) if x == x else x


@_exactly
def round_half_up(x):
    below = np.floor(x)
    return below + truth(x - below >= 0.5)


@_closely
def exp(x):
    """2^k * e^r with |r| <= ln(2) / 2 and a Taylor polynomial; 2^k in two factors, so that subnormal results are right."""
    y = min(max(x, -746.0), 710.0)
    shifted = y * 1.4426950408889634 + _ROUNDER
    k = shifted - _ROUNDER
    r = y - k * _LN2_HIGH
    r = r - k * _LN2_LOW
    p = 1.6059043836821613e-10
    p = p * r + 2.08767569878681e-09
    p = p * r + 2.505210838544172e-08
    p = p * r + 2.755731922398589e-07
    p = p * r + 2.7557319223985893e-06
    p = p * r + 2.48015873015873e-05
    p = p * r + 1.984126984126984e-04
    p = p * r + 1.388888888888889e-03
    p = p * r + 8.333333333333333e-03
    p = p * r + 4.1666666666666664e-02
    p = p * r + 1.6666666666666666e-01
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    whole = _bits(shifted) - 4843621399236968448  # the bits of _ROUNDER
    half = whole >> 1
    p = p * _double((half + 1023) << 52) * _double((whole - half + 1023) << 52)
    return p if x == x else x


@_closely
def log(x):
    """k * ln(2) + log(m) with m between sqrt(1/2) and sqrt(2), as in FreeBSD's e_log.c (Sun Microsystems, 1993)."""
    tiny = x < 2.2250738585072014e-308
    bits = _bits(x * 18014398509481984.0 if tiny else x) - 4604544271217802240  # of about sqrt(1/2)
    exponent = bits >> 52
    m = _double(bits - (exponent << 52) + 4604544271217802240)
    k = _double(exponent + 4843621399236968448) - _ROUNDER - (54.0 if tiny else 0.0)
    f = m - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    odd = z * (6.666666666666735130e-01 + w * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)))
    half_square = 0.5 * f * f
    y = k * _LN2_HIGH - ((half_square - (s * (half_square + odd + even) + k * _LN2_LOW)) - f)
    y = y if x > 0.0 else np.nan
    y = -np.inf if x == 0.0 else y
    return x if (x == np.inf) | (x != x) else y


@_exactly
def log1p(x):
    """log(1 + x) for x from 0 to 1."""
    u = 1.0 + x
    return log(u) + (x - (u - 1.0)) / u


@_closely
def tanh(x):
    """A rational function below 0.625 (Cephes, Moshier 1989), and by exp above."""
    a = abs(x)
    z = x * x
    p = (-9.64399179425052238628e-1 * z - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    small = x + x * z * p / q
    large = 1.0 - 2.0 / (exp(2.0 * a) + 1.0)
    large = -large if x < 0.0 else large
    y = small if a < 0.625 else large
    return y if x == x else x


@_exactly
def sigmoid(x):
    return 1.0 / (1.0 + exp(-x))


@_exactly
def softplus(x):
    return most(x, 0.0) + log1p(exp(-abs(x)))


array = types.CPointer(float64)


# ---------------------------------------------------------------- loops of small operators
@_exactly
def power(x, y):
    return x**y


@_exactly
def truncated(x):
    return np.trunc(x)


@_exactly
def remainder(x, y):
    """x - (x %/% y) * y, with the sign of x."""
    return x - np.trunc(x / y) * y


@_exactly
def whole_intdiv(x, y):
    """Rounded towards zero; y is not zero."""
    q = x // y
    return q + 1 if (q < 0) & (q * y != x) else q


@_exactly
def whole_mod(x, y):
    return x - whole_intdiv(x, y) * y


@njit
def failed(n, check, rl, ru, cl, cu):
    """Note which check failed, and the bounds that are given."""
    n[1] = check
    n[2], n[3], n[4], n[5] = rl, ru, cl, cu


@njit
def fill(x, start, row, rows, cols, value):
    for r in range(rows):
        for c in range(cols):
            x[start + r * row + c] = value


@njit
def copy(x, start, y, from_, cells):
    for q in range(cells):
        x[start + q] = y[from_ + q]


@njit
def copy_part(x, start, row, col, y, from_, y_row, y_col, rows, cols):
    for r in range(rows):
        for c in range(cols):
            x[start + r * row + c * col] = y[from_ + r * y_row + c * y_col]


@njit
def small_product(z, start, row, a, a_start, a_row, a_col, b, b_start, b_row, b_col, m, n, k):
    """z = a %*% b of m x k and k x n cells, row by row of b."""
    for i in range(m):
        for j in range(n):
            z[start + i * row + j] = 0.0
        for p in range(k):
            x = a[a_start + i * a_row + p * a_col]
            for j in range(n):
                z[start + i * row + j] += x * b[b_start + p * b_row + j * b_col]


@intrinsic
def _after(_typing, p, i):
    """The address of the i-th double behind p."""
    return p(p, int64), lambda _context, builder, _signature, args: builder.gep(args[0], [args[1]])


_gemm = types.ExternalFunction(
    "dmlite_gemm",
    types.void(*[int32] * 3, *[int64] * 3, float64, array, int64, array, int64, float64, array, int64),
)


@njit
def product(z, start, row, a, a_start, a_row, a_turned, b, b_start, b_row, b_turned, m, n, k):
    """z = a %*% b by BLAS; what is turned lies column by column."""
    left, right = _after(a, a_start), _after(b, b_start)
    _gemm(int32(101), int32(111 + a_turned), int32(111 + b_turned), m, n, k, 1.0, left, a_row, right, b_row, 0.0, _after(z, start), row)
