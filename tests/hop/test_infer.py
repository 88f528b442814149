"""Facts of nodes from the facts of their operands."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite.hop.facts import UNKNOWN, Fact, constant, matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.linear import difference
from dmlite.hop.node import PICK, literal, live_in, make, postorder
from dmlite.hop.ops.row import ShapeError

A, B, I, J, X = (live_in(n) for n in ("A", "B", "i", "j", "x"))
FACTS = {"A": matrix(3, 4, 5), "B": matrix(4, 2), "i": scalar("int"), "j": scalar("int"), "x": scalar("double")}


def table(**more: Fact) -> FactTable:
    return FactTable({**FACTS, **more})


def test_equal_nodes_are_the_same_object() -> None:
    assert make("add", (A, B)) is make("add", (A, B))
    assert make("add", (A, B)) is not make("add", (B, A))
    assert make("rand", (A,), tag=1) is not make("rand", (A,), tag=2)


@pytest.mark.parametrize(("a", "b"), [(1, 1.0), (True, 1), (0.0, -0.0), ("1", 1), ((1,), (1.0,))])
def test_literals_that_python_calls_equal_are_different(a: object, b: object) -> None:
    assert literal(a) is not literal(b)
    assert literal(a) is literal(a)


def test_nan_literals_are_one_node() -> None:
    assert literal(float("nan")) is literal(float("nan"))


def test_postorder_gives_operands_first_and_each_once() -> None:
    shared = make("exp", (A,))
    root = make("add", (make("mul", (shared, A)), shared))
    order = list(postorder([root, shared]))
    assert order == [A, shared, make("mul", (shared, A)), root]


def test_deep_chains_need_no_recursion() -> None:
    hop = A
    for _ in range(20_000):
        hop = make("neg", (hop,))
    assert table()[hop].rows == 3


def test_an_unknown_live_in_is_unknown() -> None:
    assert FactTable({})[live_in("nobody")] == UNKNOWN


def test_shapes_that_never_fit_raise_unless_lenient() -> None:
    bad = make("matmul", (A, A))
    with pytest.raises(ShapeError):
        table()[bad]
    assert FactTable(FACTS, lenient=True)[bad] == matrix()


def test_a_recorded_fact_wins() -> None:
    facts = table()
    hop = make("t", (A,))
    facts.known(hop, matrix(9, 9))
    assert facts[make("rowSums", (hop,))].rows == 9


def test_picks_of_results() -> None:
    eigen = make("eigen", (live_in("S"),))
    facts = table(S=matrix(3, 3))
    assert (facts[make(PICK, (eigen,), 0)].rows, facts[make(PICK, (eigen,), 0)].cols) == (3, 1)
    assert (facts[make(PICK, (eigen,), 1)].rows, facts[make(PICK, (eigen,), 1)].cols) == (3, 3)


def test_a_store_keeps_the_shape_of_its_target() -> None:
    none = literal(None)
    found = table()[make("leftindex", (A, literal(1.0), I, none, J, none))]
    assert (found.rows, found.cols) == (3, 4)
    assert found.nnz is not None and found.nnz >= 6


def test_an_element_of_a_list_is_unknown_and_a_part_is_a_list() -> None:
    none = literal(None)
    facts = table(L=Fact("list"))
    part = make("index", (live_in("L"), I, none, none, none))
    assert facts[part].kind == "list"
    assert facts[make("as.scalar_list", (part,))] == UNKNOWN


@pytest.mark.parametrize(
    ("high", "low", "gap"),
    [
        (make("add", (I, literal(2))), I, 2),
        (make("sub", (I, literal(2))), make("sub", (I, literal(5))), 3),
        (make("mul", (I, literal(4))), make("add", (make("mul", (make("sub", (I, literal(1))), literal(4))), literal(1))), 3),
        (make("add", (I, J)), make("add", (J, I)), 0),
        (make("neg", (make("neg", (I,)),)), I, 0),
        (make("mul", (I, J)), make("mul", (J, I)), 0),
        (make("mul", (I, J)), I, None),
        (make("intdiv", (I, literal(2))), make("intdiv", (I, literal(2))), 0),
        (make("intdiv", (I, literal(2))), I, None),
        (make("add", (I, literal(0.5))), I, None),
        (literal(7), literal(3), 4),
    ],
)
def test_differences_of_bounds(high: object, low: object, gap: int | None) -> None:
    assert difference(high, low, table().__getitem__) == gap  # type: ignore[arg-type]


def test_widths_of_doubles_are_only_known_when_flooring_cannot_matter() -> None:
    """`X[x : x + 2.5]` floors both ends, so nothing follows from their distance."""
    facts = table()
    none = literal(None)
    hop = make("index", (live_in("M"), X, make("add", (X, literal(2.5))), none, none))
    assert FactTable({**FACTS, "M": matrix(100, 3)})[hop].rows is None
    assert facts.width(X, make("add", (X, literal(2))), None) == 3


def test_a_width_is_never_below_the_truth_of_numpy() -> None:
    data = np.zeros((3, 20))
    for low, high in ((1, 1), (2, 5), (1, 20)):
        hop = make("index", (A, literal(None), literal(None), literal(low), literal(high)))
        assert FactTable({"A": matrix(3, 20)})[hop].cols == data[:, low - 1 : high].shape[1]


# ---------------------------------------------------------------- the lattice
def test_join_keeps_what_both_say() -> None:
    joined = matrix(3, 4, 5).join(matrix(3, 2, 1))
    assert (joined.rows, joined.cols) == (3, None)
    assert constant(2).join(constant(2)).value == 2
    assert not constant(2).join(constant(3)).is_const
    assert constant(2).join(constant(2.0)).vtype is None
    assert constant(0.0).join(constant(-0.0)).is_const is False


def test_join_of_different_kinds_knows_nothing() -> None:
    assert matrix(1, 1).join(scalar("double")) == UNKNOWN


def test_join_is_commutative_and_idempotent() -> None:
    facts = [UNKNOWN, matrix(), matrix(3, 4), matrix(3, 4, 5), scalar("int"), constant(3), constant("a"), Fact("list")]
    for a in facts:
        assert a.join(a) == a
        for b in facts:
            assert a.join(b) == b.join(a)


def test_the_bound_on_nonzeros_is_at_most_the_number_of_cells() -> None:
    assert matrix(2, 3, 100).nnz == 6
    assert matrix(None, 3, 100).nnz == 100
