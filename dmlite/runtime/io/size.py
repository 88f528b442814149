"""How much memory the matrix in a file will take, from its sizes or a look at its first lines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from dmlite.backends.local.storage import SPARSE_LIMIT
from dmlite.runtime.io import coordinate, csv
from dmlite.runtime.io.meta import Meta

_SAMPLE: Final = 1 << 18  # bytes of text that tell how long a line is
_CELL: Final = 8.0  # times the bytes of a number on disk that it takes in memory, at most
_ENTRY: Final = 12.0  # bytes of a stored non-zero


@dataclass(frozen=True)
class Lines:
    """Of a text file: where its data starts, bytes of data, bytes of a line, the number of lines expected, and fields of the first."""

    start: int
    bytes: int
    width: float
    count: float
    fields: int


def lines_of(meta: Meta) -> Lines:
    """The lines of a text file, from its head."""
    start, fields = csv.head(meta) if meta.format == "csv" else (coordinate.head(meta)[1], 3)
    with open(meta.path, "rb") as file:
        file.seek(start)
        sample = file.read(_SAMPLE)
    size = os.path.getsize(meta.path) - start
    width = len(sample) / max(1, sample.count(b"\n"))
    return Lines(start, size, width, size / max(1.0, width), fields)


def expected_bytes(meta: Meta) -> float:
    """Bytes in memory; `meta` holds what the head of the file tells."""
    if meta.rows is None or meta.cols is None:
        return _from_lines(meta)
    as_array = 8.0 * meta.rows * meta.cols
    if meta.path.endswith(".npy"):
        as_array = min(as_array, _CELL * os.path.getsize(meta.path))  # a head may tell of more than there is
    nnz = lines_of(meta).count if meta.nnz is None and meta.format == "text" else meta.nnz
    if nnz is None or meta.cols == 1 or nnz > SPARSE_LIMIT * meta.rows * meta.cols:
        return as_array
    return min(as_array, _ENTRY * nnz + 8.0 * meta.rows)


def _from_lines(meta: Meta) -> float:
    lines = lines_of(meta)
    return 8.0 * lines.count * lines.fields if meta.format == "csv" else _ENTRY * lines.count
