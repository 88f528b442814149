"""THE ORDER: which rules run when, each topic named once with its reason; levels choose among them."""

from __future__ import annotations

from typing import Final

from dmlite.rewrite.dynamic import shapes
from dmlite.rewrite.rule import Rule
from dmlite.rewrite.static import algebra, matmul, reorg

STATIC: Final[tuple[Rule, ...]] = (
    *algebra.RULES,  # first: they normalise what the others look for
    *reorg.RULES,
    *matmul.RULES,
)
DYNAMIC: Final[tuple[Rule, ...]] = (
    *shapes.RULES,  # what is trivial for vectors and single cells
    *STATIC,  # again, on what became visible
)
ALL: Final[tuple[Rule, ...]] = (*STATIC, *shapes.RULES)


def rules_for(level: int, *, sizes_known: bool) -> tuple[Rule, ...]:
    """The rules of an optimisation level: 0 none; 2 those that keep NaN and Inf; 3 and above all of them."""
    if level <= 0:
        return ()
    chosen = DYNAMIC if sizes_known else STATIC
    return chosen if level >= 3 else tuple(r for r in chosen if r.values != "ignores-nan")
