"""Rewrites of whole statements: each leaves its place, what it did, and why, in every view."""

from __future__ import annotations

import html
import json
import re

import numpy as np
import pytest

from dmlite import dml
from dmlite.hop.changes import KINDS, quoted
from tests.support.browser import CHROMIUM, opened

F = "f = function(matrix[double] A) return (double s) {\n  s = sum(A * 2)\n}\n"
LOOPED = "g = function(matrix[double] A) return (double s) {\n  s = 0\n  for (i in 1:nrow(A)) { s = s + sum(A[i, ]) * s }\n}\n"
# script, then the rewrite that is expected: kind, line, before, after, reason
CASES = {
    "inlining": (F + "y = f(X)", "inlining", 4, "f(X)", "1 statement of f", KINDS["inlining"].why),
    "function": (F + "y = f(X)", "function_removal", None, "function f", "nothing", "every call of it was inlined"),
    "never called": (F + "y = 1", "function_removal", None, "function f", "nothing", "nothing calls it"),
    "branch": (
        "debug = FALSE\nif (debug) { print(sum(X)) }",
        "branch_removal",
        2,
        "if (debug)",
        "nothing",
        "the condition is known to be FALSE before the program runs",
    ),
    "other branch": ("n = 3\nif (n > 2) { y = 1 } else { y = 2 }", "branch_removal", 2, "if (n > 2)", "its then branch, as part of the block around it", None),
    "loop": ("more = FALSE\nwhile (more) { print(sum(X)) }", "loop_removal", 2, "while (more)", "nothing", KINDS["loop_removal"].why),
    "motion": (
        "y = 0\nfor (k in 1:4) {\n  y = y + sum((t(X) %*% X) * k)\n}",
        "loop_invariant_motion",
        3,
        "t(X) %*% X",
        "computed once, before the loop in line 2",
        "no iteration changes it",
    ),
    "rows": (
        "R = matrix(0, 50, 1)\nfor (i in 1:50) {\n  R[i, 1] = X[i, 1] * 2\n}\ny = sum(R)",
        "loop_vectorisation",
        2,
        "for (i in 1:50) { R[i, 1] = X[i, 1] * 2 }",
        "one expression for all rows of R",
        "no iteration needs another one",
    ),
    "dead": ("y = sum(X)\nz = sum(X ^ 3)", "dead_code_removal", 2, "z = sum(X ^ 3)", "nothing", "nobody reads it"),
    "in place": ("Y = X + 1\nif (sum(X) > 3) { Y[1, 2] = 5 }\ny = sum(Y)", "update_in_place", 2, "Y[1, 2] = ...", "written into the old matrix, 2.4 KB not copied", None),
}  # fmt: skip


def explained(script: str, level: str = "trace", format: str = "text"):
    return dml(script).input("X", np.ones((50, 6))).output("y").explain(level, format)


@pytest.mark.parametrize("name", CASES)
def test_each_leaves_its_place_and_its_reason(name):
    script, kind, line, before, after, why = CASES[name]
    script = script if "y = " in script else script + "\ny = 1"
    found = [s for s in explained(script).record.statements if s.kind == kind]
    assert found, [s.kind for s in explained(script).record.statements]
    change = found[0]
    assert (change.before, change.after) == (before, after)
    assert (change.place.line if change.place else None) == line
    assert change.why == (why or change.why) and change.why


def test_all_kinds_are_tried():
    assert {case[1] for case in CASES.values()} == set(KINDS)


def test_they_stand_in_text_data_and_page():
    script = CASES["branch"][0] + "\ny = 1"
    assert "branch_removal in line 2\n    if (debug)\n    -> nothing\n    the condition is known to be FALSE" in str(explained(script))
    line = "  branch_removal in line 2: if (debug)  ->  nothing  (the condition is known to be FALSE before the program runs)\n"
    assert line in str(explained(script, "plan"))
    data = json.loads(str(explained(script, "plan", "json")))
    assert data["statements"][0]["kind"] == "branch_removal" and data["statements"][0]["place"]["line"] == 2
    assert '"rule":"branch_removal"' in explained(script).page()


def test_nothing_is_told_twice_where_loops_are_lowered_repeatedly():
    script = F + "y = 0\nfor (i in 1:3) {\n  for (k in 1:3) {\n    y = y + f(X + y)\n    if (1 > 2) { y = 0 }\n  }\n}"
    kinds = [s.kind for s in explained(script).record.statements]
    assert kinds.count("inlining") == 1 and kinds.count("branch_removal") == 1


def test_what_stays_a_call_is_no_removal():
    assert not [s for s in explained(LOOPED + "y = g(X)").record.statements if s.kind in ("inlining", "function_removal")]


def test_quotes_are_one_short_line():
    change = next(s for s in explained("y = 0\nfor (i in 1:50) {\n  # a note\n  y = y + 1\n}\nR = matrix(0, 50, 1)\nfor (i in 1:50) {\n  # a note\n  R[i, 1] = X[i, 1]\n}\ny = y + sum(R)").record.statements if s.kind == "loop_vectorisation")  # fmt: skip
    assert change.before == "for (i in 1:50) { R[i, 1] = X[i, 1] }"
    assert quoted(None) == ""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to open the page with")
def test_the_page_steps_through_them(tmp_path):
    page = tmp_path / "page.html"
    page.write_text(explained(CASES["branch"][0] + "\ny = sum(X^2)").page(), encoding="utf-8")
    body = html.unescape(re.sub(r"<[^>]*>", " ", opened(page, "#level=trace&step=0").partition("<main>")[2]))
    found = r"Rewrite 1 of 3;.*branch_removal\s+the condition is known to be FALSE .*before\s+if \(debug\)\s+after\s+nothing"
    assert re.search(found, body, re.DOTALL)
