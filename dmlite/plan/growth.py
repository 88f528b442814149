"""Growing a sampled region around its driver: what any kind of member needs, and which members may run together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from dmlite.hop.cost import is_sparse, nonzeros
from dmlite.hop.facts import Fact, matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.plan.sampled import CELL, END, PRODUCT, ROW, SUMS_OF_PRODUCTS, WIDE, Sampled, zero_places

_FUSED_CELLS: Final = frozenset({"minus_nz", "relu_backward", "one_minus_mul"})
_NO_CELLS: Final = frozenset({"min_n", "max_n", "ppred"})
_NEVER_ZERO: Final = frozenset({"neg", "abs", "sign"})  # of cells that are not


class Block(Protocol):
    """What is known of the block in which regions are looked for.

    order: its operators. place: the place of each there. taken: those of regions that were found. whole: values that would be
    computed at stored cells, but are needed otherwise too.
    """

    order: Sequence[Hop]
    facts: FactTable
    place: Mapping[Hop, int]
    taken: set[Hop]
    whole: set[Hop]


class Growth:
    """One region in the making, around a driver."""

    by_row = False

    def __init__(self, block: Block, driver: Hop):
        self.all = block
        self.driver = driver
        self.facts = block.facts
        self.fact = block.facts[driver]
        self.stored = nonzeros(self.fact) or 0.0
        self.roles: dict[Hop, str] = {}
        self.pattern, self.sparse, self.full = {driver}, {driver}, set[Hop]()

    def region(self) -> Sampled | None:
        """The largest region, if it pays."""
        for hop in self.all.order:
            if hop not in self.all.taken and hop not in self.all.whole and hop is not self.driver:
                row = BY_NAME.get(hop.op)
                if row is not None and not row.effect and not hop.tag and len(row.results) == 1:
                    role = self._role(hop)
                    if role is not None:
                        self.roles[hop] = role
        members = self._grown()
        return self._made(members) if members and self._pays(members) else None

    def _role(self, hop: Hop) -> str | None:
        """What a hop can be in a region; None for nothing."""
        raise NotImplementedError

    def _pays(self, members: set[Hop]) -> bool:
        raise NotImplementedError

    # ------------------------------------------------------------ what can be a member
    def _is_cellwise(self, hop: Hop) -> bool:
        kernel = BY_NAME[hop.op].kernel
        return (kernel.startswith("elementwise.") and hop.op not in _NO_CELLS) or hop.op in _FUSED_CELLS

    def _cell(self, hop: Hop) -> str | None:
        """Cells of the driver's shape, of operands that are there at every stored cell."""
        if not self._is_full(self.facts[hop]) or not all(map(self._fits, hop.args)):
            return None
        if self._stays_zero(hop, self.pattern):
            self.pattern.add(hop)
        elif not self._is_made_of_more(hop):
            return None
        if self._stays_zero(hop, self.sparse):
            self.sparse.add(hop)
        elif self._is_full_of_cells(hop):
            self.full.add(hop)
        else:
            return None
        return CELL

    def _is_full_of_cells(self, hop: Hop) -> bool:
        """Whether a result is an array whatever the numbers, but for zeros alone; what is sparse has zeros that NaN does not meet."""
        if self.facts[hop].dense:
            return True
        sparse = [a for a in hop.args if a.op != LITERAL and self.facts[a].is_matrix and not self.facts[a].dense and a not in self.full]
        others = [a for a in hop.args if a not in sparse]
        if all(a.op == LITERAL or self.facts[a].is_const for a in others):
            return True
        if hop.op in ("add", "sub"):
            return any(self.facts[a].is_matrix for a in others)
        return hop.op == "div" and hop.args[1] in sparse

    def _is_made_of_more(self, hop: Hop) -> bool:
        """Whether cells without the driver's pattern are worth computing beside it: those of another sparse matrix are not."""
        return self.facts[hop].dense or any(a in self.roles or a in self.pattern or self.facts[a].dense for a in hop.args)

    def _aggregates_cells(self, hop: Hop) -> bool:
        """Whether all operands have the driver's shape, and what is summed is zero where it stores nothing."""
        if not all(self._is_full(self.facts[a]) and self._fits(a) for a in hop.args):
            return False
        ours = [a in self.pattern for a in hop.args]
        return any(ours) if hop.op in SUMS_OF_PRODUCTS else all(ours)

    def _is_full(self, fact: Fact) -> bool:
        return fact.is_matrix and (fact.rows, fact.cols) == (self.fact.rows, self.fact.cols)

    def _is_number(self, operand: Hop) -> bool:
        if operand.op == LITERAL:
            return isinstance(operand.value, (int, float)) and not isinstance(operand.value, bool)
        return self.facts[operand].is_scalar and self.facts[operand].vtype in ("double", "int")

    def _fits(self, operand: Hop) -> bool:
        """Whether an operand can be had at every stored cell."""
        fact = self.facts[operand]
        if not fact.is_matrix:
            return self._is_number(operand)
        if operand is self.driver or operand in self.roles:
            return self.roles.get(operand) not in (END, WIDE)
        if fact.dense:
            return fact.rows in (1, self.fact.rows) and fact.cols in (1, self.fact.cols)
        return self._is_beside(operand)

    def _is_beside(self, operand: Hop) -> bool:
        fact = self.facts[operand]
        if self.by_row:
            return False
        return self._is_full(fact) and is_sparse(fact) and not fact.dense and operand is not self.driver and operand not in self.roles

    def _stays_zero(self, hop: Hop, zeros: set[Hop]) -> bool:
        """Whether the result is zero where operands in `zeros`, or beside the driver where those count, are."""
        counts = [a in zeros or (zeros is self.sparse and a.op != LITERAL and self._is_beside(a)) for a in hop.args]
        if not any(counts):
            return False
        if any(counts[i] for i in zero_places(hop)) or (counts[0] and self._divides_by_number(hop)):
            return True
        supposed = [self._supposed(a, empty) for a, empty in zip(hop.args, counts, strict=True)]
        nnz = BY_NAME[hop.op].nnz
        return nnz is not None and nnz(*supposed) == 0

    def _divides_by_number(self, hop: Hop) -> bool:
        """Whether an operator divides by a number of which it is seen before the region runs that zeros stay."""
        return hop.op == "div" and hop.args[1].op != LITERAL and self.facts[hop.args[1]].is_scalar and not self.facts[hop.args[1]].is_const

    def _supposed(self, operand: Hop, empty: bool) -> Fact:
        """The fact of an operand that is zero everywhere, or of which anything may be expected."""
        fact = self.facts[operand]
        if not fact.is_matrix:
            return fact
        return replace(fact, nnz_min=0, nnz_avg=None, nnz=0) if empty else matrix(fact.rows, fact.cols)

    # ------------------------------------------------------------ what may run together
    def _grown(self) -> set[Hop]:
        members: set[Hop] = set()
        for hop, role in self.roles.items():
            if role in (ROW, WIDE, END) or hop in self.pattern:
                more = {hop, *self._made_from(hop)}
                if all(h in members or h in more for h in self._shared(more)) and self._can_run_at_once(members | more):
                    members |= more
        return members

    def _is_inner(self, hop: Hop) -> bool:
        """Whether a member exists at stored cells alone."""
        return self.roles.get(hop) in (CELL, PRODUCT) and hop not in self.pattern

    def _made_from(self, hop: Hop) -> set[Hop]:
        """What is computed at the stored cells for a member alone."""
        found: set[Hop] = set()
        stack = list(hop.args)
        while stack:
            arg = stack.pop()
            if arg not in found and self._is_inner(arg):
                found.add(arg)
                stack.extend(arg.args)
        return found

    def _shared(self, hops: Iterable[Hop]) -> set[Hop]:
        """Operands that must be members, too, or else be looked up, which is another thing."""
        return {a for h in hops for a in h.args if (a in self.pattern or self.roles.get(a) in (ROW, WIDE)) and a is not self.driver}

    def _can_run_at_once(self, members: set[Hop]) -> bool:
        """Whether nothing outside has to run between two members, and no member needs the end of another."""
        place = self.all.place
        first, last = (pick(place[h] for h in members) for pick in (min, max))
        read = {a for h in members for a in h.args}
        after: set[Hop] = set()  # what depends on members without being one, and stores into what they read
        for hop in self.all.order[first : last + 1]:
            if hop in members:
                if any(a in after or (a in members and self.roles[a] == END) for a in hop.args):
                    return False
            elif any(a in members or a in after for a in hop.args) or (hop.op == "leftindex" and hop.args[0] in read):
                after.add(hop)
        return True

    def _made(self, members: set[Hop]) -> Sampled:
        hops = sorted(members, key=self.all.place.__getitem__)
        never = {self.driver}
        for hop in hops:
            if hop.op in _NEVER_ZERO and hop.args[0] in never:
                never.add(hop)
        beside = dict.fromkeys(a for h in hops for a in h.args if a.op != LITERAL and self._is_beside(a))
        return Sampled(
            driver=self.driver,
            hops=hops,
            outputs=[],
            roles={h: self.roles[h] for h in hops},
            pattern=frozenset(self.pattern & {self.driver, *hops}),
            beside=list(beside),
            sparse=frozenset(self.sparse.union(beside) - never),
            inner=frozenset(filter(self._is_inner, members)),
            divisors=frozenset(h.args[1] for h in hops if self._divides_by_number(h)),
            by_row=self.by_row,
        )
