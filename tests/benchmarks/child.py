"""One run of one peer in a process of its own: load the inputs, work, work again, tell about it in one line of JSON.

python -m tests.benchmarks.child WORKLOAD PEER FOLDER REPEATS|prime
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from tests.benchmarks.workload import Inputs, Results, Work, Workload, load
from tests.benchmarks.workloads import WORKLOADS

PRIMED = 5.0  # seconds of runs


def main(name: str, peer: str, folder: str, repeats: str) -> None:
    workload = WORKLOADS[name]
    inputs = load(Path(folder))
    if peer == "dmlite" and workload.spread:
        from tests.benchmarks import workers

        inputs = workers.for_dmlite(inputs, workload.spread)
    work = with_dmlite(workload, inputs) if peer == "dmlite" else workload.peers[peer](inputs)
    if repeats == "prime":
        prime(work)
        return
    first, found = timed(work)
    results = found() if callable(found) else found
    del found
    later = []
    if int(repeats):
        if peer == "dmlite":
            settle()
        timed(work)  # not counted: what was compiled comes into use
        later = [timed(work)[0] for _ in range(int(repeats))]
    planning = planned(workload, inputs) if later and peer == "dmlite" and workload.spread else 0.0
    print(json.dumps({"first": first, "later": later, "results": results, "planning": planning}))


def with_dmlite(workload: Workload, inputs: Inputs) -> Work:
    """The script of the workload, compiled in its first run."""
    from dmlite import MLContext, dml

    context = MLContext()
    program = dml(workload.header + workload.body).input(**inputs).output(*(workload.leaves or workload.results))

    def work() -> Callable[[], Results]:
        found = context.execute(program)

        def results() -> Results:
            last = found
            if workload.check:
                left = {name: found.get(name) for name in workload.leaves}
                last = context.execute(dml(workload.check).input(**{**inputs, **left}).output(*workload.results))
            return {name: float(last.get(name)) for name in workload.results}

        return results

    return work


def planned(workload: Workload, inputs: Inputs) -> float:
    """The part of a run that planning takes where nothing of an earlier one is used."""
    from dmlite import dml
    from dmlite.runtime.stats import Stats

    stats = Stats()
    script = dml(workload.header + workload.body).input(**inputs).output(*(workload.leaves or workload.results))
    seconds, _ = timed(lambda: script.execute(stats))
    return stats.planning / seconds


def prime(work: Work) -> None:
    """Run until all is compiled that a process of some seconds wants, so that later ones find it on the disk."""
    from dmlite.backends.local.jit import store

    spent, last = 0.0, None
    while spent < PRIMED or store.compiler.last is not last:
        settle()
        last = store.compiler.last
        spent += timed(work)[0]


def settle() -> None:
    """Wait for what is compiled in the background."""
    from dmlite.backends.local import compiled
    from dmlite.backends.local.jit import store

    compiled.wait()
    store.compiler.settle()


def timed(work: Work) -> tuple[float, Results | Callable[[], Results]]:
    """Seconds of one run, and its results; what it prints is swallowed."""
    start = perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        found = work()
    return perf_counter() - start, found


if __name__ == "__main__":
    main(*sys.argv[1:])
