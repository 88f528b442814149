"""Each construct that scripts of the SystemML 1.x tutorials rely on, in a small script of its own."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dmlite import DMLError, MLContext, dml, jvm_stdout
from tests.support.reference_models import sigmoid
from tests.support.scripts import run

RNG = np.random.default_rng(31)
A = RNG.standard_normal((4, 3))


def printed(script: str, capsys: pytest.CaptureFixture[str], **inputs: object) -> list[str]:
    program = dml(script)
    for name, value in inputs.items():
        program = program.input(name, value)
    MLContext().execute(program)
    return capsys.readouterr().out.split("\n")[:-1]


# --- functions ----------------------------------------------------------------------------------------------------


def test_comments_inside_parameter_lists_and_before_return():
    script = """
f = function (matrix[double] X,
matrix[double] W,
#matrix[double] left_out,
matrix[double] b #) {
)
return (matrix[double] Y,
#double other,
double total
) { Y = X %*% W + b
total = sum(Y) }
g = function(double a, #first
double b) #{
return (double c) {
#the body may begin with a comment
c = a - b
}
[Y, total] = f(X, t(X), matrix(1, rows=1, cols=nrow(X)))
d = g(total, 1)"""
    Y, total, d = run(script, {"X": A}, "Y", "total", "d")
    np.testing.assert_allclose(Y, A @ A.T + 1)
    assert total == pytest.approx(Y.sum()) and d == pytest.approx(total - 1)


def test_input_and_output_of_one_name_leave_the_argument_alone():
    script = "f = function(matrix[double] z) return (matrix[double] z) { z = exp(-z) / (1 + exp(-z)) }\nout = f(X)\nkept = X"
    out, kept = run(script, {"X": A}, "out", "kept")
    np.testing.assert_allclose(out, 1 - sigmoid(A))
    np.testing.assert_array_equal(kept, A)


def test_own_function_hides_the_builtin_and_unused_ones_do_no_harm():
    script = """
    sigmoid = function(matrix[double] z) return (matrix[double] z) { z = 2 * z }
    nrow = function(matrix[double] z) return (double n) { n = -1 }
    unused = function(matrix[double] z) return (matrix[double] z) { z = z / 0 }
    out = sigmoid(X)
    n = nrow(X)"""
    out, n = run(script, {"X": A}, "out", "n")
    np.testing.assert_array_equal(out, 2 * A)
    assert n == -1


def test_a_result_of_several_may_be_overwritten_by_the_next():
    script = """
    f = function(matrix[double] d, matrix[double] W) return (matrix[double] dX, matrix[double] dW) { dX = d %*% t(W); dW = t(d) %*% d }
    [delta, dW1] = f(X, W)
    [delta, dW2] = f(delta, t(W))"""
    W = RNG.standard_normal((2, 3))
    delta, dW1, dW2 = run(script, {"X": A, "W": W}, "delta", "dW1", "dW2")
    np.testing.assert_allclose(delta, A @ W.T @ W)
    np.testing.assert_allclose(dW1, A.T @ A)
    np.testing.assert_allclose(dW2, (A @ W.T).T @ (A @ W.T))


def test_functions_of_the_script_call_imported_ones():
    script = """
source("nn/layers/affine.dml") as affine
source("nn/layers/conv2d_builtin.dml") as conv2d
source("nn/layers/dropout.dml") as dropout
source("nn/layers/sigmoid.dml") as sigmoid
source("nn/optim/sgd_nesterov.dml") as sgd_nesterov
#
net = function(matrix[double] X, matrix[double] W, matrix[double] b) return (matrix[double] Y) { Y = sigmoid::forward(affine::forward(X, W, b)) }
[W, b] = affine::init(3, 2)
Y = net(X, W, b)"""
    W, Y = run(script, {"X": A}, "W", "Y")
    np.testing.assert_allclose(Y, sigmoid(A @ W))


@pytest.mark.parametrize("prefix", ["nn", "scripts/nn"])
def test_both_paths_to_the_library(prefix):
    script = f'source("{prefix}/layers/relu.dml") as relu\nout = relu::forward(X)'
    np.testing.assert_array_equal(run(script, {"X": A}, "out")[0], np.maximum(A, 0))


# --- control flow and printing ------------------------------------------------------------------------------------


def test_while_without_spaces_and_if_without_braces(capsys):
    script = """
iter = 0
loss = 2.5
while( iter < 5 ){
if(iter %% 2 == 0) print("iter=" + iter + " loss=" + loss)
loss = loss / 10
iter = iter + 1
}"""
    assert printed(script, capsys) == ["iter=0 loss=2.5", "iter=2 loss=0.025", "iter=4 loss=2.5E-4"]


@pytest.mark.parametrize(("push", "shape"), [(False, (2, 2)), (True, (5, 1))])
def test_a_branch_on_an_input_may_change_the_shape(push, shape):
    script = "W = matrix(0, rows=2, cols=2)\nif (pushWeights) {\nW = Wpush\n}\nn = sum(W)"
    W, n = run(script, {"pushWeights": push, "Wpush": np.ones((5, 1))}, "W", "n")
    assert W.shape == shape and n == (5 if push else 0)


def test_the_branch_not_taken_may_hold_what_does_not_fit():
    script = "W = matrix(1, rows=3, cols=2)\nif (pushWeights) {\nW = Wpush\n}\nout = X %*% W"
    np.testing.assert_allclose(run(script, {"X": A, "pushWeights": False, "Wpush": np.zeros((1, 1))}, "out")[0], A @ np.ones((3, 2)))
    with pytest.raises(DMLError, match=r"4x3.*1x1|3.*1"):
        run(script, {"X": A, "pushWeights": True, "Wpush": np.zeros((1, 1))}, "out")


# --- expressions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("1/(1+exp(-X))", sigmoid(A)),
        ("-(Y-X) * Y", (A - 2) * 2),
        ("-X^2", -(A**2)),
        ("(X - colSums(X)/4)/(colSums(X^2) + 1e-17)", (A - A.sum(0) / 4) / (A**2).sum(0)),
        ("X + t(matrix(seq(1, 3, 1), rows=3, cols=1))", A + np.arange(1, 4)),
        ("sqrt(colSums(X^2))", np.sqrt((A**2).sum(0, keepdims=True))),
        ("X %*% t(X) * 2", A @ A.T * 2),
    ],
)
def test_expression(expression, expected):
    np.testing.assert_allclose(run(f"out = {expression}", {"X": A, "Y": np.full((4, 3), 2.0)}, "out")[0], expected)


def test_variance_by_columns_beside_the_mean_it_shares():
    """A rewrite that turns one use of colSums(X)/n into column means must not reach the other."""
    script = """
    n = nrow(X)
    m = colSums(X)/n
    a = colSums(X^2)/n
    c = colSums(X^2)/n - m*m
    s = sqrt((colSums(X^2)/n - m*m)*n/(n-1)) + 1e-17"""
    m, a, c, s = run(script, {"X": A}, "m", "a", "c", "s")
    np.testing.assert_allclose(m[0], A.mean(0))
    np.testing.assert_allclose(a[0], (A**2).mean(0))
    np.testing.assert_allclose(c[0], A.var(0))
    np.testing.assert_allclose(s[0], A.std(0, ddof=1))


# --- sizes, windows, indexing -------------------------------------------------------------------------------------


def test_a_size_that_is_a_quotient():
    script = """
    source("nn/layers/lstm.dml") as lstm
    N = nrow(X) / 2
    column = seq(0, N-1, 1)
    Z = matrix(1, rows=N, cols=N)
    [W, b, out0, c0] = lstm::init(N, 1, N)"""
    N, column, Z, W, out0 = run(script, {"X": A}, "N", "column", "Z", "W", "out0")
    assert N == 2 and isinstance(N, float)
    assert column.tolist() == [[0], [1]] and Z.shape == (2, 2) and W.shape == (3, 8) and out0.shape == (2, 2)


def test_windows_by_outer_table_and_reshape():
    script = """
in_TS = 4 #steps in
out_TS = 2
N = nrow(X) / (in_TS + out_TS)
idx_mat = outer(seq(0,N-1,1), t(seq(0,in_TS+out_TS-1,1)), "+") + 1
idx_col = matrix(idx_mat, rows=nrow(idx_mat)*ncol(idx_mat), cols=1)
picked = table(seq(1, nrow(idx_col), 1), idx_col, nrow(idx_col), nrow(idx_col)) %*% X
X = matrix(picked, rows=nrow(idx_mat), cols=ncol(idx_mat))
#print(toString(X))
Y = X[,in_TS+1:in_TS+out_TS]
X = X[,1:in_TS]"""
    series = RNG.standard_normal((18, 1))
    X, Y = run(script, {"X": series}, "X", "Y")
    expected = np.lib.stride_tricks.sliding_window_view(series[:, 0], 6)[:3]
    np.testing.assert_array_equal(np.hstack([X, Y]), expected)


# --- the Python side ----------------------------------------------------------------------------------------------


def test_results_go_back_in_as_inputs():
    ml = MLContext()
    program = dml("W = Wpush + 1\nV = t(W)").input("Wpush", A)
    first = ml.execute(program).get("W")
    second, transposed = ml.execute(dml("W = Wpush + 1\nV = t(W)").input(Wpush=first)).get("W", "V")
    np.testing.assert_array_equal(second.toNumPy(), A + 1 + 1)
    np.testing.assert_array_equal(transposed.toNumPy(), (A + 1 + 1).T)


def test_every_variable_can_be_had_without_naming_outputs():
    results = MLContext().execute(dml("a = 3\nb = 2.5\nc = a > b\nd = 'x' + a\nX = X * 2\nunused = X + 1").input(X=A))
    assert results.get("a", "b", "c", "d") == [3, 2.5, True, "x3"]
    np.testing.assert_array_equal(results.get("X").toNumPy(), 2 * A)
    np.testing.assert_array_equal(results.get("unused").toNumPy(), 2 * A + 1)


def test_a_complex_input_counts_with_its_real_part():
    with pytest.warns(UserWarning, match="imaginary"):
        out = run("out = X * 2", {"X": A + 1j}, "out")[0]
    np.testing.assert_array_equal(out, 2 * A)


def test_a_vector_is_a_column_and_output_shows_inside_the_manager(capsys):
    with jvm_stdout(True), jvm_stdout():
        MLContext(None).execute(dml('print(nrow(x) + "x" + ncol(x))').input(x=A[:, 0]))
    assert re.fullmatch(r"4x1\n", capsys.readouterr().out)
