"""What one rewrite saves in a DAG where others may need the same nodes: rules say what is equal, this says whether it pays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from dmlite.hop.cost import estimate
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop

_ROUNDING: Final = 1e-9  # of the cost


def pays(old: Hop, new: Hop, uses: Mapping[Hop, int], done: Mapping[Hop, Hop], facts: FactTable) -> bool:
    """Whether what `new` adds to the DAG costs no more than what goes with `old`; so too where that is not known.

    uses: how often each node is needed; done: what stands for the operands of nodes that are not rebuilt yet.
    """
    change: Counter[Hop] = Counter()
    added = dropped = 0.0
    stack = [] if uses.get(new, 0) else [new]
    while stack:
        hop = stack.pop()
        seconds = estimate(hop, facts).seconds
        if seconds is None:
            return True
        added += seconds
        for arg in (done.get(a, a) for a in hop.args):
            if not uses.get(arg, 0) + change[arg]:
                stack.append(arg)
            change[arg] += 1
    if uses.get(new, 0) == 0:
        change[new] += 1
    stack = [old]
    while stack:
        hop = stack.pop()
        seconds = estimate(hop, facts).seconds
        if seconds is None:
            return True
        dropped += seconds
        for arg in (done.get(a, a) for a in hop.args):
            change[arg] -= 1
            if not uses.get(arg, 0) + change[arg]:
                stack.append(arg)
    return added <= dropped * (1 + _ROUNDING)
