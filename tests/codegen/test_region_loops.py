"""Loops of regions: what they are made of, and that they give what NumPy gives, compiled and as Python with checked indices."""

from __future__ import annotations

from threading import Event

import numpy as np
import pytest

from dmlite import MLContext, dml, settings
from dmlite.backends.local import blocks, elementwise, fused
from dmlite.backends.local.jit import awaited, kernel, store
from dmlite.codegen.loops import Loop
from dmlite.codegen.templates import LOOP_CELLS
from dmlite.plan import regions
from tests.support.engine import executed
from tests.support.loops import Pointer, interpreted, use_loops

SHAPES = [(2, 1), (7, 3), (64, 1), (33, 17), (129, 2)]
SCRIPTS = {
    "cells": "A = (X * Y + X * 0.5 - Y) / (1 + abs(X))",
    "numbers of the script": "A = X * 2.5 - 1e300; B = A / 7 + a",
    "sums of all cells": "s = sum(abs(X) * Y) + 2 * sum(X^2); q = sum((X - Y)^2); p = sum(X * Y * Y)",
    "extremes": "s = min(X - Y); q = max(X * Y); c = colMins(abs(X)); d = colMaxs(abs(X))",
    "columns": "c = colSums(X * Y); d = colSums((X - Y)^2); e = colSums(X^2)",
    "rows": "A = X - rowSums(X); B = exp(A) / rowSums(exp(A))",
    "rows in stages": "A = exp(X - rowMaxs(X)); P = A / rowSums(A); s = sum(P * Y); R = P - rowMins(P)",
    "places of extremes": "A = abs(X) - Y; Y1 = rowIndexMin(A); Y2 = rowIndexMax(A * 2) + rowMins(A); Z = round(X); Y3 = rowIndexMax(Z + 0 * Y)",
    "row aggregates as results": "R = rowSums(abs(X) * Y); Q = rowMeans(abs(X)) + u; S = rowSums((X + 1)^2)",
    "vectors": "A = (X - r) / u; B = (A + u) * r; c = colSums(B)",
    "products": "q = abs(X) %*% v; g = t(X) %*% (u * exp(0 - q)); s = sum(q); B = X * q",
    "chains of products": "g = t(X) %*% (X %*% v); h = t(X) %*% (u * (X %*% v)); k = t(X) %*% (X %*% v - u); s = sum(u)",
    "thin products": "Q = abs(X) %*% V; P = exp(Q - rowMaxs(Q)); P = P / rowSums(P); G = t(X) %*% (P * u); s = sum(P); c = colSums(Q)",
    "thin chains": "G = t(X) %*% (X %*% V); H = t(X) %*% (u * (X %*% V)); K = t(X) %*% (X %*% V - B); L = t(X) %*% B; M = t(B) %*% X; s = sum(B)",
    "a matrix by rows and as it is": "S = X[1:2, 1:2]; f = X[1:2, 1]; Q = exp(S %*% f) * f + S; s = sum(Q * S)",
    "products of thin values": "Q = X %*% V; G = t(Q) %*% B; r = t(Q) %*% u; q = t(u) %*% X; s = sum(X^2)",
    "comparisons": "A = (X > Y) + (X == Y) * 2; B = (X != 0) & (Y < 1) | !(Y); s = sum(ifelse(X > 0.5, A, B))",
    "activations": "A = 1 / (1 + exp(-X)); B = tanh(A + Y); C = max(B, 0) * (1 - A) * A; s = sum(log(1 + exp(X)))",
    "results that take the memory of operands": "A = X + Y; B = A / r; A = B - rowMaxs(B); A = A * Y; s = sum(A)",
}


@pytest.fixture(autouse=True)
def small_regions(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(regions, "REGION_CELLS", 2)
    monkeypatch.setenv("DMLITE_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "loops"))  # shared by these tests


def inputs(script: str, rows: int, cols: int, *, special: bool) -> dict:
    rng = np.random.default_rng(rows * 31 + cols)
    found = {name: rng.normal(size=(rows, cols)) for name in "XY"}
    found |= {"u": rng.uniform(1, 2, size=(rows, 1)), "r": rng.uniform(1, 2, size=(1, cols)), "v": rng.normal(size=(cols, 1)), "a": 0.25}
    found |= {"V": rng.normal(size=(cols, 2)), "B": rng.normal(size=(rows, 2))}
    if special:
        for x in (found["X"], found["Y"]):
            cells = rng.choice([0.0, -0.0, np.nan, np.inf, -np.inf, 1e100, 5e-324], size=x.shape)  # of 1e308 sums depend on their order
            x[...] = np.where(rng.random(x.shape) < 0.3, cells, x)
    return {name: value for name, value in found.items() if name in script}


def values(script: str, given: dict) -> dict:
    _, found, _ = executed(script, **{k: v.copy() if isinstance(v, np.ndarray) else v for k, v in given.items()})
    return found


@pytest.mark.parametrize("special", [False, True], ids=["plain", "special"])
@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "checked"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_loops_give_what_numpy_gives(monkeypatch, script, compiled, special):
    for shape in SHAPES:
        if "1:2" in script and shape[1] == 1:
            continue
        given = inputs(script, *shape, special=special)
        with settings(compile=False):
            expected = values(script, given)
        with monkeypatch.context() as patch, np.errstate(all="ignore"):
            used = use_loops(patch, compiled=compiled)
            found = values(script, given)
        assert used or shape[1] <= 2
        assert found.keys() == expected.keys()
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-14, err_msg=f"{name} of {shape}")


ODD = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -5e-324, 1e-310, 1.0, -1.0, 0.5, -0.5, 0.49999999999999994, 2.5, -2.5, 1e308, -1e308,
                709.78, 709.79, -708.4, -745.1, -745.2, 2.0**52 + 1, 0.625, -0.625, 1e-8, 19.1, -36.8, 2.2250738585072014e-308])  # fmt: skip


def test_functions_of_cells():
    """One loop with every operator, on all pairs of numbers at which functions go wrong, and on many others."""
    rng = np.random.default_rng(5)
    ordinary = [rng.normal(size=2000) * scale for scale in (1, 100, 700)]
    a, b = (np.concatenate([x.ravel(), *ordinary]) for x in np.meshgrid(ODD, ODD))
    b[ODD.size**2 :] = rng.permutation(b[ODD.size**2 :])
    names = [f"o{i}" for i in range(len(LOOP_CELLS))]
    lines = [f"        {o}[r] = {cell.format('a[r]', 'b[r]', 'b[r]')}" for o, cell in zip(names, LOOP_CELLS.values(), strict=True)]
    source = "\n".join([f"def loop(n, a, b, {', '.join(names)}):", "    for r in range(n):", *lines]) + "\n"
    loop = Loop(source, "loop", "n" + "a" * (2 + len(names)), 1, 1, "", 0, (), 0, 0, ())
    assert store.compiler.compile(loop).wait(120)
    results = {name: np.empty(a.size) for name in LOOP_CELLS}
    store.load(loop)(a.size, *(kernel._address(x) for x in (a, b, *results.values())))
    column = {k: x.reshape(-1, 1) for k, x in {"a": a, "b": b}.items()}
    for name, found in results.items():
        function = getattr(elementwise, name, None) or getattr(fused, name)
        operands = [column["a"], column["b"], column["b"]][: 1 + max(i for i in range(3) if f"{{{i}}}" in LOOP_CELLS[name])]
        with np.errstate(all="ignore"):
            if name in ("axpy", "minus_nz"):  # whose second operand is a number
                expected = a + b * b if name == "axpy" else a - b * (a != 0)
            else:
                expected = function(*operands).ravel()
            within = np.abs(found - expected) <= 4 * np.spacing(np.abs(expected))
        same = (found == expected) | (np.isnan(found) & np.isnan(expected)) | within
        wrong = np.flatnonzero(~same)[:5]
        assert same.all(), [(name, a[i], b[i], found[i], expected[i]) for i in wrong]


def loops_of(script: str, rows: int = 50, cols: int = 4) -> list[Loop]:
    engine, _, _ = executed(script, **inputs(script, rows, cols, special=False))
    return [loop for run in engine.runs for loop in run.code.loops.values()]


@pytest.mark.parametrize(
    "script",
    [
        "A = sin(X) * Y + X",  # NumPy has faster loops for sine
    ],
)
def test_what_numpy_and_blas_do_as_well_is_left_to_them(script):
    assert loops_of(script) == []


def test_sizes_are_no_part_of_the_source():
    (small,), (large,) = loops_of(SCRIPTS["vectors"], 10, 3), loops_of(SCRIPTS["vectors"], 200, 30)
    assert small.source == large.source


def test_an_index_outside_of_its_array_is_found(monkeypatch):
    (loop,) = loops_of(SCRIPTS["cells"])
    wrong = Loop(**{**vars(loop), "source": loop.source.replace("range(i, j)", "range(i, j + 1)").replace("j * m", "j * m + 1")})
    x, target = np.ones((3, 2)), np.empty((3, 2))
    monkeypatch.setattr(kernel, "_address", Pointer)
    with pytest.raises(IndexError, match="cell 6 of 6"):
        kernel.Binding(wrong, interpreted(wrong), [x, x, target]).run()(0, 3)


# ---------------------------------------------------------------- when loops are used
def test_a_loop_replaces_numpy_when_that_has_taken_long_enough(monkeypatch):
    found = kernel.Kernel(lambda i, j: (), loops_of(SCRIPTS["cells"])[0])
    found.took(awaited.LOAD_SECONDS / 2, 10, compiled=False)
    assert found.compiled is None and not found._is_looked_for
    assert found.wait()  # so that it is on the disk
    later = kernel.Kernel(found.plain, found.loop)
    later.took(awaited.LOAD_SECONDS, 10, compiled=False)
    assert later.compiled is not None


def test_nothing_is_compiled_before_it_can_pay(monkeypatch, tmp_path):
    monkeypatch.setenv("DMLITE_CACHE_DIR", str(tmp_path))
    asked = []
    monkeypatch.setattr(store.compiler, "compile", lambda loop: asked.append(loop))
    found = kernel.Kernel(lambda i, j: (), loops_of(SCRIPTS["cells"])[0])
    found.took(0.9 * awaited.COMPILE_SECONDS, 10, compiled=False)
    assert not asked
    with settings(compile=False):
        found.took(10.0, 10, compiled=False)
    assert not asked
    found.took(0.2 * awaited.COMPILE_SECONDS, 10, compiled=False)
    assert asked == [found.loop]


def test_what_cannot_be_compiled_is_asked_for_once(monkeypatch):
    asked, looked, done = [], [], Event()
    monkeypatch.setattr(store.compiler, "compile", lambda loop: asked.append(loop) or done)
    monkeypatch.setattr(store, "load", looked.append)
    loop = awaited.Awaited(loops_of(SCRIPTS["cells"])[0])
    for _ in range(3):
        loop.advance(2 * awaited.COMPILE_SECONDS)
    assert len(asked) == len(looked) == 1
    done.set()
    for _ in range(3):
        loop.advance(3 * awaited.COMPILE_SECONDS)
    assert len(asked) == 1 and len(looked) == 2 and loop.compiled is None


def test_a_loop_that_is_slower_is_not_used():
    found = kernel.Kernel(lambda i, j: (), loops_of(SCRIPTS["cells"])[0])
    assert found.wait()
    x = np.ones((3, 2))
    assert found.bound([x, x, np.empty((3, 2))]) is not None
    found.took(1.0, 10, compiled=False)
    found.took(3.0, 10, compiled=True)
    assert found.bound([x, x, np.empty((3, 2))]) is None


@pytest.mark.parametrize("other", [np.ones((2, 3)).T, np.ones((3, 2), np.float32), np.ones((3, 4))[:, ::2]])
def test_arrays_of_another_layout_are_left_to_numpy(other):
    found = kernel.Kernel(lambda i, j: (), loops_of(SCRIPTS["cells"])[0])
    assert found.wait()
    assert found.bound([np.ones((3, 2)), other, np.empty((3, 2))]) is None


def test_a_damaged_file_is_compiled_again(tmp_path, monkeypatch):
    monkeypatch.setenv("DMLITE_CACHE_DIR", str(tmp_path))
    (loop,) = loops_of(SCRIPTS["cells"])
    path = store.path_of(loop)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    assert store.load(loop) is None
    assert store.compiler.compile(loop).wait(60)
    assert store.load(loop) is not None
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_what_cannot_be_compiled_is_said_and_done_by_numpy(tmp_path, monkeypatch):
    monkeypatch.setenv("DMLITE_CACHE_DIR", str(tmp_path))
    broken = Loop("def loop(i):\n    return nothing\n", "loop", "n", 1, 1, "", 0, (), 0, 0, ())
    said = []
    monkeypatch.setattr(store.warnings, "warn", lambda text, **_: said.append(text))  # by another thread
    assert store.compiler.compile(broken).wait(60) and store.load(broken) is None
    store.compiler.compile(broken).wait(60)
    assert "could not be compiled, NumPy does its work: TypingError" in said[0]


def test_threads_give_the_same_sums_on_any_number_of_cores(monkeypatch):
    monkeypatch.setattr(blocks, "_THREADED", 0)
    use_loops(monkeypatch, compiled=True)
    given = inputs("XY", 1001, 7, special=False)
    script = SCRIPTS["sums of all cells"]
    found = set()
    for count in (1, 2, 5):
        monkeypatch.setattr(blocks, "cores", lambda count=count: count)
        result = MLContext().execute(dml(script).input(**given).output("s", "q", "p"))
        found.add(tuple(result.get("s", "q", "p")))
    assert len(found) == 1
