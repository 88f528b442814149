"""Matrices between this process and the workers, and from one cut into another."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.cluster import Session, session
from dmlite.backends.dask.worker import apply, loaded
from dmlite.backends.local.storage import Matrix, is_sparse
from dmlite.memory import reserve


def collect(x: Any) -> Any:
    """A matrix of the workers, here. Raises DMLRuntimeError when it cannot fit, and at the line whose task failed."""
    if not isinstance(x, Chunked):
        return x
    if x.dense:
        reserve(*x.shape, "collecting a matrix")
    parts = x.session.gather(list(resident(x).parts))
    return stacked(*parts)


def stacked(*parts: Matrix) -> Matrix:
    """Chunks below each other: CSR if all are."""
    if len(parts) == 1:
        return parts[0]
    if all(map(is_sparse, parts)):
        from scipy.sparse import vstack

        return type(parts[0])(vstack(parts, format="csr"))
    return np.concatenate([p.toarray() if is_sparse(p) else p for p in parts])


def resident(x: Chunked) -> Chunked:
    """The matrix with all its chunks in the memory of workers, or on their disks."""
    if not any(hasattr(p, "load") for p in x.parts):
        return x
    parts = x.session.each(loaded, list(x.parts), name="load")
    return Chunked(x.session, parts, x.bounds, x.cols, dense=x.dense, nnz=x.nnz, likely=x.likely)


def cut(at: Session, values: Sequence[Any]) -> tuple[int, ...]:
    """Where to cut values of as many rows: chunks of about the bytes that the session has for one, and work for every slot."""
    rows = max(x.shape[0] for x in values)
    row_bytes = max(1, max(_bytes(x) for x in values) // rows)
    height = max(1, min(at.chunk // row_bytes, -(-rows // at.slots)))
    return (*range(0, rows, height), rows)


def _bytes(x: Matrix) -> int:
    return x.nbytes if isinstance(x, np.ndarray) else x.data.nbytes + x.indices.nbytes + x.indptr.nbytes


def aligned(at: Session, x: Any, bounds: Sequence[int]) -> Chunked:
    """A matrix in chunks with these bounds."""
    if not isinstance(x, Chunked):
        parts = [at.put(x[low:high].copy()) for low, high in itertools.pairwise(bounds)]
        return Chunked(at, parts, bounds, x.shape[1], dense=isinstance(x, np.ndarray), nnz=None if isinstance(x, np.ndarray) else x.nnz)
    if x.bounds == tuple(bounds):
        return x
    parts = [rows(x, low, high) for low, high in itertools.pairwise(bounds)]
    return Chunked(at, parts, bounds, x.cols, dense=x.dense, nnz=x.nnz, likely=x.likely)


def spread(*values: Any) -> list[Chunked]:
    """Matrices of as many rows on the workers, cut alike: as the first one that lies there, else by their size."""
    found = next((x for x in values if isinstance(x, Chunked)), None)
    at = session() if found is None else found.session
    bounds = cut(at, values) if found is None else found.bounds
    return [aligned(at, x, bounds) for x in values]


def over(function: Callable[..., Any], *operands: Any) -> list[Any]:
    """Futures of a function for every chunk: of matrices it gets their chunks, of lists the values in turn, and all else as it is."""
    x = next(o for o in operands if isinstance(o, Chunked))
    n = len(x.parts)
    columns = [o.parts if isinstance(o, Chunked) else o if isinstance(o, list) else [o] * n for o in operands]
    return x.session.each(apply, [function] * n, *columns, name=function.__name__.strip("_"))


def mapped(function: Callable[..., Any], x: Chunked, *operands: Any, cols: int | None = None, dense: bool = False) -> Chunked:
    """The matrix of what a function makes of every chunk of x, and of the operands beside it as in `over`."""
    return Chunked(x.session, over(function, x, *operands), x.bounds, x.cols if cols is None else cols, dense=dense)


def regular(rows: int, chunks: int) -> tuple[int, ...]:
    """Bounds of about so many chunks."""
    height = max(1, -(-rows // max(1, chunks)))
    return (*range(0, rows, height), rows)


def rows(x: Chunked, low: int, high: int) -> Any:
    """Some rows, put together from the chunks that hold them: a future, or a whole chunk as it is."""
    if low in x.bounds[:-1] and x.bounds[x.bounds.index(low) + 1] == high:
        return x.parts[x.bounds.index(low)]
    pieces = [(p, max(low - a, 0), min(high, b) - a) for p, a, b in x.ranges() if a < high and b > low]
    return x.session.one(apply, _put_together, *(v for piece in pieces for v in piece), name="rows")


def _put_together(*pieces: Any) -> Matrix:
    taken = [loaded(x)[low:high] for x, low, high in zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True)]
    return stacked(*taken)
