"""The verifier names what is wrong with a DAG."""

from __future__ import annotations

import pytest

from dmlite.hop.facts import matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.node import HOLE, PICK, literal, live_in, make
from dmlite.hop.program import Root
from dmlite.hop.verify import IllegalDag, verify

FACTS = {"X": matrix(3, 4), "Y": matrix(4, 3)}
X, Y = live_in("X"), live_in("Y")
GOOD = [Root("r", make("add", [X, X]))]


def check(after):
    verify(GOOD, after, FACTS, FactTable(FACTS), "test")


def test_a_legal_dag_passes():
    check([Root("r", make("mul", [X, literal(2)]))])


@pytest.mark.parametrize(
    ("after", "says"),
    [
        ([Root("q", GOOD[0].hop)], "roots changed"),
        ([Root("r", live_in("Z"))], "'Z' is not an input"),
        ([Root("r", make("t", [X]))], "became"),
        ([Root("r", make("no_such", [X]))], "no operator 'no_such'"),
        ([Root("r", make("add", [X]))], "1 operands where 2"),
        ([Root("r", make(HOLE, (), "A"))], "unfilled hole"),
        ([Root("r", make(PICK, [make("eigen", [X])], 7))], "no result 7"),
    ],
)
def test_an_illegal_dag_is_named(after, says):
    with pytest.raises(IllegalDag, match=says):
        check(after)
