"""`--stats`: the heaviest operators with time, count and DML line, on stderr."""

from __future__ import annotations

import sys

from dmlite.memory import human
from dmlite.runtime.stats import Stats
from dmlite.tools.terminal import show_table


def print_statistics(stats: Stats, count: int = 10) -> None:
    """Write the table of the `count` heaviest operators to stderr."""
    total = sum(e.seconds for e in stats.entries.values())
    rows = []
    for e in stats.heaviest(count):
        share = f"{100 * e.seconds / total:.1f} %" if total else ""
        expected = "?" if e.estimated is None else f"{e.estimated:.4f}"
        size = "" if e.bytes is None else f"{human(e.bytes)}{'' if e.expected is None else f' ({human(e.expected)})'}"
        rows.append([e.what, f"{e.seconds:.4f}", expected, share, str(e.calls), size, str(e.span) if e.span else ""])
    compiled = [f"{x.iterations} iterations at {x.node.span} in {x.seconds:.3f} s" for x in stats.loops if x.iterations]
    if compiled:
        print(f"compiled loops, whose operators are not counted: {', '.join(compiled)}", file=sys.stderr)
    plans, again = stats.plans
    title = f"{total:.3f} s in operators; {plans} plans in {stats.planning:.3f} s, {again} of them made again for other sizes"
    columns = ["operator", "seconds", "estimated", "share", "calls", "bytes (estimated)", "line"]
    show_table(sys.stderr, title, columns, rows, right={1, 2, 3, 4, 5})
