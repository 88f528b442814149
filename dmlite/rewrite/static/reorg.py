"""Transposes, reversals and aggregates through them."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.rule import Rule

RULES: Final = (
    Rule("double_transpose", "t(t(X))", "X", "a transpose undoes itself; two copies saved"),
    Rule("double_reverse", "rev(rev(X))", "X", "a reversal undoes itself; two copies saved"),
    Rule("sum_of_transpose", "sum(t(X))", "sum(X)", "the order of the cells does not matter to a sum", values="reassociates"),
    Rule("min_of_transpose", "min(t(X))", "min(X)", "the order of the cells does not matter to a minimum"),
    Rule("max_of_transpose", "max(t(X))", "max(X)", "the order of the cells does not matter to a maximum"),
    Rule("sum_of_reverse", "sum(rev(X))", "sum(X)", "the order of the cells does not matter to a sum", values="reassociates"),
    Rule("col_sums_of_transpose", "colSums(t(X))", "t(rowSums(X))", "a vector is transposed instead of a matrix", values="reassociates"),
    Rule("row_sums_of_transpose", "rowSums(t(X))", "t(colSums(X))", "a vector is transposed instead of a matrix", values="reassociates"),
    Rule("sum_of_row_sums", "sum(rowSums(X))", "sum(X)", "one pass, no vector", values="reassociates"),
    Rule("sum_of_col_sums", "sum(colSums(X))", "sum(X)", "one pass, no vector", values="reassociates"),
    Rule("max_of_row_maxs", "max(rowMaxs(X))", "max(X)", "one pass, no vector"),
    Rule("min_of_row_mins", "min(rowMins(X))", "min(X)", "one pass, no vector"),
    Rule(
        "sum_of_squares",
        "sum(square(X))",
        "sumsq(X)",
        "one pass, no matrix of squares",
        values="reassociates",
        where=lambda m: m.inner_only(),
    ),
    Rule("trace_of_transpose", "trace(t(X))", "trace(X)", "the diagonal stays where it is", shapes="X=4x4"),
    Rule("bind_transposed", "t(cbind(t(A), t(B)))", "rbind(A, B)", "one copy instead of four", where=lambda m: m.inner_only()),
)
