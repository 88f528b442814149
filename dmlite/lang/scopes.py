"""Which variables have a value where: one walk over a body, with what is sure and what may be set after every statement."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Final

from dmlite.errors import Problems, Span, did_you_mean
from dmlite.lang.calls import Calls
from dmlite.lang.flow import State, condition
from dmlite.lang.nodes import (
    Assign,
    Binary,
    Call,
    CallStmt,
    Dollar,
    Expr,
    For,
    If,
    Index,
    Literal,
    MultiAssign,
    Name,
    Stmt,
    Target,
    While,
)
from dmlite.lang.walk import assigned, bounds, branches, expressions, statements, targets, walk

CONSTANTS: Final = frozenset({"NaN", "Inf", "pi"})
PARFOR_OPTIONS: Final = ("check", "par", "mode", "taskpartitioner", "tasksize", "datapartitioner", "resultmerge", "opt", "log", "profile")
COMPUTED_OPTIONS: Final = frozenset({"par", "tasksize"})  # the other values are words such as LOCAL
SPELLED: Final = {
    **dict.fromkeys(("T", "true", "True", "t"), "TRUE"),
    **dict.fromkeys(("F", "false", "False"), "FALSE"),
    **dict.fromkeys(("PI", "Pi"), "pi"),
    **dict.fromkeys(("INF", "inf", "Infinity", "infinity"), "Inf"),
    **dict.fromkeys(("NA", "nan", "NAN", "Nan"), "NaN"),
    **dict.fromkeys(("NULL", "null", "None"), "matrix(0, rows=0, cols=0) for an empty matrix; DML has no null"),
}


@dataclass
class Findings:
    """What the check found besides problems: warnings, and the reads of variables that only some paths set (their spans)."""

    warnings: Problems = field(default_factory=Problems)
    maybe_unset: set[Span] = field(default_factory=set)


class Scope:
    """Checks one body: the script, or a function."""

    def __init__(
        self, calls: Calls, dollar: Mapping[str, Any], findings: Findings, body: tuple[Stmt, ...], outer: Collection[str] | None = None
    ):
        """`outer`: the script's variables, which a function does not see; None for the script itself."""
        self.calls = calls
        self.problems = calls.problems
        self.dollar = dollar
        self.findings = findings
        self.outer = outer
        self.body = body
        self._later = assigned(body)
        self._reported: set[str] = set()
        self._parfors = 0

    def run(self, state: State) -> State:
        """Check the body, starting with `state`; returns the state at its end."""
        self._block(self.body, state)
        return state

    # ---------------------------------------------------------------- statements
    def _block(self, body: tuple[Stmt, ...], state: State) -> None:
        for stmt, following in zip_longest(body, body[1:]):
            if following and (what := _lacks_braces(stmt, following)):
                message = f"this statement is indented like the body of the {what} above, but comes after it"
                self.findings.warnings.add(message, following.span, "put the body in { }")
            match stmt:
                case If():
                    self._if(stmt, state)
                case While():
                    self._condition(stmt.cond, state)
                    self._loop_body(stmt.body, state, runs=False)
                case For():
                    self._for(stmt, state)
                case CallStmt():
                    self._call(stmt.call, state)
                case _:
                    self._assignment(stmt, state)

    def _assignment(self, stmt: Stmt, state: State) -> None:
        if isinstance(stmt, MultiAssign):
            self.calls.check(stmt.call, len(stmt.targets), first_will_do=True)
            self.read(state, *(arg.value for arg in stmt.call.args))
        else:
            self.read(state, *expressions(stmt))
        accumulates = isinstance(stmt, Assign) and stmt.accumulate
        scalar = isinstance(stmt, Assign) and self.calls.is_scalar(stmt.value, state.scalars)
        for target in targets(stmt):
            if target.name in CONSTANTS:
                self.problems.add(f"'{target.name}' is a constant and cannot be assigned", target.span, "use another name")
            elif isinstance(target, Index) or accumulates:
                self._defined(target, state)
                self.read(state, *(bounds(target) if isinstance(target, Index) else ()))
                if isinstance(target, Name):
                    state.bind(target.name, scalar and target.name in state.scalars)
            else:
                state.bind(target.name, scalar)

    def _call(self, call: Call, state: State) -> None:
        self.calls.check(call, 0, variables=state.maybe)
        self.read(state, *(arg.value for arg in call.args))
        if self.calls.is_builtin(call, "stop", "assert") and self._parfors:
            self.problems.add(
                f"{call.name}() is not allowed inside a parfor loop", call.span, "use a for loop, or note the failure in a matrix"
            )
        if self.calls.is_builtin(call, "stop"):
            state.dead = True

    def _if(self, stmt: If, state: State) -> None:
        arms, otherwise = branches(stmt)
        rest = state.copy()  # where no condition so far held
        ends: list[State] = []
        for cond, block in arms:
            self._condition(cond, rest)
            end = rest.copy()
            end.assume(cond, True)
            self._block(block, end)
            rest.assume(cond, False)
            known = cond.value if isinstance(cond, Literal) and isinstance(cond.value, bool) else None
            end.dead |= known is False or rest.dead
            rest.dead |= known is True
            ends.append(end)
        self._block(otherwise, rest)
        state.become(*ends, rest)
        self._remember(stmt, state, ends[0], [*ends[1:], rest])

    def _remember(self, stmt: If, state: State, then: State, others: list[State]) -> None:
        """What is set on one side only is set again wherever the same condition holds."""
        test = condition(stmt.cond, True)
        if test and test.names.isdisjoint(assigned((stmt,))):
            state.learn(test, (then,))
            state.learn(condition(stmt.cond, False), others)

    def _condition(self, cond: Expr, state: State) -> None:
        self.read(state, cond)
        if isinstance(cond, Literal) and isinstance(cond.value, str):
            self.problems.add(
                "a condition must be a boolean or a number, not a string", cond.span, 'compare it with something, as in x == "a"'
            )

    def _loop_body(self, body: tuple[Stmt, ...], state: State, runs: bool) -> None:
        """A body that may read what its previous iteration set; `runs`: at least once."""
        end = state.copy()
        end.maybe |= assigned(body, into_parfor=False)
        end.forget(assigned(body))
        self._block(body, end)
        state.become(end) if runs else state.become(state.copy(), end)

    def _for(self, stmt: For, state: State) -> None:
        self.read(state, *expressions(stmt))
        if stmt.var in CONSTANTS:
            self.problems.add(f"'{stmt.var}' is a constant and cannot be a loop variable", stmt.span, "use another name")
        if stmt.parallel:
            self._parfor(stmt, state)
            return
        inside = state.copy()
        inside.bind(stmt.var, scalar=True)
        self._loop_body(stmt.body, inside, runs=not stmt.seq)
        state.become(state.copy(), inside) if stmt.seq else state.become(inside)

    def _parfor(self, stmt: For, state: State) -> None:
        from dmlite.lang.parfor_deps import check_parfor

        for option in stmt.options:
            if option.name not in PARFOR_OPTIONS:
                known = f"the options are {', '.join(PARFOR_OPTIONS)}"
                self.problems.add(
                    f"parfor has no option '{option.name}'", option.span, did_you_mean(option.name or "", PARFOR_OPTIONS) or known
                )
            elif option.name in COMPUTED_OPTIONS:
                self.read(state, option.value)
        check_parfor(stmt, state.maybe, state.scalars, self.problems)
        inside = state.copy()
        inside.bind(stmt.var, scalar=True)
        self._parfors += 1
        self._block(stmt.body, inside)
        self._parfors -= 1
        if stmt.seq:
            state.maybe.add(stmt.var)
        else:
            state.bind(stmt.var, scalar=True)

    # ---------------------------------------------------------------- expressions
    def read(self, state: State, *exprs: Expr) -> None:
        """Check everything that evaluating the expressions reads and calls."""
        unread: set[int] = set()
        for expr in walk(*exprs):
            match expr:
                case Name() | Index():
                    if id(expr) not in unread:
                        self._defined(expr, state)
                case Dollar():
                    self._dollar(expr)
                case Call():
                    self.calls.check(expr, 1, variables=state.maybe)
                    if self.calls.is_builtin(expr, "exists"):
                        unread.update(id(arg.value) for arg in expr.args)
                    elif self.calls.resolve(expr) is None:  # `apply(X, 1, sum)`: one problem
                        functions = set(self.calls.names())
                        unread.update(id(arg.value) for arg in expr.args if isinstance(arg.value, Name) and arg.value.name in functions)
                case Binary("&&" | "||" as op):
                    self.problems.add(f"there is no operator {op}", expr.span, f"use {op[0]}, which works on scalars and matrices")

    def _dollar(self, param: Dollar) -> None:
        if param.name not in self.dollar:
            how = f"-args with at least {param.name} values" if param.name.isdigit() else f"-nvargs {param.name}=..."
            hint = f"pass it with {how}, or give it a default: x = ifdef(${param.name}, ..)"
            self.problems.add(f"the parameter ${param.name} is not given", param.span, hint)

    def _defined(self, use: Target, state: State) -> None:
        """Check that a variable has a value where it is used; each name is reported once in a body."""
        name = use.name
        if name in state.sure or (name in CONSTANTS and isinstance(use, Name)):
            return
        if name in state.maybe:
            self.findings.maybe_unset.add(use.span)
            if name not in self._reported:
                self.findings.warnings.add(
                    f"'{name}' is set only on some of the paths that lead here", use.span, "give it a value before the branch or loop"
                )
        elif name not in self._reported:
            self.problems.add(f"the variable '{name}' is not defined here", use.span, self._why_undefined(use, state))
        self._reported.add(name)

    def _why_undefined(self, use: Target, state: State) -> str:
        name = use.name
        if name in SPELLED and name not in self._later:
            return f"write {SPELLED[name]}"
        if self.outer is not None and name in self.outer:
            return f"functions do not see the variables of the script; pass '{name}' as an argument"
        if name in self._parfor_locals():
            return "what is first assigned inside a parfor loop does not outlive it; create it before the loop and fill its cells"
        if name in self._later:
            never = "what sets it never runs, or ends in stop() before this is reached"
            return never if self._set_before(use) else "it gets a value only further down"
        if name in set(self.calls.names()):
            return f"'{name}' is a function: call it as {name}(..)"
        near = did_you_mean(name, sorted(state.maybe | CONSTANTS))
        return near or ("functions see only their parameters" if self.outer is not None else "assign it first, or bind it as an input")

    def _set_before(self, use: Target) -> bool:
        """Whether the text before this use gives the variable a value."""
        here = use.span.line, use.span.col
        simple = (s for s in statements(self.body) if any(t.name == use.name and isinstance(t, Name) for t in targets(s)))
        loops = (s for s in statements(self.body) if isinstance(s, For) and s.var == use.name)
        ends = any((s.span.end_line, s.span.end_col) <= here for s in simple)
        return ends or any((s.span.line, s.span.col) < here for s in loops)

    def _parfor_locals(self) -> set[str]:
        parfors = (s for s in statements(self.body) if isinstance(s, For) and s.parallel)
        return {name for loop in parfors for name in assigned(loop.body)}


def _lacks_braces(stmt: Stmt, following: Stmt) -> str | None:
    """The keyword of a statement whose body is one bare line, when the next statement lines up with that body."""
    block = stmt.orelse or stmt.then if isinstance(stmt, If) else stmt.body if isinstance(stmt, (For, While)) else ()
    if len(block) != 1:
        return None
    body, after = block[0].span, following.span
    bare = (body.end_line, body.end_col) == (stmt.span.end_line, stmt.span.end_col) and body.line > stmt.span.line
    if not bare or after.line == body.end_line or after.col != body.col or after.col <= stmt.span.col:
        return None
    return "if" if isinstance(stmt, If) else "while" if isinstance(stmt, While) else "loop"
