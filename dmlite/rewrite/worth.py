"""Does a rewrite pay? Seconds of what it adds against seconds of what nobody needs any more, by the cost model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

from dmlite.hop.cost import estimate
from dmlite.hop.node import Hop, postorder
from dmlite.rewrite.pattern import parse_pattern
from dmlite.rewrite.rule import Match, Rule, Values, instantiate

WORTHWHILE = 0.98  # of the old cost: what saves less is noise, and might be undone by the next rule


def pays(m: Match, new: Hop) -> bool:
    """Whether replacing the matched node by `new` makes the block cheaper; no when a size is not known."""
    kept = list(postorder([new]))
    added = _seconds(m, [h for h in kept if not m.uses.get(h, 0)])
    dropped = _seconds(m, _dropped(m, set(kept)))
    return added is not None and dropped is not None and added < WORTHWHILE * dropped


def _dropped(m: Match, kept: set[Hop]) -> list[Hop]:
    """The matched node and what it alone needs; a product with another consumer costs nothing more and saves nothing."""
    if m.root in kept:
        return []
    dropped, stack = [m.root], [m.root]
    released: Counter[Hop] = Counter()
    while stack:
        for arg in stack.pop().args:
            released[arg] += 1
            if released[arg] >= m.uses.get(arg, 1) and arg not in kept and arg.args:
                dropped.append(arg)
                stack.append(arg)
    return dropped


def _seconds(m: Match, hops: list[Hop]) -> float | None:
    total = 0.0
    for hop in hops:
        seconds = estimate(hop, m.facts).seconds
        if seconds is None:
            return None
        total += seconds
    return total


def by_cost(after: str) -> Callable[[Match], Hop | None]:
    """The right-hand side of a rule that is taken only where it pays."""
    pattern = cache(lambda: parse_pattern(after))

    def replacement(m: Match) -> Hop | None:
        new = instantiate(pattern(), m.bound)
        return new if pays(m, new) else None

    return replacement


def costed(
    name: str,
    before: str | tuple[str, ...],
    after: str,
    why: str,
    *,
    values: Values = "reassociates",
    where: Callable[[Match], bool] | None = None,
    shapes: str = "",
    facts: str = "",
) -> Rule:
    """A rule whose result is taken only where it pays."""
    return Rule(name, before, by_cost(after), why, values, where, shapes, facts, example=after)
