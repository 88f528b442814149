"""Where the time goes: seconds and calls per operator and DML line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from dmlite.errors import Span


@dataclass
class Entry:
    """One operator at one place of the script."""

    what: str
    span: Span | None
    seconds: float = 0.0
    calls: int = 0


class Stats:
    """Collects what instrumented blocks record."""

    clock = staticmethod(perf_counter)

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}

    def recorder(self, steps: Sequence[Any]) -> Callable[[int, float], None]:
        """The function a generated block reports to: step number and seconds."""
        entries = [self._entry(step) for step in steps]

        def record(number: int, seconds: float) -> None:
            entry = entries[number]
            entry.seconds += seconds
            entry.calls += 1

        return record

    def _entry(self, step: Any) -> Entry:
        key = (step.hop.op, str(step.span))
        return self.entries.setdefault(key, Entry(step.hop.op, step.span))

    def heaviest(self, count: int = 10) -> list[Entry]:
        """The operators that took most time, heaviest first."""
        return sorted((e for e in self.entries.values() if e.calls), key=lambda e: -e.seconds)[:count]
