"""Matrices on two worker processes: dmlite beside expressions of dask.array, and beside a task a chunk fused by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tests.benchmarks import workers
from tests.benchmarks.workload import Inputs, Results, Target, Work, Workload
from tests.benchmarks.workloads import dense, factors

AT_ONCE = 8  # partial results that one task adds


class Arrays:
    """dask.arrays over the chunks of matrices, which are there before."""

    def __init__(self, inputs: Inputs, names: Sequence[str]):
        import dask.array as da

        self.client = workers.start()
        kinds = {name: inputs[name].shape[1] for name in names}
        bounds, parts = workers.spread(self.client, inputs, names)
        heights = np.diff(bounds).tolist()
        for name, cols in kinds.items():
            pieces = [da.from_delayed(part, (rows, cols), float) for part, rows in zip(parts[name], heights, strict=True)]
            setattr(self, name, self.client.persist(da.concatenate(pieces)))


class Tasks:
    """Chunks of matrices, and functions that run for each, by hand."""

    def __init__(self, inputs: Inputs, names: Sequence[str]):
        self.client = workers.start()
        self.bounds, self.parts = workers.spread(self.client, inputs, names)

    def total(self, function: Callable[..., Any], *names: str, also: Sequence[Any] = ()) -> Any:
        """The sum of what the function makes of every chunk of those matrices, and of what every task gets also."""
        columns = [self.parts[name] for name in names]
        count = len(columns[0])
        found = self.client.map(function, *columns, *([value] * count for value in also), pure=False)
        while len(found) > 1:
            found = [self.client.submit(added, found[i : i + AT_ONCE], pure=False) for i in range(0, len(found), AT_ONCE)]
        return found[0].result()


def added(parts: Sequence[Any]) -> Any:
    """Tuples are added by their places."""
    if isinstance(parts[0], tuple):
        return tuple(sum(column[1:], column[0]) for column in zip(*parts, strict=True))
    return sum(parts[1:], parts[0])


# ---------------------------------------------------------------- conjugate gradients
def lrcg_array(inputs: Inputs) -> Work:
    on = Arrays(inputs, ("X", "y"))
    return dense.conjugate(inputs["iterations"], lambda: (on.X.T @ on.y).compute(), lambda p: (on.X.T @ (on.X @ p)).compute())


def lrcg_tasks(inputs: Inputs) -> Work:
    on = Tasks(inputs, ("X", "y"))
    return dense.conjugate(inputs["iterations"], lambda: on.total(_left, "X", "y"), lambda p: on.total(_gram_vector, "X", also=[p]))


def _left(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return X.T @ y


def _gram_vector(X: np.ndarray, p: np.ndarray) -> np.ndarray:
    return X.T @ (X @ p)


# ---------------------------------------------------------------- cells
CELLS = """
loss = 0
columns = matrix(0, rows=1, cols=ncol(X))
for (i in 1:iterations) {
  s = i / 10
  loss = loss + sum((X * s + Y)^2)
  columns = columns + colSums(abs(X - s * Y))
}
size = sum(columns^2)
"""


def cells(rows: int, cols: int, iterations: int) -> Inputs:
    rng = np.random.default_rng(4)
    return {"X": rng.random((rows, cols)) - 0.5, "Y": rng.random((rows, cols)), "iterations": iterations}


def _aggregated(iterations: int, step: Callable[[float], tuple[Any, Any]]) -> Work:
    def work() -> Results:
        loss, columns = 0.0, 0.0
        for i in range(1, iterations + 1):
            more, sums = step(i / 10)
            loss, columns = loss + more, columns + sums
        return {"loss": loss, "size": np.sum(columns**2)}

    return work


def cells_array(inputs: Inputs) -> Work:
    import dask
    import dask.array as da

    on = Arrays(inputs, ("X", "Y"))
    return _aggregated(inputs["iterations"], lambda s: dask.compute(((on.X * s + on.Y) ** 2).sum(), da.abs(on.X - s * on.Y).sum(0)))


def cells_tasks(inputs: Inputs) -> Work:
    on = Tasks(inputs, ("X", "Y"))
    return _aggregated(inputs["iterations"], lambda s: on.total(_cells, "X", "Y", also=[s]))


def _cells(X: np.ndarray, Y: np.ndarray, s: float) -> tuple[float, np.ndarray]:
    """As few arrays as NumPy needs."""
    left = X * s
    left += Y
    loss = np.vdot(left, left)
    np.multiply(Y, s, out=left)
    np.subtract(X, left, out=left)
    np.abs(left, out=left)
    return loss, left.sum(0)


# ---------------------------------------------------------------- t(X) X
TSMM = """
G = t(X) %*% X
size = sum(G^2)
total = trace(G)
"""


def tall(rows: int, cols: int) -> Inputs:
    rng = np.random.default_rng(6)
    return {"X": rng.standard_normal((rows, cols))}


def tsmm_array(inputs: Inputs) -> Work:
    on = Arrays(inputs, ("X",))
    return _of_gram(lambda: (on.X.T @ on.X).compute())


def tsmm_tasks(inputs: Inputs) -> Work:
    on = Tasks(inputs, ("X",))
    return _of_gram(lambda: on.total(_gram, "X"))


def _gram(X: np.ndarray) -> np.ndarray:
    return X.T @ X


def _of_gram(gram: Callable[[], np.ndarray]) -> Work:
    def work() -> Results:
        G = gram()
        return {"size": np.sum(G**2), "total": np.trace(G)}

    return work


_PLANNING = Target("dmlite", "planning", 0.05)


def _row(name: str, array: Callable[[Inputs], Work], tasks: Callable[[Inputs], Work], spread: tuple[str, ...], **more: Any) -> Workload:
    targets = (*more.pop("targets"), _PLANNING)
    return Workload(name=name, peers={"dask-array": array, "dask-tasks": tasks}, spread=spread, targets=targets, **more)


WORKLOADS = (
    _row(
        "dask-lrcg",
        lrcg_array,
        lrcg_tasks,
        ("X", "y"),
        title="LR-CG 1e6x100 on two workers, 30 iterations",
        inputs=dense.regression,
        body=dense.LRCG,
        results=("size", "total"),
        full={"rows": 1_000_000, "cols": 100, "iterations": 30},
        quick={"rows": 2000, "cols": 20, "iterations": 5},
        targets=(Target("dask-array", "at most", 0.65), Target("dask-tasks", "at most", 1.1)),
    ),
    _row(
        "dask-cells",
        cells_array,
        cells_tasks,
        ("X", "Y"),
        title="cellwise aggregates 500,000x100 on two workers, 10 times",
        inputs=cells,
        body=CELLS,
        results=("loss", "size"),
        full={"rows": 500_000, "cols": 100, "iterations": 10},
        quick={"rows": 2000, "cols": 20, "iterations": 2},
        targets=(Target("dask-array", "at most", 0.65), Target("dask-tasks", "at most", 1.1)),
    ),
    _row(
        "dask-tsmm",
        tsmm_array,
        tsmm_tasks,
        ("X",),
        title="t(X) X 500,000x200 on two workers",
        inputs=tall,
        body=TSMM,
        results=("size", "total"),
        full={"rows": 500_000, "cols": 200},
        quick={"rows": 2000, "cols": 20},
        targets=(Target("dask-array", "at most", 1.0), Target("dask-tasks", "at most", 1.1)),
    ),
    replace(
        factors.ALTERNATING,
        name="dask-als",
        title="ALS, 2e6 ratings, rank 10, on two workers, to equal RMSE",
        spread=("X",),
        targets=(Target("mllib", "faster", 1), _PLANNING),
    ),
)
