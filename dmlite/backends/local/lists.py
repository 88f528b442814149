"""Kernels: lists. A list is a value: every change makes a new one that shares the elements."""

from __future__ import annotations

from typing import Any

from dmlite.backends.local.casts import describe
from dmlite.errors import DMLRuntimeError, did_you_mean
from dmlite.values import DMLList


def make(names: tuple[str, ...], *items: Any) -> DMLList:
    """A list of `items`, with one name each unless `names` is empty."""
    return DMLList(items, names or None)


def as_list(x: DMLList) -> DMLList:
    """The list in a list of one; any other list as it is. Raises DMLRuntimeError when `x` is no list."""
    if not isinstance(x, DMLList):
        raise DMLRuntimeError(f"as.list takes a list, not {describe(x)}", hint="list(...) makes a list")
    return x.items[0] if len(x) == 1 and isinstance(x.items[0], DMLList) else x


def append(x: DMLList, *items: Any) -> DMLList:
    """`x` with each of `items` as one more element; a list of one brings its element, and its name, along."""
    added, names = [], []
    for item in items:
        single = isinstance(item, DMLList) and len(item) == 1
        added.append(item.items[0] if single else item)
        names.append(item.names[0] if single and item.names else "")
    if x.names is None and (len(x) or not all(names)):
        return DMLList((*x.items, *added))
    return DMLList((*x.items, *added), (*(x.names or ()), *names))


def remove(x: DMLList, which: int | float | str) -> tuple[DMLList, DMLList]:
    """`x` without one element (1-based position or name), and a list of that element.

    Raises DMLRuntimeError when there is no such element.
    """
    at = position(x, which)
    return _pick(x, [i for i in range(len(x)) if i != at]), _pick(x, [at])


def section(x: DMLList, low: int | float | str, high: int | float | str | None) -> DMLList:
    """The elements from `low` to `high`, both included (None: `low` alone).

    Raises DMLRuntimeError when there are no such elements.
    """
    first = position(x, low)
    last = first if high is None else position(x, high)
    if last < first:
        raise DMLRuntimeError(f"the range {describe(low)}:{describe(high)} of a list is empty")
    return _pick(x, range(first, last + 1))


def replaced(x: DMLList, which: int | float | str, value: Any) -> DMLList:
    """`x` with another value for one element. Raises DMLRuntimeError when there is no such element."""
    at = position(x, which)
    return DMLList((*x.items[:at], value, *x.items[at + 1 :]), x.names)


def position(x: DMLList, which: int | float | str) -> int:
    """The 0-based place of an element given by its 1-based position or its name.

    Raises DMLRuntimeError when there is no such element.
    """
    if isinstance(which, str):
        if x.names is None or which not in x.names:
            raise DMLRuntimeError(
                f'there is no element "{which}" in a list of {len(x)}',
                hint=_known(which, x.names) if x.names else "its elements have no names; use their position",
            )
        return x.names.index(which)
    if isinstance(which, (int, float)) and 1 <= which < len(x) + 1:
        return int(which) - 1
    raise DMLRuntimeError(f"there is no element {describe(which)} in a list of {len(x)}", hint="positions are 1 to length(L)")


def _known(name: str, names: tuple[str, ...]) -> str:
    return did_you_mean(name, names) or f"its elements are {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}"


def _pick(x: DMLList, places: range | list[int]) -> DMLList:
    return DMLList(tuple(x.items[i] for i in places), None if x.names is None else tuple(x.names[i] for i in places))
