"""The refusal of programs that cannot fit anywhere, before they run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from dmlite.config import Config
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import Machine
from dmlite.hop.memory import at_least, bytes_of
from dmlite.hop.program import Block, ForNode, Node, Program, assigned_in
from dmlite.plan.memory import check, exceeds
from dmlite.plan.planning import plan_of
from dmlite.plan.whereabouts import whereabouts
from dmlite.rewrite.phases import optimise


def refuse_program(program: Program, config: Config, machine: Machine) -> None:
    """Raises DMLRuntimeError when a part of the main program that certainly runs certainly needs more than the budget of the machine,
    and has no place on workers.

    Without a limit that was set, inputs are not counted, since what they take is not free any more.
    """
    given = frozenset(program.main.params) if config.memory is None else frozenset()
    _Program(program, config, machine, given).check(program.main.body)


class _Program:
    """Walks what certainly runs, with what is known of the sizes of variables."""

    def __init__(self, program: Program, config: Config, machine: Machine, given: frozenset[str]):
        self.program, self.config, self.machine, self.given = program, config, machine, given
        self.sizes: dict[str, float] = {}

    @cached_property
    def chunked(self) -> Mapping[int, frozenset[str]]:
        """What lies on workers when each block begins; most programs never ask."""
        return whereabouts(self.program, self.config, self.machine)

    def check(self, nodes: list[Node]) -> None:
        for node in nodes:
            if isinstance(node, Block):
                self._block(node)
                continue
            for name in assigned_in([node]):
                self.sizes.pop(name, None)
            if isinstance(node, ForNode) and _enters(node):
                self.check(node.body)

    def _block(self, block: Block) -> None:
        facts = FactTable(block.facts_in, lenient=True, machine=self.machine)
        names = block.live_after.difference(block.inputs, block.outputs)
        beside = sum(self.sizes.get(name, 0.0) for name in names)
        there: set[str] = set()
        if exceeds(facts, block.roots, self.machine.budget - beside):
            chunked = self.chunked.get(id(block), frozenset())
            roots, _ = optimise(block, facts, self.config.opt_level)
            plan = plan_of(roots, facts, block, self.machine, self.config, chunked)
            check(plan, self.machine.budget, beside, self.given)
            there = {name for name, hop in plan.outputs if hop in plan.chunked}
        for root in block.roots:
            if root.name is not None:
                self.sizes[root.name] = 0.0 if root.name in there else bytes_of(facts[root.hop], at_least) or 0.0


def _enters(node: ForNode) -> bool:
    first, last = node.bounds.get(node.start), node.bounds.get(node.stop)
    return node.step is None and first is not None and last is not None and first.is_const and last.is_const
