"""Kernels: statistics of columns on the workers, and aggregates by group."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.moves import over, spread
from dmlite.backends.dask.ranks import Ranks
from dmlite.backends.local import statistics
from dmlite.backends.local.scalar import div
from dmlite.backends.local.storage import Matrix, dense
from dmlite.memory import reserve


def _sum(x: Chunked, parts: list[Any]) -> Any:
    return np.add.reduce(x.session.gather(parts))


def _cut_alike(what: str, *columns: Any) -> list[Any]:
    """Columns cut alike, absent ones staying so. Raises DMLRuntimeError for other shapes."""
    statistics.check_columns(what, *columns)
    given = iter(spread(*(c for c in columns if c is not None)))
    return [None if c is None else next(given) for c in columns]


# ---------------------------------------------------------------- moments
def moment(x: Any, k: float) -> float:
    """Central moment of order k in 2, 3, 4, divided by n; the mean for k = 0."""
    return moment_w(x, None, k)


def moment_w(x: Any, w: Any, k: float) -> float:
    """As `moment`, each value counted with its weight: the mean first, then the powers of what is beside it."""
    order = statistics.moment_order(k, (0, 2, 3, 4))
    x, w = _cut_alike("moment", x, w)
    weight, total = _sum(x, over(_weighted, x, w)).tolist()
    center = div(total, weight)
    return center if order == 0 else div(float(_sum(x, over(_powers, x, w, center, order))), weight)


def _weights(x: Matrix, w: Matrix | None) -> np.ndarray:
    return np.ones(x.shape[0]) if w is None else dense(w)[:, 0]


def _weighted(x: Matrix, w: Matrix | None) -> np.ndarray:
    """The sum of the weights, and of the weighted values."""
    weights = _weights(x, w)
    return np.array([weights.sum(), weights @ dense(x)[:, 0]])


def _powers(x: Matrix, w: Matrix | None, center: float, order: int) -> float:
    return float(_weights(x, w) @ (dense(x)[:, 0] - center) ** order)


def cov(x: Any, y: Any, w: Any) -> float:
    """Sample covariance of two columns, weighted by `w` when given."""
    x, y, w = _cut_alike("cov", x, y, w)
    weight, total = _sum(x, over(_weighted, x, w)).tolist()
    _, other = _sum(y, over(_weighted, y, w)).tolist()
    return div(float(_sum(x, over(_products, x, y, w, div(total, weight), div(other, weight)))), weight - 1.0)


def _products(x: Matrix, y: Matrix, w: Matrix | None, a: float, b: float) -> float:
    return float(_weights(x, w) @ ((dense(x)[:, 0] - a) * (dense(y)[:, 0] - b)))


# ---------------------------------------------------------------- quantiles
def median(x: Any, w: Any) -> float:
    """The 0.5 quantile."""
    return quantile_w(x, w, 0.5)


def quantile(x: Any, p: float) -> float:
    """The value at position ceil(p * n), averaged with the next one when n is even."""
    return quantile_w(x, None, p)


def quantile_w(x: Any, w: Any, p: float) -> float:
    """As `quantile`, each value repeated by its weight."""
    position = statistics.probability(p)
    ranks = Ranks("quantile", *_cut_alike("quantile", x, w))
    position = math.ceil(position * ranks.total)
    if ranks.total % 2 == 0 and 0 < position < ranks.total:
        return sum(ranks.values([position, position + 1])) / 2
    return ranks.values([position])[0]


def quantiles(x: Any, p: Matrix) -> np.ndarray:
    """For each cell of `p` the value at position ceil(p * n); the shape of `p`."""
    return quantiles_w(x, None, p)


def quantiles_w(x: Any, w: Any, p: Matrix) -> np.ndarray:
    """As `quantiles`, each value repeated by its weight."""
    wanted = np.array([statistics.probability(share) for share in dense(p).ravel().tolist()])
    ranks = Ranks("quantile", *_cut_alike("quantile", x, w))
    return np.array(ranks.values(np.ceil(wanted * ranks.total).tolist())).reshape(p.shape)


def interQuartileMean(x: Any, w: Any) -> float:
    """Mean between the quartiles; the values at both quartiles take part with the share that lies inside."""
    ranks = Ranks("interQuartileMean", *_cut_alike("interQuartileMean", x, w))
    total = ranks.total
    low, high = math.ceil(0.25 * total), math.ceil(0.75 * total)
    first, last = ranks.values([low, high])
    lower, upper = (low - 0.25 * total) * first, (high - 0.75 * total) * last
    return (ranks.sum_between(low, high, first, last) + lower - upper) / (0.5 * total)


def interQuantile(x: Any, p: float) -> np.ndarray:
    """The sorted values above the p quantile, up to the 1 - p quantile; k x 1."""
    return interQuantile_w(x, None, p)


def interQuantile_w(x: Any, w: Any, p: float) -> np.ndarray:
    """As `interQuantile`, each value repeated by its weight."""
    share = statistics.probability(p)
    ranks = Ranks("interQuantile", *_cut_alike("interQuantile", x, w))
    low, high = math.ceil(share * ranks.total), math.ceil((1.0 - share) * ranks.total)
    reserve(max(0, high - low), 2, "the result of interQuantile")
    return statistics.repeated(*ranks.within(*ranks.values([low, max(low, high)])), low, high)


# ---------------------------------------------------------------- groups
def aggregate(target: Any, groups: Any, fn: str, weights: Any, ngroups: Any, order: Any) -> np.ndarray:
    """`fn` of the rows of `target` that share a number in `groups`: counts and sums of all chunks, and what is made of them."""
    statistics.check_groups(fn, target, groups, weights, ngroups)
    given = iter(spread(*(m for m in (target, groups, weights) if m is not None)))
    x, g, w = next(given), next(given), None if weights is None else next(given)
    k = max(x.session.gather(over(_largest, g))) if ngroups is None else int(ngroups)
    if fn in ("min", "max"):
        return _group_extremes(x, g, fn, k)
    total = _sum(x, over(statistics.aggregate, x, g, "count", w, k, None))
    if fn == "count":
        return total
    sums = _sum(x, over(statistics.aggregate, x, g, "sum", w, k, None))
    if fn == "sum":
        return sums
    means = np.divide(sums, total, out=np.zeros_like(sums), where=total != 0)
    if fn == "mean":
        return means
    power = 2 if fn == "variance" else statistics.moment_order(order, (2, 3, 4))
    powers = _sum(x, over(_group_powers, x, g, w, x.session.shared(means), power))
    return np.divide(powers, total - 1, out=np.zeros_like(sums), where=total > 1) if fn == "variance" else powers / total


def _largest(groups: Matrix) -> int:
    return int(np.fmax.reduce(dense(groups)[:, 0], initial=0.0))


def _group_powers(x: Matrix, groups: Matrix, w: Matrix | None, means: np.ndarray, power: int) -> np.ndarray:
    k = means.shape[0]
    at = np.minimum(np.trunc(dense(groups)[:, 0]), k).astype(np.int64) - 1
    return statistics.aggregate((dense(x) - means[at]) ** power, groups, "sum", w, k, None)


def _group_extremes(x: Chunked, groups: Chunked, fn: str, k: int) -> np.ndarray:
    """Of groups without rows in a chunk nothing is known there, and of those without any the extreme is 0."""
    extremes, counts = zip(*x.session.gather(over(_extremes_and_counts, x, groups, fn, k)), strict=True)
    none, f = (np.inf, np.minimum) if fn == "min" else (-np.inf, np.maximum)
    merged = f.reduce([np.where(count == 0, none, part) for part, count in zip(extremes, counts, strict=True)])
    merged[np.add.reduce(counts) == 0] = 0.0
    return merged


def _extremes_and_counts(x: Matrix, groups: Matrix, fn: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    return statistics.aggregate(x, groups, fn, None, k, None), statistics.aggregate(x, groups, "count", None, k, None)
