"""Rules that need the shape of an operand."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.rule import Match, Rule


def _column(m: Match) -> bool:
    return m.fact("X").cols == 1


def _row(m: Match) -> bool:
    return m.fact("X").rows == 1


def _keeps_shape(m: Match) -> bool:
    """Known, non-empty, and the result has the shape of X."""
    x, result = m.fact("X"), m.root_fact
    return None not in (x.rows, x.cols) and (x.rows, x.cols) == (result.rows, result.cols)


def _square_column(m: Match) -> bool:
    v, x = m.fact("V"), m.fact("X")
    return v.cols == 1 and v.rows is not None and v.rows == x.rows and v.rows > 1


RULES: Final = (
    Rule("row_sums_of_column", "rowSums(X)", "X", "a column is its own row sums", where=_column, shapes="X=5x1"),
    Rule("row_maxs_of_column", "rowMaxs(X)", "X", "a column is its own row maxima", where=_column, shapes="X=5x1"),
    Rule("row_mins_of_column", "rowMins(X)", "X", "a column is its own row minima", where=_column, shapes="X=5x1"),
    Rule("col_sums_of_row", "colSums(X)", "X", "a row is its own column sums", where=_row, shapes="X=1x4"),
    Rule("col_maxs_of_row", "colMaxs(X)", "X", "a row is its own column maxima", where=_row, shapes="X=1x4"),
    Rule("col_mins_of_row", "colMins(X)", "X", "a row is its own column minima", where=_row, shapes="X=1x4"),
    Rule("transpose_of_cell", "t(X)", "X", "a single cell is its own transpose", where=lambda m: _row(m) and _column(m), shapes="X=1x1"),
    Rule("reverse_of_row", "rev(X)", "X", "there is nothing to reverse in one row", where=_row, shapes="X=1x4"),
    Rule(
        "diagonal_product",
        "diag(V) %*% X",
        "X * V",
        "rows are scaled without building the diagonal matrix",
        values="ignores-nan",
        where=_square_column,
        shapes="V=5x1",
    ),
)
