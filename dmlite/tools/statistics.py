"""`--stats`: the heaviest operators with time, count and DML line, on stderr."""

from __future__ import annotations

import sys

from dmlite.runtime.stats import Stats
from dmlite.tools.terminal import show_table


def print_statistics(stats: Stats, count: int = 10) -> None:
    """Write the table of the `count` heaviest operators to stderr."""
    total = sum(e.seconds for e in stats.entries.values())
    rows = []
    for e in stats.heaviest(count):
        share = f"{100 * e.seconds / total:.1f} %" if total else ""
        rows.append([e.what, f"{e.seconds:.4f}", share, str(e.calls), str(e.span) if e.span else ""])
    compiled = [f"{x.iterations} iterations at {x.node.span} in {x.seconds:.3f} s" for x in stats.loops if x.iterations]
    if compiled:
        print(f"compiled loops, whose operators are not counted: {', '.join(compiled)}", file=sys.stderr)
    show_table(sys.stderr, f"{total:.3f} s in operators", ["operator", "seconds", "share", "calls", "line"], rows, right={1, 2, 3})
