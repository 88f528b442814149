"""May the iterations of a parfor run at once? Which variables it changes, and a proof that no two iterations touch the same cells.

A variable that exists before the loop may be changed in three ways: cells `R[i,] = ..` that no other iteration reads or writes,
accumulation `R += ..` of a matrix, or, as the variable of an inner loop, privately. Everything first created in the body is local.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from dmlite.errors import Problems, Span
from dmlite.lang.linear import Interval, Poly, Steps, never_meet, number, polynomial, symbol, widen
from dmlite.lang.nodes import Assign, Binary, Call, Expr, For, If, Index, Literal, Name, Range, Stmt, Unary, While
from dmlite.lang.walk import assigned, branches, expressions, statements, targets, walk

SIZES: Final = frozenset({"nrow", "ncol", "length"})  # reading a size does not read the cells
UNREAD: Final = SIZES | {"exists"}
HINT: Final = "parfor(.., check=0) goes without this proof"


@dataclass(frozen=True)
class ParforResults:
    """The variables of the enclosing scope that a parfor changes: merged cell by cell, or summed over the iterations."""

    results: tuple[str, ...]
    accumulators: tuple[str, ...]


def parfor_results(loop: For, defined_before: Collection[str]) -> ParforResults:
    """What outlives a parfor. `defined_before`: the variables that (may) exist when the loop starts.

    With `check=0`, results may include scalars and matrices overwritten as a whole.
    """
    merged: dict[str, None] = {}
    summed: dict[str, None] = {}
    for stmt in statements(loop.body):
        for target in targets(stmt):
            if target.name in defined_before and target.name != loop.var:
                total = isinstance(stmt, Assign) and stmt.accumulate and isinstance(target, Name)
                (summed if total else merged)[target.name] = None
    return ParforResults(tuple(merged), tuple(n for n in summed if n not in merged))


def check_parfor(loop: For, defined_before: Collection[str], scalars: Collection[str], problems: Problems) -> None:
    """Report what makes the iterations depend on each other, unless the loop says `check=0`. `scalars`: names known to be scalar."""
    if any(o.name == "check" and isinstance(o.value, Literal) and o.value.value in (0, False) for o in loop.options):
        return
    body = _Body(loop, defined_before)
    for name, span in body.overwritten.items():
        problems.add(
            f"parfor: '{name}' exists before the loop and is overwritten by every iteration",
            span,
            f"use a new name inside the loop, or cells of its own, as in R[{loop.var},] = ..; {HINT}",
        )
    for name, span in body.accumulated.items():
        _check_accumulator(name, span, body, scalars, problems)
    for name in dict.fromkeys(a.name for a in body.accesses if a.writes):
        if name not in body.overwritten and name not in body.accumulated:
            _check_cells(name, body, problems)


def _check_accumulator(name: str, span: Span, body: _Body, scalars: Collection[str], problems: Problems) -> None:
    other = next((a for a in body.accesses if a.name == name), None)
    if name in body.overwritten:
        return
    if name in scalars:
        hint = f"collect one value per iteration, as in R[{body.loop.var},1] = .., and sum(R) after the loop"
        problems.add(f"parfor: += adds up matrices over the iterations, but '{name}' is a scalar", span, hint)
    elif other is not None:
        use = "written" if other.writes else "read"
        problems.add(f"parfor: '{name}' is added up over the iterations here, and also {use} at {_place(other.span, span)}", span, HINT)


def _check_cells(name: str, body: _Body, problems: Problems) -> None:
    """Report the first pair of accesses that may meet in different iterations."""
    accesses = [a for a in body.accesses if a.name == name]
    for write in (a for a in accesses if a.writes):
        for other in accesses:
            if any(a and b and never_meet(a, b, body.steps) for a, b in zip(write.dims, other.dims, strict=True)):
                continue
            if other.writes:
                where = "" if other is write else f" here and at {_place(other.span, write.span)}"
                message = f"parfor: two iterations may write the same cells of '{name}'{where}"
            else:
                message = f"parfor: cells of '{name}' written here may be read by another iteration at {_place(other.span, write.span)}"
            problems.add(message, write.span, f"index '{name}' by the loop variable '{body.loop.var}' alone; {HINT}")
            return


def _place(span: Span, seen_from: Span) -> str:
    return f"{span.line}:{span.col}" if span.source is seen_from.source else str(span)


@dataclass(frozen=True)
class _Access:
    """One read or write of a shared variable; a dimension is None when all of it, or not known which part, is touched."""

    name: str
    span: Span
    writes: bool
    dims: tuple[Interval | None, Interval | None] = (None, None)


class _Body:
    """One walk through the body of a parfor, in the order of the text, with the scalars computed so far as polynomials."""

    def __init__(self, loop: For, defined_before: Collection[str]):
        self.loop = loop
        self.shared = set(defined_before) - {loop.var}
        self.steps = _steps(loop)
        self.overwritten: dict[str, Span] = {}
        self.accumulated: dict[str, Span] = {}
        self.accesses: list[_Access] = []
        self._bound = assigned(loop.body) | {loop.var}
        self._values: dict[str, Poly | None] = {loop.var: symbol(loop.var)}
        self._inner: list[tuple[str, tuple[Poly, Poly] | None]] = []
        self._private: set[str] = set()  # variables of inner loops, once those have begun
        self._loops = 0
        self._block(loop.body)

    def _block(self, body: tuple[Stmt, ...]) -> None:
        for stmt in body:
            match stmt:
                case If():
                    self._if(stmt)
                case While():
                    self._forget(stmt.body)
                    self._read(stmt.cond)
                    self._block(stmt.body)
                    self._forget(stmt.body)
                case For():
                    self._for(stmt)
                case _:
                    self._simple(stmt)

    def _simple(self, stmt: Stmt) -> None:
        for expr in expressions(stmt):
            self._read(expr)
        total = isinstance(stmt, Assign) and stmt.accumulate
        for target in targets(stmt):
            if isinstance(target, Index):
                self._read_bounds(target)
                self._touch(target, writes=True)
                if total:
                    self._touch(target, writes=False)
                continue
            if target.name in self.shared:
                (self.accumulated if total else self.overwritten).setdefault(target.name, target.span)
            self._values[target.name] = polynomial(stmt.value, self._leaf) if isinstance(stmt, Assign) and not total else None

    def _if(self, stmt: If) -> None:
        arms, otherwise = branches(stmt)
        for cond, _ in arms:
            self._read(cond)
        before, ends = self._values, []
        for block in [*(block for _, block in arms), otherwise]:
            self._values = dict(before)
            self._block(block)
            ends.append(self._values)
        names = dict.fromkeys(name for end in ends for name in end)
        self._values = {n: ends[0].get(n) if all(e.get(n) == ends[0].get(n) for e in ends) else None for n in names}

    def _for(self, stmt: For) -> None:
        for expr in expressions(stmt):
            self._read(expr)
        limits = self._limits(stmt)
        if stmt.var in self.shared and any(a.name == stmt.var for a in self.accesses):
            self.overwritten.setdefault(stmt.var, stmt.span)
        self._private.add(stmt.var)
        self._forget(stmt.body)
        self._loops += 1
        inner = f"{stmt.var}@{self._loops}"
        self._values[stmt.var] = symbol(inner)
        self._inner.append((inner, limits))
        self._block(stmt.body)
        self._inner.pop()
        self._forget((stmt,))

    def _forget(self, body: tuple[Stmt, ...]) -> None:
        """Scalars that a loop changes have no one value at its start, nor after it."""
        self._values.update(dict.fromkeys(assigned(body)))

    def _read(self, *exprs: Expr) -> None:
        skipped: set[int] = set()
        for expr in walk(*exprs):
            match expr:
                case Call() if expr.name in UNREAD and len(expr.args) == 1:
                    skipped.add(id(expr.args[0].value))
                case Name() if id(expr) not in skipped:
                    self._touch(expr, writes=False)
                case Index():
                    self._touch(expr, writes=False)

    def _read_bounds(self, index: Index) -> None:
        for part in (index.rows, index.cols):
            if part is not None:
                self._read(*(e for e in (part.lower, part.upper) if e is not None))

    def _touch(self, expr: Name | Index, writes: bool) -> None:
        if expr.name not in self.shared or expr.name in self._private:
            return
        dims = (self._interval(expr.rows), self._interval(expr.cols)) if isinstance(expr, Index) else (None, None)
        self.accesses.append(_Access(expr.name, expr.span, writes, dims))

    def _interval(self, part: Range | None) -> Interval | None:
        """The indices that one iteration of the parfor touches, over all values of the inner loops' variables."""
        if part is None:
            return None
        lower = polynomial(part.lower, self._leaf)
        upper = lower if part.upper is None else polynomial(part.upper, self._leaf)
        if lower is None or upper is None:
            return None
        interval: Interval | None = Interval(lower, upper)
        for name, limits in reversed(self._inner):
            if interval and any(name in term for p in (interval.lower, interval.upper) for term in p):
                interval = widen(interval, name, *limits) if limits else None
        return interval

    def _leaf(self, expr: Expr) -> Poly | None:
        if isinstance(expr, Name) and expr.name in self._values:
            return self._values[expr.name]
        return symbol(repr(expr)) if all(self._invariant(e) for e in walk(expr)) else None

    def _invariant(self, expr: Expr) -> bool:
        match expr:
            case Name(name):
                return name not in self._bound
            case Call(name, args):
                return name in SIZES and len(args) == 1 and isinstance(args[0].value, Name)
        return isinstance(expr, (Literal, Unary, Binary))

    def _limits(self, loop: For) -> tuple[Poly, Poly] | None:
        """The smallest and largest value of an inner loop's variable.

        `from:to` counts down where `to` is less; with a symbolic `to` that is ruled out only for a loop from 1, where it would
        run into index 0.
        """
        start, stop = polynomial(loop.start, self._leaf), polynomial(loop.stop, self._leaf)
        if start is None or stop is None:
            return None
        if loop.step is not None:
            step = polynomial(loop.step, self._leaf)
            stride = None if step is None else number(step)
            return None if not stride else (start, stop) if stride > 0 else (stop, start)
        first, last = number(start), number(stop)
        if first is not None and last is not None:
            return (start, stop) if first <= last else (stop, start)
        return (start, stop) if first is not None and first == 1 else None


def _steps(loop: For) -> Steps:
    start, stop, step = (e.value if isinstance(e, Literal) and type(e.value) is int else None for e in (loop.start, loop.stop, loop.step))
    if loop.step is None:
        step = 1
    if not step:
        return Steps(loop.var)
    trips = None if start is None or stop is None else abs(stop - start) // abs(step) + 1
    return Steps(loop.var, abs(step), trips)
