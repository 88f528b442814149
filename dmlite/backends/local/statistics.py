"""Statistics of column vectors, and aggregates by group. Weights of quantiles say how often a value counts; NaN sorts last."""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from dmlite.backends.local import compiled
from dmlite.backends.local.scalar import div
from dmlite.backends.local.storage import Matrix, dense, is_sparse
from dmlite.errors import DMLRuntimeError, did_you_mean
from dmlite.memory import reserve

_SLOW: Final = 8  # multiplications that take as long as NumPy takes for a cell of a group


def _shape(x: Matrix) -> str:
    return f"{x.shape[0]}x{x.shape[1]}"


def check_columns(what: str, *operands: Matrix | None) -> None:
    """Raises DMLRuntimeError unless all that is given are columns of one length."""
    first = operands[0]
    for x in operands:
        if x is not None and x.shape[1] != 1:
            raise DMLRuntimeError(f"{what} needs a column vector, not {_shape(x)}", hint="t(x) turns a row into a column")
        if x is not None and first is not None and x.shape[0] != first.shape[0]:
            raise DMLRuntimeError(f"{what} needs columns of one length, not {_shape(first)} and {_shape(x)}")


def _columns(what: str, *operands: Matrix | None) -> list[np.ndarray]:
    """The cells of columns of one length; a column of ones stands for an absent last one."""
    check_columns(what, *operands)
    return [np.ones(operands[0].shape[0]) if x is None else dense(x)[:, 0] for x in operands]


# ---------------------------------------------------------------- moments
def moment(x: Matrix, k: float) -> float:
    """Central moment of order k in 2, 3, 4, divided by n; the mean for k = 0. Raises DMLRuntimeError for other orders."""
    return moment_w(x, None, k)


def moment_w(x: Matrix, w: Matrix | None, k: float) -> float:
    """As `moment`, each value counted with its weight."""
    values, weights = _columns("moment", x, w)
    order = moment_order(k, (0, 2, 3, 4))
    total = float(weights.sum())
    center = div(float(weights @ values), total)
    return center if order == 0 else div(float(weights @ (values - center) ** order), total)


def moment_order(k: float | str | None, allowed: tuple[int, ...]) -> int:
    """The order of a central moment. Raises DMLRuntimeError unless it is allowed."""
    try:
        order = float(k)
    except (TypeError, ValueError):
        order = math.nan
    if order not in allowed:
        raise DMLRuntimeError(f"a central moment has order {' or '.join(map(str, allowed))}, not {k}")
    return int(order)


def cov(x: Matrix, y: Matrix, w: Matrix | None) -> float:
    """Sample covariance of two columns, weighted by `w` when given; 0 for a single pair."""
    a, b, weights = _columns("cov", x, y, w)
    if a.size < 2:
        return 0.0 if a.size else math.nan
    total = float(weights.sum())
    da, db = (v - div(float(weights @ v), total) for v in (a, b))
    return div(float(weights @ (da * db)), total - 1.0)


# ---------------------------------------------------------------- quantiles
def counted(what: str, x: Matrix, w: Matrix | None) -> tuple[np.ndarray, np.ndarray]:
    """Sorted values, and the last position of each when every value is repeated by its weight.

    Raises DMLRuntimeError for weights that are no counts.
    """
    if w is None and x.shape[1] == 1:  # sorted alone, and not by a permutation
        return np.sort(dense(x)[:, 0]), np.arange(1.0, x.shape[0] + 1)
    values, weights = _columns(what, x, w)
    if not (np.all(weights >= 0) and np.all(weights == np.floor(weights))):
        raise DMLRuntimeError(f"the weights of {what} say how often a value counts and must be whole numbers from 0")
    order = np.argsort(values, kind="stable")
    ends = np.cumsum(weights[order])
    return values[order], ends


def _counted(what: str, x: Matrix, w: Matrix | None) -> tuple[np.ndarray, np.ndarray]:
    """As `counted`. Raises DMLRuntimeError also when there are no values."""
    values, ends = counted(what, x, w)
    if not (ends.size and ends[-1] > 0):
        raise no_values(what)
    return values, ends


def no_values(what: str) -> DMLRuntimeError:
    return DMLRuntimeError(f"{what} of no values", hint="test nrow(x) first")


def probability(p: float) -> float:
    """`p` if it is a probability. Raises DMLRuntimeError otherwise."""
    if not 0 <= p <= 1:
        raise DMLRuntimeError(f"a quantile needs a probability between 0 and 1, not {p}")
    return float(p)


def _position(total: float, p: float) -> int:
    return math.ceil(p * total)


def _value(values: np.ndarray, ends: np.ndarray, position: int) -> float:
    return float(values[np.searchsorted(ends, max(position, 1))])


def median(x: Matrix, w: Matrix | None) -> float:
    """The 0.5 quantile."""
    return quantile_w(x, w, 0.5)


def quantile(x: Matrix, p: float) -> float:
    """The value at position ceil(p * n), averaged with the next one when n is even."""
    return quantile_w(x, None, p)


def quantile_w(x: Matrix, w: Matrix | None, p: float) -> float:
    """As `quantile`, each value repeated by its weight."""
    values, ends = _counted("quantile", x, w)
    total = ends[-1]
    position = _position(total, probability(p))
    value = _value(values, ends, position)
    return (value + _value(values, ends, position + 1)) / 2 if total % 2 == 0 and 0 < position < total else value


def quantiles(x: Matrix, p: Matrix) -> np.ndarray:
    """For each cell of `p` the value at position ceil(p * n); the shape of `p`."""
    return quantiles_w(x, None, p)


def quantiles_w(x: Matrix, w: Matrix | None, p: Matrix) -> np.ndarray:
    """As `quantiles`, each value repeated by its weight."""
    values, ends = _counted("quantile", x, w)
    wanted = dense(p)
    for bad in wanted[~((wanted >= 0) & (wanted <= 1))][:1]:
        probability(float(bad))
    return values[np.searchsorted(ends, np.maximum(np.ceil(wanted * ends[-1]), 1.0))]


def _between(ends: np.ndarray, low: int, high: int) -> np.ndarray:
    """How often each value takes part when only the positions from low + 1 to high do."""
    return np.diff(np.clip(ends, low, high), prepend=low)


def interQuartileMean(x: Matrix, w: Matrix | None) -> float:
    """Mean between the quartiles; the values at both quartiles take part with the share that lies inside."""
    values, ends = _counted("interQuartileMean", x, w)
    total = float(ends[-1])
    low, high = _position(total, 0.25), _position(total, 0.75)
    counts = _between(ends, low, high)
    inside = counts > 0
    middle = float(counts[inside] @ values[inside])
    lower = (low - 0.25 * total) * _value(values, ends, low)
    upper = (high - 0.75 * total) * _value(values, ends, high)
    return (middle + lower - upper) / (0.5 * total)


def interQuantile(x: Matrix, p: float) -> np.ndarray:
    """The sorted values above the p quantile, up to the 1 - p quantile; k x 1."""
    return interQuantile_w(x, None, p)


def interQuantile_w(x: Matrix, w: Matrix | None, p: float) -> np.ndarray:
    """As `interQuantile`, each value repeated by its weight."""
    values, ends = _counted("interQuantile", x, w)
    low, high = _position(ends[-1], probability(p)), _position(ends[-1], 1.0 - p)
    return repeated(values, ends, low, high)


def repeated(values: np.ndarray, ends: np.ndarray, low: int, high: int) -> np.ndarray:
    """The values at the positions above low, up to high, as a column. Raises DMLRuntimeError when it cannot fit into memory."""
    counts = _between(ends, low, max(low, high)).astype(np.int64)
    reserve(int(counts.sum()), 1, "the result of interQuantile")
    return np.repeat(values, counts).reshape(-1, 1)


# ---------------------------------------------------------------- groups
_FUNCTIONS: Final = ("sum", "count", "mean", "variance", "min", "max", "centralmoment")


def aggregate(
    target: Matrix, groups: Matrix, fn: str, weights: Matrix | None, ngroups: float | None, order: float | str | None
) -> np.ndarray:
    """`fn` of the rows of `target` (n x m) that share a number in `groups` (n x 1, truncated, from 1); ngroups x m.

    Without `ngroups` there are max(groups) rows; with it, larger numbers are left out. Groups without rows give 0, their central
    moment NaN. `weights` (n x 1) need m = 1; they do not change min and max. Raises DMLRuntimeError for other shapes, numbers below 1, and
    an unknown `fn`.
    """
    check_groups(fn, target, groups, weights, ngroups)
    numbers, share = _columns("aggregate", groups, weights)
    numbers = np.trunc(numbers)
    if not np.all(numbers >= 1):
        raise DMLRuntimeError(f"group numbers start from 1; {numbers[~(numbers >= 1)][0]} is among them")
    k = int(numbers.max(initial=0)) if ngroups is None else int(ngroups)
    reserve(k, target.shape[1], "the result of aggregate")
    kept = numbers <= k
    if not kept.all():
        target, share, numbers = target[np.flatnonzero(kept)], share[kept], numbers[kept]
    return _grouped(fn, target, numbers.astype(np.int64) - 1, share, k, order)


def check_groups(fn: str, target: Matrix, groups: Matrix, weights: Matrix | None, ngroups: float | None) -> None:
    """Raises DMLRuntimeError for what `aggregate` does not take."""
    if fn not in _FUNCTIONS:
        raise DMLRuntimeError(
            f'aggregate does not know fn="{fn}"', hint=did_you_mean(fn, _FUNCTIONS) or f"use one of {', '.join(_FUNCTIONS)}"
        )
    if target.shape[0] != groups.shape[0]:
        raise DMLRuntimeError(f"aggregate needs a group for each row, not {_shape(groups)} groups for a target of {_shape(target)}")
    if target.shape[1] != 1 and (ngroups is None or weights is not None):
        raise DMLRuntimeError(
            f"aggregate of a target of {_shape(target)} needs ngroups and takes no weights", hint="for one column both are free to choose"
        )
    if ngroups is not None and not 0 <= ngroups < 2**62:
        raise DMLRuntimeError(f"ngroups is the number of groups, it cannot be {ngroups}")


def _grouped(fn: str, target: Matrix, at: np.ndarray, share: np.ndarray, k: int, order: float | str | None) -> np.ndarray:
    """`fn` by group, for group numbers `at` from 0 to k - 1."""
    m = target.shape[1]
    if fn in ("min", "max"):
        out = _group_extremes(dense(target), at, k, fn)
        out[np.bincount(at, minlength=k) == 0] = 0.0
        return out
    total = np.bincount(at, weights=share, minlength=k).reshape(-1, 1).astype(np.float64, copy=False)
    if fn == "count":
        return np.repeat(total, m, axis=1)
    sums = _group_sums(target, at, share, k)
    if fn == "sum":
        return sums
    means = np.divide(sums, total, out=np.zeros_like(sums), where=total != 0)
    if fn == "mean":
        return means
    centered = dense(target) - means[at]
    if fn == "variance":
        return np.divide(_group_sums(centered**2, at, share, k), total - 1, out=np.zeros_like(sums), where=total > 1)
    return _group_sums(centered ** moment_order(order, (2, 3, 4)), at, share, k) / total


def _group_extremes(x: np.ndarray, at: np.ndarray, k: int, fn: str) -> np.ndarray:
    """The smallest ("min") or largest cells of the rows by group, k x m; of no rows plus or minus infinity."""
    extreme, start = (np.minimum, np.inf) if fn == "min" else (np.maximum, -np.inf)
    out = np.full((k, x.shape[1]), start)
    if loops := compiled.ready(_SLOW * x.size):
        x = np.ascontiguousarray(x)
        loops.grouped(loops.MIN if fn == "min" else loops.MAX, x, at, np.empty(0), 0, len(x), out)
    else:
        extreme.at(out, at, x)
    return out


def _group_sums(x: Matrix, at: np.ndarray, share: np.ndarray, k: int) -> np.ndarray:
    """Sums of the rows of x (n x m, dense or CSR) by group, each row times its share; k x m."""
    if not is_sparse(x) and (loops := compiled.ready(_SLOW * x.size)):
        out = np.zeros((k, x.shape[1]))
        loops.grouped(loops.SUM, np.ascontiguousarray(x), at, np.ascontiguousarray(share), 0, len(x), out)
        return out
    if x.shape[1] == 1 and at.size:
        return np.bincount(at, weights=dense(x)[:, 0] * share, minlength=k).reshape(-1, 1)
    from scipy.sparse import csr_array

    return dense(csr_array((share, (at, np.arange(at.size))), shape=(k, at.size)) @ x)
