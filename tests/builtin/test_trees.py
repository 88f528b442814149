"""Trees and forests beside scikit-learn's, and small ones worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from dmlite import DMLError
from tests.support.builtins import STORAGES, call, data

tree = pytest.importorskip("sklearn.tree")
ensemble = pytest.importorskip("sklearn.ensemble")

stored = pytest.mark.parametrize("stored", STORAGES.values(), ids=STORAGES)

ONE_TREE = "ctypes=ct, max_depth=8, min_leaf=3, min_split=6, max_features=1.0"
PEER_TREE = {"max_depth": 8, "min_samples_leaf": 3, "min_samples_split": 6, "random_state": 0}


def parts(name):
    """Rows to learn from and rows to predict, with the types of columns: all are scale but the classes."""
    X, y = data(name)
    order = np.random.default_rng(1).permutation(len(X))
    train, test = np.split(order, [2 * len(X) // 3])
    types = np.ones((1, X.shape[1] + 1))
    types[0, -1] = 1 if name == "diabetes" else 2
    return X[train], y[train], X[test], y[test], types


# ---------------------------------------------------------------- real data
@stored
@pytest.mark.parametrize(("name", "impurity"), [("breast_cancer", "gini"), ("digits", "gini"), ("wine", "gini"), ("wine", "entropy")])
def test_classification_tree(name, impurity, stored):
    X, y, Z, truth, types = parts(name)
    M = call(f"M = decisionTree(X=X, y=y, {ONE_TREE}, impurity='{impurity}')", X=stored(X), y=y, ct=types)
    peer = tree.DecisionTreeClassifier(criterion=impurity, **PEER_TREE).fit(X, y[:, 0])
    for rows, classes in ((X, y), (Z, truth)):
        guess = call("p = decisionTreePredict(X=X, ctypes=ct, M=M)", X=stored(rows), M=M, ct=types)
        # the peers part where splits are equally good
        assert np.mean(guess == classes) >= peer.score(rows, classes[:, 0]) - 0.02


@stored
def test_regression_tree(stored):
    X, y, Z, truth, types = parts("diabetes")
    M = call(f"M = decisionTree(X=X, y=y, {ONE_TREE})", X=stored(X), y=y, ct=types)
    peer = tree.DecisionTreeRegressor(**PEER_TREE).fit(X, y[:, 0])
    guess = call("p = decisionTreePredict(X=X, ctypes=ct, M=M)", X=stored(X), M=M, ct=types)
    np.testing.assert_allclose(guess[:, 0], peer.predict(X), rtol=1e-9)
    guess = call("p = decisionTreePredict(X=X, ctypes=ct, M=M)", X=stored(Z), M=M, ct=types)
    assert np.mean((guess - truth) ** 2) == pytest.approx(np.mean((peer.predict(Z) - truth[:, 0]) ** 2), rel=0.02)


@stored
@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_forest(name, stored):
    X, y, Z, truth, types = parts(name)
    settings = "num_trees=25, sample_frac=1.0, min_leaf=1, min_split=2, seed=7"
    M = call(f"M = randomForest(X=X, y=y, ctypes=ct, {settings})", X=stored(X), y=y, ct=types)
    assert M.shape[0] == 25
    guess = call("p = randomForestPredict(X=X, ctypes=ct, M=M)", X=stored(Z), M=M, ct=types)
    kind = ensemble.RandomForestRegressor if name == "diabetes" else ensemble.RandomForestClassifier
    peers = [kind(n_estimators=25, max_depth=10, max_features="sqrt", random_state=s).fit(X, y[:, 0]) for s in range(5)]
    if name == "diabetes":
        assert np.mean((guess - truth) ** 2) <= 1.1 * np.mean([np.mean((p.predict(Z) - truth[:, 0]) ** 2) for p in peers])
    else:
        assert np.mean(guess == truth) >= np.mean([p.score(Z, truth[:, 0]) for p in peers]) - 0.02


def test_forest_of_many_classes_and_rows():
    X, y, Z, truth, types = parts("digits")
    M = call("M = randomForest(X=X, y=y, ctypes=ct, num_trees=10, sample_frac=0.5, min_leaf=1, min_split=5, seed=3)", X=X, y=y, ct=types)
    guess = call("p = randomForestPredict(X=X, ctypes=ct, M=M)", X=Z, M=M, ct=types)
    peer = ensemble.RandomForestClassifier(10, max_depth=10, min_samples_split=5, max_samples=0.5, random_state=0).fit(X, y[:, 0])
    assert np.mean(guess == truth) >= peer.score(Z, truth[:, 0]) - 0.02


# ---------------------------------------------------------------- by hand
SMALL = "min_leaf=1, min_split=2, max_features=1.0"


@stored
def test_a_tree_is_a_row_of_questions(stored):
    X = np.array([[1.0, 5], [2, 0], [3, 5], [6, 0], [7, 0], [8, 5]])
    y = np.array([[1.0], [1], [1], [2], [2], [3]])
    types = np.array([[1.0, 1, 2]])
    M = call(f"M = decisionTree(X=X, y=y, ctypes=ct, {SMALL})", X=stored(X), y=y, ct=types)
    assert M.tolist()[0][:6] == [1, 4.5, 0, 1, 2, 2.5]  # what is at most 4.5 in column 1 is of class 1
    assert M.tolist()[0][6:] == [0, 0, 0, 0, 0, 2, 0, 3]  # the rest is told apart by column 2
    guess = call("p = decisionTreePredict(X=X, ctypes=ct, M=M)", X=stored(np.array([[4.4, 9], [4.6, 9], [99, -9]])), M=M, ct=types)
    assert guess.tolist() == [[1], [3], [2]]


@stored
def test_nominal_columns_are_asked_for_one_value(stored):
    X = np.array([[1.0], [1], [2], [2], [3], [3]])
    y = np.array([[10.0], [10], [70], [70], [10], [10]])
    M = call(f"M = decisionTree(X=X, y=y, ctypes=ct, {SMALL})", X=stored(X), y=y, ct=np.array([[2.0, 1]]))
    assert M.tolist() == [[1, 2, 0, 70, 0, 10]]
    M = call(f"M = decisionTree(X=X, y=y, ctypes=ct, {SMALL})", X=stored(X), y=y, ct=np.array([[1.0, 1]]))
    assert M.shape == (1, 14)  # as a scale column it takes two questions
    guess = call("p = decisionTreePredict(X=X, ctypes=ct, M=M)", X=stored(X), M=M, ct=np.array([[1.0, 1]]))
    assert guess.tolist() == y.tolist()


def test_limits_of_growth():
    X = np.arange(1.0, 9).reshape(-1, 1)
    y = np.array([[1.0], [2]] * 4)
    types = np.array([[1.0, 2]])
    for limit in ("max_depth=0", "min_leaf=5, min_split=2", "min_leaf=1, min_split=9"):
        assert call(f"M = decisionTree(X=X, y=y, ctypes=ct, {limit})", X=X, y=y, ct=types).shape == (1, 2)
    M = call("M = decisionTree(X=X, y=y, ctypes=ct, max_depth=2, min_leaf=1, min_split=2)", X=X, y=y, ct=types)
    assert M.shape == (1, 14)
    assert call(f"M = decisionTree(X=X, y=y * 0 + 1, ctypes=ct, {SMALL})", X=X, y=y, ct=types).tolist() == [[0, 1]]
    assert call(f"M = decisionTree(X=X * 0, y=y, ctypes=ct, {SMALL})", X=X, y=y, ct=types).shape == (1, 2)


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_regression_does_not_mind_units(scale):
    X = np.array([[1.0], [2], [3], [4]])
    y = (1000 + np.array([[1.0], [1], [2], [5]])) * scale
    M = call(f"M = decisionTree(X=X, y=y, ctypes=ct, max_depth=1, {SMALL})", X=X * scale, y=y, ct=np.array([[1.0, 1]]))
    np.testing.assert_allclose(M, [[1, 3.5 * scale, 0, (1000 + 4 / 3) * scale, 0, 1005 * scale]], rtol=1e-12)


def test_rows_in_leaves_may_be_dropped_on_the_way():
    X, y, _, _, types = parts("wine")
    trees = [call(f"M = decisionTree(X=X, y=y, {ONE_TREE}, max_dataratio={r})", X=X, y=y, ct=types) for r in (0.0, 0.25, 1.0)]
    np.testing.assert_array_equal(trees[0], trees[1])
    np.testing.assert_array_equal(trees[0], trees[2])


def test_random_choices_are_repeated_with_their_seed(capsys):
    X, y, _, _, types = parts("wine")
    for function in ("decisionTree", "randomForest"):
        script = f"M = {function}(X=X, y=y, ctypes=ct, max_features=0.3, max_values=0.5, min_leaf=2, min_split=4, verbose=TRUE, seed="
        first, again, other = (call(script + f"{s})", X=X, y=y, ct=types) for s in (5, 5, 6))
        np.testing.assert_array_equal(first, again)
        assert first.shape != other.shape or np.any(first != other)
        assert f"{function}: " in capsys.readouterr().out


def test_columns_of_a_tree_in_a_forest():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 6))
    y = (X.sum(1, keepdims=True) > 0) + 1.0
    arguments = f"ctypes=ct, num_trees=8, sample_frac=1.0, feature_frac=0.3, seed=4, {SMALL}"
    M = call(f"M = randomForest(X=X, y=y, {arguments})", X=sp.csr_array(X), y=y, ct=np.array([[1.0] * 6 + [2]]))
    asked = [set(row[row > 0]) for row in M[:, ::2]]
    assert all(1 <= len(columns) <= 2 for columns in asked) and len(set().union(*asked)) > 2


def test_mistakes_are_told():
    X, y = np.ones((3, 2)), np.array([[0.0], [1.0], [2.0]])
    with pytest.raises(DMLError, match="types of 2 columns and of y; it has 2 entries"):
        call("M = decisionTree(X=X, y=y, ctypes=ct)", X=X, y=y, ct=np.ones((1, 2)))
    with pytest.raises(DMLError, match=r"classes are numbered from 1; found 0\.0"):
        call("M = randomForest(X=X, y=y, ctypes=ct)", X=X, y=y, ct=np.array([[1.0, 1, 2]]))
    with pytest.raises(DMLError, match='the strategy must be "TT", found "XX"'):
        call("p = decisionTreePredict(X=X, ctypes=ct, M=M, strategy='XX')", X=X, ct=np.ones((1, 3)), M=np.array([[0.0, 1.0]]))
