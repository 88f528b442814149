"""Kernels: factorisations of tall matrices on the workers, from QR factors of their chunks (Benson, Gleich and Demmel, 2013)."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.moves import mapped, over, spread
from dmlite.backends.local import linalg
from dmlite.backends.local.storage import Matrix, choose, dense
from dmlite.errors import DMLRuntimeError


def svd(a: Any) -> tuple[Chunked, Matrix, np.ndarray]:
    """U (n x m), S (m x m, diagonal, descending) and V (m x m) with `A = U %*% S %*% t(V)`, for at least as many rows as columns.

    The largest entry of each column of U is positive. Raises DMLRuntimeError on NaN or infinite cells.
    """
    (x,) = spread(a)
    at = x.session
    factors = over(_factors, x)
    small = at.gather(at.each(_which, factors, [1] * len(factors), name="pick"))
    q, r = np.linalg.qr(np.concatenate(small))
    u, s, vt = np.linalg.svd(r)
    ends = [0, *itertools.accumulate(len(part) for part in small)]
    turned = q @ u
    held = at.each(_which, factors, [0] * len(factors), name="pick")
    own = [turned[low:high].copy() for low, high in itertools.pairwise(ends)]
    vectors = mapped(np.matmul, Chunked(at, held, x.bounds, x.cols, dense=True), own, dense=True)
    signs = _signs(vectors)
    return mapped(np.multiply, vectors, signs, dense=True), choose(np.diag(s)), vt.T * signs


def _factors(x: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Q and R of a chunk."""
    x = dense(x)
    if not np.isfinite(x).all():
        raise DMLRuntimeError("svd needs finite cells, this matrix holds NaN or infinite ones", hint="use replace() or remove them")
    q, r = np.linalg.qr(x)
    return q, r


def _which(results: tuple[Any, ...], which: int) -> Any:
    return results[which]


def _signs(vectors: Chunked) -> np.ndarray:
    """Per column, the sign that makes its first (nearly) largest entry positive."""
    largest = np.maximum.reduce(vectors.session.gather(over(linalg.largest, vectors)))
    found = vectors.session.gather(over(linalg.first_signs, vectors, largest))
    signs = np.zeros_like(largest)
    for part in found:
        signs[signs == 0] = part[signs == 0]
    return signs
