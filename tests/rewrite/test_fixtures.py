"""Every pair of `fixtures/`: the rewriter turns `before` into `after`, and both give the same numbers."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite.config import settings
from dmlite.rewrite.phases import ALL as RULES
from tests.support.fixtures import Pair, computed, inputs, lowered, pairs, rewritten, untagged

ALL = list(pairs())
PAIRS = pytest.mark.parametrize("pair", ALL, ids=lambda p: p.id)


@PAIRS
def test_ends_in_its_normal_form(pair: Pair):
    block = lowered(pair, pair.before)
    wanted = {r.name: untagged(r.hop) for r in lowered(pair, pair.after).roots}
    with settings(verify=True):
        roots, firings = rewritten(pair, block)
    found = {name: untagged(hop) for name, hop in roots.items()}
    trace = "\n".join(f"  {f.rule}: {f.before} -> {f.after}" for f in firings)
    assert found == wanted, f"\nwanted {wanted}\nfound  {found}\n{trace or '  nothing fired'}"
    assert not (pair.stays and firings), trace


@PAIRS
@pytest.mark.parametrize("kind", ["plain", "nan"])
def test_both_halves_give_the_same_numbers(pair: Pair, kind: str):
    if kind == "nan" and pair.level > 2:
        pytest.skip("level 3 ignores NaN")
    if pair.stays:
        pytest.skip("nothing changes")
    before, after = lowered(pair, pair.before), lowered(pair, pair.after)
    if any(h.op == "rand" and h.args[5].value == -1 for h in before.hops):
        pytest.skip("draws without a seed differ")
    values = inputs(pair, sorted({*before.inputs, *after.inputs}), kind)
    wanted = {r.name: r.hop for r in after.roots}
    with np.errstate(all="ignore"):
        for root in before.roots:
            old, new = (_array(computed(hop, values)) for hop in (root.hop, wanted[root.name]))
            assert old.shape == new.shape
            np.testing.assert_allclose(new, old, rtol=1e-9, atol=1e-11, equal_nan=True)


def _array(x: object) -> np.ndarray:
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x, dtype=float)


def test_names_are_unique():
    names = [p.id for p in ALL]
    assert len(names) == len(set(names))


def test_halves_that_are_meant_to_differ_do():
    for pair in ALL:
        if not pair.stays:
            before, after = ({r.name: r.hop for r in lowered(pair, half).roots} for half in (pair.before, pair.after))
            assert before != after, f"{pair.id}: both halves are the same node, so equal text says it better"


def test_every_rule_fires_in_a_pair():
    fired = {f.rule for pair in ALL for f in rewritten(pair, lowered(pair, pair.before))[1]}
    assert {r.name for r in RULES} - fired == set()
