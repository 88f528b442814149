"""Scalars and vectors beside a matrix: combined with each other first, so that the matrix is passed over once."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, literal, make
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import alone, both, constant, full, nonzero, same_shape, with_finite

_ONCE: Final = "one pass over the matrix instead of two"


def _chain(name: str, before: str, after: str, *guards: object, shapes: str = "") -> Rule:
    return Rule(name, before, after, _ONCE, "reassociates", where=both(alone, *guards), shapes=shapes)  # type: ignore[arg-type]


_SUMS: Final = (
    _chain("shift_twice", "(X + a) + b", "X + (a + b)"),
    _chain("shift_up_and_down", "(X + a) - b", "X + (a - b)"),
    _chain("shift_down_and_up", "(X - a) + b", "X + (b - a)"),
    _chain("shift_down_twice", "(X - a) - b", "X - (a + b)"),
    _chain("shift_from_and_up", "(a - X) + b", "(a + b) - X"),
    _chain("shift_from_and_down", "(a - X) - b", "(a - b) - X"),
    _chain("shift_from_shifted", "a - (X + b)", "(a - b) - X"),
    _chain("shift_from_shifted_down", "a - (X - b)", "(a + b) - X"),
    _chain("shift_from_twice", "a - (b - X)", "X + (a - b)"),
    _chain("one_minus_and_up", "one_minus(X) + a", "(a + 1) - X"),
    _chain("one_minus_and_down", "one_minus(X) - a", "(1 - a) - X"),
    _chain("shift_from_one_minus", "a - one_minus(X)", "X + (a - 1)"),
    _chain("one_minus_shifted", "one_minus(X + a)", "(1 - a) - X"),
    _chain("one_minus_shifted_down", "one_minus(X - a)", "(a + 1) - X"),
    _chain("one_minus_shifted_from", "one_minus(a - X)", "X + (1 - a)"),
    _chain("one_minus_twice", "one_minus(one_minus(X))", "X"),
)

# A zero of a sparse matrix stays zero under `*` whatever the factor, but not under `/`: the divisors must not be zero
# where a quotient becomes a factor.
_PRODUCTS: Final = (
    _chain("scale_twice", "(X * a) * b", "X * (a * b)"),
    _chain("scale_and_divide", "(X * a) / b", "X * (a / b)", nonzero("b"), shapes="b=2"),
    _chain("divide_and_scale", "(X / a) * b", "X * (b / a)", nonzero("a"), shapes="a=3"),
    _chain("divide_twice", "(X / a) / b", "X / (a * b)", nonzero("a"), nonzero("b"), shapes="a=3 b=7"),
    _chain("reciprocal_scaled", "(a / X) * b", "(a * b) / X"),
    _chain("reciprocal_divided", "(a / X) / b", "(a / b) / X", nonzero("b"), shapes="b=2"),
)


def _power_of_two(m: Match) -> bool:
    a = constant(m, "a")
    return a is not None and 2 <= a <= 2**60 and a == int(a) and int(a) & (int(a) - 1) == 0


def _times_reciprocal(m: Match) -> Hop:
    return make("mul", [m.bound["X"], literal(1 / m.fact("a").value)])


def _same_sign(m: Match) -> bool:
    """Two constants that cannot cancel, so that infinity times their sum is what the sum of both products is."""
    a, b = constant(m, "a"), constant(m, "b")
    return a is not None and b is not None and a * b > 0


def _positive(m: Match) -> bool:
    return (constant(m, "a") or 0) > 0


def _cancelling(name: str, before: str, after: str) -> tuple[Rule, Rule]:
    """Infinity less infinity is NaN, but infinity times the difference is not."""
    rule = Rule(name, before, after, _ONCE, "ignores-nan", where=alone)
    scalars = ("a", "b") if "b" in before else ("a",)
    return with_finite(rule, "X", *scalars, values="reassociates")


_MULTIPLES: Final = (
    Rule("twice", "X + X", "X * 2", "one operand to read instead of two"),
    Rule(
        "over_power_of_two", "X / a", _times_reciprocal, "a product is cheaper than a quotient, and as exact here",
        where=_power_of_two, shapes="a=4", example="X * 0.25",
    ),
    Rule("multiples", "X * a + X * b", "X * (a + b)", _ONCE, "reassociates", where=both(alone, _same_sign), shapes="a=2 b=3"),
    Rule("multiple_and_one", "X * a + X", "X * (a + 1)", _ONCE, "reassociates", where=both(alone, _positive), shapes="a=2"),
    *_cancelling("multiples_added", "X * a + X * b", "X * (a + b)"),
    *_cancelling("multiples_subtracted", "X * a - X * b", "X * (a - b)"),
    *_cancelling("multiple_added_to_one", "X * a + X", "X * (a + 1)"),
    *_cancelling("multiple_less_one", "X * a - X", "X * (a - 1)"),
    *_cancelling("one_less_multiple", "X - X * a", "X * (1 - a)"),
)  # fmt: skip


# ---------------------------------------------------------------- vectors beside a matrix
def _vectors_first(m: Match) -> bool:
    """V and W are equally long vectors beside a full X."""
    return m.inner_only() and m.fact("V").is_vector and same_shape("V", "W")(m) and not m.fact("X").is_vector and full("X")(m)


def _vector_first(m: Match) -> bool:
    return m.inner_only() and m.fact("V").is_vector and not m.fact("X").is_vector and full("X")(m)


def _grouped(name: str, before: str, after: str, vectors: str = "V=5x1 W=5x1") -> Rule:
    where = _vectors_first if "W" in before else _vector_first
    return Rule(name, before, after, "the vector is changed instead of the matrix", "reassociates", where=where, shapes=f"X=5x4 {vectors}")


_VECTORS: Final = (
    _grouped("vectors_added", "(X + V) + W", "X + (V + W)"),
    _grouped("vectors_added_and_taken", "(X + V) - W", "X + (V - W)"),
    _grouped("vectors_taken_and_added", "(X - V) + W", "X + (W - V)"),
    _grouped("vectors_taken", "(X - V) - W", "X - (V + W)", "V=1x4 W=1x4"),
    _grouped("vectors_multiplied", "(X * V) * W", "X * (V * W)"),
    Rule(
        "vectors_divided", "(X / V) / W", "X / (V * W)", "the vector is changed instead of the matrix", "reassociates",
        where=both(_vectors_first, nonzero("V"), nonzero("W")), shapes="X=5x4 V=1x4 W=1x4", facts="V low=1 finite; W low=1 finite",
    ),
    _grouped("vector_and_scalar_added", "(X + V) + a", "X + (V + a)"),
    _grouped("vector_added_scalar_taken", "(X + V) - a", "X + (V - a)"),
    _grouped("vector_taken_scalar_added", "(X - V) + a", "X - (V - a)", "V=1x4"),
    _grouped("vector_and_scalar_taken", "(X - V) - a", "X - (V + a)", "V=1x4"),
    _grouped("scalar_then_vector_added", "(X + a) + V", "X + (V + a)"),
    _grouped("scalar_then_vector_taken", "(X + a) - V", "X - (V - a)"),
    _grouped("vector_and_scalar_multiplied", "(X * V) * a", "X * (V * a)"),
    _grouped("scalar_then_vector_multiplied", "(X * a) * V", "X * (V * a)"),
)  # fmt: skip

RULES: Final = (*_SUMS, *_PRODUCTS, *_MULTIPLES, *_VECTORS)
