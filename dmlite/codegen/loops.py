"""Sources for the compiler, and what has to be known to call what it makes of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_LANES: Final = (8, 4, 2, 1)
INLINE: Final = (0.0, 1.0, -1.0, 2.0, 0.5)  # numbers that stand in the source; others are parameters


@dataclass(frozen=True)
class Total:
    """A result of ranges of rows that are joined: what it starts from, and its shape; None for a number. turned: column by column."""

    start: float
    shape: tuple[int, int] | None
    turned: bool = False

    @property
    def size(self) -> int:
        return 1 if self.shape is None else self.shape[0] * self.shape[1]


@dataclass(frozen=True)
class Source:
    """A function for the compiler. kinds: a letter per parameter: n whole number, d double, a array of doubles, l of whole numbers."""

    source: str
    name: str
    kinds: str

    @property
    def needs_blas(self) -> bool:
        return " product(" in self.source


@dataclass(frozen=True)
class Loop(Source):
    """The source of `name(i, j, m, k, operands..., results..., numbers..., w, y, z)` for rows i to j of values of m and of k cells a row.

    operands: `a`, `d`, or `t` for an array that is turned first. results: how many arrays of results there are. numbers: constants of the
    script. wide, thin: rows of m and of k cells in the buffers w and y. totals: what is behind z.
    """

    cols: int
    thin_cols: int
    operands: str
    results: int
    numbers: tuple[float, ...]
    wide: int
    thin: int
    totals: tuple[Total, ...]


class Unsuitable(Exception):
    """A member that no loop over cells can do as well as NumPy or BLAS."""


def strips(count: int) -> Iterator[tuple[int, int]]:
    """Where strips of a row of so many numbers start, and their lanes."""
    start = 0
    for lanes in _LANES:
        while start + lanes <= count:
            yield start, lanes
            start += lanes


def indented(lines: Iterable[str]) -> list[str]:
    return ["    " + line for line in lines]
