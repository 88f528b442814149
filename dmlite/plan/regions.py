"""Regions: operators on large dense matrices of the same rows, run together in one pass by blocks of rows.

Values inside of a region exist for one block of rows at a time and stay in cache; only what is needed outside is written.
A region may start with thin products (`X %*% v`), and end in sums over columns or cells and in products with a transpose
(`t(X) %*% q`). What an operator needs as a whole must be there before the region starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final, Protocol

from dmlite.hop.cost import FUNCTION, estimate
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, Hop, users
from dmlite.hop.ops import BY_NAME

REGION_CELLS: Final = 1 << 17  # of the largest value; with fewer all values stay in cache anyway
THIN: Final = 32  # columns of a product up to which reading its large operand takes longer than computing

# How the results of blocks become one.
JOINS: Final = {
    "sum": "add", "sumsq": "add", "tak": "add", "tak3": "add", "sumsq_diff": "add",
    "colSums": "add", "colSumsSq": "add", "tak_cols": "add", "tmm": "add", "mmchain": "add", "mmchain_w": "add", "mmchain_y": "add",
    "min_agg": "minimum", "max_agg": "maximum", "colMins": "minimum", "colMaxs": "maximum",
}  # fmt: skip
_BY_ROW: Final = frozenset(
    {"rowSums", "rowSumsSq", "rowMeans", "rowVars", "rowSds", "rowMaxs", "rowMins", "rowIndexMax", "rowIndexMin", "tak_rows", "softmax"}
)
_CHAINS: Final = frozenset({"mmchain", "mmchain_w", "mmchain_y"})  # read their matrix twice when they run alone
_WIDEST: Final = 1 << 15  # columns up to which a block of rows fits into a cache
_MODULES: Final = ("elementwise.", "fused.")
_NOT_CELLWISE: Final = frozenset({"tak", "tak3", "tak_rows", "tak_cols", "sumsq_diff"})


class Unit(Protocol):
    """Operators that run together, wherever. absorbed: what only they read, and none computes; inner: what exists inside alone."""

    hops: list[Hop]
    outputs: list[Hop]

    @property
    def absorbed(self) -> Sequence[Hop]: ...

    @property
    def inner(self) -> frozenset[Hop]: ...

    def needs(self, facts: FactTable) -> list[Hop]:
        """What must be there before they start."""
        ...


@dataclass(eq=False)
class Region:
    """rows: of every value that is split. hops: the members in their order. outputs: what is needed outside.

    absorbed: transposes that only products inside read, which take the rows of what is transposed.
    """

    rows: int
    hops: list[Hop]
    outputs: list[Hop]
    absorbed: list[Hop]
    inner: frozenset[Hop] = frozenset()

    def turned(self) -> list[Hop]:
        """What members read behind transposes that others read too, once for each such member."""
        return [h.args[0].args[0] for h in self.hops if is_product(h) and h.args[0] not in self.absorbed]

    def needs(self, facts: FactTable) -> list[Hop]:
        """What must be there before the region starts."""
        return [*self.split(facts), *self.whole(facts)]

    def split(self, facts: FactTable) -> list[Hop]:
        """Values from outside of which members need a block of rows."""
        inside = set(self.hops)
        return list(dict.fromkeys(a for h in self.hops for a in parts(h, facts) if a not in inside))

    def whole(self, facts: FactTable) -> list[Hop]:
        """Values from outside that members need as they are."""
        return list(dict.fromkeys(a for h in self.hops for a in wholes(h, facts)))


def is_product(hop: Hop) -> bool:
    """Whether a member is `t(X) %*% Y` with both operands split."""
    return hop.op == "matmul" and hop.args[0].op == "t"


def split_places(hop: Hop, facts: FactTable) -> list[int]:
    """The operands of a member, by their places, that are split into rows."""
    if is_product(hop) or hop.op == "tmm":
        return [0, 1]
    if hop.op in _CHAINS:
        return [0, *range(2, len(hop.args))]
    if hop.op == "matmul":
        return [0]
    matrices = [i for i, a in enumerate(hop.args) if facts[a].is_matrix]
    rows = max((facts[hop.args[i]].rows or 0 for i in matrices), default=0)
    return [i for i in matrices if facts[hop.args[i]].rows == rows]


def parts(hop: Hop, facts: FactTable) -> list[Hop]:
    """The values of which a member needs the rows of its block; of a transpose, those of what is transposed."""
    if is_product(hop):
        return [hop.args[0].args[0], hop.args[1]]
    return [hop.args[i] for i in split_places(hop, facts)]


def wholes(hop: Hop, facts: FactTable) -> list[Hop]:
    """The values that a member needs as they are."""
    places = split_places(hop, facts)
    return [a for i, a in enumerate(hop.args) if i not in places and a.op != LITERAL]


def is_total(hop: Hop) -> bool:
    """Whether blocks of a member are joined into one value rather than put below each other."""
    return hop.op in JOINS or is_product(hop)


class Grouping:
    """Operators in groups that run together. home: the group of each."""

    home: dict[Hop, set[Hop]]

    def _merge(self, one: set[Hop], other: set[Hop]) -> None:
        """Make one group of two, where both are about as many rows and that may run."""
        if one is other or self._rows(one) != self._rows(other):
            return
        union = one | other
        if self._can_run_at_once(union):
            for hop in union:
                self.home[hop] = union

    def _rows(self, members: set[Hop]) -> int | None:
        raise NotImplementedError

    def _can_run_at_once(self, members: set[Hop]) -> bool:
        raise NotImplementedError


class Regions(Grouping):
    """Finds the regions of one block. taken: operators that run otherwise."""

    def __init__(self, order: Sequence[Hop], roots: Iterable[Hop], facts: FactTable, taken: Iterable[Hop] = ()):
        self.taken = frozenset(taken)
        self.order = [h for h in order if h.op not in (LITERAL, LIVE_IN)]
        self.facts = facts
        self.place = {h: i for i, h in enumerate(self.order)}
        self.users = users(order, roots)
        self.home: dict[Hop, set[Hop]] = {}

    def find(self) -> list[Region]:
        """Regions that save passes over memory."""
        if not any(self._is_large(h) for h in self.users):
            return []
        for hop in self.order:
            if hop not in self.taken and self._splits(hop):
                self.home[hop] = {hop}
                for arg in parts(hop, self.facts):
                    if arg in self.home and not is_total(arg):
                        self._merge(self.home[arg], self.home[hop])
        self._merge_readers()
        found = {id(members): members for members in self.home.values()}
        return [r for members in found.values() if self._pays(r := self._region(members))]

    def _merge_readers(self) -> None:
        """Members that read the same large value read it once."""
        for value in self.users:
            if self._is_large(value):
                readers = [u for u in self._in_order(self.users[value]) if u in self.home and value in parts(u, self.facts)]
                for one, other in combinations(readers, 2):
                    self._merge(self.home[one], self.home[other])

    def _in_order(self, hops: Iterable[Hop | None]) -> list[Hop]:
        return sorted((h for h in hops if h is not None and h in self.place), key=self.place.__getitem__)

    def _region(self, members: set[Hop]) -> Region:
        hops = self._in_order(members)
        rows = self._rows(members)
        assert rows is not None
        absorbed = list(dict.fromkeys(h.args[0] for h in hops if is_product(h) and self._stands_for_a_part(h.args[0], members)))
        inside = members.union(absorbed)
        return Region(rows, hops, [h for h in hops if not self.users[h] <= inside], absorbed)

    # ------------------------------------------------------------ what can be a member
    def _splits(self, hop: Hop) -> bool:
        """Whether an operator gives its result by blocks of rows, or joins results of blocks, on dense operands."""
        row = BY_NAME.get(hop.op)
        if row is None or row.effect or hop.tag or len(row.results) != 1:
            return False
        known = all(self._is_plain(self.facts[a]) for a in hop.args if a.op != LITERAL)
        if not known or not self._is_plain(self.facts[hop]):
            return False
        split = parts(hop, self.facts)
        if not split or any(a.op == LITERAL for a in split) or (self.facts[split[0]].rows or 0) < 2:
            return False
        return self._keeps_rows(hop) or self._is_joined(hop)

    def _keeps_rows(self, hop: Hop) -> bool:
        fact = self.facts[hop]
        if hop.op == "matmul":
            return not is_product(hop) and (fact.cols or 0) <= THIN
        if hop.op in _BY_ROW:
            return True
        if not BY_NAME[hop.op].kernel.startswith(_MODULES) or hop.op in _NOT_CELLWISE or not fact.is_matrix:
            return False
        return all(self._fits_beside(self.facts[a], fact) for a in hop.args if self.facts[a].is_matrix)

    @staticmethod
    def _fits_beside(operand: Fact, result: Fact) -> bool:
        return operand.rows in (1, result.rows) and operand.cols in (1, result.cols)

    def _is_joined(self, hop: Hop) -> bool:
        if is_product(hop) or hop.op == "tmm" or hop.op in _CHAINS:
            return (self.facts[hop].cols or 0) <= THIN
        matrices = [self.facts[a] for a in hop.args if self.facts[a].is_matrix]
        same = all((f.rows, f.cols) == (matrices[0].rows, matrices[0].cols) for f in matrices)
        return hop.op in JOINS and same and len(matrices) == len(hop.args)

    @staticmethod
    def _is_plain(fact: Fact) -> bool:
        if fact.is_matrix:
            return fact.dense and bool(fact.cells)
        return fact.is_scalar and fact.vtype in ("double", "int")

    def _is_large(self, hop: Hop) -> bool:
        fact = self.facts[hop]
        return fact.is_matrix and fact.dense and (fact.cells or 0) >= REGION_CELLS and (fact.rows or 0) > 1

    # ------------------------------------------------------------ what may run together
    def _rows(self, members: set[Hop]) -> int | None:
        return self.facts[parts(next(iter(members)), self.facts)[0]].rows

    def _can_run_at_once(self, members: set[Hop]) -> bool:
        """Whether nothing outside has to run between two members, and no member needs the whole of another."""
        first, last = (pick(self.place[h] for h in members) for pick in (min, max))
        read = {a for h in members for a in h.args}
        after: set[Hop] = set()  # what depends on members without being one, and stores into what they read
        for hop in self.order[first : last + 1]:
            if hop in members:
                split, whole = parts(hop, self.facts), wholes(hop, self.facts)
                if any(a in after for a in (*hop.args, *split)):
                    return False
                if any(a in members for a in whole) or any(a in members and is_total(a) for a in split):
                    return False
            elif self._stands_for_a_part(hop, members):
                continue
            elif any(a in members or a in after for a in hop.args) or (hop.op == "leftindex" and hop.args[0] in read):
                after.add(hop)
        return True

    def _stands_for_a_part(self, hop: Hop, members: set[Hop]) -> bool:
        """A transpose that only members read, each as the rows of what is transposed."""
        return hop.op == "t" and all(u in members and is_product(u) and u.args[0] is hop for u in self.users[hop])

    def _pays(self, region: Region) -> bool:
        """Whether a pass over a large value is saved, or work that takes longer than such a pass is shared by the cores."""
        inside = set(region.hops)
        split = region.split(self.facts)
        if max(self.facts[h].cols or 0 for h in (*split, *inside) if self.facts[h].rows == region.rows) > _WIDEST:
            return False
        readers = inside.union(region.absorbed)
        read_in_cache = any(self._is_large(h) and self.users[h] & readers for h in inside)
        read_once = any(self._is_large(a) and len(self.users[a] & readers) > 1 for a in split)
        chain = any(h.op in _CHAINS and self._is_large(h.args[0]) for h in inside)
        return read_in_cache or read_once or chain or any(self._is_large(h) and self._is_heavy(h) for h in inside)

    def _is_heavy(self, hop: Hop) -> bool:
        flops = estimate(hop, self.facts).flops
        return flops is not None and flops >= FUNCTION * (self.facts[hop].cells or 0)


def contracted(order: Sequence[Hop], regions: Iterable[Unit], facts: FactTable) -> Iterator[Hop | Unit]:
    """The order with every region in one place, behind all it needs and before all that needs it."""
    regions = list(regions)
    home = {h: r for r in regions for h in r.hops if h not in r.inner}
    absorbed = {h for r in regions for h in (*r.absorbed, *r.inner)} - set(home)
    done: set[int] = set()
    for hop in order:
        if hop in absorbed:
            continue
        stack: list[tuple[Hop | Unit, bool]] = [(home.get(hop, hop), False)]
        while stack:
            unit, ready = stack.pop()
            if ready:
                yield unit
            elif id(unit) not in done:
                done.add(id(unit))
                needs = unit.args if isinstance(unit, Hop) else unit.needs(facts)
                stack.append((unit, True))
                stack.extend((home.get(a, a), False) for a in reversed(needs))


def without_cycles(order: Sequence[Hop], regions: Iterable[Unit]) -> list[Unit]:
    """Regions of which none needs a result of another that needs one of its own; of those that do, the last are left out."""
    kept = list(regions)
    while len(kept) > 1:
        needed = _needed(order, kept)
        open_ = set(range(len(kept)))
        while done := {i for i in open_ if not needed[i] & open_}:
            open_ -= done
        if not open_:
            break
        del kept[max(open_)]
    return kept


def _needed(order: Sequence[Hop], regions: Sequence[Unit]) -> list[set[int]]:
    """For each region, those whose results it needs, directly or not."""
    home = {h: i for i, r in enumerate(regions) for h in r.outputs}
    below: dict[Hop, frozenset[int]] = {}
    for hop in order:
        below[hop] = frozenset().union(*(below[a] for a in hop.args), {home[a] for a in hop.args if a in home})
    return [set().union(*(below[h] for h in r.hops)) - {i} for i, r in enumerate(regions)]
