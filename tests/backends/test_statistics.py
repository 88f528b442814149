"""Statistics of columns and groups: plain Python references, and values that SystemDS 3.4 prints for the same columns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_array

from dmlite.backends.local import statistics as k
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import Fact, constant, matrix
from dmlite.hop.ops import BY_NAME, candidates
from dmlite.hop.ops.row import ShapeError
from tests.support.always import always_compiled


@pytest.fixture(autouse=True, params=["numpy", "compiled"])
def both_kinds(request, monkeypatch):
    """Every test with plain kernels and with compiled loops."""
    if request.param == "compiled":
        always_compiled(monkeypatch)


RNG = np.random.default_rng(5)


def column(*values):
    return np.array(values, dtype=float).reshape(-1, 1)


EVEN = column(4, 1, 3, 2, 10, 7)
ODD = column(3, 1, 2, 2, 5)
WEIGHTS = column(1, 2, 1, 4, 1)
TENTHS = [i / 10 for i in range(11)]


def repeated(x, w):
    return np.repeat(x.ravel(), w.ravel().astype(int)).reshape(-1, 1)


def plain_quantile(x, p, average):
    ordered = sorted(x.ravel())
    n = len(ordered)
    position = math.ceil(p * n)
    value = ordered[max(position, 1) - 1]
    return (value + ordered[position]) / 2 if average and n % 2 == 0 and 0 < position < n else value


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


class TestQuantiles:
    def test_one_probability(self):
        assert [k.quantile(EVEN, p) for p in TENTHS] == [1, 1.5, 2.5, 2.5, 3.5, 3.5, 5.5, 8.5, 8.5, 10, 10]
        assert [k.quantile(ODD, p) for p in TENTHS] == [1, 1, 1, 2, 2, 2, 2, 3, 3, 5, 5]
        assert [k.quantile_w(ODD, WEIGHTS, p) for p in TENTHS] == [1, 1, 1, 2, 2, 2, 2, 2, 3, 5, 5]

    def test_several_probabilities(self):
        p = column(*TENTHS)
        assert k.quantiles(EVEN, p).ravel().tolist() == [1, 1, 2, 2, 3, 3, 4, 7, 7, 10, 10]
        assert k.quantiles(ODD, p).ravel().tolist() == [1, 1, 1, 2, 2, 2, 2, 3, 3, 5, 5]
        assert k.quantiles_w(ODD, WEIGHTS, p).ravel().tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 3, 5, 5]
        assert k.quantiles(EVEN, p.T).shape == (1, 11)
        assert k.quantiles(EVEN, csr_array(p.T)).shape == (1, 11)

    def test_random_columns(self):
        for n in (1, 2, 3, 7, 8, 50, 101):
            x, w = RNG.integers(0, 20, (n, 1)).astype(float), RNG.integers(0, 4, (n, 1)).astype(float)
            w[0] = 1
            for p in RNG.random(20):
                assert k.quantile(x, p) == plain_quantile(x, p, True)
                assert k.quantile_w(x, w, p) == plain_quantile(repeated(x, w), p, True)
                assert k.quantiles(x, np.array([[p]]))[0, 0] == plain_quantile(x, p, False)
                assert k.quantiles_w(x, w, np.array([[p]]))[0, 0] == plain_quantile(repeated(x, w), p, False)

    def test_median(self):
        assert (k.median(EVEN, None), k.median(ODD, None), k.median(ODD, WEIGHTS), k.median(column(7), None)) == (3.5, 2, 2, 7)
        for n in (1, 4, 9):
            x, w = RNG.normal(size=(n, 1)), RNG.integers(1, 4, (n, 1)).astype(float)
            assert k.median(x, None) == np.median(x)
            assert k.median(x, w) == np.median(repeated(x, w))
        assert k.median(csr_array(column(0, 0, 5)), None) == 0

    def test_nan_sorts_last(self):
        x = column(1, np.nan, 3, 2)
        assert k.quantile(x, 0.25) == 1.5
        assert math.isnan(k.quantile(x, 1))

    def test_inter_quartile_mean(self):
        expected = {2: 1.5, 3: 2, 4: 2.5, 7: 4, 8: 4.5, 9: 5}
        for n, value in expected.items():
            assert k.interQuartileMean(np.arange(1.0, n + 1).reshape(-1, 1), None) == value
        assert k.interQuartileMean(EVEN, None) == pytest.approx(3.8333333333333335)
        assert k.interQuartileMean(ODD, None) == pytest.approx(2.3)
        assert k.interQuartileMean(ODD, WEIGHTS) == 2
        assert k.interQuartileMean(column(7), None) == 7
        assert k.interQuartileMean(column(-np.inf, 1, 2, 3, 4, 5, 6, np.inf), None) == 3.5
        x, w = RNG.normal(size=(9, 1)), RNG.integers(1, 5, (9, 1)).astype(float)
        assert k.interQuartileMean(x, w) == pytest.approx(k.interQuartileMean(repeated(x, w), None))

    def test_inter_quantile(self):
        x = np.arange(12.0, 0, -1).reshape(-1, 1)
        assert k.interQuantile(x, 0.25).ravel().tolist() == [4, 5, 6, 7, 8, 9]
        assert k.interQuantile(x, 0).ravel().tolist() == list(range(1, 13))
        assert k.interQuantile(x, 0.5).shape == (0, 1)
        w = np.full((12, 1), 2.0)
        assert k.interQuantile_w(x, w, 0.25).ravel().tolist() == np.repeat([4.0, 5, 6, 7, 8, 9], 2).tolist()

    def test_what_is_refused(self):
        for p in (-0.1, 1.5, math.nan):
            with pytest.raises(DMLRuntimeError, match=r"probability.*" + str(p)):
                k.quantile(ODD, p)
            with pytest.raises(DMLRuntimeError, match="probability"):
                k.quantiles(ODD, column(0.5, p))
        for weights in (column(1, 2, 1, 0.5, 1), column(1, -2, 1, 1, 1), column(1, np.nan, 1, 1, 1)):
            with pytest.raises(DMLRuntimeError, match="whole numbers"):
                k.median(ODD, weights)
        with pytest.raises(DMLRuntimeError, match="no values"):
            k.median(np.zeros((0, 1)), None)
        with pytest.raises(DMLRuntimeError, match="no values"):
            k.median(ODD, np.zeros((5, 1)))
        with pytest.raises(DMLRuntimeError, match="1x5"):
            k.median(ODD.T, None)
        with pytest.raises(DMLRuntimeError, match="5x1 and 6x1"):
            k.quantile_w(ODD, EVEN, 0.5)


class TestMoments:
    def test_values(self):
        assert [k.moment(ODD, n) for n in (0, 2, 3, 4.0)] == pytest.approx([2.6, 1.84, 1.872, 8.0032])
        weights = column(1, 2, 1, 3, 1)
        assert [k.moment_w(ODD, weights, n) for n in (0, 2, 3, 4)] == pytest.approx([2.25, 1.4375, 2.15625, 7.80078125])
        fractions = column(0.5, 1.5, 1, 2.25, 0.5)
        assert [k.moment_w(ODD, fractions, n) for n in (0, 2, 3, 4)] == pytest.approx(
            [2.0869565217391304, 1.1228733459357279, 1.880332045697378, 6.686275420685317]
        )
        assert k.moment(column(7), 2) == 0

    def test_against_scipy(self):
        x = RNG.normal(size=(200, 1)) * (RNG.random((200, 1)) < 0.3)
        for n in (2, 3, 4):
            assert k.moment(csr_array(x), n) == pytest.approx(stats.moment(x.ravel(), n))

    def test_covariance(self):
        x, y, w = ODD, column(1, 2, 3, 4, 5), WEIGHTS
        assert k.cov(x, y, None) == pytest.approx(1.25)
        assert k.cov(ODD, column(1, 2, 1, 3, 1), w) == pytest.approx(-0.5277777777777778)
        assert k.cov(x, y, w) == pytest.approx(np.cov(x.ravel(), y.ravel(), fweights=w.ravel().astype(int))[0, 1])
        assert k.cov(column(7), column(7), None) == 0

    def test_what_is_refused(self):
        for order in (1, 5, -2, 2.5, math.nan):
            with pytest.raises(DMLRuntimeError, match=f"not {order}"):
                k.moment(ODD, order)
        with pytest.raises(DMLRuntimeError, match="5x1 and 6x1"):
            k.cov(ODD, EVEN, None)
        with pytest.raises(DMLRuntimeError, match="1x5"):
            k.cov(ODD.T, ODD.T, None)

    def test_nothing_gives_nan(self):
        empty = np.zeros((0, 1))
        assert math.isnan(k.moment(empty, 2))
        assert math.isnan(k.cov(empty, empty, None))


class TestGroups:
    TARGET, GROUPS, W = column(3, 1, 2, 2, 5, 7), column(1, 2, 2.7, 2, 4, 4), column(1, 2, 1, 3, 1, 2)

    @pytest.mark.parametrize(
        ("fn", "order", "expected"),
        [
            ("sum", None, [3, 5, 0, 12]), ("count", None, [1, 3, 0, 2]), ("mean", None, [3, 5 / 3, 0, 6]), ("variance", None, [0, 1 / 3, 0, 2]),
            ("min", None, [3, 1, 0, 5]), ("max", None, [3, 2, 0, 7]), ("centralmoment", 2, [0, 2 / 9, np.nan, 1]), ("centralmoment", "3", [0, -2 / 27, np.nan, 0]),
            ("centralmoment", 4.0, [0, 2 / 27, np.nan, 1]),
        ],
    )  # fmt: skip
    def test_one_column(self, fn, order, expected):
        for target in (self.TARGET, csr_array(self.TARGET)):
            result = k.aggregate(target, self.GROUPS, fn, None, None, order)
            np.testing.assert_allclose(result, column(*expected), atol=1e-15)
        wider = k.aggregate(self.TARGET, self.GROUPS, fn, None, 5, order)
        np.testing.assert_allclose(wider, column(*expected, np.nan if fn == "centralmoment" else 0), atol=1e-15)
        fewer = k.aggregate(self.TARGET, self.GROUPS, fn, None, 2, order)
        np.testing.assert_allclose(fewer, column(*expected[:2]), atol=1e-15)

    @pytest.mark.parametrize(
        ("fn", "order", "expected"),
        [
            ("sum", None, [3, 10, 0, 19]), ("count", None, [1, 6, 0, 3]), ("mean", None, [3, 5 / 3, 0, 19 / 3]), ("variance", None, [0, 4 / 15, 0, 4 / 3]),
            ("centralmoment", 2, [0, 2 / 9, np.nan, 8 / 9]), ("centralmoment", 3, [0, -2 / 27, np.nan, -16 / 27]), ("max", None, [3, 2, 0, 7]),
        ],
    )  # fmt: skip
    def test_weights(self, fn, order, expected):
        result = k.aggregate(self.TARGET, self.GROUPS, fn, self.W, None, order)
        np.testing.assert_allclose(result, column(*expected), atol=1e-15)

    @pytest.mark.parametrize("fn", ["sum", "count", "mean", "variance", "min", "max", "centralmoment"])
    @pytest.mark.parametrize("store", [np.array, csr_array])
    def test_columns_are_independent(self, fn, store):
        target = RNG.normal(size=(60, 4)) * (RNG.random((60, 4)) < 0.4)
        groups = RNG.integers(1, 9, (60, 1)).astype(float)
        result = k.aggregate(store(target), groups, fn, None, 7, 3)
        assert isinstance(result, np.ndarray)
        one_by_one = [k.aggregate(target[:, [j]], groups, fn, None, 7, 3) for j in range(4)]
        np.testing.assert_allclose(result, np.hstack(one_by_one), rtol=1e-12, atol=1e-15)

    def test_no_rows(self):
        assert k.aggregate(np.zeros((0, 1)), np.zeros((0, 1)), "sum", None, None, None).shape == (0, 1)
        result = k.aggregate(np.zeros((0, 2)), np.zeros((0, 1)), "mean", None, 3, None)
        np.testing.assert_array_equal(result, np.zeros((3, 2)))

    def test_what_is_refused(self):
        for groups in (column(1, 2, 0, 1, 1, 1), column(1, 2, -3, 1, 1, 1), column(1, 2, np.nan, 1, 1, 1)):
            with pytest.raises(DMLRuntimeError, match="start from 1"):
                k.aggregate(self.TARGET, groups, "sum", None, None, None)
        with pytest.raises(DMLRuntimeError, match="did you mean 'mean'"):
            k.aggregate(self.TARGET, self.GROUPS, "means", None, None, None)
        with pytest.raises(DMLRuntimeError, match="5x1 groups for a target of 6x1"):
            k.aggregate(self.TARGET, ODD, "sum", None, None, None)
        with pytest.raises(DMLRuntimeError, match="needs ngroups"):
            k.aggregate(np.ones((6, 2)), self.GROUPS, "sum", None, None, None)
        with pytest.raises(DMLRuntimeError, match="order 2 or 3 or 4"):
            k.aggregate(self.TARGET, self.GROUPS, "centralmoment", None, None, None)
        with pytest.raises(DMLRuntimeError, match="1x6"):
            k.aggregate(column(1), self.GROUPS.T, "sum", None, None, None)
        with pytest.raises(DMLRuntimeError, match="memory"):
            k.aggregate(self.TARGET, self.GROUPS, "sum", None, 1e15, None)


class TestRows:
    def test_spellings(self):
        assert [row.name for row in candidates("quantile")] == ["quantile", "quantile_w", "quantiles", "quantiles_w"]
        assert [row.name for row in candidates("centralMoment")] == ["moment", "moment_w"]
        assert [row.name for row in candidates("groupedAggregate")] == ["aggregate"]

    def test_sizes(self):
        x, p = matrix(9, 1), matrix(3, 1)
        assert BY_NAME["quantiles"].size(x, p) == (3, 1)
        assert BY_NAME["quantiles_w"].size(x, x, p) == (3, 1)
        assert BY_NAME["interQuantile"].size(x, constant(0.1)) == (None, 1)
        assert BY_NAME["aggregate"].size(matrix(9, 4), x, constant("sum"), Fact(), constant(5), Fact()) == (5, 4)
        assert BY_NAME["aggregate"].size(x, x, constant("sum"), Fact(), Fact(), Fact()) == (None, 1)

    @pytest.mark.parametrize(("name", "count"), [("median", 1), ("moment", 1), ("cov", 2), ("quantile_w", 2)])
    def test_shapes_known_early(self, name, count):
        rest = [Fact()] * (len(BY_NAME[name].parameters) - count)
        BY_NAME[name].size(*[matrix(9, 1)] * count, *rest)
        BY_NAME[name].size(*[matrix(None, 1)] * count, *rest)
        with pytest.raises(ShapeError, match="9x2"):
            BY_NAME[name].size(*[matrix(9, 2)] * count, *rest)
        if count == 2:
            with pytest.raises(ShapeError, match="9x1 and 8x1"):
                BY_NAME[name].size(matrix(9, 1), matrix(8, 1), *rest)
