"""What was measured, as Markdown and as a chart: times and memory of every peer, and every target beside what was reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape

from dmlite.tools.charts import axis_of, number
from tests.benchmarks.harness import Row
from tests.benchmarks.runs import Run, agree
from tests.benchmarks.workload import Processes, Target

Runs = Mapping[str, Sequence[Run]]
# Where the hand-written version takes less than this, what interpreters and libraries happen to take hides the rest.
LEAST_MEMORY = 50e6
BY_HAND = ("numba", "numpy")
MEMORY = 1.2


def counted(row: Row, run: Run) -> list[float]:
    """The seconds of a run that count."""
    return [run.first] if row.first or not run.later else run.later


def seconds(row: Row, runs: Sequence[Run]) -> list[float]:
    """The median of each process."""
    return [statistics.median(counted(row, run)) for run in runs]


def memory(runs: Sequence[Run]) -> float:
    """Bytes that the work took, inputs included: the peak of the process above that of the same process at tiny sizes."""
    return statistics.median(max(run.peak - run.idle, 1) for run in runs)


# ---------------------------------------------------------------- tables
def markdown(rows: Sequence[Row], runs: Mapping[str, Runs], heading: str) -> str:
    lines = [heading, "", "| workload | target | measured | holds |", "| --- | --- | --- | --- |"]
    for row in rows:
        lines += [_target(row, target, runs[row.name]) for target in _targets(row, runs[row.name])]
    lines += ["", "| workload | peer | runs | seconds | first run | memory of the work | peak of the process | others | results |"]
    lines += ["| --- " * 9 + "|"]
    for row in rows:
        lines += [_peer(row, peer, found, runs[row.name]["dmlite"]) for peer, found in runs[row.name].items()]
    notes = [f"- {row.name}: {row.note}" for row in rows if row.note]
    lines += ["", "others: how many cores other processes kept busy meanwhile", ""]
    return "\n".join([*lines, *notes]).rstrip() + "\n"


def _targets(row: Row, runs: Runs) -> list[Target]:
    """Those whose peer was measured, and that of memory where a version by hand takes enough to compare."""
    found = [target for target in row.targets if target.peer in runs]
    by_hand = next((peer for peer in BY_HAND if peer in runs), None)
    if by_hand and not isinstance(row, Processes) and memory(runs[by_hand]) >= LEAST_MEMORY:
        found.append(Target(by_hand, "memory", MEMORY))
    return found


def _target(row: Row, target: Target, runs: Runs) -> str:
    ours, theirs = runs["dmlite"], runs[target.peer]
    if target.kind == "memory":
        measured = target.measured(memory(ours), memory(theirs))
    elif target.kind == "planning":
        measured = statistics.median(run.planning for run in ours)
    else:
        measured = target.measured(*(statistics.median(seconds(row, found)) for found in (ours, theirs)))
    return f"| {row.title} | {target} | {measured:.2f} | {'yes' if target.holds(measured) else '**no**'} |"


def _peer(row: Row, peer: str, runs: Sequence[Run], ours: Sequence[Run]) -> str:
    times = seconds(row, runs)
    spread = f"{statistics.median(times):.3f} ({min(times):.3f} to {max(times):.3f})"
    first = statistics.median(run.first for run in runs)
    work = f"{memory(runs) / 1e6:.0f} MB" if runs[0].idle else ""
    peak = f"{statistics.median(run.peak for run in runs) / 1e6:.0f} MB"
    others = statistics.median(run.others for run in runs)
    same = all(agree(run.results, ours[0].results, row.tolerance) for run in runs)
    return f"| {row.name} | {peer} | {len(runs)} | {spread} | {first:.3f} | {work} | {peak} | {others:.1f} | {'agree' if same else '**differs**'} |"


# ---------------------------------------------------------------- chart
_NAMES, _WIDTH, _BAR, _GAP, _TOP, _BELOW = 260, 860, 14, 12, 8, 40
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.tick{fill:#777;font-size:11px}.grid{stroke:#ddd}.one{stroke:#333}.bar{fill:#5b8db8}"
    ".spread{stroke:#17324a;stroke-width:1.5}"
)


def chart(rows: Sequence[Row], runs: Mapping[str, Runs]) -> str:
    """A bar for the time of every peer in terms of that of dmlite, with the range of its runs, on a logarithmic axis."""
    bars = [(row, peer, *_ratios(row, runs[row.name], peer)) for row in rows for peer in runs[row.name] if peer != "dmlite"]
    axis = axis_of([[1.0, 10.0], *([low, high] for *_, low, high in bars)], log=True)
    across = lambda value: _NAMES + (_WIDTH - _NAMES - 20) * float(axis.at(value))  # noqa: E731
    groups = len({row.name for row, *_ in bars})
    bottom = _TOP + len(bars) * _BAR + groups * _GAP
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + _BELOW}"><style>{_STYLE}</style>']
    for tick in axis.ticks(8):
        parts.append(f'<path class="grid" d="M{across(tick):.1f} {_TOP}V{bottom}"/>')
        parts.append(f'<text class="tick" x="{across(tick):.1f}" y="{bottom + 15}" text-anchor="middle">{number(tick)}</text>')
    parts += _bars(bars, across)
    parts.append(f'<path class="one" d="M{across(1.0):.1f} {_TOP}V{bottom}"/>')
    parts.append(f'<text x="{_WIDTH / 2:.0f}" y="{bottom + 32}" text-anchor="middle">time of the peer / time of dmlite</text></svg>')
    return "\n".join(parts) + "\n"


def _ratios(row: Row, runs: Runs, peer: str) -> tuple[float, float, float]:
    """Median, least and greatest time of a peer, each by the median of dmlite."""
    ours, theirs = statistics.median(seconds(row, runs["dmlite"])), seconds(row, runs[peer])
    return statistics.median(theirs) / ours, min(theirs) / ours, max(theirs) / ours


def _bars(bars: Sequence[tuple[Row, str, float, float, float]], across: Callable[[float], float]) -> Iterator[str]:
    y, before = _TOP, ""
    for row, peer, middle, low, high in bars:
        y += _GAP if row.name != before else 0
        before = row.name
        left, right = sorted((across(1.0), across(middle)))
        yield f'<text x="{_NAMES - 8}" y="{y + 11}" text-anchor="end">{escape(row.name)}: {escape(peer)} {middle:.2f}</text>'
        yield f'<rect class="bar" x="{left:.1f}" y="{y + 2}" width="{max(right - left, 0.5):.1f}" height="{_BAR - 4}"/>'
        yield f'<path class="spread" d="M{across(low):.1f} {y + _BAR / 2}H{across(high):.1f}"/>'
        y += _BAR
