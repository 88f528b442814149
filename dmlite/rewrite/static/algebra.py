"""Cell by cell algebra."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.rule import Rule

RULES: Final = (
    Rule("times_one", "X * 1", "X", "multiplying by one changes nothing"),
    Rule("over_one", "X / 1", "X", "dividing by one changes nothing"),
    Rule("minus_zero", "X - 0", "X", "subtracting zero changes nothing"),
    Rule("plus_zero", "X + 0", "X", "adding zero changes nothing but the sign of a zero"),
    Rule("power_one", "X ^ 1", "X", "the first power is the matrix itself"),
    Rule("times_minus_one", "X * -1", "-X", "a change of sign is cheaper than a product"),
    Rule("zero_minus", "0 - X", "-X", "a change of sign is cheaper than a difference"),
    Rule("double_negation", "-(-X)", "X", "two changes of sign undo each other"),
    Rule("negated_difference", "-(A - B)", "B - A", "one pass instead of two", where=lambda m: m.inner_only()),
    Rule("plus_negation", "A + (-B)", "A - B", "one pass instead of two", where=lambda m: m.inner_only()),
    Rule("minus_negation", "A - (-B)", "A + B", "one pass instead of two", where=lambda m: m.inner_only()),
    Rule("twice", "X + X", "X * 2", "one operand to read instead of two"),
    Rule("square_of", "X * X", "square(X)", "one operand to read instead of two"),
    Rule("power_two", "X ^ 2", "square(X)", "a product is far cheaper than a power"),
    Rule("sample_proportion", "X * (1 - X)", "sprop(X)", "one pass, no intermediate"),
    Rule("one_less", "1 - X", "one_minus(X)", "a name of its own lets other rules see it"),
    Rule(
        "sigmoid_exp",
        "1 / (1 + exp(-X))",
        "sigmoid_op(X)",
        "one stable pass instead of four",
        values="reassociates",
        where=lambda m: m.inner_only(),
    ),
    Rule("abs_idempotent", "abs(abs(X))", "abs(X)", "already without sign"),
    Rule("round_idempotent", "round(round(X))", "round(X)", "already whole"),
    Rule("floor_idempotent", "floor(floor(X))", "floor(X)", "already whole"),
    Rule("ceil_idempotent", "ceil(ceil(X))", "ceil(X)", "already whole"),
    Rule("not_equal", "!(A == B)", "A != B", "one comparison instead of two passes"),
    Rule("not_unequal", "!(A != B)", "A == B", "one comparison instead of two passes"),
    Rule("sign_of", "(X > 0) - (X < 0)", "sign(X)", "one pass instead of three", values="ignores-nan"),
    Rule("relu_product", "X * (X > 0)", "max(X, 0)", "one pass instead of two", values="ignores-nan"),
)
