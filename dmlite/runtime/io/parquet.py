"""Parquet files of numbers, through pyarrow: columns of numbers or booleans, missing values as NaN."""

from __future__ import annotations

import itertools
from typing import Any, Final

import numpy as np

from dmlite import memory
from dmlite.backends.local.storage import Matrix, dense
from dmlite.errors import DMLIOError
from dmlite.runtime.io.meta import Meta, with_sizes
from dmlite.runtime.io.table import pack

_GROUP: Final = 1 << 23  # cells of a row group


def read(meta: Meta) -> Matrix:
    """The matrix in a Parquet file. Raises DMLIOError for columns of anything but numbers, and without pyarrow."""
    rows, cols = _shape(meta.path)
    meta.check_shape(rows, cols)
    memory.reserve(rows, cols, "a matrix")
    return pack(rows_of(meta.path, 0, rows))


def peek(meta: Meta) -> Meta:
    """The sizes in the foot of the file."""
    shape = _shape(meta.path)
    meta.check_shape(*shape)
    return with_sizes(meta, *shape)


def rows_of(path: str, low: int, high: int) -> np.ndarray:
    """Some rows of the matrix in a file; the groups of rows that hold them are read one by one."""
    with _opened(path) as file:
        schema = file.schema_arrow
        for field in schema:
            if not _is_number(field.type):
                raise DMLIOError(f"{path}: column '{field.name}' holds {field.type}, expected numbers")
        found = np.empty((high - low, len(schema)))
        first = 0
        for group in range(file.metadata.num_row_groups):
            behind = first + file.metadata.row_group(group).num_rows
            if first < high and behind > low:
                _fill(found, file.read_row_group(group), first - low)
            first = behind
    return found


def _fill(found: np.ndarray, table: Any, first: int) -> None:
    """Put a table into the rows from `first` on, as far as they are there."""
    low, high = max(0, first), min(len(found), first + table.num_rows)
    for j, column in enumerate(table.slice(low - first, high - low).columns):
        found[low:high, j] = column.cast("float64", safe=False).to_numpy()


def _is_number(kind: Any) -> bool:
    from pyarrow import types

    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind) or types.is_null(kind)


def _shape(path: str) -> tuple[int, int]:
    with _opened(path) as file:
        return file.metadata.num_rows, len(file.schema_arrow)


def _opened(path: str) -> Any:
    parquet = library(path)
    try:
        return parquet.ParquetFile(path)
    except ValueError as error:  # that pyarrow raises, are all of this kind
        raise DMLIOError(f"{path}: damaged or foreign Parquet file: {error}") from error


def library(path: str) -> Any:
    """`pyarrow.parquet`. Raises DMLIOError when it is not installed."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise DMLIOError(f"{path}: Parquet files need pyarrow", hint="pip install 'dmlite[parquet]'") from None
    return parquet


def write(matrix: Matrix, path: str) -> None:
    """A new file with columns C1, C2, ..., in groups of rows."""
    parquet = library(path)
    import pyarrow

    rows, cols = matrix.shape
    names = [f"C{j + 1}" for j in range(cols)]
    height = max(1, _GROUP // max(cols, 1))
    with parquet.ParquetWriter(path, pyarrow.schema([(name, pyarrow.float64()) for name in names])) as file:
        for low, high in itertools.pairwise([*range(0, rows, height), rows]):
            block = dense(matrix[low:high])
            file.write_table(pyarrow.table([pyarrow.array(block[:, j]) for j in range(cols)], names=names))
