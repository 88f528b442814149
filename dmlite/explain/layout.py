"""Where the boxes of a DAG go: layers from operands to results, few crossings, straight arrows. Widths and heights in pixels."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_GAP_X: Final = 24
_GAP_Y: Final = 46
_SWEEPS: Final = 6
_Node = Hashable
_LONG: Final = 12  # layers that an arrow may pass with a point in each
_BEND: Final = 8  # width of the point where an arrow passes a layer


@dataclass(frozen=True)
class Layout:
    """Centres of the boxes, the points of every arrow from operand to operator, and the size of the whole."""

    centres: dict[int, tuple[float, float]]
    arrows: list[tuple[int, int, list[tuple[float, float]]]]
    width: float
    height: float


def layered(operands: Mapping[int, Sequence[int]], sizes: Mapping[int, tuple[float, float]]) -> Layout:
    """Lay out the DAG in which `operands` of every node are known; nodes must come after their operands."""
    if not operands:
        return Layout({}, [], 0.0, 0.0)
    layer = _layers(operands)
    chains = {(a, b): _chain(a, b, layer) for b, below in operands.items() for a in dict.fromkeys(below)}
    rows = _rows(layer, chains)
    up, down = _neighbours(chains)
    for sweep in range(_SWEEPS):
        _sort_rows(rows, up if sweep % 2 == 0 else down, downward=sweep % 2 == 0)
    widths: dict[_Node, float] = {n: w for n, (w, _) in sizes.items()}
    x = _columns(rows, up, down, widths)
    tops, height = _heights(rows, sizes)
    place = {node: (x[node], tops[k]) for k, row in enumerate(rows) for node in row}
    arrows = [(a, b, [place[n] for n in chain]) for (a, b), chain in chains.items()]
    right = max(x[n] + widths.get(n, _BEND) / 2 for n in x)
    return Layout({n: place[n] for n in operands}, arrows, right, height)


def _layers(operands: Mapping[int, Sequence[int]]) -> dict[int, int]:
    """Every node one below its lowest operand; leaves right above the first node that needs them."""
    layer: dict[int, int] = {}
    for node, below in operands.items():
        layer[node] = max((layer[a] + 1 for a in below), default=0)
    users: dict[int, list[int]] = defaultdict(list)
    for node, below in operands.items():
        for a in below:
            users[a].append(layer[node])
    for node, below in operands.items():
        if not below and users[node]:
            layer[node] = min(users[node]) - 1
    return layer


def _chain(a: int, b: int, layer: Mapping[int, int]) -> list[_Node]:
    """The arrow from a to b with the points where it passes the layers between; a long one bends at its ends only."""
    passed = range(layer[a] + 1, layer[b])
    bends = passed if len(passed) <= _LONG else (passed[0], passed[-1])
    return [a, *((a, b, k) for k in bends), b]


def _rows(layer: Mapping[int, int], chains: Mapping[tuple[int, int], list[_Node]]) -> list[list[_Node]]:
    rows: list[list[_Node]] = [[] for _ in range(max(layer.values()) + 1)]
    for node, k in layer.items():
        rows[k].append(node)
    for chain in chains.values():
        for bend in chain[1:-1]:
            rows[bend[2]].append(bend)  # type: ignore[index]
    return rows


def _neighbours(chains: Mapping[tuple[int, int], list[_Node]]) -> tuple[dict[_Node, list[_Node]], dict[_Node, list[_Node]]]:
    """For every node its neighbours in the layer above and in the layer below."""
    up: dict[_Node, list[_Node]] = defaultdict(list)
    down: dict[_Node, list[_Node]] = defaultdict(list)
    for chain in chains.values():
        for a, b in itertools.pairwise(chain):
            up[b].append(a)
            down[a].append(b)
    return up, down


def _sort_rows(rows: list[list[_Node]], towards: Mapping[_Node, list[_Node]], *, downward: bool) -> None:
    """Order each row by the mean position of its neighbours in the row before."""
    order = rows if downward else rows[::-1]
    for before, row in itertools.pairwise(order):
        position = {node: k for k, node in enumerate(before)}
        own = {node: k for k, node in enumerate(row)}

        def mean(node: _Node, position: dict[_Node, int] = position, own: dict[_Node, int] = own, count: int = len(before)) -> float:
            near = [position[n] for n in towards.get(node, ()) if n in position]
            return sum(near) / len(near) if near else own[node] * count / max(1, len(own))

        row.sort(key=mean)


def _columns(
    rows: list[list[_Node]], up: Mapping[_Node, list[_Node]], down: Mapping[_Node, list[_Node]], widths: Mapping[_Node, float]
) -> dict[_Node, float]:
    """Centres from left to right: as near to the neighbours as the order and the widths allow."""
    x: dict[_Node, float] = {}
    width = lambda node: widths.get(node, _BEND)  # noqa: E731
    for row in rows:
        edge = 0.0
        for node in row:
            x[node] = edge + width(node) / 2
            edge += width(node) + _GAP_X
    for sweep in range(2 * _SWEEPS):
        near = down if sweep % 2 else up
        for row in rows[::-1] if sweep % 2 else rows:
            wanted = [_median([x[n] for n in near.get(node, ())], x[node]) for node in row]
            for node, at in zip(row, _spread(wanted, [width(n) for n in row]), strict=True):
                x[node] = at
    left = min(x[n] - width(n) / 2 for n in x)
    return {node: at - left for node, at in x.items()}


def _median(values: list[float], otherwise: float) -> float:
    values = sorted(values)
    middle = len(values) // 2
    if not values:
        return otherwise
    return values[middle] if len(values) % 2 else (values[middle - 1] + values[middle]) / 2


def _spread(wanted: Sequence[float], widths: Sequence[float]) -> list[float]:
    """The positions nearest to the wanted ones at which boxes of these widths do not overlap, in this order.

    Neighbours that would overlap become one group, which moves to the mean of what its members want.
    """
    offsets = [0.0]
    for a, b in itertools.pairwise(widths):
        offsets.append(offsets[-1] + (a + b) / 2 + _GAP_X)
    groups: list[list[float]] = []  # sum of what is wanted for the left end, members
    for at, offset in zip(wanted, offsets, strict=False):
        groups.append([at - offset, 1])
        while len(groups) > 1 and groups[-2][0] / groups[-2][1] > groups[-1][0] / groups[-1][1]:
            total, members = groups.pop()
            groups[-1][0] += total
            groups[-1][1] += members
    starts = [total / members for total, members in groups for _ in range(int(members))]
    return [start + offset for start, offset in zip(starts, offsets, strict=False)]


def _heights(rows: list[list[_Node]], sizes: Mapping[int, tuple[float, float]]) -> tuple[list[float], float]:
    """The centre of every row, and where the last one ends."""
    tops: list[float] = []
    edge = 0.0
    for row in rows:
        height = max((sizes[n][1] for n in row if isinstance(n, int)), default=0.0)
        tops.append(edge + height / 2)
        edge += height + _GAP_Y
    return tops, edge - _GAP_Y
