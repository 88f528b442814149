"""Level 4: cheaper plans than the ordered rules find, the same numbers, within limits, and level 3 where egglog is missing."""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import pytest
from scipy.sparse import random_array

from dmlite import MLContext, dml, settings
from dmlite.flow import Unit, compile
from dmlite.hop.cost import cost_of
from dmlite.hop.facts import Fact, matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop, postorder
from dmlite.hop.program import Block, Root
from dmlite.rewrite import saturate as level4
from dmlite.rewrite.driver import rewrite
from dmlite.rewrite.phases import rules_for
from dmlite.rewrite.saturate import regions, saturate
from dmlite.rewrite.saturation.extract import Extractor
from dmlite.rewrite.saturation.laws import LAWS
from tests.support.fixtures import computed

bindings = pytest.importorskip("egglog").bindings

N, M, K = 400, 150, 5
SHAPES = {
    **dict.fromkeys("XYZS", (N, M)),
    **dict.fromkeys("ABCD", (M, M)),
    "P": (N, K), "Q": (N, K), "U": (N, K), "V": (M, K), "E": (K, M),
    "u": (N, 1), "y": (N, 1), "v": (M, 1), "w": (1, M),
}  # fmt: skip

# What level 2 computes in more than so many times the seconds of level 4.
CASES = {
    "common_factor": ("X * Y + X * Z", 1.4),
    "common_matrix_of_products": ("A %*% C + B %*% C", 1.6),
    "three_products": ("A %*% B + A %*% C - A %*% D", 2.0),
    "row_sums_of_weighted_outer_product": ("rowSums(X * (u %*% w))", 2.0),
    "sum_beside_outer_product": ("sum((X + u %*% w) * Y)", 1.5),
    "weighted_sum_of_product": ("sum((U %*% t(V)) * X)", 1.0001),
    "softmax_gradient": ("P * Q - P * rowSums(P) * Q", 1.2),
    "centred_product": ("(X - colMeans(X)) %*% v", 1.4),
    "centred_sparse_product": ("(S - colSums(S) / 1000) %*% v", 1.2),
    "scaled_in_the_middle": ("(X * w) %*% A %*% v", 1.8),
    "common_column": ("X * u + Y * u - Z * u", 1.3),
    "common_divisor": ("X / u + Y / u", 1.2),
    "two_vectors": ("X %*% v + X %*% t(w)", 1.5),
    "thin_products": ("U %*% E + U %*% t(V)", 2.0),
    "cancelling_products": ("(A - B) %*% v + B %*% v", 2.0),
    "common_factor_and_multiple": ("X * Y * 2 + X * Z * 2", 1.2),
}


def facts_of(names: dict[str, tuple[int, int]]) -> dict[str, Fact]:
    return {n: matrix(*shape, shape[0] * shape[1] // 100 if n == "S" else None) for n, shape in names.items()}


def values_of(names: dict[str, tuple[int, int]]) -> dict:
    rng = np.random.default_rng(3)
    return {n: random_array(s, density=0.01, rng=rng).tocsr() if n == "S" else rng.uniform(0.1, 2.0, size=s) for n, s in names.items()}


def block_of(text: str, inputs: dict[str, Fact] | None = None) -> Block:
    """The block of a script that is one expression, or statements."""
    script = text if "=" in text.replace("==", "") else f"r = {text}"
    unit = compile(Unit(script, inputs=facts_of(SHAPES) if inputs is None else inputs), until="hops")
    assert unit.program is not None
    return next(unit.program.blocks())[1]


def plan(block: Block, level: int) -> tuple[list[Root], float]:
    """The roots at a level, and their seconds by the cost model."""
    facts = FactTable(block.facts_in, lenient=True)
    roots = (saturate if level >= 4 else rewrite)(block, facts, rules_for(level, sizes_known=True))[0]
    seconds = cost_of([r.hop for r in roots], facts).seconds
    assert seconds is not None
    return roots, seconds


def as_array(x: object) -> np.ndarray:
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x, dtype=float)


def assert_same(old: Hop, new: Hop, values: dict) -> None:
    with np.errstate(all="ignore"):
        a, b = as_array(computed(old, values)), as_array(computed(new, values))
    assert a.shape == b.shape
    np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9 * np.max(np.abs(a), initial=1.0))


@pytest.mark.parametrize("name", CASES)
def test_finds_what_level_2_does_not(name):
    text, factor = CASES[name]
    block = block_of(text)
    (_, at_2), (roots, at_4) = plan(block, 2), plan(block, 4)
    assert at_4 * factor <= at_2, roots
    assert at_4 <= plan(block, 3)[1]
    assert_same(block.roots[0].hop, roots[0].hop, values_of(SHAPES))


@pytest.mark.parametrize("name", ["row_sums_of_weighted_outer_product", "sum_beside_outer_product", "centred_product"])
def test_finds_what_level_3_does_not(name):
    block = block_of(CASES[name][0])
    assert plan(block, 4)[1] < 0.9 * plan(block, 3)[1]


SHARED = """
p = U %*% t(V)
a = sum((S - p) ^ 2)
b = p %*% v
c = sum(p)
"""


def test_what_is_shared_is_counted_once():
    """`p` is needed as it is, so the product is there for `b` and `c` anyway, unless they do without it for less."""
    block = block_of(SHARED)
    roots, seconds = plan(block, 4)
    assert seconds <= plan(block, 3)[1]
    for old, new in zip(block.roots, roots, strict=True):
        assert old.name == new.name
        assert_same(old.hop, new.hop, values_of(SHAPES))


def test_a_cheap_block_stays_as_it_is():
    block = block_of("A + B")
    assert saturate(block, FactTable(block.facts_in), rules_for(4, sizes_known=True)) == (block.roots, [])


def test_runs_scripts():
    script = (
        "Z = rand(rows=40, cols=30, seed=1)\nfor (i in 1:3) { Z = Z * (Z + 1) + Z * 2; s = sum(Z %*% t(Z)); Z = Z / s }\nprint(nrow(Z))"
    )
    results = []
    for level in (0, 4):
        with settings(opt_level=level):
            results.append(MLContext().execute(dml(script)))
    np.testing.assert_allclose(results[1].get("Z"), results[0].get("Z"), rtol=1e-9)
    assert results[1].get("s") == pytest.approx(results[0].get("s"), rel=1e-9)


def test_tells_what_it_did():
    block = block_of("X * Y + X * Z")
    _, firings = saturate(block, FactTable(block.facts_in), rules_for(4, sizes_known=True))
    with settings(disabled_rules=frozenset(r.name for r in rules_for(4, sizes_known=True))):
        _, alone = saturate(block, FactTable(block.facts_in), ())
    assert firings and [f.rule for f in alone] == ["saturation"]
    assert alone[0].before is block.roots[0].hop
    assert alone[0].span is block.spans.get(block.roots[0].hop)


def test_a_law_can_be_switched_off():
    block = block_of("X * Y + X * Z")
    names = frozenset(LAWS) | {r.name for r in rules_for(4, sizes_known=True)}
    with settings(disabled_rules=names):
        assert saturate(block, FactTable(block.facts_in), rules_for(4, sizes_known=True))[0] == block.roots


# ---------------------------------------------------------------- limits
LONG = " + ".join(f"X * {c} * Y" for c in ("u", "w", "Z", "2.5", "Y", "X", "S", "3.5", "u", "w"))


def test_a_region_is_bounded():
    block = block_of("r = " + " + ".join(["X * Y", "u", *(f"(Z * {i}.5)" for i in range(90))]))
    found = regions([block.roots[0].hop], FactTable(block.facts_in))
    assert max(len(r.hops) for r in found) <= level4.MAX_REGION + 1
    assert len(found) > 2


def test_no_path_leaves_a_region_and_comes_back():
    block = block_of('a = X * 2; b = sum(removeEmpty(target=a, margin="rows")); r = a * b + a')
    roots = [r.hop for r in block.roots]
    for region in regions(roots, FactTable(block.facts_in, lenient=True)):
        inside = set(region.hops)
        outside = [h for h in postorder(region.hops) if h not in inside]
        assert not any(set(postorder([h])) & inside for h in outside)


def test_time_is_bounded():
    block = block_of(LONG)
    plan(block, 4)  # declares what is needed
    begin = time.thread_time()
    roots, seconds = plan(block, 4)
    assert time.thread_time() - begin < 3 * level4.SECONDS
    assert seconds <= plan(block, 3)[1]
    assert_same(block.roots[0].hop, roots[0].hop, values_of(SHAPES))


@pytest.mark.parametrize(("name", "value"), [("MAX_NODES", 1), ("MAX_NODES", 60), ("MAX_STEPS", 0), ("SECONDS", 0.0)])
def test_a_limit_that_is_reached_costs_nothing_but_the_gain(monkeypatch, name, value):
    monkeypatch.setattr(level4, name, value)
    block = block_of(LONG)
    roots, seconds = plan(block, 4)
    assert seconds <= plan(block, 3)[1]
    assert_same(block.roots[0].hop, roots[0].hop, values_of(SHAPES))


@pytest.mark.parametrize("name", ["softmax_gradient", "centred_sparse_product", "sum_beside_outer_product"])
def test_the_same_again(name, monkeypatch):
    """A fresh graph, and one that has seen other blocks, lead to the same plan, if time does not run out."""
    monkeypatch.setattr(level4, "SECONDS", 60.0)
    block = block_of(CASES[name][0])
    monkeypatch.setattr(level4._threads, "theory", None, raising=False)
    first = plan(block, 4)[0]
    plan(block_of("exp(X) * exp(Y) - rowSums(S)"), 4)
    assert plan(block, 4)[0] == first


def test_unknown_shapes_are_left_alone():
    block = block_of("X * Y + X * Z", {n: matrix() for n in "XYZ"})
    roots, firings = saturate(block, FactTable(block.facts_in, lenient=True), rules_for(2, sizes_known=True))
    assert roots == rewrite(block, FactTable(block.facts_in, lenient=True), rules_for(2, sizes_known=True))[0]
    assert "saturation" not in [f.rule for f in firings]


# ---------------------------------------------------------------- the choice of nodes
def test_extraction_shares():
    """Two roots that may share an expensive class do, though each alone has something cheaper."""
    options = {
        "x": {("x", ()): 0.0},
        "big": {("big", ("x",)): 6.0},
        "r": {("r1", ("big",)): 1.0, ("r2", ("x",)): 5.0},
        "s": {("s1", ("big",)): 1.0, ("s2", ("x",)): 5.0},
        "t": {("t1", ("big",)): 1.0},
    }
    extractor = Extractor(options, lambda node: node[1], lambda: True)
    start = {c: next(iter(nodes)) for c, nodes in options.items()}
    start["r"] = ("r2", ("x",))
    choice, cost = extractor.cheapest(["r", "s", "t"], start)
    assert cost == 9.0
    assert [choice[c][0] for c in "rst"] == ["r1", "s1", "t1"]


def test_extraction_survives_cycles():
    options = {"a": {("f", ("b",)): 1.0, ("leaf", ()): 9.0}, "b": {("g", ("a",)): 1.0}}
    extractor = Extractor(options, lambda node: node[1], lambda: True)
    assert extractor.total({"a": ("f", ("b",)), "b": ("g", ("a",))}, ["a"]) == float("inf")
    choice, cost = extractor.cheapest(["a", "b"], {"a": ("leaf", ()), "b": ("g", ("a",))})
    assert cost == 10.0 and choice["a"] == ("leaf", ())


# ---------------------------------------------------------------- without the library, or with one that fails
@pytest.fixture
def no_egglog(monkeypatch):
    monkeypatch.setitem(sys.modules, "egglog", None)
    level4._egglog.cache_clear()
    yield
    level4._egglog.cache_clear()


def test_without_egglog_level_3_runs_with_one_warning(no_egglog):
    block = block_of("P * Q - P * rowSums(P) * Q")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        first, second = plan(block, 4), plan(block, 4)
    assert first == second == plan(block, 3)
    assert [str(w.message) for w in caught] == ["optimisation level 4 needs egglog (pip install 'dmlite[egraph]'); level 3 is used"]


def test_a_failure_is_passed_over(monkeypatch):
    def broken(*_):
        raise RuntimeError("out of order")

    monkeypatch.setattr(level4, "_explore", broken)
    block = block_of("X * Y + X * Z")
    with settings(verify=True), pytest.raises(RuntimeError, match="out of order"):
        plan(block, 4)
    with settings(verify=False), pytest.warns(UserWarning, match="saturation failed and is skipped: out of order"):
        assert plan(block, 4) == plan(block, 3)


# ---------------------------------------------------------------- from outside
def test_command_line(tmp_path, capsys):
    from dmlite.tools.cli import main

    script = tmp_path / "a.dml"
    script.write_text("A = matrix(2, 20, 20)\nprint(sum(A * A + A * t(A)))\n")
    for level in "0234":
        assert main(["run", str(script), "--opt", level]) == 0
    assert capsys.readouterr().out == "3200.0\n" * 4
    assert main(["run", str(script), "--opt", "7"]) == 2
    assert "--opt takes a level from 0 to 4, not '7'" in capsys.readouterr().err


def test_is_not_imported_before_it_is_needed():
    import subprocess

    code = "import sys, dmlite\ndmlite.MLContext().execute(dmlite.dml('x = sum(matrix(1, 3, 3))'))\nassert 'egglog' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
