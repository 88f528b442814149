"""Transposes and reversals move outwards, where they meet another one, an aggregate or a product."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, make
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import UNARY, alone, both, same_shape, square

_WITH_SCALAR: Final = (
    "{} + {}", "{} - {}", "{} * {}", "{} / {}", "{} ^ {}", "min({}, {})", "max({}, {})",
    "{} < {}", "{} <= {}", "{} > {}", "{} >= {}", "{} == {}", "{} != {}",
)  # fmt: skip
_WITH_MATRIX: Final = {
    "sum": "{} + {}", "difference": "{} - {}", "product": "{} * {}", "quotient": "{} / {}", "min": "min({}, {})", "max": "max({}, {})",
}  # fmt: skip
_ONE_LESS: Final = "one transpose instead of two"


def _outside(m: Match) -> Hop:
    """The transpose of what the function makes of X."""
    return make("t", [make(m.root.op, [m.bound["X"] if a.op == "t" else a for a in m.root.args])])


def _pair(op: str, name: str, form: str) -> Rule:
    before, after = form.format(f"{op}(X)", f"{op}(Y)"), f"{op}({form.format('X', 'Y')})"
    what = "transpose" if op == "t" else "reverse"
    return Rule(f"{name}_of_{what}s", before, after, f"one {what} instead of two", where=both(alone, same_shape("X", "Y")))


def _partner(name: str, form: str) -> Rule:
    before, after = f"t({form.format('t(X)', 'Y')})", form.format("X", "t(Y)")
    return Rule(f"transposed_{name}", before, after, _ONE_LESS, where=alone, shapes="X=5x4 Y=4x5")


def _right_partner(name: str, form: str) -> Rule:
    """The same for operators that do not commute."""
    before, after = f"t({form.format('Y', 't(X)')})", form.format("t(Y)", "X")
    return Rule(f"transposed_{name}_right", before, after, _ONE_LESS, where=alone, shapes="X=5x4 Y=4x5")


_OUTWARDS: Final = (
    Rule(
        "function_of_transpose", tuple(f"{f}(t(X))" for f in UNARY), _outside, "the transpose may meet another one",
        where=alone, example="t(exp(X))",
    ),
    Rule(
        "transpose_beside_scalar",
        (*(form.format("t(X)", "a") for form in _WITH_SCALAR), *(form.format("a", "t(X)") for form in _WITH_SCALAR)),
        _outside, "the transpose may meet another one", where=alone, example="t(X + a)",
    ),
    *(_pair("t", name, form) for name, form in _WITH_MATRIX.items()),
    *(_pair("rev", name, form) for name, form in _WITH_MATRIX.items()),
    *(_partner(name, form) for name, form in _WITH_MATRIX.items()),
    *(_right_partner(name, _WITH_MATRIX[name]) for name in ("difference", "quotient")),
)  # fmt: skip

_PRODUCTS: Final = (
    Rule(
        "matmul_of_transposes", "t(A) %*% t(B)", "t(B %*% A)", "one transpose of the result instead of two",
        "reassociates", where=alone, shapes="A=5x4 B=3x5",
    ),
    Rule("transposed_matmul", "t(t(A) %*% B)", "t(B) %*% A", _ONE_LESS, "reassociates", where=alone, shapes="A=5x4 B=5x3"),
    Rule("transposed_matmul_right", "t(A %*% t(B))", "B %*% t(A)", _ONE_LESS, "reassociates", where=alone, shapes="A=5x4 B=3x4"),
)  # fmt: skip

_SYMMETRIC: Final = (
    Rule(
        "transpose_of_symmetric", "t(X)", "X", "a symmetric matrix is its own transpose",
        where=lambda m: "symmetric" in m.fact("X").structure, shapes="X=4x4", facts="X symmetric",
    ),
    Rule("diagonal_of_transpose", "diag(t(X))", "diag(X)", "the diagonal stays where it is", where=square("X"), shapes="X=4x4"),
    Rule("trace_of_transpose", "trace(t(X))", "trace(X)", "the diagonal stays where it is", shapes="X=4x4"),
    Rule("det_of_transpose", "det(t(X))", "det(X)", "a determinant does not see transposes", "reassociates", shapes="X=4x4"),
)  # fmt: skip

_AROUND: Final = (
    Rule("bind_transposed", "t(cbind(t(A), t(B)))", "rbind(A, B)", "one copy instead of four", where=alone),
    Rule("stack_transposed", "t(rbind(t(A), t(B)))", "cbind(A, B)", "one copy instead of four", where=alone),
    Rule("cumsum_along_rows", "t(cumsum(t(X)))", "rowcumsum(X)", "no transposes", where=alone),
    Rule("rowcumsum_down_columns", "t(rowcumsum(t(X)))", "cumsum(X)", "no transposes", where=alone),
    Rule("cumsum_from_below", "rev(cumsum(rev(X)))", "cumsum_up(X)", "no copies in reverse", where=alone),
)

RULES: Final = (*_OUTWARDS, *_PRODUCTS, *_SYMMETRIC, *_AROUND)
