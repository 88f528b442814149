"""Fusions that nearly happened: which, where, and what spoke against them."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite import dml
from dmlite.explain.misses import misses
from dmlite.flow import Unit, compile
from dmlite.hop.facts import matrix
from dmlite.hop.infer import FactTable
from dmlite.rewrite.phases import rules_for

SIZES = {"W": matrix(3000, 2000, 60_000), "D": matrix(3000, 2000), "U": matrix(3000, 10), "V": matrix(2000, 10), "B": matrix(2000, 10)}
WIDE = {"D": matrix(3000, 2000), "U": matrix(3000, 900), "V": matrix(2000, 900)}
SMALL = {name: matrix(30, 30) for name in "WDUV"}
UNKNOWN = {name: matrix() for name in "WDUV"}
CASES = {
    "second use": ("P = U %*% t(V)\nl = sum(W * (W - P)^2)\nm = max(P)", SIZES, "wsloss_post", "the product is needed in line 3 as well"),
    "kept": ("P = U %*% t(V)\nl = sum((D - P)^2)", SIZES, "wsloss", "the product is needed as P later on"),
    "cost": ("l = sum((D - U %*% t(V))^2)", WIDE, "wsloss", " estimated against "),
    "other operand": ("G = (W / (U %*% t(V))) %*% B", SIZES, "wdivmm_div_right", "its factor is B, not V"),
    "small": ("s = sum(W * D)", SMALL, "tak", "too small for that to be worth it (30x30)"),
    "unknown": ("l = sum(W * (W - U %*% t(V))^2)", UNKNOWN, "wsloss_post", "a size is not known"),
}


@pytest.mark.parametrize("name", CASES)
def test_reasons(name):
    script, inputs, rule, reason = CASES[name]
    unit = compile(Unit(script, inputs=inputs))
    from dmlite.explain.explanation import explain

    found = [m for b in explain(unit.script, "s", unit.engine).record.blocks for m in b.misses]
    assert [m.rule for m in found if reason in m.reason] == [rule], found
    assert all(m.place is not None and m.text and m.why for m in found)


@pytest.mark.parametrize(
    "script",
    ["G = (W / (U %*% t(V))) %*% V", "G = t(U) %*% (W * (U %*% t(V)))", "l = sum(W * (W - U %*% t(V))^2)", "y = t(D) %*% B[1:3000, ]", "Z = D + 1"],
)  # fmt: skip
def test_what_is_fused_or_far_from_it_is_no_miss(script):
    unit = compile(Unit(script, inputs=SIZES | {"B": matrix(4000, 10)}))
    for _, block in unit.program.blocks():
        assert not misses(block, FactTable(block.facts_in, lenient=True), rules_for(2, sizes_known=True))


def test_they_stand_in_the_text_and_on_the_page():
    script = "P = U %*% t(V)\nl = sum((D - P)^2)\nm = max(P)"
    rng = np.random.default_rng(2)
    found = dml(script).input(U=rng.random((300, 5)), V=rng.random((200, 5)), D=rng.random((300, 200))).output("l", "m").explain()
    line = "not fused in line 2: wsloss of sumsq(D - P): the product is needed in line 3 as well"
    assert line in str(found)
    page = found.page()
    assert "What was not fused, and why?" in page and "wsloss of sumsq(D - P) in line 2: the product is needed in line 3 as well" in page


def test_level_0_has_none():
    from dmlite import settings

    with settings(opt_level=0):
        found = dml("P = U %*% t(V)\nl = sum((D - P)^2)").input(U=np.ones((300, 5)), V=np.ones((200, 5)), D=np.ones((300, 200))).explain()
    assert not [m for b in found.record.blocks for m in b.misses]
