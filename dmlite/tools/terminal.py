"""Tables for people: drawn with rich on a terminal, aligned columns of plain text everywhere else."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TextIO


def show_table(stream: TextIO, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> None:
    """Write a table to `stream`; the columns numbered in `right` are aligned to the right."""
    if stream.isatty():
        _draw(stream, title, headings, rows, right)
    else:
        stream.write(plain_table(title, headings, rows, right))


def plain_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """The table as lines of text, never cut to a width."""
    table = [headings, *rows] if any(headings) else list(rows)
    widths = [max(len(row[k]) for row in table) for k in range(len(headings))]
    lines = [title]
    for row in table:
        cells = [cell.rjust(width) if k in right else cell.ljust(width) for k, (cell, width) in enumerate(zip(row, widths, strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def _draw(stream: TextIO, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, show_header=any(headings))
    for k, heading in enumerate(headings):
        table.add_column(heading, justify="right" if k in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console(file=stream).print(table)
