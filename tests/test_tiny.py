"""Every feature once, quickly: if this fails, look here first."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dmlite import DMLError, MLContext, dml

PROGRAMS = {
    "scalars": ("x = 7 %/% 2; print(x + 2 ^ 3 / 4 + ' ' + (x > 2 & !FALSE) + max(1, 2.5))", "5.0 TRUE2.5"),
    "matrices": ("A = matrix('1 2 3 4', 2, 2); print(sum(A %*% t(A)) + ' ' + as.scalar(A[2, 1]))", "52.0 3.0"),
    "printing": ("print(matrix(1.5, 1, 2)); print('%d|%s', 3, 'a')", "1.500 1.500\n\n3|a"),
    "cellwise": ("print(toString(ifelse(seq(1, 3) >= 2, exp(matrix(0, 3, 1)), -1), sep=','))", "-1.000\n1.000\n1.000\n"),
    "aggregates": (
        "A = matrix(seq(1, 6), 2, 3); print(mean(A) + ' ' + sum(colSums(A) * t(rowSums(t(A)))) + ' ' + var(A))",
        "3.5 155.0 3.5",
    ),
    "indexing": ("A = matrix(0, 3, 3); A[2:3, 1] = matrix('7 8', 2, 1); A[1, 3] = 9; print(sum(A[, 1]) + ' ' + sum(A))", "15.0 24.0"),
    "aliases": ("A = matrix(1, 2, 2); B = A; B[1, 1] = 5; print(sum(A) + ' ' + sum(B))", "4.0 8.0"),
    "branches": ("x = 3; if (x > 2) { y = 'big' } else { y = 'small' }; print(y)", "big"),
    "loops": ("s = 0; for (i in 1:4) s = s + i; while (s > 5) { s = s - 4 }; for (j in seq(10, 0, -5)) s = s + j; print(s)", "17"),
    "parfor": ("R = matrix(0, 4, 1); parfor (i in 1:4) { R[i, 1] = i ^ 2 }; print(sum(R))", "30.0"),
    "functions": (
        "f = function(double a, double b = 2) return (double s, double p) { s = a + b; p = a * b }\n[s, p] = f(3); print(s + ' ' + p + ' ' + f(b=1, a=1))",
        "5.0 6.0 2.0",
    ),
    "recursion": ("f = function(int n) return (int r) { if (n < 2) { r = 1 } else { r = n * f(n - 1) } }\nprint(f(10))", "3628800"),
    "lists": ("L = list(a=1, b='two'); L['a'] = 5; L = append(L, 3); print(as.scalar(L['a']) + as.scalar(L[2]) + length(L))", "5two3"),
    "tables": ("print(toString(table(seq(1, 3), matrix('2 1 2', 3, 1)), decimal=0))", "0 1\n1 0\n0 1\n"),
    "ordering": ("A = matrix('3 1 2', 3, 1); print(toString(order(target=A, by=1, index.return=TRUE), decimal=0))", "2\n3\n1\n"),
    "solving": ("A = matrix('4 1 1 3', 2, 2); print(round(sum(A %*% solve(A, matrix(1, 2, 1)))))", "2.0"),
    "random": (
        "A = rand(rows=10, cols=10, seed=1); B = rand(rows=10, cols=10, seed=1); print(sum(A != B) + ' ' + (min(A) >= 0 & max(A) < 1))",
        "0.0 TRUE",
    ),
    "sparse": ("S = rand(rows=100, cols=100, sparsity=0.01, seed=7); print(sum(S != 0) < 300 & sum(S %*% t(S)) > 0)", "TRUE"),
    "probability": ("print(round(pnorm(target=1.96) * 1000))", "975.0"),
    "convolution": (
        "X = matrix(seq(1, 9), 1, 9); Y = conv2d(X, matrix(1, 1, 4), input_shape=[1,1,3,3], filter_shape=[1,1,2,2], stride=[1,1], padding=[0,0]); print(sum(Y))",
        "80.0",
    ),
    "library": ("source('nn/layers/affine.dml') as affine\n[W, b] = affine::init(3, 2); print(nrow(W) + ' ' + ncol(b))", "3 2"),
    "names": (
        "f = function(matrix[double] A) return (matrix[double] B) { B = A * 2 }\nprint(sum(eval('f', matrix(1, 2, 2))) + ' ' + exists('f'))",
        "8.0 FALSE",
    ),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_program(name: str) -> None:
    text, expected = PROGRAMS[name]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        MLContext().execute(dml(text))
    assert out.getvalue() == expected + "\n"


def test_inputs_and_outputs() -> None:
    results = MLContext().execute(dml("Y = X %*% t(X); n = nrow(X) * k").input(X=np.ones((2, 3)), k=2).output("Y", "n"))
    np.testing.assert_array_equal(results.get("Y").toNumPy(), np.full((2, 2), 3.0))
    assert results.get("n") == 4


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    MLContext().execute(dml(f'X = matrix(seq(1, 4), 2, 2); write(X, "{path}", format="csv")'))
    assert json.loads(Path(f"{path}.mtd").read_text())["rows"] == 2
    assert MLContext().execute(dml(f's = sum(read("{path}"))').output("s")).get("s") == 10


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = (1 + ", "1:"),
        ("x = nothing + 1", "'nothing'"),
        ("A = matrix(1, 2, 3); B = A %*% A", "2x3"),
        ("A = matrix(1, 2, 2)\nx = A[3, 1]", ":2:"),
        ('stop("enough")', "enough"),
    ],
)
def test_errors(text: str, words: str) -> None:
    with pytest.raises(DMLError) as caught:
        MLContext().execute(dml(text))
    assert words in str(caught.value)


def test_command_line(tmp_path: Path) -> None:
    script = tmp_path / "a.dml"
    script.write_text("print($n * 2)\n")
    done = subprocess.run(
        [sys.executable, "-m", "dmlite", "run", str(script), "-nvargs", "n=21"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "42\n"
