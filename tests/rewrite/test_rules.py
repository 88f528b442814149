"""Every rule from its record alone: it fires on its own pattern, keeps kind and shape, and both sides give the same numbers."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite import MLContext, dml, settings
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.node import HOLE, LITERAL, LIVE_IN, Hop, literal, live_in, make, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Block, Root
from dmlite.rewrite.driver import rewrite
from dmlite.rewrite.phases import ALL
from dmlite.rewrite.rule import Rule, instantiate
from tests.support.fixtures import Given, default, drawn, given, untagged

SPELLINGS = pytest.mark.parametrize(
    ("rule", "spelling"), [(r, i) for r in ALL for i in range(len(r.spellings))], ids=lambda x: x.name if isinstance(x, Rule) else str(x)
)


def holes(pattern: Hop) -> list[str]:
    return sorted({h.value for h in postorder([pattern]) if h.op == HOLE})


def variables(rule: Rule, pattern: Hop) -> dict[str, Given]:
    """What the record says of its holes."""
    sizes = re.sub(r"(\w+)=(\d+)x(\d+)", r"\1[\2,\3]", rule.shapes).split()
    known = given(", ".join(sizes), rule.facts)
    return {h: known.get(h) or default(h) for h in holes(pattern)}


def block_of(rule: Rule, pattern: Hop, *, constants: bool = True) -> Block:
    """The pattern over live-ins; scalar holes that the record gives a value are constants."""
    known = variables(rule, pattern)
    bound = {h: literal(v.value) if constants and v.fact.is_const else live_in(h) for h, v in known.items()}
    facts = {h: v.fact.without_value() for h, v in known.items()}
    return Block([Root("r", instantiate(pattern, bound))], facts, {})


@SPELLINGS
def test_fires_on_its_own_pattern_and_keeps_kind_and_shape(rule, spelling):
    block = block_of(rule, rule.patterns[spelling])
    facts = FactTable(block.facts_in)
    roots, firings = rewrite(block, facts, [rule])
    assert rule.name in [f.rule for f in firings]
    before, after = facts[block.roots[0].hop], facts[roots[0].hop]
    assert (before.kind, before.vtype) == (after.kind, after.vtype)
    assert before.rows in (None, after.rows) and before.cols in (None, after.cols)


@SPELLINGS
def test_comes_to_an_end_with_all_rules(rule, spelling):
    block = block_of(rule, rule.patterns[spelling])
    with settings(verify=True):
        roots, firings = rewrite(block, FactTable(block.facts_in), ALL)
    assert len(firings) < 20
    again, more = rewrite(Block(roots, block.facts_in, {}), FactTable(block.facts_in), ALL)
    assert [r.hop for r in again] == [r.hop for r in roots] and not more


def inputs(rule: Rule, pattern: Hop, kind: str) -> dict:
    rng = np.random.default_rng(7)
    out: dict = {}
    for hole, variable in variables(rule, pattern).items():
        if not variable.fact.is_matrix:
            out[hole] = 1.75 if variable.value is None else variable.value
            continue
        shape = variable.shape
        if kind == "cell" and not rule.shapes:
            shape = (1, 1)
        if kind == "empty" and not rule.shapes:
            shape = (0, 4)
        x = drawn(replace(variable, shape=shape), kind, rng)
        may_be_zero = variable.fact.low <= 0 <= variable.fact.high and not variable.fact.nnz_min and not variable.fact.structure
        out[hole] = csr_array(x * (rng.random(shape) < 0.3) if may_be_zero else x) if kind == "sparse" else x
    return out


def value(pattern: Hop, bound: dict) -> object:
    """The value of one side, straight through the kernels, without the compiler."""
    from dmlite.backends.local import registry
    from dmlite.backends.local.storage import is_matrix

    if pattern.op == HOLE:
        return bound[pattern.value]
    if pattern.op == LITERAL:
        return pattern.value
    args = [value(a, bound) for a in pattern.args]
    module, function = BY_NAME[pattern.op].kernel.split(".")
    if module == "elementwise" and not any(map(is_matrix, args)):
        module = "scalar"
    return registry.kernel(module, function)(*args)


def as_array(x: object) -> np.ndarray:
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x, dtype=float)


@SPELLINGS
@pytest.mark.parametrize("kind", ["dense", "sparse", "cell", "empty", "nan"])
def test_both_sides_are_equal(rule, spelling, kind):
    if kind == "nan" and rule.values == "ignores-nan":
        pytest.skip("the rule is tagged as differing where NaN or Inf meet a zero")
    pattern = rule.patterns[spelling]
    bound = inputs(rule, pattern, kind)
    with np.errstate(all="ignore"):
        try:
            before = as_array(value(pattern, bound))
        except DMLRuntimeError as error:
            pytest.skip(f"the expression itself refuses these operands: {error}")
        after = as_array(value(replacement(rule, pattern), bound))
    assert before.shape == after.shape
    exact = rule.values == "exact"
    np.testing.assert_allclose(after, before, rtol=0 if exact else 1e-12, atol=0 if exact else 1e-12, equal_nan=True)


def replacement(rule: Rule, pattern: Hop) -> Hop:
    """What the rule makes of a spelling, over its holes."""
    if not callable(rule.after):
        return rule.replacement
    block = block_of(rule, pattern)
    (found,), _ = rewrite(block, FactTable(block.facts_in), [rule])
    return as_pattern(found.hop)


def as_pattern(hop: Hop) -> Hop:
    return make(HOLE, (), hop.value) if hop.op == LIVE_IN else make(hop.op, map(as_pattern, hop.args), hop.value, hop.tag)


def test_what_a_computed_result_gives_is_its_example():
    for rule in ALL:
        if callable(rule.after):
            bound = {h: literal(v.value) for h, v in variables(rule, rule.patterns[0]).items() if v.fact.is_const}
            example = instantiate(rule.replacement, {h: bound.get(h, live_in(h)) for h in holes(rule.replacement)})
            block = block_of(rule, rule.patterns[0])
            (found,), _ = rewrite(block, FactTable(block.facts_in), [rule])
            assert untagged(found.hop) is untagged(example), rule.name


def test_names_are_unique():
    names = [r.name for r in ALL]
    assert len(names) == len(set(names)) >= 30


def test_a_rule_can_be_switched_off_by_name():
    block = block_of(ALL[0], ALL[0].patterns[0])
    with settings(disabled_rules=frozenset({ALL[0].name})):
        _, firings = rewrite(block, FactTable(block.facts_in), ALL)
    assert ALL[0].name not in [f.rule for f in firings]


def test_a_shared_inside_is_not_computed_twice():
    """`1/(1+exp(-X))` stays as it is when somebody else needs `exp(-X)` too."""
    x = live_in("X")
    e = make("exp", [make("neg", [x])])
    s = make("div", [make_literal(1), make("add", [make_literal(1), e])])
    block = Block([Root("s", s), Root("e", e)], {"X": matrix(3, 3)}, {})
    _, firings = rewrite(block, FactTable(block.facts_in), ALL)
    assert "sigmoid_exp" not in [f.rule for f in firings]


def make_literal(number: float) -> Hop:
    return make(LITERAL, (), number)


def test_shared_aggregates_of_a_square_keep_their_values():
    """Column means must not leak into another expression that shares `colSums(X^2)`."""
    X = np.random.default_rng(3).normal(size=(3, 3))
    script = "n = nrow(X); m = colSums(X)/n\na = colSums(X^2)/n\nc = colSums(X^2)/n - m*m\nb = sqrt(c*n/(n-1)) + 1e-17"
    result = MLContext().execute(dml(script).input(X=X))
    mean = X.mean(0, keepdims=True)
    np.testing.assert_allclose(result.get("a"), (X**2).mean(0, keepdims=True), rtol=1e-13)
    np.testing.assert_allclose(result.get("b"), np.sqrt(((X**2).mean(0, keepdims=True) - mean**2) * 1.5), rtol=1e-12)


@pytest.mark.parametrize("level", [0, 2, 3])
def test_levels_agree(level):
    X = np.random.default_rng(5).normal(size=(6, 5))
    script = """
    s = 1 / (1 + exp(-X)); d = s * (1 - s); q = sum((X - s) ^ 2); z = t(t(X) %*% X); k = colSums(t(X)); w = -(X - 2 * X)
    """
    with settings(opt_level=level):
        r = MLContext().execute(dml(script).input(X=X))
    s = 1 / (1 + np.exp(-X))
    np.testing.assert_allclose(r.get("d"), s * (1 - s), rtol=1e-12)
    assert r.get("q") == pytest.approx(((X - s) ** 2).sum(), rel=1e-12)
    np.testing.assert_allclose(r.get("z"), X.T @ X, rtol=1e-12)
    np.testing.assert_allclose(r.get("k"), X.sum(1)[None, :], rtol=1e-12)
    np.testing.assert_allclose(r.get("w"), X, rtol=1e-12)
