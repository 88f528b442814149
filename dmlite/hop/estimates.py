"""How many non-zeros to expect in a result: averages over matrices of the given density. For costs only, never for meaning."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.node import Hop
from dmlite.hop.ops import BY_NAME

# The share of cells that a comparison keeps: between a half and all, and wrong by the same factor either way.
NO_SOURCES: Final[Mapping[Hop, Hop]] = {}
KEPT: Final = math.sqrt(0.5)
_COMPARING: Final = frozenset({"le", "ge", "eq"})
_EXTREMES: Final = frozenset({"rowMins", "rowMaxs", "colMins", "colMaxs"})
_MEETING: Final = frozenset({"mul", "and_", "relu_backward"})
_OVERLAPPING: Final = {**dict.fromkeys(("add", "sub", "or_", "axpy"), max), **dict.fromkeys(_MEETING, min)}
_KEEPING: Final = frozenset({"neg", "abs", "sqrt", "square", "sign"})
_KEEPING_WITH: Final = frozenset({"mul", "div", "gt", "lt", "ne", "max2", "min2"})  # a number, for comparisons mostly 0
Density = Callable[..., float | None]


def expecting(
    hop: Hop, result: Fact, operands: Sequence[Fact], sources: Mapping[Hop, Hop] = NO_SOURCES, least: int = 0, most: int | None = None
) -> float | None:
    """Expected non-zeros of the matrix that `hop` gives; None when the operands tell no more than the bound `most`.

    Never outside of the bounds, which are certain.
    """
    cells = result.cells
    if cells is None:
        return None
    most = cells if most is None else most
    average = _by_form(hop, result, operands, sources)
    if average is None:
        density = _density(hop.op, result, operands)
        if density is None or density != density:
            return None
        average = density * cells
    average = min(max(average, float(least)), float(most))
    return None if average == most else average


def _by_form(hop: Hop, result: Fact, operands: Sequence[Fact], sources: Mapping[Hop, Hop]) -> float | None:
    """Of two matrices that come of the same one, or of one and its own aggregate, where averages would take them as independent."""
    if hop.op in _OVERLAPPING and len({sources.get(a, a) for a in (hop.args[0], hop.args[-1])}) == 1:
        return _OVERLAPPING[hop.op](_of(operands[0]), _of(operands[-1])) * (result.cells or 0)
    if hop.op not in _COMPARING and hop.op != "div":
        return None
    for x, own in (hop.args, hop.args[::-1]):
        if own.op in (*_BY_ROW, *_BY_COLUMN) and own.args[0] is x:
            if hop.op == "div":
                return _of(operands[0]) * (result.cells or 0) if own is hop.args[1] else None
            if own.op in _EXTREMES:  # one cell reaches it, where there are no ties
                return result.rows if own.op in _BY_ROW else result.cols
    return None


def source_of(hop: Hop, sources: Mapping[Hop, Hop]) -> Hop:
    """The node below whose non-zeros are in the same cells, or in those and more; `sources` has those of the operands."""
    below = [sources.get(a, a) for a in hop.args if not a.is_literal]
    kept = hop.op in _KEEPING or (hop.op in _KEEPING_WITH and len(below) < len(hop.args)) or (hop.op in _MEETING and below[0] is below[-1])
    return below[0] if kept and below else hop


def product_density(x: float, y: float, inner: float) -> float:
    """Of a matrix product: one minus the chance that none of the `inner` pairs meets."""
    both = x * y
    return 1.0 if both >= 1.0 and inner else -math.expm1(inner * math.log1p(-both)) if both < 1.0 else 0.0


def _density(op: str, result: Fact, operands: Sequence[Fact]) -> float | None:
    rule = _RULES.get(op)
    if rule is not None:
        return rule(result, *operands)
    row = BY_NAME.get(op)
    if row is not None and row.zero == (0,) and operands and operands[0].cells == result.cells:
        return _of(operands[0])
    return None


def _of(fact: Fact) -> float:
    """The density of an operand: of a matrix as expected, of a number 1 unless it is zero; what is not known counts as full."""
    if not fact.is_matrix:
        return 0.0 if fact.is_const and fact.value == 0 else 1.0
    density = fact.sparsity
    return 1.0 if density is None else density


def _either(*densities: float) -> float:
    return 1.0 - math.prod(1.0 - d for d in densities)


# ---------------------------------------------------------------- cell by cell
def _sum(_: Fact, *operands: Fact) -> float:
    return _either(*map(_of, operands))


def _times(_: Fact, *operands: Fact) -> float:
    return math.prod(map(_of, operands))


def _complement(_: Fact, x: Fact) -> float:
    """1 - X: of a matrix of zeros and ones, what was zero."""
    return 1.0 - _of(x) if x.integer and x.low >= 0 and x.high <= 1 else 1.0


def _difference(result: Fact, x: Fact, y: Fact) -> float:
    return _complement(result, y) if x.is_const and x.value == 1 else _sum(result, x, y)


def _remainder(_: Fact, x: Fact, y: Fact) -> float:
    """One whole number among `y` is a multiple of it."""
    whole = x.integer and y.is_const and y.integer and abs(y.value) >= 1
    return _of(x) * (1.0 - 1.0 / abs(y.value)) if whole else _of(x)


def _quotient(_: Fact, x: Fact, y: Fact) -> float:
    """Zero only where the dividend alone is."""
    return 1.0 - (1.0 - _of(x)) * (_of(y) if y.is_matrix else 1.0)


def _power(_: Fact, x: Fact, y: Fact) -> float | None:
    return _of(x) if y.is_const and y.value > 0 else 1.0


def _compared(holds: Callable[[float, float], bool]) -> Density:
    """Cells where both operands are zero are decided, of the others a part holds."""

    def rule(_: Fact, x: Fact, y: Fact) -> float:
        values = [0.0 if f.is_matrix else f.value if f.is_const and isinstance(f.value, (int, float)) else None for f in (x, y)]
        some = _either(*(_of(f) for f in (x, y) if f.is_matrix))
        at_zero = KEPT if None in values else float(holds(*values))  # type: ignore[arg-type]
        return some * KEPT + (1.0 - some) * at_zero

    return rule


def _differs(_: Fact, x: Fact, y: Fact) -> float:
    """Values that are not zero rarely equal one another."""
    zero = [f.is_const and f.value == 0 for f in (x, y)]
    return _either(_of(x), _of(y)) if any(zero) or (x.is_matrix and y.is_matrix) else 1.0


def _equals(result: Fact, x: Fact, y: Fact) -> float | None:
    constant = next((f.value for f in (x, y) if f.is_const), None)
    if constant is None:
        return None
    some = _either(*(_of(f) for f in (x, y) if f.is_matrix))
    return some * KEPT if constant else 1.0 - some


def _extreme(worse: Callable[[float, float], float]) -> Density:
    """min and max: of the cells that are not zero, a part gives way to a zero."""

    def rule(_: Fact, x: Fact, y: Fact) -> float:
        numbers = [f for f in (x, y) if not f.is_matrix]
        some = _either(*(_of(f) for f in (x, y) if f.is_matrix))
        if not numbers:
            return some * KEPT
        number = numbers[0].value if numbers[0].is_const else None
        if not isinstance(number, (int, float)):
            return 1.0
        return some * (KEPT if number == 0 else 1.0) + (1.0 - some) * (worse(0.0, number) != 0)

    return rule


def _choice(_: Fact, cond: Fact, a: Fact, b: Fact) -> float:
    where = _of(cond)
    return where * _of(a) + (1.0 - where) * _of(b)


# ---------------------------------------------------------------- products and aggregates
def _inner(x: Fact) -> float:
    return math.inf if x.cols is None else x.cols


def _matmul(_: Fact, x: Fact, y: Fact) -> float:
    return product_density(_of(x), _of(y), _inner(x) if x.cols is not None else _rows(y))


def _rows(x: Fact) -> float:
    return math.inf if x.rows is None else x.rows


def _tmm(_: Fact, x: Fact, y: Fact) -> float:
    return product_density(_of(x), _of(y), _rows(x))


def _gram(length: Callable[[Fact], float]) -> Density:
    """Off the diagonal like any product; on it, every column with a non-zero meets itself."""

    def rule(result: Fact, x: Fact) -> float:
        d, n = _of(x), max(1, result.rows or 1)
        return product_density(d, d, length(x)) * (n - 1) / n + product_density(d, 1.0, length(x)) / n

    return rule


def _any_of(length: Callable[[Fact], float]) -> Density:
    """Zero where all of the aggregated cells are."""
    return lambda _, x: product_density(_of(x), 1.0, length(x))


def _running(_: Fact, x: Fact) -> float:
    """Down a column, zero until the first non-zero."""
    d, n = _of(x), x.rows or 1
    return 1.0 if d >= 1 else 0.0 if d <= 0 else 1.0 - (1.0 - d) * -math.expm1(n * math.log1p(-d)) / (d * n)


# ---------------------------------------------------------------- parts and arrangements
def _part(_: Fact, x: Fact, *__: Fact) -> float:
    return _of(x)


def _stored(result: Fact, x: Fact, value: Fact, *_: Fact) -> float:
    """The old cells outside of the range, the new ones inside; a range of unknown size adds to the old."""
    assert result.cells is not None
    inside = (value.cells or result.cells) / max(1, result.cells) if value.is_matrix else 1 / max(1, result.cells)
    return min(1.0, _of(x) * (1.0 - inside) + _of(value) * inside) if value.is_matrix else min(1.0, _of(x) + _of(value) * inside)


def _bound(result: Fact, *parts: Fact) -> float | None:
    if not result.cells or any(p.cells is None for p in parts):
        return None
    return sum(_of(p) * p.cells for p in parts) / result.cells  # type: ignore[operator]


def _diag(result: Fact, x: Fact) -> float:
    return _of(x) if x.cols != 1 or result.cells == 1 else _of(x) / max(1, result.rows or 1)


def _replaced(_: Fact, x: Fact, pattern: Fact, replacement: Fact) -> float:
    return _of(x) if pattern.is_const and pattern.value != 0 else _either(_of(x), _of(replacement))


def _table(result: Fact, a: Fact, *_: Fact) -> float | None:
    """Distinct pairs among as many draws as there are rows."""
    cells = result.cells
    return product_density(1.0 / cells, 1.0, a.cells) if cells and a.cells is not None else None


def _outer(_: Fact, u: Fact, v: Fact, op: Fact) -> float | None:
    rule = {"*": _times, "+": _sum, "-": _sum, "<": _compared(lambda a, b: a < b), ">": _compared(lambda a, b: a > b)}.get(str(op.value))
    return None if rule is None else rule(_, u, v)


def _triangle(result: Fact, x: Fact, diag: Fact, values: Fact) -> float:
    n = max(1, result.rows or 1)
    share = (n + (1 if diag.value is True else -1)) / (2 * n)
    return share * (_of(x) if values.value is True else 1.0)


_BY_ROW: Final = ("rowSums", "rowProds", "rowMeans", "rowMins", "rowMaxs", "rowSumsSq")
_BY_COLUMN: Final = ("colSums", "colProds", "colMeans", "colMins", "colMaxs", "colSumsSq")
_RULES: Final[dict[str, Density]] = {
    **dict.fromkeys(("add", "or_", "xor", "bitwOr", "bitwXor"), _sum),
    **dict.fromkeys(("mul", "and_", "bitwAnd"), _times),
    "sub": _difference,
    "one_minus": _complement,
    "mod": _remainder,
    "axpy": lambda r, x, s, y: _either(_of(x), _of(s) * _of(y)),
    "div": _quotient,
    "pow": _power,
    "lt": _compared(lambda a, b: a < b),
    "gt": _compared(lambda a, b: a > b),
    "le": _compared(lambda a, b: a <= b),
    "ge": _compared(lambda a, b: a >= b),
    "ne": _differs,
    "eq": _equals,
    "min2": _extreme(min),
    "max2": _extreme(max),
    "not_": lambda r, x: 1.0 - _of(x),
    "ifelse": _choice,
    "relu_backward": lambda r, x, y: _of(x) * _of(y) * KEPT,
    **dict.fromkeys(("wdivmm_div", "wumm_div", "log_nz", "minus_nz"), _part),
    "matmul": _matmul,
    "tmm": _tmm,
    "tsmm_left": _gram(_rows),
    "tsmm_right": _gram(_inner),
    **dict.fromkeys(_BY_ROW, _any_of(_inner)),
    **dict.fromkeys(_BY_COLUMN, _any_of(_rows)),
    **dict.fromkeys(("cumsum", "cummin", "cummax"), _running),
    **dict.fromkeys(("index", "t", "rev", "roll", "reshape", "removeEmpty"), _part),
    "order": lambda r, x, by, decreasing, index: _of(x) if index.value is False else 1.0,
    "leftindex": _stored,
    "cbind": _bound,
    "rbind": _bound,
    "diag": _diag,
    "replace": _replaced,
    "table": _table,
    "table_dims": _table,
    "outer": _outer,
    "lower.tri": _triangle,
    "upper.tri": _triangle,
}  # fmt: skip
