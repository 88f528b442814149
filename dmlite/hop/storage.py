"""Which results are certainly arrays: dense operands give dense results, but for operators that make sparse matrices of their own."""

from __future__ import annotations

from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.node import LITERAL, PICK, Hop

DENSE_FILL: Final = 1 << 27  # filled matrices up to this many cells are dense arrays, zeros too
# Operators that may give CSR even when every operand is dense.
_MAY_BE_SPARSE: Final = frozenset(
    [
        "rand",
        "table",
        "table_dims",
        "diag",
        "read",
        "readMM",
        "eval",
        "matrix",
        "lower.tri",
        "upper.tri",
        "removeEmpty",
        "replace",
        "as.matrix",
        "outer",
        "one_hot",
        PICK,
    ]
)


def is_dense(hop: Hop, result: Fact, operands: list[Fact]) -> bool:
    """Whether the result of `hop` over values with the facts `operands` is certainly an array."""
    if not result.is_matrix or hop.op in _MAY_BE_SPARSE:
        return False
    if hop.op in ("index", "leftindex"):
        return operands[0].dense
    if hop.op == "fill":
        return isinstance(hop.args[0].value, (int, float)) and result.cells is not None and result.cells <= DENSE_FILL
    return all(f.dense or f.is_scalar or a.op == LITERAL for a, f in zip(hop.args, operands, strict=True))
