"""Values of the oracle: DML's operators and builtins in the plainest NumPy that says what they mean."""

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
    """A value whose computation failed, and which nobody has used yet."""

    error: str


@dataclass
class Notes:
    """What happened on the way.

    special: a NaN or Inf turned up. ambiguous: a zero met one, where storage decides the result. signed: something was
    divided by zero, so that the sign of the zero shows, which rewrites need not keep.
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


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise Failure(what)


# ---------------------------------------------------------------- conditions and conversions
def truth(x: Any) -> bool:
    _need(is_number(x), "a condition must be a scalar")
    return x != 0


def whole(x: Any) -> int:
    _need(is_number(x) and math.isfinite(x), "a bound must be a finite number")
    return math.trunc(x)


def declared(x: Any, kind: DataType) -> Any:
    """A value as the declared type of a parameter or result."""
    if kind.data == "scalar":
        _need(is_number(x) or isinstance(x, str), "must be a scalar")
        return {"double": as_double, "int": as_integer, "boolean": as_logical, "string": text}.get(kind.value, lambda v: v)(x)
    _need(isinstance(x, Array if kind.data == "matrix" else ListValue), f"must be a {kind.data}")
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
    _need(is_matrix(x) and x.shape == (1, 1), "as.scalar needs 1x1")
    return float(x[0, 0])


def as_matrix(x: Any) -> Array:
    if isinstance(x, ListValue):
        _need(len(x.items) == 1, "as.matrix of a longer list")
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
    "^": np.power,
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
    _need(result in shapes, f"shapes {shapes} do not fit")


def binary(op: str, x: Any, y: Any, notes: Notes) -> Any:
    x, y = used(x), used(y)
    _need(not isinstance(x, ListValue) and not isinstance(y, ListValue), "lists have no operators")
    if op == "%*%":
        return matmul(x, y, notes)
    if is_matrix(x) or is_matrix(y):
        _need(not isinstance(x, str) and not isinstance(y, str), "a string and a matrix")
        fit(x, y)
        x, y = (np.float64(v) if not is_matrix(v) else v for v in (x, y))
        notes.ambiguous |= op in ("*", "%%") and _zero_meets_special(x, y)
        notes.signed |= _divides_by_zero(op, x, y)
        return np.asarray(MATRIX_OPS[op](x, y), dtype=np.float64)
    notes.signed |= _divides_by_zero(op, x, y)
    return scalar_binary(op, x, y)


def _divides_by_zero(op: str, x: Any, y: Any) -> bool:
    divisor = y if op in ("/", "%/%") else x if op == "^" else 1
    return not isinstance(divisor, str) and bool(np.any(divisor == 0))


def _zero_meets_special(x: Any, y: Any) -> bool:
    return bool(((x == 0).any() and not np.isfinite(y).all()) or ((y == 0).any() and not np.isfinite(x).all()))


def matmul(x: Any, y: Any, notes: Notes) -> Array:
    _need(is_matrix(x) and is_matrix(y) and x.shape[1] == y.shape[0], "matmul does not fit")
    if x.size and y.size and _zero_meets_special(x, y):
        notes.ambiguous = True
    return x @ y


def scalar_binary(op: str, x: Any, y: Any) -> Any:
    if op == "+" and (isinstance(x, str) or isinstance(y, str)):
        return text(x) + text(y)
    if op in COMPARISONS:
        if isinstance(x, str) or isinstance(y, str):
            x, y = text(x).encode("utf-16-be"), text(y).encode("utf-16-be")
            return {"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y, "==": x == y, "!=": x != y}[op]
        return bool(MATRIX_OPS[op](x, y))
    _need(is_number(x) and is_number(y), "numbers needed")
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
        return float(np.power(np.float64(x), np.float64(y)))


def _int_binary(op: str, x: int, y: int) -> int:
    if op == "%/%":
        _need(y != 0, "whole division by zero")
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
    _need(-(2**63) <= result < 2**63, "overflow")
    return result


def unary(op: str, x: Any) -> Any:
    x = used(x)
    if is_matrix(x):
        return {"-": -x, "+": x, "!": (x == 0).astype(float)}[op]
    _need(is_number(x), "a number needed")
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
    _need(is_number(low) and is_number(high) and math.isfinite(low) and math.isfinite(high), "an index must be a number")
    first, last = math.floor(low), math.floor(high)
    _need(1 <= first <= last <= size, f"index {first}:{last} is not within {size}")
    return slice(first - 1, last)


def _place(x: ListValue, which: Any) -> int:
    if isinstance(which, str):
        _need(x.names is not None and which in x.names, "no such element")
        return x.names.index(which)  # type: ignore[union-attr]
    return _section(which, None, len(x.items)).start


def part(x: Any, rl: Any, ru: Any, cl: Any, cu: Any) -> Any:
    if isinstance(x, ListValue):
        first = _place(x, rl)
        last = first if ru is None else _place(x, ru)
        _need(first <= last, "empty range")
        return ListValue(x.items[first : last + 1], x.names and x.names[first : last + 1])
    _need(is_matrix(x), "only matrices have parts")
    return x[_section(rl, ru, x.shape[0]), _section(cl, cu, x.shape[1])].copy()


def replaced(x: Any, value: Any, rl: Any, ru: Any, cl: Any, cu: Any) -> Any:
    value = used(value)
    if isinstance(x, ListValue):
        at = _place(x, rl)
        return ListValue((*x.items[:at], value, *x.items[at + 1 :]), x.names)
    _need(is_matrix(x), "only matrices have parts")
    x = x.copy()
    target = x[_section(rl, ru, x.shape[0]), _section(cl, cu, x.shape[1])]
    _need(is_number(value) or (is_matrix(value) and value.shape == target.shape), "shape does not fit the range")
    target[:] = value
    return x


# ---------------------------------------------------------------- builtins
def _cells(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of a matrix cell by cell, or of a number, always giving doubles."""

    def apply(x: Any) -> Any:
        x = used(x)
        if is_matrix(x):
            return np.asarray(f(x), dtype=np.float64)
        _need(is_number(x), "a number needed")
        return float(f(np.float64(x)))

    return apply


def _matrix(f: Callable[..., Any]) -> Callable[..., Any]:
    def apply(x: Any, *rest: Any, **named: Any) -> Any:
        x = used(x)
        _need(is_matrix(x), "a matrix needed")
        return f(x, *map(used, rest), **named)

    return apply


def _aggregate(f: Callable[[Array], Any], empty: float) -> Callable[[Any], Any]:
    return _matrix(lambda x: float(f(x)) if x.size else empty)


def _along(f: Callable[..., Any], axis: int) -> Callable[[Any], Any]:
    def apply(x: Array) -> Array:
        out = (x.shape[0], 1) if axis else (1, x.shape[1])
        return np.asarray(f(x, axis), dtype=float).reshape(out) if x.shape[axis] and x.size else np.zeros(out)

    return _matrix(apply)


def _spread(x: Array, axis: int | None) -> Any:
    n = x.size if axis is None else x.shape[axis]
    if n < 2:
        return np.zeros(np.sum(x, axis=axis).shape)
    return np.var(x, axis=axis, ddof=1)


def _extreme_position(sign: int) -> Callable[[Array], Array]:
    def apply(x: Array) -> Array:
        out = np.ones((x.shape[0], 1)) if x.shape[1] else np.zeros((x.shape[0], 1))
        for i, row in enumerate(x):
            cells = [(sign * v, j + 1) for j, v in enumerate(row) if v == v]
            if cells:
                out[i, 0] = max(cells)[1]
        return out

    return _matrix(apply)


def _minmax(op: str) -> Callable[..., Any]:
    reduce = {"min": np.min, "max": np.max}[op]

    def apply(*operands: Any, notes: Notes) -> Any:
        operands = tuple(map(used, operands))
        if len(operands) == 1:
            x = operands[0]
            return (float(reduce(x)) if x.size else {"min": math.inf, "max": -math.inf}[op]) if is_matrix(x) else x
        out = operands[0]
        fit(*operands)
        for operand in operands[1:]:
            out = binary(op, out, operand, notes)
        return out if is_matrix(out) or len(operands) == 2 else float(out)

    return apply


def _ifelse(cond: Any, a: Any, b: Any) -> Any:
    cond, a, b = used(cond), used(a), used(b)
    if not any(map(is_matrix, (cond, a, b))):
        return a if truth(cond) else b
    fit(cond, a, b)
    shape = np.broadcast_shapes(*(v.shape for v in (cond, a, b) if is_matrix(v)))
    return np.broadcast_to(np.where(np.asarray(cond) != 0, a, b), shape).astype(float)


def fill(data: Any, rows: Any, cols: Any, byrow: bool = True) -> Array:
    rows, cols = (math.floor(v) for v in (rows, cols))
    _need(rows >= 0 and cols >= 0, "a negative size")
    if is_matrix(data):
        _need(data.size == rows * cols, "reshape does not fit")
        return data.reshape((rows, cols), order="C" if byrow else "F").copy()
    if isinstance(data, str):
        words = data.split()
        _need(len(words) == rows * cols, "the string does not fit")
        return np.array([as_double(w) for w in words], dtype=float).reshape(rows, cols)
    return np.full((rows, cols), float(data))


def seq(first: Any, last: Any, step: Any = None) -> Array:
    step = (1 if first <= last else -1) if step is None else step
    _need(step != 0 and (last - first) / step >= 0, "seq in the wrong direction")
    return np.array([first + i * step for i in range(math.floor((last - first) / step + 1e-9) + 1)], dtype=float).reshape(-1, 1)


def table(a: Any, b: Any, rows: Any, cols: Any) -> Array:
    _need(is_matrix(a) and is_matrix(b) and a.shape == b.shape, "table does not fit")
    out = np.zeros((int(rows), int(cols)))
    for i, j in zip(a.ravel(), b.ravel(), strict=True):
        if i == i and j == j:
            _need(i >= 1 and j >= 1, "table counts from 1")
            if i < rows + 1 and j < cols + 1:
                out[int(i) - 1, int(j) - 1] += 1
    return out


def diag(x: Array) -> Array:
    if x.shape[1] == 1:
        return np.diag(x.ravel())
    _need(x.shape[0] == x.shape[1], "diag needs a column or a square")
    return np.diag(x).reshape(-1, 1).copy()


def outer(u: Array, v: Any, op: str) -> Array:
    _need(u.shape[1] == 1 and is_matrix(v) and v.shape[0] == 1, "outer needs a column and a row")
    return np.asarray(MATRIX_OPS[op](u, v), dtype=float)


def order(target: Any, by: Any = 1, decreasing: bool = False, index_return: bool = False) -> Array:
    column = int(by) - 1
    _need(0 <= column < target.shape[1], "order by a column that is not there")
    key = lambda i: (math.isnan(target[i, column]), -target[i, column] if decreasing else target[i, column])  # noqa: E731
    places = sorted(range(target.shape[0]), key=key)
    return np.array(places, dtype=float).reshape(-1, 1) + 1 if index_return else target[places]


def remove_empty(target: Array, margin: str, select: Any = None) -> Array:
    axis = 0 if margin == "rows" else 1
    keep = (target != 0).any(axis=1 - axis) if select is None else select.ravel() != 0
    if not keep.any():
        return np.zeros((1, target.shape[1]) if axis == 0 else (target.shape[0], 1))
    return target[keep] if axis == 0 else target[:, keep]


def _bind(axis: int) -> Callable[..., Any]:
    def apply(first: Any, *more: Any) -> Any:
        parts = [used(p) for p in (first, *more)]
        if isinstance(parts[0], ListValue) and len(parts) > 1:
            _need(parts[0].names is None, "named")
            return ListValue((*parts[0].items, *parts[1:]))
        _need(all(map(is_matrix, parts)) and len({p.shape[1 - axis] for p in parts}) == 1, "parts do not fit together")
        return np.concatenate(parts, axis=axis)

    return apply


def _size(which: str) -> Callable[[Any], int]:
    def apply(x: Any) -> int:
        x = used(x)
        if isinstance(x, ListValue):
            return 1 if which == "ncol" else len(x.items)
        _need(is_matrix(x), "only matrices have a size")
        return {"nrow": x.shape[0], "ncol": x.shape[1], "length": x.size}[which]

    return apply


def _triangle(cut: Callable[..., Array], strict: int) -> Callable[..., Array]:
    return lambda target, diag=False, values=False: cut(target if values else np.ones(target.shape), 0 if diag else strict)


def _roll(x: Array, k: Any) -> Array:
    return np.roll(x, int(k), axis=0)


def _round(x: Any) -> Any:
    below = np.floor(x)
    return np.where(x - below >= 0.5, below + 1, below)


def _replace(target: Array, pattern: float, replacement: float) -> Array:
    return np.where((target == pattern) | ((target != target) & (pattern != pattern)), float(replacement), target)


def _unary_functions() -> dict[str, Callable[..., Any]]:
    plain = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "atan": np.arctan}
    more = {"round": _round, "floor": np.floor, "ceil": np.ceil, "sign": np.sign, "is.nan": np.isnan, "is.infinite": np.isinf}
    return {name: _cells(f) for name, f in {**plain, **more}.items()}


def _aggregates() -> dict[str, Callable[..., Any]]:
    out = {
        "sum": _aggregate(np.sum, 0.0),
        "prod": _aggregate(np.prod, 1.0),
        "mean": _aggregate(np.mean, math.nan),
        "var": _aggregate(lambda x: _spread(x, None), math.nan),
        "sd": _aggregate(lambda x: np.sqrt(_spread(x, None)), math.nan),
    }
    shared = {
        "Sums": np.sum,
        "Prods": np.prod,
        "Means": np.mean,
        "Mins": np.min,
        "Maxs": np.max,
        "Vars": _spread,
        "Sds": lambda x, axis: np.sqrt(_spread(x, axis)),
    }
    for name, f in shared.items():
        out[f"row{name}"], out[f"col{name}"] = _along(f, 1), _along(f, 0)
    out["rowIndexMax"], out["rowIndexMin"] = _extreme_position(1), _extreme_position(-1)
    running = {"cumsum": np.add, "cumprod": np.multiply, "cummin": np.minimum, "cummax": np.maximum}
    return out | {name: _matrix(lambda x, f=f: f.accumulate(x, axis=0)) for name, f in running.items()}


def _trace(x: Array) -> float:
    _need(x.shape[0] == x.shape[1], "trace needs a square")
    return float(np.trace(x))


BUILTINS: dict[str, Callable[..., Any]] = {
    **_unary_functions(),
    **_aggregates(),
    "trace": _matrix(_trace),
    "min": _minmax("min"),
    "max": _minmax("max"),
    "xor": lambda x, y, notes: binary("xor", x, y, notes),
    "ifelse": _ifelse,
    "matrix": lambda data, rows, cols, byrow=True: fill(used(data), used(rows), used(cols), byrow),
    "rand": lambda rows, cols, min, max: fill(min, rows, cols),
    "seq": seq,
    "table": table,
    "diag": _matrix(diag),
    "outer": _matrix(outer),
    "t": _matrix(lambda x: x.T.copy()),
    "rev": _matrix(lambda x: x[::-1].copy()),
    "roll": _matrix(_roll),
    "order": order,
    "removeEmpty": remove_empty,
    "replace": _replace,
    "cbind": _bind(1),
    "rbind": _bind(0),
    "append": _bind(1),
    "lower.tri": _triangle(np.tril, -1),
    "upper.tri": _triangle(np.triu, 1),
    "nrow": _size("nrow"),
    "ncol": _size("ncol"),
    "length": _size("length"),
    "as.scalar": lambda x: as_scalar(used(x)),
    "as.matrix": lambda x: as_matrix(used(x)),
    "as.list": lambda x: x.items[0] if len(x.items) == 1 and isinstance(x.items[0], ListValue) else x,
    "as.double": lambda x: as_double(used(x)),
    "as.integer": lambda x: as_integer(used(x)),
    "as.logical": lambda x: as_logical(used(x)),
    "toString": lambda target, decimal=3: text(used(target), decimal),
}
NEED_NOTES = frozenset({"min", "max", "xor"})


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
