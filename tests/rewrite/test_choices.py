"""Where two plans compute the same, the cheaper one is taken; the cases are those that `tests/benchmarks/choices.py` times."""

from __future__ import annotations

from collections import Counter

import pytest

from dmlite.hop.node import postorder
from tests.benchmarks.choices import CASES, Case, agree, chosen, expected, reflex, run
from tests.support.fixtures import inputs

EACH = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


@EACH
def test_the_cheaper_plan_is_taken(case: Case):
    roots, _ = chosen(case)
    assert Counter(h.op for h in postorder(roots.values()) if h.args and h.op != "t") == Counter(case.operators.split())
    assert expected(chosen(case)) < expected(reflex(case))


@EACH
def test_both_plans_compute_the_same(case: Case):
    values = inputs(case.pair, sorted(case.pair.draws), "plain")
    agree(*(run(plan, values)[1] for plan in (chosen(case)[0], reflex(case)[0])))


def test_a_product_with_another_reader_is_computed_once():
    case = next(c for c in CASES if c.name == "squares needed twice")
    for plan, products in ((chosen(case), 1), (reflex(case), 2)):
        made = [h for h in postorder(plan[0].values()) if h.op in ("matmul", "wsloss")]
        assert len(made) == products
