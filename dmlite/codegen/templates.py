"""Python expressions for operators on dense arrays of known, fitting shapes and on scalars of known type.

Everything that has no template here goes through its general kernel.
"""

from __future__ import annotations

from typing import Final

# Universal functions: `out=` may name a dead operand. The operator form is faster for small arrays.
UFUNC: Final = {
    "add": ("np_add", "{0} + {1}"),
    "sub": ("np_subtract", "{0} - {1}"),
    "mul": ("np_multiply", "{0} * {1}"),
    "div": ("np_divide", "{0} / {1}"),
    "min2": ("np_minimum", "np_minimum({0}, {1})"),
    "max2": ("np_maximum", "np_maximum({0}, {1})"),
    "neg": ("np_negative", "-{0}"),
    "exp": ("np_exp", "np_exp({0})"),
    "log": ("np_log", "np_log({0})"),
    "sqrt": ("np_sqrt", "np_sqrt({0})"),
    "abs": ("np_absolute", "np_absolute({0})"),
    "tanh": ("np_tanh", "np_tanh({0})"),
    "square": ("np_square", "{0} * {0}"),
}
DENSE: Final = {
    "gt": "({0} > {1}).astype(np_float64)",
    "ge": "({0} >= {1}).astype(np_float64)",
    "lt": "({0} < {1}).astype(np_float64)",
    "le": "({0} <= {1}).astype(np_float64)",
    "eq": "({0} == {1}).astype(np_float64)",
    "ne": "({0} != {1}).astype(np_float64)",
    "one_minus": "1.0 - {0}",
    "matmul": "{0} @ {1}",
    "t": "{0}.T",
    "sum": "float(np_add.reduce({0}, None))",
    "rowSums": "np_add.reduce({0}, 1, None, None, True)",
    "colSums": "np_add.reduce({0}, 0, None, None, True)",
}
# Scalars of known numeric type whose Python operator means the same as DML's.
SCALAR: Final = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "neg": "-{0}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
}
SCALAR_ANY_NUMBER: Final = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})
SCALAR_BOOLEAN: Final = {"and_": "{0} and {1}", "or_": "{0} or {1}", "not_": "not {0}"}
NUMPY_NAMES: Final = tuple(sorted({u[0] for u in UFUNC.values()} | {"np_float64", "np_concatenate", "np_matmul"}))
