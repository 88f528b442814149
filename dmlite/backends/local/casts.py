"""Kernels: values from one kind or type to another, and how arguments are read as numbers and dimensions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import numpy as np

from dmlite.backends.local.storage import Matrix, is_matrix
from dmlite.errors import DMLRuntimeError
from dmlite.text import scalar_text
from dmlite.values import DMLList

_INT_MAX: Final = 2**63 - 1
_INT_MIN: Final = -(2**63)
_CLASSES: Final = {
    "scalar": (int, float, str),
    "number": (int, float),
    "int": (int, float),
    "boolean": (int, float),
    "string": str,
    "list": DMLList,
    "literals": tuple,
}


def describe(value: Any) -> str:
    """What a value is, for messages: `a 3x4 matrix`, `a list of 2`, or the scalar itself."""
    if is_matrix(value):
        return f"a {value.shape[0]}x{value.shape[1]} matrix"
    if isinstance(value, DMLList):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return f'"{value}"'
    return scalar_text(value) if isinstance(value, (int, float)) else "nothing" if value is None else f"a {type(value).__name__}"


def dimension(value: Any, what: str) -> int:
    """A number of rows or the like; doubles are floored.

    Raises DMLRuntimeError when `value` is not a number of at least 0.
    """
    if value.__class__ is int and value >= 0:
        return value
    if isinstance(value, (int, float)) and 0 <= value < 2**62:
        return int(value)
    raise DMLRuntimeError(f"{what} is {describe(value)}, expected a whole number of at least 0")


def operand(value: Any, kinds: tuple[str, ...], op: str, name: str) -> Any:
    """`value` if the operator takes such a kind for this parameter; asked where only the run time knows the kind.

    Raises DMLRuntimeError when it does not.
    """
    if any(is_matrix(value) if kind == "matrix" else isinstance(value, _CLASSES.get(kind, ())) for kind in kinds):
        return value
    raise DMLRuntimeError(f"{op} takes a {' or '.join(kinds)} for '{name}', not {describe(value)}")


def number(value: Any, what: str) -> float | int:
    """`value` if it is a number. Raises DMLRuntimeError when it is anything else."""
    if isinstance(value, (int, float)):
        return value
    raise DMLRuntimeError(f"{what} is {describe(value)}, expected a number")


# ---------------------------------------------------------------- kernels
def as_scalar(x: Matrix | DMLList) -> float | int | bool | str:
    """The value in a 1x1 matrix or in a list of one.

    Raises DMLRuntimeError for other shapes, for longer lists, and for scalars.
    """
    if x.__class__ is np.ndarray and x.size == 1:
        return x.item()
    if is_matrix(x) and x.shape == (1, 1):
        return float(x[0, 0])
    if isinstance(x, DMLList) and len(x) == 1:
        inner = x.items[0]
        return inner if isinstance(inner, (int, float, str)) else as_scalar(inner)
    raise DMLRuntimeError(f"as.scalar takes a 1x1 matrix or a list of one, not {describe(x)}")


def as_matrix(x: Any) -> Matrix:
    """A scalar as 1x1, a matrix as it is, a list of one matrix as that matrix, a list of n scalars as n x 1.

    Raises DMLRuntimeError for anything else, and for strings that are not numbers.
    """
    if is_matrix(x):
        return x
    if isinstance(x, (int, float, str)):
        return np.array([[as_double(x)]])
    if isinstance(x, DMLList):
        if len(x) == 1 and not isinstance(x.items[0], str):
            return as_matrix(x.items[0])
        if all(isinstance(item, (int, float, str)) for item in x):
            return np.array([as_double(item) for item in x], dtype=np.float64).reshape(-1, 1)
    raise DMLRuntimeError(
        f"as.matrix of {describe(x)}",
        hint="it takes a scalar, a list of one matrix, or a list of scalars; rbind(L) joins the matrices of a list",
    )


def as_double(x: float | int | bool | str) -> float:
    """Raises DMLRuntimeError for strings that are not numbers, and for values that are not scalars."""
    if isinstance(x, (int, float)):
        return float(x)
    return _parsed(x, "as.double", float)


def as_integer(x: float | int | bool | str) -> int:
    """Cut off toward zero; NaN is 0, and what is beyond 64 bits becomes the end of the range.

    Raises DMLRuntimeError for strings that are not numbers, and for values that are not scalars.
    """
    if not isinstance(x, (int, float)):
        x = _parsed(x, "as.integer", int, float)
    if x != x:
        return 0
    return int(max(min(x, _INT_MAX), _INT_MIN))


def as_logical(x: float | int | bool | str) -> bool:
    """Whether a number is not zero (NaN is not), or a string reads `true` in any case.

    Raises DMLRuntimeError for values that are not scalars.
    """
    if isinstance(x, (int, float)):
        return x != 0
    if isinstance(x, str):
        return x.lower() == "true"
    raise _not_scalar(x, "as.logical")


def _parsed(text: Any, what: str, *readers: Callable[[str], float | int]) -> float | int:
    """The number in a string, by the first of `readers` that can tell."""
    if not isinstance(text, str):
        raise _not_scalar(text, what)
    for read in readers:
        with suppress(ValueError):
            if "_" not in text:  # a digit separator for Python, not for DML
                return read(text)
    raise DMLRuntimeError(f'{what}: "{text}" is not a number')


def _not_scalar(value: Any, what: str) -> DMLRuntimeError:
    return DMLRuntimeError(
        f"{what} takes a scalar, not {describe(value)}", hint="as.scalar(X) takes the value out of a 1x1 matrix or a list of one"
    )


def _as_string(x: float | int | bool | str) -> str:
    return scalar_text(x)


_DECLARED: Final[dict[str, Callable[[Any], Any]]] = {"double": as_double, "int": as_integer, "boolean": as_logical, "string": _as_string}


def cast_to(x: Any, type: str) -> Any:
    """A scalar as the value type of a parameter or result: double, int, boolean or string; a matrix or list as it is.

    Raises DMLRuntimeError when `x` is of another kind, or cannot be read as that type.
    """
    if type in ("matrix", "list"):
        return operand(x, (type,), "the function", "parameter or result")
    if not isinstance(x, (int, float, str)):
        raise DMLRuntimeError(f"expected a {type} scalar, found {describe(x)}", hint="as.scalar(X) takes the value out of a 1x1 matrix")
    return _DECLARED[type](x)
