"""Values of a column on the workers by their rank, without sorting it as a whole.

Every chunk is sorted by its worker and shows some of its values. How many values of all chunks come before each of those is
counted; what lies between two of them is gathered only where a wanted rank lies.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.moves import over
from dmlite.backends.local import statistics
from dmlite.backends.local.storage import Matrix

_SHOWN: Final = 512  # values that a chunk shows

Sorted = tuple[np.ndarray, np.ndarray]  # values, NaN last, and the last rank of each within the chunk


class Ranks:
    """The ranks of the values of a column, each repeated by its weight.

    total: how many values there are. Raises DMLRuntimeError for weights that are no counts, and when there are no values.
    """

    def __init__(self, what: str, x: Chunked, w: Chunked | None):
        self.session = x.session
        self._chunks: list[Any] = over(_sorted, x, w, what)
        shown = self.session.gather(self._each(_shown))
        self._borders = np.unique(np.concatenate([values for _, values in shown]))
        self.total = float(sum(total for total, _ in shown))
        if not self.total:
            raise statistics.no_values(what)
        self._upto = np.add.reduce(self.session.gather(self._each(_upto, self.session.shared(self._borders))))

    def _each(self, function: Any, *given: Any) -> list[Any]:
        n = len(self._chunks)
        return self.session.each(function, self._chunks, *([g] * n for g in given), name=function.__name__.strip("_"))

    def values(self, ranks: Sequence[float]) -> list[float]:
        """The values at ranks from 1 to the total; lower ones count as 1."""
        wanted = [max(rank, 1.0) for rank in ranks]
        places = [bisect.bisect_left(self._upto, rank) for rank in wanted]
        held = {place: self._between(place) for place in set(places)}
        return [_at(held[place], rank) for place, rank in zip(places, wanted, strict=True)]

    def _between(self, place: int) -> Sorted:
        """The values above one border and up to the next, and their ranks."""
        return self._held(self._borders[place - 1] if place else None, self._borders[place], "right")

    def within(self, first: float, last: float) -> Sorted:
        """The values from `first` to `last`, and their ranks."""
        return self._held(first, last, "left")

    def _held(self, low: float | None, high: float, side: Literal["left", "right"]) -> Sorted:
        """The values above `low` (side "right"), or from it on ("left"), up to `high`, of all chunks, and their ranks."""
        below, values, counts = zip(*self.session.gather(self._each(_part, low, high, side)), strict=True)
        merged = np.concatenate(values)
        order = np.argsort(merged, kind="stable")
        return merged[order], np.cumsum(np.concatenate(counts)[order]) + sum(below)

    def sum_between(self, low: float, high: float, first: float, last: float) -> float:
        """The sum of the values at the ranks above `low`, up to `high`; `first` and `last` are those at these two."""
        if first != first or last != last:
            return float("nan")
        upto, below, inside = np.add.reduce(self.session.gather(self._each(_inside, first, last)))
        if first == last:
            return float((high - low) * last)
        return float(sum(count * value for count, value in ((upto - low, first), (1, inside), (high - below, last)) if count))


def _sorted(x: Matrix, w: Matrix | None, what: str) -> Sorted:
    return statistics.counted(what, x, w)


def _shown(chunk: Sorted) -> tuple[float, np.ndarray]:
    values, ends = chunk
    return ends[-1], values[np.unique(np.linspace(0, len(values) - 1, _SHOWN).astype(np.int64))]


def _upto(chunk: Sorted, borders: np.ndarray) -> np.ndarray:
    """How many values are not above each border."""
    values, ends = chunk
    return np.concatenate(([0.0], ends))[np.searchsorted(values, borders, side="right")]


def _counts(ends: np.ndarray, start: int, stop: int) -> np.ndarray:
    return np.diff(ends[start:stop], prepend=ends[start - 1] if start else 0.0)


def _part(chunk: Sorted, low: float | None, high: float, side: Literal["left", "right"]) -> tuple[float, np.ndarray, np.ndarray]:
    """How many values are below those from `low` to `high`, those values, and how often each counts."""
    values, ends = chunk
    start = 0 if low is None else int(np.searchsorted(values, low, side))
    stop = int(np.searchsorted(values, high, "right"))
    return ends[start - 1] if start else 0.0, values[start:stop], _counts(ends, start, stop)


def _at(held: Sorted, rank: float) -> float:
    values, ends = held
    return float(values[np.searchsorted(ends, rank)])


def _inside(chunk: Sorted, first: float, last: float) -> np.ndarray:
    """How many values are up to `first`, how many below `last`, and the sum of those between."""
    values, ends = chunk
    start, stop = int(np.searchsorted(values, first, side="right")), int(np.searchsorted(values, last, side="left"))
    upto, below = (ends[i - 1] if i else 0.0 for i in (start, stop))
    counts = _counts(ends, start, stop)
    return np.array([upto, below, counts[counts > 0] @ values[start:stop][counts > 0]])
