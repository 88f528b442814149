"""What guards on sizes and contents ask, and the constants that computed right-hand sides are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.node import Hop, literal, make
from dmlite.rewrite.rule import Match

Guard = Callable[[Match], bool]
NONE: Final = literal(None)  # an argument that is left out


def either(*guards: Guard) -> Guard:
    """One of the guards holds."""
    return lambda m: any(guard(m) for guard in guards)


def empty(*holes: str) -> Guard:
    """Certainly without a non-zero (and so without NaN)."""
    return lambda m: all(m.fact(h).nnz == 0 for h in holes)


def nonempty(*holes: str) -> Guard:
    """At least one row and one column, for certain."""
    return lambda m: all((m.fact(h).cells or 0) > 0 for h in holes)


def cell(*holes: str) -> Guard:
    return lambda m: all(m.fact(h).is_cell for h in holes)


def is_row(*holes: str) -> Guard:
    """A row of more than one cell."""
    return lambda m: all(m.fact(h).rows == 1 and (m.fact(h).cols or 0) > 1 for h in holes)


def sized(*holes: str) -> Guard:
    """Both dimensions are known; without holes, those of the result."""
    return lambda m: all(f.cells is not None for f in ([m.fact(h) for h in holes] or [m.root_fact]))


def wide(hole: str) -> Guard:
    """More than one row and more than one column: no vector, whatever it meets."""
    return lambda m: (m.fact(hole).rows or 0) > 1 and (m.fact(hole).cols or 0) > 1


def same_rows(*holes: str) -> Guard:
    return lambda m: len({m.fact(h).rows for h in holes}) == 1 and m.fact(holes[0]).rows is not None


def same_cols(*holes: str) -> Guard:
    return lambda m: len({m.fact(h).cols for h in holes}) == 1 and m.fact(holes[0]).cols is not None


def has(structure: str, hole: str) -> Guard:
    return lambda m: structure in m.fact(hole).structure


def constant_cells(fact: Fact) -> float | None:
    """The finite number that every cell of a matrix is known to be."""
    if not fact.is_matrix:
        return None
    if fact.nnz == 0:
        return 0.0
    return fact.low if fact.low == fact.high and not fact.may_nan and math.isfinite(fact.low) else None


def filled_with(value: float, rows: int | None, cols: int | None) -> Hop | None:
    """A matrix of one number; None when its shape is not known."""
    if rows is None or cols is None:
        return None
    number = int(value) if float(value).is_integer() and abs(value) < 2**53 else value
    return make("fill", [literal(number), literal(rows), literal(cols), literal(True)])


def filled_result(value: float) -> Callable[[Match], Hop | None]:
    """One number everywhere, in the shape of the result."""
    return lambda m: filled_with(value, m.root_fact.rows, m.root_fact.cols)


def number_result(value: float) -> Callable[[Match], Hop]:
    return lambda m: literal(value)


def apply(op: str, *args: Hop) -> Hop:
    return make(op, args)
