"""Operands for every operator of the table, dense and CSR, large enough that what a kernel allocates is what its operands and results take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from scipy.sparse import csr_array

from dmlite.hop.facts import Fact, constant, matrix
from dmlite.hop.node import Hop, live_in, make
from dmlite.hop.node import literal as literal_node
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import Parameter
from dmlite.values import DMLList

DENSITY: Final = 0.05
STORAGES: Final = ("dense", "CSR", "mixed")  # mixed: the first in CSR, the others dense
# These read, write or run something beside their operands.
WITHOUT: Final = frozenset(
    {"print", "stop", "assert", "read", "readMM", "write", "time", "eval", "evalList", "literals", "is_set", "collect"}
)


@dataclass(frozen=True)
class Given:
    """Makes operands that are stored in one way."""

    storage: str
    seed: int = 7
    rows: int = 1000
    cols: int = 300
    side: int = 400  # of square matrices
    cells: int = 300_000  # of columns
    made: list[int] = field(default_factory=list)

    @property
    def power(self) -> int:
        """The power of two up to the columns."""
        return 1 << self.cols.bit_length() - 1

    def x(self, rows: int | None = None, cols: int | None = None) -> Any:
        rows, cols = rows or self.rows, cols or self.cols
        rng = np.random.default_rng((self.seed, rows, cols))
        self.made.append(rows)
        if self.storage == "dense" or cols == 1 or (self.storage == "mixed" and len(self.made) > 1):
            return rng.uniform(0.1, 0.9, (rows, cols))
        each = max(1, int(DENSITY * cols))
        places = np.argsort(rng.random((rows, cols)), axis=1)[:, :each].astype(np.int32)
        places.sort(axis=1)
        pointers = np.arange(0, rows * each + 1, each, dtype=np.int32)
        return csr_array((rng.uniform(0.1, 0.9, rows * each), places.ravel(), pointers), shape=(rows, cols))

    def array(self, rows: int, cols: int) -> np.ndarray:
        """Dense in any case."""
        return np.random.default_rng((self.seed, rows, cols)).uniform(0.1, 0.9, (rows, cols))

    def whole(self, rows: int, cols: int, most: int) -> np.ndarray:
        return np.random.default_rng(self.seed).integers(1, most + 1, (rows, cols)).astype(float)

    def solvable(self) -> Any:
        """Symmetric and positive definite."""
        x = self.x(self.side, self.side)
        return x + x.T + 2 * self.side * (np.eye(self.side) if self.storage == "dense" else csr_array(np.eye(self.side)))


_IMAGE, _FILTERS, _POOL = (20, 3, 40, 40), (8, 3, 5, 5), (2, 2)  # N, C, H, W; K, C, R, S
_PIXELS, _MAPS, _POOLED = 3 * 1600, 8 * 1600, 3 * 400


def _conv(*operands: Any) -> list[Any]:
    return [*operands, _IMAGE, _FILTERS, (1, 1), (2, 2)]


def _pool(*operands: Any) -> list[Any]:
    return [*operands, _IMAGE, _POOL, (2, 2), (0, 0)]


def _lstm(g: Given, backward: bool) -> list[Any]:
    n, t, d, m = 60, 30, 20, 40
    first = [g.array(n, t * d), g.array(d + m, 4 * m), g.array(1, 4 * m), g.array(n, m), g.array(n, m), True]
    if not backward:
        return first
    return [*first, g.array(n, t * m), g.array(n, m), g.array(t, n * m), g.array(t, n * m), g.array(t, n * 4 * m)]


def _weighted(g: Given) -> tuple[Any, Any, Any]:
    return g.x(2 * g.rows, 2 * g.cols), g.array(2 * g.rows, 10), g.array(2 * g.cols, 10)


_P: Final = np.array([[0.1], [0.5], [0.9]])

CALLS: Final[dict[str, Callable[[Given], list[Any]]]] = {
    "ppred": lambda g: [g.x(), 0.5, ">"],
    "bitwAnd": lambda g: [np.floor(g.x() * 100) if g.storage == "dense" else g.x().ceil(), 3],
    "bitwOr": lambda g: [np.floor(g.x() * 100) if g.storage == "dense" else g.x().ceil(), 3],
    "bitwXor": lambda g: [np.floor(g.x() * 100) if g.storage == "dense" else g.x().ceil(), 3],
    "bitwShiftL": lambda g: [np.floor(g.x() * 100) if g.storage == "dense" else g.x().ceil(), 3],
    "bitwShiftR": lambda g: [np.floor(g.x() * 100) if g.storage == "dense" else g.x().ceil(), 3],
    "trace": lambda g: [g.x(g.side, g.side)],
    "cumsumprod": lambda g: [g.array(g.cells // 3, 2)],
    "moment": lambda g: [g.array(g.cells, 1), 3],
    "moment_w": lambda g: [g.array(g.cells, 1), g.whole(g.cells, 1, 4), 3],
    "cov": lambda g: [g.array(g.cells, 1), g.array(g.cells, 1), None],
    "median": lambda g: [g.array(g.cells, 1), None],
    "quantile": lambda g: [g.array(g.cells, 1), 0.3],
    "quantile_w": lambda g: [g.array(g.cells, 1), g.whole(g.cells, 1, 4), 0.3],
    "quantiles": lambda g: [g.array(g.cells, 1), _P],
    "quantiles_w": lambda g: [g.array(g.cells, 1), g.whole(g.cells, 1, 4), _P],
    "interQuartileMean": lambda g: [g.array(g.cells, 1), None],
    "interQuantile": lambda g: [g.array(g.cells, 1), 0.1],
    "interQuantile_w": lambda g: [g.array(g.cells, 1), g.whole(g.cells, 1, 4), 0.1],
    "aggregate": lambda g: [g.x(), g.whole(g.rows, 1, 20), "mean", None, 20, None],
    "fill": lambda g: [0.5, g.rows, g.cols, True],
    "reshape": lambda g: [g.x(), g.cols, g.rows, True],
    "matrix": lambda g: [g.x(), g.cols, g.rows, True],
    "seq": lambda g: [1, g.cells, 1],
    "table_dims": lambda g: [g.whole(g.cells, 1, 1000), g.whole(g.cells, 1, 50), 1000, 50],
    "table": lambda g: [g.whole(g.cells, 1, 1000), g.whole(g.cells, 1, 50), 1, 1000, 50, True],
    "outer": lambda g: [g.array(g.rows, 1), g.array(1, g.cols), "+"],
    "outer_counts": lambda g: [g.array(g.cells, 1), g.array(1, g.cols), "<"],
    "one_hot": lambda g: [g.whole(g.cells, 1, 50), 50],
    "diag": lambda g: [g.array(g.side, 1)],
    "cbind": lambda g: [g.x(), g.x()],
    "rbind": lambda g: [g.x(), g.x()],
    "cbind_any": lambda g: [g.x(), g.x()],
    "rbind_any": lambda g: [g.x(), g.x()],
    "rand": lambda g: [g.rows, g.cols, 0, 1, 1.0 if g.storage == "dense" else DENSITY, 7, "uniform", 1],
    "sample": lambda g: [2 * g.cells, g.cells, False, 7],
    "roll": lambda g: [g.x(), 3],
    "removeEmpty": lambda g: [g.x(), "rows", None, True],
    "replace": lambda g: [g.x(), 0.5, 1.5],
    "contains": lambda g: [g.x(), 0.5],
    "countDistinct_by": lambda g: [g.x(), "r"],
    "countDistinctApprox_by": lambda g: [g.x(), "KMV", "r"],
    "index": lambda g: [g.x(), 10, g.rows * 9 // 10, 5, g.cols - 10],
    "leftindex": lambda g: [g.x(), 0.5 if g.storage == "dense" else 0.0, 10, 60, 5, g.cols - 10],
    "list": lambda g: [("a", "b"), g.x(), g.x()],
    "remove": lambda g: [DMLList([g.x(), g.x()]), 1],
    "as.scalar_list": lambda g: [DMLList([0.5])],
    "as.matrix": lambda g: [g.x()],
    "cast_to": lambda g: [0.5, "int"],
    "as.scalar": lambda g: [g.x(1, 1)],
    "as.scalar_any": lambda g: [g.x(1, 1)],
    "matmul": lambda g: [g.x(g.rows, g.cols), g.x(g.cols, g.rows)],
    "tmm": lambda g: [g.x(g.rows, g.cols), g.x(g.rows, g.side)],
    "gemm": lambda g: [g.x(g.rows, g.side), 0.5, g.x(g.rows, g.cols), g.x(g.cols, g.side)],
    "mmchain": lambda g: [g.x(), g.array(g.cols, 1)],
    "mmchain_w": lambda g: [g.x(), g.array(g.cols, 1), g.array(g.rows, 1)],
    "mmchain_y": lambda g: [g.x(), g.array(g.cols, 1), g.array(g.rows, 1)],
    "solve": lambda g: [g.solvable(), g.array(g.side, 3)],
    "einsum": lambda g: ["ij,jk->ik", g.x(g.rows, g.cols), g.x(g.cols, g.side)],
    **{name: lambda g: [g.solvable()] for name in ("inv", "cholesky", "det", "eigen", "lu", "sqrtMatrixJava")},
    "stft": lambda g: [g.array(10, 10_000), 256, 128],
    "fft_linearized": lambda g: [g.x(g.rows, g.power)],
    "ifft_linearized": lambda g: [g.x(g.rows, g.power), g.x(g.rows, g.power)],
    "fft": lambda g: [g.x(1024, 512)],
    "ifft": lambda g: [g.x(1024, 512), g.x(1024, 512)],
    "conv2d": lambda g: _conv(g.x(20, _PIXELS), g.array(8, 75)),
    "conv2d_backward_filter": lambda g: _conv(g.x(20, _PIXELS), g.array(20, _MAPS)),
    "conv2d_backward_data": lambda g: _conv(g.array(8, 75), g.x(20, _MAPS)),
    "max_pool": lambda g: _pool(g.x(20, _PIXELS)),
    "avg_pool": lambda g: _pool(g.x(20, _PIXELS)),
    "max_pool_backward": lambda g: _pool(g.x(20, _PIXELS), g.array(20, _POOLED)),
    "avg_pool_backward": lambda g: _pool(g.x(20, _PIXELS), g.array(20, _POOLED)),
    "bias_add": lambda g: [g.x(), g.array(4, 1)],
    "bias_multiply": lambda g: [g.x(), g.array(4, 1)],
    "batch_norm2d": lambda g: [g.x(), *[g.array(4, 1)] * 4, "train", 1e-5, 0.9],
    "batch_norm2d_backward": lambda g: [g.x(), g.x(), g.array(4, 1), 1e-5, g.array(4, 1), g.array(4, 1)],
    "lstm": lambda g: _lstm(g, backward=False),
    "lstm_backward": lambda g: _lstm(g, backward=True),
    "wumm_mul": lambda g: [*_weighted(g), "exp"],
    "wumm_div": lambda g: [*_weighted(g), "exp"],
    "toString": lambda g: [g.x(), 100, 100, 3, False, " ", "\n"],
    "log_nz": lambda g: [g.x(), None],
}
for _name in ("minus_weighted", "minus_weighted_left", "minus_weighted_right"):
    CALLS[f"wdivmm_{_name}"] = lambda g: [*_weighted(g), g.x(2 * g.rows, 2 * g.cols)]
for _name in ("wsloss_post", "wsloss_pre"):
    CALLS[_name] = lambda g: [*_weighted(g), g.x(2 * g.rows, 2 * g.cols)]


def operands(op: str, storage: str, **sizes: int) -> list[Any]:
    """Operands of one call."""
    row, given = BY_NAME[op], Given(storage, **sizes)
    if op in CALLS:
        return CALLS[op](given)
    if row.kernel.startswith("weighted."):
        return [*_weighted(given), *[None] * (len(row.parameters) - 3)]
    return [_plain(p, given) for p in row.parameters if not p.variadic]


def _plain(parameter: Parameter, given: Given) -> Any:
    if "matrix" in parameter.kinds and parameter.required:
        return given.x()
    if "list" in parameter.kinds and parameter.required:
        return DMLList([given.x(), given.x()])
    if not parameter.required:
        return parameter.default
    if parameter.name == "dist":
        return "normal"
    return {"string": "a", "boolean": True}.get(parameter.kinds[0], 0.5)


def fact(value: Any) -> Fact:
    """What a plan knows of a value at hand."""
    if isinstance(value, np.ndarray):
        return matrix(*value.shape, dense=True)
    if isinstance(value, csr_array):
        return matrix(*value.shape, value.nnz, nnz_avg=float(value.nnz))
    return Fact("list") if isinstance(value, DMLList) else constant(value)


def node(op: str, values: list[Any]) -> tuple[Hop, dict[str, Fact]]:
    """The operator over variables and literals, and the facts of the variables."""
    facts: dict[str, Fact] = {}
    args = []
    for number, value in enumerate(values):
        if isinstance(value, (np.ndarray, csr_array, DMLList)):
            same = next((n for n, v in enumerate(values) if v is value), number)
            facts[f"v{same}"] = fact(value)
            args.append(live_in(f"v{same}"))
        else:
            args.append(literal_node(value))
    return make(op, args), facts
