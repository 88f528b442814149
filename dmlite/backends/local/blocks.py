"""Running a function over large dense matrices block of rows by block of rows, on all cores."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import reduce
from time import perf_counter
from typing import Any, Final

import numpy as np

from dmlite.backends.local.jit.kernel import Kernel, Totals
from dmlite.backends.local.threads import BLAS, at_once, cores
from dmlite.memory import reserve

_BLOCK: Final = 1 << 16  # cells of all values in a block, which stay in the cache of a core
_THREADED: Final = 1 << 20  # cells of all values from which on further threads pay
_RANGES: Final = 32  # of rows, which threads take one after another; as many on every machine, so that sums are the same


def _keep_freed_memory() -> None:
    """Let the allocator of glibc keep the memory of blocks, which it would give back and fetch again, page by page, all the time."""
    with suppress(OSError, AttributeError, TypeError):  # another library of C
        adjust = ctypes.CDLL(None).mallopt
        adjust(-3, 4 << 20)  # M_MMAP_THRESHOLD: bytes from which on memory comes from the system
        adjust(-1, 64 << 20)  # M_TRIM_THRESHOLD: free bytes from which on memory goes back


_keep_freed_memory()


def unfilled(rows: int, cols: int) -> np.ndarray:
    """An array whose cells will all be written. Raises DMLRuntimeError when it cannot fit into memory."""
    reserve(rows, cols, "the result")
    return np.empty((rows, cols))


def by_rows(run: Callable[..., Totals] | Kernel, rows: int, cells: int, joins: Sequence[Callable[..., Any]], *operands: Any) -> Totals:
    """`run(i, j, *operands)` for blocks of rows i to j; what it returns is put together by `joins`, in the order of the rows.

    cells: of all values, in one row.
    """
    if not isinstance(run, Kernel):
        return _in_blocks(run, rows, cells, joins, operands)
    start = perf_counter()
    loop = run.bound(operands)
    if loop is None:
        totals = _in_blocks(run.plain, rows, cells, joins, operands)
    else:
        totals = _joined(joins, _in_ranges(loop, rows, cells, 1))
    run.took(perf_counter() - start, rows, compiled=loop is not None)
    return totals


def _in_blocks(run: Callable[..., Totals], rows: int, cells: int, joins: Sequence[Callable[..., Any]], operands: Sequence[Any]) -> Totals:
    step = max(1, _BLOCK // cells)

    def work(low: int, high: int) -> Totals:
        with np.errstate(all="ignore"):
            return _joined(joins, [run(i, min(i + step, high), *operands) for i in range(low, high, step)])

    return _joined(joins, _in_ranges(work, rows, cells, step))


def _in_ranges(work: Callable[[int, int], Totals], rows: int, cells: int, step: int) -> list[Totals]:
    """`work(low, high)` for ranges of rows, whole multiples of `step`, shared by threads; results in their order."""
    share = -(-rows // (step * _RANGES)) * step
    bounds = [(low, min(rows, low + share)) for low in range(0, rows, share)]
    parts: list[Totals] = [()] * len(bounds)
    places = iter(range(len(bounds)))

    def take() -> None:
        for place in places:
            parts[place] = work(*bounds[place])

    if rows * cells < _THREADED:
        take()
    else:
        with BLAS.alone():
            at_once(take, min(cores(), len(bounds)) - 1)
    return parts


def _joined(joins: Sequence[Callable[..., Any]], parts: Sequence[Totals]) -> Totals:
    """Results of blocks as results of all of them; those of `run` are numbers or small matrices."""
    found = (reduce(join, column) for join, column in zip(joins, zip(*parts, strict=True), strict=True))
    return tuple(float(x) if isinstance(x, np.generic) else x for x in found)
