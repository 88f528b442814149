"""What a run took: seconds, calls and result sizes of every step, by plan or summed up by DML line; and peak memory."""

from __future__ import annotations

import gc
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from types import TracebackType
from typing import Any

import numpy as np

from dmlite.backends.local.storage import is_chunked, is_matrix
from dmlite.errors import Span
from dmlite.hop.cost import bytes_of
from dmlite.plan.physical import BlockPlan
from dmlite.plan.placement import seconds_of


@dataclass
class Entry:
    """One operator at one place of the script."""

    what: str
    span: Span | None
    seconds: float = 0.0
    calls: int = 0
    estimated: float | None = 0.0  # seconds of all calls, None when not known
    bytes: int | None = None  # of a recent result
    expected: int | None = None  # bytes, by the estimate


@dataclass
class Measured:
    """What one step of one plan took and gave. The size is that of a recent result; rows to bytes are None for scalars.

    grew: by how many bytes the memory of the process grew while it ran, at its highest; None where nobody looked.
    """

    seconds: float = 0.0
    calls: int = 0
    rows: int | None = None
    cols: int | None = None
    nnz: int | None = None
    bytes: int | None = None
    dense: bool | None = None
    grew: int | None = None

    def look_at(self, value: Any) -> None:
        """Note the size of a result. Counting non-zeros reads a dense matrix once."""
        if is_chunked(value):
            (self.rows, self.cols), self.dense, self.nnz = value.shape, value.dense, value.nnz
        elif is_matrix(value):
            self.rows, self.cols = value.shape
            self.dense = isinstance(value, np.ndarray)
            self.nnz = int(np.count_nonzero(value)) if self.dense else int(value.nnz)
            self.bytes = bytes_held(value)


def bytes_held(value: Any) -> int | None:
    """Bytes of a matrix that is here; None of everything else."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    return value.data.nbytes + value.indices.nbytes + value.indptr.nbytes if is_matrix(value) and not is_chunked(value) else None


class Stats:
    """Collects what instrumented blocks record.

    sizes: also look at results, at the 1st, 2nd, 4th, 8th, ... call of a step, outside of the measured time.
    memory: then also by how much it grew meanwhile, if this is set before the run.
    """

    clock = staticmethod(perf_counter)

    def __init__(self, *, sizes: bool = False) -> None:
        self.sizes = sizes
        self.memory: PeakMemory | None = None
        self.loops: list[Any] = []  # that compiled code may take over, see `hot`
        self._marked = True  # whether memory was marked right before the step that runs now
        self.planned: Counter[int] = Counter()  # plans of each block, by its identity
        self.planning = 0.0  # seconds from the text to all plans
        self._plans: list[tuple[BlockPlan, list[Measured]]] = []

    def recorder(self, plan: BlockPlan) -> Callable[[int, float, Any], None]:
        """The function a generated block reports to: step number, seconds, result."""
        measured = [Measured() for _ in plan.steps]
        self._plans.append((plan, measured))
        sizes = self.sizes

        def record(number: int, seconds: float, value: Any) -> None:
            step = measured[number]
            step.seconds += seconds
            calls = step.calls = step.calls + 1
            if sizes:
                self._look(step, value, often=bool(calls & (calls - 1)))
            elif not calls & (calls - 1):
                step.bytes = bytes_held(value)

        return record

    def _look(self, step: Measured, value: Any, *, often: bool) -> None:
        if not often:
            if self.memory is not None:
                grew = self.memory.mark()
                if self._marked:
                    step.grew = max(step.grew or 0, grew)
            step.look_at(value)
        self._marked = not often

    @contextmanager
    def at_planning(self) -> Iterator[None]:
        """Counts what is done inside as planning."""
        begun = perf_counter()
        try:
            yield
        finally:
            self.planning += perf_counter() - begun

    def of(self, steps: Sequence[Any]) -> list[Measured] | None:
        """What was recorded for the steps of one plan, or None when it was made without statistics."""
        return next((measured for plan, measured in self._plans if plan.steps is steps), None)

    @property
    def plans(self) -> tuple[int, int]:
        """How many plans were made, and how many of them for a block that had one before, as sizes were others than planned for."""
        return self.planned.total(), self.planned.total() - len(self.planned)

    @property
    def entries(self) -> dict[tuple[str, str], Entry]:
        """Sums over all plans, by operator and place."""
        found: dict[tuple[str, str], Entry] = {}
        for plan, measured in self._plans:
            for step, took in zip(plan.steps, measured, strict=True):
                entry = found.setdefault((step.hop.op, str(step.span)), Entry(step.hop.op, step.span))
                entry.seconds += took.seconds
                entry.calls += took.calls
                if took.calls:
                    seconds = seconds_of(plan, step)
                    entry.estimated = None if seconds is None or entry.estimated is None else entry.estimated + seconds * took.calls
                    entry.bytes, entry.expected = took.bytes, bytes_of(step.fact) if step.fact.is_matrix else None
        return found

    def heaviest(self, count: int = 10) -> list[Entry]:
        """The operators that took most time, heaviest first."""
        return sorted((e for e in self.entries.values() if e.calls), key=lambda e: -e.seconds)[:count]


class PeakMemory:
    """By how much memory grew at its highest inside of a with-block, in bytes.

    Where the system can forget an earlier peak (Linux) that is exact; elsewhere growth below an earlier peak is not seen.
    """

    bytes: int = 0

    def __enter__(self) -> PeakMemory:
        gc.collect()  # what would be freed meanwhile would hide as much growth
        _forget_peak()
        self._start = self._mark = _resident()
        self._highest = 0
        return self

    def mark(self) -> int:
        """By how much memory grew at its highest since the last mark; from now on counted anew."""
        peak = _peak()
        grew, self._highest = max(0, peak - self._mark), max(self._highest, peak)
        _forget_peak()
        self._mark = _resident()
        return grew

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bytes = max(0, self._highest - self._start, _peak() - self._start)


def _forget_peak() -> None:
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass


def _resident() -> int:
    """Bytes of this process that are in memory now; its peak where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return _peak()


def _peak() -> int:
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource  # not on every system
    except ImportError:
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
