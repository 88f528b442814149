"""Sorting, and rows or columns without a non-zero."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, literal, make
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import alone, constant

_STAY: Final = "what is removed holds zeros only"


def _two_keys(m: Match) -> Hop | None:
    """One sort by both columns; sorting is stable, so the outer column comes first."""
    first, second = constant(m, "a"), constant(m, "b")
    keys = make("fill", [literal(f"{int(first)} {int(second)}"), literal(2), literal(1), literal(True)])  # type: ignore[arg-type]
    return make("order", [m.bound["X"], keys, *m.root.args[2:]])


def _columns(m: Match) -> bool:
    """Both keys are columns that exist."""
    keys = [constant(m, h) for h in "ab"]
    return m.inner_only() and all(k is not None and k == int(k) and 1 <= k <= (m.fact("X").cols or 0) for k in keys)


_ORDER: Final = (
    Rule(
        "order_twice",
        ("order(target=order(target=X, by=b), by=a)", "order(target=order(target=X, by=b, decreasing=TRUE), by=a, decreasing=TRUE)"),
        _two_keys, "one sort by two columns instead of two sorts", where=_columns, shapes="X=5x4 a=1 b=2",
        example='order(target=X, by=matrix("1 2", 2, 1))',
    ),
    Rule("order_of_constant", "order(matrix(a, n, k))", "matrix(a, n, k)", "all rows are equal", where=alone, shapes="a=3 n=5 k=4"),
)  # fmt: skip

_REMOVED: Final = (
    Rule("sum_of_removed", ('sum(removeEmpty(X, "rows"))', 'sum(removeEmpty(X, "cols"))'), "sum(X)", _STAY, "reassociates", where=alone),
    Rule("sumsq_of_removed", ('sumsq(removeEmpty(X, "rows"))', 'sumsq(removeEmpty(X, "cols"))'), "sumsq(X)", _STAY, "reassociates", where=alone),
    Rule("nnz_of_removed", ('nnz(removeEmpty(X, "rows"))', 'nnz(removeEmpty(X, "cols"))'), "nnz(X)", _STAY, where=alone),
    Rule("col_sums_of_removed_rows", 'colSums(removeEmpty(X, "rows"))', "colSums(X)", _STAY, "reassociates", where=alone),
    Rule("row_sums_of_removed_cols", 'rowSums(removeEmpty(X, "cols"))', "rowSums(X)", _STAY, "reassociates", where=alone),
    Rule(
        "rows_that_remain", 'nrow(removeEmpty(V, "rows"))', "max(as.integer(nnz(V)), 1)", "counted instead of copied; one row of zeros stays when none is left",
        where=lambda m: m.inner_only() and m.fact("V").cols == 1, shapes="V=5x1",
    ),
    Rule(
        "rows_that_remain_or_none", 'nrow(removeEmpty(target=V, margin="rows", empty.return=FALSE))', "as.integer(nnz(V))", "counted instead of copied",
        where=lambda m: m.inner_only() and m.fact("V").cols == 1, shapes="V=5x1",
    ),
)  # fmt: skip

_REPLACED: Final = (
    Rule(
        "zeros_replaced", "X + (X == 0) * a", "replace(X, 0, a)", "one pass instead of three",
        where=lambda m: m.inner_only() and not m.fact("a").may_nan, facts="a finite",
    ),
    Rule("zeros_replaced_any", "X + (X == 0) * a", "replace(X, 0, a)", "one pass instead of three; Inf times zero is NaN", "ignores-nan", where=alone),
)  # fmt: skip

RULES: Final = (*_ORDER, *_REMOVED, *_REPLACED)
