"""The call of a chunk region, and the source of what the workers run for each chunk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, Hop
from dmlite.plan.chunked import Chunks, body_of, counts_rows
from dmlite.plan.memory import peak_of
from dmlite.plan.physical import Planner, Step

if TYPE_CHECKING:
    from dmlite.codegen.emit import Code, Emitter
    from dmlite.errors import Span

_SHAPES = 8  # of chunks that each have code of their own; further ones share code for any number of rows


@dataclass(frozen=True)
class Output:
    """What a region gives: chunks, or one result that is joined by a function of NumPy, and divided by `share`."""

    fact: Fact
    join: str | None
    share: int = 1


@dataclass(frozen=True)
class ColumnRange:
    """Columns that a member takes, whose numbers are known when it runs. rows, cols: of the matrix. low, high: whole values or
    literals, `high` of None where one column is taken."""

    rows: int
    cols: int
    low: Hop
    high: Hop
    span: Span | None


class ChunkCode:
    """What the workers run for the chunks of one region, as source for each number of rows."""

    def __init__(self, region: Chunks, facts: FactTable, spans: Mapping[Hop, Span], name: str, *, together: bool):
        self.region, self.facts, self.spans, self.name = region, facts, spans, name
        self.together = together
        self.kept = [[h.op == LIVE_IN for h in hops] for hops in (region.split(), region.whole())]  # variables, which may not change
        self.outputs = [Output(facts[h], region.roles[h].join, region.roles[h].share) for h in region.outputs]
        self.ranges = [r for h in region.hops if (r := self._range(h)) is not None]
        self._codes: dict[int | None, Code] = {}
        self.peak = 0  # bytes that a chunk takes with all that is made of it, as far as that was estimated

    def _range(self, hop: Hop) -> ColumnRange | None:
        """What is to be looked at before tasks are made: a chunk does not know the shape of the matrix that it is told to be outside of."""
        cols = self.facts[hop.args[0]].cols if hop.op == "index" else None
        if cols is None or all(a.op == LITERAL for a in hop.args[3:]):
            return None
        return ColumnRange(self.region.rows, cols, hop.args[3], hop.args[4], self.spans.get(hop))

    def code(self, rows: int) -> Code:
        """The source for chunks of so many rows: a function of the split values and then the whole ones."""
        known = rows in self._codes or len(self._codes) < _SHAPES or any(map(counts_rows, self.region.hops))
        key = rows if known else None
        if key not in self._codes:
            self._codes[key] = self._write(key)
        return self._codes[key]

    def _write(self, rows: int | None) -> Code:
        from dmlite.codegen.emit import Emitter
        from dmlite.hop.program import Root

        body = body_of(self.region, self.facts, rows)
        facts = FactTable(body.facts, lenient=True, machine=self.facts.machine)
        spans = {node: self.spans[origin] for node, origin in body.origins.items() if origin in self.spans}
        roots = [Root(f"o{i}", hop) for i, hop in enumerate(body.roots)]
        plan = Planner(roots, facts, set(body.facts), spans, together=self.together).plan(list(body.facts), [])
        self.peak = max(self.peak, peak_of(plan) or 0)
        return Emitter(plan, f"{self.name}_{'any' if rows is None else rows}").emit()


class ChunksWriter:
    """Writes the call of one chunk region for `emitter`; `number` tells regions of a block apart."""

    def __init__(self, emitter: Emitter, number: int, steps: Sequence[Step]):
        assert isinstance(steps[0].region, Chunks)
        self.emitter, self.steps = emitter, steps
        self.region: Chunks = steps[0].region
        self.name = f"{emitter.name}_chunk{len(emitter.chunks)}"

    def write(self, first: int) -> str:
        """The statement that runs the region; `first` is the number of its first step."""
        spans = {s.hop: s.span for s in self.steps if s.span is not None}
        code = ChunkCode(self.region, self.emitter.plan.facts, spans, self.name, together=True)
        self.emitter.chunks[self.name] = code
        operands = [", ".join(f"{self.emitter.ref(h)}" for h in hops) for hops in (self.region.split(), self.region.whole())]
        for i, step in enumerate(self.steps):
            self.emitter.names[step.hop] = f"v{first + i}"
        targets = "".join(f"{self.emitter.names[h]}, " for h in self.region.outputs)
        split, whole = (f"({text},)" if text else "()" for text in operands)
        return f"{targets}= {self.emitter.kernel('dask:region.run')}({self.name}, {split}, {whole})"
