"""Factorisations of large sparse matrices: weighted products, and alternating least squares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.sparse import csr_array, random_array

from tests.benchmarks.workload import Inputs, Results, Target, Work, Workload

# ---------------------------------------------------------------- weighted division, both sides, and the squared loss
WDIVMM = """
loss = 0
for (i in 1:iterations) {
  R = (W / (U %*% t(V))) %*% V
  L = t(t(U) %*% (W / (U %*% t(V))))
  loss = loss + sum((W - U %*% t(V))^2)
  U = 0.9 * U + 0.002 * R
  V = 0.9 * V + 0.001 * L
}
size = sum(U^2) + sum(V^2)
"""


def weights(rows: int, cols: int, density: float, rank: int, iterations: int) -> Inputs:
    rng = np.random.default_rng(7)
    W = csr_array(random_array((rows, cols), density=density, rng=rng))
    W.data += 0.1
    return {"W": W, "U": rng.uniform(0.1, 1, (rows, rank)), "V": rng.uniform(0.1, 1, (cols, rank)), "iterations": iterations}


def wdivmm_numba(inputs: Inputs) -> Work:
    """Products by hand over CSR, the one from the left over a transposed copy that is made once before."""
    from tests.benchmarks.workloads import by_hand

    W = inputs["W"]
    T = csr_array(W.T)
    of_rows, of_columns = (W.data, W.indices, W.indptr), (T.data, T.indices, T.indptr)

    def work() -> Results:
        U, V, loss = inputs["U"], inputs["V"], 0.0
        for _ in range(inputs["iterations"]):
            R = by_hand.weighted_right(*of_rows, U, V)
            L = by_hand.weighted_right(*of_columns, V, U)
            loss += by_hand.known_part(*of_rows, U, V) + np.sum((U.T @ U) * (V.T @ V))
            U = 0.9 * U + 0.002 * R
            V = 0.9 * V + 0.001 * L
        return {"loss": loss, "size": np.sum(U**2) + np.sum(V**2)}

    return work


def wdivmm_scipy(inputs: Inputs) -> Work:
    """The product in the cells of W by gathered rows, a stretch of them at a time, then sparse products."""
    W = inputs["W"]
    rows = np.repeat(np.arange(W.shape[0]), np.diff(W.indptr))
    stretches = [slice(k, k + 100_000) for k in range(0, W.nnz, 100_000)]

    def work() -> Results:
        U, V, loss = inputs["U"], inputs["V"], 0.0
        for _ in range(inputs["iterations"]):
            inner = np.concatenate([np.einsum("ij,ij->i", U[rows[s]], V[W.indices[s]]) for s in stretches])
            Q = csr_array((W.data / inner, W.indices, W.indptr), shape=W.shape)
            R, L = Q @ V, Q.T @ U
            loss += np.sum(W.data * (W.data - 2 * inner)) + np.sum((U.T @ U) * (V.T @ V))
            U = 0.9 * U + 0.002 * R
            V = 0.9 * V + 0.001 * L
        return {"loss": loss, "size": np.sum(U**2) + np.sum(V**2)}

    return work


# ---------------------------------------------------------------- alternating least squares
ALS = """
[U, V] = alsCG(X=X, rank=rank, regType="wL2", reg=reg, maxi=turns, check=FALSE, thr=0.0001, seed=7, verbose=FALSE)
"""
ALS_CHECK = "rmse = sqrt(sum((X != 0) * (X - U %*% V)^2) / sum(X != 0))"


def ratings(rows: int, cols: int, known: int, rank: int, reg: float, turns: int, turns_systemds: int, turns_mllib: int) -> Inputs:
    """Ratings of about `known` items, some much more popular than others, by a model of that rank around 3, with noise."""
    rng = np.random.default_rng(5)
    popular = np.cumsum(1 / np.arange(20, cols + 20))
    cells = rng.integers(0, rows, known) * np.int64(cols) + np.searchsorted(popular, rng.random(known) * popular[-1])
    row, col = np.divmod(np.unique(cells), cols)
    U, V = rng.normal(size=(rows, rank)), rng.normal(size=(cols, rank))
    values = 3 + np.einsum("ij,ij->i", U[row], V[col]) / np.sqrt(rank) + 0.5 * rng.normal(size=len(row))
    X = csr_array((values, (row, col)), shape=(rows, cols))
    return {"X": X, "rank": rank, "reg": reg, "turns": turns, "turns_systemds": turns_systemds, "turns_mllib": turns_mllib}


def als_mllib(inputs: Inputs) -> Work:
    """Spark in one process with two threads; the ratings are cached before."""
    import tempfile

    from pyspark.ml.recommendation import ALS
    from pyspark.sql import SparkSession

    X = inputs["X"].tocoo()
    settings = {"spark.driver.memory": "4g", "spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    folder = tempfile.TemporaryDirectory()
    np.savetxt(f"{folder.name}/ratings.csv", np.c_[X.row, X.col, X.data], delimiter=",", fmt=["%d", "%d", "%.17g"])
    table = session.read.csv(folder.name, schema="user INT, item INT, rating DOUBLE").cache()
    table.count()
    model = ALS(rank=inputs["rank"], maxIter=inputs["turns_mllib"], regParam=inputs["reg"], seed=7)

    def work() -> Callable[[], Results]:
        found = model.fit(table)

        def results() -> Results:
            folder.cleanup()
            sides = []
            for factors, count in ((found.userFactors, X.shape[0]), (found.itemFactors, X.shape[1])):
                sides.append(np.zeros((count, inputs["rank"])))
                for row in factors.collect():
                    sides[-1][row["id"]] = row["features"]
            return {"rmse": np.sqrt(np.mean((X.data - np.einsum("ij,ij->i", sides[0][X.row], sides[1][X.col])) ** 2))}

        return results

    return work


ALTERNATING = Workload(
    name="als",
    title="ALS, 2e6 ratings, rank 10, to equal RMSE",
    inputs=ratings,
    body=ALS,
    others=ALS.replace("maxi=turns", "maxi=turns_systemds"),
    check=ALS_CHECK,
    leaves=("U", "V"),
    results=("rmse",),
    full={
        **{"rows": 60_000, "cols": 10_000, "known": 2_100_000, "rank": 10, "reg": 0.05},
        **{"turns": 6, "turns_systemds": 22, "turns_mllib": 8},
    },
    quick={
        **{"rows": 200, "cols": 50, "known": 5000, "rank": 1, "reg": 0.05},
        **{"turns": 8, "turns_systemds": 16, "turns_mllib": 8},
    },
    peers={"mllib": als_mllib},
    targets=(Target("systemds", "faster", 3), Target("mllib", "faster", 5)),
    repeats=1,
    tolerance=0.02,
    note="Each makes as many turns as it needs for an RMSE of at most 0.565 on the ratings it learns from, with the same penalty, "
    "which counts each factor as often as it has ratings: alsCG 6, SystemDS 22 (it counts both sides of a turn), MLlib 8.",
)

WORKLOADS = (
    Workload(
        name="wdivmm",
        title="wdivmm left + right + wsloss 20,000x10,000 at 1 %, rank 20, 10 times",
        inputs=weights,
        body=WDIVMM,
        results=("loss", "size"),
        full={"rows": 20_000, "cols": 10_000, "density": 0.01, "rank": 20, "iterations": 10},
        quick={"rows": 200, "cols": 100, "density": 0.1, "rank": 3, "iterations": 2},
        peers={"numpy": wdivmm_scipy, "numba": wdivmm_numba},
        targets=(Target("systemds", "faster", 3), Target("numba", "at most", 1.15)),
        tolerance=1e-9,
    ),
    ALTERNATING,
    # what als does of itself: the same number of turns, with a penalty that counts each factor once, as MLlib does not have it
    replace(
        ALTERNATING,
        name="als-direct",
        title="als as it comes, 2e6 ratings, rank 10, to equal RMSE",
        body=ALS.replace("alsCG", "als").replace("wL2", "L2").replace("reg=reg", "reg=2.0"),
        note="As als, but dmlite solves the normal equations, with a penalty of 2 that counts each factor once.",
    ),
)
