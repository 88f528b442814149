"""Are two values, or two printed texts, the same up to rounding?"""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from dmlite.api import Matrix
from tests.support.oracle_values import ListValue

TOLERANCE = 1e-9
PRINTED = 1.1e-3  # toString rounds to three decimals


def plain(value: Any) -> Any:
    """A result of the engine in the form that the oracle gives it."""
    if isinstance(value, Matrix):
        return value.toNumPy()
    if isinstance(value, dict):
        return ListValue(tuple(map(plain, value.values())), tuple(value))
    return ListValue(tuple(map(plain, value)), None) if isinstance(value, list) else value


def same_value(got: Any, want: Any) -> bool:
    """Equal up to rounding; the types of scalars must agree."""
    if isinstance(want, np.ndarray):
        return isinstance(got, np.ndarray) and got.shape == want.shape and _close(got, want)
    if isinstance(want, ListValue):
        alike = isinstance(got, ListValue) and got.names == want.names and len(got.items) == len(want.items)
        return alike and all(map(same_value, got.items, want.items))
    if isinstance(want, float):
        return isinstance(got, float) and _close(np.float64(got), np.float64(want))
    return type(got) is type(want) and (got == want or (isinstance(want, str) and same_text(got, want)))


def _close(a: Any, b: Any) -> bool:
    scale = np.max(np.abs(b[np.isfinite(b)]), initial=1.0) if isinstance(b, np.ndarray) else 1.0
    return bool(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True))


def same_text(got: str, want: str) -> bool:
    """The same words; numbers up to rounding."""
    if got == want:
        return True
    a, b = re.split(r"([\s|,]+)", got), re.split(r"([\s|,]+)", want)
    return len(a) == len(b) and all(x == y or _same_number(x, y) for x, y in zip(a, b, strict=True))


def _same_number(x: str, y: str) -> bool:
    numbers = [re.split(r"(-?\d+\.\d+(?:E-?\d+)?)", s) for s in (x, y)]
    if len(numbers[0]) != len(numbers[1]):
        return False
    for p, q in zip(*numbers, strict=True):
        if p != q:
            try:
                u, v = float(p), float(q)
            except ValueError:
                return False
            if not (math.isclose(u, v, rel_tol=TOLERANCE, abs_tol=PRINTED) or (u != u and v != v)):
                return False
    return True


def one_begins_with_the_other(printed: str, expected: str) -> bool:
    """How much is printed before an error is not laid down."""
    count = min(printed.count("\n"), expected.count("\n"))
    cut = lambda t: "\n".join(t.split("\n")[:count])  # noqa: E731
    return same_text(cut(printed), cut(expected))
