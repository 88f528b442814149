"""HOP -> physical steps of one block: order, storage, kernel, and which buffers may be overwritten.

The plan knows shapes and storage of the values at hand, so it may choose a bare array expression where the general
kernel would first have to look what it got.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dmlite.errors import Span
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Root
from dmlite.plan.chunked import ChunkRegions, Chunks, Role
from dmlite.plan.placement import Placement
from dmlite.plan.regions import Region, Regions, Unit, contracted, is_total, parts, without_cycles
from dmlite.plan.room import Room
from dmlite.plan.sampled import Sampled
from dmlite.plan.sampling import Sampling
from dmlite.rewrite.driver import count_uses

RECYCLE_CELLS = 1 << 15  # from here on fresh memory costs page faults, so old buffers of loop variables are used again
REUSE_CELLS = 4096  # below this a fresh small array is as cheap as writing into an old one


@dataclass
class Step:
    """One physical operator: computes `hop` from values computed before it.

    dense: the result is certainly a dense array. reuse: a dead operand whose buffer may take the result, where it
    belongs to a variable only if nothing else refers to it. recycle: the variable whose old, dead value may take the result.
    owned: the target of a left-indexing, or what a product is added to, may be changed in place. dead: values no later step needs.
    region: the steps it runs with, block of rows by block of rows; takes: a dead value from outside whose buffer may take the result.
    there: how the workers run it, if they do.
    """

    hop: Hop
    fact: Fact
    dense: bool
    span: Span | None
    reuse: int | None = None
    recycle: str | None = None
    owned: bool = False
    dead: list[Hop] = field(default_factory=list)
    region: Region | Sampled | Chunks | None = None
    takes: Hop | None = None
    there: Role | Room | None = None


@dataclass
class BlockPlan:
    """The steps of one block in order, and what it takes and gives."""

    steps: list[Step]
    inputs: list[str]
    recycled: list[str]
    outputs: list[tuple[str, Hop]]
    facts: FactTable
    dense: dict[Hop, bool]
    internal: set[Hop]  # whole numbers that only index and compare: no overflow can be seen
    places: Mapping[Hop, Placement] = field(default_factory=dict)  # where operators run, in a plan that uses workers
    chunked: frozenset[Hop] = frozenset()  # values that lie on workers


_INT_ARITHMETIC = frozenset({"add", "sub", "mul"})
_HIDING = frozenset({"index", "leftindex", "lt", "le", "gt", "ge", "eq", "ne"})


class Planner:
    """Plans one block for live-ins with the given facts."""

    def __init__(
        self,
        roots: list[Root],
        facts: FactTable,
        live_after: set[str],
        spans: Mapping[Hop, Span],
        *,
        together: bool = True,
        there: Mapping[Hop, Role | Room] | None = None,
    ):
        """together: whether operators on large arrays may run as regions. there: what workers run, and how."""
        self.together = together
        self.there = there or {}
        self.roots = roots
        self.facts = facts
        self.live_after = live_after
        self.spans = spans
        self.dense: dict[Hop, bool] = {}
        self.buffer: dict[Hop, Hop] = {}  # the node whose memory a value shares

    def plan(self, inputs: list[str], recycled: list[str]) -> BlockPlan:
        """inputs: variables read; recycled: variables only overwritten, whose old buffers are handed over."""
        self.recycled = {r.hop: r.name for r in self.roots if r.name in recycled}
        hops = [r.hop for r in self.roots]
        left = count_uses(hops)
        outputs = [(r.name, r.hop) for r in self.roots if r.name is not None]
        holders = self._holders(hops, left)
        steps: list[Step] = []
        order = list(postorder(hops))
        regions = self._regions(order, hops)
        for value in (v for r in regions if isinstance(r, (Region, Chunks)) for v in r.turned()):
            left[value] += 1
            holders[self.buffer[value]] += 1
        units = list(contracted(order, regions, self.facts))
        for value in self._computed_again(units):
            for arg in value.args:
                left[arg] += 1
                holders[self.buffer[arg]] += 1
        for unit in units:
            if isinstance(unit, (Sampled, Chunks)):
                steps.extend(self._elsewhere(unit, left, holders))
            elif isinstance(unit, Region):
                steps.extend(self._together(unit, left, holders))
            elif unit.op == LIVE_IN:
                self.dense[unit] = self.facts[unit].dense
            elif unit.op != LITERAL:
                steps.append(self._step(unit, left, holders))
        return BlockPlan(steps, inputs, recycled, outputs, self.facts, self.dense, self._internal(hops))

    def _regions(self, order: list[Hop], roots: list[Hop]) -> list[Region | Sampled | Chunks]:
        chunks = ChunkRegions(order, roots, self.facts, self.there).find() if self.there else []
        if not self.together:
            return self._whole_or_single(order, chunks, [])
        sampled = Sampling(order, roots, self.facts, self.there).find()
        dense = Regions(order, roots, self.facts, {*self.there, *(h for s in sampled for h in s.hops)}).find()
        return self._whole_or_single(order, chunks, [*sampled, *dense])

    def _whole_or_single(self, order: list[Hop], chunks: list[Chunks], others: list[Region | Sampled]) -> list[Any]:
        """Regions that do not wait for each other; of a chunk region that would, each member is one of its own."""
        kept = without_cycles(order, [*chunks, *others])
        singles = (Chunks(c.rows, [h], [h], [], {h: c.roles[h]}) for c in chunks if c not in kept for h in c.hops)
        return [*kept, *singles]

    @staticmethod
    def _computed_again(units: list[Hop | Unit]) -> Iterator[Hop]:
        """Values that several sampled regions compute at their cells, once for each time but the first."""
        seen: set[Hop] = set()
        for unit in units:
            for hop in [unit] if isinstance(unit, Hop) else unit.hops:
                if hop in seen:
                    yield hop
                seen.add(hop)

    def _internal(self, hops: list[Hop]) -> set[Hop]:
        """Nodes whose every consumer is an index bound, a comparison, or whole-number arithmetic of the same sort."""
        seen_outside = set(hops)
        for hop in reversed(list(postorder(hops))):
            hidden = hop.op in _HIDING or (hop.op in _INT_ARITHMETIC and hop not in seen_outside)
            seen_outside.update(a for i, a in enumerate(hop.args) if not hidden or (hop.op == "leftindex" and i == 1))
        return {h for h in postorder(hops) if h.op in _INT_ARITHMETIC and h not in seen_outside}

    def _holders(self, hops: list[Hop], uses: Counter[Hop]) -> Counter[Hop]:
        """For every buffer, how many operand places still refer to it, through views or directly. A list keeps what is put into it."""
        holders: Counter[Hop] = Counter()
        for hop in postorder(hops):
            row = BY_NAME.get(hop.op)
            shares = (row is not None and row.view and hop.args) or hop.op == PICK
            self.buffer[hop] = self.buffer[hop.args[0]] if shares else hop
            holders[self.buffer[hop]] += uses[hop]
            if row is not None and {"L", "A"} & set(row.results) and not self.facts[hop].is_matrix:
                holders.update(self.buffer[a] for a in hop.args)
        return holders

    def _step(self, hop: Hop, left: Counter[Hop], holders: Counter[Hop]) -> Step:
        fact = self.facts[hop]
        step = Step(hop, fact, fact.dense, self.spans.get(hop), there=self.there.get(hop))
        self.dense[hop] = step.dense
        step.owned = hop.op in ("leftindex", "gemm") and step.there is None and self._may_overwrite(hop.args[0], left, holders)
        step.reuse = None if step.there is not None else self._reusable(hop, fact, step.dense, left, holders)
        if step.reuse is None and step.dense and hop.op in FRESH and (fact.cells or 0) >= RECYCLE_CELLS and step.there is None:
            step.recycle = self.recycled.get(hop)
        for arg in hop.args:
            left[arg] -= 1
            holders[self.buffer[arg]] -= 1
            if left[arg] == 0 and arg.op not in (LITERAL, LIVE_IN):
                step.dead.append(arg)
        return step

    def _together(self, region: Region, left: Counter[Hop], holders: Counter[Hop]) -> list[Step]:
        """The steps of a region. Inside, buffers are blocks; the buffer of a result is a whole one from outside."""
        inside = set(region.hops)
        steps = [self._step(hop, left, holders) for hop in region.hops]
        turned = [*(t.args[0] for t in region.absorbed), *region.turned()]
        for value in turned:  # only now, since the last member may be the one that reads it
            left[value] -= 1
            holders[self.buffer[value]] -= 1
        whole = set(region.whole(self.facts))
        free = [a for a in region.split(self.facts) if a not in whole and self._is_free(a, left, holders)]
        last_read = {a: i for i, h in enumerate(region.hops) for a in parts(h, self.facts)}
        read = {v for v in turned if v.op != LIVE_IN and not left[v]}
        dead = read.union(*(s.dead for s in steps)).difference(region.absorbed)
        steps[-1].dead = [h for h in self.buffer if h in dead]
        for i, step in enumerate(steps):
            step.region = region
            step.dead = [] if step is not steps[-1] else step.dead
            if step.reuse is not None and step.hop.args[step.reuse] not in inside:
                step.reuse = None
            if step.hop in region.outputs and not is_total(step.hop):
                step.reuse = None
                step.recycle = self.recycled.get(step.hop)
                shape = (step.fact.rows, step.fact.cols)
                step.takes = next((a for a in free if last_read[a] <= i and (self.facts[a].rows, self.facts[a].cols) == shape), None)
                free = [a for a in free if a is not step.takes]
            else:
                step.recycle = None
        return steps

    def _elsewhere(self, region: Sampled | Chunks, left: Counter[Hop], holders: Counter[Hop]) -> list[Step]:
        """The steps of a sampled region, or of one on workers. Buffers are taken only where its operators run one after another."""
        inside = {*region.hops, *region.absorbed}
        steps = [self._step(hop, left, holders) for hop in region.hops]
        self._release_turned(region, steps, left, holders)
        steps[-1].dead = [a for s in steps for a in s.dead if a not in inside]
        for step in steps:
            step.region = region
            step.recycle = None
            step.dead = step.dead if step is steps[-1] else []
            if step.reuse is not None and step.hop.args[step.reuse] not in inside:
                step.reuse = None
        return steps

    def _release_turned(self, region: Sampled | Chunks, steps: list[Step], left: Counter[Hop], holders: Counter[Hop]) -> None:
        """What members read behind transposes that are not computed has been read."""
        if not isinstance(region, Chunks):
            return
        for value in (*(t.args[0] for t in region.absorbed), *region.turned()):
            left[value] -= 1
            holders[self.buffer[value]] -= 1
            if not left[value] and value.op not in (LITERAL, LIVE_IN):
                steps[-1].dead.append(value)

    def _is_free(self, value: Hop, left: Counter[Hop], holders: Counter[Hop]) -> bool:
        """Whether nothing will read a value or its buffer any more, and it is this block's to overwrite."""
        own = value.op in FRESH or (value.op == LIVE_IN and self._is_overwritten(value.value))
        return own and not left[value] and not holders[self.buffer[value]] and self.buffer[value] is value

    def _may_overwrite(self, target: Hop, left: Counter[Hop], holders: Counter[Hop]) -> bool:
        """No one else in this block, and no later block, reads the old value; the run time still checks for aliases."""
        if left[target] != 1 or holders[self.buffer[target]] != 1:
            return False
        return target.op != LIVE_IN or self._is_overwritten(target.value)

    def _reusable(self, hop: Hop, fact: Fact, dense: bool, left: Counter[Hop], holders: Counter[Hop]) -> int | None:
        """An operand that is a fresh dense temporary of the result's shape and is read for the last time here."""
        if not dense or fact.cells is None or fact.cells < REUSE_CELLS:
            return None
        for i, arg in enumerate(hop.args):
            same_shape = (self.facts[arg].rows, self.facts[arg].cols) == (fact.rows, fact.cols)
            once = left[arg] == hop.args.count(arg) and holders[self.buffer[arg]] == left[arg]
            own = arg.op in FRESH or (arg.op == LIVE_IN and self._is_overwritten(arg.value))
            if same_shape and once and own and self.dense.get(arg, False) and self.buffer[arg] is arg:
                return i
        return None

    def _is_overwritten(self, variable: str) -> bool:
        """Whether the value a variable has before the block is dead after it."""
        return variable not in self.live_after or any(r.name == variable for r in self.roots)


# Operators whose dense result is always newly allocated by its own step.
FRESH = frozenset(
    [
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "exp",
        "log",
        "sqrt",
        "abs",
        "tanh",
        "sigmoid_op",
        "sprop",
        "one_minus",
        "square",
        "min2",
        "max2",
        "matmul",
        "gt",
        "lt",
        "ge",
        "le",
        "eq",
        "ne",
    ]
)
# Those of them that can write into the buffer of an operand.
IN_PLACE = frozenset({"add", "sub", "mul", "div", "min2", "max2", "neg", "exp", "log", "sqrt", "abs", "tanh", "square"})
