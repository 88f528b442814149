"""Kernels: rows and columns of matrices on the workers, read and written."""

from __future__ import annotations

import itertools
from typing import Any

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.moves import mapped, rows, spread, stacked
from dmlite.backends.dask.worker import apply
from dmlite.backends.local import indexing
from dmlite.backends.local.storage import Matrix, is_matrix
from dmlite.memory import reserve


def index(x: Any, rl: Any, ru: Any, cl: Any, cu: Any) -> Chunked:
    """Rows rl..ru and columns cl..cu: chunks within these rows as they are, and parts of those at the ends."""
    (x,) = spread(x)
    top, bottom, left, right = indexing.ranges(x, rl, ru, cl, cu)
    cuts = [top, *(b for b in x.bounds if top < b < bottom), bottom]
    parts = [rows(x, *pair) for pair in itertools.pairwise(cuts)]
    found = Chunked(x.session, parts, [c - top for c in cuts], x.cols, dense=x.dense)
    return found if (left, right) == (0, x.cols) else mapped(_columns, found, left, right, cols=right - left, dense=x.dense)


def _columns(x: Matrix, left: int, right: int) -> Matrix:
    return indexing.index(x, None, None, left + 1, right)


def taken(x: Any, rl: Any, ru: Any, cl: Any, cu: Any) -> Matrix:
    """Rows rl..ru and columns cl..cu, here. Raises DMLRuntimeError when they cannot fit."""
    if not isinstance(x, Chunked):
        return indexing.index(x, rl, ru, cl, cu)
    top, bottom, left, right = indexing.ranges(x, rl, ru, cl, cu)
    reserve(bottom - top, right - left if x.dense else 1, "rows from the workers")
    held = [x.parts[i] for i, (_, low, high) in enumerate(x.ranges()) if low < bottom and high > top]
    first = max(low for low in x.bounds[:-1] if low <= top)
    return x.session.gather(x.session.one(apply, _part, (top - first, bottom - first, left, right), *held, name="taken"))


def _part(ranges: tuple[int, int, int, int], *held: Matrix) -> Matrix:
    top, bottom, left, right = ranges
    return indexing.index(stacked(*held), top + 1, bottom, left + 1, right)


def leftindex(x: Any, value: Any, rl: Any, ru: Any, cl: Any, cu: Any) -> Chunked:
    """x with a range replaced: the chunks that hold some of its rows are made anew, all others stay."""
    (x,) = spread(x)
    top, bottom, left, right = indexing.ranges(x, rl, ru, cl, cu)
    if is_matrix(value):
        indexing.fitting(value, (bottom - top, right - left))
    parts = []
    for part, low, high in x.ranges():
        first, last = max(low, top), min(high, bottom)
        if first < last:
            piece = _piece(x, value, first - top, last - top)
            part = x.session.one(apply, _written, part, piece, first - low + 1, last - low, left + 1, right, name="leftindex")
        parts.append(part)
    return Chunked(x.session, parts, x.bounds, x.cols, dense=x.dense)


def _piece(x: Chunked, value: Any, low: int, high: int) -> Any:
    if not is_matrix(value):
        return value
    return rows(value, low, high) if isinstance(value, Chunked) else x.session.shared(value[low:high])


def _written(x: Matrix, value: Any, rl: int, ru: int, cl: int, cu: int) -> Matrix:
    return indexing.leftindex(x, value, rl, ru, cl, cu)
