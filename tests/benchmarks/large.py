"""Scripts over large matrices beside the same arithmetic by hand: chains of cells, products with a tall matrix, a sparse factorisation.

    python tests/benchmarks/large.py [--rounds 7] [--scale 1.0]

All in one process, alternating, results checked equal; medians and the range of the rounds. `copy` is what the memory gives.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from scipy.sparse import csr_array, random_array

from dmlite import MLContext, dml, settings
from dmlite.backends.local import compiled

Runs = dict[str, Callable[[], Any]]


def script(text: str, inputs: dict[str, Any], output: str) -> Callable[[], Any]:
    """Runs a script whose program is compiled already."""
    context, program = MLContext(), dml(text).input(**inputs).output(output)
    context.execute(program)
    return lambda: context.execute(program).get(output)


def chains(rng: np.random.Generator, scale: float) -> Runs:
    """Two chains of cells, each summed up."""
    shape = int(10_000 * scale), 2000
    X, Y, w = rng.uniform(size=shape), rng.uniform(size=shape), rng.uniform(size=(shape[0], 1))

    def by_hand() -> float:
        A = (X * Y + X * 0.5 - Y) / (1 + np.abs(X))
        return float((A * X).sum() + (np.exp(-X) * w + Y**2).sum())

    text = "A = (X * Y + X * 0.5 - Y) / (1 + abs(X))\ns = sum(A * X) + sum(exp(-X) * w + Y^2)"
    return {"dmlite": script(text, {"X": X, "Y": Y, "w": w}, "s"), "NumPy by hand": by_hand}


def power_iteration(rng: np.random.Generator, scale: float) -> Runs:
    """Five products with t(X) %*% X, which is never made."""
    X, v = rng.uniform(size=(int(1_000_000 * scale), 100)), rng.uniform(size=(100, 1))
    copied = np.empty_like(X)

    def by_hand() -> np.ndarray:
        p = v
        for _ in range(5):
            q = X.T @ (X @ p) + 0.001 * p
            p = q / np.sqrt((q**2).sum())
        return p

    def copy() -> None:
        for _ in range(5):
            copied[:] = X

    text = "p = v\nfor (i in 1:5) {\n  q = t(X) %*% (X %*% p) + 0.001 * p\n  p = q / sqrt(sum(q^2))\n}"
    return {"dmlite": script(text, {"X": X, "v": v}, "p"), "NumPy by hand": by_hand, "copy": copy}


def factorisation(rng: np.random.Generator, scale: float) -> Runs:
    """Three times both weighted divisions and the loss of a factorisation."""
    rows, cols = int(20_000 * scale), 10_000
    W = csr_array(random_array((rows, cols), density=0.01, rng=rng))
    U, V = rng.uniform(0.1, 1, size=(rows, 20)), rng.uniform(0.1, 1, size=(cols, 20))
    text = (
        "s = 0\nfor (i in 1:3) {\n  A = (W / (U %*% t(V))) %*% V\n  B = t(U) %*% (W / (U %*% t(V)))\n"
        "  s = s + sum((W - U %*% t(V))^2) + sum(A) + sum(B)\n  U = U * 1.01\n}"
    )
    run = script(text, {"W": W, "U": U, "V": V}, "s")
    compiled.wait()

    def plain() -> float:
        with settings(compile=False):
            return run()

    return {"dmlite": run, "without compiled loops": plain}


def report(name: str, runs: Runs, rounds: int) -> None:
    results = [np.asarray(run()) for run in runs.values()]
    for other in results[1:]:
        assert other.dtype == object or np.allclose(other, results[0], rtol=1e-9), f"{name}: results differ"
    seconds: dict[str, list[float]] = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            start = perf_counter()
            run()
            seconds[key].append(perf_counter() - start)
    base = statistics.median(seconds["dmlite"])
    for key, found in seconds.items():
        middle = statistics.median(found)
        print(f"{name:18s} {key:24s} {middle:7.3f} s ({min(found):.3f} to {max(found):.3f})   {middle / base:5.2f} x dmlite")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
    args = parser.parse_args()
    for workload in (chains, power_iteration, factorisation):
        report(workload.__name__, workload(np.random.default_rng(7), args.scale), args.rounds)


if __name__ == "__main__":
    main()
