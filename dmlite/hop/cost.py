"""Seconds of operators, from the operations and bytes they need; unknown sizes have an unknown cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable, result_fact
from dmlite.hop.machine import DEFAULT, Machine
from dmlite.hop.node import HOLE, LITERAL, LIVE_IN, PICK, Hop, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import Op, ShapeError

SPARSE_LIMIT: Final = 0.4  # share of non-zeros up to which a matrix is taken to be CSR
_CELL_BYTES: Final = 8
_NONZERO_BYTES: Final = 12
_ROW_BYTES: Final = 4
_SCALAR_BYTES: Final = 8
FUNCTION: Final = 16  # operations a cell, as of exp, from which on computing it takes longer than reading and writing it
_WIDE: Final = 16  # numbers beside a non-zero of which finding it is no longer most of the work
_WIDER: Final = 4.0  # times as fast, from four times as many on
_PRODUCTS: Final = frozenset({"matmul", "tmm"})
# The kernels of these modules work at the rate of products; all others touch a cell a few times.
_PRODUCT_MODULES: Final = frozenset({"matmul", "linalg", "convolution", "recurrent"})
# These look at no cell. So do lists, which refer to what they hold.
HEAD_ONLY: Final = frozenset({"nrow", "ncol", "length"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What an operator takes: operations, bytes read and written, seconds. None is not known."""

    flops: float | None
    bytes: float | None
    seconds: float | None


FREE: Final = Cost(0.0, 0.0, 0.0)


def estimate(hop: Hop, facts: FactTable, machine: Machine | None = None) -> Cost:
    """The cost of computing `hop` once its operands are there, on the machine that `facts` are for or on another."""
    if hop.op in (LITERAL, LIVE_IN, HOLE, PICK):
        return FREE
    fact, operands = facts[hop], [facts[a] for a in hop.args]
    distinct = [facts[a] for a in dict.fromkeys(hop.args) if not a.is_literal]
    return cost_by_facts(hop.op, fact, operands, distinct, machine or facts.machine)


def cost_by_facts(
    op: str, fact: Fact, operands: Sequence[Fact], distinct: Sequence[Fact] | None = None, machine: Machine = DEFAULT
) -> Cost:
    """The cost of an operator from the facts of its result and operands; `distinct`: of those, each that is read from memory once."""
    if not fact.is_matrix and not any(f.is_matrix for f in operands):
        return Cost(1.0, 0.0, machine.call)
    if fact.kind == "list" or op in HEAD_ONLY:
        return Cost(0.0, 0.0, machine.call)
    row = BY_NAME[op]
    if row.view and not any(is_sparse(f) for f in operands):
        return Cost(0.0, 0.0, machine.call)
    read = operands if distinct is None else distinct
    made = [bytes_of(f) for f in results_of(row, fact, operands)]
    sizes = [bytes_of(f) for f in read]
    flops = _flops(row, fact, [_as_expected(f) for f in operands])
    if None in made or None in sizes:
        return Cost(flops, None, None)
    taken, written = (float(sum(s for s in part if s is not None)) for part in (sizes, made))
    work = None if flops is None else _work(row, flops, fact, operands, machine)
    seconds = None if work is None else max(work, machine.moving(taken, written)) + machine.call
    return Cost(flops, taken + written, seconds)


def results_of(row: Op, fact: Fact, operands: Sequence[Fact]) -> list[Fact]:
    """The facts of the results of an operator; `fact` is what is known of a single one."""
    if len(row.results) < 2:
        return [fact] * len(row.results)
    try:
        return [result_fact(row, list(operands), which) for which in range(len(row.results))]
    except ShapeError:
        return [fact]


def _work(row: Op, flops: float, fact: Fact, operands: Sequence[Fact], machine: Machine) -> float | None:
    """Seconds of computing alone."""
    if row.seconds is not None:
        return row.seconds(machine, *map(_as_expected, operands))
    module = row.kernel.split(".")[0]
    if module not in _PRODUCT_MODULES:
        is_function = module == "elementwise" and flops >= FUNCTION * (fact.cells or 0)
        return flops / (machine.function_rate if is_function else machine.cell_rate)
    sparse = [f for f in operands if is_sparse(f)]
    if not sparse:
        return flops / machine.product_rate
    return flops / machine.sparse_rate / (_gain(flops, nonzeros(sparse[0])) if row.name in _PRODUCTS and len(sparse) == 1 else 1.0)


def _gain(flops: float, nnz: float | None) -> float:
    """How much faster than usual the product of a sparse and a dense matrix is: by the numbers that are read for each non-zero."""
    return min(max(flops / (2 * (nnz or 1) * _WIDE), 1.0), _WIDER)


def _as_expected(fact: Fact) -> Fact:
    """The fact with the non-zeros to work on in place of the upper bound: those expected, of an array all cells."""
    if fact.cells is not None and not is_sparse(fact):
        return fact if fact.nnz == fact.cells else replace(fact, nnz=fact.cells)
    return fact if fact.nnz_avg is None else replace(fact, nnz=math.ceil(fact.nnz_avg))


def _flops(row: Op, fact: Fact, operands: Sequence[Fact]) -> float | None:
    """By the operator table; without a rule there, one operation for each cell of the largest value."""
    if row.flops is not None:
        try:
            return row.flops(*operands)
        except ShapeError:
            return None
    stored = [_stored(f) for f in (fact, *operands) if f.is_matrix]
    return None if None in stored else float(max(c for c in stored if c is not None))


def _stored(fact: Fact) -> float | None:
    """Cells that are gone through: of a sparse matrix, those that are not zero."""
    return nonzeros(fact) if is_sparse(fact) else fact.cells


def is_sparse(fact: Fact) -> bool:
    """Whether a matrix is expected to be CSR."""
    if not fact.is_matrix or fact.dense or fact.cells is None or fact.cols == 1:
        return False
    nnz = nonzeros(fact)
    return nnz is not None and nnz <= SPARSE_LIMIT * fact.cells and fact.cells > 0


@dataclass(frozen=True, slots=True)
class Factor:
    """What the cost of a product takes from a factor or a result, worked out once for the many products it may be in."""

    rows: int
    cols: int
    nnz: float
    bytes: float
    sparse: bool

    @classmethod
    def of(cls, fact: Fact) -> Factor:
        """The factor with this fact, whose shape is known."""
        size, nnz = bytes_of(fact), nonzeros(fact) if is_sparse(fact) else None
        assert fact.rows is not None and fact.cols is not None and size is not None
        return cls(fact.rows, fact.cols, float(fact.rows * fact.cols) if nnz is None else nnz, size, is_sparse(fact))

    def turned(self) -> Factor:
        return Factor(self.cols, self.rows, self.nnz, self.bytes, self.sparse)


def product_seconds(a: Factor, b: Factor, result: Factor, *, gram: bool = False, machine: Machine = DEFAULT) -> float:
    """Seconds of `A %*% B`, as `estimate` has them; gram: one factor is the other transposed, so half the work is done."""
    flops = (1 if gram else 2) * min(a.nnz * b.cols, b.nnz * a.rows)
    read = b.bytes + (0 if gram else a.bytes)
    rate = machine.sparse_rate if a.sparse or b.sparse else machine.product_rate
    if a.sparse != b.sparse and not gram:
        rate *= _gain(flops, a.nnz if a.sparse else b.nnz)
    return max(flops / rate, machine.moving(read, result.bytes)) + machine.call


def total(hops: Iterable[Hop], facts: FactTable, machine: Machine | None = None) -> Cost:
    """The cost of all nodes; not known as soon as it is not known for one."""
    costs = [estimate(hop, facts, machine) for hop in hops]
    add = lambda parts: None if None in parts else sum(parts)  # noqa: E731
    return Cost(add([c.flops for c in costs]), add([c.bytes for c in costs]), add([c.seconds for c in costs]))


def cost_of(roots: Iterable[Hop], facts: FactTable, machine: Machine | None = None) -> Cost:
    """The cost of a whole DAG, each node once."""
    return total(postorder(roots), facts, machine)


def bytes_of(fact: Fact) -> int | None:
    """Bytes of a value in memory, None when its size is not known."""
    if fact.is_scalar:
        return _SCALAR_BYTES
    if fact.cells is None:
        return None
    assert fact.rows is not None
    as_array = _CELL_BYTES * fact.cells
    nnz = nonzeros(fact)
    if nnz is None or not is_sparse(fact):
        return as_array
    return int(_NONZERO_BYTES * nnz + _ROW_BYTES * (fact.rows + 1))


def nonzeros(fact: Fact) -> float | None:
    """The non-zeros to expect: the average where it is known, else the upper bound."""
    return fact.nnz_avg if fact.nnz_avg is not None else fact.nnz
