"""A region as the source of one loop over its rows, for a compiler: values are numbers, and only results touch memory.

Each row is gone through in stages: a stage needs the row aggregates of the stages before it. What a later stage needs of a stage
is kept in the row of a small buffer. The source depends on the structure of the region alone, so loops serve all sizes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from dmlite.codegen.templates import LOOP_CELLS, LOOP_TOTALS
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, Hop
from dmlite.plan.regions import Region, is_product, is_total, parts, wholes

_ROWS = {
    "rowSums": ("plus", "{0}", "{0}"), "rowSumsSq": ("plus", "{0} * {0}", "{0}"), "rowMeans": ("plus", "{0}", "{0} / m"),
    "tak_rows": ("plus", "{0} * {1}", "{0}"), "rowMaxs": ("most", "{0}", "{0}"), "rowMins": ("least", "{0}", "{0}"),
}  # fmt: skip
_CHAINS = {"mmchain": "{0}", "mmchain_w": "{0} * {1}", "mmchain_y": "{0} - {1}"}
_STARTS = {"plus": 0.0, "least": math.inf, "most": -math.inf}
_INLINE = (0.0, 1.0, -1.0, 2.0, 0.5)  # numbers that stand in the source; others are parameters
_CHUNK = 4096  # cells after which a sum over all of them starts anew, so that rounding errors do not add up
_WORTH = 2  # operators on whole rows below which NumPy's own loops are as good


@dataclass(frozen=True)
class Total:
    """A result of ranges of rows that are joined: what it starts from, and its shape; None for a number."""

    start: float
    shape: tuple[int, int] | None

    @property
    def size(self) -> int:
        return 1 if self.shape is None else self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class Loop:
    """The source of `name(i, j, m, operands..., results..., numbers..., buffer, totals)` for rows i to j of m cells.

    kinds: a letter per parameter: n whole number, d double, a array of doubles. operands: `a`, `d`, or `-` for those not handed over.
    results: how many arrays of results there are. numbers: constants of the script. buffers: rows of m cells.
    """

    source: str
    name: str
    kinds: str
    cols: int
    operands: str
    results: int
    numbers: tuple[float, ...]
    buffers: int
    totals: tuple[Total, ...]


class _Unsuitable(Exception):
    """A member that no loop over cells can do as well as NumPy or BLAS."""


@dataclass
class _Stage:
    """Statements before the cells of a row, for each cell, and after them."""

    before: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)


def loop_of(region: Region, results: list[Hop], totals: list[Hop], facts: FactTable) -> Loop | None:
    """The loop of a region, or None where blocks of rows by NumPy and BLAS serve better."""
    try:
        return _LoopWriter(region, results, totals, facts).write()
    except _Unsuitable:
        return None


class _LoopWriter:
    def __init__(self, region: Region, results: list[Hop], totals: list[Hop], facts: FactTable):
        self.region, self.results, self.totals, self.facts = region, results, totals, facts
        self.split, self.whole = region.split(facts), region.whole(facts)
        inside = [*self.split, *(h for h in region.hops if not is_total(h))]
        self.m = max(self._cols(h) for h in inside)
        self.flat = self.m == 1 or (self._only_cells() and all(self._cols(h) == self.m for h in inside))
        self.place = {h: i for i, h in enumerate((*self.split, *self.whole))}
        self.stage: dict[Hop, int] = {}  # in which a value of whole rows is computed, or before which a number is there
        self.stages: list[_Stage] = []
        self.numbers: list[float] = []
        self.kept: dict[Hop, str] = {}
        self.total_names: list[tuple[str, str]] = []  # accumulators of all rows, and the function that joins

    def _cols(self, hop: Hop) -> int:
        return self.facts[hop].cols or 1

    def _only_cells(self) -> bool:
        """Whether rows do not matter: cells, and sums of all cells."""
        single = all(self.facts[a].cells == 1 for a in self.whole if self.facts[a].is_matrix)
        return single and all(h.op in LOOP_CELLS or not self.facts[h].is_matrix for h in self.region.hops)

    def _is_wide(self, hop: Hop) -> bool:
        return not self.flat and self._cols(hop) > 1

    def write(self) -> Loop:
        if any(self._cols(h) not in (1, self.m) for h in (*self.split, *(h for h in self.region.hops if not is_total(h)))):
            raise _Unsuitable
        for hop in self.region.hops:
            self._member(hop)
        if sum(self._passes(h) for h in self.region.hops) < _WORTH:
            raise _Unsuitable
        return self._loop()

    def _passes(self, hop: Hop) -> int:
        """How often a member goes through whole rows."""
        return 2 if hop.op in _CHAINS else any(self._cols(a) == self.m for a in parts(hop, self.facts))

    # ------------------------------------------------------------ members
    def _member(self, hop: Hop) -> None:
        if is_product(hop) or hop.op == "tmm":
            self._product(hop, *parts(hop, self.facts))
        elif hop.op in _CHAINS:
            self._chain(hop, *parts(hop, self.facts))
        elif hop.op == "matmul":
            self._row(hop, "plus", self._times_whole(hop), "{0}")
        elif hop.op in _ROWS:
            join, cell, last = _ROWS[hop.op]
            self._row(hop, join, cell, last)
        elif hop.op in LOOP_TOTALS and is_total(hop):
            self._total(hop, *LOOP_TOTALS[hop.op])
        elif hop.op in LOOP_CELLS and not is_total(hop):
            self._cell(hop)
        else:
            raise _Unsuitable

    def _cell(self, hop: Hop) -> None:
        stage = self.stage[hop] = max((self._needed(a) for a in hop.args), default=0)
        wide = self._is_wide(hop)
        lines = self._at(stage).cells if wide else self._at(stage).before
        name = self._name(hop)
        lines.append(f"{name} = {LOOP_CELLS[hop.op].format(*(self._read(a, stage, wide) for a in hop.args))}")
        if hop in self.results:
            lines.append(f"o{self.results.index(hop)}[{'b + c' if wide else 'r'}] = {name}")

    def _row(self, hop: Hop, join: str, cell: str, last: str) -> None:
        """An aggregate of the cells of a row, which is there before the next stage."""
        args = parts(hop, self.facts)[:1] if hop.op in _CHAINS else parts(hop, self.facts)
        if self.flat or not all(self._is_wide(a) for a in args):
            raise _Unsuitable
        stage = max(self._needed(a) for a in args)
        name, place = self._name(hop), self._at(stage)
        place.before.append(f"{name} = {_number(_STARTS[join])}")
        place.cells.append(f"{name} = {join}({name}, {cell.format(*(self._read(a, stage, True) for a in args))})")
        if last != "{0}":
            place.after.append(f"{name} = {last.format(name)}")
        self.stage[hop] = stage + 1
        if hop in self.results:
            place.after.append(f"o{self.results.index(hop)}[r] = {name}")

    def _times_whole(self, hop: Hop) -> str:
        """A cell of a row times its cell of a column that is there as a whole."""
        (column,) = wholes(hop, self.facts)
        if self._cols(column) != 1 or self.flat:
            raise _Unsuitable
        return f"{{0}} * a{self.place[column]}[c]"

    def _total(self, hop: Hop, join: str, cell: str) -> None:
        args = parts(hop, self.facts)
        by_column = self.facts[hop].is_matrix
        wide = any(self._is_wide(a) for a in args)
        stage = max(self._needed(a) for a in args)
        value = cell.format(*(self._read(a, stage, wide) for a in args))
        if by_column and wide:
            self._by_column(hop, stage, join, value)
        else:
            self._accumulate(hop, stage, join, value, wide)

    def _product(self, hop: Hop, left: Hop, right: Hop) -> None:
        """t(left) %*% right where one of the two is a single column."""
        wide = [self._is_wide(x) for x in (left, right)]
        if all(wide) or (self.flat and self.m > 1):
            raise _Unsuitable
        stage = max(self._needed(left), self._needed(right))
        value = " * ".join(self._read(x, stage, any(wide)) for x in (left, right))
        if any(wide):
            self._by_column(hop, stage, "plus", value)
        else:
            self._accumulate(hop, stage, "plus", value, False)

    def _chain(self, hop: Hop, matrix: Hop, beside: Hop | None = None) -> None:
        """t(matrix) %*% of what is made of matrix %*% v: the row is in cache when it is read again."""
        self._row(hop, "plus", self._times_whole(hop), "{0}")
        stage, name = self.stage[hop], self._name(hop)
        if beside is not None:
            self._at(stage).before.append(f"{name} = {_CHAINS[hop.op].format(name, self._read(beside, stage, False))}")
        self._by_column(hop, stage, "plus", f"{name} * {self._read(matrix, stage, True)}")

    def _by_column(self, hop: Hop, stage: int, join: str, value: str) -> None:
        target = f"z[{self._offset(hop)} + c]"
        self._at(stage).cells.append(f"{target} = {target} + {value}" if join == "plus" else f"{target} = {join}({target}, {value})")

    def _accumulate(self, hop: Hop, stage: int, join: str, value: str, wide: bool) -> None:
        """One accumulator for a row, or for a chunk of cells, and one for all of them."""
        name = f"t{len(self.total_names)}"
        self.total_names.append((name, join))
        place = self._at(stage)
        if wide:
            place.before.append(f"{name} = {_number(_STARTS[join])}")
            place.cells.append(f"{name} = {join}({name}, {value})")
            place.after.append(f"{name}_all = {join}({name}_all, {name})")
        else:
            place.before.append(f"{name} = {join}({name}, {value})" if self.flat else f"{name}_all = {join}({name}_all, {value})")

    # ------------------------------------------------------------ values
    def _name(self, hop: Hop) -> str:
        return f"v{self.region.hops.index(hop)}"

    def _at(self, stage: int) -> _Stage:
        while len(self.stages) <= stage:
            self.stages.append(_Stage())
        return self.stages[stage]

    def _needed(self, hop: Hop) -> int:
        """The first stage that can read a value."""
        return self.stage.get(hop, 0)

    def _read(self, hop: Hop, stage: int, inside: bool) -> str:
        """A value in a statement of `stage`; inside: for each cell of the row."""
        if hop.op == LITERAL:
            return self._constant(hop.value)
        if hop in self.stage:
            wide = self._is_wide(hop)
            return self._name(hop) if not wide or self.stage[hop] == stage else self._again(hop)
        place = self.place[hop]
        if hop in self.split:
            return self._loaded(f"p{place}", f"a{place}[{'b + c' if self._is_wide(hop) else 'r'}]", stage, self._is_wide(hop))
        if not self.facts[hop].is_matrix:
            return f"a{place}"
        if self.facts[hop].rows != 1:
            raise _Unsuitable
        return f"a{place}[{'c' if inside and self._cols(hop) > 1 else '0'}]"

    def _loaded(self, name: str, cell: str, stage: int, wide: bool) -> str:
        place = self._at(stage)
        if name not in place.loaded:
            place.loaded.add(name)
            (place.cells if wide else place.before).append(f"{name} = {cell}")
        return name

    def _again(self, hop: Hop) -> str:
        """A value of an earlier stage, from its result or from a buffer."""
        if hop in self.results:
            return f"o{self.results.index(hop)}[b + c]"
        if hop not in self.kept:
            cell = f"w[{len(self.kept)} * m + c]"
            self.kept[hop] = cell
            lines = self.stages[self.stage[hop]].cells
            made = next(i for i, line in enumerate(lines) if line.startswith(f"{self._name(hop)} = "))
            lines.insert(made + 1, f"{cell} = {self._name(hop)}")
        return self.kept[hop]

    def _constant(self, value: object) -> str:
        if not isinstance(value, (int, float)):
            raise _Unsuitable
        number = float(value)
        if number in _INLINE:
            return f"({number!r})"
        if number not in self.numbers:
            self.numbers.append(number)
        return f"k{self.numbers.index(number)}"

    def _offset(self, hop: Hop) -> str:
        """Where a total starts: every other one is a number, or as wide as a row."""
        before = self.totals[: self.totals.index(hop)]
        rows = sum((self.facts[h].cells or 1) > 1 for h in before)
        return f"{len(before) - rows} + {rows} * m" if rows else f"{len(before)}"

    # ------------------------------------------------------------ the source
    def _loop(self) -> Loop:
        results = [f"o{i}" for i in range(len(self.results))]
        operands = "".join("a" if self.facts[h].is_matrix else "d" for h in self.place)
        names = [*(f"a{i}" for i in range(len(self.place))), *results, *(f"k{i}" for i in range(len(self.numbers)))]
        kinds = "nnn" + operands + "a" * len(results) + "d" * len(self.numbers) + "aa"
        totals = tuple(self._made_from(h) for h in self.totals)
        lines = [f"def loop(i, j, m, {', '.join([*names, 'w', 'z'])}):", *_indented(self._body())]
        return Loop("\n".join(lines) + "\n", "loop", kinds, self.m, operands, len(results), tuple(self.numbers), len(self.kept), totals)

    def _made_from(self, hop: Hop) -> Total:
        fact = self.facts[hop]
        join = "plus" if hop.op not in LOOP_TOTALS else LOOP_TOTALS[hop.op][0]
        return Total(_STARTS[join], (fact.rows or 1, fact.cols or 1) if fact.is_matrix else None)

    def _body(self) -> list[str]:
        starts = [f"{name}_all = {_number(_STARTS[join])}" for name, join in self.total_names]
        ends = [f"z[{self._offset(h)}] = {name}_all" for (name, _), h in zip(self.total_names, self._numbers_of_all(), strict=True)]
        return [*starts, *(self._flat() if self.flat else self._by_row()), *ends]

    def _numbers_of_all(self) -> list[Hop]:
        """The totals that have accumulators, in the order of the members."""
        return [h for h in self.region.hops if h in self.totals and (self.facts[h].cells or 1) == 1]

    def _flat(self) -> list[str]:
        cells = [line for stage in self.stages for line in stage.before]
        if not self.total_names:
            return ["for r in range(i * m, j * m):", *_indented(cells)]
        starts = [f"{name} = {_number(_STARTS[join])}" for name, join in self.total_names]
        ends = [f"{name}_all = {join}({name}_all, {name})" for name, join in self.total_names]
        inner = [*starts, f"for r in range(q, min(q + {_CHUNK}, j * m)):", *_indented(cells), *ends]
        return [f"for q in range(i * m, j * m, {_CHUNK}):", *_indented(inner)]

    def _by_row(self) -> list[str]:
        lines = ["b = r * m"]
        for stage in self.stages:
            lines += stage.before
            if stage.cells:
                lines += ["for c in range(m):", *_indented(stage.cells)]
            lines += stage.after
        return ["for r in range(i, j):", *_indented(lines)]


def _indented(lines: Iterable[str]) -> list[str]:
    return ["    " + line for line in lines]


def _number(value: float) -> str:
    return "np.inf" if value == math.inf else "-np.inf" if value == -math.inf else repr(value)
