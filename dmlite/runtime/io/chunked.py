"""Matrices in files, read by the workers.

What a binary or Parquet file holds is cheap to read again, so its chunks are left in the file when all of them do not fit into the
memory of the workers. Text is read once; workers on this machine then keep what does not fit in binary files, other clusters spill.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from dmlite import memory
from dmlite.backends.dask.chunked import Chunked, Lazy
from dmlite.backends.dask.cluster import Session, session
from dmlite.backends.dask.moves import stacked
from dmlite.backends.local.storage import Matrix, dense, is_sparse, sparse
from dmlite.hop.machine import WORKER_BASE, Cluster
from dmlite.runtime.io import binary, coordinate, csv, parts
from dmlite.runtime.io.files import replacing, reporting
from dmlite.runtime.io.meta import Meta
from dmlite.runtime.io.parts import Rows
from dmlite.runtime.io.ranges import Range, ranges
from dmlite.runtime.io.size import lines_of

_SHARE: Final = 0.6  # of the memory of all workers that a matrix may take
_LINE_END: Final = 2  # bytes
_PARSED: Final = 24.0  # bytes of an entry of coordinate text that has been read
_NOTHING: Final = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True)
class _Room:
    """Workers, and the folder for chunks that must not stay in memory."""

    at: Session
    cluster: Cluster
    folder: str | None

    @classmethod
    def of(cls, size: float, *, is_text: bool) -> _Room:
        """For a matrix of so many bytes."""
        at = session()
        cluster = at.describe()
        return cls(at, cluster, _folder(at) if is_text and at.is_beside and not fits(size, cluster) else None)

    def chunk(self, size: float) -> float:
        """Bytes of a chunk of so many: every worker gets some."""
        return max(1.0, min(self.at.chunk, size / (self.cluster.workers * self.cluster.cores)))


def fits(size: float, cluster: Cluster) -> bool:
    """Whether a matrix of so many bytes can stay in the memory of the workers."""
    return size <= _SHARE * cluster.workers * max(0, cluster.memory - WORKER_BASE)


_folders: Final[WeakKeyDictionary[Session, tempfile.TemporaryDirectory[str]]] = WeakKeyDictionary()


def _folder(at: Session) -> str:
    """A folder of this machine that goes with the session, where Dask spills to as well."""
    if at not in _folders:
        import dask

        _folders[at] = tempfile.TemporaryDirectory(prefix="dmlite-", dir=dask.config.get("temporary-directory", None))
    return _folders[at].name


def read(meta: Meta) -> Chunked | None:
    """The matrix in a file, on the workers; None for one without rows. Raises DMLIOError as reading here does."""
    meta = replace(meta, path=os.path.abspath(meta.path))
    if meta.format in ("binary", "parquet"):
        return _stored(meta)
    return _rows_of_text(meta) if meta.format == "csv" else _entries_of_text(meta)


# ---------------------------------------------------------------- binary and Parquet
def _stored(meta: Meta) -> Chunked | None:
    files = parts.files_of(meta)
    size = sum(f.bytes for f in files)
    room = _Room.of(size, is_text=False)
    groups = parts.chunks(files, room.chunk(size))
    if not groups:
        return None
    bounds = [0, *itertools.accumulate(sum(r.high - r.low for r in group) for group in groups)]
    if fits(size, room.cluster):
        chunks: Sequence[Any] = room.at.each(_load, groups, name="read")
    else:
        chunks = [Lazy(_look, (group,)) for group in groups]
    nnz = None if any(f.nnz is None for f in files) else sum(f.nnz or 0 for f in files)
    is_dense = all(f.nnz is None for f in files)
    return Chunked(room.at, chunks, bounds, files[0].cols, dense=is_dense, nnz=meta.nnz if is_dense else nnz)


def _load(group: tuple[Rows, ...]) -> Matrix:
    return stacked(*(rows.load() for rows in group))


def _look(group: tuple[Rows, ...]) -> Matrix:
    """Rows for a task, which are looked at in the file."""
    return stacked(*(rows.load(mapped=True) for rows in group))


# ---------------------------------------------------------------- csv
def _rows_of_text(meta: Meta) -> Chunked | None:
    lines = lines_of(meta)
    size = 8.0 * lines.count * lines.fields
    if not lines.fields:
        return None
    room = _Room.of(size, is_text=True)
    found = ranges(meta.path, lines.start, int(lines.bytes * room.chunk(size) / max(size, 1.0)) + 1)
    if not found or (lines.fields == 1 and found[-1].size - found[-1].end > _LINE_END):
        return None  # blank lines at the end may be empty fields
    n = len(found)
    made = room.at.each(_parsed, [meta] * n, found, [lines.fields] * n, [room.folder] * n, name="read")
    return _finished(room, made, meta, lines.fields)


@dataclass(frozen=True)
class _Kept:
    """A chunk that lies in a file, and its non-zeros."""

    rows: Rows
    nnz: int


def _parsed(meta: Meta, lines: Range, width: int, folder: str | None) -> Matrix | _Kept:
    with reporting(meta.path):
        return _kept(csv.read_range(meta, lines, width), folder)


def _finished(room: _Room, made: list[Any], meta: Meta, cols: int) -> Chunked:
    """The chunks that tasks have made, once their sizes are known: all arrays or all CSR, where they stay in memory."""
    told = room.at.gather(room.at.each(_told, made, name="sizes"))
    bounds = [0, *itertools.accumulate(rows for rows, _, _ in told)]
    nnz = sum(n for _, n, _ in told)
    meta.check_shape(bounds[-1], cols)
    kinds = {is_csr for _, _, is_csr in told}
    if room.folder is not None:
        chunks: Sequence[Any] = [Lazy(_look, ((kept.rows,),)) for kept in room.at.gather(made)]
    else:
        is_csr = coordinate.suits_csr(bounds[-1], cols, nnz)
        chunks = made if kinds == {is_csr} else room.at.each(sparse if is_csr else dense, made, name="read")
        kinds = {is_csr}
    return Chunked(room.at, chunks, bounds, cols, dense=kinds == {False}, nnz=nnz)


def _told(made: Matrix | _Kept) -> tuple[int, int, bool]:
    """Rows, non-zeros, and whether it is CSR."""
    if isinstance(made, _Kept):
        return made.rows.high, made.nnz, made.rows.nnz is not None
    return made.shape[0], _nnz(made), is_sparse(made)


def _nnz(x: Matrix) -> int:
    return int(x.nnz) if is_sparse(x) else int(np.count_nonzero(x))


def _kept(x: Matrix, folder: str | None) -> Matrix | _Kept:
    """A chunk itself, or in a file of that folder."""
    if folder is None:
        return x
    path = os.path.join(folder, uuid.uuid4().hex + (".npz" if is_sparse(x) else ".npy"))
    with replacing(path) as (draft,), open(draft, "xb") as file:
        binary.write(x, file)
    return _Kept(parts.rows_of_file(path, "binary"), _nnz(x))


# ---------------------------------------------------------------- rows, columns and values
def _entries_of_text(meta: Meta) -> Chunked | None:
    """Entries are read in ranges of lines, and those of each chunk of rows then put together, in the order of the file."""
    lines = lines_of(meta)
    if not lines.count:
        return None
    size = _PARSED * lines.count
    room = _Room.of(size, is_text=True)
    header, _ = coordinate.head(meta)
    found = ranges(meta.path, lines.start, int(lines.width * room.chunk(size) / _PARSED) + 1)
    if not found:
        return None
    n = len(found)
    entries = room.at.each(_entries, [meta] * n, [header] * n, found, name="entries")
    extents = room.at.gather(room.at.each(_extent, entries, name="extent"))
    total = sum(e.total for e in extents)
    if header is not None:
        header.check_entries(meta.path, sum(e.lines for e in extents))
        rows, cols = header.rows, header.cols
    else:
        rows = max(e.rows for e in extents) if meta.rows is None else meta.rows
        cols = max(e.cols for e in extents) if meta.cols is None else meta.cols
    if not total:
        return None
    is_csr = coordinate.suits_csr(rows, cols, total)
    memory.reserve(rows + is_csr, 1, "the row index of a sparse matrix" if is_csr else "a column")
    row_bytes = 12.0 * total / rows + 8.0 if is_csr else 8.0 * cols
    height = max(1, int(room.chunk(row_bytes * rows) / row_bytes))
    bounds = [*range(0, rows, height), rows]
    return _finished(room, _buckets(room, entries, bounds, cols, is_csr), meta, cols)


@dataclass(frozen=True)
class _Extent:
    """Of entries: lines they stand on, how many they are, and the largest row and column."""

    lines: int
    total: int
    rows: int
    cols: int


def _entries(meta: Meta, header: coordinate.Header | None, lines: Range) -> tuple[int, coordinate.Entries]:
    with reporting(meta.path):
        return coordinate.read_range(meta, header, lines)


def _extent(found: tuple[int, coordinate.Entries]) -> _Extent:
    count, (row, col, _) = found
    return _Extent(count, len(row), int(row.max(initial=0)), int(col.max(initial=0)))


def _buckets(room: _Room, entries: list[Any], bounds: list[int], cols: int, is_csr: bool) -> list[Any]:
    """Futures of the chunks with these bounds."""
    n = len(entries)
    pieces = room.at.each(_split, entries, [bounds] * n, name="split")
    holders: list[list[Any]] = [[] for _ in bounds[1:]]
    for piece, filled in zip(pieces, room.at.gather(room.at.each(_filled, pieces, name="filled")), strict=True):
        for bucket in filled:
            holders[bucket].append(room.at.one(_pick, piece, bucket, name="pick"))
    return [
        room.at.one(_assembled, high - low, cols, is_csr, room.folder, *held, name="read")
        for held, (low, high) in zip(holders, itertools.pairwise(bounds), strict=True)
    ]


def _split(found: tuple[int, coordinate.Entries], bounds: list[int]) -> dict[int, coordinate.Entries]:
    """0-based entries by the chunk they belong to, rows counted from its first."""
    row, col, value = found[1]
    bucket = np.searchsorted(bounds, row - 1, side="right") - 1
    if np.any(np.diff(bucket) < 0):
        order = np.argsort(bucket, kind="stable")
        row, col, value, bucket = row[order], col[order], value[order], bucket[order]
    numbers, firsts = np.unique(bucket, return_index=True)
    ends = [*firsts[1:].tolist(), len(row)]
    return {
        b: (row[low:high] - 1 - bounds[b], col[low:high] - 1, value[low:high])
        for b, low, high in zip(numbers.tolist(), firsts.tolist(), ends, strict=True)
    }


def _filled(pieces: dict[int, coordinate.Entries]) -> list[int]:
    return list(pieces)


def _pick(pieces: dict[int, coordinate.Entries], bucket: int) -> coordinate.Entries:
    return pieces[bucket]


def _assembled(rows: int, cols: int, is_csr: bool, folder: str | None, *pieces: coordinate.Entries) -> Matrix | _Kept:
    row, col, value = (np.concatenate(column) for column in zip(*(pieces or (_NOTHING,)), strict=True))
    if is_csr:
        x = coordinate.csr_of(row, col, value, rows, cols)
        x.eliminate_zeros()
        return _kept(x, folder)
    whole = np.zeros((rows, cols))
    whole[row, col] = value
    return _kept(whole, folder)
