"""Is the planner right about where to run? Forty cases around the crossover, each measured with both placements.

`python -m tests.benchmarks.placements` puts matrices of four sizes on two workers and computes ten things from each: on the workers,
here after collecting, and as the planner chooses. It prints how often the choice takes at most 1.3 times as long as the better one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import Any, Final

import numpy as np

from dmlite import dml
from dmlite.config import settings
from dmlite.runtime.exchange import Matrix
from tests.benchmarks import workers

SCRIPTS: Final = {
    "sum": "s = sum(X)",
    "extremes": "s = max(X) - min(X)",
    "squares": "s = sum(X^2)",
    "functions": "s = sum(exp(-X) * X)",
    "sums by column": "s = sum(colSums(X)^2)",
    "sums by row": "s = max(rowSums(X))",
    "product with a vector": "s = sum((X %*% v)^2)",
    "chain": "s = sum(t(X) %*% (X %*% v))",
    "transpose-self": "s = sum((t(X) %*% X)^2)",
    "some rows": "s = sum(X[2:90, ] * 2)",
}
ROWS: Final = (500, 5_000, 50_000, 500_000)  # of 20 columns: 80 KB to 80 MB
COLS: Final = 20
WITHIN: Final = 1.3
_TIMES: Final = 9


def main() -> int:
    client = workers.start()
    on = {"cluster": client.scheduler.address}
    rng = np.random.default_rng(1)
    v, good, cases = rng.random((COLS, 1)), 0, 0
    for rows in ROWS:
        values = rng.random((rows, COLS))
        chunked = _placed(client, values)
        for name, text in SCRIPTS.items():
            there, here, chosen = _timed(
                lambda text=text, x=chunked: _run(text, x, v, **on, exec="dask", chunk=1 << 21),
                lambda text=text, x=chunked: _run(text, x.toNumPy(), v, exec="local"),
                lambda text=text, x=chunked: _run(text, x, v, **on, exec="auto"),
            )
            backend = _runs_there(text, chunked, v, on)
            better, took = min(here, there), there if backend else here
            cases, good = cases + 1, good + (took <= WITHIN * better)
            place = "workers" if backend else "here"
            times = f"here {1e3 * here:8.1f} ms  workers {1e3 * there:8.1f} ms  chosen {place} ({1e3 * chosen:.1f} ms)"
            print(f"{rows:>7} rows  {name:<22} {times}", flush=True)
    print(f"within {WITHIN} x of the better: {good} of {cases}, {good / cases:.0%}")
    return 0


def _placed(client: Any, values: np.ndarray) -> Matrix:
    from dmlite.backends.dask.chunked import Chunked
    from dmlite.backends.dask.cluster import session

    with settings(cluster=client.scheduler.address):
        at = session()
    bounds = workers.cuts(len(values), 8 * COLS, len(client.nthreads()))
    return Matrix(Chunked(at, workers.placed(at.client, values, bounds), bounds, COLS, dense=True))


def _run(text: str, x: Any, v: np.ndarray, **changes: Any) -> Any:
    with settings(**changes):
        return dml(text).input(X=x, v=v).output("s").execute()


def _timed(*works: Callable[[], Any]) -> list[float]:
    """The median of each, which take turns, after planning and compiling."""
    took: list[list[float]] = [[] for _ in works]
    for turn in range(_TIMES + 1):
        for times, work in zip(took, works, strict=True):
            start = perf_counter()
            work()
            if turn:
                times.append(perf_counter() - start)
    return [median(times) for times in took]


def _runs_there(text: str, x: Matrix, v: np.ndarray, on: dict[str, str]) -> bool:
    """Whether any of the planner's plan runs on workers."""
    with settings(**on, exec="auto"):
        runs = dml(text).input(X=x, v=v).output("s").compile().engine.runs
    return any(step.there is not None for run in runs for step in run.plan.steps)


if __name__ == "__main__":
    sys.exit(main())
