"""Weak scaling of linear regression by conjugate gradients: as many rows for each worker, on one and two, and what is expected of more.

    python -m tests.benchmarks.scaling [--rows 500000] [--rounds 3]

Each run is a process of its own with workers of one thread each; the least of its later runs counts. What is expected are the
seconds of the plan that the same machine makes for so many workers.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import replace
from time import perf_counter

from tests.benchmarks import workers
from tests.benchmarks.runs import run_process
from tests.benchmarks.workloads.dense import LRCG, regression

COLUMNS, ITERATIONS = 100, 10
MEASURED, EXPECTED = (1, 2), (1, 2, 4, 8, 16, 32, 64)
# One iteration as a block of its own.
STEP = LRCG.split("{\n", 1)[1].split("}", 1)[0]


def measure(count: int, rows: int) -> float:
    """Seconds of all iterations on so many workers, X being there."""
    from dmlite import MLContext, dml

    inputs = workers.for_dmlite(regression(rows * count, COLUMNS, ITERATIONS), ("X", "y"), count)
    program = dml(LRCG).input(**inputs).output("size")
    times = []
    for _ in range(6):
        start = perf_counter()
        MLContext().execute(program)
        times.append(perf_counter() - start)
    return min(times[2:])


def expected(count: int, rows: int) -> float:
    """What the planner expects of the same."""
    from dmlite.config import settings
    from dmlite.flow import Unit, compile
    from dmlite.hop.facts import matrix, scalar
    from dmlite.hop.machine import here
    from dmlite.plan.placement import expected_seconds

    with settings(exec="dask"):
        here_ = here()
        assert here_.cluster is not None
        machine = replace(here_, cluster=replace(here_.cluster, workers=count, memory=workers.MEMORY, chunk=workers.CHUNK))
        thin = matrix(COLUMNS, 1, dense=True)
        facts = {"X": matrix(rows * count, COLUMNS, dense=True), "p": thin, "r": thin, "w": thin, "norm": scalar("double")}
        unit = compile(Unit(STEP, inputs=facts, outputs=["p", "r", "w", "norm"], machine=machine), show=True)
        (block,) = unit.program.main.body
        unit.engine.plan_block("step", block, {name: facts[name] for name in block.inputs}, chunked=frozenset({"X"}), show=True)
        return ITERATIONS * expected_seconds(unit.engine.runs[-1].plan)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=500_000, help="for each worker")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each number of workers")
    parser.add_argument("--of", type=int, help=argparse.SUPPRESS)  # one run, in the process that was started for it
    chosen = parser.parse_args()
    if chosen.of:
        print(measure(chosen.of, chosen.rows))
        return
    found: dict[int, list[float]] = {count: [] for count in MEASURED}
    for _ in range(chosen.rounds):
        for count in MEASURED:
            command = [sys.executable, "-m", "tests.benchmarks.scaling", "--rows", chosen.rows, "--of", count]
            found[count].append(float(run_process(command)[0].splitlines()[-1]))
    print(f"{ITERATIONS} iterations, {chosen.rows} x {COLUMNS} for each worker\n\n| workers | measured | expected |\n| --- | --- | --- |")
    for count in EXPECTED:
        seconds = f"{statistics.median(found[count]):.2f} s" if count in found else ""
        print(f"| {count} | {seconds} | {expected(count, chosen.rows):.2f} s |")


if __name__ == "__main__":
    main()
