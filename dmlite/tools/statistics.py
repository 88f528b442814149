"""`--stats`: the heaviest operators with time, count and DML line, on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from dmlite.runtime.stats import Stats


def print_statistics(stats: Stats, count: int = 10) -> None:
    """Write the table of the `count` heaviest operators to stderr."""
    entries = stats.heaviest(count)
    total = sum(e.seconds for e in stats.entries.values())
    table = Table(title=f"{total:.3f} s in operators", title_justify="left")
    for heading, justify in (("operator", "left"), ("seconds", "right"), ("share", "right"), ("calls", "right"), ("line", "left")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for e in entries:
        share = f"{100 * e.seconds / total:.1f} %" if total else ""
        table.add_row(e.what, f"{e.seconds:.4f}", share, str(e.calls), str(e.span) if e.span else "")
    Console(stderr=True).print(table)
