"""Operator rows: lists. Appending is `cbind`, joining matrices of a list `cbind` and `rbind`, their length `length`."""

from __future__ import annotations

from typing import Final

from dmlite.hop.ops.row import Op

ROWS: Final[tuple[Op, ...]] = (
    Op("list", "names: V, *items: A", "L", "lists.make", "A list of values of any kind; `names` is empty, or holds one name for each."),
    Op("as.list", "X: L", "L", "lists.as_list", "The list inside of a list of one.", view=True),
    Op("remove", "X: L, which: D|T", "L,L", "lists.remove", "The list without one element (position or name), and that element as a list."),
)
