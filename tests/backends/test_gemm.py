"""Products that are added where a matrix lies: values beside NumPy, in every layout, and in place only where nobody else looks."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite import MLContext, dml
from dmlite.backends.local import blas, matmul
from dmlite.errors import DMLRuntimeError
from tests.support.engine import executed

RNG = np.random.default_rng(8)


@pytest.fixture(params=["BLAS", "no BLAS"])
def library(request, monkeypatch):
    if request.param == "no BLAS":
        monkeypatch.setattr(blas, "dgemm", lambda: None)


@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (5, 3, 4), (40, 1, 33), (33, 70, 1), (3, 0, 2), (0, 2, 3)])
@pytest.mark.parametrize("layout", ["rows", "columns", "parts"])
def test_values(library, m, k, n, layout):
    C, A, B = RNG.normal(size=(m, n)), RNG.normal(size=(m, k)), RNG.normal(size=(k, n))
    if layout == "columns":
        A, B = np.asfortranarray(A), np.asfortranarray(B)
    elif layout == "parts":
        A, B = np.repeat(A, 2, axis=1)[:, ::2], np.repeat(B, 3, axis=1)[:, ::3]
    before = C.copy()
    np.testing.assert_allclose(matmul.gemm(C, -1.5, A, B), C - 1.5 * (A @ B), rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(C, before)
    assert matmul.gemm_inplace(C, 2, A, B) is C
    np.testing.assert_allclose(C, before + 2 * (A @ B), rtol=1e-13, atol=1e-13)


def test_nan_and_infinity_are_kept(library):
    C, A, B = np.ones((2, 2)), np.array([[np.nan], [np.inf]]), np.array([[1.0, 0.0]])
    with np.errstate(invalid="ignore"):
        for s in (0.0, 1.0, -2.0):
            np.testing.assert_array_equal(matmul.gemm(C, s, A, B), C + s * (A @ B))


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(DMLRuntimeError, match="inner dimensions 2 and 3 differ"):
        matmul.gemm(np.ones((2, 2)), 1, np.ones((2, 2)), np.ones((3, 2)))
    with pytest.raises(DMLRuntimeError, match="product of 2x3 does not fit 2x2"):
        matmul.gemm(np.ones((2, 2)), 1, np.ones((2, 1)), np.ones((1, 3)))


UPDATE = "for (i in 1:3) {\n  W = W - rate * (t(X) %*% (E * i))\n}\n"


def test_weights_are_updated_where_they_lie():
    X, E, W = RNG.normal(size=(4, 300)), RNG.normal(size=(4, 280)), RNG.normal(size=(300, 280))
    engine, values, _ = executed(UPDATE, X=X, E=E, W=W, rate=0.1)
    assert any("matmul__gemm_inplace" in source for source in engine.sources.values())
    np.testing.assert_allclose(values["W"], W - 6 * 0.1 * (X.T @ E), rtol=1e-12, atol=1e-12)


def test_other_variables_keep_their_values():
    X, E, W = RNG.normal(size=(4, 300)), RNG.normal(size=(4, 280)), RNG.normal(size=(300, 280))
    before = W.copy()
    program = dml(f"V = W\n{UPDATE}U = V - W").input(X=X, E=E, W=W, rate=0.1).output("V", "U")
    for _ in range(2):
        V, U = MLContext().execute(program).get("V", "U")
        np.testing.assert_array_equal(V.toNumPy(), before)
        np.testing.assert_allclose(U.toNumPy(), 0.6 * (X.T @ E), rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(W, before)


def test_a_product_of_columns_and_rows_needs_no_blas():
    x, y = RNG.normal(size=(50, 1)), RNG.normal(size=(1, 40))
    engine, values, _ = executed("Z = x %*% y", x=x, y=y)
    assert any("np_multiply" in source for source in engine.sources.values())
    np.testing.assert_array_equal(values["Z"], x @ y)
