"""Lowering: what is known where, which code remains, and which functions are made."""

from __future__ import annotations

import pytest

from dmlite.errors import DMLValidationError
from dmlite.hop.calls import MAX_INSTANCES
from dmlite.hop.facts import UNKNOWN, constant, matrix, scalar
from dmlite.hop.program import ForNode, IfNode
from tests.support.engine import control, fact, lowered, nodes, operators


def shape(text: str, name: str = "X", **inputs: object) -> tuple[int | None, int | None]:
    found = fact(lowered(text, inputs), name)  # type: ignore[arg-type]
    assert found.is_matrix
    return found.rows, found.cols


# ---------------------------------------------------------------- constants
def test_constants_fold_through_straight_lines() -> None:
    program = lowered("a = 2; b = a * 3 + 1; c = 'n' + b; d = b > 6 & TRUE; e = max(a, b) %% 4; f = -b ^ 2")
    values = {n: fact(program, n).value for n in "abcdef"}
    assert values == {"a": 2, "b": 7, "c": "n7", "d": True, "e": 3, "f": -49.0}
    assert operators(program) == {"literal"}


def test_constants_flow_through_a_branch_that_gives_both_the_same_value() -> None:
    text = "if (c) { a = 1; b = 5 } else { a = 2; b = 5 }\nx = a + 0; y = b + 1"
    program = lowered(text, {"c": scalar("boolean")})
    assert not fact(program, "x").is_const
    assert fact(program, "x").vtype == "int"
    assert fact(program, "y").value == 6


def test_the_dead_branch_is_dropped_with_what_would_not_fit() -> None:
    program = lowered("n = 3\nif (n > 2) { X = matrix(1, n, n) } else { X = matrix(1, 2, 2) %*% matrix(1, 5, 5) }\ny = nrow(X)")
    assert control(program) == []
    assert fact(program, "y").value == 3


def test_dollar_parameters_are_constants() -> None:
    program = lowered("n = ifdef($n, 4)\nX = matrix(0, n, $m)", n=2, m=3)
    assert (fact(program, "X").rows, fact(program, "X").cols) == (2, 3)


@pytest.mark.parametrize("loop", ["while (FALSE)", "while (1 > 2)"])
def test_a_loop_that_never_runs_is_dropped(loop: str) -> None:
    program = lowered(f"x = 1\n{loop} {{ x = x + 1 }}\ny = x")
    assert control(program) == []
    assert fact(program, "y").value == 1


def test_constants_survive_a_loop_that_does_not_change_them() -> None:
    program = lowered("n = 3; X = matrix(1, n, n); s = 0\nfor (i in 1:5) { s = s + n }\nY = matrix(0, n, 1)")
    assert (fact(program, "Y").rows, fact(program, "Y").cols) == (3, 1)


def test_constants_that_a_loop_changes_are_forgotten() -> None:
    program = lowered("n = 3\nfor (i in 1:5) { n = n + 1 }\nX = matrix(0, n, 1)")
    assert (fact(program, "X").rows, fact(program, "X").cols) == (None, 1)


def test_constants_enter_functions() -> None:
    text = "f = function(int n) return (matrix[double] Y) { while (FALSE) {}; for (i in 1:2) { Y = matrix(i, n, n + 1) } }\nX = f(3)"
    program = lowered(text)
    assert control(program) == ["f"]
    (instance,) = program.functions.values()
    assert (instance.returns_facts[0].rows, instance.returns_facts[0].cols) == (3, 4)


# ---------------------------------------------------------------- shapes
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X = t(A)", (4, 3)),
        ("X = A %*% t(A)", (3, 3)),
        ("X = cbind(A, A[,1:2])", (3, 6)),
        ("X = A[2,]", (1, 4)),
        ("X = A[1:2, 2]", (2, 1)),
        ("X = colSums(A)", (1, 4)),
        ("X = rowSums(A) + A", (3, 4)),
        ("X = table(seq(1, 3), seq(1, 3), 5, 6)", (5, 6)),
        ("X = seq(1, nrow(A))", (3, 1)),
        ("X = matrix(A, 2, 6)", (2, 6)),
        ("X = A; X[1, 1] = 7", (3, 4)),
        ("X = ifelse(A > 0, A, 0)", (3, 4)),
        ("X = A[as.integer(k):nrow(A), ]", (None, 4)),
        ('X = removeEmpty(target=A, margin="rows")', (None, 4)),
        ("X = matrix(0, k, k + 1)", (None, None)),
    ],
)
def test_shapes(text: str, expected: tuple[int | None, int | None]) -> None:
    assert shape(text, A=matrix(3, 4), k=scalar("int")) == expected


@pytest.mark.parametrize(
    ("bounds", "width"),
    [
        ("(t-1)*D+1 : t*D", 5),
        ("t : t", 1),
        ("t : (t+2)", 3),
        ("(2*t - 1) : (2*t)", 2),
        ("(t*D - D + 1) : (t*D)", 5),
        ("k+1 : k+D", 5),
        ("(t-1)*k+1 : t*k", None),
        ("1 : t", None),
        ("(t+3) : t", None),
    ],
)
def test_widths_of_symbolic_slices(bounds: str, width: int | None) -> None:
    text = f"D = 5; X = matrix(1, 2, 50)\nfor (t in 1:T) {{ Y = X[, {bounds}] }}"
    program = lowered(text, {"T": scalar("int"), "k": scalar("int")})
    assert fact(program, "Y").rows == 2
    assert fact(program, "Y").cols == width


def test_bounds_on_nonzeros_flow() -> None:
    program = lowered("X = abs(S); Y = t(S); Z = S + 1; W = rbind(S, S)", {"S": matrix(100, 50, 7)})
    assert [fact(program, n).nnz for n in "XYZW"] == [7, 7, 5000, 14]


# ---------------------------------------------------------------- loops
def test_facts_at_the_start_of_a_loop_hold_after_every_iteration() -> None:
    program = lowered("X = matrix(1, 2, 3); Y = X\nfor (i in 1:4) { Y = X; X = rbind(X, matrix(i, 1, 3)) }")
    assert fact(program, "Y").rows is None
    assert fact(program, "Y").cols == 3


def test_shapes_that_are_stable_stay_known_in_a_loop() -> None:
    program = lowered("w = matrix(0, 4, 1); A = matrix(2, 4, 4)\nwhile (sum(w) < k) { g = A %*% w; w = w + g + 1 }", {"k": scalar("int")})
    assert (fact(program, "g").rows, fact(program, "g").cols) == (4, 1)


def test_a_transposing_loop_loses_both_dimensions() -> None:
    program = lowered("X = matrix(1, 2, 3)\nfor (i in 1:3) { Y = X; X = t(X) }")
    assert (fact(program, "Y").rows, fact(program, "Y").cols) == (None, None)


def test_a_variable_that_changes_its_kind_in_a_loop_is_unknown() -> None:
    program = lowered("x = 1\nfor (i in 1:3) { y = x; x = matrix(1, 2, 2) }")
    assert fact(program, "y").kind == "unknown"


@pytest.mark.parametrize("source", ["read(n)", "removeEmpty(target=X, margin='rows')", "table(X[, 1], X[, 2])"])
def test_what_follows_a_result_of_unknown_size_is_planned_when_it_is_there(source: str) -> None:
    blocks = [b for _, b in lowered(f"Y = {source}\nz = sum(Y) + 1", {"X": matrix(9, 4), "n": scalar("string")}).blocks()]
    assert len(blocks) == 2 and blocks[1].inputs == ["Y"]


def test_the_loop_variable_is_an_int() -> None:
    assert fact(lowered("for (i in 1.5:3) { j = i }"), "j") == scalar("int")


def test_nested_loops_reach_a_fixpoint() -> None:
    text = "X = matrix(1, 1, 1); n = 1\nfor (i in 1:3) { for (j in 1:2) { while (n < 4) { n = n + 1; X = cbind(X, X[,1]) } }; Y = X }"
    program = lowered(text)
    assert (fact(program, "Y").rows, fact(program, "Y").cols) == (1, None)


# ---------------------------------------------------------------- branches and unset variables
def test_branches_join_their_shapes() -> None:
    program = lowered("if (c) { X = matrix(1, 2, 3) } else { X = matrix(1, 4, 3) }\nY = X * 2", {"c": scalar("boolean")})
    assert (fact(program, "Y").rows, fact(program, "Y").cols) == (None, 3)
    assert any(isinstance(n, IfNode) for n in nodes(program))


def test_a_matrix_in_one_branch_and_a_scalar_in_the_other_is_refused() -> None:
    with pytest.raises(DMLValidationError, match="a scalar after one branch and a matrix after the other"):
        lowered("if (c) { X = 1 } else { X = matrix(1, 2, 2) }", {"c": scalar("boolean")})


def test_a_variable_of_one_branch_is_checked_where_it_is_read() -> None:
    program = lowered("if (c) { x = 1 }\ny = x + 1", {"c": scalar("boolean")})
    block = next(n for n in nodes(program) if getattr(n, "outputs", None) == ["y"])
    assert set(block.checked) == {"x"}  # type: ignore[union-attr]
    assert "x" in program.main.maybe_unset


def test_variables_of_a_for_loop_over_a_range_are_set_after_it() -> None:
    assert "y" not in lowered("for (i in 1:n) { y = i }\nz = y", {"n": scalar("int")}).main.maybe_unset
    assert "y" in lowered("for (i in seq(1, n, 1)) { y = i }\nz = y", {"n": scalar("int")}).main.maybe_unset
    assert "y" in lowered("while (n > 3) { y = n; n = n - 1 }\nz = y", {"n": scalar("int")}).main.maybe_unset


def test_exists_is_decided_when_it_can_be() -> None:
    program = lowered("x = 1; a = exists(x); b = exists('y')")
    assert fact(program, "a").value is True
    assert fact(program, "b").value is False
    assert "is_set" in operators(lowered("if (c) { x = 1 }\na = exists(x)", {"c": scalar("boolean")}))


def test_misfits_are_reported_at_compile_time_only_where_they_must_happen() -> None:
    bad = "Y = matrix(1, 2, 3) %*% matrix(1, 2, 3)"
    with pytest.raises(DMLValidationError):
        lowered(bad)
    with pytest.raises(DMLValidationError):
        lowered(f"for (i in 1:3) {{ {bad} }}")
    lowered(f"if (c) {{ {bad} }}", {"c": scalar("boolean")})
    lowered(f"while (c) {{ {bad} }}", {"c": scalar("boolean")})
    lowered(f"for (i in seq(1, 0, 1)) {{ {bad} }}")


def test_all_problems_of_a_script_are_reported() -> None:
    with pytest.raises(DMLValidationError) as caught:
        lowered("A = matrix(1, 2, 3)\nB = A %*% A\nC = cbind(A, t(A))\nd = as.scalar(A)")
    assert [p.span.line for p in caught.value.problems if p.span] == [2, 3, 4]


# ---------------------------------------------------------------- functions
SQUARE = "f = function(matrix[double] A) return (matrix[double] B) { B = A %*% A }\n"
LOOP = "f = function(matrix[double] A, int n) return (matrix[double] B) { B = A; for (i in 1:n) { B = B + A } }\n"


def test_a_straight_function_is_inlined() -> None:
    program = lowered(SQUARE + "X = f(f(matrix(1, 3, 3)))")
    assert control(program) == []
    assert fact(program, "X").rows == 3


def test_branches_of_an_inlined_function_are_decided_at_the_call() -> None:
    text = "f = function(boolean b, double x) return (double y) { if (b) { y = x * 2 } else { y = -x } }\np = f(TRUE, 3); q = f(FALSE, 3)"
    program = lowered(text)
    assert control(program) == []
    assert (fact(program, "p").value, fact(program, "q").value) == (6.0, -3.0)


def test_names_of_caller_and_callee_do_not_mix() -> None:
    text = "f = function(double x) return (double y) { a = x; b = a + 1; y = b }\na = 10; b = 20; x = 30; y = f(1); z = a + b + x"
    program = lowered(text)
    assert fact(program, "z").value == 60
    assert fact(program, "y").value == 2.0


def test_a_function_with_a_loop_is_called_by_instance() -> None:
    program = lowered(LOOP + "X = f(matrix(1, 2, 2), 3); Y = f(matrix(1, 2, 2), 3); Z = f(matrix(1, 5, 5), 3)")
    assert control(program) == ["f", "f", "f"]
    assert len(program.functions) == 2
    assert sorted(i.returns_facts[0].rows for i in program.functions.values()) == [2, 5]  # type: ignore[type-var]


def test_instances_of_a_function_are_limited() -> None:
    calls = "\n".join(f"X{n} = f(matrix(1, {n}, {n}), {n})" for n in range(1, 3 * MAX_INSTANCES))
    program = lowered(LOOP + calls)
    assert len(program.functions) <= MAX_INSTANCES + 1
    assert any(i.returns_facts[0].rows is None for i in program.functions.values())


def test_recursion_uses_the_declared_types() -> None:
    text = "f = function(int n, matrix[double] A) return (matrix[double] B) { if (n == 0) { B = A } else { B = f(n - 1, rbind(A, A)) } }\n"
    program = lowered(text + "X = f(k, matrix(1, 1, 2))", {"k": scalar("int")})
    assert {i.name for i in program.functions.values()} == {"f"}
    assert len(program.functions) <= 3


def test_mutual_recursion_ends() -> None:
    text = (
        "even = function(int n) return (boolean b) { if (n == 0) { b = TRUE } else { b = odd(n - 1) } }\n"
        "odd = function(int n) return (boolean b) { if (n == 0) { b = FALSE } else { b = even(n - 1) } }\n"
        "x = even(k)"
    )
    program = lowered(text, {"k": scalar("int")})
    assert {i.name for i in program.functions.values()} <= {"even", "odd"}


def test_functions_that_are_never_called_are_checked() -> None:
    with pytest.raises(DMLValidationError, match="2x3"):
        lowered("f = function(double x) return (double y) { y = sum(matrix(1, 2, 3) %*% matrix(1, 2, 3)) }\nz = 1")


def test_arguments_are_converted_to_the_declared_type() -> None:
    text = "f = function(int n, double x, string s, boolean b) return (string r) { r = s + n + x + b }\ny = f(2.7, 3, 5, 0.5)"
    assert fact(lowered(text), "y").value == "523.0TRUE"


def test_a_call_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(DMLValidationError, match=r"argument 'A' of f must be a matrix\[double\]"):
        lowered(SQUARE + "X = f(3)")


def test_defaults_are_lowered_in_the_scope_of_the_function() -> None:
    text = "f = function(double x, double k = 2 * 3) return (double y) { y = x + k }\nk = 100; y = f(1)"
    assert fact(lowered(text), "y").value == 7.0


# ---------------------------------------------------------------- what is kept
def test_only_wanted_outputs_are_kept() -> None:
    program = lowered("A = matrix(1, 9, 9); B = A %*% A; c = 3; print(c)", outputs=["c"])
    assert "matmul" not in operators(program)
    assert program.main.returns == ["c"]


def test_common_subexpressions_are_one_node() -> None:
    program = lowered("x = sum(A %*% B) + sum(A %*% B); Y = A %*% B", {"A": matrix(3, 3), "B": matrix(3, 3)})
    blocks = [n for n in nodes(program) if hasattr(n, "hops")]
    assert sum(h.op == "matmul" for b in blocks for h in b.hops) == 1  # type: ignore[union-attr]


def test_draws_are_never_one_node() -> None:
    program = lowered("x = sum(rand(rows=2, cols=2)) + sum(rand(rows=2, cols=2))")
    blocks = [n for n in nodes(program) if hasattr(n, "hops")]
    assert sum(h.op == "rand" for b in blocks for h in b.hops) == 2  # type: ignore[union-attr]


def test_parfor_names_its_results() -> None:
    text = (
        "R = matrix(0, 3, 2); S = matrix(0, 1, 2); s = 0\nparfor (i in 1:3, check=0) { x = i; R[i,] = matrix(x, 1, 2); S += R[i,]; s = i }"
    )
    (loop,) = [n for n in nodes(lowered(text)) if isinstance(n, ForNode)]
    assert loop.parallel is not None
    assert loop.parallel.results == ("R",)
    assert loop.parallel.accumulators == ("S",)
    assert loop.parallel.restored == ("s",)


def test_locals_of_a_parfor_do_not_exist_after_it() -> None:
    with pytest.raises(DMLValidationError, match="x"):
        lowered("R = matrix(0, 3, 1)\nparfor (i in 1:3) { x = i; R[i,1] = x }\ny = x")


def test_facts_of_constants_and_unknowns() -> None:
    assert fact(lowered("x = 1.5"), "x") == constant(1.5)
    assert fact(lowered("L = list(1, 2); x = as.scalar(L[1])"), "x") == UNKNOWN


def test_nested_loops_are_lowered_in_time() -> None:
    """A loop inside of loops is lowered once more a level, not twice as often."""
    depth = 24
    head = "".join(f"w{i} = 0\nwhile (w{i} < n) {{ w{i} = w{i} + 1\n" for i in range(depth))
    program = lowered("s = 0\n" + head + "s = s + 1\n" + "}" * depth, {"n": scalar("int")})
    assert len(control(program)) == depth
    assert fact(program, "s").vtype == "int"
