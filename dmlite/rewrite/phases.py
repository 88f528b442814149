"""THE ORDER: which rules run when, each topic named once with its reason; levels choose among them."""

from __future__ import annotations

from typing import Final

from dmlite.hop.infer import FactTable
from dmlite.hop.program import Block, Root
from dmlite.rewrite.driver import Firing, rewrite
from dmlite.rewrite.dynamic import cell_chain, constants, diagonal, empty, matmul_chain, outer, shapes, stores, sum_product, sums
from dmlite.rewrite.fuse import cellwise, products, weighted
from dmlite.rewrite.rule import Rule
from dmlite.rewrite.static import (
    activations,
    aggregates,
    binds,
    choices,
    comparisons,
    generators,
    identity,
    indexing,
    linear,
    matmul,
    powers,
    scalars,
    signs,
    sorting,
    transposes,
)

STATIC: Final[tuple[Rule, ...]] = (
    *identity.RULES,  # first: what changes nothing hides nothing any more
    *signs.RULES,  # normal forms that the rest looks for: differences instead of negations,
    *powers.RULES,  # squares instead of powers,
    *activations.RULES,  # names for what scripts write out,
    *comparisons.RULES,  # one comparison instead of a complement
    *choices.RULES,
    *scalars.RULES,  # constants together, then vectors, then matrices
    *generators.RULES,  # matrices of equal numbers vanish before anything is moved through them
    *transposes.RULES,  # outwards, to what they do not matter to
    *indexing.RULES,  # inwards, to what need not be computed
    *binds.RULES,
    *matmul.RULES,  # products shrink before their aggregates are looked at
    *linear.RULES,  # scalars out of aggregates
    *aggregates.RULES,
    *sorting.RULES,
)
DYNAMIC: Final[tuple[Rule, ...]] = (
    *empty.RULES,  # what is all zeros takes everything around it along
    *shapes.RULES,  # what is trivial for vectors and single cells
    *constants.RULES,  # matrices of one number, however they came about
    *stores.RULES,
    *STATIC,  # again, on what became visible
    *diagonal.RULES,
    *outer.RULES,  # outer products vanish before products are ordered
    *sums.RULES,  # sums taken apart, or made into products, by cost
    *sum_product.RULES,  # common factors out or in, by cost
    *matmul_chain.RULES,  # the order of what products are left
    *cell_chain.RULES,
)
FUSE: Final[tuple[Rule, ...]] = (  # after all others, chosen by cost
    *weighted.RULES,
    *products.RULES,
    *cellwise.RULES,
)
ALL: Final[tuple[Rule, ...]] = (*DYNAMIC, *FUSE)


def rules_for(level: int, *, sizes_known: bool) -> tuple[Rule, ...]:
    """The rules of an optimisation level: 0 none; 2 those that keep NaN and Inf; 3 and above all of them."""
    if level <= 0:
        return ()
    chosen = (*DYNAMIC, *FUSE) if sizes_known else STATIC
    return chosen if level >= 3 else tuple(r for r in chosen if r.values != "ignores-nan")


def optimise(block: Block, facts: FactTable, level: int) -> tuple[list[Root], list[Firing]]:
    """The roots of a block in the form that an optimisation level gives them, and what was done."""
    rules = rules_for(level, sizes_known=True)
    if level >= 4:
        from dmlite.rewrite.saturate import saturate

        return saturate(block, facts, rules)
    return rewrite(block, facts, rules, thrifty=True)
