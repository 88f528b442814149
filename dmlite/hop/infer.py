"""Facts about nodes, from the facts of their operands and the rules in the operator table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

from dmlite.hop.estimates import expecting, source_of
from dmlite.hop.facts import UNKNOWN, Fact, changed, constant, matrix, scalar
from dmlite.hop.linear import difference
from dmlite.hop.machine import DEFAULT, Machine
from dmlite.hop.mnc import PRODUCTS, Sketch, full, sketched
from dmlite.hop.node import HOLE, LITERAL, LIVE_IN, PICK, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import Op, ShapeError, Size
from dmlite.hop.storage import is_dense
from dmlite.hop.structure import refined

Sketches: TypeAlias = Mapping[str, Callable[[], Sketch]]

_SCALARS = {"D": "double", "I": "int", "B": "boolean", "T": "string"}


class FactTable:
    """What is known about each node of one block, given the facts of its live-in variables."""

    def __init__(self, live_in: Mapping[str, Fact], *, lenient: bool = False, sketches: Sketches | None = None, machine: Machine = DEFAULT):
        """lenient: where shapes can never fit, know nothing of the result instead of raising ShapeError.

        sketches: of sparse live-ins, made when the first product asks for them. machine: that costs are estimated for.
        """
        self.machine = machine
        self._live_in = live_in
        self._lenient = lenient
        self._sketches = sketches or {}
        self._sketched: dict[Hop, Sketch | None] = {}
        self._known: dict[Hop, Fact] = {}
        self._sources: dict[Hop, Hop] = {}

    def __getitem__(self, hop: Hop) -> Fact:
        fact = self._known.get(hop)
        if fact is None:
            stack = [hop]
            while stack:
                node = stack[-1]
                missing = [a for a in node.args if a not in self._known]
                if missing:
                    stack.extend(missing)
                else:
                    stack.pop()
                    if node not in self._known:
                        self._known[node] = self._inferred(node)
            fact = self._known[hop]
        return fact

    def known(self, hop: Hop, fact: Fact) -> None:
        """Record a fact that was established elsewhere (a file header, a declared type)."""
        self._known[hop] = fact

    def _inferred(self, hop: Hop) -> Fact:
        try:
            return self._infer(hop)
        except ShapeError:
            if not self._lenient:
                raise
            return matrix()

    def _infer(self, hop: Hop) -> Fact:
        """Raises ShapeError when the operands can never fit."""
        if hop.op == LITERAL:
            return (
                Fact("literals", value=hop.value) if isinstance(hop.value, tuple) else UNKNOWN if hop.value is None else constant(hop.value)
            )
        if hop.op in (LIVE_IN, HOLE):
            return self._live_in.get(hop.value, UNKNOWN)
        if hop.op == PICK:
            return self._pick(hop)
        row = BY_NAME[hop.op]
        facts = [self[a] for a in hop.args]
        self._sources[hop] = source_of(hop, self._sources)
        fact = self._shape(hop, row, facts)
        found = refined(hop.op, fact, facts)
        if fact.kind == "matrix":
            average = expecting(hop, fact, facts, self._sources, found.get("nnz_min", 0), found.get("nnz", fact.nnz))
            if average is not None:
                found.setdefault("nnz_avg", average)
            if is_dense(hop, fact, facts):
                found["dense"] = True
        fact = changed(fact, found) if found else fact
        return self._counted(hop, fact) if self._sketches and hop.op in PRODUCTS and not fact.dense else fact

    def _counted(self, hop: Hop, fact: Fact) -> Fact:
        """What sketches of the factors tell of the non-zeros of a product."""
        sketch = self._sketch(hop) if fact.cells else None
        if sketch is None:
            return fact
        most = fact.cells if fact.nnz is None else fact.nnz
        return replace(fact, nnz_avg=min(max(sketch.nnz, fact.nnz_min), most))

    def _sketch(self, hop: Hop) -> Sketch | None:
        """Of a sparse live-in, and of what comes of it together with full matrices."""
        if hop not in self._sketched:
            make = self._sketches.get(hop.value) if hop.op == LIVE_IN else None
            parts = [self._sketch(a) for a in hop.args]
            if any(p is not None for p in parts):
                parts = [_full(self[a]) if p is None else p for a, p in zip(hop.args, parts, strict=True)]
                self._sketched[hop] = sketched(hop.op, parts)
            else:
                self._sketched[hop] = make() if make else None
        return self._sketched[hop]

    def forget_sketches(self) -> None:
        """Let go of the values of the live-ins; what is known by now stays known."""
        self._sketches = {}
        self._sketched.clear()

    def _shape(self, hop: Hop, row: Op, facts: list[Fact]) -> Fact:
        """Kind, value type, dimensions and the bound on the non-zeros."""
        if hop.op == "index":
            return self._index(hop, facts)
        if hop.op == "leftindex":
            return _leftindex(row, facts)
        return result_fact(row, facts, 0) if len(row.results) == 1 else UNKNOWN

    def _pick(self, hop: Hop) -> Fact:
        source = hop.args[0]
        row = BY_NAME[source.op]
        return result_fact(row, [self[a] for a in source.args], hop.value)

    def _index(self, hop: Hop, facts: list[Fact]) -> Fact:
        x = facts[0]
        if x.kind != "matrix":
            return x if x.kind == "list" else UNKNOWN
        row = BY_NAME["index"]
        rows, cols = row.size(*facts) if row.size else (None, None)
        rows = self.width(hop.args[1], hop.args[2], x.rows) if rows is None else rows
        cols = self.width(hop.args[3], hop.args[4], x.cols) if cols is None else cols
        return matrix(rows, cols, x.nnz)

    def width(self, low: Hop, high: Hop, whole: int | None) -> int | None:
        """Cells selected along one dimension, by algebra on the bounds."""
        if low.is_literal and low.value is None:
            return whole
        if high.is_literal and high.value is None:
            return 1
        gap = difference(high, low, self.__getitem__)
        return None if gap is None or gap < 0 else gap + 1


def _full(fact: Fact) -> Sketch | None:
    return full(fact.rows, fact.cols) if fact.dense and fact.rows is not None and fact.cols is not None else None


def _leftindex(row: Op, facts: list[Fact]) -> Fact:
    """A store keeps the shape of its target."""
    x = facts[0]
    if x.kind != "matrix":
        return x if x.kind == "list" else UNKNOWN
    return _matrix_fact(row, facts, 0)


def result_fact(row: Op, facts: list[Fact], which: int) -> Fact:
    """The fact of result number `which` of an operator over operands with `facts`."""
    returns = row.results[which] if which < len(row.results) else "A"
    if returns in _SCALARS:
        if row.size is not None:
            row.size(*facts)  # for what it refuses
        return scalar(_SCALARS[returns])
    if returns == "L":
        return Fact("list")
    if returns == "M":
        return _matrix_fact(row, facts, which)
    if returns == "cell":
        if any(f.is_matrix for f in facts):
            return _matrix_fact(row, facts, which)
        if all(f.is_scalar for f in facts):
            return scalar(row.vtype(*facts) if row.vtype else None)
    return UNKNOWN


def _matrix_fact(row: Op, facts: list[Fact], which: int) -> Fact:
    size: Size | list[Size] = row.size(*facts) if row.size else (None, None)
    rows, cols = size[which] if isinstance(size, list) else size  # type: ignore[misc]
    nnz = row.nnz(*facts) if row.nnz and which == 0 else None
    return matrix(_dim(rows), _dim(cols), nnz)


def _dim(size: float | int | None) -> int | None:
    """A dimension as a whole number; negative or infinite ones are left for the run time to report."""
    if size is None or not math.isfinite(size) or size < 0:
        return None
    return int(size)
