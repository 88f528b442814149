"""Matrices and scalars in files: `read`, `read_meta` and `write`, one module a family of formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from dmlite.backends.local.storage import Matrix, is_chunked, is_matrix
from dmlite.config import config
from dmlite.errors import DMLIOError
from dmlite.memory import budget_bytes
from dmlite.plan.planning import is_read_there
from dmlite.runtime.io import binary, coordinate, csv, parquet, parts, scalar
from dmlite.runtime.io.files import create_text, local_path, parts_of, replacing, reporting
from dmlite.runtime.io.meta import Meta, describe, parse_write, sidecar_text

__all__ = ["Meta", "read", "read_meta", "write"]

_READERS: Final[Mapping[str, Callable[[Meta], Matrix]]] = {
    "csv": csv.read,
    "text": coordinate.read_text,
    "mm": coordinate.read_mm,
    "binary": binary.read,
    "parquet": parquet.read,
}
_PEEKS: Final[Mapping[str, Callable[[Meta], Meta]]] = {
    "csv": csv.peek,
    "mm": coordinate.peek_mm,
    "binary": binary.peek,
    "parquet": parquet.peek,
}


def read(filename: str, **params: Any) -> Any:
    """The matrix or scalar in a file; a matrix that does not fit here, or that all is to be distributed for, is read by workers.

    `params` are those of DML's read: data_type, value_type, rows, cols, nnz, format, sep, header, fill, default, naStrings.
    What they leave open comes from `<filename>.mtd`, then the extension, then the contents.
    Raises DMLIOError naming the file, and the line where there is one.
    """
    meta = describe(filename, params)
    with reporting(meta.path):
        if meta.data_type == "scalar":
            return scalar.read(meta)
        found = _by_workers(meta)
        return _read_here(meta) if found is None else found


def _by_workers(meta: Meta) -> Any:
    if config().exec == "local":
        return None
    from dmlite.runtime.io.size import expected_bytes

    try:
        size = expected_bytes(_peeked(meta))
    except DMLIOError:
        return None  # what is wrong is told by reading here
    if not is_read_there(size, budget_bytes(config().memory), config()):
        return None
    from dmlite.runtime.io import chunked

    return chunked.read(meta)


def _read_here(meta: Meta) -> Matrix:
    return parts.read(meta) if os.path.isdir(meta.path) else _READERS[meta.format](meta)


def _peeked(meta: Meta) -> Meta:
    if os.path.isdir(meta.path):
        return parts.peek(meta)
    return _PEEKS[meta.format](meta) if meta.format in _PEEKS else meta


def read_meta(filename: str, **params: Any) -> Meta:
    """What can be known about a file without reading its data: kind, format, and sizes where its head tells them.

    Raises DMLIOError as `read` does.
    """
    meta = describe(filename, params)
    with reporting(meta.path):
        return _peeked(meta) if meta.data_type == "matrix" else meta


def write(value: Any, filename: str, **params: Any) -> None:
    """Write a matrix or scalar, and its `.mtd` file; all of it or nothing. Workers write what lies there, binary and Parquet in parts.

    `params` are those of DML's write: format (text, csv, mm, binary, parquet), sep, header, sparse, description.
    Raises DMLIOError naming the file.
    """
    path = local_path(filename)
    options = parse_write(path, params)
    with reporting(path):
        if is_matrix(value):
            _write_matrix(value, path, options)
        elif isinstance(value, float | int | str):
            _write_scalar(value, path, options)
        else:
            raise DMLIOError(f"{path}: writing a {type(value).__name__} is not supported yet", hint="dmlite writes matrices and scalars")


def _write_scalar(value: float | int | bool | str, path: str, options: Mapping[str, Any]) -> None:
    text, kind = scalar.text_and_type(value)
    entries = [("data_type", "scalar"), ("value_type", kind), ("format", "text"), ("description", options.get("description"))]
    with replacing(path, path + ".mtd") as (data, sidecar):
        with create_text(data) as file:
            file.write(text)
        with create_text(sidecar) as file:
            file.write(sidecar_text(entries))


def _write_matrix(matrix: Any, path: str, options: Mapping[str, Any]) -> None:
    form = options.get("format", "text")
    if form == "parquet":
        parquet.library(path)
    sidecars = [] if form == "mm" else [path + ".mtd"]
    with replacing(path, *sidecars) as (data, *described):
        if is_chunked(matrix):
            from dmlite.runtime.io import chunked_writing

            nnz = chunked_writing.write(matrix, data, form, options)
        else:
            _write_data(matrix, data, form, options)
            nnz = int(np.count_nonzero(matrix)) if isinstance(matrix, np.ndarray) else int(matrix.nnz)
        rows = matrix.heights if parts_of(data) else None
        for sidecar in described:
            with create_text(sidecar) as file:
                file.write(sidecar_text(_matrix_entries(matrix.shape, nnz, rows, form, options)))
    if form == "mm" and os.path.isfile(path + ".mtd"):
        # What it says is about the file just replaced.
        os.unlink(path + ".mtd")


def _write_data(matrix: Matrix, path: str, form: str, options: Mapping[str, Any]) -> None:
    if form == "parquet":
        parquet.write(matrix, path)
        return
    if form == "binary":
        with open(path, "xb") as file:
            binary.write(matrix, file)
        return
    with create_text(path) as text:
        if form == "csv":
            csv.write(matrix, text, **{key: options[key] for key in ("sep", "header", "sparse") if key in options})
        else:
            (coordinate.write_mm if form == "mm" else coordinate.write_text)(matrix, text)


def _matrix_entries(
    shape: tuple[int, int], nnz: int, part_rows: list[int] | None, form: str, options: Mapping[str, Any]
) -> list[tuple[str, Any]]:
    is_csv = form == "csv"
    return [
        ("data_type", "matrix"),
        ("value_type", "double"),
        ("rows", shape[0]),
        ("cols", shape[1]),
        ("nnz", nnz),
        ("format", form),
        ("part_rows", part_rows),
        ("description", options.get("description")),
        ("header", options.get("header", False) if is_csv else None),
        ("sep", options.get("sep", ",") if is_csv else None),
    ]
