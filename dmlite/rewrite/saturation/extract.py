"""The cheapest way to compute some classes of an e-graph, what is shared counted once."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

C = TypeVar("C", bound=Hashable)  # a class
N = TypeVar("N", bound=Hashable)  # a node: one way to compute a class
_ROUNDS = 8
_BETTER = 1 - 1e-9


class Extractor(Generic[C, N]):
    """options: the nodes of each class, with what each costs by itself; operands: the classes a node needs."""

    def __init__(self, options: Mapping[C, Mapping[N, float]], operands: Callable[[N], Sequence[C]], in_time: Callable[[], bool]):
        self._options = options
        self._operands = operands
        self._in_time = in_time

    def cheapest(self, roots: Sequence[C], start: Mapping[C, N]) -> tuple[dict[C, N], float]:
        """A node for every class that `roots` need, and the cost of all of them; no worse than `start`, which is known to do."""
        best, least = dict(start), self.total(start, roots)
        greedy = self._bottom_up()
        for choice in ({**greedy, **start}, greedy):
            found, cost = self._descend(choice, roots)
            if cost < least * _BETTER:
                best, least = found, cost
        return best, least

    def total(self, choice: Mapping[C, N], roots: Sequence[C]) -> float:
        """The cost of what `roots` need, each class once; infinite when a class is missing or needs itself."""
        cost = 0.0
        done: set[C] = set()
        open_: set[C] = set()
        stack = [(r, False) for r in roots]
        while stack:
            cls, expanded = stack.pop()
            if expanded:
                open_.discard(cls)
                done.add(cls)
                continue
            if cls in done:
                continue
            if cls in open_ or cls not in choice:
                return math.inf
            open_.add(cls)
            stack.append((cls, True))
            cost += self._options[cls][choice[cls]]
            stack.extend((o, False) for o in self._operands(choice[cls]) if o not in done)
        return cost

    def needed(self, choice: Mapping[C, N], roots: Sequence[C]) -> list[C]:
        """The classes that `roots` need, in a fixed order."""
        seen = dict.fromkeys(roots)
        queue = list(seen)
        for cls in queue:
            for operand in self._operands(choice[cls]):
                if operand not in seen:
                    seen[operand] = None
                    queue.append(operand)
        return queue

    def _bottom_up(self) -> dict[C, N]:
        """For each class the node whose whole expression is cheapest, sharing inside of that expression counted."""
        best: dict[C, N] = {}
        least: dict[C, float] = {}
        parts: dict[C, dict[C, float]] = {}
        changed = True
        while changed and self._in_time():
            changed = False
            for cls, nodes in self._options.items():
                for node, own in nodes.items():
                    operands = self._operands(node)
                    bound = least.get(cls, math.inf) * _BETTER
                    if any(o not in best or own + least[o] >= bound or cls in parts[o] for o in operands):
                        continue
                    below = {cls: own}
                    for operand in operands:
                        below |= parts[operand]
                    cost = sum(below.values())
                    if cost < bound:
                        best[cls], least[cls], parts[cls] = node, cost, below
                        changed = True
        return best

    def _descend(self, choice: Mapping[C, N], roots: Sequence[C]) -> tuple[dict[C, N], float]:
        """Change one class after another as long as the whole gets cheaper."""
        found = dict(choice)
        cost = self.total(found, roots)
        for _ in range(_ROUNDS):
            improved = False
            for cls in self.needed(found, roots) if cost < math.inf else ():
                for node in self._options[cls]:
                    if not self._in_time():
                        return found, cost
                    old = found[cls]
                    found[cls] = node
                    new = self.total(found, roots)
                    if new < cost * _BETTER:
                        cost, improved = new, True
                    else:
                        found[cls] = old
            if not improved:
                break
        return found, cost
