"""Optimisation level 4: the algebra of a block explored by equality saturation, and the cheapest form of it by the cost model.

The ordered rules of level 3 run as ever. Beside them every region of matrix algebra is put into an e-graph, to which the
same rules and the laws that have no direction are applied; what is extracted is rewritten once more in order. The cheapest
of these plans is taken, so that the level never does worse than level 3. Regions are small and bounded in nodes and time.

Sums and products are regrouped freely: results differ from those of other levels by rounding, and where large values
cancel, by more than the last digits.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from dmlite.config import config
from dmlite.hop.cost import cost_of, estimate
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, Hop, literal, make, postorder, users
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Block, Root
from dmlite.hop.verify import verify
from dmlite.rewrite.driver import Firing, rewrite
from dmlite.rewrite.rule import Rule
from dmlite.rewrite.saturation.egraph import EGraph, Node, Theory
from dmlite.rewrite.saturation.extract import Extractor
from dmlite.rewrite.saturation.terms import Equality, equalities

SECONDS: Final = 0.3  # for one block
MAX_NODES: Final = 1500  # of one e-graph
MAX_STEPS: Final = 12
MAX_REGION: Final = 32  # operators
_WORTH: Final = 0.999  # a plan must cost this much less to be preferred


def saturate(block: Block, facts: FactTable, rules: Sequence[Rule]) -> tuple[list[Root], list[Firing]]:
    """The roots of `block` in the cheapest form that was found, and what was done; as `rewrite` where egglog is not installed."""
    roots, firings = rewrite(block, facts, rules, thrifty=True)
    bindings = _egglog()
    if bindings is None:
        return roots, firings
    try:
        explored, found = _explore(block, facts, tuple(rules), bindings)
    except BaseException as error:  # what goes wrong inside of egglog is no Exception
        _threads.theory = None
        if config().verify or isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        warnings.warn(f"saturation failed and is skipped: {error}", stacklevel=2)
        return roots, firings
    if not found:
        return roots, firings
    settled, more = rewrite(replace(block, roots=explored), facts, rules, thrifty=True)
    best, least = (roots, firings), _seconds(roots, facts)
    for plan in ((settled, found + more), (explored, found)):
        cost = _seconds(plan[0], facts)
        if cost < least * _WORTH:
            best, least = plan, cost
    if config().verify:
        verify(block.roots, best[0], block.inputs, facts, "saturation")
    return best


@lru_cache(maxsize=1)
def _egglog() -> Any:
    """The e-graph library; None, said once, when it is not installed."""
    try:
        from egglog import bindings
    except ImportError:
        warnings.warn("optimisation level 4 needs egglog (pip install 'dmlite[egraph]'); level 3 is used", stacklevel=2)
        return None
    return bindings


def _seconds(roots: Sequence[Root], facts: FactTable) -> float:
    cost = cost_of([r.hop for r in roots], facts).seconds
    return float("inf") if cost is None else cost


# ---------------------------------------------------------------- regions
@dataclass(eq=False)
class Region:
    """Operators that are explored together. Every path from one of them to another stays inside."""

    stage: int
    hops: list[Hop] = field(default_factory=list)


def _algebraic(hop: Hop, facts: FactTable, inside: Container[Hop]) -> bool:
    """Whether an operator is explored: free of effects, a matrix of known shape or a number that comes from one."""
    row = BY_NAME.get(hop.op)
    if row is None or row.effect or hop.tag or len(row.results) != 1:
        return False
    fact = facts[hop]
    if fact.is_matrix:
        return bool(fact.cells)
    return fact.vtype == "double" and any(a in inside or facts[a].is_matrix for a in hop.args)


def regions(roots: Sequence[Hop], facts: FactTable) -> list[Region]:
    """Connected algebraic operators, in an order in which no region depends on a later one."""
    home: dict[Hop, Region] = {}
    stage: dict[Hop, int] = {}
    for hop in postorder(roots):
        inside = _algebraic(hop, facts, home)
        stage[hop] = max((stage[a] + (a in home and not inside) for a in hop.args), default=0)
        if not inside:
            continue
        near = list({id(home[a]): home[a] for a in hop.args if a in home and stage[a] == stage[hop]}.values())
        if sum(len(r.hops) for r in near) >= MAX_REGION:
            stage[hop] += 1
            near = []
        region = Region(stage[hop], [*(h for r in near for h in r.hops), hop])
        home.update(dict.fromkeys(region.hops, region))
    found = dict.fromkeys(home.values())
    return sorted((r for r in found if len(r.hops) > 1), key=lambda r: r.stage)


# ---------------------------------------------------------------- exploring
_threads: Final = threading.local()  # a graph of egglog belongs to the thread that made it


def _theory(bindings: Any, known: tuple[Equality, ...]) -> Theory:
    """The theory of this thread."""
    theory: Theory | None = getattr(_threads, "theory", None)
    if theory is None or theory.known is not known:
        theory = _threads.theory = Theory(bindings, known)
    return theory


def _explore(block: Block, facts: FactTable, rules: tuple[Rule, ...], bindings: Any) -> tuple[list[Root], list[Firing]]:
    """The roots with every region in its cheapest form, and one entry for each value that is computed in another way."""
    roots = [r.hop for r in block.roots]
    theory = _theory(bindings, equalities(rules, config().disabled_rules))
    uses = users(postorder(roots), roots)
    done: dict[Hop, Hop] = {}
    firings: list[Firing] = []
    left = SECONDS
    for region in regions(roots, facts):
        inside = set(region.hops)
        outputs = [h for h in region.hops if not uses[h] <= inside]
        _rebuild((a for h in region.hops for a in h.args if a not in inside), done)
        local = dict(done)
        _rebuild(region.hops, local)
        leaves = dict.fromkeys(done[a] for h in region.hops for a in h.args if a not in inside and a.op != LITERAL)
        with EGraph(theory, facts, [local[h] for h in outputs], leaves) as graph:
            begin = time.thread_time()
            found = _cheapest(graph, begin + left)
            left -= time.thread_time() - begin
        for hop in outputs:
            new = done[hop] = found.get(local[hop], local[hop])
            if new is not local[hop]:
                span = block.spans.get(hop)
                firings.append(Firing("saturation", local[hop], new, span))
                if span is not None:
                    for inner in postorder([new]):
                        block.spans.setdefault(inner, span)
    _rebuild(roots, done)
    return [Root(r.name, done[r.hop]) for r in block.roots], firings


def _rebuild(hops: Iterable[Hop], done: dict[Hop, Hop]) -> None:
    """Nodes over what their operands became."""
    for hop in postorder(hops):
        if hop not in done:
            args = tuple(done[a] for a in hop.args)
            done[hop] = hop if args == hop.args else make(hop.op, args, hop.value, hop.tag)


def _cheapest(graph: EGraph, end: float) -> dict[Hop, Hop]:
    """What to compute in place of each root; empty when they are best as they are."""
    for _ in range(MAX_STEPS):
        if not graph.step(MAX_NODES) or time.thread_time() > end - SECONDS / 2:
            break
    nodes = graph.nodes()
    options = {cls: _priced(found, graph.facts) for cls, found in nodes.items()}
    extractor = Extractor(options, lambda node: node.operands, lambda: time.thread_time() < end)
    classes = [graph.class_of(r) for r in graph.roots]
    start = graph.as_entered(nodes)
    if any(node not in options[cls] for cls, node in start.items()):
        return {}  # what it costs now is not known
    choice, cost = extractor.cheapest(classes, start)
    if not cost < extractor.total(start, classes) * _WORTH:
        return {}
    built: dict[Any, Hop] = {}
    found = {root: _built(cls, choice, built) for root, cls in zip(graph.roots, classes, strict=True)}
    return {root: _typed(new, graph.facts[root]) for root, new in found.items()}


def _typed(hop: Hop, fact: Fact) -> Hop:
    """A number that terms know by its value, as the double that the value was."""
    return literal(float(hop.value)) if hop.is_literal and fact.vtype == "double" else hop


def _priced(nodes: Sequence[Node], facts: FactTable) -> dict[Node, float]:
    """The seconds of each node once its operands are there."""
    costs = {n: 0.0 if n.is_leaf else estimate(n.hop, facts).seconds for n in nodes}
    return {n: c for n, c in costs.items() if c is not None}


def _built(cls: Any, choice: Mapping[Any, Node], built: dict[Any, Hop]) -> Hop:
    if cls not in built:
        node = choice[cls]
        built[cls] = node.hop if node.is_leaf else make(node.op, [_built(o, choice, built) for o in node.operands])
    return built[cls]
