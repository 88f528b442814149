"""How each operator of a plan is computed, and why that way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from dmlite.hop.cost import bytes_of
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.memory import human
from dmlite.plan.chunked import Chunks, how, wholes
from dmlite.plan.physical import BlockPlan, Step
from dmlite.plan.placement import Placement, place
from dmlite.plan.room import Room
from dmlite.plan.sampled import Sampled

_ASSIGNMENT: Final = re.compile(r"^ +v(\d+) = (.*)$", re.MULTILINE)
_CALL: Final = re.compile(r"\b([a-z]+)__(\w+)\b")


@dataclass(frozen=True)
class Choice:
    """kernel: `module.function` of the backend, `numpy` or `python` for an expression, and the reason. storage: of the result."""

    placement: Placement
    kernel: str
    code: str
    reason: str
    storage: str
    in_place: bool  # takes the memory of its first operand
    seconds: float | None = None  # where that is not what the operator takes by itself
    never_whole: bool = False  # exists at the stored cells of a sparse matrix alone


def of_plan(plan: BlockPlan, source: str) -> dict[Hop, Choice]:
    """The choice made for every step; `source` is the Python generated for the plan."""
    written = {int(number): code for number, code in reversed(_ASSIGNMENT.findall(source))}
    places = place(plan)
    return {step.hop: _choice(plan, step, places[step.hop], written.get(number, "")) for number, step in enumerate(plan.steps)}


def _choice(plan: BlockPlan, step: Step, placement: Placement, code: str) -> Choice:
    if isinstance(step.region, Sampled):
        return _sampled(plan, step, step.region, placement, code)
    if step.there is not None:
        return _there(plan, step, placement, code)
    called = _CALL.search(code)
    storage = "" if not step.fact.is_matrix else "dense" if step.dense else "dense or CSR"
    if called is not None:
        kernel, why = f"{called[1]}.{called[2]}", _why_kernel(plan, step)
    elif step.fact.is_scalar and not any(plan.facts[a].is_matrix for a in step.hop.args):
        kernel, why = "python", "numbers and strings only"
    else:
        kernel, why = "numpy", "dense operands of known shape"
    if step.hop.op == PICK:
        kernel, why = "python", "one of several results"
    reason = "; ".join(filter(None, (why, _why_together(plan, step), _why_buffer(plan, step))))
    return Choice(placement, kernel, code, reason, storage, step.owned, placement.seconds)


def _sampled(plan: BlockPlan, step: Step, region: Sampled, placement: Placement, code: str) -> Choice:
    """Of a member of a sampled region."""
    inner = step.hop in region.inner
    storage = "" if inner or not step.fact.is_matrix else "dense" if step.dense else "dense or CSR"
    reason = _why_together(plan, step) + "; needed there alone, so never made whole" * inner
    return Choice(placement, "stored.run", code, reason, storage, False, region.seconds(step.hop, plan.facts), inner)


def _there(plan: BlockPlan, step: Step, placement: Placement, code: str) -> Choice:
    """Of an operator on workers: the physical operator in the place of a kernel."""
    storage = "" if not step.fact.is_matrix else "dense" if step.dense else "dense or CSR"
    if not isinstance(step.region, Chunks):
        room = step.there
        return Choice(placement, "workers", code, room.how if isinstance(room, Room) else "", storage, False, placement.seconds)
    role = step.region.roles[step.hop]
    sent = [a for a in wholes(step.hop, role) if plan.facts[a].is_matrix]
    size = sum(bytes_of(plan.facts[a]) or 0 for a in sent)
    others = len(step.region.hops) - 1
    told = [
        f"one task a chunk{f', with {others} other' + 's' * (others > 1) if others else ''}",
        f"{human(size)} sent to every worker" if sent else "",
        "" if role.join is None else f"joined by {role.join}",
    ]
    return Choice(placement, how(step.hop, role), code, "; ".join(filter(None, told)), storage, False, placement.seconds)


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


def _why_together(plan: BlockPlan, step: Step) -> str:
    if step.region is None:
        return ""
    others = len(step.region.hops) - 1
    if not others:
        return f"in blocks of its {step.region.rows} rows"
    counted = ", whose time is counted here" if step.hop is step.region.hops[-1] else ""
    over = _stored(plan, step.region) if isinstance(step.region, Sampled) else f"{step.region.rows} rows"
    return f"in one pass over {over} with {others} other{'s' * (others > 1)}{counted}"


def _stored(plan: BlockPlan, region: Sampled) -> str:
    return f"the stored cells of a {plan.facts[region.driver].shape_text()} matrix"


def _why_buffer(plan: BlockPlan, step: Step) -> str:
    if step.owned:
        return "writes into the old matrix, unless somebody else holds it"
    if step.reuse is not None:
        operand = step.hop.args[step.reuse]
        return "takes the memory of a variable read for the last time" if operand.op == LIVE_IN else "takes the memory of a dead operand"
    if step.takes is not None:
        return "takes the memory of a value read for the last time"
    if step.recycle is not None:
        return "takes the memory of the last iteration"
    row = BY_NAME.get(step.hop.op)
    return "a view of its operand, nothing is copied" if row is not None and row.view and plan.facts[step.hop].is_matrix else ""
