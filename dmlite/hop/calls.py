"""Calls of user functions: arguments bound and converted, small bodies inlined, the rest called by instance."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from dmlite.errors import Span
from dmlite.hop import scan
from dmlite.hop.builder import Scope, Variable
from dmlite.hop.changes import Change, quoted
from dmlite.hop.expressions import _lower
from dmlite.hop.facts import NO_VALUE, UNKNOWN, Fact
from dmlite.hop.kinds import describe
from dmlite.hop.node import Hop, fresh_tag, literal
from dmlite.hop.program import CallNode, FunctionInstance
from dmlite.lang import nodes as ast
from dmlite.lang.arguments import bind_call
from dmlite.lang.modules import Module
from dmlite.lang.walk import statements

if TYPE_CHECKING:
    from dmlite.hop.lower import Lowerer

MAX_INSTANCES = 8  # of one function; further call sites share an instance that knows only the declared types
MAX_INLINE = 40  # statements of a function that is still inlined
MAX_INLINE_DEPTH = 12


class Calls:
    """Everything the lowering of one function needs to call others."""

    def __init__(self, lo: Lowerer):
        self.lo = lo
        self._hoisted: dict[int, str] = {}

    def resolve(self, call: ast.Call) -> tuple[ast.Function, Module] | None:
        """The user function a call means; None for a builtin or an unknown name (reported by the checker)."""
        return self.lo.module.find(call)

    def hoist(self, call: ast.Call) -> None:
        """Make the call now and keep its first result in a variable of its own."""
        results = self.call(call)
        self.keep(call, results[0] if results else literal(float("nan")))

    def keep(self, call: ast.Call, result: Hop) -> None:
        """Remember the result of a call until the expression around it takes it."""
        name = f"%t{fresh_tag()}"
        self.lo.builder.bind(self.lo.scope, name, result)
        self._hoisted[id(call)] = name

    def take_hoisted(self, call: ast.Call) -> Hop | None:
        name = self._hoisted.pop(id(call), None)
        return None if name is None else self.lo.builder.read(self.lo.scope, name)

    # ------------------------------------------------------------ the call itself
    def call(self, call: ast.Call) -> list[Hop]:
        """The results of a user function, one node each."""
        resolved = self.resolve(call)
        assert resolved is not None
        function, module = resolved
        exprs = bind_call(function, call, self.lo.problems)
        if any(e is None and p.default is None for p, e in zip(function.params, exprs, strict=True)):
            return [literal(float("nan")) for _ in function.returns]
        args = [self._argument(p, e, module) for p, e in zip(function.params, exprs, strict=True)]
        function = self._of_kind(function, module, args)
        args = [self.convert(p, a, call.span, f"argument '{p.name}' of {call.name}") for p, a in zip(function.params, args, strict=True)]
        if self._inlinable(function):
            return self._inline(function, module, args, call.span)
        return self._call_instance(function, module, args, call.span)

    def _argument(self, param: ast.Param, expr: ast.Expr | None, module: Module) -> Hop:
        if expr is not None:
            return _lower(self.lo, expr)
        assert param.default is not None
        with self.lo.inside(Scope(f"@{fresh_tag()}"), module):
            return self.lo.expr(param.default)

    def _of_kind(self, function: ast.Function, module: Module, args: list[Hop]) -> ast.Function:
        """Of a builtin `f` whose file also has `s_f`, for scalars, the one for these arguments."""
        of_scalars = module.functions.get(f"s_{function.name}") if self.lo.module.library.get(function.name) is module else None
        return of_scalars if of_scalars is not None and all(self.lo.builder.facts[a].is_scalar for a in args) else function

    def convert(self, param: ast.Param, hop: Hop, span: Span, what: str) -> Hop:
        """`hop` as the declared type of a parameter or result; what cannot be is a problem."""
        fact = self.lo.builder.facts[hop]
        declared = param.type
        if fact.kind in ("matrix", "list", "frame", "scalar") and fact.kind != declared.data:
            self.lo.problems.add(
                f"{what} must be {_an(str(declared))}, found {describe(fact)}", span, _CAST_HINTS.get((fact.kind, declared.data))
            )
            return self.lo.builder.unknown()
        if declared.data == "scalar" and declared.value != "unknown" and fact.vtype != declared.value:
            if fact.vtype == "string" and fact.is_const and not is_number(fact.value):
                self.lo.problems.add(f"{what} must be {_an(declared.value)}, found {describe(fact)}", span)
                return self.lo.builder.unknown()
            return self.lo.apply("cast_to", [hop, literal(declared.value)], span)
        if fact.kind == "unknown" and declared.data in ("matrix", "list"):
            return self.lo.apply("cast_to", [hop, literal(declared.data)], span)
        return hop

    # ------------------------------------------------------------ inlining
    def _inlinable(self, function: ast.Function) -> bool:
        lo = self.lo
        return (
            len(lo.inlining) < MAX_INLINE_DEPTH
            and not any(f is function for f in (*lo.context.active, *lo.inlining))
            and not scan.has_loop(function.body)
            and sum(1 for _ in statements(function.body)) <= MAX_INLINE
        )

    def _inline(self, function: ast.Function, module: Module, args: list[Hop], span: Span) -> list[Hop]:
        lo = self.lo
        count = sum(1 for _ in statements(function.body))
        lo.changes.append(Change("inlining", span, quoted(span), f"{count} statement{'s' * (count != 1)} of {function.name}"))
        with lo.inside(Scope(f"@{fresh_tag()}"), module):
            lo.inlining.append(function)
            for param, arg in zip(function.params, args, strict=True):
                lo.builder.bind(lo.scope, param.name, arg)
            lo.statements(function.body)
            results = [self.result(r, function) for r in function.returns]
            lo.inlining.pop()
        return results

    def result(self, result: ast.Param, function: ast.Function) -> Hop:
        """The declared result of the function whose scope is open."""
        hop = self.lo.builder.read(self.lo.scope, result.name, result.span)
        return self.convert(result, hop, result.span, f"result '{result.name}' of {function.name}")

    # ------------------------------------------------------------ instances
    def _call_instance(self, function: ast.Function, module: Module, args: list[Hop], span: Span) -> list[Hop]:
        lo = self.lo
        facts = tuple(_call_fact(lo.builder.facts[a]) for a in args)
        names = [self._temporary(a) for a in args]
        lo.builder.flush()
        instance = lo.context.instance(function, module, facts, lo.builder.certain)
        results = [f"%r{fresh_tag()}" for _ in function.returns]
        lo.builder.nodes.append(
            CallNode(instance.key, [lo.scope.qualified(n) for n in names], [lo.scope.qualified(r) for r in results], span)
        )
        for name, fact in zip(results, instance.returns_facts or [declared_fact(r) for r in function.returns], strict=True):
            lo.scope.vars[name] = Variable(None, fact)
        return [lo.builder.read(lo.scope, r) for r in results]

    def _temporary(self, hop: Hop) -> str:
        name = f"%a{fresh_tag()}"
        self.lo.builder.bind(self.lo.scope, name, hop)
        return name


_CAST_HINTS = {
    ("matrix", "scalar"): "as.scalar(X) takes the value out of a 1x1 matrix",
    ("scalar", "matrix"): "as.matrix(x) makes a 1x1 matrix of a scalar",
    ("list", "matrix"): "as.matrix(L[i]) takes a matrix out of a list",
    ("list", "scalar"): "as.scalar(L[i]) takes a scalar out of a list",
}


def is_number(text: str) -> bool:
    """Whether a string reads as a number or a boolean."""
    try:
        float(text)
    except ValueError:
        return text.strip().lower() in ("true", "false")
    return True


def _an(text: str) -> str:
    return f"an {text}" if text[0] in "aeiou" else f"a {text}"


def _call_fact(fact: Fact) -> Fact:
    """What an instance is keyed by: kind, shape and constants; finer facts would only multiply instances."""
    if fact.kind == "unknown":
        return UNKNOWN
    return Fact(fact.kind, fact.vtype, fact.rows, fact.cols, value=fact.value)


def declared_fact(param: ast.Param) -> Fact:
    """All that a declaration alone tells."""
    if param.type.data == "scalar":
        return Fact("scalar", None if param.type.value == "unknown" else param.type.value)
    return Fact(param.type.data, "double" if param.type.data == "matrix" else None)


class Instances:
    """The function instances of one program, made on demand; recursion falls back to the declared types."""

    def __init__(self) -> None:
        self.made: dict[str, FunctionInstance] = {}
        self.active: list[ast.Function] = []
        self._by_facts: dict[tuple[int, tuple[Fact, ...]], FunctionInstance] = {}
        self._count: Counter[int] = Counter()

    def find(self, function: ast.Function, facts: tuple[Fact, ...]) -> tuple[FunctionInstance, tuple[Fact, ...], bool]:
        """The instance for `facts`, the facts it is lowered with, and whether it still has to be lowered."""
        if any(f is function for f in self.active) or self._count[id(function)] >= MAX_INSTANCES:
            facts = tuple(declared_fact(p) for p in function.params)
        key = (id(function), facts)
        instance = self._by_facts.get(key)
        if instance is not None:
            return instance, facts, False
        self._count[id(function)] += 1
        name = f"{function.name}#{len(self.made)}"
        instance = FunctionInstance(name, function.name, [p.name for p in function.params], [r.name for r in function.returns], [])
        self.made[name] = self._by_facts[key] = instance
        return instance, facts, True


def merge_value(fact: Fact) -> Fact:
    return replace(fact, value=NO_VALUE)
