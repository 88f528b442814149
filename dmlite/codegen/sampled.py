"""The source of a sampled region: functions for a block of stored cells, for all of them, and for operands that are not as expected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmlite.codegen.sampled_rows import loop_of
from dmlite.codegen.templates import DENSE, UFUNC
from dmlite.hop.node import LITERAL, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.plan.physical import Step
from dmlite.plan.sampled import CELL, CHAINS, DRIVEN, END, PRODUCT, ROW, SUMS_OF_PRODUCTS, TOTALS, WIDE, Sampled, operands_of

if TYPE_CHECKING:
    from dmlite.codegen.emit import Emitter

Lines = list[tuple[str, Step | None]]

# On one-dimensional arrays; what is missing here has a kernel that takes them.
_CELLS = {
    **{op: small for op, (_, small) in UFUNC.items()},
    **{op: DENSE[op] for op in ("gt", "ge", "lt", "le", "eq", "ne", "one_minus")},
    "axpy": "{0} + {1} * {2}",
    "minus_nz": "{0} - {1} * ({0} != 0)",
    "relu_backward": "({0} > 0) * {1}",
    "one_minus_mul": "1.0 - {0} * {1}",
}
_TOTALS = {
    "sum": ("add", "np_add.reduce({0})"),
    "sumsq": ("add", "np_add.reduce({0} * {0})"),
    "nnz": ("add", "np_add.reduce({0} != 0, dtype=np_float64)"),
    "min_agg": ("minimum", "np_minimum.reduce({0}, initial=0.0)"),
    "max_agg": ("maximum", "np_maximum.reduce({0}, initial=0.0)"),
    "tak": ("add", "np_add.reduce({0} * {1})"),
    "tak3": ("add", "np_add.reduce({0} * {1} * {2})"),
    "sumsq_diff": ("add", "np_add.reduce(np_square({0} - {1}))"),
}
_SUMS = {"tak_rows": "aggregate.rowSums", "tak_cols": "aggregate.colSums"}
_DIVISORS = {"div": 1, "mod": 1, "intdiv": 1, "pow": 0}  # operands of which a negative zero shows


class SampledWriter:
    """Writes one sampled region for `emitter`; `number` tells regions of a block apart."""

    def __init__(self, emitter: Emitter, number: int, steps: Sequence[Step]):
        assert isinstance(steps[0].region, Sampled)
        self.emitter = emitter
        self.region: Sampled = steps[0].region
        self.steps = steps
        self.facts = emitter.plan.facts
        self.name = f"{emitter.name}_pass{number}"
        self.given = self.region.given(self.facts)
        self.totals = self.region.totals()
        ends = [h for h in self.region.hops if self.region.roles[h] == END and h.op not in TOTALS]
        read = {a for h in ends for a in h.args if h.op not in SUMS_OF_PRODUCTS}
        cells = [h for h in self.region.cells() if h in self.region.pattern and (h in read or h in self.region.outputs)]
        self.stored = [*cells, *(h for h in ends if h.op in SUMS_OF_PRODUCTS)]  # whose cells are kept until all are there

    def write(self, first: int) -> str:
        """The statements that run the region; `first` is the number of its first step."""
        outer = self.emitter.names
        self.names = {step.hop: f"v{first + i}" for i, step in enumerate(self.steps)}
        driver, operands = self.emitter.ref(self.region.driver), [f"{outer[g.hop]}{'.T' * g.turned}" for g in self.given]
        plain = [self._same()] if self._is_as_fast_apart() else [self._cells(), self._plain()]
        self.emitter.functions += [self._apart(), *plain]
        loop = loop_of(self.region, self.given, self.facts)
        if loop is not None:
            self.emitter.loops[self.name] = loop
        outer.update(self.names)
        targets = "".join(f"{self.names[h]}, " for h in self.region.outputs)
        letters = "".join(g.kind for g in self.given)
        run, apart = self.emitter.kernel("stored.run"), f"{self.name}_apart"
        call = f"{run}({', '.join([self.name, apart, repr(letters), driver, *operands])})"
        tests = [self._divides(h, outer) for h in self.region.quotients()]
        return f"{targets}= {call}" + f" if {' and '.join(tests)} else {apart}({', '.join([driver, *operands])})" * bool(tests)

    def _is_as_fast_apart(self) -> bool:
        """Whether NumPy and kernels do as well with one operator after another: for rows, and for cells that have kernels of their own."""
        return self.region.by_row or (not self.region.inner and any(h.op in DRIVEN for h in self.region.hops))

    def _divides(self, hop: Hop, outer: dict[Hop, str]) -> str:
        """The test that the divisors of a quotient are neither zero nor NaN."""
        return f"{self.emitter.kernel('weighted.divides')}({', '.join(outer.get(a) or self.emitter.ref(a) for a in operands_of(hop)[1:])})"

    def _parameters(self) -> list[str]:
        return [f"a{i}" for i in range(len(self.given))]

    def _returned(self) -> str:
        return f"return {''.join(f'{self.names[h]}, ' for h in self.region.outputs)}"

    # ------------------------------------------------------------ a block of stored cells
    def _cells(self) -> tuple[str, Lines]:
        """Numbers at the stored cells of block b."""
        stored = [f"d{i}" for i in range(len(self.stored))]
        self.known: dict[Hop, str] = {self.region.driver: "x"}
        self.lines: Lines = [("x = w.data[b.part]", None)]
        for step in self.steps:
            if self.region.roles[step.hop] != END:
                self._cell(step)
            elif step.hop in self.totals:
                code = self._total(step.hop)
                self.lines.append((f"{self.names[step.hop]} = {code}", step))
            elif step.hop in self.stored:
                product = self._zeroed(step.hop, " * ".join(map(self._read, step.hop.args)))
                self.lines.append((f"d{self.stored.index(step.hop)}[b.part] = {product}", step))
        self.lines.append((f"return ({''.join(f'{self.names[h]}, ' for h in self.totals)})", None))
        return f"def {self.name}_cells(b, w, {', '.join([*self._parameters(), *stored])}):", self.lines

    def _looked_up(self, hop: Hop) -> str:
        """An operand from outside at the stored cells."""
        i = next(i for i, g in enumerate(self.given) if g.hop is hop and not g.turned)
        fact = self.facts[hop]
        if not fact.is_matrix:
            return f"a{i}"
        places = f"{'b.rows' if fact.rows != 1 else '0'}, {'b.cols' if fact.cols != 1 else '0'}"
        self.lines.append((f"p{i} = a{i}[{'b.part' if hop in self.region.beside else places}]", None))
        return f"p{i}"

    def _cell(self, step: Step) -> None:
        hop, target = step.hop, self.names[step.hop]
        if self.region.roles[hop] == PRODUCT:
            u, v = (self._factor(a, turned) for a, turned in zip(hop.args, (False, True), strict=True))
            code = f"b.dot({u}, {v})"
        elif hop.op in DRIVEN:
            code = self._driven(hop)
        else:
            code = self._computed(hop)
        self.known[hop] = target
        self.lines.append((f"{target} = {code}", step))
        if hop in self.stored:
            self.lines.append((f"d{self.stored.index(hop)}[b.part] = {target}", None))

    def _driven(self, hop: Hop) -> str:
        w, u, v, *eps = operands_of(hop)
        product = " + ".join([f"b.dot({self._factor(u, False)}, {self._factor(v, False)})", *map(self._read, eps)])
        return DRIVEN[hop.op].format(self._read(w), f"({product})")

    def _computed(self, hop: Hop) -> str:
        args = [self._read(a) for a in hop.args]
        divisor = _DIVISORS.get(hop.op)
        if divisor is not None and hop.args[divisor] in self.region.sparse:
            args[divisor] = f"({args[divisor]} + 0.0)"
        code = _CELLS[hop.op].format(*args) if hop.op in _CELLS else f"{self.emitter.kernel(BY_NAME[hop.op].kernel)}({', '.join(args)})"
        return self._zeroed(hop, code)

    def _zeroed(self, hop: Hop, code: str) -> str:
        """With zero where an operand that may be sparse is, also opposite of NaN and infinity."""
        zeros = [self._read(a) for a in self.region.vanishing(hop, self.facts)]
        return f"{self.emitter.kernel('stored.zeroed')}({', '.join([code, *zeros])})" if zeros else code

    def _total(self, hop: Hop) -> str:
        code = _TOTALS[hop.op][1].format(*(self._read(a) for a in hop.args))
        head = "np_add.reduce("
        return f"{head}{self._zeroed(hop, code.removeprefix(head)[:-1])})" if code.startswith(head) else code

    def _read(self, hop: Hop) -> str:
        if hop.op == LITERAL:
            return self.emitter.ref(hop)
        if hop not in self.known:
            self.known[hop] = self._looked_up(hop)
        return self.known[hop]

    # ------------------------------------------------------------ all stored cells
    def _plain(self) -> tuple[str, Lines]:
        """The whole region by NumPy: the cells in blocks, then what is made of them."""
        place = self.emitter.kernel
        stored = [f"d{i}" for i in range(len(self.stored))]
        lines: Lines = [(f"{d} = {place('stored.unfilled')}(w)", None) for d in stored]
        joins = "".join(f"np_{_TOTALS[h.op][0]}, " for h in self.totals)
        operands = ", ".join([f"{self.name}_cells", str(self._width()), f"({joins})", "w", *self._parameters(), *stored])
        call = f"{place('stored.in_blocks')}({operands})"
        lines.append((f"{''.join(f'{self.names[h]}, ' for h in self.totals)}= {call}" if self.totals else call, self.steps[-1]))
        for i, hop in enumerate(self.stored):
            if hop in self.region.pattern:
                lines.append((f"{self.names[hop]} = {place('storage.with_cells')}(w, d{i})", None))
        for step in self.steps:
            if self.region.roles[step.hop] == END and step.hop not in self.totals:
                lines.append(self._summed(step) if step.hop in self.stored else self._step(step))
        return f"def {self.name}({', '.join(['w', *self._parameters()])}):", [*lines, (self._returned(), None)]

    def _summed(self, step: Step) -> tuple[str, Step]:
        """Sums of products whose cells are there."""
        kernel = self.emitter.kernel(_SUMS[step.hop.op])
        return f"{self.names[step.hop]} = {kernel}({self.emitter.kernel('storage.with_cells')}(w, d{self.stored.index(step.hop)}))", step

    def _width(self) -> int:
        """Numbers for each stored cell of a block."""
        thin = [h.args[h.op in DRIVEN] for h in self.region.hops if h.op in DRIVEN or self.region.roles[h] == PRODUCT]
        products = [2 * (self.facts[a].cols or 1) for a in thin]
        return 1 + len(self.region.cells()) + len(self.given) + max(products, default=0)

    def _apart(self) -> tuple[str, Lines]:
        """One operator after another, for operands that are not stored as was expected."""
        last = {a: step for step in self.steps for a in step.hop.args}
        lines: Lines = []
        for step in self.steps:
            lines.append(self._step(step))
            dead = [
                self.names[a] for a in dict.fromkeys(step.hop.args) if last[a] is step and a in self.names and a not in self.region.outputs
            ]
            if dead:
                lines.append((f"del {', '.join(dead)}", None))
        return f"def {self.name}_apart({', '.join(['w', *self._parameters()])}):", [*lines, (self._returned(), None)]

    def _same(self) -> tuple[str, Lines]:
        """The whole region by NumPy and SciPy, where that is one operator after another; in blocks where rows have a few numbers."""
        split = self._split() if WIDE in self.region.roles.values() else None
        operands = ", ".join(["w", *self._parameters()])
        if split is None:
            return f"def {self.name}({operands}):", [(f"return {self.name}_apart({operands})", self.steps[-1])]
        ends = ", ".join(f"np_{self._join(h)}" if self.region.roles[h] == END else str(self.facts[h].cols) for h in self.region.outputs)
        width = sum(self.facts[h].cols or 1 for h in self.region.hops if self.region.roles[h] in (ROW, WIDE))
        joined = sum(self.facts[h].cells or 1 for h in self.region.outputs if self.region.roles[h] == END)
        call = f"{self.emitter.kernel('stored.in_rows')}({self.name}_apart, {split!r}, ({ends},), {width}, {joined}, {operands})"
        return f"def {self.name}({operands}):", [(f"return {call}", self.steps[-1])]

    @staticmethod
    def _join(hop: Hop) -> str:
        return _TOTALS[hop.op][0] if hop.op in _TOTALS else "add"

    def _split(self) -> str | None:
        """For each operand r where members need the rows of a block, else w; None where they need both, or give stored cells."""
        rows = self.facts[self.region.driver].rows
        whole = {h.args[1] for h in self.region.hops if h.op in ("matmul", *CHAINS)}
        split = {a for h in self.region.hops for i, a in enumerate(h.args) if i != 1 or h.op not in ("matmul", *CHAINS)}
        split = {a for a in split if self.facts[a].is_matrix and self.facts[a].rows == rows}
        if whole & split or any(self.region.roles[h] == CELL for h in self.region.outputs):
            return None
        return "".join("r" if g.hop in split else "w" for g in self.given)

    def _step(self, step: Step) -> tuple[str, Step]:
        args = [self._whole(a) for a in step.hop.args]
        out = args[step.reuse] if step.reuse is not None else None
        return f"{self.names[step.hop]} = {self.emitter.expression(step, args, out)}", step

    def _whole(self, hop: Hop) -> str:
        if hop.op == LITERAL:
            return self.emitter.ref(hop)
        if hop is self.region.driver:
            return "w"
        return self.names[hop] if hop in self.names else self._factor(hop, False)

    def _factor(self, hop: Hop, turned: bool) -> str:
        """An operand from outside as it is, or transposed."""
        places = {g.turned: i for i, g in enumerate(self.given) if g.hop is hop}
        return f"a{places[turned]}" if turned in places else f"a{places[not turned]}.T"
