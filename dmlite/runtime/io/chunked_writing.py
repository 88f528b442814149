"""Matrices on workers to files: every worker writes its chunks, and nothing goes through the memory of this process."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.worker import apply
from dmlite.backends.local.storage import Matrix, is_sparse
from dmlite.runtime.io import binary, coordinate, csv, parquet
from dmlite.runtime.io.files import create_text, part_name, reporting

_BLOCK: Final = 1 << 22  # bytes that are copied at a time


def write(x: Chunked, path: str, form: str, options: Mapping[str, Any]) -> int:
    """Write a matrix to a file that is not there yet, binary and Parquet to a folder of parts; its number of non-zeros.

    All workers must see the folder. Raises DMLIOError.
    """
    target = os.path.abspath(path)
    if form in ("binary", "parquet"):
        os.mkdir(target)
        return sum(_tasks(x, _write_part, form, target))
    drafts = target + ".parts"
    os.mkdir(drafts)
    try:
        counts = _tasks(x, _write_text, form, drafts, {k: options[k] for k in ("sep", "header", "sparse") if k in options})
        with create_text(target) as file:
            file.write(_head(x, form, sum(counts)))
        with open(target, "ab") as whole:
            for i in range(len(counts)):
                _append(whole, os.path.join(drafts, part_name(i, ".txt")))
    finally:
        shutil.rmtree(drafts, ignore_errors=True)
    return sum(counts)


def _tasks(x: Chunked, function: Callable[..., int], *args: Any) -> list[int]:
    """What a function gives for every chunk; when one fails, the others have ended too."""
    from dask.distributed import wait

    n = len(x.parts)
    futures = x.session.each(apply, [function] * n, x.parts, range(n), x.bounds[:-1], *([a] * n for a in args), name="write")
    try:
        return x.session.gather(futures)
    except Exception:
        with x.session.client.as_current():
            wait(futures)
        raise


def _write_part(x: Matrix, number: int, _: int, form: str, folder: str) -> int:
    end = ".parquet" if form == "parquet" else ".npz" if is_sparse(x) else ".npy"
    path = os.path.join(folder, part_name(number, end))
    with reporting(path):
        if form == "parquet":
            parquet.write(x, path)
        else:
            with open(path, "wb") as file:
                binary.write(x, file)
    return _nnz(x)


def _write_text(x: Matrix, number: int, above: int, form: str, folder: str, options: Mapping[str, Any]) -> int:
    path = os.path.join(folder, part_name(number, ".txt"))
    with reporting(path), open(path, "w", encoding="utf-8", newline="\n", buffering=1 << 20) as file:
        if form == "csv":
            csv.write(x, file, **{**options, "header": options.get("header", False) and above == 0 and number == 0})
        else:
            coordinate.write_entries(x, file, above)
    return _nnz(x)


def _nnz(x: Matrix) -> int:
    return int(x.nnz) if is_sparse(x) else int(np.count_nonzero(x))


def _head(x: Chunked, form: str, nnz: int) -> str:
    if form == "mm":
        return coordinate.mm_header(*x.shape, nnz)
    return coordinate.NO_ENTRIES if form == "text" and not nnz else ""


def _append(whole: Any, path: str) -> None:
    """The bytes of a file behind others; the file goes, so that no more than one is there twice."""
    with open(path, "rb") as part:
        shutil.copyfileobj(part, whole, _BLOCK)
    os.unlink(path)
