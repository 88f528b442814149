"""The words for one thing that every view shares: an operator, its size, its place, a share of the time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath
from typing import Final

from dmlite.explain.record import BlockRecord, FunctionRecord, Item, Operator, Place, Record, Rewrite, Value
from dmlite.explain.repeats import Repeats
from dmlite.hop.machine import seconds_text
from dmlite.memory import human

NOTABLE: Final = 1_000_000  # bytes of memory that are told
_FULL: Final = 0.9  # share of cells that are not zero from which on a matrix counts as full
_WIDE: Final = 60  # cells of a table wider than this move the rest of their line to the right


def control_text(item: Item) -> str:
    """The head of a statement that holds others, or a call."""
    match item["kind"]:
        case "call":
            results = f"[{', '.join(item['results'])}] = " if len(item["results"]) > 1 else "".join(f"{r} = " for r in item["results"])
            return f"{results}{item['function']}({', '.join(item['args'])})"
        case "for":
            return f"{'parfor' if item['parallel'] else 'for'} ({item['variable']} in {':'.join(item['bounds'])})"
    return f"{item['kind']} ({item['condition']})"


def statement(operator: Operator) -> str:
    """`name = operator`; an input, and what gives nothing, by its text alone."""
    return f"{operator.name} = {operator.text}" if operator.name and operator.kind == "operator" else operator.text


def line_text(record: Record, place: Place | None) -> str:
    """`12`, or `affine:12` when it stands in another file."""
    if place is None:
        return ""
    return str(place.line) if place.file == record.name else f"{PurePath(place.file).stem}:{place.line}"


def lines_text(record: Record, place: Place | None) -> str:
    """`line 7`, `lines 7-9 of affine.dml`; empty when they are not known."""
    if place is None:
        return ""
    lines = f"line {place.line}" if place.line == place.end_line else f"lines {place.line}-{place.end_line}"
    return lines if place.file == record.name else f"{lines} of {PurePath(place.file).name}"


def where_text(record: Record, place: Place | None) -> str:
    """` in line 12`, or ` in affine:12`; empty when it is not known."""
    where = line_text(record, place)
    return "" if not where else f" in {'line ' * where.isdigit()}{where}"


def size_text(value: Value) -> str:
    """`5x4`, `1000x1000 1%` for what is sparse; the type of a scalar."""
    if value.kind != "matrix":
        return value.vtype or (value.kind if value.kind != "unknown" else "?")
    shape = f"{'?' if value.rows is None else value.rows}x{'?' if value.cols is None else value.cols}"
    cells = value.rows * value.cols if value.rows is not None and value.cols is not None else 0
    full = cells == 0 or value.expected is None or value.expected > _FULL * cells
    return shape if full else f"{shape} {share_text(value.expected / cells)}"  # type: ignore[operator]


def share_text(share: float) -> str:
    """`12.5%`."""
    return f"{100 * share:.3g}%"


def how_timed(record: Record) -> str:
    """How the times of the heaviest operators came about."""
    if record.run is not None:
        return "measured"
    return "estimated, one round of loops of unknown length" if any(block.open for block in record.blocks) else "estimated"


def time_share(share: float) -> str:
    """`12.5%`, or `<0.1%`."""
    return f"{100 * share:.1f}%" if share >= 0.001 else "<0.1%"


def saving_text(rewrite: Rewrite) -> str:
    """Estimated seconds before and after, and bytes of results that are no longer made where they are many."""
    before, after = rewrite.before_seconds, rewrite.after_seconds
    fewer = (rewrite.before_bytes or 0) - (rewrite.after_bytes or 0)
    return f"({seconds_text(before)} -> {seconds_text(after)}{f', {human(fewer)} never made' if fewer >= NOTABLE else ''})"


def runs_text(block: BlockRecord) -> str:
    """How often a block runs: `70 times`, `at most 70 times a round`; empty for once."""
    return str(Repeats(block.times, block.open, block.maybe))


def signature(function: FunctionRecord) -> str:
    """`function f#0(X, n) -> (Y)`; the number tells instances for different arguments apart."""
    head = "main" if function.key == "main" else f"function {function.key}"
    return f"{head}({', '.join(function.params)}) -> ({', '.join(function.returns)})"


def table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Aligned columns; the first is aligned to the right."""
    table = list(rows)
    columns = max((len(row) for row in table), default=0)
    widths = [max((len(row[k]) for row in table if k < len(row) and len(row[k]) <= _WIDE), default=0) for k in range(columns)]
    for row in table:
        cells = [cell.rjust(widths[0]) if k == 0 else cell.ljust(widths[k]) for k, cell in enumerate(row)]
        yield "  ".join(cells).rstrip()
