"""Values that are neither plain Python scalars nor arrays, shared by kernels, runtime and API.

A DML matrix is a 2-D float64 `numpy.ndarray` or a `scipy.sparse.csr_array`; a DML scalar is a
Python `float`, `int`, `bool` or `str`; a DML list is a `DMLList`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DMLList:
    """An ordered, optionally named list; a value like any other, so every change makes a new one."""

    items: tuple[Any, ...] = ()
    names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)
