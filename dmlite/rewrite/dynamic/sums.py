"""Sums of sums and of products with vectors: taken apart, or made into a matrix product, where that is cheaper."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, literal
from dmlite.rewrite.dynamic.known import Guard, apply, filled_result, nonempty, same_rows, wide
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import alone, both, filled, finite, same_shape, with_finite
from dmlite.rewrite.worth import costed, pays


# ---------------------------------------------------------------- products with vectors
def _weighs_rows(m: Match) -> bool:
    """W is a column beside a matrix of more than one column."""
    return alone(m) and m.fact("W").cols == 1 and same_rows("X", "W")(m) and (m.fact("X").cols or 0) > 1


def _weighs_cols(m: Match) -> bool:
    x, r = m.fact("X"), m.fact("R")
    return alone(m) and r.rows == 1 and r.cols is not None and r.cols == x.cols and (x.rows or 0) > 1


_WEIGHTED: Final = (
    Rule(
        "col_sums_of_weighted_rows",
        "colSums(X * W)",
        "t(W) %*% X",
        "a product with a vector, no weighted matrix",
        "reassociates",
        where=_weighs_rows,
        shapes="W=5x1",
    ),
    Rule(
        "row_sums_of_weighted_cols",
        "rowSums(X * R)",
        "X %*% t(R)",
        "a product with a vector, no weighted matrix",
        "reassociates",
        where=_weighs_cols,
        shapes="R=1x4",
    ),
    Rule(
        "col_means_of_weighted_rows",
        "colMeans(X * W)",
        "(t(W) %*% X) / nrow(X)",
        "a product with a vector, no weighted matrix",
        "reassociates",
        where=both(_weighs_rows, nonempty("X")),
        shapes="X=5x4 W=5x1",
    ),
    Rule(
        "row_means_of_weighted_cols",
        "rowMeans(X * R)",
        "(X %*% t(R)) / ncol(X)",
        "a product with a vector, no weighted matrix",
        "reassociates",
        where=both(_weighs_cols, nonempty("X")),
        shapes="X=5x4 R=1x4",
    ),
    costed(
        "col_sums_of_divided_rows",
        "colSums(X / W)",
        "t(1 / W) %*% X",
        "a product with a vector, no weighted matrix",
        where=_weighs_rows,
        shapes="X=500x40 W=500x1",
        facts="W low=1",
    ),
    costed(
        "row_sums_of_divided_cols",
        "rowSums(X / R)",
        "X %*% t(1 / R)",
        "a product with a vector, no weighted matrix",
        where=_weighs_cols,
        shapes="X=500x40 R=1x40",
        facts="R low=1",
    ),
)


# ---------------------------------------------------------------- means
def _divided_by(size: str) -> Guard:
    """The divisor is the number of cells that were added up."""

    def guard(m: Match) -> bool:
        count = getattr(m.fact("X"), size)
        return alone(m) and bool(count) and m.fact("n").value.__class__ in (int, float) and m.fact("n").value == count

    return guard


_MEANS: Final = (
    Rule(
        "col_means",
        "colSums(X) / n",
        "colMeans(X)",
        "one operator instead of two",
        "reassociates",
        where=_divided_by("rows"),
        shapes="X=5x4 n=5",
    ),
    Rule(
        "row_means",
        "rowSums(X) / n",
        "rowMeans(X)",
        "one operator instead of two",
        "reassociates",
        where=_divided_by("cols"),
        shapes="X=5x4 n=4",
    ),
    Rule(
        "mean_of_cells",
        "sum(X) / n",
        "mean(X)",
        "one operator instead of two",
        "reassociates",
        where=_divided_by("cells"),
        shapes="X=5x4 n=20",
    ),
    *with_finite(
        Rule(
            "col_means_of_centred",
            "colMeans(X - colMeans(X))",
            filled_result(0),
            "the mean was taken away",
            "ignores-nan",
            where=nonempty("X"),
            shapes="X=5x4",
            example="fill(0, 1, 4)",
        ),
        "X",
        values="reassociates",
    ),
    *with_finite(
        Rule(
            "row_means_of_centred",
            "rowMeans(X - rowMeans(X))",
            filled_result(0),
            "the mean was taken away",
            "ignores-nan",
            where=nonempty("X"),
            shapes="X=5x4",
            example="fill(0, 5, 1)",
        ),
        "X",
        values="reassociates",
    ),
)


# ---------------------------------------------------------------- sums of sums
def _times(hop: Hop, count: int | None) -> Hop:
    return hop if count in (None, 1) else apply("mul", hop, literal(count))


def _copies(m: Match, hole: str) -> int | None:
    """How often every cell of an operand is in the sum."""
    whole, part = m.facts[m.root.args[0]], m.fact(hole)
    if not whole.cells or not part.cells:
        return None
    return whole.cells // part.cells


def _split(m: Match) -> Hop | None:
    """The sum (or difference) of the sums, a vector counted as often as it is spread; where that is cheaper."""
    counts = [_copies(m, h) for h in "AB"]
    if None in counts:
        return None
    a, b = (_times(apply("sum", m.bound[h]), count) for h, count in zip("AB", counts, strict=True))
    new = apply(m.root.args[0].op, a, b)
    return new if pays(m, new) else None


def _split_along(m: Match) -> Hop | None:
    """Sums by row (or column) of both operands."""
    new = apply(m.root.args[0].op, apply(m.root.op, m.bound["A"]), apply(m.root.op, m.bound["B"]))
    return new if pays(m, new) else None


_SPLIT: Final = (
    Rule(
        "sum_of_pair",
        ("sum(A + B)", "sum(A - B)"),
        _split,
        "both are read once and nothing is written",
        "reassociates",
        where=alone,
        shapes="A=200x100 B=200x100",
        example="sum(A) + sum(B)",
    ),
    Rule(
        "row_sums_of_pair",
        ("rowSums(A + B)", "rowSums(A - B)", "colSums(A + B)", "colSums(A - B)"),
        _split_along,
        "both are read once and nothing is written",
        "reassociates",
        where=both(alone, same_shape("A", "B"), wide("A")),
        shapes="A=200x100 B=200x100",
        example="rowSums(A) + rowSums(B)",
    ),
    costed(
        "col_sums_of_shifted_cols",
        "colSums(X - R)",
        "colSums(X) - R * nrow(X)",
        "the shift meets the sums",
        where=both(_weighs_cols, finite("R")),
        shapes="X=500x40 R=1x40",
        facts="R finite",
    ),
    costed(
        "row_sums_of_shifted_rows",
        "rowSums(X - W)",
        "rowSums(X) - W * ncol(X)",
        "the shift meets the sums",
        where=both(_weighs_rows, finite("W")),
        shapes="X=500x40 W=500x1",
        facts="W finite",
    ),
)


# ---------------------------------------------------------------- divided
_DIVIDED: Final = tuple(
    Rule(
        f"{agg}_of_cells_divided",
        f"{agg}(X / a)",
        f"{agg}(X) / a",
        "the number meets the sums instead of the matrix; by zero, the cells differ",
        "ignores-nan",
        where=both(alone, filled("X")),
        shapes="X=5x4",
    )
    for agg in ("sum", "rowSums", "colSums")
)

RULES: Final = (*_WEIGHTED, *_MEANS, *_SPLIT, *_DIVIDED)
