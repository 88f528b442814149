"""The weighted family: what needs the product D = U %*% t(V) of thin factors only beside a driver matrix W of its shape.

U is m x k, V n x k, W m x n. Beside a CSR driver D is computed at the stored cells alone, beside a dense one for a block of rows
at a time; the only m x n memory ever used is that of W and of a result of that shape.

Cells that a CSR driver does not store follow `elementwise`: a product with them is zero. A quotient with them is zero unless the divisor is
zero or NaN; bounds of the factors exclude that most of the time, else the divisors are computed once, in blocks, to see whether
there is one, and if so all cells are worked on as they would be without fusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from dmlite.backends.local import aggregate, compiled, elementwise, matmul, sampled
from dmlite.backends.local.sampled import Loop, shape_of, spans
from dmlite.backends.local.storage import Matrix, dense, is_sparse, with_cells
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve

_CANCELLED: Final = 1e-5  # a squared loss this small beside its terms has lost too many digits

_NEVER_ZERO: Final = frozenset({"exp", "sigmoid_op"})  # functions that only underflow gives a zero

_Cells = Callable[..., np.ndarray]


# ---------------------------------------------------------------- D where it is needed
def _factors(w: Matrix, u: Matrix, v: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """U and V as dense arrays whose rows are contiguous. Raises DMLRuntimeError when their product has not the shape of W."""
    if (u.shape[0], v.shape[0]) != w.shape or u.shape[1] != v.shape[1]:
        raise DMLRuntimeError(f"a matrix of {shape_of(w)} does not fit the product of {shape_of(u)} and the transpose of {shape_of(v)}")
    return np.ascontiguousarray(dense(u)), np.ascontiguousarray(dense(v))


def _rows(x: Any, i: int, j: int) -> Any:
    """Rows of a matrix as a dense block, anything else as it is."""
    if isinstance(x, np.ndarray):
        return x[i:j]
    return x[i:j].toarray() if hasattr(x, "tocsr") else x


# ---------------------------------------------------------------- what is done with D
class _Cell(NamedTuple):
    """One function of driver, D (which it may overwrite) and further operands, cell by cell.

    loop: what compiled loops call it. divisor: what the driver is divided by, as a function of D and the scalar operands;
    None when it is not.
    """

    of: _Cells
    loop: str = ""
    divisor: _Cells | None = None


def _times(w: np.ndarray, d: np.ndarray) -> np.ndarray:
    return np.multiply(w, d, out=d)


def _plus(d: np.ndarray, eps: float | None) -> np.ndarray:
    return d if eps is None else np.add(d, eps, out=d)


def _over(w: np.ndarray, d: np.ndarray, eps: float | None = None) -> np.ndarray:
    d = _plus(d, eps)
    return np.divide(w, d, out=d)


def _minus(w: np.ndarray, d: np.ndarray) -> np.ndarray:
    return _times(w != 0, np.subtract(d, w, out=d))


def _minus_weighted(w: np.ndarray, d: np.ndarray, x: np.ndarray) -> np.ndarray:
    return _times(w, np.subtract(d, x, out=d))


def _function(name: str) -> Callable[[np.ndarray], np.ndarray]:
    return getattr(elementwise, name)


def _log_sigmoid(z: np.ndarray) -> np.ndarray:
    """log(1 / (1 + exp(-z))), exact far from zero on both sides."""
    return np.negative(np.logaddexp(0.0, np.negative(z, out=z)), out=z)


_MUL: Final = _Cell(_times, "MUL")
_DIV: Final = _Cell(_over, "DIV", _plus)
_MINUS: Final = _Cell(_minus, "MINUS")
_MINUS_WEIGHTED: Final = _Cell(_minus_weighted, "MINUS_WEIGHTED")
_SIGMOID: Final = _Cell(lambda w, d: _times(w, elementwise.sigmoid_op(d)), "SIGMOID")
_SIGMOID_MINUS: Final = _Cell(lambda w, d: _times(w, elementwise.sigmoid_op(np.negative(d, out=d))), "SIGMOID_MINUS")
_SIGMOID_LOG: Final = _Cell(lambda w, d: _times(w, _log_sigmoid(d)))
_SIGMOID_LOG_MINUS: Final = _Cell(lambda w, d: _times(w, _log_sigmoid(np.negative(d, out=d))))
_OF_MUL: Final = _Cell(lambda w, d, f: _times(w, _function(f)(d)))
_OF_DIV: Final = _Cell(lambda w, d, f: _over(w, _function(f)(d)), divisor=lambda d, f: _function(f)(d))
_SQUARED: Final = _Cell(lambda w, d, x: _times(w, np.square(np.subtract(x, d, out=d), out=d)), "SQUARED")
_SQUARED_NZ: Final = _Cell(lambda w, d: _times(w != 0, np.square(np.subtract(w, d, out=d), out=d)), "SQUARED_NZ")
_CROSS: Final = _Cell(lambda w, d: _times(w, np.subtract(w, np.multiply(2.0, d, out=d), out=d)), "CROSS")
_LOG: Final = _Cell(lambda w, d, eps: _times(w, np.log(_plus(d, eps), out=d)), "LOG")


# ---------------------------------------------------------------- cells that are not stored, in a quotient
def _product_bounds(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest product of a number of U and one of V, by column; NaN where there is one."""
    ends = np.array([a * b for a in (u.min(0), u.max(0)) for b in (v.min(0), v.max(0))])
    return ends.min(0), ends.max(0)


def _surely_not_zero(u: np.ndarray, v: np.ndarray, eps: float) -> bool:
    """Whether bounds of the factors show that no cell of D + eps is zero or NaN; False when they do not tell."""
    if not (u.size and v.size):
        return False
    if eps >= 0 and (least := float(u.min())) > 0 and least * float(v.min()) > 0:
        return True  # what is mostly so takes one reading of each
    low, high = _product_bounds(u, v)
    if not (np.isfinite(low.sum()) and np.isfinite(high.sum())):
        return False
    if low.min() >= 0 and eps >= 0:  # a sum of numbers that are not negative is no smaller than the largest
        return bool(max(low.max(), eps) > 0)
    if high.max() <= 0 and eps <= 0:
        return bool(min(high.min(), eps) < 0)
    rounding = 1e-15 * u.shape[1] * (np.maximum(-low, high).sum() + abs(eps))
    return bool(low.sum() + eps > rounding or high.sum() + eps < -rounding)


def divides(u: Matrix, v: Matrix, eps: float = 0.0) -> bool:
    """Whether it is easily seen that U %*% t(V) + eps is neither zero nor NaN anywhere, so that zeros divided by it stay zero."""
    return isinstance(u, np.ndarray) and isinstance(v, np.ndarray) and _surely_not_zero(u, v, eps)


def _surely_large(u: np.ndarray, v: np.ndarray) -> bool:
    """Whether bounds of the factors show that every cell of D is finite and exp of it not zero."""
    if not (u.size and v.size):
        return False
    low, high = _product_bounds(u, v)
    return bool(low.sum() > -700 and np.isfinite(high.sum()))


def _zeros_stay(cell: _Cell, u: np.ndarray, v: np.ndarray, rest: tuple[Any, ...]) -> bool:
    """Whether the result is zero wherever a CSR driver stores nothing, for these factors."""
    if cell.divisor is None:
        return True
    eps = rest[0] if rest else None
    if _surely_large(u, v) if eps in _NEVER_ZERO else not isinstance(eps, str) and _surely_not_zero(u, v, eps or 0.0):
        return True
    for i, j in spans(u.shape[0], v.shape[0]):
        d = cell.divisor(u[i:j] @ v.T, *rest)
        if np.isnan(d).any() or not d.all():
            return False
    return True


# ---------------------------------------------------------------- kernels from cells
def _driven(cell: _Cell, w: Matrix, u: np.ndarray, v: np.ndarray, rest: tuple[Any, ...]) -> np.ndarray | None:
    """The result at the stored cells of a CSR driver; None when the driver is dense, or the other cells matter too."""
    if not is_sparse(w) or not _zeros_stay(cell, u, v, rest):
        return None
    rest = tuple(sampled.beside(x, w) if hasattr(x, "shape") else x for x in rest)
    data = np.empty(w.nnz)
    for part, d in sampled.blocks(w, u, v):
        data[part] = cell.of(w.data[part], d, *_parts(rest, part))
    return data


def _loop(cell: _Cell, w: Matrix, u: np.ndarray, v: np.ndarray, rest: tuple[Any, ...]) -> Loop | None:
    """Compiled loops for a CSR driver, where they are ready and worth it and zeros stay zero."""
    work = w.nnz * u.shape[1] if is_sparse(w) and cell.loop else 0
    module = compiled.loops(w, work) if work else None
    if module is None or not _zeros_stay(cell, u, v, rest):
        return None
    x = next((x for x in rest if hasattr(x, "shape")), None)
    eps = next((float(x) for x in rest if isinstance(x, (int, float))), 0.0)
    return Loop(module, getattr(module, cell.loop), w, u, v, x, eps)


def _parts(rest: tuple[Any, ...], part: slice) -> Iterator[Any]:
    return (x[part] if isinstance(x, np.ndarray) else x for x in rest)


def _blocks(cell: _Cell, w: Matrix, u: np.ndarray, v: np.ndarray, rest: tuple[Any, ...]) -> Iterator[tuple[slice, np.ndarray]]:
    """The result a block of rows at a time."""
    for i, j in spans(*w.shape):
        yield slice(i, j), cell.of(_rows(w, i, j), u[i:j] @ v.T, *(_rows(x, i, j) for x in rest))


def _cells(cell: _Cell) -> Callable[..., Matrix]:
    """m x n: the cells themselves, CSR when the driver is and zeros stay zero."""

    def kernel(w: Matrix, u: Matrix, v: Matrix, *rest: Any) -> Matrix:
        u, v = _factors(w, u, v)
        loop = _loop(cell, w, u, v, rest)
        data = _driven(cell, w, u, v, rest) if loop is None else loop.cells()
        if data is not None:
            return with_cells(w, data)
        reserve(*w.shape, "the result")
        out = u @ v.T
        for i, j in spans(*w.shape):
            block = cell.of(_rows(w, i, j), out[i:j], *(_rows(x, i, j) for x in rest))
            if block.base is not out:
                out[i:j] = block
        return out

    return kernel


def _right(cell: _Cell) -> Callable[..., Matrix]:
    """m x k: the cells times V."""

    def kernel(w: Matrix, u: Matrix, v: Matrix, *rest: Any) -> Matrix:
        left, right = _factors(w, u, v)
        loop = _loop(cell, w, left, right, rest)
        if loop is not None:
            return loop.right()
        data = _driven(cell, w, left, right, rest)
        if data is not None:
            return matmul.matmul(with_cells(w, data), v)
        out = np.empty(u.shape)
        for part, block in _blocks(cell, w, left, right, rest):
            out[part] = block @ v
        return out

    return kernel


def _left(cell: _Cell) -> Callable[..., Matrix]:
    """k x n: t(U) times the cells."""

    def kernel(w: Matrix, u: Matrix, v: Matrix, *rest: Any) -> Matrix:
        left, right = _factors(w, u, v)
        loop = _loop(cell, w, left, right, rest)
        if loop is not None:
            return loop.left()
        data = _driven(cell, w, left, right, rest)
        if data is not None:
            return matmul.tmm(u, with_cells(w, data))
        out = np.zeros((v.shape[1], v.shape[0]))
        for part, block in _blocks(cell, w, left, right, rest):
            out += u[part].T @ block
        return out

    return kernel


def _sum(cell: _Cell) -> Callable[..., float]:
    """The sum of the cells."""

    def kernel(w: Matrix, u: Matrix, v: Matrix, *rest: Any) -> float:
        u, v = _factors(w, u, v)
        loop = _loop(cell, w, u, v, rest)
        if loop is not None:
            return loop.total()
        data = _driven(cell, w, u, v, rest)
        if data is not None:
            return float(np.add.reduce(data))
        return sum((float(np.add.reduce(block, axis=None)) for _, block in _blocks(cell, w, u, v, rest)), 0.0)

    return kernel


wdivmm_mul, wdivmm_mul_right, wdivmm_mul_left = _cells(_MUL), _right(_MUL), _left(_MUL)
wdivmm_div, wdivmm_div_right, wdivmm_div_left = _cells(_DIV), _right(_DIV), _left(_DIV)
wdivmm_minus, wdivmm_minus_right, wdivmm_minus_left = _cells(_MINUS), _right(_MINUS), _left(_MINUS)
wdivmm_minus_weighted = _cells(_MINUS_WEIGHTED)
wdivmm_minus_weighted_right, wdivmm_minus_weighted_left = _right(_MINUS_WEIGHTED), _left(_MINUS_WEIGHTED)
wsigmoid, wsigmoid_minus = _cells(_SIGMOID), _cells(_SIGMOID_MINUS)
wsigmoid_log, wsigmoid_log_minus = _cells(_SIGMOID_LOG), _cells(_SIGMOID_LOG_MINUS)
wumm_mul, wumm_div = _cells(_OF_MUL), _cells(_OF_DIV)
wsloss_post, wsloss_nz, wcemm = _sum(_SQUARED), _sum(_SQUARED_NZ), _sum(_LOG)


# ---------------------------------------------------------------- squared losses over all cells
def wsloss(x: Matrix, u: Matrix, v: Matrix) -> float:
    """sum((X - U %*% t(V)) ^ 2).

    For a CSR X the cells it does not store are summed as sum((t(U) %*% U) * (t(V) %*% V)) without the stored ones;
    where that difference cancels, or is not finite, all cells are computed.
    """
    u, v = _factors(x, u, v)
    if is_sparse(x):
        everywhere = float(np.vdot(matmul.tsmm_left(u), matmul.tsmm_left(v)))
        loop = _loop(_CROSS, x, u, v, ())
        parts = (
            (float(np.add.reduce(_CROSS.of(x.data[part], d))) for part, d in sampled.blocks(x, u, v)) if loop is None else (loop.total(),)
        )
        at_stored = sum(parts, 0.0)
        total = everywhere + at_stored
        if total > _CANCELLED * (everywhere + float(x.data @ x.data)):
            return total
    return sum((_distance(_rows(x, i, j), u[i:j] @ v.T) for i, j in spans(*x.shape)), 0.0)


def wsloss_pre(w: Matrix, u: Matrix, v: Matrix, x: Matrix) -> float:
    """sum((X - W * (U %*% t(V))) ^ 2). Raises DMLRuntimeError when the shapes do not fit."""
    if x.shape != w.shape:
        raise DMLRuntimeError(f"matrices of {shape_of(x)} and {shape_of(w)} do not fit cell by cell")
    u, v = _factors(w, u, v)
    data = _driven(_MUL, w, u, v, ())
    if data is None:
        return sum((_distance(_rows(x, part.start, part.stop), block) for part, block in _blocks(_MUL, w, u, v, ())), 0.0)
    stored = type(w)((data, w.indices, w.indptr), shape=w.shape)
    if is_sparse(x):
        return aggregate.sumsq(x - stored)
    return sum((_distance(x[i:j], _rows(stored, i, j)) for i, j in spans(*w.shape)), 0.0)


def _distance(x: np.ndarray, d: np.ndarray) -> float:
    """The sum of (x - d)^2; `d` is overwritten."""
    return aggregate.sumsq(np.subtract(x, d, out=d))
