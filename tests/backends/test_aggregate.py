"""Aggregates against NumPy written plainly, on dense and CSR, empty, 1x1, vectors and NaN."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.backends.local import aggregate as k
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import matrix
from dmlite.hop.ops import BY_NAME, aggregates, candidates
from dmlite.hop.ops.row import ShapeError
from tests.support.always import always_compiled


@pytest.fixture(autouse=True, params=["numpy", "compiled"])
def both_kinds(request, monkeypatch):
    """Every test with plain kernels and with compiled loops."""
    if request.param == "compiled":
        always_compiled(monkeypatch)


RNG = np.random.default_rng(11)


def some(rows, cols, density=1.0):
    return np.where(RNG.random((rows, cols)) < density, RNG.normal(1, 2, (rows, cols)), 0.0)


def with_nan(x):
    x = x.copy()
    x.flat[::7] = np.nan
    return x


def last(x, best):
    """1-based position of the last cell that equals the row's extreme, NaN skipped."""
    out = []
    for row in x:
        ranked = [(best * v, j) for j, v in enumerate(row, 1) if v == v]
        out.append(max(ranked)[1] if ranked else 1)
    return np.array(out, float)


def var(x, axis=None):
    n = x.size if axis is None else x.shape[axis]
    return np.var(x, axis=axis, ddof=1) if n > 1 else np.zeros(np.var(x, axis=axis).shape)[()]


FULL = {
    "sum": np.sum, "prod": np.prod, "mean": np.mean, "var": var, "sd": lambda x: np.sqrt(var(x)), "min_agg": np.min, "max_agg": np.max,
    "sumsq": lambda x: np.sum(x * x), "nnz": lambda x: float(np.count_nonzero(x)),
}  # fmt: skip
AXIS = {
    "Sums": np.sum, "Prods": np.prod, "Means": np.mean, "Vars": var, "Sds": lambda x, axis: np.sqrt(var(x, axis)), "Mins": np.min, "Maxs": np.max,
    "SumsSq": lambda x, axis: np.sum(x * x, axis=axis),
}  # fmt: skip
RUNNING = {"cumsum": np.cumsum, "cumprod": np.cumprod, "cummin": np.minimum.accumulate, "cummax": np.maximum.accumulate}
MATRICES = {
    "dense": some(9, 7), "sparse": some(9, 7, 0.2), "negative": -abs(some(9, 7, 0.5)), "nan": with_nan(some(9, 7)), "sparse nan": with_nan(some(9, 7, 0.3)),
    "1x1": some(1, 1), "1x1 zero": np.zeros((1, 1)), "row": some(1, 8, 0.6), "column": some(8, 1), "zeros": np.zeros((4, 3)), "fortran": np.asfortranarray(some(9, 7)),
    "view": some(18, 14)[1::2, ::-2], "integers": RNG.integers(-2, 3, (30, 4)).astype(float),
    "tall": RNG.choice([0.0, 1, 2, -1, np.nan, np.inf, -np.inf], (300, 5), p=[0.3, 0.2, 0.2, 0.1, 0.1, 0.05, 0.05]),
    "infinite": np.array([[np.inf, 0, 2], [1, 2, 3], [-np.inf, 0, np.nan]]),
}  # fmt: skip
STORAGES = [pytest.param(lambda x: x, id="dense"), pytest.param(csr_array, id="csr")]


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


@pytest.mark.parametrize("store", STORAGES)
@pytest.mark.parametrize("name", FULL)
def test_all_cells(name, store):
    for what, x in MATRICES.items():
        result = getattr(k, name)(store(x))
        assert type(result) is float
        np.testing.assert_allclose(result, FULL[name](x), rtol=1e-12, err_msg=what)


@pytest.mark.parametrize("store", STORAGES)
@pytest.mark.parametrize("name", AXIS)
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_and_columns(name, axis, store):
    for what, x in MATRICES.items():
        operand = store(x)
        result = getattr(k, ("col", "row")[axis] + name)(operand)
        assert isinstance(result, np.ndarray)
        assert result.dtype == np.float64
        expected = AXIS[name](x, axis=axis).reshape((-1, 1) if axis else (1, -1))
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-15, err_msg=what)
        assert result.shape == expected.shape
        assert result is not operand


@pytest.mark.parametrize("store", STORAGES)
def test_positions_of_extremes(store):
    cases = [x for what, x in MATRICES.items() if what != "infinite"]
    cases += [RNG.integers(-2, 2, (200, 5)) * (RNG.random((200, 5)) < 0.6) * 1.0, np.full((3, 4), np.nan), -np.ones((3, 4))]
    for x in cases:
        np.testing.assert_array_equal(k.rowIndexMax(store(x)).ravel(), last(x, 1))
        np.testing.assert_array_equal(k.rowIndexMin(store(x)).ravel(), last(x, -1))
    x = np.array([[np.nan, 1, -1], [3, 3, 1], [2, 2, 2], [np.nan, np.nan, np.nan], [-np.inf, np.nan, -np.inf]])
    np.testing.assert_array_equal(k.rowIndexMax(store(x)), [[2], [2], [3], [1], [3]])


@pytest.mark.parametrize("store", STORAGES)
@pytest.mark.parametrize("name", RUNNING)
def test_running(name, store):
    for x in MATRICES.values():
        np.testing.assert_allclose(getattr(k, name)(store(x)), RUNNING[name](x, axis=0), rtol=1e-12)
    assert getattr(k, name)(np.zeros((0, 3))).shape == (0, 3)


def test_running_along_rows_and_recurrence():
    x = np.array([[1.0, 4], [2, 5], [3, 6]])
    np.testing.assert_array_equal(k.rowcumsum(csr_array(x)), [[1, 5], [2, 7], [3, 9]])
    np.testing.assert_array_equal(k.cumsumprod(x), [[1], [7], [45]])
    np.testing.assert_array_equal(k.cumsumprod(np.array([[1.0, 2], [3, 4], [5, 6]])), [[1], [7], [47]])
    assert k.cumsumprod(np.zeros((0, 2))).shape == (0, 1)
    with pytest.raises(DMLRuntimeError, match="3x4"):
        k.cumsumprod(np.ones((3, 4)))


@pytest.mark.parametrize("store", STORAGES)
def test_no_cells(store):
    for shape in ((0, 3), (3, 0), (0, 0)):
        x = store(np.zeros(shape))
        assert (k.sum(x), k.prod(x), k.min_agg(x), k.max_agg(x), k.sumsq(x), k.nnz(x)) == (0, 1, np.inf, -np.inf, 0, 0)
        assert np.isnan([k.mean(x), k.var(x), k.sd(x)]).all()
        for name in (*AXIS, "IndexMax", "IndexMin"):
            result = getattr(k, "row" + name)(x)
            assert result.shape == (shape[0], 1)
            assert not result.any()
        for name in AXIS:
            result = getattr(k, "col" + name)(x)
            assert result.shape == (1, shape[1])
            assert not result.any()


def test_values_of_the_language():
    a = np.array([[4.0, 2, 9], [1, 5, 6]])
    assert (k.sum(a), k.mean(a), k.var(a), k.min_agg(a), k.prod(a)) == (27.0, 4.5, 8.3, 1.0, 2160.0)
    assert k.sd(a) == pytest.approx(2.8809720581775866, rel=1e-15)
    assert k.var(np.array([[5.0]])) == 0.0
    np.testing.assert_array_equal(k.colVars(a), [[4.5, 4.5, 4.5]])
    np.testing.assert_array_equal(k.colProds(a), [[4, 10, 54]])
    assert k.min_agg(5) == 5


def test_accuracy():
    """Two passes for variances; sums of many equal terms keep their digits."""
    x = RNG.random((200_000, 3)) + 1e8
    np.testing.assert_allclose(k.var(x), np.var(x.astype(np.longdouble), ddof=1), rtol=1e-9)
    np.testing.assert_allclose(k.colVars(x), [np.var(x.astype(np.longdouble), axis=0, ddof=1)], rtol=1e-9)
    tenth = np.full((1_000_000, 1), 0.1)
    assert k.sum(tenth) == pytest.approx(1e5, rel=1e-13)
    assert k.colSums(tenth)[0, 0] == pytest.approx(1e5, rel=1e-11)


def test_big_blocks_agree_with_small_ones():
    x = some(3000, 800)
    np.testing.assert_allclose(k.rowVars(x).ravel(), x.var(axis=1, ddof=1), rtol=1e-11)
    np.testing.assert_allclose(k.colVars(x).ravel(), x.var(axis=0, ddof=1), rtol=1e-11)
    np.testing.assert_allclose(k.var(x), x.var(ddof=1), rtol=1e-11)


def test_a_big_sparse_matrix_is_not_made_dense():
    """10^14 cells; a dense step could not even start."""
    rows, cols = np.array([3, 3, 9_999_999]), np.array([5, 9_999_999, 0])
    x = csr_array((np.array([2.0, -4.0, 3.0]), (rows, cols)), shape=(10_000_000, 10_000_000))
    assert (k.sum(x), k.prod(x), k.min_agg(x), k.max_agg(x), k.sumsq(x), k.nnz(x)) == (1, 0, -4, 3, 29, 3)
    assert k.mean(x) == 1e-14
    assert k.var(x) == pytest.approx(29e-14)
    assert k.rowSums(x)[3, 0] == -2
    assert k.colMins(x)[0, -1] == -4
    assert k.rowIndexMax(x)[3, 0] == 6
    assert k.rowIndexMin(x)[3, 0] == 10_000_000
    assert k.trace(x) == 0


def test_trace_and_weighted_mean():
    x = some(5, 5, 0.6)
    for operand in (x, csr_array(x)):
        assert k.trace(operand) == pytest.approx(np.trace(x))
        assert k.mean_w(operand, abs(x)) == pytest.approx((x * abs(x)).sum() / abs(x).sum())
    assert np.isnan(k.mean_w(x, np.zeros((5, 5))))
    with pytest.raises(DMLRuntimeError, match="2x3"):
        k.trace(np.ones((2, 3)))
    with pytest.raises(DMLRuntimeError, match="2x3 and 5x5"):
        k.mean_w(x, np.ones((2, 3)))


def test_no_product_of_infinities_is_invented():
    x = csr_array(np.array([[1e200, 1e200, 0.0, 0.0]]))
    assert k.prod(x) == 0.0
    assert k.rowProds(x)[0, 0] == 0.0
    assert np.isnan(k.rowProds(csr_array(np.array([[np.inf, 0.0, 0.0, 0.0]])))[0, 0])


@pytest.mark.parametrize("row", aggregates.ROWS, ids=lambda row: row.name)
def test_rows_tell_the_truth(row):
    x = some(6, 2, 0.3)
    operands = [x] * len(row.parameters)
    facts = [matrix(6, 2, nnz=int(np.count_nonzero(x)))] * len(operands)
    if row.name == "trace":
        operands, facts = [x[:2]], [matrix(2, 2)]
    result = getattr(k, row.kernel.split(".")[1])(*operands)
    assert (row.returns == "D") == isinstance(result, float)
    if row.returns == "M":
        assert row.size(*facts) == result.shape
        assert row.nnz is None or np.count_nonzero(result) <= row.nnz(*facts)
        assert row.nnz is None or row.nnz(matrix()) is None
    assert row.flops is None or row.flops(*facts) >= 0


def test_shapes_known_early():
    with pytest.raises(ShapeError, match="2x3"):
        BY_NAME["trace"].size(matrix(2, 3))
    with pytest.raises(ShapeError, match="4x3"):
        BY_NAME["cumsumprod"].size(matrix(4, 3))
    assert [row.name for row in candidates("avg")] == ["mean", "mean_w"]
