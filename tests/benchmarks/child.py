"""One run of one peer in a process of its own: load the inputs, work, work again, tell about it in one line of JSON.

python -m tests.benchmarks.child WORKLOAD PEER FOLDER REPEATS
"""

from __future__ import annotations

import contextlib
import gc
import io
import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.benchmarks.workload import Inputs, Results, Workload, load, size
from tests.benchmarks.workloads import WORKLOADS


def main(name: str, peer: str, folder: str, repeats: str) -> None:
    workload = WORKLOADS[name]
    inputs = load(Path(folder))
    work = with_dmlite(workload, inputs) if peer == "dmlite" else workload.peers[peer](inputs)
    gc.collect()
    before = restart_peak()
    seconds, results = timed(work)
    if peer == "dmlite":
        settle()
    later = [timed(work)[0] for _ in range(int(repeats))]
    print(json.dumps({"first": seconds, "later": later, "results": results, "before": before, "peak": peak(), "inputs": size(inputs)}))


def with_dmlite(workload: Workload, inputs: Inputs) -> Callable[[], Results]:
    from dmlite import MLContext, dml

    program = dml(workload.header + workload.body).input(**inputs).output(*workload.results)
    context = MLContext()

    def work() -> Results:
        found = context.execute(program)
        return {name: float(found.get(name)) for name in workload.results}

    return work


def settle() -> None:
    """Kernels that are compiled in the background are ready for the later runs."""
    from dmlite.backends.local import compiled

    compiled.wait()


def timed(work: Callable[[], Results]) -> tuple[float, Results]:
    """Seconds of one run, and its results; what it prints is swallowed."""
    start = perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        results = work()
    return perf_counter() - start, results


def restart_peak() -> int:
    """Bytes resident now, from which the peak is counted anew (on Linux; elsewhere it still holds what came before)."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS") or peak()


def peak() -> int:
    """Most bytes that were resident since `restart_peak`."""
    unit = 1 if sys.platform == "darwin" else 1024
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(key: str) -> int:
    try:
        lines: Any = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
