"""Algorithms of the library beside those of SystemDS under the same names, and of scikit-learn where it has the same.

All are without an intercept, as far as the algorithm allows, and compared by the objective that they reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy.sparse import csr_array, random_array

from tests.benchmarks.workload import Inputs, Results, Target, Work, Workload

CLASSES = 5
DENSE = {"rows": 100_000, "cols": 200, "density": 1.0}
SPARSE = {"rows": 1_000_000, "cols": 1000, "density": 0.01}
QUICK = {"rows": 500, "cols": 10}


def _features(rows: int, cols: int, density: float, rng: np.random.Generator) -> Any:
    """Normal features; sparse ones have about as much spread in each row."""
    if density == 1:
        return rng.standard_normal((rows, cols))
    X = csr_array(random_array((rows, cols), density=density, rng=rng))
    X.data = rng.standard_normal(X.nnz)
    return X


def features(rows: int, cols: int, density: float) -> Inputs:
    return {"X": _features(rows, cols, density, np.random.default_rng(11))}


def classes(rows: int, cols: int, density: float) -> Inputs:
    """Labels drawn by the probabilities of a multinomial model."""
    rng = np.random.default_rng(12)
    X = _features(rows, cols, density, rng)
    scores = X @ (rng.standard_normal((cols, CLASSES)) * 2 / np.sqrt(cols * density)) + rng.gumbel(size=(rows, CLASSES))
    return {"X": X, "y": np.argmax(scores, axis=1)[:, None] + 1.0}


def two_classes(rows: int, cols: int, density: float) -> Inputs:
    """Labels by a plane, with noise."""
    rng = np.random.default_rng(13)
    X = _features(rows, cols, density, rng)
    score = X @ (rng.standard_normal((cols, 1)) / np.sqrt(cols * density))
    return {"X": X, "y": np.where(score + 0.5 * rng.standard_normal((rows, 1)) > 0, 1.0, -1.0)}


def counts(rows: int, cols: int, density: float) -> Inputs:
    """Poisson counts whose logarithm is linear."""
    rng = np.random.default_rng(14)
    X = _features(rows, cols, density, rng)
    return {"X": X, "y": rng.poisson(np.exp(X @ (0.5 * rng.standard_normal((cols, 1)) / np.sqrt(cols * density)))).astype(float)}


# ---------------------------------------------------------------- the same in scikit-learn
def multi_log_reg(inputs: Inputs) -> Work:
    from sklearn.linear_model import LogisticRegression

    X, y = inputs["X"], inputs["y"].ravel()

    def work() -> Callable[[], Results]:
        model = LogisticRegression(C=1.0, fit_intercept=False, solver="lbfgs", tol=1e-5, max_iter=500).fit(X, y)

        def results() -> Results:
            S = model.decision_function(X)
            top = S.max(axis=1, keepdims=True)
            own = S[np.arange(len(y)), y.astype(int) - 1]
            return {"loss": np.mean(np.log(np.exp(S - top).sum(axis=1)) + top.ravel() - own)}

        return results

    return work


def kmeans(inputs: Inputs) -> Work:
    """Seeds are any ten rows, which is the least that seeding can take."""
    from sklearn.cluster import KMeans

    model = KMeans(10, init="random", n_init=1, max_iter=20, tol=0, algorithm="lloyd", random_state=1)
    return lambda: {"inertia": model.fit(inputs["X"]).inertia_}


def pca(inputs: Inputs) -> Work:
    from sklearn.decomposition import PCA

    def work() -> Results:
        reduced = PCA(10, svd_solver="covariance_eigh").fit_transform(inputs["X"])
        return {"spread": np.sum(reduced**2)}

    return work


def l2svm(inputs: Inputs) -> Work:
    from sklearn.svm import LinearSVC

    X, y = inputs["X"], inputs["y"].ravel()

    def work() -> Callable[[], Results]:
        w = LinearSVC(loss="squared_hinge", dual=False, C=0.5, fit_intercept=False, tol=1e-2).fit(X, y).coef_.ravel()
        return lambda: {"objective": (np.sum(np.maximum(0, 1 - y * (X @ w)) ** 2) + w @ w) / 2}

    return work


def poisson(inputs: Inputs) -> Work:
    from sklearn.linear_model import PoissonRegressor

    X, y = inputs["X"], inputs["y"].ravel()

    def work() -> Callable[[], Results]:
        model = PoissonRegressor(alpha=1e-3 / len(y), fit_intercept=False, solver="lbfgs", tol=1e-4).fit(X, y)
        eta = X @ model.coef_
        return lambda: {"loss": np.mean(np.exp(eta) - y * eta)}

    return work


# ---------------------------------------------------------------- scripts
ALGORITHMS: dict[str, dict[str, Any]] = {
    "multiLogReg": {
        "inputs": classes,
        "body": "B = multiLogReg(X=X, Y=y, icpt=0, tol=1e-3, reg=1.0, maxi=100, maxii=20, verbose=FALSE)",
        "leaves": ("B",),
        "check": "S = cbind(X %*% B, matrix(0, nrow(X), 1))\nown = rowSums(S * table(seq(1, nrow(X)), y, nrow(X), ncol(S)))\n"
        "loss = mean(log(rowSums(exp(S - rowMaxs(S)))) + rowMaxs(S) - own)",
        "results": ("loss",),
        "peer": multi_log_reg,
        "tolerance": 1e-3,
        "note": "scikit-learn minimises by L-BFGS, multiLogReg by Newton steps in a trust region.",
    },
    "kmeans": {
        "inputs": features,
        "body": "[C, Y] = kmeans(X=X, k=10, runs=1, max_iter=20, eps=0, seed=1)",
        "leaves": ("C",),
        # SystemDS gives zeros where it has not converged
        "check": "inertia = ifelse(sum(C^2) == 0, 0/0, sum(X^2) - 2 * sum(rowMaxs(X %*% t(C) - t(rowSums(C^2)) / 2)))",
        "results": ("inertia",),
        "peer": kmeans,
        "tolerance": 0.01,
        "note": "20 iterations each; SystemDS makes them too, but gives no centroids where it has not converged.",
    },
    "pca": {
        "inputs": features,
        "body": "[R, Components, Centering, ScaleFactor] = pca(X=X, K=10, center=TRUE, scale=FALSE)\nspread = sum(R^2)",
        "results": ("spread",),
        "peer": pca,
    },
    "l2svm": {
        "inputs": two_classes,
        "body": "w = l2svm(X=X, Y=y, intercept=FALSE, epsilon=1e-6, reg=1.0, maxIterations=100, maxii=20, verbose=FALSE)",
        "leaves": ("w",),
        "check": "objective = (sum(max(0, 1 - y * (X %*% w))^2) + sum(w^2)) / 2",
        "results": ("objective",),
        "peer": l2svm,
        "tolerance": 1e-3,
    },
    "glm": {
        "inputs": counts,
        "body": "b = glm(X=X, Y=y, dfam=1, vpow=1.0, link=1, lpow=0.0, icpt=0, reg=1e-3, tol=1e-6, moi=50, mii=0, verbose=FALSE)",
        "leaves": ("b",),
        "check": "eta = X %*% b\nloss = mean(exp(eta) - y * eta)",
        "results": ("loss",),
        "peer": poisson,
        "tolerance": 1e-4,
        "note": "scikit-learn minimises by L-BFGS, glm by Newton steps whose equations are solved by conjugate gradients.",
    },
}


def _workloads() -> Iterator[Workload]:
    for storage, sizes, size in (("dense", DENSE, "1e5x200 dense"), ("sparse", SPARSE, "1e6x1000 at 1 %")):
        for name, about in ALGORITHMS.items():
            rest = {key: value for key, value in about.items() if key != "peer"}
            yield Workload(
                name=f"{name}-{storage}",
                title=f"{name}, {size}",
                full=sizes,
                quick=QUICK | {"density": 1.0 if storage == "dense" else 0.3},
                peers={"scikit-learn": about["peer"]},
                targets=(Target("systemds", "faster", 2), Target("scikit-learn", "at most", 1.2)),
                repeats=1,
                **rest,
            )


WORKLOADS = tuple(_workloads())
