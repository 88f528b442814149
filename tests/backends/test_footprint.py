"""What operators are estimated to take, against the memory that their kernels allocate: over the whole operator table."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.backends.local import registry
from dmlite.backends.local.storage import is_matrix
from dmlite.config import settings
from dmlite.hop.cost import estimate
from dmlite.hop.infer import FactTable
from dmlite.hop.memory import footprint
from dmlite.hop.ops import BY_NAME
from dmlite.runtime import system
from tests.support.operands import STORAGES, WITHOUT, Given, node, operands

OPERATORS = [name for name in BY_NAME if name not in WITHOUT]
SMALL = 600_000  # bytes that need not be told
TIGHT = 1.5
# LAPACK gets its workspace where Python does not see it.
HIDDEN = {"solve": 1.0, "inv": 2.0, "eigen": 3.0, "svd": 3.0}
# Results that depend on what is in the cells or in a list, or on what kind of thing an operand is.
UNKNOWN = {"cbind_list", "cbind_append", "cbind_any", "rbind_list", "rbind_append", "rbind_any", "interQuantile_w", "as.scalar_list",
           "as.scalar_any", "as.list", "list", "remove", "einsum", "index", "as.matrix", "cast_to", "countDistinct_by", "countDistinctApprox_by"}  # fmt: skip
CHOSEN = {"removeEmpty", "unique", "interQuantile"}  # no larger than their operand


def size(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, csr_array):
        return value.data.nbytes + value.indices.nbytes + value.indptr.nbytes
    return sum(map(size, value)) if isinstance(value, tuple) else 0


def kernel(op: str, args: list[Any]):
    module, function = BY_NAME[op].kernel.split(".")
    if module == "system":
        return getattr(system, function)
    return registry.kernel("scalar" if module == "elementwise" and not any(map(is_matrix, args)) else module, function)


def measured(op: str, args: list[Any]) -> int:
    """Bytes of the operands, and at most beside them."""
    run = kernel(op, args)
    with settings(compile=False), np.errstate(all="ignore"):
        run(*args)  # whatever is imported and remembered
        gc.collect()
        tracemalloc.start()
        try:
            run(*args)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    return peak + sum(size(v) for v in {id(a): a for a in args}.values())


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("op", OPERATORS)
def test_no_operator_takes_more_than_its_estimate(op, storage):
    args = operands(op, storage)
    hop, facts = node(op, args)
    found = footprint(hop, FactTable(facts))
    if found is None:
        assert op in UNKNOWN
        return
    peak = measured(op, args)
    assert found.total + SMALL / 4 >= peak, f"{found} for {peak}"
    if storage == "dense" and op not in HIDDEN:
        assert found.total <= TIGHT * peak + SMALL, f"{found} for {peak}"
    elif storage == "dense":
        hidden = HIDDEN[op] * size(args[0])
        assert found.total <= TIGHT * (peak + hidden) + SMALL, f"{found} for {peak} and {hidden}"


@pytest.mark.parametrize("storage", ["dense", "CSR"])
@pytest.mark.parametrize("op", OPERATORS)
def test_every_operator_has_a_cost(op, storage):
    hop, facts = node(op, operands(op, storage))
    cost = estimate(hop, FactTable(facts))
    if cost.seconds is None or cost.bytes is None:
        assert op in UNKNOWN | CHOSEN
    else:
        assert 0 < cost.seconds < 10 and cost.bytes >= 0


@pytest.mark.parametrize("storage", ["dense", "CSR"])
@pytest.mark.parametrize("fn", ["sum", "count", "mean", "min", "max", "variance", "centralmoment"])
@pytest.mark.parametrize("cols", [1, 300])
def test_groups(fn, cols, storage):
    given = Given(storage)
    rows = 200_000 if cols == 1 else 1000
    args = [given.x(rows, cols), given.whole(rows, 1, 20), fn, None, 20, 3 if fn == "centralmoment" else None]
    hop, facts = node("aggregate", args)
    assert footprint(hop, FactTable(facts)).total + SMALL / 4 >= measured("aggregate", args)


@pytest.mark.parametrize("op", ["conv2d", "conv2d_backward_filter", "conv2d_backward_data"])
def test_images_larger_than_a_block(op):
    given, image, filters = Given("dense"), (3, 3, 120, 120), (4, 3, 7, 7)
    pixels, maps, weights = given.array(3, 3 * 14400), given.array(3, 4 * 14400), given.array(4, 147)
    first = {"conv2d": [pixels, weights], "conv2d_backward_filter": [pixels, maps], "conv2d_backward_data": [weights, maps]}[op]
    args = [*first, image, filters, (1, 1), (3, 3)]
    hop, facts = node(op, args)
    peak, found = measured(op, args), footprint(hop, FactTable(facts)).total
    assert found >= peak and found <= TIGHT * peak
