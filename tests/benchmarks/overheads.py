"""What dmlite adds to the arithmetic: time per operator on 30x30 matrices, a whole `print(1)` process, compiling 1,000 lines.

python tests/benchmarks/overheads.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
from time import perf_counter

import numpy as np

from dmlite import MLContext, dml
from dmlite.flow import Unit, compile

REPEAT = 3000
OPERATORS = 12  # per iteration, in both versions below
SCRIPT = """
A = X
s = 0.0
for (i in 1:n) {
  B = A %*% X
  C = B + X
  D = exp(C * -0.01)
  E = D / (B * B + 1.5)
  A = (E - C) * 0.001 + t(X)
  s = s + sum(A)
}
"""


def by_hand(X: np.ndarray, n: int) -> float:
    A, s = X, 0.0
    for _ in range(n):
        B = A @ X
        C = B + X
        D = np.exp(C * -0.01)
        E = D / (B * B + 1.5)
        A = (E - C) * 0.001 + X.T
        s = s + A.sum()
    return float(s)


def per_operator(rounds: int) -> None:
    X = np.random.default_rng(0).normal(size=(30, 30)) / 30
    script = dml(SCRIPT).input(X=X, n=REPEAT).output("s")
    ml = MLContext()
    assert abs(ml.execute(script).get("s") - by_hand(X, REPEAT)) <= 1e-9 * abs(by_hand(X, REPEAT))
    extra = []
    for _ in range(rounds):
        start = perf_counter()
        ml.execute(script)
        middle = perf_counter()
        by_hand(X, REPEAT)
        end = perf_counter()
        extra.append(((middle - start) - (end - middle)) / (REPEAT * OPERATORS) * 1e6)
    print(f"30x30 operators: {statistics.median(extra):+.3f} us each over NumPy ({min(extra):+.3f} to {max(extra):+.3f})")


def process(rounds: int) -> None:
    """With the bytecode of dmlite on disk, as after an installation; a checkout whose bytecode may not be written takes twice as long."""
    times = []
    with tempfile.TemporaryDirectory() as cache:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"PYTHONPYCACHEPREFIX": cache}
        for _ in range(rounds + 1):
            start = perf_counter()
            subprocess.run([sys.executable, "-m", "dmlite", "run", "-s", "print(1)"], check=True, capture_output=True, env=environment)
            times.append(perf_counter() - start)
    times = times[1:]
    print(f"print(1) as a process: {statistics.median(times):.3f} s ({min(times):.3f} to {max(times):.3f})")


def long_script(lines: int, seed: int = 1) -> str:
    """A script of `lines` lines: matrices, scalars, branches, loops and stores that build on one another."""
    draw = random.Random(seed)
    out = ["A0 = matrix(seq(1, 9), 3, 3)", "s0 = 1.5"]
    i = 0
    while len(out) < lines:
        i, j = i + 1, max(0, i - draw.randrange(0, 4))
        out += draw.choice(
            [
                [f"A{i} = A{j} * 2 + t(A{j})", f"s{i} = sum(A{i})"],
                [f"A{i} = A{j} %*% A{j} / 100", f"s{i} = s{j} + 1"],
                [f"if (s{j} > 3) {{ s{i} = 1.0 }} else {{ s{i} = 2.0 }}", f"A{i} = A{j} / s{i}"],
                [f"A{i} = A{j}", f"A{i}[1, 2] = s{j}", f"s{i} = as.scalar(A{i}[2, 2])"],
                [f"s{i} = s{j}", f"for (q in 1:3) {{ s{i} = s{i} + q }}", f"A{i} = A{j} - min(A{j})"],
            ]
        )
    return "\n".join(out[:lines])


def compiling(rounds: int) -> None:
    text = long_script(1000)
    times, runs = [], []
    for _ in range(rounds):
        start = perf_counter()
        unit = compile(Unit(text))
        times.append(perf_counter() - start)
        assert unit.engine is not None
        start = perf_counter()
        unit.engine.run({})
        runs.append(perf_counter() - start)
    first, ran = statistics.median(times), statistics.median(runs)
    print(f"1,000 lines: compiled in {first:.3f} s ({min(times):.3f} to {max(times):.3f}), planned and run in {ran:.3f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    per_operator(rounds)
    process(rounds)
    compiling(rounds)
