"""What guards of rules ask: who else needs the inside of a match, and what is certain about its operands."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from dmlite.hop.node import Hop, literal, make
from dmlite.rewrite.rule import Match, Rule, Values

Guard = Callable[[Match], bool]

# Functions of one matrix, cell by cell, that DML can write.
UNARY: Final = (
    "exp", "log", "sqrt", "abs", "sign", "round", "floor", "ceil", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh",
    "sigmoid_op", "sprop", "square", "one_minus", "neg", "not_", "is_na", "is_infinite",
)  # fmt: skip


def alone(m: Match) -> bool:
    """Everything inside the match serves the match alone."""
    return m.inner_only()


def both(*guards: Guard) -> Guard:
    """All of the guards hold."""
    return lambda m: all(guard(m) for guard in guards)


def same_shape(*holes: str) -> Guard:
    """The holes have one known shape, so that nothing is broadcast."""

    def guard(m: Match) -> bool:
        shapes = {(m.fact(h).rows, m.fact(h).cols) for h in holes}
        return len(shapes) == 1 and None not in shapes.pop()

    return guard


def full(hole: str) -> Guard:
    """The hole is as large as the result, so that it is not broadcast."""

    def guard(m: Match) -> bool:
        fact, result = m.fact(hole), m.root_fact
        return None not in (fact.rows, fact.cols) and (fact.rows, fact.cols) == (result.rows, result.cols)

    return guard


def within(small: str, large: str) -> Guard:
    """`small` is a number, or certainly of the shape of `large`, a vector along it or a cell: dropping it hides no misfit."""

    def guard(m: Match) -> bool:
        a, b = m.fact(small), m.fact(large)
        return a.is_scalar or (a.cells is not None and b.cells is not None and a.rows in (1, b.rows) and a.cols in (1, b.cols))

    return guard


def fits(left: str, right: str) -> Guard:
    """The product of the two is legal for certain; dropping an illegal one would hide the error."""
    return lambda m: m.fact(left).cols is not None and m.fact(left).cols == m.fact(right).rows


def filled(*holes: str) -> Guard:
    """There is at least one cell; aggregates of nothing are special."""
    return lambda m: all((m.fact(h).cells or 0) > 0 for h in holes)


def some(side: str, hole: str) -> Guard:
    """There is at least one row (or column), for certain."""
    return lambda m: (getattr(m.fact(hole), side) or 0) > 0


def square(*holes: str) -> Guard:
    """A square matrix of more than one cell (a single cell is a column too, which diag reads otherwise)."""
    return lambda m: all(m.fact(h).is_square and m.fact(h).rows != 1 for h in holes)


def column(*holes: str) -> Guard:
    """A column of more than one cell."""
    return lambda m: all(m.fact(h).cols == 1 and (m.fact(h).rows or 0) > 1 for h in holes)


def finite(*holes: str) -> Guard:
    """Neither NaN nor infinite."""
    return lambda m: all(not m.fact(h).may_nan or m.fact(h).vtype == "int" for h in holes)


def nonzero(hole: str) -> Guard:
    """Finite and certainly not zero, a scalar or every cell of a matrix."""
    return lambda m: finite(hole)(m) and (m.fact(hole).low > 0 or m.fact(hole).high < 0)


def nonnegative(*holes: str) -> Guard:
    """No cell below zero; NaN is possible."""
    return lambda m: all(m.fact(h).low >= 0 for h in holes)


def flag(hole: str) -> Guard:
    """Every cell is 0 or 1, as the result of a comparison."""

    def guard(m: Match) -> bool:
        fact = m.fact(hole)
        return fact.integer and fact.low >= 0 and fact.high <= 1 and not fact.may_nan

    return guard


def constant(m: Match, hole: str) -> float | None:
    """The finite number that a scalar hole is known to be."""
    value = m.fact(hole).value
    return value if value.__class__ in (int, float) and math.isfinite(value) else None


def number(value: float) -> Hop:
    """A literal, whole where it can be."""
    return literal(int(value)) if float(value).is_integer() and abs(value) < 2**53 else literal(value)


def constant_like(value: float, hole: str) -> Callable[[Match], Hop]:
    """A matrix of one number with the shape of a hole."""

    def after(m: Match) -> Hop:
        fact, x = m.fact(hole), m.bound[hole]
        rows, cols = (make(op, [x]) if size is None else literal(size) for op, size in (("nrow", fact.rows), ("ncol", fact.cols)))
        return make("fill", [literal(value), rows, cols, literal(True)])

    return after


def where_finite(rule: Rule, *holes: str) -> Rule:
    """A rule that holds for finite operands alone: with NaN or Inf the expression gives other numbers than its replacement."""
    guards = [finite(*holes)] if rule.where is None else [finite(*holes), rule.where]
    facts = "; ".join(filter(None, [rule.facts, *(f"{h} finite" for h in holes)]))
    return replace(rule, name=f"{rule.name}_finite", where=both(*guards), facts=facts)


def with_finite(rule: Rule, *holes: str, values: Values = "exact") -> tuple[Rule, Rule]:
    """A rule that ignores NaN, after its form for holes that are certainly finite, which keeps every value."""
    return where_finite(replace(rule, values=values), *holes), rule
