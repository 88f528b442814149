"""Expected non-zeros against counts: the q-error is max(estimate/count, count/estimate)."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from dmlite.hop import estimates, mnc
from dmlite.hop.facts import matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.node import live_in, make
from dmlite.hop.text import dml_to_hop
from tests.support.fixtures import computed


def q_error(estimate: float, count: float) -> float:
    if not estimate and not count:
        return 1.0
    return max(estimate / count, count / estimate) if estimate and count else np.inf


def sparse(m: int, n: int, density: float, seed: int) -> csr_array:
    return csr_array(
        random_array(
            (m, n),
            density=density,
            rng=np.random.default_rng(seed),
            data_sampler=lambda size: np.random.default_rng(seed).normal(size=size),
        )
    )


VALUES = {
    "X": sparse(300, 200, 0.05, 1),
    "Y": sparse(300, 200, 0.1, 2),
    "Z": sparse(200, 250, 0.02, 3),
    "D": np.random.default_rng(4).normal(size=(300, 200)),
    "V": sparse(300, 1, 0.3, 5).toarray(),
    "R": sparse(1, 200, 0.3, 6).toarray(),
    "K": np.random.default_rng(8).integers(1, 11, size=(300, 1)).astype(float),
}
FACTS = {n: matrix(*v.shape, int(np.count_nonzero(v.toarray() if hasattr(v, "toarray") else v)), may_nan=False) for n, v in VALUES.items()}
EXPRESSIONS = """
X * Y | X + Y | X - Y | X * D | X + D | X / 3 | X ^ 2 | X * V | X * R | Y * V * R | X + V | abs(X) | exp(X) | -X | sqrt(abs(X))
X > 0 | X < 0 | X >= 0 | X <= 0 | X != 0 | X == 0 | D > 0 | X != Y | max(X, 0) | min(X, 0) | max(X, Y) | max(X, 1) | !X
X %*% Z | D %*% Z | t(X) %*% Y | t(X) %*% X | X %*% t(X) | t(Z) %*% t(X) | rowSums(X) | colSums(X) | rowMaxs(abs(X)) | colMeans(X)
cumsum(X) | t(X) | rev(X) | X[10:100, 5:60] | X[3,] | cbind(X, Y) | rbind(X, D, Y) | diag(V) | diag(t(X) %*% Y) | replace(target=X, pattern=0, replacement=1)
replace(target=X, pattern=3, replacement=1) | table(seq(1, 300), K) | table_dims(seq(1, 300), K, 300, 12) | outer(V, R, "*") | outer(V, R, "+")
lower.tri(target=t(X) %*% X) | upper.tri(target=t(X) %*% Y, diag=TRUE, values=TRUE) | ifelse(X != 0, Y, D) | ifelse(X, Y, 0)
leftindex(X, Y, 1, 300, 1, 200) | leftindex(X, 0, 1, 1, 1, 1) | X + 2 * Y | (X > 0) & (D != 0) | reshape(X, 200, 300)
"""


@pytest.mark.parametrize("text", [e.strip() for line in EXPRESSIONS.strip().splitlines() for e in line.split(" | ")])
def test_average_case(text):
    hop = dml_to_hop(text, lambda name: (live_in(name), FACTS[name]))
    facts = FactTable(FACTS)
    fact = facts[hop]
    value = computed(hop, VALUES)
    count = value.nnz if hasattr(value, "nnz") else np.count_nonzero(value)
    estimate = fact.cells if fact.nnz is None else fact.nnz
    estimate = estimate if fact.nnz_avg is None else fact.nnz_avg
    assert q_error(estimate, count) < 1.5


def test_expectations_stay_between_the_bounds():
    full, half = matrix(10, 10, nnz_min=100), matrix(10, 10, 50)
    result, x, y = matrix(10, 10), live_in("x"), live_in("y")
    assert estimates.expecting(make("add", (x, y)), result, [half, matrix(10, 10, 30)], least=20, most=60) is None
    assert estimates.expecting(make("mul", (x, y)), result, [half, matrix(10, 10, 1)], least=20) == 20
    assert estimates.expecting(make("add", (x, y)), matrix(10, None), [half, half]) is None
    assert estimates.expecting(make("eigen", (x,)), result, [half]) is None
    assert estimates.expecting(make("add", (x, y)), result, [full, full]) is None


@pytest.mark.parametrize(
    ("x", "y", "k", "density"),
    [(0, 1, 10, 0), (1, 1, 1, 1), (1, 1, 0, 0), (0.5, 1, 1, 0.5), (0.5, 0.5, 2, 0.4375), (1e-9, 1e-9, 1e6, 1e-12)],
)
def test_product_density(x, y, k, density):
    assert estimates.product_density(x, y, k) == pytest.approx(density)


# ---------------------------------------------------------------- sketches
def zipf_rows(n: int, total: int, seed: int) -> csr_array:
    """Few rows hold most of the non-zeros."""
    rng = np.random.default_rng(seed)
    weight = 1.0 / np.arange(1, n + 1)
    rows = rng.choice(n, size=total, p=weight / weight.sum())
    return csr_array((np.ones(total), (rows, rng.integers(0, n, total))), shape=(n, n))


def one_hot(n: int, m: int, seed: int) -> csr_array:
    return csr_array((np.ones(n), (np.arange(n), np.random.default_rng(seed).integers(0, m, n))), shape=(n, m))


def permutation(n: int) -> csr_array:
    return csr_array((np.ones(n), (np.arange(n), np.random.default_rng(9).permutation(n))), shape=(n, n))


def single(n: int, *, row: bool) -> csr_array:
    at = (np.zeros(n, int), np.arange(n)) if row else (np.arange(n), np.zeros(n, int))
    return csr_array((np.ones(n), at), shape=(n, n))


N = 1000
PRODUCTS = {
    "uniform": (sparse(N, N, 0.003, 1), sparse(N, N, 0.004, 2), 1.05),
    "dense uniform": (sparse(N, 300, 0.2, 1), sparse(300, N, 0.1, 2), 1.05),
    "permutation": (permutation(N), sparse(N, N, 0.01, 2), 1.0),
    "one-hot": (one_hot(N, 50, 3), sparse(50, N, 0.3, 4), 1.0),
    "selection": (permutation(N)[:100], sparse(N, N, 0.01, 2), 1.0),
    "aligned skew": (csr_array(zipf_rows(N, 5000, 5).T), zipf_rows(N, 5000, 6), 1.3),
    "opposed skew": (zipf_rows(N, 5000, 5), csr_array(zipf_rows(N, 5000, 6).T), 1.2),
    "outer": (single(N, row=False), single(N, row=True), 1.0),
    "inner": (single(N, row=True), single(N, row=False), 1.0),
    "gram of skewed features": (csr_array(zipf_rows(N, 4000, 7)), csr_array(zipf_rows(N, 4000, 7).T), 2.0),
    "empty": (csr_array((N, N)), sparse(N, N, 0.01, 2), 1.0),
}


@pytest.mark.parametrize("case", PRODUCTS)
def test_sketches_of_products(case):
    a, b, most = PRODUCTS[case]
    a.sum_duplicates(), b.sum_duplicates()
    true = csr_array((a != 0).astype(float) @ (b != 0).astype(float)).nnz
    estimate = mnc.product_nnz(mnc.sketch_of(a), mnc.sketch_of(b))
    assert q_error(estimate, true) <= most + 1e-9


def test_sketches_see_what_averages_do_not():
    """On skewed operands the average is wrong by factors."""
    for case in ("outer", "inner", "aligned skew"):
        a, b, _ = PRODUCTS[case]
        average = estimates.product_density(a.nnz / N**2, b.nnz / N**2, N) * N * N
        true = csr_array((a != 0).astype(float) @ (b != 0).astype(float)).nnz
        assert q_error(average, true) > 5


@pytest.mark.parametrize("x", [sparse(40, 30, 0.1, 1), one_hot(40, 6, 2), csr_array((4, 3))])
def test_dense_and_sparse_give_the_same_sketch(x):
    a, b = mnc.sketch_of(x), mnc.sketch_of(x.toarray())
    for field in ("rows", "cols", "lone_rows", "lone_cols"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    assert a.shape == x.shape and a.nnz == x.nnz


@pytest.mark.parametrize("op", ["t", "mul", "add", "cbind", "rbind", "matmul"])
def test_sketches_of_results(op):
    """Counts by row and column of a result add up to its non-zeros, and follow the skew of the operands."""
    x, y = zipf_rows(300, 3000, 1), zipf_rows(300, 3000, 2)
    x.sum_duplicates(), y.sum_duplicates()
    x.data[:], y.data[:] = 1.0, 1.0
    a, b = mnc.sketch_of(x), mnc.sketch_of(y)
    from scipy.sparse import hstack, vstack

    true = {
        "t": lambda: x.T,
        "mul": lambda: x * y,
        "add": lambda: x + y,
        "cbind": lambda: hstack([x, y]),
        "rbind": lambda: vstack([x, y]),
        "matmul": lambda: x @ y,
    }
    value = csr_array(true[op]())
    sketch = mnc.sketched(op, [a] if op == "t" else [a, b])
    assert sketch.shape == value.shape
    assert q_error(sketch.nnz, value.nnz) < 1.3
    assert sketch.cols.sum() == pytest.approx(sketch.nnz, rel=1e-6)
    rows = np.diff(value.indptr)
    assert np.abs(sketch.rows - rows).sum() < 0.6 * rows.sum()
    assert mnc.sketched("exp", [a]) is None
