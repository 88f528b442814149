"""What the cost model says of a run: of every plan against the block it was made from, and of all that was executed."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest import mock

from dmlite.hop.cost import cost_of
from dmlite.runtime import engine

ROUNDING = 1 + 1e-9


@dataclass(frozen=True)
class Spent:
    """One block that was executed: its seconds by the cost model, and the variables it read and set."""

    seconds: float | None
    inputs: frozenset[str]
    outputs: frozenset[str]


@dataclass
class Spending:
    """spent: every executed block. dearer: plans that cost more than their block."""

    spent: list[Spent] = field(default_factory=list)
    dearer: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """Of the whole run; None when something has no known cost.

        Work is moved out of loops on the expectation that they run more than once; where one did not, what was computed for it
        does not count.
        """
        reads = Counter(name for s in self.spent for name in s.inputs)
        moved = lambda s: s.outputs and all(n.startswith("%invariant") for n in s.outputs)  # noqa: E731
        seconds = [s.seconds for s in self.spent if not (moved(s) and all(reads[n] < 2 for n in s.outputs))]
        return None if None in seconds else sum(s for s in seconds if s is not None)


@contextlib.contextmanager
def watched() -> Iterator[Spending]:
    """Watch every block that is planned and run inside."""
    found = Spending()
    planned = threading.local()  # parfor plans in threads
    optimise, load = engine.optimise, engine.Engine._load

    def weighed(block: Any, facts: Any, level: int) -> Any:
        before = cost_of([r.hop for r in block.roots], facts).seconds
        roots, firings = optimise(block, facts, level)
        after = cost_of([r.hop for r in roots], facts).seconds if firings else before
        if before is not None and after is not None and after > before * ROUNDING:
            names = ", ".join(dict.fromkeys(f.rule for f in firings))
            found.dearer.append(f"{before} s becomes {after} s for {', '.join(map(str, block.outputs))}, by {names}")
        planned.spent = Spent(after, frozenset(block.inputs), frozenset(block.outputs))
        return roots, firings

    def counting(self: engine.Engine, name: str, source: str, lines: Any, namespace: dict[str, Any], *more: Any) -> Callable[..., Any]:
        """The last line of a plan counts too; a function around it would be one more owner of what is stored into in place."""
        if hasattr(planned, "spent"):
            begin, _, end = source.rpartition("    return ")
            source = f"{begin}    spend(); return {end}"
            namespace["spend"] = partial(found.spent.append, planned.spent)
            del planned.spent
        return load(self, name, source, lines, namespace, *more)

    with mock.patch.object(engine, "optimise", weighed), mock.patch.object(engine.Engine, "_load", counting):
        yield found
