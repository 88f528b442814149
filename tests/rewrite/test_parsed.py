"""Rules that were parsed in an earlier process are the rules that parsing gives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmlite.hop.node import Hop, literal, make
from dmlite.hop.text import dml_to_hop
from dmlite.rewrite.parsed import Parsed
from dmlite.rewrite.pattern import _leaf
from dmlite.rewrite.phases import ALL

TEXTS = sorted({text for rule in ALL for text in (*rule.spellings, *([rule.after] if isinstance(rule.after, str) else []))})


def parse(text: str) -> Hop:
    return dml_to_hop(text, _leaf)


def refuse(text: str) -> Hop:
    raise AssertionError(f"{text} is parsed again")


def test_what_is_kept_is_what_was_parsed(tmp_path: Path) -> None:
    first = Parsed(tmp_path / "new" / "rules.json")
    nodes = {text: first.node(text, parse) for text in TEXTS}
    first.write()
    again = Parsed(first.path)
    for text, node in nodes.items():
        found = again.node(text, refuse)
        assert found is node or "rand" in text, text  # draws without a seed are never the same node
        assert repr(found) == repr(node)


@pytest.mark.parametrize("value", [1, 1.0, -0.0, True, None, "a", float("inf"), float("nan"), (1, 2.5), 10**17])
def test_constants_keep_their_type(tmp_path: Path, value: object) -> None:
    kept = Parsed(tmp_path / "rules.json")
    kept.node("x", lambda _: make("abs", (literal(value),)))
    kept.write()
    assert Parsed(kept.path).node("x", refuse) is make("abs", (literal(value),))


@pytest.mark.parametrize("content", ["", "{", "[]", "[1]", '{"X + Y": 3}', '{"X + Y": ["add"]}', '{"X + Y": ["add", null, false, 7]}'])
def test_a_damaged_file_is_done_without(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rules.json"
    path.write_text(content)
    assert Parsed(path).node("X + Y", parse) is parse("X + Y")


def test_nothing_is_written_where_nothing_was_parsed_or_nothing_can_be(tmp_path: Path) -> None:
    kept = Parsed(tmp_path / "rules.json")
    kept.write()
    assert not kept.path.exists()
    (tmp_path / "file").write_text("")
    hopeless = Parsed(tmp_path / "file" / "rules.json")
    assert hopeless.node("X + Y", parse) is parse("X + Y")
    hopeless.write()


def test_the_second_process_finds_the_rules_of_the_first(tmp_path: Path) -> None:
    program = "from dmlite import dml; dml('X = rand(rows=9, cols=9); print(sum(X %*% t(X)) > 0)').execute()"
    sizes = []
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", program], env=os.environ | {"DMLITE_CACHE_DIR": str(tmp_path)}, check=True, capture_output=True
        )
        (file,) = tmp_path.glob("rules-*.json")
        sizes.append((file.stat().st_size, file.stat().st_mtime_ns))
    assert sizes[0] == sizes[1]
