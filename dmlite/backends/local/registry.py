"""Kernels of the local room by name; a module is imported when the first of its kernels is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from importlib import import_module
from typing import Any, Final

from dmlite.backends.local.storage import is_matrix
from dmlite.backends.local.threads import BLAS

_CUBIC: Final = frozenset({"linalg", "convolution"})  # modules that do more than a few operations for each cell they read, by BLAS
_LARGE: Final = 128  # rows and columns


@lru_cache(maxsize=1024)
def kernel(module: str, function: str) -> Callable[..., Any]:
    """`kernel("aggregate", "row_sums")`; the module `either` picks the scalar or the matrix form when called."""
    if module == "either":
        on_scalars, on_matrices = kernel("scalar", function), kernel("elementwise", function)
        return lambda *args: (on_matrices if any(map(is_matrix, args)) else on_scalars)(*args)
    found = getattr(import_module(f"dmlite.backends.local.{module}"), function)
    return _on_all_cores(found) if module in _CUBIC else found


def _on_all_cores(run: Callable[..., Any]) -> Callable[..., Any]:
    """For operands that are large enough; others are done before a second thread is awake."""

    @wraps(run)
    def kernel(*args: Any) -> Any:
        if max((min(x.shape) for x in args if is_matrix(x)), default=0) < _LARGE:
            return run(*args)
        with BLAS.large():
            return run(*args)

    return kernel
