"""What a run took, beside what was estimated."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import random_array

from dmlite import dml
from dmlite.explain.accuracy import all_errors, heaviest, q_error
from dmlite.runtime.stats import Measured, PeakMemory

RNG = np.random.default_rng(11)


def operators(record):
    return [o for b in record.blocks for o in b.plan.operators if o.kind == "operator"]


def test_calls_sizes_and_nonzeros_of_dense_and_sparse():
    S = random_array((300, 200), density=0.05, format="csr", rng=RNG)
    script = dml("A = S * 3\nB = A %*% X\nfor (i in 1:4) { B = abs(B) + 1 }").input(S=S, X=np.ones((200, 7)))
    record = script.explain(analyze=True).record
    found = {o.text: o.actual for o in operators(record)}
    scaled = found["S * 3"]
    assert (scaled.calls, scaled.rows, scaled.cols, scaled.nnz, scaled.storage) == (1, 300, 200, S.nnz, "CSR")
    assert scaled.bytes == S.nnz * 12 + 4 * 301 or scaled.bytes == S.nnz * 16 + 8 * 301
    product = found["A %*% X"]
    assert (product.rows, product.cols, product.storage, product.bytes) == (300, 7, "dense", 300 * 7 * 8)
    assert product.nnz == np.count_nonzero(S @ np.ones((200, 7)))
    assert {found[t].calls for t in found if "abs" in t or "+ 1" in t} == {4}


def test_estimates_of_known_inputs_are_good():
    S = random_array((500, 400), density=0.02, format="csr", rng=RNG)
    script = dml("A = S * 3\nB = t(A)\nC = A + A\nd = rowSums(C)\nE = X %*% t(X)").input(S=S, X=RNG.normal(size=(50, 6)))
    errors = all_errors(script.explain(analyze=True).record)
    assert len(errors) >= 8
    assert sum(error <= 2 for error, *_ in errors) >= 0.95 * len(errors)


def test_q_error():
    assert q_error(100, 100) == 1 and q_error(10, 100) == q_error(100, 10) == 10
    assert q_error(0, 0) == 1 and q_error(0, 5) == 5


def test_the_heaviest_comes_first_and_the_rest_is_told():
    text = dml("A = X %*% X\nb = 1 + 1\nz = sum(A)").input("X", RNG.normal(size=(400, 400))).explain(analyze=True)
    seconds, _, operator = heaviest(text.record, 3)[0]
    assert operator.text == "X %*% X" and seconds == operator.actual.seconds
    shown = str(text)
    assert "# ran in " in shown and "where the time goes (measured)" in shown and "within a factor of 2" in shown


def test_blocks_that_did_not_run_and_those_with_many_plans():
    record = (
        dml("if (a > 5) { b = X + 1 }\nc = 0\nfor (i in 1:3) { c = c + sum(matrix(1, i, i) %*% matrix(2, i, 1)) }")
        .input(a=1.0, X=np.ones((3, 3)))
        .explain(analyze=True)
    )
    text = str(record)
    assert "not run" in text
    plans = [b.plans for b in record.record.blocks]
    assert 0 in plans and max(plans) >= 1


def test_errors_of_the_script_are_raised():
    from dmlite import DMLError

    with pytest.raises(DMLError, match="stop here"):
        dml('stop("stop here")').explain(analyze=True)


def grown(numbers: int) -> int:
    """By how much making so many numbers lets memory grow; the best of three, as the system may take away idle pages meanwhile."""
    found = []
    for _ in range(3):
        with PeakMemory() as memory:
            np.ones(numbers)
        found.append(memory.bytes)
    return max(found)


def test_peak_memory_is_that_of_the_block_alone():
    assert grown(8_000_000) > 56_000_000  # 64 MB: always fresh pages, never memory that the allocator kept
    assert grown(1000) < 8_000_000


def test_a_measurement_of_what_is_no_matrix():
    step = Measured()
    step.look_at("text")
    assert step == Measured()


def test_peak_of_a_fused_plan_is_below_the_dense_product():
    """(W / (U %*% t(V))) %*% V visits the non-zeros of W only, if it is fused."""
    W = random_array((2000, 1500), density=0.01, format="csr", rng=RNG)
    U, V = RNG.uniform(0.1, 1, (2000, 5)), RNG.uniform(0.1, 1, (1500, 5))
    script = dml("G = (W / (U %*% t(V))) %*% V").input(W=W, U=U, V=V).output("G")
    explanation = script.explain(analyze=True)
    if any(o.op == "matmul" for o in operators(explanation.record)):
        pytest.skip("the weighted division is not fused here")
    assert explanation.record.run.peak < 2000 * 1500 * 8
