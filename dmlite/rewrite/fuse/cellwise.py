"""Sums of products and cellwise chains that need no intermediate matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dmlite.rewrite.fuse.fusion import Fusion
from dmlite.rewrite.rule import Match

# Cells below which the inlined expression is as fast: where the kernel saves a pass, and where it only saves a buffer.
LEAST: Final = 1 << 12
LEAST_BUFFERED: Final = 1 << 15
_SHAPES: Final = "X=80x60 Y=80x60 Z=80x60"


def _alike(*holes: str, least: int = LEAST) -> Callable[[Match], bool]:
    """The operands have one known shape, so that nothing is broadcast, with so many cells at least."""

    def guard(m: Match) -> bool:
        shapes = {(m.fact(h).rows, m.fact(h).cols) for h in holes}
        cells = m.fact(holes[0]).cells
        return len(shapes) == 1 and cells is not None and cells >= least

    return guard


def _sum(name: str, before: str | tuple[str, ...], after: str, *holes: str) -> Fusion:
    why = "one pass over the operands, no matrix of products"
    return Fusion(name, before, after, why, values="reassociates", where=_alike(*holes), shapes=_SHAPES)


def _big(name: str, before: str, after: str, why: str) -> Fusion:
    return Fusion(name, before, after, why, where=_alike("X", "Y", least=LEAST_BUFFERED), shapes="X=200x180 Y=200x180")


_STORED: Final = "one pass, over the non-zeros alone when X is sparse"

RULES: Final = (
    _sum("tak", "sum(X * Y)", "tak(X, Y)", "X", "Y"),
    _sum("tak3", "sum(X * Y * Z)", "tak3(X, Y, Z)", "X", "Y", "Z"),
    _sum("tak3_square", "sum(square(X) * Y)", "tak3(X, X, Y)", "X", "Y"),
    _sum("tak_rows", "rowSums(X * Y)", "tak_rows(X, Y)", "X", "Y"),
    _sum("tak_cols", "colSums(X * Y)", "tak_cols(X, Y)", "X", "Y"),
    _sum("sumsq_diff", ("sumsq(X - Y)", "sum(square(X - Y))"), "sumsq_diff(X, Y)", "X", "Y"),
    _big("axpy", "X + s * Y", "axpy(X, s, Y)", "one pass, no scaled copy"),
    _big("axpy_minus", "X - s * Y", "axpy(X, -s, Y)", "one pass, no scaled copy"),
    _big("one_minus_mul", "one_minus(X * Y)", "one_minus_mul(X, Y)", "one buffer instead of two"),
    Fusion("log_nz", "(X != 0) * log(X)", "log_nz(X)", _STORED, shapes="X=60x40"),
    Fusion("log_nz_base", "(X != 0) * log_base(X, b)", "log_nz(X, b)", _STORED, shapes="X=60x40"),
    Fusion("minus_nz", "X - s * (X != 0)", "minus_nz(X, s)", _STORED, shapes="X=60x40"),
    Fusion("relu_backward", "(X > 0) * Y", "relu_backward(X, Y)", "one pass, no matrix of ones", where=_alike("X", "Y"), shapes=_SHAPES),
)
