"""Does anything but one variable refer to an array? Asked before a left-indexing stores in place.

CPython counts references; what count a sole owner has depends on how many frames hold the value on the way, which is
measured once here on functions of the same form as the generated ones.
"""

from __future__ import annotations

from collections.abc import Callable
from sys import getrefcount as refcount
from typing import Any


def _of_param(x: Any) -> int:
    return refcount(x)


def _dispatch(x: Any) -> int:
    plan: Callable[[Any], int] = _of_param
    return plan(x)


def _caller() -> int:
    x = bytearray(1)
    x_refs = _dispatch(x)
    return x_refs


def _of_local() -> int:
    v = bytearray(1)
    w = refcount(v)
    return w


PARAM_REFS: int = _caller()  # held by the caller's variable, the dispatcher and the block
LOCAL_REFS: int = _of_local()  # held by a variable of the block alone

__all__ = ["LOCAL_REFS", "PARAM_REFS", "refcount"]
