"""Which operators a rewrite took away and which it made; and that long programs are explained in bearable time."""

from __future__ import annotations

from time import perf_counter

import numpy as np

from dmlite import dml
from dmlite.explain.lineage import below, difference
from dmlite.hop.node import Hop, live_in, make

X, Y = live_in("X"), live_in("Y")


def chain(hop: Hop, length: int) -> Hop:
    for _ in range(length):
        hop = make("exp", [hop])
    return hop


def test_what_both_sides_share_is_in_neither():
    shared = make("t", [make("add", [X, Y])])
    before, after = make("t", [make("t", [shared])]), shared
    assert difference(before, after) == ([make("t", [shared]), before], [])
    new = make("mul", [shared, X])
    assert difference(before, new) == ([make("t", [shared]), before], [new])


def test_deep_operands_are_not_walked_through():
    deep = chain(X, 3000)
    before, after = make("matmul", [deep, make("neg", [Y])]), make("neg", [make("matmul", [deep, Y])])
    gone, made = difference(before, after)
    assert gone == [make("neg", [Y]), before] and made == [make("matmul", [deep, Y]), after]


def test_below_stops_at_what_is_known():
    inner = make("add", [X, Y])
    top = make("mul", [make("exp", [inner]), inner])
    assert below(top, {inner}) == [make("exp", [inner]), top]
    assert below(inner, {inner}) == []


def test_a_long_block_is_explained_in_bearable_time():
    lines = "".join(f"A = (A * 2 + t(t(A))) / (1 + exp(-A)) - sum(A * {k})\n" for k in range(60))
    start = perf_counter()
    text = str(dml(f"A = X\n{lines}").input("X", np.ones((50, 40))).output("A").explain())
    assert text.count("double_transpose") == 60
    assert perf_counter() - start < 30  # a few seconds; walks through the whole block for every rewrite take minutes
