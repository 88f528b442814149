"""Every snippet of the corpus prints what SystemDS 3.4.0 prints, or what `differences.json` says with its reason."""

from __future__ import annotations

import pytest
from snippets import HERE, Snippet, differences, expected, mismatch, snippets, topics

CORPUS = {snippet.name: snippet for topic in topics() for snippet in snippets(topic)}
WANTED = {name: text.splitlines() for topic in topics() for name, text in expected(topic).items()}
WANTED |= {name: entry["dmlite"] for name, entry in differences().items()}


def _parameter(snippet: Snippet):
    marks = [pytest.mark.xfail(reason="a builtin of the script library", strict=True)] if snippet.later else []
    return pytest.param(snippet, id=f"{snippet.topic}-{snippet.name}", marks=marks)


@pytest.mark.parametrize("keep", ["every variable", "nothing"])
@pytest.mark.parametrize("snippet", [_parameter(snippet) for snippet in CORPUS.values()])
def test_snippet(snippet, keep, capsys, monkeypatch):
    from dmlite import MLContext, dml

    monkeypatch.chdir(HERE)
    script = dml(snippet.text)
    if keep == "nothing":
        script.output()  # what serves no print is dead code
    MLContext().execute(script)
    assert (problem := mismatch(WANTED[snippet.name], capsys.readouterr().out.splitlines())) is None, problem


def test_names_are_unique_and_complete():
    assert sum(len(snippets(topic)) for topic in topics()) == len(CORPUS)
    assert CORPUS.keys() == WANTED.keys()


def test_differences_are_explained():
    for name, entry in differences().items():
        assert entry["reason"] and entry["systemds"], name
        assert name not in expected(CORPUS[name].topic), name


@pytest.mark.parametrize(
    ("wanted", "got", "same"),
    [
        ("sum 0.30000000000000004 of", "sum 0.3 of", True),
        ("1.0E-13", "-3.0E-14", True),
        ("0.333333333 2.000000000", "0.333333334 2.000000000", True),
        ("0.333333333", "0.333333335", False),
        ("3", "3.0", False),
        ("1.000", "1.00", False),
        ("1.0E7", "10000000.0", False),
        ("x1 2.0", "x2 2.0", False),
        ("NaN", "nan", False),
        ("1.0", "1.00001", False),
    ],
)
def test_comparison(wanted, got, same):
    assert (mismatch([wanted], [got]) is None) == same
