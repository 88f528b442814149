"""Kernels: matrices made on the workers from numbers, counts, and other matrices."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from dmlite.backends.dask.chunked import Chunked, Lazy
from dmlite.backends.dask.cluster import Session, session
from dmlite.backends.dask.moves import aligned, cut, mapped, over, regular, rows, spread
from dmlite.backends.dask.worker import apply
from dmlite.backends.local import construct
from dmlite.backends.local.casts import dimension, number
from dmlite.backends.local.storage import Matrix, dense, is_matrix, settle
from dmlite.errors import DMLRuntimeError
from dmlite.hop.ops.construct import default_step
from dmlite.hop.storage import DENSE_FILL, SMALL


# ---------------------------------------------------------------- from numbers
def heights(at: Session, n: int, row_bytes: int) -> tuple[int, ...]:
    """Where to cut n rows of so many bytes that nobody has made yet."""
    height = max(1, min(at.chunk // max(1, row_bytes), -(-n // at.slots)))
    return (*range(0, n, height), n)


def fill(data: Any, rows: Any, cols: Any, byrow: Any) -> Chunked:
    """rows x cols of one number; chunks are filled when they are needed."""
    at, n, m = session(), dimension(rows, "rows of matrix"), dimension(cols, "cols of matrix")
    is_dense = data != 0 or n * m <= DENSE_FILL
    bounds = heights(at, n, 8 * m if is_dense else 4)
    parts = [Lazy(_filled if is_dense else _nothing, (float(data), high - low, m)) for low, high in itertools.pairwise(bounds)]
    return Chunked(at, parts, bounds, m, dense=is_dense, nnz=n * m if data else 0)


def _filled(value: float, rows: int, cols: int) -> np.ndarray:
    return np.full((rows, cols), value)


def _nothing(_value: float, rows: int, cols: int) -> Matrix:
    from scipy.sparse import csr_array

    return csr_array((rows, cols))


def seq(first: Any, last: Any, step: Any) -> Chunked:
    """first, first + step, ... up to last, as a column; tasks count their part of it when they need it."""
    at, first, last = session(), number(first, "from of seq"), number(last, "to of seq")
    step = default_step(first, last) if step is None else number(step, "incr of seq")
    n = construct.length_of(first, last, step)
    bounds = heights(at, n, 8)
    parts = [Lazy(_counted, (low, high, first, step)) for low, high in itertools.pairwise(bounds)]
    return Chunked(at, parts, bounds, 1, dense=True)


def _counted(low: int, high: int, first: float, step: float) -> np.ndarray:
    return np.arange(low, high, dtype=np.float64).reshape(-1, 1) * step + first


# ---------------------------------------------------------------- counts
def table(A: Any, B: Any, W: Any, odim1: Any, odim2: Any, output_empty_blocks: bool = True) -> Any:
    """Sums of weights by pairs: the largest cells tell how large the table is, then those of all chunks are added."""
    given = spread(*(x for x in (A, B, W) if is_matrix(x)))
    if any(x.shape != given[0].shape for x in given):
        raise DMLRuntimeError("table needs matrices of the same shape")
    a, b, w = (given.pop(0) if is_matrix(x) else x for x in (A, B, W))
    at = a.session
    if odim1 is None or odim2 is None:
        most = np.max(at.gather(over(_extents, a, b)), axis=0)
        odim1, odim2 = (int(m) if d is None else d for m, d in zip(most, (odim1, odim2), strict=True))
    return at.total(over(construct.table, a, b, w, odim1, odim2), "add", "table", small=False)


def _extents(a: Matrix, b: Any) -> tuple[float, float]:
    b = dense(b).ravel() if is_matrix(b) else np.array([float(b)])
    return tuple(float(np.fmax.reduce(v, initial=0.0)) for v in (dense(a).ravel(), b))  # type: ignore[return-value]


# ---------------------------------------------------------------- diagonals and triangles
def diag(x: Any) -> Chunked:
    """A column as a diagonal matrix, or the diagonal of a square one."""
    (x,) = spread(x)
    n = x.shape[0]
    starts = list(x.bounds[:-1])
    if x.cols == 1:
        return mapped(_diagonal_rows, x, starts, n, cols=n, dense=n * n < SMALL)
    return mapped(_diagonal_part, x, starts, cols=1, dense=True)


def _diagonal_rows(x: Matrix, first: int, n: int) -> Matrix:
    from scipy.sparse import csr_array

    kind = construct.index_type(n, n)
    places = np.arange(len(dense(x)) + 1, dtype=kind)
    made = csr_array((dense(x).ravel().copy(), places[:-1] + kind(first), places), shape=(x.shape[0], n))
    made.eliminate_zeros()
    return made.toarray() if n * n < SMALL else made


def _diagonal_part(x: Matrix, first: int) -> np.ndarray:
    return x.diagonal(first).reshape(-1, 1).copy()


def lower_tri(target: Any, diag: Any, values: Any) -> Chunked:
    """Ones (or the values of the target) below the diagonal, and on it when `diag`."""
    return _triangle(construct.lower_tri, target, diag, values)


def upper_tri(target: Any, diag: Any, values: Any) -> Chunked:
    """Ones (or the values of the target) above the diagonal, and on it when `diag`."""
    return _triangle(construct.upper_tri, target, diag, values)


def _triangle(function: Any, target: Any, diag: Any, values: Any) -> Chunked:
    (x,) = spread(target)
    return mapped(function, x, bool(diag), bool(values), list(x.bounds[:-1]))


# ---------------------------------------------------------------- shapes
def rbind(*parts: Any) -> Chunked:
    """Matrices below each other: their chunks as they are."""
    at = next((p.session for p in parts if isinstance(p, Chunked)), None) or session()
    if len({p.shape[1] for p in parts}) != 1:
        raise construct.unbindable(0, parts)
    given = [p if isinstance(p, Chunked) else aligned(at, p, cut(at, [p])) for p in parts if p.shape[0]]
    bounds = [0, *itertools.accumulate(h for p in given for h in p.heights)]
    return Chunked(at, [c for p in given for c in p.parts], bounds, parts[0].shape[1], dense=all(p.dense for p in given))


def reshape(data: Any, rows: Any, cols: Any, byrow: Any) -> Chunked:
    """The cells row by row in another shape: every chunk takes them from the rows that hold them."""
    (x,) = spread(data)
    n, m = dimension(rows, "rows of matrix"), dimension(cols, "cols of matrix")
    if n * m != x.shape[0] * x.cols:
        raise DMLRuntimeError(f"a {x.shape[0]}x{x.cols} matrix has {x.shape[0] * x.cols} cells and cannot become {n}x{m}")
    bounds = regular(n, len(x.parts))
    return Chunked(x.session, [_cells(x, low, high, m) for low, high in itertools.pairwise(bounds)], bounds, m, dense=x.dense, nnz=x.nnz)


def _cells(x: Chunked, low: int, high: int, cols: int) -> Any:
    """A future of the rows from low to high of x in rows of so many columns."""
    first, last = low * cols // x.cols, -(-high * cols // x.cols)
    return x.session.one(apply, _reshaped, rows(x, first, last), low * cols - first * x.cols, high - low, cols, name="reshape")


def _reshaped(x: Matrix, skipped: int, rows: int, cols: int) -> Matrix:
    if isinstance(x, np.ndarray):
        return x.reshape(-1)[skipped : skipped + rows * cols].reshape(rows, cols)
    flat = x.reshape((1, x.shape[0] * x.shape[1])).tocsr()[:, skipped : skipped + rows * cols]
    return settle(flat.reshape((rows, cols)).tocsr())
