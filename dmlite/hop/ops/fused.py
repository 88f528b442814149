"""Operator rows: fused operators, which only the optimizer makes.

The weighted family needs a product of two thin factors, `U %*% t(V)` (m x n, U m x k and V n x k), only beside a driver
of that shape: at the stored cells of a CSR driver, and rows at a time beside a dense one, so that the product itself never
exists. `_right` multiplies the result by V, `_left` multiplies t(U) by it. Every operator gives what its expression gives,
NaN and Inf included, up to the rounding of sums.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dmlite.hop.facts import Fact, matrix
from dmlite.hop.machine import Machine
from dmlite.hop.ops import cellwise
from dmlite.hop.ops.row import Op, ShapeError, Size, column, row
from dmlite.hop.ops.row import cellwise as fitting

_WUV: Final = "W: M, U: M, V: M"
_EPS: Final = f"{_WUV}, eps: D = ?"
_FOUR: Final = f"{_WUV}, X: M"
_BLOCKED: Final = 1.1  # how much longer a product takes when it is made in blocks of rows
_SPARSE: Final = 0.4  # share of non-zeros up to which a driver is taken to be CSR


# ---------------------------------------------------------------- the weighted family
def _factors(w: Fact, u: Fact, v: Fact, x: Fact | None = None) -> None:
    """W and X must have the shape of U %*% t(V)."""
    for one, other in ((u.cols, v.cols), (w.rows, u.rows), (w.cols, v.rows)):
        if None not in (one, other) and one != other:
            raise ShapeError(f"a {w.shape_text()} matrix beside the product of {u.shape_text()} and the transpose of {v.shape_text()}")
    if x is not None and x.is_matrix:
        fitting(w, x)


def _known(*sizes: int | None) -> int | None:
    return next((n for n in sizes if n is not None), None)


def _cells_size(w: Fact, u: Fact, v: Fact, *rest: Fact) -> Size:
    _factors(w, u, v, *rest)
    return _known(w.rows, u.rows), _known(w.cols, v.rows)


def _right_size(w: Fact, u: Fact, v: Fact, *rest: Fact) -> Size:
    _factors(w, u, v, *rest)
    return _known(w.rows, u.rows), _known(v.cols, u.cols)


def _left_size(w: Fact, u: Fact, v: Fact, *rest: Fact) -> Size:
    _factors(w, u, v, *rest)
    return _known(u.cols, v.cols), _known(w.cols, v.rows)


def _sum_size(w: Fact, u: Fact, v: Fact, *rest: Fact) -> Size:
    _factors(w, u, v, *rest)
    return None, None


def _work(products: int, per_cell: float) -> Callable[..., float | None]:
    """`products` times 2k operations for every non-zero of the driver, and `per_cell` more."""

    def flops(w: Fact, u: Fact, *_: Fact) -> float | None:
        cells = w.cells if w.nnz is None else w.nnz
        return None if cells is None or u.cols is None else cells * (2.0 * products * u.cols + per_cell)

    return flops


def _time(products: int, per_cell: float) -> Callable[..., float | None]:
    """D at the stored cells of a sparse driver or in blocks, whichever is less, and everything else only beside non-zeros."""

    def seconds(machine: Machine, w: Fact, u: Fact, *_: Fact) -> float | None:
        if w.cells is None or w.nnz is None or u.cols is None:
            return None
        blocks = _BLOCKED * 2.0 * w.cells * u.cols / machine.product_rate
        gathered = 2.0 * w.nnz * u.cols / machine.sparse_rate
        sparse = w.nnz <= _SPARSE * w.cells
        again = gathered if sparse else blocks
        return (min(gathered, blocks) if sparse else blocks) + (products - 1) * again + per_cell * w.nnz / machine.cell_rate

    return seconds


def _gram_time(machine: Machine, x: Fact, u: Fact, v: Fact) -> float | None:
    """The cells where X is zero are done by the two small matrices t(U) %*% U and t(V) %*% V."""
    at_cells = _time(1, 4)(machine, x, u)
    if at_cells is None or u.cells is None or v.cells is None or u.cols is None:
        return None
    return at_cells + 2.0 * u.cols * (u.cells + v.cells) / machine.product_rate


_FUNCTION_FLOPS: Final = {row.name: row.flops(matrix(1, 1)) for row in cellwise.ROWS if row.flops and row.params.count(":") == 1}


def _function_time(machine: Machine, w: Fact, u: Fact, v: Fact, f: Fact) -> float | None:
    return _time(1, 1 + (_FUNCTION_FLOPS.get(f.value) or 1))(machine, w, u, v)


def _measured(products: int, per_cell: float) -> dict[str, Any]:
    return {"flops": _work(products, per_cell), "seconds": _time(products, per_cell)}


def _cells(name: str, params: str, doc: str, per_cell: float, **kw: Any) -> Op:
    more = {"size": _cells_size, "zero": (0,), **_measured(1, per_cell), **kw}
    return Op(name, params, "M", f"weighted.{name}", doc, spelling=f"{name}()", **more)


def _with_products(name: str, params: str, cells: str, per_cell: float, **kw: Any) -> tuple[Op, ...]:
    """The cells themselves, times V from the right, and t(U) times them."""
    sides = (("_right", f"({cells}) %*% V.", _right_size), ("_left", f"t(U) %*% ({cells}).", _left_size))
    return (
        _cells(name, params, f"{cells}.", per_cell, **kw),
        *(
            Op(name + end, params, "M", f"weighted.{name}{end}", doc, size, **_measured(2, per_cell), spelling=f"{name}{end}()")
            for end, doc, size in sides
        ),
    )


def _sum(name: str, params: str, doc: str, per_cell: float, **kw: Any) -> Op:
    more = {"size": _sum_size, **_measured(1, per_cell), **kw}
    return Op(name, params, "D", f"weighted.{name}", doc, spelling=f"{name}()", **more)


_WEIGHTED: Final = (
    *_with_products("wdivmm_mul", _WUV, "W * (U %*% t(V))", 1),
    *_with_products("wdivmm_div", _EPS, "W / (U %*% t(V) + eps)", 4, zero=()),
    *_with_products("wdivmm_minus", _WUV, "(W != 0) * (U %*% t(V) - W)", 1),
    *_with_products("wdivmm_minus_weighted", _FOUR, "W * (U %*% t(V) - X)", 2),
    _cells("wsigmoid", _WUV, "W * sigmoid(U %*% t(V)).", 22),
    _cells("wsigmoid_minus", _WUV, "W * sigmoid(-(U %*% t(V))).", 22),
    _cells("wsigmoid_log", _WUV, "W * log(sigmoid(U %*% t(V))), without overflow.", 54),
    _cells("wsigmoid_log_minus", _WUV, "W * log(sigmoid(-(U %*% t(V)))), without overflow.", 54),
    _cells("wumm_mul", f"{_WUV}, f: T", "W * f(U %*% t(V)) for a cellwise function of one operand.", 1, seconds=_function_time),
    _cells(
        "wumm_div",
        f"{_WUV}, f: T",
        "W / f(U %*% t(V)) for a cellwise function of one operand.",
        4,
        nnz=None,
        zero=(),
        seconds=_function_time,
    ),
    _sum("wsloss", _WUV, "sum((W - U %*% t(V)) ^ 2).", 4, seconds=_gram_time),
    _sum("wsloss_nz", _WUV, "sum((W != 0) * (W - U %*% t(V)) ^ 2).", 3),
    _sum("wsloss_post", _FOUR, "sum(W * (X - U %*% t(V)) ^ 2).", 4),
    _sum("wsloss_pre", _FOUR, "sum((X - W * (U %*% t(V))) ^ 2).", 4),
    _sum("wcemm", _EPS, "sum(W * log(U %*% t(V) + eps)).", 33),
)


# ---------------------------------------------------------------- sums of products, cell by cell
def _together(*facts: Fact) -> Size:
    fitting(*facts)
    return None, None


def _passes(per_cell: float) -> Callable[..., float | None]:
    """So many operations for each non-zero of the sparsest operand."""

    def flops(*facts: Fact) -> float | None:
        counts = [f.cells if f.nnz is None else f.nnz for f in facts if f.is_matrix]
        return min((per_cell * c for c in counts if c is not None), default=None)

    return flops


def _dot(name: str, params: str, returns: str, doc: str, size: Callable[..., Size], per_cell: float, **kw: Any) -> Op:
    return Op(name, params, returns, f"fused.{name}", doc, size, flops=_passes(per_cell), spelling=f"{name}()", **kw)


_AGGREGATES: Final = (
    _dot("tak", "X: M, Y: M", "D", "sum(X * Y).", _together, 2),
    _dot("tak3", "X: M, Y: M, Z: M", "D", "sum(X * Y * Z).", _together, 3),
    _dot("tak_rows", "X: M, Y: M", "M", "rowSums(X * Y).", column, 2),
    _dot("tak_cols", "X: M, Y: M", "M", "colSums(X * Y).", row, 2),
    _dot("sumsq_diff", "X: M, Y: M", "D", "sum((X - Y) ^ 2).", _together, 3),
)


# ---------------------------------------------------------------- cell by cell
def _cell(name: str, params: str, doc: str, per_cell: float, **kw: Any) -> Op:
    return Op(name, params, "M", f"fused.{name}", doc, fitting, flops=_passes(per_cell), spelling=f"{name}()", **kw)


_CELLWISE: Final = (
    _cell("log_nz", "X: M, base: D = ?", "(X != 0) * log(X, base), natural without a base; stored cells only when X is sparse.", 33),
    _cell("minus_nz", "X: M, s: D", "X - s * (X != 0); stored cells only when X is sparse.", 2),
    _cell("relu_backward", "X: M, Y: M", "(X > 0) * Y in one pass.", 1, zero=(1,)),
    _cell("one_minus_mul", "X: M, Y: M", "1 - X * Y in one buffer.", 2),
)  # fmt: skip

ROWS: Final[tuple[Op, ...]] = (*_WEIGHTED, *_AGGREGATES, *_CELLWISE)
