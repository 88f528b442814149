"""Products that need not be computed whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dmlite.rewrite.rule import Match, Rule


def _product_fits(left: str, right: str) -> Callable[[Match], bool]:
    """The product inside is legal for certain and needed by nobody else; dropping an illegal one would hide the error."""
    return lambda m: m.inner_only() and m.fact(left).cols is not None and m.fact(left).cols == m.fact(right).rows


RULES: Final = (
    Rule(
        "trace_of_product",
        "trace(X %*% Y)",
        "sum(X * t(Y))",
        "O(n^2) instead of O(n^3)",
        values="reassociates",
        where=_product_fits("X", "Y"),
        shapes="X=4x4 Y=4x4",
    ),
    Rule(
        "sum_of_product",
        "sum(A %*% B)",
        "sum(t(colSums(A)) * rowSums(B))",
        "two vectors instead of a product: O(mk+kn) instead of O(mkn)",
        values="reassociates",
        where=_product_fits("A", "B"),
        shapes="A=5x4 B=4x3",
    ),
    Rule(
        "product_of_transposes",
        "t(A) %*% t(B)",
        "t(B %*% A)",
        "one transpose of the result instead of two",
        values="reassociates",
        where=lambda m: m.inner_only(),
        shapes="A=5x4 B=3x5",
    ),
)
