"""Scripts nested deeper than Python takes: parts of them become functions of their own."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dmlite import dml
from dmlite.errors import DMLRuntimeError

X = np.full((60, 60), 3.0)  # large enough to be let go of when dead


def nested(depth: int, inner: str, parallel: tuple[int, ...] = ()) -> str:
    """`inner` inside of `depth` blocks: a loop, two branches, a loop, two branches and so on."""
    heads = []
    for i in range(depth):
        if i in parallel:
            heads.append(f"parfor (i{i} in 1:2, check=0) {{\n")
        else:
            heads.append(f"for (i{i} in 1:2) {{\n" if i % 3 == 0 else f"if (sum(X) > {i}) {{\n")
    return "B = X; s = 0; R = matrix(0, 4, 2)\n" + "".join(heads) + inner + "\n" + "}" * depth


STEP = "C = B + s; B = C * 2 - B + i0; s = s + 1; R[i0, 1] = R[i0, 1] + as.scalar(B[1, 1])"


@pytest.mark.parametrize("depth", [6, 13, 24, 27])
def test_variables_live_across_parts(depth):
    b, s, r = X.copy(), 0, np.zeros((4, 2))
    for first, *_ in itertools.product((1, 2), repeat=(depth + 2) // 3):
        c = b + s
        b, s = c * 2 - b + first, s + 1
        r[first - 1, 0] += b[0, 0]
    results = dml(nested(depth, STEP)).input(X=X).output("B", "s", "R").execute()
    assert np.array_equal(results.get("B").toNumPy(), b)
    assert results.get("s") == s
    assert np.array_equal(results.get("R").toNumPy(), r)


@pytest.mark.parametrize("parallel", [(0,), (15,), (0, 12, 18)])
def test_parts_inside_parallel_loops(parallel):
    text = nested(26, "R[i0, i18] = i0 * 10 + i18", parallel)
    results = dml(text).input(X=X).output("R").execute()
    assert results.get("R").toNumPy().ravel().tolist() == [11, 12, 21, 22, 0, 0, 0, 0]


def test_in_a_function():
    body = nested(25, "s = s + i24").replace("R = ", "R0 = ")
    text = f"f = function(matrix[double] X) return (int s) {{\n{body}\n}}\nn = f(X)"
    assert dml(text).input(X=X).execute().get("n") == 3 * 2**8


def test_while_in_while():
    head = "".join(f"w{i} = 0\nwhile (w{i} < n) {{ w{i} = w{i} + 1\n" for i in range(30))
    assert dml("s = 0\n" + head + "s = s + 1\n" + "}" * 30).input(n=1).execute().get("s") == 1


def test_a_chain_of_else_if():
    chain = " else ".join(f"if (x == {i}) {{ y = {i} }}" for i in range(300))
    assert dml(f"x = sum(X)\n{chain} else {{ y = -1 }}").input(X=np.full((2, 1), 60.0)).execute().get("y") == 120


@pytest.mark.parametrize(("inner", "message"), [("Y = X[s + 70, 1]; R = Y", "index .70"), ("R = R + D\nif (s > 9) { D = R }", "'D'")])
def test_errors_point_into_parts(inner, message):
    with pytest.raises(DMLRuntimeError, match=message) as caught:
        dml(nested(25, "Z = 1\n" + inner)).input(X=X).execute()
    span = caught.value.problems[0].span
    assert span is not None and span.line == 28
