"""Running a sampled region: functions of the stored cells of a CSR driver, in blocks by NumPy or in a compiled loop, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, reduce
from time import perf_counter
from typing import Any, Final

import numpy as np

from dmlite.backends.local import compiled
from dmlite.backends.local.jit.kernel import Kernel, Totals
from dmlite.backends.local.sampled import beside, row_numbers
from dmlite.backends.local.storage import SPARSE_LIMIT, Matrix, is_matrix, is_sparse, with_cells
from dmlite.backends.local.threads import BLAS, at_once, cores, in_ranges
from dmlite.codegen.sampled_loops import End, SampledLoop
from dmlite.memory import reserve

_BLOCK: Final = 1 << 18  # numbers in a block, which stay in the cache of a core
_THREADED: Final = 1 << 20  # numbers from which on further threads pay
_RANGES: Final = 32  # of stored cells, which threads take one after another; as many on every machine, so that sums are the same
_JOINED: Final = 4  # ranges of rows where each has a large result of its own
_LARGE: Final = 1 << 12  # numbers in such a result
_HELD: Final = 1 << 24  # numbers that all blocks together give to be joined
_JOINS: Final = {"plus": np.add, "least": np.minimum, "most": np.maximum}

_Function = Callable[..., tuple[Any, ...]]
_Join = Callable[..., Any]


def run(plain: _Function | Kernel, apart: _Function, kinds: str, w: Matrix, *operands: Any) -> tuple[Any, ...]:
    """The results of a region with driver `w`.

    plain: for a CSR driver, and CSR operands where `kinds` has a c. apart: for all others. kinds: a letter per operand, as in `Given`.
    """
    if not _is_as_planned(w, kinds, operands):
        return apart(w, *operands)
    given = [_prepared(k, x, w) for k, x in zip(kinds, operands, strict=True)]
    if not isinstance(plain, Kernel):
        return plain(w, *given)
    start = perf_counter()
    results = _looped(plain, kinds, w, given)
    is_compiled = results is not None
    if results is None:
        results = plain.plain(w, *given)
    plain.took(perf_counter() - start, max(1, w.nnz), compiled=is_compiled)
    return results


def _is_as_planned(w: Matrix, kinds: str, operands: Sequence[Any]) -> bool:
    if not is_sparse(w) or w.nnz > SPARSE_LIMIT * w.shape[0] * w.shape[1]:
        return False
    return all(_is_taken(k, x) for k, x in zip(kinds, operands, strict=True))


def _is_taken(kind: str, x: Any) -> bool:
    if is_matrix(x):
        return is_sparse(x) == (kind == "c")
    return kind != "q" or (x != 0 and x == x)


def _prepared(kind: str, x: Any, w: Matrix) -> Any:
    """A factor or column by rows, a further CSR matrix in the order of the driver."""
    if kind == "f" or (kind == "a" and x.shape[1] == 1):
        return np.ascontiguousarray(x)
    return beside(x, w) if kind == "c" else x


# ---------------------------------------------------------------- in blocks, by NumPy
class Block:
    """Stored cells of `w` from `start` to before `stop`: their places, rows and columns."""

    def __init__(self, w: Matrix, start: int, stop: int):
        self.w = w
        self.part = slice(start, stop)

    @cached_property
    def rows(self) -> np.ndarray:
        return row_numbers(self.w, self.part.start, self.part.stop)

    @property
    def cols(self) -> np.ndarray:
        return self.w.indices[self.part]

    def dot(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """U %*% t(V) at the cells."""
        if u.shape[1] == 1:  # a sum would lose the sign of zeros
            return u[self.rows, 0] * v[self.cols, 0]
        return np.einsum("ij,ij->i", u.take(self.rows, axis=0, mode="clip"), v.take(self.cols, axis=0, mode="clip"))


def in_blocks(cells: _Function, width: int, joins: Sequence[Callable[..., Any]], w: Matrix, *operands: Any) -> Totals:
    """`cells(block, w, *operands)` for all blocks; the numbers it returns are put together by `joins`, starting from zero.

    width: numbers that a block holds for each stored cell.
    """
    step = max(1, _BLOCK // width)
    share = -(-w.nnz // (step * _RANGES)) * step
    starts = range(0, w.nnz, share) if share else range(0)
    parts: list[list[Totals]] = [[] for _ in starts]
    places = iter(range(len(parts)))

    def take() -> None:
        with np.errstate(all="ignore"):
            for place in places:
                low, high = starts[place], min(w.nnz, starts[place] + share)
                parts[place] = [cells(Block(w, i, min(i + step, high)), w, *operands) for i in range(low, high, step)]

    at_once(take, min(cores(), len(parts)) - 1 if w.nnz * width >= _THREADED else 0)
    found = [p for part in parts for p in part]
    return tuple(float(reduce(join, (p[i] for p in found), 0.0)) for i, join in enumerate(joins))


def unfilled(w: Matrix) -> np.ndarray:
    """An array for a number at each stored cell."""
    reserve(w.nnz, 1, "the cells of a sparse matrix")
    return np.empty(w.nnz)


def zeroed(x: np.ndarray, *zeros: Any) -> np.ndarray:
    """Products of cells, with zero instead of NaN where one of `zeros` is zero. Takes ownership of `x`."""
    broken = np.isnan(x)
    if broken.any():
        for z in zeros:
            x[broken & (z == 0)] = 0.0
    return x


# ---------------------------------------------------------------- in blocks of rows, one operator after another
def in_rows(
    apart: _Function, split: str, ends: Sequence[int | _Join], width: int, joined: int, w: Matrix, *operands: Any
) -> tuple[Any, ...]:
    """`apart(w, *operands)` for blocks of rows of `w` and of the operands that `split` has an r for.

    ends: for each result its columns, where blocks come below each other, or what joins them. width: numbers that a block holds for
    each row. joined: numbers that it gives to be joined.
    """
    rows = w.shape[0]
    step = max(1, _BLOCK // (width + w.nnz // rows), rows * joined // _HELD)
    targets = [None if callable(end) else np.empty((rows, end)) for end in ends]

    def run(low: int, high: int) -> tuple[Any, ...]:
        part = [x[low:high] if kind == "r" else x for kind, x in zip(split, operands, strict=True)]
        with np.errstate(all="ignore"):
            found = apart(_rows(w, low, high), *part)
        for target, result in zip(targets, found, strict=True):
            if target is not None:
                target[low:high] = result
        return tuple(result if target is None else None for target, result in zip(targets, found, strict=True))

    with BLAS.alone():
        parts = in_ranges([*range(0, rows, step), rows], run)
    columns = zip(ends, targets, zip(*parts, strict=True), strict=True)
    return tuple(_as_scalar(reduce(end, found)) if callable(end) else target for end, target, found in columns)


def _as_scalar(x: Any) -> Any:
    return float(x) if isinstance(x, np.generic) else x


def _rows(w: Matrix, low: int, high: int) -> Matrix:
    """Some rows of a CSR matrix, whose cells are shared."""
    start, stop = w.indptr[low], w.indptr[high]
    return type(w)((w.data[start:stop], w.indices[start:stop], w.indptr[low : high + 1] - start), shape=(high - low, w.shape[1]))


# ---------------------------------------------------------------- in a compiled loop
def _looped(kernel: Kernel, kinds: str, w: Matrix, given: Sequence[Any]) -> tuple[Any, ...] | None:
    """The results by the compiled loop, if it takes the operands."""
    loop = kernel.loop
    assert isinstance(loop, SampledLoop)
    arrays = [w.indptr, w.indices, w.data]
    for kind, x in zip(kinds, given, strict=True):
        arrays += [x, x.shape[1]] if kind == "f" else [x]
    targets = [_target(end, w) for end in loop.ends if end.kind != "total"]
    work = kernel.bound([*arrays, *targets])
    if work is None:
        return None
    parts = compiled.by_rows(w, w.nnz * loop.operands.count("a"), work, _ranges(loop, w))
    joins = [_JOINS[end.join] for end in loop.ends if end.kind == "total"]
    totals = [reduce(join, column) for join, column in zip(joins, zip(*parts, strict=True), strict=True)] if joins else []
    return _results(loop.ends, w, iter(targets), iter(totals))


def _ranges(loop: SampledLoop, w: Matrix) -> int:
    """Of rows: few where each has large totals of its own."""
    size = sum(total.size for total in loop.totals)
    return _RANGES if size < _LARGE else max(1, min(_JOINED, w.nnz // (4 * w.shape[1])))


def _target(end: End, w: Matrix) -> np.ndarray:
    return unfilled(w) if end.kind == "cells" else np.zeros((w.shape[0], end.cols))


def _results(ends: Sequence[End], w: Matrix, targets: Any, totals: Any) -> tuple[Any, ...]:
    found: list[Any] = []
    for end in ends:
        result = next(totals if end.kind == "total" else targets)
        if end.kind == "cells":
            result = with_cells(w, result)
        elif isinstance(result, np.generic):
            result = float(result)
        found.append(result)
    return tuple(found)
