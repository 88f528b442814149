"""Where each operator of a plan runs, and why there: decided from the description of a machine, without touching any device."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from dmlite.hop.builder import READS
from dmlite.hop.cost import bytes_of, estimate
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import Device, Machine, seconds_text
from dmlite.hop.node import LITERAL, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.memory import human

if TYPE_CHECKING:
    from dmlite.plan.physical import BlockPlan, Step

LOCAL: Final = "local"
DASK: Final = "dask"


@dataclass(frozen=True)
class Placement:
    """backend: `local`, `dask`, or the name of a device. reason: why not elsewhere, or why there.

    seconds: estimated there, where it is not local. moved: bytes between this process and the workers.
    """

    backend: str
    reason: str
    seconds: float | None = None
    moved: float = 0.0


def place(plan: BlockPlan, machine: Machine | None = None) -> dict[Hop, Placement]:
    """Where each step of a plan runs. Devices hold no kernels yet, so that is here; the reason tells what speaks against each."""
    machine = plan.facts.machine if machine is None else machine
    if plan.places:
        return {step.hop: plan.places[step.hop] for step in plan.steps}
    return {step.hop: Placement(LOCAL, why_local(step.hop, plan.facts, machine)) for step in plan.steps}


def seconds_of(plan: BlockPlan, step: Step) -> float | None:
    """The estimated time of one step where it runs, None when it is not known."""
    place = plan.places.get(step.hop)
    return estimate(step.hop, plan.facts).seconds if place is None or place.seconds is None else place.seconds


def expected_seconds(plan: BlockPlan) -> float:
    """Seconds that a block is expected to take on the machine it was planned for, as far as sizes are known: its steps where they run,
    and what moves between this process and the workers."""
    cluster = plan.facts.machine.cluster
    moving = 0.0 if cluster is None else sum(place.moved for place in plan.places.values()) / cluster.network
    return sum(seconds_of(plan, step) or 0.0 for step in plan.steps) + moving


def why_local(hop: Hop, facts: FactTable, machine: Machine) -> str:
    """Why an operator is not computed on a device, for operands that lie in the memory of the machine."""
    if hop.op in READS and machine.cluster is not None:
        return "unless it is large: then the workers read it"
    if not machine.devices:
        return "no GPU on this machine"
    if not any(facts[h].is_matrix for h in (hop, *hop.args)):
        return "not about matrices"
    return "; ".join(_against(hop, facts, machine, device) for device in machine.devices)


def _against(hop: Hop, facts: FactTable, machine: Machine, device: Device) -> str:
    row = BY_NAME.get(hop.op)
    if row is None or row.kernel not in device.kernels:
        return f"the {device.name} backend does not run this operator"
    needed = _bytes([hop, *dict.fromkeys(a for a in hop.args if a.op != LITERAL)], facts)
    seconds = estimate(hop, facts, machine).seconds
    if needed is None or seconds is None:
        return "its size is not known before it runs"
    if needed > device.memory:
        return f"needs {human(needed)}, the {device.name} has {human(device.memory)}"
    if seconds <= device.call:
        return f"too small: {seconds_text(seconds)} here, where starting a kernel of the {device.name} takes {seconds_text(device.call)}"
    there = device.call + (seconds - machine.call) / device.speed
    moving = needed / device.transfer
    return f"moving {human(needed)} takes {seconds_text(moving)}, computing there saves {seconds_text(max(0.0, seconds - there))}"


def _bytes(hops: Iterable[Hop], facts: FactTable) -> int | None:
    sizes = [bytes_of(facts[h]) for h in hops]
    return None if None in sizes else sum(s for s in sizes if s is not None)
