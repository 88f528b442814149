"""The e-graph: laws hold for all shapes and are found, and whatever it finds equal computes the same."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from dmlite.flow import Unit, compile
from dmlite.hop.facts import matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop, live_in, postorder
from dmlite.rewrite import saturate as level4
from dmlite.rewrite.phases import rules_for
from dmlite.rewrite.rule import instantiate
from dmlite.rewrite.saturate import saturate
from dmlite.rewrite.saturation.egraph import EGraph, Theory
from dmlite.rewrite.saturation.laws import LAWS
from dmlite.rewrite.saturation.terms import equalities, holes
from tests.rewrite.test_saturate import CASES, SHAPES, as_array, block_of, values_of
from tests.support import algebra
from tests.support.fixtures import computed

bindings = pytest.importorskip("egglog").bindings


# ---------------------------------------------------------------- laws
ONE_OF = [(1, 1), (1, 3), (2, 1), (2, 3), (3, 2), (3, 3), (3, 1)]


def shapes_for(names: list[str], rng: random.Random):
    """Shapes by the meaning of names, none for a scalar; names that differ in their digit share one."""
    while True:
        shapes: dict[str, tuple[int, int] | None] = {}
        for name in names:
            stem = name.rstrip("0123456789")
            twin = next((n for n in shapes if n.rstrip("0123456789") == stem), None)
            shape = rng.choice(ONE_OF)
            shape = {"C": (shape[0], 1), "R": (1, shape[1])}.get(stem, shape)
            shapes[name] = shapes[twin] if twin else None if name.islower() else shape
        yield shapes


def instances(pattern: Hop, seed: int, count: int):
    """Legal instances of a pattern with their facts and values."""
    rng = random.Random(seed)
    numbers = np.random.default_rng(seed)
    names = holes(pattern)
    for shapes in itertools.islice(shapes_for(names, rng), 400):
        facts = {n: scalar("double") if s is None else matrix(*s) for n, s in shapes.items()}
        values = {n: float(numbers.uniform(0.5, 2)) if s is None else numbers.uniform(0.5, 2, size=s) for n, s in shapes.items()}
        hop = instantiate(pattern, {n: live_in(n) for n in names})
        table = FactTable(facts, lenient=True)
        if all(table[h].cells or table[h].is_scalar for h in postorder([hop])):
            yield hop, table, values
            count -= 1
            if not count:
                return


@pytest.fixture(scope="module")
def laws() -> Theory:
    return Theory(bindings, equalities((), frozenset()))


@pytest.mark.parametrize("law", LAWS)
def test_laws_hold_for_all_shapes(law: str, laws: Theory):
    """Whatever two rounds of all laws find equal to one side is equal, under broadcasting too."""
    sides = {e.before for e in laws.known if e.name == law} | {e.after for e in laws.known if e.name == law}
    seen = 0
    for seed, side in enumerate(sorted(sides, key=repr)):
        if not side.args:
            continue
        for hop, facts, values in instances(side, seed, 4):
            seen += 1
            leaves = [h for h in postorder([hop]) if not h.args and not h.is_literal]
            with EGraph(laws, facts, [hop], leaves) as graph:
                graph.step(400)
                graph.step(400)
                known: dict = {}
                for nodes in graph.nodes().values():
                    results = [as_array(computed(n.hop, values, known)) for n in nodes]
                    for result in results[1:]:
                        assert result.shape == results[0].shape, nodes
                        np.testing.assert_allclose(result, results[0], rtol=1e-9, atol=1e-9)
    assert seen >= 2, "no shapes fit this law"


@pytest.mark.parametrize("law", LAWS)
def test_laws_are_found(law: str, laws: Theory):
    """One side of a law is led to the other."""
    for equality in (e for e in laws.known if e.name == law):
        for hop, facts, _ in instances(equality.before, 5, 12):
            other = instantiate(equality.after, {n: live_in(n) for n in holes(equality.before)})
            if facts[other].kind != facts[hop].kind or (facts[other].rows, facts[other].cols) != (facts[hop].rows, facts[hop].cols):
                continue
            with EGraph(laws, facts, [hop, other], [h for h in postorder([hop, other]) if not h.args and not h.is_literal]) as graph:
                graph.step(2000)
                graph.step(2000)
                if graph.class_of(hop) == graph.class_of(other):
                    break
        else:
            pytest.fail(f"{equality.before} never becomes {equality.after}")


# ---------------------------------------------------------------- everything that is found equal is equal
def unequal(graph: EGraph, values: dict) -> list[str]:
    """Nodes that compute something else than what represents their class, where all numbers are finite."""
    wrong, known = [], {}
    for nodes in graph.nodes().values():
        with np.errstate(all="ignore"):
            results = [as_array(computed(n.hop, values, known)) for n in nodes]
        for node, result in zip(nodes[1:], results[1:], strict=True):
            if np.isfinite(result).all() and np.isfinite(results[0]).all():
                scale = np.max(np.abs(results[0]), initial=1.0)
                if result.shape != results[0].shape or not np.allclose(result, results[0], rtol=1e-6, atol=1e-6 * scale):
                    wrong.append(f"{nodes[0].hop} is not {node.hop}")
    return wrong


@pytest.mark.parametrize("name", CASES)
def test_classes_hold_equal_values(name):
    """To the end of the exploration, or 2,000 nodes."""
    block = block_of(CASES[name][0])
    root = block.roots[0].hop
    theory = Theory(bindings, equalities(tuple(rules_for(4, sizes_known=True)), frozenset()))
    facts = FactTable(block.facts_in, lenient=True)
    with EGraph(theory, facts, [root], [h for h in postorder([root]) if not h.args and not h.is_literal]) as graph:
        while graph.step(2000):
            assert unequal(graph, values_of(SHAPES)) == []


@pytest.mark.parametrize("start", range(0, 40, 10))
def test_classes_of_random_blocks_hold_equal_values(start, monkeypatch):
    sizes = algebra.SIZES["small"]
    values = algebra.values(sizes, 1)

    def explored(graph: EGraph, end: float) -> dict:
        for _ in range(4):
            if not graph.step(800):
                break
        assert unequal(graph, values) == []
        return {}

    monkeypatch.setattr(level4, "_cheapest", explored)
    for seed in range(start, start + 10):
        unit = compile(Unit(algebra.sized(algebra.block(seed), sizes), inputs=algebra.facts(sizes)), until="hops")
        assert unit.program is not None
        ((_, block),) = unit.program.blocks()
        saturate(block, FactTable(block.facts_in, lenient=True), rules_for(4, sizes_known=True))
