"""Choices cell by cell: ifelse, min and max."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, make
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import alone, both, finite, same_shape, where_finite

_ONE: Final = "one pass instead of two"
# Functions that never fall, so that the larger operand gives the larger value.
_INCREASING: Final = ("exp", "sigmoid_op", "tanh", "atan", "sinh", "sign", "round", "floor", "ceil")

_CONDITIONS: Final = (
    Rule("zeros_chosen", ("ifelse(X == 0, a, X)", "ifelse(X != 0, X, a)", "ifelse(X, X, a)"), "replace(X, 0, a)", "one pass, no condition", where=alone),
    Rule("nan_chosen", "ifelse(is.nan(X), a, X)", "replace(X, NaN, a)", "one pass, no condition", where=alone),
    Rule("choice_of_not", "ifelse(!C, any1, any2)", "ifelse(C, any2, any1)", "the branches are exchanged instead", where=alone, shapes="any1=1 any2=2"),
    Rule("choice_of_nonzero", "ifelse(C != 0, any1, any2)", "ifelse(C, any1, any2)", "ifelse asks for non-zeros anyway", where=alone, shapes="any1=1 any2=2"),
    Rule("choice_of_zero", "ifelse(C == 0, any1, any2)", "ifelse(C, any2, any1)", "the branches are exchanged instead", where=alone, shapes="any1=1 any2=2"),
    Rule("choice_of_one", "ifelse(C, 1, 0)", "C != 0", "a comparison is cheaper than a choice"),
    Rule("choice_of_other", "ifelse(C, 0, 1)", "C == 0", "a comparison is cheaper than a choice"),
)  # fmt: skip


def _extreme(which: str, wins: str, loses: str) -> tuple[Rule, ...]:
    """The choice of the one that `wins` over the other; NaN, which loses every comparison, wins in min and max."""
    keeps = (f"ifelse(X {loses} a, a, X)", f"ifelse(X {loses}= a, a, X)")
    gives = (f"ifelse(X {wins} a, X, a)", f"ifelse(X {wins}= a, X, a)")
    cells = (
        f"ifelse(X {wins} Y, X, Y)", f"ifelse(X {wins}= Y, X, Y)", f"ifelse(X {loses} Y, Y, X)", f"ifelse(X {loses}= Y, Y, X)",
    )  # fmt: skip
    why = "one pass, no condition"
    return (
        Rule(f"{which}_of_bound", keeps, f"{which}(X, a)", why, where=both(alone, finite("a")), shapes="a=1.5"),
        where_finite(Rule(f"{which}_or_bound", gives, f"{which}(X, a)", why, where=alone), "X", "a"),
        where_finite(Rule(f"{which}_of_cells", cells, f"{which}(X, Y)", why, where=alone), "X", "Y"),
    )


def _of_extreme(m: Match) -> Hop:
    """f(X) and f(Y) under min or max: f of the extreme."""
    return make(m.root.args[0].op, [make(m.root.op, [m.bound["X"], m.bound["Y"]])])


def _increasing(which: str) -> Rule:
    return Rule(
        f"{which}_of_increasing_pair", tuple(f"{which}({f}(X), {f}(Y))" for f in _INCREASING), _of_extreme, "the function is computed once",
        "reassociates", where=both(alone, same_shape("X", "Y")), example=f"{_INCREASING[0]}({which}(X, Y))",
    )  # fmt: skip


_EXTREMES: Final = (
    *_extreme("max", ">", "<"),
    *_extreme("min", "<", ">"),
    Rule(
        "abs_of_choice", ("ifelse(X < 0, -X, X)", "ifelse(X <= 0, -X, X)", "ifelse(X > 0, X, -X)", "ifelse(X >= 0, X, -X)"), "abs(X)",
        "one pass instead of three", where=alone,
    ),
    Rule("max_twice", "max(max(X, a), b)", "max(X, max(a, b))", _ONE, where=alone),
    Rule("min_twice", "min(min(X, a), b)", "min(X, min(a, b))", _ONE, where=alone),
    Rule("parts_of_sign", "max(X, 0) + min(X, 0)", "X", "the positive and the negative part make the whole"),
    Rule("abs_of_parts", "max(X, 0) - min(X, 0)", "abs(X)", "one pass instead of three", where=alone),
    _increasing("max"),
    _increasing("min"),
)  # fmt: skip

RULES: Final = (*_CONDITIONS, *_EXTREMES)
