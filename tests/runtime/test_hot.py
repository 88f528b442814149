"""Loops of small operators that compiled code takes over: equal values and errors, at the start of a loop and in its middle.

Most run the generated source as plain Python over arrays with checked bounds; some run what the compiler makes of it.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dmlite import DMLError, MLContext, dml, settings
from dmlite.runtime import hot
from tests.support.interpreted import interpreted

NET = """
source("nn/layers/affine.dml") as affine
source("nn/layers/sigmoid.dml") as sigmoid
source("nn/layers/l2_loss.dml") as l2_loss
source("nn/optim/rmsprop.dml") as rmsprop
source("nn/optim/adam.dml") as adam
[W1, b1] = affine::init(4, 5, 1)
[W2, b2] = affine::init(5, 2, 2)
cache = rmsprop::init(W1)
[m, v] = adam::init(W2)
losses = matrix(0, rows=n, cols=1)
for (i in 1:n) {
  h = affine::forward(X, W1, b1)
  a = sigmoid::forward(h)
  out = affine::forward(a, W2, b2)
  losses[i, 1] = l2_loss::forward(out, Y)
  dout = l2_loss::backward(out, Y)
  [da, dW2, db2] = affine::backward(dout, a, W2, b2)
  dh = sigmoid::backward(da, h)
  [dX, dW1, db1] = affine::backward(dh, X, W1, b1)
  [W1, cache] = rmsprop::update(W1, dW1, 0.01, 0.95, 1e-6, cache)
  [W2, m, v] = adam::update(W2, dW2, 0.01, 0.9, 0.999, 1e-8, i, m, v)
  b1 = b1 - 0.01 * db1
  b2 = b2 - 0.01 * db2
  if (i %% 3 == 0) { print("loss " + sum(losses)); seen = i }
}
"""
# Scripts that are compiled as a whole, and what they leave behind. X is 5x4, Y is 5x2, v is 4x1, n is 10.
COMPILED = {
    "cells": ("A = X\nfor (i in 1:n) { A = tanh(A * 0.5 + i) - X / (1 + A ^ 2) }", "A i"),
    "columns and rows": ("A = X\nfor (i in 1:n) { A = (A - colMeans(A)) / (1 + rowSums(A ^ 2)) + t(v) * X }", "A"),
    "aggregates": ("s = 0.0\nA = X\nfor (i in 1:n) { s = s + sum(A) * min(A) - max(A)\n r = rowMaxs(A)\n c = colMins(A)\n A = A + r - c }", "s A r c"),
    "products": ("w = v\nfor (i in 1:n) { w = t(X) %*% (X %*% w)\n w = w / sqrt(sum(w ^ 2)) }", "w"),
    "large products": ("G = t(X) %*% X\nH = matrix(0.1, 40, 40)\nfor (i in 1:3) { H = (H %*% H) * 0.5 + H %*% t(H)\n G = t(G) %*% G / sum(G^2) }", "H G"),
    "transposed factors": ("B = matrix(0.01, 30, 40)\nC = B\nfor (i in 1:3) { C = t(C %*% t(B) / 40) %*% C + B }", "C"),
    "stores": ("G = matrix(0, n, 4)\nfor (i in 1:n) { G[i, ] = X[2, ] * i\n G[i, 2] = i\n G[1, 1:2] = G[i, 3:4] }", "G"),
    "a store beside an alias": ("A = X\nB = A\nfor (i in 1:5) { C = A\n A[i, 1] = i\n B[i, ] = C[i, ] + A[i, ] }", "A B C"),
    "a store of a part of itself": ("A = X\nfor (i in 1:4) { A[i, ] = A[i + 1, ] + A[i, ]\n A[, 1:2] = A[, 2:3] }", "A"),
    "both old and new": ("A = X\ns = 0.0\nfor (i in 1:5) { O = A\n A[i, 2] = sum(A)\n s = s + sum(O - A)\n T = t(O) }", "A O T s"),
    "swapped": ("A = X\nB = X * 2\na = 1.0\nb = 2.0\nfor (i in 1:n) { C = A\n A = B\n B = C\n c = a\n a = b\n b = c + 1 }", "A B C a b c"),
    "an alias that outlives its variable": ("A = X\nP = X\nfor (i in 1:n) { P = A\n A = A + i }", "A P"),
    "an alias in an inner loop": ("A = X\nfor (i in 1:n) { P = A\n for (j in 1:3) { A = A + P * 0.01 } }", "A P"),
    "inner loops": ("A = X\ns = 0\nfor (i in 1:n) { for (j in 4:1) { A[2, j] = A[1, j] + i * j\n s = s + j }\n for (k in seq(1, 5, 2)) { A[k, 1] = s } }", "A s"),
    "branches": ("A = X\ns = 0.0\nfor (i in 1:n) { if (s > 3) { A = A * 0.5\n s = s - 2 } else { s = s + i\n if (i > 3) { s = s * 0.5 } } }", "A s"),
    "set by one branch": ("best = 0.0\nB = X\nfor (i in 1:n) { c = sum(X) * (i - 4) ^ 2\n if (c > best | i == 1) { best = c\n B = X * i } }", "best B"),
    "lorenz": ("D = matrix(0, n, 3)\nx = 2.0\ny = 3.0\nz = 4.0\nfor (i in 1:n) { x = x + 0.008 * 10 * (y - x)\n y = y + 0.008 * (x * (28 - z) - y)\n z = z + 0.008 * (x * y - 8 / 3 * z)\n D[i, 1] = x\n D[i, 2] = y\n D[i, 3] = z }", "D x y z"),
    "until it converges": ("w = v\ne = 1.0\nk = 0\nwhile (e > 1e-9 & k < 200) { o = w\n w = 0.5 * (w + 1 / (1 + w ^ 2))\n e = sum((w - o) ^ 2)\n k = k + 1 }", "w e k"),
    "whole numbers": ("s = 0\nt = 7\nfor (i in 1:n) { s = s + i * 3 - (i %/% 2)\n t = (s %% 5) + min(i, 3)\n b = t > 2 & i != 4 }", "s t b"),
    "joined": ("A = X\nfor (i in 1:n) { A = cbind(A[, 2:4], A[, 1]) + rbind(X[3:5, ], X[1:2, ]) * 0.1 }", "A"),
    "reshaped": ("A = X\nfor (i in 1:n) { A = matrix(matrix(A, 10, 2) * 1.01, 5, 4)\n B = matrix(A, 4, 5)\n C = matrix(t(A), 5, 4) }", "A B C"),
    "filled": ("for (i in 1:n) { Z = matrix(i, 3, 2)\n Z[2, ] = matrix(7, 1, 2)\n O = matrix(1, 3, 4) %*% v }", "Z O"),
    "nan and inf": ("A = X\nfor (i in 1:n) { A = log(A) / (A - A) + exp(A * 1000)\n m = max(A)\n A = ifelse(is.na(A), X * 0.3, A) }", "A m"),
    "powers": ("A = abs(X)\nfor (i in 1:3) { A = A ^ 1.5 + A %% 0.3 + A %/% 0.7 + round(A) + sign(X) }", "A"),
    "scalar functions": ("s = 0.5\nfor (i in 1:n) { s = exp(-s) + sqrt(s) + abs(s) ^ 1.5 + floor(s) + max(s, 0.1) + log(s)\n q = s > 1 | i > 3 }", "s q"),
    "a cell as a number": ("s = 0.0\nfor (i in 1:4) { s = s + as.scalar(X[i, i]) * as.scalar(v[i, 1])\n M = as.matrix(s) }", "s M"),
    "a function that changes its argument": ("f = function(matrix[double] A, int i) return (matrix[double] A) { A[i, 1] = A[i, 2] + i }\nA = X\nB = X\nfor (i in 1:5) { B = f(A, i)\n A = f(B, i) + A * 0.1 }", "A B"),
    "a function that returns its arguments": ("f = function(matrix[double] A, matrix[double] B, double a) return (matrix[double] P, matrix[double] Q, double p) { P = B\n Q = A\n p = a }\nA = X\nB = X * 2\nc = 1.0\nfor (i in 1:5) { [P, Q, c] = f(A, B, c)\n A = Q + P * 0.1\n c = c + 1 }", "A P Q c"),
    "functions in functions": ("g = function(matrix[double] A) return (matrix[double] R) { R = A\n for (j in 1:2) { R = R * 0.9 + A } }\nf = function(matrix[double] A) return (matrix[double] R, double s) { R = g(A)\n S = g(R)\n s = sum(S)\n R = R + S }\nA = X\nfor (i in 1:5) { [B, s] = f(A)\n A = B / s + X }", "A B s"),
    "prints now and then": ("A = X\nfor (i in 1:n) { A = A * 0.9 + X\n if (i %% 4 == 0) { print(sum(A))\n B = A } }", "A B"),
    "a network": (NET, "W1 W2 b1 b2 losses cache m v seen dX"),
}  # fmt: skip
INPUTS = {
    "X": np.random.default_rng(1).normal(size=(5, 4)),
    "Y": np.random.default_rng(2).normal(size=(5, 2)),
    "v": np.random.default_rng(3).normal(size=(4, 1)),
    "n": 10,
}
# Loops of which nothing is compiled.
OTHERS = {
    "growing": ("A = X\nfor (i in 1:n) { A = rbind(A, X) }", "A"),
    "always printing": ("for (i in 1:n) { print(i) }", "i"),
    "random": ("for (i in 1:n) { A = rand(rows=3, cols=2, seed=i) }", "A"),
    "a string": ('for (i in 1:n) { s = "b" }\nt = s == "b"', "t"),
    "a list": ("L = list(X, v)\nfor (i in 1:n) { L[1] = X * i }\ns = sum(as.matrix(L[1]))", "s"),
    "no iterations": ("A = X\nfor (i in seq(1, 0, 1)) { A = A + 1 }", "A"),
    "parfor": ("R = matrix(0, n, 1)\nparfor (i in 1:n) { R[i, 1] = i }", "R"),
}


_numbers = itertools.count()


def executed(script: str, outputs: str, **inputs: object) -> list[object]:
    text = f"{script}\n# {next(_numbers)}"  # compiled anew
    result = MLContext().execute(dml(text).input(**{**INPUTS, **inputs}).output(*outputs.split()))
    values = [result.get(o) for o in outputs.split()]
    return [v.toNumPy() if hasattr(v, "toNumPy") else v for v in values]


def plain(script: str, outputs: str, **inputs: object) -> list[object]:
    with settings(compile=False):
        return executed(script, outputs, **inputs)


def same(found: list[object], wanted: list[object]) -> None:
    for a, b in zip(found, wanted, strict=True):
        assert type(a) is type(b)
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


@pytest.fixture
def loops(monkeypatch):
    """The loops that ran, in the order in which they were first met."""
    met: list[hot.HotLoop] = []
    start = hot.HotLoop.__init__

    def note(self, *args):
        start(self, *args)
        met.append(self)

    monkeypatch.setattr(hot.HotLoop, "__init__", note)
    with settings(verify=True):  # a defect is an error
        yield met


@pytest.fixture(params=["from the start", "after an iteration"])
def checked(request, loops, monkeypatch):
    """Loops are taken over by their source, run as plain Python."""
    monkeypatch.setattr(hot, "LOAD_SECONDS", 0 if request.param == "from the start" else 1e-9)
    monkeypatch.setattr(hot, "_address", lambda x: x)
    monkeypatch.setattr(hot.Variant, "advance", lambda self, spent: setattr(self, "compiled", interpreted(self.loop)))
    return loops


@pytest.fixture
def compiled(loops, monkeypatch):
    monkeypatch.setattr(hot, "LOAD_SECONDS", 0)
    monkeypatch.setattr(hot.Variant, "advance", lambda self, spent: self.wait())
    return loops


@pytest.mark.parametrize("name", COMPILED)
def test_values(name, checked, capsys):
    script, outputs = COMPILED[name]
    wanted = plain(script, outputs)
    printed = capsys.readouterr().out
    same(executed(script, outputs), wanted)
    found = capsys.readouterr().out
    assert [w for w in found.split() if w.isalpha()] == [w for w in printed.split() if w.isalpha()]
    same([float(w) for w in found.split() if not w.isalpha()], [float(w) for w in printed.split() if not w.isalpha()])
    assert any(loop.iterations > 0 for loop in checked), [loop.reason for loop in checked]


@pytest.mark.parametrize("name", ["cells", "large products", "stores", "swapped", "until it converges", "prints now and then", "a network"])
def test_values_of_the_compiler(name, compiled):
    script, outputs = COMPILED[name]
    same(executed(script, outputs), plain(script, outputs))
    assert any(loop.iterations > 0 for loop in compiled)


@pytest.mark.parametrize(
    "script",
    [
        "A = X\nfor (i in 1:n) {\n  A[i, 1] = i + sum(A)\n}",
        "A = X\nfor (i in 1:n) {\n  A[i, ] = X[1, ] * i\n}",
        "A = X\nfor (i in 1:n) {\n  B = A[, i:(i + 1)] * 2\n}",
        "A = X\nfor (i in 1:n) {\n  for (j in 1:i) {\n    s = as.scalar(A[j, 2])\n  }\n}",
        "f = function(matrix[double] A, int i) return (double s) {\n  s = sum(A[3, i])\n}\nfor (i in 1:n) {\n  s = f(X, i)\n}",
        "i = 3\nwhile (i > -9) {\n  i = i - 1\n  s = sum(X[i, ])\n}",
    ],
)
def test_errors(script, checked):
    output = next(name for name in "BsA" if f"{name} = " in script)
    with pytest.raises(DMLError) as wanted, settings(compile=False):
        executed(script, output)
    with pytest.raises(DMLError) as found:
        executed(script, output)
    assert str(found.value) == str(wanted.value)
    assert any(loop._variants for loop in checked)


def test_a_stop_is_left_to_the_interpreter(checked):
    script = 's = 0\nfor (i in 1:n) {\n  s = s + i\n  if (i == 4) { stop("enough: " + s) }\n}'
    with pytest.raises(DMLError, match="enough: 10"):
        executed(script, "s")
    assert [loop.iterations for loop in checked] in ([3], [2])


def test_only_the_iterations_that_print_are_left(checked, capsys):
    script = "A = X\ni = 0\nwhile (i < 12) { A = A * 0.9 + X\n if (i %% 4 == 3) { print(i) }\n i = i + 1 }"
    same(executed(script, "A i"), plain(script, "A i"))
    assert capsys.readouterr().out.split() == ["3", "7", "11"] * 2
    assert next(loop.iterations for loop in checked) in (9, 8)


def test_inputs_stay_as_they_are(checked):
    X = INPUTS["X"].copy()
    executed("for (i in 1:4) { X[i, 1] = i }\ns = sum(X)", "s", X=X)
    assert np.array_equal(X, INPUTS["X"])


@pytest.mark.parametrize("order", ["C", "F"])
def test_inputs_in_any_order_of_cells(checked, order):
    script = "s = 0.0\nA = X\nfor (i in 1:n) { s = s + sum(A %*% v)\n A[1, 2] = s }"
    X = np.asarray(INPUTS["X"], order=order)
    same(executed(script, "s A", X=X), plain(script, "s A", X=X))
    same(executed(script, "s A", X=np.repeat(X, 2, axis=1)[:, ::2]), plain(script, "s A", X=X))


def test_other_shapes_and_types_are_other_code(checked):
    script = "f = function(matrix[double] A, double s) return (double r) { r = s\n for (i in 1:3) { r = r * 0.5 + sum(A) } }\n"
    script += "a = f(X, 1)\nb = f(t(X), 2)\nc = f(v, 3)\nd = f(X, 4)"
    same(executed(script, "a b c d"), plain(script, "a b c d"))
    assert max(len(loop._variants) for loop in checked) <= 3


def test_sparse_values_are_left_to_the_interpreter(checked):
    from scipy.sparse import csr_array

    S = csr_array(([1.0, 2.0], ([0, 3], [1, 2])), shape=(40, 40))
    script = "s = 0.0\nfor (i in 1:n) { S = S * 1.5\n s = s + sum(S) }"
    same(executed(script, "s", S=S), plain(script, "s", S=S))
    assert all(loop.iterations == 0 for loop in checked)


def test_slow_code_is_given_up(checked, monkeypatch):
    monkeypatch.setattr(hot, "LOAD_SECONDS", 1e-9)
    monkeypatch.setattr(hot, "_SLOWER", 0.0)
    script = "A = X\nfor (i in 1:300) { A = A * 0.5 + X }"
    same(executed(script, "A"), plain(script, "A"))
    assert checked[0].is_given_up


def test_can_be_switched_off(loops):
    plain("A = X\nfor (i in 1:n) { A = A + 1 }", "A")
    assert not loops


@pytest.mark.parametrize("name", OTHERS)
def test_others_run_as_ever(name, checked):
    script, outputs = OTHERS[name]
    same(executed(script, outputs), plain(script, outputs))
    assert all(loop.iterations == 0 for loop in checked)
