"""Builtins of the oracle, each in the plainest NumPy that says what it means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.support.oracle_values import (
    MATRIX_OPS,
    Array,
    ListValue,
    Notes,
    Poison,
    as_double,
    as_integer,
    as_logical,
    as_matrix,
    as_scalar,
    binary,
    fit,
    is_matrix,
    is_number,
    need,
    text,
    truth,
    used,
    zero_meets_special,
)


def _cells(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function of a matrix cell by cell, or of a number, always giving doubles."""

    def apply(x: Any) -> Any:
        x = used(x)
        if is_matrix(x):
            return np.asarray(f(x), dtype=np.float64)
        need(is_number(x), "a number needed")
        return float(f(np.float64(x)))

    return apply


def _matrix(f: Callable[..., Any]) -> Callable[..., Any]:
    def apply(x: Any, *rest: Any, **named: Any) -> Any:
        x = used(x)
        need(is_matrix(x), "a matrix needed")
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
    cond, (a, b) = used(cond), _chosen(used(cond), a, b)
    a, b = used(a), used(b)
    if not any(map(is_matrix, (cond, a, b))):
        return a if truth(cond) else b
    fit(cond, a, b)
    shape = np.broadcast_shapes(*(v.shape for v in (cond, a, b) if is_matrix(v)))
    return np.broadcast_to(np.where(np.asarray(cond) != 0, a, b), shape).astype(float)


def _chosen(cond: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Where all cells are taken from one of the two, an error in the other need not be seen."""
    taken = np.asarray(cond != 0)
    if isinstance(a, Poison) and taken.size and not taken.any():
        return b, b
    return (a, a) if isinstance(b, Poison) and taken.size and taken.all() else (a, b)


def fill(data: Any, rows: Any, cols: Any, byrow: bool = True) -> Array:
    rows, cols = (math.floor(v) for v in (rows, cols))
    need(rows >= 0 and cols >= 0, "a negative size")
    if is_matrix(data):
        need(data.size == rows * cols, "reshape does not fit")
        return data.reshape((rows, cols), order="C" if byrow else "F").copy()
    if isinstance(data, str):
        words = data.split()
        need(len(words) == rows * cols, "the string does not fit")
        return np.array([as_double(w) for w in words], dtype=float).reshape(rows, cols)
    return np.full((rows, cols), float(data))


def seq(first: Any, last: Any, step: Any = None) -> Array:
    step = (1 if first <= last else -1) if step is None else step
    need(step != 0 and (last - first) / step >= 0, "seq in the wrong direction")
    return np.array([first + i * step for i in range(math.floor((last - first) / step + 1e-9) + 1)], dtype=float).reshape(-1, 1)


def table(a: Any, b: Any, rows: Any, cols: Any) -> Array:
    need(is_matrix(a) and is_matrix(b) and a.shape == b.shape, "table does not fit")
    out = np.zeros((int(rows), int(cols)))
    for i, j in zip(a.ravel(), b.ravel(), strict=True):
        if i == i and j == j:
            need(i >= 1 and j >= 1, "table counts from 1")
            if i < rows + 1 and j < cols + 1:
                out[int(i) - 1, int(j) - 1] += 1
    return out


def diag(x: Array) -> Array:
    if x.shape[1] == 1:
        return np.diag(x.ravel())
    need(x.shape[0] == x.shape[1], "diag needs a column or a square")
    return np.diag(x).reshape(-1, 1).copy()


def outer(u: Any, v: Any, op: str, notes: Notes) -> Array:
    u, v = used(u), used(v)
    need(is_matrix(u) and u.shape[1] == 1 and is_matrix(v) and v.shape[0] == 1, "outer needs a column and a row")
    notes.ambiguous |= op == "*" and zero_meets_special(u, v)
    return np.asarray(MATRIX_OPS[op](u, v), dtype=float)


def order(target: Any, by: Any = 1, decreasing: bool = False, index_return: bool = False) -> Array:
    column = int(by) - 1
    need(0 <= column < target.shape[1], "order by a column that is not there")
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
            need(parts[0].names is None, "named")
            return ListValue((*parts[0].items, *parts[1:]))
        need(all(map(is_matrix, parts)) and len({p.shape[1 - axis] for p in parts}) == 1, "parts do not fit together")
        return np.concatenate(parts, axis=axis)

    return apply


def _size(which: str) -> Callable[[Any], int]:
    def apply(x: Any) -> int:
        if not (isinstance(x, Poison) and x.shape):
            x = used(x)
        if isinstance(x, ListValue):
            return 1 if which == "ncol" else len(x.items)
        need(is_matrix(x) or isinstance(x, Poison), "only matrices have a size")
        return {"nrow": x.shape[0], "ncol": x.shape[1], "length": x.shape[0] * x.shape[1]}[which]

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
    plain = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "tanh": np.tanh, "atan": np.arctan}
    more = {"round": _round, "floor": np.floor, "ceil": np.ceil, "sign": np.sign, "is.nan": np.isnan, "is.infinite": np.isinf}
    return {name: _cells(f) for name, f in {**plain, **more}.items()} | {"sin": _wave(np.sin), "cos": _wave(np.cos)}


def _wave(f: Callable[[Any], Any]) -> Callable[..., Any]:
    """A periodic function. Beyond a million the last digit of its operand is worth more than 1e-10 of the result."""

    def apply(x: Any, notes: Notes) -> Any:
        result = _cells(f)(x)
        notes.signed |= bool(np.any(np.abs(x) > 1e6))
        return result

    return apply


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
    need(x.shape[0] == x.shape[1], "trace needs a square")
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
    "outer": outer,
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
NEED_NOTES = frozenset({"min", "max", "xor", "outer", "sin", "cos"})
