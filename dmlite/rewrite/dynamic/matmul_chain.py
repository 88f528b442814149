"""The order of a chain of matrix products, by dynamic programming over sizes and expected non-zeros, transposes taken in.

`t(A %*% B)` inside of a chain counts as `t(B) %*% t(A)`; every part of the chain may be computed as it is or transposed,
whichever is cheaper. A product with another consumer is computed anyway, so it is a factor, and one that exists
elsewhere costs nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from dmlite.hop.cost import Factor, estimate, product_seconds
from dmlite.hop.node import Hop, make
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.worth import pays

MAX_CHAIN: Final = 24  # factors; longer chains are ordered in pieces


@dataclass(frozen=True, slots=True)
class _Best:
    """The cheapest way found to one part of the chain: its cost in seconds and its node."""

    seconds: float
    hop: Hop


def _transposed(hop: Hop) -> Hop:
    return hop.args[0] if hop.op == "t" else make("t", [hop])


def _factors(m: Match, hop: Hop, own: set[Hop], flipped: bool = False) -> list[Hop]:
    """The factors of the product from left to right; what only this chain needs is taken apart, and added to `own`."""
    if hop is m.root or (hop.op in ("matmul", "t") and m.only_use(hop)):
        own.add(hop)
        if hop.op == "matmul":
            left, right = hop.args[::-1] if flipped else hop.args
            return [*_factors(m, left, own, flipped), *_factors(m, right, own, flipped)]
        if hop.args[0].op in ("matmul", "t") and m.only_use(hop.args[0]):
            return _factors(m, hop.args[0], own, not flipped)
    return [_transposed(hop) if flipped else hop]


class _Chain:
    """The table of the dynamic program: for every part i..j of the chain, the best as it is and the best transposed."""

    def __init__(self, m: Match, factors: list[Hop], own: set[Hop]):
        self.m = m
        self.own = own
        self.factors = factors
        self.parts: dict[tuple[int, int, bool], Factor] = {}
        self.best: dict[tuple[int, int, bool], _Best] = {}
        self.elsewhere = {h.args for h, n in m.uses.items() if n and h.op == "matmul" and h not in own}

    def solve(self) -> Hop:
        n = len(self.factors)
        for i, factor in enumerate(self.factors):
            self._known_parts(i, n)
            for flipped in (False, True):
                hop = _transposed(factor) if flipped else factor
                self.best[i, i, flipped] = _Best(self._price(hop) if hop.op == "t" else 0.0, hop)
        for length in range(2, n + 1):
            for i in range(n - length + 1):
                self._part(i, i + length - 1)
        return self.best[0, n - 1, False].hop

    def _known_parts(self, i: int, n: int) -> None:
        """What is expected of the product of every part that begins at i, whatever its order."""
        product = self.factors[i]
        for j in range(i, n):
            product = product if j == i else make("matmul", [product, self.factors[j]])
            part = Factor.of(self.m.facts[product])
            self.parts[i, j, False], self.parts[i, j, True] = part, part.turned()

    def _part(self, i: int, j: int) -> None:
        for flipped in (False, True):
            seconds, k = min((self._split(i, k, j, flipped), k) for k in range(i, j))
            self.best[i, j, flipped] = _Best(seconds, make("matmul", self._pair(i, k, j, flipped)))
        for flipped in (False, True):
            other = self.best[i, j, not flipped]
            turned = make("t", [other.hop])
            seconds = other.seconds + self._price(turned)
            if seconds < self.best[i, j, flipped].seconds:
                self.best[i, j, flipped] = _Best(seconds, turned)

    def _pair(self, i: int, k: int, j: int, flipped: bool) -> list[Hop]:
        pair = [self.best[i, k, flipped].hop, self.best[k + 1, j, flipped].hop]
        return pair[::-1] if flipped else pair

    def _split(self, i: int, k: int, j: int, flipped: bool) -> float:
        """Seconds of part i..j as the product of i..k and k+1..j; nothing where it is computed elsewhere."""
        left, right = self._pair(i, k, j, flipped)
        if (left, right) in self.elsewhere:
            return 0.0
        a, b = self.parts[i, k, flipped], self.parts[k + 1, j, flipped]
        if flipped:
            a, b = b, a
        own = product_seconds(a, b, self.parts[i, j, flipped], gram=left is _transposed(right), machine=self.m.facts.machine)
        return self.best[i, k, flipped].seconds + self.best[k + 1, j, flipped].seconds + own

    def _price(self, hop: Hop) -> float:
        return 0.0 if self._exists(hop) else estimate(hop, self.m.facts).seconds or 0.0

    def _exists(self, hop: Hop) -> bool:
        """Whether somebody outside of this chain computes it anyway."""
        return self.m.uses.get(hop, 0) > 0 and hop not in self.own


def _fits(m: Match, factors: list[Hop]) -> bool:
    """Every size is known and every product legal, so that no order hides an error."""
    facts = [m.facts[f] for f in factors]
    return all(f.cells is not None for f in facts) and all(a.cols == b.rows for a, b in pairwise(facts))


def _ordered(m: Match) -> Hop | None:
    own: set[Hop] = set()
    factors = _factors(m, m.root, own)
    if not 3 <= len(factors) <= MAX_CHAIN or not _fits(m, factors):
        return None
    new = _Chain(m, factors, own).solve()
    return new if pays(m, new) else None


def _order(form: str, before: str, example: str, shapes: str) -> Rule:
    """The same rule for each form of the smallest chain; longer ones begin with one of them."""
    return Rule(
        f"product_order_{form}",
        before,
        _ordered,
        "the cheapest order of the products, by sizes and non-zeros",
        "reassociates",
        where=lambda m: m.root_fact.cells is not None,
        shapes=shapes,
        example=example,
    )


RULES: Final = (
    _order("from_left", "A %*% B %*% C", "A %*% (B %*% C)", "A=60x5 B=5x70 C=70x2"),
    _order("from_right", "A %*% (B %*% C)", "A %*% B %*% C", "A=2x70 B=70x5 C=5x60"),
    _order("turned_left", "t(A %*% B) %*% C", "t(B) %*% (t(A) %*% C)", "A=70x5 B=5x60 C=70x2"),
    _order("turned_right", "A %*% t(B %*% C)", "A %*% t(C) %*% t(B)", "A=2x70 B=60x5 C=5x70"),
)
