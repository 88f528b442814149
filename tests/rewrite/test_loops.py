"""Loop-invariant code motion: what moves, what must stay, and that the numbers are the same."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite import MLContext, dml, settings

X = np.random.default_rng(1).normal(size=(30, 4))


def moved(script: str, **inputs) -> list[str]:
    return [h.hop.op for h in dml(script).input(**inputs).compile().hoisted]


def results(script: str, *names: str, **inputs):
    out = []
    for level in (0, 2):
        with settings(opt_level=level):
            out.append([np.asarray(v) for v in map(MLContext().execute(dml(script).input(**inputs)).get, names)])
    return out


MOVES = {
    "gram matrix": ("s = 0\nfor (i in 1:5) { s = s + sum((t(X) %*% X) * i) }", ["matmul"]),
    "in a while": ("i = 0; s = 0\nwhile (i < 5) { s = s + sum((t(X) %*% X) * i); i = i + 1 }", ["matmul"]),
    "aggregate": ("s = 0\nfor (i in 1:5) { s = s + i * sum(X ^ 2) }", ["sum"]),
    "through two loops": ("s = 0\nfor (i in 1:3) { for (j in 1:3) { s = s + i * j * sum(X) } }", ["sum", "sum"]),
    "cheap cells stay": ("s = 0\nfor (i in 1:5) { s = s + sum(X * 2 + i) }", []),
    "what varies stays": ("A = X; for (i in 1:5) { A = A * 2; s = sum(A) }", []),
    "own assignment": ("for (i in 1:5) { s = sum(X) }", ["sum"]),
    "draws stay": ("s = 0\nfor (i in 1:3) { s = s + sum(rand(rows=3, cols=3)) }", []),
    "may fail, may not run": (
        "B = matrix(0, 4, 4); s = 0; i = as.scalar(X[1,1]) * 0\nwhile (i > 1) { s = s + sum(solve(B, t(X)) * i); i = i - 1 }",
        [],
    ),
    "parfor stays": ("R = matrix(0, 5, 1)\nparfor (i in 1:5) { R[i, 1] = sum(X) * i }", []),
}


@pytest.mark.parametrize("name", MOVES)
def test_what_moves(name):
    script, expected = MOVES[name]
    assert moved(script, X=X) == expected


@pytest.mark.parametrize("name", MOVES)
def test_numbers_stay(name):
    script = MOVES[name][0].replace("rand(rows=3, cols=3)", "rand(rows=3, cols=3, seed=4)")
    variable = "R" if "R[" in script else "s"
    plain, optimised = results(script, variable, X=X)
    np.testing.assert_allclose(optimised[0], plain[0], rtol=1e-13)


def test_a_variable_read_before_it_is_assigned_is_not_invariant():
    plain, optimised = results("A = X\nfor (i in 1:3) { s = sum(A); A = A + 1 }", "s", X=X)
    np.testing.assert_allclose(optimised[0], plain[0])
