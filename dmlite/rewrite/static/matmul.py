"""Products that need not be computed whole."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.rule import Rule

RULES: Final = (
    Rule(
        "trace_of_product",
        "trace(X %*% Y)",
        "sum(X * t(Y))",
        "O(n^2) instead of O(n^3)",
        values="reassociates",
        where=lambda m: m.inner_only(),
        shapes="X=4x4 Y=4x4",
    ),
    Rule(
        "sum_of_product",
        "sum(A %*% B)",
        "sum(t(colSums(A)) * rowSums(B))",
        "two vectors instead of a product: O(mk+kn) instead of O(mkn)",
        values="reassociates",
        where=lambda m: m.inner_only(),
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
