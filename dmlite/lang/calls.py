"""Calls: who is called, with which arguments, and how many results come back."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from dmlite.errors import Problems, Span, did_you_mean
from dmlite.lang.arguments import Binding, Builtins, Formal, Row, bind, bind_call, call_name, formals_of
from dmlite.lang.modules import dml_builtins
from dmlite.lang.nodes import Binary, Call, Dollar, Expr, Function, Import, Literal, Name, Unary
from dmlite.lang.walk import children, statements

if TYPE_CHECKING:
    from dmlite.lang.modules import Module

SCALARS: Final = frozenset({"scalar", "number", "int", "boolean", "string", "D", "I", "B", "T"})
SPECIAL: Final = ("exists", "list")  # builtins whose arguments are not matched to parameters
ELSEWHERE: Final = {  # what the same thing is called in DML
    "c": 'write a column of values as matrix("1 2 3", rows=3, cols=1), or join columns with rbind',
    **dict.fromkeys(("cat", "printf", "puts", "echo", "display"), 'use print("text " + x), or print("%d of %s", n, s)'),
    **dict.fromkeys(("apply", "sapply", "lapply", "tapply"), "use rowSums, colMeans and their like, aggregate(...), or a for loop"),
    "sprintf": 'join strings with +; print("%5.2f", x) formats',
    "str": 'a string of x is "" + x',
    "array": 'write matrix("1 2 3", rows=3, cols=1)',
    "vector": "use matrix(0, rows=n, cols=1)",
    "rep": "use matrix(x, rows=n, cols=1)",
    "range": "a loop is for (i in 1:n), a column of numbers seq(1, n), the range of X min(X) and max(X)",
    "transpose": "use t(X)",
    "dot": "use X %*% Y",
    "matmul": "use X %*% Y",
    "norm": "use sqrt(sum(X^2))",
    "pow": "use x^y",
    "stopifnot": "use assert(...)",
    "paste": "join strings with +",
    "paste0": "join strings with +",
    "dim": "use nrow(X) and ncol(X)",
    "shape": "use nrow(X) and ncol(X)",
    "len": "use length(X), nrow(X) or ncol(X)",
    "zeros": "use matrix(0, rows=.., cols=..)",
    "ones": "use matrix(1, rows=.., cols=..)",
    "eye": "use diag(matrix(1, rows=n, cols=1))",
    "crossprod": "use t(X) %*% X",
    "return": "assign the outputs of the function; it returns at the end of its body",
    "reshape": "use matrix(X, rows=.., cols=..)",
    "runif": "use rand(rows=.., cols=..)",
    "rnorm": 'use rand(rows=.., cols=.., pdf="normal")',
    "which": 'use removeEmpty(target=seq(1, nrow(v)), margin="rows", select=v)',
}


class Calls:
    """Checks the calls of one file."""

    def __init__(self, module: Module, builtins: Builtins, problems: Problems, warnings: Problems):
        self.module = module
        self.builtins = builtins
        self.problems = problems
        self.warnings = warnings
        script = (s for s in module.script.body if not isinstance(s, Function))
        self._sources = {s.alias for s in statements(script) if isinstance(s, Import)}
        self._formals: dict[int, list[Formal]] = {}

    def check(self, call: Call, wanted: int, first_will_do: bool = False, variables: Collection[str] = ()) -> None:
        """Report what is wrong with a call.

        wanted: the number of results used: 0 in a statement, 1 in an expression, n in `[a, b] = ..`; first_will_do: the
        rest may be dropped, which needs brackets where a builtin is called; variables: those that have a value here.
        """
        callee = self.resolve(call)
        if self.is_builtin(call, *SPECIAL):
            self._check_special(call)
            self._check_results(call, 1, wanted, first_will_do)
        elif callee is None:
            if call.namespace in self.module.imports or call.namespace not in self._sources:  # else the file could not be read
                self.problems.add(*self._unknown(call, variables))
        elif isinstance(callee, Function):
            bind_call(callee, call, self.problems)
            self._check_results(call, len(callee.returns), wanted, first_will_do=True)
        else:
            self._check_builtin(call, callee, wanted, first_will_do)
        if self.is_builtin(call, "eval"):
            self._check_eval(call)
        if self.is_builtin(call, "print"):
            self._check_print(call)

    def resolve(self, call: Call) -> Function | Sequence[Row] | None:
        """The function or the rows of the builtin that a call names; functions of the file come before builtins."""
        found = self.module.find(call)
        if found is not None:
            return found[0]
        return None if call.namespace is not None else self.builtins.candidates(call.name) or None

    def is_builtin(self, call: Call, *names: str) -> bool:
        """Does the call reach the builtin of one of these names, and not a function of the file?"""
        return call.namespace is None and call.name in names and call.name not in self.module.functions

    def is_scalar(self, expr: Expr, scalars: set[str]) -> bool:
        """Is the value surely a scalar, where `scalars` are variables that are?"""
        stack = [expr]
        while stack:
            node = stack.pop()
            match node:
                case Literal() | Dollar():
                    continue
                case Name(name) if name in scalars or name in ("NaN", "Inf", "pi"):
                    continue
                case Unary():
                    stack.append(node.operand)
                case Binary(op) if op != "%*%":
                    stack += (node.left, node.right)
                case Call():
                    kinds = self._result_kinds(node)
                    if kinds == {"cell"}:
                        stack.extend(children(node))
                    elif not kinds or not kinds <= SCALARS:
                        return False
                case _:
                    return False
        return True

    def _result_kinds(self, call: Call) -> set[str]:
        callee = self.resolve(call)
        if isinstance(callee, Function):
            return {r.type.data for r in callee.returns[:1]}
        return {row.results[0] for row in callee or () if row.results}

    def _check_builtin(self, call: Call, rows: Sequence[Row], wanted: int, first_will_do: bool) -> None:
        bindings = [self._bind(call, row) for row in rows]
        fitting = [row for row, binding in zip(rows, bindings, strict=True) if binding.fits]
        if not fitting:
            closest = min(bindings, key=lambda binding: len(binding.problems.found))
            self.problems.found.extend(p for p in closest.problems.found if p not in self.problems.found)
            return
        given = max((len(row.results) for row in fitting), key=lambda n: (n == wanted, n))
        self._check_results(call, given, wanted, first_will_do)
        if wanted == 0 and not any(row.effect for row in fitting):
            self.warnings.add(
                f"the result of {call.name}() is not used", call.span, f"assign it, as in x = {call.name}(..), or remove the call"
            )

    def _check_special(self, call: Call) -> None:
        """`exists` takes a variable that need not be set; the arguments of `list` carry names of the script's choice."""
        if call.name == "exists":
            if len(call.args) != 1 or not isinstance(call.args[0].value, (Name, Literal)):
                self.problems.add("exists takes a variable, or its name in quotes", call.span, 'as in exists("X")')
            return
        seen: set[str | None] = set()
        for arg in call.args:
            if arg.name in seen and arg.name is not None:
                self.problems.add(f"list: two elements are named '{arg.name}'", arg.span, "give each element a name of its own")
            elif seen and (arg.name is None) != (None in seen):
                self.problems.add("list: some elements have a name and some have none", arg.span, "name all of them, or none")
                return
            seen.add(arg.name)

    def _bind(self, call: Call, row: Row) -> Binding:
        formals = self._formals.get(id(row))
        if formals is None:
            formals = self._formals[id(row)] = formals_of(row)
        return bind(call, formals)

    def _check_results(self, call: Call, given: int, wanted: int, first_will_do: bool) -> None:
        shown = call_name(call)
        if wanted and not given:
            self.problems.add(f"{shown}() gives no value", call.span, f"call it as a statement: {shown}(..)")
        elif wanted > given:
            results = "1 result" if given == 1 else f"{given} results"
            self.problems.add(f"{shown}() gives {results}, but {wanted} variables are assigned", call.span, self._results_hint(call))
        elif wanted == 1 and given > 1 and not first_will_do:
            names = ", ".join("abcdefghijklmnop"[:given])
            self.problems.add(f"{shown}() gives {given} results", call.span, f"assign them together, as in [{names}] = {shown}(..)")

    def _results_hint(self, call: Call) -> str | None:
        callee = self.resolve(call)
        if isinstance(callee, Function):
            return f"its outputs are {', '.join(r.name for r in callee.returns)}"
        return None

    def _check_print(self, call: Call) -> None:
        """A format shows as many values as it has percent signs."""
        if len(call.args) > 1 and isinstance(shown := call.args[0].value, Literal) and "%" not in str(shown.value):
            self.warnings.add("print shows only its first argument, which is no format", call.span, "join the parts with +")

    def _check_eval(self, call: Call) -> None:
        if not call.args or not isinstance(name := call.args[0].value, Literal) or not isinstance(name.value, str):
            return
        namespace, _, function = name.value.rpartition("::")
        called = Call(function, (), namespace or None, span=name.span)
        if self.resolve(called) is None:
            self.problems.add(*self._unknown(called))

    def _unknown(self, call: Call, variables: Collection[str] = ()) -> tuple[str, Span, str | None]:
        """Message, place and hint for a call that reaches nothing."""
        if call.namespace is None:
            hint = f"'{call.name}' is a variable: its cells are {call.name}[i, j]" if call.name in variables else self._nearest(call.name)
            return f"there is no function '{call.name}'", call.span, hint
        imported = self.module.imports.get(call.namespace)
        if imported is None:
            hint = did_you_mean(call.namespace, self.module.imports) or f'import it first: source("path.dml") as {call.namespace}'
            return f"there is no namespace '{call.namespace}'", call.span, hint
        near = did_you_mean(call.name, imported.functions)
        if near is None and self.builtins.candidates(call.name):
            near = f"'{call.name}' is a builtin: call it without '{call.namespace}::'"
        if near is None:
            near = f"it has {', '.join(sorted(imported.functions)) or 'no functions'}"
        return f"'{call.namespace}' has no function '{call.name}'", call.span, near

    def _nearest(self, name: str) -> str | None:
        if name in ELSEWHERE:
            return ELSEWHERE[name]
        qualified = [f"{alias}::{name}" for alias, imported in self.module.imports.items() if name in imported.functions]
        return f"did you mean '{qualified[0]}'?" if qualified else did_you_mean(name, self.names())

    def names(self) -> Iterator[str]:
        """Everything that can be called without a namespace."""
        yield from self.module.functions
        yield from dml_builtins()
        yield from SPECIAL
        yield from (s for s in self.builtins.spellings() if s.replace(".", "").isidentifier())
