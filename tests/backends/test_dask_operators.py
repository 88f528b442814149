"""Every operator of the table on two worker processes, against what it gives here."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.backends.local.storage import is_matrix
from dmlite.config import settings
from dmlite.errors import DMLError
from dmlite.hop.ops import BY_NAME
from tests.support import workers
from tests.support.operands import WITHOUT, operands

OPERATORS: Final = [name for name in BY_NAME if name not in WITHOUT]
SIZES: Final = {"rows": 101, "cols": 36, "side": 41, "cells": 1003}  # rows are cut into 27, 27, 27 and 20
# What is not offered on the workers, and why: matrices that lie there are collected for it.
ABSENT: Final = {
    "about scalars": "as.scalar as.scalar_list as.scalar_any as.double as.integer as.logical cast_to cdf icdf "
    "pnorm qnorm pt qt pf qf pchisq qchisq pexp qexp",
    "about lists and texts": "list as.list remove cbind_list cbind_append cbind_text rbind_list rbind_append rbind_text toString",
    "the kind of an operand is known at run time alone": "matrix cbind_any rbind_any einsum",
    "one stream of random numbers": "sample",
    "factors of square matrices, which are small": "solve inv cholesky det eigen lu sqrtMatrixJava",
    "a reflection for each column, one after the other": "qr",
    "every cell depends on all": "fft ifft",
    "states lie step by step": "lstm lstm_backward",
}
NOT_OFFERED: Final = frozenset(" ".join(ABSENT.values()).split())


def same(a: Any, b: Any) -> bool:
    """Equal to ten digits, NaN and infinities being equal to themselves."""
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray):
        # totals of chunks are added in another order; where terms cancel, their own size decides about the digits that are left
        scale = np.max(np.abs(a[np.isfinite(a)]), initial=0.0)
        return isinstance(b, np.ndarray) and a.shape == b.shape and np.allclose(b, a, rtol=1e-10, atol=1e-12 * scale, equal_nan=True)
    if isinstance(a, float):
        near = np.isclose(b, a, rtol=1e-10, atol=0.0, equal_nan=True)  # added in another order, too; no larger number stands beside it
        return isinstance(b, float) and bool(near)
    return type(a) is type(b) and a == b


def outcome(op: str, values: list[Any]) -> tuple[list[Any] | None, bool]:
    """The results, None where it does not take these operands; and whether the workers ran it."""
    try:
        results, plan = workers.run(op, values)
    except DMLError:
        return None, False
    if op == "svd":  # vectors of singular values that are zero or equal are free
        u, s, v = results
        results = [s, u @ s @ v.T]
    return results, workers.where(op, plan)


def compare(op: str, values: list[Any], given: list[Any] | None = None) -> bool | None:
    """Whether the workers ran it, None where it does not take these operands; the result must be the one here."""
    with settings(exec="local"):
        here, _ = outcome(op, values)
    with workers.distributed():
        there, offered = outcome(op, values if given is None else given)
    assert same(here, there), f"{here} here, {there} there"
    return None if here is None else offered


def empty(value: Any) -> Any:
    """The same shape without a non-zero."""
    if isinstance(value, csr_array):
        return csr_array(value.shape)
    return np.zeros(value.shape) if isinstance(value, np.ndarray) else value


def strange(value: Any) -> Any:
    """The same shape with equal cells, NaN and infinite ones."""
    if not isinstance(value, np.ndarray):
        return value
    cells = np.random.default_rng(3).choice(
        [0.0, 1.0, -2.0, 0.25, np.nan, np.inf, -np.inf], value.shape, p=[0.3, 0.3, 0.2, 0.17, 0.01, 0.01, 0.01]
    )
    return cells if value.size > 1 else value


@pytest.mark.parametrize("op", OPERATORS)
def test_every_operator(op):
    offered = op not in NOT_OFFERED
    values = operands(op, "dense", **SIZES)
    assert compare(op, values, [workers.ragged(v) if is_matrix(v) else v for v in values]) == offered
    assert compare(op, operands(op, "CSR", **SIZES)) == offered


@pytest.mark.parametrize("op", [name for name in OPERATORS if name not in NOT_OFFERED])
def test_other_cells(op):
    first, *others = operands(op, "dense", **SIZES)
    compare(op, [strange(first), *others])
    compare(op, [empty(v) for v in operands(op, "mixed", **SIZES)])


# ---------------------------------------------------------------- what depends on sizes
def product(a: np.ndarray, b: np.ndarray, memory: int) -> tuple[Any, str]:
    """A product with workers of so much memory, and how they made it."""
    with workers.distributed():
        results, plan = workers.run("matmul", [a, b], memory=memory)
    (step,) = (s for s in plan.steps if s.hop.op == "matmul")
    return results[0], getattr(step.there, "kernel", "region")


@pytest.mark.parametrize(
    ("rows", "inner", "cols", "memory", "how"),
    [(101, 36, 40, 1 << 30, "region"), (1, 101, 36, 1 << 30, "matmul.thin"), (103, 97, 90, 1 << 16, "matmul.replicated")],
)
def test_products(rows, inner, cols, memory, how):
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(rows, inner)), rng.normal(size=(inner, cols))
    found, kernel = product(a, b, memory)
    assert kernel == how and same(a @ b, found)


def test_a_gram_matrix_too_large_for_a_worker_is_made_in_blocks():
    x = np.random.default_rng(5).normal(size=(90, 120))
    with workers.distributed():
        (found,), plan = workers.run("tsmm_left", [workers.ragged(x)], memory=1 << 18)
    assert plan.chunked and same(x.T @ x, found)


@pytest.mark.parametrize("bounds", [(5, None, 2, 4), (28, 81, None, None), (1, 101, 3, 3), (27, 27, None, None), (99, 101, 1, 36)])
@pytest.mark.parametrize("storage", ["dense", "CSR"])
def test_ranges(bounds, storage):
    (x, *_) = operands("index", storage, **SIZES)
    low, high, left, right = bounds
    rows, cols = (high or low or 0) - (low or 0) + 1 if low else 101, right - left + 1 if left else 36
    part = np.random.default_rng(2).normal(size=(rows, cols))
    assert compare("index", [x, *bounds], [workers.ragged(x), *bounds])
    assert compare("leftindex", [x, part, *bounds], [workers.ragged(x), workers.ragged(part), *bounds])
    assert compare("leftindex", [x, 0.5, *bounds])


@pytest.mark.parametrize("pdf", ["uniform", "normal", "poisson"])
@pytest.mark.parametrize(("rows", "cols", "sparsity"), [(3000, 7, 1.0), (1500, 1100, 0.01), (5000, 1, 0.3), (2, 40000, 0.6)])
def test_draws_are_those_made_here(pdf, rows, cols, sparsity):
    with settings(exec="local"):
        here, _ = workers.run("rand", [rows, cols, -1.0, 2.0, sparsity, 7, pdf, 3.0])
    with workers.distributed(chunk=rows * cols):
        there, _ = workers.run("rand", [rows, cols, -1.0, 2.0, sparsity, 7, pdf, 3.0])
    assert np.array_equal(here[0], there[0])


@pytest.mark.parametrize("decreasing", [True, False])
@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("storage", ["dense", "CSR"])
def test_order(decreasing, index, storage):
    (x, *_) = operands("index", storage, **SIZES)
    x = np.round(x * 4) if isinstance(x, np.ndarray) else x
    by = np.array([[3.0, 1.0]])
    assert compare("order", [x, by, decreasing, index], [workers.ragged(x), by, decreasing, index])


@pytest.mark.parametrize("fn", ["sum", "count", "mean", "variance", "min", "max", "centralmoment"])
@pytest.mark.parametrize("cols", [1, 5])
def test_groups(fn, cols):
    rng = np.random.default_rng(8)
    x, groups = rng.normal(size=(101, cols)), rng.integers(1, 9, (101, 1)).astype(float)
    groups[groups == 4] = 5.0
    order = 3 if fn == "centralmoment" else None
    assert compare("aggregate", [x, groups, fn, None, 7, order])
    if cols == 1:
        assert compare("aggregate", [x, groups, fn, None, None, order])
        assert compare("aggregate", [x, groups, fn, np.round(rng.uniform(0, 3, (101, 1))), None, order])


@pytest.mark.parametrize("margin", ["rows", "cols"])
@pytest.mark.parametrize("kept", [0, 1, 40])
@pytest.mark.parametrize("storage", ["dense", "CSR"])
def test_selection(margin, kept, storage):
    (x, *_) = operands("index", storage, **SIZES)
    size = x.shape[0 if margin == "rows" else 1]
    select = np.zeros((size, 1))
    select[:kept] = 1.0
    for empty_return in (True, False):
        assert compare("removeEmpty", [x, margin, select, empty_return], [workers.ragged(x), margin, select, empty_return])


def test_sizes_of_what_lies_there_move_nothing():
    x = np.ones((101, 36))
    with workers.distributed():
        there = workers.ragged(x)
        for op, size in (("nrow", 101), ("ncol", 36), ("length", 3636)):
            results, plan = workers.run(op, [there])
            assert results == [size]
            assert not any(s.hop.op == "collect" for s in plan.steps)
