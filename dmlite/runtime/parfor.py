"""parfor: iterations in threads or on workers, each on its own copy of the results, merged by what changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import reduce
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dmlite.backends.local.storage import choose, dense, is_matrix
from dmlite.errors import DMLRuntimeError
from dmlite.values import DMLList

if TYPE_CHECKING:
    from dmlite.runtime.remote import RemoteLoop

Body: TypeAlias = Callable[..., tuple[Any, ...]]
MAX_WORKERS: Final = 256


def parfor(
    body: Body, indices: range, values: tuple[Any, ...], results: int, accumulators: int, workers: Any = None,
    remote: RemoteLoop | None = None, read: tuple[Any, ...] = (),
) -> tuple[Any, ...]:  # fmt: skip
    """Run `body(part, [values])` for parts of the indices and merge the `results + accumulators` values it returns.

    Results take the cells that differ from their value before the loop; accumulators add up what each iteration added. remote: the
    same for processes, where these may be used; read: the variables that they need besides.
    """
    from dmlite.backends.local.elementwise import add

    kept = results + accumulators
    if remote is not None and remote.is_worth_it(indices, (*values, *read)):
        done = remote.run(indices, (*values, *read))
    else:
        done = _all_parts(body, indices, values, results, kept, min(len(indices), _workers(workers)))
    merged = list(values[:kept])
    for k in range(kept):
        after = [d[k] for d in done]
        if is_matrix(values[k]) or isinstance(values[k], DMLList):  # scalars keep the value they had before
            merged[k] = after[0] if len(after) == 1 else _merge_changes(values[k], after) if k < results else reduce(add, after)
    return tuple(merged)


def _all_parts(body: Body, indices: range, values: tuple[Any, ...], results: int, kept: int, count: int) -> list[tuple[Any, ...]]:
    """What each worker made of the values. All but the first start their sums at zero."""
    if count <= 1:
        return [_run(body, indices, values, kept)]
    from concurrent.futures import ThreadPoolExecutor

    others = (*values[:results], *map(zero, values[results:kept]), *values[kept:])
    with ThreadPoolExecutor(count) as pool:
        parts = [(body, indices[k::count], others if k else values, kept) for k in range(count)]
        futures = [pool.submit(copy_context().run, _guarded, *part) for part in parts]  # the settings in force hold there too
        return [f.result() for f in futures]


def _workers(wanted: Any) -> int:
    """The number of threads; the `par` option only steers, so what makes no sense as a number is left aside."""
    cores = os.cpu_count() or 1
    return int(min(wanted, MAX_WORKERS)) if isinstance(wanted, (int, float)) and wanted >= 1 else cores


def zero(value: Any) -> Any:
    """A matrix of zeros of the same shape and storage; anything else as it is."""
    if isinstance(value, np.ndarray):
        return np.zeros(value.shape)
    return value.__class__(value.shape) if is_matrix(value) else value


def _guarded(body: Body, part: range, values: tuple[Any, ...], kept: int) -> tuple[Any, ...]:
    with np.errstate(all="ignore"):  # thread-local in NumPy
        return _run(body, part, values, kept)


def _run(body: Body, part: range, values: tuple[Any, ...], kept: int) -> tuple[Any, ...]:
    """The iterations of one worker on its own copies. The body takes them out of the list, so that nothing else refers to them."""
    return body(part, [tuple(_own_copy(v) for v in values[:kept]) + values[kept:]])


def _own_copy(value: Any) -> Any:
    return value.copy() if is_matrix(value) else value


def _merge_changes(before: Any, after: Sequence[Any]) -> Any:
    """The value before the loop with the cells (or list elements) that some worker changed."""
    size = _size(before)
    for new in after:
        if _size(new) != size:
            raise DMLRuntimeError(f"parfor: a result of {size} became one of {_size(new)}", hint="only its cells may change")
    if isinstance(before, DMLList):
        return _merge_lists(before, after)
    old = dense(before)
    out = old.copy()
    for new in map(dense, after):
        changed = ~((new == old) | (np.isnan(new) & np.isnan(old)))
        out[changed] = new[changed]
    return out if isinstance(before, np.ndarray) else choose(out)


def _size(value: Any) -> str:
    if isinstance(value, DMLList):
        return f"{len(value)} elements"
    return f"{value.shape[0]}x{value.shape[1]}" if is_matrix(value) else "a scalar"


def _merge_lists(before: DMLList, after: Sequence[DMLList]) -> DMLList:
    items = list(before.items)
    for new in after:
        for i, (a, b) in enumerate(zip(new.items, before.items, strict=True)):
            if a is not b:
                items[i] = a
    return DMLList(tuple(items), before.names)
