"""Running a function over large dense matrices block of rows by block of rows, on all cores."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, nullcontext
from functools import cache, reduce
from typing import Any, Final, TypeAlias

import numpy as np

from dmlite.memory import reserve

Totals: TypeAlias = tuple[Any, ...]

_BLOCK: Final = 1 << 17  # cells of all values in a block, which stay in the cache of a core
_THREADED: Final = 1 << 20  # cells of all values from which on further threads pay
_RANGES: Final = 32  # of rows, which threads take one after another; as many on every machine, so that sums are the same


def unfilled(rows: int, cols: int) -> np.ndarray:
    """An array whose cells will all be written. Raises DMLRuntimeError when it cannot fit into memory."""
    reserve(rows, cols, "the result")
    return np.empty((rows, cols))


def by_rows(
    run: Callable[..., Totals], rows: int, cells: int, products: bool, joins: Sequence[Callable[..., Any]], *operands: Any
) -> Totals:
    """`run(i, j, *operands)` for blocks of rows i to j; what it returns is put together by `joins`, in the order of the rows.

    cells: of all values, in one row; products: whether `run` multiplies matrices.
    """
    step = max(1, _BLOCK // cells)
    share = -(-rows // (step * _RANGES)) * step
    bounds = [(low, min(rows, low + share)) for low in range(0, rows, share)]
    parts: list[Totals] = [()] * len(bounds)
    places = iter(range(len(bounds)))

    def work() -> None:
        with np.errstate(all="ignore"):
            for place in places:
                parts[place] = _range(run, *bounds[place], step, joins, operands)

    helpers = min(cores(), len(bounds)) - 1 if rows * cells >= _THREADED else 0
    with _ALONE if products and helpers else nullcontext():
        _at_once(work, helpers)
    return _joined(joins, parts)


def _range(
    run: Callable[..., Totals], low: int, high: int, step: int, joins: Sequence[Callable[..., Any]], operands: Sequence[Any]
) -> Totals:
    return _joined(joins, [run(start, min(start + step, high), *operands) for start in range(low, high, step)])


def _joined(joins: Sequence[Callable[..., Any]], parts: Sequence[Totals]) -> Totals:
    """Results of blocks as results of all of them; those of `run` are numbers or small matrices."""
    found = (reduce(join, column) for join, column in zip(joins, zip(*parts, strict=True), strict=True))
    return tuple(float(x) if isinstance(x, np.generic) else x for x in found)


# ---------------------------------------------------------------- threads
def cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _at_once(work: Callable[[], None], helpers: int) -> None:
    """Run `work` here and on as many threads; the first error is raised when all have ended, since they write into results."""
    later = [_pool().submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        wait(later)
    for future in later:
        future.result()


@cache
def _pool() -> ThreadPoolExecutor:
    """The threads beside the one that asks; a process that is forked off starts its own."""
    os.register_at_fork(after_in_child=_pool.cache_clear)
    return ThreadPoolExecutor(max(1, cores() - 1), "dmlite")


class _OneBlasThread:
    """While anybody is inside, a product runs on the thread that asks for it: two pools of threads would fight for the cores."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._limit.enter_context(_blas().limit(limits=1, user_api="blas"))

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limit.close()


@cache
def _blas() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


_ALONE: Final = _OneBlasThread()
