"""Functions called by a name that is only known at run time: `eval` and `evalList`."""

from __future__ import annotations

from typing import Any

from dmlite.errors import DMLRuntimeError, did_you_mean
from dmlite.hop.calls import declared_fact
from dmlite.hop.liveness import mark_live
from dmlite.hop.lower import Context
from dmlite.lang import nodes as ast
from dmlite.lang.modules import Module
from dmlite.runtime.engine import Engine
from dmlite.values import DMLList


def call(module: Module, context: Context, engine: Engine, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """All results of the function `name` (or `alias::name`) of the script.

    A single list argument is spread: a named list gives named arguments. Raises DMLRuntimeError for an unknown function.
    """
    alias, _, local = name.rpartition("::")
    found = module.find(ast.Call(local, (), alias or None, span=module.script.span))
    if found is None:
        raise DMLRuntimeError(f"eval: there is no function '{name}'", hint=did_you_mean(name, module.functions))
    function, home = found
    values = _bind(function, args)
    known = len(context.instances.made)
    instance = context.instance(function, home, tuple(declared_fact(p) for p in function.params))
    for made in list(context.instances.made.values())[known:]:
        mark_live(made)
    return engine.call(instance, values)


def _bind(function: ast.Function, args: tuple[Any, ...]) -> list[Any]:
    """Arguments in parameter order. Raises DMLRuntimeError when they do not fit."""
    names: tuple[str, ...] | None = None
    if len(args) == 1 and isinstance(args[0], DMLList) and (len(function.params) != 1 or function.params[0].type.data != "list"):
        args, names = args[0].items, args[0].names
    given: dict[str, Any] = {}
    for i, value in enumerate(args):
        name = names[i] if names else function.params[i].name if i < len(function.params) else None
        if name not in {p.name for p in function.params}:
            raise DMLRuntimeError(
                f"eval: {function.name} takes {len(function.params)} arguments, found {len(args)}"
                if name is None
                else f"eval: {function.name} has no parameter '{name}'"
            )
        given[name] = value
    out = []
    for param in function.params:
        if param.name in given:
            out.append(given[param.name])
        elif isinstance(param.default, ast.Literal):
            out.append(param.default.value)
        else:
            raise DMLRuntimeError(f"eval: {function.name} needs the argument '{param.name}'")
    return out
