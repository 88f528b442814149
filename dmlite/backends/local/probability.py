"""Distribution functions and their inverses, of scalars."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from dmlite.errors import DMLRuntimeError, did_you_mean


@dataclass(frozen=True)
class Distribution:
    """Parameter names, P(X <= x), P(X > x) and the quantile; each function gets the point, then the parameters."""

    parameters: tuple[str, ...]
    lower: Callable[..., float]
    upper: Callable[..., float]
    quantile: Callable[..., float]


_SQRT_HALF: Final = math.sqrt(0.5)

DISTRIBUTIONS: Final[dict[str, Distribution]] = {
    "normal": Distribution(
        ("mean", "sd"),
        lambda x, mean, sd: 0.5 * math.erfc((mean - x) / sd * _SQRT_HALF),
        lambda x, mean, sd: 0.5 * math.erfc((x - mean) / sd * _SQRT_HALF),
        lambda p, mean, sd: mean + sd * _special().ndtri(p),
    ),
    "t": Distribution(
        ("df",),
        lambda x, df: _special().stdtr(df, x),
        lambda x, df: _special().stdtr(df, -x),
        # SciPy loses the sign of the infinite ends.
        lambda p, df: math.copysign(_special().stdtrit(df, p), p - 0.5),
    ),
    "f": Distribution(
        ("df1", "df2"),
        lambda x, df1, df2: _special().fdtr(df1, df2, max(x, 0.0)),
        lambda x, df1, df2: _special().fdtrc(df1, df2, max(x, 0.0)),
        lambda p, df1, df2: _special().fdtri(df1, df2, p),
    ),
    "chisq": Distribution(
        ("df",),
        lambda x, df: _special().chdtr(df, max(x, 0.0)),
        lambda x, df: _special().chdtrc(df, max(x, 0.0)),
        lambda p, df: 2.0 * _special().gammaincinv(df / 2.0, p),
    ),
    "exp": Distribution(
        ("rate",),
        lambda x, rate: -math.expm1(-rate * max(x, 0.0)),
        lambda x, rate: math.exp(-rate * max(x, 0.0)),
        lambda p, rate: -math.log1p(-p) / rate if p < 1 else math.inf,
    ),
}


def cdf(
    target: float, dist: str, mean: float, sd: float, df: float | None, df1: float | None, df2: float | None, rate: float, lower_tail: bool
) -> float:
    """P(X <= target), or P(X > target) without `lower_tail`. Raises DMLRuntimeError on an unknown distribution or bad parameters."""
    return _probability(dist, target, lower_tail, mean=mean, sd=sd, df=df, df1=df1, df2=df2, rate=rate)


def icdf(target: float, dist: str, mean: float, sd: float, df: float | None, df1: float | None, df2: float | None, rate: float) -> float:
    """The x with P(X <= x) = target. Raises DMLRuntimeError as `cdf` does, and for a target outside of [0, 1]."""
    return _quantile(dist, target, mean=mean, sd=sd, df=df, df1=df1, df2=df2, rate=rate)


def pnorm(target: float, mean: float, sd: float, lower_tail: bool) -> float:
    """`cdf` of the normal distribution."""
    return _probability("normal", target, lower_tail, mean=mean, sd=sd)


def pt(target: float, df: float, lower_tail: bool) -> float:
    """`cdf` of Student's t distribution."""
    return _probability("t", target, lower_tail, df=df)


def pf(target: float, df1: float, df2: float, lower_tail: bool) -> float:
    """`cdf` of the F distribution."""
    return _probability("f", target, lower_tail, df1=df1, df2=df2)


def pchisq(target: float, df: float, lower_tail: bool) -> float:
    """`cdf` of the chi-squared distribution."""
    return _probability("chisq", target, lower_tail, df=df)


def pexp(target: float, rate: float, lower_tail: bool) -> float:
    """`cdf` of the exponential distribution."""
    return _probability("exp", target, lower_tail, rate=rate)


def qnorm(target: float, mean: float, sd: float) -> float:
    """`icdf` of the normal distribution."""
    return _quantile("normal", target, mean=mean, sd=sd)


def qt(target: float, df: float) -> float:
    """`icdf` of Student's t distribution."""
    return _quantile("t", target, df=df)


def qf(target: float, df1: float, df2: float) -> float:
    """`icdf` of the F distribution."""
    return _quantile("f", target, df1=df1, df2=df2)


def qchisq(target: float, df: float) -> float:
    """`icdf` of the chi-squared distribution."""
    return _quantile("chisq", target, df=df)


def qexp(target: float, rate: float) -> float:
    """`icdf` of the exponential distribution."""
    return _quantile("exp", target, rate=rate)


def _probability(dist: str, x: float, lower_tail: bool, **given: float | None) -> float:
    distribution, values = _parameters(dist, given)
    return float((distribution.lower if lower_tail else distribution.upper)(float(x), *values))


def _quantile(dist: str, p: float, **given: float | None) -> float:
    distribution, values = _parameters(dist, given)
    if not 0 <= p <= 1:
        raise DMLRuntimeError(f"a probability must lie between 0 and 1, found {p}")
    return float(distribution.quantile(float(p), *values))


def _parameters(dist: str, given: dict[str, float | None]) -> tuple[Distribution, list[float]]:
    """The distribution and its checked parameters, all but the mean positive."""
    distribution = DISTRIBUTIONS.get(dist)
    if distribution is None:
        hint = did_you_mean(dist, DISTRIBUTIONS) or f"known are {', '.join(DISTRIBUTIONS)}"
        raise DMLRuntimeError(f"unknown distribution '{dist}'", hint=hint)
    values = []
    for name in distribution.parameters:
        value = given[name]
        if value is None:
            raise DMLRuntimeError(f"the {dist} distribution needs the parameter '{name}'")
        if name != "mean" and not value > 0:
            raise DMLRuntimeError(f"the parameter '{name}' of the {dist} distribution must be positive, found {value}")
        values.append(float(value))
    return distribution, values


def _special() -> Any:
    """SciPy's special functions, without the tenth of a second that `scipy.stats` costs."""
    from scipy import special

    return special
