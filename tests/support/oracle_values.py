"""Values of the oracle: kinds, conversions, operators, parts and print forms in the plainest NumPy that says what they mean."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import numpy as np

from dmlite.lang.nodes import DataType

Array = np.ndarray


class Failure(Exception):
    """The script did something that DML refuses."""


@dataclass(frozen=True)
class ListValue:
    items: tuple[Any, ...]
    names: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Poison:
    """A value whose computation failed, and which nobody has used yet. shape: of a matrix into which a store failed."""

    error: str
    shape: tuple[int, int] | None = None


@dataclass
class Notes:
    """What happened on the way.

    special: a NaN or Inf turned up. ambiguous: a zero met one, where storage decides the result. signed: something was
    divided by zero, so that the sign of the zero shows, which rewrites need not keep; or a product had an infinite factor,
    where the order of work decides between Inf and NaN; or a sine was taken of a number whose last digit decides it.
    """

    special: bool = False
    ambiguous: bool = False
    signed: bool = False

    def see(self, value: Any) -> None:
        if isinstance(value, ListValue):
            for item in value.items:
                self.see(item)
        elif isinstance(value, (float, Array)) and not np.isfinite(value).all():
            self.special = True


def used(value: Any) -> Any:
    if isinstance(value, Poison):
        raise Failure(value.error)
    return value


def is_matrix(x: Any) -> bool:
    return isinstance(x, Array)


def is_number(x: Any) -> bool:
    return isinstance(x, (bool, int, float))


def need(holds: bool, what: str) -> None:
    if not holds:
        raise Failure(what)


# ---------------------------------------------------------------- conditions and conversions
def truth(x: Any) -> bool:
    need(is_number(x), "a condition must be a scalar")
    return x != 0


def whole(x: Any) -> int:
    need(is_number(x) and math.isfinite(x), "a bound must be a finite number")
    return math.trunc(x)


def declared(x: Any, kind: DataType) -> Any:
    """A value as the declared type of a parameter or result."""
    if kind.data == "scalar":
        need(is_number(x) or isinstance(x, str), "must be a scalar")
        return {"double": as_double, "int": as_integer, "boolean": as_logical, "string": text}.get(kind.value, lambda v: v)(x)
    need(isinstance(x, Array if kind.data == "matrix" else ListValue), f"must be a {kind.data}")
    return x


def as_double(x: Any) -> float:
    try:
        return float(x) if not is_matrix(x) else _refuse("as.double of a matrix")
    except ValueError:
        raise Failure("not a number") from None


def as_integer(x: Any) -> int:
    value = as_double(x)
    if math.isnan(value):
        return 0
    if isinstance(x, int):
        return int(x)
    return int(max(min(value, 2**63 - 1), -(2**63)))


def as_logical(x: Any) -> bool:
    return x.lower() == "true" if isinstance(x, str) else bool(x != 0)


def as_scalar(x: Any) -> Any:
    if isinstance(x, ListValue) and len(x.items) == 1:
        return x.items[0] if not isinstance(x.items[0], (Array, ListValue)) else as_scalar(x.items[0])
    need(is_matrix(x) and x.shape == (1, 1), "as.scalar needs 1x1")
    return float(x[0, 0])


def as_matrix(x: Any) -> Array:
    if isinstance(x, ListValue):
        need(len(x.items) == 1, "as.matrix of a longer list")
        return as_matrix(x.items[0])
    return x if is_matrix(x) else np.array([[as_double(x)]])


def _refuse(what: str) -> Any:
    raise Failure(what)


# ---------------------------------------------------------------- operators
def _trunc_div(x: Any, y: Any) -> Any:
    return np.trunc(np.divide(x, y)) + 0.0


MATRIX_OPS: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.float_power,  # np.power takes a root for 0.5, which -Inf has not
    "%/%": _trunc_div,
    "%%": lambda x, y: x - _trunc_div(x, y) * y,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "&": lambda x, y: (x != 0) & (y != 0),
    "|": lambda x, y: (x != 0) | (y != 0),
    "min": np.minimum,
    "max": np.maximum,
    "xor": lambda x, y: (x != 0) != (y != 0),
}
COMPARISONS = {"<", "<=", ">", ">=", "==", "!="}


def fit(*operands: Any) -> None:
    """Shapes of a cellwise operation: equal, or vectors along one side of the largest, or single cells."""
    shapes = [o.shape for o in operands if is_matrix(o)] or [()]
    try:
        result = np.broadcast_shapes(*shapes)
    except ValueError:
        raise Failure(f"shapes {shapes} do not fit") from None
    need(result in shapes, f"shapes {shapes} do not fit")


def binary(op: str, x: Any, y: Any, notes: Notes) -> Any:
    x, y = used(x), used(y)
    need(not isinstance(x, ListValue) and not isinstance(y, ListValue), "lists have no operators")
    if op == "%*%":
        return matmul(x, y, notes)
    if is_matrix(x) or is_matrix(y):
        need(not isinstance(x, str) and not isinstance(y, str), "a string and a matrix")
        fit(x, y)
        x, y = (np.float64(v) if not is_matrix(v) else v for v in (x, y))
        notes.ambiguous |= op in ("*", "%%") and zero_meets_special(x, y)
        notes.signed |= _divides_by_zero(op, x, y)
        return np.asarray(MATRIX_OPS[op](x, y), dtype=np.float64)
    notes.signed |= _divides_by_zero(op, x, y)
    return scalar_binary(op, x, y)


def _divides_by_zero(op: str, x: Any, y: Any) -> bool:
    """With an infinite result, that is, whose sign is that of the zero."""
    if isinstance(x, str) or isinstance(y, str):
        return False
    if op == "^":
        return bool(np.any((x == 0) & (y < 0)))
    return op in ("/", "%/%") and bool(np.any((y == 0) & (x != 0)))


def zero_meets_special(x: Any, y: Any) -> bool:
    return bool(((x == 0).any() and not np.isfinite(y).all()) or ((y == 0).any() and not np.isfinite(x).all()))


def matmul(x: Any, y: Any, notes: Notes) -> Array:
    need(is_matrix(x) and is_matrix(y) and x.shape[1] == y.shape[0], "matmul does not fit")
    if x.size and y.size and zero_meets_special(x, y):
        notes.ambiguous = True
    notes.signed |= bool(np.isinf(x).any() or np.isinf(y).any())
    return x @ y


def scalar_binary(op: str, x: Any, y: Any) -> Any:
    if op == "+" and (isinstance(x, str) or isinstance(y, str)):
        return text(x) + text(y)
    if op in COMPARISONS:
        if isinstance(x, str) or isinstance(y, str):
            x, y = text(x).encode("utf-16-be"), text(y).encode("utf-16-be")
            return {"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y, "==": x == y, "!=": x != y}[op]
        return bool(MATRIX_OPS[op](x, y))
    need(is_number(x) and is_number(y), "numbers needed")
    if op in ("&", "|"):
        return bool(MATRIX_OPS[op](x, y))
    if op == "xor":
        both = isinstance(x, bool) and isinstance(y, bool)
        return bool(x) != bool(y) if both else float(bool(x) != bool(y))
    ints = isinstance(x, int) and isinstance(y, int) and not (isinstance(x, bool) and isinstance(y, bool))
    if ints and op not in ("/", "^"):
        return _int_binary(op, int(x), int(y))
    if op == "^":
        return _power(float(x), float(y))
    return float(MATRIX_OPS[op](np.float64(x), np.float64(y)))


def _power(x: float, y: float) -> float:
    try:
        return math.pow(x, y)
    except (ValueError, OverflowError):
        return float(np.float_power(x, y))


def _int_binary(op: str, x: int, y: int) -> int:
    if op == "%/%":
        need(y != 0, "whole division by zero")
    quotient = 0 if y == 0 else abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)
    result = {
        "+": x + y,
        "-": x - y,
        "*": x * y,
        "%/%": quotient,
        "%%": 0 if y == 0 else x - quotient * y,
        "min": min(x, y),
        "max": max(x, y),
    }[op]
    need(-(2**63) <= result < 2**63, "overflow")
    return result


def unary(op: str, x: Any) -> Any:
    x = used(x)
    if is_matrix(x):
        return {"-": -x, "+": x, "!": (x == 0).astype(float)}[op]
    need(is_number(x), "a number needed")
    if op == "!":
        return x == 0
    if op == "+":
        return x
    return _int_binary("-", 0, int(x)) if isinstance(x, int) else -x


# ---------------------------------------------------------------- parts
def _section(low: Any, high: Any, size: int) -> slice:
    if low is None:
        return slice(0, size)
    high = low if high is None else high
    need(is_number(low) and is_number(high) and math.isfinite(low) and math.isfinite(high), "an index must be a number")
    first, last = math.floor(low), math.floor(high)
    need(1 <= first <= last <= size, f"index {first}:{last} is not within {size}")
    return slice(first - 1, last)


def _place(x: ListValue, which: Any) -> int:
    if isinstance(which, str):
        need(x.names is not None and which in x.names, "no such element")
        return x.names.index(which)  # type: ignore[union-attr]
    return _section(which, None, len(x.items)).start


def part(x: Any, rl: Any, ru: Any, cl: Any, cu: Any) -> Any:
    if isinstance(x, ListValue):
        first = _place(x, rl)
        last = first if ru is None else _place(x, ru)
        need(first <= last, "empty range")
        return ListValue(x.items[first : last + 1], x.names and x.names[first : last + 1])
    need(is_matrix(x), "only matrices have parts")
    return x[_section(rl, ru, x.shape[0]), _section(cl, cu, x.shape[1])].copy()


def replaced(x: Any, value: Any, rl: Any, ru: Any, cl: Any, cu: Any) -> Any:
    value = used(value)
    if isinstance(x, ListValue):
        at = _place(x, rl)
        return ListValue((*x.items[:at], value, *x.items[at + 1 :]), x.names)
    need(is_matrix(x), "only matrices have parts")
    x = x.copy()
    target = x[_section(rl, ru, x.shape[0]), _section(cl, cu, x.shape[1])]
    need(is_number(value) or (is_matrix(value) and value.shape == target.shape), "shape does not fit the range")
    target[:] = value
    return x


# ---------------------------------------------------------------- print forms
def text(x: Any, decimal: int = 3) -> str:
    """The print form of a value."""
    if isinstance(x, str):
        return x
    if isinstance(x, bool):
        return "TRUE" if x else "FALSE"
    if isinstance(x, int):
        return str(x)
    if isinstance(x, float):
        return _double_text(x)
    if is_matrix(x):
        return "".join(" ".join(_fixed(v, decimal) for v in row) + "\n" for row in x[:100, :100].tolist())
    raise NotImplementedError("the text of a list")


def _double_text(x: float) -> str:
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "Infinity" if x > 0 else "-Infinity"
    if x == 0 or 1e-3 <= abs(x) < 1e7:
        return repr(x)
    mantissa, _, exponent = f"{Decimal(repr(x)):E}".partition("E")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(exponent)}"


def _fixed(x: float, decimal: int) -> str:
    if not math.isfinite(x):
        return _double_text(x)
    return f"{Decimal(x).quantize(Decimal(1).scaleb(-decimal), ROUND_HALF_EVEN, Context(prec=1000)):f}"


def formatted(pattern: str, *args: Any) -> str:
    return pattern % tuple(str(a).lower() if isinstance(a, bool) else a for a in args)
