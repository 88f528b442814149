"""The one fixpoint driver: rules are applied bottom-up until none fires, within a budget, leaving a trace."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dmlite.config import config
from dmlite.errors import Span
from dmlite.hop.cost import cost_of, nonzeros
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop, make, postorder
from dmlite.hop.ops.row import ShapeError
from dmlite.hop.program import Block, Root
from dmlite.hop.verify import verify
from dmlite.rewrite.fuse.choose import Fusions, replaced
from dmlite.rewrite.index import index_of
from dmlite.rewrite.rule import Rule, folded
from dmlite.rewrite.thrift import pays

MAX_FIRINGS = 64  # at one node: more means that rules undo each other


@dataclass(frozen=True)
class Firing:
    """One rewrite that happened: which rule, what it replaced by what, and where in the script."""

    rule: str
    before: Hop
    after: Hop
    span: Span | None


class Rewriter:
    """Rewrites the DAG of one block under the given facts."""

    def __init__(self, block: Block, facts: FactTable, rules: Sequence[Rule], *, thrifty: bool = False):
        self.block = block
        self.facts = facts
        self.thrifty = thrifty
        disabled = config().disabled_rules
        self.index = index_of(tuple(r for r in rules if r.name not in disabled))
        self.firings: list[Firing] = []
        self._done: dict[Hop, Hop] = {}
        self._uses: Counter[Hop] = Counter()

    def run(self) -> list[Root]:
        """The rewritten roots; the block itself is left as it is."""
        roots = [r.hop for r in self.block.roots]
        self._uses = count_uses(roots)
        for hop in list(postorder(roots)):
            self._done[hop] = self._settle(self._rebuilt(hop))
        fused = self._fused([self._done[hop] for hop in roots])
        return [Root(r.name, hop) for r, hop in zip(self.block.roots, fused, strict=True)]

    def _fused(self, roots: list[Hop]) -> list[Hop]:
        """After all other rules, the fused operators that pay."""
        if not self.index.fusions:
            return roots
        taken = Fusions(roots, self.facts, self.index.fusions, self._attempt).choose()
        done = replaced(roots, taken)
        for hop, new in done.items():
            if hop in taken:
                self._fired(taken[hop].rule, hop, new)
            elif new is not hop:
                self._inherit(hop, new)
        return [done[hop] for hop in roots]

    def _rebuilt(self, hop: Hop) -> Hop:
        args = tuple(self._done[a] for a in hop.args)
        if args == hop.args:
            return hop
        new = folded(hop.op, args) or make(hop.op, args, hop.value, hop.tag)
        self._inherit(hop, new)
        self._replace(hop, new)
        return new

    def _replace(self, old: Hop, new: Hop) -> None:
        """Whoever used `old` uses `new` from now on; what only `old` needed is needed no more."""
        if new is old:
            return
        users, self._uses[old] = self._uses[old], 0
        self._enter(new)
        self._uses[new] += users
        self._leave(old)

    def _enter(self, hop: Hop) -> None:
        """Count the operands of a node that comes into use, and of those that come with it."""
        stack = [] if self._uses[hop] else [hop]
        while stack:
            for arg in stack.pop().args:
                arg = self._done.get(arg, arg)
                if not self._uses[arg]:
                    stack.append(arg)
                self._uses[arg] += 1

    def _leave(self, hop: Hop) -> None:
        stack = [hop]
        while stack:
            for arg in stack.pop().args:
                arg = self._done.get(arg, arg)
                self._uses[arg] -= 1
                if not self._uses[arg]:
                    stack.append(arg)

    def _settle(self, hop: Hop) -> Hop:
        """Apply rules at `hop` and inside what they produce until nothing changes."""
        known = self._done.get(hop)
        if known is not None:
            return known
        for _ in range(MAX_FIRINGS):
            new = self._fire(hop)
            if new is None:
                return hop
            self._replace(hop, new)
            for inner in postorder([new], self._done):
                if inner is not new:
                    self._done[inner] = self._settle(self._rebuilt(inner))
            hop = self._done[new] if new in self._done else self._rebuilt(new)
        message = f"rewrites do not come to an end: {', '.join(f.rule for f in self.firings[-6:])}"
        if config().verify:
            raise RuntimeError(message)
        warnings.warn(message, stacklevel=2)
        return hop

    def _fire(self, hop: Hop) -> Hop | None:
        for rule, patterns in self.index.at(hop, self.facts):
            new = self._attempt(rule, hop, patterns)
            if new is not None and not (self.thrifty and not pays(hop, new, self._uses, self._done, self.facts)):
                self._fired(rule, hop, new)
                return new
        return None

    def _attempt(self, rule: Rule, hop: Hop, patterns: tuple[Hop, ...] | None = None) -> Hop | None:
        """What a rule makes of a node, if it keeps its meaning; a rule that fails is passed over with a warning."""
        try:
            new = rule.apply(hop, self.facts, self._uses, patterns)
            return None if new is None or new is hop or not self._same_meaning(hop, new) else new
        except Exception as error:
            if config().verify:
                raise
            warnings.warn(f"rewrite rule {rule.name} failed and is skipped: {error}", stacklevel=2)
            return None

    def _fired(self, rule: Rule, hop: Hop, new: Hop) -> None:
        self.firings.append(Firing(rule.name, hop, new, self.block.spans.get(hop)))
        self._inherit(hop, new)
        before, after = nonzeros(self.facts[hop]), nonzeros(self.facts[new])
        if before is not None and after is not None and self.facts[new].nnz_min <= before < after:
            self.facts.known(new, replace(self.facts[new], nnz_avg=before))  # the same value, whatever its form lets expect

    def _same_meaning(self, old: Hop, new: Hop) -> bool:
        """A rewrite must keep kind, shape and value type; where it would not (a misfit at run time), it is not made."""
        before = self.facts[old]
        try:
            after = self.facts[new]
        except ShapeError:
            return False
        return before.kind == after.kind and _agree(before, after)

    def _inherit(self, old: Hop, new: Hop) -> None:
        """New nodes point to the source of what they replace."""
        span = self.block.spans.get(old)
        if span is not None:
            stack = [new]
            while stack:
                hop = stack.pop()
                if hop.args and hop not in self.block.spans:
                    self.block.spans[hop] = span
                    stack.extend(hop.args)


def _agree(a: Fact, b: Fact) -> bool:
    return all(x is None or y is None or x == y for x, y in ((a.rows, b.rows), (a.cols, b.cols), (a.vtype, b.vtype)))


def count_uses(roots: Iterable[Hop]) -> Counter[Hop]:
    """How often each node is an operand or a root."""
    roots = list(roots)
    uses: Counter[Hop] = Counter(roots)
    for hop in postorder(roots):
        uses.update(hop.args)
    return uses


def rewrite(block: Block, facts: FactTable, rules: Sequence[Rule], *, thrifty: bool = False) -> tuple[list[Root], list[Firing]]:
    """The roots of `block` after `rules`, and what was done. thrifty: nothing is done that costs more, as far as costs are known."""
    if not rules or not any(facts[h].is_matrix for h in block.hops):
        return block.roots, []  # rules are about matrices; most blocks of loops and conditions have none
    rewriter = Rewriter(block, facts, rules, thrifty=thrifty)
    roots = rewriter.run()
    if config().verify:
        verify(block.roots, roots, block.inputs, facts, "rewriting")
    if thrifty and rewriter.firings and _costs_more(roots, block.roots, facts):
        return block.roots, []
    return roots, rewriter.firings


def _costs_more(roots: Sequence[Root], before: Sequence[Root], facts: FactTable) -> bool:
    """Whether all in all nothing was won: a rule sees the costs around it, but not those of every consumer."""
    new, old = (cost_of([r.hop for r in rs], facts).seconds for rs in (roots, before))
    return new is not None and old is not None and new > old * (1 + 1e-9)
