"""What people ask first: where the time goes, what was fused and what nearly, how much memory it takes, and where it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dmlite.explain.accuracy import heaviest, timed
from dmlite.explain.record import BlockRecord, Operator, Record
from dmlite.explain.summary import fused, places
from dmlite.explain.words import how_timed, line_text, lines_text, statement, time_share, where_text
from dmlite.hop.machine import seconds_text
from dmlite.memory import human

_MOST = 4  # operators named in an answer


@dataclass(frozen=True)
class Point:
    """One sentence of an answer, about an operator where block and node are given."""

    text: str
    block: int | None = None
    node: int | None = None


@dataclass(frozen=True)
class Answer:
    """A question with its answer, point by point."""

    question: str
    points: list[Point] = field(default_factory=list)


def answers(record: Record) -> list[Answer]:
    """The questions that have an answer for this program."""
    asked = {
        "Where does the time go?": _time(record),
        "Which operators were fused?": _fused(record),
        "Where does it run, and why not on a GPU?": _places(record),
        "What was not fused, and why?": _missed(record),
        "How much memory does it take?": _memory(record),
    }
    return [Answer(question, found) for question, points in asked.items() if (found := list(points))]


def _time(record: Record) -> Iterator[Point]:
    total = sum(seconds for *_, seconds in timed(record))
    if not total:
        return
    how = how_timed(record)
    yield Point(f"{seconds_text(total)} in operators ({how}):")
    for seconds, block, operator in heaviest(record, _MOST):
        runs = operator.actual.calls if operator.actual else block.times
        times = f" in {runs} runs" if runs > 1 else ""
        yield _point(record, block, operator, f"{time_share(seconds / total)}: ", f", {seconds_text(seconds)}{times}")


def _fused(record: Record) -> Iterator[Point]:
    count = 0
    for block, operator, rewrite in fused(record):
        count += 1
        yield _point(record, block, operator, "", f" in place of {rewrite.before}: {rewrite.why}")
    if not count and any(b.rewrites for b in record.blocks):
        yield Point("None.")


def _missed(record: Record) -> Iterator[Point]:
    small: dict[str, int] = {}
    for miss in (m for b in record.blocks for m in b.misses):
        if "too small" in miss.reason:
            small[miss.rule] = small.get(miss.rule, 0) + 1
        else:
            yield Point(f"{miss.rule} of {miss.text}{where_text(record, miss.place)}: {miss.reason}", miss.block, miss.id)
    if small:
        named = ", ".join(f"{rule}{f' ({count} times)' if count > 1 else ''}" for rule, count in small.items())
        yield Point(f"Matrices too small for it to be worth it: {named}.")


def _memory(record: Record) -> Iterator[Point]:
    if record.run is not None:
        yield Point(f"Memory grew by {human(record.run.peak)} at its highest.")
        grown = [(o.actual.grew or 0, b, o) for b in record.blocks for o in b.plan.operators if o.actual is not None]
        for grew, block, operator in sorted(grown, key=lambda g: -g[0])[:_MOST]:
            if grew >= 1_000_000:
                yield _point(record, block, operator, f"+{human(grew)} while it ran: ", "")
    blocks = [b for b in record.blocks if b.peak]
    for block in sorted(blocks, key=lambda b: -(b.peak or 0))[:1]:
        before = block.peak_before or 0
        saved = f"; as written it would be {human(before)}" if block.rewrites and before > 1.1 * (block.peak or 0) else ""
        where = f" ({lines})" if (lines := lines_text(record, block.place)) else ""
        yield Point(f"Block {block.number}{where} holds most at a time, an estimated {human(block.peak or 0)}{saved}.", block.number)
        if record.budget is not None:
            enough = "which is enough" if (block.peak or 0) <= record.budget else "which is not enough"
            yield Point(f"The program may take {human(record.budget)}, {enough}.")


def _places(record: Record) -> Iterator[Point]:
    found = places(record)
    for backend, why, count in found:
        who = "The operator runs" if count == 1 else f"{'All ' * (len(found) == 1)}{count} operators run"
        yield Point(f"{who} on the {backend} backend: {why}.")


def _point(record: Record, block: BlockRecord, operator: Operator, before: str, after: str) -> Point:
    where = line_text(record, operator.place)
    place = f" ({'line ' * where.isdigit()}{where})" if where else ""
    return Point(f"{before}{statement(operator)}{place}{after}", block.number, operator.id)
