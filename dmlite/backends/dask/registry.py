"""Kernels of the Dask room by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any


@lru_cache(maxsize=512)
def kernel(module: str, function: str) -> Callable[..., Any]:
    """`kernel("reorg", "t")`; a module is imported when the first of its kernels is asked for."""
    return getattr(import_module(f"dmlite.backends.dask.{module}"), function)
