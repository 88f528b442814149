"""Matrix products that need not be computed whole, inverses that need not be formed, diagonals."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, make
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import alone, both, column, filled, finite, fits, same_shape, some, square, where_finite, with_finite

_PARTS: Final = "A=5x4 B=4x3"

_AGGREGATES: Final = (
    Rule(
        "trace_of_product", "trace(X %*% Y)", "sum(X * t(Y))", "O(n^2) instead of O(n^3)",
        "reassociates", where=both(alone, fits("X", "Y")), shapes="X=4x4 Y=4x4",
    ),
    Rule(
        "sum_of_product", "sum(A %*% B)", "sum(t(colSums(A)) * rowSums(B))", "two vectors instead of a product: O(mk+kn) instead of O(mkn)",
        "reassociates", where=both(alone, fits("A", "B"), some("rows", "A"), some("cols", "B")), shapes=_PARTS,
    ),
    Rule(
        "row_sums_of_product", "rowSums(A %*% B)", "A %*% rowSums(B)", "a vector instead of a product",
        "reassociates", where=both(alone, fits("A", "B"), some("cols", "B")), shapes=_PARTS,
    ),
    Rule(
        "col_sums_of_product", "colSums(A %*% B)", "colSums(A) %*% B", "a vector instead of a product",
        "reassociates", where=both(alone, fits("A", "B"), some("rows", "A")), shapes=_PARTS,
    ),
    Rule(
        "mean_of_product", "mean(A %*% B)", "sum(t(colSums(A)) * rowSums(B)) / (nrow(A) * ncol(B))", "two vectors instead of a product",
        "reassociates", where=both(alone, fits("A", "B"), filled("A", "B")), shapes=_PARTS,
    ),
    Rule(
        "row_means_of_product", "rowMeans(A %*% B)", "A %*% rowMeans(B)", "a vector instead of a product",
        "reassociates", where=both(alone, fits("A", "B"), some("cols", "B")), shapes=_PARTS,
    ),
    Rule(
        "col_means_of_product", "colMeans(A %*% B)", "colMeans(A) %*% B", "a vector instead of a product",
        "reassociates", where=both(alone, fits("A", "B"), some("rows", "A")), shapes=_PARTS,
    ),
)  # fmt: skip


def _not_a_product(m: Match) -> bool:
    """One of the factors would be the product of the next match."""
    return m.inner_only() and same_shape("X", "Y")(m) and "matmul" not in (m.bound["X"].op, m.bound["Y"].op)


_WEIGHTS: Final = (
    Rule(
        "weights_first", "X * (Y * (A %*% B))", "(X * Y) * (A %*% B)", "one weight beside the product, as the fused operators want it",
        "reassociates", where=_not_a_product, shapes="X=5x3 Y=5x3 A=5x4 B=4x3",
    ),
)  # fmt: skip


def _ones(hole: str, side: str) -> object:
    """The vector of ones has the length of the side it is multiplied with."""
    return lambda m: getattr(m.fact("X"), side) is not None and m.fact(hole).const_int() == getattr(m.fact("X"), side)


_ONES: Final = (
    Rule(
        "product_with_constant", "X %*% matrix(a, n, 1)", "rowSums(X) * a", "a sum needs no products",
        "reassociates", where=both(_ones("n", "cols"), finite("a")), shapes="X=5x4 n=4", facts="a finite",
    ),
    Rule(
        "constant_with_product", "matrix(a, 1, n) %*% X", "colSums(X) * a", "a sum needs no products",
        "reassociates", where=both(_ones("n", "rows"), finite("a")), shapes="X=5x4 n=5", facts="a finite",
    ),
)  # fmt: skip

_INVERSES: Final = (
    Rule(
        "inverse_times", "inv(A) %*% B", "solve(A, B)", "a factorisation and two substitutions instead of an inverse and a product",
        "reassociates", where=alone, shapes="A=4x4 B=4x3",
    ),
    Rule(
        "times_inverse", "B %*% inv(A)", "t(solve(t(A), t(B)))", "a factorisation and two substitutions instead of an inverse and a product",
        "reassociates", where=alone, shapes="A=4x4 B=3x4",
    ),
    Rule(
        "det_of_product", "det(X %*% Y)", "det(X) * det(Y)", "two factorisations instead of a product and one",
        "reassociates", where=both(alone, square("X", "Y"), fits("X", "Y")), shapes="X=4x4 Y=4x4",
    ),
)  # fmt: skip


# ---------------------------------------------------------------- diagonals
_CELLS: Final = ("exp", "log", "sqrt", "abs", "sign", "round", "floor", "ceil", "tanh", "sigmoid_op", "square", "neg", "one_minus")
_PAIRS: Final = {"sum": "+", "difference": "-", "product": "*", "quotient": "/"}
_FEWER: Final = "n cells instead of n^2"


def _on_diagonal(m: Match) -> Hop:
    """The cellwise function of the diagonals."""
    inner = m.root.args[0]
    return make(inner.op, [make("diag", [a]) if m.facts[a].is_matrix else a for a in inner.args])


_DIAGONALS: Final = (
    Rule("diagonal_of_function", tuple(f"diag({f}(X))" for f in _CELLS), _on_diagonal, _FEWER, where=both(alone, square("X")), shapes="X=4x4", example="exp(diag(X))"),
    Rule(
        "diagonal_of_pair", tuple(f"diag(X {op} Y)" for op in _PAIRS.values()), _on_diagonal, _FEWER,
        where=both(alone, square("X"), same_shape("X", "Y")), shapes="X=4x4 Y=4x4", example="diag(X) + diag(Y)",
    ),
    Rule(
        "diagonal_beside_scalar", tuple(f"diag(X {op} a)" for op in _PAIRS.values()), _on_diagonal, _FEWER,
        where=both(alone, square("X")), shapes="X=4x4", example="diag(X) + a",
    ),
    *(
        Rule(
            f"trace_of_{name}", f"trace(X {op} Y)", f"trace(X) {op} trace(Y)", _FEWER,
            "reassociates", where=both(alone, square("X"), same_shape("X", "Y")), shapes="X=4x4 Y=4x4",
        )
        for name, op in _PAIRS.items() if op in "+-"
    ),
    *with_finite(
        Rule("trace_of_scaled", "trace(X * a)", "trace(X) * a", _FEWER, "ignores-nan", where=both(alone, filled("X")), shapes="X=4x4"),
        "a", values="reassociates",
    ),
    Rule("trace_of_negation", "trace(-X)", "-trace(X)", _FEWER, where=alone, shapes="X=4x4"),
    Rule("sum_of_diagonal_matrix", "sum(diag(V))", "sum(V)", _FEWER, "reassociates", where=column("V"), shapes="V=5x1"),
    Rule("trace_of_diagonal_matrix", "trace(diag(V))", "sum(V)", _FEWER, "reassociates", where=column("V"), shapes="V=5x1"),
    Rule("sumsq_of_diagonal_matrix", "sumsq(diag(V))", "sumsq(V)", _FEWER, "reassociates", where=column("V"), shapes="V=5x1"),
    Rule("diagonal_of_diagonal_matrix", "diag(diag(V))", "V", "the diagonal was put there", where=column("V"), shapes="V=5x1"),
    Rule("row_sums_of_diagonal_matrix", "rowSums(diag(V))", "V", "one cell in each row", "reassociates", where=column("V"), shapes="V=5x1"),
    Rule("col_sums_of_diagonal_matrix", "colSums(diag(V))", "t(V)", "one cell in each column", "reassociates", where=column("V"), shapes="V=5x1"),
    Rule("sum_of_diagonals", "diag(V) + diag(W)", "diag(V + W)", _FEWER, where=both(alone, column("V"), same_shape("V", "W")), shapes="V=5x1 W=5x1"),
    Rule("difference_of_diagonals", "diag(V) - diag(W)", "diag(V - W)", _FEWER, where=both(alone, column("V"), same_shape("V", "W")), shapes="V=5x1 W=5x1"),
    *with_finite(
        Rule("scaled_diagonal", "diag(V) * a", "diag(V * a)", _FEWER, "ignores-nan", where=both(alone, column("V")), shapes="V=5x1"), "a",
    ),
    *with_finite(
        Rule("product_of_diagonals", "diag(V) %*% diag(W)", "diag(V * W)", _FEWER, "ignores-nan", where=both(alone, column("V"), same_shape("V", "W")), shapes="V=5x1 W=5x1"),
        "V", "W",
    ),
    where_finite(
        Rule("det_of_diagonal_matrix", "det(diag(V))", "prod(V)", "a product instead of a factorisation", "reassociates", where=column("V"), shapes="V=5x1"), "V",
    ),
)  # fmt: skip

RULES: Final = (*_AGGREGATES, *_WEIGHTS, *_ONES, *_INVERSES, *_DIAGONALS)
