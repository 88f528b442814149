"""The threads of this process: one pool beside the thread that asks, and products that do not start their own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor


_here = threading.local()


@contextmanager
def one() -> Iterator[None]:
    """Inside, this thread asks no others for help: who runs many of it beside each other has shared out the cores."""
    before, _here.alone = getattr(_here, "alone", False), True
    try:
        yield
    finally:
        _here.alone = before


def cores() -> int:
    """The cores this thread may use."""
    if getattr(_here, "alone", False):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def at_once(work: Callable[[], None], helpers: int) -> None:
    """Run `work`, which takes what is left to do until nothing is, here and on as many threads.

    The first error is raised when all have ended, since they write into results. Threads that have not begun when everything is done
    are not waited for: they may be waiting themselves, for the one that asks.
    """
    if not helpers:
        return work()
    from concurrent.futures import wait

    later = [pool().submit(work) for _ in range(helpers)]
    try:
        work()
    finally:
        begun = [future for future in later if not future.cancel()]
        wait(begun)
    for future in begun:
        future.result()


def in_ranges(bounds: Sequence[int], run: Callable[[int, int], Any]) -> list[Any]:
    """`run(low, high)` for neighbouring bounds, which threads take one after another; what it returned, in their order."""
    results: list[Any] = [None] * (len(bounds) - 1)
    places = iter(range(len(results)))

    def share() -> None:
        for place in places:
            results[place] = run(bounds[place], bounds[place + 1])

    at_once(share, min(cores(), len(results)) - 1)
    return results


@cache
def pool() -> ThreadPoolExecutor:
    """The threads beside the one that asks; a process that is forked off starts its own."""
    from concurrent.futures import ThreadPoolExecutor

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=pool.cache_clear)
    return ThreadPoolExecutor(max(1, cores() - 1), "dmlite")


class _Blas:
    """How many threads a product may start. Two pools would fight for the cores, and small products wait longer for a second thread
    than they take, so inside of a run it is one, but for products that say that they are large."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alone = self._large = self._calm = 0  # how many are inside
        self._before: list[tuple[Any, int]] = []  # libraries, and the threads they had

    @property
    def shared(self) -> bool:
        """Whether products, or at least their neighbours, are shared out among threads already."""
        return self._alone > 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A product runs on the thread that asks for it, whatever its size."""
        with self._inside("_alone"):
            yield

    @contextmanager
    def large(self) -> Iterator[None]:
        """A product may use all cores, unless others run beside it."""
        with self._inside("_large"):
            yield

    @contextmanager
    def run(self, *, calm: bool) -> Iterator[None]:
        """Whatever `calm` does ends with the outermost run; calm: from its start on."""
        before = self._calm
        try:
            if calm:
                self.calm()
            yield
        finally:
            if self._calm > before:
                self._change("_calm", before - self._calm)

    def calm(self) -> None:
        """From here to the end of the run products keep to one thread."""
        if not self._calm:
            self._change("_calm", 1)

    @contextmanager
    def _inside(self, what: str) -> Iterator[None]:
        self._change(what, 1)
        try:
            yield
        finally:
            self._change(what, -1)

    def _change(self, what: str, by: int) -> None:
        with self._lock:
            setattr(self, what, getattr(self, what) + by)
            if self._alone or (self._calm and not self._large):
                self._before = self._before or [(library, library.num_threads) for library in _libraries()]
                for library, _ in self._before:
                    library.set_num_threads(1)
            elif self._before:
                for library, threads in self._before:
                    library.set_num_threads(threads)
                self._before = []


@cache
def _libraries() -> list[Any]:
    """The copies of BLAS in this process."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas").lib_controllers


BLAS: Final = _Blas()
