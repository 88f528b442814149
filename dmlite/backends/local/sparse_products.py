"""Products with CSR matrices: by compiled loops where they are ready and worth it, else by SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dmlite.backends.local import compiled, transposes
from dmlite.backends.local.storage import SPARSE_LIMIT, Matrix, is_sparse, settle, sparse
from dmlite.memory import reserve

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Cells of a product of sparse matrices up to which it may be worked out as an array: one that fits into the last cache.
_ARRAY: Final = 1 << 22
_THIN: Final = 32  # columns of a product whose sums stay in registers


# ---------------------------------------------------------------- with a dense matrix
def times_dense(a: csr_array, b: np.ndarray) -> np.ndarray:
    """`A %*% B`."""
    work = a.nnz * b.shape[1]
    loops = compiled.loops(a, work)
    if loops is None:
        return a @ b
    out, stored = np.empty((a.shape[0], b.shape[1])), compiled.stored(a)
    is_thin = 1 < b.shape[1] <= _THIN and b.shape[0] <= a.nnz
    run, b = (loops.thin, _filled_up(b, loops.LANES)) if is_thin else (loops.product, np.ascontiguousarray(b))
    compiled.by_rows(a, work, lambda low, high: run(*stored, b, low, high, out))
    return out


def _filled_up(b: np.ndarray, lanes: Sequence[int]) -> np.ndarray:
    """B with columns of zeros behind, so that rows are strips of the widest lanes and one of any."""
    cols, widest = b.shape[1], lanes[-1]
    rest = cols % widest
    width = cols - rest + (min(n for n in lanes if n >= rest) if rest else 0)
    if width == cols:
        return np.ascontiguousarray(b)
    filled = np.zeros((b.shape[0], width))
    filled[:, :cols] = b
    return filled


def transposed_times_dense(a: csr_array, b: np.ndarray) -> np.ndarray:
    """`t(A) %*% B`."""
    work, shape = a.nnz * b.shape[1], (a.shape[1], b.shape[1])
    loops = compiled.loops(a, work)
    if loops is None:
        return a.T @ b
    turned = transposes.kept(a, b.shape[1])
    if turned is not None:
        return times_dense(turned, b)
    b, stored = np.ascontiguousarray(b), compiled.stored(a)
    return compiled.summed(a, work, shape, lambda low, high, out: loops.product_of_transpose(*stored, b, low, high, out))


def chain(x: csr_array, v: np.ndarray, combine: str, beside: np.ndarray | None) -> np.ndarray | None:
    """t(X) %*% (X %*% V, combined with `beside`), each row of X read once; None where two products are better."""
    work = 2 * x.nnz * v.shape[1]
    loops = compiled.loops(x, work) if v.size <= transposes.SCATTERED else None
    if loops is None:
        return None
    kind, v, stored = getattr(loops, combine), np.ascontiguousarray(v), compiled.stored(x)
    y = np.empty((0, 1)) if beside is None else np.ascontiguousarray(beside)
    return compiled.summed(x, work, v.shape, lambda low, high, out: loops.chain(*stored, v, kind, y, low, high, out))


# ---------------------------------------------------------------- of two CSR matrices
def both(a: csr_array, b: csr_array) -> Matrix:
    """`A %*% B`, stored as fits."""
    rows, cols = a.shape[0], b.shape[1]
    pairs = int(np.diff(b.indptr)[a.indices].sum(dtype=np.int64))
    reserve(1, min(pairs, rows * cols), "the list of non-zeros of a matrix product", bytes_per_cell=12)
    loops = compiled.loops(a, pairs) if b.indices.dtype == b.indptr.dtype == np.int32 else None
    if loops is not None and rows * cols <= min(_ARRAY, pairs):
        return _as_array(loops, a, b, pairs)
    product = settle((a @ b) if loops is None else _in_rows(loops, a, b, pairs))
    if is_sparse(product):
        product.sort_indices()
    return product


def transposed(a: csr_array, b: csr_array) -> Matrix:
    """`t(A) %*% B`, stored as fits."""
    rows, cols = a.shape[1], b.shape[1]
    pairs = a.nnz * b.nnz // max(1, a.shape[0])  # as many as there would be if rows were alike: counting takes as long as the work
    loops = compiled.loops(a, pairs) if b.indices.dtype == b.indptr.dtype == np.int32 else None
    if loops is None or rows * cols > min(_ARRAY, pairs):
        return both(a.T.tocsr(), b)
    left, right = compiled.stored(a), compiled.stored(b)
    run = loops.transpose_times_sparse
    return _stored_as_fits(compiled.summed(a, pairs, (rows, cols), lambda low, high, out: run(*left, *right, low, high, out)))


def _as_array(loops: Any, a: csr_array, b: csr_array, pairs: int) -> Matrix:
    """A product of which most cells are expected not to be zero."""
    out, left, right = np.zeros((a.shape[0], b.shape[1])), compiled.stored(a), compiled.stored(b)
    compiled.by_rows(a, pairs, lambda low, high: loops.product_of_sparse(*left, *right, low, high, out))
    return _stored_as_fits(out)


def _in_rows(loops: Any, a: csr_array, b: csr_array, pairs: int) -> csr_array:
    """Counted first, then filled; every range of rows has a row of sums of its own."""
    rows, cols = a.shape[0], b.shape[1]
    left, right = compiled.stored(a), compiled.stored(b)
    ranges = max(1, min(compiled.RANGES, pairs // (4 * cols)))
    counts = np.zeros(rows, np.uint32)
    compiled.by_rows(a, pairs, lambda low, high: loops.count(*left[:2], *right[:2], cols, low, high, counts), ranges)
    ends = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
    if ends[-1] >= 2**31:
        return a @ b
    indptr = ends.astype(np.uint32)
    indices, data = np.empty(ends[-1], np.uint32), np.empty(ends[-1])
    compiled.by_rows(a, pairs, lambda low, high: loops.fill(*left, *right, cols, low, high, indptr, indices, data), ranges)
    return type(a)((data, indices.view(np.int32), indptr.view(np.int32)), shape=(rows, cols))


def gram(x: csr_array) -> Matrix:
    """`t(X) %*% X`, exactly symmetric, stored as fits."""
    cols = x.shape[1]
    counts = np.diff(x.indptr)
    pairs = int(counts @ counts.astype(np.int64))
    loops = compiled.loops(x, pairs)
    if loops is None or cols * cols > min(_ARRAY, pairs):
        return both(x.T.tocsr(), x)
    stored = compiled.stored(x)
    upper = compiled.summed(x, pairs, (cols, cols), lambda low, high, out: loops.gram(*stored, low, high, out))
    return _stored_as_fits(upper + np.triu(upper, 1).T)


def _stored_as_fits(x: np.ndarray) -> Matrix:
    return x if x.shape[1] == 1 or np.count_nonzero(x) > SPARSE_LIMIT * x.size else sparse(x)
