"""What plans need at a time, and programs that are refused because it is not there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import random_array

from dmlite import MLContext, dml
from dmlite.codegen.templates import UFUNC
from dmlite.config import settings
from dmlite.errors import DMLError, DMLRuntimeError
from dmlite.flow import Unit, compile
from dmlite.hop.facts import Fact, matrix
from dmlite.hop.machine import Machine
from dmlite.plan.memory import peak_of
from dmlite.plan.physical import IN_PLACE
from dmlite.tools.cli import main
from tests.support.commands import script

MB = 1_000_000


def unit(text: str, budget: int, level: int = 2, **inputs: Fact) -> Unit:
    with settings(opt_level=level, memory=budget):
        return Unit(text, inputs=inputs, outputs=list("Z"), machine=Machine(budget=budget))


def fits(text: str, budget: int, level: int = 2, **inputs: Fact) -> bool:
    try:
        compile(unit(text, budget, level, **inputs))
    except DMLRuntimeError as error:
        assert "that a program may take here" in error.message and error.problems[0].hint and error.problems[0].span
        return False
    return True


def peak(text: str, level: int = 2, **inputs: Fact) -> int | None:
    made = compile(unit(text, 1 << 50, level, **inputs))
    assert made.engine is not None and made.program is not None
    (block,) = made.program.main.body
    return peak_of(made.engine.preview(block).plan)


# ---------------------------------------------------------------- how much at a time
X = matrix(1000, 100, dense=True)  # 0.8 MB


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("Z = t(X)", 0.8),  # a view
        ("Z = exp(X)", 1.6),
        ("Z = exp(X) + 1", 1.6),  # in the buffer of the first
        ("Z = cumsum(X %*% t(X))", 0.8 + 8.0 + 8.0),
        ("Z = sum(cumsum(X)) + sum(cumprod(X))", 1.6),  # one after the other
        ("[W, V] = eigen(t(X) %*% X); Z = V", 0.8 + 0.08 + 0.0808 + 0.48),
    ],
)
def test_peak(text, needed):
    assert peak(text, X=X) == pytest.approx(needed * MB, rel=0.1)


def test_those_that_write_into_operands():
    assert frozenset(UFUNC) == IN_PLACE


def test_an_unknown_size_is_told():
    assert peak("Z = X %*% Y", X=X, Y=matrix()) is None


def test_values_inside_of_a_region_exist_in_blocks():
    large = matrix(1_000_000, 100, dense=True)
    apart, together = (peak("Z = sum(exp(X) * log(X) + sqrt(X))", level, X=large) for level in (0, 2))
    assert apart is not None and together is not None
    assert apart >= 2 * 800 * MB and 800 * MB < together < 900 * MB


# ---------------------------------------------------------------- refused before anything runs
def test_the_error_tells_operator_line_and_bytes():
    with pytest.raises(DMLRuntimeError) as caught:
        compile(unit("n = 1000\nY = rand(rows=100 * n, cols=n)\nZ = Y %*% t(Y)\n", 1 << 30, level=0))
    shown = str(caught.value)
    assert shown.startswith("<script>:3:5: error: '%*%' needs 80.8 GB (result 80.0 GB), more than the 1.1 GB that a program may take here")
    assert "Z = Y %*% t(Y)\n        ^~~~~~~~~~\n  hint: use fewer rows or columns" in shown


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("Z = rand(rows=1000, cols=1000)", 8),
        ("Z = matrix(1, 1000, 1000)", 8),
        ("Y = matrix(1, 1000, 1000); Z = exp(Y)\nZ = Z + Y[1, 1]", 16),
        ("for (i in 1:3) { Z = rand(rows=1000, cols=1000) }", 8),
        ("A = rand(rows=1000, cols=1000, seed=1)\nwhile (FALSE | as.scalar(A[1, 1]) > 2) { A = A + 1 }\nZ = rand(rows=1000, cols=1000)\nZ = Z * sum(A)", 16),
    ],
)  # fmt: skip
def test_at_the_edge(text, needed):
    assert not fits(text, int(0.95 * needed * MB))
    assert fits(text, int(1.5 * needed * MB))


@pytest.mark.parametrize(
    "text",
    [
        "Y = rand(rows=100000, cols=10)\nZ = sum(Y %*% t(Y))",  # never made
        "Y = rand(rows=100000, cols=100000, sparsity=0.00001)\nZ = Y * 2",
        "Y = rand(rows=100000, cols=100000, sparsity=0.00001)\nZ = Y %*% Y",  # may be full, for all that is known
        "Z = matrix(1, 1, 1)\nif (sum(rand(rows=2, cols=2)) > 9) { Z = rand(rows=100000, cols=100000) }",  # need not run
        "f = function(double a) return (matrix[double] B) { B = rand(rows=100000, cols=100000) }\nZ = matrix(1, 1, 1)\nif (sum(rand(rows=2, cols=2)) > 9) { Z = f(1) }",
        "Z = diag(matrix(1, 100000, 1))",
        "Z = table(seq(1, 100000), seq(1, 100000))",
        "Z = matrix(0, 100000, 100000)",
    ],
)
def test_what_may_fit_is_not_refused(text):
    assert fits(text, 100 * MB)


def test_a_matrix_of_unknown_density_is_not_refused():
    assert fits("Z = X * 2", 100 * MB, X=matrix(100_000, 100_000))
    assert not fits("Z = X * 2", 100 * MB, X=matrix(100_000, 100_000, dense=True))


def test_check_reports_and_explain_shows(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    script("X = rand(rows=4000, cols=1000)\nprint(sum(exp(X)) + sum(cumsum(X)))\n")
    assert main(["check", "x.dml", "--memory", "10MB", "--exec", "local"]) == 1
    assert "'rand' needs 32.0 MB (result 32.0 MB), more than the 10.0 MB" in capsys.readouterr().err
    assert main(["run", "x.dml", "--memory=10MB", "--exec", "local"]) == 1
    assert main(["run", "x.dml", "--memory", "1GB"]) == 0
    capsys.readouterr()
    assert main(["explain", "x.dml", "--memory", "10MB", "--exec", "local"]) == 0
    shown = capsys.readouterr().out
    assert "forecast: " in shown and " at a time (block 0): more than the 10.0 MB it may take\n" in shown
    assert main(["explain", "x.dml", "--memory", "10MB"]) == 0
    shown = capsys.readouterr().out
    assert "dask: 32.0 MB > budget 10.0 MB" in shown and " moved to workers and back\n" in shown
    assert main(["explain", "x.dml", "--memory", "10GB"]) == 0
    assert " at a time (block 0) of the 10.0 GB it may take\n" in capsys.readouterr().out
    assert main(["run", "x.dml", "--memory", "much"]) == 2
    assert "--memory takes an amount such as 8GB" in capsys.readouterr().err


# ---------------------------------------------------------------- refused when sizes become known
def run(text: str, memory: int | None, **inputs):
    with settings(memory=memory, exec="local"):
        return MLContext().execute(dml(text).input(**inputs).output("Z")).get("Z")


def test_unknown_sizes_are_checked_when_they_are_known():
    text = 'n = as.integer(as.scalar(rand(rows=1, cols=1, seed=1)) * 0) + 3000\nif (n > 5) { print("before") }\nZ = sum(rand(rows=n, cols=n) %*% rand(rows=n, cols=n))'
    with pytest.raises(DMLError, match="that a program may take here"):
        run(f"{text} + sum(exp(matrix(1, n, n)))", 50 * MB)


def test_inputs_count_where_a_limit_was_set():
    values = np.ones((2000, 1000))
    with pytest.raises(DMLError, match=r"'cumsum' needs 32.* MB \(workspace 16.0 MB, result 16.0 MB\)"):
        run("Z = cumsum(X)", 20 * MB, X=values)
    assert run("Z = sum(X)", 20 * MB, X=values) == 2e6


def test_without_a_limit_a_share_of_what_is_free_counts(monkeypatch):
    from dmlite import memory

    monkeypatch.setattr(memory, "free_bytes", lambda: 100 * MB)
    values = np.ones((20_000, 1000))  # 160 MB that are taken already
    assert run("Z = sum(X)", None, X=values) == 2e7
    assert run("Z = sum(X[1:5000,] + 1)", None, X=values) == 1e7
    with pytest.raises(DMLError, match=r"'cumsum' needs 320.* MB"):
        run("Z = cumsum(X)", None, X=values)


def test_sparse_inputs_are_small():
    values = random_array((20_000, 20_000), density=1e-5, format="csr", rng=np.random.default_rng(1))
    assert run("Z = sum(X * 2)", 20 * MB, X=values) == pytest.approx(2 * values.sum())
