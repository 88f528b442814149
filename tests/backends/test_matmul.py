"""Matrix products against plain NumPy, on every mix of dense and CSR."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.sparse import csr_array, issparse

from dmlite.backends.local import matmul as kernels
from dmlite.errors import DMLRuntimeError
from dmlite.hop import facts
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import ShapeError
from tests.support.always import always_compiled


@pytest.fixture(autouse=True, params=["numpy", "compiled"])
def both_kinds(request, monkeypatch):
    """Every test with plain kernels and with compiled loops."""
    if request.param == "compiled":
        always_compiled(monkeypatch)


STORAGES = {"dense": np.array, "sparse": csr_array, "columns": np.asfortranarray}
SHAPES = [(4, 3, 5), (1, 1, 1), (1, 7, 1), (6, 1, 6), (5, 4, 1), (1, 4, 5), (0, 3, 2), (2, 0, 2), (3, 2, 0), (0, 0, 0)]


def cells(rows: int, cols: int, seed: int, share: float = 0.4) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, cols)) * (rng.random((rows, cols)) < share)


def plain(x) -> np.ndarray:
    return x.toarray() if issparse(x) else np.asarray(x)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    out = np.zeros((a.shape[0], b.shape[1]))
    for i, j in np.ndindex(out.shape):
        out[i, j] = sum(a[i, k] * b[k, j] for k in range(a.shape[1]))
    return out


@pytest.mark.parametrize("left,right", list(itertools.product(STORAGES, STORAGES)))
@pytest.mark.parametrize("n,k,m", SHAPES)
def test_products(left: str, right: str, n: int, k: int, m: int) -> None:
    a, b = cells(n, k, 1), cells(k, m, 2)
    expected = product(a, b)
    got = kernels.matmul(STORAGES[left](a), STORAGES[right](b))
    assert got.shape == (n, m)
    np.testing.assert_allclose(plain(got), expected, atol=1e-14)
    transposed = kernels.tmm(STORAGES[left](a.T), STORAGES[right](b))
    assert transposed.shape == (n, m)
    np.testing.assert_allclose(plain(transposed), expected, atol=1e-14)


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("n,m", [(9, 4), (4, 9), (1, 5), (5, 1), (1, 1), (0, 3), (3, 0)])
def test_products_with_itself(storage: str, n: int, m: int) -> None:
    x = cells(n, m, 3)
    left, right = kernels.tsmm_left(STORAGES[storage](x)), kernels.tsmm_right(STORAGES[storage](x))
    np.testing.assert_allclose(plain(left), product(x.T, x), atol=1e-14)
    np.testing.assert_allclose(plain(right), product(x, x.T), atol=1e-14)
    assert (plain(left) == plain(left).T).all()


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("n,m,c", [(8, 5, 1), (8, 5, 3), (40000, 30, 1), (0, 5, 1), (5, 0, 1), (1, 1, 1)])
def test_chains(storage: str, n: int, m: int, c: int) -> None:
    x, v, u = cells(n, m, 4), cells(m, c, 5, 1.0), cells(n, 1, 6, 1.0)
    stored = STORAGES[storage](x)
    tolerance = {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(kernels.mmchain(stored, v), x.T @ (x @ v), **tolerance)
    np.testing.assert_allclose(kernels.mmchain_w(stored, v, u), x.T @ (u * (x @ v)), **tolerance)
    np.testing.assert_allclose(kernels.mmchain_y(stored, v, u), x.T @ ((x @ v) - u), **tolerance)


def test_chain_leaves_its_operands_alone() -> None:
    x, v, u = cells(50000, 20, 4), cells(20, 1, 5), cells(50000, 1, 6)
    copies = x.copy(), v.copy(), u.copy()
    kernels.mmchain_w(x, v, u)
    kernels.mmchain_y(x, v, csr_array(u))
    for now, before in zip((x, v, u), copies, strict=True):
        assert (now == before).all()


def test_storage_of_the_result() -> None:
    identity, full = csr_array(np.eye(100)), np.ones((100, 3))
    assert issparse(kernels.matmul(identity, identity))
    assert not issparse(kernels.matmul(identity, full))
    assert not issparse(kernels.matmul(full.T, identity))
    assert not issparse(kernels.matmul(csr_array(full), csr_array(full.T)))
    assert issparse(kernels.tsmm_left(identity)) and issparse(kernels.tsmm_right(identity)) and issparse(kernels.tmm(identity, identity))
    scattered = kernels.matmul(csr_array(cells(50, 60, 1, 0.05)), csr_array(cells(60, 50, 2, 0.05)))
    assert issparse(scattered) and scattered.has_sorted_indices and (scattered.data != 0).all()


def test_selection_of_rows_stays_cheap() -> None:
    """A permutation of a million rows fits only while it is not made dense."""
    n = 1_000_000
    order = np.random.default_rng(7).permutation(n)
    table = csr_array((np.ones(n), order, np.arange(n + 1)), shape=(n, n))
    x = np.arange(2.0 * n).reshape(n, 2)
    assert (kernels.matmul(table, x) == x[order]).all()


@pytest.mark.parametrize("left,right", list(itertools.product(STORAGES, STORAGES)))
def test_misfits(left: str, right: str) -> None:
    a, b = STORAGES[left](np.ones((2, 3))), STORAGES[right](np.ones((2, 2)))
    with pytest.raises(DMLRuntimeError, match="2x3 and 2x2: the inner dimensions 3 and 2"):
        kernels.matmul(a, b)
    with pytest.raises(DMLRuntimeError, match="3x2 and 2x2"):
        kernels.tmm(STORAGES[left](np.ones((3, 2))), b)
    with pytest.raises(DMLRuntimeError, match="2x3"):
        kernels.mmchain(a, b)
    with pytest.raises(DMLRuntimeError, match="3x1"):
        kernels.mmchain_w(a, np.ones((3, 1)), STORAGES[right](np.ones((3, 1))))


@pytest.mark.parametrize("a,b", [(2.0, np.ones((1, 1))), (np.ones((1, 1)), 3), (csr_array(np.ones((1, 1))), True)])
def test_scalars_are_refused(a, b) -> None:
    with pytest.raises(DMLRuntimeError, match="scalar"):
        kernels.matmul(a, b)


def test_nan_and_infinity() -> None:
    got = kernels.matmul(np.array([[1.0, np.nan], [1.0, 2.0]]), np.array([[np.inf], [1.0]]))
    assert np.isnan(got[0, 0]) and got[1, 0] == np.inf


def test_a_product_that_cannot_fit_is_refused() -> None:
    tall = csr_array((10**8, 1))
    with pytest.raises(DMLRuntimeError, match="memory"):
        kernels.matmul(tall, np.ones((1, 10**6)))
    filled = csr_array((np.ones(10**6), np.zeros(10**6, np.int32), np.arange(10**6 + 1)), shape=(10**6, 1))
    with pytest.raises(DMLRuntimeError, match="memory"):
        kernels.tsmm_right(filled)
    with pytest.raises(DMLRuntimeError, match="memory"):
        kernels.tsmm_right(np.ones((10**6, 1)))


# ---------------------------------------------------------------- what the table knows
def test_sizes() -> None:
    size = BY_NAME["matmul"].size
    assert size(facts.matrix(2, 3), facts.matrix(3, 4)) == (2, 4)
    assert size(facts.matrix(2, None), facts.matrix(None, None)) == (2, None)
    with pytest.raises(ShapeError, match="2x3 and 2x2"):
        size(facts.matrix(2, 3), facts.matrix(2, 2))
    with pytest.raises(ShapeError, match="2x3 and 3x4"):
        BY_NAME["tmm"].size(facts.matrix(2, 3), facts.matrix(3, 4))
    assert BY_NAME["tsmm_left"].size(facts.matrix(9, 2)) == (2, 2)
    assert BY_NAME["tsmm_right"].size(facts.matrix(9, 2)) == (9, 9)
    assert BY_NAME["mmchain_w"].size(facts.matrix(9, 2), facts.matrix(2, 1), facts.matrix(9, 1)) == (2, 1)


@pytest.mark.parametrize("name", ["matmul", "tmm", "tsmm_left", "tsmm_right"])
@pytest.mark.parametrize("share", [0.0, 0.1, 1.0])
def test_bounds_on_non_zeros_hold(name: str, share: float) -> None:
    op = BY_NAME[name]
    for n, k, m in SHAPES:
        a = cells(*((k, n) if name == "tmm" else (n, k)), 1, share)
        operands = (a, cells(k, m, 2, share)) if len(op.parameters) == 2 else (a,)
        known = [facts.matrix(*x.shape, nnz=np.count_nonzero(x)) for x in operands]
        result = getattr(kernels, name)(*operands)
        assert np.count_nonzero(result) <= op.nnz(*known) <= result.size
        assert op.nnz(*[facts.matrix()] * len(operands)) is None
        assert op.flops(*[facts.matrix()] * len(operands)) is None


def test_work() -> None:
    assert BY_NAME["matmul"].flops(facts.matrix(2, 3), facts.matrix(3, 4)) == 2 * 2 * 3 * 4
    assert BY_NAME["matmul"].flops(facts.matrix(20, 30, nnz=5), facts.matrix(30, 4)) == 2 * 5 * 4
    assert BY_NAME["matmul"].flops(facts.matrix(20, 30), facts.matrix(30, 4, nnz=3)) == 2 * 3 * 20
    assert BY_NAME["tsmm_left"].flops(facts.matrix(100, 5)) == 100 * 5 * 5
    assert BY_NAME["mmchain"].flops(facts.matrix(100, 5), facts.matrix(5, 1)) == 4 * 500
