"""parfor: what is merged, what is local, and that workers do not disturb each other."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from dmlite.errors import DMLError, DMLRuntimeError
from dmlite.runtime import parfor as module
from dmlite.runtime.parfor import parfor
from dmlite.values import DMLList
from tests.support.engine import executed

WORKERS = (1, 2, 5)


def result(text: str, name: str = "R", **inputs: Any) -> Any:
    return executed(text, 0, **inputs)[1][name]


@pytest.fixture(params=WORKERS)
def par(request: pytest.FixtureRequest) -> str:
    return f"par={request.param}"


# ---------------------------------------------------------------- results
def test_rows_of_all_iterations_are_merged(par: str) -> None:
    R = result(f"R = matrix(0, 7, 3)\nparfor (i in 1:7, {par}) {{ R[i,] = matrix(i * k, 1, 3) }}", k=2)
    np.testing.assert_array_equal(R, np.arange(1, 8)[:, None] * 2.0 * np.ones((1, 3)))


def test_cells_nobody_writes_keep_their_value(par: str) -> None:
    R = result(f"R = matrix(k, 5, 1)\nparfor (i in 2:4, {par}) {{ R[i,1] = i }}", k=7)
    assert R.ravel().tolist() == [7, 2, 3, 4, 7]


def test_an_iteration_sees_its_own_rows_from_before(par: str) -> None:
    R = result(f"R = matrix(seq(1, 6), 6, 1) * k\nparfor (i in 1:6, {par}) {{ R[i,] = R[i,] * 10 + i }}", k=1)
    assert R.ravel().tolist() == [11, 22, 33, 44, 55, 66]


def test_several_results(par: str) -> None:
    text = f"R = matrix(0, 4, 1); Q = matrix(1, 1, 4)\nparfor (i in 1:4, {par}) {{ R[i,1] = i; Q[1,i] = -i * k }}"
    _, values, _ = executed(text, 0, k=1)
    assert values["R"].ravel().tolist() == [1, 2, 3, 4]
    assert values["Q"].ravel().tolist() == [-1, -2, -3, -4]


def test_nan_and_infinity_are_values_like_any_other(par: str) -> None:
    R = result(f"R = matrix(0 / k, 4, 1)\nparfor (i in 1:3, {par}) {{ if (i == 2) {{ R[i,1] = 5 }} else {{ R[i,1] = 1 / k }} }}", k=0.0)
    assert np.isinf(R[0, 0]) and R[1, 0] == 5 and np.isinf(R[2, 0]) and np.isnan(R[3, 0])


def test_sparse_results(par: str) -> None:
    from scipy.sparse import csr_array

    R = result(f"R = S\nparfor (i in 1:30, {par}) {{ R[i, i] = i }}\nR = R + 0", S=csr_array((30, 200)))
    assert np.asarray(R.sum(axis=0) if isinstance(R, np.ndarray) else R.toarray().sum(axis=0))[:30].tolist() == list(range(1, 31))


def test_list_elements_are_merged(par: str) -> None:
    L = result(f"L = list(0, 0, matrix(0, 1, 1))\nparfor (i in 1:2, {par}, check=0) {{ L[i] = i * k }}", "L", k=3)
    assert L.items[:2] == (3, 6)


# ---------------------------------------------------------------- sums
def test_accumulated_matrices_are_summed(par: str) -> None:
    R = result(f"R = matrix(k, 2, 2)\nparfor (i in 1:10, {par}) {{ R += matrix(i, 2, 2) }}", k=0.5)
    assert (R == 55.5).all()


def test_sums_are_not_lost_beside_large_values(par: str) -> None:
    R = result(f"R = matrix(k, 1, 1)\nparfor (i in 1:4, {par}) {{ R += 1024 }}", k=1e18)
    assert R.item() == 1e18 + 4096


def test_accumulated_sparse_matrices(par: str) -> None:
    from scipy.sparse import csr_array

    R = result(f"R = S\nparfor (i in 1:3, {par}) {{ R += S }}", S=csr_array(np.eye(40)))
    assert R.sum() == 160


# ---------------------------------------------------------------- what is private
def test_scalars_keep_the_value_from_before(par: str) -> None:
    text = f"s = k; R = matrix(0, 3, 1)\nparfor (i in 1:3, {par}, check=0) {{ R[i,1] = s; s = s + i }}"
    _, values, _ = executed(text, 0, k=10)
    assert values["s"] == 10
    assert values["R"].ravel().tolist() == [10, 10, 10]


def test_locals_start_unset_in_every_iteration(par: str) -> None:
    text = f"R = matrix(0, 4, 1)\nparfor (i in 1:4, {par}) {{ if (i == k) {{ x = i }}\n if (exists(x)) {{ R[i,1] = 1 }} }}"
    assert result(text, k=1).ravel().tolist() == [1, 0, 0, 0]


def test_the_loop_variable_has_its_last_value_afterwards(par: str) -> None:
    assert result(f"R = matrix(0, 3, 1)\nparfor (i in 1:3, {par}) {{ R[i,1] = k }}", "i", k=1) == 3


def test_a_loop_without_iterations_changes_nothing(par: str) -> None:
    _, values, _ = executed(f"R = matrix(k, 3, 1)\nparfor (i in seq(1, 0, 1), {par}) {{ R[i,1] = 5 }}", 0, k=1)
    assert values["R"].ravel().tolist() == [1, 1, 1]
    assert "i" not in values


def test_workers_never_write_into_the_matrix_of_the_caller(par: str) -> None:
    X = np.zeros((50, 2))
    executed(f"R = X\nparfor (i in 1:50, {par}) {{ R[i,] = matrix(i, 1, 2) }}", 0, X=X)
    assert (X == 0).all()


def test_functions_and_nested_loops_in_the_body(par: str) -> None:
    text = (
        "f = function(int n) return (double s) { s = 0\n for (j in 1:n) { s = s + j } }\n"
        f"R = matrix(0, 5, 2)\nparfor (i in 1:5, {par}) {{ parfor (j in 1:2) {{ R[i,j] = f(i) * j * k }} }}"
    )
    assert result(text, k=1).tolist() == [[s, 2 * s] for s in (1, 3, 6, 10, 15)]


def test_strided_and_descending_ranges(par: str) -> None:
    assert result(f"R = matrix(0, 7, 1)\nparfor (i in seq(1, 7, 3), {par}) {{ R[i,1] = i * k }}", k=1).ravel().tolist() == [
        1,
        0,
        0,
        4,
        0,
        0,
        7,
    ]
    assert result(f"R = matrix(0, 3, 1)\nparfor (i in 3:1, {par}) {{ R[i,1] = i * k }}", k=1).ravel().tolist() == [1, 2, 3]


# ---------------------------------------------------------------- threads
def test_iterations_run_in_several_threads() -> None:
    barrier = threading.Barrier(3, timeout=10)
    threads = set()

    def body(part: range, box: list[tuple[Any, ...]]) -> tuple[Any, ...]:
        threads.add(threading.get_ident())
        barrier.wait()
        return box.pop()

    parfor(body, range(3), (np.zeros((1, 1)),), 1, 0, 3)
    assert len(threads) == 3


def test_every_index_goes_to_exactly_one_worker() -> None:
    seen: list[int] = []
    lock = threading.Lock()

    def body(part: range, box: list[tuple[Any, ...]]) -> tuple[Any, ...]:
        with lock:
            seen.extend(part)
        return box.pop()

    parfor(body, range(1, 24), (np.zeros((1, 1)),), 1, 0, 4)
    assert sorted(seen) == list(range(1, 24))


@pytest.mark.parametrize(
    ("wanted", "given"),
    [(3, 3), (2.9, 2), (10**9, module.MAX_WORKERS), (0, None), (-4, None), (float("nan"), None), ("many", None), (None, None)],
)
def test_the_number_of_workers_is_always_reasonable(wanted: Any, given: int | None) -> None:
    import os

    assert module._workers(wanted) == (given or os.cpu_count())


def test_numpy_is_silent_in_the_threads() -> None:
    with np.errstate(all="raise"):
        assert np.isinf(
            result("R = matrix(0, 4, 1)\nparfor (i in 1:4, par=2) { R[i,1] = as.scalar(matrix(1, 1, 1) / matrix(k, 1, 1)) }", k=0.0)
        ).all()


def test_an_error_in_one_iteration_is_the_error_of_the_loop() -> None:
    with pytest.raises(DMLRuntimeError, match="9") as caught:
        executed(
            "R = matrix(0, 4, 1); A = matrix(k, 4, 4)\nparfor (i in 1:4, par=2) {\n  j = i * 3\n  R[i,1] = as.scalar(A[j, 1])\n}", 0, k=1
        )
    assert caught.value.problems[0].span is not None
    assert caught.value.problems[0].span.line == 4


@pytest.mark.parametrize("body", ["R = matrix(i, 3, 3)", "R = cbind(R, R)"])
def test_results_that_change_their_shape_are_refused(body: str) -> None:
    with pytest.raises(DMLRuntimeError, match="became"):
        executed(f"R = matrix(k, 2, 2)\nparfor (i in 1:4, par=2, check=0) {{ {body} }}\nprint(sum(R))", 0, k=1)


@pytest.mark.parametrize("body", ["s = i", "R[1,1] = i", "s = s + sum(R)", "R[i,1] = as.scalar(R[i + 1, 1])", 'stop("no")'])
def test_dependent_iterations_are_refused(body: str) -> None:
    with pytest.raises(DMLError):
        executed(f"s = k; R = matrix(k, 5, 1)\nparfor (i in 1:4) {{ {body} }}", 0, k=1)


# ---------------------------------------------------------------- merging by itself
def test_merging_takes_what_changed() -> None:
    before = np.array([[1.0, np.nan], [3.0, 4.0]])
    one, two = before.copy(), before.copy()
    one[0, 0] = np.nan
    two[0, 1] = 7.0
    np.testing.assert_array_equal(module._merge_changes(before, [one, two]), [[np.nan, 7.0], [3.0, 4.0]])


def test_merging_lists_takes_what_changed() -> None:
    a, b, c = object(), object(), object()
    merged = module._merge_changes(DMLList((a, b)), [DMLList((a, c)), DMLList((a, b))])
    assert merged.items == (a, c)
