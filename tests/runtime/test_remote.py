"""parfor on workers: the same results as in threads, the same errors, and only where it pays."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from dmlite import DMLError, Script, dml, settings
from dmlite.backends.dask import cluster
from dmlite.backends.dask.processes import Processes
from dmlite.config import config
from dmlite.flow import Unit, compile
from dmlite.hop.facts import matrix
from dmlite.hop.machine import Cluster, Machine
from dmlite.hop.node import fresh_tag, literal, live_in, make
from dmlite.hop.program import ForNode
from dmlite.runtime import remote
from dmlite.runtime.remote import RemoteLoop, can_run_remotely
from dmlite.runtime.system import UNSET

X = np.arange(80.0).reshape(20, 4)
SCRIPTS = {
    "rows": "R = matrix(0, 6, 4); parfor (i in 1:6) { R[i,] = colSums(X * i) }",
    "sums": "R = matrix(1, 2, 2); parfor (i in 1:7) { R += matrix(i, 2, 2) }",
    "backwards": "R = matrix(0, 6, 1); parfor (i in 6:2) { if (i != 4) { R[i, 1] = i } }",
    "steps": "R = matrix(0, 9, 1); parfor (i in seq(1, 9, 3)) { R[i, 1] = sum(X) + i }",
    "functions": """f = function(matrix[double] A, double k) return (matrix[double] B) { B = A * k; for (j in 1:3) { B = B + j } }
        R = matrix(0, 6, 4); parfor (i in 1:6) { R[i,] = colSums(f(X, i)) }""",
    "branches": "R = matrix(0, 6, 1); v = 3; parfor (i in 1:6) { if (i > 3) { w = i } else { w = v }; R[i, 1] = w }",
    "seeds": "R = matrix(0, 4, 2); parfor (i in 1:4) { R[i,] = rand(rows=1, cols=2, seed=7) + i }",
    "inner loops": "R = matrix(0, 4, 3); parfor (i in 1:4) { for (j in 1:3) { R[i, j] = i * j + sum(X) } }",
    "two results": "R = matrix(0, 4, 1); S = matrix(0, 1, 1); parfor (i in 1:4) { R[i, 1] = i; S += as.matrix(sum(X) * i) }; R = rbind(R, S)",
    "sparse": "R = matrix(0, 20, 3); parfor (i in 1:3) { R[, i] = rowSums(S * i) }",
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    workers = Processes(Cluster(2, 1 << 30))
    yield workers.address
    cluster.close()
    workers.close()


@pytest.fixture
def runs(monkeypatch) -> list[range]:
    """The indices of the loops that ran on workers."""
    found: list[range] = []
    run = RemoteLoop.run

    def noted(self: RemoteLoop, indices: range, values: Any) -> Any:
        found.append(indices)
        return run(self, indices, values)

    monkeypatch.setattr(RemoteLoop, "run", noted)
    return found


def _script(text: str) -> Script:
    return dml(text).input(X=X, S=sp.random(20, 30, 0.1, "csr", random_state=1)).output("R")


@pytest.mark.parametrize("name", SCRIPTS)
def test_workers_give_what_threads_give(name, address, runs):
    script = _script(SCRIPTS[name])
    expected = script.execute().get("R").toNumPy()
    with settings(exec="dask", cluster=address):
        found = script.execute().get("R").toNumPy()
    assert len(runs) == 1
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "body",
    ['print("x")', "R[i, 1] = as.scalar(rand(rows=1, cols=1))", "R[i, 1] = as.scalar(sample(9, 1))", 'if (i > 9) print("y")'],
)
def test_what_only_this_process_can_do_runs_here(body, address, runs):
    with settings(exec="dask", cluster=address):
        _script(f"R = matrix(0, 3, 1); parfor (i in 1:3) {{ {body} }}").execute()
    assert runs == []


def test_an_error_on_a_worker_is_told_at_its_line(address, runs):
    text = "R = matrix(0, 4, 4)\nparfor (i in 1:4) {\n  R[i,] = X[i * 10,]\n}"
    with settings(exec="dask", cluster=address), pytest.raises(DMLError) as raised:
        _script(text).execute()
    assert len(runs) == 1
    assert raised.value.problems[0].span.line == 3  # type: ignore[union-attr]
    assert "outside" in raised.value.message or "20x4" in raised.value.message


# ---------------------------------------------------------------- where it pays
def _loop(text: str, machine: Machine) -> RemoteLoop:
    unit = compile(Unit(text, inputs={"X": matrix(2000, 2000)}, outputs=["R"], machine=machine))
    assert unit.program is not None
    node = next(n for n in unit.program.main.body if isinstance(n, ForNode))
    assert can_run_remotely(node, unit.program.functions)
    return RemoteLoop(node, unit.program.functions, config(), machine)


def test_heavy_iterations_go_to_more_workers_than_cores():
    large = np.ones((2000, 2000))
    heavy = "R = matrix(0, 100, 1); parfor (i in 1:100) { R[i, 1] = sum((X * i) %*% X) }"
    light = "R = matrix(0, 100, 1); parfor (i in 1:100) { if (i > 50) { R[i, 1] = sum(X[i,]) } }"
    many = Machine(cores=2, cluster=Cluster(20, 8 << 30))
    for text, machine, expected in ((heavy, many, True), (light, many, False), (heavy, replace(many, cluster=Cluster(2, 8 << 30)), False)):
        loop = _loop(text, machine)
        values = {"X": large, "R": np.zeros((100, 1))}
        given = [values.get(n, 1) for n in (*loop.own, *loop.names)]
        assert loop.is_worth_it(range(1, 101), given) == expected
        assert not loop.is_worth_it(range(1, 2), given)


# ---------------------------------------------------------------- nodes on their way
def test_nodes_are_the_same_nodes_after_pickling():
    deep = live_in("x")
    for _ in range(5000):
        deep = make("add", [deep, literal(1)])
    drawn = make("rand", [literal(3)], tag=fresh_tag() + 1000)
    nodes = []
    stack = deep
    while stack.args:
        nodes.append(stack)
        stack = stack.args[0]
    found = pickle.loads(pickle.dumps(([stack, *reversed(nodes)], deep, drawn)))  # noqa: S301 - what was pickled here
    assert found[1] is deep and found[2] is drawn
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET  # noqa: S301
    remote.beyond(drawn.tag)
    assert fresh_tag() > drawn.tag
