"""The loop of a sampled region by row that holds a few numbers for each row, such as those of `X %*% t(C)`.

Sums of rows of the other factor stay in registers, in strips of as many lanes as a power of two, and end up in the buffer y. How many
numbers there are is part of the source.
"""

from __future__ import annotations

from dmlite.codegen.loops import Unsuitable, strips
from dmlite.codegen.sampled_loops import SampledLoop, SampledLoopWriter
from dmlite.codegen.templates import LOOP_CELLS, LOOP_PLACES, LOOP_ROWS, LOOP_STARTS, LOOP_TOTALS, place_in_row
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, Hop
from dmlite.plan.sampled import ROW, TOTALS, WIDE, Given, Sampled


def loop_of(region: Sampled, given: list[Given], facts: FactTable) -> SampledLoop | None:
    """The loop of a sampled region, or None where a member has none."""
    try:
        return _RowLoopWriter(region, given, facts).write()
    except Unsuitable:
        return None


class _RowLoopWriter(SampledLoopWriter):
    def __init__(self, region: Sampled, given: list[Given], facts: FactTable):
        super().__init__(region, given, facts)
        self.kept: dict[Hop, int] = {}  # where the numbers of a row are in y

    def _kept(self) -> int:
        return sum(self._cols(h) for h in self.kept)

    def _cols(self, hop: Hop) -> int:
        cols = self.facts[hop].cols
        assert cols is not None
        return cols

    def _is_wide(self, hop: Hop) -> bool:
        return self.region.roles.get(hop) == WIDE

    def _member(self, hop: Hop) -> None:
        if self._is_wide(hop):
            (self._times_thin if hop.op == "matmul" else self._wide_value)(hop)
        elif hop.op == "tmm" and self._is_wide(hop.args[1]):
            self._into_columns(hop)
        elif any(map(self._is_wide, hop.args)):
            self._aggregate_wide(hop)
        else:
            super()._member(hop)

    # ------------------------------------------------------------ products
    def _times_thin(self, hop: Hop) -> None:
        """The stored cells of a row times rows of a factor; zeros meet no NaN."""
        x, v = hop.args
        stage, name, start = self._stage_of(x), self._name(hop), self._keep(hop)
        value, factor = self._read(x, stage), self._factor(v, False)
        place, row = self._at(stage), self._of_cell(factor, stage)
        place.cells.append(f"if {value} != 0.0:")
        self._sum_rows(hop, stage, f"{value}, a{factor}, {row}", self._cols(hop))
        for c, _ in strips(self._cols(hop)):
            place.after.append(f"put({name}_{c}, y, {start + c})")
            if hop in self.results:
                place.after.append(f"put({name}_{c}, {self._result(hop)}, r * {self._cols(hop)} + {c})")
        self.at[hop] = stage + 1

    def _into_columns(self, hop: Hop) -> None:
        """Adds the numbers of a row, times each of its stored cells, to the rows of a total."""
        x, v = hop.args
        stage, cols = max(map(self._stage_of, hop.args)), self._cols(v)
        value, start = self._read(x, stage), self._again(v)
        target = f"{self._name(hop)}_at"
        lines = [f"{target} = {self._total(hop, f'm * {cols}')} + c * {cols}", *self._added(cols, f"z, {target}", f"{value}, y, {start}")]
        self._at(stage).cells += [f"if {value} != 0.0:", *(f"    {line}" for line in lines)]

    # ------------------------------------------------------------ a few numbers for each row
    def _wide_value(self, hop: Hop) -> None:
        if hop.op not in LOOP_CELLS:
            raise Unsuitable
        stage = self.at[hop] = max(map(self._stage_of, hop.args))
        name, lines = self._name(hop), self._wide(stage, hop)
        lines.append(f"{name} = {LOOP_CELLS[hop.op].format(*(self._read_wide(a, stage) for a in hop.args))}")
        if hop in self.results:
            lines.append(f"{self._result(hop)}[r * {self._cols(hop)} + l] = {name}")

    def _aggregate_wide(self, hop: Hop) -> None:
        """One number of those of a row, which is there before the next stage, or a total of all."""
        stage, name = max(map(self._stage_of, hop.args)), self._name(hop)
        args = [self._read_wide(a, stage) for a in hop.args]
        place, lines, k = self._at(stage), self._wide(stage, hop.args[0]), self._cols(hop.args[0])
        if hop.op in LOOP_PLACES:
            place.before += [f"{name} = 1.0", f"{name}_best = np.nan"]
            lines += place_in_row(name, hop.op, args[0], "l")
        else:
            join, cell, *last = LOOP_TOTALS[hop.op] if hop.op in TOTALS else LOOP_ROWS[hop.op]
            place.before.append(f"{name} = {LOOP_STARTS[join]}")
            lines.append(f"{name} = {join}({name}, {cell.format(*args)})")
            place.after += [f"{name} = {code.format(name, k)}" for code in last if code != "{0}"]
        self.at[hop] = stage + 1
        if hop.op in TOTALS:
            self.sums.append((f"{name}_all", f"z[{self._total(hop, '1')}]"))
            place.after.append(f"{name}_all = plus({name}_all, {name})")
        elif hop in self.results:
            place.after.append(f"{self._result(hop)}[r] = {name}")

    # ------------------------------------------------------------ values
    def _wide(self, stage: int, hop: Hop) -> list[str]:
        """The statements of a stage for each of as many numbers as `hop` has in a row."""
        return self._at(stage).wide.setdefault(self._cols(hop), [])

    def _read_wide(self, hop: Hop, stage: int) -> str:
        """A value in statements of `stage` for each of a few numbers."""
        if hop.op == LITERAL:
            return self._constant(hop.value)
        if self._is_wide(hop):
            is_near = self.at[hop] == stage and hop.op != "matmul"
            return self._name(hop) if is_near else f"y[{self._again(hop)} + l]"
        fact = self.facts[hop]
        if self.region.roles.get(hop) == ROW:
            return self._name(hop)
        if not fact.is_matrix or fact.cols == 1:
            return self._load(hop, stage)
        return f"a{self._factor(hop, False)}[{'l' if fact.rows == 1 else f'r * {fact.cols} + l'}]"

    def _again(self, hop: Hop) -> int:
        """Where in y the numbers of a row are, for statements after the loop that computes them."""
        if hop not in self.kept:
            start = self._keep(hop)
            self._wide(self.at[hop], hop).append(f"y[{start} + l] = {self._name(hop)}")
        return self.kept[hop]

    def _keep(self, hop: Hop) -> int:
        start = self._kept()
        self.kept[hop] = start
        return start
