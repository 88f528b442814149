"""The order of a chain of cellwise products: scalars and vectors among themselves first, then matrices, sparse ones first.

`X * v * w` with columns v and w passes twice over X, `X * (v * w)` once. Equal factors become squares, which read one operand
where a product reads two; never powers, which are dearer than the products they stand for.
"""

from __future__ import annotations

from collections import Counter
from functools import reduce
from typing import Final

from dmlite.hop.cost import nonzeros
from dmlite.hop.facts import Fact
from dmlite.hop.node import Hop, make
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.worth import pays


def _factors(m: Match, hop: Hop) -> list[Hop]:
    """The factors from left to right; products that only this chain needs are taken apart."""
    if hop.op == "mul" and (hop is m.root or (m.only_use(hop) and m.facts[hop].is_matrix)):
        return [f for arg in hop.args for f in _factors(m, arg)]
    return [hop]


def _product(hops: list[Hop]) -> Hop:
    return reduce(lambda a, b: make("mul", [a, b]), hops)


def _squared(hops: list[Hop]) -> list[Hop]:
    """The factors with squares in place of equal ones."""
    while len(counts := Counter(hops)) < len(hops):
        hops = [f for hop, n in counts.items() for f in [make("square", [hop])] * (n // 2) + [hop] * (n % 2)]
    return hops


def _place(fact: Fact, whole: tuple[int | None, int | None]) -> str:
    """What a factor is beside a result of that shape."""
    if fact.is_scalar:
        return "scalar"
    if (fact.rows, fact.cols) == whole:
        return "matrix"
    return "cell" if fact.is_cell else "column" if fact.cols == 1 else "row" if fact.rows == 1 else "misfit"


def _ordered(m: Match) -> Hop | None:
    factors = _factors(m, m.root)
    if len(factors) < 3:
        return None
    whole = m.root_fact.rows, m.root_fact.cols
    groups: dict[str, list[Hop]] = {"scalar": [], "cell": [], "column": [], "row": [], "matrix": [], "misfit": []}
    for factor in factors:
        groups[_place(m.facts[factor], whole)].append(factor)
    if groups["misfit"] or groups["cell"] or not groups["matrix"]:
        return None
    # Matrix products last: fused operators look for them beside their weights.
    matrices = sorted(_squared(groups["matrix"]), key=lambda h: (nonzeros(m.facts[h]) or 0.0, h.op == "matmul"))
    vectors = [_product(groups[side]) for side in ("column", "row") if groups[side]]
    if groups["scalar"]:
        scalar = _product(groups["scalar"])
        target = vectors if vectors else matrices
        smallest = min(range(len(target)), key=lambda i: nonzeros(m.facts[target[i]]) or 0.0)
        if target is matrices:
            matrices = [_product(matrices), scalar]
        else:
            vectors[smallest] = _product([vectors[smallest], scalar])
    new = _product([*matrices, *vectors])
    return new if pays(m, new) else None


RULES: Final = (
    Rule(
        "cell_product_order",
        "X * V * W",
        _ordered,
        "scalars and vectors meet one another before they meet a matrix, the sparsest matrix first",
        "reassociates",
        where=lambda m: m.root_fact.cells is not None,
        shapes="X=500x40 V=500x1 W=500x1",
        example="X * (V * W)",
    ),
)
