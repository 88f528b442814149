"""Kernels that talk to the world, and the small helpers that generated control flow calls."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from dmlite.backends.local.storage import is_matrix
from dmlite.errors import DMLRuntimeError, DMLStop
from dmlite.text import java_format, scalar_text, to_text
from dmlite.values import DMLList


class _Unset:
    """The value of a variable that no path has set yet; there is one."""

    def __reduce__(self) -> str:
        return "UNSET"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = _Unset()
_READ_NAMES = [
    "data_type",
    "value_type",
    "rows",
    "cols",
    "nnz",
    "format",
    "sep",
    "header",
    "fill",
    "default",
    "naStrings",
    "indSep",
    "schema",
    "dataset",
    "rows_in_block",
    "cols_in_block",
]
_WRITE_NAMES = ["format", "sep", "header", "sparse", "description", "indSep", "dataset", "rows_in_block", "cols_in_block"]


# ---------------------------------------------------------------- control flow
def truth(value: Any) -> bool:
    """A condition: booleans as they are, numbers true unless zero.

    Raises DMLRuntimeError for matrices, lists and strings.
    """
    if value is True or value is False:
        return value
    if isinstance(value, (int, float)):
        return value != 0
    raise DMLRuntimeError(f"a condition must be a boolean or a number, not {describe(value)}", hint="use as.scalar(...) for a 1x1 matrix")


def loop_range(start: float, stop: float, step: float | None = None) -> range:
    """The values of a `for` loop: bounds truncate to whole numbers; `a:b` counts down when a > b."""
    numbers = [_bound(b) for b in ((start, stop) if step is None else (start, stop, step))]
    first, last = numbers[0], numbers[1]
    by = numbers[2] if step is not None else (1 if first <= last else -1)
    if by == 0:
        return range(0)
    return range(first, last + (1 if by > 0 else -1), by)


def _bound(value: Any) -> int:
    if not isinstance(value, (int, float)):
        raise DMLRuntimeError(f"a loop bound must be a number, not {describe(value)}")
    if value != value or abs(value) == float("inf"):
        raise DMLRuntimeError(f"a loop bound must be finite, found {scalar_text(value)}")
    return int(value)


def unset(name: str) -> None:
    raise DMLRuntimeError(
        f"variable '{name}' has no value here: the path that was taken does not assign it", hint="assign it before the if or the loop"
    )


def no_result(name: str, function: str) -> None:
    raise DMLRuntimeError(f"function {function} ended without assigning its result '{name}'")


def describe(value: Any) -> str:
    """A value in an error message: its kind and shape."""
    if is_matrix(value):
        return f"a matrix ({value.shape[0]}x{value.shape[1]})"
    if isinstance(value, DMLList):
        return f"a list of {len(value)}"
    return f"the string {value!r}" if isinstance(value, str) else f"the scalar {scalar_text(value)}"


def collect(x: Any) -> Any:
    """A matrix of workers, here."""
    from dmlite.backends.dask import moves

    return moves.collect(x)


def is_set(value: Any) -> bool:
    return value is not UNSET


# ---------------------------------------------------------------- effects
def print_(value: Any, *args: Any) -> None:
    """`print(x)`, or `print("format", a, b)` with the format strings of Java."""
    if args and not isinstance(value, str):
        raise DMLRuntimeError(
            f"print with several values needs a format string first, found {describe(value)}", hint='as in print("%d of %d", i, n)'
        )
    text = java_format(value, args) if args else to_text(value)
    sys.stdout.write(text + "\n")


def stop(message: Any) -> None:
    raise DMLStop(to_text(message) or "the script stopped")


def assert_(condition: Any) -> None:
    if not truth(condition):
        raise DMLStop("assertion failed")


def to_string(target: Any, rows: float, cols: float, decimal: float, sparse: bool, sep: str, linesep: str) -> str:
    return to_text(target, int(rows), int(cols), int(decimal), bool(sparse), sep, linesep)


def read(filename: str, *params: Any) -> Any:
    from dmlite.runtime import io

    return io.read(filename, **{n: v for n, v in zip(_READ_NAMES, params, strict=True) if v is not None})


def read_mm(filename: str) -> Any:
    from dmlite.runtime import io

    return io.read(filename, format="mm")


def write(value: Any, filename: Any, *params: Any) -> None:
    from dmlite.runtime import io

    io.write(value, to_text(filename), **{n: v for n, v in zip(_WRITE_NAMES, params, strict=True) if v is not None})


def now() -> int:
    return time.perf_counter_ns()


def by_name(call: Callable[[str, tuple[Any, ...]], tuple[Any, ...]]) -> dict[str, Callable[..., Any]]:
    """The kernels of `eval` and `evalList`, over a function that calls a DML function by name."""

    def eval_(name: str, *args: Any) -> Any:
        results = call(name, args)
        if not results:
            raise DMLRuntimeError(f"function {name} called through eval gives no result")
        first = results[0]
        return first if is_matrix(first) or isinstance(first, DMLList) else np.array([[float(first)]])

    def eval_list(name: str, *args: Any) -> DMLList:
        return DMLList(call(name, args))

    return {"eval_": eval_, "eval_list": eval_list}
