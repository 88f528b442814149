"""How far estimates were from the truth, and where the time went."""

from __future__ import annotations

from collections.abc import Iterator

from dmlite.explain.record import BlockRecord, Operator, Record


def q_error(estimate: float, actual: float) -> float:
    """The larger of estimate/actual and actual/estimate, both taken as at least one: 1 is perfect."""
    low, high = sorted((max(1.0, estimate), max(1.0, actual)))
    return high / low


def size_errors(operator: Operator) -> dict[str, float]:
    """The q-errors of one operator that was run, of `nnz` and `bytes`, where both numbers are known."""
    value, actual = operator.value, operator.actual
    if actual is None:
        return {}
    pairs = {"nnz": (value.expected, actual.nnz), "bytes": (value.bytes, actual.bytes)}
    return {what: q_error(e, a) for what, (e, a) in pairs.items() if e is not None and a is not None}


def all_errors(record: Record) -> list[tuple[float, str, BlockRecord, Operator]]:
    """Every q-error of a run: the error, of what, and where; worst first."""
    found = [
        (error, what, block, operator)
        for block in record.blocks
        for operator in block.plan.operators
        for what, error in size_errors(operator).items()
    ]
    return sorted(found, key=lambda f: -f[0])


def heaviest(record: Record, count: int) -> list[tuple[float, BlockRecord, Operator]]:
    """The operators that take most time: measured where the program was run, else estimated for all known repetitions."""
    found = [(seconds, block, operator) for block, operator, seconds in timed(record) if seconds > 0]
    return sorted(found, key=lambda f: -f[0])[:count]


def timed(record: Record) -> Iterator[tuple[BlockRecord, Operator, float]]:
    for block in record.blocks:
        for operator in block.plan.operators:
            if record.run is not None:
                yield block, operator, operator.actual.seconds if operator.actual else 0.0
            else:
                yield block, operator, (operator.seconds or 0.0) * block.times
