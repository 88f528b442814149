"""The block under construction, and the scopes of variables that its statements read and write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from dmlite.errors import Problems, Span
from dmlite.hop.facts import UNKNOWN, Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop, fresh_tag, literal, live_in, make
from dmlite.hop.ops.row import ShapeError
from dmlite.hop.program import Block, Node, Root

# Draws without a fixed seed differ each time, so two of them are never one node.
_DRAWS = frozenset({"rand", "sample"})
READS = frozenset({"read", "readMM"})
_SIZED_BY_DATA = frozenset({"removeEmpty", "table", "unique"})


def fresh_name(prefix: str) -> str:
    """A name for a variable of the compiler's own, which no script can have."""
    return f"%{prefix}{fresh_tag()}"


@dataclass
class Variable:
    """What a name stands for: a node of the open block, or (hop None) a variable bound by an earlier block."""

    hop: Hop | None
    fact: Fact
    maybe_unset: bool = False


@dataclass
class Scope:
    """The variables of one function body; inlined bodies get a scope of their own with a suffix on every name."""

    suffix: str = ""
    vars: dict[str, Variable] = field(default_factory=dict)

    def qualified(self, name: str) -> str:
        return name + self.suffix


class BlockBuilder:
    """Collects roots into the open block; `flush` closes it and turns its bindings into variables."""

    def __init__(self, problems: Problems, certain: bool):
        self.problems = problems
        self.nodes: list[Node] = []
        self.varying: frozenset[str] = frozenset()
        self.certain = certain  # False inside code that may never run: shape mismatches are then left to the run time
        self._dirty: list[tuple[Scope, str]] = []
        self._open()

    def _open(self) -> None:
        self._roots: dict[str | int, Hop] = {}
        self._facts_in: dict[str, Fact] = {}
        self._spans: dict[Hop, Span] = {}
        self._checked: dict[str, Span | None] = {}
        self._dirty.clear()
        self.facts = FactTable(self._facts_in)

    # ------------------------------------------------------------ nodes
    def make(self, op: str, args: Iterable[Hop], span: Span | None, value: object = None, tag: int = 0) -> Hop:
        """A node of the open block with its facts checked; a certain shape mismatch becomes a problem at `span`."""
        args = tuple(args)
        if not tag and op in _DRAWS:
            tag = fresh_tag()
        hop = make(op, args, value, tag)
        if span is not None:
            self._spans.setdefault(hop, span)
        try:
            fact = self.facts[hop]
        except ShapeError as error:
            if self.certain:
                self.problems.add(str(error), span, error.hint)
            fact = UNKNOWN
            self.facts.known(hop, fact)
        if fact.is_scalar and fact.is_const:
            return literal(fact.value)
        return hop

    def effect(self, hop: Hop) -> None:
        self._roots[fresh_tag()] = hop

    # ------------------------------------------------------------ variables
    def bind(self, scope: Scope, name: str, hop: Hop) -> None:
        """`name = hop` in `scope`; an earlier binding of the name in this block is dead."""
        key = scope.qualified(name)
        self._roots.pop(key, None)
        self._roots[key] = hop
        scope.vars[name] = Variable(hop, self.facts[hop])
        self._dirty.append((scope, name))

    def unknown(self) -> Hop:
        """A stand-in for a value whose computation is already reported as wrong, so that nothing more is said about it."""
        return live_in(f"%wrong{fresh_tag()}")

    def read(self, scope: Scope, name: str, span: Span | None = None, *, checked: bool = True) -> Hop:
        """The node `name` stands for; constants come as literals, everything else not of this block as a live-in.

        checked: reading it (at `span`) when it may be unset is an error at run time.
        """
        variable = scope.vars.get(name)
        if variable is None:
            variable = scope.vars[name] = Variable(None, UNKNOWN, maybe_unset=True)
        if variable.hop is not None:
            return variable.hop
        if variable.fact.is_scalar and variable.fact.is_const and not variable.maybe_unset:
            return literal(variable.fact.value)
        key = scope.qualified(name)
        self._facts_in[key] = variable.fact
        if variable.maybe_unset and checked:
            self._checked.setdefault(key, span)
        return live_in(key)

    def close_after(self, hop: Hop) -> None:
        """Close the block when the data decide on the size of `hop`, so that what follows is planned for it, and after a stop.

        A block asks whether its variables are set before it begins; behind a stop they need not be.
        """
        if hop.op == "stop":
            self.certain = False
        if hop.op == "stop" or hop.op in READS or (hop.op in _SIZED_BY_DATA and self.facts[hop].cells is None):
            self.flush()

    def flush(self) -> None:
        """Close the open block, if it holds anything."""
        if self._roots:
            roots = [Root(key if isinstance(key, str) else None, hop) for key, hop in self._roots.items()]
            self.nodes.append(Block(roots, self._facts_in, self._spans, self.varying, self._checked))
        for scope, name in self._dirty:
            variable = scope.vars.get(name)
            if variable is not None and variable.hop is not None:
                scope.vars[name] = Variable(None, self.facts[variable.hop])
        self._open()
