"""Slices of dense arrays in generated code: bounds checked inline, stores in place where the array is owned."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dmlite.hop.facts import Fact
from dmlite.hop.node import Hop

if TYPE_CHECKING:
    from dmlite.codegen.emit import Emitter
    from dmlite.plan.physical import Step


def index_code(em: Emitter, hop: Hop, target: str, args: list[str]) -> str | None:
    """`target = X[a:b, c:d]` after a bounds check, or None when the general kernel must do it."""
    found = _subscript(em, hop, args[0], args[1:])
    if found is None:
        return None
    checks, subscript = found
    return "\n".join([*checks, f"{target} = {args[0]}{subscript}"])


def leftindex_code(em: Emitter, step: Step, target: str, args: list[str]) -> str | None:
    """A store: in place when nothing else refers to the array, into a copy otherwise."""
    hop, x, value = step.hop, args[0], args[1]
    value_fact = em.plan.facts[hop.args[1]]
    if not em.plan.dense.get(hop.args[0], False):
        return None
    found = _subscript(em, hop, x, args[2:], value_fact)
    if found is None or not (value_fact.is_matrix and em.plan.dense.get(hop.args[1], False)):
        kernel = em.kernel("indexing.leftindex")
        if not step.owned:
            return f"{target} = {kernel}({', '.join(args)})"
        in_place = em.kernel("indexing.leftindex_inplace")
        return f"{target} = ({in_place} if {owned_target(hop, x)} else {kernel})({', '.join(args)})"
    checks, subscript = found
    copy = f"{target} = {x} if {owned_target(hop, x)} else {x}.copy()" if step.owned else f"{target} = {x}.copy()"
    return "\n".join([*checks, copy, f"{target}{subscript} = {value}"])


def owned_target(hop: Hop, x: str) -> str:
    """The run-time test that only this variable refers to the array that the first operand is."""
    limit = "param_refs" if hop.args[0].op == "live_in" else "local_refs"
    return f"(refcount({x}) <= {limit} and {x}.flags.owndata)"


def reshape_code(step: Step, facts: list[Fact], args: list[str]) -> str | None:
    """Row-major reshape to a known shape with the same number of cells."""
    rows, cols = step.fact.rows, step.fact.cols
    by_row = step.hop.args[3]
    if rows is None or cols is None or facts[0].cells != rows * cols or not (by_row.is_literal and by_row.value is True):
        return None
    return f"{args[0]}.reshape({rows}, {cols})"


def _subscript(em: Emitter, hop: Hop, x: str, bounds: list[str], value: Fact | None = None) -> tuple[list[str], str] | None:
    """Bound checks and the subscript; None when something about it is not known.

    With `value`, its shape must be that of the selected range.
    """
    fact = em.plan.facts[hop.args[0]]
    bound_hops = hop.args[2:] if value is not None else hop.args[1:]
    if not em.plan.dense.get(hop.args[0], False) or fact.rows is None or fact.cols is None:
        return None
    checks: list[str] = []
    parts: list[str] = []
    wanted = (value.rows, value.cols) if value is not None else (None, None)
    for axis, size in enumerate((fact.rows, fact.cols)):
        low, high = bound_hops[2 * axis], bound_hops[2 * axis + 1]
        width = em.plan.facts.width(low, high, size)
        if value is not None and (width is None or width != wanted[axis]):
            return None
        part = _slice(em, (low, high), bounds[2 * axis : 2 * axis + 2], size, axis, width, (checks, x))
        if part is None:
            return None
        parts.append(part)
    return checks, f"[{', '.join(parts)}]"


def _slice(
    em: Emitter, hops: tuple[Hop, Hop], text: list[str], size: int, axis: int, width: int | None, context: tuple[list[str], str]
) -> str | None:
    """One dimension as a Python slice; non-constant bounds are checked when the code runs."""
    checks, x = context
    low, high = hops
    if low.is_literal and low.value is None:
        return ":"
    facts = em.plan.facts
    first = facts[low]
    single = high.is_literal and high.value is None
    last = first if single else facts[high]
    if first.is_const and last.is_const:
        a, b = first.const_int(), last.const_int()
        return f"{a - 1}:{b}" if a is not None and b is not None and 1 <= a <= b <= size else None
    if first.vtype != "int" or last.vtype != "int":
        return None
    stop = text[0] if single else text[1]
    order = "" if single or width is not None else f" or {text[0]} > {stop}"
    check = em.kernel("indexing.out_of_range")
    checks.append(f"if {text[0]} < 1 or {stop} > {size}{order}: {check}({text[0]}, {stop}, {x}.shape, {axis})")
    return f"{text[0]} - 1:{stop}"
