"""The matrix product of the BLAS that NumPy brings, which can also add to a matrix that is there: one pool of threads, equal results."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

_SYMBOLS: Final = ("scipy_cblas_dgemm64_", "cblas_dgemm64_")  # with sizes of 64 bits
_BY_ROW, _AS_IT_IS, _TURNED = 101, 111, 112
_Sizes = [ctypes.c_int64] * 3
_Matrix = [ctypes.c_void_p, ctypes.c_int64]


@cache
def dgemm() -> Any:
    """`cblas_dgemm` as a function of C; None where NumPy has no OpenBLAS of its own."""
    for path in sorted(Path(np.__file__).parents[1].glob("numpy.libs/*openblas*")):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        for symbol in _SYMBOLS:
            if hasattr(library, symbol):
                found = getattr(library, symbol)
                found.argtypes = [*[ctypes.c_int] * 3, *_Sizes, ctypes.c_double, *_Matrix, *_Matrix, ctypes.c_double, *_Matrix]
                found.restype = None
                return found
    return None


def add_product(out: np.ndarray, s: float, a: np.ndarray, b: np.ndarray) -> None:
    """out += s * (a @ b), in place, for a row-major m x n `out`, m x k and k x n factors that fit."""
    run = dgemm()
    if run is None or s == 0.0:  # of zero times a product BLAS makes zero, NaN or not
        out += s * (a @ b)
        return
    (a, a_turned, a_row), (b, b_turned, b_row) = _as_lines(a), _as_lines(b)
    (m, n), k = out.shape, a.shape[1]
    run(_BY_ROW, a_turned, b_turned, m, n, k, float(s), a.ctypes.data, a_row, b.ctypes.data, b_row, 1.0, out.ctypes.data, max(1, n))


def _as_lines(x: np.ndarray) -> tuple[np.ndarray, int, int]:
    """A matrix that lies row by row or column by column, which of the two, and the length of such a line."""
    if x.flags.c_contiguous:
        return x, _AS_IT_IS, max(1, x.shape[1])
    if x.flags.f_contiguous:
        return x, _TURNED, max(1, x.shape[0])
    return np.ascontiguousarray(x), _AS_IT_IS, max(1, x.shape[1])
