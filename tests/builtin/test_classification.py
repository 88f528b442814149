"""Linear classifiers, naive Bayes and counts of mistakes beside scikit-learn and statsmodels, and small cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from dmlite import DMLError, dml, settings
from tests.support.builtins import STORAGES, call, data

linear = pytest.importorskip("sklearn.linear_model")
bayes = pytest.importorskip("sklearn.naive_bayes")
metrics = pytest.importorskip("sklearn.metrics")
svm = pytest.importorskip("sklearn.svm")
sm = pytest.importorskip("statsmodels.api")

stored = pytest.mark.parametrize("stored", STORAGES.values(), ids=STORAGES)


def with_ones(X: np.ndarray) -> np.ndarray:
    return np.column_stack([X, np.ones(len(X))])


# ---------------------------------------------------------------- logistic regression
def loss_and_gradient(B, A, members, reg):
    """What multinomial logistic regression minimises; the last column of A is the intercept, which weighs nothing."""
    S = np.column_stack([A @ B, np.zeros(len(A))])
    totals = logsumexp(S, axis=1, keepdims=True)
    weights = np.append(np.full(A.shape[1] - 1, reg), 0.0).reshape(-1, 1)
    residual = np.exp(S - totals)[:, :-1] - members
    return totals.sum() - (members * S[:, :-1]).sum() + (weights * B**2).sum() / 2, A.T @ residual + weights * B


def least_loss(X, y, reg):
    A, members = with_ones(X), np.eye(int(y.max()))[y[:, 0].astype(int) - 1][:, :-1]
    shape = A.shape[1], members.shape[1]

    def flat(b):
        loss, gradient = loss_and_gradient(b.reshape(shape), A, members, reg)
        return loss, gradient.ravel()

    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-7}
    return minimize(flat, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options=options).fun


@stored
@pytest.mark.parametrize("name", ["breast_cancer", "wine", "digits"])
def test_the_likelihood_with_a_penalty_is_greatest(name, stored):
    X, y = data(name)
    spread = X.std(0, ddof=1)
    spread[spread == 0] = 1
    Z = (X - X.mean(0)) / spread
    B = call("B = multiLogReg(X=X, Y=y, reg=1, verbose=FALSE)", X=stored(X), y=y)  # standardises by itself
    B[-1] += X.mean(0) @ B[:-1]
    B[:-1] *= spread.reshape(-1, 1)
    members = np.eye(int(y.max()))[y[:, 0].astype(int) - 1][:, :-1]
    least = least_loss(Z, y, 1.0)
    assert loss_and_gradient(B, with_ones(Z), members, 1.0)[0] == pytest.approx(least, rel=1e-6)
    C = call("C = multiLogReg(X=X, Y=y, icpt=1, reg=1, tol=1e-8, verbose=FALSE)", X=stored(Z), y=y)
    np.testing.assert_allclose(C, B, rtol=1e-3, atol=1e-3 * np.abs(B).max())


@stored
@pytest.mark.parametrize("icpt", [0, 1])
def test_two_classes_as_by_scikit_learn(icpt, stored):
    X, y = data("breast_cancer", standardised=True)
    peer = linear.LogisticRegression(C=1 / 3, tol=1e-10, max_iter=1000, solver="newton-cholesky", fit_intercept=icpt > 0).fit(
        X, y[:, 0] == 1
    )
    expected = np.append(peer.coef_, peer.intercept_) if icpt else peer.coef_[0]
    B = call(f"B = multiLogReg(X=X, Y=y, icpt={icpt}, reg=3, tol=1e-9, verbose=FALSE)", X=stored(X), y=y)
    np.testing.assert_allclose(B[:, 0], expected, rtol=1e-4)


@stored
@pytest.mark.parametrize("icpt", [1, 2])
def test_several_classes_as_by_statsmodels(icpt, stored):
    X, y = data("wine")
    X = X[:, [0, 1, 4, 7]]
    expected = sm.MNLogit(3 - y[:, 0], with_ones(X)).fit(disp=False, tol=1e-12, maxiter=200).params  # its base is the lowest class
    B = call(f"B = multiLogReg(X=X, Y=y, icpt={icpt}, reg=0, tol=1e-10, verbose=FALSE)", X=stored(X), y=y)
    np.testing.assert_allclose(B, np.asarray(expected)[:, ::-1], rtol=1e-4)
    M, labels, accuracy = call("[M, p, a] = multiLogRegPredict(X=X, B=B, Y=y)", X=stored(X), B=B, y=y)
    P = np.exp(np.column_stack([with_ones(X) @ B, np.zeros(len(X))]))
    np.testing.assert_allclose(M, P / P.sum(1, keepdims=True), atol=1e-12)
    np.testing.assert_array_equal(labels[:, 0], M.argmax(1) + 1)
    assert accuracy == pytest.approx(100 * np.mean(labels == y))


def test_logistic_regression_by_hand():
    X, y = np.zeros((4, 1)), np.array([[1.0], [1.0], [1.0], [2.0]])
    B = call("B = multiLogReg(X=X, Y=y, icpt=1, tol=1e-9, verbose=FALSE)", X=X, y=y)
    np.testing.assert_allclose(B, [[0], [np.log(3)]], atol=1e-7)
    M, labels, accuracy = call("[M, p, a] = multiLogRegPredict(X=X, B=B)", X=X, B=np.array([[5.0], [np.log(3)]]))
    np.testing.assert_allclose(M, [[0.75, 0.25]] * 4)
    assert labels.tolist() == [[1]] * 4 and np.isnan(accuracy)
    with pytest.raises(DMLError, match=r"numbered from 1 and at least two; found 0\.0 to 1\.0"):
        call("B = multiLogReg(X=X, Y=y, verbose=FALSE)", X=X, y=y - 1)


# ---------------------------------------------------------------- support vector machines
@stored
@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
@pytest.mark.parametrize("intercept", [False, True])
def test_machine_for_two_classes(intercept, name, stored):
    X, y = data(name, standardised=True)
    y = np.minimum(y, 2)
    signs = 2 * y - 3
    peer = svm.LinearSVC(C=0.5 / 2, tol=1e-12, dual=False, max_iter=10_000, fit_intercept=intercept).fit(X, signs[:, 0])
    expected = np.append(peer.coef_, peer.intercept_) if intercept else peer.coef_[0]
    flag = str(intercept).upper()
    W = call(f"W = l2svm(X=X, Y=y, intercept={flag}, reg=2, epsilon=1e-12)", X=stored(X), y=signs)
    np.testing.assert_allclose(W[:, 0], expected, rtol=1e-4, atol=1e-7)
    other = call(f"W = l2svm(X=X, Y=y, intercept={flag}, reg=2, epsilon=1e-12)", X=stored(X), y=y)  # 1 and 2 instead
    np.testing.assert_array_equal(other, W)
    raw, labels = call("[R, p] = l2svmPredict(X=X, W=W)", X=stored(X), W=W)
    np.testing.assert_allclose(raw[:, 0], X @ W[: X.shape[1], 0] + (W[-1] if intercept else 0), atol=1e-10)
    np.testing.assert_array_equal(labels, np.where(raw > 0, 1, -1))


@stored
@pytest.mark.parametrize("name", ["digits", "wine"])
def test_machines_for_several_classes(name, stored):
    X, y = data(name)
    X = X / np.abs(X).max(0).clip(1)
    train, test = slice(0, None, 2), slice(1, None, 2)
    A = with_ones(X[train])
    W = call("W = msvm(X=X, Y=y, intercept=TRUE)", X=stored(X[train]), y=y[train])
    exact = call("W = msvm(X=X, Y=y, intercept=TRUE, epsilon=1e-12)", X=stored(X[train]), y=y[train])
    for c in range(W.shape[1]):
        sign = np.where(y[train, 0] == c + 1, 1.0, -1.0)
        peer = svm.LinearSVC(C=0.5, tol=1e-10, dual=False, max_iter=10_000).fit(X[train], sign)

        def objective(w, sign=sign):
            return (np.maximum(0, 1 - sign * (A @ w)) ** 2).sum() / 2 + w @ w / 2

        best = objective(np.append(peer.coef_, peer.intercept_))
        assert objective(exact[:, c]) == pytest.approx(best, rel=1e-6)
        assert objective(W[:, c]) == pytest.approx(best, rel=1e-2)
    raw, labels = call("[R, p] = msvmPredict(X=X, W=W)", X=stored(X[test]), W=W)
    np.testing.assert_array_equal(labels[:, 0], raw.argmax(1) + 1)
    peer = svm.LinearSVC(C=0.5, dual=False).fit(X[train], y[train, 0])
    assert np.mean(labels == y[test]) == pytest.approx(peer.score(X[test], y[test, 0]), abs=0.02)


def test_machines_by_hand():
    X, y = np.array([[1.0], [-1.0]]), np.array([[1.0], [-1.0]])
    # (1 - w)^2 + reg w^2 / 2 is least at 2 / (2 + reg)
    np.testing.assert_allclose(call("W = l2svm(X=X, Y=y, epsilon=1e-12)", X=X, y=y), [[2 / 3]])
    np.testing.assert_allclose(call("W = l2svm(X=X, Y=y, reg=2, epsilon=1e-12)", X=X, y=y), [[1 / 2]])
    np.testing.assert_allclose(call("W = msvm(X=X, Y=y, epsilon=1e-12)", X=X, y=[[2.0], [1.0]]), [[-2 / 3, 2 / 3]])
    with pytest.raises(DMLError, match="exactly two different values"):
        call("W = l2svm(X=X, Y=y)", X=X, y=np.ones((2, 1)))
    with pytest.raises(DMLError, match="numbered from 1"):
        call("W = msvm(X=X, Y=y)", X=X, y=y)


@stored
def test_a_machine_of_which_a_whole_step_goes_too_far(stored):
    """Few rows are far away from all others, so that it takes the minimum along a line."""
    rng = np.random.default_rng(3)
    X = rng.standard_cauchy((300, 4))
    X = X[np.argsort(X[:, 0])]
    signs = np.where(X @ [1, -1, 2, 0] + 0.1 * rng.standard_cauchy(300) > 0, 1.0, -1.0)
    peer = svm.LinearSVC(C=0.5, tol=1e-12, dual=False, max_iter=100_000, fit_intercept=False).fit(X, signs)
    W = call("W = l2svm(X=X, Y=y, epsilon=1e-12)", X=stored(X), y=signs.reshape(-1, 1))
    # both stop within about 1e-12 of the least objective, around which it is flat: coefficients are known to its square root
    np.testing.assert_allclose(W[:, 0], peer.coef_[0], rtol=1e-6)


# ---------------------------------------------------------------- naive Bayes, counts, the logistic function
@stored
@pytest.mark.parametrize("name", ["digits", "wine"])
def test_naive_bayes(name, stored):
    X, y = data(name)
    peer = bayes.MultinomialNB(alpha=0.5).fit(X, y[:, 0])
    prior, conditionals = call("[P, C] = naiveBayes(D=X, C=y, laplace=0.5, verbose=FALSE)", X=stored(X), y=y)
    np.testing.assert_allclose(prior[:, 0], np.exp(peer.class_log_prior_), rtol=1e-12)
    np.testing.assert_allclose(conditionals, np.exp(peer.feature_log_prob_), rtol=1e-10)
    raw, labels = call("[R, p] = naiveBayesPredict(X=X, P=P, C=C)", X=stored(X), P=prior, C=conditionals)
    np.testing.assert_allclose(raw, peer.predict_joint_log_proba(X), rtol=1e-10)
    np.testing.assert_array_equal(labels[:, 0], peer.predict(X))


def test_naive_bayes_by_hand(capsys):
    D, y = np.array([[2.0, 0, 1], [0, 1, 0], [1, 0, 0]]), np.array([[1.0], [2.0], [1.0]])
    prior, conditionals = call("[P, C] = naiveBayes(D=D, C=y)", D=D, y=y)
    np.testing.assert_allclose(prior, [[2 / 3], [1 / 3]])
    np.testing.assert_allclose(conditionals, [[4 / 7, 1 / 7, 2 / 7], [1 / 4, 2 / 4, 1 / 4]])
    assert "100.0 % of the training data" in capsys.readouterr().out
    with pytest.raises(DMLError, match=r"the least value found is -2\.0"):
        call("[P, C] = naiveBayes(D=-D, C=y)", D=D, y=y)


@stored
@pytest.mark.parametrize("name", ["digits", "wine"])
def test_confusion_matrix(name, stored):
    X, y = data(name)
    guess = bayes.MultinomialNB().fit(X, y[:, 0]).predict(X).reshape(-1, 1)
    counts, shares = call("[S, A] = confusionMatrix(P=p, Y=y)", p=stored(guess), y=stored(y))
    np.testing.assert_array_equal(counts, metrics.confusion_matrix(y, guess).T)
    np.testing.assert_allclose(shares, metrics.confusion_matrix(y, guess, normalize="true").T)


def test_confusion_matrix_of_a_class_that_does_not_occur():
    counts, shares = call("[S, A] = confusionMatrix(P=p, Y=y)", p=[[1.0], [3.0], [1.0]], y=[[1.0], [1.0], [2.0]])
    assert counts.tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0]]
    assert shares.tolist() == [[0.5, 1, 0], [0, 0, 0], [0.5, 0, 0]]


@stored
@pytest.mark.parametrize("name", ["digits", "wine"])
def test_sigmoid_and_one_hot_rows_of_real_data(name, stored):
    X, y = data(name, standardised=True)
    np.testing.assert_allclose(call("Y = sigmoid(X)", X=stored(X)), expit(X), rtol=1e-12)
    k = int(y.max())
    np.testing.assert_array_equal(call("Y = toOneHot(y, k)", y=stored(y), k=k), np.eye(k)[y[:, 0].astype(int) - 1])


@stored
def test_sigmoid(stored):
    X = np.array([[0.0, np.log(3)], [-1000, 1000]])
    np.testing.assert_allclose(call("Y = sigmoid(X)", X=stored(X)), [[0.5, 0.75], [0, 1]])


@pytest.mark.parametrize("opt_level", [0, 2])
@pytest.mark.parametrize("x", [0, 1, True, -0.5, 3.25, -800.0, 800.0, np.inf, -np.inf, np.nan])
def test_sigmoid_of_a_scalar(x, opt_level):
    with settings(opt_level=opt_level):
        found = call("y = sigmoid(x)", x=x), call("y = sigmoid(X=as.scalar(M))", M=np.array([[float(x)]]))
    assert {type(y) for y in found} == {float}
    np.testing.assert_allclose(found, expit(float(x)), rtol=1e-15)  # two libraries, whose exp may differ in the last digit


def test_sigmoid_of_a_constant_and_by_name():
    assert call("y = sigmoid(0)") == 0.5
    assert call('Y = eval("sigmoid", matrix(0, 1, 2))').tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize("argument", ['"a"', "list(1)"])
def test_sigmoid_of_anything_else_is_refused(argument):
    with pytest.raises(DMLError, match="of sigmoid must be a"):
        call(f"y = sigmoid({argument})")


def test_own_functions_are_not_chosen_by_kind():
    own = """
    sigmoid = function(matrix[double] X) return (matrix[double] Y) { Y = X }
    s_sigmoid = function(double x) return (double y) { y = x }
    y = sigmoid(3)
    """
    with pytest.raises(DMLError, match="argument 'X' of sigmoid must be a matrix"):
        dml(own).output("y").execute()


# ---------------------------------------------------------------- second derivatives from a part of the rows
@stored
def test_many_rows_lead_to_the_same_coefficients(stored):
    """As many rows for a column as it takes for steps by a part of them, of a column that is nearly always zero too."""
    rng = np.random.default_rng(5)
    X = np.column_stack([rng.normal(size=(3000, 3)) * [1, 10, 0.1], rng.integers(0, 3, 3000), np.arange(3000) % 1500 == 7])
    score = X @ [1.0, -0.1, 5, 0.5, 2] - 0.5
    y = 1.0 + (score > 0) + (score + rng.logistic(size=3000) > 1.5)
    C = call("C = multiLogReg(X=X, Y=y, icpt=1, reg=1, tol=1e-9, verbose=FALSE)", X=stored(X), y=y.reshape(-1, 1))
    members = np.eye(3)[y.astype(int) - 1][:, :-1]
    assert loss_and_gradient(C, with_ones(X), members, 1.0)[0] == pytest.approx(least_loss(X, y.reshape(-1, 1), 1.0), rel=1e-9)
    signs = np.where(y > 1, 1.0, -1.0)
    W = call("W = l2svm(X=X, Y=y, intercept=TRUE, epsilon=1e-12)", X=stored(X), y=signs.reshape(-1, 1))
    peer = svm.LinearSVC(C=0.5, tol=1e-12, dual=False, max_iter=10_000).fit(X, signs)
    np.testing.assert_allclose(W[:, 0], np.append(peer.coef_, peer.intercept_), rtol=1e-4)
    B = call("B = glm(X=X, Y=y, dfam=2, yneg=-1, icpt=2, reg=0.5, tol=1e-12, verbose=FALSE)", X=stored(X), y=signs.reshape(-1, 1))
    factor = X.std(0, ddof=1)
    peer = linear.LogisticRegression(C=2, tol=1e-12, solver="newton-cholesky").fit(X / factor, signs)
    np.testing.assert_allclose(B[:, 0], np.append(peer.coef_[0] / factor, peer.intercept_), rtol=1e-4)


VERBOSE = """
y = X %*% matrix("1 -2 3 0", 4, 1) + 0.1 * X[, 1]^2
k = 1 + (y > 0.5) + (y > 1)
ct = matrix("1 1 1 1 2", 1, 5)
B = lmCG(X, y)
B = lm(X, y)
p = lmPredict(X, B, y, 0, TRUE)
[B, S] = steplm(X, y)
B = lasso(X, y)
B = glm(X, y + 3)
M = glmPredict(X=X, B=B, ytest=y + 3)
B = multiLogReg(X, k)
[M, p, a] = multiLogRegPredict(X, B, k, TRUE)
W = l2svm(X=X, Y=k > 1, verbose=TRUE, columnId=3)
[R, p] = l2svmPredict(X, W, TRUE)
W = msvm(X=X, Y=k, verbose=TRUE)
[P, C] = naiveBayes(X, k)
"""


def test_each_builtin_tells_how_it_fares(capsys):
    script = dml(VERBOSE).input(X=np.random.default_rng(4).random((60, 4)))
    script.execute()
    told = {line.split(": ")[0] for line in capsys.readouterr().out.splitlines()}
    names = "lmCG lmDS lmPredict steplm lasso glm glmPredict multiLogReg multiLogRegPredict l2svmPredict msvm naiveBayes"
    assert told == {*names.split(), "l2svm 3"}
