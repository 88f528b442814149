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
from dmlite.rewrite.fuse.fusion import Fusion, factors

REACH: Final = 6  # operators between the root of a pattern and the product in it
ROUNDS: Final = 3
_FAR: Final = 1 << 20
_LARGER: Final = 1.02  # among matches that save about the same, one that frees more operators keeps less in memory


@dataclass(frozen=True)
class Choice:
    """A rule that fits at `root`: what it would put there and its cost, which nodes that needs, and which of the match it does not."""

    rule: Fusion
    root: Hop
    new: Hop
    kept: frozenset[Hop]
    inside: frozenset[Hop]
    seconds: float


Attempt = Callable[[Fusion, Hop, tuple[Hop, ...]], Hop | None]
Taken = Mapping[Hop, Choice]


class Fusions:
    """The choice for one DAG. `index`: the rules by their root; `attempt`: what a rule makes of a node by some patterns, or None."""

    def __init__(self, roots: Iterable[Hop], facts: FactTable, index: Mapping[str, list[Fusion]], attempt: Attempt):
        self.roots = frozenset(roots)
        self.facts = facts
        self.index = index
        self.attempt = attempt
        self.taken: dict[Hop, Choice] = {}
        nodes = list(postorder(roots))
        self._known = frozenset(nodes)
        self._seconds: dict[Hop, float | None] = {}
        self._product = _distance_to_products(nodes)
        self._fitting_at: dict[tuple[str, frozenset[str], bool], list[tuple[Fusion, tuple[Hop, ...]]]] = {}
        self.options = {hop: found for hop in nodes if (found := list(self._options(hop)))}
        self._consumers: defaultdict[Hop, set[Hop]] = defaultdict(set)
        self._keepers: defaultdict[Hop, set[Hop]] = defaultdict(set)  # roots at which some option needs a node
        if self.options:
            for hop in nodes:
                for arg in hop.args:
                    self._consumers[arg].add(hop)
        self._covered: set[Hop] = set()  # nodes that some option does without
        for choice in (c for options in self.options.values() for c in options):
            self._covered |= choice.inside
            for hop in choice.kept:
                self._keepers[hop].add(choice.root)

    def choose(self) -> dict[Hop, Choice]:
        """The choices that pay, by the node they replace."""
        for _ in range(ROUNDS):
            before = dict(self.taken)
            for options in self.options.values():
                self._take_best([[c] for c in options])
            for group in self._groups():
                self._take_best([group])
            if self.taken == before:
                break
        self._give_back()
        return self.taken

    def _give_back(self) -> None:
        """Matches that each do what another one could do once for all of them are given up where that costs less."""
        for hop in list(self.taken):
            again = [c for c in self.taken.values() if hop in c.inside]
            if len(again) > 1:
                before, roots = self.taken, {c.root for c in again}
                self.taken = {root: c for root, c in before.items() if root not in roots}
                if self._saving(again)[0] >= 0:
                    self.taken = before

    def _take_best(self, groups: list[list[Choice]]) -> None:
        """Take the group that saves most, if any does."""
        worth = [(saved * _LARGER**freed, group) for group in groups for saved, freed in [self._saving(group)]]
        most, best = max(worth, key=lambda w: w[0], default=(0.0, []))
        if most > 0:
            self.taken |= {c.root: c for c in best}

    def _groups(self) -> Iterator[list[Choice]]:
        """Around every operator, the matches that do without it: at each root the cheapest."""
        around: defaultdict[Hop, dict[Hop, Choice]] = defaultdict(dict)
        for choice in (c for options in self.options.values() for c in options):
            for hop in choice.inside:
                best = around[hop].get(choice.root)
                if best is None or choice.seconds < best.seconds:
                    around[hop][choice.root] = choice
        return (list(group.values()) for group in around.values() if len(group) > 1)

    # ------------------------------------------------------------ what fits
    def _options(self, hop: Hop) -> Iterator[Choice]:
        for rule, patterns in self._fitting(hop):
            new = self.attempt(rule, hop, patterns)
            if new is None:
                continue
            made, kept = self._parts(new)
            seconds = self._cost(made)
            if hop not in kept and seconds is not None:
                yield Choice(rule, hop, new, kept, _inside(hop, kept), seconds)

    def _fitting(self, hop: Hop) -> list[tuple[Fusion, tuple[Hop, ...]]]:
        """Rules with those of their patterns that the operators around `hop` do not rule out."""
        rules = self.index.get(hop.op)
        if not rules:
            return []
        below = frozenset([f.op for arg in hop.args for f in ((arg, *factors(arg)) if arg.op == "mul" else (arg,))])
        key = hop.op, below, self._product[hop] <= REACH
        found = self._fitting_at.get(key)
        if found is None:
            fitting = [(rule, rule.fitting(hop, below)) for rule in rules if key[2] or not rule.needs_product]
            found = self._fitting_at[key] = [(rule, patterns) for rule, patterns in fitting if patterns]
        return found

    def _parts(self, new: Hop) -> tuple[set[Hop], frozenset[Hop]]:
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
        return made, frozenset(kept)

    # ------------------------------------------------------------ what it saves
    def _saving(self, choices: list[Choice]) -> tuple[float, int]:
        """Seconds that `choices` save together, and how many operators they free, given those already taken.

        Minus infinity when a cost is not known, or when a product stays for somebody else that its rule wants to be without.
        """
        extra = {c.root: c for c in choices}
        if all(self.taken.get(root) is c for root, c in extra.items()):
            return 0.0, 0
        after = ChainMap(extra, self.taken)
        saved, freed = 0.0, 0
        for hop in self._affected(choices):
            was, now = self._dead(hop, self.taken), self._dead(hop, after)
            if not now and hop.op == "matmul" and any(hop in c.inside and not c.rule.shared for c in choices):
                return float("-inf"), 0
            seconds = (0.0 if was else self._current(hop, self.taken), 0.0 if now else self._current(hop, after))
            if None in seconds:
                return float("-inf"), 0
            saved += seconds[0] - seconds[1]  # type: ignore[operator]
            freed += now - was
        return saved, freed

    def _affected(self, choices: Iterable[Choice]) -> set[Hop]:
        """What `choices` may do without; where that is a root taken before, also what its choice did without and may now be needed."""
        found: set[Hop] = set()
        stack = list(choices)
        while stack:
            choice = stack.pop()
            new = {choice.root, *choice.inside} - found
            found |= new
            stack.extend(self.taken[hop] for hop in new if hop in self.taken)
        return found

    def _current(self, hop: Hop, taken: Taken) -> float | None:
        return taken[hop].seconds if hop in taken else self._cost([hop])

    def _dead(self, hop: Hop, taken: Taken) -> bool:
        """Whether nobody needs a node once `taken` are in place."""
        if hop in self.roots or hop not in self._covered:
            return False
        users = {c for c in self._consumers[hop] if c not in taken}
        users |= {root for root in self._keepers[hop] if root in taken and hop in taken[root].kept}
        return all(self._dead(user, taken) for user in users)

    def is_dead(self, hop: Hop) -> bool:
        """Whether nobody needs a node any more after what was chosen."""
        return self._dead(hop, self.taken)

    def weigh(self, choice: Choice) -> tuple[dict[Hop, tuple[Hop, ...]], float | None]:
        """What speaks against a choice: of the match what stays and who needs it (nobody: a variable), and seconds that go."""
        after = ChainMap({choice.root: choice}, self.taken)
        kept = {hop: self._others(hop, choice) for hop in choice.inside if not self._dead(hop, after)}
        gone = [hop for hop in (choice.root, *choice.inside) if hop not in kept and not self._dead(hop, self.taken)]
        seconds = [self._current(hop, self.taken) for hop in gone]
        return kept, None if None in seconds else sum(s for s in seconds if s is not None)

    def _others(self, hop: Hop, choice: Choice) -> tuple[Hop, ...]:
        return tuple(c for c in self._consumers[hop] if c is not choice.root and c not in choice.inside)

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


def _inside(root: Hop, kept: frozenset[Hop]) -> frozenset[Hop]:
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


def replaced(roots: Iterable[Hop], taken: Taken) -> dict[Hop, Hop]:
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
