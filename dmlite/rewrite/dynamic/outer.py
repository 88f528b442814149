"""Outer products that are never built: a column times a row beside a matrix, or compared, or summed."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, literal
from dmlite.rewrite.dynamic.known import Guard, apply, constant_cells, same_rows
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import alone, both, with_finite
from dmlite.rewrite.worth import costed

_SPREAD: Final = "the vector is spread by the operator itself"
_OPERATORS: Final = ("+", "-", "*", "/", ">", ">=", "<", "<=", "==", "!=")
_COMMUTE: Final = frozenset({"+", "*", "==", "!="})
_COMPARISONS: Final = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}


def _column_times_ones(m: Match) -> bool:
    """V is a column, C a row of ones, and the matrix beside their product has its full size."""
    return _spreads(m, "V", "C") and m.fact("V").cols == 1 and constant_cells(m.fact("C")) == 1


def _ones_times_row(m: Match) -> bool:
    return _spreads(m, "C", "R") and m.fact("R").rows == 1 and constant_cells(m.fact("C")) == 1


def _spreads(m: Match, left: str, right: str) -> bool:
    """A has every row of the left and every column of the right vector, more than one of each."""
    a, product = m.fact("A"), (m.fact(left).rows, m.fact(right).cols)
    return (a.rows, a.cols) == product and min(a.rows or 0, a.cols or 0) > 1


def _without_ones(vector: str) -> object:
    """The operator on the vector in place of the product."""

    def after(m: Match) -> Hop:
        return apply(m.root.op, *(m.bound["A"] if a is m.bound["A"] else m.bound[vector] for a in m.root.args))

    return after


def _spread(name: str, product: str, vector: str, guard: Guard, shapes: str, facts: str) -> tuple[Rule, ...]:
    right = tuple(f"A {op} ({product})" for op in _OPERATORS)
    left = tuple(f"({product}) {op} A" for op in _OPERATORS if op not in _COMMUTE)
    more = {"where": guard, "shapes": shapes, "facts": facts}
    after = _without_ones(vector)
    return (
        Rule(name, right, after, _SPREAD, example=f"A + {vector}", **more),  # type: ignore[arg-type]
        Rule(f"{name}_first", left, after, _SPREAD, example=f"{vector} - A", **more),  # type: ignore[arg-type]
    )


def _both_spread(m: Match) -> bool:
    """A column of as many rows as there are ones, and the other way round."""
    v, r, c, d = (m.fact(h) for h in "VRCD")
    return (
        (v.cols, r.rows, c.rows, d.cols) == (1, 1, 1, 1)
        and (v.rows, r.cols) == (d.rows, c.cols)
        and constant_cells(c) == constant_cells(d) == 1
    )


def _compared(m: Match) -> Hop:
    return apply("outer", m.bound["V"], m.bound["R"], literal(_COMPARISONS[m.root.op]))


def _rank_one(m: Match) -> bool:
    x = m.fact("X")
    return m.inner_only() and (x.rows, x.cols) == (m.fact("V").rows, m.fact("R").cols) and m.fact("V").cols == 1 == m.fact("R").rows


_ONES_ROW: Final = "A=5x4 V=5x1 C=1x4"
_ONES_COLUMN: Final = "A=5x4 C=5x1 R=1x4"
_ONES: Final = "C low=1 high=1 finite"
RULES: Final = (
    Rule(
        "outer_comparison",
        tuple(f"(V %*% C) {op} (D %*% R)" for op in _COMPARISONS.values()),
        _compared,
        "no matrix but the result",
        where=both(alone, _both_spread),
        shapes="V=5x1 C=1x4 D=5x1 R=1x4",
        facts=f"{_ONES}; D low=1 high=1 finite",
        example='outer(V, R, ">")',
    ),
    *_spread("column_times_ones", "V %*% C", "V", _column_times_ones, _ONES_ROW, _ONES),
    *_spread("ones_times_row", "C %*% R", "R", _ones_times_row, _ONES_COLUMN, _ONES),
    costed(
        "rank_one_product",
        "X * (V %*% R)",
        "X * V * R",
        "the sparse matrix is scaled by row and by column, the outer product is not built",
        where=_rank_one,
        shapes="X=500x400 V=500x1 R=1x400",
        facts="X nnz=400",
    ),
    *with_finite(
        costed(
            "sum_of_rank_one_product",
            "sum(X * (V %*% R))",
            "as.scalar(t(V) %*% (X %*% t(R)))",
            "two products with vectors instead of two matrices",
            values="ignores-nan",
            where=_rank_one,
            shapes="X=50x40 V=50x1 R=1x40",
        ),
        "V",
        "R",
        values="reassociates",
    ),
    *with_finite(
        costed(
            "sum_of_weighted_rows",
            "sum(X * V)",
            "as.scalar(t(V) %*% rowSums(X))",
            "the weights meet the sums of the rows",
            values="ignores-nan",
            where=lambda m: m.inner_only() and same_rows("X", "V")(m) and m.fact("V").cols == 1 and (m.fact("X").cols or 0) > 1,
            shapes="X=50x40 V=50x1",
        ),
        "V",
        values="reassociates",
    ),
    *with_finite(
        costed(
            "sum_of_weighted_columns",
            "sum(X * R)",
            "as.scalar(colSums(X) %*% t(R))",
            "the weights meet the sums of the columns",
            values="ignores-nan",
            where=lambda m: (
                m.inner_only() and m.fact("R").rows == 1 and m.fact("X").cols == m.fact("R").cols and (m.fact("X").rows or 0) > 1
            ),
            shapes="X=50x40 R=1x40",
        ),
        "R",
        values="reassociates",
    ),
)
