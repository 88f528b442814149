"""Generated source: what it looks like, and that nothing a script says becomes code."""

from __future__ import annotations

import ast
import keyword
import math
import random
import re

import numpy as np
import pytest

from dmlite.codegen.emit import literal_code, tidy
from dmlite.errors import DMLError
from tests.support.engine import executed, runs_of


def body(text: str, name: str = "x", **inputs: object) -> list[str]:
    """The generated statements of the block that binds `name`."""
    engine, _, _ = executed(text, 0, **inputs)
    lines = runs_of(engine, name)[-1].code.source.splitlines()
    return [line.strip() for line in lines[1:]]


def sources(text: str, **inputs: object) -> str:
    engine, _, _ = executed(text, **inputs)
    return "\n".join(engine.sources.values())


# ---------------------------------------------------------------- literals and names
@pytest.mark.parametrize(
    "value",
    [
        0,
        7,
        -3,
        2**62,
        0.0,
        1.5,
        -2.5,
        1e308,
        5e-324,
        0.1,
        True,
        False,
        "",
        "a",
        "'\"\\\n\t\0",
        "é\u2028\ud800",
        (1, "b"),
        (1,),
        ((1.5, -2), ()),
    ],
)
def test_literals_come_back_as_they_are(value: object) -> None:
    read = ast.literal_eval(literal_code(value))
    assert repr(read) == repr(value)


def test_literals_that_python_has_no_word_for() -> None:
    names = {"nan": math.nan, "inf": math.inf}
    for value in (math.nan, math.inf, -math.inf, -0.0):
        assert repr(eval(literal_code(value), names)) == repr(value)  # noqa: S307


def test_negative_literals_keep_their_sign_in_any_expression() -> None:
    assert eval(f"2 ** {literal_code(-2)}") == 0.25  # noqa: S307
    assert eval(f"{literal_code(-2.0)} ** 2") == 4.0  # noqa: S307


@pytest.mark.parametrize("name", ["x", "import", "a.b", "x y", "é", "__class__", "1x", "a@7", "%c3", "x;y", "x\ny"])
def test_tidied_names_are_parts_of_identifiers(name: str) -> None:
    assert re.fullmatch(r"\w*", tidy(name), re.ASCII)
    assert f"u1_{tidy(name)}".isidentifier()


# ---------------------------------------------------------------- hostile scripts
HOSTILE = [
    "__import__('os').system('false')",
    "'); raise SystemExit('",
    '"); raise SystemExit("',
    "\\'); raise SystemExit(\\'",
    "\n    raise SystemExit\n",
    "{x}{0}{}",
    "%s%d%(x)s",
    '"""',
    "'''",
    "\\",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_strings_of_a_script_are_only_data(text: str) -> None:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    script = f'x = "{quoted}"\nfor (i in 1:2) {{ x = x + "" + i }}\nL = list("{quoted}", 1)\ny = as.scalar(L[1])\nprint(y)'
    _, values, printed = executed(script)
    assert values["x"] == text + "12"
    assert values["y"] == text
    assert printed == text + "\n"


@pytest.mark.parametrize(
    "name",
    [
        k
        for k in (*keyword.kwlist, *keyword.softkwlist)
        if k.isidentifier() and k[0] != "_" and k not in ("if", "else", "for", "in", "while", "return", "as")
    ],
)
def test_words_of_python_are_names_like_any_other(name: str) -> None:
    text = f"f = function(double {name}) return (double y) {{ y = {name} + 1; while (FALSE) {{}} }}\n{name} = 2\nfor (i in 1:n) {{ {name} = {name} * 2 }}\nz = f({name})"
    try:
        _, values, _ = executed(text, n=2)
    except DMLError as error:
        pytest.fail(str(error))
    assert values["z"] == 9.0


@pytest.mark.parametrize(
    "name",
    [
        "np_add",
        "refcount",
        "param_refs",
        "x0_x",
        "v0",
        "u0_x",
        "main",
        "b0",
        "plans",
        "truth",
        "loop_range",
        "UNSET",
        "nan",
        "inf",
        "print",
        "eval",
        "exec",
        "self",
        "key",
        "out",
    ],
)
def test_names_of_the_generated_code_are_free(name: str) -> None:
    text = f"{name} = matrix(k, 3, 3)\nfor (i in 1:2) {{ {name} = {name} + 1; {name}[1, 1] = i }}\nif (k > 1) {{ x = sum({name}) }} else {{ x = 0 }}"
    _, values, _ = executed(text, k=2)
    assert values["x"] == 8 * 4 + 2
    _, values, _ = executed(f"{name} = function(double {name}) return (double r) {{ r = {name}; while (FALSE) {{}} }}\nx = {name}(k)", k=2)
    assert values["x"] == 2.0


def test_no_string_of_a_script_stands_outside_of_a_literal() -> None:
    rng = random.Random(5)
    marker = "qZ7"
    for _ in range(30):
        noise = "".join(rng.choice("'\"\\{}()#\n;$%") for _ in range(6)).replace("\\", "\\\\").replace('"', '\\"')
        code = sources(f'x = k + "{marker}{noise}"\nif (k > 1) {{ print("{noise}{marker}") }}', k=2)
        tree = ast.parse(code)
        names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} | {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        assert not any(marker in n for n in names)
        assert any(isinstance(n, ast.Constant) and isinstance(n.value, str) and marker in n.value for n in ast.walk(tree))


@pytest.mark.parametrize("number", ["1e309", "1e-400", "9223372036854775807", "0.1", "1e22", "123456789012345678", "4.9E-324", "00012"])
def test_numbers_arrive_exactly(number: str) -> None:
    _, values, _ = executed(f"L = list({number}, {number} + 0.0)\nx = as.scalar(L[1])")
    assert repr(values["x"]) == repr(int(number) if number.isdigit() else float(number))


# ---------------------------------------------------------------- golden source
def test_source_of_dense_arithmetic() -> None:
    text = "A = matrix(k, 3, 3); B = matrix(k, 3, 3)\nif (k > 0) { x = A + B * 2 - exp(A) }"
    assert body(text, k=2.0) == [
        "v0 = x1_B * 2",
        "v1 = x0_A + v0",
        "v2 = np_exp(x0_A)",
        "v3 = v1 - v2",
        "return v3",
    ]


def test_source_of_products_and_aggregates() -> None:
    text = "A = matrix(k, 3, 2)\nif (k > 0) { x = sum(t(A) %*% A) }"
    assert body(text, k=2.0) == ["v0 = x0_A.T", "v1 = v0 @ x0_A", "v2 = float(np_add.reduce(v1, None))", "return v2"]


def test_sums_of_many_short_rows_go_through_blas() -> None:
    X = np.ones((5000, 4))
    assert body("x = rowSums(A)", A=X) == ["v0 = aggregate__rowSums(x0_A)", "return v0"]
    assert body("x = rowSums(A)", A=X[:10]) == ["v0 = np_add.reduce(x0_A, 1, None, None, True)", "return v0"]


def test_source_of_scalar_arithmetic() -> None:
    text = "a = k + 0.5; b = a\nif (k > 0) { x = a * b - 2; y = x > a & a != b }"
    assert body(text, k=2.0) == [
        "v0 = x0_a * x1_b",
        "v1 = v0 - 2",
        "v2 = v1 > x0_a",
        "v3 = x0_a != x1_b",
        "v4 = v2 and v3",
        "return v1, v4",
    ]


def test_ints_that_may_overflow_go_through_a_kernel() -> None:
    assert body("a = k\nif (k > 0) { x = a + 1 }", k=2) == ["v0 = scalar__add(x0_a, 1)", "return v0"]


def test_source_of_a_slice_checks_its_bounds() -> None:
    lines = body("A = matrix(k, 5, 6)\nfor (i in 1:2) { x = A[2:3, i] }", k=2.0)
    assert lines == [
        "if x1_i < 1 or x1_i > 6: indexing__out_of_range(x1_i, x1_i, x0_A.shape, 1)",
        "v0 = x0_A[1:3, x1_i - 1:x1_i]",
        "return v0",
    ]


def test_source_of_a_store_asks_who_else_refers_to_the_array() -> None:
    lines = body("A = matrix(k, 5, 6); r = matrix(k, 1, 6)\nfor (i in 1:2) { A[i,] = r }", "A", k=2.0)
    assert lines[1].startswith("v0 = x0_A if (refcount(x0_A) <= param_refs and x0_A.flags.owndata) else x0_A.copy()")
    assert lines[2] == "v0[x2_i - 1:x2_i, :] = x1_r"


def test_large_dead_values_are_deleted_and_small_ones_are_not() -> None:
    text = "A = matrix(k, {n}, {n})\nif (k > 0) {{ x = sum(exp(A) %*% A) }}"
    assert not any(line.startswith("del") for line in body(text.format(n=10), k=2.0))
    assert [line for line in body(text.format(n=200), k=2.0) if line.startswith("del")] == ["del v0", "del v1"]


def test_sparse_values_go_through_kernels() -> None:
    from scipy.sparse import csr_array

    lines = body("if (k > 0) { x = S * 2 + 1 }", S=csr_array((5, 5)), k=2.0)
    assert lines == ["v0 = elementwise__mul(x0_S, 2)", "v1 = elementwise__add(v0, 1)", "return v1"]


def test_source_of_control_flow() -> None:
    engine, _, _ = executed("s = 0\nfor (i in 1:k) { if (s > 3) { s = 0 } else { s = s + i } }\nwhile (s > 0) { s = s - 1 }", k=3)
    lines = [re.sub(r"\bb\d+\(", "block(", re.sub(r"\bu\d+_", "", line)).strip() for line in engine.sources["main"].splitlines()]
    assert any(re.fullmatch(r"run_\d+ = loop\d+.start\(loop_range\(.*\)\)", line) for line in lines)
    assert any(re.fullmatch(r"for i in run_\d+.part:", line) for line in lines)
    assert any(line.startswith("if truth(") for line in lines)
    assert "while True:" in lines
    assert lines[-1].startswith("return {")


def test_every_line_that_may_fail_points_to_the_script() -> None:
    engine, _, _ = executed("A = matrix(k, 3, 3)\nfor (i in 1:2) {\n  x = A[i,] %*% A +\n    sum(A)\n}", 0, k=2.0)
    run = runs_of(engine, "x")[-1]
    places = {what: span for what, span in run.code.lines.values()}
    assert {what: span.line for what, span in places.items() if span} == {"[]": 3, "%*%": 3, "sum": 4, "+": 3}
