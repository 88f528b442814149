"""The engine at run time: how often blocks are planned, what is stored in place, where errors point, what memory is kept."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmlite import dml
from dmlite.config import settings
from dmlite.errors import DMLError, DMLRuntimeError
from dmlite.runtime import engine as engine_module
from tests.support.engine import executed, runs_of


def error_of(text: str, level: int = 2, **inputs: Any) -> DMLError:
    with settings(opt_level=level), pytest.raises(DMLError) as caught:
        script = dml(text)
        for name, value in inputs.items():
            script.input(name, value)
        script.execute()
    return caught.value


def line_of(error: DMLError) -> int:
    span = error.problems[0].span
    assert span is not None, str(error)
    return span.line


# ---------------------------------------------------------------- planning
LOOP = """
w = matrix(0, 10, 1)
for (i in 1:k) {
  g = X %*% w - i
  w = w + g / 100
}
"""


def test_a_loop_of_stable_shapes_plans_each_block_once() -> None:
    X = np.eye(10)
    few, _, _ = executed(LOOP, X=X, k=2)
    many, _, _ = executed(LOOP, X=X, k=200)
    assert len(runs_of(many, "w")) == len(runs_of(few, "w"))
    assert len(many.runs) == len(few.runs)
    assert max(len([r for r in many.runs if r.block is run.block]) for run in many.runs) == 1


def test_a_second_run_plans_nothing_new() -> None:
    engine, first, _ = executed(LOOP, X=np.eye(10), k=3)
    planned = len(engine.runs)
    second = engine.run({"X": np.eye(10), "k": 3})
    assert len(engine.runs) == planned
    np.testing.assert_array_equal(first["w"], second["w"])


def test_a_new_shape_is_planned_anew_and_an_old_one_is_not() -> None:
    text = "X = matrix(1, 1, 2)\nfor (i in 1:6) {\n  s = sum(X %*% t(X))\n  if (i %% 2 == 0) { X = matrix(i, 2, 2) } else { X = matrix(i, 3, 2) }\n}"
    engine, values, _ = executed(text, k=1)
    plans = runs_of(engine, "s")
    assert len({id(p.block) for p in plans}) == 1
    assert sorted(p.facts_in["X"].rows for p in plans) == [1, 2, 3]  # type: ignore[type-var]
    assert values["s"] == 3 * 3 * 2 * 25.0


def test_dense_and_sparse_have_plans_of_their_own() -> None:
    from scipy.sparse import csr_array

    engine, values, _ = executed(
        "L = list(S, D)\nfor (i in 1:4) { Z = as.matrix(L[(i - 1) %% 2 + 1])\n if (i > 0) { s = sum(Z + 1) } }",
        S=csr_array((30, 30)),
        D=np.zeros((30, 30)),
    )
    assert values["s"] == 900.0
    assert len(runs_of(engine, "s")) == 2


def test_plans_that_depend_on_values_are_limited() -> None:
    limit = engine_module.MAX_PLANS
    text = f"f = function(int n) return (double s) {{ while (FALSE) {{}}\n X = matrix(1, n, 2); s = sum(X %*% t(X)) }}\nt = 0\ni = 0\nwhile (i < {3 * limit}) {{ i = i + 1; t = t + f(i) }}"
    engine, values, _ = executed(text)
    assert values["t"] == sum(2.0 * i * i for i in range(1, 3 * limit + 1))
    assert len(engine.runs) <= limit + 12


def test_loop_counters_do_not_multiply_plans() -> None:
    engine, _, _ = executed("X = matrix(1, 50, 100)\nfor (t in 1:k) { s = sum(X[, (t - 1) * 2 + 1 : t * 2]); Y = X[t,] }", 0, k=40)
    assert len(runs_of(engine, "s")) == 1
    engine, _, _ = executed("X = matrix(1, 50, 100)\nfor (t in 1:k) { Y = X[t:(t + 3), (t - 1) * 2 + 1]; s = sum(Y) }", 0, k=40)
    assert len(runs_of(engine, "s")) == 1


# ---------------------------------------------------------------- storing in place
def _addresses(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Collects the address of every array that comes out of a store."""
    from dmlite.backends.local import indexing

    seen: list[int] = []
    original = indexing.leftindex_inplace

    def spy(X: Any, *rest: Any) -> Any:
        out = original(X, *rest)
        seen.append(out.ctypes.data)
        return out

    monkeypatch.setattr(indexing, "leftindex_inplace", spy)
    from dmlite.backends.local import registry

    registry.kernel.cache_clear()
    monkeypatch.setattr(indexing, "leftindex", lambda X, *rest: spy(X.copy() if isinstance(X, np.ndarray) else X, *rest))
    return seen


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Any:
    yield _addresses(monkeypatch)
    from dmlite.backends.local import registry

    registry.kernel.cache_clear()


def test_stores_in_a_loop_are_in_place(stores: list[int]) -> None:
    _, values, _ = executed("X = matrix(0, 40, 40)\nfor (i in 1:40) { if (i > 0) { X[i, 1] = i * s } }", s=2.0)
    assert len(stores) == 40
    assert len(set(stores)) == 1
    assert values["X"].sum() == 40 * 41


@pytest.mark.parametrize("alias", ["Y = X", "Y = t(X)", "Y = X[1:20,]", "Y = matrix(X, 1, 1600)", "Y = list(X)", "Y = list(1, list(X))"])
def test_the_first_store_copies_while_another_variable_refers_to_the_array(alias: str, stores: list[int]) -> None:
    text = f"X = matrix(s, 40, 40); {alias}\nfor (i in 1:5) {{ if (i > 0) {{ X[i, 1] = 0 }} }}"
    _, values, _ = executed(text, s=1.0)
    assert len(stores) == 5
    assert len(set(stores[:1])) == 1 and len(set(stores[1:])) == 1
    other = values["Y"]
    while not isinstance(other, np.ndarray):
        other = other.items[-1]
    assert (other == 1).all()
    assert not np.shares_memory(other, values["X"])


def test_a_store_into_a_view_leaves_its_source(stores: list[int]) -> None:
    _, values, _ = executed("X = matrix(s, 10, 10); Y = t(X); Z = X[2:3,]\nif (s > 0) { Y[1, 1] = 7; Z[1, 1] = 8 }", s=1.0)
    assert (values["X"] == 1).all()
    assert values["Y"][0, 0] == 7
    assert values["Z"][0, 0] == 8


def test_inputs_are_never_changed() -> None:
    X = np.ones((30, 30))
    for text in (
        "X[1, 1] = 5",
        "X = X + 1",
        "Y = X; Y[2, 2] = 3",
        "for (i in 1:3) { X[i, i] = 9; X = X * 2 }",
        "X = exp(X) - X; X[1, 1] = 0",
    ):
        executed(text, X=X)
        assert (X == 1).all(), text


def test_values_of_the_caller_are_never_changed_by_a_function() -> None:
    text = "f = function(matrix[double] A) return (matrix[double] B) { for (i in 1:2) { A[i, i] = 9; A = A + 1 }\n B = A }\nX = matrix(s, 100, 100)\nY = f(X)\nZ = f(X)"
    _, values, _ = executed(text, s=1.0)
    assert (values["X"] == 1).all()
    np.testing.assert_array_equal(values["Y"], values["Z"])


def test_accumulation_in_a_loop_takes_no_new_memory() -> None:
    """`R[i,] = ...` on a large matrix must not copy it in every iteration."""
    text = "R = matrix(0, 2000, 500)\nfor (i in 1:300) { R[i %% 2000 + 1,] = r * i }"
    executed(text, r=np.ones((1, 500)))
    tracemalloc.start()
    executed(text, r=np.ones((1, 500)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.2 * 2000 * 500 * 8


# ---------------------------------------------------------------- recursion and eval
COUNT = "f = function(int n) return (int r) { if (n <= 0) { r = 0 } else { r = f(n - 1) + 1 } }\n"


@pytest.mark.parametrize("depth", [10, 1000, 5000])
def test_deep_recursion(depth: int) -> None:
    try:
        _, values, _ = executed(COUNT + "x = f(d)", d=depth)
    except DMLRuntimeError as error:
        assert depth > 1000 and "deep" in str(error)
    else:
        assert values["x"] == depth


def test_endless_recursion_is_an_error_of_the_script() -> None:
    error = error_of("f = function(int n) return (int r) {\n  r = f(n + 1)\n}\nx = f(0)")
    assert "call each other too deeply" in error.message


def test_mutual_recursion() -> None:
    text = (
        "even = function(int n) return (boolean b) { if (n == 0) { b = TRUE } else { b = odd(n - 1) } }\n"
        "odd = function(int n) return (boolean b) { if (n == 0) { b = FALSE } else { b = even(n - 1) } }\n"
        "x = even(d); y = odd(d)"
    )
    _, values, _ = executed(text, d=101)
    assert (values["x"], values["y"]) == (False, True)


def test_functions_by_name() -> None:
    text = (
        "twice = function(matrix[double] A, double k = 2) return (matrix[double] B, double s) { B = A * k; s = sum(B) }\n"
        'name = "tw" + end\nX = eval(name, matrix(1, 2, 2), 3)\nY = eval(name, list(k=5, A=matrix(1, 1, 1)))\nZ = eval(name, matrix(1, 1, 1))\n'
        "L = evalList(name, matrix(1, 2, 2), 4)"
    )
    _, values, _ = executed(text, end="ice")
    assert values["X"].sum() == 12
    assert values["Y"].item() == 5
    assert values["Z"].item() == 2
    assert values["L"].items[1] == 16


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('eval("nobody", 1)', "there is no function 'nobody'"),
        ('eval("g")', "needs the argument"),
        ('eval("g", 1, 2, 3)', "takes 1 arguments"),
        ('eval("g", list(z=1))', "no parameter 'z'"),
    ],
)
def test_misfits_of_functions_by_name(call: str, message: str) -> None:
    assert message in str(error_of(f"g = function(double a) return (double b) {{ b = a }}\nx = {call}"))


# ---------------------------------------------------------------- errors
def test_an_error_carries_the_line_of_its_operator() -> None:
    error = error_of("A = matrix(1, k, 2)\nB = matrix(1, 2, k)\nC = A + 1\nD = A * C +\n  B\n", k=3)
    assert line_of(error) == 4
    assert "3x2" in str(error) and "2x3" in str(error)


def test_an_error_in_an_inlined_function_points_into_the_function() -> None:
    text = "f = function(matrix[double] A, int i) return (matrix[double] B) {\n  a = 1\n  B = A[i,]\n}\nX = matrix(1, 3, 3)\ny = f(X, k)\n"
    assert line_of(error_of(text, k=7)) == 3


def test_an_error_in_a_called_function_points_into_the_function() -> None:
    text = "f = function(matrix[double] A, int i) return (matrix[double] B) {\n  while (FALSE) {}\n  for (j in 1:1) {\n    B = A[i,]\n  }\n}\nX = matrix(1, 3, 3)\ny = f(X, k)\n"
    assert line_of(error_of(text, k=7)) == 4


def test_an_error_in_a_sourced_file_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lib.dml").write_text("g = function(matrix[double] A, int i) return (double s) {\n  s = as.scalar(A[i, i])\n}\n")
    error = error_of('source("lib.dml") as lib\nX = matrix(1, 2, 2)\nx = lib::g(X, k)\n', k=5)
    span = error.problems[0].span
    assert span is not None and span.line == 2
    assert span.source.name.endswith("lib.dml")


def test_an_error_in_a_parfor_body_points_into_the_body() -> None:
    text = "R = matrix(0, 4, 1)\nA = matrix(1, 2, 2)\nparfor (i in 1:4) {\n  x = A[k, i]\n  R[i, 1] = as.scalar(x)\n}\n"
    error = error_of(text, k=2)
    assert line_of(error) == 4


@pytest.mark.parametrize(
    ("text", "line"),
    [("x = 1\nif (k) { x = 2 }\n", 2), ("x = 1\nwhile (k) {\n x = 2; k = 0 }\n", 2), ("x = 1\nfor (i in 1:k) { x = 2 }\n", 2)],
)
def test_errors_of_conditions_and_bounds_have_a_line(text: str, line: int) -> None:
    loop = "k = 0\nfor (z in 1:2) {\n" + text + "k = list(1)\n}"
    assert line_of(error_of(loop)) == line + 2


def test_a_variable_without_a_value_is_named() -> None:
    error = error_of("if (k > 5) { value = 3 }\nx = 1\ny = value + x\n", k=1)
    assert "'value'" in str(error)
    assert line_of(error) == 3


def test_a_result_without_a_value_is_named() -> None:
    error = error_of("f = function(int n) return (int r) {\n  while (FALSE) {}\n  if (n > 5) { r = 1 }\n}\nx = f(k)\n", k=1)
    assert "'r'" in str(error) and "f" in str(error)


def test_no_internal_error_is_shown_as_one() -> None:
    assert "failed" not in str(error_of("L = list(1, 2)\nx = t(as.scalar(L[1]))"))


def test_python_frames_on_request() -> None:
    with settings(traceback=True), pytest.raises(DMLRuntimeError) as caught:
        dml("A = matrix(1, k, k)\nx = A[k + 1, 1]").input(k=2).execute()
    assert any("<dml" in str(frame.path) for frame in caught.traceback)
    with pytest.raises(DMLRuntimeError) as caught:
        dml("A = matrix(1, k, k)\nx = A[k + 1, 1]").input(k=2).execute()
    assert caught.value.__suppress_context__


def test_the_traceback_setting_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    from dmlite.config import Config

    monkeypatch.setenv("DMLITE_TRACEBACK", "full")
    assert Config.from_environment().traceback
    monkeypatch.delenv("DMLITE_TRACEBACK")
    assert not Config.from_environment().traceback


def test_numpy_is_silent_and_as_it_was_before() -> None:
    before = np.geterr()
    with np.errstate(all="raise"):
        executed("x = 1 / (k - 1); A = matrix(0, 2, 2) / matrix(0, 2, 2); B = exp(matrix(1000, 1, 1)) * k", k=1.0)
    assert np.geterr() == before


# ---------------------------------------------------------------- memory
CELLS = 1000 * 1000


def peak_of(text: str, **inputs: Any) -> float:
    """The largest number of 1000x1000 matrices that were alive at once."""
    gc.collect()
    tracemalloc.start()
    try:
        executed(text, outputs=[], **inputs)
        return tracemalloc.get_traced_memory()[1] / (8 * CELLS)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("body", "copies"),
    [
        ("for (i in 1:5) X = X * 2", 2.1),
        ("for (i in 1:5) { Y = X + i; X = Y * 2 }", 3.1),
        ("for (i in 1:5) { X = exp(-X) / (1 + X ^ 2) }", 3.1),
        ("Y = X + 1; Z = Y * 2; W = Z - 3; V = exp(W)", 3.1),
        ("for (i in 1:3) { X[i, ] = colSums(X) }", 1.2),
        ("for (i in 1:3) { X = shift(X) }", 3.1),
        ("if (k > 0) { Y = X * 2 }\nX = Y\nfor (i in 1:3) { X = X - 1 }", 3.1),
    ],
)
def test_dead_matrices_are_let_go(body: str, copies: float) -> None:
    shift = "shift = function(matrix[double] A) return (matrix[double] B) { for (j in 1:2) { A = A + j }\n B = A * 2 }\n"
    assert peak_of(f"{shift}X = matrix(k, 1000, 1000)\n{body}\nprint(sum(X))", k=1.0) <= copies


def test_nothing_stays_alive_after_a_run() -> None:
    import weakref

    _, values, _ = executed("X = matrix(k, 300, 300); Y = X + 1; L = list(Y)", k=1.0)
    alive = weakref.ref(values["Y"])
    del values
    gc.collect()
    assert alive() is None
