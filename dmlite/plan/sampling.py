"""Finding the sampled regions of a block: which operators can be members, which of them may run together, and whether that pays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from dmlite.hop.cost import estimate, is_sparse
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, Hop, users
from dmlite.plan.growth import Growth
from dmlite.plan.sampled import (
    BY_COLUMN,
    BY_ROW,
    CELL,
    CHAINS,
    DRIVEN,
    END,
    FEW,
    PRODUCT,
    ROW,
    TOTALS,
    WIDE,
    Sampled,
    operands_of,
    seconds_at_cells,
)

SAMPLED_CELLS: Final = 1 << 17  # of the driver, stored or not; of those stored, where no larger value is avoided
_HELD: Final = 1 << 22  # numbers of a product with transposed cells up to which each range of rows may have all of them
RANK: Final = 128  # of a product that is computed cell by cell, and columns of products with the cells
_PASSES: Final = 3  # over stored cells from which on one pass instead pays, where no larger value is avoided
_PASSES_BY_ROW: Final = 2
_EXTREMES: Final = frozenset({"min_agg", "max_agg"})
_OF_WIDE: Final = BY_ROW | {"rowMeans", "rowMaxs", "rowMins", "rowIndexMax", "rowIndexMin"}


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


class _Cells(Growth):
    """Cells, what they are made from, and what is made of them."""

    def _role(self, hop: Hop) -> str | None:
        if hop.op == "matmul" or hop.op == "tmm":
            return self._product(hop)
        if hop.op in DRIVEN:
            return self._driven(hop)
        if hop.op in TOTALS or hop.op in BY_ROW or hop.op in BY_COLUMN:
            return END if self._aggregates_cells(hop) else None
        return self._cell(hop) if self._is_cellwise(hop) else None

    def _product(self, hop: Hop) -> str | None:
        a, b = hop.args
        left, right = self.facts[a], self.facts[b]
        ours = [x for x in (a, b) if x in self.pattern and x is not self.driver]
        if len(ours) == 1:
            other, width = (right, right.cols) if ours[0] is a else (left, left.rows)
            by_row = hop.op == "matmul" and ours[0] is a
            legal = hop.op == "matmul" or ours[0] is a
            fits = (self.facts[hop].cells or 0) > 0 and (by_row or (self.facts[hop].cells or 0) <= _HELD)
            return END if legal and fits and other.dense and 0 < (width or 0) <= RANK else None
        if hop.op == "tmm" or ours or not (left.dense and right.dense) or not self._is_full(self.facts[hop]):
            return None
        return PRODUCT if 0 < (left.cols or 0) <= RANK and left.cols == right.rows else None

    def _driven(self, hop: Hop) -> str | None:
        """Cells of the driver itself beside thin factors."""
        w, u, v, *rest = operands_of(hop)
        are_thin = all(self.facts[a].dense and 0 < (self.facts[a].cols or 0) <= RANK and a not in self.roles for a in (u, v))
        if w is not self.driver or not are_thin or not self._is_full(self.facts[hop]) or not all(map(self._is_number, rest)):
            return None
        self.pattern.add(hop)
        self.sparse.add(hop)
        return CELL

    def _pays(self, members: set[Hop]) -> bool:
        """Whether stored cells take less than whole values, or passes are saved."""
        avoided = [h for h in members if self._is_inner(h)]
        if not avoided:
            return len(members) >= _PASSES and self.stored >= SAMPLED_CELLS
        saved = [estimate(h, self.facts).seconds for h in avoided]
        return None not in saved and sum(map(self._costs, avoided)) < sum(s for s in saved if s is not None)

    def _costs(self, hop: Hop) -> float:
        return seconds_at_cells(hop, self.roles[hop], self.fact, self.facts)


class _Rows(Growth):
    """Numbers for each row of the driver, one or a few, and what is made of the row and of them."""

    by_row = True

    def _role(self, hop: Hop) -> str | None:
        if hop.op == "matmul" or hop.op == "tmm" or hop.op in CHAINS:
            return self._product(hop)
        if any(self.roles.get(a) == WIDE for a in hop.args):
            return self._made_of_wide(hop)
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
        """A product of the cells with few columns, and of the transposed cells with columns."""
        x, v, *beside = hop.args
        fact = self.facts[v]
        if x not in self.pattern or not (fact.dense or self.roles.get(v) == ROW) or not self.facts[hop].cells:
            return None
        if hop.op == "tmm":
            return END if self.roles.get(v) in (ROW, WIDE) or (v not in self.roles and 0 < (fact.cols or 0) <= RANK) else None
        if v in self.roles:
            return None
        if hop.op == "matmul" and 1 < (fact.cols or 0) <= FEW:
            return WIDE
        if fact.cols != 1 or not all(self._is_by_row(y) and self._is_column(self.facts[y]) for y in beside):
            return None
        return END if hop.op in CHAINS else ROW

    def _made_of_wide(self, hop: Hop) -> str | None:
        """What is made of a few numbers for each row: as many others, one, or a total."""
        fact = self.facts[hop]
        if hop.op in _OF_WIDE or hop.op in TOTALS - _EXTREMES:
            shapes = {(self.facts[a].rows, self.facts[a].cols) for a in hop.args}
            if len(shapes) > 1 or not all(self._is_beside_wide(a, self.facts[a].cols) for a in hop.args):
                return None
            return ROW if hop.op in _OF_WIDE else END
        is_wide = fact.dense and fact.rows == self.fact.rows and self._is_cellwise(hop)
        return WIDE if is_wide and all(self._is_beside_wide(a, fact.cols) for a in hop.args) else None

    def _is_beside_wide(self, operand: Hop, cols: int | None) -> bool:
        """Whether an operand can be had for each of the numbers of a row."""
        fact = self.facts[operand]
        if operand in self.roles:
            return self.roles[operand] == ROW or (self.roles[operand] == WIDE and fact.cols == cols)
        return self._is_number(operand) or (fact.dense and fact.rows in (1, self.fact.rows) and fact.cols in (1, cols))

    def _aggregates_rows(self, hop: Hop) -> bool:
        """Whether numbers of rows are summed."""
        if hop.op in _EXTREMES or hop.op in BY_COLUMN or not any(self.roles.get(a) == ROW for a in hop.args):
            return False
        return all(self._is_by_row(a) and self._is_column(self.facts[a]) for a in hop.args)

    def _pays(self, members: set[Hop]) -> bool:
        """Whether the stored cells are gone through less often, or numbers of rows are read as soon as they are there."""
        passes = sum(1 + (h.op in CHAINS) for h in members if any(a in self.pattern for a in h.args))
        is_by_row = any(self.roles[h] in (ROW, WIDE) or h.op in CHAINS for h in members)
        is_read = any(a in members and self.roles[a] == WIDE for h in members for a in h.args)
        return is_by_row and (passes >= _PASSES_BY_ROW or is_read) and self.stored >= SAMPLED_CELLS
