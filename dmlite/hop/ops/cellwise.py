"""Operator rows: cell by cell, on matrices, scalars and mixtures of both.

Every kernel of this topic exists twice: `elementwise.<name>` as soon as one operand is a matrix, and `scalar.<name>` for
scalars only. Rows whose spelling ends in `()` cannot be typed; the optimizer makes them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

from dmlite.hop.facts import Fact, scalar
from dmlite.hop.ops.row import Op, cellwise

_X: Final = "X: M|D"
_XY: Final = "X: M|D, Y: M|D"
_XYZ: Final = f"{_XY}, Z: M|D, *more: M|D"
_BOTH: Final = (0, 1)


# ---------------------------------------------------------------- value types of scalar results
def _double(*_: Fact) -> str:
    return "double"


def _boolean(*_: Fact) -> str:
    return "boolean"


def _arithmetic(*facts: Fact) -> str | None:
    """A boolean counts as 0 or 1 of the other operand's type; two booleans make a double."""
    types = {f.vtype for f in facts}
    if "double" in types:
        return "double"
    if types <= {"int", "boolean"}:
        return "int" if "int" in types else "double"
    return None


def _sum_or_text(*facts: Fact) -> str | None:
    types = {f.vtype for f in facts}
    if "string" in types:
        return "string"
    return None if None in types else _arithmetic(*facts)


def _negated(x: Fact) -> str | None:
    return "int" if x.vtype == "boolean" else x.vtype


def _axpy_type(x: Fact, s: Fact, y: Fact) -> str | None:
    return _arithmetic(x, scalar(_arithmetic(s, y)))


def _xor_type(*facts: Fact) -> str | None:
    types = {f.vtype for f in facts}
    if types & {"int", "double"}:
        return "double"
    return "boolean" if types == {"boolean"} else None


def _bits_type(*facts: Fact) -> str | None:
    types = {f.vtype for f in facts}
    if "double" in types:
        return "double"
    return None if None in types else "int"


def _chosen(_cond: Fact, a: Fact, b: Fact) -> str | None:
    return a.vtype if a.vtype == b.vtype else None


# ---------------------------------------------------------------- non-zeros
def _spread(fact: Fact, rows: int | None, cols: int | None) -> int | None:
    """Non-zeros of one operand after it was broadcast to `rows` x `cols`."""
    if rows is None or cols is None:
        return None
    if fact.kind != "matrix":
        return 0 if fact.is_const and fact.value == 0 else rows * cols
    if fact.nnz is None or fact.rows is None or fact.cols is None:
        return None
    return fact.nnz * (rows // fact.rows if fact.rows else 1) * (cols // fact.cols if fact.cols else 1)


def _spreads(facts: tuple[Fact, ...]) -> list[int | None]:
    rows, cols = cellwise(*facts)
    return [_spread(f, rows, cols) for f in facts]


def _nnz_union(*facts: Fact) -> int | None:
    """The result is zero where all operands are."""
    counts = _spreads(facts)
    return None if None in counts else sum(c for c in counts if c is not None)


def _nnz_product(*facts: Fact) -> int | None:
    """The result is zero where any operand is."""
    return min((c for c in _spreads(facts) if c is not None), default=None)


def _nnz_choice(cond: Fact, a: Fact, b: Fact) -> int | None:
    """Cells of `b`, and cells of `a` where the condition holds."""
    where, then, otherwise = _spreads((cond, a, b))
    if otherwise is None or (then is None and where is None):
        return None
    return otherwise + min(c for c in (then, where) if c is not None)


def _nnz_kept(x: Fact) -> int | None:
    return x.nnz


def _nnz_of(f: Callable[[Any, Any], Any]) -> Callable[..., int | None]:
    """The bound for a two-operand function: operands that are zero together, or zero beside a constant, may give zero."""

    def rule(x: Fact, y: Fact) -> int | None:
        if not all(o.is_matrix or (o.is_const and o.value == o.value) for o in (x, y)):
            return None
        try:
            zero = f(*(o.value if o.is_const else 0.0 for o in (x, y))) == 0
        except (ArithmeticError, ValueError, TypeError):
            return None
        counts = [c for o, c in zip((x, y), _spreads((x, y)), strict=True) if o.is_matrix]
        return sum(c for c in counts if c is not None) if zero and None not in counts else None

    return rule


def _remainder(x: float, y: float) -> float:
    return x - math.trunc(x / y) * y


def _cost(flops: float) -> Callable[..., float | None]:
    """So many operations a cell of the result."""

    def rule(*facts: Fact) -> float | None:
        rows, cols = cellwise(*facts)
        return None if rows is None or cols is None else flops * rows * cols

    return rule


def _cell(name: str, params: str, doc: str, **kw: Any) -> Op:
    return Op(name, params, "cell", f"elementwise.{name}", doc, **{"size": cellwise, "vtype": _arithmetic, **kw})


def _unary(name: str, doc: str, flops: float = 1, **kw: Any) -> Op:
    return _cell(name, _X, doc, **{"vtype": _double, "flops": _cost(flops), **kw})


_SAFE: Final[dict[str, Any]] = {"zero": (0,), "nnz": _nnz_kept}


def _compare(name: str, symbol: str, doc: str, f: Callable[[Any, Any], bool], **kw: Any) -> Op:
    return _cell(name, "X: M|S, Y: M|S", doc, spelling=symbol, vtype=_boolean, nnz=_nnz_of(f), **kw)


_ARITHMETIC: Final = (
    _cell(
        "add", "X: M|S, Y: M|S", "Sum; joins the printed forms when one operand is a string. Commutative for numbers.",
        spelling="+", vtype=_sum_or_text, nnz=_nnz_union, commutative=True,
    ),
    _cell("sub", _XY, "Difference.", spelling="-", nnz=_nnz_union),
    _cell(
        "mul", _XY, "Product, cell by cell; a zero of a sparse operand gives zero whatever stands opposite.",
        spelling="*", zero=_BOTH, nnz=_nnz_product, commutative=True,
    ),
    _cell(
        "div", _XY, "Quotient, always double; division by zero gives Inf or NaN.",
        spelling="/", vtype=_double, nnz=_nnz_of(operator.truediv), flops=_cost(4),
    ),
    _cell(
        "pow", _XY, "Power, always double; a negative base with a fractional exponent gives NaN.",
        spelling="^", vtype=_double, nnz=_nnz_of(math.pow), flops=_cost(16),
    ),
    _cell("mod", _XY, "Remainder X - (X %/% Y) * Y, with the sign of X.", spelling="%%", nnz=_nnz_of(_remainder), flops=_cost(8)),
    _cell("intdiv", _XY, "Quotient truncated toward zero.", spelling="%/%", nnz=_nnz_of(operator.truediv), flops=_cost(6)),
    _cell("neg", _X, "Negation: unary minus.", spelling="neg()", vtype=_negated, **_SAFE),
    _cell("min2", _XY, "The smaller of two; NaN wins.", spelling="min", aliases=("pmin",), nnz=_nnz_of(min), commutative=True),
    _cell("max2", _XY, "The larger of two; NaN wins.", spelling="max", aliases=("pmax",), nnz=_nnz_of(max), commutative=True),
    _cell("min_n", _XYZ, "The smallest of three or more; NaN wins.", spelling="min", aliases=("pmin",), vtype=_double, nnz=_nnz_union),
    _cell("max_n", _XYZ, "The largest of three or more; NaN wins.", spelling="max", aliases=("pmax",), vtype=_double, nnz=_nnz_union),
)  # fmt: skip

_LOGIC: Final = (
    _compare("lt", "<", "1 or TRUE where X is smaller.", operator.lt),
    _compare("le", "<=", "1 or TRUE where X is smaller or equal.", operator.le),
    _compare("gt", ">", "1 or TRUE where X is larger.", operator.gt),
    _compare("ge", ">=", "1 or TRUE where X is larger or equal.", operator.ge),
    _compare("eq", "==", "1 or TRUE where both are equal; strings compare in printed form.", operator.eq, commutative=True),
    _compare("ne", "!=", "1 or TRUE where both differ.", operator.ne, commutative=True),
    _cell("ppred", "X: M|D, Y: M|D, op: T", 'Comparison with the operator given as a string, as in ppred(X, 0, ">").', vtype=_boolean),
    _cell("and_", _XY, "1 or TRUE where both are non-zero.", spelling="&", vtype=_boolean, zero=_BOTH, nnz=_nnz_product, commutative=True),
    _cell("or_", _XY, "1 or TRUE where one is non-zero.", spelling="|", vtype=_boolean, nnz=_nnz_union, commutative=True),
    _cell("not_", _X, "1 or TRUE where X is zero.", spelling="!", vtype=_boolean),
    _cell("xor", _XY, "1 or TRUE where exactly one is non-zero.", vtype=_xor_type, nnz=_nnz_union, commutative=True),
    _cell("ifelse", "C: M|D, A: M|S, B: M|S", "A where C is non-zero, else B.", vtype=_chosen, nnz=_nnz_choice),
    _cell("is_na", "X: M|S", "1 where X is NaN.", spelling="is.na", aliases=("is.nan", "isNA", "isNaN"), vtype=_double, **_SAFE),
    _cell("is_infinite", "X: M|S", "1 where X is Inf or -Inf.", spelling="is.infinite", aliases=("isInf",), vtype=_double, **_SAFE),
)

_BITS: Final = (
    _cell("bitwAnd", _XY, "Bitwise and, of 64-bit integers.", vtype=_bits_type, zero=_BOTH, nnz=_nnz_product, commutative=True),
    _cell("bitwOr", _XY, "Bitwise or, of 64-bit integers.", vtype=_bits_type, nnz=_nnz_union, commutative=True),
    _cell("bitwXor", _XY, "Bitwise exclusive or, of 64-bit integers.", vtype=_bits_type, nnz=_nnz_union, commutative=True),
    _cell("bitwShiftL", _XY, "X shifted left by Y bits.", vtype=_bits_type, zero=(0,)),
    _cell("bitwShiftR", _XY, "X shifted right by Y bits, keeping the sign.", vtype=_bits_type, zero=(0,)),
)

_MATH: Final = (
    _unary("exp", "e to the power of X.", 18),
    _unary("log", "Natural logarithm; log(0) is -Inf.", 32),
    _cell("log_base", "X: M|D, base: M|D", "Logarithm to a base.", spelling="log", vtype=_double, flops=_cost(64)),
    _unary("sqrt", "Square root; NaN for negative numbers.", 2, **_SAFE),
    _unary("abs", "Absolute value.", **_SAFE),
    _unary("sign", "-1, 0 or 1.", **_SAFE),
    _unary("round", "Nearest integer, halves up: 2.5 to 3, -2.5 to -2.", **_SAFE),
    _unary("floor", "Largest integer that is not above X.", **_SAFE),
    _unary("ceil", "Smallest integer that is not below X.", aliases=("ceiling",), **_SAFE),
    _unary("sin", "Sine of radians.", 18, **_SAFE),
    _unary("cos", "Cosine of radians.", 22),
    _unary("tan", "Tangent of radians.", 42, **_SAFE),
    _unary("asin", "Inverse sine in radians; NaN outside of [-1, 1].", 93, **_SAFE),
    _unary("acos", "Inverse cosine in radians; NaN outside of [-1, 1].", 103),
    _unary("atan", "Inverse tangent in radians.", 40, **_SAFE),
    _unary("sinh", "Hyperbolic sine.", 40, **_SAFE),
    _unary("cosh", "Hyperbolic cosine.", 40),
    _unary("tanh", "Hyperbolic tangent.", 40, **_SAFE),
)

_INTERNAL: Final = (
    _cell("one_minus", _X, "1 - X.", spelling="one_minus()", vtype=_negated),
    _unary("sprop", "X * (1 - X) in one pass.", 2, spelling="sprop()", vtype=_negated, **_SAFE),
    _unary("sigmoid_op", "1 / (1 + exp(-X)) in one pass, without overflow.", 21, spelling="sigmoid_op()"),
    _unary("square", "X ^ 2.", spelling="square()", **_SAFE),
    _unary("softplus", "log(1 + exp(X)), without overflow.", 40, spelling="softplus()"),
    _unary("log_sigmoid", "log(1 / (1 + exp(-X))), without overflow.", 40, spelling="log_sigmoid()"),
    _cell("axpy", "X: M|D, s: D, Y: M|D", "X + s * Y without the intermediate.", spelling="axpy()", vtype=_axpy_type, flops=_cost(2)),
)

ROWS: Final[tuple[Op, ...]] = (*_ARITHMETIC, *_LOGIC, *_BITS, *_MATH, *_INTERNAL)
