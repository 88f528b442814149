"""Operator rows: statistics of column vectors and of groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size


def _columns(count: int, result: Callable[..., Size] | None = None) -> Callable[..., Size]:
    """A size rule that wants the first `count` arguments to be columns of one length."""

    def rule(*facts: Fact) -> Size:
        given = [f for f in facts[:count] if f.is_matrix]
        for f in given:
            if f.cols not in (None, 1):
                raise ShapeError(f"a column vector is needed here, not a matrix of {f.shape_text()}", "t(x) turns a row into a column")
        if len({f.rows for f in given} - {None}) > 1:
            raise ShapeError(f"columns of one length are needed, not {' and '.join(f.shape_text() for f in given)}")
        return result(*facts) if result else (None, None)

    return rule


def _like_last(*facts: Fact) -> Size:
    return facts[-1].rows, facts[-1].cols


def _one_column(*_: Fact) -> Size:
    return None, 1


def _groups_size(target: Fact, _groups: Fact, _fn: Fact, _weights: Fact, ngroups: Fact, _order: Fact) -> Size:
    return ngroups.const_int(), target.cols


def _linear(flops: float) -> Callable[..., float | None]:
    return lambda x, *_: None if x.cells is None else flops * x.cells


def _number(name: str, params: str, doc: str, flops: float, **kw: Any) -> Op:
    columns = params.count(": M")
    return Op(name, params, "D", f"statistics.{name}", doc, size=_columns(columns), flops=_linear(flops), **kw)


_MOMENT: Final = "of order k (2, 3 or 4, divided by the number of values; 0 gives the mean)"
_RULE: Final = "the value at position ceil(p * n), averaged with the next for a single p and an even count"

ROWS: Final[tuple[Op, ...]] = (
    _number("moment", "X: M, k: D", f"Central moment {_MOMENT}.", 8, aliases=("centralMoment",)),
    _number("moment_w", "X: M, W: M, k: D", f"Weighted central moment {_MOMENT}.", 10, spelling="moment", aliases=("centralMoment",)),
    _number("cov", "X: M, Y: M, W: M = ?", "Sample covariance of two columns, divided by n - 1 or by the sum of the weights less 1.", 23),
    _number("median", "X: M, W: M = ?", "Middle value, the mean of both for an even count; W says how often each value counts.", 20),
    _number("quantile", "X: M, p: D", f"Quantile: {_RULE}.", 20),
    _number("quantile_w", "X: M, W: M, p: D", f"Quantile with repetition counts W: {_RULE}.", 20, spelling="quantile"),
    Op(
        "quantiles",
        "X: M, P: M",
        "M",
        "statistics.quantiles",
        "Quantiles, a value for each cell of P, never averaged.",
        size=_columns(1, _like_last),
        flops=_linear(20),
        spelling="quantile",
    ),
    Op(
        "quantiles_w",
        "X: M, W: M, P: M",
        "M",
        "statistics.quantiles_w",
        "Quantiles with repetition counts W, a value for each cell of P, never averaged.",
        size=_columns(2, _like_last),
        flops=_linear(20),
        spelling="quantile",
    ),
    _number("interQuartileMean", "X: M, W: M = ?", "Mean of the values between the quartiles, shares of the border values included.", 20),
    Op(
        "interQuantile",
        "X: M, p: D",
        "M",
        "statistics.interQuantile",
        "The sorted values above the p quantile, up to the 1 - p quantile.",
        size=_columns(1, _one_column),
        flops=_linear(20),
    ),
    Op(
        "interQuantile_w",
        "X: M, W: M, p: D",
        "M",
        "statistics.interQuantile_w",
        "The sorted values above the p quantile, up to the 1 - p quantile, each repeated as W says.",
        size=_columns(2, _one_column),
        flops=_linear(20),
        spelling="interQuantile",
    ),
    Op(
        "aggregate",
        "target: M, groups: M, fn: T, weights: M = ?, ngroups: D = ?, order: D|T = ?",
        "M",
        "statistics.aggregate",
        "One row a group: sum, count, mean, variance, min, max or centralmoment of the rows of target by the group numbers.",
        size=_groups_size,
        flops=_linear(8),
        aliases=("groupedAggregate",),
    ),
)
