"""Chunk regions: one task for each chunk, and the results of all."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.cluster import Session, join_all, session
from dmlite.backends.dask.moves import aligned, collect, cut
from dmlite.backends.dask.worker import Shipped
from dmlite.backends.dask.worker import run as run_chunk
from dmlite.backends.local.indexing import out_of_range
from dmlite.backends.local.storage import is_matrix
from dmlite.codegen.chunked import ChunkCode, Output
from dmlite.config import config
from dmlite.errors import DMLError
from dmlite.hop.node import LITERAL, Hop

_HERE: Final = 4 << 20  # bytes of partial results of all chunks up to which they are joined here


def run(code: ChunkCode, split: Sequence[Any], whole: Sequence[Any]) -> tuple[Any, ...]:
    """The results of a region: `Chunked` ones, and those that are joined, which are here.

    split: matrices that tasks get a chunk of, here or on the workers. whole: values that every task gets. Raises DMLRuntimeError at
    the line of DML whose task failed.
    """
    _check_ranges(code, dict(zip(code.region.whole(), whole, strict=True)))
    at = next((x.session for x in split if isinstance(x, Chunked)), None) or session()
    bounds = next((x.bounds for x in split if isinstance(x, Chunked)), None) or cut(at, split)
    columns = [_cut(at, x, bounds, kept).parts for x, kept in zip(split, code.kept[0], strict=True)]
    sent = [_sent(at, w, kept) for w, kept in zip(whole, code.kept[1], strict=True)]
    shipped = [_shipped(at, code, high - low) for low, high in itertools.pairwise(bounds)]
    n = len(shipped)
    futures = at.each(run_chunk, shipped, *columns, *([w] * n for w in sent), name=code.name)
    return _results(at, code, futures, bounds)


def _results(at: Session, code: ChunkCode, tasks: list[Any], bounds: Sequence[int]) -> tuple[Any, ...]:
    """Small results that are joined come here together, in one message of each task; the others stay, each on its own."""
    n, single = len(tasks), len(code.outputs) == 1
    here = [i for i, output in enumerate(code.outputs) if output.join and 8 * (output.fact.cells or 1) * n <= _HERE]
    results = {}
    for i, output in enumerate(code.outputs):
        if i not in here:
            parts = tasks if single else at.each(_pick, tasks, [i] * n, name=f"{code.name}-pick")
            results[i] = _result(at, output, parts, bounds, code.name)
    if here:
        totals = tasks if len(here) == len(code.outputs) else at.each(_picked, tasks, [here] * n, name=f"{code.name}-totals")
        found = at.gather(totals)
        for i, parts in zip(here, [found] if single else zip(*found, strict=True), strict=True):
            results[i] = _shared_out(join_all(code.outputs[i].join, *parts), code.outputs[i].share)
    return tuple(results[i] for i in range(len(code.outputs)))


def _check_ranges(code: ChunkCode, whole: Mapping[Hop, Any]) -> None:
    """Raises DMLRuntimeError for columns that are not within the whole matrix."""
    for r in code.ranges:
        low, high = (hop.value if hop.op == LITERAL else whole[hop] for hop in (r.low, r.high))
        high = low if high is None else high
        if not 1 <= low <= high <= r.cols:
            try:
                out_of_range(int(low), int(high), (r.rows, r.cols), 1)
            except DMLError as error:
                raise error.at(r.span) from None


def _pick(results: tuple[Any, ...], which: int) -> Any:
    return results[which]


def _picked(results: tuple[Any, ...], which: Sequence[int]) -> tuple[Any, ...]:
    return tuple(results[i] for i in which)


def _width(chunk: Any) -> int:
    return chunk.shape[1]


def _cut(at: Session, value: Any, bounds: tuple[int, ...], kept: bool) -> Chunked:
    """A matrix in chunks; of a variable that is here, the copy that was sent before, if one was."""
    if isinstance(value, Chunked) or not kept:
        return aligned(at, value, bounds)
    return at.copies.get(value, bounds, lambda: aligned(at, value, bounds))


def _sent(at: Session, value: Any, kept: bool) -> Any:
    """A value that every task needs: small ones travel with the task."""
    if isinstance(value, Chunked):
        value = collect(value)
    return at.copies.get(value, None, lambda: at.shared(value)) if kept and is_matrix(value) else at.shared(value)


def _shipped(at: Session, code: ChunkCode, rows: int) -> Shipped:
    made = code.code(rows)
    name = _last_function(made.source)
    at.lines[name] = made.lines
    at.needs[code.name] = code.peak
    return Shipped(name, made.source, tuple(sorted(made.kernels)), made.loops, len(code.region.split()), config().compile)


def _last_function(source: str) -> str:
    """The function of the block stands behind those that it calls."""
    return source.rsplit("\ndef ", 1)[-1].split("(", 1)[0].removeprefix("def ")


def _result(at: Session, output: Output, parts: list[Any], bounds: Sequence[int], name: str) -> Any:
    if output.join is None:
        cols = output.fact.cols
        if cols is None:  # of a range whose bounds were not known when this was planned
            cols = at.gather(at.one(_width, parts[0], name="width"))
        likely = None if output.fact.dense else output.fact.nnz_avg
        return Chunked(at, parts, bounds, cols, dense=output.fact.dense, likely=likely)
    return _shared_out(at.gather(at.joined(parts, output.join, name)), output.share)


def _shared_out(total: Any, share: int) -> Any:
    """Of a mean, the total of all."""
    return total if share == 1 else total / share
