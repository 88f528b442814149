"""Powers, roots, exponentials and logarithms: the cheapest function that gives the number."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.rule import Rule
from dmlite.rewrite.static.guards import alone, both, finite, nonnegative, nonzero, same_shape

_POWERS: Final = (
    Rule("square_of", "X * X", "square(X)", "one operand to read instead of two"),
    Rule(
        "power_of_exp", "exp(X) ^ a", "exp(X * a)", "a product is far cheaper than a power",
        "reassociates", where=both(alone, nonzero("a")), shapes="a=3",
    ),
    Rule("power_two", "X ^ 2", "square(X)", "a product is far cheaper than a power"),
    Rule("power_three", "X ^ 3", "square(X) * X", "two products are far cheaper than a power", "reassociates"),
    Rule("power_four", "X ^ 4", "square(square(X))", "two products are far cheaper than a power", "reassociates"),
    Rule("power_minus_one", "X ^ -1", "1 / X", "a quotient is far cheaper than a power", "reassociates"),
    Rule("power_minus_two", "X ^ -2", "1 / square(X)", "a quotient is far cheaper than a power", "reassociates"),
    Rule(
        "power_half_of_nonnegative", "X ^ 0.5", "sqrt(X)", "a root is far cheaper than a power",
        "reassociates", where=nonnegative("X"), facts="X low=0",
    ),
    Rule("power_half", "X ^ 0.5", "sqrt(X)", "a root is far cheaper than a power; -Inf has none", "ignores-nan"),
    Rule(
        "power_of_power_of_nonnegative", "(X ^ a) ^ b", "X ^ (a * b)", "one power instead of two",
        "reassociates", where=both(alone, nonnegative("X"), finite("a", "b")), facts="X low=0; a finite; b finite",
    ),
)  # fmt: skip

_INVERSES: Final = (
    Rule("sqrt_of_square", "sqrt(square(X))", "abs(X)", "one pass instead of two", "reassociates"),
    Rule(
        "square_of_sqrt_of_nonnegative", "square(sqrt(X))", "X", "a root and a square undo each other",
        "reassociates", where=nonnegative("X"), facts="X low=0",
    ),
    Rule("square_of_sqrt", "square(sqrt(X))", "X", "a root and a square undo each other; negative numbers have no root", "ignores-nan", facts="X low=0"),
    Rule("exp_of_log_of_nonnegative", "exp(log(X))", "X", "they undo each other", "reassociates", where=nonnegative("X"), facts="X low=0"),
    Rule("exp_of_log", "exp(log(X))", "X", "they undo each other; negative numbers have no logarithm", "ignores-nan", facts="X low=0"),
    Rule("log_of_exp", "log(exp(X))", "X", "they undo each other; exp overflows at 710", "ignores-nan"),
    Rule("reciprocal_twice", "1 / (1 / X)", "X", "two quotients undo each other", "reassociates"),
    Rule("reciprocal_of_quotient", "1 / (X / Y)", "Y / X", "one quotient instead of two", "reassociates", where=alone),
)  # fmt: skip

_EXPONENTIALS: Final = (
    Rule(
        "product_of_exps", "exp(X) * exp(Y)", "exp(X + Y)", "one exponential instead of two",
        "reassociates", where=both(alone, same_shape("X", "Y")),
    ),
    Rule(
        "quotient_of_exps", "exp(X) / exp(Y)", "exp(X - Y)", "one exponential instead of two",
        "reassociates", where=both(alone, same_shape("X", "Y")),
    ),
    Rule("reciprocal_of_exp", "1 / exp(X)", "exp(-X)", "a change of sign is cheaper than a quotient", "reassociates", where=alone),
)  # fmt: skip

RULES: Final = (*_POWERS, *_INVERSES, *_EXPONENTIALS)
