"""Aggregates of a matrix that was scaled, shifted or negated: the aggregate first, the scalar after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from dmlite.hop.node import Hop, make
from dmlite.rewrite.rule import Match, Rule, Values, folded
from dmlite.rewrite.static.guards import Guard, alone, both, filled, finite, nonzero, number, where_finite

_LATER: Final = "the scalar meets one number or vector instead of the matrix"
_COUNTED: Final = (("sum", "cells", 20), ("rowSums", "cols", 4), ("colSums", "rows", 5))  # what is counted, and how many of a 5x4 matrix
_MEANS: Final = ("mean", "rowMeans", "colMeans")
_OPPOSITE: Final = {"min": "max", "rowMins": "rowMaxs", "colMins": "colMaxs", "max": "min", "rowMaxs": "rowMins", "colMaxs": "colMins"}
_SPREADS: Final = {
    "var": "square(a)",
    "sd": "abs(a)",
    "rowVars": "square(a)",
    "rowSds": "abs(a)",
    "colVars": "square(a)",
    "colSds": "abs(a)",
}


After = str | Callable[[Match], Hop]


def _positive(m: Match) -> bool:
    return finite("a")(m) and m.fact("a").low > 0


def _negative(m: Match) -> bool:
    return finite("a")(m) and m.fact("a").high < 0


def _rule(name: str, before: str | tuple[str, ...], after: After, *guards: Guard, values: Values = "reassociates", **more: str) -> Rule:
    return Rule(name, before, after, _LATER, values, where=both(alone, *guards), **more)  # type: ignore[arg-type]


def _scaled(agg: str) -> tuple[Rule, ...]:
    """Sums and means are linear; infinity times a sum is not the sum of what infinity makes of zeros."""
    times = Rule(f"{agg}_of_scaled", f"{agg}(X * a)", f"{agg}(X) * a", _LATER, "ignores-nan", where=alone, shapes="X=5x4")
    return (
        where_finite(replace(times, values="reassociates"), "a"),
        replace(times, where=both(alone, filled("X"))),  # the sum of no cells is zero, times NaN too
        _rule(f"{agg}_of_divided", f"{agg}(X / a)", f"{agg}(X) / a", nonzero("a"), shapes="a=3"),
        _rule(f"{agg}_of_negation", f"{agg}(-X)", f"-{agg}(X)"),
    )


def _counted(agg: str, size: str) -> Callable[[Match], Hop]:
    """agg(X) and as many of the scalar as there are cells, in the order of the difference or sum."""

    def after(m: Match) -> Hop:
        (inner,) = m.root.args
        cells, total = number(getattr(m.fact("X"), size)), make(agg, [m.bound["X"]])
        if inner.op == "one_minus":
            return make("sub", [cells, total])
        shifts = folded("mul", [cells, m.bound["a"]]) or make("mul", [cells, m.bound["a"]])
        return make(inner.op, [total, shifts] if inner.args[0] is m.bound["X"] or inner.op == "add" else [shifts, total])

    return after


def _shifted_sum(agg: str, size: str, count: int) -> tuple[Rule, ...]:
    """With sizes that are known, so that nothing else holds on to the shifted matrix."""
    after, shapes = _counted(agg, size), "X=5x4"
    return (
        _rule(f"{agg}_of_shifted", f"{agg}(X + a)", after, filled("X"), shapes=shapes, example=f"{agg}(X) + {count} * a"),
        _rule(f"{agg}_of_shifted_down", f"{agg}(X - a)", after, filled("X"), shapes=shapes, example=f"{agg}(X) - {count} * a"),
        _rule(f"{agg}_of_shifted_from", f"{agg}(a - X)", after, filled("X"), shapes=shapes, example=f"{count} * a - {agg}(X)"),
        _rule(f"{agg}_of_one_minus", f"{agg}(one_minus(X))", after, filled("X"), shapes=shapes, example=f"{count} - {agg}(X)"),
    )


def _shifted_mean(agg: str) -> tuple[Rule, ...]:
    """Means along a side without cells are zero, whatever is added."""
    return (
        _rule(f"{agg}_of_shifted", f"{agg}(X + a)", f"{agg}(X) + a", filled("X"), shapes="X=5x4"),
        _rule(f"{agg}_of_shifted_down", f"{agg}(X - a)", f"{agg}(X) - a", filled("X"), shapes="X=5x4"),
        _rule(f"{agg}_of_shifted_from", f"{agg}(a - X)", f"a - {agg}(X)", filled("X"), shapes="X=5x4"),
        _rule(f"{agg}_of_one_minus", f"{agg}(one_minus(X))", f"1 - {agg}(X)", filled("X"), shapes="X=5x4"),
    )


def _extreme(agg: str, opposite: str) -> tuple[Rule, ...]:
    """Rounding never changes the order, so the extreme of the results is the result for the extreme, to the last bit."""

    def rule(name: str, before: str, after: str, *guards: Guard, **more: str) -> Rule:
        shapes = f"X=5x4 {more.pop('shapes', '')}".strip()
        return _rule(f"{agg}_of_{name}", f"{agg}({before})", after, filled("X"), *guards, values="exact", shapes=shapes, **more)

    return (
        rule("shifted", "X + a", f"{agg}(X) + a", finite("a"), facts="a finite"),
        rule("shifted_down", "X - a", f"{agg}(X) - a", finite("a"), facts="a finite"),
        rule("shifted_from", "a - X", f"a - {opposite}(X)", finite("a"), facts="a finite"),
        rule("one_minus", "one_minus(X)", f"1 - {opposite}(X)"),
        rule("negation", "-X", f"-{opposite}(X)"),
        rule("scaled_up", "X * a", f"{agg}(X) * a", _positive, shapes="a=2"),
        rule("scaled_and_turned", "X * a", f"{opposite}(X) * a", _negative, shapes="a=-2"),
        rule("divided_up", "X / a", f"{agg}(X) / a", _positive, shapes="a=3"),
        rule("divided_and_turned", "X / a", f"{opposite}(X) / a", _negative, shapes="a=-3"),
    )


def _spread(agg: str, factor: str) -> tuple[Rule, ...]:
    """Variances do not see shifts."""
    return (
        _rule(f"{agg}_of_shifted", (f"{agg}(X + a)", f"{agg}(X - a)", f"{agg}(a - X)"), f"{agg}(X)", finite("a"), facts="a finite"),
        _rule(f"{agg}_of_turned", (f"{agg}(-X)", f"{agg}(one_minus(X))"), f"{agg}(X)"),
        _rule(f"{agg}_of_scaled", f"{agg}(X * a)", f"{agg}(X) * {factor}", finite("a"), facts="a finite"),
    )


RULES: Final = (
    *(rule for agg in (*(c[0] for c in _COUNTED), *_MEANS) for rule in _scaled(agg)),
    *(rule for counted in _COUNTED for rule in _shifted_sum(*counted)),
    *(rule for agg in _MEANS for rule in _shifted_mean(agg)),
    *(rule for agg, opposite in _OPPOSITE.items() for rule in _extreme(agg, opposite)),
    *(rule for agg, factor in _SPREADS.items() for rule in _spread(agg, factor)),
    *(
        _rule(f"{agg}_of_scaled", f"{agg}(X * a)", f"{agg}(X) * square(a)", finite("a"), facts="a finite")
        for agg in ("sumsq", "rowSumsSq", "colSumsSq")
    ),
)
