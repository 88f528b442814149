"""Which of the fused operators that fit are taken: those that cost less than everything they make superfluous.

An operator inside of a match is saved only when nobody else needs it, where other matches that are taken do not count as
needing what they do without. Matches that pay only together, because they share such an operator, are weighed together.
"""

from __future__ import annotations

from collections import ChainMap, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from dmlite.hop.cost import estimate
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop, make, postorder
from dmlite.rewrite.fuse.fusion import Fusion

REACH: Final = 6  # operators between the root of a pattern and the product in it
_FAR: Final = 1 << 20
_LARGER: Final = 1.02  # among matches that save about the same, the larger one keeps less in memory


@dataclass(frozen=True)
class Choice:
    """A rule that fits at `root`: what it would put there, which operators of the match that does without, and its cost."""

    rule: Fusion
    root: Hop
    new: Hop
    inside: frozenset[Hop]
    seconds: float


Attempt = Callable[[Fusion, Hop], Hop | None]


class Fusions:
    """The choice for one DAG. `attempt(rule, hop)` gives what a rule makes of a node, or None; `index` the rules by their root."""

    def __init__(self, roots: Iterable[Hop], facts: FactTable, index: Mapping[str, list[Fusion]], attempt: Attempt):
        self.roots = frozenset(roots)
        self.facts = facts
        self.index = index
        self.attempt = attempt
        self.taken: dict[Hop, Choice] = {}
        self._nodes = list(postorder(roots))
        self._known = frozenset(self._nodes)
        self._consumers: defaultdict[Hop, set[Hop]] = defaultdict(set)
        for hop in self._nodes:
            for arg in hop.args:
                self._consumers[arg].add(hop)
        self._product = _distance_to_products(self._nodes)
        self._seconds: dict[Hop, float | None] = {}
        self._covered: set[Hop] = set()  # the inside of everything taken

    def choose(self) -> dict[Hop, Choice]:
        """The choices that pay, by the node they replace."""
        waiting: list[Choice] = []
        for hop in self._nodes:
            options = [(self._saving([c]), c) for c in self._options(hop)]
            saved, best = max(options, key=lambda o: o[0] * _LARGER ** len(o[1].inside), default=(0.0, None))
            if best is not None and saved > 0:
                self._take([best])
            else:
                waiting.extend(choice for _, choice in options)
        self._take_together(waiting)
        return self.taken

    def _take(self, choices: list[Choice]) -> None:
        for choice in choices:
            self.taken[choice.root] = choice
            self._covered |= choice.inside

    # ------------------------------------------------------------ what fits
    def _options(self, hop: Hop) -> Iterator[Choice]:
        for rule in self.index.get(hop.op, ()):
            if rule.needs_product and self._product[hop] > REACH:
                continue
            new = self.attempt(rule, hop)
            if new is None:
                continue
            made, kept = self._parts(new)
            seconds = self._cost(made)
            if hop not in kept and seconds is not None:
                yield Choice(rule, hop, new, _inside(hop, kept), seconds)

    def _parts(self, new: Hop) -> tuple[set[Hop], set[Hop]]:
        """The operators that a result adds, and the nodes of the DAG that it is made from."""
        made: set[Hop] = set()
        kept: set[Hop] = set()
        stack = [new]
        while stack:
            hop = stack.pop()
            if hop in self._known:
                kept.add(hop)
            elif hop not in made:
                made.add(hop)
                stack.extend(hop.args)
        return made, kept

    # ------------------------------------------------------------ what it saves
    def _saving(self, choices: list[Choice]) -> float:
        """Seconds that `choices` save together, given those already taken; minus infinity when not known, or when a product stays."""
        extra = {c.root: c for c in choices}
        inside = {hop for c in choices for hop in c.inside}
        after, covered = ChainMap(extra, self.taken), self._covered | inside
        saved = -sum(c.seconds for c in choices)
        for hop in inside | set(extra):
            if self._dead(hop, self.taken, self._covered):
                continue
            if hop in extra or self._dead(hop, after, covered):
                seconds = self.taken[hop].seconds if hop in self.taken else self._cost([hop])
            elif hop.op == "matmul" and not all(c.rule.shared for c in choices if hop in c.inside):
                seconds = None
            else:
                continue
            if seconds is None:
                return float("-inf")
            saved += seconds
        return saved

    def _dead(self, hop: Hop, taken: Mapping[Hop, Choice], covered: set[Hop]) -> bool:
        """Whether every consumer of a node is replaced by something that does without it, or dead itself."""
        if hop not in covered or hop in self.roots:
            return False
        return all((c in taken and hop in taken[c].inside) or self._dead(c, taken, covered) for c in self._consumers[hop])

    def _cost(self, hops: Iterable[Hop]) -> float | None:
        total = 0.0
        for hop in hops:
            if hop not in self._seconds:
                self._seconds[hop] = estimate(hop, self.facts).seconds
            seconds = self._seconds[hop]
            if seconds is None:
                return None
            total += seconds
        return total

    # ------------------------------------------------------------ what pays only together
    def _take_together(self, waiting: list[Choice]) -> None:
        """Matches around the same operator, the cheapest at each root, where they pay as a group."""
        groups: defaultdict[Hop, dict[Hop, Choice]] = defaultdict(dict)
        for choice in waiting:
            for hop in choice.inside:
                best = groups[hop].get(choice.root)
                if best is None or choice.seconds < best.seconds:
                    groups[hop][choice.root] = choice
        for group in groups.values():
            members = [c for c in group.values() if c.root not in self.taken]
            if members and self._saving(members) > 0:
                self._take(members)


def _inside(root: Hop, kept: set[Hop]) -> frozenset[Hop]:
    """The operators under `root` before one is reached that is kept."""
    found: set[Hop] = set()
    stack = [root]
    while stack:
        for arg in stack.pop().args:
            if arg.args and arg not in kept and arg not in found:
                found.add(arg)
                stack.append(arg)
    return frozenset(found)


def _distance_to_products(nodes: Iterable[Hop]) -> dict[Hop, int]:
    """How many operators each node is above the nearest matrix product."""
    found: dict[Hop, int] = {}
    for hop in nodes:
        found[hop] = 0 if hop.op == "matmul" else 1 + min((found[a] for a in hop.args), default=_FAR)
    return found


def replaced(roots: Iterable[Hop], taken: dict[Hop, Choice]) -> dict[Hop, Hop]:
    """What every node that is still needed becomes."""
    done: dict[Hop, Hop] = {}
    stack = list(roots)
    while stack:
        hop = stack[-1]
        target = taken[hop].new if hop in taken else hop
        missing = [a for a in target.args if a not in done]
        if missing:
            stack.extend(missing)
        else:
            stack.pop()
            args = tuple(done[a] for a in target.args)
            done[hop] = target if args == target.args else make(target.op, args, target.value, target.tag)
    return done
