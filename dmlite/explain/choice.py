"""How each operator of a plan is computed, and why that way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.plan.physical import BlockPlan, Step

_ASSIGNMENT: Final = re.compile(r"^ +v(\d+) = (.*)$", re.MULTILINE)
_CALL: Final = re.compile(r"\b([a-z]+)__(\w+)\b")


@dataclass(frozen=True)
class Choice:
    """kernel: `module.function` of the backend, `numpy` or `python` for an expression. storage: of the result."""

    backend: str
    kernel: str
    code: str
    reason: str
    storage: str


def of_plan(plan: BlockPlan, source: str) -> dict[Hop, Choice]:
    """The choice made for every step; `source` is the Python generated for the plan."""
    written = {int(number): code for number, code in reversed(_ASSIGNMENT.findall(source))}
    return {step.hop: _choice(plan, step, written.get(number, "")) for number, step in enumerate(plan.steps)}


def _choice(plan: BlockPlan, step: Step, code: str) -> Choice:
    called = _CALL.search(code)
    storage = "" if not step.fact.is_matrix else "dense" if step.dense else "dense or CSR"
    if called is not None:
        kernel, why = f"{called[1]}.{called[2]}", _why_kernel(plan, step)
    elif step.fact.is_scalar and not any(plan.facts[a].is_matrix for a in step.hop.args):
        kernel, why = "python", "scalars of known type"
    else:
        kernel, why = "numpy", "dense, shapes known"
    if step.hop.op == PICK:
        kernel, why = "python", "one of several results"
    return Choice("local", kernel, code, "; ".join(filter(None, (why, _why_buffer(plan, step)))), storage)


def _why_kernel(plan: BlockPlan, step: Step) -> str:
    """Why the general kernel is called rather than a bare array expression."""
    row = BY_NAME.get(step.hop.op)
    if row is not None and row.effect:
        return "an effect, kept in its order"
    values = [a for a in step.hop.args if a.op != LITERAL and not plan.facts[a].is_scalar]
    if any(not plan.facts[a].is_matrix for a in values):
        return "the kind of an operand is known only when it runs"
    if any(plan.facts[a].cells is None for a in values):
        return "a shape is known only when it runs"
    if any(not plan.dense.get(a, False) for a in values):
        return "an operand may be sparse"
    return ""


def _why_buffer(plan: BlockPlan, step: Step) -> str:
    if step.owned:
        return "changed in place where nobody else holds it"
    if step.reuse is not None:
        operand = step.hop.args[step.reuse]
        return "takes the memory of a variable read for the last time" if operand.op == LIVE_IN else "takes the memory of a dead operand"
    if step.recycle is not None:
        return "takes the memory of the last iteration"
    row = BY_NAME.get(step.hop.op)
    return "shares the memory of its operand" if row is not None and row.view and plan.facts[step.hop].is_matrix else ""
