"""Which results are certainly arrays: dense operands give dense results, but for operators that make sparse matrices of their own."""

from __future__ import annotations

from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.node import LITERAL, PICK, Hop
from dmlite.hop.ops import BY_NAME

DENSE_FILL: Final = 1 << 27  # filled matrices up to this many cells are dense arrays, zeros too
SMALL: Final = 4096  # cells below which generated matrices are dense arrays, however sparse
SPARSE_DRAW: Final = 0.4  # share of non-zeros below which the places of random numbers are drawn, rather than all cells
# Operators that may give CSR of dense operands.
_MAY_BE_SPARSE: Final = frozenset(
    ["read", "readMM", "eval", "matrix", "lower.tri", "upper.tri", "removeEmpty", "replace", "as.matrix", "one_hot", PICK]
)
_SPARSE_IF_LARGE: Final = frozenset(["rand", "table", "table_dims", "diag"])
# Kernels that give arrays of CSR too, by module and by name; products do so as soon as one factor is an array.
_ARRAY_MODULES: Final = frozenset(["aggregate", "convolution", "pooling"])
_ARRAYS: Final = frozenset(["outer", "mmchain", "mmchain_w", "mmchain_y", "bias_add"])
_PRODUCTS: Final = frozenset(["matmul", "tmm"])
_FACTORS: Final = {"left": 1, "right": 2}  # the operand that a weighted operator multiplies its cells by, and from which side
_PARTS: Final = frozenset(["index", "leftindex"])


def is_dense(hop: Hop, result: Fact, operands: list[Fact]) -> bool:
    """Whether the result of `hop` over values with the facts `operands` is certainly an array."""
    if not result.is_matrix or hop.op in _MAY_BE_SPARSE:
        return False
    if hop.op in _PARTS:
        return operands[0].dense
    module, side = BY_NAME[hop.op].kernel.split(".")[0], hop.op.rpartition("_")[2]
    if hop.op in _ARRAYS or module in _ARRAY_MODULES:
        return True
    if module == "weighted" and side in _FACTORS:
        return operands[_FACTORS[side]].dense
    if hop.op in _PRODUCTS:
        return operands[0].dense or operands[1].dense
    if hop.op == "fill":
        return isinstance(hop.args[0].value, (int, float)) and result.cells is not None and result.cells <= DENSE_FILL
    if hop.op in _SPARSE_IF_LARGE:
        full = hop.op == "rand" and operands[4].is_const and operands[4].value >= SPARSE_DRAW
        return full or result.cols == 1 or (result.cells is not None and result.cells < SMALL)
    return all(f.dense or f.is_scalar or a.op == LITERAL for a, f in zip(hop.args, operands, strict=True))
