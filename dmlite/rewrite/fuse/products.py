"""Products that need no transpose, share a scan of their matrix, or need not be made whole."""

from __future__ import annotations

from typing import Final

from dmlite.hop.cost import is_sparse
from dmlite.rewrite.fuse.fusion import Fusion
from dmlite.rewrite.rule import Match

_ADDED: Final = 1 << 16  # cells of C from which on a pass over it counts
_TERMS: Final = 64  # of a cell of the product, up to which computing them takes less than that pass
THIN: Final = 32  # columns up to which products run together with their readers, see plan/regions.py
_CHAIN: Final = "one scan of X instead of two, and no transpose"


def _as_it_lies(m: Match) -> bool:
    """X is not a transpose, which would have to be made, and the products are legal."""
    x, v = m.fact("X"), m.fact("V")
    return m.bound["X"].op != "t" and x.cols is not None and x.cols == v.rows


def _beside(m: Match) -> bool:
    """The further operand has a row for each row of X, and one column or as many as V."""
    y, x, v = m.fact("Y"), m.fact("X"), m.fact("V")
    return _as_it_lies(m) and y.rows is not None and y.rows == x.rows and y.cols is not None and y.cols in (1, v.cols)


def _sparse(m: Match) -> bool:
    return m.bound["A"].op != "t" and is_sparse(m.fact("A")) and m.fact("A").rows == m.fact("B").rows


def _legal(m: Match) -> bool:
    u, v = m.fact("U"), m.fact("V")
    return u.cols is not None and u.cols == v.cols and u.rows is not None and v.rows is not None


def _chain(name: str, before: str, after: str, beside: bool = False) -> tuple[Fusion, Fusion]:
    """A chain, and the transpose of the same chain; `before` holds X %*% V with what is done to it."""
    shapes = "X=60x20 V=20x1 Y=60x1"
    guard = _beside if beside else _as_it_lies
    return (
        Fusion(name, f"t(X) %*% ({before})", after, _CHAIN, values="reassociates", where=guard, shapes=shapes),
        Fusion(f"{name}_transposed", f"t({before}) %*% X", f"t({after})", _CHAIN, values="reassociates", where=guard, shapes=shapes),
    )


def _adds(m: Match) -> bool:
    """A large dense C, a product of its shape, and so few terms in each cell that reading and writing C takes the time."""
    c, a, b = m.fact("C"), m.fact("A"), m.fact("B")
    fits = c.rows == a.rows and c.cols == b.cols and a.cols == b.rows
    if not fits or None in (c.rows, c.cols, a.cols) or any(is_sparse(f) for f in (c, a, b)):
        return False
    return (c.cells or 0) >= _ADDED and a.cols <= _TERMS and min(c.rows, c.cols) > THIN


def _added(name: str, before: str, after: str) -> Fusion:
    why = "the product is added where C lies instead of being a matrix of its own"
    return Fusion(name, before, after, why, values="reassociates", where=_adds, shapes="C=300x260 A=300x4 B=4x260")


def _sum_of_low_rank(name: str, before: str, after: str) -> Fusion:
    why = "sums of the thin factors instead of a scan of their product, whoever else needs that"
    return Fusion(name, before, after, why, values="reassociates", where=_legal, shapes="U=60x3 V=50x3", shared=True)


RULES: Final = (
    *_chain("mmchain", "X %*% V", "mmchain(X, V)"),
    *_chain("mmchain_w", "Y * (X %*% V)", "mmchain_w(X, V, Y)", beside=True),
    *_chain("mmchain_y", "X %*% V - Y", "mmchain_y(X, V, Y)", beside=True),
    *_chain("mmchain_y_plus", "X %*% V + Y", "mmchain_y(X, V, -Y)", beside=True),
    *_chain("mmchain_y_negated", "Y - X %*% V", "-mmchain_y(X, V, Y)", beside=True),
    Fusion(
        "tsmm_left",
        "t(X) %*% X",
        "tsmm_left(X)",
        "half of a symmetric product, and no transpose",
        values="reassociates",
        where=lambda m: m.bound["X"].op != "t",
    ),
    Fusion(
        "tsmm_right",
        "X %*% t(X)",
        "tsmm_right(X)",
        "half of a symmetric product, and no transpose",
        values="reassociates",
        where=lambda m: m.bound["X"].op != "t",
    ),
    Fusion(
        "tmm",
        "t(A) %*% B",
        "tmm(A, B)",
        "a sparse matrix is multiplied as it lies instead of being transposed",
        values="reassociates",
        where=_sparse,
        shapes="A=60x20 B=60x4",
        facts="A nnz=300",
    ),
    _added("gemm_plus", "C + A %*% B", "gemm(C, 1, A, B)"),
    _added("gemm_minus", "C - A %*% B", "gemm(C, -1, A, B)"),
    _added("gemm_scaled", "C + s * (A %*% B)", "gemm(C, s, A, B)"),
    _added("gemm_scaled_minus", "C - s * (A %*% B)", "gemm(C, -s, A, B)"),
    _sum_of_low_rank("sum_of_low_rank", "sum(U %*% t(V))", "sum(colSums(U) * colSums(V))"),
    _sum_of_low_rank("row_sums_of_low_rank", "rowSums(U %*% t(V))", "U %*% t(colSums(V))"),
    _sum_of_low_rank("col_sums_of_low_rank", "colSums(U %*% t(V))", "colSums(U) %*% t(V)"),
)
