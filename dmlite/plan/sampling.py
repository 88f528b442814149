"""Finding the sampled regions of a block: which operators can be members, which of them may run together, and whether that pays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from dmlite.hop.cost import estimate, is_sparse, nonzeros
from dmlite.hop.facts import Fact, matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, Hop, users
from dmlite.hop.ops import BY_NAME
from dmlite.plan.sampled import (
    BY_COLUMN,
    BY_ROW,
    CELL,
    CHAINS,
    END,
    PRODUCT,
    ROW,
    SUMS_OF_PRODUCTS,
    TOTALS,
    Sampled,
    seconds_at_cells,
    zero_places,
)

SAMPLED_CELLS: Final = 1 << 17  # of the driver, stored or not; of those stored, where no larger value is avoided
RANK: Final = 128  # of a product that is computed cell by cell, and columns of products with the cells
_PASSES: Final = 3  # over stored cells from which on one pass instead pays, where no larger value is avoided
_PASSES_BY_ROW: Final = 2
_FUSED_CELLS: Final = frozenset({"minus_nz", "relu_backward", "one_minus_mul"})
_NO_CELLS: Final = frozenset({"min_n", "max_n", "ppred"})
_NEVER_ZERO: Final = frozenset({"neg", "abs", "sign"})  # of cells that are not
_EXTREMES: Final = frozenset({"min_agg", "max_agg"})


class Sampling:
    """Finds the sampled regions of one block."""

    def __init__(self, order: Sequence[Hop], roots: Iterable[Hop], facts: FactTable, taken: Iterable[Hop] = ()):
        """taken: operators that run otherwise."""
        others = frozenset(taken)
        self.order = [h for h in order if h.op not in (LITERAL, LIVE_IN) and h not in others]
        self.leaves = [h for h in order if h.op == LIVE_IN]
        self.facts = facts
        self.place = {h: i for i, h in enumerate(self.order)}
        self.users = users(order, roots)
        self.whole: set[Hop] = set()  # values that would be computed at stored cells, but are needed otherwise too

    def find(self) -> list[Sampled]:
        """Regions that avoid large values, or save passes over stored cells."""
        drivers = [h for h in (*self.leaves, *self.order) if self._drives(self.facts[h])]
        while drivers:
            found = self._regions(drivers)
            inside = {h for r in found for h in r.hops}
            read = {a for r in found for a in r.operands}
            whole = {h for r in found for h in r.inner if h in read or not self.users[h] <= inside}
            if not whole:
                return [self._with_outputs(region, found) for region in found]
            self.whole |= whole
        return []

    def _with_outputs(self, region: Sampled, found: Iterable[Sampled]) -> Sampled:
        """A region with what is needed outside of it, which is what others read, too."""
        inside = set(region.hops)
        read = {a for other in found if other is not region for a in other.operands}
        outputs = [h for h in region.hops if h not in region.inner and (h in read or not self.users[h] <= inside)]
        return replace(region, outputs=outputs)

    def _regions(self, drivers: Iterable[Hop]) -> list[Sampled]:
        self.taken: set[Hop] = set()
        found = []
        for driver in drivers:
            for kind in (_Cells, _Rows):
                while driver not in self.taken and (region := kind(self, driver).region()) is not None:
                    self.taken.update(set(region.hops) - region.inner)
                    found.append(region)
        return found

    @staticmethod
    def _drives(fact: Fact) -> bool:
        """Whether a value is expected to be CSR, with cells enough."""
        return (fact.cells or 0) >= SAMPLED_CELLS and min(fact.rows or 0, fact.cols or 0) > 1 and is_sparse(fact)


class _Growth:
    """One region in the making, around a driver."""

    by_row = False

    def __init__(self, sampling: Sampling, driver: Hop):
        self.all = sampling
        self.driver = driver
        self.facts = sampling.facts
        self.fact = sampling.facts[driver]
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
            return self.roles.get(operand) != END
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
            if role in (ROW, END) or hop in self.pattern:
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
        return {a for h in hops for a in h.args if (a in self.pattern or self.roles.get(a) == ROW) and a is not self.driver}

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


class _Cells(_Growth):
    """Cells, what they are made from, and what is made of them."""

    def _role(self, hop: Hop) -> str | None:
        if hop.op == "matmul" or hop.op == "tmm":
            return self._product(hop)
        if hop.op in TOTALS or hop.op in BY_ROW or hop.op in BY_COLUMN:
            return END if self._aggregates_cells(hop) else None
        return self._cell(hop) if self._is_cellwise(hop) else None

    def _product(self, hop: Hop) -> str | None:
        a, b = hop.args
        left, right = self.facts[a], self.facts[b]
        ours = [x for x in (a, b) if x in self.pattern and x is not self.driver]
        if len(ours) == 1:
            other, width = (right, right.cols) if ours[0] is a else (left, left.rows)
            legal = hop.op == "matmul" or ours[0] is a
            return END if legal and other.dense and 0 < (width or 0) <= RANK and self.facts[hop].cells else None
        if hop.op == "tmm" or ours or not (left.dense and right.dense) or not self._is_full(self.facts[hop]):
            return None
        return PRODUCT if 0 < (left.cols or 0) <= RANK and left.cols == right.rows else None

    def _pays(self, members: set[Hop]) -> bool:
        """Whether stored cells take less than whole values, or passes are saved."""
        avoided = [h for h in members if self._is_inner(h)]
        if not avoided:
            return len(members) >= _PASSES and self.stored >= SAMPLED_CELLS
        saved = [estimate(h, self.facts).seconds for h in avoided]
        return None not in saved and sum(map(self._costs, avoided)) < sum(s for s in saved if s is not None)

    def _costs(self, hop: Hop) -> float:
        return seconds_at_cells(hop, self.roles[hop], self.fact, self.facts)


class _Rows(_Growth):
    """Numbers for each row of the driver, and what is made of the row and of them."""

    by_row = True

    def _role(self, hop: Hop) -> str | None:
        if hop.op == "matmul" or hop.op == "tmm" or hop.op in CHAINS:
            return self._product(hop)
        if hop.op in BY_ROW:
            return ROW if self._aggregates_cells(hop) else None
        if hop.op in TOTALS or hop.op in BY_COLUMN:
            return END if self._aggregates_cells(hop) or self._aggregates_rows(hop) else None
        if not self._is_cellwise(hop):
            return None
        if self._is_column(self.facts[hop]):
            return ROW if any(self.roles.get(a) == ROW for a in hop.args) and all(map(self._is_by_row, hop.args)) else None
        return self._cell(hop)

    def _is_made_of_more(self, hop: Hop) -> bool:
        return False

    def _is_column(self, fact: Fact) -> bool:
        return fact.is_matrix and (fact.rows, fact.cols) == (self.fact.rows, 1)

    def _is_by_row(self, operand: Hop) -> bool:
        """Whether an operand is a number, or one for each row."""
        fact = self.facts[operand]
        return (
            self._is_number(operand)
            or self.roles.get(operand) == ROW
            or (fact.dense and fact.cols == 1 and fact.rows in (1, self.fact.rows))
        )

    def _product(self, hop: Hop) -> str | None:
        """A product of the cells with a column, and of the transposed cells with columns."""
        x, v, *beside = hop.args
        fact = self.facts[v]
        if x not in self.pattern or not (fact.dense or self.roles.get(v) == ROW) or not self.facts[hop].cells:
            return None
        if hop.op == "tmm":
            return END if self.roles.get(v) == ROW or (v not in self.roles and 0 < (fact.cols or 0) <= RANK) else None
        if v in self.roles or fact.cols != 1 or not all(self._is_by_row(y) and self._is_column(self.facts[y]) for y in beside):
            return None
        return END if hop.op in CHAINS else ROW

    def _aggregates_rows(self, hop: Hop) -> bool:
        """Whether numbers of rows are summed."""
        if hop.op in _EXTREMES or hop.op in BY_COLUMN or not any(self.roles.get(a) == ROW for a in hop.args):
            return False
        return all(self._is_by_row(a) and self._is_column(self.facts[a]) for a in hop.args)

    def _pays(self, members: set[Hop]) -> bool:
        """Whether the stored cells are gone through less often."""
        passes = sum(1 + (h.op in CHAINS) for h in members if any(a in self.pattern for a in h.args))
        is_by_row = any(self.roles[h] == ROW or h.op in CHAINS for h in members)
        return is_by_row and passes >= _PASSES_BY_ROW and self.stored >= SAMPLED_CELLS
