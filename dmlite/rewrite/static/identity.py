"""Operators that change nothing: neutral elements, a thing and itself, and what the operand is already."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import both, constant, constant_like, flag, full, where_finite, within


def _at_least(m: Match) -> bool:
    bound = constant(m, "a")
    return bound is not None and m.fact("X").low >= bound


def _at_most(m: Match) -> bool:
    bound = constant(m, "a")
    return bound is not None and m.fact("X").high <= bound


def _cell(m: Match) -> bool:
    return m.fact("X").is_cell


_NEUTRAL: Final = (
    Rule("times_one", "X * 1", "X", "multiplying by one changes nothing"),
    Rule("over_one", "X / 1", "X", "dividing by one changes nothing"),
    Rule("minus_zero", "X - 0", "X", "subtracting zero changes nothing"),
    Rule("plus_zero", "X + 0", "X", "adding zero changes nothing but the sign of a zero"),
    Rule("power_one", "X ^ 1", "X", "the first power is the matrix itself"),
    Rule("power_zero", "X ^ 0", constant_like(1, "X"), "the power zero is one, of NaN too", example="matrix(1, 5, 4)", shapes="X=5x4"),
    where_finite(Rule("times_zero", "X * 0", constant_like(0, "X"), "zero whatever the matrix holds", example="matrix(0, 5, 4)", shapes="X=5x4"), "X"),
    where_finite(Rule("self_difference", "X - X", constant_like(0, "X"), "nothing is left", example="matrix(0, 5, 4)", shapes="X=5x4"), "X"),
)  # fmt: skip

_TWICE_THE_SAME: Final = (
    Rule("min_self", "min(X, X)", "X", "the smaller of a matrix and itself"),
    Rule("max_self", "max(X, X)", "X", "the larger of a matrix and itself"),
    Rule("and_self", "X & X", "X != 0", "one operand to read instead of two"),
    Rule("or_self", "X | X", "X != 0", "one operand to read instead of two"),
    Rule("contradiction", "X & !X", constant_like(0, "X"), "nothing is zero and not zero", example="matrix(0, 5, 4)", shapes="X=5x4"),
    Rule("tautology", "X | !X", constant_like(1, "X"), "everything is zero or not zero", example="matrix(1, 5, 4)", shapes="X=5x4"),
    Rule("same_choice", "ifelse(C, X, X)", "X", "both branches are the same", where=both(full("X"), within("C", "X"))),
)

# From what is known of the cells; NaN stays NaN in all of these.
_ALREADY: Final = (
    Rule(
        "whole_already", ("round(X)", "floor(X)", "ceil(X)"), "X", "every cell is whole already",
        where=lambda m: m.fact("X").integer, facts="X integer",
    ),
    Rule("nonnegative_already", "abs(X)", "X", "no cell is negative", where=lambda m: m.fact("X").low >= 0, facts="X low=0"),
    Rule("above_already", "max(X, a)", "X", "no cell is below the bound", where=_at_least, facts="X low=2", shapes="a=1.5"),
    Rule("below_already", "min(X, a)", "X", "no cell is above the bound", where=_at_most, facts="X high=1", shapes="a=1.5"),
    Rule(
        "flag_already", ("sign(X)", "square(X)", "sqrt(X)", "X != 0", "X > 0", "X == 1", "X >= 1", "ifelse(X, 1, 0)"), "X",
        "every cell is 0 or 1 already", where=flag("X"), facts="X low=0 high=1 integer finite",
    ),
)  # fmt: skip

_CASTS: Final = (
    Rule("matrix_of_matrix", "as.matrix(X)", "X", "it is a matrix already"),
    Rule("scalar_of_matrix_of_scalar", "as.scalar(as.matrix(a))", "a", "there and back again"),
    Rule("matrix_of_scalar_of_cell", "as.matrix(as.scalar(X))", "X", "there and back again", where=_cell, shapes="X=1x1"),
    Rule("compressed", "compress(X)", "X", "how a matrix is stored is chosen without being asked"),
    Rule("decompressed", "decompress(X)", "X", "how a matrix is stored is chosen without being asked"),
    Rule("double_transpose", "t(t(X))", "X", "a transpose undoes itself; two copies saved"),
    Rule("double_reverse", "rev(rev(X))", "X", "a reversal undoes itself; two copies saved"),
)

RULES: Final = (*_NEUTRAL, *_TWICE_THE_SAME, *_ALREADY, *_CASTS)
