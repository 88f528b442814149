"""`dmlite explain` and the `%%dml` cell."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dmlite.tools.cli import main
from dmlite.tools.notebook import CellError, load_ipython_extension, run_cell


@pytest.fixture
def script(tmp_path):
    file = tmp_path / "s.dml"
    file.write_text('X = rand(rows=$n, cols=4, seed=1)\ns = sum(X^2)\nprint("sum " + s)\n')
    return str(file)


def test_levels_and_formats(script, capsys):
    for level in ("ast", "hops", "plan", "runtime", "trace"):
        assert main(["explain", script, "--level", level]) == 0
        assert capsys.readouterr().out.startswith(f"# {script}: {level}, optimization level 2\n")
    assert main(["explain", script, "--format", "json", "-nvargs", "n=5"]) == 0
    assert json.loads(capsys.readouterr().out)["blocks"][0]["plan"]["operators"][0]["value"]["rows"] == 5
    assert main(["explain", script, "--format", "dot", "--level", "trace"]) == 2
    assert "dot draws the levels" in capsys.readouterr().err


def test_the_format_follows_from_the_file(script, tmp_path, capsys):
    starts = {"p.html": "<!DOCTYPE html>", "p.json": "{", "p.dot": "digraph", "p.mmd": "flowchart", "p.txt": "# "}
    for name, start in starts.items():
        assert main(["explain", script, "-o", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
    assert capsys.readouterr().out == ""
    assert main(["explain", script, "-o", str(tmp_path / "missing" / "p.html")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_analyze_keeps_what_the_script_prints_apart(script, capsys):
    assert main(["explain", script, "--analyze", "-nvargs", "n=5"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("# ") and "took" in out and err.startswith("sum ")
    assert main(["explain", script, "--analyze", "--inputs", "Y", "-nvargs", "n=5"]) == 2


def test_run_with_explain(script, capsys):
    assert main(["run", script, "--explain", "hops", "-nvargs", "n=5"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("sum ") and err.startswith(f"# {script}: hops")


# ---------------------------------------------------------------- notebooks
def test_a_cell_takes_and_leaves_variables():
    namespace = {"X": np.full((3, 2), 2.0)}
    assert run_cell("-i X -o s,Y -nvargs k=3", "s = sum(X) * $k\nY = X + 1", namespace) is None
    assert namespace["s"] == 36.0
    assert np.array_equal(np.asarray(namespace["Y"]), np.full((3, 2), 3.0))
    assert run_cell("-i Y", "m = max(Y)", namespace)["m"] == 3.0


def test_a_cell_can_be_explained():
    explanation = run_cell("-i X --explain hops", "Y = X + 1", {"X": np.ones((3, 2))})
    assert "Y = X + 1" in str(explanation) and explanation.level == "hops"
    assert run_cell("-i X --analyze", "Y = X + 1", {"X": np.ones((3, 2))}).record.run is not None


@pytest.mark.parametrize(
    ("line", "cell", "message"),
    [
        ("-i Z", "x = 1", "there is no variable 'Z' in the notebook"),
        ("file.dml", "x = 1", "takes options only"),
        ("--nonsense", "x = 1", "unknown option --nonsense"),
        ("", "x = y", "the variable 'y' is not defined"),
        ("-o z", "x = 1", "z"),
        ('-i "', "x = 1", "No closing quotation"),
    ],
)
def test_mistakes_in_a_cell_are_messages(line, cell, message):
    with pytest.raises(CellError, match=message) as caught:
        run_cell(line, cell, {})
    assert any(message in text for text in caught.value._render_traceback_())


def test_the_extension_loads():
    class Shell:
        def __init__(self):
            self.user_ns = {"X": np.ones((2, 2))}

        def register_magic_function(self, function, kind, name):
            self.registered = function, kind, name

    shell = Shell()
    load_ipython_extension(shell)
    function, kind, name = shell.registered
    assert (kind, name) == ("cell", "dml")
    function("-i X -o total", "total = sum(X)")
    assert shell.user_ns["total"] == 4.0


def test_the_extension_loads_in_ipython():
    shells = pytest.importorskip("IPython.core.interactiveshell", reason="IPython is not installed")
    shell = shells.InteractiveShell()
    shell.run_cell("%load_ext dmlite.tools.notebook")
    shell.run_cell("%%dml -o x\nx = 1 + 2")
    assert shell.user_ns["x"] == 3
