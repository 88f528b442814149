"""The source of a region: a function for one block of rows, and its call for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmlite.codegen.region_loops import loop_of
from dmlite.hop.node import LITERAL, LIVE_IN, Hop
from dmlite.plan.physical import Step
from dmlite.plan.regions import JOINS, Region, is_product, is_total, parts, split_places

if TYPE_CHECKING:
    from dmlite.codegen.emit import Emitter


class RegionWriter:
    """Writes one region for `emitter`; `number` tells regions of a block apart."""

    def __init__(self, emitter: Emitter, number: int, steps: Sequence[Step]):
        assert steps[0].region is not None
        self.emitter = emitter
        self.region: Region = steps[0].region
        self.steps = steps
        self.facts = emitter.plan.facts
        self.name = f"{emitter.name}_pass{number}"
        self.split = self.region.split(self.facts)
        self.whole = self.region.whole(self.facts)
        self.totals = [h for h in self.region.outputs if is_total(h)]
        self.results = [s for s in steps if s.hop in self.region.outputs and not is_total(s.hop)]

    def write(self, first: int) -> str:
        """The statements that run the region; `first` is the number of its first step."""
        outer = self.emitter.names
        arguments = [outer[h] for h in (*self.split, *self.whole)]
        buffers = [f"v{first + i}" for i, s in enumerate(self.steps) if s in self.results]
        allocations = [self._buffer(step, name) for step, name in zip(self.results, buffers, strict=True)]
        self.emitter.functions.append((self._header(), self._body(first)))
        loop = loop_of(self.region, [s.hop for s in self.results], self.totals, self.facts)
        if loop is not None:
            self.emitter.loops[self.name] = loop
        for i, step in enumerate(self.steps):
            outer[step.hop] = f"v{first + i}"
        joins = ", ".join(f"np_{self._join(h)}" for h in self.totals)
        sizes = f"{self.region.rows}, {self._cells_per_row()}"
        operands = ", ".join([*arguments, *buffers])
        call = f"{self.emitter.kernel('blocks.by_rows')}({self.name}, {sizes}, ({joins}{',' * bool(joins)}), {operands})"
        targets = ", ".join(outer[h] for h in self.totals)
        return "\n".join([*allocations, f"{targets}, = {call}" if targets else call])

    def _cells_per_row(self) -> int:
        """Of all values that a block holds."""
        own = (s.fact.cols or 1 for s in self.steps if s.reuse is None and s.fact.rows == self.region.rows)
        return sum(own) + sum(self.facts[h].cols or 1 for h in self.split)

    @staticmethod
    def _join(hop: Hop) -> str:
        return "add" if is_product(hop) else JOINS[hop.op]

    def _buffer(self, step: Step, name: str) -> str:
        """A whole array for a result: an old one that nobody needs, or a new one."""
        from dmlite.codegen.emit import owned

        shape = (step.fact.rows, step.fact.cols)
        fresh = f"{self.emitter.kernel('blocks.unfilled')}{shape}"
        if step.recycle is not None:
            old = self.emitter.recycled[step.recycle]
            usable = f"{old}.__class__ is ndarray and {old}.shape == {shape} and {owned(old)} and {old}.flags.c_contiguous"
            return f"{name} = {old} if {usable} else {fresh}"
        if step.takes is None:
            return f"{name} = {fresh}"
        taken = self.emitter.names[step.takes]
        return f"{name} = {taken} if {owned(taken)} else {fresh}" if step.takes.op == LIVE_IN else f"{name} = {taken}"

    # ------------------------------------------------------------ one block
    def _header(self) -> str:
        parameters = [*(f"a{i}" for i in range(len(self.split) + len(self.whole))), *(f"o{i}" for i in range(len(self.results)))]
        return f"def {self.name}(i, j, {', '.join(parameters)}):"

    def _body(self, first: int) -> list[tuple[str, Step | None]]:
        self.blocks = {h: f"p{i}" for i, h in enumerate(self.split)}
        self.given = {h: f"a{len(self.split) + i}" for i, h in enumerate(self.whole)}
        lines: list[tuple[str, Step | None]] = [(f"{p} = a{i}[i:j]", None) for i, p in enumerate(self.blocks.values())]
        for i, step in enumerate(self.steps):
            lines.append((self._member(step, f"v{first + i}"), step))
            self.blocks[step.hop] = f"v{first + i}"
        lines.append((f"return ({''.join(f'{self.blocks[h]}, ' for h in self.totals)})", None))
        return lines

    def _member(self, step: Step, target: str) -> str:
        hop = step.hop
        if is_product(hop):
            left, right = (self.blocks[a] for a in parts(hop, self.facts))
            return f"{target} = {left}.T @ {right}"
        places = split_places(hop, self.facts)
        names = [self.blocks if i in places else self.given for i in range(len(hop.args))]
        args = [self.emitter.ref(a) if a.op == LITERAL else known[a] for a, known in zip(hop.args, names, strict=True)]
        if step not in self.results:
            out = args[step.reuse] if step.reuse is not None else None
            return f"{target} = {self.emitter.expression(step, args, out)}"
        out = f"o{self.results.index(step)}[i:j]"
        code = self.emitter.expression(step, args, out)
        return f"{target} = {code}" if code.endswith(f", {out})") else f"{target} = {out} = {code}"
