"""Comparisons and logic: one comparison where the script makes one and turns it round."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.rule import Rule
from dmlite.rewrite.static.guards import alone, both, same_shape, where_finite

_ONE: Final = "one comparison instead of two passes"


def _complements(comparison: str) -> tuple[str, ...]:
    return tuple(form.format(f"(A {comparison} B)") for form in ("!{}", "one_minus({})", "{} == 0", "{} != 1", "{} < 1"))


def _opposite(name: str, comparison: str, other: str) -> Rule:
    """With NaN neither a comparison nor its opposite holds."""
    return where_finite(Rule(name, _complements(comparison), f"A {other} B", _ONE, where=alone), "A", "B")


_NEGATED: Final = (
    Rule("not_equal", _complements("=="), "A != B", _ONE, where=alone),
    Rule("not_unequal", _complements("!="), "A == B", _ONE, where=alone),
    _opposite("not_less", "<", ">="),
    _opposite("not_greater", ">", "<="),
    _opposite("not_at_most", "<=", ">"),
    _opposite("not_at_least", ">=", "<"),
)

_LOGIC: Final = (
    Rule("not_not", "!(!X)", "X != 0", "one pass instead of two"),
    Rule("not_and", "!A | !B", "!(A & B)", "two passes instead of three", where=both(alone, same_shape("A", "B"))),
    Rule("not_or", "!A & !B", "!(A | B)", "two passes instead of three", where=both(alone, same_shape("A", "B"))),
    Rule("product_of_flags_of_zero", "(A != 0) * (B != 0)", "A & B", "one pass instead of three", where=alone),
    Rule("and_of_nonzero", "(A != 0) & B", "A & B", "a logical operator asks for non-zeros anyway", where=alone),
    Rule("or_of_nonzero", "(A != 0) | B", "A | B", "a logical operator asks for non-zeros anyway", where=alone),
)

RULES: Final = (*_NEGATED, *_LOGIC)
