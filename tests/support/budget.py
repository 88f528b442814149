"""How many random cases are run, from which seed on, and for how long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

FIRST = int(os.environ.get("DMLITE_FUZZ_SEED", "0"))


@dataclass
class Budget:
    """`count` cases (or `DMLITE_FUZZ_N`) in batches; once they have taken `seconds` for each 1000, the rest is left."""

    what: str
    count: int
    seconds: float
    batch: int
    begun: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.count = int(os.environ.get("DMLITE_FUZZ_N", self.count))
        self.seconds *= max(1.0, self.count / 1000)

    def starts(self) -> range:
        """The first seed of every batch."""
        return range(FIRST, FIRST + self.count, self.batch)

    def seeds(self, start: int, record: Callable[[str, object], None]) -> Iterator[int]:
        """The seeds of one batch as long as there is time; how many were done is told at the end of the session."""
        self.begun = self.begun or time.monotonic()
        wanted = range(start, min(start + self.batch, FIRST + self.count))
        done = 0
        try:
            for seed in wanted:
                if time.monotonic() - self.begun > self.seconds:
                    pytest.skip(f"{self.seconds:.0f} s are over")
                yield seed
                done += 1
        finally:
            record(self.what, (done, len(wanted)))
