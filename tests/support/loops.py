"""Generated loops run as plain Python over arrays that check every index: what no compiled loop does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dmlite.backends.local import elementwise
from dmlite.backends.local.jit import kernel
from dmlite.codegen.loops import Loop

MEANINGS = {
    "np": np,
    "plus": lambda a, b: a + b,
    "plus_product": lambda a, x, y: a + x * y,
    "least": np.minimum,
    "most": np.maximum,
    "truth": float,
    "reaches_least": lambda x, best: float(x == x and not x > best),
    "reaches_most": lambda x, best: float(x == x and not x < best),
    "choose": lambda condition, a, b: a if condition != 0 else b,
    "sign": np.sign,
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "round_half_up": lambda x: elementwise.round(np.array([x]))[0],
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.logaddexp(0, x),
    "zeros": np.zeros,
    "get": lambda count, x, start: np.array([x[start + i] for i in range(count)]),
    "plus_times": lambda total, a, x, start: total + a * np.array([x[start + i] for i in range(total.size)]),
    "dot": lambda count, a, i, b, j: sum(a[i + k] * b[j + k] for k in range(count)),
    "put": lambda lanes, x, start: [x.__setitem__(start + i, cell) for i, cell in enumerate(lanes)],
}


class Pointer:
    """The address of a cell of an array; reading or writing outside of the array is an error, also before its start."""

    def __init__(self, x: np.ndarray, offset: int = 0):
        self.base = x.__array_interface__["data"][0]
        self.cells, self.offset = x.reshape(-1), offset
        assert np.shares_memory(self.cells, x) or not x.size

    def __sub__(self, bytes_: int) -> Pointer:
        return Pointer(self.cells, self.offset - bytes_ // self.cells.itemsize)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pointer) and (self.base, self.offset) == (other.base, other.offset)

    def __hash__(self) -> int:
        return hash(self.base)

    def _place(self, k: int) -> int:
        place = self.offset + k
        if not 0 <= place < self.cells.size:
            raise IndexError(f"cell {place} of {self.cells.size}")
        return place

    def __getitem__(self, k: int) -> Any:
        return self.cells[self._place(k)]

    def __setitem__(self, k: int, value: float) -> None:
        self.cells[self._place(k)] = value


def interpreted(loop: Loop) -> Any:
    """The function of a loop in plain Python."""
    namespace = dict(MEANINGS)
    exec(loop.source, namespace)  # noqa: S102 - generated text
    return namespace[loop.name]


def use_loops(monkeypatch: pytest.MonkeyPatch, *, compiled: bool) -> list[kernel.Kernel]:
    """Every region runs as its loop from the first call on: compiled, or as checked Python. The kernels that did are returned."""
    used: list[kernel.Kernel] = []
    bound = kernel.Kernel.bound

    def at_once(self: kernel.Kernel, operands: Any) -> Any:
        used.append(self)
        if self.compiled is None:
            if compiled:
                assert self.wait()
            else:
                self.compiled = interpreted(self.loop)
        return bound(self, operands)

    monkeypatch.setattr(kernel.Kernel, "bound", at_once)
    monkeypatch.setattr(kernel.Kernel, "took", lambda *_, **__: None)
    if not compiled:
        monkeypatch.setattr(kernel, "_address", Pointer)
    return used
