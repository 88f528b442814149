"""Do the kinds of the operands suit the operator? What is known to be wrong is reported where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dmlite.errors import Problems, Span
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop, literal
from dmlite.hop.ops.row import Op, Parameter

ABSENT: Final = literal(None)
_SCALAR_KINDS: Final = {
    "scalar": ("double", "int", "boolean", "string"),
    "number": ("double", "int", "boolean"),
    "int": ("double", "int", "boolean"),
    "boolean": ("double", "int", "boolean"),
    "string": ("string",),
}
_ARITHMETIC: Final = frozenset({"sub", "mul", "div", "pow", "mod", "intdiv"})


def fits(parameter: Parameter, arg: Hop, fact: Fact, unknown_fits: bool = True) -> bool:
    """Whether a value with this fact may be passed for the parameter."""
    if arg is ABSENT or "any" in parameter.kinds:
        return True
    if fact.kind == "unknown":
        return unknown_fits
    if fact.is_scalar:
        return any(fact.vtype is None or fact.vtype in _SCALAR_KINDS.get(k, ()) for k in parameter.kinds if k in _SCALAR_KINDS)
    return fact.kind in parameter.kinds


def paired(row: Op, args: Sequence[Hop]) -> list[tuple[Parameter, Hop]]:
    """Every operand with the parameter it is passed for; the last parameter takes all that follow."""
    return [(row.parameters[min(i, len(row.parameters) - 1)], a) for i, a in enumerate(args)]


def check_operands(row: Op, args: Sequence[Hop], facts: FactTable, spans: Sequence[Span | None], span: Span, problems: Problems) -> None:
    """Report the first operand of a kind that the operator does not take. `spans`: where each operand stands, if anywhere."""
    for position, (parameter, arg) in enumerate(paired(row, args)):
        fact = facts[arg]
        if not fits(parameter, arg, fact):
            where = (spans[position] if position < len(spans) else None) or span
            expected = " or ".join(parameter.kinds)
            shown = "-" if row.name == "neg" else row.dml
            problems.add(f"{shown} takes a {expected} for '{parameter.name}', not {describe(fact)}", where, _hint(fact, parameter))
            return
    known = [facts[a] for a in args]
    if row.name in _ARITHMETIC and any(f.vtype == "string" for f in known):
        problems.add(f"operator {row.dml} does not take strings", span, "convert with as.double(...) first")
    elif row.name == "add" and any(f.vtype == "string" for f in known) and any(f.kind in ("matrix", "list") for f in known):
        hint = "use toString(...) for the matrix, or as.scalar(...) for one cell"
        problems.add("a string and a matrix cannot be joined with +", span, hint)


def describe(fact: Fact) -> str:
    """A value in a message, as far as it is known."""
    if fact.is_scalar:
        if fact.is_const:
            return f"the {fact.vtype} {fact.value!r}"
        return f"{_article(fact.vtype)} scalar" if fact.vtype else "a scalar"
    if fact.kind == "literals":
        return "a list in brackets"
    return f"a matrix ({fact.shape_text()})" if fact.is_matrix else f"a {fact.kind}"


def _article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _hint(fact: Fact, parameter: Parameter) -> str | None:
    if fact.is_matrix and not {"matrix", "any"} & set(parameter.kinds):
        if parameter.kinds == ("string",):
            return "toString(X) makes a text of a matrix"
        return "as.scalar(X) takes the value out of a 1x1 matrix" + ("" if fact.cells in (None, 1) else ", as.scalar(X[i, j]) one cell")
    if fact.kind == "literals":
        return 'a matrix is written matrix("1 2 3", rows=3, cols=1)'
    if fact.kind == "list":
        return "take an element out with as.scalar(L[i]) or as.matrix(L[i])"
    if fact.is_scalar and fact.vtype != "string" and "matrix" in parameter.kinds:
        return "as.matrix(x) makes a 1x1 matrix of a scalar"
    if fact.vtype == "string" and "number" in parameter.kinds:
        return "as.double(s) makes a number of a string"
    return None
