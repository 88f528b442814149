"""Diagonal matrices as what they are, vectors; and diagonals of products."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.dynamic.known import Guard, has
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import alone, both, column, fits, square, with_finite


def _scales(vector: str, axis: str) -> Guard:
    """The diagonal has as many cells as the matrix has rows (or columns)."""
    return lambda m: column(vector)(m) and m.fact(vector).rows == getattr(m.fact("X"), axis)


def _cells_nonzero(hole: str) -> Guard:
    """No cell is zero: a solver would refuse the matrix. NaN is possible."""
    return lambda m: m.fact(hole).low > 0 or m.fact(hole).high < 0


def _square_result(m: Match) -> bool:
    """More than one cell; of a single one diag would be asked for a vector."""
    return m.root_fact.cols == 1 and (m.facts[m.root.args[0]].rows or 0) > 1


_SCALED: Final = "rows or columns are scaled without building the diagonal matrix"
RULES: Final = (
    *with_finite(
        Rule("diagonal_product", "diag(V) %*% X", "X * V", _SCALED, "ignores-nan", where=_scales("V", "rows"), shapes="V=5x1"),
        "V",
        "X",
    ),
    *with_finite(
        Rule("product_diagonal", "X %*% diag(V)", "X * t(V)", _SCALED, "ignores-nan", where=_scales("V", "cols"), shapes="V=4x1"),
        "V",
        "X",
    ),
    *with_finite(
        Rule(
            "diagonal_fact_product",
            "D %*% X",
            "X * diag(D)",
            _SCALED,
            "ignores-nan",
            where=both(square("D"), has("diagonal", "D"), fits("D", "X")),
            shapes="D=5x5",
            facts="D diagonal",
        ),
        "D",
        "X",
    ),
    *with_finite(
        Rule(
            "product_diagonal_fact",
            "X %*% D",
            "X * t(diag(D))",
            _SCALED,
            "ignores-nan",
            where=both(square("D"), has("diagonal", "D"), fits("X", "D")),
            shapes="D=4x4",
            facts="D diagonal",
        ),
        "D",
        "X",
    ),
    *with_finite(
        Rule(
            "solve_diagonal",
            "solve(diag(V), B)",
            "B / V",
            "a division instead of a factorisation",
            "ignores-nan",
            where=lambda m: column("V")(m) and _cells_nonzero("V")(m) and m.fact("V").rows == m.fact("B").rows,
            shapes="V=5x1 B=5x4",
            facts="V low=1 high=3",
        ),
        "V",
        "B",
        values="reassociates",
    ),
    *with_finite(
        Rule(
            "inverse_of_diagonal",
            "inv(diag(V))",
            "diag(1 / V)",
            "a division instead of a factorisation",
            "ignores-nan",
            where=both(column("V"), _cells_nonzero("V")),
            shapes="V=5x1",
            facts="V low=1 high=3",
        ),
        "V",
        values="reassociates",
    ),
    Rule(
        "diagonal_of_product",
        "diag(X %*% Y)",
        "rowSums(X * t(Y))",
        "only the cells on the diagonal are computed",
        "reassociates",
        where=both(alone, fits("X", "Y"), _square_result),
        shapes="X=5x4 Y=4x5",
    ),
    Rule(
        "sum_of_diagonal",
        "sum(diag(X))",
        "trace(X)",
        "no vector between",
        "reassociates",
        where=both(alone, square("X")),
        shapes="X=4x4",
    ),
)
