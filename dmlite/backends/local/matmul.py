"""Matrix products, dense or CSR on either side, and the fused forms that never build a transpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dmlite.backends.local import blas, compiled, transposes
from dmlite.backends.local.storage import Matrix, dense, is_matrix, is_sparse, settle
from dmlite.backends.local.threads import BLAS
from dmlite.codegen.templates import LARGE_PRODUCT
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve

if TYPE_CHECKING:
    from scipy.sparse import csr_array

# Rows of X are read in blocks of this many bytes by `mmchain`, so that the second use of a block finds it in cache.
_BLOCK_BYTES: Final = 1 << 20


def matmul(a: Matrix, b: Matrix) -> Matrix:
    """`A %*% B`: n x k times k x m; CSR only when both are, and the product is sparse enough.

    Raises DMLRuntimeError when the inner dimensions differ or an operand is a scalar.
    """
    if a.__class__ is np.ndarray and b.__class__ is np.ndarray:
        (n, k), (rows, m) = a.shape, b.shape
        if k != rows:
            raise _misfit(a, b)
        return a @ b if n * m * k < LARGE_PRODUCT else large(a, b)
    return _sparse_product(a, b)


def large(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """`A %*% B` of dense matrices that fit, on all cores. Raises DMLRuntimeError when the result cannot fit into memory."""
    if out is None:
        reserve(a.shape[0], b.shape[1], "a matrix product")
    with BLAS.large():
        return np.matmul(a, b, out)


def gemm(c: np.ndarray, s: float, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`C + s * (A %*% B)` of dense matrices: m x n, m x k and k x n, without the product as a matrix of its own.

    Raises DMLRuntimeError when the shapes do not fit.
    """
    return gemm_inplace(np.array(dense(c), order="C"), s, a, b)


def gemm_inplace(c: np.ndarray, s: float, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`gemm` in the memory of C, a row-major array of its own."""
    a, b = dense(a), dense(b)
    if a.shape[1] != b.shape[0]:
        raise _misfit(a, b)
    if c.shape != (a.shape[0], b.shape[1]):
        raise DMLRuntimeError(f"a product of {a.shape[0]}x{b.shape[1]} does not fit {_shape(c)} cell by cell")
    with BLAS.large():
        blas.add_product(c, s, a, b)
    return c


def _sparse_product(a: Any, b: Any) -> Matrix:
    """The product when at least one operand is not a dense matrix."""
    if not (is_matrix(a) and is_matrix(b)):
        raise DMLRuntimeError("'%*%' multiplies two matrices, found a scalar", hint="use '*' to scale a matrix")
    if a.shape[1] != b.shape[0]:
        raise _misfit(a, b)
    if is_sparse(a) and is_sparse(b):
        return _both_sparse(a, b)
    reserve(a.shape[0], b.shape[1], "a matrix product")
    return _csr_times_dense(a, b) if is_sparse(a) else _csr_transposed_times_dense(b, a.T).T


def _csr_times_dense(a: csr_array, b: np.ndarray) -> np.ndarray:
    """`A %*% B`, by compiled loops where they are ready and worth it."""
    work = a.nnz * b.shape[1]
    loops = compiled.loops(a, work)
    if loops is None:
        return a @ b
    out, b, stored = np.empty((a.shape[0], b.shape[1])), np.ascontiguousarray(b), compiled.stored(a)
    compiled.by_rows(a, work, lambda low, high: loops.product(*stored, b, low, high, out))
    return out


def _csr_transposed_times_dense(a: csr_array, b: np.ndarray) -> np.ndarray:
    """`t(A) %*% B`, by compiled loops where they are ready and worth it."""
    work, shape = a.nnz * b.shape[1], (a.shape[1], b.shape[1])
    loops = compiled.loops(a, work)
    if loops is None:
        return a.T @ b
    turned = transposes.kept(a, b.shape[1])
    if turned is not None:
        return _csr_times_dense(turned, b)
    b, stored = np.ascontiguousarray(b), compiled.stored(a)
    return compiled.summed(a, work, shape, lambda low, high, out: loops.product_of_transpose(*stored, b, low, high, out))


def _both_sparse(a: csr_array, b: csr_array) -> Matrix:
    """CSR times CSR; the columns within a row come out of SciPy in any order."""
    pairs = int(np.diff(b.indptr)[a.indices].sum(dtype=np.int64))
    reserve(1, min(pairs, a.shape[0] * b.shape[1]), "the list of non-zeros of a matrix product", bytes_per_cell=12)
    product = settle(a @ b)
    if is_sparse(product):
        product.sort_indices()
    return product


def tmm(a: Matrix, b: Matrix) -> Matrix:
    """`t(A) %*% B`: A k x n, B k x m; a CSR A is read as it lies."""
    if a.shape[0] != b.shape[0]:
        raise DMLRuntimeError(f"t(A) %*% B needs as many rows in A as in B, found {_shape(a)} and {_shape(b)}")
    if is_sparse(a) and is_sparse(b):
        return _both_sparse(a.T.tocsr(), b)
    if is_sparse(a) and is_matrix(b):
        reserve(a.shape[1], b.shape[1], "a matrix product")
        return _csr_transposed_times_dense(a, b)
    return matmul(a.T, b)


def tsmm_left(x: Matrix) -> Matrix:
    """`t(X) %*% X`, n x n of an m x n matrix, exactly symmetric."""
    return _both_sparse(x.T.tocsr(), x) if is_sparse(x) else matmul(x.T, x)


def tsmm_right(x: Matrix) -> Matrix:
    """`X %*% t(X)`, m x m of an m x n matrix, exactly symmetric."""
    return _both_sparse(x, x.T.tocsr()) if is_sparse(x) else matmul(x, x.T)


def mmchain(x: Matrix, v: Matrix) -> np.ndarray:
    """`t(X) %*% (X %*% v)`, n x c of an m x n matrix and an n x c one."""
    return _chain(x, v, None, None)


def mmchain_w(x: Matrix, v: Matrix, w: Matrix) -> np.ndarray:
    """`t(X) %*% (w * (X %*% v))`, with w m x 1 or m x c."""
    return _chain(x, v, w, np.multiply)


def mmchain_y(x: Matrix, v: Matrix, y: Matrix) -> np.ndarray:
    """`t(X) %*% ((X %*% v) - y)`, with y m x 1 or m x c."""
    return _chain(x, v, y, np.subtract)


def _chain(x: Matrix, v: Matrix, u: Matrix | None, combine: Callable[..., Any] | None) -> np.ndarray:
    """t(X) (X v combined with u), in one scan of a large row-major X."""
    if x.shape[1] != v.shape[0]:
        raise _misfit(x, v)
    if u is not None and (u.shape[0] != x.shape[0] or u.shape[1] not in (1, v.shape[1])):
        raise DMLRuntimeError(f"X %*% v is {x.shape[0]}x{v.shape[1]} and does not fit the {_shape(u)} vector beside it")
    v, u = dense(v), None if u is None else dense(u)
    if is_sparse(x) or x.nbytes <= 2 * _BLOCK_BYTES or not x.flags.c_contiguous:
        return x.T @ _between(x @ v, u, combine)
    step = max(1, _BLOCK_BYTES // (8 * x.shape[1]))
    total = np.zeros((x.shape[1], v.shape[1]))
    for start in range(0, x.shape[0], step):
        block = x[start : start + step]
        total += block.T @ _between(block @ v, None if u is None else u[start : start + step], combine)
    return total


def _between(q: np.ndarray, u: np.ndarray | None, combine: Callable[..., Any] | None) -> np.ndarray:
    return q if combine is None else combine(q, u, out=q)


def _misfit(a: Matrix, b: Matrix) -> DMLRuntimeError:
    return DMLRuntimeError(
        f"matrix product of {_shape(a)} and {_shape(b)}: the inner dimensions {a.shape[1]} and {b.shape[0]} differ",
        hint="transpose one of the two with t(), or check how they were built",
    )


def _shape(x: Matrix) -> str:
    return f"{x.shape[0]}x{x.shape[1]}"
