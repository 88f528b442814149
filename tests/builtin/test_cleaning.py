"""Scaling, clipping, imputing, splitting and sets: beside scikit-learn, SciPy and NumPy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite import DMLError
from tests.support.builtins import STORAGES, call, data

storages = pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
datasets = pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes"])
EIGHT = np.array([[1, 2, 3, 4, 5, 6, 7, 100.0]]).T


def spread_of(X):
    return np.where(np.ptp(X, axis=0) == 0, 1, np.ptp(X, axis=0))


# ---------------------------------------------------------------- scaling
@storages
@datasets
def test_scaling_is_that_of_scikit_learn(storage, name):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    X, _ = data(name)
    train, test = X[::2], X[1::2]
    Y, low, high = call("[Y, low, high] = normalize(X)", X=storage(train))
    peer = preprocessing.MinMaxScaler().fit(train)
    varies = np.ptp(train, axis=0) > 0
    assert np.array_equal(call("Y = scaleMinMax(X)", X=storage(train)), Y)
    assert np.allclose(Y, peer.transform(train)) and np.array_equal(low[0], train.min(0)) and np.array_equal(high[0], train.max(0))
    assert np.allclose(call("Y = normalizeApply(X, low, high)", X=storage(test), low=low, high=high), peer.transform(test) * varies)
    _, shift, factor = call("[Y, shift, factor] = scale(X)", X=storage(train))
    factors = np.where(varies, train.std(0, ddof=1), 1)
    Z = call("Y = scaleApply(X, shift, factor)", X=storage(test), shift=shift, factor=factor)
    assert np.allclose(Z, (test - train.mean(0)) / factors)
    nothing = np.zeros((0, 0))
    assert np.array_equal(call("Y = scaleApply(X, e, e)", X=storage(test), e=nothing), test)
    assert np.allclose(call("Y = scaleApply(X, shift, e)", X=storage(test), shift=shift, e=nothing), test - train.mean(0))


@storages
@datasets
def test_robust_scaling(storage, name):
    X, _ = data(name)
    train, test = X[::2], X[1::2]
    Y, *found = call("[Y, med, q1, q3] = scaleRobust(X)", X=storage(train))
    q1, med, q3 = np.quantile(train, [0.25, 0.5, 0.75], axis=0, method="inverted_cdf")
    assert all(np.array_equal(a[0], b) for a, b in zip(found, (med, q1, q3), strict=True))
    factor = np.where(q3 == q1, 1, q3 - q1)
    assert np.allclose(Y, (train - med) / factor)
    Z = call("Y = scaleRobustApply(X, med, q1, q3)", X=storage(test), med=found[0], q1=found[1], q3=found[2])
    assert np.allclose(Z, (test - med) / factor)


def test_scaling_by_hand():
    Y, low, high = call("[Y, low, high] = normalize(X)", X=np.array([[1.0, 3], [2, 3], [5, 3]]))
    assert Y.tolist() == [[0, 0], [0.25, 0], [1, 0]] and low.tolist() == [[1, 3]] and high.tolist() == [[5, 3]]
    Y, med, q1, q3 = call("[Y, med, q1, q3] = scaleRobust(X)", X=EIGHT)  # as SystemDS 3.4.0 has it
    assert Y[:, 0].tolist() == [-0.75, -0.5, -0.25, 0, 0.25, 0.5, 0.75, 24] and (med, q1, q3) == (4, 2, 6)


@storages
@datasets
def test_correlations(storage, name):
    X, _ = data(name)
    X = X[:, np.ptp(X, axis=0) > 0]
    assert np.allclose(call("Y = cor(X)", X=storage(X)), np.corrcoef(X.T))


# ---------------------------------------------------------------- outliers
@storages
@datasets
def test_winsorize_clips_at_quantiles(storage, name):
    X, _ = data(name)
    X = X[: len(X) // 2 * 2 - 1]  # an odd number of rows: quantiles are cells
    Y, low, high = call("[Y, low, high] = winsorize(X=X, ql=0.1, qu=0.93)", X=storage(X))
    bounds = np.quantile(X, [0.1, 0.93], axis=0, method="inverted_cdf")
    assert np.array_equal(np.vstack([low, high]), bounds) and np.array_equal(Y, np.clip(X, *bounds))
    assert np.array_equal(call("Y = winsorizeApply(X, low, high)", X=storage(X * 2), low=low, high=high), np.clip(X * 2, *bounds))


def test_winsorize_by_hand(capsys):
    Y, low, high = call("[Y, low, high] = winsorize(X=X, ql=0.1, qu=0.8, verbose=TRUE)", X=EIGHT)  # as SystemDS 3.4.0 has it
    assert Y[:, 0].tolist() == [1.5, 2, 3, 4, 5, 6, 7, 53.5] and (low, high) == (1.5, 53.5)
    assert "2 cells changed" in capsys.readouterr().out
    with pytest.raises(DMLError, match=r"0 <= ql <= qu <= 1 is needed, found ql 0\.7 and qu 0\.3"):
        call("[Y, low, high] = winsorize(X=X, ql=0.7, qu=0.3)", X=EIGHT)


def repaired(X, outside, method):
    return X[~outside.any(1)] if method == 0 else np.where(outside, [0, 0, np.nan][method], X)


@storages
@datasets
@pytest.mark.parametrize("method", [0, 1, 2])
def test_outliers_by_deviation(storage, name, method):
    X, _ = data(name)
    found = call(
        "[Y, mean, sd, k, method] = outlierBySd(X=X, k=2.5, repairMethod=method, max_iterations=1, verbose=FALSE)",
        X=storage(X),
        method=method,
    )
    mean, sd = X.mean(0), X.std(0, ddof=1)
    assert np.allclose(found[1], mean) and np.allclose(found[2], sd) and found[3:] == (2.5, method)
    expected = repaired(X, abs(X - mean) > 2.5 * sd, method)
    assert np.array_equal(found[0], expected, equal_nan=True) and expected.shape[0] > 0
    again = call("Y = outlierBySdApply(X, mean, sd, 2.5, method)", X=storage(X[::3]), mean=found[1], sd=found[2], method=method)
    assert np.array_equal(again, repaired(X[::3], abs(X[::3] - mean) > 2.5 * sd, method), equal_nan=True)


@storages
@datasets
@pytest.mark.parametrize("method", [0, 1, 2])
def test_outliers_by_quartiles(storage, name, method):
    X, _ = data(name)
    X = X[: len(X) // 2 * 2 - 1]
    script = "[Y, q1, q3, iqr, k, method] = outlierByIQR(X=X, k=3, repairMethod=method, max_iterations=1, verbose=FALSE)"
    found = call(script, X=storage(X), method=method)
    q1, q3 = np.quantile(X, [0.25, 0.75], axis=0, method="inverted_cdf")
    assert np.array_equal(np.vstack(found[1:4]), np.vstack([q1, q3, q3 - q1])) and found[4:] == (3, method)
    outside = np.less(X, q1 - 3 * (q3 - q1)) | np.greater(X, q3 + 3 * (q3 - q1))
    assert np.array_equal(found[0], repaired(X, outside, method), equal_nan=True)
    again = call("Y = outlierByIQRApply(X, q1, q3, iqr, 3, method)", X=storage(X), q1=found[1], q3=found[2], iqr=found[3], method=method)
    assert np.array_equal(again, found[0], equal_nan=True)


@pytest.mark.parametrize(("method", "last"), [(0, []), (1, [0]), (2, [np.nan])])
def test_outliers_by_hand_until_there_are_none(capsys, method, last):
    expected = np.array([1.0, 2, 3, 4, 5, 6, 7, *last])
    Y, q1, q3, iqr, _, _ = call("[Y, q1, q3, iqr, k, m] = outlierByIQR(X=X, repairMethod=method, max_iterations=0)", X=EIGHT, method=method)
    assert np.array_equal(Y[:, 0], expected, equal_nan=True) and (q1, q3, iqr) == ((1.5, 5.5, 4) if method == 1 else (2, 6, 4))
    assert capsys.readouterr().out.splitlines() == ["outlierByIQR: iteration 1, 1 repaired", "outlierByIQR: iteration 2, 0 repaired"]
    Y, mean, sd, _, _ = call("[Y, mean, sd, k, m] = outlierBySd(X=X, k=2, repairMethod=method, max_iterations=0)", X=EIGHT, method=method)
    assert np.array_equal(Y[:, 0], expected, equal_nan=True) and mean == (3.5 if method == 1 else 4)
    assert sd == pytest.approx(np.nanstd(expected, ddof=1))


def test_outliers_refuse_what_makes_no_sense():
    for call_, text in (
        ("outlierBySd(X=X, k=9, max_iterations=1)", "k must be from 1 to 7, found 9"),
        ("outlierBySd(X=X, repairMethod=3, max_iterations=1)", "repairMethod must be 0"),
        ("outlierByIQR(X=X, k=-1, max_iterations=1)", "k must not be negative"),
    ):
        with pytest.raises(DMLError, match=text):
            call(f"Y = {call_}", X=EIGHT)


# ---------------------------------------------------------------- missing cells
@storages
@datasets
@pytest.mark.parametrize("strategy", ["mean", "median"])
def test_imputing_is_that_of_scikit_learn(storage, name, strategy):
    impute = pytest.importorskip("sklearn.impute")
    X, _ = data(name)
    X = np.c_[X, 1.0 + np.random.default_rng(3).integers(0, 4, (len(X), 2))]
    X[np.random.default_rng(4).random(X.shape) < 0.2] = np.nan
    mask = np.zeros((1, X.shape[1]))
    mask[0, -2:] = 1
    builtin = f"imputeBy{strategy.capitalize()}"
    Y, vector = call(f"[Y, vector] = {builtin}(X, mask)", X=storage(X), mask=mask)
    expected = np.c_[
        impute.SimpleImputer(strategy=strategy).fit(X[:, :-2]).transform(X[:, :-2]),
        impute.SimpleImputer(strategy="most_frequent").fit_transform(X[:, -2:]),
    ]
    assert np.allclose(Y, expected)
    assert np.allclose(call(f"Y = {builtin}Apply(X, vector)", X=storage(X[:50]), vector=vector), expected[:50])
    Y, vector = call("[Y, vector] = imputeByMode(X)", X=storage(X[:, -2:]))
    assert np.array_equal(Y, expected[:, -2:])
    assert np.array_equal(call("Y = imputeByModeApply(X, vector)", X=storage(X[:9, -2:]), vector=vector), expected[:9, -2:])


@storages
def test_imputing_by_hand(storage):
    nan = np.nan
    X, mask = np.array([[1, 2, nan], [nan, 4, nan], [2, nan, nan], [7, 3, nan], [1, 2, nan], [nan, 3, nan]]), np.array([[0.0, 1, 0]])
    for builtin, number in (("imputeByMean", 2.75), ("imputeByMedian", 1.5)):
        Y, vector = call(f"[Y, vector] = {builtin}(X, mask)", X=storage(X), mask=mask)
        # of equally frequent categories the least; zero where nothing is known
        assert vector.tolist() == [[number, 2, 0]] and np.array_equal(Y, np.where(np.isnan(X), vector, X))


# ---------------------------------------------------------------- splits
@storages
@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_splits_part_the_rows(storage, name):
    X, y = data(name)
    count = int(0.7 * len(X))
    parts = call("[a, b, c, d] = split(X=X, Y=y)", X=storage(X), y=y)
    assert all(np.array_equal(p, q) for p, q in zip(parts, (X[:count], X[count:], y[:count], y[count:]), strict=True))
    a, b, c, d = call("[a, b, c, d] = split(X=X, Y=y, f=0.6, cont=FALSE, seed=3)", X=storage(X), y=y)
    assert len(a) == int(0.6 * len(X))
    both = np.r_[np.c_[a, c], np.c_[b, d]]
    assert np.array_equal(np.unique(both, axis=0), np.unique(np.c_[X, y], axis=0)) and len(both) == len(X)
    assert not np.array_equal(a, X[: len(a)])
    a, c, b, d = call("[a, c, b, d] = splitBalanced(X=X, Y=y, splitRatio=0.8)", X=storage(X), y=y)
    for label in np.unique(y):
        rows = X[y[:, 0] == label]
        assert np.array_equal(a[c[:, 0] == label], rows[: int(0.8 * len(rows))]) and np.array_equal(
            b[d[:, 0] == label], rows[int(0.8 * len(rows)) :]
        )


def test_splits_by_hand():
    X, y = np.arange(1.0, 21).reshape(10, 2), np.array([[1, 1, 1, 1, 2, 2, 2, 2, 2, 2.0]]).T
    for f, count in ((0.7, 7), (0.75, 7), (0.29, 2), (0.1, 1)):
        assert [len(p) for p in call("[a, b, c, d] = split(X=X, Y=y, f=f)", X=X, y=y, f=f)] == [count, 10 - count, count, 10 - count]
    a, c, b, d = call("[a, c, b, d] = splitBalanced(X=X, Y=y, splitRatio=0.7, verbose=FALSE)", X=X, y=y)  # as SystemDS 3.4.0 has it
    assert a[:, 0].tolist() == [1, 3, 9, 11, 13, 15] and b[:, 0].tolist() == [5, 7, 17, 19]
    assert c[:, 0].tolist() == [1, 1, 2, 2, 2, 2] and d[:, 0].tolist() == [1, 1, 2, 2]
    with pytest.raises(DMLError, match="both parts need rows"):
        call("[a, b, c, d] = split(X=X, Y=y, f=1)", X=X, y=y)
    X[2] = 0  # a row of zeros is a row
    assert len(call("[a, b, c, d] = split(X=X, Y=y, f=0.5, cont=FALSE, seed=1)", X=X, y=y)[0]) == 5


# ---------------------------------------------------------------- sets
SETS = {"intersect": np.intersect1d, "union": np.union1d, "setdiff": np.setdiff1d, "symmetricDifference": np.setxor1d}


@storages
@pytest.mark.parametrize("name", SETS)
def test_sets_are_those_of_numpy(storage, name):
    rng = np.random.default_rng(6)
    for a, b in (
        (rng.integers(-5, 9, 30), rng.integers(0, 15, 12)),
        ([3, 1, 2, 2, 7], [2, 9, 3]),
        ([1, 2], [1, 2]),
        ([1], [2]),
        ([0.5, 0], [0]),
    ):
        a, b = np.asarray(a, float).reshape(-1, 1), np.asarray(b, float).reshape(-1, 1)
        result = call(f"R = {name}(a, b)", a=storage(a), b=storage(b))
        assert result.shape[1] == 1 and result[:, 0].tolist() == SETS[name](a, b).tolist()
