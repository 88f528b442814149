"""Sigmoid, softplus, tanh, softmax, relu: written out in scripts, one stable pass each here."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import alone, where_finite, with_finite

_STABLE: Final = "one pass instead of four, and no overflow"


def _no_outer_product(m: Match) -> bool:
    """The logarithm of the sigmoid of a product of factors has weighted kernels of its own."""
    return m.inner_only() and m.bound["X"].op != "matmul" and (m.bound["X"].op != "neg" or m.bound["X"].args[0].op != "matmul")


_SIGMOID: Final = (
    Rule("sigmoid_exp", "1 / (1 + exp(-X))", "sigmoid_op(X)", "one stable pass instead of four", "reassociates", where=alone),
    Rule("sigmoid_exp_minus", "1 / (1 + exp(X))", "sigmoid_op(-X)", "two stable passes instead of three", "reassociates", where=alone),
    Rule("sigmoid_scaled", "a / (1 + exp(-X))", "sigmoid_op(X) * a", "two stable passes instead of four", "reassociates", where=alone),
    Rule(
        "sigmoid_sloped", "a / (1 + exp(X * b))", "sigmoid_op(X * (-b)) * a", "three stable passes instead of four",
        "reassociates", where=alone,
    ),
    Rule("sigmoid_weighted", "Y / (1 + exp(-X))", "Y * sigmoid_op(X)", "two stable passes instead of four", "reassociates", where=alone),
    Rule("sigmoid_quotient", "exp(X) / (1 + exp(X))", "sigmoid_op(X)", _STABLE, "ignores-nan", where=alone),
    Rule("sigmoid_complement", "one_minus(sigmoid_op(X))", "sigmoid_op(-X)", "exact where the sigmoid is close to one", "reassociates", where=alone),
    Rule("log_of_sigmoid", "log(sigmoid_op(X))", "log_sigmoid(X)", "no underflow; one pass instead of two", "ignores-nan", where=_no_outer_product),
    Rule("softplus_log", "log(1 + exp(X))", "softplus(X)", "no overflow; one pass instead of three", "ignores-nan", where=_no_outer_product),
    Rule("negated_softplus", "-softplus(-X)", "log_sigmoid(X)", "one pass instead of three", "reassociates", where=alone),
)  # fmt: skip

_PROPORTION: Final = (
    Rule("one_less", "1 - X", "one_minus(X)", "a name of its own lets other rules see it"),
    Rule("sample_proportion", ("X * one_minus(X)", "X * (1 - X)"), "sprop(X)", "one pass, no intermediate", where=alone),
    *with_finite(
        Rule("sample_proportion_difference", "X - square(X)", "sprop(X)", "one pass, no intermediate", "ignores-nan", where=alone),
        "X", values="reassociates",
    ),
)  # fmt: skip

_HYPERBOLIC: Final = (
    Rule("tanh_of_sigmoid", "sigmoid_op(X * 2) * 2 - 1", "tanh(X)", "one pass instead of four", "reassociates", where=alone),
    Rule("tanh_of_exps", "(exp(X) - exp(-X)) / (exp(X) + exp(-X))", "tanh(X)", "one pass instead of six, and no overflow", "ignores-nan", where=alone),
    Rule("tanh_of_exp", "(exp(X * 2) - 1) / (exp(X * 2) + 1)", "tanh(X)", "one pass instead of five, and no overflow", "ignores-nan", where=alone),
    Rule("sinh_of_exps", "(exp(X) - exp(-X)) * 0.5", "sinh(X)", "one pass instead of five", "reassociates", where=alone),
    Rule("cosh_of_exps", "(exp(X) + exp(-X)) * 0.5", "cosh(X)", "one pass instead of five", "reassociates", where=alone),
    Rule("tan_of_quotient", "sin(X) / cos(X)", "tan(X)", "one pass instead of three", "reassociates", where=alone),
)  # fmt: skip

_SOFTMAX: Final = (
    Rule(
        "softmax_rows", "exp(X - rowMaxs(X)) / rowSums(exp(X - rowMaxs(X)))", "softmax(X)",
        "one buffer instead of three", "reassociates", where=alone,
    ),
)  # fmt: skip

_RELU: Final = (
    *with_finite(Rule("relu_product", ("X * (X > 0)", "X * (X >= 0)"), "max(X, 0)", "one pass instead of two; -Inf gives 0", "ignores-nan", where=alone), "X"),
    Rule("relu_otherwise", ("ifelse(X < 0, 0, X)", "ifelse(X <= 0, 0, X)"), "max(X, 0)", "one pass instead of two", where=alone),
    where_finite(Rule("relu_choice", ("ifelse(X > 0, X, 0)", "ifelse(X >= 0, X, 0)"), "max(X, 0)", "one pass instead of two", where=alone), "X"),
    *with_finite(Rule("relu_mean", "(abs(X) + X) * 0.5", "max(X, 0)", "one pass instead of three; -Inf gives 0", "ignores-nan", where=alone), "X", values="reassociates"),
)  # fmt: skip

RULES: Final = (*_SIGMOID, *_PROPORTION, *_HYPERBOLIC, *_SOFTMAX, *_RELU)
