"""The rewrites of one block, those of its statements, and the fusions that it nearly had, as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from dmlite.errors import Span
from dmlite.explain.graphs import graph_of_rewrite
from dmlite.explain.lineage import Lineage, below, difference
from dmlite.explain.misses import Miss
from dmlite.explain.naming import is_number, is_temporary, written
from dmlite.explain.record import NearMiss, Place, Rewrite, StatementRewrite
from dmlite.hop.changes import Change, quoted
from dmlite.hop.cost import bytes_of, total
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Block, shown
from dmlite.memory import human
from dmlite.plan.physical import BlockPlan
from dmlite.rewrite.driver import Firing
from dmlite.rewrite.phases import ALL

LIMIT: Final = 12  # operators of an expression that are written out in a line
SHORT: Final = 24  # characters of an operand that is written out rather than named
RULES: Final = {rule.name: rule for rule in ALL}
_SATURATION: Final = "the cheapest of all the forms that the rules make equal", "reassociates"


def place_of(span: Span | None) -> Place | None:
    """A stretch of source as the record has it."""
    return None if span is None else Place(span.source.name, span.line, span.col, span.end_line, span.end_col)


@dataclass(frozen=True)
class View:
    """What the rewrites of one block are shown with: names of variables and of long operands, facts, and what is left in the plan."""

    number: int
    block: Block
    names: Mapping[Hop, str]
    facts: FactTable
    left: Set[Hop]

    @classmethod
    def of(cls, number: int, block: Block, names: Mapping[Hop, str], facts: FactTable, plan: BlockPlan) -> View:
        variables = {hop: name for hop, name in names.items() if hop.op != LITERAL and not is_number(name)}
        numbered = {hop: name for hop, name in names.items() if is_number(name)}
        long = {hop: name for hop, name in numbered.items() if len(written(hop, variables, LIMIT)) > SHORT}
        return cls(number, block, {**variables, **long}, facts, {step.hop for step in plan.steps})

    # ------------------------------------------------------------ of operators
    def rewrites(self, firings: Sequence[Firing], lineage: Lineage, first: int) -> list[Rewrite]:
        """One record a firing, numbered from `first`."""
        return [self._rewrite(first + k, firing, _settled(firing, k, lineage), lineage) for k, firing in enumerate(firings)]

    def _reaching(self, before: Hop, after: Hop, lineage: Lineage) -> dict[Hop, str]:
        """The names, also of what stood there for a while before other rules made of it what has the name."""
        passing = {hop: lineage.became(hop) for side in (before, after) for hop in below(side, self.names) if hop.args}
        return {**{hop: self.names[end] for hop, end in passing.items() if end in self.names}, **self.names}

    def _rewrite(self, number: int, firing: Firing, before: Hop, lineage: Lineage) -> Rewrite:
        """`before` is what the rule replaced, with what other rules made of its operands."""
        gone, new = difference(before, firing.after)
        changing = {*gone, *new}
        names = {hop: name for hop, name in self._reaching(before, firing.after, lineage).items() if hop not in changing}
        names = _unambiguous(names, [*_met(before, names), *_met(firing.after, names)])
        numbered = {hop: name for hop, name in names.items() if is_number(name)}
        used = dict.fromkeys([*_met(before, names), *_met(firing.after, names)])
        dropped = [hop for hop in gone if hop not in self.left]
        rule = RULES.get(firing.rule)
        why, values = (rule.why, rule.values) if rule else _SATURATION
        return Rewrite(
            number,
            self.number,
            firing.rule,
            why,
            values,
            place_of(firing.span),
            _named(before, names),
            _named(firing.after, names),
            {numbered[hop]: written(hop, names, LIMIT) for hop in used if hop in numbered},
            total(dropped, self.facts).seconds,
            total(new, self.facts).seconds,
            _bytes(dropped, self.facts),
            _bytes(new, self.facts),
            graph_of_rewrite(before, gone, self.facts, names),
            graph_of_rewrite(firing.after, new, self.facts, names),
        )

    # ------------------------------------------------------------ of statements
    def statements(self, function: str, plan: BlockPlan) -> Iterator[StatementRewrite]:
        """What this block does without, and what it writes where it stands."""
        told = set(self.block.hops)
        for root in self.block.dropped:
            if root.hop.args and root.hop not in told and root.hop.op != PICK and not is_temporary(root.name or "%"):
                told.add(root.hop)
                span = self.block.spans.get(root.hop)
                value = "..." if root.hop.op == "leftindex" else quoted(span) or written(root.hop, limit=LIMIT)
                before = f"{quoted(span) if root.hop.op == 'leftindex' else shown(root.name or '')} = {value}"
                yield statement_rewrite(Change("dead_code_removal", span, before, "nothing"), function, self.number)
        for step in plan.steps:
            if step.owned:
                size = bytes_of(self.facts[step.hop])
                after = "written into the old matrix" + ("" if size is None else f", {human(size)} not copied")
                yield statement_rewrite(Change("update_in_place", step.span, f"{quoted(step.span)} = ...", after), function, self.number)

    # ------------------------------------------------------------ nearly
    def near_misses(self, found: Iterable[Miss], ids: Mapping[Hop, int], lineage: Lineage, *, saturated: bool) -> list[NearMiss]:
        """ids: of the operators in the plan. saturated: whether an e-graph chose the plan rather than one rule after the other."""
        records = []
        for miss in found:
            span, hop = self.block.spans.get(miss.hop), lineage.became(miss.hop)
            id = ids.get(miss.hop, ids.get(hop))
            if id is None and saturated:
                continue  # what an e-graph made of the block was not looked at
            text = written(miss.hop, self.names, LIMIT)
            records.append(NearMiss(miss.rule.name, miss.rule.why, self.number, id, place_of(span), text, self._reason(miss)))
        return records

    def _reason(self, miss: Miss) -> str:
        if miss.kept is None:
            return miss.reason.format(*(_named(hop, self.names) for hop in miss.others))
        lines = dict.fromkeys(f"line {span.line}" for hop in miss.others if (span := self.block.spans.get(hop)))
        if lines:
            return miss.reason.format(f"in {' and '.join(lines)} as well")
        variable = next((shown(r.name) for r in self.block.roots if r.hop is miss.kept and r.name and not is_temporary(r.name)), None)
        return miss.reason.format(f"as {variable} later on" if variable else "elsewhere as well")


def statement_rewrite(change: Change, function: str, block: int | None = None) -> StatementRewrite:
    """A change as the record has it."""
    return StatementRewrite(change.kind, change.reason, function, block, place_of(change.span), change.before, change.after)


def _settled(firing: Firing, number: int, lineage: Lineage) -> Hop:
    """Fused operators are chosen all at once, so what others made of the operands is put in afterwards."""
    rule = RULES.get(firing.rule)
    return lineage.settled(number) if rule is not None and rule.fuses else firing.before


def _unambiguous(names: dict[Hop, str], used: Sequence[Hop]) -> dict[Hop, str]:
    """The names without those of new values of variables whose old values are `used` beside them."""
    old = {names[hop] for hop in used if hop.op == LIVE_IN}
    return {hop: name for hop, name in names.items() if hop.op == LIVE_IN or name not in old}


def _bytes(hops: Iterable[Hop], facts: FactTable) -> int | None:
    """Of the results that are made, not of those that only show another one."""
    made = (hop for hop in hops if facts[hop].is_matrix and not (hop.op in BY_NAME and BY_NAME[hop.op].view))
    sizes = [bytes_of(facts[hop]) for hop in made]
    return None if None in sizes else sum(s for s in sizes if s is not None)


def _met(root: Hop, names: Mapping[Hop, str]) -> Iterator[Hop]:
    """The named nodes that are found below `root` without going through another one."""
    seen: set[Hop] = set()
    stack = [root]
    while stack:
        hop = stack.pop()
        if hop in seen:
            continue
        seen.add(hop)
        if hop in names:
            yield hop
        else:
            stack.extend(reversed(hop.args))


def _named(hop: Hop, names: Mapping[Hop, str]) -> str:
    return names[hop] if hop in names else written(hop, names, LIMIT)
