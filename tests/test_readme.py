"""What the README shows is what happens."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1].joinpath("README.md").read_text("utf-8")
FILES = dict(re.findall(r"^`(\w+\.dml)`\n\n```r\n(.*?)^```", README, re.M | re.S))
RUNS = re.findall(r"^```console\n\$ (dmlite .*?)\n(.*?)^```", README, re.M | re.S)


@pytest.mark.parametrize(("command", "shown"), [pytest.param(*run, id=run[0]) for run in RUNS if "demo" not in run[0]])
def test_commands(command, shown, tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    words = [sys.executable, "-m", *shlex.split(command)]
    done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    pattern = ".*".join(map(re.escape, re.split(r"^\.\.\.\n", shown, flags=re.M)))
    assert re.fullmatch(pattern, done.stdout, re.S), done.stdout


def test_python(capsys):
    code = re.search(r"^```python\n(.*?)^```", README, re.M | re.S)[1]
    exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - our own text
    expected = re.search(r"# (Matrix.*)$", code, re.M)[1]
    assert capsys.readouterr().out == f"{expected}\n"


def test_every_file_and_folder_it_names_is_there():
    root = Path(__file__).parents[1]
    named = re.findall(r"`((?:tests|scripts|nnlib|dmlite|\.ci)/[\w./-]*)`", README)
    assert named and [name for name in named if not (root / name).exists()] == []
    folders = re.findall(r"^\| `(\w+)/` \|", README, re.M)
    assert folders == ["lang", "hop", "rewrite", "plan", "codegen", "backends", "runtime", "explain", "tools"]
