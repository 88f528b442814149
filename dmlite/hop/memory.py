"""Bytes that operators take while they run: operands, results, and what kernels hold beside them.

Every kernel module has a rule, and operators that differ from it have one of their own. Rules are upper bounds of what the
kernels were seen to allocate, close ones where all matrices are arrays; those for CSR are generous, since non-zeros are bounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dmlite.hop.cost import HEAD_ONLY, SPARSE_LIMIT, results_of
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import Op

_MB: Final = 1 << 20
Nonzeros = Callable[[Fact], float | None]


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes of the operands of an operator, each once, of what it holds beside them while it runs, and of its results."""

    inputs: float
    workspace: float
    output: float

    @property
    def total(self) -> float:
        return self.inputs + self.workspace + self.output


# ---------------------------------------------------------------- values
def at_most(fact: Fact) -> float | None:
    """The most non-zeros there can be."""
    return fact.nnz if fact.nnz is not None else fact.cells


def expected(fact: Fact) -> float | None:
    """The non-zeros to expect."""
    return fact.nnz_avg if fact.nnz_avg is not None else at_most(fact)


def at_least(fact: Fact) -> float | None:
    """The non-zeros that are certain; of an average, that."""
    return max(float(fact.nnz_min), fact.nnz_avg or 0.0)


def is_csr(fact: Fact, nonzeros: Nonzeros = at_most) -> bool:
    """Whether a matrix is stored as CSR when it has that many non-zeros."""
    if not fact.is_matrix or fact.dense or fact.cols == 1 or not fact.cells:
        return False
    nnz = nonzeros(fact)
    return nnz is not None and nnz <= SPARSE_LIMIT * fact.cells


def bytes_of(fact: Fact, nonzeros: Nonzeros = at_most) -> float | None:
    """Bytes of a value; None for a matrix of unknown size and whatever may be one."""
    if fact.kind in ("scalar", "literals"):
        return 0.0
    if not fact.is_matrix or fact.cells is None or fact.rows is None:
        return None
    return 12.0 * (nonzeros(fact) or 0.0) + 4.0 * (fact.rows + 1) if is_csr(fact, nonzeros) else 8.0 * fact.cells


def _as_array(fact: Fact) -> float:
    return 8.0 * (fact.cells or 0) if fact.is_matrix else 0.0


# ---------------------------------------------------------------- operators
@dataclass(frozen=True)
class Space:
    """What a kernel holds beside operands and results, in multiples of their bytes as arrays.

    out: of the results. first: of the first operand. all: of all operands together, each once. most: bytes that these three
    never exceed, as the kernel goes block by block. blocks: bytes of blocks of a fixed size. arrays: CSR operands are made
    arrays first. stored: multiples of the bytes of CSR operands. mixed: multiples of the arrays beside CSR operands.
    """

    out: float = 0.0
    first: float = 0.0
    all: float = 0.0
    most: float = math.inf
    blocks: float = 0.0
    arrays: bool = False
    stored: float = 3.0
    mixed: float = 1.0

    def bytes(self, results: Sequence[float], operands: Sequence[Fact], nonzeros: Nonzeros) -> float:
        """Bytes for operands with these facts, each once, and results of these sizes."""
        arrays = [_as_array(f) for f in operands if f.is_matrix]
        sparse = [f for f in operands if is_csr(f, nonzeros)]
        beside = sum(arrays) - sum(map(_as_array, sparse))
        multiples = self.out * sum(results) + self.first * (arrays[0] if arrays else 0.0) + self.all * sum(arrays)
        made = sum(map(_as_array, sparse)) if self.arrays else 0.0
        if nonzeros is at_least:  # blocks adapt, and what CSR takes is not certain
            return made if sparse else min(multiples, self.most)
        fixed = min(self.blocks, 2.0 * (sum(arrays) + sum(results)))
        stored = self.stored * sum(bytes_of(f, nonzeros) or 0.0 for f in sparse)
        return min(multiples, self.most) + fixed + made + (stored + self.mixed * beside if sparse else 0.0)


_MODULES: Final[Mapping[str, Space]] = {
    "elementwise": Space(),
    "fused": Space(out=0.15, blocks=0.75 * _MB),
    "aggregate": Space(),
    "statistics": Space(first=4.0),
    "construct": Space(out=0.15, stored=4.0),
    "random": Space(),
    "reorg": Space(out=0.15),
    "indexing": Space(stored=4.0),
    "lists": Space(),
    "casts": Space(),
    "matmul": Space(stored=4.0),
    "linalg": Space(first=4.2, arrays=True),
    "fourier": Space(out=1.0, arrays=True),
    "probability": Space(),
    "convolution": Space(arrays=True),
    "pooling": Space(out=0.5, blocks=0.5 * _MB, arrays=True),
    "neural": Space(out=0.05, arrays=True),
    "recurrent": Space(out=0.1, arrays=True),
    "weighted": Space(blocks=5.5 * _MB),
    "system": Space(blocks=1.0 * _MB),
}
_ALIKE: Final[Mapping[tuple[str, ...], Space]] = {
    ("lt", "le", "gt", "ge", "eq", "ne", "ppred", "and_", "or_", "not_", "xor", "is_na", "is_infinite", "ifelse", "pow"): Space(out=0.15),
    ("bitwAnd", "bitwOr", "bitwXor", "bitwShiftL", "bitwShiftR", "round", "log_base", "min_n", "max_n"): Space(out=1.15),
    ("log_sigmoid", "upper.tri", "cumsum_up"): Space(out=1.15, arrays=True),
    ("var", "sd", "rowVars", "rowSds", "colVars", "colSds"): Space(first=1.05, most=8.5 * _MB),
    ("rowIndexMax", "rowIndexMin"): Space(first=0.26),
    ("cumsum", "cumprod", "cummin", "cummax", "rowcumsum"): Space(arrays=True),
    ("lower.tri",): Space(out=0.15, arrays=True),
    ("tak3", "sumsq_diff"): Space(blocks=0.75 * _MB),
    ("mean_w",): Space(first=1.0),
    ("cumsumprod",): Space(first=6.0, arrays=True),
    ("moment", "quantile_w", "quantiles_w"): Space(first=3.0),
    ("moment_w",): Space(first=2.0),
    ("median", "quantile", "quantiles"): Space(all=2.1),
    ("interQuartileMean", "interQuantile"): Space(first=5.0),
    ("table", "table_dims"): Space(first=3.5, out=1.0),
    ("outer_counts",): Space(out=7.1),
    ("one_hot",): Space(first=1.2),
    ("sample",): Space(out=2.1),
    ("fill", "seq", "cbind", "rbind", "cbind_any", "rbind_any"): Space(stored=1.5),
    ("rev", "roll", "t", "reshape", "matrix"): Space(stored=2.0),
    ("aggregate",): Space(),
    ("contains",): Space(first=0.15),
    ("unique",): Space(first=1.2),
    ("countDistinct", "countDistinctApprox"): Space(first=2.2),
    ("rowCountDistinct", "colCountDistinct", "countDistinct_by"): Space(first=1.5),
    ("rowCountDistinctApprox", "colCountDistinctApprox", "countDistinctApprox_by"): Space(first=1.5),
    ("gemm",): Space(arrays=True, stored=1.0, mixed=0.0),
    ("det", "solve"): Space(first=1.1, arrays=True),
    ("inv", "qr", "lu"): Space(first=1.3, arrays=True),
    ("eigen", "sqrtMatrixJava"): Space(first=6.0, arrays=True),
    ("svd",): Space(first=1.2, out=0.8, arrays=True),
    ("einsum",): Space(out=1.1, arrays=True),
    ("ifft",): Space(out=2.0, arrays=True),
    ("stft",): Space(out=1.3, arrays=True),
    ("max_pool_backward",): Space(out=1.4, arrays=True),
    ("batch_norm2d_backward",): Space(out=1.1, arrays=True),
    ("lstm_backward",): Space(all=0.25, arrays=True),
}
_OPERATORS: Final[Mapping[str, Space]] = {name: space for names, space in _ALIKE.items() for name in names}
# Their results are chosen by what is in the cells: no larger than the first operand.
_SELECTING: Final = frozenset({"removeEmpty", "unique", "interQuantile"})
_IMAGES: Final = 4 * _MB  # bytes of unrolled images that a convolution works on at a time, but for one that is larger


def _product(result: Fact, operands: Sequence[Fact], nonzeros: Nonzeros) -> float:
    """Of two CSR matrices, before it is known whether an array is smaller."""
    sparse = all(is_csr(f, nonzeros) for f in operands)
    return 12.0 * min(nonzeros(result) or 0.0, result.cells or 0) if sparse else 0.0


def _draw(result: Fact, operands: Sequence[Fact], nonzeros: Nonzeros) -> float:
    return 5.0 * (bytes_of(result, nonzeros) or 0.0) if is_csr(result, nonzeros) else 0.0


def _groups(result: Fact, operands: Sequence[Fact], nonzeros: Nonzeros) -> float:
    """Sums go through the groups alone; central moments need the target without its means, and its powers."""
    passes = {"sum": 0.0, "count": 0.0, "mean": 0.0, "min": 0.0, "max": 0.0}.get(operands[2].value, 2.1)
    made = _as_array(operands[0]) if is_csr(operands[0], nonzeros) else 0.0
    return 4.2 * _as_array(operands[1]) + passes * _as_array(operands[0]) + made


def _windows(times: float) -> Callable[[Fact, Sequence[Fact], Nonzeros], float]:
    """Unrolled images, as many at a time as fit into a block, one at least; and what is computed from them."""

    def rule(result: Fact, operands: Sequence[Fact], nonzeros: Nonzeros) -> float:
        image, filters = operands[2].value, operands[3].value
        work = BY_NAME["conv2d"].flops
        flops = None if work is None else work(*operands)
        if not flops or not isinstance(image, tuple) or not isinstance(filters, tuple):
            return 0.0
        unrolled = 4.0 * flops / filters[0]
        return times * min(unrolled, max(_IMAGES, unrolled / image[0]))

    return rule


# What depends on more than the sizes of operands and results.
_BESIDE: Final[Mapping[str, Callable[[Fact, Sequence[Fact], Nonzeros], float]]] = {
    **dict.fromkeys(("matmul", "tmm", "tsmm_left", "tsmm_right"), _product),
    "rand": _draw,
    "aggregate": _groups,
    **dict.fromkeys(("conv2d", "conv2d_backward_filter"), _windows(1.15)),
    "conv2d_backward_data": _windows(2.2),
}


def footprint(hop: Hop, facts: FactTable, nonzeros: Nonzeros = at_most, unknown: float | None = None) -> Footprint | None:
    """What computing `hop` takes, with as many non-zeros as `nonzeros` has it.

    unknown: bytes to take for a value of unknown size; None is the result where there is none to take.
    """
    if hop.op in (LITERAL, LIVE_IN, PICK):
        return Footprint(0.0, 0.0, 0.0)
    row, operands = BY_NAME[hop.op], [facts[a] for a in hop.args]
    distinct = [facts[a] for a in dict.fromkeys(hop.args) if a.op != LITERAL]
    inputs = [bytes_of(f, nonzeros) for f in distinct]
    if row.name in HEAD_ONLY or not row.results:
        outputs: list[float | None] = [0.0]
    else:
        outputs = [bytes_of(f, nonzeros) for f in results_of(row, facts[hop], operands)]
    if row.name in _SELECTING and None in outputs and operands[0].is_matrix:
        outputs = [0.0 if nonzeros is at_least else bytes_of(operands[0], nonzeros)]
    if unknown is None and (None in inputs or None in outputs):
        return None
    taken, made = sum(_or(i, unknown) for i in inputs), [_or(o, unknown) for o in outputs]
    if row.name in HEAD_ONLY or (row.view and not any(is_csr(f, nonzeros) for f in operands)):
        return Footprint(taken, 0.0, 0.0)
    return Footprint(taken, workspace(row, made, facts[hop], operands, distinct, nonzeros), sum(made))


def _or(size: float | None, unknown: float | None) -> float:
    return size if size is not None else unknown or 0.0


def workspace(
    row: Op, sizes: Sequence[float], result: Fact, operands: Sequence[Fact], distinct: Sequence[Fact], nonzeros: Nonzeros
) -> float:
    """Bytes that the kernel of an operator holds beside operands and results; `sizes`: of the results."""
    module = row.kernel.split(".")[0]
    space = _OPERATORS.get(row.name) or _MODULES["elementwise" if module == "either" else module]
    beside = _BESIDE.get(row.name)
    return space.bytes(sizes, distinct, nonzeros) + (0.0 if beside is None else beside(result, operands, nonzeros))
