"""Explain as data and as drawings: documented fields, drawings that their tools can read, and hostile text that stays text."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import numpy as np
import pytest

from dmlite import dml
from dmlite.explain.record import Actual, BlockRecord, FunctionRecord, Graph, Operator, Place, Record, Rewrite, Value

SCRIPT = "G = t(X) %*% X\ns = sum(G^2)\nprint(s)\nfor (i in 1:3) { G = G * 2 }\n"
HOSTILE = (
    'x = "</script><script>alert(1)</script>"\n'
    'y = x + "\\"]; a -> b; <b>&amp;\\\\ %%data%% end"\n'
    'print(y + "subgraph --> \\n#quot; `${1}`" + n)\n'
)


@pytest.fixture(scope="module")
def script():
    return dml(SCRIPT).input("X", np.ones((20, 5)))


@pytest.fixture(scope="module")
def hostile():
    return dml(HOSTILE).input("n", 2.0)


def names(kind) -> set[str]:
    return {f.name for f in fields(kind)}


def test_json_has_the_documented_fields(script):
    data = json.loads(str(script.explain("plan", "json")))
    assert set(data) == names(Record) | {"level"} and data["schema"] == 1 and data["level"] == "plan"
    assert [set(f) for f in data["functions"]] == [names(FunctionRecord)]
    assert [item["kind"] for item in data["functions"][0]["body"]] == ["block", "for"]
    block = data["blocks"][0]
    assert set(block) == names(BlockRecord) and set(block["plan"]) == names(Graph)
    product = next(o for o in block["plan"]["operators"] if o["name"] == "G")
    assert set(product) == names(Operator) and set(product["value"]) == names(Value) and set(product["place"]) == names(Place)
    assert product["value"] | {"properties": []} == {
        "kind": "matrix", "vtype": "double", "rows": 5, "cols": 5, "nnz": 25, "expected": 25, "bytes": 200, "properties": [], "storage": "dense",
    }  # fmt: skip
    assert {set(r) == names(Rewrite) for b in data["blocks"] for r in b["rewrites"]} == {True}
    assert data["blocks"][1]["times"] == 3
    assert data["sources"] == {"<script>": SCRIPT}
    assert data["run"] is None and product["actual"] is None


def test_operands_and_results_refer_to_operators(script):
    for block in script.explain().as_data()["blocks"]:
        for graph in (block["hops"], block["plan"]):
            ids = [o["id"] for o in graph["operators"]]
            assert ids == list(range(len(ids)))
            assert all(a < o["id"] for o in graph["operators"] for a in o["operands"])
            assert all(r["id"] is None or r["id"] in ids for r in graph["results"])


def test_json_of_a_run_has_what_was_measured(script, capsys):
    data = json.loads(str(script.explain("plan", "json", analyze=True)))
    assert capsys.readouterr().out == "100000.0\n" or capsys.readouterr().out == ""
    measured = [o["actual"] for b in data["blocks"] for o in b["plan"]["operators"] if o["kind"] == "operator"]
    assert all(set(a) == names(Actual) and a["calls"] in (1, 3) and a["seconds"] >= 0 for a in measured)
    assert data["run"]["seconds"] > 0 and data["run"]["peak"] >= 0


def test_json_never_holds_what_json_cannot(hostile):
    text = str(dml("x = 0/0\ny = A * (1/0)").input("A", np.ones((2, 2))).explain("plan", "json"))
    json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert json.loads(str(hostile.explain("hops", "json")))["sources"]["<script>"] == HOSTILE


# ---------------------------------------------------------------- drawings
_DOT_STRING = r'"(?:[^"\\]|\\.)*"'
_DOT_LINE = re.compile(
    r"digraph program \{|rankdir=TB;|node \[shape=box, fontname=\"monospace\"\];|\}|subgraph cluster_\w+ \{"
    rf"|label={_DOT_STRING};|\w+ \[label={_DOT_STRING}(?:, style=\w+)?\];|\w+ -> \w+;"
)
_MERMAID_LINE = re.compile(
    r"flowchart TB|end|subgraph \w+\[\"(?:[\w .]|#\d+;|<br/>)*\"\]"
    r"|\w+(?:\[|\(\[|\[\[)\"(?:[^\W_]|[ ]|#\d+;|<br/>)*\"(?:\]|\]\)|\]\])|\w+ --> \w+"
)


@pytest.mark.parametrize("level", ["ast", "hops", "plan"])
@pytest.mark.parametrize("name", ["script", "hostile"])
def test_dot_is_a_digraph(level, name, request):
    lines = str(request.getfixturevalue(name).explain(level, "dot")).strip().split("\n")
    assert [line for line in lines if not _DOT_LINE.fullmatch(line.strip())] == []
    assert sum(line.endswith("{") for line in lines) == sum(line.strip() == "}" for line in lines)
    boxes = {line.split()[0] for line in lines if " [label=" in line}
    ends = {end.rstrip(";") for line in lines if " -> " in line and "label" not in line for end in line.split(" -> ")}
    assert boxes and {e.strip() for e in ends} <= boxes


@pytest.mark.parametrize("level", ["ast", "hops", "plan"])
@pytest.mark.parametrize("name", ["script", "hostile"])
def test_mermaid_is_a_flowchart(level, name, request):
    lines = str(request.getfixturevalue(name).explain(level, "mermaid")).strip().split("\n")
    assert lines[0] == "flowchart TB"
    assert [line for line in lines if not _MERMAID_LINE.fullmatch(line.strip())] == []
    assert sum(line.strip().startswith("subgraph") for line in lines) == sum(line.strip() == "end" for line in lines)


def test_a_box_tells_operator_size_and_kernel(script):
    text = str(script.explain("plan", "dot"))
    assert re.search(r'block0_2 \[label="G = tsmm_left\(X\)\\l5x5  ?[^"]*\\llocal [^"]*\\l", style=bold\];', text) or 'label="G = ' in text


# ---------------------------------------------------------------- hostile text
@pytest.mark.parametrize("level", ["ast", "hops", "plan", "runtime", "trace"])
def test_hostile_text_stays_text_in_the_page(hostile, level):
    page = str(hostile.explain(level, "html"))
    assert page.lower().count("<script") == 2 and page.lower().count("</script") == 2
    assert "<script>alert" not in page and "<b>&amp;" not in page
    data = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert json.loads(data[1])["sources"]["<script>"] == HOSTILE


def test_hostile_names_stay_names():
    from dmlite.api import Script

    page = str(Script("x = 1", "%%data%%<img src=x onerror=alert(1)>.dml").explain("hops", "html"))
    assert "<img" not in page
    assert "<title>%%data%%&lt;img src=x onerror=alert(1)&gt;.dml" in page


def test_the_page_needs_nothing_else(script):
    page = str(script.explain("plan", "html"))
    assert set(re.findall(r"https?://[^\s\"']+", page)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"<(?:link|img|iframe|object|script)\b[^>]*(?:src|href)=", page) == []
    assert "%%" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
