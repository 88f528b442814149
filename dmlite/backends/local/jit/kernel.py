"""A function over ranges of rows: NumPy's until its loop is compiled, then whichever is faster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dmlite.backends.local.jit.awaited import LOAD_SECONDS, Awaited
from dmlite.config import config

if TYPE_CHECKING:
    from dmlite.codegen.loops import Loop, Total

_SLOWER: Final = 1.2  # times as long as NumPy from which on a loop is not used
_SCRATCH: Final = 1 << 15  # cells of a result that are written beside an operand whose memory it takes

_ARRAYS: Final = {"a": np.float64, "i": np.int32}

Totals = tuple[Any, ...]
Run = Callable[[int, int], Totals]


class Kernel(Awaited):
    """`plain(i, j, *operands)` of NumPy, and the loop that may replace it."""

    loop: Loop

    def __init__(self, plain: Callable[..., Totals], loop: Loop):
        super().__init__(loop)
        self.plain = plain
        self._lock = threading.Lock()
        self._spent = 0.0
        self._rates: dict[bool, float] = {}  # seconds a row, the least seen, of the loop and of NumPy

    def bound(self, operands: Sequence[Any]) -> Run | None:
        """The compiled loop for these operands, if it is there, takes them and is not slower."""
        if self.compiled is None or not config().compile:
            return None
        if self._rates.get(True, 0.0) > _SLOWER * self._rates.get(False, np.inf):
            return None
        return Binding(self.loop, self.compiled, operands).run() if _fits(self.loop, operands) else None

    def took(self, seconds: float, rows: int, *, compiled: bool) -> None:
        """Note how long one pass over all rows took."""
        self._rates[compiled] = min(seconds / rows, self._rates.get(compiled, np.inf))
        if compiled or self.compiled is not None or not config().compile:
            return
        self._spent += seconds
        if self._spent >= LOAD_SECONDS and self._lock.acquire(blocking=False):
            try:
                self.advance(self._spent)
            finally:
                self._lock.release()


def _fits(loop: Loop, operands: Sequence[Any]) -> bool:
    """Whether all arrays are of doubles, or of the whole numbers of an index, row by row without gaps."""
    kinds = loop.operands + "a" * loop.results
    return all(k not in _ARRAYS or (x.flags.c_contiguous and x.dtype == _ARRAYS[k]) for k, x in zip(kinds, operands, strict=True))


class Binding:
    """A compiled loop with the addresses of its operands."""

    def __init__(self, loop: Loop, compiled: Callable[..., None], operands: Sequence[Any]):
        self.loop, self.compiled = loop, compiled
        self.results = operands[len(loop.operands) :]
        self.operands = [np.ascontiguousarray(x.T) if k == "t" else x for k, x in zip(loop.operands, operands, strict=False)]
        self.given = [_given(k, x) for k, x in zip(loop.operands, self.operands, strict=True)]
        self.targets = [_address(x) for x in self.results]

    def run(self) -> Run:
        """Calls for ranges of rows. A result in the memory of an operand is written there block by block, when that has been read."""
        return self._beside if set(self.given) & set(self.targets) else self._directly

    def _directly(self, i: int, j: int) -> Totals:
        totals = self._totals()
        self._call(i, j, self.targets, totals)
        return self._taken(totals)

    def _beside(self, i: int, j: int) -> Totals:
        totals = self._totals()
        step = max(1, _SCRATCH // self.loop.cols)
        scratch = [np.empty((step, x.shape[1])) for x in self.results]
        for low in range(i, j, step):
            high = min(low + step, j)
            self._call(low, high, [_address(s) - 8 * s.shape[1] * low for s in scratch], totals)
            for target, written in zip(self.results, scratch, strict=True):
                target[low:high] = written[: high - low]
        return self._taken(totals)

    def _call(self, i: int, j: int, targets: Sequence[int], totals: np.ndarray) -> None:
        loop = self.loop
        wide, thin = np.empty(loop.wide * loop.cols), np.empty(loop.thin * loop.thin_cols)
        places = map(_address, (wide, thin, totals))
        self.compiled(i, j, loop.cols, loop.thin_cols, *self.given, *targets, *loop.numbers, *places)

    def _totals(self) -> np.ndarray:
        return np.concatenate([np.empty(0), *(np.full(t.size, t.start) for t in self.loop.totals)])

    def _taken(self, totals: np.ndarray) -> Totals:
        """The totals as `plain` returns them."""
        found, start = [], 0
        for total in self.loop.totals:
            cells = totals[start : start + total.size]
            found.append(float(cells[0]) if total.shape is None else _shaped(cells, total))
            start += total.size
        return tuple(found)


def _shaped(cells: np.ndarray, total: Total) -> np.ndarray:
    assert total.shape is not None
    return cells.reshape(total.shape[::-1]).T if total.turned else cells.reshape(total.shape)


def _address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]


def _given(kind: str, x: Any) -> Any:
    """An operand as the loop takes it."""
    return float(x) if kind == "d" else int(x) if kind == "n" else _address(x)
