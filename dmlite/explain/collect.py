"""A compiled program, and perhaps a run of it, as a `Record`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

from dmlite.codegen.emit import Emitter
from dmlite.errors import Span
from dmlite.explain import choice
from dmlite.explain.graphs import GraphBuilder, graph_of_rewrite
from dmlite.explain.lineage import Lineage, difference
from dmlite.explain.naming import OperatorNames, Variables, is_number, is_temporary
from dmlite.explain.record import BlockRecord, FunctionRecord, Item, Place, Record, Rewrite, Run
from dmlite.explain.syntax import syntax_tree
from dmlite.hop.cost import bytes_of, total
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Block, CallNode, ForNode, FunctionInstance, IfNode, Node, Root, WhileNode
from dmlite.hop.text import hop_to_dml
from dmlite.lang import nodes as ast
from dmlite.plan.physical import BlockPlan, Step
from dmlite.rewrite.driver import Firing
from dmlite.rewrite.phases import ALL
from dmlite.runtime.engine import BlockRun, Engine
from dmlite.runtime.stats import Measured

LIMIT: Final = 12  # operators of an expression that are written out in a line
SHORT: Final = 24  # characters of an operand that is written out rather than named
_RULES: Final = {rule.name: rule for rule in ALL}


def collect(script: ast.Script, name: str, engine: Engine, run: Run | None = None) -> Record:
    """Everything about the program of `engine`; `run` when it was run with statistics before."""
    collector = Collector(engine)
    functions = [collector.function(f) for f in (engine.program.main, *engine.program.functions.values())]
    sources = {name: script.span.source.text, **collector.sources}
    return Record(name, engine.config.opt_level, functions, collector.blocks, sources, syntax_tree(script), run)


def place_of(span: Span | None) -> Place | None:
    return None if span is None else Place(span.source.name, span.line, span.col, span.end_line, span.end_col)


class Collector:
    """Walks the functions of a program; blocks are numbered in the order in which they stand there."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.blocks: list[BlockRecord] = []
        self.sources: dict[str, str] = {}
        self._rewrites = 0
        self._runs: dict[int, list[tuple[BlockRun, list[Measured]]]] = {}
        for run in engine.runs:
            measured = engine.stats.of(run.plan.steps) if engine.stats is not None else None
            if measured is not None:
                self._runs.setdefault(id(run.block), []).append((run, measured))

    def function(self, function: FunctionInstance) -> FunctionRecord:
        self.variables = Variables(function)
        self._meaning: dict[str, str] = {}
        self._constants: dict[str, Any] = {}
        self._function = function.key
        params, returns = ([self.variables[n] for n in names] for names in (function.params, function.returns))
        return FunctionRecord(function.key, function.name, params, returns, self._items(function.body, 1))

    # ------------------------------------------------------------ control flow
    def _items(self, nodes: list[Node], times: int | None) -> list[Item]:
        """times: how often the nodes are executed in one call of the function, as far as that is known."""
        return [item for node in nodes for item in self._item(node, times)]

    def _item(self, node: Node, times: int | None) -> Iterator[Item]:
        match node:
            case Block():
                if node.roots:
                    yield self._block(node, times)
            case CallNode():
                args, results = [self._text(a) for a in node.args], [self.variables[r] for r in node.results]
                yield {"kind": "call", "function": node.function, "args": args, "results": results, **_at(node.span)}
            case IfNode():
                branches = {"then": self._items(node.then, None), "else": self._items(node.orelse, None)}
                yield {"kind": "if", "condition": self._text(node.cond), **branches, **_at(node.span)}
            case WhileNode():
                test, body = self._items(node.test, None), self._items(node.body, None)
                yield {"kind": "while", "condition": self._text(node.cond), "test": test, "body": body, **_at(node.span)}
            case ForNode():
                bounds = [self._text(b) for b in (node.start, node.stop, node.step) if b is not None]
                rounds = self._rounds(node)
                head = {"kind": "for", "parallel": node.parallel is not None, "variable": self.variables[node.var], "bounds": bounds}
                body = self._items(node.body, None if times is None or rounds is None else times * rounds)
                yield {**head, "times": rounds, "body": body, **_at(node.span)}

    def _rounds(self, node: ForNode) -> int | None:
        """How often a loop runs whose bounds are constants."""
        found = [self._constants.get(b) for b in (node.start, node.stop, node.step) if b is not None]
        values = [v for v in found if isinstance(v, int) and not isinstance(v, bool)]
        if len(values) < len(found):
            return None
        start, stop = values[:2]
        step = values[2] if len(values) > 2 else 1 if stop >= start else -1
        return max(0, (stop - start) // step + 1) if step else None

    def _text(self, variable: str) -> str:
        """What a variable of the compiler holds, as it was last computed; any other by its name."""
        return self._meaning.get(variable, self.variables[variable])

    def _define(self, root: Root, names: Mapping[Hop, str]) -> None:
        if root.name is not None and is_temporary(root.name):
            variables = {hop: name for hop, name in names.items() if hop.op != LITERAL and not is_number(name)}
            self._meaning[root.name] = names[root.hop] if not root.hop.args else hop_to_dml(root.hop, variables, LIMIT)
            if root.hop.op == LITERAL:
                self._constants[root.name] = root.hop.value

    # ------------------------------------------------------------ blocks
    def _block(self, block: Block, times: int | None) -> Item:
        shown, measured, plans = self._shown_run(block)
        number = len(self.blocks)
        lineage = Lineage(shown.firings)
        naming = OperatorNames(self.variables)
        facts = shown.plan.facts
        before = naming.before(block.roots)
        plan_roots = _roots(shown.plan, block)
        after = naming.after(plan_roots, before, lineage)
        for root in block.roots:
            self._define(root, before)
        for span in block.spans.values():
            self.sources.setdefault(span.source.name, span.source.text)
        hops = GraphBuilder(before, facts, block.spans).graph(block.roots)
        python = Emitter(shown.plan, f"block{number}").emit().source
        builder = GraphBuilder(after, facts, block.spans, lineage, choice.of_plan(shown.plan, python), measured, self._rewrites)
        plan = builder.graph(plan_roots)
        view = _shown({**before, **after}, facts, shown.plan)
        rewrites = [self._rewrite(number, f, self._settled(f, k, lineage), view) for k, f in enumerate(shown.firings)]
        place = _extent(block, shown.firings)
        peak = peak_of(shown.plan, facts)
        self.blocks.append(BlockRecord(number, self._function, place, times, hops, plan, rewrites, python, peak, plans))
        return {"kind": "block", "number": number}

    def _settled(self, firing: Firing, number: int, lineage: Lineage) -> Hop:
        """Fused operators are chosen all at once, so what others made of the operands is put in afterwards."""
        rule = _RULES.get(firing.rule)
        return lineage.settled(number) if rule is not None and rule.fuses else firing.before

    def _shown_run(self, block: Block) -> tuple[BlockRun, list[Measured] | None, int]:
        """The plan that took most time in the run, or the one made from what is known before it."""
        runs = self._runs.get(id(block), [])
        if not runs:
            return self.engine.preview(block), None, 0
        run, measured = max(runs, key=lambda r: sum(step.seconds for step in r[1]))
        return run, measured, len(runs)

    def _rewrite(self, block: int, firing: Firing, before: Hop, shown: _Shown) -> Rewrite:
        """`before` is what the rule replaced, with what other rules made of its operands."""
        gone, new = difference(before, firing.after)
        changing = {*gone, *new}
        names = {hop: name for hop, name in shown.names.items() if hop not in changing}
        numbered = {hop: name for hop, name in names.items() if is_number(name)}
        used = dict.fromkeys([*_met(before, names), *_met(firing.after, names)])
        number, self._rewrites = self._rewrites, self._rewrites + 1
        rule = _RULES.get(firing.rule)
        return Rewrite(
            number,
            block,
            firing.rule,
            rule.why if rule else "",
            rule.values if rule else "",
            place_of(firing.span),
            _written(before, names),
            _written(firing.after, names),
            {numbered[hop]: hop_to_dml(hop, names, LIMIT) for hop in used if hop in numbered},
            total([hop for hop in gone if hop not in shown.left], shown.facts).seconds,
            total(new, shown.facts).seconds,
            graph_of_rewrite(before, gone, shown.facts, names),
            graph_of_rewrite(firing.after, new, shown.facts, names),
        )


@dataclass(frozen=True)
class _Shown:
    """What the rewrites of one block are shown with: names of variables and of long operands, facts, and what is left in the plan."""

    names: Mapping[Hop, str]
    facts: FactTable
    left: Set[Hop]


def _shown(names: Mapping[Hop, str], facts: FactTable, plan: BlockPlan) -> _Shown:
    variables = {hop: name for hop, name in names.items() if hop.op != LITERAL and not is_number(name)}
    numbered = {hop: name for hop, name in names.items() if is_number(name)}
    long = {hop: name for hop, name in numbered.items() if len(hop_to_dml(hop, variables, LIMIT)) > SHORT}
    return _Shown({**variables, **long}, facts, {step.hop for step in plan.steps})


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


def _written(hop: Hop, names: Mapping[Hop, str]) -> str:
    return names[hop] if hop in names else hop_to_dml(hop, names, LIMIT)


def _at(span: Span | None) -> dict[str, Any]:
    return {"place": None if span is None else vars(place_of(span))}


def _roots(plan: BlockPlan, block: Block) -> list[Root]:
    """The roots of a plan: its effects in order, and its outputs."""
    effects = [Root(None, s.hop) for s in plan.steps if s.hop.op in BY_NAME and BY_NAME[s.hop.op].effect]
    return [*effects, *(Root(name, hop) for name, hop in plan.outputs)]


def _extent(block: Block, firings: Sequence[Firing]) -> Place | None:
    """The first to the last line of the block in the file where most of it stands."""
    spans = [s for s in (*(block.spans.get(h) for h in block.hops), *(f.span for f in firings)) if s is not None]
    if not spans:
        return None
    files = [s.source for s in spans]
    file = max(files, key=files.count)
    inside = [s for s in spans if s.source is file]
    first, last = min(inside, key=lambda s: (s.line, s.col)), max(inside, key=lambda s: (s.end_line, s.end_col))
    return Place(file.name, first.line, first.col, last.end_line, last.end_col)


def peak_of(plan: BlockPlan, facts: FactTable) -> int | None:
    """The most bytes of inputs and intermediate results at a time, by the estimates; None when a size is not known."""
    inputs = {a for s in plan.steps for a in s.hop.args if a.op == LIVE_IN} | {h for _, h in plan.outputs if h.op == LIVE_IN}
    sizes = [_size(hop, facts) for hop in inputs]
    if None in sizes:
        return None
    live = peak = sum(s for s in sizes if s is not None)
    for step in plan.steps:
        size = _held(step, facts)
        if size is None:
            return None
        live += size
        peak = max(peak, live)
        live -= sum(_size(hop, facts) or 0 for hop in step.dead)
    return peak


def _size(hop: Hop, facts: FactTable) -> int | None:
    fact = facts[hop]
    return bytes_of(fact) if fact.is_matrix else 0 if fact.is_scalar else None


def _held(step: Step, facts: FactTable) -> int | None:
    """Bytes that a step allocates: none where it takes the buffer of an operand."""
    row = BY_NAME.get(step.hop.op)
    shares = step.reuse is not None or step.recycle is not None or step.owned or (row is not None and row.view)
    return 0 if shares or (row is not None and not row.returns) else _size(step.hop, facts)
