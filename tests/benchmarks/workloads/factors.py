"""Factorisations of large sparse matrices: weighted products, and alternating least squares."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array, random_array

from tests.benchmarks.workload import Inputs, Results, Target, Workload

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


def wdivmm_numba(inputs: Inputs) -> Callable[[], Results]:
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


def wdivmm_scipy(inputs: Inputs) -> Callable[[], Results]:
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
)
