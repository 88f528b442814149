"""Cell by cell on NumPy and CSR: at least one operand is a matrix, the others may be scalars (`scalar.py` has the rest).

Shapes broadcast as in `fitting_shape`: a scalar, a 1x1 matrix and a row or column vector on either side of a matrix, but never a
column against a row. A CSR operand is worked on through its stored cells; all other cells share one value, that of the
function at zero, and the result is CSR again when this is zero. `*`, `&` and `bitwAnd` are sparse-safe: a cell that a
CSR operand does not store gives zero, also opposite of NaN or Inf.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Final

import numpy as np

from dmlite.backends.local import scalar
from dmlite.backends.local.storage import Matrix, dense, is_matrix, is_sparse, settle, with_cells
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve

_Function = Callable[..., np.ndarray]
_Kernel = Callable[..., Matrix]

_NUMBERS: Final = frozenset((float, int, bool))
_AXPY_CELLS: Final = 1 << 16  # a block of the scaled operand that is still in cache when the other is added
_ZERO: Final = np.zeros((1, 1))
_ZERO.flags.writeable = False


# ---------------------------------------------------------------- shapes
def fitting_shape(*operands: Any) -> tuple[int, int]:
    """The shape of a cellwise result; scalars among the operands fit everything.

    Raises DMLRuntimeError naming the shapes when they do not fit, or when a column meets a row.
    """
    shapes = [x.shape for x in operands if is_matrix(x)]
    rows, cols = ([n for n in axis if n != 1] for axis in zip(*shapes, strict=True))
    shape = (rows[0] if rows else 1, cols[0] if cols else 1)
    if shape not in shapes or any(n != shape[0] for n in rows) or any(m != shape[1] for m in cols):
        raise DMLRuntimeError(
            f"shapes {' and '.join(f'{n}x{m}' for n, m in shapes)} do not fit cell by cell",
            hint="shapes must be equal, or one a scalar or a vector along one side; outer(u, v, op) combines a column and a row",
        )
    return shape


def _check_numbers(*operands: Any) -> None:
    for x in operands:
        if x.__class__ not in _NUMBERS and not is_matrix(x):
            what = f"the string '{x}'" if isinstance(x, str) else f"a {type(x).__name__}"
            raise DMLRuntimeError(f"{what} where a matrix or a number is needed", hint="convert with as.double(...)")


# ---------------------------------------------------------------- stored cells of CSR
def _coordinates(x: Matrix) -> tuple[np.ndarray, np.ndarray]:
    """Row and column numbers of the stored cells."""
    return np.repeat(np.arange(x.shape[0], dtype=x.indices.dtype), np.diff(x.indptr)), x.indices


def _at(x: Any, rows: np.ndarray, cols: np.ndarray) -> Any:
    """Cells of a scalar or dense operand, vectors broadcast."""
    if not isinstance(x, np.ndarray):
        return x
    n, m = x.shape
    if n == 1:
        return x[0, cols] if m != 1 else x[0, 0]
    return x[rows, cols] if m != 1 else x[rows, 0]


def _completed(x: Matrix, data: np.ndarray, zero: Any) -> Matrix:
    """`data` in the stored cells of `x`, `zero` (broadcast; taken over when it is full) in all others."""
    if not np.any(zero):
        return with_cells(x, data)
    if np.shape(zero) == x.shape:
        out = zero
    else:
        reserve(*x.shape, "the result, which is dense,")
        out = np.empty(x.shape)
        out[...] = zero
    out[_coordinates(x)] = data
    return out


def _pairs(x: Matrix, y: Matrix) -> Matrix:
    """Complex CSR of two CSR matrices of one shape: x in the real part, y in the imaginary one."""
    a, b = np.zeros(x.nnz, complex), np.zeros(y.nnz, complex)
    a.real, b.imag = x.data, y.data
    return type(x)((a, x.indices, x.indptr), shape=x.shape) + type(y)((b, y.indices, y.indptr), shape=y.shape)


# ---------------------------------------------------------------- functions of one and of two operands
def _unary(f: _Function) -> _Kernel:
    with np.errstate(all="ignore"):
        zero = float(f(_ZERO)[0, 0])

    def kernel(x: Matrix) -> Matrix:
        if isinstance(x, np.ndarray):
            return f(x)
        return _completed(x, f(x.data), zero)

    return kernel


def _binary(f: _Function, safe: bool = False, both_sparse: _Kernel | None = None) -> _Kernel:
    """The kernel of `f(array, array)`. `safe`: a cell not stored gives zero; `both_sparse` combines two CSR of one shape."""

    def kernel(x: Any, y: Any) -> Matrix:
        if isinstance(x, np.ndarray):
            if isinstance(y, np.ndarray):
                if x.shape != y.shape:
                    fitting_shape(x, y)
                return f(x, y)
            if y.__class__ in _NUMBERS:
                return f(x, y)
        elif x.__class__ in _NUMBERS and isinstance(y, np.ndarray):
            return f(x, y)
        return _mixed(f, safe, both_sparse, x, y)

    return kernel


def _mixed(f: _Function, safe: bool, both_sparse: _Kernel | None, x: Any, y: Any) -> Matrix:
    """`f(x, y)` with a CSR operand."""
    _check_numbers(x, y)
    shape = fitting_shape(x, y)
    x, y = (dense(z) if is_matrix(z) and z.shape != shape else z for z in (x, y))
    left, right = (is_matrix(z) and is_sparse(z) for z in (x, y))
    if left and right:
        merged = both_sparse(x, y) if both_sparse else _merged(f, safe, x, y)
        return settle(merged) if is_sparse(merged) else merged
    if left:
        zero = 0.0 if safe else f(_ZERO, y)
        return _completed(x, f(x.data, _at(y, *_coordinates(x))), zero)
    if right:
        zero = 0.0 if safe else f(x, _ZERO)
        return _completed(y, f(_at(x, *_coordinates(y)), y.data), zero)
    return f(x, y)


def _merged(f: _Function, safe: bool, x: Matrix, y: Matrix) -> Matrix:
    """`f` of two CSR matrices of one shape, over the cells that either stores."""
    pairs = _pairs(x, y)
    a, b = pairs.data.real, pairs.data.imag
    data = f(a, b)
    if safe:
        data[(a == 0) | (b == 0)] = 0.0
    return _completed(pairs, data, 0.0 if safe else f(_ZERO, _ZERO))


def _truth(f: Callable[..., np.ndarray]) -> _Function:
    """A NumPy predicate as 0.0 and 1.0."""
    return lambda *operands: f(*operands).astype(np.float64)


# ---------------------------------------------------------------- arithmetic
def _power(x: Any, y: Any) -> np.ndarray:
    if y.__class__ in _NUMBERS and y == 2:
        return np.square(x)
    out = np.power(x, y)
    root = y == 0.5
    if root is not False and np.any(root):  # NumPy takes a root instead, which is another thing for -Inf and -0
        out += 0.0
        out[np.isneginf(x) & root] = np.inf
    return out


def _quotient(x: Any, y: Any) -> np.ndarray:
    q = np.divide(x, y)
    np.trunc(q, out=q)
    q += 0.0  # no negative zeros
    return q


def _remainder(x: Any, y: Any) -> np.ndarray:
    q = _quotient(x, y)
    q *= y
    return np.subtract(x, q, out=q)


def _product(x: Matrix, y: Matrix) -> Matrix:
    """SciPy multiplies NaN and Inf with the zeros opposite; the merge does not, but it is slower."""
    z = x.multiply(y)
    return _merged(np.multiply, True, x, y) if np.isnan(z.data).any() else z


def _log_base(x: Any, base: Any) -> np.ndarray:
    return np.log(x) / np.log(base)


add = _binary(np.add, both_sparse=lambda x, y: x + y)
sub = _binary(np.subtract, both_sparse=lambda x, y: x - y)
mul = _binary(np.multiply, safe=True, both_sparse=_product)
div = _binary(np.divide)
pow = _binary(_power)
mod = _binary(_remainder)
intdiv = _binary(_quotient)
log_base = _binary(_log_base)
min2 = _binary(np.minimum)
max2 = _binary(np.maximum)
neg = _unary(np.negative)
one_minus = _unary(lambda x: np.subtract(1.0, x))
square = _unary(np.square)


def min_n(*operands: Any) -> Matrix:
    """The smallest of several operands, cell by cell; at least one is a matrix."""
    return _folded(min2, scalar.min_n, operands)


def max_n(*operands: Any) -> Matrix:
    """The largest of several operands, cell by cell; at least one is a matrix."""
    return _folded(max2, scalar.max_n, operands)


def _folded(kernel: _Kernel, of_numbers: Callable[..., float], operands: tuple[Any, ...]) -> Matrix:
    """Full matrices first, so that vectors among the operands have something to be broadcast to."""
    fitting_shape(*operands)
    matrices = sorted((x for x in operands if is_matrix(x)), key=lambda x: -x.shape[0] * x.shape[1])
    numbers = [x for x in operands if not is_matrix(x)]
    return reduce(kernel, [*matrices, of_numbers(*numbers)] if numbers else matrices)


def axpy(x: Any, s: float, y: Any) -> Matrix:
    """x + s * y without a second intermediate; x or y is a matrix."""
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and x.shape == y.shape:
        out = np.empty_like(x)
        step = max(1, _AXPY_CELLS // max(1, x.shape[1]))
        for i in range(0, x.shape[0], step):
            block = np.multiply(y[i : i + step], s, out=out[i : i + step])
            np.add(x[i : i + step], block, out=block)
        return out
    return add(x, mul(y, s) if is_matrix(y) else scalar.mul(y, s))


# ---------------------------------------------------------------- logic
lt = _binary(_truth(np.less))
le = _binary(_truth(np.less_equal))
gt = _binary(_truth(np.greater))
ge = _binary(_truth(np.greater_equal))
eq = _binary(_truth(np.equal))
ne = _binary(_truth(np.not_equal))
and_ = _binary(_truth(np.logical_and), safe=True)
or_ = _binary(_truth(np.logical_or))
xor = _binary(_truth(np.logical_xor))
not_ = _unary(_truth(np.logical_not))
is_na = _unary(_truth(np.isnan))
is_infinite = _unary(_truth(np.isinf))

_COMPARISONS: Final = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}


def ppred(x: Any, y: Any, op: str) -> Matrix:
    """The comparison that `op` names; raises DMLRuntimeError for any other string."""
    return scalar.pick(_COMPARISONS, op)(x, y)


_take = _binary(lambda c, a: np.where(c != 0, a, 0.0))
_leave = _binary(lambda c, b: np.where(c != 0, 0.0, b))


def ifelse(c: Any, a: Any, b: Any) -> Matrix:
    """`a` where `c` is not zero (NaN is not), else `b`; at least one is a matrix, vectors are broadcast.

    Raises DMLRuntimeError when the shapes do not fit.
    """
    if isinstance(c, np.ndarray) and _is_plain(a) and _is_plain(b):
        if np.shape(a) not in ((), c.shape) or np.shape(b) not in ((), c.shape):
            fitting_shape(c, a, b)
        return np.where(c != 0, *(x if isinstance(x, np.ndarray) else float(x) for x in (a, b)))
    _check_numbers(c, a, b)
    shape = fitting_shape(c, a, b)
    if not is_matrix(c):
        return _spread(a if c else b, shape)
    if c.shape != shape:
        c = np.broadcast_to(dense(c), shape)
    return add(_take(c, a), _leave(c, b))


def _is_plain(x: Any) -> bool:
    return isinstance(x, np.ndarray) or x.__class__ in _NUMBERS


def _spread(x: Any, shape: tuple[int, int]) -> Matrix:
    """A matrix of `shape` of its own, from a matrix, vector or scalar."""
    if is_matrix(x):
        return x.copy() if x.shape == shape else np.array(np.broadcast_to(dense(x), shape))
    reserve(*shape, "the result")
    return np.full(shape, float(x))


# ---------------------------------------------------------------- bits
def _long(x: Any) -> np.ndarray:
    """Truncated to 64-bit integers; NaN is 0, what is out of range saturates."""
    inside = np.clip(np.nan_to_num(x), -(2.0**63), 2.0**63 - 1024).astype(np.int64)
    return np.where(np.greater_equal(x, 2.0**63), np.iinfo(np.int64).max, inside)


def _bits(f: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> _Function:
    return lambda x, y: f(_long(x), _long(y)).astype(np.float64)


bitwAnd = _binary(_bits(np.bitwise_and), safe=True)
bitwOr = _binary(_bits(np.bitwise_or))
bitwXor = _binary(_bits(np.bitwise_xor))
bitwShiftL = _binary(_bits(lambda x, y: np.left_shift(x, y & 63)))
bitwShiftR = _binary(_bits(lambda x, y: np.right_shift(x, y & 63)))


# ---------------------------------------------------------------- mathematical functions
def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Far below zero exp(-x) becomes Inf and the quotient 0, which is the right limit."""
    t = np.negative(x)
    np.exp(t, out=t)
    t += 1.0
    return np.divide(1.0, t, out=t)


def _sprop(x: np.ndarray) -> np.ndarray:
    t = np.subtract(1.0, x)
    return np.multiply(x, t, out=t)


def _round(x: np.ndarray) -> np.ndarray:
    """floor(x + 0.5) without the rounding error of the sum, which moves 0.49999999999999994 and odd numbers from 2^52 on."""
    below = np.floor(x)
    return np.add(below, x - below >= 0.5, out=below)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)


def _log_sigmoid(x: np.ndarray) -> np.ndarray:
    t = np.logaddexp(0.0, np.negative(x))
    return np.negative(t, out=t)


exp = _unary(np.exp)
log = _unary(np.log)
sqrt = _unary(np.sqrt)
abs = _unary(np.abs)
sign = _unary(np.sign)
round = _unary(_round)
floor = _unary(np.floor)
ceil = _unary(np.ceil)
sin = _unary(np.sin)
cos = _unary(np.cos)
tan = _unary(np.tan)
asin = _unary(np.arcsin)
acos = _unary(np.arccos)
atan = _unary(np.arctan)
sinh = _unary(np.sinh)
cosh = _unary(np.cosh)
tanh = _unary(np.tanh)
sigmoid_op = _unary(_sigmoid)
softplus = _unary(_softplus)
log_sigmoid = _unary(_log_sigmoid)
sprop = _unary(_sprop)
