"""What was measured, as Markdown: times and memory of every peer, and every target beside what was reached."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

from tests.benchmarks.harness import Run, agree
from tests.benchmarks.workload import Target, Workload

Runs = Mapping[str, Sequence[Run]]


def counted(workload: Workload, run: Run) -> list[float]:
    """The seconds of a run that count."""
    return [run.first] if workload.first or not run.later else run.later


def seconds(workload: Workload, runs: Sequence[Run]) -> list[float]:
    """The median of each process."""
    return [statistics.median(counted(workload, run)) for run in runs]


def memory(runs: Sequence[Run]) -> float:
    """Bytes that the work took, inputs included: the peak of the process above that of the same process at tiny sizes."""
    return statistics.median(max(run.peak - run.idle, 1) for run in runs)


def markdown(workloads: Sequence[Workload], runs: Mapping[str, Runs], heading: str) -> str:
    chosen = [workload for workload in workloads if "dmlite" in runs.get(workload.name, {})]
    lines = [heading, "", "| workload | target | measured | holds |", "| --- | --- | --- | --- |"]
    for workload in chosen:
        for target in workload.targets:
            lines += _target(workload, target, runs[workload.name])
    lines += ["", "| workload | peer | runs | seconds | first run | memory of the work | peak of the process | same results |"]
    lines += ["| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for workload in chosen:
        lines += [_row(workload, peer, found, runs[workload.name]["dmlite"]) for peer, found in runs[workload.name].items()]
    return "\n".join(lines) + "\n"


def _target(workload: Workload, target: Target, runs: Runs) -> list[str]:
    if target.peer not in runs:
        return []
    ours, theirs = runs["dmlite"], runs[target.peer]
    if target.kind == "memory":
        measured = target.measured(*(memory(found) for found in (ours, theirs)))
    else:
        measured = target.measured(*(statistics.median(seconds(workload, found)) for found in (ours, theirs)))
    return [f"| {workload.title} | {target} | {measured:.2f} | {'yes' if target.holds(measured) else '**no**'} |"]


def _row(workload: Workload, peer: str, runs: Sequence[Run], ours: Sequence[Run]) -> str:
    times = seconds(workload, runs)
    spread = f"{statistics.median(times):.3f} ({min(times):.3f} to {max(times):.3f})"
    first = statistics.median(run.first for run in runs)
    work = f"{memory(runs) / 1e6:.0f} MB"
    process = f"{statistics.median(run.peak for run in runs) / 1e6:.0f} MB"
    same = all(agree(run.results, ours[0].results, workload.tolerance) for run in runs)
    return f"| {workload.name} | {peer} | {len(runs)} | {spread} | {first:.3f} | {work} | {process} | {'yes' if same else '**no**'} |"
