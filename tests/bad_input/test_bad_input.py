"""What a person sees when a script is wrong: one message for one mistake, at the right place, and nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cases import HERE, Case, cases

CASES = cases()
PROBLEM = re.compile(r"^(?P<file>[^\n]*?):(?P<line>\d+):(?P<column>\d+): error: (?P<message>.*)$", re.M)

INSIDE = re.compile(r"Traceback|DMLITE_TRACEBACK|Errno|could not convert|NoneType|numpy|ndarray|scipy| object ")  # no words of Python


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with the data files; the test fails where it holds anything new afterwards."""
    shutil.copytree(HERE / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _files(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def _check(case: Case, shown: str) -> None:
    found = list(PROBLEM.finditer(shown))
    assert not INSIDE.search(shown), shown
    assert len(re.findall(r"^(?:.*: )?error: ", shown, re.M)) == len(case.places), shown
    assert [(int(m["line"]), int(m["column"])) for m in found] == list(case.places), shown
    for match, wanted in zip(found, case.says, strict=True):
        assert re.search(wanted, match["message"], re.I), shown
        assert match["file"].endswith(case.file or "script.dml"), shown
    if case.hint:
        hints = re.findall(r"^\s+hint: (.*)$", shown, re.M)
        assert any(re.search(case.hint, hint, re.I) for hint in hints), shown


@pytest.mark.parametrize("case", CASES, ids=[f"{case.topic}-{case.name}" for case in CASES])
def test_message(case, folder, capsys):
    from dmlite.tools.cli import main

    (folder / "script.dml").write_text(case.text, encoding="utf-8")
    before = _files(folder)
    status = main(["run", "script.dml", *case.args])
    shown = capsys.readouterr()
    assert status == 1, shown.err
    _check(case, shown.err)
    assert "error" not in shown.out
    assert _files(folder) == before


@pytest.mark.parametrize("name", ["undefined-variable", "matmul-at-run-time", "two-syntax-errors"])
def test_message_of_a_process(name, folder):
    case = next(case for case in CASES if case.name == name)
    (folder / "script.dml").write_text(case.text, encoding="utf-8")
    before = _files(folder)
    process = subprocess.run([sys.executable, "-m", "dmlite", "run", "script.dml"], capture_output=True, text=True, timeout=60)
    assert process.returncode == 1
    _check(case, process.stderr)
    assert process.stdout == ""
    assert _files(folder) == before


@pytest.mark.parametrize(
    "words", [["run"], ["run", "script.dml", "-nvargs", "n"], ["walk", "script.dml"], ["run", "script.dml", "--no-such-option"]]
)
def test_usage(words, folder, capsys):
    from dmlite.tools.cli import main

    (folder / "script.dml").write_text("print(1)\n", encoding="utf-8")
    try:
        status = main(words)
    except SystemExit as exit_:
        status = exit_.code
    shown = capsys.readouterr()
    assert status == 2
    assert shown.out == "" and shown.err and "Traceback" not in shown.err


def test_missing_script(folder, capsys):
    from dmlite.tools.cli import main

    assert main(["run", "no_such_script.dml"]) in (1, 2)
    shown = capsys.readouterr()
    assert "no_such_script.dml" in shown.err and "Traceback" not in shown.err and shown.out == ""


def test_names_are_unique():
    assert len({case.name for case in CASES}) == len(CASES)
