"""Layouts of DAGs: operands above, nothing overlaps, the same every time."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from dmlite.explain.layout import layered


def dag(size: int, seed: int) -> dict[int, list[int]]:
    rng = random.Random(seed)
    return {node: sorted(rng.sample(range(node), k=min(node, rng.randint(0, 3)))) for node in range(size)}


@pytest.mark.parametrize("seed", range(8))
def test_operands_are_above_and_boxes_do_not_overlap(seed):
    operands = dag(40, seed)
    sizes = {n: (60.0 + 20 * (n % 5), 40.0) for n in operands}
    layout = layered(operands, sizes)
    for a, b, points in layout.arrows:
        assert a in operands[b]
        assert points[0] == layout.centres[a] and points[-1] == layout.centres[b]
        assert [y for _, y in points] == sorted(y for _, y in points) and layout.centres[a][1] < layout.centres[b][1]
    assert len(layout.arrows) == sum(len(set(below)) for below in operands.values())
    for a, b in combinations(operands, 2):
        (xa, ya), (xb, yb) = layout.centres[a], layout.centres[b]
        assert abs(xa - xb) >= (sizes[a][0] + sizes[b][0]) / 2 - 1e-6 or abs(ya - yb) >= 40
    assert all(sizes[n][0] / 2 - 1e-6 <= x <= layout.width - sizes[n][0] / 2 + 1e-6 for n, (x, _) in layout.centres.items())
    assert layered(operands, sizes) == layout


def test_a_chain_is_a_straight_line():
    layout = layered({0: [], 1: [0], 2: [1], 3: [2]}, dict.fromkeys(range(4), (80.0, 30.0)))
    assert len({x for x, _ in layout.centres.values()}) == 1


def test_an_operand_used_twice_has_one_arrow():
    layout = layered({0: [], 1: [0, 0]}, dict.fromkeys(range(2), (80.0, 30.0)))
    assert len(layout.arrows) == 1


def test_nothing_to_lay_out():
    assert layered({}, {}).centres == {}


def test_large_graphs_are_quick():
    operands = {n: [a for a in (n - 1, n - 7, n // 2) if 0 <= a < n] for n in range(600)}
    layout = layered({n: sorted(set(below)) for n, below in operands.items()}, dict.fromkeys(range(600), (90.0, 40.0)))
    assert len(layout.centres) == 600
