"""Compiled loops over CSR matrices against SciPy, and their absence."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from dmlite import settings
from dmlite.backends.local import compiled, matmul, sampled, threads, transposes, weighted
from dmlite.backends.local.storage import SPARSE_LIMIT, dense, is_sparse
from tests.support.always import always_compiled


@pytest.fixture
def always(monkeypatch):
    """Compiled functions for the smallest matrix, in ranges of rows on several threads."""
    always_compiled(monkeypatch)


def sparse(rows: int, cols: int, density: float = 0.1) -> csr_array:
    x = csr_array(random_array((rows, cols), density=density, rng=np.random.default_rng(rows + cols)))
    x.indices, x.indptr = x.indices.astype(np.int32), x.indptr.astype(np.int32)
    x.sort_indices()
    return x


@pytest.mark.parametrize(("rows", "cols", "k"), [(50, 30, 4), (1, 7, 3), (7, 1, 1), (300, 2, 5), (33, 40, 1)])
def test_products(always, rows, cols, k):
    x = sparse(rows, cols, 0.3)
    rng = np.random.default_rng(1)
    right, left = rng.normal(size=(cols, k)), rng.normal(size=(rows, k))
    dense = x.toarray()
    np.testing.assert_allclose(matmul.matmul(x, right), dense @ right, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(matmul.tmm(x, left), dense.T @ left, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(matmul.tmm(left, x), left.T @ dense, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(matmul.matmul(np.asfortranarray(left.T), x), left.T @ dense, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", [*range(2, 36), 100])
def test_products_with_few_columns(always, k):
    """Rows of results that are whole strips, and rows that are not; a zero that is stored meets no NaN."""
    x, b = sparse(70, 30, 0.3), np.random.default_rng(k).normal(size=(30, k))
    # up to 30 terms about 1 in another order and with fused additions: some units of the last place, also where they cancel
    np.testing.assert_allclose(matmul.matmul(x, b), x.toarray() @ b, rtol=1e-12, atol=1e-12)
    x.data[3], b[x.indices[3], k - 1] = 0.0, np.nan
    expected = np.isin(np.arange(70), sampled.row_numbers(x)[(x.indices == x.indices[3]) & (x.data != 0)])
    assert np.array_equal(np.isnan(matmul.matmul(x, b)), expected[:, None] & (np.arange(k) == k - 1))


def test_empty_rows_and_nothing_stored(always):
    x = csr_array((9, 4))
    assert np.array_equal(matmul.matmul(x, np.ones((4, 2))), np.zeros((9, 2)))
    assert np.array_equal(matmul.tmm(x, np.ones((9, 2))), np.zeros((4, 2)))


def test_nan_and_infinity_are_kept(always):
    x = sparse(20, 10, 0.5)
    b = np.ones((10, 3))
    b[2, 1], b[5, 0] = np.nan, np.inf
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(np.isnan(matmul.matmul(x, b)), np.isnan(x @ b))
        np.testing.assert_array_equal(np.isinf(matmul.matmul(x, b)), np.isinf(x @ b))


def test_sums_do_not_depend_on_the_number_of_cores(always, monkeypatch):
    rng = np.random.default_rng(0)
    x, b, tall = sparse(4000, 30, 0.2), rng.normal(size=(4000, 3)), rng.normal(size=(4000, 20))
    v = rng.normal(size=(30, 2))
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(threads, "cores", lambda count=count: count)
        monkeypatch.setattr(transposes, "SCATTERED", 1 << 20)
        results = [matmul.tmm(x, b), matmul.tsmm_left(x), matmul.mmchain_w(x, v, b[:, :1]), matmul.tmm(tall, b), matmul.tsmm_left(tall)]
        results += [matmul.mmchain(tall, tall[:20, :2]), weighted.wsloss_nz(x, b, np.ones((30, 3)))]
        found.append(results)
    assert all(np.array_equal(one, other) for results in found[1:] for one, other in zip(results, found[0], strict=True))


@pytest.mark.parametrize(
    ("n", "k", "m", "density"), [(40, 30, 50, 0.1), (40, 200, 3000, 0.01), (30, 5, 4, 0.8), (1, 9, 1, 0.5), (9, 1, 8, 0.5)]
)
def test_products_of_sparse_matrices(always, n, k, m, density):
    a, b = sparse(n, k, density), sparse(k, m, density)
    for found, expected in (
        (matmul.matmul(a, b), a.toarray() @ b.toarray()),
        (matmul.tmm(sparse(k, n, density), b), sparse(k, n, density).toarray().T @ b.toarray()),
        (matmul.tsmm_left(a), a.toarray().T @ a.toarray()),
        (matmul.tsmm_right(a), a.toarray() @ a.toarray().T),
    ):
        np.testing.assert_allclose(dense(found), expected, rtol=1e-12, atol=1e-12)  # terms are added in another order
        share = np.count_nonzero(expected) / expected.size
        assert is_sparse(found) == (share <= SPARSE_LIMIT and expected.shape[1] > 1)
        if is_sparse(found):
            assert found.indices.dtype == np.int32
            assert found.has_canonical_format and (found.data != 0).all()


@pytest.mark.parametrize("columns", [1, 2, 3, 9])
@pytest.mark.parametrize(("rows", "cols"), [(700, 9), (129, 2), (5, 1), (1, 1), (2000, 40)])
def test_products_of_tall_matrices(always, rows, cols, columns):
    rng = np.random.default_rng(rows)
    x, v, y = rng.normal(size=(rows, cols)), rng.normal(size=(cols, columns)), rng.normal(size=(rows, columns))
    x[0, 0] = 0.0
    # Up to 2,000 terms are added in another order, and may cancel; in a chain those errors meet as many terms again.
    for combined, kernel in ((x @ v * y[:, :1], matmul.mmchain_w), (x @ v - y[:, :1], matmul.mmchain_y)):
        np.testing.assert_allclose(kernel(x, v, y[:, :1]), np.einsum("ij,ik->jk", x, combined), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(matmul.matmul(x, v), np.einsum("ij,jk->ik", x, v), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(matmul.tmm(x, y), np.einsum("ij,ik->jk", x, y), rtol=1e-10, atol=1e-10)
    for operands, expected in (((x, v), x @ v), ((x.T, y), x.T @ y)):
        out = np.empty(expected.shape)
        assert matmul.large(*operands, out) is out
        np.testing.assert_allclose(out, expected, rtol=1e-10, atol=1e-10)
    gram = matmul.tsmm_left(x)
    np.testing.assert_allclose(gram, np.einsum("ij,ik->jk", x, x), rtol=1e-10, atol=1e-10)
    assert (gram == gram.T).all()


def test_a_product_may_take_the_place_of_a_factor(always):
    x, v = np.random.default_rng(0).normal(size=(500, 3)), np.random.default_rng(1).normal(size=(3, 3))
    expected = x @ v
    np.testing.assert_allclose(matmul.large(x, v, x), expected, rtol=1e-12)


def test_a_missing_number_stays_where_it_is(always):
    x, v = np.ones((100, 4)), np.ones((4, 2))
    x[3, 1], v[2, 1] = np.nan, np.inf
    with np.errstate(all="ignore"):
        for found, expected in ((matmul.matmul(x, v), x @ v), (matmul.mmchain(x, v), x.T @ (x @ v)), (matmul.tsmm_left(x), x.T @ x)):
            np.testing.assert_array_equal(found, expected)
        s = sparse(20, 10, 0.5)
        s.data[4], w = np.nan, np.ones((10, 2))
        w[3, 0] = np.inf
        np.testing.assert_array_equal(np.isnan(matmul.mmchain(s, w)), np.isnan(s.T @ (s @ w)))
        np.testing.assert_array_equal(np.isnan(matmul.tsmm_left(s)), np.isnan((s.T @ s).toarray()))


class TestTransposes:
    def test_is_kept_from_the_second_time_on_until_its_matrix_is_gone(self, always):
        x, y = sparse(30, 20), sparse(20, 30)
        assert transposes.kept(x, 1) is None
        turned = transposes.kept(x, 1)
        np.testing.assert_array_equal(turned.toarray(), x.toarray().T)
        assert transposes.kept(x, 1) is turned
        assert transposes.kept(y, 1) is None
        place = id(x)
        del x
        assert place not in transposes._kept

    def test_is_not_made_where_it_would_not_help(self, monkeypatch):
        x = sparse(30, 20)
        assert [transposes.kept(x, 1) for _ in range(3)] == [None] * 3
        assert id(x) not in transposes._kept
        monkeypatch.setattr(transposes, "SCATTERED", 0)
        tall = sparse(300, 20)
        assert [transposes.kept(tall, 1) for _ in range(3)] == [None] * 3

    def test_memory_is_bounded(self, always, monkeypatch):
        x, y = sparse(30, 20), sparse(20, 30)
        room = transposes._bytes(x) * transposes._SHARE
        monkeypatch.setattr(transposes, "total_bytes", lambda: room)
        for matrix in (x, y):
            transposes.kept(matrix, 1)
            assert transposes.kept(matrix, 1) is not None
        assert transposes._kept[id(y)][1] is not None and id(x) not in transposes._kept
        monkeypatch.setattr(transposes, "total_bytes", lambda: room // 2)
        z = sparse(30, 20)
        assert [transposes.kept(z, 1) for _ in range(3)] == [None] * 3

    def test_the_second_time_gives_the_same(self, always):
        w, x = sparse(40, 30, 0.2), np.random.default_rng(0).normal(size=(40, 30))
        u, v = np.random.default_rng(1).uniform(1, 2, size=(40, 3)), np.random.default_rng(2).uniform(1, 2, size=(30, 3))
        expected = u.T @ ((w.toarray() != 0) * w.toarray() * (u @ v.T - x))
        for beside in (x, csr_array(x)):
            for _ in range(3):
                np.testing.assert_allclose(weighted.wdivmm_minus_weighted_left(w, u, v, beside), expected, rtol=1e-10, atol=1e-10)


def test_a_thread_of_the_pool_may_ask_for_the_pool():
    """Every thread of it asks at once, so that none is free."""
    bounds = list(range(9))
    found = threads.in_ranges(bounds, lambda low, _: sum(threads.in_ranges(bounds, lambda i, j: i + j + low)))
    assert found == [64 + 8 * low for low in range(8)]


def test_little_work_and_wide_indices_are_left_to_scipy(monkeypatch):
    x = sparse(20, 10)
    assert compiled.loops(x, compiled.WORTH - 1) is None
    monkeypatch.setattr(compiled, "WORTH", 0)
    x.indices = x.indices.astype(np.int64)
    assert compiled.loops(x, 10) is None


def test_wide_indices_give_the_same(always):
    x, b = sparse(20, 10, 0.4), np.random.default_rng(3).normal(size=(10, 2))
    cells, y = x.toarray(), sparse(10, 20, 0.4)
    x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    for _ in range(2):
        np.testing.assert_allclose(matmul.matmul(x, b), cells @ b)
        np.testing.assert_allclose(matmul.tmm(x, cells @ b), cells.T @ (cells @ b))
        np.testing.assert_allclose(matmul.mmchain(x, b), cells.T @ (cells @ b))
        np.testing.assert_allclose(dense(matmul.matmul(x, y)), cells @ y.toarray(), atol=1e-14)
        np.testing.assert_allclose(dense(matmul.matmul(y, x)), y.toarray() @ cells, atol=1e-14)
        np.testing.assert_allclose(dense(matmul.tsmm_left(x)), cells.T @ cells)


def test_can_be_switched_off(always):
    with settings(compile=False):
        assert compiled.loops(sparse(20, 10), 10**9) is None


def test_nothing_waits_for_the_compiler(tmp_path):
    """The first product is computed without it, and the process ends as soon as the program does."""
    code = (
        "import numpy as np, sys\n"
        "from dmlite.backends.local import compiled\n"
        "compiled.START = 0\n"
        "from scipy.sparse import random_array\n"
        "from dmlite import dml, MLContext\n"
        "x = random_array((4000, 1000), density=0.1, rng=np.random.default_rng(0)).tocsr()\n"
        "r = MLContext().execute(dml('y = X %*% v').input(X=x, v=np.ones((1000, 10))).output('y'))\n"
        "assert np.allclose(r.get('y'), x @ np.ones((1000, 10)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"DMLITE_CACHE_DIR": str(tmp_path), "PATH": ""}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_sparse_programs_below_the_limit_do_not_import_numba():
    code = (
        "import sys\nfrom dmlite import dml, MLContext\n"
        "MLContext().execute(dml('X = rand(rows=100, cols=100, sparsity=0.1, seed=1)\\ny = X %*% matrix(1, 100, 3)'))\n"
        "assert 'numba' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_large_product_now_and_then_does_not_start_it(monkeypatch):
    background = compiled._Background()
    started = []
    monkeypatch.setattr(background, "start", lambda: started.append(1))
    monkeypatch.setattr(compiled, "_background", background)
    x = sparse(20, 10)
    for _ in range(3):
        assert compiled.loops(x, compiled.START // 4) is None
    assert not started
    compiled.loops(x, compiled.START // 4)
    assert started


def test_a_failure_of_the_compiler_is_told_once(monkeypatch):
    background = compiled._Background()
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.warns(UserWarning, match="compiled kernels are not available"):
        background._load()
    assert background.module is None
