"""Aggregates: through what only moves cells, of aggregates, of squares, of functions that never fall."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, make
from dmlite.rewrite.rule import Match, Rule, Values
from dmlite.rewrite.static.guards import Guard, alone, both, filled, nonnegative

# Aggregates that do not see the order of the cells, and whether their numbers stay to the last bit.
_FULL: Final[dict[str, Values]] = {
    "sum": "reassociates", "mean": "reassociates", "prod": "reassociates", "var": "reassociates", "sd": "reassociates",
    "sumsq": "reassociates", "min": "exact", "max": "exact", "nnz": "exact",
}  # fmt: skip
# rowX and colX of these are each other's transpose.
_BY_SIDE: Final[dict[str, Values]] = {
    "Sums": "reassociates", "Means": "reassociates", "Prods": "reassociates", "Vars": "reassociates", "Sds": "reassociates",
    "SumsSq": "reassociates", "Mins": "exact", "Maxs": "exact",
}  # fmt: skip
# The aggregate of all cells from the aggregates of rows or columns.
_OF_PARTS: Final = (("sum", "Sums", "sum"), ("min", "Mins", "min"), ("max", "Maxs", "max"), ("prod", "Prods", "prod"), ("mean", "Means", "mean"),
                    ("sum", "SumsSq", "sumsq"))  # fmt: skip


def _through_moves(agg: str, values: Values) -> tuple[Rule, ...]:
    why = "the order of the cells does not matter"
    return (
        Rule(f"{agg}_of_transpose", f"{agg}(t(X))", f"{agg}(X)", why, values),
        Rule(f"{agg}_of_reverse", f"{agg}(rev(X))", f"{agg}(X)", why, values),
        Rule(f"{agg}_of_reshape", f"{agg}(matrix(X, a, b))", f"{agg}(X)", why, values, where=_reshaped, shapes="X=5x4 a=10 b=2"),
    )


def _reshaped(m: Match) -> bool:
    """The shapes are known to fit; a reshape that does not must fail."""
    rows, cols, cells = m.fact("a").const_int(), m.fact("b").const_int(), m.fact("X").cells
    return rows is not None and cols is not None and rows >= 0 and rows * cols == cells


def _by_side(agg: str, values: Values) -> tuple[Rule, ...]:
    transposed, reversed_ = "a vector is transposed instead of a matrix", "the order of the rows does not matter"
    return (
        Rule(f"col{agg}_of_transpose", f"col{agg}(t(X))", f"t(row{agg}(X))", transposed, values),
        Rule(f"row{agg}_of_transpose", f"row{agg}(t(X))", f"t(col{agg}(X))", transposed, values),
        Rule(f"col{agg}_of_reverse", f"col{agg}(rev(X))", f"col{agg}(X)", reversed_, values),
        Rule(
            f"row{agg}_of_reverse",
            f"row{agg}(rev(X))",
            f"rev(row{agg}(X))",
            "a vector is reversed instead of a matrix",
            values,
            where=alone,
        ),
    )


def _of_parts(outer: str, part: str, whole: str) -> tuple[Rule, ...]:
    values: Values = "exact" if outer in ("min", "max") else "reassociates"
    # Without cells the vector of parts has zeros, or none of its own.
    guard: Guard | None = None if outer == "sum" else filled("X")
    shapes = "" if guard is None else "X=5x4"
    return tuple(
        Rule(
            f"{whole}_of_{side}_{part}",
            f"{outer}({side}{part}(X))",
            f"{whole}(X)",
            "one pass, no vector",
            values,
            where=guard,
            shapes=shapes,
        )
        for side in ("row", "col")
    )


_SQUARES: Final = (
    Rule("sum_of_squares", "sum(square(X))", "sumsq(X)", "one pass, no matrix of squares", "reassociates", where=alone),
    Rule("row_sums_of_squares", "rowSums(square(X))", "rowSumsSq(X)", "one pass, no matrix of squares", "reassociates", where=alone),
    Rule("col_sums_of_squares", "colSums(square(X))", "colSumsSq(X)", "one pass, no matrix of squares", "reassociates", where=alone),
    Rule("mean_of_squares", "mean(square(X))", "sumsq(X) / length(X)", "one pass, no matrix of squares", "reassociates", where=alone),
    Rule(
        "row_means_of_squares", "rowMeans(square(X))", "rowSumsSq(X) / ncol(X)", "one pass, no matrix of squares",
        "reassociates", where=both(alone, filled("X")), shapes="X=5x4",
    ),
    Rule(
        "col_means_of_squares", "colMeans(square(X))", "colSumsSq(X) / nrow(X)", "one pass, no matrix of squares",
        "reassociates", where=both(alone, filled("X")), shapes="X=5x4",
    ),
    Rule("sumsq_of_negation", "sumsq(-X)", "sumsq(X)", "the sign does not matter", "reassociates"),
    Rule("sumsq_of_abs", "sumsq(abs(X))", "sumsq(X)", "the sign does not matter", "reassociates"),
    Rule(
        "sumsq_of_root", "sumsq(sqrt(X))", "sum(X)", "a root and a square undo each other",
        "reassociates", where=both(alone, nonnegative("X")), facts="X low=0",
    ),
)  # fmt: skip

_COUNTS: Final = (
    Rule("sum_of_nonzeros", "sum(X != 0)", "nnz(X)", "counted without a matrix of ones", where=alone),
    Rule("sum_of_zeros", "sum(X == 0)", "length(X) - nnz(X)", "counted without a matrix of ones", where=alone),
    Rule("nnz_of_sign", ("nnz(-X)", "nnz(abs(X))", "nnz(sign(X))"), "nnz(X)", "zeros stay where they are", where=alone),
    Rule("position_of_max_of_negation", "rowIndexMax(-X)", "rowIndexMin(X)", "the largest of the negated is the smallest", where=alone),
    Rule("position_of_min_of_negation", "rowIndexMin(-X)", "rowIndexMax(X)", "the smallest of the negated is the largest", where=alone),
)  # fmt: skip


# ---------------------------------------------------------------- functions that never fall
_INCREASING: Final = ("exp", "sigmoid_op", "tanh", "atan", "sinh", "sign", "round", "floor", "ceil")
# A negative cell makes the minimum of these NaN, and so does the function of the minimum.
_INCREASING_FROM_ZERO: Final = ("log", "sqrt")


def _function_of_extreme(m: Match) -> Hop:
    return make(m.root.args[0].op, [make(m.root.op, [m.bound["X"]])])


def _of_increasing(agg: str) -> Rule:
    functions = (*_INCREASING, *_INCREASING_FROM_ZERO) if "min" in agg.lower() else _INCREASING
    return Rule(
        f"{agg}_of_increasing", tuple(f"{agg}({f}(X))" for f in functions), _function_of_extreme,
        "the function is computed for the extreme only", "reassociates", where=both(alone, filled("X")), shapes="X=5x4",
        example=f"{functions[0]}({agg}(X))",
    )  # fmt: skip


RULES: Final = (
    *(rule for agg, values in _FULL.items() for rule in _through_moves(agg, values)),
    *(rule for agg, values in _BY_SIDE.items() for rule in _by_side(agg, values)),
    *(rule for parts in _OF_PARTS for rule in _of_parts(*parts)),
    *_SQUARES,
    *_COUNTS,
    *(_of_increasing(agg) for agg in ("min", "max", "rowMins", "rowMaxs", "colMins", "colMaxs")),
)
