"""Iterations of parfor loops on workers. Each worker runs some of them, as a program of its own with the same blocks."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from dmlite.backends.local import threads
from dmlite.backends.local.storage import is_chunked, is_matrix
from dmlite.config import Config, settings
from dmlite.errors import DMLRuntimeError
from dmlite.hop.cost import estimate
from dmlite.hop.facts import Fact, matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import Machine, here
from dmlite.hop.memory import bytes_of
from dmlite.hop.node import LITERAL, Hop, beyond, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import (
    Block,
    CallNode,
    ForNode,
    FunctionInstance,
    IfNode,
    Node,
    Program,
    WhileNode,
    assigned_in,
    children,
    read_in,
    walk_blocks,
)  # fmt: skip
from dmlite.runtime.parfor import zero
from dmlite.runtime.system import UNSET

if TYPE_CHECKING:
    from dmlite.runtime.engine import Engine

_BOUNDS: Final = ("%start", "%stop", "%step", "%workers")
_START: Final = 0.1  # seconds that workers take to load a program
_ROUNDS: Final = 10  # of a loop, where nobody knows
_KEPT: Final = 16  # programs on a worker


@dataclass(frozen=True)
class Part:
    """A program that runs some iterations, and which of its results start at zero but for one worker.

    nodes: all of it, operands first, so that pickling need not go deep.
    """

    key: str
    nodes: tuple[Hop, ...]
    program: Program
    config: Config
    results: int


class RemoteLoop:
    """A parfor loop whose iterations workers may run. own: the variables that each has for itself; names: the others that they read."""

    def __init__(self, node: ForNode, functions: Mapping[str, FunctionInstance], config: Config, machine: Machine):
        assert node.parallel is not None and machine.cluster is not None
        p = node.parallel
        self.node, self.machine, self.cluster = node, machine, machine.cluster
        self.own = [*p.results, *p.accumulators, *p.restored]
        self.names = sorted(read_in(node.body) - assigned_in(node.body) - {*self.own, node.var})
        self.functions = _reached(node.body, functions)
        self._is_forced = config.exec == "dask"
        start, stop, step, workers = _BOUNDS
        loop = replace(node, start=start, stop=stop, step=step, parallel=replace(p, workers=workers), bounds={})
        main = FunctionInstance("main", "main", [*self.own, *self.names, *_BOUNDS], [*p.results, *p.accumulators], [loop])
        nodes = tuple(postorder(r.hop for b in _blocks(node.body, self.functions) for r in (*b.roots, *b.dropped)))
        self.part = Part(uuid4().hex, nodes, Program(main, self.functions), replace(config, exec="local", cluster=None), len(p.results))

    def is_worth_it(self, indices: range, values: Sequence[Any]) -> bool:
        """Whether workers would be done sooner than threads. With values that lie on workers, iterations are not sent there."""
        if len(indices) < 2 or any(map(is_chunked, values)):
            return False
        if self._is_forced:
            return True
        facts = {n: _fact(v) for n, v in zip([*self.own, *self.names], values, strict=True) if is_matrix(v)}
        work = len(indices) * _seconds(self.node.body, facts, self.functions, self.machine)
        slots = min(len(indices), self.cluster.workers * self.cluster.cores)
        sent = sum(bytes_of(f) or 0 for f in facts.values()) * min(slots, self.cluster.workers)
        merged = sum(bytes_of(facts[n]) or 0 for n in self.part.program.main.returns if n in facts) * slots
        return _START + (sent + merged) / self.cluster.network + work * self.machine.cores / slots < work

    def run(self, indices: range, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What each worker made of the results and accumulators. Raises DMLError."""
        from dmlite.backends.dask.cluster import session

        at = session()
        count = min(len(indices), at.slots)
        part, sent = at.put(self.part), [at.shared(v) for v in values]
        return at.gather([at.one(run_part, part, indices[k::count], k == 0, *sent, name="parfor") for k in range(count)])


def can_run_remotely(node: ForNode, functions: Mapping[str, FunctionInstance]) -> bool:
    """Whether iterations neither print, read and the like, nor draw numbers that only this process can."""
    hops = (h for b in _blocks(node.body, _reached(node.body, functions)) for h in b.hops)
    return not any(h.op in BY_NAME and (BY_NAME[h.op].effect or _draws(h)) for h in hops)


def _draws(hop: Hop) -> bool:
    """Whether it may draw with a seed of its own making."""
    places = [i for i, p in enumerate(BY_NAME[hop.op].parameters) if p.name == "seed"]
    return any(hop.args[i].op != LITERAL or hop.args[i].value == -1 for i in places if i < len(hop.args))


def _reached(nodes: list[Node], functions: Mapping[str, FunctionInstance]) -> dict[str, FunctionInstance]:
    """The functions that nodes call, and those that these call."""
    found: dict[str, FunctionInstance] = {}
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, CallNode) and node.function not in found:
            found[node.function] = functions[node.function]
            stack += found[node.function].body
        stack += [n for inner in children(node) for n in inner]
    return found


def _blocks(nodes: list[Node], functions: Mapping[str, FunctionInstance]) -> list[Block]:
    return [*walk_blocks(nodes), *(b for f in functions.values() for b in walk_blocks(f.body))]


# ---------------------------------------------------------------- what iterations take
def _fact(value: Any) -> Fact:
    return matrix(*value.shape, getattr(value, "nnz", None))


def _seconds(
    nodes: list[Node], facts: dict[str, Fact], functions: Mapping[str, FunctionInstance], machine: Machine, depth: int = 0
) -> float:
    """Seconds of running nodes once, as far as sizes are known; `facts` of variables are those at their start, and then at their end."""
    total = 0.0
    for node in nodes:
        match node:
            case Block():
                table = FactTable({n: facts.get(n, node.fact_in(n)) for n in node.inputs}, lenient=True, machine=machine)
                total += sum(estimate(h, table).seconds or 0.0 for h in node.hops)
                facts |= {r.name: table[r.hop] for r in node.roots if r.name is not None}
            case CallNode() if depth < _ROUNDS:
                called = functions[node.function]
                given = {p: facts[a] for p, a in zip(called.params, node.args, strict=True) if a in facts}
                total += _seconds(called.body, given, functions, machine, depth + 1)
                facts |= {r: given[n] for r, n in zip(node.results, called.returns, strict=True) if n in given}
            case ForNode():
                total += _rounds(node) * _seconds(node.body, facts, functions, machine, depth)
            case WhileNode():
                total += _ROUNDS * _seconds([*node.test, *node.body], facts, functions, machine, depth)
            case IfNode():
                total += max(_seconds(branch, facts, functions, machine, depth) for branch in (node.then, node.orelse))
    return total


def _rounds(node: ForNode) -> int:
    bounds = [node.bounds[n].value if n in node.bounds else None for n in (node.start, node.stop, node.step) if n is not None]
    numbers = [b for b in bounds if isinstance(b, int)]
    if len(numbers) < len(bounds):
        return _ROUNDS
    start, stop, step = (*numbers, 1)[:3]
    return abs(stop - start) // max(1, abs(step)) + 1


# ---------------------------------------------------------------- on a worker
_engines: Final[OrderedDict[str, Engine]] = OrderedDict()
_lock: Final = threading.Lock()


def run_part(part: Part, indices: range, is_first: bool, *values: Any) -> tuple[Any, ...]:
    """The results and accumulators after some iterations. Raises DMLError."""
    main = part.program.main
    given = list(values)
    if not is_first:
        given[part.results : len(main.returns)] = map(zero, given[part.results : len(main.returns)])
    with threads.one():
        found = _engine(part).run(dict(zip(main.params, (*given, indices[0], indices[-1], indices.step, 1), strict=True)))
    return tuple(found.get(n, UNSET) for n in main.returns)


def _engine(part: Part) -> Engine:
    from dmlite.runtime.engine import Engine

    with _lock:
        found = _engines.get(part.key)
        if found is None:
            beyond(max((h.tag for h in part.nodes), default=0))
            with settings(**vars(part.config)):
                machine = replace(here(), cores=1)
            found = _engines[part.key] = Engine(part.program, part.config, _by_name, machine=machine)
            while len(_engines) > _KEPT:
                _engines.popitem(last=False)
        return found


def _by_name(name: str, _: tuple[Any, ...]) -> tuple[Any, ...]:
    raise DMLRuntimeError(f"eval: {name} cannot be called on a worker")
