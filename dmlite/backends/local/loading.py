"""Generated source as functions: what the names in it stand for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dmlite.backends.local import registry
from dmlite.backends.local.ownership import LOCAL_REFS, PARAM_REFS, refcount
from dmlite.codegen.templates import NUMPY_NAMES, python_name

if TYPE_CHECKING:
    from dmlite.codegen.loops import Loop


def names(kernels: Iterable[str], others: Mapping[str, Callable[..., Any]] | None = None, *, shared: bool = False) -> dict[str, Any]:
    """The names that the source of a block may use. others: kernels that are not of this room, by their Python names.

    shared: somebody else holds the operands, so none may be overwritten.
    """
    found: dict[str, Any] = {n: getattr(np, n.removeprefix("np_")) for n in NUMPY_NAMES}
    found |= {
        "nan": float("nan"),
        "inf": float("inf"),
        "refcount": refcount,
        "param_refs": 0 if shared else PARAM_REFS,
        "local_refs": LOCAL_REFS,
        "ndarray": np.ndarray,
    }
    others = others or {}
    for kernel in kernels:
        name = python_name(kernel)
        found[name] = others.get(name) or registry.kernel(*kernel.split("."))
    return found


def load(source: str, name: str, filename: str, namespace: dict[str, Any], loops: Mapping[str, Loop]) -> Callable[..., Any]:
    """The function `name` of generated source; functions that loops may replace become kernels."""
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102 - our own text: names are generated, constants repr-ed
    if loops:
        from dmlite.backends.local.jit.kernel import Kernel

        namespace.update((part, Kernel(namespace[part], loop)) for part, loop in loops.items())
    return namespace[name]
