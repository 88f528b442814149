"""Which argument goes to which parameter: shared by the checker, which explains misfits, and the compiler, which needs the order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from dmlite.errors import Problems, Span, did_you_mean
from dmlite.lang.nodes import Call, Expr, Function


class Parameter(Protocol):
    """A declared parameter of a builtin, as a row of the operator table has it."""

    @property
    def name(self) -> str: ...
    @property
    def default(self) -> Any: ...
    @property
    def required(self) -> bool: ...
    @property
    def variadic(self) -> bool: ...


class Row(Protocol):
    """One way to call a builtin. `results` holds one kind a result; `effect` tells that the call does more than give a value."""

    @property
    def parameters(self) -> Sequence[Parameter]: ...
    @property
    def results(self) -> Sequence[str]: ...
    @property
    def effect(self) -> bool: ...


class Builtins(Protocol):
    """Where builtins are looked up; the operator table (the package `dmlite.hop.ops`) is one."""

    def candidates(self, spelling: str, /) -> Sequence[Row]: ...
    def spellings(self) -> Iterable[str]: ...


@dataclass(frozen=True)
class Formal:
    """What binding needs to know of a parameter; `shown` is how a signature writes it."""

    name: str
    required: bool
    variadic: bool
    shown: str


@dataclass
class Binding:
    """Arguments in parameter order (None where the default is taken), variadic ones at the end, and what does not fit."""

    values: list[Expr | None] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)

    @property
    def fits(self) -> bool:
        return not self.problems.found


def formals_of(callee: Function | Row) -> list[Formal]:
    """The parameters of a user function or of one row of a builtin."""
    if isinstance(callee, Function):
        return [Formal(p.name, p.default is None, False, p.name + (f" = {_text(p.default)}" if p.default else "")) for p in callee.params]
    return [Formal(p.name, p.required and not p.variadic, p.variadic, _shown(p)) for p in callee.parameters]


def signature(name: str, formals: Iterable[Formal]) -> str:
    """`name(X, by = 1, ...)`."""
    return f"{name}({', '.join(f.shown for f in formals)})"


def bind(call: Call, formals: Sequence[Formal]) -> Binding:
    """Match the arguments of a call to parameters: a positional prefix, then named ones in any order.

    Positional calls may leave out a tail of parameters with defaults. Misfits are collected in `problems`.
    """
    shown = call_name(call)
    hint = f"the signature is {signature(shown, formals)}"
    fixed = [f for f in formals if not f.variadic]
    spread = len(fixed) < len(formals)
    at = {f.name: i for i, f in enumerate(fixed)}
    given: list[Expr | None] = [None] * len(fixed)
    rest: list[Expr | None] = []
    complain = (result := Binding()).problems.add
    named = False
    for position, arg in enumerate(call.args):
        if arg.name is None and named:
            complain(
                f"{shown}: a positional argument cannot follow a named one", arg.span, "name this argument too, or move it to the front"
            )
        elif arg.name is None and position < len(fixed):
            given[position] = arg.value
        elif arg.name is None and spread:
            rest.append(arg.value)
        elif arg.name is None:
            complain(f"{shown}: {_count(len(call.args), 'argument')} given, at most {len(fixed)} expected", arg.span, hint)
            break
        elif arg.name not in at:
            near = did_you_mean(arg.name, at)
            complain(f"{shown} has no parameter '{arg.name}'", arg.span, f"{near} {hint}" if near else hint)
        elif given[at[arg.name]] is not None:
            complain(f"{shown}: the parameter '{arg.name}' is given twice", arg.span, hint)
        else:
            given[at[arg.name]] = arg.value
        named = named or arg.name is not None
    missing = [f"'{f.name}'" for f, value in zip(fixed, given, strict=True) if f.required and value is None]
    if missing and result.fits:
        complain(f"{shown}: {_count(len(missing), 'argument')} missing: {', '.join(missing)}", call.span, hint)
    result.values = given + rest
    return result


def bind_call(function: Function, call: Call, problems: Problems) -> list[Expr | None]:
    """The arguments of a call of a user function in parameter order, None where the default is taken."""
    binding = bind(call, formals_of(function))
    problems.found.extend(p for p in binding.problems.found if p not in problems.found)
    return binding.values


def bind_builtin(row: Row, call: Call) -> list[Expr | None] | None:
    """The arguments of a call in the order of the row's parameters, variadic ones spread at the end; None when they do not fit."""
    binding = bind(call, formals_of(row))
    return binding.values if binding.fits else None


def call_name(call: Call) -> str:
    """The callee as the script writes it."""
    return f"{call.namespace}::{call.name}" if call.namespace else call.name


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _shown(parameter: Parameter) -> str:
    if parameter.variadic:
        return "..."
    if parameter.required:
        return parameter.name
    return f"{parameter.name} = {dml_text(parameter.default)}" if parameter.default is not None else f"[{parameter.name}]"


def dml_text(value: object) -> str:
    """A Python constant as a DML literal."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace("\n", "\\n") + '"'
    return {"nan": "NaN", "inf": "Inf", "-inf": "-Inf"}.get(str(value), str(value))


def _text(expr: Expr) -> str:
    """The expression as the script has it, when it stands on one line."""
    span: Span = expr.span
    return span.source.line(span.line)[span.col - 1 : span.end_col - 1] if span.line == span.end_line else "..."
