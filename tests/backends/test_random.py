"""Random matrices: the same for a seed block by block, distributed as they should be, and refused when senseless."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from scipy import stats

from dmlite.backends.local import random as k
from dmlite.backends.local.storage import is_sparse
from dmlite.errors import DMLRuntimeError

SHAPES = [(0, 3), (3, 0), (1, 1), (30, 30), (1, 5000), (5000, 1), (2100, 1100), (3, 400_000), (700, 1500)]


def plain(x):
    return x if isinstance(x, np.ndarray) else x.toarray()


def rand(rows=1, cols=1, min=0, max=1, sparsity=1, seed=-1, pdf="uniform", rate=1):
    return k.rand(rows, cols, min, max, sparsity, seed, pdf, rate)


class TestBlocks:
    @pytest.mark.parametrize("rows, cols", SHAPES)
    @pytest.mark.parametrize("sparsity", [1, 0.6, 0.05])
    def test_blocks_make_up_the_whole(self, rows, cols, sparsity):
        args = (rows, cols, -1, 3, sparsity, 42, "uniform", 1)
        whole, (height, width) = plain(k.rand(*args)), k.block_shape(rows, cols)
        assert whole.shape == (rows, cols)
        if rows and cols:
            places = [[k.rand_block(i, j, *args) for j in range(-(-cols // width))] for i in range(-(-rows // height))]
            assert np.array_equal(np.block([[plain(b) for b in band] for band in places]), whole)

    @pytest.mark.parametrize("pdf", ["uniform", "normal", "poisson"])
    @pytest.mark.parametrize("sparsity", [1, 0.3])
    def test_other_distributions(self, pdf, sparsity):
        args = (1500, 1200, 0, 1, sparsity, 5, pdf, 2)
        height, width = k.block_shape(1500, 1200)
        whole = plain(k.rand(*args))
        assert np.array_equal(plain(k.rand_block(1, 1, *args)), whole[height:, width:])

    def test_blocks_are_large_whatever_the_shape(self):
        assert k.block_shape(10_000, 10_000) == (1024, 1024)
        assert k.block_shape(10**7, 1) == (1024**2, 1) and k.block_shape(1, 10**7) == (1, 1024**2)
        assert k.block_shape(5, 7) == (5, 7) and k.block_shape(0, 0) == (0, 0)

    def test_blocks_differ(self):
        x = rand(2048, 2048, seed=1)
        blocks = [x[i : i + 1024, j : j + 1024] for i in (0, 1024) for j in (0, 1024)]
        assert all(abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.01 for a in blocks for b in blocks if a is not b)

    def test_threads_share_nothing(self):
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda seed: rand(300, 300, seed=seed), [1, 2] * 8))
        assert all(np.array_equal(x, rand(300, 300, seed=1 + i % 2)) for i, x in enumerate(results))


class TestSeeds:
    def test_same_seed_same_numbers(self):
        assert np.array_equal(rand(20, 20, seed=7), rand(20, 20, seed=7.0))
        assert not np.array_equal(rand(20, 20, seed=7), rand(20, 20, seed=8))

    def test_without_seed_fresh(self):
        assert not np.array_equal(rand(5, 5), rand(5, 5))

    def test_global_seed(self):
        try:
            k.set_global_seed(3)
            first = [rand(4, 4), rand(4, 4), k.sample(100, 5, False, -1)]
            k.set_global_seed(3)
            again = [rand(4, 4), rand(4, 4), k.sample(100, 5, False, -1)]
        finally:
            k.set_global_seed(None)
        assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
        assert not np.array_equal(first[0], first[1])

    def test_any_whole_number_is_a_seed(self):
        assert len({rand(seed=s)[0, 0] for s in (-2, 0, 1, 2**40, 2**63 - 1, -(2**63))}) == 6


class TestDistributions:
    @pytest.mark.parametrize("shape", [(400, 500), (200_000, 1), (300, 2000)])
    def test_uniform(self, shape):
        x = rand(*shape, min=-2, max=3, seed=1)
        assert x.min() >= -2 and x.max() <= 3
        assert stats.kstest(x.ravel(), stats.uniform(-2, 5).cdf).pvalue > 0.001

    def test_normal_ignores_bounds(self):
        x = rand(400, 500, min=5, max=6, seed=2, pdf="normal")
        assert stats.kstest(x.ravel(), "norm").pvalue > 0.001

    def test_poisson(self):
        x = rand(400, 500, seed=3, pdf="poisson", rate=2.5)
        assert (x == np.floor(x)).all() and abs(x.mean() - 2.5) < 0.02 and abs(x.var() - 2.5) < 0.05

    @pytest.mark.parametrize("sparsity", [0.001, 0.05, 0.39, 0.4, 0.9])
    def test_sparsity(self, sparsity):
        x = rand(900, 1300, min=1, max=2, sparsity=sparsity, seed=4)
        assert is_sparse(x) == (sparsity < 0.4)
        dense = plain(x)
        share, spread = np.count_nonzero(dense) / dense.size, (sparsity * (1 - sparsity) / dense.size) ** 0.5
        assert abs(share - sparsity) < 4 * spread
        values = dense[dense != 0]
        assert stats.kstest(values, stats.uniform(1, 1).cdf).pvalue > 0.001
        assert stats.chisquare(np.count_nonzero(dense[:900].reshape(9, -1), axis=1)).pvalue > 0.001

    def test_sparse_layout(self):
        x = rand(2000, 2500, sparsity=0.01, seed=5, pdf="poisson", rate=0.5)
        assert x.has_canonical_format and np.all(x.data != 0) and x.indices.dtype == np.int32

    def test_constants_and_nothing(self):
        assert (rand(3, 4, min=2.5, max=2.5) == 2.5).all()
        assert np.count_nonzero(plain(rand(300, 400, sparsity=0))) == 0
        assert np.count_nonzero(plain(rand(300, 400, sparsity=1e-300, seed=1))) == 0
        assert rand(100_000, 100_000, sparsity=1e-6, seed=2).nnz == pytest.approx(10_000, rel=0.05)


@pytest.mark.parametrize(
    "args, message",
    [
        ({"rows": -1}, "rows of rand"),
        ({"cols": float("nan")}, "cols of rand"),
        ({"min": 2, "max": 1}, "min=2.0 and max=1.0"),
        ({"max": float("inf")}, "max=Infinity"),
        ({"min": float("nan")}, "min=NaN"),
        ({"sparsity": 1.5}, "sparsity of rand is 1.5"),
        ({"sparsity": -0.1}, "sparsity"),
        ({"pdf": "gauss"}, 'pdf of rand is "gauss"'),
        ({"rate": -1}, "lambda"),
        ({"seed": float("nan")}, "seed is NaN"),
        ({"seed": "x"}, 'seed is "x"'),
        ({"rows": 10**8, "cols": 10**8}, "memory"),
    ],
)
def test_refused(args, message):
    with pytest.raises(DMLRuntimeError, match=message):
        rand(**args)


class TestSample:
    def test_without_replacement(self):
        for n, size in ((5, 5), (100_000, 100_000), (10**9, 50), (100_000, 3)):
            x = k.sample(n, size, False, 1)
            assert x.shape == (size, 1) and len(np.unique(x)) == size and x.min() >= 1 and x.max() <= n
            assert (x == np.floor(x)).all()

    def test_with_replacement(self):
        x = k.sample(3, 3000, True, 2)
        assert set(x.ravel()) == {1.0, 2.0, 3.0}
        assert stats.chisquare(np.bincount(x.ravel().astype(int))[1:]).pvalue > 0.001

    def test_random_order(self):
        firsts = [k.sample(4, 4, False, seed)[0, 0] for seed in range(400)]
        assert stats.chisquare(np.bincount(np.array(firsts, dtype=int))[1:]).pvalue > 0.001

    def test_third_argument_may_be_the_seed(self):
        assert np.array_equal(k.sample(50, 10, 42, -1), k.sample(50, 10, False, 42))
        assert not np.array_equal(k.sample(50, 10, False, -1), k.sample(50, 10, False, -1))

    @pytest.mark.parametrize("n, size", [(3, 4), (0, 1), (0, 0), (-1, 1), (3, -1)])
    def test_refused(self, n, size):
        with pytest.raises(DMLRuntimeError, match="sample"):
            k.sample(n, size, False, 1)
