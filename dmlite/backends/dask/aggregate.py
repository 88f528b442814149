"""Kernels: aggregates over the chunks of a matrix that are no plain sums, and running ones."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.moves import mapped, over, spread
from dmlite.backends.local import aggregate, elementwise
from dmlite.backends.local.storage import Matrix, dense
from dmlite.errors import DMLRuntimeError


# ---------------------------------------------------------------- of all cells, and by column
def mean_w(x: Any, w: Any) -> float:
    """sum(w * x) / sum(w)."""
    x, w = spread(x, w)
    sums = np.add.reduce(x.session.gather(over(_weighted_sums, x, w)))
    return float(sums[0] / sums[1]) if sums[1] else math.nan


def _weighted_sums(x: Matrix, w: Matrix) -> np.ndarray:
    return np.array([aggregate.sum(elementwise.mul(w, x)), aggregate.sum(w)])


def var(x: Any) -> float:
    """Sample variance of all cells."""
    (x,) = spread(x)
    cells, _, squares = merged(x.session.gather(over(_moments, x)))
    return float(squares / (cells - 1))


def sd(x: Any) -> float:
    """Sample standard deviation of all cells."""
    return math.sqrt(var(x))


def colVars(x: Any) -> np.ndarray:
    """Sample variance of each column, 1 x m."""
    (x,) = spread(x)
    rows, _, squares = merged(x.session.gather(over(_moments_of_columns, x)))
    return squares / (rows - 1)


def colSds(x: Any) -> np.ndarray:
    """Sample standard deviation of each column, 1 x m."""
    return np.sqrt(colVars(x))


def _moments(x: Matrix) -> tuple[int, Any, Any]:
    cells = x.shape[0] * x.shape[1]
    return cells, np.float64(aggregate.mean(x)), np.float64(aggregate.var(x)) * (cells - 1)


def _moments_of_columns(x: Matrix) -> tuple[int, Any, Any]:
    return x.shape[0], aggregate.colMeans(x), aggregate.colVars(x) * (x.shape[0] - 1)


def merged(parts: list[tuple[int, Any, Any]]) -> tuple[int, Any, Any]:
    """Count, mean and sum of squares beside the mean, of several such, in their order (Chan, Golub and LeVeque, 1983)."""
    n, mean, squares = parts[0]
    for m, other, more in parts[1:]:
        distance, total = other - mean, n + m
        squares = squares + more + distance * distance * (n * m / total)
        mean = mean + distance * (m / total)
        n = total
    return n, mean, squares


def trace(x: Any) -> float:
    """Sum of the diagonal. Raises DMLRuntimeError for a matrix that is not square."""
    (x,) = spread(x)
    if x.shape[0] != x.cols:
        raise DMLRuntimeError(f"trace needs a square matrix, not {x.shape[0]}x{x.cols}")
    return float(np.add.reduce(x.session.gather(over(_trace_of_rows, x, list(x.bounds[:-1])))))


def _trace_of_rows(x: Matrix, first: int) -> float:
    return float(np.add.reduce(x.diagonal(first)))


# ---------------------------------------------------------------- running aggregates
def _running(f: np.ufunc, total: Callable[[Matrix], np.ndarray], kernel: Callable[[Matrix], np.ndarray]) -> Callable[[Any], Chunked]:
    """Totals of all chunks but the last; then each chunk with what came before put into its first row."""

    def run(x: Any) -> Chunked:
        (x,) = spread(x)
        totals = x.session.gather(over(total, x)[:-1])
        carried = [None, *itertools.accumulate(totals, f)]
        return mapped(_after, x, carried, f, kernel, dense=True)

    return run


def _after(x: Matrix, carried: np.ndarray | None, f: np.ufunc, kernel: Callable[[Matrix], np.ndarray]) -> np.ndarray:
    if carried is None:
        return kernel(x)
    x = dense(x).copy()
    x[:1] = f(carried, x[:1])
    return kernel(x)


cumsum = _running(np.add, aggregate.colSums, aggregate.cumsum)
cumprod = _running(np.multiply, aggregate.colProds, aggregate.cumprod)
cummin = _running(np.minimum, aggregate.colMins, aggregate.cummin)
cummax = _running(np.maximum, aggregate.colMaxs, aggregate.cummax)


def cumsum_up(x: Any) -> Chunked:
    """Running sums up each column, from the last row of the last chunk."""
    (x,) = spread(x)
    totals = x.session.gather(over(aggregate.colSums, x)[1:])
    carried = [*reversed([None, *itertools.accumulate(reversed(totals))])]
    return mapped(_before, x, carried, dense=True)


def _before(x: Matrix, carried: np.ndarray | None) -> np.ndarray:
    if carried is None:
        return aggregate.cumsum_up(x)
    x = dense(x).copy()
    x[-1:] += carried
    return aggregate.cumsum_up(x)


def cumsumprod(x: Any) -> Chunked:
    """y[i] = x[i,1] + x[i,2] * y[i-1]: every chunk is a linear function of the y before it."""
    (x,) = spread(x)
    if x.cols != 2:
        raise DMLRuntimeError(f"cumsumprod needs a matrix of two columns, not {x.shape[0]}x{x.cols}")
    lines = x.session.gather(over(_line, x)[:-1])
    carried = [*itertools.accumulate(lines, lambda y, line: line[0] + line[1] * y, initial=0.0)]
    return mapped(_along, x, carried, cols=1, dense=True)


def _line(x: Matrix) -> tuple[float, float]:
    return float(aggregate.cumsumprod(x)[-1, 0]), float(np.multiply.reduce(dense(x)[:, 1]))


def _along(x: Matrix, before: float) -> np.ndarray:
    x = dense(x).copy()
    x[0, 0] += x[0, 1] * before
    return aggregate.cumsumprod(x)
