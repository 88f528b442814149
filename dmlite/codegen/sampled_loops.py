"""A sampled region as the source of one loop over the stored cells of its driver, for a compiler.

The cells of each row are gone through in stages: a stage needs the numbers of the row that the stages before it give. Operands come as
addresses; of factors, rows of few columns are read. The source depends on the structure of the region alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dmlite.codegen.loops import INLINE, Loop, Total, Unsuitable, indented, strips
from dmlite.codegen.templates import LOOP_CELLS, LOOP_TOTALS
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, Hop
from dmlite.plan.sampled import BY_COLUMN, BY_ROW, CELL, CHAINS, DRIVEN, END, FEW, PRODUCT, ROW, TOTALS, WIDE, Given, Sampled, operands_of

_SUMS = {
    **LOOP_TOTALS,
    "nnz": ("plus", "truth({0} != 0.0)"),
    "rowSums": ("plus", "{0}"),
    "rowSumsSq": ("plus_product", "{0}, {0}"),
    "tak_rows": ("plus_product", "{0}, {1}"),
}
_CHAINS = {"mmchain": "{0}", "mmchain_w": "{0} * {1}", "mmchain_y": "{0} - {1}"}


@dataclass(frozen=True)
class End:
    """A result: kind "cells" with the pattern of the driver, "rows" x cols, or "total", whose parts are joined."""

    kind: str
    cols: int = 1
    join: str = "plus"


@dataclass(frozen=True)
class SampledLoop(Loop):
    """A loop for rows i to j of the driver, a matrix of m columns; ends: its results in their order."""

    ends: tuple[End, ...] = ()


@dataclass
class _Stage:
    """Statements before the cells of a row, for each of so many numbers of the row, for each cell, and after; the cells that are there."""

    before: list[str] = field(default_factory=list)
    wide: dict[int, list[str]] = field(default_factory=dict)
    cells: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    there: set[object] = field(default_factory=set)


class SampledLoopWriter:
    """Writes the loop of a region whose numbers are those of stored cells, or one for each row."""

    def __init__(self, region: Sampled, given: list[Given], facts: FactTable):
        self.region, self.given, self.facts = region, given, facts
        self.stages = [_Stage()]
        self.at: dict[Hop, int] = {}  # before the cells of which stage a number of the row is there
        self.loaded: dict[Hop, str] = {}  # numbers from outside, once for a row
        self.numbers: list[float] = []
        self.sums: list[tuple[str, str]] = []  # accumulators of all rows, and where they end up
        self.totals: list[tuple[Hop, str]] = []  # and how many numbers each takes
        self.results = [h for h in region.outputs if region.roles[h] != END or self._is_by_row(h)]

    def _is_by_row(self, hop: Hop) -> bool:
        """Whether a result has a row for each of the driver's."""
        return self.region.roles[hop] in (ROW, WIDE) or hop.op in BY_ROW or (hop.op == "matmul" and hop.args[0] in self.region.pattern)

    def write(self) -> SampledLoop:
        """The loop. Raises Unsuitable."""
        for hop in self.region.hops:
            self._member(hop)
        return self._loop()

    # ------------------------------------------------------------ members
    def _member(self, hop: Hop) -> None:
        role = self.region.roles[hop]
        if role in (CELL, PRODUCT):
            if hop in self.results:
                value = self._read(hop, stage := self._stage_of(hop))
                self._at(stage).cells.append(f"{self._result(hop)}[q] = {value}")
        elif hop.op in CHAINS:
            self._chain(hop)
        elif hop.op == "matmul" and role == ROW:
            self._row_sum(hop, "plus_product", f"{{0}}, {self._column(hop.args[1])}", hop.args[:1])
        elif hop.op in ("matmul", "tmm"):
            self._times_factor(hop)
        elif role == ROW and hop.op not in BY_ROW:
            self._row_value(hop)
        else:
            self._aggregate(hop)

    def _name(self, hop: Hop) -> str:
        return f"v{self.region.hops.index(hop)}"

    def _result(self, hop: Hop) -> str:
        return f"o{self.results.index(hop)}"

    def _at(self, stage: int) -> _Stage:
        while len(self.stages) <= stage:
            self.stages.append(_Stage())
        return self.stages[stage]

    def _stage_of(self, hop: Hop) -> int:
        """The first stage in which a value can be had."""
        if hop in self.at:
            return self.at[hop]
        if self.region.roles.get(hop) not in (CELL, PRODUCT):
            return 0
        stage = self.at[hop] = max(map(self._stage_of, hop.args), default=0)
        return stage

    def _row_value(self, hop: Hop) -> None:
        """A number for each row, of others."""
        if hop.op not in LOOP_CELLS:
            raise Unsuitable
        stage = self.at[hop] = max(map(self._stage_of, hop.args))
        args = [self._read(a, stage) for a in hop.args]
        self._at(stage).before.append(f"{self._name(hop)} = {LOOP_CELLS[hop.op].format(*args)}")
        if hop in self.results:
            self._at(stage).before.append(f"{self._result(hop)}[r] = {self._name(hop)}")

    def _row_sum(self, hop: Hop, join: str, cell: str, args: tuple[Hop, ...]) -> None:
        """A sum over the cells of a row, which is there before the next stage."""
        stage, name = max(map(self._stage_of, args)), self._name(hop)
        statement = self._joined(hop, stage, name, join, cell.format(*(self._read(a, stage) for a in args)))
        self._at(stage).before.append(f"{name} = 0.0")
        self._at(stage).cells.append(statement)
        self.at[hop] = stage + 1
        if hop in self.results and hop.op not in CHAINS:
            self._at(stage).after.append(f"{self._result(hop)}[r] = {name}")

    def _joined(self, hop: Hop, stage: int, target: str, join: str, value: str) -> str:
        """The statement that joins a value, or a product, to what is there."""
        zeroed = self._zeroed(hop, stage, " * ".join(f"({x})" for x in value.split(", ")))
        return f"{target} = plus({target}, {zeroed})" if zeroed.startswith("choose") else f"{target} = {join}({target}, {value})"

    def _aggregate(self, hop: Hop) -> None:
        """Sums, and the like, over the cells of a row, of all, or of a column; and over numbers of rows."""
        join, cell = _SUMS[hop.op]
        if hop.op in BY_ROW:
            self._row_sum(hop, join, cell, hop.args)
            return
        stage, name = max(map(self._stage_of, hop.args)), self._name(hop)
        value = cell.format(*(self._read(a, stage) for a in hop.args))
        place = self._at(stage)
        if hop.op in BY_COLUMN:
            place.cells.append(self._joined(hop, stage, f"z[{self._total(hop, 'm')} + c]", join, value))
            return
        self.sums.append((f"{name}_all", f"z[{self._total(hop, '1')}]"))
        if any(self.region.roles.get(a) == ROW for a in hop.args):
            place.before.append(self._joined(hop, stage, f"{name}_all", join, value))
            return
        place.before.append(f"{name} = 0.0")
        place.cells.append(self._joined(hop, stage, name, join, value))
        place.after.append(f"{name}_all = {join.removesuffix('_product')}({name}_all, {name})")

    def _times_factor(self, hop: Hop) -> None:
        """Products of the cells with the rows of a factor, from either side; zeros are not there."""
        ours = 0 if hop.args[0] in self.region.pattern else 1
        cells, other = hop.args[ours], hop.args[1 - ours]
        stage = max(self._stage_of(cells), self._stage_of(other))
        value = self._read(cells, stage)
        if other in self.region.roles or (hop.op == "tmm" and self.facts[other].cols == 1):
            self._into_column(hop, stage, cells, self._read(other, stage))
            return
        f, k = self._factor(other, ours == 1), self._width(other, ours == 1)
        by_row = hop.op == "matmul" and ours == 0
        row = self._of_cell(f, stage) if by_row else self._of_row(f)
        target = f"{self._result(hop)}, r * k{f}" if by_row else f"z, {self._total(hop, f'm * k{f}')} + c * k{f}"
        self._at(stage).cells.append(f"if {value} != 0.0:")
        if k > FEW:
            cell = "{}[{} + l]".format(*target.split(", "))
            self._for_columns(f, stage, f"{cell} = plus_product({cell}, {value}, a{f}[{row} + l])", "    ")
        elif by_row:
            self._sum_rows(hop, stage, f"{value}, a{f}, {row}", k)
            self._at(stage).after += [f"put({self._name(hop)}_{c}, {target} + {c})" for c, _ in strips(k)]
        else:
            self._at(stage).cells += [f"    {line}" for line in self._added(k, target, f"{value}, a{f}, {row}")]

    def _width(self, factor: Hop, turned: bool) -> int:
        """How many numbers its rows have."""
        fact = self.facts[factor]
        return (fact.rows if turned else fact.cols) or 0

    def _sum_rows(self, hop: Hop, stage: int, product: str, k: int) -> None:
        """Sums over the cells of a row that stay in registers. product: a number, and where the row that it is multiplied with is."""
        name, place = self._name(hop), self._at(stage)
        for c, lanes in strips(k):
            place.before.append(f"{name}_{c} = zeros({lanes})")
            place.cells.append(f"    {name}_{c} = plus_times({name}_{c}, {product} + {c})")

    @staticmethod
    def _added(k: int, target: str, product: str) -> Iterator[str]:
        """Statements that add a product, as in `_sum_rows`, to the numbers of an array from a place on."""
        for c, lanes in strips(k):
            yield f"put(plus_times(get({lanes}, {target} + {c}), {product} + {c}), {target} + {c})"

    def _chain(self, hop: Hop) -> None:
        """t(X) %*% (X %*% v), with what stands between."""
        x, v, *beside = hop.args
        self._row_sum(hop, "plus_product", f"{{0}}, {self._column(v)}", (x,))
        stage = max([self.at[hop], *map(self._stage_of, beside)])
        name = f"{self._name(hop)}_row"
        self._at(stage).before.append(f"{name} = {_CHAINS[hop.op].format(self._name(hop), *(self._read(y, stage) for y in beside))}")
        self._into_column(hop, stage, x, name)

    def _into_column(self, hop: Hop, stage: int, cells: Hop, number: str) -> None:
        """Adds the cells of a row times a number to a column."""
        value, target = self._read(cells, stage), f"z[{self._total(hop, 'm')} + c]"
        statement = f"{target} = plus_product({target}, {value}, {number})"
        self._at(stage).cells += [f"if {value} != 0.0:", f"    {statement}"] if cells in self.region.sparse else [statement]

    def _total(self, hop: Hop, size: str) -> str:
        """Where the numbers of a total start."""
        start = " + ".join(size for _, size in self.totals) or "0"
        self.totals.append((hop, size))
        return start

    # ------------------------------------------------------------ values
    def _read(self, hop: Hop, stage: int) -> str:
        """A value in statements of `stage`."""
        if hop.op == LITERAL:
            return self._constant(hop.value)
        role = self.region.roles.get(hop)
        if role in (CELL, PRODUCT):
            if hop not in self._at(stage).there:
                self._at(stage).there.add(hop)
                self._compute(hop, stage)
            return self._name(hop)
        if role is not None:
            return self._name(hop)
        return "x0" if hop is self.region.driver else self._load(hop, stage)

    def _compute(self, hop: Hop, stage: int) -> None:
        """A value at a stored cell, again in each stage that reads it."""
        name = self._name(hop)
        if self.region.roles[hop] == PRODUCT:
            self._product(name, stage, hop.args[0], self._factor(hop.args[1], True))
            return
        if hop.op in DRIVEN:
            self._driven(hop, stage)
            return
        if hop.op not in LOOP_CELLS:
            raise Unsuitable
        args = [self._read(a, stage) for a in hop.args]
        if hop.op == "div" and hop.args[1] in self.region.sparse:  # a negative zero would show
            args[1] = f"({args[1]} + 0.0)"
        self._at(stage).cells.append(f"{name} = {self._zeroed(hop, stage, LOOP_CELLS[hop.op].format(*args))}")

    def _product(self, name: str, stage: int, left: Hop, v: int) -> None:
        """The number `name`: a row of a factor times one of the factor v."""
        u, k, cells = self._factor(left, False), self._width(left, False), self._at(stage).cells
        if k == 1:  # a sum would lose the sign of zeros
            cells.append(f"{name} = a{u}[r] * a{v}[c]")
            return
        rows = self._of_row(u), self._of_cell(v, stage)
        if k <= FEW:
            cells.append(f"{name} = dot({k}, a{u}, {rows[0]}, a{v}, {rows[1]})")
            return
        cells.append(f"{name} = 0.0")
        self._for_columns(u, stage, f"{name} = plus_product({name}, a{u}[{rows[0]} + l], a{v}[{rows[1]} + l])")

    def _driven(self, hop: Hop, stage: int) -> None:
        w, u, v, *eps = operands_of(hop)
        name = self._name(hop)
        self._product(f"{name}_d", stage, u, self._factor(v, False))
        product = " + ".join([f"{name}_d", *(self._read(e, stage) for e in eps)])
        self._at(stage).cells.append(f"{name} = {DRIVEN[hop.op].format(self._read(w, stage), f'({product})')}")

    def _zeroed(self, hop: Hop, stage: int, code: str) -> str:
        """With zero where an operand that may be sparse is, also opposite of NaN and infinity."""
        zeros = (
            [hop.args[0]] if hop.op in ("matmul", *CHAINS) and hop.args[0] in self.region.sparse else self.region.vanishing(hop, self.facts)
        )
        for zero in zeros:
            code = f"choose({self._read(zero, stage)}, {code}, 0.0)"
        return code

    def _load(self, hop: Hop, stage: int) -> str:
        """An operand from outside, read once for a row or for a cell of a stage."""
        i = self._factor(hop, False)
        fact = self.facts[hop]
        if not fact.is_matrix:
            return f"a{i}"
        if hop in self.region.beside:
            return self._once(stage, f"p{i}", f"a{i}[q]")
        if fact.cols == 1:
            if hop not in self.loaded:
                self.loaded[hop] = f"p{i}"
                self.stages[0].before.append(f"p{i} = a{i}[{'r' if fact.rows != 1 else '0'}]")
            return f"p{i}"
        return self._once(stage, f"p{i}", f"a{i}[{'c' if fact.rows == 1 else 'r * m + c'}]")

    def _once(self, stage: int, name: str, code: str) -> str:
        place = self._at(stage)
        if name not in place.there:
            place.there.add(name)
            place.cells.append(f"{name} = {code}")
        return name

    def _factor(self, hop: Hop, turned: bool) -> int:
        return next(i for i, g in enumerate(self.given) if g.hop is hop and g.turned == turned)

    def _column(self, hop: Hop) -> str:
        """The number of a cell in a factor of one column."""
        return f"a{self._factor(hop, False)}[c]"

    def _of_row(self, factor: int) -> str:
        name = f"e{factor}"
        if name not in self.stages[0].there:
            self.stages[0].there.add(name)
            self.stages[0].before.append(f"{name} = r * k{factor}")
        return name

    def _of_cell(self, factor: int, stage: int) -> str:
        return self._once(stage, f"f{factor}", f"c * k{factor}")

    def _for_columns(self, factor: int, stage: int, statement: str, indent: str = "") -> None:
        self._at(stage).cells += [f"{indent}for l in range(k{factor}):", f"{indent}    {statement}"]

    def _constant(self, value: object) -> str:
        assert isinstance(value, (int, float))
        number = float(value)
        if number in INLINE:
            return f"({number!r})"
        if number not in self.numbers:
            self.numbers.append(number)
        return f"k_{self.numbers.index(number)}"

    # ------------------------------------------------------------ the source
    def _loop(self) -> SampledLoop:
        names = ["s", "t", "x"]
        for i, given in enumerate(self.given):
            names += [f"a{i}", f"k{i}"] if given.kind == "f" else [f"a{i}"]
        operands = "iia" + "".join({"f": "an", "d": "d", "q": "d"}.get(g.kind, "a") for g in self.given)
        names += [*(f"o{i}" for i in range(len(self.results))), *(f"k_{i}" for i in range(len(self.numbers)))]
        kinds = "nnnn" + operands + "a" * len(self.results) + "d" * len(self.numbers) + "aaa"
        source = "\n".join([f"def loop(i, j, m, k, {', '.join([*names, 'w', 'y', 'z'])}):", *indented(self._body())]) + "\n"
        totals = tuple(self._shape(h) for h, _ in self.totals)
        ends = tuple(map(self._end, self.region.outputs))
        m = self.facts[self.region.driver].cols or 0
        thin = self._kept()
        return SampledLoop(source, "loop", kinds, m, thin, operands, len(self.results), tuple(self.numbers), 0, min(1, thin), totals, ends)

    def _kept(self) -> int:
        """How many numbers of a row the buffer y holds."""
        return 0

    def _body(self) -> list[str]:
        rows: list[str] = []
        for stage in self.stages:
            rows += stage.before
            for k, lines in stage.wide.items():
                rows += [f"for l in range({k}):", *indented(lines)]
            if stage.cells:
                rows += ["for q in range(s[r], s[r + 1]):", *indented(["c = t[q]", "x0 = x[q]", *stage.cells])]
            rows += stage.after
        starts = [f"{name} = 0.0" for name, _ in self.sums]
        return [*starts, "for r in range(i, j):", *indented(rows), *(f"{place} = {name}" for name, place in self.sums)]

    def _shape(self, hop: Hop) -> Total:
        if hop.op in TOTALS:
            return Total(0.0, None)
        m = self.facts[self.region.driver].cols or 0
        if hop.op in BY_COLUMN:
            return Total(0.0, (1, m))
        return Total(0.0, (self.facts[hop].rows or 0, self.facts[hop].cols or 0), turned=hop.op == "matmul")

    def _end(self, hop: Hop) -> End:
        if self.region.roles[hop] == CELL:
            return End("cells")
        if self._is_by_row(hop):
            return End("rows", self.facts[hop].cols or 1)
        return End("total", join=_SUMS[hop.op][0].removesuffix("_product") if hop.op in _SUMS else "plus")
