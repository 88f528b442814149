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
from tests.support.operands import STORAGES, WITHOUT, operands

OPERATORS: Final = [name for name in BY_NAME if name not in WITHOUT and name != "collect"]
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
        scale = np.max(np.abs(a[np.isfinite(a)]), initial=0.0)
        return isinstance(b, np.ndarray) and a.shape == b.shape and np.allclose(b, a, rtol=1e-10, atol=1e-12 * scale, equal_nan=True)
    if isinstance(a, float):
        return isinstance(b, float) and np.isclose(b, a, rtol=1e-10, atol=0.0, equal_nan=True)
    return type(a) is type(b) and a == b


def compare(op: str, values: list[Any], given: list[Any] | None = None) -> bool:
    """Whether the workers ran it; with the same result as here, which is asserted."""
    with settings(exec="local"):
        here, _ = workers.run(op, values)
    with workers.distributed():
        there, plan = workers.run(op, values if given is None else given)
    if op == "svd":  # vectors of singular values that are zero or equal are free
        here, there = ([s, u @ s @ v.T] for u, s, v in (here, there))
    for one, other in zip(here, there, strict=True):
        assert same(one, other), f"{one} here, {other} there"
    return workers.where(op, plan)


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


def refuses(op: str, values: list[Any]) -> bool:
    """Whether the operator does not take these operands at all."""
    try:
        workers.run(op, values)
    except DMLError:
        return True
    return False


@pytest.mark.parametrize("op", OPERATORS)
def test_every_operator(op):
    offered = op not in NOT_OFFERED
    for storage in STORAGES:
        values = operands(op, storage, **SIZES)
        assert compare(op, values) == offered, storage
    assert compare(op, values, [workers.ragged(v) if is_matrix(v) else v for v in values]) == offered


@pytest.mark.parametrize("change", [empty, strange])
@pytest.mark.parametrize("op", [name for name in OPERATORS if name not in NOT_OFFERED])
def test_other_cells(op, change):
    values = operands(op, "dense" if change is strange else "mixed", **SIZES)
    values = [change(values[0]), *values[1:]] if change is strange else [change(v) for v in values]
    with settings(exec="local"):
        refused = refuses(op, values)
    if refused:
        with workers.distributed():
            assert refuses(op, values)
    else:
        compare(op, values)
