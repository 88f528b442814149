"""A second, naive implementation of DML: walks the syntax tree with plain NumPy, one value at a time.

It shares nothing with the engine but the parser: no blocks, no rewrites, no kernels. It knows the part of the language
that the random programs use, and is meant to be read, not to be fast.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from dmlite.lang import nodes as ast
from dmlite.lang.parser import parse
from dmlite.lang.walk import assigned, statements, targets
from tests.support import oracle_values as values
from tests.support.oracle_builtins import BUILTINS, NEED_NOTES
from tests.support.oracle_values import Failure, ListValue, Notes, Poison

MAX_DEPTH = 60
MAX_STEPS = 20_000
parsed = lru_cache(maxsize=8)(parse)  # the trees are immutable
CONSTANTS = {"NaN": math.nan, "Inf": math.inf, "pi": math.pi}


@dataclass
class Outcome:
    """What a program printed, the variables it left, the error that stopped it, and what makes its numbers doubtful."""

    printed: list[str]
    variables: dict[str, Any]
    error: str | None
    notes: Notes = field(default_factory=Notes)


def run(text: str, inputs: Mapping[str, Any], *, lazy: bool = False) -> Outcome:
    """Run a script. With `lazy`, an error in a value counts only once the value is used, as if dead code were dropped.

    Raises Unsupported (a NotImplementedError) for what the oracle does not know.
    """
    notes = Notes()
    with np.errstate(all="ignore"):
        oracle = Oracle(parsed(text, "<script>"), lazy, notes)
        env = dict(inputs)
        try:
            oracle.body([s for s in oracle.script.body if not isinstance(s, ast.Function)], env)
            for value in env.values():
                values.used(value)
        except Failure as failure:
            return Outcome(oracle.printed, env, str(failure), notes)
    return Outcome(oracle.printed, env, None, notes)


class Oracle:
    """One run of one script."""

    def __init__(self, script: ast.Script, lazy: bool, notes: Notes):
        self.script = script
        self.lazy = lazy
        self.notes = notes
        self.functions = {s.name: s for s in script.body if isinstance(s, ast.Function)}
        self.printed: list[str] = []
        self.depth = 0
        self.steps = 0

    # ------------------------------------------------------------ statements
    def body(self, stmts: Any, env: dict[str, Any]) -> None:
        for stmt in stmts:
            self.steps += 1
            if self.steps > MAX_STEPS:
                raise NotImplementedError("too many steps")
            self.statement(stmt, env)

    def statement(self, stmt: ast.Stmt, env: dict[str, Any]) -> None:
        match stmt:
            case ast.Assign():
                self.assign(stmt, env)
            case ast.MultiAssign(goals, call):
                results = self.call_function(call, env) if call.name in self.functions else None
                if results is None:
                    raise NotImplementedError(call.name)
                for goal, result in zip(goals, results, strict=False):
                    self.store(goal, result, env)
            case ast.CallStmt(call):
                self.effect(call, env)
            case ast.If(cond, then, orelse):
                self.body(then if self.truth(cond, env) else orelse, env)
            case ast.While(cond, inner):
                while self.truth(cond, env):
                    self.body(inner, env)
            case ast.For():
                self.loop(stmt, env)
            case _:
                raise NotImplementedError(type(stmt).__name__)

    def assign(self, stmt: ast.Assign, env: dict[str, Any]) -> None:
        try:
            value = self.expr(stmt.value, env)
            if stmt.accumulate:
                old = self.expr(stmt.target, env)
                value = values.binary("+", old, value, self.notes)
            self.store(stmt.target, value, env)
        except Failure as failure:
            if not self.lazy:
                raise
            old = env.get(stmt.target.name) if isinstance(stmt.target, ast.Index) else None
            env[stmt.target.name] = Poison(str(failure), getattr(old, "shape", None))

    def store(self, target: ast.Target, value: Any, env: dict[str, Any]) -> None:
        if isinstance(target, ast.Name):
            env[target.name] = value
            return
        old = self.variable(target.name, env)
        env[target.name] = values.replaced(old, value, *self.bounds(target, env))

    def effect(self, call: ast.Call, env: dict[str, Any]) -> None:
        if call.name in self.functions:
            self.call_function(call, env)
            return
        args = [values.used(self.expr(a.value, env)) for a in call.args]
        if call.name == "print":
            self.printed.append(values.text(args[0]) if len(args) == 1 else values.formatted(*args))
        elif call.name == "stop":
            raise Failure(f"stop: {values.text(args[0])}")
        elif call.name == "assert":
            if not values.truth(args[0]):
                raise Failure("assert")
        else:
            raise NotImplementedError(call.name)

    def truth(self, cond: ast.Expr, env: dict[str, Any]) -> bool:
        return values.truth(values.used(self.expr(cond, env)))

    def loop(self, stmt: ast.For, env: dict[str, Any]) -> None:
        start, stop = (values.whole(self.expr(e, env)) for e in (stmt.start, stmt.stop))
        step = values.whole(self.expr(stmt.step, env)) if stmt.step is not None else 1 if start <= stop else -1
        indices = range(start, stop + (1 if step > 0 else -1), step) if step else range(0)
        if stmt.parallel:
            self.parallel(stmt, indices, env)
            return
        for i in indices:
            env[stmt.var] = i
            self.body(stmt.body, env)

    def parallel(self, stmt: ast.For, indices: range, env: dict[str, Any]) -> None:
        """Matrices and lists that exist before are results; everything else starts afresh in each iteration and is then forgotten."""
        before = dict(env)
        written = assigned(stmt.body) | {t.name for s in statements(stmt.body) for t in targets(s)}
        results = {n for n in written if isinstance(before.get(n), (np.ndarray, ListValue))}
        for i in indices:
            own = before | {n: env[n] for n in results} | {stmt.var: i}
            self.body(stmt.body, own)
            env.update({n: own[n] for n in results})
        if indices:
            env[stmt.var] = indices[-1]

    # ------------------------------------------------------------ functions
    def call_function(self, call: ast.Call, env: dict[str, Any]) -> list[Any]:
        function = self.functions[call.name]
        given = {a.name: a.value for a in call.args if a.name}
        for param, arg in zip(function.params, (a for a in call.args if not a.name), strict=False):
            given[param.name] = arg.value
        inner: dict[str, Any] = {}
        for param in function.params:
            try:
                value = self.expr(given[param.name], env) if param.name in given else self.expr(param.default, {})
                inner[param.name] = values.declared(values.used(value), param.type)
            except Failure as failure:
                if not self.lazy:
                    raise
                inner[param.name] = Poison(str(failure))
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotImplementedError("recursion too deep")
        self.body(function.body, inner)
        self.depth -= 1
        out = []
        for result in function.returns:
            try:
                if result.name not in inner:
                    raise Failure(f"{function.name} does not assign {result.name}")
                out.append(values.declared(values.used(inner[result.name]), result.type))
            except Failure as failure:
                if not self.lazy:
                    raise
                out.append(Poison(str(failure)))
        return out

    # ------------------------------------------------------------ expressions
    def variable(self, name: str, env: dict[str, Any]) -> Any:
        if name not in env:
            if name in CONSTANTS:
                return CONSTANTS[name]
            raise Failure(f"{name} is not set")
        return values.used(env[name])

    def bounds(self, index: ast.Index, env: dict[str, Any]) -> list[Any]:
        out: list[Any] = []
        for part in (index.rows, index.cols):
            for bound in (part.lower, part.upper) if part is not None else (None, None):
                out.append(None if bound is None else values.used(self.expr(bound, env)))
        return out

    def expr(self, node: ast.Expr, env: dict[str, Any]) -> Any:
        value = self._expr(node, env)
        self.notes.see(value)
        return value

    def _expr(self, node: ast.Expr, env: dict[str, Any]) -> Any:
        match node:
            case ast.Literal(value):
                return value
            case ast.Name(name):
                return self.variable(name, env)
            case ast.Unary(op, operand):
                return values.unary(op, self.expr(operand, env))
            case ast.Binary(op, left, right):
                return values.binary(op, self.expr(left, env), self.expr(right, env), self.notes)
            case ast.Index(name):
                return values.part(self.variable(name, env), *self.bounds(node, env))
            case ast.Call():
                return self.call(node, env)
        raise NotImplementedError(type(node).__name__)

    def call(self, call: ast.Call, env: dict[str, Any]) -> Any:
        if call.name in self.functions:
            return self.call_function(call, env)[0]
        if call.name == "exists":
            name = call.args[0].value
            return (name.name if isinstance(name, ast.Name) else name.value) in env
        if call.name == "list":
            names = tuple(a.name for a in call.args) if any(a.name for a in call.args) else None
            return ListValue(tuple(self.expr(a.value, env) for a in call.args), names)
        if call.name == "eval":
            return self.eval(call, env)
        if call.name not in BUILTINS:
            raise NotImplementedError(call.name)
        operand = self.poisonous if self.lazy and call.name in ("ifelse", "nrow", "ncol", "length") else self.expr
        plain = [operand(a.value, env) for a in call.args if not a.name]
        named = {a.name.replace(".", "_"): self.expr(a.value, env) for a in call.args if a.name}
        return BUILTINS[call.name](*plain, **named, **({"notes": self.notes} if call.name in NEED_NOTES else {}))

    def poisonous(self, node: ast.Expr, env: dict[str, Any]) -> Any:
        """A value that may turn out not to be needed: the operand of a choice, or a matrix that is only asked for its size."""
        try:
            stored = env.get(node.name) if isinstance(node, ast.Name) else None
            return stored if isinstance(stored, Poison) else self.expr(node, env)
        except Failure as failure:
            return Poison(str(failure))

    def eval(self, call: ast.Call, env: dict[str, Any]) -> Any:
        name, *args = call.args
        assert isinstance(name.value, ast.Literal)
        result = self.call_function(ast.Call(str(name.value.value), tuple(args), span=call.span), env)[0]
        return result if isinstance(result, (np.ndarray, ListValue, Poison)) else np.array([[float(result)]])
