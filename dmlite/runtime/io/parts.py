"""Files that rows can be taken from: binary and Parquet ones, and folders that hold a matrix in such parts.

A folder holds `part-00000.npy`, `part-00001.npz` and so on, the rows of each below those before it; the `.mtd` file beside it
has the number of rows of each as `part_rows`.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from dmlite import memory
from dmlite.backends.local.storage import Matrix
from dmlite.errors import DMLIOError
from dmlite.runtime.io import binary, parquet
from dmlite.runtime.io.files import parts_of, reporting
from dmlite.runtime.io.meta import Meta, with_sizes
from dmlite.runtime.io.table import pack, stack

_FAIR: Final = 0.2  # of the bytes of a chunk


@dataclass(frozen=True)
class Rows:
    """The rows `low` to `high` of a file as it was at `stamp`.

    nnz     non-zeros of a file that stores CSR, else None
    """

    path: str
    format: str
    low: int
    high: int
    cols: int
    nnz: int | None
    stamp: tuple[int, int]

    @property
    def bytes(self) -> float:
        rows = self.high - self.low
        return 8.0 * rows * self.cols if self.nnz is None else 12.0 * self.nnz + 8.0 * rows

    def load(self, *, mapped: bool = False) -> Matrix:
        """The rows. Raises DMLIOError when the file has changed. mapped: it may be looked at as long as they are used."""
        with reporting(self.path):
            if _stamp(self.path) != self.stamp:
                raise DMLIOError(f"{self.path}: has changed since it was read", hint="read it again")
            if self.format == "parquet":
                return parquet.rows_of(self.path, self.low, self.high)
            return binary.rows_of(self.path, self.low, self.high, mapped=mapped)

    def cut(self, pieces: int) -> list[Rows]:
        """As many ranges of rows, as equal as can be."""
        rows = self.high - self.low
        pieces = max(1, min(pieces, rows))
        cuts = [self.low + rows * i // pieces for i in range(pieces + 1)]
        share = None if self.nnz is None else -(-self.nnz // pieces)
        return [replace(self, low=a, high=b, nnz=share) for a, b in itertools.pairwise(cuts)]


def files_of(meta: Meta) -> list[Rows]:
    """The rows of every file of a matrix. Raises DMLIOError when they do not fit below each other, or are not those that `.mtd` tells."""
    paths = parts_of(meta.path) or [meta.path]
    found = [rows_of_file(path, meta.format) for path in paths]
    cols = found[0].cols
    for part in found:
        if part.cols != cols:
            raise DMLIOError(f"{part.path}: has {part.cols} columns, but {found[0].path} has {cols}")
    if meta.part_rows is not None:
        _check_rows(meta, found)
    meta.check_shape(sum(p.high for p in found), cols)
    return found


def _check_rows(meta: Meta, found: Sequence[Rows]) -> None:
    assert meta.part_rows is not None
    if len(found) != len(meta.part_rows):
        raise DMLIOError(f"{meta.path}: holds {len(found)} parts, but {len(meta.part_rows)} are declared", hint="some may be missing")
    for part, rows in zip(found, meta.part_rows, strict=True):
        if part.high != rows:
            raise DMLIOError(f"{part.path}: has {part.high} rows, but {rows} are declared", hint=f"correct part_rows in {meta.path}.mtd")


def rows_of_file(path: str, form: str) -> Rows:
    with reporting(path):
        stamp = _stamp(path)
        head = (parquet if form == "parquet" else binary).peek(Meta(path, format=form))
        assert head.rows is not None and head.cols is not None
        return Rows(path, form, 0, head.rows, head.cols, head.nnz, stamp)


def _stamp(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size


def read(meta: Meta) -> Matrix:
    """The matrix in a folder of parts."""
    found = files_of(meta)
    if any(part.nnz is not None for part in found):
        return stack([part.load() for part in found])
    rows = sum(part.high for part in found)
    memory.reserve(rows, found[0].cols, "a matrix")
    whole, first = np.empty((rows, found[0].cols)), 0
    for part in found:
        whole[first : first + part.high] = part.load(mapped=True)
        first += part.high
    return pack(whole) if meta.format == "parquet" else whole


def peek(meta: Meta) -> Meta:
    """The sizes of the matrix in a folder of parts."""
    found = files_of(meta)
    nnz = [part.nnz for part in found]
    return with_sizes(meta, sum(p.high for p in found), found[0].cols, None if None in nnz else sum(n or 0 for n in nnz))


def chunks(files: Iterable[Rows], about: float) -> list[tuple[Rows, ...]]:
    """Files cut, and small ones put together, so that each group has about so many bytes.

    What is put together is copied whenever it is read, so files of a fair size are left alone.
    """
    groups: list[list[Rows]] = []
    size = float("inf")
    for piece in (p for f in files if f.high > f.low for p in f.cut(int(-(-f.bytes // about)))):
        if size >= _FAIR * about or size + piece.bytes > about:
            groups.append([])
            size = 0.0
        groups[-1].append(piece)
        size += piece.bytes
    return [tuple(group) for group in groups]
