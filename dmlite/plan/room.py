"""Operators that the workers run other than chunk by chunk: each has a kernel of its own in the Dask room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop


@dataclass(frozen=True)
class Room:
    """chunks: operands, by their places, that it takes as chunks. results: which of its results are chunked. how: in words.

    fits: whether it runs for these operands.
    """

    chunks: tuple[int, ...]
    results: tuple[int, ...]
    how: str
    fits: Callable[[Hop, FactTable], bool] = lambda hop, facts: True


ROOMS: Final[Mapping[str, Room]] = {
    "t": Room((0,), (0,), "every chunk is cut into columns, which are put together"),
}


def room_of(hop: Hop, facts: FactTable) -> Room | None:
    """How the workers run an operator by a kernel of its own; None if they do not."""
    room = ROOMS.get(hop.op)
    return room if room is not None and room.fits(hop, facts) else None
