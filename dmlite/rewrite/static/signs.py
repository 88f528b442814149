"""Minus signs: as few as possible, gathered into differences and constants; and what makes a sign not matter."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.rule import Rule
from dmlite.rewrite.static.guards import alone, where_finite

_ONE: Final = "one pass instead of two"

_NEGATION: Final = (
    Rule("times_minus_one", "X * -1", "-X", "a change of sign is cheaper than a product"),
    Rule("over_minus_one", "X / -1", "-X", "a change of sign is cheaper than a quotient"),
    Rule("zero_minus", "0 - X", "-X", "a change of sign is cheaper than a difference"),
    Rule("double_negation", "-(-X)", "X", "two changes of sign undo each other"),
    Rule("negated_difference", "-(A - B)", "B - A", _ONE, where=alone),
    Rule("plus_negation", "A + (-B)", "A - B", _ONE, where=alone),
    Rule("minus_negation", "A - (-B)", "A + B", _ONE, where=alone),
    Rule("plus_negated_product", "A + (-B) * C", "A - B * C", "two passes instead of three", where=alone),
    Rule("minus_negated_product", "A - (-B) * C", "A + B * C", "two passes instead of three", where=alone),
    Rule("product_of_negations", "(-A) * (-B)", "A * B", "the signs cancel", where=alone),
    Rule("matmul_of_negations", "(-A) %*% (-B)", "A %*% B", "the signs cancel", "reassociates", shapes="A=5x4 B=4x3", where=alone),
    Rule("larger_of_negations", "max(-X, -Y)", "-min(X, Y)", "two passes instead of three", where=alone),
    Rule("smaller_of_negations", "min(-X, -Y)", "-max(X, Y)", "two passes instead of three", where=alone),
)

_INTO_CONSTANTS: Final = (
    Rule("negated_multiple", "-(X * a)", "X * (-a)", "the constant takes the sign", where=alone),
    Rule("negated_fraction", "-(X / a)", "X / (-a)", "the constant takes the sign", where=alone),
    Rule("negated_reciprocal", "-(a / X)", "(-a) / X", "the constant takes the sign", where=alone),
    Rule("multiple_of_negation", "(-X) * a", "X * (-a)", "the constant takes the sign", where=alone),
    Rule("fraction_of_negation", "(-X) / a", "X / (-a)", "the constant takes the sign", where=alone),
    Rule("negated_shift", "-(X + a)", "(-a) - X", "the constant takes the sign", where=alone),
    Rule("negated_shift_down", "-(X - a)", "a - X", _ONE, where=alone),
    Rule("negated_shift_from", "-(a - X)", "X - a", _ONE, where=alone),
    Rule("negated_one_minus", "-one_minus(X)", "X - 1", _ONE, where=alone),
    Rule("shift_of_negation", "(-X) + a", "a - X", _ONE, where=alone),
    Rule("shift_down_of_negation", "(-X) - a", "(-a) - X", "the constant takes the sign", where=alone),
    Rule("shift_from_negation", "a - (-X)", "X + a", _ONE, where=alone),
    Rule("one_minus_negation", "one_minus(-X)", "X + 1", _ONE, where=alone),
)

_IRRELEVANT: Final = (
    Rule("abs_of_negation", "abs(-X)", "abs(X)", "the sign does not matter"),
    Rule("square_of_negation", "square(-X)", "square(X)", "the sign does not matter"),
    Rule("square_of_abs", "square(abs(X))", "square(X)", "the sign does not matter"),
    Rule("cos_of_negation", "cos(-X)", "cos(X)", "the cosine is even"),
    Rule("cos_of_abs", "cos(abs(X))", "cos(X)", "the cosine is even"),
    Rule("cosh_of_negation", "cosh(-X)", "cosh(X)", "the hyperbolic cosine is even"),
    Rule("cosh_of_abs", "cosh(abs(X))", "cosh(X)", "the hyperbolic cosine is even"),
    Rule("sign_idempotent", "sign(sign(X))", "sign(X)", "a sign is its own sign"),
    Rule("product_of_abs", "abs(X) * abs(Y)", "abs(X * Y)", "two passes instead of three", where=alone),
    Rule("quotient_of_abs", "abs(X) / abs(Y)", "abs(X / Y)", "two passes instead of three", where=alone),
    Rule("larger_of_both_signs", "max(X, -X)", "abs(X)", "one pass instead of two"),
    Rule("smaller_of_both_signs", "min(X, -X)", "-abs(X)", "no second operand to read", where=alone),
    where_finite(Rule("sign_of", "(X > 0) - (X < 0)", "sign(X)", "one pass instead of three", where=alone), "X"),
)

RULES: Final = (*_NEGATION, *_INTO_CONSTANTS, *_IRRELEVANT)
