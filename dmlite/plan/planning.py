"""The plan of one block: where its operators run, then how."""

from __future__ import annotations

from typing import Final

from dmlite.config import Config
from dmlite.errors import DMLRuntimeError
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import Machine
from dmlite.hop.program import Block, Root
from dmlite.plan.distribute import Distributor
from dmlite.plan.memory import exceeds, fits, peak_of
from dmlite.plan.physical import BlockPlan, Planner

_CUT: Final = 1 << 10  # parts that a chunk of the usual size could be cut into again
_READ: Final = 0.5  # of the budget that a value from a file may take here
_MOVES: Final = 8  # assignments tried until a block fits


def plan_of(
    roots: list[Root],
    facts: FactTable,
    block: Block,
    machine: Machine,
    config: Config,
    chunked: frozenset[str] = frozenset(),
    *,
    show: bool = False,
) -> BlockPlan:
    """The cheapest plan that fits: all here where that is so.

    chunked: inputs that lie on workers. show: the plan is to be looked at, so it need not fit. Raises DMLRuntimeError at an operator
    that fits nowhere.
    """
    if machine.cluster is not None and (chunked or config.exec == "dask"):
        try:
            return _distributed(roots, facts, block, machine, config, chunked)
        except DMLRuntimeError:
            if not show:
                raise
    plan = Planner(roots, facts, block.live_after, block.spans, together=config.opt_level >= 2).plan(block.inputs, block.recycled)
    if machine.cluster is None or config.exec == "local" or not exceeds(facts, roots, machine.budget):
        return plan
    given = frozenset() if config.memory is not None else frozenset(block.inputs)
    if (peak_of(plan, given) or 0) <= machine.budget:
        return plan
    try:
        return _distributed(roots, facts, block, machine, config, chunked)
    except DMLRuntimeError as nowhere:
        if not show and not fits(plan, machine.budget, given):
            raise nowhere from None
        return plan  # it is not certain that it does not fit


def least_cut(config: Config) -> int:
    """Bytes from which on a value is large enough to be cut, where all that is large enough is distributed."""
    return config.chunk // _CUT


def is_read_there(size: float, budget: float, config: Config) -> bool:
    """Whether a value of so many bytes goes from its file to the workers."""
    return (config.exec == "dask" and size >= least_cut(config)) or (config.exec == "auto" and size > _READ * budget)


def _distributed(roots: list[Root], facts: FactTable, block: Block, machine: Machine, config: Config, chunked: frozenset[str]) -> BlockPlan:
    """The cheapest assignment; what does not fit beside the rest is moved to the workers, largest first, until all does."""
    forced = config.exec == "dask"
    free = frozenset() if config.memory is not None else frozenset(block.inputs)
    distributor = Distributor(facts, chunked, machine, forced, least=least_cut(config) if forced else 0, free=free)
    for _ in range(_MOVES):
        found = distributor.distribute(roots, block.spans)
        planner = Planner(found.roots, facts, block.live_after, found.spans, together=config.opt_level >= 2, there=found.there)
        plan = planner.plan(block.inputs, block.recycled)
        plan.places, plan.chunked = found.places, found.chunked
        if (peak_of(plan, free) or 0) <= machine.budget or not distributor.pin(found):
            break
    return plan
