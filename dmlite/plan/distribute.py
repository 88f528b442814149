"""Local or distributed, for every operator of a block at once: the cheapest assignment, which is a minimum cut.

A node on the side of the source runs here, on the side of the sink on the workers. Running a node on a side costs an edge to the
other terminal; a value that is needed on the other side costs moving it, once however many read it there. What cannot run on a
side, or whose memory does not fit there, has no finite edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final

from dmlite.errors import DMLRuntimeError, Span
from dmlite.hop.cost import estimate
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import Cluster, Machine, seconds_text
from dmlite.hop.memory import bytes_of, expected, footprint
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop, make, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Root
from dmlite.memory import human
from dmlite.plan.chunked import Role, role_of, wholes
from dmlite.plan.placement import DASK, LOCAL, Placement
from dmlite.plan.room import BROADCAST, COLLECTED, Room, room_of

COLLECT: Final = "collect"
_TAKES_ALL: Final = frozenset({"write"})  # operators that run here and take values wherever they lie
_HELD: Final = 16  # times the memory of all workers that a matrix may take, most of it on their disks
_LARGE: Final = 0.02  # of the budget from which on making a value elsewhere helps
_CERTAIN: Final = 16  # times the least size from which on what is forced onto workers runs there; below, it does where that is cheaper


@dataclass(frozen=True)
class Distribution:
    """A block with its operators assigned. there: what runs on workers, and how. places: with the reason, of every operator.
    chunked: values that lie there. origins: operators as they were before values between them were collected."""

    roots: list[Root]
    there: Mapping[Hop, Role | Room]
    places: Mapping[Hop, Placement]
    spans: Mapping[Hop, Span]
    chunked: frozenset[Hop]
    origins: Mapping[Hop, Hop]


@dataclass
class Distributor:
    """chunked: live-ins that lie on the workers. forced: everything runs there that can and is large enough to be cut."""

    facts: FactTable
    chunked: frozenset[str]
    machine: Machine
    forced: bool = False
    pinned: frozenset[Hop] = frozenset()  # what may not run here, as it does not fit beside the rest
    least: int = 0  # bytes from which on a value is large enough to be cut
    free: frozenset[str] = frozenset()  # live-ins whose memory does not count

    roles: dict[Hop, Role | Room] = field(default_factory=dict)
    reasons: dict[Hop, str] = field(default_factory=dict)  # why there
    absent: dict[Hop, str] = field(default_factory=dict)  # why not

    def distribute(self, roots: list[Root], spans: Mapping[Hop, Span]) -> Distribution:
        """Raises DMLRuntimeError at an operator that fits nowhere."""
        self.order = [h for h in postorder(r.hop for r in roots) if h.op != LITERAL]
        for hop in self.order:
            role = None if hop.op == LIVE_IN else self._role(hop)
            if role is not None:
                self.roles[hop] = role
        there = self._cut(spans)
        return self._rebuilt(roots, there, spans)

    # ------------------------------------------------------------ what can run there
    def _role(self, hop: Hop) -> Role | Room | None:
        role = room_of(hop, self.facts) or role_of(hop, self.facts)
        if role is None:
            self.absent[hop] = "the workers have no kernel for it" if self._is_about_matrices(hop) else "not about matrices"
            return None
        if self._largest(hop) < self.least:
            self.absent[hop] = "too small to be cut"
            return None
        if self._largest(hop) > _HELD * self._cluster.workers * self._cluster.memory:
            self.absent[hop] = f"{human(self._largest(hop))} are more than the workers can hold, on their disks too"
            return None
        if any(self._bytes(a) > BROADCAST * self._cluster.memory for a in self._whole(hop, role)):
            self.absent[hop] = f"an operand that every worker needs takes more than {BROADCAST:.0%} of its memory"
            return None
        return role

    def _is_about_matrices(self, hop: Hop) -> bool:
        return any(self.facts[h].is_matrix for h in (hop, *hop.args))

    @property
    def _cluster(self) -> Cluster:
        assert self.machine.cluster is not None
        return self.machine.cluster

    def _bytes(self, hop: Hop) -> float:
        return bytes_of(self.facts[hop], expected) or 0.0

    @staticmethod
    def _whole(hop: Hop, role: Role | Room) -> list[Hop]:
        if isinstance(role, Role):
            return wholes(hop, role)
        return [a for a in hop.args if a not in role.split(hop) and a.op != LITERAL]

    @staticmethod
    def _split(hop: Hop, role: Role | Room) -> list[Hop]:
        """Operands that may lie on the workers; a transposed one counts as itself."""
        if isinstance(role, Role):
            return [hop.args[i] for i in role.split]
        return role.split(hop)

    def _is_chunked(self, hop: Hop, there: Iterable[Hop]) -> bool:
        """Whether a value lies on the workers."""
        if hop.op == LIVE_IN:
            return hop.value in self.chunked
        if hop.op == PICK:
            role = self.roles.get(hop.args[0])
            return hop.args[0] in there and isinstance(role, Room) and hop.value in role.results
        role = self.roles.get(hop)
        if hop not in there or role is None:
            return False
        return role.join is None if isinstance(role, Role) else 0 in role.results

    # ------------------------------------------------------------ costs
    def _here(self, hop: Hop) -> float:
        """Seconds of running an operator here; infinite where it does not fit."""
        if hop in self.pinned:
            return inf
        if hop.op in _TAKES_ALL:
            self.absent[hop] = "workers write what they hold"
            return self.machine.call
        needed = footprint(hop, self.facts, expected, 0.0)
        given = sum(self._bytes(a) for a in set(hop.args) if a.op == LIVE_IN and a.value in self.free)
        if needed is not None and needed.total - given > self.machine.budget:
            self.reasons[hop] = f"{human(needed.total)} > budget {human(self.machine.budget)}"
            return inf
        return estimate(hop, self.facts, self.machine).seconds or self.machine.call

    def _there(self, hop: Hop) -> float:
        if hop not in self.roles:
            return inf
        cluster = self._cluster
        seconds = estimate(hop, self.facts, self.machine).seconds or 0.0
        cores = cluster.workers * cluster.cores
        starting = 0.0 if self._joins_others(hop) else cluster.submit + cluster.task * self._chunks(hop)
        role = self.roles[hop]
        waiting = cluster.wait if isinstance(role, Role) and role.join is not None else 0.0
        return seconds * self.machine.cores / cores + starting + waiting

    def _joins_others(self, hop: Hop) -> bool:
        """Whether the tasks that make an operand may go on with it, so that it takes none of its own."""
        role = self.roles[hop]
        if isinstance(role, Room):
            return False
        makers = (self.roles.get(a) for a in self._split(hop, role))
        return any(isinstance(maker, Role) and maker.join is None for maker in makers)

    def _largest(self, hop: Hop) -> float:
        """Bytes of the largest operand, or of the result."""
        return max(self._bytes(h) for h in (hop, *hop.args))

    def _chunks(self, hop: Hop) -> int:
        """How many chunks the largest operand is cut into, about."""
        return max(self._cluster.workers, int(self._largest(hop) / self._cluster.chunk))

    def _moved(self, hop: Hop, copies: int = 1) -> float:
        return self._bytes(hop) * copies / self._cluster.network + self._cluster.task

    def _collected(self, hop: Hop) -> float:
        return inf if self._bytes(hop) > COLLECTED * self.machine.budget else self._moved(hop) + self._cluster.wait

    # ------------------------------------------------------------ the cut
    def _cut(self, spans: Mapping[Hop, Span]) -> frozenset[Hop]:
        costs = {h: (self._here(h), self._there(h)) for h in self.order if h.op not in (LIVE_IN, PICK)}
        if not self.roles and not self.chunked and all(here < inf for here, _ in costs.values()):
            return frozenset()
        import networkx as nx

        graph = nx.DiGraph()
        for hop, (here, there) in costs.items():
            if self.forced and there < inf and self._largest(hop) >= _CERTAIN * self.least:
                here = inf
            if here == there == inf:
                raise self._nowhere(hop, spans)
            self._edge(graph, hop, "dask", here)
            self._edge(graph, "local", hop, there)
        for hop in self.order:
            self._moves(graph, hop)
        for terminal in ("local", "dask"):
            graph.add_node(terminal)
        try:
            _, (_, sink) = nx.minimum_cut(graph, "local", "dask")
        except nx.NetworkXUnbounded:
            raise self._too_large(spans) from None
        return frozenset(h for h in sink if isinstance(h, Hop))

    @staticmethod
    def _edge(graph: object, a: object, b: object, capacity: float) -> None:
        """Edges without a capacity are infinite."""
        old = graph.get_edge_data(a, b, {"capacity": 0.0})  # type: ignore[attr-defined]
        if "capacity" not in old or capacity == inf:
            graph.add_edge(a, b)  # type: ignore[attr-defined]
            graph[a][b].pop("capacity", None)  # type: ignore[index]
        else:
            graph.add_edge(a, b, capacity=old["capacity"] + capacity)  # type: ignore[attr-defined]

    def _source(self, value: Hop) -> tuple[object, bool]:
        """The node whose side a value lies on, and whether that is always here."""
        if value.op == LIVE_IN:
            return ("dask" if value.value in self.chunked else "local"), value.value not in self.chunked
        maker = value.args[0] if value.op == PICK else value
        role = self.roles.get(maker)
        everything = frozenset(self.order) if role is not None else frozenset()
        return maker, not self._is_chunked(value, everything)

    def _moves(self, graph: object, hop: Hop) -> None:
        """The edges of what an operator reads from the other side."""
        if hop.op in (LIVE_IN, PICK) or hop.op in _TAKES_ALL:
            return
        role = self.roles.get(hop)
        split = set() if role is None else set(self._split(hop, role))
        for value in dict.fromkeys(a for a in hop.args if a.op != LITERAL and self.facts[a].is_matrix):
            source, always_here = self._source(value)
            if not always_here:
                here = ("collected", value)
                self._edge_once(graph, here, source, self._collected(value))
                self._edge(graph, hop if value in split else "local", here, inf)
            if value in split or always_here:
                copies = 1 if value in split else self._cluster.workers
                there = ("sent", value)
                self._edge_once(graph, "local" if always_here else source, there, self._moved(value, copies))
                self._edge(graph, there, hop, inf)

    def _edge_once(self, graph: object, a: object, b: object, capacity: float) -> None:
        if a != b and not graph.has_edge(a, b):  # type: ignore[attr-defined]
            self._edge(graph, a, b, capacity)

    def _nowhere(self, hop: Hop, spans: Mapping[Hop, Span]) -> DMLRuntimeError:
        needed = footprint(hop, self.facts, expected, 0.0)
        size = "" if needed is None else f" needs {human(needed.total)}, more than the {human(self.machine.budget)} that a program may take"
        return DMLRuntimeError(
            f"'{BY_NAME[hop.op].dml}'{size} here; {self.absent.get(hop, 'the workers have no kernel for it')}",
            spans.get(hop),
            "allow more with --memory, or use fewer rows or columns",
        )

    def _too_large(self, spans: Mapping[Hop, Span]) -> DMLRuntimeError:
        """Some operator needs a value whole, here or on every worker, that does not fit."""
        read = (
            (a, h) for h in self.order if h.op not in _TAKES_ALL for a in (self._whole(h, self.roles[h]) if h in self.roles else h.args)
        )
        large = [(a, h) for a, h in read if self._collected(a) == inf]
        value, hop = max(large, key=lambda pair: self._bytes(pair[0]), default=(self.order[-1], self.order[-1]))
        name = BY_NAME[hop.op].dml if hop.op in BY_NAME else hop.op
        return DMLRuntimeError(
            f"'{name}' needs its operand of {human(self._bytes(value))} in one piece, which does not fit into {COLLECTED:.0%} of the "
            f"{human(self.machine.budget)} that a program may take",
            spans.get(hop),
            "allow more with --memory",
        )

    # ------------------------------------------------------------ the result
    def _rebuilt(self, roots: list[Root], there: frozenset[Hop], spans: Mapping[Hop, Span]) -> Distribution:
        """The block with a node wherever a value is collected."""
        new: dict[Hop, Hop] = {}
        places: dict[Hop, Placement] = {}
        moved: dict[Hop, Span] = dict(spans)
        distributed: dict[Hop, Role | Room] = {}
        for hop in postorder(r.hop for r in roots):
            made = (
                hop
                if hop.op in (LITERAL, LIVE_IN)
                else make(hop.op, [self._operand(hop, i, new, there) for i in range(len(hop.args))], hop.value, hop.tag)
            )
            new[hop] = made
            if made is not hop:
                self.facts.known(made, self.facts[hop])
                if hop in spans:
                    moved[made] = spans[hop]
            if hop in there:
                distributed[made] = self.roles[hop]
            places[made] = self._placement(hop, there)
            for arg in made.args:
                if arg.op == COLLECT and arg not in places:
                    places[arg] = Placement(LOCAL, "from the workers", self._moved(arg), self._bytes(arg))
                    if hop in spans:
                        moved.setdefault(arg, spans[hop])
        chunked = frozenset(new[h] for h in self.order if self._is_chunked(h, there))
        origins = {made: hop for hop, made in new.items()}
        return Distribution([Root(r.name, new[r.hop]) for r in roots], distributed, places, moved, chunked, origins)

    def pin(self, found: Distribution) -> bool:
        """Keep the largest result that is made here, and could be made there, from being made here again; whether there is one."""
        here = [h for made, h in found.origins.items() if h in self.roles and made not in found.there and h not in self.pinned]
        large = [h for h in here if self._bytes(h) >= _LARGE * self.machine.budget]
        if not large:
            return False
        largest = max(large, key=self._bytes)
        self.pinned |= {largest}
        self.reasons[largest] = f"its {human(self._bytes(largest))} do not fit beside the rest into {human(self.machine.budget)}"
        return True

    def _operand(self, hop: Hop, place: int, new: Mapping[Hop, Hop], there: frozenset[Hop]) -> Hop:
        arg = hop.args[place]
        stays = hop.op == PICK or hop.op in _TAKES_ALL or (hop in there and arg in self._split(hop, self.roles[hop]))
        if stays or not self._is_chunked(arg, there):
            return new[arg]
        collected = make(COLLECT, [new[arg]])
        self.facts.known(collected, self.facts[arg])
        return collected

    def _placement(self, hop: Hop, there: frozenset[Hop]) -> Placement:
        if hop not in there:
            return Placement(LOCAL, self.absent.get(hop, "cheaper here"))
        reason = self.reasons.get(hop)
        if reason is None:
            lies = [a for a in hop.args if self._is_chunked(a, there)]
            reason = (
                "its operands lie there"
                if lies
                else "as --exec dask asks for"
                if self.forced
                else f"{seconds_text(self._there(hop))} there"
            )
        return Placement(DASK, reason, self._there(hop), self._travels(hop, there))

    def _travels(self, hop: Hop, there: frozenset[Hop]) -> float:
        """Bytes that an operator on workers takes from here, and that come back of results that are joined."""
        role = self.roles[hop]
        split = self._split(hop, role)
        sent = sum(self._bytes(a) * (1 if a in split else self._cluster.workers) for a in set(hop.args) if not self._is_chunked(a, there))
        parts = self._chunks(hop) if isinstance(role, Role) and role.join is not None else 0
        return sent + parts * self._bytes(hop)
