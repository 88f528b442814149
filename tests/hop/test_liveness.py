"""Which bindings somebody still reads."""

from __future__ import annotations

from dmlite.hop.facts import scalar
from dmlite.hop.program import Block
from tests.support.engine import lowered, nodes

C = {"c": scalar("boolean"), "n": scalar("int")}


def bound(text: str, outputs: list[str] | None = None) -> list[list[str]]:
    """The variables each block still binds, without the names of the compiler's own."""
    return [
        [n for n in node.outputs if not n.startswith("%")]
        for node in nodes(lowered(text, C, outputs))
        if isinstance(node, Block) and node.roots
    ]


def test_everything_is_wanted_by_default() -> None:
    assert bound("x = 1; y = 2") == [["x", "y"]]


def test_a_binding_that_is_overwritten_unread_is_dropped() -> None:
    assert bound("x = n * 2; if (c) { y = 1 } else { y = 2 }\nx = 3", ["x", "y"]) == [[], ["y"], ["y"], ["x"]]
    assert bound("x = n * 2\nwhile (n > c) { n = n - 1 }\nx = 3", ["x"]) == [[], ["n"], ["x"]]


def test_outputs_choose_what_lives() -> None:
    assert bound("x = n + 1; y = n + 2; z = y * 2", ["z"]) == [["z"]]
    assert bound("x = n + 1; print(x)", []) == [[]]


def test_effects_stay() -> None:
    program = lowered("x = n + 1; print(x); y = x", C, [])
    (block,) = [n for n in nodes(program) if isinstance(n, Block)]
    assert [r.hop.op for r in block.roots] == ["print"]


def test_a_variable_read_on_one_path_lives() -> None:
    assert ["x"] in bound("x = n * 2\nif (c) { print(x) }", [])


def test_a_variable_written_on_both_paths_does_not_live_before_them() -> None:
    blocks = bound("x = n * 2\nif (c) { x = 1 } else { x = 2 }\nprint(x)", [])
    assert "x" not in blocks[0]


def test_a_variable_written_on_one_path_only_lives_before_it() -> None:
    assert "x" in bound("x = n * 2\nif (c) { x = 1 }\nprint(x)", [])[0]


def test_values_carried_around_a_loop_live() -> None:
    text = "a = n; b = n + 1; d = 0\nfor (i in 1:n) { d = a; a = b; b = d + a }\nprint(b)"
    first, body, *_ = bound(text, [])
    assert set(first) == {"a", "b"}
    assert set(body) == {"a", "b"}


def test_what_a_loop_computes_for_nobody_is_dropped() -> None:
    text = "s = 0; t = 0\nfor (i in 1:n) { s = s + i; t = t + s * 2 }\nprint(s)"
    assert all("t" not in block for block in bound(text, []))


def test_the_condition_of_a_while_loop_lives() -> None:
    text = "k = n\nwhile (k > 0) { k = k - 1 }"
    assert any("k" in block for block in bound(text, []))


def test_a_range_loop_always_sets_its_variable_and_a_sequence_may_not() -> None:
    assert all("i" not in block for block in bound("i = n * 3\nfor (i in 1:n) { print(i) }\nprint(i)", []))
    assert any("i" in block for block in bound("i = n * 3\nfor (i in seq(1, n, 2)) { print(i) }\nprint(i)", []))


def test_arguments_of_calls_live_and_unused_results_do_not_keep_their_block() -> None:
    text = "f = function(double x) return (double y, double z) { y = x; z = 0; while (y > 9) { y = y / 2; z = z + 1 } }\n[p, q] = f(n)\nprint(p)"
    program = lowered(text, C, [])
    assert [type(n).__name__ for n in program.main.body].count("CallNode") == 1


def test_results_of_a_parfor_live_through_it() -> None:
    text = "R = matrix(0, 3, 1); S = matrix(1, 3, 1) * n\nparfor (i in 1:3) { R[i,1] = i }\nprint(sum(R))"
    blocks = bound(text, [])
    assert "R" in blocks[0]
    assert "S" not in blocks[0]
