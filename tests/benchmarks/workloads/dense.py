"""Large dense matrices: linear regression by conjugate gradients, and chains of cellwise operators."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tests.benchmarks.workload import CORES, Inputs, Results, Target, Work, Workload

# ---------------------------------------------------------------- conjugate gradients
LRCG = """
r = -(t(X) %*% y)
p = -r
norm = sum(r^2)
w = matrix(0, rows=ncol(X), cols=1)
for (i in 1:iterations) {
  q = t(X) %*% (X %*% p) + 0.001 * p
  alpha = norm / sum(p * q)
  w = w + alpha * p
  r = r + alpha * q
  before = norm
  norm = sum(r^2)
  p = -r + (norm / before) * p
}
size = sum(w^2)
total = sum(w)
"""


def regression(rows: int, cols: int, iterations: int) -> Inputs:
    """Columns of such different lengths that the iterations do not converge to the last digit."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((rows, cols)) * np.logspace(0, -1, cols)
    return {"X": X, "y": X @ np.linspace(-1, 1, cols)[:, None] + rng.standard_normal((rows, 1)), "iterations": iterations}


def lrcg_numpy(inputs: Inputs) -> Work:
    X, y = inputs["X"], inputs["y"]
    return conjugate(inputs["iterations"], lambda: X.T @ y, lambda p: X.T @ (X @ p))


def conjugate(iterations: int, start: Callable[[], np.ndarray], product: Callable[[np.ndarray], np.ndarray]) -> Work:
    """start: gives t(X) %*% y. product: t(X) %*% (X %*% p) of p."""

    def work() -> Results:
        r = -start()
        p, norm, w = -r, np.sum(r**2), np.zeros_like(r)
        for _ in range(iterations):
            q = product(p) + 0.001 * p
            alpha = norm / np.sum(p * q)
            w = w + alpha * p
            r = r + alpha * q
            before, norm = norm, np.sum(r**2)
            p = -r + (norm / before) * p
        return {"size": np.sum(w**2), "total": np.sum(w)}

    return work


def lrcg_numba(inputs: Inputs) -> Work:
    """The two products with X in one pass."""
    from tests.benchmarks.workloads import by_hand

    X, y = inputs["X"], inputs["y"]
    return conjugate(inputs["iterations"], lambda: X.T @ y, lambda p: by_hand.gram_vector(X, p.ravel(), CORES)[:, None])


def copy(inputs: Inputs) -> Work:
    """Copies X as often as the script reads it, with a thread for each core."""
    X = inputs["X"]
    Y = np.empty_like(X)
    parts = [slice(len(X) * k // CORES, len(X) * (k + 1) // CORES) for k in range(CORES)]
    pool = ThreadPoolExecutor(CORES)

    def work() -> Results:
        for _ in range(inputs["iterations"] + 1):
            list(pool.map(lambda part: np.copyto(Y[part], X[part]), parts))
        return {}

    return work


# ---------------------------------------------------------------- chains of cells
CHAINS = """
total = 0
for (i in 1:iterations) {
  s = i / 10
  A = (X * Y + X * s - Y) / (1 + abs(X))
  total = total + sum(exp(-X * s) * w + abs(Y - s))
}
last = sum(A)
"""


def cells(rows: int, cols: int, iterations: int) -> Inputs:
    rng = np.random.default_rng(4)
    return {"X": rng.random((rows, cols)) - 0.5, "Y": rng.random((rows, cols)), "w": rng.random((rows, 1)), "iterations": iterations}


def chains_numpy(inputs: Inputs) -> Work:
    X, Y, w = inputs["X"], inputs["Y"], inputs["w"]

    def work() -> Results:
        total = 0.0
        for i in range(1, inputs["iterations"] + 1):
            s = i / 10
            A = (X * Y + X * s - Y) / (1 + np.abs(X))
            total += np.sum(np.exp(-X * s) * w + np.abs(Y - s))
        return {"total": total, "last": np.sum(A)}

    return work


def chains_numba(inputs: Inputs) -> Work:
    """Both chains in one pass."""
    from tests.benchmarks.workloads import by_hand

    X, Y, w = inputs["X"], inputs["Y"], inputs["w"]

    def work() -> Results:
        A = np.empty_like(X)
        total = sum(by_hand.chains(X, Y, w, i / 10, A) for i in range(1, inputs["iterations"] + 1))
        return {"total": total, "last": np.sum(A)}

    return work


WORKLOADS = (
    Workload(
        name="lrcg",
        title="LR-CG 1e6x100, 30 iterations",
        inputs=regression,
        body=LRCG,
        results=("size", "total"),
        full={"rows": 1_000_000, "cols": 100, "iterations": 30},
        quick={"rows": 2000, "cols": 20, "iterations": 5},
        peers={"numpy": lrcg_numpy, "numba": lrcg_numba, "copy": copy},
        targets=(
            Target("systemds", "faster", 1.5),
            Target("numpy", "faster", 1.5),
            Target("copy", "bandwidth", 0.7),
        ),
        tolerance=1e-6,
    ),
    Workload(
        name="chains",
        title="two cellwise chains 10,000x5,000, 5 times",
        inputs=cells,
        body=CHAINS,
        results=("total", "last"),
        full={"rows": 10_000, "cols": 5000, "iterations": 5},
        quick={"rows": 200, "cols": 30, "iterations": 2},
        peers={"numpy": chains_numpy, "numba": chains_numba},
        targets=(Target("systemds", "faster", 3), Target("numpy", "faster", 1.4), Target("numba", "at most", 1.15)),
        tolerance=1e-9,
    ),
)
