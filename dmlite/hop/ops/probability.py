"""Operator rows: distribution functions and quantiles of a scalar."""

from __future__ import annotations

from typing import Final

from dmlite.hop.ops.row import Op

_ALL: Final = "mean: D = 0, sd: D = 1, df: D = ?, df1: D = ?, df2: D = ?, rate: D = 1"
_LOWER: Final = ", lower.tail: B = TRUE"
# letter after p (distribution function) or q (quantile), parameters, name
_DISTRIBUTIONS: Final = (
    ("norm", "mean: D = 0, sd: D = 1", "normal"),
    ("t", "df: D", "Student's t"),
    ("f", "df1: D, df2: D", "F"),
    ("chisq", "df: D", "chi-squared"),
    ("exp", "rate: D = 1", "exponential"),
)


def _pair(short: str, params: str, name: str) -> tuple[Op, Op]:
    """The distribution function and the quantile function of one distribution."""
    return (
        Op(f"p{short}", f"target: D, {params}{_LOWER}", "D", f"probability.p{short}", f"Probability below target, {name} distribution."),
        Op(f"q{short}", f"target: D, {params}", "D", f"probability.q{short}", f"Quantile of probability target, {name} distribution."),
    )


ROWS: Final[tuple[Op, ...]] = (
    Op(
        "cdf",
        f"target: D, dist: T, {_ALL}{_LOWER}",
        "D",
        "probability.cdf",
        "Probability below target; dist is normal, t, f, chisq or exp.",
    ),
    Op(
        "icdf",
        f"target: D, dist: T, {_ALL}",
        "D",
        "probability.icdf",
        "Quantile of probability target; dist is normal, t, f, chisq or exp.",
    ),
    *(op for distribution in _DISTRIBUTIONS for op in _pair(*distribution)),
)
