"""Whole processes: many small scripts, and the first run of every workload with nothing compiled before."""

from __future__ import annotations

import compileall
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.runs import ROOT, Run, quiet, run_process
from tests.benchmarks.workload import Processes, Target, Workload
from tests.golden.snippets import HERE, Snippet, expected, mismatch, snippets, topics

if TYPE_CHECKING:
    from tests.benchmarks.harness import Harness

SNIPPETS = 200


# ---------------------------------------------------------------- small scripts
def chosen(count: int) -> list[tuple[Snippet, list[str]]]:
    """The first snippets on whose results SystemDS and dmlite agree, with these."""
    both = ((snippet, expected(topic).get(snippet.name)) for topic in topics() for snippet in snippets(topic))
    return [(snippet, printed.splitlines()) for snippet, printed in both if printed is not None][:count]


def run_snippets(harness: Harness, peer: str) -> Run:
    """One process after the other, of dmlite as it is installed, with bytecode; `wrong` is how many printed something else."""
    compileall.compile_dir(ROOT / "dmlite", quiet=1)
    seconds, others, peak, wrong = 0.0, 0.0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "snippet.dml"
        command = harness.java.command(path, {}) if peer == "systemds" else [sys.executable, "-m", "dmlite", "-f", path]
        for snippet, wanted in chosen(4 if harness.quick else max(1, int(SNIPPETS * harness.scale))):
            path.write_text(snippet.text, encoding="utf-8")
            output, usage = run_process(command, {"PYTHONPATH": str(ROOT)}, HERE)
            wrong += mismatch(wanted, output.partition("SystemDS Statistics:")[0].splitlines()) is not None
            seconds, others = seconds + usage["wall"], others + usage["wall"] * usage["others"]
            peak = max(peak, usage["peak"])
    return Run(seconds, [], {"wrong": wrong}, seconds, peak, others=others / seconds)


# ---------------------------------------------------------------- first runs
def run_first(workload: Workload, small: bool, harness: Harness, peer: str) -> Run:
    """A process with nothing on the disk from earlier ones, which compiles loops or must not.

    Right before, the same runs without loops and is not counted: whoever comes first waits for files, and for memory that the system
    has to find.
    """
    folder = harness.inputs(workload, small or harness.quick)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as cache, tempfile.TemporaryDirectory() as other:
        quiet()
        plain = {"DMLITE_CACHE_DIR": other, "DMLITE_COMPILE": "0"}
        harness.run_child(workload, "dmlite", folder, 0, plain)
        run = harness.run_child(
            workload, "dmlite", folder, 0, {"DMLITE_CACHE_DIR": cache, "DMLITE_COMPILE": "0" if peer == "plain" else "1"}
        )
    return replace(run, first=run.wall)


def first_runs(workloads: Sequence[Workload]) -> Iterator[Processes]:
    """For each workload, small and in full, the first run beside the one without compiled kernels."""
    for workload in (w for w in workloads if not w.spread):
        for small in (True, False):
            yield Processes(
                name=f"first-{workload.name}" + ("-small" if small else ""),
                title="first run: " + (f"{workload.name}, tiny" if small else workload.title),
                peers=("plain",),
                measure=partial(run_first, workload, small),
                targets=(Target("plain", "at most", 1.3),),
                tolerance=workload.tolerance,
            )


ROWS = (
    Processes(
        name="snippets",
        title=f"{SNIPPETS} small scripts as separate processes",
        peers=("systemds",),
        measure=run_snippets,
        targets=(Target("systemds", "faster", 3),),
    ),
)
