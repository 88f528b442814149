"""Results that are said to be arrays are arrays, whatever the operands are stored as."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from dmlite.hop.cost import bytes_of, estimate, is_sparse
from dmlite.hop.facts import matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.node import literal, live_in, make
from dmlite.hop.ops import BY_NAME
from tests.support.fixtures import computed

SPARSE = csr_array(random_array((80, 60), density=0.02, rng=np.random.default_rng(1)))
VALUES = {"S": SPARSE, "D": SPARSE.toarray(), "v": SPARSE[:, [0]].toarray(), "r": SPARSE[[0], :].toarray()}
FACTS = {n: matrix(*v.shape, SPARSE.nnz if n == "S" else None, dense=n != "S") for n, v in VALUES.items()}
AGGREGATES = [op for op, row in BY_NAME.items() if row.kernel.startswith("aggregate.") and row.returns == "M" and row.params == "X: M"]
AGGREGATES.remove("cumsumprod")  # takes two columns
IMAGES = (literal((80, 1, 6, 10)), literal((1, 1, 3, 3)), literal((1, 1)), literal((0, 0)))
S, D = live_in("S"), live_in("D")
FILTER, GRADIENT = make("fill", map(literal, (1, 1, 9, True))), make("fill", map(literal, (0, 80, 32, True)))
POOLED = make("fill", map(literal, (0, 80, 15, True)))
SIDES = [op for op, row in BY_NAME.items() if row.kernel.startswith("weighted.") and op.endswith(("_right", "_left"))]
THIN, THIN_SPARSE = make("tsmm_left", (D,)), make("tsmm_left", (S,))
POOL = (literal((80, 1, 6, 10)), literal((2, 2)), literal((2, 2)), literal((0, 0)))


def claimed_and_true(hop) -> tuple[bool, bool]:
    return FactTable(FACTS)[hop].dense, isinstance(computed(hop, VALUES), np.ndarray)


@pytest.mark.parametrize("op", AGGREGATES)
@pytest.mark.parametrize("x", [S, D], ids=["S", "D"])
def test_aggregates(op, x):
    assert claimed_and_true(make(op, (x,))) == (True, True)


@pytest.mark.parametrize(
    "hop",
    [
        make("matmul", (make("t", (S,)), D)),
        make("matmul", (make("t", (D,)), S)),
        make("tmm", (S, D)),
        make("tmm", (D, S)),
        make("tsmm_left", (D,)),
        make("mmchain", (S, make("t", (live_in("r"),)))),
        make("outer", (live_in("v"), live_in("r"), literal("*"))),
        make("bias_add", (S, make("fill", map(literal, (0, 2, 1, True))))),
        make("conv2d", (S, FILTER, *IMAGES)),
        make("conv2d_backward_filter", (S, GRADIENT, *IMAGES)),
        make("conv2d_backward_data", (FILTER, GRADIENT, *IMAGES)),
        make("max_pool", (S, *POOL)),
        make("avg_pool", (S, *POOL)),
        make("max_pool_backward", (S, POOLED, *POOL)),
        make("add", (D, live_in("v"))),
        make("index", (D, literal(1), literal(9), literal(None), literal(None))),
        make("rand", map(literal, (63, 65, 0, 1, 0.01, 7, "uniform", 1))),
        make("rand", map(literal, (200, 65, 0, 1, 0.4, 7, "uniform", 1))),
        make("rand", map(literal, (5000, 1, 0, 1, 0.01, 7, "uniform", 1))),
        make("diag", (make("seq", map(literal, (1, 63, 1))),)),
        make("fill", map(literal, (0, 1000, 1000, True))),
        make("table_dims", (make("seq", map(literal, (1, 63, 1))), make("seq", map(literal, (1, 63, 1))), literal(63), literal(65))),
    ],
    ids=lambda hop: hop.op,
)
def test_arrays(hop):
    assert claimed_and_true(hop) == (True, True)


@pytest.mark.parametrize("op", SIDES)
@pytest.mark.parametrize("w", [S, D], ids=["S", "D"])
def test_products_with_weighted_cells(op, w):
    beside = {"wdivmm_div": (literal(None),), "wdivmm_minus_weighted": (S,)}.get(op.rpartition("_")[0], ())
    dense, sparse = (D, THIN_SPARSE), (S, THIN)
    outer, inner = (sparse, dense) if op.endswith("_right") else (dense, sparse)
    with np.errstate(all="ignore"):
        assert claimed_and_true(make(op, (w, *outer, *beside))) == (True, True)
    assert not FactTable(FACTS)[make(op, (w, *inner, *beside))].dense


@pytest.mark.parametrize(
    "hop",
    [
        make("matmul", (make("t", (S,)), S)),
        make("tsmm_left", (S,)),
        make("mul", (S, D)),
        make("add", (S, D)),
        make("index", (S, literal(1), literal(9), literal(None), literal(None))),
        make("rand", map(literal, (64, 64, 0, 1, 0.39, 7, "uniform", 1))),
        make("diag", (make("seq", map(literal, (1, 64, 1))),)),
        make("table_dims", (make("seq", map(literal, (1, 64, 1))), make("seq", map(literal, (1, 64, 1))), literal(64), literal(64))),
    ],
    ids=lambda hop: hop.op,
)
def test_what_may_be_sparse_is_not_called_an_array(hop):
    claimed, true = claimed_and_true(hop)
    assert not claimed
    assert hop.op == "add" or not true


def test_an_array_of_zeros_costs_what_an_array_costs():
    zeros = make("fill", map(literal, (0, 300, 200, True)))
    facts = FactTable(FACTS)
    assert bytes_of(facts[zeros]) == 300 * 200 * 8 and not is_sparse(facts[zeros])
    full = make("fill", map(literal, (1, 300, 200, True)))
    products = [make("matmul", (x, make("t", (x,)))) for x in (zeros, full)]
    assert len({estimate(p, facts).seconds for p in products}) == 1
