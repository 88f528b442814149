"""Chains of products: the order found is the cheapest of all, transposes and shared products are counted right, numbers stay."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial, reduce
from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from dmlite import MLContext, dml, settings
from dmlite.hop.cost import cost_of
from dmlite.hop.facts import Fact, matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.mnc import sketch_of
from dmlite.hop.node import Hop, live_in, make, postorder
from dmlite.hop.program import Block, Root
from dmlite.rewrite.driver import rewrite
from dmlite.rewrite.dynamic import cell_chain, matmul_chain
from tests.support.fixtures import computed


def product(a: Hop, b: Hop) -> Hop:
    return make("matmul", [a, b])


def t(x: Hop) -> Hop:
    return make("t", [x])


def ordered(roots: list[Hop], facts: dict[str, Fact], sketches: dict | None = None) -> tuple[list[Hop], FactTable]:
    table = FactTable(facts, sketches=sketches)
    block = Block([Root(f"r{i}", h) for i, h in enumerate(roots)], facts, {})
    with settings(verify=True):
        found, _ = rewrite(block, table, (*matmul_chain.RULES, *cell_chain.RULES))
    return [r.hop for r in found], table


def orders(factors: list[Hop]) -> Iterator[Hop]:
    """Every way to set parentheses."""
    if len(factors) == 1:
        yield factors[0]
    for k in range(1, len(factors)):
        for left in orders(factors[:k]):
            for right in orders(factors[k:]):
                yield product(left, right)


def seconds(roots: list[Hop], facts: FactTable) -> float:
    found = cost_of(roots, facts).seconds
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(25))
def test_the_cheapest_of_all_orders_is_found(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 7))
    dims = rng.choice([1, 3, 20, 100, 700, 3000], n + 1)
    density = rng.choice([1.0, 0.2, 0.01, 0.001], n)
    names = "ABCDEFG"[:n]
    facts = {
        name: matrix(int(a), int(b), nnz=max(1, int(a * b * d)), may_nan=False)
        for name, (a, b), d in zip(names, pairwise(dims), density, strict=True)
    }
    factors = [live_in(name) for name in names]
    (found,), table = ordered([reduce(product, factors)], facts)
    best = min(seconds([o], table) for o in orders(factors))
    assert seconds([found], table) <= best * 1.05
    assert [h.value for h in postorder([found]) if h.op == "live_in"] == list(names)


@pytest.mark.parametrize("seed", range(10))
def test_numbers_stay(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 7))
    dims = [int(d) for d in rng.integers(1, 60, n + 1)]
    values = {name: rng.normal(size=shape) for name, shape in zip("ABCDEFG", pairwise(dims), strict=False)}
    for name in list(values)[::2]:
        values[name] = csr_array(random_array(values[name].shape, density=0.1, rng=rng))
    facts = {name: matrix(*x.shape, x.nnz if hasattr(x, "nnz") else None, may_nan=False) for name, x in values.items()}
    factors = [live_in(name) for name in values]
    middle = reduce(product, factors[1:])
    for root in (reduce(product, factors), product(factors[0], middle), t(product(t(middle), t(factors[0])))):
        (found,), _ = ordered([root], facts)
        x, y = (np.asarray(v.toarray() if hasattr(v := computed(h, values), "toarray") else v) for h in (root, found))
        np.testing.assert_allclose(y, x, rtol=1e-9, atol=1e-9)


A, B, C, V = map(live_in, "ABCV")


def test_a_transpose_moves_inside_when_that_is_cheaper():
    facts = {"A": matrix(300, 200), "B": matrix(200, 500), "V": matrix(300, 1)}
    (found,), table = ordered([product(t(product(A, B)), V)], facts)
    assert seconds([found], table) <= seconds([product(t(B), product(t(A), V))], table) * 1.05


def test_a_sparse_matrix_is_not_transposed_in_vain():
    """A transposed CSR matrix is a copy; that of the small product is not."""
    facts = {"A": matrix(90_000, 50_000, 4_000_000, may_nan=False), "B": matrix(90_000, 3), "C": matrix(3, 50_000)}
    (found,), table = ordered([product(product(t(B), A), t(C))], facts)
    assert not [h for h in postorder([found]) if h.op == "t" and h.args[0] is A]
    assert table[found].rows == 3


def test_a_product_that_others_need_is_a_factor():
    facts = {"A": matrix(500, 500), "B": matrix(500, 500), "V": matrix(500, 1)}
    shared = product(A, B)
    found, _ = ordered([product(shared, V), make("exp", [shared])], facts)
    assert found == [product(shared, V), make("exp", [shared])]
    (alone,), _ = ordered([product(shared, V)], facts)
    assert alone is product(A, product(B, V))


def test_a_product_that_exists_elsewhere_is_free():
    facts = {"A": matrix(40, 400), "B": matrix(400, 40), "C": matrix(40, 30)}
    found, _ = ordered([product(A, B), product(A, product(B, C))], facts)
    assert found == [product(A, B), product(product(A, B), C)]


def test_what_does_not_fit_or_is_not_known_stays():
    for facts in (
        {"A": matrix(500, None), "B": matrix(None, 500), "V": matrix(500, 1)},
        {"A": matrix(5, 4), "B": matrix(4, 3), "V": matrix()},
    ):
        root = product(product(A, B), V)
        (found,), _ = ordered([root], facts)
        assert found is root


def test_long_chains_are_quick():
    names = [f"M{i}" for i in range(20)]
    rng = np.random.default_rng(2)
    facts = {n: matrix(int(a), int(b)) for n, (a, b) in zip(names, pairwise(rng.integers(1, 500, 21)), strict=True)}
    root = reduce(product, map(live_in, names))
    (found,), table = ordered([root], facts)
    assert seconds([found], table) < seconds([root], table)


def test_the_sketch_decides_where_the_density_cannot():
    """A %*% B looks sparse by its density, but the full column of A meets the full row of B."""
    n = 600
    ones = np.ones(n)
    a = csr_array((ones, (np.arange(n), np.zeros(n, int))), shape=(n, n))
    b = csr_array((ones, (np.zeros(n, int), np.arange(n))), shape=(n, n))
    c = csr_array(random_array((n, n), density=0.01, rng=np.random.default_rng(1)))
    values = {"A": a, "B": b, "C": c}
    facts = {k: matrix(n, n, v.nnz, may_nan=False) for k, v in values.items()}
    root = product(product(A, B), C)
    (blind,), _ = ordered([root], facts)
    (found,), table = ordered([root], facts, {k: partial(sketch_of, v) for k, v in values.items()})
    assert blind is root
    assert found is product(A, product(B, C))
    assert table[product(A, B)].nnz_avg == n * n


def test_sketches_of_inputs_are_used_at_run_time():
    n = 600
    ones = np.ones(n)
    a = csr_array((ones, (np.arange(n), np.zeros(n, int))), shape=(n, n))
    b = csr_array((ones, (np.zeros(n, int), np.arange(n))), shape=(n, n))
    c = csr_array(random_array((n, n), density=0.01, rng=np.random.default_rng(1)))
    result = MLContext().execute(dml("R = A %*% B %*% C").input(A=a, B=b, C=c))
    np.testing.assert_allclose(
        np.asarray(result.get("R").toarray() if hasattr(result.get("R"), "toarray") else result.get("R")),
        ((a @ b) @ c).toarray(),
        rtol=1e-12,
    )


# ---------------------------------------------------------------- cellwise products
X, W, R = map(live_in, "XWR")


def mul(*hops: Hop) -> Hop:
    return reduce(lambda a, b: make("mul", [a, b]), hops)


def test_vectors_meet_before_a_matrix():
    facts = {"X": matrix(900, 50), "V": matrix(900, 1), "W": matrix(900, 1), "R": matrix(1, 50)}
    (found,), table = ordered([mul(X, V, R, W)], facts)
    assert found is mul(X, mul(V, W), R)
    assert seconds([found], table) < seconds([mul(X, V, R, W)], table)


def test_the_sparsest_factor_is_first():
    facts = {"X": matrix(900, 500), "A": matrix(900, 500), "B": matrix(900, 500, 900, may_nan=False)}
    (found,), _ = ordered([mul(X, A, B)], facts)
    assert found.args[0].args[0] is B


def test_products_with_another_reader_are_kept():
    facts = {"X": matrix(900, 50), "V": matrix(900, 1), "W": matrix(900, 1)}
    shared = mul(X, V)
    found, _ = ordered([mul(shared, W), make("exp", [shared])], facts)
    assert found[0] is mul(shared, W)
