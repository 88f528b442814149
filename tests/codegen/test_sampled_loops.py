"""Sampled regions give what their operators give one after another: by blocks, compiled, and as Python with checked indices."""

from __future__ import annotations

import re
from itertools import product
from unittest import mock

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite import settings
from dmlite.backends.local import compiled, stored, threads
from tests.support.engine import executed
from tests.support.loops import use_loops

SHAPES = [(2, 2), (7, 5), (40, 30), (3, 200), (150, 4)]
SCRIPTS = {
    "cells": "R = W * tanh(U %*% t(V)) + W / 4",
    "loss and gradient": "D = U %*% t(V); s = sum(W * log(1 + exp(D))); G = W * (1 / (1 + exp(-D))); g = G %*% V; h = t(G) %*% U",
    "squares": "E = (W != 0) * (W - U %*% t(V)); s = sum(E^2); R = abs(E) * 2; q = max(R); p = min(E)",
    "by row and column": "E = W * exp(U %*% t(V)) * u; r1 = rowSums(E); c1 = colSums(E * r); r2 = rowSums(E * exp(U %*% t(V))); c2 = colSums(E^2)",
    "products": "D = U %*% t(V); E = W * D * D * 0.3; a1 = E %*% V; a2 = t(E) %*% U; a3 = t(U) %*% E; a4 = E %*% B",
    "weighted": "D = U %*% t(V); Q = W / D; g = Q %*% V; h = t(U) %*% Q; s = sum(Q * Z); P = W * D; e = P %*% V; f = t(P) %*% U; q = sum(P^2)",
    "weighted with a number": "Q = W / (U %*% t(V) + 0.5); g = Q %*% V; h = t(U) %*% Q; R = Q * u",
    "another matrix beside": "D = U %*% t(V); s = sum(W * (exp(D) - X * D)); R = W * X * (D - X); q = sum(R * X * D)",
    "dense beside": "R = W * exp(Z) * (1 - Z); s = sum(W * Z * U %*% t(V)); c = colSums(R * (U %*% t(V)))",
    "functions of cells": "P = W * Z; R = P * exp(P) / (1 + abs(P)); s = sum(P * log(abs(P) + 2)); q = sum((P - W)^2)",
    "chain": "A = abs(W) * 2; C = A * u; s = sum(C^2); R = (C > 0.5) * C; r1 = rowSums(R)",
    "zeros among the cells": "P = W * (Z > 0); R = P * exp(1000 * Z); q = P %*% V; s = sum(P / (U %*% t(V) + 5) * Z)",
    "one column": "R = W * exp(u %*% r); s = sum(R * log(abs(u %*% r) + 1)); g = R %*% t(r); h = t(R) %*% u",
    "factors beside": "R = W * tanh(u %*% r * 2) * u * r; s = sum(R * (U %*% t(V)) * U[, 1]); g = t(R) %*% u",
    "scalars": "R = W * (U %*% t(V) + a) * n; s = sum(R * a); k = sum((R != 0) * (U %*% t(V) > a))",
    "several drivers": "D = exp(U %*% t(V)); R = W * D * 2; s = sum(X * sqrt(Z^2 + 1) * 3); q = sum(abs(X) * exp(Z)); p = sum(R)",
    "made here": "T = W[1:nrow(W), ] * 2; D = exp(U %*% t(V)); R = T * D; s = sum(T * log(D + 1))",
    "the product is needed as well": "D = U %*% t(V); R = W * exp(D) * 2; s = sum(W * log(exp(D) + 1)); Q = D * 2",
    "one product for two": "D = exp(U %*% t(V)); s = sum(W * D); R = X * D * 2; q = sum(W * (D + 1) / s * U[, 1]); p = sum(R)",
    "divided by what may be zero": "R = W / a * exp(U %*% t(V)); b = a - 0.3; Q = W / b * exp(U %*% t(V)) * 2",
    "rows": "q = W %*% v; g = t(W) %*% (u * exp(0 - q)); s = sum(q * u); R = W * q",
    "rows of cells": "P = W * u * r; q = P %*% v; g = t(P) %*% (q - u); c = colSums(P); r1 = rowSums(P^2); R = P * (r1 > 0.5)",
    "chains": "g = t(W) %*% (W %*% v); h = t(W) %*% (u * (W %*% v)); k = t(W) %*% ((W %*% v) - u); A = 2 * W; l = t(A) %*% (A %*% v)",
    "hinge": "out = 1 - u * (W %*% v); sv = out > 0; out = sv * out; s = sum(out * out); g = t(W) %*% (out * sv * u); w2 = t(W) %*% B2",
    "rows in stages": "q = rowSums(W); P = W * q; p = rowSums(abs(P)); R = P * p / 2; g = t(R) %*% (q + p); s = sum(p); m = min(R)",
    "nearest": "D = -2 * (W %*% M) + m1; y = rowIndexMin(D); s = sum(rowMins(D)); y2 = rowIndexMax(D); s2 = sum(D * M2)",
    "few numbers a row": "Q = W %*% M; E = exp(Q - rowMaxs(Q)) * u; P = E / rowSums(E); g = t(W) %*% (P - M2); s = sum(P); R = Q + a; q = rowSums(P * M2)",
    "few numbers of cells": "A = abs(W) * 2; Q = A %*% M; P = max(Q, m1) * rowSums(Q); g = t(A) %*% P; s = sum(P^2); q = rowMeans(P); r1 = rowSums(P^2)",
    "few numbers twice": "Q = W %*% V; P = W %*% M; s = sum(Q^2); q = rowSums(P) * rowMins(Q); g = t(W) %*% (P * q); h = t(W) %*% Q; R = W * q",
    "used before and after": "E = W * exp(U %*% t(V)); s = sum(E); F = E / s; R = F * exp(U %*% t(V)); q = sum(F * Z)",
}  # fmt: skip


@pytest.fixture(autouse=True)
def small_regions(monkeypatch, tmp_path_factory):
    monkeypatch.setattr("dmlite.plan.sampling.SAMPLED_CELLS", 2)
    monkeypatch.setattr("dmlite.plan.sampling._Cells._costs", lambda *_: 0.0)
    monkeypatch.setattr(stored, "_THREADED", 0)
    monkeypatch.setattr(stored, "_LARGE", 100)
    monkeypatch.setattr(compiled, "_THREADED", 0)
    monkeypatch.setenv("DMLITE_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "loops"))  # shared by these tests


def inputs(rows: int, cols: int, *, special: bool = False, share: float = 0.3, wide: bool = False) -> dict:
    rng = np.random.default_rng(rows * 31 + cols)

    def dense(*shape: int) -> np.ndarray:
        x = rng.normal(size=shape)
        odd = rng.choice([0.0, -0.0, np.nan, np.inf, -np.inf, 1e300], size=shape)
        return np.where(rng.random(shape) < 0.1, odd, x) if special else x

    def sparse() -> csr_array:
        x = np.where(rng.random((rows, cols)) < share, dense(rows, cols), 0.0)
        x[rows // 2] = 0.0
        found = csr_array(x)
        if wide:
            found.indices, found.indptr = found.indices.astype(np.int64), found.indptr.astype(np.int64)
        return found

    found = {"W": sparse(), "X": sparse(), "Z": dense(rows, cols), "U": dense(rows, 3), "V": dense(cols, 3), "B": dense(cols, 2)}
    found |= {"M": dense(cols, 11), "M2": dense(rows, 11), "m1": dense(1, 11)}
    return found | {"B2": dense(rows, 2), "v": dense(cols, 1), "u": dense(rows, 1), "r": dense(1, cols), "a": 0.3, "n": 3}


def run(script: str, given: dict, level: int = 2) -> tuple[dict, list[str]]:
    """The results, and the names of functions of sampled regions."""
    used = {k: v.copy() if hasattr(v, "copy") else v for k, v in given.items() if k in script}
    outputs = sorted(set(re.findall(r"(\w+) =", script)) - {"D"})  # not the product itself, so that it need not exist
    engine, found, _ = executed(script, level, outputs, **used)
    assert all(np.array_equal(as_array(used[k]), as_array(given[k]), equal_nan=True) for k in used)
    text = "\n".join(run.code.source for run in engine.runs)
    return {k: v for k, v in found.items() if k not in used}, [
        line for line in text.split("\n") if line.startswith("def") and "_apart" in line
    ]


def as_array(x) -> np.ndarray:
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x)


def compare(found: dict, expected: dict, note: str) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert hasattr(value, "shape") or type(found[name]) is float  # conditions take no numbers of NumPy
        x, y = as_array(found[name]), as_array(value)
        scale = np.abs(y[np.isfinite(y)]).max(initial=0.0)
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-13 * min(scale, 1e200), err_msg=f"{name} {note}")
        if hasattr(found[name], "tocsr"):
            assert found[name].data.all() and found[name].has_sorted_indices


HOW = ["blocks", "compiled", "checked"]


@pytest.mark.parametrize("special", [False, True], ids=["plain", "special"])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_same_numbers(monkeypatch, script, how, special):
    for shape in SHAPES:
        given = inputs(*shape, special=special)
        if special and not given["W"].nnz and script == SCRIPTS["weighted"]:
            continue  # a quotient of nothing is an array, whose zeros meet NaN
        with np.errstate(all="ignore"):
            expected, _ = run(script, given, 0)
            with monkeypatch.context() as patch:
                used = use_loops(patch, compiled=how == "compiled") if how != "blocks" else []
                patch.setattr(stored, "_BLOCK", 64)
                found, regions = run(script, given)
        assert regions or shape == (2, 2)
        assert len(used) == (len(regions) if how != "blocks" else 0) or "/" in script  # by what may be zero
        compare(found, expected, f"of {shape}")


@pytest.mark.parametrize("how", HOW)
def test_a_product_that_may_be_zero_is_divided_by_otherwise(monkeypatch, how):
    """Where nothing is stored, zero divided by zero is NaN, so that all cells count."""
    script = SCRIPTS["weighted"]
    for zero in (0.0, np.nan, None):
        given = inputs(40, 30)
        for name in "UV":
            given[name] = np.abs(given[name]) + 0.1
        if zero is not None:
            given["U"][3] = zero
        with np.errstate(all="ignore"):
            expected, _ = run(script, given, 0)
            with monkeypatch.context() as patch:
                used = use_loops(patch, compiled=how == "compiled") if how != "blocks" else []
                found, _ = run(script, given)
        assert len(used) == (how != "blocks") * (1 + (zero is None))
        compare(found, expected, f"with {zero}")
        assert np.isnan(found["g"][3]).all() == (zero is not None)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("kind", ["empty", "full rows", "wide indices", "dense"])
def test_other_storage(monkeypatch, kind, how):
    given = inputs(20, 30, share={"empty": 0.0, "full rows": 1.0}.get(kind, 0.2), wide=kind == "wide indices")
    if kind == "full rows":
        for name in "WX":
            given[name] = csr_array(given[name].toarray() * (np.arange(20)[:, None] % 4 == 1))
    for name in ("loss and gradient", "squares", "by row and column", "another matrix beside"):
        expected, _ = run(SCRIPTS[name], given, 0)
        with monkeypatch.context() as patch:
            if how != "blocks":
                use_loops(patch, compiled=how == "compiled")
            if kind == "dense":  # though it was planned for CSR
                patch.setattr(stored, "SPARSE_LIMIT", -1.0)
            found, regions = run(SCRIPTS[name], given)
        assert regions
        compare(found, expected, kind)


def test_sums_do_not_depend_on_the_number_of_cores(monkeypatch):
    given = inputs(300, 200)
    for how, script in product(("blocks", "compiled"), (SCRIPTS["loss and gradient"], SCRIPTS["few numbers a row"])):
        results = []
        for count in (1, 2, 5):
            with monkeypatch.context() as patch, mock.patch.object(stored, "_BLOCK", 512):
                patch.setattr(stored, "cores", lambda count=count: count)
                patch.setattr(threads, "cores", lambda count=count: count)
                if how == "compiled":
                    use_loops(patch, compiled=True)
                found, _ = run(script, given)
            results.append({k: as_array(v).tobytes() for k, v in found.items() if k in "sgh"})
        assert results[0] == results[1] == results[2]


def test_without_a_compiler(monkeypatch):
    given = inputs(40, 30)
    with settings(compile=False):
        found, regions = run(SCRIPTS["products"], given)
    assert regions
    compare(found, run(SCRIPTS["products"], given, 0)[0], "")


# ---------------------------------------------------------------- random expressions
_CELLS = ["{} * {}", "{} + {}", "{} - {}", "{} / {}", "min({}, {})", "max({}, {})", "({} > {})", "({} != {})", "({} & {})", "({} | {})"]
_FUNCTIONS = [
    "abs({})",
    "exp({})",
    "tanh({})",
    "sqrt({})",
    "log({})",
    "({})^2",
    "(0 - {})",
    "round({})",
    "sign({})",
    "1 / (1 + exp(-({})))",
    "!({})",
]
_LEAVES = [
    "W",
    "W",
    "X",
    "Z",
    "(U %*% t(V))",
    "(U %*% t(V))",
    "u",
    "(r * Z)",
    "a",
    "n",
    "2",
    "0.5",
    "0",
    "(u %*% r)",
    "rowSums(W)",
    "(W %*% v)",
    "rowSums(W %*% V)",
    "rowMins(abs(W) %*% B)",
]
_ENDS = ["sum({})", "min({})", "max({})", "rowSums({})", "colSums({})", "({}) %*% V", "t({}) %*% U", "t(U) %*% ({})", "sum(({}) * Z)", "({}) * W",
         "t({}) %*% (u * (({}) %*% v))", "sum(({})^2)", "t({}) %*% rowSums(({}) * u)", "rowSums(({}) * X)", "sum(({}) != 0)"]  # fmt: skip


def random_script(seed: int) -> str:
    rng = np.random.default_rng(seed)
    known = list(_LEAVES)

    def pick(options: list[str]) -> str:
        return options[rng.integers(len(options))]

    def cells(depth: int) -> str:
        if depth == 0 or rng.random() < 0.15:
            return pick(known)
        if rng.random() < 0.35:
            return pick(_FUNCTIONS).format(cells(depth - 1))
        return "(" + pick(_CELLS).format(cells(depth - 1), cells(depth - 1)) + ")"

    lines = []
    for i in range(rng.integers(1, 4)):
        lines.append(f"c{i} = {pick(['W', 'W', 'abs(W)', 'X'])} * {cells(3)}")
        known += [f"c{i}"] * 3
    for i in range(rng.integers(1, 4)):
        name = f"c{rng.integers(len([x for x in lines if x[0] == 'c']))}"
        lines.append(f"e{i} = {pick(_ENDS).replace('{}', name)}")
    return "\n".join(lines)


@pytest.mark.parametrize("how", ["blocks", "checked"])
@pytest.mark.parametrize("special", [False, True], ids=["plain", "special"])
def test_random_expressions(monkeypatch, how, special):
    found_any = 0
    for seed in range(60):
        script = random_script(seed)
        given = inputs(9, 7, special=special)
        with np.errstate(all="ignore"):
            with mock.patch("dmlite.plan.sampling.SAMPLED_CELLS", 1 << 60):  # the same operators, one after another
                expected, _ = run(script, given)
            with monkeypatch.context() as patch:
                if how != "blocks":
                    use_loops(patch, compiled=False)
                patch.setattr(stored, "_BLOCK", 64)
                found, regions = run(script, given)
        found_any += bool(regions)
        compare(found, expected, f"of seed {seed}:\n{script}")
    assert found_any > 20
