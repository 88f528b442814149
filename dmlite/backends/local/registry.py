"""Kernels of the local room by name; a module is imported when the first of its kernels is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

from dmlite.backends.local.storage import is_matrix


@lru_cache(maxsize=1024)
def kernel(module: str, function: str) -> Callable[..., Any]:
    """`kernel("aggregate", "row_sums")`; the module `either` picks the scalar or the matrix form when called."""
    if module == "either":
        on_scalars, on_matrices = kernel("scalar", function), kernel("elementwise", function)
        return lambda *args: (on_matrices if any(map(is_matrix, args)) else on_scalars)(*args)
    return getattr(import_module(f"dmlite.backends.local.{module}"), function)
