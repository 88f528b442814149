"""What the operators of a program amount to: the heaviest, the fused, where they run, how good the estimates were."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from dmlite.explain.accuracy import all_errors, heaviest, timed
from dmlite.explain.record import BlockRecord, Operator, Record, Rewrite
from dmlite.explain.words import how_timed, line_text, share_text, statement, table, time_share
from dmlite.hop.machine import seconds_text
from dmlite.hop.ops import BY_NAME
from dmlite.memory import human

_HEAVY: Final = 5  # operators named as those that take most time
_GOOD: Final = 2.0  # a q-error up to this is a good estimate
_PLAIN: Final = frozenset({"neg", "one_minus", "square", "is_set"})  # no more than one operator, whatever they are called


def summary(record: Record) -> Iterator[str]:
    """The end of a plan as text."""
    yield from _heavy(record)
    yield from _fused(record)
    yield from _places(record)
    yield from _forecast(record)
    yield from _accuracy(record)


def fused(record: Record) -> Iterator[tuple[BlockRecord, Operator, Rewrite]]:
    """The operators that a rewrite made of several, which no script can spell, with the last such rewrite."""
    rewrites = {r.number: r for block in record.blocks for r in block.rewrites}
    for block in record.blocks:
        for operator in block.plan.operators:
            if operator.op not in _PLAIN and operator.op in BY_NAME and BY_NAME[operator.op].dml.endswith("()"):
                made = [r for r in map(rewrites.__getitem__, operator.rules) if _fuses(r, operator.op)]
                if made:
                    yield block, operator, made[-1]


def _fuses(rewrite: Rewrite, op: str) -> bool:
    count = lambda graph: sum(o.kind == "operator" for o in graph.operators)  # noqa: E731
    made = any(o.op == op and o.kind == "operator" for o in rewrite.after_graph.operators)
    return made and count(rewrite.before_graph) > count(rewrite.after_graph)


def places(record: Record) -> list[tuple[str, str, int]]:
    """The places where operators run, each with a reason and for how many it is the one; most frequent first."""
    operators = (o for block in record.blocks for o in block.plan.operators if o.kind == "operator" and o.backend)
    counted = Counter((o.backend, o.why_there) for o in operators)
    return [(backend, why, count) for (backend, why), count in counted.most_common()]


def _heavy(record: Record) -> Iterator[str]:
    total = sum(seconds for _, _, seconds in timed(record))
    rows = [
        [
            seconds_text(seconds),
            time_share(seconds / total),
            f"block {block.number}",
            line_text(record, operator.place),
            statement(operator),
        ]
        for seconds, block, operator in heaviest(record, _HEAVY)
    ]
    if rows:
        yield f"where the time goes ({how_timed(record)})"
        yield from (f"  {line}" for line in table(rows))


def _fused(record: Record) -> Iterator[str]:
    rows = [[f"block {b.number}", line_text(record, o.place), statement(o), f"{r.rule}: {r.why}"] for b, o, r in fused(record)]
    if rows:
        yield "fused operators"
        yield from (f"  {line}" for line in table(rows))


def _places(record: Record) -> Iterator[str]:
    found = places(record)
    if found:
        yield "where it runs"
        yield from (f"  {count} operator{'s' * (count != 1)} {backend}: {why}" for backend, why, count in found)


def forecast(record: Record) -> tuple[BlockRecord, float] | None:
    """The block that is expected to hold most at a time, and the seconds of the whole program, as far as they are known."""
    blocks = [b for b in record.blocks if b.peak]
    seconds = sum((o.seconds or 0.0) * b.times for b in record.blocks for o in b.plan.operators)
    return (max(blocks, key=lambda b: b.peak or 0), seconds) if blocks else None


def moved(record: Record) -> int:
    """Bytes between this process and the workers, of the whole program as far as it is known."""
    return sum(o.moved * b.times for b in record.blocks for o in b.plan.operators)


def _forecast(record: Record) -> Iterator[str]:
    found = forecast(record)
    if found is not None:
        block, seconds = found
        peak, budget = block.peak or 0, record.budget
        fits = "" if budget is None else f"{' of' if peak <= budget else ': more than'} the {human(budget)} it may take"
        unknown = " without what is not known" if any(b.peak is None or b.plan.unknown for b in record.blocks) else ""
        travels = f", {human(bytes_)} moved to workers and back" if (bytes_ := moved(record)) else ""
        yield f"forecast: {seconds_text(seconds)}, and at most {human(peak)} at a time (block {block.number}){fits}{travels}{unknown}"


def _accuracy(record: Record) -> Iterator[str]:
    errors = all_errors(record)
    if errors:
        good = sum(error <= _GOOD for error, *_ in errors) / len(errors)
        yield f"estimates of nnz and bytes: {share_text(good)} of {len(errors)} within a factor of {_GOOD:g}"
        for error, what, block, operator in errors[:_HEAVY]:
            if error > _GOOD:
                yield f"  off by {error:.3g} in {what}: block {block.number}, {statement(operator)}"
