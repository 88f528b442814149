"""Which rewrites made an operator: the firings of a block are followed from the nodes before them to the nodes after."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Container, Mapping, Sequence

from dmlite.hop.node import Hop, make, postorder
from dmlite.rewrite.driver import Firing

_MAX_STEPS = 64  # rewrites of one node that are followed
_NEAR = 400  # nodes among which the two sides of a rewrite are compared


class Lineage:
    """Follows the firings of one block, in their order."""

    def __init__(self, firings: Sequence[Firing]):
        self._firings = firings
        self._after: dict[Hop, Hop] = {}
        for firing in firings:
            self._after.setdefault(firing.before, firing.after)
        self._became: dict[Hop, Hop] = {}
        self._made_by: dict[Hop, set[int]] = defaultdict(set)
        for number, firing in enumerate(firings):
            gone, new = difference(firing.before, firing.after)
            numbers = {number}.union(*(self._made_by[hop] for hop in gone))
            for hop in new:
                self._made_by[hop] |= numbers
                self._made_by[self.became(hop)] |= numbers

    def became(self, hop: Hop) -> Hop:
        """The node that stands for `hop` in the end."""
        for node in below(hop, self._became):
            self._became.setdefault(node, self._settled(node))
        return self._became[hop]

    def _settled(self, hop: Hop) -> Hop:
        """As the rewriter did: operands first, then the node itself, as often as a rule fired."""
        for _ in range(_MAX_STEPS):
            hop = _rebuilt(hop, self._became)
            if hop not in self._after:
                break
            hop = self._after[hop]
            for inner in (h for arg in hop.args for h in below(arg, self._became)):
                self._became.setdefault(inner, self._after.get(inner, inner))
        return hop

    def settled(self, number: int) -> Hop:
        """What the firing replaced, with its operands as the firings before it left them."""
        after = {f.before: f.after for f in self._firings[:number]}
        root = self._firings[number].before
        done: dict[Hop, Hop] = {}
        for hop in postorder(root.args):
            new = _rebuilt(hop, done)
            done[hop] = after.get(new, new)
        return _rebuilt(root, done)

    def made_by(self, hop: Hop) -> list[int]:
        """Numbers of the firings that `hop` goes back to, in their order."""
        return sorted(self._made_by.get(hop, ()))


def _rebuilt(hop: Hop, done: Mapping[Hop, Hop]) -> Hop:
    """The same operator on what its operands became."""
    args = tuple(done.get(a, a) for a in hop.args)
    return hop if args == hop.args else make(hop.op, args, hop.value, hop.tag)


def difference(before: Hop, after: Hop) -> tuple[list[Hop], list[Hop]]:
    """The operators that only `before` needs, and those that only `after` needs, operands first.

    Rewrites are local: what both share is looked for among the nodes nearest to the roots.
    """
    old, new = _nearest(before), _nearest(after)
    gone, made = (below(root, other) for root, other in ((before, new), (after, old)))
    return [h for h in gone if h.args and h in old], [h for h in made if h.args and h in new]


def below(root: Hop, known: Container[Hop]) -> list[Hop]:
    """The nodes below `root`, itself included, that are reached without entering one of `known`; operands first."""
    found: dict[Hop, None] = {}
    stack = [(root, False)]
    seen = set()
    while stack:
        hop, expanded = stack.pop()
        if expanded:
            found[hop] = None
        elif hop not in seen and hop not in known:
            seen.add(hop)
            stack.append((hop, True))
            stack.extend((arg, False) for arg in reversed(hop.args))
    return list(found)


def _nearest(root: Hop) -> set[Hop]:
    """The nodes below `root` in the order of their distance from it, but no more than _NEAR."""
    found = {root: None}
    queue = deque(found)
    while queue and len(found) < _NEAR:
        for arg in queue.popleft().args:
            if arg not in found:
                found[arg] = None
                queue.append(arg)
    return set(found)
