"""Explain as text: whole programs, line by line. Times are masked: they follow the cost model."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dmlite import dml, settings

TIME = re.compile(r"(?<![\w.])\d[\d.]*(?:e[+-]\d+)? (?:s|ms|us|ns)\b")
GRADIENT = """X = rand(rows=200, cols=10, seed=1)
w = matrix(1, ncol(X), 1)
for (i in 1:5) {
  g = t(X) %*% (X %*% w) + 0.1 * w
  w = w - 0.01 * g
  if (i == 3) {
    print("half way " + sum(w))
  }
}
"""


def explained(text: str, level: str, **inputs) -> str:
    with settings(disabled_rules=frozenset()):
        script = dml(text)
        for name, value in inputs.items():
            script.input(name, value)
        return masked(str(script.explain(level)))


def masked(text: str) -> str:
    """Times as T, columns two blanks apart, and the column of line numbers as wide as its longest."""
    lines = TIME.sub("T", text).split("\n")
    return "\n".join(line[: len(line) - len(line.lstrip())] + re.sub(r" {2,}", "  ", line.strip()) for line in lines)


def test_hops_of_a_loop():
    assert explained(GRADIENT, "hops").split("\n") == [
        "# <script>: hops, optimization level 2",
        "main() -> (X, w, i, g)",
        "  block 0: lines 1-2",
        "    1  X = rand(rows=200, cols=10, seed=1)  200x10  16.0 KB  T",
        "    2  w = matrix(1, 10, 1)  10x1  80 B  T",
        "  for (i in 1:5)",
        "    block 1: lines 4-6, 5 times",
        "      reads X 200x10, w 10x1, i int",
        "      4  _1 = t(X)  10x200  16.0 KB  T",
        "      4  _2 = X %*% w  200x1  1.6 KB  T",
        "      4  _3 = _1 %*% _2  10x1  80 B  T",
        "      4  _4 = 0.1 * w  10x1  80 B  T",
        "      4  g = _3 + _4  10x1  80 B  T",
        "      5  _5 = 0.01 * g  10x1  80 B  T",
        "      5  w = w - _5  10x1  80 B  T",
        "      6  _6 = i == 3  boolean  T",
        "    if (i == 3)",
        "      block 2: line 7, at most 5 times",
        "        reads w 10x1",
        "        7  _1 = sum(w)  double  T",
        '        7  _2 = "half way " + _1  string  T',
        "        7  print(_2)  T",
        "",
    ]


def test_plan_tells_what_was_rewritten_before_and_after():
    text = explained("Y = X^2\ns = sum(Y)\nz = t(t(X)) + 0", "plan", X=np.ones((30, 40)))
    assert re.search(r"^      Y = X\^2 +\| Y = square\(X\)$", text, re.M)
    assert re.search(r"\[\d\] double_transpose in line 3: a transpose undoes itself", text)
    assert "t(t(X))  ->  X  (T -> 0)" in text
    assert re.search(r"rewritten: \d operators in T and \d+\.\d KB before, \d operators in T and \d+\.\d KB after", text)
    assert re.search(r"^    1  Y = square\(X\)  30x40  9.6 KB  T  numpy  dense operands of known shape", text, re.M)
    assert "where the time goes (estimated" in text


def test_reasons_for_kernels():
    text = explained("A = X %*% X\nB = X * A\nif (sum(B) > 0) { B[1, 1] = 2 }", "plan", X=np.ones((100, 100)))
    assert re.search(r"B = X \* A  100x100  80.0 KB  T  numpy  dense operands of known shape$", text, re.M)
    assert re.search(
        r"B = B with \[1, 1\] = 2 .*indexing.leftindex_inplace  gives dense; writes into the old matrix, unless somebody else holds it",
        text,
    )
    from scipy.sparse import random_array

    text = explained("B = X * 2", "plan", X=random_array((50, 60), density=0.1, format="csr", rng=np.random.default_rng(3)))
    assert re.search(r"B = X \* 2  50x60 10% .*elementwise.mul  gives dense or CSR; an operand may be sparse", text)


def test_unknown_is_shown_as_unknown():
    text = explained('Y = removeEmpty(target=X, margin="rows")\ns = sum(t(Y) %*% Y)', "hops", X=np.ones((5, 4)))
    assert "  ?x4  ?  ?" in text


def test_functions_and_calls():
    text = explained(
        "f = function(matrix[double] A, int n) return (matrix[double] B) {\n"
        "  B = A\n  for (k in 1:n) { B = B %*% A }\n}\n"
        "Y = f(X, 3)\nZ = f(X, 3)\nwhile (sum(Y) < 10) { Y = Y + 1 }",
        "hops",
        X=np.ones((2, 2)),
    )
    assert "  Y = f#0(X, 3)" in text and "  Z = f#0(X, 3)" in text
    assert "  while (sum(Y) < 10)" in text
    assert "function f#0(A, n) -> (B)" in text
    assert re.search(r"^  for \(k in 1:(3|n)\)$", text, re.M)
    assert "B = B %*% A  2x2  32 B  T" in text


def test_same_names_of_inlined_functions_are_told_apart():
    text = explained("f = function(double a) return (double b) { c = a + 1; b = c * 2 }\nc = 5 + y\nz = f(c) + c", "hops", y=2.0)
    body = [line.strip() for line in text.split("\n") if re.match(r" {4}\d", line)]
    assert body[:4] == ["2  c = 5 + y  double  T", "1  c.2 = c + 1  double  T", "1  b = c.2 * 2  double  T", "3  z = b + c  double  T"]


def test_trace_names_rule_place_saving():
    text = explained("s = sum((X - Y)^2)", "trace", X=np.ones((30, 40)), Y=np.ones((30, 40)))
    lines = text.split("\n")
    assert lines[1:5] == [
        "[0] power_two in line 1, block 0 (exact)",
        "    (X - Y)^2",
        "    -> square(X - Y)",
        "    a product is far cheaper than a power (T -> T)",
    ]
    assert "    sum(square(X - Y))" in lines
    assert explained("s = 1 + 2", "trace").split("\n")[1] == "no rule fired"


def test_ast_is_the_script_as_a_tree():
    text = str(dml("x = sum(A[1:2, ]) * -3.5  # note").input("A", np.ones((3, 3))).explain("ast"))
    assert text.split("\n")[1:] == [
        "   1  Script",
        "   1    Assign",
        "   1      Name x",
        "   1      Binary *",
        "   1        Call sum",
        "   1          Arg",
        "   1            Index A comma",
        "   1              Range",
        "   1                Literal 1",
        "   1                Literal 2",
        "   1        Literal -3.5",
        "",
    ]


def test_runtime_is_the_python_that_runs():
    text = explained("Y = X %*% X", "runtime", X=np.ones((3, 3)))
    assert "def block0(x0_X):" in text and "x0_X @ x0_X" in text


def test_levels_and_formats_that_there_are_not():
    script = dml("x = 1")
    with pytest.raises(ValueError, match="level is one of ast, hops, plan, runtime, trace, not 'hop'"):
        script.explain("hop")
    with pytest.raises(ValueError, match="format is one of text, json, dot, mermaid, html, not 'xml'"):
        script.explain(format="xml")
    with pytest.raises(ValueError, match="dot draws the levels ast, hops, plan, not trace"):
        script.explain("trace", "dot")


def test_an_explanation_shows_itself(capsys):
    from rich.console import Console

    explanation = dml("x = 1 + 2").explain("hops")
    Console(width=200).print(explanation)
    assert capsys.readouterr().out.strip() == str(explanation).strip()
    assert repr(explanation) == "<explanation of <script>: hops>"
    assert explanation._repr_html_().startswith('<iframe srcdoc="&lt;!DOCTYPE html&gt;')
