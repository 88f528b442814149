"""Products of dense matrices with many more rows than columns, which BLAS shares out badly among its threads.

Ranges of rows, as many on every machine so that sums are the same, go to threads that each ask BLAS for a product of one thread; or to
compiled loops where the other factor has few columns, since BLAS first copies its operands into an order of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from dmlite.backends.local import compiled
from dmlite.backends.local.threads import BLAS, in_ranges

LARGE: Final = 1 << 21  # multiplications from which on a product is looked at
_RANGES: Final = 16
_TALL: Final = 64  # times as many rows as columns
_THIN: Final = 8  # columns up to which loops are faster than BLAS
_THIN_CHAIN: Final = 2  # the same for chains, where BLAS finds its operands in cache
_LONG: Final = 32  # and cells of a row from which on
_PLAIN: Final = 8  # BLAS does its multiplications in so much less time than those that `compiled` counts
_BLOCK_BYTES: Final = 1 << 19  # rows that a chain reads twice, the second time from the cache


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray | None:
    """`A %*% B`, n x k times k x m, into `out` where there is one; None where BLAS does it as well."""
    (n, k), m = a.shape, b.shape[1]
    if not BLAS.shared:
        if n >= _TALL * max(k, m):
            return _of_rows(a, b, out)
        if k >= _TALL * max(n, m):
            found = _of_columns(a.T, b)
            if out is None:
                return found
            out[:] = found
            return out
    return None


def _of_rows(x: np.ndarray, v: np.ndarray, out: np.ndarray | None) -> np.ndarray | None:
    """X %*% V, X with many rows."""
    if not x.flags.c_contiguous:
        return None
    loops = _loops(x, v.shape[1], _THIN) if out is None or out.flags.c_contiguous else None
    if (loops is None and v.shape[1] == 1) or (out is not None and (np.may_share_memory(out, x) or np.may_share_memory(out, v))):
        return None
    out = np.empty((x.shape[0], v.shape[1])) if out is None else out
    if loops is not None:
        vt = np.ascontiguousarray(v.T)
        in_ranges(_bounds(x), lambda low, high: loops.thin(x, vt, low, high, out))
    else:
        with BLAS.alone():
            in_ranges(_bounds(x), lambda low, high: np.matmul(x[low:high], v, out=out[low:high]))
    return out


def _of_columns(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """t(X) %*% Y, both with many rows."""
    if x.flags.c_contiguous and (loops := _loops(x, y.shape[1], _THIN)):
        y = np.ascontiguousarray(y)
        return _summed(x, (y.shape[1], x.shape[1]), lambda low, high, out: loops.thin_of_transpose(x, y, low, high, out)).T
    with BLAS.alone():
        return compiled.added(in_ranges(_bounds(x), lambda low, high: x[low:high].T @ y[low:high]))


def chain(x: np.ndarray, v: np.ndarray, combine: str, beside: np.ndarray | None) -> np.ndarray | None:
    """t(X) %*% (X %*% V, combined with `beside`), each row of X read once from memory; None where two products are better."""
    if x.size * v.shape[1] < LARGE // 4 or x.shape[1] > _BLOCK_BYTES // 8 or not x.flags.c_contiguous or BLAS.shared:
        return None
    if loops := _loops(x, v.shape[1], _THIN_CHAIN, 2):
        kind, vt = getattr(loops, combine), np.ascontiguousarray(v.T)
        y = np.empty((0, 1)) if beside is None else np.ascontiguousarray(beside)
        return _summed(x, vt.shape, lambda low, high, out: loops.thin_chain(x, vt, kind, y, low, high, out)).T
    step = max(1, _BLOCK_BYTES // (8 * x.shape[1]))

    def part(low: int, high: int, out: np.ndarray) -> None:
        for start in range(low, high, step):
            rows = slice(start, min(start + step, high))
            out += x[rows].T @ combined(x[rows] @ v, combine, None if beside is None else beside[rows])

    with BLAS.alone():
        return _summed(x, v.shape, part)


def combined(q: np.ndarray, combine: str, beside: np.ndarray | None) -> np.ndarray:
    """What stands between the two products of a chain, in place of `q`."""
    return q if beside is None else (np.multiply if combine == "TIMES" else np.subtract)(q, beside, out=q)


def _loops(x: np.ndarray, columns: int, limit: int, products: int = 1) -> Any:
    """Compiled loops for products of X with so many columns, where they are ready and faster, which they are up to a limit of columns."""
    if columns > limit or x.shape[1] < _LONG:
        return None
    return compiled.ready(x.size * columns * products // _PLAIN)


def _bounds(x: np.ndarray) -> list[int]:
    return [x.shape[0] * part // _RANGES for part in range(_RANGES + 1)]


def _summed(x: np.ndarray, shape: tuple[int, ...], run: Callable[[int, int, np.ndarray], None]) -> np.ndarray:
    """The sum of what `run(low, high, out)` adds to arrays of zeros."""

    def part(low: int, high: int) -> np.ndarray:
        out = np.zeros(shape)
        run(low, high, out)
        return out

    return compiled.added(in_ranges(_bounds(x), part))
