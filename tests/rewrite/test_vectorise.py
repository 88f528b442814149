"""For-loop vectorisation: which loops become one expression, which must not, and that the values are those of the loop."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite import MLContext, dml, settings
from dmlite.hop.program import ForNode

X = np.random.default_rng(1).normal(size=(6, 4))
R = np.arange(24.0).reshape(6, 4)
VECTORISED = {
    "one cell": "for (i in 1:6) { R[i, 1] = as.scalar(X[i, 2]) * 2 + 1 }",
    "matrix cell": "for (i in 1:6) { R[i, 1] = X[i, 2] * X[i, 3] }",
    "whole row": "for (i in 1:6) { R[i,] = X[i,] * 2 + R[i,] }",
    "the index itself": "for (i in 1:6) { R[i, 1] = i * i - 3 }",
    "row sum": "for (i in 1:6) { R[i, 2] = sum(X[i,]) }",
    "row maximum": "for (i in 1:6) { R[i, 2] = max(X[i,]) / (1 + i) }",
    "part of the rows": "for (i in 2:4) { R[i, 1] = exp(X[i, 1]) }",
    "downwards": "for (i in 5:2) { R[i, 1] = X[i, 1] + i }",
    "fixed scalar": "for (i in 1:6) { R[i, 3] = 7 }",
    "fixed row vector": "v = X[1,]\nfor (i in 1:6) { R[i,] = X[i,] * v }",
    "parfor": "parfor (i in 1:6) { R[i,] = X[i,] ^ 2 }",
    "a temporary": "for (i in 1:6) { t1 = X[i,] * 2; R[i,] = t1 - 1 }\nt1 = 0",
}
KEPT = {
    "another row": "for (i in 2:6) { R[i, 1] = R[i - 1, 1] + 1 }",
    "another store": "for (i in 1:6) { R[i, 1] = 1; s = i }",
    "the whole matrix": "for (i in 1:6) { R[i, 1] = sum(R) }",
    "a computed row": "for (i in 1:3) { R[2 * i, 1] = i }",
    "a print": "for (i in 1:2) { R[i, 1] = i; print(i) }",
    "a draw": "for (i in 1:6) { R[i, 1] = as.scalar(rand(rows=1, cols=1, seed=i)) }",
    "column order": "for (i in 1:4) { R[1, i] = i }",
    "text": 'for (i in 1:6) { R[i, 1] = as.double("" + i) }',
}


def loops(script: str) -> int:
    program = dml(script).input(X=X, R=R).compile().program
    return sum(isinstance(n, ForNode) for n in program.main.body)


def value(script: str, level: int) -> np.ndarray:
    with settings(opt_level=level):
        return MLContext().execute(dml(script).input(X=X, R=R)).get("R").toNumPy()


@pytest.mark.parametrize("name", VECTORISED)
def test_vectorised(name):
    assert loops(VECTORISED[name]) == 0
    np.testing.assert_allclose(value(VECTORISED[name], 2), value(VECTORISED[name], 0), rtol=1e-14)


@pytest.mark.parametrize("name", KEPT)
def test_kept(name):
    assert loops(KEPT[name]) == 1
    np.testing.assert_allclose(value(KEPT[name], 2), value(KEPT[name], 0), rtol=1e-14)


@pytest.mark.parametrize("level", [0, 2])
def test_the_loop_variable_keeps_its_last_value(level):
    with settings(opt_level=level):
        result = MLContext().execute(dml("for (i in 2:5) { R[i, 1] = i }\nj = i").input(R=R))
    assert result.get("i", "j") == [5, 5]
