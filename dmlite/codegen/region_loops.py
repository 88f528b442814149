"""A region as the source of one loop over its rows, for a compiler: values are numbers, and only results touch memory.

Each row is gone through in stages: a stage needs the row aggregates and thin products of the stages before it. What is read again
is kept in the row of a small buffer. Values have one, m or k cells a row; the source does not depend on sizes, so it serves all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from dmlite.codegen.loops import INLINE, Loop, Total, Unsuitable, indented
from dmlite.codegen.templates import LOOP_CELLS, LOOP_PLACES, LOOP_ROWS, LOOP_TOTALS, place_in_row
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, Hop
from dmlite.plan.regions import THIN, Region, is_product, is_total, parts, wholes

_CHAINS = {"mmchain": "{0}", "mmchain_w": "{0} * {1}", "mmchain_y": "{0} - {1}"}
_STARTS = {"plus": 0.0, "plus_product": 0.0, "least": math.inf, "most": -math.inf}
_ALL = {"plus": "plus", "plus_product": "plus", "least": "least", "most": "most"}  # how sums of sums are joined
_CHUNK = 4096  # cells after which a sum over all of them starts anew, so that rounding errors do not add up
_WORTH = 2  # passes over whole rows below which NumPy's own loops are as good
_BASE = {"m": "b", "k": "d"}  # where the row starts in a value of so many columns
_BUFFER = {"m": "w", "k": "y"}


@dataclass
class _Stage:
    """Statements before the cells of a row, for each cell of k and of m, for pairs of them, and after."""

    before: list[str] = field(default_factory=list)
    cells: dict[str, list[str]] = field(default_factory=lambda: {"k": [], "m": []})
    pairs: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)
    loaded: set[str] = field(default_factory=set)

    def lines(self) -> list[str]:
        loops = (line for width, cells in self.cells.items() if cells for line in _loop("c", width, cells))
        return [*self.before, *loops, *self.pairs, *self.after]


def loop_of(region: Region, results: list[Hop], totals: list[Hop], facts: FactTable) -> Loop | None:
    """The loop of a region, or None where blocks of rows by NumPy and BLAS serve better."""
    try:
        return _LoopWriter(region, results, totals, facts).write()
    except Unsuitable:
        return None


class _LoopWriter:
    def __init__(self, region: Region, results: list[Hop], totals: list[Hop], facts: FactTable):
        self.region, self.results, self.totals, self.facts = region, results, totals, facts
        self.split, self.whole = region.split(facts), region.whole(facts)
        factors = [h for h in self.whole if (facts[h].rows or 1) > 1]
        found = {self._cols(h) for h in (*self.split, *factors, *(h for h in region.hops if not is_total(h)))}
        self.m = max(found)
        others = found - {1, self.m}
        self.k = max(others, default=1)
        if len(others) > 1 or self.k > THIN:
            raise Unsuitable
        self.flat = self.m == 1 or (found == {self.m} and self._only_cells())
        self.split_place = {h: i for i, h in enumerate(self.split)}  # a value may be handed over twice: by rows, and as it is
        self.whole_place = {h: i for i, h in enumerate(self.whole, len(self.split))}
        self.kinds = ["a" if facts[h].is_matrix else "d" for h in (*self.split, *self.whole)]
        self.stage: dict[Hop, int] = {}  # in which the cells of a value are computed, or before which a value is there
        self.stages: list[_Stage] = []
        self.numbers: list[float] = []
        self.kept: dict[Hop, str] = {}  # buffers of values, to be read at a cell
        self.sums: list[tuple[str, str]] = []  # accumulators of all rows, and the function that joins

    def _cols(self, hop: Hop) -> int:
        return self.facts[hop].cols or 1

    def _only_cells(self) -> bool:
        """Whether rows do not matter: cells, and sums of all cells."""
        single = all(self.facts[a].cells == 1 for a in self.whole if self.facts[a].is_matrix)
        return single and all(h.op in LOOP_CELLS or not self.facts[h].is_matrix for h in self.region.hops)

    def _width(self, hop: Hop) -> str:
        """The columns of a value: 1, m or k."""
        cols = 1 if self.flat else self._cols(hop)
        return "1" if cols == 1 else "m" if cols == self.m else "k"

    def write(self) -> Loop:
        for hop in self.region.hops:
            self._member(hop)
        if sum(self._passes(h) for h in self.region.hops) < _WORTH:
            raise Unsuitable
        return self._loop()

    def _passes(self, hop: Hop) -> int:
        """How often a member goes through whole rows, also of a thin product."""
        wide = {self.m, self.k} - {1} or {1}
        return 2 if hop.op in _CHAINS else any(self._cols(a) in wide for a in parts(hop, self.facts))

    # ------------------------------------------------------------ members
    def _member(self, hop: Hop) -> None:
        operands = parts(hop, self.facts)
        if is_product(hop) or hop.op == "tmm":
            self._product(hop, *operands)
        elif hop.op in _CHAINS:
            self._chain(hop, *operands)
        elif hop.op == "matmul":
            self._times(hop, operands[0])
        elif hop.op == "softmax":
            self._softmax(hop, operands[0])
        elif hop.op in LOOP_PLACES:
            self._place(hop, operands[0])
        elif hop.op in LOOP_ROWS:
            join, cell, last = LOOP_ROWS[hop.op]
            self._row(hop, operands, join, cell, last)
        elif hop.op in LOOP_TOTALS and is_total(hop):
            self._total(hop, operands, *LOOP_TOTALS[hop.op])
        elif hop.op in LOOP_CELLS and not is_total(hop):
            self._cell(hop)
        else:
            raise Unsuitable

    def _cell(self, hop: Hop) -> None:
        stage = self.stage[hop] = max((self._needed(a) for a in hop.args), default=0)
        width, name = self._width(hop), self._name(hop)
        lines = self._at(stage).before if width == "1" else self._at(stage).cells[width]
        lines.append(f"{name} = {LOOP_CELLS[hop.op].format(*(self._read(a, stage, width) for a in hop.args))}")
        if hop in self.results:
            lines.append(f"{self._target(hop)} = {name}")

    def _target(self, hop: Hop, cell: str = "c") -> str:
        width = self._width(hop)
        return f"o{self.results.index(hop)}[{'r' if width == '1' else f'{_BASE[width]} + {cell}'}]"

    def _row(self, hop: Hop, operands: Sequence[Hop], join: str, cell: str, last: str) -> None:
        """An aggregate of the cells of a row, which is there before the next stage."""
        widths = {self._width(a) for a in operands}
        if len(widths) > 1 or widths == {"1"}:
            raise Unsuitable
        (width,) = widths
        stage = max(self._needed(a) for a in operands)
        name, place = self._name(hop), self._at(stage)
        place.before.append(f"{name} = {_number(_STARTS[join])}")
        place.cells[width].append(f"{name} = {join}({name}, {cell.format(*(self._read(a, stage, width) for a in operands))})")
        if last != "{0}":
            place.after.append(f"{name} = {last.format(name, width)}")
        self.stage[hop] = stage + 1
        if hop in self.results:
            place.after.append(f"{self._target(hop)} = {name}")

    def _place(self, hop: Hop, x: Hop) -> None:
        """The column of the last cell of a row that is its extreme; the first one where all are NaN."""
        width, name, stage = self._width(x), self._name(hop), self._needed(x)
        if width == "1":
            raise Unsuitable
        place, cell = self._at(stage), self._read(x, stage, width)
        place.before += [f"{name} = 1.0", f"{name}_best = np.nan"]
        place.cells[width] += place_in_row(name, hop.op, cell, "c")
        self.stage[hop] = stage + 1
        if hop in self.results:
            place.after.append(f"{self._target(hop)} = {name}")

    def _softmax(self, hop: Hop, x: Hop) -> None:
        """The largest cell, then exponents and their sum, then quotients: three stages."""
        width, name, first = self._width(x), self._name(hop), self._needed(x)
        if width == "1":
            raise Unsuitable
        kept = self._keep(hop, "c")
        top, middle, last = (self._at(first + i) for i in range(3))
        top.before.append(f"{name}_top = -np.inf")
        top.cells[width].append(f"{name}_top = most({name}_top, {self._read(x, first, width)})")
        middle.before.append(f"{name}_sum = 0.0")
        middle.cells[width].append(f"{name} = exp({self._read(x, first + 1, width)} - {name}_top)")
        middle.cells[width] += [f"{kept} = {name}", f"{name}_sum = plus({name}_sum, {name})"]
        last.cells[width] += [f"{name} = {kept} / {name}_sum", f"{kept} = {name}"]
        if hop in self.results:
            last.cells[width].append(f"{self._target(hop)} = {name}")
        self.stage[hop] = first + 2

    def _times(self, hop: Hop, rows: Hop) -> None:
        """The rows of a matrix times one that is there as a whole, which is read column by column."""
        (whole,) = wholes(hop, self.facts)
        place, cols = self.whole_place[whole], self._cols(whole)
        if self._width(rows) == "1" or cols not in (1, self.k):
            raise Unsuitable
        if cols == 1:
            self._row(hop, [rows], "plus_product", f"{{0}}, a{place}[c]", "{0}")
            return
        self.kinds[place] = "t"
        stage, width = self._needed(rows), self._width(rows)
        dot = f"q = plus_product(q, {self._again(rows, stage)}, a{place}[t * {width} + c])"
        lines = ["q = 0.0", *_loop("c", width, [dot]), f"{self._keep(hop, 't')} = q"]
        if hop in self.results:
            lines.append(f"{self._target(hop, 't')} = q")
        self._at(stage).pairs += _loop("t", "k", lines)
        self.stage[hop] = stage + 1

    def _chain(self, hop: Hop, rows: Hop, beside: Hop | None = None) -> None:
        """t(rows) %*% of what is made of rows %*% v: the row is in cache when it is read again."""
        self._times(hop, rows)
        stage, thin = self.stage[hop], hop in self.kept
        if beside is not None:
            width = "k" if thin else "1"
            name = self.kept[hop].format("c") if thin else self._name(hop)
            lines = self._at(stage).cells["k"] if thin else self._at(stage).before
            lines.append(f"{name} = {_CHAINS[hop.op].format(name, self._read(beside, stage, width))}")
        if thin:
            self._pairs(hop, stage, f"{self._again(rows, stage)}, {self.kept[hop].format('t')}", "m")
        else:
            width = self._width(rows)
            self._by_column(hop, stage, "plus_product", f"{self._name(hop)}, {self._read(rows, stage, width)}", width)

    def _total(self, hop: Hop, operands: Sequence[Hop], join: str, cell: str) -> None:
        width = max((self._width(a) for a in operands), key="1km".index)
        stage = max(self._needed(a) for a in operands)
        value = cell.format(*(self._read(a, stage, width) for a in operands))
        if self.facts[hop].is_matrix and width != "1":
            self._by_column(hop, stage, join, value, width)
        else:
            self._accumulate(stage, join, value, width)

    def _product(self, hop: Hop, left: Hop, right: Hop) -> None:
        """t(left) %*% right where one of the two has few columns."""
        widths = [self._width(x) for x in (left, right)]
        if widths == ["m", "m"] or (self.flat and self.m > 1):
            raise Unsuitable
        stage = max(self._needed(left), self._needed(right))
        if "1" in widths:
            width = max(widths, key="1km".index)
            value = ", ".join(self._read(x, stage, width) for x in (left, right))
            if width == "1":
                self._accumulate(stage, "plus_product", value, width)
            else:
                self._by_column(hop, stage, "plus_product", value, width)
            return
        inner, outer = (left, right) if widths == ["m", "k"] else (right, left)
        self._pairs(hop, stage, f"{self._again(inner, stage)}, {self._again(outer, stage, 't')}", self._width(inner))

    def _pairs(self, hop: Hop, stage: int, value: str, width: str) -> None:
        target = f"z[{self._offset(hop)} + t * {width} + c]"
        self._at(stage).pairs += _loop("t", "k", _loop("c", width, [f"{target} = plus_product({target}, {value})"]))

    def _by_column(self, hop: Hop, stage: int, join: str, value: str, width: str) -> None:
        target = f"z[{self._offset(hop)} + c]"
        self._at(stage).cells[width].append(f"{target} = {join}({target}, {value})")

    def _accumulate(self, stage: int, join: str, value: str, width: str) -> None:
        """One accumulator for a row, or for a chunk of cells, and one for all of them."""
        name = f"t{len(self.sums)}"
        self.sums.append((name, join))
        place = self._at(stage)
        if width != "1":
            place.before.append(f"{name} = {_number(_STARTS[join])}")
            place.cells[width].append(f"{name} = {join}({name}, {value})")
            place.after.append(f"{name}_all = {_ALL[join]}({name}_all, {name})")
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

    def _read(self, hop: Hop, stage: int, width: str) -> str:
        """A value in a statement of `stage` for each cell of rows of `width`."""
        if hop.op == LITERAL:
            return self._constant(hop.value)
        own = self._width(hop)
        if hop in self.stage:
            is_near = own == "1" or (self.stage[hop] == stage and hop.op != "matmul")
            return self._name(hop) if is_near else self._again(hop, stage)
        if hop in self.split_place:
            place = self.split_place[hop]
            return self._loaded(f"p{place}", f"a{place}[{'r' if own == '1' else f'{_BASE[own]} + c'}]", stage, own)
        place = self.whole_place[hop]
        if not self.facts[hop].is_matrix:
            return f"a{place}"
        if self.facts[hop].rows != 1:
            raise Unsuitable
        return f"a{place}[{'0' if self._cols(hop) == 1 else 'c'}]"

    def _loaded(self, name: str, cell: str, stage: int, width: str) -> str:
        place = self._at(stage)
        if name not in place.loaded:
            place.loaded.add(name)
            (place.before if width == "1" else place.cells[width]).append(f"{name} = {cell}")
        return name

    def _again(self, hop: Hop, stage: int, cell: str = "c") -> str:
        """A cell of a value that another loop has computed, or that comes from outside."""
        if hop in self.split_place:
            return f"a{self.split_place[hop]}[{_BASE[self._width(hop)]} + {cell}]"
        if hop in self.results:
            return self._target(hop, cell)
        if hop not in self.kept:
            kept = self._keep(hop, "c")
            lines = self.stages[self.stage[hop]].cells[self._width(hop)]
            made = next(i for i, line in enumerate(lines) if line.startswith(f"{self._name(hop)} = "))
            lines.insert(made + 1, f"{kept} = {self._name(hop)}")
        return self.kept[hop].format(cell)

    def _keep(self, hop: Hop, cell: str) -> str:
        """A place in a buffer for the row of a value; of a chain, for what lies between its products."""
        width = "k" if hop.op in _CHAINS else self._width(hop)
        count = sum(text.startswith(_BUFFER[width]) for text in self.kept.values())
        self.kept[hop] = f"{_BUFFER[width]}[{count} * {width} + {{0}}]"
        return self.kept[hop].format(cell)

    def _constant(self, value: object) -> str:
        if not isinstance(value, (int, float)):
            raise Unsuitable
        number = float(value)
        if number in INLINE:
            return f"({number!r})"
        if number not in self.numbers:
            self.numbers.append(number)
        return f"k{self.numbers.index(number)}"

    # ------------------------------------------------------------ totals
    def _offset(self, hop: Hop) -> str:
        """Where a total starts, in terms of m and k."""
        sizes: dict[str, int] = {}
        for before in self.totals[: self.totals.index(hop)]:
            size = self._size(before)
            sizes[size] = sizes.get(size, 0) + 1
        return " + ".join(f"{count} * {size}" if size != "1" else f"{count}" for size, count in sizes.items()) or "0"

    def _size(self, hop: Hop) -> str:
        rows, cols = ((n or 1) if self.facts[hop].is_matrix else 1 for n in (self.facts[hop].rows, self.facts[hop].cols))
        return " * ".join("m" if n == self.m else "k" for n in (rows, cols) if n > 1) or "1"

    def _made_from(self, hop: Hop) -> Total:
        fact = self.facts[hop]
        join = "plus" if hop.op not in LOOP_TOTALS else LOOP_TOTALS[hop.op][0]
        turned = self._size(hop) == "m * k" and fact.rows == self.m
        return Total(_STARTS[join], (fact.rows or 1, fact.cols or 1) if fact.is_matrix else None, turned)

    # ------------------------------------------------------------ the source
    def _loop(self) -> Loop:
        results = [f"o{i}" for i in range(len(self.results))]
        names = [*(f"a{i}" for i in range(len(self.kinds))), *results, *(f"k{i}" for i in range(len(self.numbers)))]
        kinds = "nnnn" + "".join(self.kinds).replace("t", "a") + "a" * len(results) + "d" * len(self.numbers) + "aaa"
        lines = [f"def loop(i, j, m, k, {', '.join([*names, 'w', 'y', 'z'])}):", *indented(self._body())]
        wide, thin = (sum(text.startswith(buffer) for text in self.kept.values()) for buffer in "wy")
        totals = tuple(self._made_from(h) for h in self.totals)
        source = "\n".join(lines) + "\n"
        return Loop(source, "loop", kinds, self.m, self.k, "".join(self.kinds), len(results), tuple(self.numbers), wide, thin, totals)

    def _body(self) -> list[str]:
        single = [h for h in self.region.hops if h in self.totals and self._size(h) == "1"]
        starts = [f"{name}_all = {_number(_STARTS[join])}" for name, join in self.sums]
        ends = [f"z[{self._offset(h)}] = {name}_all" for (name, _), h in zip(self.sums, single, strict=True)]
        return [*starts, *(self._all_cells() if self.flat else self._rows()), *ends]

    def _all_cells(self) -> list[str]:
        cells = [line for stage in self.stages for line in stage.before]
        if not self.sums:
            return ["for r in range(i * m, j * m):", *indented(cells)]
        starts = [f"{name} = {_number(_STARTS[join])}" for name, join in self.sums]
        ends = [f"{name}_all = {_ALL[join]}({name}_all, {name})" for name, join in self.sums]
        inner = [*starts, f"for r in range(q, min(q + {_CHUNK}, j * m)):", *indented(cells), *ends]
        return [f"for q in range(i * m, j * m, {_CHUNK}):", *indented(inner)]

    def _rows(self) -> list[str]:
        bases = ["b = r * m", "d = r * k"] if self.k > 1 else ["b = r * m"]
        return ["for r in range(i, j):", *indented([*bases, *(line for stage in self.stages for line in stage.lines())])]


def _loop(variable: str, width: str, lines: Iterable[str]) -> list[str]:
    return [f"for {variable} in range({width}):", *indented(lines)]


def _number(value: float) -> str:
    return "np.inf" if value == math.inf else "-np.inf" if value == -math.inf else repr(value)
