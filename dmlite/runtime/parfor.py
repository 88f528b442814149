"""parfor: iterations in threads, each worker on its own copy of the results, merged by what changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from dmlite.backends.local.storage import is_matrix
from dmlite.values import DMLList

Body: TypeAlias = Callable[..., tuple[Any, ...]]


def parfor(body: Body, indices: range, values: tuple[Any, ...], results: int, accumulators: int, workers: Any = None) -> tuple[Any, ...]:
    """Run `body(part, [values])` for parts of the indices and merge the `results + accumulators` values it returns.

    Results take the cells that differ from their value before the loop; accumulators add up what each iteration added.
    """
    count = max(1, min(len(indices), int(workers) if workers else os.cpu_count() or 1))
    if count == 1:
        return _run(body, list(indices), values, results + accumulators)
    from concurrent.futures import ThreadPoolExecutor

    parts = [list(indices[k::count]) for k in range(count)]
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(_guarded, body, part, values, results + accumulators) for part in parts]
        done = [f.result() for f in futures]
    merged = []
    for k in range(results + accumulators):
        merge = _merge_changes if k < results else _merge_sums
        merged.append(merge(values[k], [d[k] for d in done]))
    return tuple(merged)


def _guarded(body: Body, part: list[int], values: tuple[Any, ...], kept: int) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):  # thread-local in NumPy
        return _run(body, part, values, kept)


def _run(body: Body, part: list[int], values: tuple[Any, ...], kept: int) -> tuple[Any, ...]:
    """The iterations of one worker on its own copies. The body takes them out of the list, so that nothing else refers to them."""
    return body(part, [tuple(_own_copy(v) for v in values[:kept]) + values[kept:]])


def _own_copy(value: Any) -> Any:
    return value.copy() if is_matrix(value) else value


def _merge_changes(before: Any, after: Sequence[Any]) -> Any:
    """The value before the loop with the cells (or list elements) that some worker changed."""
    if isinstance(before, DMLList):
        return _merge_lists(before, after)
    if not is_matrix(before):
        return before
    dense = [a if isinstance(a, np.ndarray) else a.toarray() for a in after]
    old = before if isinstance(before, np.ndarray) else before.toarray()
    out = old.copy()
    for new in dense:
        changed = ~((new == old) | (np.isnan(new) & np.isnan(old)))
        out[changed] = new[changed]
    return out


def _merge_lists(before: DMLList, after: Sequence[DMLList]) -> DMLList:
    items = list(before.items)
    for new in after:
        for i, (a, b) in enumerate(zip(new.items, before.items, strict=True)):
            if a is not b:
                items[i] = a
    return DMLList(tuple(items), before.names)


def _merge_sums(before: Any, after: Sequence[Any]) -> Any:
    total = before
    for new in after:
        total = total + (new - before)
    return total
