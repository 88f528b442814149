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
# Multiplications of a dense product from which on more than one thread pays, and the result is looked at before memory is taken.
LARGE_PRODUCT: Final = 1 << 24
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

# ---------------------------------------------------------------- loops, for a compiler: all operands are numbers
# Operators on cells that become vector instructions. NumPy has faster loops for the functions that are missing here.
LOOP_CELLS: Final = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "min2": "least({0}, {1})",
    "max2": "most({0}, {1})",
    "lt": "truth({0} < {1})",
    "le": "truth({0} <= {1})",
    "gt": "truth({0} > {1})",
    "ge": "truth({0} >= {1})",
    "eq": "truth({0} == {1})",
    "ne": "truth({0} != {1})",
    "and_": "truth(({0} != 0.0) & ({1} != 0.0))",
    "or_": "truth(({0} != 0.0) | ({1} != 0.0))",
    "not_": "truth({0} == 0.0)",
    "ifelse": "choose({0}, {1}, {2})",
    "is_na": "truth({0} != {0})",
    "is_infinite": "truth(abs({0}) == np.inf)",
    "exp": "exp({0})",
    "log": "log({0})",
    "log_base": "log({0}) / log({1})",
    "sqrt": "np.sqrt({0})",
    "abs": "abs({0})",
    "tanh": "tanh({0})",
    "sign": "sign({0})",
    "floor": "np.floor({0})",
    "ceil": "np.ceil({0})",
    "round": "round_half_up({0})",
    "square": "{0} * {0}",
    "one_minus": "1.0 - {0}",
    "sprop": "{0} * (1.0 - {0})",
    "sigmoid_op": "sigmoid({0})",
    "softplus": "softplus({0})",
    "log_sigmoid": "-softplus(-{0})",
    "axpy": "{0} + {1} * {2}",
    "minus_nz": "{0} - {1} * truth({0} != 0.0)",
    "relu_backward": "truth({0} > 0.0) * {1}",
    "one_minus_mul": "1.0 - {0} * {1}",
}
# Totals over rows or columns: how cells are joined, and what is made of the cells of the operands first.
LOOP_TOTALS: Final = {
    "sum": ("plus", "{0}"),
    "sumsq": ("plus_product", "{0}, {0}"),
    "tak": ("plus_product", "{0}, {1}"),
    "tak3": ("plus_product", "{0} * {1}, {2}"),
    "sumsq_diff": ("plus_product", "{0} - {1}, {0} - {1}"),
    "colSums": ("plus", "{0}"),
    "colSumsSq": ("plus_product", "{0}, {0}"),
    "tak_cols": ("plus_product", "{0}, {1}"),
    "min_agg": ("least", "{0}"),
    "max_agg": ("most", "{0}"),
    "colMins": ("least", "{0}"),
    "colMaxs": ("most", "{0}"),
}
# Aggregates of the cells of a row: how they are joined, what is made of the cells first, and of the result, with the number of cells.
LOOP_ROWS: Final = {
    "rowSums": ("plus", "{0}", "{0}"),
    "rowSumsSq": ("plus_product", "{0}, {0}", "{0}"),
    "rowMeans": ("plus", "{0}", "{0} / {1}"),
    "tak_rows": ("plus_product", "{0}, {1}", "{0}"),
    "rowMaxs": ("most", "{0}", "{0}"),
    "rowMins": ("least", "{0}", "{0}"),
}
LOOP_PLACES: Final = {"rowIndexMax": "reaches_most", "rowIndexMin": "reaches_least"}
LOOP_STARTS: Final = {"plus": "0.0", "plus_product": "0.0", "least": "np.inf", "most": "-np.inf"}


def place_in_row(name: str, op: str, cell: str, column: str) -> list[str]:
    """Statements for each cell that leave `name` at the number of the last one that is the extreme of the row so far."""
    return [
        f"{name}_new = {LOOP_PLACES[op]}({cell}, {name}_best)",
        f"{name} = choose({name}_new, {column} + 1.0, {name})",
        f"{name}_best = choose({name}_new, {cell}, {name}_best)",
    ]


def python_name(kernel: str) -> str:
    """`module.function`, of another room `room:module.function`, as a name in generated source."""
    return kernel.replace(":", "__").replace(".", "__")
