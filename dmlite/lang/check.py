"""Names, arguments and structure of whole programs: every problem of every reachable file, before anything is compiled."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dmlite.errors import Problems
from dmlite.lang.arguments import Builtins
from dmlite.lang.calls import Calls
from dmlite.lang.flow import State
from dmlite.lang.nodes import Function, Name, Param
from dmlite.lang.scopes import CONSTANTS, Findings, Scope
from dmlite.lang.walk import assigned, walk

if TYPE_CHECKING:
    from dmlite.lang.modules import Module


def check(module: Module, inputs: Collection[str], dollar: Mapping[str, Any], builtins: Builtins, problems: Problems) -> Findings:
    """Add everything that is wrong with the script, its functions and the functions of all files it imports to `problems`.

    inputs: names of variables bound from outside; dollar: the given `$` parameters; builtins: where builtins are looked up.
    Returns the warnings, and the reads that need a check at run time because only some paths set the variable.
    """
    findings = Findings()
    for file in reachable(module):
        calls = Calls(file, builtins, problems, findings.warnings)
        script = tuple(s for s in file.script.body if not isinstance(s, Function))
        variables = assigned(script) | (set(inputs) if file is module else set())
        for function in file.functions.values():
            _check_function(function, calls, dollar, findings, variables)
        if file is module:
            Scope(calls, dollar, findings, script).run(State(set(inputs), set(inputs)))
    return findings


def reachable(module: Module) -> Iterator[Module]:
    """The module and everything it imports, directly or not, each file once."""
    seen: set[int] = set()
    stack = [module]
    while stack:
        current = stack.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            stack.extend(current.neighbours())


def _check_function(function: Function, calls: Calls, dollar: Mapping[str, Any], findings: Findings, outer: Collection[str]) -> None:
    problems = calls.problems
    for what, params in (("parameter", function.params), ("output", function.returns)):
        _check_names(what, params, problems)
    scope = Scope(calls, dollar, findings, function.body, outer)
    for param in function.params:
        _check_default(function, param, scope)
    names = [p.name for p in function.params]
    state = State(set(names), set(names), {p.name for p in function.params if p.type.data == "scalar"})
    scope.run(state)
    for output in function.returns:
        if state.dead or output.name in state.sure:
            continue
        if output.name in state.maybe:
            hint = "give it a value at the start of the body"
            findings.warnings.add(f"{function.name}: the output '{output.name}' is set only on some paths", output.span, hint)
        else:
            problems.add(f"{function.name}: the output '{output.name}' is never assigned", output.span, "assign it in the body")


def _check_names(what: str, params: tuple[Param, ...], problems: Problems) -> None:
    seen: set[str] = set()
    for param in params:
        if param.name in seen:
            problems.add(f"two {what}s are named '{param.name}'", param.span, "rename one of them")
        if param.name in CONSTANTS:
            problems.add(f"'{param.name}' is a constant and cannot be the name of a {what}", param.span, "use another name")
        seen.add(param.name)


def _check_default(function: Function, param: Param, scope: Scope) -> None:
    """Defaults are computed outside of any call, from constants and function calls alone."""
    if param.default is None:
        return
    names = {n.name: n for n in walk(param.default) if isinstance(n, Name) and n.name not in CONSTANTS}
    for name, use in names.items():
        hint = "use constants and calls only, and compute what depends on other parameters in the body"
        scope.problems.add(f"{function.name}: the default of '{param.name}' cannot use the variable '{name}'", use.span, hint)
    scope.read(State(set(names), set(names)), param.default)
