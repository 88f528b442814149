"""Where the values of a compiled loop are: matrices as places in memory, scalars as local variables."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from dmlite.hop.facts import Fact, constant, matrix, scalar

WIDE = 2.0**62  # whole numbers that a loop counts up are taken to stay below this; see `whole`
LEFT = -1  # why a loop ended: its next iteration cannot be compiled
COUNTED = 2.0**31  # those that it does not change are looked at before
CARRIED = 2.0**53  # and those that it does
RANGE = 2.0**26  # values of the variable of a loop


class Unsuitable(Exception):
    """A loop that cannot be compiled; says why."""


@dataclass(frozen=True)
class Place:
    """Cells of a matrix: `base[start + shift + r * row + c * col]`, or a number that they all are. shift: a variable, or nothing."""

    base: str
    start: int
    shift: str
    rows: int
    cols: int
    row: int
    col: int
    number: str | None = None

    @classmethod
    def whole(cls, base: str, start: int, rows: int, cols: int) -> Place:
        return cls(base, start, "", rows, cols, cols, 1)

    @property
    def cells(self) -> int:
        return self.rows * self.cols

    @property
    def is_plain(self) -> bool:
        """Row by row without gaps."""
        return self.number is None and (self.col == 1 or self.cols == 1) and (self.row == self.cols or self.rows == 1)

    @property
    def pace(self) -> int | None:
        """The distance from each cell to the next, in the order of rows, if it is always the same."""
        if self.rows == 1 or (self.cols > 1 and self.row == self.cols * self.col):
            return self.col
        return self.row if self.cols == 1 else None

    @property
    def origin(self) -> str:
        return _sum(self.start, [self.shift] if self.shift else [])

    def at(self, r: str, c: str) -> str:
        """The cell in row r and column c, where a single row or column stands for all."""
        steps = [(r, self.row, self.rows), (c, self.col, self.cols)]
        terms = [_times(i, by) for i, by, size in steps if size > 1 and i != "0"]
        return f"{self.base}[{_sum(self.start, [*([self.shift] if self.shift else []), *terms])}]"

    def nth(self, q: str) -> str:
        """The q-th cell in the order of rows."""
        assert self.pace is not None
        shift = [self.shift] if self.shift else []
        return f"{self.base}[{_sum(self.start, [*shift, *([_times(q, self.pace)] if self.cells > 1 else [])])}]"

    def is_within(self, whole: Place) -> bool:
        """Whether it is in memory that `whole` takes up."""
        return self.base == whole.base and whole.start <= self.start < whole.start + whole.cells

    def turned(self) -> Place:
        return replace(self, rows=self.cols, cols=self.rows, row=self.col, col=self.row)

    def part(self, rows: tuple[str, int], cols: tuple[str, int]) -> Place:
        """From a row and column, counted from 0, so many rows and columns."""
        start, shift = self.start, [self.shift] if self.shift else []
        for (first, _), by in ((rows, self.row), (cols, self.col)):
            if first.isdigit():
                start += int(first) * by
            else:
                shift.append(_times(first, by))
        return replace(self, start=start, shift=" + ".join(shift), rows=rows[1], cols=cols[1])


@dataclass(frozen=True)
class Var:
    """A variable. text: the local variable of a scalar. bound: a whole number is at most so large."""

    kind: str  # matrix, double, int, boolean
    text: str
    place: Place | None
    fact: Fact
    bound: float = math.inf

    @property
    def type(self) -> tuple[Any, ...]:
        return self.kind if self.place is None else (self.place.rows, self.place.cols), self.place is None

    def varying(self) -> Var:
        """What is known of it when a loop changes it."""
        return self if self.place is not None else replace(self, fact=scalar(self.kind), bound=WIDE if self.kind == "int" else math.inf)


def matrix_var(place: Place) -> Var:
    return Var("matrix", "", place, matrix(place.rows, place.cols, dense=True))


def number(value: Any) -> str:
    """A constant as source of a double."""
    value = float(value)
    if math.isnan(value):
        return "np.nan"
    if math.isinf(value):
        return "np.inf" if value > 0 else "-np.inf"
    return f"({value!r})" if value < 0 or math.copysign(1.0, value) < 0 else repr(value)


def scalar_literal(value: Any) -> tuple[str, Fact, float]:
    """Source, fact and bound of a constant. Raises Unsuitable for strings."""
    if isinstance(value, bool):
        return repr(value), constant(value), 1.0
    if isinstance(value, int):
        if abs(value) > COUNTED:
            raise Unsuitable(f"the whole number {value}")
        return (f"({value})" if value < 0 else repr(value)), constant(value), float(abs(value))
    if isinstance(value, float):
        return number(value), constant(value), math.inf
    raise Unsuitable(f"the value {value!r}")


def _times(text: str, by: int) -> str:
    if by == 1:
        return text
    return f"{text} * {by}" if text.isidentifier() else f"({text}) * {by}"


def _sum(start: int, terms: list[str]) -> str:
    parts = [*([str(start)] if start or not terms else []), *terms]
    return " + ".join(parts)
