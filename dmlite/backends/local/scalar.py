"""Scalar arithmetic: Python `float`, `int`, `bool` and `str` in and out.

Doubles follow IEEE (nothing overflows with an error, x/0 is Inf or NaN), ints are 64 bits and checked, a boolean counts as 0 or 1 of the
other operand's type. Everything that Python raises for such cases is caught here.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, Final

import numpy as np

from dmlite.errors import DMLRuntimeError
from dmlite.text import scalar_text

Scalar = float | int | bool | str
Number = float | int | bool

_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**63 - 1


# ---------------------------------------------------------------- what Python does differently
def _not_numbers(symbol: str, *operands: Any) -> DMLRuntimeError:
    shown = " and ".join(f'"{x}"' if isinstance(x, str) else f"a {type(x).__name__}" for x in operands)
    return DMLRuntimeError(f"{symbol} needs numbers, not {shown}", hint="convert strings with as.double(...)")


def _checked(z: Any, symbol: str, x: Number, y: Number) -> Number:
    """The result of an operation that is not a float: an int within 64 bits, a float when both operands were boolean."""
    if z.__class__ is not int:
        raise _not_numbers(symbol, x, y)
    if x.__class__ is bool and y.__class__ is bool:
        return float(z)
    if not _INT_MIN <= z <= _INT_MAX:
        raise DMLRuntimeError(f"{x} {symbol} {y} overflows a 64-bit int", hint="use doubles, as in 2.0 * x")
    return z


def _arithmetic(f: Callable[[Any, Any], Any], symbol: str) -> Callable[[Number, Number], Number]:
    def kernel(x: Number, y: Number) -> Number:
        try:
            z = f(x, y)
        except TypeError:
            raise _not_numbers(symbol, x, y) from None
        return z if z.__class__ is float else _checked(z, symbol, x, y)

    return kernel


def _function(name: str, fast: Callable[[float], float], exact: Callable[[float], float]) -> Callable[[Number], float]:
    """`fast` from `math`, and NumPy where `math` raises instead of returning Inf or NaN."""

    def kernel(x: Number) -> float:
        try:
            return fast(x)
        except (ValueError, OverflowError):
            with np.errstate(all="ignore"):
                return float(exact(float(x)))
        except TypeError:
            raise _not_numbers(name, x) from None

    return kernel


# ---------------------------------------------------------------- arithmetic
def add(x: Scalar, y: Scalar) -> Scalar:
    """Sum, or the printed forms joined when one operand is a string."""
    try:
        z = x + y
    except TypeError:
        if isinstance(x, Scalar) and isinstance(y, Scalar):
            return scalar_text(x) + scalar_text(y)
        raise _not_numbers("+", x, y) from None
    return z if z.__class__ is float or z.__class__ is str else _checked(z, "+", x, y)


sub = _arithmetic(operator.sub, "-")
mul = _arithmetic(operator.mul, "*")


def div(x: Number, y: Number) -> float:
    """Quotient as a double; Inf or NaN for a zero divisor."""
    try:
        return x / y
    except ZeroDivisionError:
        return math.nan if x == 0 or x != x else math.copysign(math.inf, x) * math.copysign(1.0, y)
    except TypeError:
        raise _not_numbers("/", x, y) from None


def pow(x: Number, y: Number) -> float:
    """IEEE power, always a double."""
    try:
        return math.pow(x, y)
    except (ValueError, OverflowError):
        with np.errstate(all="ignore"):
            return float(np.power(float(x), float(y)))
    except TypeError:
        raise _not_numbers("^", x, y) from None


def _truncated(q: float) -> float:
    return float(math.trunc(q)) if math.isfinite(q) else q


def _both_int(x: Number, y: Number) -> bool:
    """Whether the result is an int: one operand is, and the other is an int or a boolean."""
    return isinstance(x, int) and isinstance(y, int) and not (x.__class__ is bool and y.__class__ is bool)


def intdiv(x: Number, y: Number) -> Number:
    """Quotient truncated toward zero. Raises DMLRuntimeError for an int divided by int zero."""
    if not _both_int(x, y):
        return _truncated(div(x, y))
    if y == 0:
        raise DMLRuntimeError(f"{x} %/% 0 overflows a 64-bit int", hint="divide doubles to get Inf, or test the divisor first")
    q = x // y
    return _checked(q + 1 if q < 0 and q * y != x else q, "%/%", x, y)


def mod(x: Number, y: Number) -> Number:
    """x - (x %/% y) * y, with the sign of x; 0 for an int modulo int zero, NaN for doubles."""
    if not _both_int(x, y):
        return float(x - _truncated(div(x, y)) * y)
    return x - intdiv(x, y) * y if y != 0 else 0


def neg(x: Number) -> Number:
    """-x; an int stays one."""
    return -x if x.__class__ is float else mul(x, -1)


def _smaller(x: Number, y: Number) -> Number:
    """NaN wins."""
    return x if x < y or x != x else y


def _larger(x: Number, y: Number) -> Number:
    return x if x > y or x != x else y


def _extreme(f: Callable[[Number, Number], Number], name: str) -> Callable[[Number, Number], Number]:
    def kernel(x: Number, y: Number) -> Number:
        if x.__class__ is str or y.__class__ is str:
            raise _not_numbers(name, x, y)
        z = f(x, y)
        return z if x.__class__ is y.__class__ is not bool else int(z) if _both_int(x, y) else float(z)

    return kernel


min2 = _extreme(_smaller, "min")
max2 = _extreme(_larger, "max")


def min_n(*operands: Number) -> float:
    """The smallest as a double; NaN wins."""
    return float(reduce(min2, operands))


def max_n(*operands: Number) -> float:
    """The largest as a double; NaN wins."""
    return float(reduce(max2, operands))


def log_base(x: Number, base: Number) -> float:
    """Logarithm of x to a base."""
    return div(log(x), log(base))


def one_minus(x: Number) -> Number:
    """1 - x."""
    return sub(1, x)


def sprop(x: Number) -> Number:
    """x * (1 - x)."""
    return mul(x, sub(1, x))


def square(x: Number) -> float:
    """x ^ 2."""
    return pow(x, 2)


def axpy(x: Number, s: Number, y: Number) -> Number:
    """x + s * y."""
    return add(x, mul(s, y))


# ---------------------------------------------------------------- comparison and logic
def _code_units(x: Scalar) -> bytes:
    """Bytes that sort like the print form does by UTF-16 code units."""
    return scalar_text(x).encode("utf-16-be", "surrogatepass")


def _comparison(f: Callable[[Any, Any], bool]) -> Callable[[Scalar, Scalar], bool]:
    """Numbers by value, as doubles if one is; as soon as one side is a string, both by their print forms."""

    def kernel(x: Scalar, y: Scalar) -> bool:
        if x.__class__ is str or y.__class__ is str:
            return f(_code_units(x), _code_units(y))
        return f(x, y) if x.__class__ is y.__class__ else f(float(x), float(y))

    return kernel


lt = _comparison(operator.lt)
le = _comparison(operator.le)
gt = _comparison(operator.gt)
ge = _comparison(operator.ge)
eq = _comparison(operator.eq)
ne = _comparison(operator.ne)

_COMPARISONS: Final = {"<": lt, "<=": le, ">": gt, ">=": ge, "==": eq, "!=": ne}


def ppred(x: Number, y: Number, op: str) -> bool:
    """The comparison that `op` names; raises DMLRuntimeError for any other string."""
    return pick(_COMPARISONS, op)(x, y)


def pick(comparisons: dict[str, Callable[..., Any]], op: str) -> Callable[..., Any]:
    """The kernel for a comparison symbol. Raises DMLRuntimeError for any other string."""
    if op not in comparisons:
        raise DMLRuntimeError(f'ppred does not know the operator "{op}"', hint=f"use one of {' '.join(comparisons)}")
    return comparisons[op]


def _holds(x: Scalar) -> bool:
    if x.__class__ is str:
        raise DMLRuntimeError(f'the string "{x}" is no condition', hint="compare it, or convert with as.logical(...)")
    return bool(x)


def and_(x: Number, y: Number) -> bool:
    """Whether both are non-zero."""
    return _holds(x) & _holds(y)


def or_(x: Number, y: Number) -> bool:
    """Whether one is non-zero."""
    return _holds(x) | _holds(y)


def not_(x: Number) -> bool:
    """Whether x is zero."""
    return not _holds(x)


def xor(x: Number, y: Number) -> bool | float:
    """Whether exactly one is non-zero: boolean for booleans, 1.0 or 0.0 for numbers."""
    differ = _holds(x) != _holds(y)
    return differ if x.__class__ is y.__class__ is bool else float(differ)


def ifelse(c: Number, a: Scalar, b: Scalar) -> Scalar:
    """a when c is not zero, else b, with its own type."""
    return a if _holds(c) else b


def is_na(x: Scalar) -> float:
    """1.0 for NaN."""
    return 1.0 if x != x else 0.0


def is_infinite(x: Scalar) -> float:
    """1.0 for Inf and -Inf."""
    return 1.0 if x.__class__ is float and math.isinf(x) else 0.0


# ---------------------------------------------------------------- bits
def _long(x: Number) -> int:
    """Truncated to 64 bits; NaN is 0, what is out of range saturates."""
    if x.__class__ is float:
        x = 0 if x != x else math.trunc(min(max(x, -(2.0**63)), 2.0**63))
    return min(max(int(x), _INT_MIN), _INT_MAX)


def _bits(name: str, f: Callable[[int, int], int]) -> Callable[[Number, Number], Number]:
    """An int, or a double when one operand is."""

    def kernel(x: Number, y: Number) -> Number:
        if x.__class__ is str or y.__class__ is str:
            raise _not_numbers(name, x, y)
        z = f(_long(x), _long(y))
        return float(z) if x.__class__ is float or y.__class__ is float else z

    return kernel


bitwAnd = _bits("bitwAnd", operator.and_)
bitwOr = _bits("bitwOr", operator.or_)
bitwXor = _bits("bitwXor", operator.xor)
bitwShiftL = _bits("bitwShiftL", lambda x, y: ((x << (y & 63)) + 2**63) % 2**64 - 2**63)
bitwShiftR = _bits("bitwShiftR", lambda x, y: x >> (y & 63))


# ---------------------------------------------------------------- mathematical functions
def _rounded(x: float) -> float:
    below = math.floor(x)
    return float(below + (x - below >= 0.5))


exp = _function("exp", math.exp, np.exp)
log = _function("log", math.log, np.log)
sqrt = _function("sqrt", math.sqrt, np.sqrt)
abs = _function("abs", math.fabs, np.abs)
sign = _function("sign", lambda x: math.copysign(1.0, x) if x and x == x else x * 1.0, np.sign)
round = _function("round", _rounded, np.floor)
floor = _function("floor", lambda x: math.copysign(math.floor(x), x), np.floor)
ceil = _function("ceil", lambda x: math.copysign(math.ceil(x), x), np.ceil)
sin = _function("sin", math.sin, np.sin)
cos = _function("cos", math.cos, np.cos)
tan = _function("tan", math.tan, np.tan)
asin = _function("asin", math.asin, np.arcsin)
acos = _function("acos", math.acos, np.arccos)
atan = _function("atan", math.atan, np.arctan)
sinh = _function("sinh", math.sinh, np.sinh)
cosh = _function("cosh", math.cosh, np.cosh)
tanh = _function("tanh", math.tanh, np.tanh)
softplus = _function("softplus", lambda x: max(x, 0.0) + math.log1p(math.exp(-math.fabs(x))), lambda x: np.logaddexp(0.0, x))
log_sigmoid = _function("log_sigmoid", lambda x: -softplus(-x), lambda x: -np.logaddexp(0.0, -x))
sigmoid_op = _function("sigmoid", lambda x: 1.0 / (1.0 + math.exp(-x)), lambda x: 0.0 if x < 0 else 1.0)
