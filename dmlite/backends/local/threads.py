"""The threads of this process: one pool beside the thread that asks, and products that do not start their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import cache
from typing import Any, Final


def cores() -> int:
    """The cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def at_once(work: Callable[[], None], helpers: int) -> None:
    """Run `work` here and on as many threads; the first error is raised when all have ended, since they write into results."""
    later = [pool().submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        wait(later)
    for future in later:
        future.result()


@cache
def pool() -> ThreadPoolExecutor:
    """The threads beside the one that asks; a process that is forked off starts its own."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=pool.cache_clear)
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


ALONE: Final = _OneBlasThread()
