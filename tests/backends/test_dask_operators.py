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
# Not offered on the workers: what they hold is collected for these.
ABSENT: Final = {
    "mean", "mean_w", "var", "sd", "trace", "colMeans", "colVars", "colSds", "cumsum", "cumprod", "cummin", "cummax", "cumsum_up",
    "cumsumprod", "moment", "moment_w", "cov", "median", "quantile", "quantile_w", "quantiles", "quantiles_w", "interQuartileMean",
    "interQuantile", "interQuantile_w", "aggregate", "fill", "reshape", "matrix", "rand", "sample", "seq", "table_dims", "table",
    "outer_counts", "diag", "cbind_list", "cbind_append", "cbind_text", "cbind_any", "rbind", "rbind_list", "rbind_append", "rbind_text",
    "rbind_any", "lower.tri", "upper.tri", "rev", "roll", "order", "removeEmpty", "contains", "unique", "countDistinct",
    "countDistinct_by", "colCountDistinct", "countDistinctApprox", "countDistinctApprox_by", "colCountDistinctApprox", "nrow", "ncol",
    "length", "compress", "decompress", "index", "leftindex", "list", "as.list", "remove", "as.scalar", "as.scalar_list", "as.scalar_any",
    "as.matrix", "as.double", "as.integer", "as.logical", "cast_to", "tsmm_right", "solve", "inv", "cholesky", "det", "eigen", "svd",
    "qr", "lu", "sqrtMatrixJava", "einsum", "fft", "ifft", "fft_linearized", "ifft_linearized", "stft", "cdf", "icdf", "pnorm", "qnorm",
    "pt", "qt", "pf", "qf", "pchisq", "qchisq", "pexp", "qexp", "conv2d", "conv2d_backward_filter", "conv2d_backward_data", "max_pool",
    "avg_pool", "max_pool_backward", "avg_pool_backward", "batch_norm2d", "batch_norm2d_backward", "lstm", "lstm_backward", "toString",
}  # fmt: skip


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
    for one, other in zip(here, there, strict=True):
        assert same(one, other), f"{one} here, {other} there"
    return workers.where(op, plan)


def empty(value: Any) -> Any:
    """The same shape without a non-zero."""
    if isinstance(value, csr_array):
        return csr_array(value.shape)
    return np.zeros(value.shape) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("op", OPERATORS)
def test_every_operator(op):
    offered = op not in ABSENT
    for storage in STORAGES:
        values = operands(op, storage, **SIZES)
        assert compare(op, values) == offered, storage
        nothing = [empty(v) for v in values]
        if runs_here(op, nothing):
            compare(op, nothing)
    assert compare(op, values, [workers.ragged(v) if is_matrix(v) else v for v in values]) == offered


def runs_here(op: str, values: list[Any]) -> bool:
    """Whether the operator takes these operands at all."""
    try:
        with settings(exec="local"):
            workers.run(op, values)
    except DMLError:
        return False
    return True
