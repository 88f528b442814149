"""Generated loops run as plain Python, over arrays that do not let anyone read or write outside of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from dmlite.codegen.loops import Source


class Checked:
    """An array that is only ever asked for cells that it has."""

    def __init__(self, array: np.ndarray):
        self.cells = array.reshape(-1)
        assert np.shares_memory(self.cells, array) or array.size == 0

    def __getitem__(self, i: int) -> Any:
        assert 0 <= i < self.cells.size, f"cell {i} of {self.cells.size}"
        return self.cells[i]

    def __setitem__(self, i: int, value: Any) -> None:
        assert 0 <= i < self.cells.size, f"cell {i} of {self.cells.size}"
        self.cells[i] = value


def _product(z, start, row, a, a_start, a_row, a_turned, b, b_start, b_row, b_turned, m, n, k):
    x = [[a[a_start + (p * a_row + i if a_turned else i * a_row + p)] for p in range(k)] for i in range(m)]
    y = [[b[b_start + (j * b_row + p if b_turned else p * b_row + j)] for j in range(n)] for p in range(k)]
    for i, line in enumerate(np.array(x) @ np.array(y)):
        for j, value in enumerate(line):
            z[start + i * row + j] = value


def functions() -> dict[str, Any]:
    """What generated code may call, as plain Python; exp, log and tanh are NumPy's."""
    from dmlite.backends.local.jit import functions as compiled

    found = {n: getattr(f, "py_func", f) for n, f in vars(compiled).items()}
    found |= {"exp": np.exp, "log": np.log, "tanh": np.tanh, "np": np, "math": math, "product": _product}
    for name, function in found.items():
        if hasattr(function, "__globals__") and function.__module__ == compiled.__name__:
            found[name] = type(function)(function.__code__, found, name, function.__defaults__)
    return found


def interpreted(loop: Source) -> Callable[..., None]:
    """The function of a generated loop; arrays instead of addresses."""
    namespace = functions()
    exec(compile(loop.source, "<loop>", "exec"), namespace)  # noqa: S102 - the text under test
    run = namespace[loop.name]

    def call(*args: Any) -> None:
        with np.errstate(all="ignore"):
            run(*(Checked(x) if isinstance(x, np.ndarray) else x for x in args))

    return call
