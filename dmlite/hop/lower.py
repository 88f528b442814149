"""AST -> HOP program. Statements are executed abstractly, on facts instead of values.

Constants and shapes flow through straight lines, branches, loops (to a fixpoint) and into functions; a branch
whose condition is known is lowered alone. What remains unknown is decided at run time, once per signature.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dmlite.errors import DMLError, Problems, Span
from dmlite.hop import scan
from dmlite.hop.builder import BlockBuilder, Scope, Variable
from dmlite.hop.calls import Calls, Instances, declared_fact, merge_value
from dmlite.hop.changes import Change, quoted, without_branch
from dmlite.hop.expressions import _apply, bounds, check_indexed, lower_expr, lower_index
from dmlite.hop.facts import Fact, scalar
from dmlite.hop.liveness import mark_live
from dmlite.hop.node import PICK, Hop, fresh_tag, literal
from dmlite.hop.ops import BY_NAME, candidates
from dmlite.hop.ops.row import Op
from dmlite.hop.program import ForNode, FunctionInstance, IfNode, Node, Parallel, Program, WhileNode
from dmlite.lang import nodes as ast
from dmlite.lang.modules import Module

_MAX_ROUNDS = 3  # of refining the facts at the start of a loop, before all but the kind is given up
_T = TypeVar("_T")

Fold = Callable[[Op, list[Any]], Any]
ReadMeta = Callable[[dict[str, Any]], Fact]


@dataclass
class Context:
    """What all functions of one program share while it is lowered.

    fold evaluates an operator on constants (None when it will not); read_meta tells what a file header says about
    a `read`, raising DMLError when the file cannot be read.
    """

    problems: Problems
    dollar: Mapping[str, Any]
    fold: Fold
    read_meta: ReadMeta
    instances: Instances = field(default_factory=Instances)
    internal: bool = False  # patterns of rules may name operators that scripts cannot

    @property
    def active(self) -> list[ast.Function]:
        return self.instances.active

    def instance(self, function: ast.Function, module: Module, facts: tuple[Fact, ...], certain: bool = True) -> FunctionInstance:
        """`function` lowered for arguments with `facts`; certain: that the call is reached."""
        instance, facts, fresh = self.instances.find(function, facts)
        if fresh:
            self.active.append(function)
            lowerer = Lowerer(self, module, certain)
            instance.body, instance.returns_facts, instance.maybe_unset = lowerer.function(function, facts)
            instance.changes = lowerer.changes
            self.active.pop()
        return instance


def lower(module: Module, context: Context, inputs: Mapping[str, Fact], outputs: list[str] | None) -> Program:
    """Lower the main module; problems are collected in the context.

    inputs: facts of variables bound from outside. outputs: top-level variables wanted, None for all.
    """
    lowerer = Lowerer(context, module)
    lowerer.scope.vars.update({name: Variable(None, fact) for name, fact in inputs.items()})
    lowerer.statements(tuple(s for s in module.script.body if not isinstance(s, ast.Function)))
    lowerer.builder.flush()
    wanted = [v for v in lowerer.scope.vars if not v.startswith("%")]
    keep = [v for v in wanted if v in outputs] if outputs is not None else wanted
    maybe = frozenset(n for n, v in lowerer.scope.vars.items() if v.maybe_unset)
    main = FunctionInstance("main", "main", list(inputs), keep, lowerer.builder.nodes, maybe_unset=maybe, changes=lowerer.changes)
    for function in module.functions.values():  # functions that are never called are checked all the same
        if not any(i.name == function.name for i in context.instances.made.values()):
            context.instance(function, module, tuple(declared_fact(p) for p in function.params))
    program = Program(main, context.instances.made)
    for instance in (main, *program.functions.values()):
        mark_live(instance)
    return program


class Lowerer:
    """Lowers the body of one function (or of the script) into a list of nodes."""

    def __init__(self, context: Context, module: Module, certain: bool = True):
        self.context = context
        self.module = module
        self.scope = Scope()
        self.builder = BlockBuilder(context.problems, certain)
        self.calls = Calls(self)
        self.inlining: list[ast.Function] = []
        self.changes: list[Change] = []
        self._loop_facts: dict[int, dict[str, Fact]] = {}

    @property
    def problems(self) -> Problems:
        return self.context.problems

    @contextlib.contextmanager
    def inside(self, scope: Scope, module: Module) -> Iterator[None]:
        """Lower the enclosed statements in another scope and module (an inlined function)."""
        saved = self.scope, self.module
        self.scope, self.module = scope, module
        try:
            yield
        finally:
            self.scope, self.module = saved

    def function(self, function: ast.Function, facts: tuple[Fact, ...]) -> tuple[list[Node], list[Fact], frozenset[str]]:
        for param, fact in zip(function.params, facts, strict=True):
            self.scope.vars[param.name] = Variable(None, fact if fact.kind != "unknown" else declared_fact(param))
        self.statements(function.body)
        for result in function.returns:
            if result.name in self.scope.vars and not self.scope.vars[result.name].maybe_unset:
                self.builder.bind(self.scope, result.name, self.calls.result(result, function))
        self.builder.flush()
        variables = [self.scope.vars.get(r.name) for r in function.returns]
        known = (None if v is None or v.fact.kind == "unknown" else v.fact for v in variables)
        facts_out = [fact or declared_fact(r) for r, fact in zip(function.returns, known, strict=True)]
        maybe = frozenset(n for n, v in self.scope.vars.items() if v.maybe_unset)
        unset = frozenset(r.name for r in function.returns if r.name not in self.scope.vars)
        return self.builder.nodes, facts_out, maybe | unset

    # ------------------------------------------------------------ statements
    def expr(self, expr: ast.Expr) -> Hop:
        return lower_expr(self, expr)

    def apply(self, op: str, args: list[Hop], span: Span) -> Hop:
        return _apply(self, BY_NAME[op], args, span)

    def statements(self, body: tuple[ast.Stmt, ...]) -> None:
        for stmt in body:
            self._statement(stmt)

    def _statement(self, stmt: ast.Stmt) -> None:
        match stmt:
            case ast.Assign():
                self._assign(stmt.target, self._value(stmt), stmt.span)
            case ast.IfDef():
                given = stmt.param in self.context.dollar
                self._assign(stmt.target, literal(self.context.dollar[stmt.param]) if given else self.expr(stmt.default), stmt.span)
            case ast.MultiAssign():
                for target, hop in zip(stmt.targets, self._results(stmt.call), strict=False):
                    self._assign(target, hop, stmt.span)
            case ast.CallStmt():
                self._call_statement(stmt)
            case ast.If():
                self._if(stmt)
            case ast.While():
                self._while(stmt)
            case ast.For():
                self._for(stmt)

    def _call_statement(self, stmt: ast.CallStmt) -> None:
        if self.calls.resolve(stmt.call) is not None:
            for inner in stmt.call.args:
                for call in scan.calls(inner.value):
                    if self.calls.resolve(call) is not None:
                        self.calls.hoist(call)
            self.calls.call(stmt.call)
        else:
            self.builder.close_after(self.expr(stmt.call))

    def _value(self, stmt: ast.Assign) -> Hop:
        value = self.expr(stmt.value)
        if stmt.accumulate:
            old = self.builder.read(self.scope, stmt.target.name)
            if isinstance(stmt.target, ast.Index):
                old = lower_index(self, old, stmt.target)
            return self.apply("add", [old, value], stmt.span)
        return value

    def _assign(self, target: ast.Target, value: Hop, span: Span) -> None:
        if isinstance(target, ast.Index):
            for bound in (target.rows, target.cols):
                for expr in (bound.lower, bound.upper) if bound else ():
                    for call in scan.calls(expr) if expr is not None else ():
                        if self.calls.resolve(call) is not None:
                            self.calls.hoist(call)
            old = self.builder.read(self.scope, target.name)
            check_indexed(self, old, target)
            value = self.apply("leftindex", [old, value, *bounds(self, target, self.builder.facts[old])], target.span)
        self.builder.bind(self.scope, target.name, value)
        self.builder.close_after(value)

    def _results(self, call: ast.Call) -> list[Hop]:
        """All results of a call, of a user function or of a builtin with several."""
        if self.calls.resolve(call) is not None:
            for inner in call.args:
                for nested in scan.calls(inner.value):
                    if self.calls.resolve(nested) is not None:
                        self.calls.hoist(nested)
            return self.calls.call(call)
        hop = self.expr(call)
        count = max((len(row.results) for row in candidates(call.name)[:1]), default=0)
        if count < 2 or hop.is_literal:
            return [hop]
        return [self.builder.make(PICK, [hop], call.span, i) for i in range(count)]

    def read_facts(self, hop: Hop, row: Op, args: list[Hop], span: Span) -> None:
        """What the header of a file tells at compile time, when its name is already known."""
        given = {p.name: a.value for p, a in zip(row.parameters, args, strict=True) if a.is_literal and a.value is not None}
        if "filename" not in given or len(given) != sum(not (a.is_literal and a.value is None) for a in args):
            return
        if row.name == "readMM":
            given["format"] = "mm"
        try:
            self.builder.facts.known(hop, self.context.read_meta(given))
        except DMLError as error:
            if self.builder.certain:
                self.problems.add(error.message, span, error.problems[0].hint)

    # ------------------------------------------------------------ control flow
    def _condition(self, expr: ast.Expr, what: str) -> Hop:
        hop = self.expr(expr)
        fact = self.builder.facts[hop]
        if fact.kind in ("matrix", "list") or fact.vtype == "string":
            found = f"a matrix ({fact.shape_text()})" if fact.is_matrix else "a string" if fact.vtype == "string" else "a list"
            hint = "use as.scalar(...), or an aggregate such as sum(...)"
            self.problems.add(f"the condition of {what} must be a scalar, not {found}", expr.span, hint)
        return hop

    def _if(self, stmt: ast.If) -> None:
        cond = self._condition(stmt.cond, "if")
        if cond.is_literal and isinstance(cond.value, (bool, int, float)):
            self.changes.append(without_branch(stmt, bool(cond.value)))
            self.statements(stmt.then if cond.value else stmt.orelse)
            return
        name = self._temp("%c", cond)
        self.builder.flush()
        before = dict(self.scope.vars)
        then, after_then = self._branch(stmt.then, before)
        orelse, after_else = self._branch(stmt.orelse, before)
        self.builder.nodes.append(IfNode(name, then, orelse, stmt.span))
        self._merge(after_then, after_else, stmt)

    def _branch(self, body: tuple[ast.Stmt, ...], before: dict[str, Variable]) -> tuple[list[Node], dict[str, Variable]]:
        self.scope.vars = dict(before)
        with self._nested(certain=False) as nodes:
            self.statements(body)
        return nodes, self.scope.vars

    def _merge(self, a: dict[str, Variable], b: dict[str, Variable], stmt: ast.If) -> None:
        merged: dict[str, Variable] = {}
        for name in (*a, *(n for n in b if n not in a)):
            va, vb = a.get(name), b.get(name)
            if va is vb and va is not None:
                merged[name] = va
            elif va is None or vb is None:
                merged[name] = Variable(None, (va or vb).fact, maybe_unset=True)  # type: ignore[union-attr]
            else:
                kinds = {va.fact.kind, vb.fact.kind}
                if len(kinds) == 2 and kinds <= {"matrix", "scalar", "list"} and not name.startswith("%"):
                    message = f"'{name}' is a {va.fact.kind} after one branch and a {vb.fact.kind} after the other"
                    self.problems.add(message, stmt.span, "give it the same kind in both, as with as.matrix(...) or as.scalar(...)")
                merged[name] = Variable(None, va.fact.join(vb.fact), va.maybe_unset or vb.maybe_unset)
        self.scope.vars = merged

    def _while(self, stmt: ast.While) -> None:
        self.builder.flush()
        cond_name = f"%w{fresh_tag()}"
        names = scan.changed(stmt.body)

        def round_() -> tuple[list[Node], list[Node], bool]:
            with self._nested(self.builder.certain, self._varying(names)) as test:
                cond = self._condition(stmt.cond, "while")
                never = cond.is_literal and cond.value is not None and not cond.value
                self.builder.bind(self.scope, cond_name, cond)
            with self._nested(False, self._varying(names)) as body:
                self.statements(() if never else stmt.body)
            return test, body, never

        before = dict(self.scope.vars)
        test, body, never = self._fixpoint(stmt, names, round_)
        if never:
            self.scope.vars = before
            self.changes.append(Change("loop_removal", stmt.span, f"while ({quoted(stmt.cond.span)})", "nothing"))
            return
        self.builder.nodes.append(WhileNode(test, self.scope.qualified(cond_name), body, stmt.span))
        self._after_loop(before, names, at_least_once=False)

    def _for(self, stmt: ast.For) -> None:
        start, stop, step = (self._loop_bound(e, stmt) for e in (stmt.start, stmt.stop, stmt.step))
        workers = next((self._loop_bound(o.value, stmt) for o in stmt.options if o.name == "par"), None) if stmt.parallel else None
        self.builder.flush()
        before = dict(self.scope.vars)
        names = scan.changed(stmt.body) | {stmt.var}

        def round_() -> list[Node]:
            certain = self.builder.certain and not stmt.seq
            with self._nested(certain, self._varying(names)) as body:
                self.scope.vars[stmt.var] = Variable(None, scalar("int"))
                self.statements(stmt.body)
            return body

        body = self._fixpoint(stmt, names, round_)
        parallel = self._parallel(stmt, before, names, workers) if stmt.parallel else None
        assert start is not None and stop is not None
        bounds = {t: before[t.removesuffix(self.scope.suffix)].fact for t in (start, stop)}
        self.builder.nodes.append(ForNode(self.scope.qualified(stmt.var), start, stop, step, body, parallel, stmt.span, bounds))
        self._after_loop(before, names, at_least_once=not stmt.seq)
        if parallel is not None:
            results = (*parallel.results, *parallel.accumulators)
            self.scope.vars = {n: v for n, v in self.scope.vars.items() if n in before or n == stmt.var}
            for name in names & set(before) - {stmt.var} - set(results):
                self.scope.vars[name] = before[name]
            for name in results:
                self.scope.vars.setdefault(name, before[name])

    def _parallel(self, stmt: ast.For, before: dict[str, Variable], names: set[str], workers: str | None) -> Parallel:
        from dmlite.lang.parfor_deps import parfor_results

        found = parfor_results(stmt, set(before))
        results = [n for n in found.results if before[n].fact.kind != "scalar"]  # scalars keep the value they had before
        accumulators = [n for n in found.accumulators if before[n].fact.kind != "scalar"]
        restored = names & set(before) - {*results, *accumulators, stmt.var}
        qualified = lambda names: tuple(self.scope.qualified(n) for n in sorted(names))  # noqa: E731 - a function of this scope
        return Parallel(qualified(results), qualified(accumulators), qualified(restored), workers)

    def _loop_bound(self, expr: ast.Expr | None, stmt: ast.For) -> str | None:
        if expr is None:
            return None
        hop = self.expr(expr)
        fact = self.builder.facts[hop]
        if fact.kind in ("matrix", "list") or fact.vtype == "string":
            self.problems.add("a loop bound must be a number", expr.span, "use as.scalar(...)")
        return self._temp("%b", hop)

    # ------------------------------------------------------------ loops to a fixpoint
    def _fixpoint(self, stmt: ast.Stmt, names: set[str], round_: Callable[[], _T]) -> _T:
        """Lower a loop body until the facts at its start hold after every iteration.

        An inner loop goes on from what its last lowering found, as outer facts only widen: nesting adds rounds.
        """
        entry = dict(self.scope.vars)
        known = self._loop_facts.get(id(stmt), {})
        for name in names & set(entry):
            fact = merge_value(entry[name].fact)
            entry[name] = Variable(None, fact.join(known.get(name, fact)), entry[name].maybe_unset)
        found, changes = len(self.problems.found), len(self.changes)
        for attempt in itertools.count():
            self.scope.vars = dict(entry)
            del self.problems.found[found:], self.changes[changes:]
            result = round_()
            end, changed = self.scope.vars, False
            for name in names & set(entry) & set(end):
                old = entry[name].fact
                joined = merge_value(old.join(end[name].fact, widen=True))
                if joined != old:
                    widened = joined if attempt < _MAX_ROUNDS else Fact(joined.kind)
                    entry[name] = Variable(None, widened, entry[name].maybe_unset)
                    changed = True
            if not changed:
                self._loop_facts[id(stmt)] = {name: entry[name].fact for name in names & set(entry)}
                return result
        raise AssertionError

    def _after_loop(self, before: dict[str, Variable], names: set[str], *, at_least_once: bool) -> None:
        """Variables after a loop: what holds both before it and after an iteration."""
        end = self.scope.vars
        merged = dict(before)
        for name, variable in end.items():
            if name not in before:
                merged[name] = Variable(None, merge_value(variable.fact), variable.maybe_unset or not at_least_once)
            elif name in names:
                fact = variable.fact if at_least_once else before[name].fact.join(variable.fact)
                unset = before[name].maybe_unset and (variable.maybe_unset or not at_least_once)
                merged[name] = Variable(None, fact, unset)
        self.scope.vars = merged

    def _varying(self, names: set[str]) -> frozenset[str]:
        return frozenset(self.scope.qualified(n) for n in names)

    def _temp(self, prefix: str, hop: Hop) -> str:
        name = f"{prefix}{fresh_tag()}"
        self.builder.bind(self.scope, name, hop)
        return self.scope.qualified(name)

    @contextlib.contextmanager
    def _nested(self, certain: bool, varying: frozenset[str] | None = None) -> Iterator[list[Node]]:
        """Collect the nodes of a nested body."""
        builder = self.builder
        saved = builder.nodes, builder.certain, builder.varying
        nodes: list[Node] = []
        builder.nodes, builder.certain = nodes, certain and builder.certain
        builder.varying = builder.varying if varying is None else varying
        try:
            yield nodes
            builder.flush()
        finally:
            builder.nodes, builder.certain, builder.varying = saved
