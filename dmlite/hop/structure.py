"""Ranges, wholeness, structure and non-zero bounds of matrices, by operator: what rules may rely on beyond the shape."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from dmlite.hop.facts import NO_VALUE, Fact, changed
from dmlite.hop.ops import BY_NAME

Refine = Callable[..., dict[str, Any]]
# Products: a zero of one operand makes the result zero only where the other is finite.
_ZERO_TIMES: Final = frozenset({"mul", "matmul", "tsmm_left", "tsmm_right", "tmm", "mmchain", "mmchain_w", "mmchain_y", "axpy"})
_TIMES: Final = {op: BY_NAME[op] for op in ("mul", "matmul", "tmm")}
Interval = tuple[float, float]


def refined(op: str, result: Fact, operands: list[Fact]) -> dict[str, Any]:
    """Everything more that the operands tell about the result of `op`, as fields of its fact."""
    found: dict[str, Any] = {}
    if op in _ZERO_TIMES and any(f.may_nan for f in operands):
        found["nnz"] = _nnz_beside_nan(op, result, operands)
    rule = _RULES.get(op)
    if rule is None or result.kind not in ("matrix", "scalar"):
        return found
    found |= {k: v for k, v in rule(*operands).items() if v is not None}
    if result.kind == "scalar":
        return {k: v for k, v in found.items() if k in ("low", "high", "may_nan", "integer")}
    if result.cells is not None and (found.get("low", 0) > 0 or found.get("high", 0) < 0):
        found.setdefault("nnz_min", result.cells)
    return found


def _nnz_beside_nan(op: str, result: Fact, operands: list[Fact]) -> int | None:
    """Zero times NaN or infinity is NaN: the zeros of an operand count only where the other one is finite."""
    if op not in _TIMES or result.cells is None:
        return result.cells
    counting = [f if not other.may_nan else _without_zeros(f) for f, other in zip(operands, operands[::-1], strict=True)]
    nnz = _TIMES[op].nnz(*counting)  # type: ignore[misc]
    return result.cells if nnz is None else min(nnz, result.cells)


def _without_zeros(fact: Fact) -> Fact:
    return changed(fact, {"nnz": fact.cells, "value": NO_VALUE})


# ---------------------------------------------------------------- intervals
def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def _range(low: float, high: float) -> dict[str, Any]:
    """A range as fields; bounds that came out as NaN (Inf - Inf) are not known."""
    return {"low": _finite(low), "high": _finite(high)}


def _times(a: float, b: float) -> float:
    return 0.0 if a == 0 or b == 0 else a * b


def _product(x: Fact, y: Fact) -> Interval:
    corners = [_times(a, b) for a in (x.low, x.high) for b in (y.low, y.high)]
    return min(corners), max(corners)


def _both_finite(*facts: Fact) -> bool:
    """Whether no operand may be NaN or infinite."""
    return not any(f.may_nan for f in facts)


def _bounded(low: float, high: float) -> bool:
    """Whether a result within these bounds cannot have overflowed."""
    return abs(low) < 1e300 and abs(high) < 1e300


# ---------------------------------------------------------------- rules
def _add(x: Fact, y: Fact) -> dict[str, Any]:
    low, high = x.low + y.low, x.high + y.high
    out = _range(low, high) | {"integer": x.integer and y.integer, "may_nan": not (_both_finite(x, y) and _bounded(low, high))}
    if x.is_matrix and y.is_matrix and (x.rows, x.cols) == (y.rows, y.cols) and x.rows is not None:
        out["structure"] = x.structure & y.structure & {"symmetric", "lower", "upper", "diagonal"}
    return out


def _sub(x: Fact, y: Fact) -> dict[str, Any]:
    return _add(x, replace(y, low=-y.high, high=-y.low))


def _mul(x: Fact, y: Fact) -> dict[str, Any]:
    low, high = _product(x, y)
    out = _range(low, high) | {"integer": x.integer and y.integer, "may_nan": not (_both_finite(x, y) and _bounded(low, high))}
    scaled = x if y.is_scalar else y if x.is_scalar else None
    if scaled is not None and _both_finite(x, y):
        out["structure"] = scaled.structure & {"symmetric", "lower", "upper", "diagonal"}
    return out


def _div(x: Fact, y: Fact) -> dict[str, Any]:
    if y.low > 0 or y.high < 0:
        corners = [a / b if math.isfinite(b) else 0.0 for a in (x.low, x.high) for b in (y.low, y.high)]
        low, high = min(corners), max(corners)
        return _range(low, high) | {"may_nan": not (_both_finite(x, y) and _bounded(low, high))}
    return {}


def _neg(x: Fact) -> dict[str, Any]:
    return {
        "low": -x.high,
        "high": -x.low,
        "integer": x.integer,
        "may_nan": x.may_nan,
        "structure": x.structure - {"permutation", "rows_sum_to_one"},
    }


def _square(x: Fact) -> dict[str, Any]:
    top = max(abs(x.low), abs(x.high))
    bottom = 0.0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    return _cells_of(x) | {"low": bottom * bottom, "high": top * top, "integer": x.integer, "may_nan": x.may_nan or top > 1e150}


def _cells_of(x: Fact) -> dict[str, Any]:
    """Cell by cell with f(0) = 0: zeros and symmetry stay."""
    return {"structure": x.structure & {"symmetric", "lower", "upper", "diagonal"}}


def _monotone(f: Callable[[float], float]) -> Refine:
    def rule(x: Fact) -> dict[str, Any]:
        try:
            low, high = f(x.low), f(x.high)
        except (ValueError, OverflowError):
            return {}
        return _range(low, high) | {"may_nan": x.may_nan or not _bounded(low, high)}

    return rule


def _exp(x: Fact) -> dict[str, Any]:
    high = math.exp(x.high) if x.high < 700 else math.inf
    return {"low": 0.0, "high": high, "may_nan": x.may_nan or high == math.inf}


def _abs(x: Fact) -> dict[str, Any]:
    bottom = 0.0 if x.low <= 0 <= x.high else min(abs(x.low), abs(x.high))
    return _cells_of(x) | {"low": bottom, "high": max(abs(x.low), abs(x.high)), "integer": x.integer, "may_nan": x.may_nan}


def _sqrt(x: Fact) -> dict[str, Any]:
    return {"low": 0.0, "high": math.sqrt(x.high) if x.high > 0 else 0.0, "may_nan": x.may_nan or x.low < 0}


def _between(low: float, high: float, *, integer: bool = False, keeps_nan: bool = True) -> Refine:
    """A result always within bounds; may_nan as the operand's, or never."""
    return lambda *xs: {"low": low, "high": high, "integer": integer, "may_nan": keeps_nan and any(x.may_nan for x in xs)}


def _min(x: Fact, y: Fact) -> dict[str, Any]:
    return {"low": min(x.low, y.low), "high": min(x.high, y.high), "integer": x.integer and y.integer, "may_nan": not _both_finite(x, y)}


def _max(x: Fact, y: Fact) -> dict[str, Any]:
    return {"low": max(x.low, y.low), "high": max(x.high, y.high), "integer": x.integer and y.integer, "may_nan": not _both_finite(x, y)}


def _same(x: Fact, *_: Fact) -> dict[str, Any]:
    """The same cells in other places."""
    return {"low": x.low, "high": x.high, "integer": x.integer, "may_nan": x.may_nan, "nnz_min": x.nnz_min}


def _some(x: Fact, *_: Fact) -> dict[str, Any]:
    """Some of the cells."""
    return _same(x) | {"nnz_min": 0}


def _ordered(x: Fact, _by: Fact, _decreasing: Fact, index: Fact) -> dict[str, Any]:
    """The rows in another order, or their numbers."""
    if not index.is_const:
        return {}
    return {"low": 1.0, "high": float(x.rows or math.inf), "integer": True, "may_nan": False} if index.value else _some(x)


def _transpose(x: Fact) -> dict[str, Any]:
    swap = {"lower": "upper", "upper": "lower"}
    return _same(x) | {"structure": frozenset(swap.get(s, s) for s in x.structure - {"rows_sum_to_one"})}


def _whole(x: Fact) -> dict[str, Any]:
    shift = lambda v, d: v if math.isinf(v) else v + d  # noqa: E731
    return {"low": shift(x.low, -1), "high": shift(x.high, 1), "integer": True, "may_nan": x.may_nan}


def _fill(data: Fact, rows: Fact, cols: Fact, *_: Fact) -> dict[str, Any]:
    if not data.is_scalar or data.vtype == "string":
        return {}
    cells = None if rows.const_int() is None or cols.const_int() is None else rows.const_int() * cols.const_int()  # type: ignore[operator]
    square = rows.is_const and rows.const_int() == cols.const_int()
    out: dict[str, Any] = {"low": data.low, "high": data.high, "integer": data.integer, "may_nan": data.may_nan}
    if data.is_const and data.value == 0:
        out["structure"] = frozenset({"symmetric", "lower", "upper", "diagonal"}) if square else frozenset()
    elif data.is_const and cells is not None and cells > 0:
        out |= {"nnz_min": cells, "structure": frozenset({"symmetric"}) if square else frozenset()}
    return out


def _rand(rows: Fact, cols: Fact, low: Fact, high: Fact, sparsity: Fact, seed: Fact, pdf: Fact, lam: Fact) -> dict[str, Any]:
    if pdf.value == "normal":
        return {"may_nan": False}
    if pdf.value == "poisson":
        return {"low": 0.0, "integer": True, "may_nan": False}
    if pdf.value != "uniform" or not (low.is_const and high.is_const):
        return {}
    full = sparsity.is_const and sparsity.value == 1
    cells = None if rows.const_int() is None or cols.const_int() is None else rows.const_int() * cols.const_int()  # type: ignore[operator]
    expected = None if cells is None or not sparsity.is_const else cells * float(sparsity.value)
    bottom, top = float(low.value), float(high.value)
    return {"low": bottom if full else min(0.0, bottom), "high": top if full else max(0.0, top), "may_nan": False, "nnz_avg": expected}


def _seq(first: Fact, last: Fact, step: Fact) -> dict[str, Any]:
    whole = first.integer and (step.integer or step.kind == "unknown")
    out: dict[str, Any] = {"may_nan": False, "integer": whole}
    if whole and last.integer and first.is_const and last.is_const and (step.is_const or step.kind == "unknown"):
        stride = step.value if step.is_const else 1 if last.value >= first.value else -1
        cells = abs(int((last.value - first.value) // stride)) + 1 if stride else 1
        out["nnz"] = out["nnz_min"] = cells - (stride != 0 and -first.value % stride == 0 and 0 <= -first.value / stride < cells)
    if not (math.isinf(first.low) or math.isinf(last.low)):
        out |= {"low": min(first.low, last.low), "high": max(first.high, last.high)}
    return out


def _diag(x: Fact) -> dict[str, Any]:
    out = {"low": min(0.0, x.low), "high": max(0.0, x.high), "integer": x.integer, "may_nan": x.may_nan}
    if x.cols == 1 and x.rows != 1:
        out["structure"] = frozenset({"symmetric", "lower", "upper", "diagonal"})
    return out


def _bind(*xs: Fact) -> dict[str, Any]:
    if not all(x.is_matrix for x in xs):
        return {}
    return {
        "low": min(x.low for x in xs),
        "high": max(x.high for x in xs),
        "integer": all(x.integer for x in xs),
        "may_nan": not _both_finite(*xs),
        "nnz_min": sum(x.nnz_min for x in xs),
    }


def _sum(x: Fact) -> dict[str, Any]:
    cells = x.cells if x.cells is not None else math.inf
    low, high = _times(min(x.low, 0.0), cells), _times(max(x.high, 0.0), cells)
    return {"low": low, "high": high, "integer": x.integer and not x.may_nan, "may_nan": x.may_nan or not _bounded(low, high)}


def _matmul(x: Fact, y: Fact) -> dict[str, Any]:
    out: dict[str, Any] = {}
    inner = x.cols if x.cols is not None else math.inf
    if _both_finite(x, y):
        out["structure"] = x.structure & y.structure & {"lower", "upper", "diagonal", "permutation"}
        low, high = _product(x, y)
        low, high = _times(min(low, 0.0), inner), _times(max(high, 0.0), inner)
        out |= {"low": low, "high": high, "integer": x.integer and y.integer, "may_nan": not _bounded(low, high)}
    return out


def _gram(x: Fact) -> dict[str, Any]:
    small = max(abs(x.low), abs(x.high)) < 1e140  # squares and their sums stay finite
    return {"structure": frozenset({"symmetric"}), "may_nan": x.may_nan or not small}


_FLAG: Final = _between(0.0, 1.0, integer=True, keeps_nan=False)
_RULES: Final[dict[str, Refine]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "square": _square,
    "abs": _abs,
    "exp": _exp,
    "sqrt": _sqrt,
    "min2": _min,
    "max2": _max,
    **dict.fromkeys(("lt", "le", "gt", "ge", "eq", "ne", "and_", "or_", "not_", "xor", "is_na", "is_infinite"), _FLAG),
    "sign": _between(-1.0, 1.0, integer=True),
    "sin": _between(-1.0, 1.0),
    "cos": _between(-1.0, 1.0),
    "tanh": _between(-1.0, 1.0),
    "sigmoid_op": _between(0.0, 1.0),
    "atan": _monotone(math.atan),
    **dict.fromkeys(("round", "floor", "ceil"), _whole),
    "t": _transpose,
    **dict.fromkeys(("rev", "roll", "reshape"), _same),
    "order": _ordered,
    **dict.fromkeys(("index", "rowMins", "rowMaxs", "colMins", "colMaxs", "min_agg", "max_agg", "cummin", "cummax"), _some),
    "fill": _fill,
    "rand": _rand,
    "seq": _seq,
    "diag": _diag,
    "cbind": _bind,
    "rbind": _bind,
    **dict.fromkeys(("sum", "rowSums", "colSums"), _sum),
    "matmul": _matmul,
    "tsmm_left": _gram,
    "tsmm_right": _gram,
    **dict.fromkeys(("nrow", "ncol", "length"), lambda x: {"low": 0.0, "integer": True, "may_nan": False}),
}
