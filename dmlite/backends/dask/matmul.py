"""Kernels: products of matrices of which none is small enough for every worker, and of few long rows."""

from __future__ import annotations

import itertools
from typing import Any

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.moves import collect, over, regular, spread
from dmlite.backends.dask.worker import apply
from dmlite.backends.local import construct, matmul, reorg
from dmlite.backends.local.storage import Matrix
from dmlite.errors import DMLRuntimeError


def _fitting(a: Any, b: Any) -> None:
    if a.shape[1] != b.shape[0]:
        raise DMLRuntimeError(f"matrix product of {a.shape[0]}x{a.shape[1]} and {b.shape[0]}x{b.shape[1]}: the inner dimensions differ")


def thin(a: Any, b: Any) -> Matrix:
    """A %*% B of few rows and a matrix on the workers: columns of A times the rows of each chunk, added."""
    a = collect(a)
    _fitting(a, b)
    (b,) = spread(b)
    at = b.session
    columns = [at.shared(a[:, low:high]) for low, high in itertools.pairwise(b.bounds)]
    return at.total(over(_product, b, columns), "add", "thin", small=a.shape[0] * b.cols * len(columns) < 1 << 19)


def _product(b: Matrix, a: Matrix) -> Matrix:
    return matmul.matmul(a, b)


def replicated(a: Any, b: Any) -> Chunked:
    """A %*% B, where every chunk of A meets every chunk of B: its columns, as many as that has rows."""
    _fitting(a, b)
    (a,), (b,) = spread(a), spread(b)
    at = a.session
    parts = []
    for part in a.parts:
        products = [at.one(apply, _of_columns, part, low, high, other, name="product") for other, low, high in b.ranges()]
        parts.append(at.joined(products, "add", "product"))
    return Chunked(at, parts, a.bounds, b.cols, dense=a.dense or b.dense)


def _of_columns(a: Matrix, low: int, high: int, b: Matrix) -> Matrix:
    return matmul.matmul(a[:, low:high], b)


def tsmm_left(x: Any) -> Chunked:
    """t(X) %*% X too large for a worker: every block of its rows is a sum over the chunks."""
    (x,) = spread(x)
    at = x.session
    bounds = regular(x.cols, min(x.cols, len(x.parts)))
    parts = [at.joined(over(_of_gram, x, low, high), "add", "gram") for low, high in itertools.pairwise(bounds)]
    return Chunked(at, parts, bounds, x.cols, dense=x.dense)


def _of_gram(x: Matrix, low: int, high: int) -> Matrix:
    return matmul.tmm(x[:, low:high], x)


def tsmm_right(x: Any) -> Chunked:
    """X %*% t(X): every chunk times all of them, side by side."""
    (x,) = spread(x)
    at = x.session
    parts = []
    for part in x.parts:
        beside = [at.one(apply, _times_transpose, part, other, name="gram") for other in x.parts]
        parts.append(at.one(apply, _beside, *beside, name="gram"))
    return Chunked(at, parts, x.bounds, x.shape[0], dense=x.dense)


def _times_transpose(a: Matrix, b: Matrix) -> Matrix:
    return matmul.matmul(a, reorg.t(b))


def _beside(*parts: Matrix) -> Matrix:
    return construct.cbind(*parts)
