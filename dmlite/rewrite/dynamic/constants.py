"""Matrices of one and the same number, however they came about."""

from __future__ import annotations

from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.node import Hop, literal
from dmlite.rewrite.dynamic.known import Guard, apply, constant_cells, filled_with
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import both, filled, fits, full, number, with_finite, within

_OPERATORS: Final = ("+", "-", "*", "/", ">", ">=", "<", "<=", "==", "!=")
_OPERANDS: Final = (*(f"X {op} Y" for op in _OPERATORS), "max(X, Y)", "min(X, Y)")


def _constant(hole: str) -> Guard:
    return lambda m: constant_cells(m.fact(hole)) is not None


def _nonzero(hole: str) -> Guard:
    return lambda m: constant_cells(m.fact(hole)) not in (None, 0)


def _number(m: Match, hole: str) -> float:
    value = constant_cells(m.fact(hole))
    assert value is not None
    return value


def _cells(fact: Fact) -> int:
    assert fact.cells is not None
    return fact.cells


def _with_number(m: Match) -> Hop:
    """The operator with the number in place of the constant matrix."""
    value = number(_number(m, "Y"))
    return apply(m.root.op, *(value if a is m.bound["Y"] else a for a in m.root.args))


def _spread_ok(m: Match) -> bool:
    """The other operand alone gives the result its shape. A product with zeros is sparse, with the number zero it would not be."""
    zeros = m.root.op == "mul" and _number(m, "Y") == 0
    return full("X")(m) and within("Y", "X")(m) and m.bound["X"] is not m.bound["Y"] and not m.fact("X").is_cell and not zeros


def _row_total(m: Match) -> Hop | None:
    x = m.fact("X")
    value, along = _number(m, "X"), x.cols if m.root.op.startswith("row") else x.rows
    factor = {"Sums": along, "Means": 1, "Mins": 1, "Maxs": 1}[m.root.op[3:]]
    return filled_with(value * (factor or 0), m.root_fact.rows, m.root_fact.cols)


def _product_with_ones(m: Match) -> Hop | None:
    """Every column of the result is the sums of the rows of X."""
    value, cols = _number(m, "Y"), m.fact("Y").cols
    sums = apply("rowSums", m.bound["X"])
    if cols == 1:
        return sums if value == 1 else apply("mul", sums, number(value))
    ones = filled_with(value, 1, cols)
    return None if ones is None else apply("matmul", sums, ones)


def _ones_times(m: Match) -> Hop | None:
    value, rows = _number(m, "X"), m.fact("X").rows
    sums = apply("colSums", m.bound["Y"])
    if rows == 1:
        return sums if value == 1 else apply("mul", sums, number(value))
    ones = filled_with(value, rows, 1)
    return None if ones is None else apply("matmul", ones, sums)


def _several(hole: str, axis: str) -> Guard:
    """A product with one row or column has no sums to take."""
    return lambda m: (getattr(m.fact(hole), axis) or 0) > 1


RULES: Final = (
    Rule(
        "equal_cells_on_the_right",
        _OPERANDS,
        _with_number,
        "a number instead of a matrix of it",
        where=both(_constant("Y"), _spread_ok),
        shapes="X=5x4 Y=5x4",
        facts="Y low=2 high=2 finite",
        example="X + 2",
    ),
    Rule(
        "equal_cells_on_the_left",
        tuple(f"Y {op} X" for op in _OPERATORS if op not in "+*==!="),
        _with_number,
        "a number instead of a matrix of it",
        where=both(_constant("Y"), _spread_ok),
        shapes="X=5x4 Y=5x4",
        facts="Y low=2 high=2 finite",
        example="2 - X",
    ),
    Rule(
        "sum_of_equal_cells",
        "sum(X)",
        lambda m: literal(float(_number(m, "X") * _cells(m.fact("X")))),
        "the number times how often it is there",
        "reassociates",
        where=both(filled("X"), _constant("X")),
        shapes="X=5x4",
        facts="X low=2 high=2 finite",
        example="40.0",
    ),
    Rule(
        "mean_of_equal_cells",
        ("mean(X)", "min(X)", "max(X)"),
        lambda m: literal(float(_number(m, "X"))),
        "all cells are that number",
        where=both(filled("X"), _constant("X")),
        shapes="X=5x4",
        facts="X low=2 high=2 finite",
        example="2.0",
    ),
    Rule(
        "row_sums_of_equal_cells",
        tuple(f"{side}{f}(X)" for side in ("row", "col") for f in ("Sums", "Means", "Mins", "Maxs")),
        _row_total,
        "all rows (or columns) are alike",
        "reassociates",
        where=both(filled("X"), _constant("X")),
        shapes="X=5x4",
        facts="X low=2 high=2 finite",
        example="fill(8, 5, 1)",
    ),
    Rule(
        "product_with_equal_cells",
        "X %*% Y",
        _product_with_ones,
        "row sums instead of a product",
        "reassociates",
        where=both(fits("X", "Y"), both(_nonzero("Y"), _several("Y", "rows"))),
        shapes="X=5x4 Y=4x1",
        facts="Y low=1 high=1 finite",
        example="rowSums(X)",
    ),
    Rule(
        "product_of_equal_cells",
        "X %*% Y",
        _ones_times,
        "column sums instead of a product",
        "reassociates",
        where=both(fits("X", "Y"), both(_nonzero("X"), _several("X", "cols"))),
        shapes="X=1x4 Y=4x3",
        facts="X low=1 high=1 finite",
        example="colSums(Y)",
    ),
    Rule(
        "running_sum_of_constant",
        "cumsum(fill(a, b, 1))",
        "seq(1, b, 1) * a",
        "a sequence; its length is given, not rounded",
        "reassociates",
        where=lambda m: m.fact("b").integer and m.fact("b").low >= 1,
        shapes="b=6",
    ),
    *with_finite(
        Rule(
            "lower_triangle_by_running_sum",
            "X * cumsum(diag(fill(1, n, 1)))",
            "lower.tri(X, TRUE, TRUE)",
            "no matrix of ones",
            "ignores-nan",
            where=lambda m: m.fact("X").is_square and m.fact("X").rows == m.fact("n").const_int() and m.fact("X").rows != 1,
            shapes="X=4x4 n=4",
        ),
        "X",
    ),
)
