"""The catalogue of rewrites: complete, with counts, as table, data and page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import dmlite.rewrite
from dmlite.errors import DMLError
from dmlite.hop.changes import KINDS
from dmlite.rewrite.phases import ALL
from dmlite.tools.catalogue import as_html, as_json, as_text, catalogue, select
from dmlite.tools.cli import main


def test_every_rule_is_there_with_where_it_stands():
    entries = catalogue()
    rules = [r.name for r in dict.fromkeys(ALL)]
    assert [e.name for e in entries] == [*rules, *KINDS]
    for entry in entries[: len(rules)]:
        assert entry.before and entry.after and entry.why and entry.level in (2, 3, 4)
        assert entry.level == 2 or entry.values == "ignores-nan"
        assert entry.topic, entry.name
        file = Path(dmlite.rewrite.__file__).parent / f"{entry.topic.replace('.', '/')}.py"
        if entry.line is not None:
            assert f'"{entry.name}"' in file.read_text().split("\n")[entry.line - 1]


def test_one_rule_in_full():
    (entry,) = select(catalogue(), "double_transpose")
    text = as_text([entry], whole=True)
    assert text.split("\n")[:2] == ["double_transpose", "    t(t(X))  ->  X"]
    assert "  why     a transpose undoes itself; two copies saved\n" in text
    assert "  values  exact: the same numbers bit for bit, up to the sign of zero; at level 2 and above\n" in text


def test_parts_of_names_and_names_that_there_are_not():
    assert {"double_transpose", "trace_of_transpose"} <= {e.name for e in select(catalogue(), "transpose")}
    with pytest.raises(DMLError, match="there is no rewrite rule 'double_transposed_'"):
        select(catalogue(), "double_transposed_")


def test_counts_in_a_script(tmp_path, capsys):
    script = tmp_path / "s.dml"
    script.write_text("X = rand(rows=5, cols=4)\nprint(sum(t(t(X))))\nprint(sum(t(t(X + 1))))\nif (1 > 2) { print(3) }\n")
    assert main(["rules", "--script", str(script), "--format", "json"]) == 0
    fired = {e["name"]: e["fired"] for e in json.loads(capsys.readouterr().out)}
    assert fired["double_transpose"] == 2 and fired["double_reverse"] == 0 and fired["branch_removal"] == 1
    assert main(["rules", "--script", str(script)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{len(fired)} rewrite rules, fired {sum(fired.values())} times\n")
    assert out.split("\n")[2].split()[:2] == ["2", "double_transpose"]  # those that fired come first


def test_the_command(tmp_path, capsys):
    assert main(["rules"]) == 0
    assert "double_transpose" in capsys.readouterr().out
    assert main(["rules", "double_transpose"]) == 0
    assert "t(t(X))  ->  X" in capsys.readouterr().out
    assert main(["rules", "double_transpse"]) == 1
    assert "did you mean 'double_transpose'?" in capsys.readouterr().err
    assert main(["rules", "--format", "dot"]) == 2
    page = tmp_path / "rules.html"
    assert main(["rules", "-o", str(page)]) == 0
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_the_page_escapes_and_lists_all():
    entries = catalogue({"double_transpose": 3})
    page = as_html(entries, "<x>.dml")
    assert all(f'<tr id="{e.name}">' in page for e in entries)
    assert "&lt;x&gt;.dml" in page and "<x>" not in page and "they fired 3 times" in page
    assert len(json.loads(as_json(entries))) == len(entries)


def test_rewrites_of_statements_are_listed_too(capsys):
    assert main(["rules", "branch_removal"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("branch_removal\n    if (c) {...} else {...}  ->  one branch, or neither\n") and "file" not in out
