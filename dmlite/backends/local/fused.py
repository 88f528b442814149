"""Small fused kernels: sums of products cell by cell, and cellwise chains that one buffer is enough for.

Operands have one shape, or the vectors that `elementwise` broadcasts. Every kernel gives what its expression gives, NaN and Inf included.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from dmlite.backends.local import aggregate, elementwise
from dmlite.backends.local.storage import Matrix, is_sparse, with_cells

_BLOCK: Final = 1 << 16  # cells in a block of rows, small enough for three of them to stay in cache


# ---------------------------------------------------------------- sums of products
def _plain(*operands: Matrix) -> bool:
    """Dense arrays of one shape."""
    return all(x.__class__ is np.ndarray and x.shape == operands[0].shape for x in operands)


def _spans(shape: tuple[int, int]) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, shape[1]))
    return (slice(i, i + step) for i in range(0, shape[0], step))


def tak(x: Matrix, y: Matrix) -> float:
    """sum(X * Y). Raises DMLRuntimeError when the shapes do not fit."""
    if not _plain(x, y):
        return aggregate.sum(elementwise.mul(x, y))
    if x.flags.c_contiguous and y.flags.c_contiguous:
        return float(x.reshape(-1).dot(y.reshape(-1)))
    return float(np.einsum("ij,ij->", x, y))


def tak3(x: Matrix, y: Matrix, z: Matrix) -> float:
    """sum(X * Y * Z). Raises DMLRuntimeError when the shapes do not fit."""
    if _plain(x, y, z):
        return sum((tak(x[part] * y[part], z[part]) for part in _spans(x.shape)), 0.0)
    first, *others = sorted((x, y, z), key=lambda m: m.nnz if is_sparse(m) else float("inf"))  # so that no dense product is made
    for other in others:
        first = elementwise.mul(first, other)
    return aggregate.sum(first)


def tak_rows(x: Matrix, y: Matrix) -> np.ndarray:
    """rowSums(X * Y), n x 1. Raises DMLRuntimeError when the shapes do not fit."""
    if not _plain(x, y):
        return aggregate.rowSums(elementwise.mul(x, y))
    return np.einsum("ij,ij->i", x, y).reshape(-1, 1)


def tak_cols(x: Matrix, y: Matrix) -> np.ndarray:
    """colSums(X * Y), 1 x m. Raises DMLRuntimeError when the shapes do not fit."""
    if not _plain(x, y):
        return aggregate.colSums(elementwise.mul(x, y))
    return np.einsum("ij,ij->j", x, y).reshape(1, -1)


def sumsq_diff(x: Matrix, y: Matrix) -> float:
    """sum((X - Y) ^ 2). Raises DMLRuntimeError when the shapes do not fit."""
    if not _plain(x, y):
        return aggregate.sumsq(elementwise.sub(x, y))
    return sum((aggregate.sumsq(x[part] - y[part]) for part in _spans(x.shape)), 0.0)


# ---------------------------------------------------------------- cell by cell
def log_nz(x: Matrix, base: float | None = None) -> Matrix:
    """(X != 0) * log(X, base): where a CSR matrix stores nothing the result is zero, a zero of a dense one gives NaN."""
    if is_sparse(x):
        data = np.log(x.data) if base is None else elementwise.log_base(x.data, base)
        return with_cells(x, data)
    out = np.log(x) if base is None else elementwise.log_base(x, base)
    return np.multiply(x != 0, out, out=out)


def minus_nz(x: Matrix, s: float) -> Matrix:
    """X - s * (X != 0)."""
    if is_sparse(x):
        return with_cells(x, x.data - s)
    out = np.multiply(x != 0, float(s))
    return np.subtract(x, out, out=out)


def relu_backward(x: Matrix, y: Matrix) -> Matrix:
    """(X > 0) * Y. Raises DMLRuntimeError when the shapes do not fit."""
    return np.multiply(x > 0, y) if _plain(x, y) else elementwise.mul(elementwise.gt(x, 0.0), y)


def one_minus_mul(x: Any, y: Any) -> Matrix:
    """1 - X * Y. Raises DMLRuntimeError when the shapes do not fit."""
    product = elementwise.mul(x, y)
    return np.subtract(1.0, product, out=product) if isinstance(product, np.ndarray) else elementwise.one_minus(product)
