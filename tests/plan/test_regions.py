"""Regions: which operators run in one pass over large arrays, and that they give what they give one after another."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from dmlite import MLContext, dml, settings
from dmlite.backends.local import registry
from dmlite.errors import DMLRuntimeError
from dmlite.flow import Unit, compile
from dmlite.hop.facts import matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.node import postorder
from dmlite.plan.regions import Region, Regions, contracted

N, M = 20_000, 50
FACTS = {
    **{name: matrix(N, M, dense=True) for name in "XYZ"},
    **{name: matrix(N, 1, dense=True) for name in "uw"},
    "r": matrix(1, M, dense=True), "v": matrix(M, 1, dense=True), "B": matrix(M, M, dense=True), "V": matrix(M, 8, dense=True),
    "S": matrix(N, M, 500), "a": scalar("double"),
}  # fmt: skip


def regions_of(script: str) -> tuple[list[list[str]], list]:
    """The operators of each region, and the units of the block in their order."""
    unit = compile(Unit(script, inputs=FACTS), until="hops")
    assert unit.program is not None
    ((_, block),) = unit.program.blocks()
    facts = FactTable(block.facts_in)
    roots = [r.hop for r in block.roots]
    order = list(postorder(roots))
    found = Regions(order, roots, facts).find()
    return [[h.op for h in r.hops] for r in found], list(contracted(order, found, facts))


@pytest.mark.parametrize(
    ("script", "members"),
    [
        ("A = exp(X * Y) + w", [["mul", "exp", "add"]]),
        ("s = sum(abs(X) * r)", [["abs", "mul", "sum"]]),
        ("s = sum(X); q = max(X); c = colSums(X)", [["sum", "max_agg", "colSums"]]),
        ("P = exp(X - rowMaxs(X)); P = P / rowSums(P)", [["rowMaxs", "sub", "exp", "rowSums", "div"]]),
        ("g = t(X) %*% (w * exp(X %*% v))", [["matmul", "exp", "mul", "matmul"]]),
        ("q = X %*% v; g = t(X) %*% q; s = sum(q)", [["matmul", "matmul", "sum"]]),
        ("Q = X %*% V; R = abs(Q)", [["matmul", "abs"]]),  # Q is written in any case, but read while it is in cache
        ("A = X * a", []),  # one pass anyway
        ("A = exp(X)", [["exp"]]),  # one pass too, but the cores share the work
        ("A = abs(X / max(X))", [["div", "abs"]]),  # the largest cell is needed before the first one is divided
        ("A = abs(X) / max(abs(X))", [["abs", "max_agg"]]),
        ("A = (X - colSums(X)) * 2", [["sub", "mul"]]),
        ("A = abs(X %*% B)", []),  # a wide product is for BLAS
        ("A = exp(S * 2)", []),  # sparse
        ("A = abs(v * 2) + 1", []),  # small
        ("t1 = abs(X) * Y; X[1, 1] = 3; A = t1 + X", [["abs", "mul"]]),
        ("A = exp(abs(X)); b = X %*% rowSums(t(A) %*% w)", [["abs", "exp", "matmul"]]),
    ],
)
def test_members(script, members):
    assert regions_of(script)[0] == members


def test_a_region_runs_behind_what_it_needs_and_before_what_needs_it():
    _, units = regions_of("s = sum(abs(X) * Y); B2 = exp(Z / s) * s; q = sum(B2); A = abs(Y) * q")
    seen: set = set()
    for unit in units:
        members = unit.hops if isinstance(unit, Region) else [unit]
        for hop in members:
            assert all(a in seen or a in members or a.op == "literal" for a in hop.args)
        seen.update(members)
    assert len(seen) == len(set(units) - {u for u in units if isinstance(u, Region)}) + sum(
        len(u.hops) for u in units if isinstance(u, Region)
    )


# ---------------------------------------------------------------- numbers
SCRIPTS = {
    "chain": "A = tanh(X * Y + X * 0.5) * w + r",
    "aggregates": "A = sum(X * Y); b = min(X); c = colSums(abs(X)); d = colMaxs(X * w); e = sum((X - Y)^2)",
    "softmax": "A = exp(X - rowMaxs(X)); A = A / rowSums(A); b = rowIndexMax(X * Y)",
    "gradient": "A = t(X) %*% (w * (1 / (1 + exp(-(X %*% v))))); b = X %*% v",
    "chain of products": "A = t(X) %*% (X %*% v); b = t(X) %*% ((X %*% v) - w); c = t(X) %*% (w * (X %*% v))",
    "used twice": "Q = X %*% V; A = t(X) %*% (Q - rowSums(Q)); b = colSums(Q); C = Q * 2",
    "normalised": "A = X / max(X); b = (X - colMeans(X)) / colSds(X)",
    "comparisons": "A = (X > Y) * X + ifelse(X < 0, w, Y); b = sum(X != Y)",
    "overwritten": "X = abs(X) * 2 + Y; for (i in 1:3) { X = exp(X / 100) - Y; X = X * w }; A = X",
    "left indexing": "A = abs(X) * Y; X[2, 3] = 100; b = A + X * 2",
    "own transpose": "A = t(X) %*% X[, 1:2]; b = t(abs(X) * 2) %*% w",
    "transposed after another use": "Q = abs(X) * 2; R = exp(Q / 10); A = t(Q) %*% (R %*% v); b = sum(A)",
    "transposed outside too": "Q = abs(X) + 1; A = t(Q) %*% (Y %*% v); b = t(Q) %*% Q[, 1:2]; c = t(Q) * 2",
    "only transposed": "A = t(Y) %*% (X %*% v)",
    "square": "Q = X[1:50,]; A = abs(Q %*% Q) + Q * 2",
}


def values(rows: int, nan: bool) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(7)
    shapes = {"X": (rows, M), "Y": (rows, M), "w": (rows, 1), "r": (1, M), "v": (M, 1), "V": (M, 8)}
    found = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    if nan:
        found["X"][3, 5], found["X"][17, 0], found["Y"][4, 4] = np.nan, np.inf, -np.inf
    return found


def results(script: str, inputs: dict, **limits: int) -> dict:
    """Of a script that is planned anew, on copies of the inputs, which must stay as they are."""
    with (
        mock.patch("dmlite.api.MAX_UNITS", 0),
        mock.patch("dmlite.plan.regions.REGION_CELLS", limits.get("region", 1)),
        mock.patch.multiple("dmlite.backends.local.blocks", _BLOCK=limits.get("block", 1), _THREADED=0),
        settings(verify=True),
    ):
        given = {n: x.copy() for n, x in inputs.items()}
        found = MLContext().execute(dml(script).input(**given))
        assert all(np.array_equal(given[n], x, equal_nan=True) for n, x in inputs.items())
        return {n: found.get(n) for n in "AbcdeC" if f"{n} =" in script}


@pytest.mark.parametrize("nan", [False, True])
@pytest.mark.parametrize("rows", [50, 53, 301])
@pytest.mark.parametrize("name", SCRIPTS)
def test_same_numbers(name, rows, nan):
    inputs = values(rows, nan)
    expected = results(SCRIPTS[name], inputs, region=1 << 60)
    for block in (1, 7 * M, 1 << 20):
        found = results(SCRIPTS[name], inputs, block=block)
        for key, value in expected.items():
            np.testing.assert_allclose(found[key], value, rtol=1e-12, atol=1e-12, err_msg=f"{key} with blocks of {block} cells")


def test_an_error_inside_points_to_the_script(monkeypatch):
    def broken(_):
        raise DMLRuntimeError("no sign")

    monkeypatch.setattr("dmlite.plan.regions.REGION_CELLS", 1)
    monkeypatch.setattr("dmlite.backends.local.elementwise.sign", broken)
    registry.kernel.cache_clear()
    with pytest.raises(DMLRuntimeError, match=r":2:14: error: no sign"):
        MLContext().execute(dml("B = X\nA = abs(X) + sign(X)").input(X=np.ones((30, 4))))
    registry.kernel.cache_clear()


def test_level_0_runs_one_operator_after_another(monkeypatch):
    monkeypatch.setattr("dmlite.plan.regions.REGION_CELLS", 1)
    called = []
    monkeypatch.setattr("dmlite.plan.physical.Regions", lambda *_: called.append(1))
    with settings(opt_level=0):
        MLContext().execute(dml("A = abs(X) * 2").input(X=np.ones((30, 4))))
    assert not called
