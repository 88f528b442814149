"""Sampled regions: which operators run in one pass over the stored cells of a sparse matrix, and which do not."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite import MLContext, dml, settings
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import Fact, matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.node import postorder
from dmlite.plan.regions import contracted, without_cycles
from dmlite.plan.sampled import END, Sampled
from dmlite.plan.sampling import Sampling
from dmlite.rewrite.phases import optimise
from tests.support.engine import executed, lowered

M, N, K = 20_000, 1000, 20
FACTS = {
    **{name: matrix(M, N, M * N // 50) for name in "WX"},
    **{name: matrix(M, N, dense=True) for name in "DZ"},
    "S": matrix(M, N, 900), "C": matrix(M, N, M * N // 3), "s": matrix(30, 40, 100),
    "U": matrix(M, K, dense=True), "V": matrix(N, K, dense=True), "L": matrix(M, 500, dense=True), "R": matrix(N, 500, dense=True),
    "u": matrix(M, 1, dense=True), "v": matrix(N, 1, dense=True), "r": matrix(1, N, dense=True), "k": matrix(1, K, dense=True), "a": scalar("double"), "n": scalar("int"),
}  # fmt: skip


def regions_of(script: str, facts: dict[str, Fact] = FACTS) -> tuple[list[Sampled], FactTable, list]:
    """The regions of the rewritten block, and its units in their order."""
    ((_, block),) = lowered(script, facts, sorted(set(re.findall(r"(\w+) =", script)) - {"P"})).blocks()
    table = FactTable({n: facts[n] for n in block.inputs}, lenient=True)
    roots, _ = optimise(block, table, 2)
    hops = [r.hop for r in roots]
    order = list(postorder(hops))
    found = Sampling(order, hops, table).find()
    return found, table, list(contracted(order, found, table))


@pytest.mark.parametrize(
    ("script", "members"),
    [
        ("A = W * atan(U %*% t(V))", ["matmul", "atan", "mul"]),
        ("P = U %*% t(V); s = sum(W * log(1 + exp(P))); A = W * atan(P)", ["matmul", "exp", "add", "log", "tak", "atan", "mul"]),
        ("P = U %*% t(V); A = W * (u * atan(P))", ["matmul", "atan", "mul", "mul"]),
        ("A = W * atan(U %*% t(V)) * u; g = A %*% V; h = t(A) %*% U", ["matmul", "atan", "mul", "mul", "matmul", "tmm"]),
        ("A = W * exp(U %*% t(V))", []),  # there is a kernel for that
        ("Q = W / (U %*% t(V)); g = Q %*% V; h = t(U) %*% Q", ["wdivmm_div", "matmul", "matmul"]),
        ("Q = W * (U %*% t(V)); g = Q %*% V; h = t(Q) %*% U; b = sum(Q^2)", ["wdivmm_mul", "matmul", "tmm", "sumsq"]),
        ("Q = W / (U %*% t(V)); g = Q %*% V", []),  # there is a kernel for that
        ("A = W * exp(D)", ["exp", "mul"]),  # cells of an array that are not needed
        ("A = W + exp(U %*% t(V))", []),  # all cells count
        ("A = W * (L %*% t(R)) * 2 + exp(W * (L %*% t(R)))", []),  # BLAS is faster
        ("P = U %*% t(V); A = W * atan(P); B = round(P)", ["atan", "mul"]),  # the product is there anyway
        ("A = exp(U %*% t(V)) / W", []),  # zeros of the driver are divided by
        ("A = W / (exp(U %*% t(V)) + 1)", []),  # the divisor may be NaN where nothing is stored
        ("A = W * u / a * atan(U %*% t(V))", ["mul", "div", "matmul", "atan", "mul"]),
        ("A = (W > 0.5) * atan(U %*% t(V)); b = sum(A)", ["gt", "matmul", "atan", "mul", "sum"]),
        ("A = (W > -1) * exp(U %*% t(V) + 1)", []),
        ("A = abs(W) * u; b = sum(A^2); c = rowSums(A)", ["abs", "mul", "rowSums", "sumsq"]),
        ("A = abs(W)", []),
        ("A = abs(s) * 2; b = sum(A^2); c = rowSums(A)", []),  # small
        ("A = abs(S) * u; b = sum(A^2); c = rowSums(A)", []),  # nearly nothing is stored
        ("q = W %*% v; g = t(W) %*% (u * exp(q))", ["matmul", "exp", "mul", "tmm"]),
        ("g = t(W) %*% (W %*% v)", ["mmchain"]),
        ("q = W %*% v; b = sum(q)", []),  # one pass
        ("q = W %*% v; b = sum(q); g = t(W) %*% (q / b)", []),  # the sum is needed before the second pass
        ("A = W * (exp(U %*% t(V)) - X)", ["matmul", "exp", "sub", "mul"]),
        ("q = rowIndexMin(W %*% V - k)", ["matmul", "sub", "rowIndexMin"]),
        ("Q = exp(W %*% V); P = Q / rowSums(Q); g = t(W) %*% P", ["matmul", "exp", "rowSums", "div", "tmm"]),
        ("Q = W %*% V", []),  # one pass, and nothing reads its numbers
        ("Q = W %*% R + 1", []),  # too many numbers to hold
        ("Q = W %*% V; c = colSums(Q)", []),
        ("Q = W %*% V; m = min(Q)", []),
    ],
)  # fmt: skip
def test_members(script, members):
    found, _, _ = regions_of(script)
    assert sorted(h.op for r in found for h in r.hops) == sorted(members)


def test_a_product_beside_two_matrices_is_computed_for_each():
    found, _, _ = regions_of("P = atan(U %*% t(V)); A = W * P; b = sum(X * P)")
    assert sorted([h.op for h in r.hops] for r in found) == [["matmul", "atan", "mul"], ["matmul", "atan", "tak"]]
    assert found[0].inner == found[1].inner


def test_a_product_that_is_needed_whole_is_made_once():
    found, _, units = regions_of("P = exp(U %*% t(V)); A = W * tanh(P + 1); b = sum(X * log(P + 2)); Q = P * Z")
    assert sorted([h.op for h in r.hops] for r in found) == [["add", "log", "tak"], ["add", "tanh", "mul"]]
    assert [u.op for u in units if not isinstance(u, Sampled)].count("matmul") == 1


def test_a_region_runs_behind_what_it_needs_and_before_what_needs_it():
    _, _, units = regions_of("P = exp(U %*% t(V)); A = W * P; b = sum(A); B = X * P * b; c = rowSums(B * D) + b; E = t(A) %*% c")
    seen: set = set()
    for unit in units:
        needs = unit.needs(None) if isinstance(unit, Sampled) else unit.args
        assert all(a in seen or a.op == "literal" for a in needs)
        seen.update(unit.outputs if isinstance(unit, Sampled) else [unit])


def test_regions_that_need_each_other_do_not_both_run_at_once():
    """No operator is between two members of one, but another region is."""
    ((_, block),) = lowered("a1 = W * u; a2 = X * sum(a1); b1 = X * r; b2 = W * sum(b1)", FACTS).blocks()
    by_name = {r.name: r.hop for r in block.roots}
    order = list(postorder([r.hop for r in block.roots]))

    def region(*names: str) -> Sampled:
        hops = [by_name[n] for n in names]
        return Sampled(order[0], hops, hops, dict.fromkeys(hops, END), frozenset(), [], frozenset(), frozenset(), frozenset(), False)

    one, other = region("a1", "b2"), region("b1", "a2")
    assert without_cycles(order, [one, other]) == [one]
    assert without_cycles(order, [one]) == [one]


def given(**more) -> dict:
    rng = np.random.default_rng(3)
    w = csr_array(np.where(rng.random((400, 600)) < 0.05, rng.normal(size=(400, 600)), 0))
    return {"W": w, "U": rng.normal(size=(400, 5)), "V": rng.normal(size=(600, 5)), **more}


def test_the_product_is_never_made(monkeypatch):
    """Which would not fit into memory, nor would the cells of both matrices at once."""
    monkeypatch.setattr("dmlite.memory.total_bytes", lambda: 240_000)
    _, values, _ = executed(
        "P = U %*% t(V); s = sum(W * log(1 + exp(P))); A = W * atan(P); g = A %*% V", outputs=["s", "A", "g"], **given()
    )
    inputs = given()
    p = inputs["U"] @ inputs["V"].T
    w = inputs["W"].toarray()
    assert values["s"] == pytest.approx((w * np.logaddexp(0, p)).sum(), rel=1e-12)
    np.testing.assert_allclose(values["A"].toarray(), w * np.arctan(p), rtol=1e-12)
    np.testing.assert_allclose(values["g"], w * np.arctan(p) @ inputs["V"], rtol=1e-10)


def test_an_error_inside_points_to_the_script(monkeypatch):
    def broken(_):
        raise DMLRuntimeError("no tangent")

    from dmlite.backends.local import registry

    monkeypatch.setattr("dmlite.backends.local.elementwise.tan", broken)
    registry.kernel.cache_clear()
    with pytest.raises(DMLRuntimeError, match=r":2:\d+: error: no tangent"):
        MLContext().execute(dml("P = U %*% t(V)\nA = W * (tan(P) + exp(P))").input(**given()).output("A"))
    registry.kernel.cache_clear()


def test_level_0_runs_one_operator_after_another():
    with settings(opt_level=0):
        engine, _, _ = executed("A = W * (1 + exp(U %*% t(V)))", 0, **given())
    assert not any("_apart" in run.code.source for run in engine.runs)


def test_the_plan_tells():
    text = str(
        dml("P = U %*% t(V); s = sum(W * log(1 + exp(P))); A = W * atan(P); print(s + sum(A))").input(**given()).output("A").explain("plan")
    )
    assert re.search(
        r"P = U %\*% .* 400x600 +0 B .* in one pass over the stored cells of a 400x600 matrix with 7 others; needed there alone", text
    )
    assert re.search(r"tak\(W, .* in one pass over the stored cells of a 400x600 matrix with 7 others\n", text)
    assert "not fused" not in text
