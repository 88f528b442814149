"""Loops over the cells of matrices of one shape: values are numbers, only what others need touches memory."""

from __future__ import annotations

from collections.abc import Sequence

from dmlite.codegen.small.values import Place


class Cells:
    """One loop over all cells in the order of rows, or one over rows and one over columns inside it."""

    def __init__(self, rows: int, cols: int, places: Sequence[Place]):
        """places: what the loop reads and writes; a single loop does where all have the same distance from cell to cell."""
        self.rows, self.cols = rows, cols
        self.is_flat = all(is_even(p, rows, cols) for p in places)
        self.before: list[str] = []
        self.row: list[str] = []  # of each row, before its cells
        self.cell: list[str] = []
        self.stores: list[str] = []
        self.after_row: list[str] = []
        self.after: list[str] = []
        self._loaded: dict[Place, str] = {}

    def read(self, place: Place, name: str) -> str:
        """A value for each cell; `name` is free for it. Rows, columns and single cells stand for all."""
        if place.number is not None:
            return place.number
        if place not in self._loaded:
            self._loaded[place] = name
            moves = (place.rows > 1, place.cols > 1)
            lines = self.cell if moves[1] or (self.is_flat and moves[0]) else self.row if moves[0] else self.before
            lines.append(f"{name} = {self.cell_of(place)}")
        return self._loaded[place]

    def cell_of(self, place: Place) -> str:
        return place.nth("q") if self.is_flat else place.at("r", "c")

    def lines(self) -> list[str]:
        inner = [*self.cell, *self.stores]
        if self.is_flat:
            return [*self.before, f"for q in range({self.rows * self.cols}):", *indented(inner), *self.after]
        row = [*self.row, f"for c in range({self.cols}):", *indented(inner), *self.after_row]
        return [*self.before, f"for r in range({self.rows}):", *indented(row), *self.after]


def is_even(place: Place, rows: int, cols: int) -> bool:
    """Whether a single loop over rows x cols cells can read a place."""
    return place.number is not None or place.cells == 1 or ((place.rows, place.cols) == (rows, cols) and place.pace is not None)


def indented(lines: Sequence[str]) -> list[str]:
    return ["    " + line for line in lines]
