"""Which variables will lie on workers when each block of a program begins, as far as that is known before it runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dmlite.config import Config
from dmlite.errors import DMLRuntimeError
from dmlite.hop.builder import READS
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import Machine
from dmlite.hop.memory import bytes_of, expected
from dmlite.hop.program import Block, CallNode, FunctionInstance, Node, Program, children
from dmlite.plan.memory import exceeds
from dmlite.plan.planning import is_read_there, plan_of
from dmlite.rewrite.phases import optimise

_ROUNDS: Final = 3  # through functions that call each other, after which nothing new is expected


def whereabouts(program: Program, config: Config, machine: Machine) -> Mapping[int, frozenset[str]]:
    """The live-ins on workers of every block, by its identity. A variable that lies there on one path is taken to lie there."""
    if machine.cluster is None or config.exec == "local":
        return {}
    walk = _Walk(program, config, machine)
    for _ in range(_ROUNDS):
        before = (dict(walk.found), dict(walk.ends))
        walk.function(program.main, frozenset())
        if (walk.found, walk.ends) == before:
            break
    return walk.found


class _Walk:
    def __init__(self, program: Program, config: Config, machine: Machine):
        self.program, self.config, self.machine = program, config, machine
        self.found: dict[int, frozenset[str]] = {}
        self.given: dict[str, frozenset[str]] = {}  # parameters of functions that lie there
        self.results: dict[str, frozenset[str]] = {}
        self.ends: dict[int, frozenset[str]] = {}  # what lies there behind loops and branches, by the walk before
        self.read: set[str] = set()  # variables that came from files
        self.made: dict[tuple[int, frozenset[str]], frozenset[str]] = {}  # what blocks leave there

    def function(self, function: FunctionInstance, given: frozenset[str]) -> frozenset[str]:
        """The results of a function that lie there when these parameters do."""
        known = self.given.get(function.key)
        if known is not None and given <= known:
            return self.results.get(function.key, frozenset())
        self.given[function.key] = given if known is None else known | given
        there = set(self.given[function.key])
        self._nodes(function.body, there)
        self.results[function.key] = frozenset(n for n in function.returns if n in there)
        if function is self.program.main:
            self.given.clear()
        return self.results[function.key]

    def _nodes(self, nodes: list[Node], there: set[str]) -> None:
        for node in nodes:
            if isinstance(node, Block):
                self._block(node, there)
            elif isinstance(node, CallNode):
                self._call(node, there)
            else:
                there |= self.ends.get(id(node), frozenset())  # what one round of a loop makes, the next one reads
                for inner in children(node):
                    self._nodes(inner, there)
                self.ends[id(node)] = frozenset(there)

    def _call(self, node: CallNode, there: set[str]) -> None:
        function = self.program.functions[node.function]
        given = frozenset(p for p, a in zip(function.params, node.args, strict=False) if a in there)
        results = self.function(function, given)
        for name, result in zip(node.results, function.returns, strict=False):
            (there.add if result in results else there.discard)(name)

    def _block(self, block: Block, there: set[str]) -> None:
        there |= {n for n in self.read.intersection(block.inputs) if self._is_read_there(block.fact_in(n))}
        chunked = frozenset(block.inputs) & there
        self.found[id(block)] = self.found.get(id(block), frozenset()) | chunked
        key = id(block), chunked
        if key not in self.made:
            self.made[key] = self._made(block, chunked)
        there.difference_update(block.outputs)
        there |= self.made[key]
        self.read.difference_update(block.outputs)
        self.read |= {r.name for r in block.roots if r.name is not None and r.hop.op in READS}

    def _made(self, block: Block, chunked: frozenset[str]) -> frozenset[str]:
        """The variables that a block leaves on workers."""
        facts = FactTable(block.facts_in, lenient=True, machine=self.machine)
        if not (self.config.exec == "dask" or chunked or exceeds(facts, block.roots, self.machine.budget)):
            return frozenset()
        try:
            roots, _ = optimise(block, facts, self.config.opt_level)
            plan = plan_of(roots, facts, block, self.machine, self.config, chunked, show=True)
        except DMLRuntimeError:
            return frozenset()  # is told when it is run
        return frozenset(name for name, hop in plan.outputs if hop in plan.chunked)

    def _is_read_there(self, fact: Fact) -> bool:
        """Whether `read` leaves what a file holds on workers; its size is known from the head of the file."""
        size = bytes_of(fact, expected)
        return size is not None and is_read_there(size, self.machine.budget, self.config)
