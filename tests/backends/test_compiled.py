"""Compiled loops over CSR matrices against SciPy, and their absence."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from dmlite import settings
from dmlite.backends.local import compiled, matmul


@pytest.fixture
def always(monkeypatch):
    """Compiled functions for the smallest matrix, in ranges of rows on several threads."""
    assert compiled.wait()
    monkeypatch.setattr(compiled, "WORTH", 0)
    monkeypatch.setattr(compiled, "_THREADED", 0)
    monkeypatch.setattr(compiled, "cores", lambda: 3)


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
    x, b = sparse(4000, 30, 0.2), np.random.default_rng(0).normal(size=(4000, 3))
    found = []
    for count in (1, 2, 5):
        monkeypatch.setattr(compiled, "cores", lambda count=count: count)
        found.append(matmul.tmm(x, b))
    assert all(np.array_equal(f, found[0]) for f in found)


def test_little_work_and_wide_indices_are_left_to_scipy(monkeypatch):
    x = sparse(20, 10)
    assert compiled.loops(x, compiled.WORTH - 1) is None
    monkeypatch.setattr(compiled, "WORTH", 0)
    x.indices = x.indices.astype(np.int64)
    assert compiled.loops(x, 10) is None


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
