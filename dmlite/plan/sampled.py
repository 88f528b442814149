"""Sampled regions: operators that are needed only where a CSR matrix, the driver, stores cells, run together in one pass over these.

Members are cells with the pattern of the driver (a product with it, say), what such cells are made from, which then never exists
whole (`U %*% t(V)` and functions of it), and sums and thin products of the cells. Of values from outside, dense ones are looked
up at the stored cells, further CSR matrices of the same shape are brought into the order of the driver first.

Regions by row hold numbers for each row of the driver as well, from which later members are made (`t(X) %*% (w * (X %*% v))`, or
`rowIndexMin(norms - 2 * (X %*% t(C)))`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from dmlite.hop.cost import cost_by_facts, nonzeros
from dmlite.hop.facts import Fact, matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, Hop
from dmlite.hop.ops import BY_NAME

TOTALS: Final = frozenset({"sum", "sumsq", "nnz", "min_agg", "max_agg", "tak", "tak3", "sumsq_diff"})
BY_ROW: Final = frozenset({"rowSums", "rowSumsSq", "tak_rows"})
BY_COLUMN: Final = frozenset({"colSums", "colSumsSq", "tak_cols"})
CHAINS: Final = frozenset({"mmchain", "mmchain_w", "mmchain_y"})
SUMS_OF_PRODUCTS: Final = frozenset({"tak", "tak3", "tak_rows", "tak_cols"})
# What an operator makes of a cell of the driver and one of a product of factors, U %*% t(V), to which a number may be added.
DRIVEN: Final = {"wdivmm_mul": "{0} * {1}", "wdivmm_div": "{0} / {1}"}
_ZERO: Final = {"minus_nz": (0,)}

FEW: Final = 32  # columns of a product with the cells of a row up to which its numbers are held as those of the row

CELL, PRODUCT, ROW, WIDE, END = "cell", "product", "row", "wide", "end"


def zero_places(hop: Hop) -> Sequence[int]:
    """Operands of which a zero that a CSR matrix does not store makes the result zero."""
    if hop.op in SUMS_OF_PRODUCTS:
        return range(len(hop.args))
    return _ZERO.get(hop.op) or BY_NAME[hop.op].zero


def seconds_at_cells(hop: Hop, role: str, driver: Fact, facts: FactTable) -> float:
    """The estimated time of a member at the stored cells of the driver alone."""
    stored = nonzeros(driver) or 0.0
    if role == PRODUCT:
        return 2.0 * stored * (facts[hop.args[0]].cols or 1) / facts.machine.sparse_rate
    if hop.op in DRIVEN:
        return 2.0 * stored * (facts[hop.args[1]].cols or 1) / facts.machine.sparse_rate
    at_cells = matrix(int(stored) + 1, 1)
    result, *operands = (at_cells if (facts[h].rows, facts[h].cols) == (driver.rows, driver.cols) else facts[h] for h in (hop, *hop.args))
    return cost_by_facts(hop.op, result, operands, machine=facts.machine).seconds or 0.0


def operands_of(driven: Hop) -> list[Hop]:
    """Driver and factors of an operator in DRIVEN, and the number that is added to the product, if there is one."""
    return [a for a in driven.args if a.op != LITERAL or a.value is not None]


@dataclass(frozen=True)
class Given:
    """An operand from outside. kind: f factor whose rows are read, turned: those of its transpose; a other array; c CSR beside the driver;
    d number, q one that is neither zero nor NaN.
    """

    hop: Hop
    kind: str
    turned: bool = False


@dataclass(eq=False)
class Sampled:
    """driver: whose stored cells are gone through. hops: the members in their order. outputs: what is needed outside.

    roles: of each member: CELL, PRODUCT (of thin factors, computed at the stored cells), ROW (a number for each row of the driver),
    WIDE (a few of them) or END (a sum, or a thin product of cells, which no member reads).
    pattern: the driver and cells that are zero where it stores nothing. beside: CSR matrices from outside that are brought into its order.
    inner: members that exist at stored cells alone; several regions may compute the same.
    divisors: numbers that must be neither zero nor NaN.
    sparse: values of which a zero makes a product zero whatever stands opposite, but for those that are never zero where the driver is not.
    """

    driver: Hop
    hops: list[Hop]
    outputs: list[Hop]
    roles: dict[Hop, str]
    pattern: frozenset[Hop]
    beside: list[Hop]
    sparse: frozenset[Hop]
    inner: frozenset[Hop]
    divisors: frozenset[Hop]
    by_row: bool
    absorbed: tuple[Hop, ...] = ()

    @property
    def operands(self) -> list[Hop]:
        """Values from outside besides the driver, in the order in which members read them."""
        inside = {self.driver, *self.hops}
        return list(dict.fromkeys(a for h in self.hops for a in h.args if a not in inside and a.op != LITERAL))

    def needs(self, _: FactTable) -> list[Hop]:
        """What must be there before the region starts."""
        return [self.driver, *self.operands]

    def seconds(self, hop: Hop, facts: FactTable) -> float | None:
        """The estimated time of a member that gives cells or sums them; None of others."""
        if hop.op in ("matmul", "tmm", *CHAINS) and self.roles[hop] != PRODUCT:
            return None
        return seconds_at_cells(hop, self.roles[hop], facts[self.driver], facts)

    def cells(self) -> list[Hop]:
        """Members that give a number at each stored cell."""
        return [h for h in self.hops if self.roles[h] in (CELL, PRODUCT)]

    def quotients(self) -> list[Hop]:
        """Members that divide by a product, of which no cell may be zero or NaN, also where the driver stores nothing."""
        return [h for h in self.hops if h.op == "wdivmm_div"]

    def totals(self) -> list[Hop]:
        """Members that give a number in all."""
        return [h for h in self.hops if h.op in TOTALS]

    def vanishing(self, hop: Hop, facts: FactTable) -> list[Hop]:
        """Operands whose zeros must be seen to, since a product with them could give NaN."""
        zeros = list(dict.fromkeys(hop.args[i] for i in zero_places(hop) if hop.args[i] in self.sparse))
        return [z for z in zeros if any(a is not z and facts[a].may_nan for a in hop.args)]

    def factors(self) -> Iterator[tuple[Hop, Hop, bool]]:
        """Members with operands whose rows are read, and whether those are the rows of the transposed operand."""
        for hop in self.hops:
            if hop.op == "matmul":
                is_product = self.roles[hop] == PRODUCT
                yield from ((hop, a, (place == 1) == is_product) for place, a in enumerate(hop.args))
            elif hop.op == "tmm" or hop.op in CHAINS:
                yield hop, hop.args[1], False
            elif hop.op in DRIVEN:
                yield from ((hop, a, False) for a in hop.args[1:3])

    def given(self, facts: FactTable) -> list[Given]:
        """The operands in their order; one that is read in two ways comes twice."""
        outside = set(self.operands)
        found = {(arg, turned): Given(arg, "f", turned) for _, arg, turned in self.factors() if arg in outside}
        factors = {(hop, arg) for hop, arg, _ in self.factors()}
        for hop in self.hops:
            for arg in hop.args:
                if arg in outside and (hop, arg) not in factors and (arg, False) not in found:
                    kind = "c" if arg in self.beside else "a" if facts[arg].is_matrix else "q" if arg in self.divisors else "d"
                    found[arg, False] = Given(arg, kind)
        return list(found.values())
