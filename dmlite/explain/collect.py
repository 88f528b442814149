"""A compiled program, and perhaps a run of it, as a `Record`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dmlite.codegen.emit import Emitter
from dmlite.config import settings
from dmlite.errors import Source, Span
from dmlite.explain import choice
from dmlite.explain.graphs import GraphBuilder
from dmlite.explain.lineage import Lineage
from dmlite.explain.misses import Miss, misses
from dmlite.explain.naming import OperatorNames, Variables, is_number, is_temporary, written
from dmlite.explain.record import BlockRecord, FunctionRecord, Item, Place, Record, Run, StatementRewrite
from dmlite.explain.repeats import Repeats, constants_of, inside, reached, rounds
from dmlite.explain.rewritten import LIMIT, View, place_of, statement_rewrite
from dmlite.explain.syntax import syntax_tree
from dmlite.hop.changes import Change
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Block, CallNode, ForNode, FunctionInstance, IfNode, Node, Program, Root, WhileNode
from dmlite.lang import nodes as ast
from dmlite.plan.memory import peak_of
from dmlite.plan.physical import BlockPlan, Planner
from dmlite.plan.sampled import Sampled
from dmlite.rewrite.driver import Firing
from dmlite.rewrite.phases import rules_for
from dmlite.runtime.engine import BlockRun, Engine
from dmlite.runtime.stats import Measured


def collect(script: ast.Script, name: str, engine: Engine, run: Run | None = None) -> Record:
    """Everything about the program of `engine`; `run` when it was run with statistics before."""
    collector = Collector(engine, script.span.source)
    program = engine.program
    known = {program.main.key: program.main, **program.functions}
    functions = [collector.function(known[key], repeats) for key, repeats in reached(program).items()]
    sources = {name: script.span.source.text, **collector.sources}
    statements = [*collector.statements, *_removed(program, {f.name for f in functions})]
    return Record(
        name, engine.config.opt_level, functions, collector.blocks, statements, sources, syntax_tree(script), run, engine.machine.budget
    )


def _removed(program: Program, left: set[str]) -> Iterator[StatementRewrite]:
    """The functions that nothing calls any more."""
    inlined = {c.after.rpartition(" ")[2] for f in (program.main, *program.functions.values()) for c in f.changes if c.kind == "inlining"}
    for name in dict.fromkeys(f.name for f in program.functions.values()):
        if name not in left:
            why = "every call of it was inlined" if name in inlined else "nothing calls it"
            yield statement_rewrite(Change("function_removal", None, f"function {name}", "nothing", why), "main")


class Collector:
    """Walks the functions of a program; blocks are numbered in the order in which they stand there."""

    def __init__(self, engine: Engine, source: Source):
        self.engine = engine
        self.source = source
        self.blocks: list[BlockRecord] = []
        self.statements: list[StatementRewrite] = []
        self.sources: dict[str, str] = {}
        self._rewrites = 0
        self._runs: dict[int, list[tuple[BlockRun, list[Measured]]]] = {}
        for run in engine.runs:
            measured = engine.stats.of(run.plan.steps) if engine.stats is not None else None
            if measured is not None:
                self._runs.setdefault(id(run.block), []).append((run, measured))

    def function(self, function: FunctionInstance, repeats: Repeats) -> FunctionRecord:
        """One function, of which it is known how often it runs."""
        self.variables = Variables(function)
        self._meaning: dict[str, str] = {}
        self._constants = constants_of(function.body)
        self._function = function.key
        self.statements += [statement_rewrite(change, function.key) for change in function.changes]
        params, returns = ([self.variables[n] for n in names] for names in (function.params, function.returns))
        return FunctionRecord(function.key, function.name, params, returns, self._items(function.body, repeats), str(repeats))

    # ------------------------------------------------------------ control flow
    def _items(self, nodes: list[Node], repeats: Repeats) -> list[Item]:
        return [item for node in nodes for item in self._item(node, repeats)]

    def _item(self, node: Node, repeats: Repeats) -> Iterator[Item]:
        within = inside(node, self._constants, repeats)
        match node:
            case Block():
                if node.roots:
                    yield self._block(node, repeats)
            case CallNode():
                args, results = [self._text(a) for a in node.args], [self.variables[r] for r in node.results]
                yield {"kind": "call", "function": node.function, "args": args, "results": results, **_at(node.span)}
            case IfNode():
                branches = {"then": self._items(node.then, within), "else": self._items(node.orelse, within)}
                yield {"kind": "if", "condition": self._text(node.cond), **branches, **_at(node.span)}
            case WhileNode():
                test, body = self._items(node.test, within), self._items(node.body, within)
                yield {"kind": "while", "condition": self._text(node.cond), "test": test, "body": body, **_at(node.span)}
            case ForNode():
                bounds = [self._text(b) for b in (node.start, node.stop, node.step) if b is not None]
                head = {"kind": "for", "parallel": node.parallel is not None, "variable": self.variables[node.var], "bounds": bounds}
                body = self._items(node.body, within)
                yield {**head, "times": rounds(node, self._constants), "body": body, **_at(node.span)}

    def _text(self, variable: str) -> str:
        """What a variable of the compiler holds, as it was last computed; any other by its name."""
        return self._meaning.get(variable, self.variables[variable])

    def _define(self, root: Root, names: Mapping[Hop, str]) -> None:
        if root.name is not None and is_temporary(root.name):
            variables = {hop: name for hop, name in names.items() if hop.op != LITERAL and not is_number(name)}
            self._meaning[root.name] = names[root.hop] if not root.hop.args else written(root.hop, variables, LIMIT)

    # ------------------------------------------------------------ blocks
    def _block(self, block: Block, repeats: Repeats) -> Item:
        shown, measured, plans = self._shown_run(block)
        number, first = len(self.blocks), self._rewrites
        self._rewrites += len(shown.firings)
        lineage = Lineage(shown.firings)
        naming = OperatorNames(self.variables)
        facts = shown.plan.facts
        before = naming.before(block.roots, block.dropped)
        plan_roots = _roots(shown.plan, block)
        after = naming.after(plan_roots, block.dropped, before, lineage)
        for root in block.roots:
            self._define(root, before)
        for span in block.spans.values():
            self.sources.setdefault(span.source.name, span.source.text)
        hops = GraphBuilder(before, facts, block.spans).graph(block.roots)
        python = Emitter(shown.plan, f"block{number}").emit()
        recorded = dict(zip((s.hop for s in shown.plan.steps), measured, strict=True)) if measured is not None else None
        builder = GraphBuilder(after, facts, block.spans, lineage, choice.of_plan(shown.plan, python.source), recorded, first)
        plan = builder.graph(plan_roots)
        view = View.of(number, block, {**before, **after}, facts, shown.plan)
        self.statements += view.statements(self._function, shown.plan)
        extent = _extent(block, shown.firings, self.source if self._function == "main" else None)
        record = BlockRecord(number, self._function, extent, repeats.times, repeats.open, repeats.maybe, hops, plan)
        record.rewrites = view.rewrites(shown.firings, lineage, first)
        record.misses = view.near_misses(self._misses(shown), builder.ids(plan_roots), lineage, saturated=self.engine.config.opt_level >= 4)
        record.python, record.plans = python.text(), plans
        record.peak, record.peak_before = peak_of(shown.plan), peak_of(self._as_written(shown, facts))
        self.blocks.append(record)
        return {"kind": "block", "number": number}

    def _shown_run(self, block: Block) -> tuple[BlockRun, list[Measured] | None, int]:
        """The plan that took most time in the run, or the one made from what is known before it."""
        runs = self._runs.get(id(block), [])
        if not runs:
            return self.engine.preview(block), None, 0
        run, measured = max(runs, key=lambda r: sum(step.seconds for step in r[1]))
        return run, measured, len(runs)

    def _misses(self, shown: BlockRun) -> list[Miss]:
        with settings(**vars(self.engine.config)):
            rules = rules_for(self.engine.config.opt_level, sizes_known=True)
            facts = FactTable(shown.facts_in, lenient=True, machine=self.engine.machine)
            found = misses(shown.block, facts, rules) if rules else []
        sampled = {step.hop for step in shown.plan.steps if isinstance(step.region, Sampled)}
        return [miss for miss in found if miss.hop not in sampled]

    def _as_written(self, shown: BlockRun, facts: FactTable) -> BlockPlan:
        """The plan that the block would have without any rewrite."""
        block = shown.block
        return Planner(block.roots, facts, block.live_after, block.spans, together=False).plan(block.inputs, block.recycled)


def _at(span: Span | None) -> dict[str, Any]:
    return {"place": None if span is None else vars(place_of(span))}


def _roots(plan: BlockPlan, block: Block) -> list[Root]:
    """The roots of a plan, its effects and its outputs, in the order of the statements."""
    effects = iter([Root(None, s.hop) for s in plan.steps if s.hop.op in BY_NAME and BY_NAME[s.hop.op].effect])
    outputs = iter([Root(name, hop) for name, hop in plan.outputs])
    ordered = [next(effects if root.name is None else outputs, None) for root in block.roots]
    return [root for root in (*ordered, *effects, *outputs) if root is not None]


def _extent(block: Block, firings: Sequence[Firing], source: Source | None) -> Place | None:
    """The first to the last line of the block, in `source` as far as it stands there, else in the file with most of it."""
    spans = [s for s in (*(block.spans.get(h) for h in block.hops), *(f.span for f in firings)) if s is not None]
    if not spans:
        return None
    files = [s.source for s in spans]
    file = source if source in files else max(files, key=files.count)
    inside = [s for s in spans if s.source is file]
    first, last = min(inside, key=lambda s: (s.line, s.col)), max(inside, key=lambda s: (s.end_line, s.end_col))
    return Place(file.name, first.line, first.col, last.end_line, last.end_col)
