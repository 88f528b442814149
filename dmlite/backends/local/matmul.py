"""Matrix products, dense or CSR on either side, and the fused forms that never build a transpose."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmlite.backends.local import blas, sparse_products, tall_products
from dmlite.backends.local.storage import Matrix, dense, is_matrix, is_sparse
from dmlite.backends.local.threads import BLAS
from dmlite.codegen.templates import LARGE_PRODUCT
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve


def matmul(a: Matrix, b: Matrix) -> Matrix:
    """`A %*% B`: n x k times k x m; CSR only when both are, and the product is sparse enough.

    Raises DMLRuntimeError when the inner dimensions differ or an operand is a scalar.
    """
    if a.__class__ is np.ndarray and b.__class__ is np.ndarray:
        (n, k), (rows, m) = a.shape, b.shape
        if k != rows:
            raise _misfit(a, b)
        return a @ b if n * m * k < tall_products.LARGE else large(a, b)
    return _sparse_product(a, b)


def large(a: np.ndarray, b: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """`A %*% B` of dense matrices that fit, on all cores. Raises DMLRuntimeError when the result cannot fit into memory."""
    if out is None:
        reserve(a.shape[0], b.shape[1], "a matrix product")
    if (found := tall_products.product(a, b, out)) is not None:
        return found
    if a.shape[0] * a.shape[1] * b.shape[1] < LARGE_PRODUCT:
        return np.matmul(a, b, out)
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
        return sparse_products.both(a, b)
    reserve(a.shape[0], b.shape[1], "a matrix product")
    return sparse_products.times_dense(a, b) if is_sparse(a) else sparse_products.transposed_times_dense(b, a.T).T


def tmm(a: Matrix, b: Matrix) -> Matrix:
    """`t(A) %*% B`: A k x n, B k x m; a CSR A is read as it lies."""
    if a.shape[0] != b.shape[0]:
        raise DMLRuntimeError(f"t(A) %*% B needs as many rows in A as in B, found {_shape(a)} and {_shape(b)}")
    if is_sparse(a) and is_sparse(b):
        return sparse_products.transposed(a, b)
    if is_sparse(a) and is_matrix(b):
        reserve(a.shape[1], b.shape[1], "a matrix product")
        return sparse_products.transposed_times_dense(a, b)
    return matmul(a.T, b)


def tsmm_left(x: Matrix) -> Matrix:
    """`t(X) %*% X`, n x n of an m x n matrix, exactly symmetric."""
    return sparse_products.gram(x) if is_sparse(x) else matmul(x.T, x)


def tsmm_right(x: Matrix) -> Matrix:
    """`X %*% t(X)`, m x m of an m x n matrix, exactly symmetric."""
    return sparse_products.both(x, x.T.tocsr()) if is_sparse(x) else matmul(x, x.T)


def mmchain(x: Matrix, v: Matrix) -> np.ndarray:
    """`t(X) %*% (X %*% v)`, n x c of an m x n matrix and an n x c one."""
    return _chain(x, v, None, "NOTHING")


def mmchain_w(x: Matrix, v: Matrix, w: Matrix) -> np.ndarray:
    """`t(X) %*% (w * (X %*% v))`, with w m x 1 or m x c."""
    return _chain(x, v, w, "TIMES")


def mmchain_y(x: Matrix, v: Matrix, y: Matrix) -> np.ndarray:
    """`t(X) %*% ((X %*% v) - y)`, with y m x 1 or m x c."""
    return _chain(x, v, y, "LESS")


def _chain(x: Matrix, v: Matrix, u: Matrix | None, combine: str) -> np.ndarray:
    """t(X) (X v combined with u), in one scan of a large row-major X."""
    if x.shape[1] != v.shape[0]:
        raise _misfit(x, v)
    if u is not None and (u.shape[0] != x.shape[0] or u.shape[1] not in (1, v.shape[1])):
        raise DMLRuntimeError(f"X %*% v is {x.shape[0]}x{v.shape[1]} and does not fit the {_shape(u)} vector beside it")
    v, u = dense(v), None if u is None else dense(u)
    found = (sparse_products if is_sparse(x) else tall_products).chain(x, v, combine, u)
    return tmm(x, tall_products.combined(matmul(x, v), combine, u)) if found is None else found


def _misfit(a: Matrix, b: Matrix) -> DMLRuntimeError:
    return DMLRuntimeError(
        f"matrix product of {_shape(a)} and {_shape(b)}: the inner dimensions {a.shape[1]} and {b.shape[0]} differ",
        hint="transpose one of the two with t(), or check how they were built",
    )


def _shape(x: Matrix) -> str:
    return f"{x.shape[0]}x{x.shape[1]}"
