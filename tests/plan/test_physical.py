"""Plans of blocks: order, storage, and whose memory may be overwritten."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from unittest import mock

import pytest

from dmlite.hop.facts import Fact, matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop, literal, live_in, make
from dmlite.hop.program import Root
from dmlite.plan.physical import BlockPlan, Planner, Step

N = 100
A, B, L, I = (live_in(n) for n in ("A", "B", "L", "i"))
FACTS = {"A": matrix(N, N), "B": matrix(N, N), "L": Fact("list"), "i": scalar("int"), "S": matrix(N, N, 50)}
NONE = literal(None)


def plan(
    *roots: Hop | tuple[str, Hop], after: Iterable[str] = ("A", "B"), recycled: Iterable[str] = (), sparse: Iterable[str] = ("S",)
) -> BlockPlan:
    """The plan of a block that binds the named roots; bare roots are effects. `after`: variables still read after it."""
    made = [Root(*r) if isinstance(r, tuple) else Root(None, r) for r in roots]
    facts = {n: replace(f, dense=n not in sparse and f.is_matrix) for n, f in FACTS.items()}
    planner = Planner(made, FactTable(facts), {*after, *(r.name for r in made if r.name)}, {})
    return planner.plan(list(FACTS), list(recycled))


def step(found: BlockPlan, hop: Hop) -> Step:
    return next(s for s in found.steps if s.hop is hop)


def store(x: Hop, value: Hop | None = None) -> Hop:
    return make("leftindex", (x, value or literal(1.0), literal(1), NONE, literal(1), NONE))


@pytest.fixture(autouse=True)
def _any_size() -> Iterable[None]:
    with mock.patch("dmlite.plan.physical.REUSE_CELLS", 1), mock.patch("dmlite.plan.physical.RECYCLE_CELLS", 1):
        yield


# ---------------------------------------------------------------- order and storage
def test_operands_come_before_what_uses_them_and_each_once() -> None:
    e = make("exp", (A,))
    total = make("add", (e, make("sum", (e,))))
    found = plan(("x", total))
    assert [s.hop.op for s in found.steps] == ["exp", "sum", "add"]
    assert [n for n, _ in found.outputs] == ["x"]


def test_roots_keep_the_order_of_the_statements() -> None:
    first, second = make("print", (literal("a"),), tag=1), make("print", (literal("b"),), tag=2)
    assert [s.hop for s in plan(first, ("x", make("exp", (A,))), second).steps][::2] == [first, second]


def test_dense_follows_from_dense_operands() -> None:
    s = live_in("S")
    found = plan(
        ("x", make("add", (A, B))),
        ("y", make("mul", (s, A))),
        ("z", make("diag", (make("rowSums", (A,)),))),
        ("f", make("fill", (literal(0), literal(2), literal(3), literal(True)))),
    )
    assert [found.dense[h] for _, h in found.outputs] == [True, False, False, True]


def test_a_huge_fill_may_be_sparse() -> None:
    huge = make("fill", (literal(0), literal(10**6), literal(10**6), literal(True)))
    assert not plan(("x", huge)).dense[huge]


def test_values_are_dead_after_their_last_use() -> None:
    e = make("exp", (A,))
    t = make("t", (e,))
    found = plan(("x", make("matmul", (t, e))))
    assert step(found, t).dead == []
    assert set(found.steps[-1].dead) == {e, t}


def test_outputs_are_never_dead() -> None:
    e = make("exp", (A,))
    found = plan(("x", e), ("y", make("add", (e, B))))
    assert all(e not in s.dead for s in found.steps)


# ---------------------------------------------------------------- reusing buffers
def test_a_dead_temporary_gives_its_buffer() -> None:
    e = make("exp", (A,))
    out = make("add", (e, B))
    assert step(plan(("x", out)), out).reuse == 0
    swapped = make("sub", (B, e))
    assert step(plan(("x", swapped)), swapped).reuse == 1


def test_a_value_that_is_read_again_keeps_its_buffer() -> None:
    e = make("exp", (A,))
    out = make("add", (e, B))
    found = plan(("x", out), ("y", make("mul", (e, B))))
    assert step(found, out).reuse is None
    assert found.steps[-1].reuse == 0


def test_an_output_keeps_its_buffer() -> None:
    e = make("exp", (A,))
    out = make("add", (e, B))
    assert step(plan(("x", e), ("y", out)), out).reuse is None


def test_a_value_seen_through_a_view_keeps_its_buffer() -> None:
    e = make("exp", (A,))
    out = make("mul", (e, B))
    for view in (
        make("t", (e,)),
        make("index", (e, literal(1), literal(2), NONE, NONE)),
        make("reshape", (e, literal(1), literal(N * N), literal(True))),
    ):
        assert step(plan(("v", view), ("x", out)), out).reuse is None
        assert step(plan(("x", out), ("v", view)), out).reuse is None


def test_a_view_is_not_a_buffer_to_write_into() -> None:
    t = make("t", (make("exp", (A,)),))
    out = make("add", (t, B))
    assert step(plan(("x", out)), out).reuse is None


@pytest.mark.parametrize("keeper", ["list", "cbind_append", "leftindex", "eval"])
def test_a_value_in_a_list_keeps_its_buffer(keeper: str) -> None:
    e = make("exp", (A,))
    holder = {
        "list": make("list", (literal(()), e)),
        "cbind_append": make("cbind_append", (L, e)),
        "leftindex": make("leftindex", (L, e, literal(1), NONE, NONE, NONE)),
        "eval": make("eval", (literal("f"), e), tag=1),
    }[keeper]
    out = make("add", (e, B))
    assert step(plan(("h", holder), ("x", out)), out).reuse is None


def test_another_shape_or_another_storage_is_no_buffer() -> None:
    row = make("colSums", (make("exp", (A,)),))
    out = make("add", (B, row))
    assert step(plan(("x", out)), out).reuse is None
    sparse = make("mul", (live_in("S"), B))
    out = make("add", (sparse, B))
    assert step(plan(("x", out)), out).reuse is None


def test_a_variable_gives_its_buffer_only_when_its_value_is_dead() -> None:
    out = make("add", (A, B))
    assert step(plan(("A", out)), out).reuse == 0
    assert step(plan(("x", out)), out).reuse is None
    assert step(plan(("x", out), after="B"), out).reuse == 0
    assert step(plan(("x", out), ("y", A), after="B"), out).reuse is None


def test_small_results_are_not_worth_a_buffer() -> None:
    e = make("exp", (A,))
    out = make("add", (e, B))
    with mock.patch("dmlite.plan.physical.REUSE_CELLS", N * N + 1):
        assert step(plan(("x", out)), out).reuse is None


def test_the_old_value_of_a_loop_variable_is_recycled() -> None:
    out = make("add", (A, B))
    found = plan(("x", out), recycled=["x"])
    assert step(found, out).recycle == "x"
    assert step(plan(("x", out)), out).recycle is None


# ---------------------------------------------------------------- storing in place
def test_a_store_into_the_only_holder_is_in_place() -> None:
    assert step(plan(("A", store(A))), store(A)).owned


def test_a_store_is_a_copy_while_the_old_value_lives() -> None:
    assert not step(plan(("x", store(A)), after=("A",)), store(A)).owned
    assert not step(plan(("B", A), ("A", store(A))), store(A)).owned


def test_a_store_is_a_copy_while_a_view_lives() -> None:
    assert not step(plan(("v", make("t", (A,))), ("A", store(A))), store(A)).owned


def test_a_read_after_the_store_in_the_text_is_a_read_of_the_old_value() -> None:
    old = make("sum", (A,))
    found = plan(("A", store(A)), ("s", old))
    assert not step(found, store(A)).owned


def test_a_read_before_the_store_does_not_matter() -> None:
    found = plan(("s", make("sum", (A,))), ("A", store(A)))
    assert step(found, store(A)).owned


def test_stores_one_after_the_other_are_in_place() -> None:
    first = store(A)
    second = make("leftindex", (first, literal(2.0), literal(2), NONE, literal(2), NONE))
    found = plan(("A", second))
    assert step(found, first).owned
    assert step(found, second).owned


def test_a_store_of_part_of_the_matrix_itself_is_a_copy() -> None:
    part = make("index", (A, literal(1), literal(2), NONE, NONE))
    hop = make("leftindex", (A, part, literal(2), literal(3), NONE, NONE))
    assert not step(plan(("A", hop)), hop).owned


# ---------------------------------------------------------------- whole numbers nobody sees
def test_ints_that_only_index_are_internal() -> None:
    low = make("add", (I, literal(1)))
    part = make("index", (A, low, NONE, NONE, NONE))
    assert low in plan(("x", part)).internal
    assert low not in plan(("x", part), ("k", low)).internal
    assert low not in plan(("x", store(A, low))).internal
