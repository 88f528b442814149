"""How much memory plans need at a time, and the refusal of what cannot fit, before it is run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from dmlite.errors import DMLRuntimeError
from dmlite.hop.infer import FactTable
from dmlite.hop.memory import Nonzeros, at_least, bytes_of, expected, footprint
from dmlite.hop.node import LIVE_IN, PICK, Hop, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Root
from dmlite.memory import budget_bytes, human
from dmlite.plan.physical import IN_PLACE, BlockPlan, Step
from dmlite.plan.regions import is_total
from dmlite.plan.sampled import Sampled

_MOST: Final = 16  # times the bytes of all its values that no plan exceeds, whatever its kernels hold beside them
_BLOCKS: Final = 64 << 20  # bytes of blocks that kernels work on, whatever the sizes
_UNTOLD: Final = 1 << 28  # bytes up to which nobody asks how much is free
_REGION: Final = 2 << 20  # bytes of the blocks of a region, for each core
_CELLS: Final = 8  # bytes for each stored cell of the driver of a sampled region, and each member
_PARTS: Final = 32  # of a region, of which each has totals of its own


@dataclass(frozen=True)
class Need:
    """What one step needs: bytes held before it, variables among them, those it holds while it runs, and its results."""

    step: Step
    held: float
    workspace: float
    output: float

    @property
    def total(self) -> float:
        return self.held + self.workspace + self.output


class Holding:
    """The buffers of a plan while it runs. unknown: bytes to take for what has no known size; None ends the account there."""

    def __init__(self, plan: BlockPlan, nonzeros: Nonzeros, unknown: float | None = None, given: frozenset[str] = frozenset()):
        """given: variables whose memory does not count."""
        self.plan, self.facts, self.nonzeros, self.unknown = plan, plan.facts, nonzeros, unknown
        self.live = 0.0
        self.sizes: dict[Hop, float] = {}
        self.buffer: dict[Hop, Hop] = {}
        self.holders: Counter[Hop] = Counter()
        self.is_known = True
        for hop in self._inputs():
            size = 0.0 if hop.value in given else self._size(hop)
            self._hold(hop, hop, size or 0.0)
            self.is_known &= size is not None

    def _inputs(self) -> list[Hop]:
        read = [a for s in self.plan.steps for a in s.hop.args if a.op == LIVE_IN]
        return list(dict.fromkeys([*read, *(h for _, h in self.plan.outputs if h.op == LIVE_IN)]))

    def _size(self, hop: Hop) -> float | None:
        if hop in self.plan.chunked:
            return 0.0
        size = bytes_of(self.facts[hop], self.nonzeros)
        return self.unknown if size is None else size

    def _hold(self, hop: Hop, buffer: Hop, size: float) -> None:
        self.buffer[hop] = buffer
        self.holders[buffer] += 1
        if buffer is hop:
            self.sizes[hop] = size
            self.live += size

    def _drop(self, hop: Hop) -> None:
        buffer = self.buffer.pop(hop, None)
        if buffer is not None:
            self.holders[buffer] -= 1
            if not self.holders[buffer]:
                self.live -= self.sizes[buffer]

    def needs(self) -> Iterator[Need]:
        """What each step needs, in their order, up to the first whose size is not known."""
        for step in self.plan.steps:
            need = self._need(step) if self.is_known else None
            if need is None:
                self.is_known = False
                return
            yield need
            shared = self._shared(step)
            if step.region is None or step.hop in step.region.outputs:
                self._hold(step.hop, self.buffer.get(shared, step.hop) if shared is not None else step.hop, need.output)
            for hop in step.dead:
                self._drop(hop)

    def _need(self, step: Step) -> Need | None:
        if step.there:
            size = self._size(step.hop)
            return None if size is None else Need(step, self.live, 0.0, size)
        if step.region is not None:
            return self._in_region(step)
        found = footprint(step.hop, self.facts, self.nonzeros, self.unknown)
        if found is None:
            return None
        return Need(step, self.live, found.workspace, 0.0 if self._shared(step) is not None or step.recycle is not None else found.output)

    def _shared(self, step: Step) -> Hop | None:
        """The value whose buffer the result lies in. A variable may have another name outside, then it is not written into."""
        hop = step.hop
        if step.takes is not None:
            return self._if_own(step.takes)
        if step.reuse is not None and hop.op in IN_PLACE:
            return self._if_own(hop.args[step.reuse])
        row = BY_NAME.get(hop.op)
        view = row is not None and row.view and hop.args and step.dense and step.region is None
        return hop.args[0] if view or step.owned or hop.op == PICK else None

    def _if_own(self, hop: Hop) -> Hop | None:
        return hop if hop.op != LIVE_IN or self.nonzeros is at_least else None

    def _in_region(self, step: Step) -> Need | None:
        """Values inside of a region are there for a block of rows at a time."""
        assert step.region is not None
        if step.hop not in step.region.outputs:
            return Need(step, self.live, 0.0, 0.0)
        size = self._size(step.hop)
        if size is None:
            return None
        blocks = 0.0 if self.nonzeros is at_least else _REGION * self.facts.machine.cores + self._parts(step, size)
        return Need(step, self.live, blocks, 0.0 if self._shared(step) is not None or step.recycle is not None else size)

    def _parts(self, step: Step, size: float) -> float:
        """What the parts of a region hold of a result until it is put together: totals of each, or the cells that are stored."""
        if isinstance(step.region, Sampled):
            held = len(step.region.cells()) if step.region.by_row else len(step.region.hops)
            return _CELLS * (self.nonzeros(self.facts[step.region.driver]) or 0.0) * held
        return _PARTS * size if is_total(step.hop) else 0.0


def peak_of(plan: BlockPlan, given: frozenset[str] = frozenset()) -> int | None:
    """The most bytes that the variables it reads, but for those given, and everything it makes take at a time, as expected.

    None when a size is not known.
    """
    holding = Holding(plan, expected, given=given)
    peak = max([holding.live, *(need.total for need in holding.needs())])
    return int(peak) if holding.is_known else None


# ---------------------------------------------------------------- what cannot fit
def refuse(plan: BlockPlan, limit: int | None) -> None:
    """Raises DMLRuntimeError at the first step of a plan that certainly needs more than there is.

    With a limit, the variables that the plan reads count. Without one, what they take is not free any more, and 70 % of what is free
    may be taken.
    """
    rough = _rough(plan.facts, [s.hop for s in plan.steps])
    if rough <= (_UNTOLD if limit is None else limit):
        return
    given = frozenset(plan.inputs) if limit is None else frozenset()
    check(plan, budget_bytes(limit), 0.0, given)


def exceeds(facts: FactTable, roots: list[Root], budget: float) -> bool:
    """Whether a block might need more than the budget."""
    return _rough(facts, list(postorder(r.hop for r in roots))) > budget


def _rough(facts: FactTable, hops: list[Hop]) -> float:
    """Bytes that are certainly enough for some operators."""
    values = dict.fromkeys([*hops, *(a for h in hops for a in h.args)])
    return _BLOCKS + _MOST * 8.0 * sum(facts[h].cells or 0 for h in values if facts[h].is_matrix)


def check(plan: BlockPlan, budget: float, beside: float, given: frozenset[str]) -> None:
    """Raises DMLRuntimeError at the first step that certainly needs more than the budget, with what other variables take beside."""
    for need in Holding(plan, at_least, 0.0, given).needs():
        if need.total + beside > budget:
            raise _refusal(need, plan.facts, budget, beside)


def fits(plan: BlockPlan, budget: float, given: frozenset[str]) -> bool:
    """Whether no step certainly needs more than the budget."""
    return all(need.total <= budget for need in Holding(plan, at_least, 0.0, given).needs())


def _refusal(need: Need, facts: FactTable, budget: float, beside: float) -> DMLRuntimeError:
    hop = need.step.hop
    operands = sum(bytes_of(facts[a], at_least) or 0.0 for a in dict.fromkeys(hop.args))
    held = min(operands, need.held)
    parts = {"operands": held, "workspace": need.workspace, "result": need.output, "other values": need.held - held + beside}
    told = ", ".join(f"{what} {human(size)}" for what, size in parts.items() if size >= 0.01 * need.total)
    return DMLRuntimeError(
        f"{_named(need.step)} needs {human(need.total + beside)} ({told}), more than the {human(budget)} that a program may take here",
        need.step.span,
        "use fewer rows or columns or a sparse matrix, or allow more with --memory",
    )


def _named(step: Step) -> str:
    """The operator as it is spelled; for one that no script can spell, also what stands there."""
    spelled, span = BY_NAME[step.hop.op].dml, step.span
    if not spelled.endswith("()") or span is None or span.line != span.end_line:
        return f"'{spelled}'"
    return f"'{span.source.line(span.line)[span.col - 1 : span.end_col - 1]}', computed by {spelled},"
