"""Solvers, factorisations and spectra: LAPACK through NumPy, with signs and orders that do not vary."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.linalg import LinAlgError

from dmlite.backends.local.storage import Matrix, choose, dense, is_sparse, settle
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve

_EPS: Final = float(np.finfo(np.float64).eps)
_EQUATION: Final = re.compile(r"[A-Za-z]{1,2}(,[A-Za-z]{1,2})*->[A-Za-z]{0,2}")
_SINGULAR_HINT: Final = "add a small value to the diagonal, or remove dependent columns"


def solve(a: Matrix, b: Matrix) -> np.ndarray:
    """The n x m solution X of `A %*% X = b`, A n x n, b n x m.

    Raises DMLRuntimeError when A is not square or exactly singular.
    """
    n = a.shape[0]
    if a.shape[1] != n:
        raise DMLRuntimeError(
            f"solve needs a square matrix, found {_shape(a)}",
            hint="for least squares use solve(t(A) %*% A, t(A) %*% b)",
        )
    if b.shape[0] != n:
        raise DMLRuntimeError(f"solve of {_shape(a)} and {_shape(b)}: the right-hand side needs {n} rows")
    if is_sparse(a) and n > 0:
        return _solve_sparse(a, dense(b))
    try:
        return np.linalg.solve(dense(a), dense(b))
    except LinAlgError:
        raise _singular(a) from None


def _solve_sparse(a: Matrix, b: np.ndarray) -> np.ndarray:
    """Sparse LU keeps a large CSR matrix sparse."""
    from scipy.sparse.linalg import splu

    if b.shape[1] == 0:
        return np.zeros(b.shape)
    try:
        return splu(a.tocsc()).solve(b)
    except RuntimeError:
        raise _singular(a) from None


def inv(a: Matrix) -> Matrix:
    """The inverse of an n x n matrix; CSR of a CSR diagonal.

    Raises DMLRuntimeError when A is not square or exactly singular.
    """
    n = _square(a, "inv")
    if is_sparse(a) and a.nnz <= n:
        return _invert_permuted_diagonal(a)
    try:
        return np.linalg.inv(dense(a))
    except LinAlgError:
        raise _singular(a) from None


def _invert_permuted_diagonal(a: Matrix) -> Matrix:
    """With no more non-zeros than rows, only a row permutation of a diagonal has an inverse, and it is as sparse."""
    if np.unique(a.indices).size < a.shape[0] or (np.diff(a.indptr) != 1).any():
        raise _singular(a)
    inverse = a.T.tocsr()
    inverse.data = 1.0 / inverse.data
    return settle(inverse)


def cholesky(a: Matrix) -> np.ndarray:
    """The lower triangle L with `A = L %*% t(L)`.

    Raises DMLRuntimeError unless A is square, symmetric and positive definite.
    """
    _square(a, "cholesky")
    a = dense(a)
    if not _is_symmetric(a):
        raise DMLRuntimeError(f"cholesky needs a symmetric matrix, this {_shape(a)} one is not", hint="use (A + t(A)) / 2 to symmetrise")
    try:
        return np.linalg.cholesky(a)
    except LinAlgError:
        raise DMLRuntimeError(
            f"cholesky needs a positive definite matrix, this {_shape(a)} one is not",
            hint="add a small value to the diagonal",
        ) from None


def det(a: Matrix) -> float:
    """The determinant of an n x n matrix. Raises DMLRuntimeError when it is not square."""
    # The product of the pivots: NumPy goes through their logarithms, and 11 comes out as 11.000000000000002.
    from scipy.linalg import det as product_of_pivots

    _square(a, "det")
    a = dense(a)
    # Eliminating below a zero pivot would lose NaN.
    return math.nan if np.isnan(a).any() else float(product_of_pivots(a, check_finite=False))


def eigen(a: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (n x 1) in ascending order and unit eigenvectors (n x n, in columns).

    Of a matrix that is not symmetric, the real parts. The largest entry of each vector is positive.
    Raises DMLRuntimeError when A is not square or holds NaN or infinite cells.
    """
    _square(a, "eigen")
    a = dense(a)
    if _is_symmetric(a):
        values, vectors = _converge("eigen", np.linalg.eigh, a)
    else:
        values, vectors = _converge("eigen", np.linalg.eig, a)
        order = np.lexsort((values.imag, values.real))
        values, vectors = values.real[order], vectors.real[:, order]
    return values.reshape(-1, 1), vectors * _signs(vectors)


def svd(a: Matrix) -> tuple[np.ndarray, Matrix, np.ndarray]:
    """The thin U (n x k), S (k x k, diagonal, descending) and V (m x k) with `A = U %*% S %*% t(V)`, k = min(n, m).

    The largest entry of each column of U is positive. Raises DMLRuntimeError on NaN or infinite cells.
    """
    u, s, vt = _converge("svd", lambda x: np.linalg.svd(x, full_matrices=False), dense(a))
    signs = _signs(u)
    return u * signs, choose(np.diag(s)), vt.T * signs


def qr(a: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Householder vectors H and the upper triangle R, both n x m, with `A = Q %*% R`.

    Q is the product, from the first to the last column h of H, of `I - h %*% t(h) / h[j]`, where h[j] is its diagonal entry.
    """
    n, m = a.shape
    k = min(n, m)
    packed, tau = np.linalg.qr(dense(a), mode="raw")
    packed = packed.T
    # LAPACK leaves a column that is already triangular alone; here every column is reflected.
    reflect = (tau == 0) & (packed.diagonal() != 0)
    vectors = np.zeros((n, m))
    vectors[:, :k] = np.tril(packed[:, :k], -1)
    np.fill_diagonal(vectors[:k, :k], 1.0)
    vectors[:, :k] *= np.where(reflect, 2.0, tau)
    packed[:k][reflect] *= -1.0
    return vectors, np.triu(packed)


def lu(a: Matrix) -> tuple[Matrix, np.ndarray, np.ndarray]:
    """The permutation P, unit lower L and upper U (all n x n) with `P %*% A = L %*% U`. Raises DMLRuntimeError unless A is square."""
    from scipy.linalg import lu as factor

    _square(a, "lu")
    p, lower, upper = factor(dense(a), check_finite=False)
    return choose(np.ascontiguousarray(p.T)), lower, upper


def sqrt_matrix(a: Matrix) -> np.ndarray:
    """The principal square root R with `R %*% R = A`.

    Raises DMLRuntimeError when A is not square or has no real square root.
    """
    _square(a, "sqrtMatrixJava")
    a = dense(a)
    if _is_symmetric(a):
        values, vectors = _converge("sqrtMatrixJava", np.linalg.eigh, a)
        if values.size and values[0] < -10 * a.shape[0] * _EPS * abs(values).max():
            raise _no_root(a)
        return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    from scipy.linalg import sqrtm

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = _converge("sqrtMatrixJava", sqrtm, a)
    if not np.isfinite(root).all() or abs(root.imag).max(initial=0.0) > 1e-8 * abs(root.real).max(initial=0.0):
        raise _no_root(a)
    return np.ascontiguousarray(root.real)


def einsum(equation: str, *operands: Matrix) -> np.ndarray | float:
    """Einstein summation over matrices; an operand with one index is a vector, a result with one a column, with none a scalar.

    Raises DMLRuntimeError when the equation is malformed or does not fit the shapes.
    """
    equation = equation.replace(" ", "")
    if not _EQUATION.fullmatch(equation):
        raise DMLRuntimeError(
            f"einsum cannot read the equation '{equation}'", hint='write one or two letters an operand, as in "ij,jk->ik"'
        )
    inputs, output = equation.split("->")
    terms = inputs.split(",")
    if len(terms) != len(operands):
        raise DMLRuntimeError(f"einsum '{equation}' takes {len(terms)} matrices, found {len(operands)}")
    arrays: list[np.ndarray] = []
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, operands, strict=True):
        if len(term) == 1 and 1 not in operand.shape:
            raise DMLRuntimeError(f"einsum '{equation}': '{term}' needs a vector, found {_shape(operand)}")
        array = dense(operand) if len(term) == 2 else dense(operand).reshape(-1)
        for letter, size in zip(term, array.shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                raise DMLRuntimeError(f"einsum '{equation}': index '{letter}' is {sizes[letter]} in one place and {size} in another")
        arrays.append(array)
    if not set(output) <= sizes.keys() or len(set(output)) != len(output):
        raise DMLRuntimeError(f"einsum '{equation}': each index of the result must appear once, and in an operand")
    reserve(sizes.get(output[:1], 1), sizes.get(output[1:], 1), "the result of einsum")
    result = np.einsum(equation, *arrays, optimize=len(arrays) > 1)
    if not output:
        return float(result)
    return np.array(result.reshape(-1, 1) if len(output) == 1 else result)


# ---------------------------------------------------------------- shared checks
def _square(a: Matrix, what: str) -> int:
    n, m = a.shape
    if n != m:
        raise DMLRuntimeError(f"{what} needs a square matrix, found {n}x{m}")
    return n


def _is_symmetric(a: np.ndarray) -> bool:
    """Symmetric up to the rounding of the products that build covariances; NaN is not.

    A cell of a covariance near zero is as uncertain as the variances of its row and column are large.
    """
    size = np.sqrt(abs(a.diagonal()))
    difference = abs(a - a.T)
    return bool((difference <= 10 * a.size * _EPS * np.maximum(np.outer(size, size), np.maximum(abs(a), abs(a.T)))).all())


def _signs(vectors: np.ndarray) -> np.ndarray:
    """Per column, the sign that makes its first (nearly) largest entry positive: the sign of a singular vector is free."""
    return first_signs(vectors, largest(vectors)) if vectors.size else np.ones(vectors.shape[1])


def largest(vectors: np.ndarray) -> np.ndarray:
    """The largest size of an entry of each column."""
    return abs(vectors).max(axis=0)


def first_signs(vectors: np.ndarray, largest: np.ndarray) -> np.ndarray:
    """Per column, the sign of the first entry that is nearly as large as `largest`; 0 when there is none."""
    near = abs(vectors) >= (1 - 1e-6) * largest
    first = near.argmax(axis=0)
    columns = np.arange(vectors.shape[1])
    return np.where(near[first, columns], np.where(vectors[first, columns] < 0, -1.0, 1.0), 0.0)


def _converge(what: str, factor: Callable[..., Any], a: np.ndarray) -> Any:
    if not np.isfinite(a).all():
        raise DMLRuntimeError(
            f"{what} needs finite cells, this {_shape(a)} matrix holds NaN or infinite ones", hint="use replace() or remove them"
        )
    try:
        return factor(a)
    except LinAlgError:
        raise DMLRuntimeError(f"{what} of a {_shape(a)} matrix did not converge") from None


def _singular(a: Matrix) -> DMLRuntimeError:
    return DMLRuntimeError(f"the {_shape(a)} matrix is singular", hint=_SINGULAR_HINT)


def _no_root(a: np.ndarray) -> DMLRuntimeError:
    return DMLRuntimeError(f"the {_shape(a)} matrix has no real square root", hint="its eigenvalues must not be negative")


def _shape(x: Matrix) -> str:
    return f"{x.shape[0]}x{x.shape[1]}"
