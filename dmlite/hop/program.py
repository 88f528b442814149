"""The lowered program: straight-line blocks of HOPs joined by control flow, all through named variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

from dmlite.errors import Span
from dmlite.hop.changes import Change
from dmlite.hop.facts import UNKNOWN, Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LIVE_IN, Hop, postorder

_WORTH_RECYCLING = 1 << 15  # cells


@dataclass(frozen=True, slots=True)
class Root:
    """One thing a block must do: bind a variable (`name`), or have an effect (`name` None)."""

    name: str | None
    hop: Hop


@dataclass
class Block:
    """A straight line of statements as one DAG; roots stand in the order of the statements."""

    roots: list[Root]
    facts_in: dict[str, Fact]
    spans: dict[Hop, Span]
    varying: frozenset[str] = frozenset()  # assigned in the innermost loop around the block
    checked: Mapping[str, Span | None] = field(default_factory=dict)  # live-ins that may be unset here, and where they are read
    live_out: set[str] = field(default_factory=set)  # outputs that somebody reads later
    live_after: set[str] = field(default_factory=set)  # every variable that somebody reads later
    dropped: list[Root] = field(default_factory=list)  # bindings of variables that nobody reads later

    @property
    def hops(self) -> Iterator[Hop]:
        return postorder(r.hop for r in self.roots)

    @property
    def inputs(self) -> list[str]:
        """Names of the variables that are read from outside, in order of first use."""
        return list(dict.fromkeys(h.value for h in self.hops if h.op == LIVE_IN))

    @property
    def outputs(self) -> list[str]:
        return [r.name for r in self.roots if r.name is not None]

    @cached_property
    def recycled(self) -> list[str]:
        """Matrices a loop body assigns anew without reading them: what they held in the last iteration is dead memory."""
        facts = FactTable(self.facts_in, lenient=True)
        names = set(self.inputs)
        large = lambda f: f.kind in ("matrix", "unknown") and (f.cells is None or f.cells >= _WORTH_RECYCLING)  # noqa: E731
        return [r.name for r in self.roots if r.name in self.varying and r.name not in names and large(facts[r.hop])]

    def fact_in(self, name: str) -> Fact:
        return self.facts_in.get(name, UNKNOWN)


@dataclass
class CallNode:
    """`results = function(args)` on variables; `function` is the key of an instance in `Program.functions`."""

    function: str
    args: list[str]
    results: list[str]
    span: Span | None = None


@dataclass
class IfNode:
    cond: str
    then: list[Node]
    orelse: list[Node]
    span: Span | None = None


@dataclass
class WhileNode:
    """The predicate is code of its own (`test`, which sets `cond`), run before every iteration."""

    test: list[Node]
    cond: str
    body: list[Node]
    span: Span | None = None


@dataclass
class ForNode:
    """A counted loop; `start`, `stop`, `step` are variables evaluated before it (`step` None for `a:b`), with what is known of them."""

    var: str
    start: str
    stop: str
    step: str | None
    body: list[Node]
    parallel: Parallel | None = None
    span: Span | None = None
    bounds: dict[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class Parallel:
    """What a parfor adds: matrices merged after the loop, those that accumulate, and names restored."""

    results: tuple[str, ...]
    accumulators: tuple[str, ...]
    restored: tuple[str, ...]
    workers: str | None  # variable holding the `par` option


Node: TypeAlias = Block | CallNode | IfNode | WhileNode | ForNode


@dataclass
class FunctionInstance:
    """One function lowered for the facts of its call sites."""

    key: str
    name: str
    params: list[str]
    returns: list[str]
    body: list[Node]
    returns_facts: list[Fact] = field(default_factory=list)
    maybe_unset: frozenset[str] = frozenset()
    changes: list[Change] = field(default_factory=list)  # what was done to its statements


@dataclass
class Program:
    """A whole script after lowering: the main body and every function instance it reaches."""

    main: FunctionInstance
    functions: dict[str, FunctionInstance]

    def blocks(self) -> Iterator[tuple[str, Block]]:
        """Every block with the name of the function it belongs to."""
        for function in (self.main, *self.functions.values()):
            for block in walk_blocks(function.body):
                yield function.name, block


def shown(variable: str) -> str:
    """The name as the script has it, without the suffix of an inlined function."""
    return variable.split("@")[0]


def children(node: Node) -> list[list[Node]]:
    """The node lists nested in a control node."""
    match node:
        case IfNode():
            return [node.then, node.orelse]
        case WhileNode():
            return [node.test, node.body]
        case ForNode():
            return [node.body]
    return []


def assigned_in(nodes: list[Node]) -> set[str]:
    """Every variable that some node below may set."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, Block):
            names.update(node.outputs)
        elif isinstance(node, CallNode):
            names.update(node.results)
        elif isinstance(node, ForNode):
            names.add(node.var)
        for inner in children(node):
            names |= assigned_in(inner)
    return names


def read_in(nodes: list[Node]) -> set[str]:
    """Variables that nodes mention other than to set them."""
    names: set[str] = set()
    for node in nodes:
        match node:
            case Block():
                names.update(node.inputs)
            case CallNode():
                names.update(node.args)
            case IfNode():
                names |= {node.cond} | read_in(node.then) | read_in(node.orelse)
            case WhileNode():
                names |= {node.cond} | read_in(node.test) | read_in(node.body)
            case ForNode():
                names |= {n for n in (node.start, node.stop, node.step) if n} | read_in(node.body)
    return names


def carried(nodes: list[Node]) -> set[str]:
    """Variables whose value from before matters: they are read before they are set, or only some paths set them."""
    exposed, settled = _flow(nodes)
    return exposed | (assigned_in(nodes) - settled)


def read_after(nodes: list[Node]) -> set[str]:
    """Variables that somebody may read after these nodes, which do not stand at the end of a function; more where that is not known."""
    names: set[str] = set()
    for node in reversed(nodes):
        match node:
            case Block():
                return names | node.live_after
            case CallNode():
                names.update(node.results)
            case ForNode():
                names |= {node.var} | read_after(node.body)
            case IfNode() | WhileNode():
                names |= set().union(*map(read_after, children(node)))
    return names


def _flow(nodes: list[Node]) -> tuple[set[str], set[str]]:
    """What nodes may read from before them, and what they surely set."""
    exposed: set[str] = set()
    settled: set[str] = set()
    for node in nodes:
        reads, sets = set(), set()
        match node:
            case Block():
                reads, sets = set(node.inputs), set(node.outputs)
            case CallNode():
                reads, sets = set(node.args), set(node.results)
            case IfNode():
                then, orelse = _flow(node.then), _flow(node.orelse)
                reads, sets = {node.cond} | then[0] | orelse[0], then[1] & orelse[1]
            case WhileNode():
                test, body = _flow(node.test), _flow(node.body)
                reads, sets = test[0] | ({node.cond} | body[0]) - test[1], test[1]
            case ForNode():
                reads = {n for n in (node.start, node.stop, node.step) if n} | (_flow(node.body)[0] - {node.var})
        exposed |= reads - settled
        settled |= sets
    return exposed, settled


def walk_blocks(nodes: list[Node]) -> Iterator[Block]:
    for node in nodes:
        if isinstance(node, Block):
            yield node
        for inner in children(node):
            yield from walk_blocks(inner)
