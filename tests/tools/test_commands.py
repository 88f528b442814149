"""The commands beside `run`: explain, check, fmt, doctor."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from tests.support.commands import COMMAND, script

pytestmark = pytest.mark.usefixtures("folder")


# ---------------------------------------------------------------- explain
@pytest.mark.parametrize(("level", "shows"), [("hops", "%*%"), ("plan", "random.rand"), ("runtime", "def ")])
def test_explain(cli, level, shows):
    script("X = rand(rows=$n, cols=$n)\nprint(sum(X %*% X) > 0)")
    status, out, err = cli("explain", "x.dml", "--level", level, "-nvargs", "n=3")
    assert (status, err) == (0, "") and shows in out and "main()" in out


def test_explain_of_what_is_not_known(cli):
    script("W = t(X) %*% X * $rate")
    status, out, err = cli("explain", "x.dml", "--inputs", "X")
    assert (status, err) == (0, "") and "main(X)" in out and "%*%" in out
    assert cli("explain", "x.dml")[0] == 1


# ---------------------------------------------------------------- check
def test_check(cli):
    script("x = 1\nprint(x)", "good.dml")
    script("print(a)\nprint(b)", "bad.dml")
    assert cli("check", "good.dml") == (0, "", "1 file checked: no problems\n")
    status, out, err = cli("check", "good.dml", "bad.dml", "nowhere.dml")
    assert (status, out) == (1, "")
    assert "bad.dml:1:7: error" in err and "bad.dml:2:7: error" in err and "no such script: nowhere.dml" in err
    assert err.endswith("3 files checked: 3 errors\n")


def test_check_says_warning(cli):
    script("f = function(double x) return (double y) { if (x > 1) { y = 1 } }\nprint(f(2))")
    status, out, err = cli("check", "x.dml")
    assert (status, out) == (0, "") and "x.dml:1:" in err and ": warning: " in err and ": error: " not in err
    assert err.endswith("1 file checked: 1 warning\n")


def test_run_says_warnings_and_runs(cli):
    script("x = 5\nif (x > 3) { z = 2 }\nprint(z)")
    status, out, err = cli("run", "x.dml")
    assert (status, out) == (0, "2\n")
    assert "x.dml:3:7: warning: 'z' is set only on some of the paths that lead here" in err


def test_check_neither_runs_nor_needs_files_and_parameters(cli, folder):
    script("X = read($file)\nY = read('nowhere.csv', format='csv')\nprint(sum(X) + sum(Y))\nwrite(X, 'out.csv', format='csv')\nstop('ran')")
    assert cli("check", "x.dml")[0] == 0
    assert not (folder / "out.csv").exists()


def test_check_of_inputs(cli):
    script("print(sum(X %*% y))")
    assert cli("check", "x.dml")[0] == 1
    assert cli("check", "x.dml", "--inputs", "X,y")[0] == 0


# ---------------------------------------------------------------- fmt
UGLY = "# sum\nx=1+2   ;print( x )\n"


def test_fmt(cli, folder):
    path = folder / script(UGLY)
    path.chmod(0o640)
    assert cli("fmt", "--check", "x.dml") == (1, "", "would reformat x.dml\n")
    assert path.read_text() == UGLY
    assert cli("fmt", "x.dml") == (0, "", "reformatted x.dml\n")
    assert path.read_text() == "# sum\nx = 1 + 2\nprint(x)\n"
    assert path.stat().st_mode & 0o777 == 0o640
    assert cli("fmt", "x.dml") == (0, "", "") and cli("fmt", "--check", "x.dml") == (0, "", "")
    assert cli("x.dml")[1] == "3\n"
    assert os.listdir(folder) == ["x.dml"]


def test_fmt_leaves_what_does_not_parse(cli, folder):
    script("x = (1", "bad.dml")
    script(UGLY)
    status, out, err = cli("fmt", "bad.dml", "x.dml")
    assert (status, out) == (1, "") and "bad.dml:1:" in err and "reformatted x.dml" in err
    assert (folder / "bad.dml").read_text() == "x = (1"


def test_fmt_leaves_the_file_when_writing_fails(cli, folder, monkeypatch):
    script(UGLY)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    status, out, err = cli("fmt", "x.dml")
    assert (status, out) == (1, "") and "No space left" in err
    assert (folder / "x.dml").read_text() == UGLY and os.listdir(folder) == ["x.dml"]


def test_fmt_refuses_to_change_the_program(cli, folder, monkeypatch):
    script(UGLY)
    monkeypatch.setattr("dmlite.lang.printer.to_dml", lambda node: "x = 4\n")
    status, _, err = cli("fmt", "x.dml")
    assert status == 1 and "not be the same program" in err
    assert (folder / "x.dml").read_text() == UGLY


def test_fmt_of_line_ends_and_marks(cli, folder):
    (folder / "x.dml").write_bytes(b"\xef\xbb\xbfx = 1\r\nprint(x)\r\n")
    assert cli("fmt", "x.dml")[0] == 0
    assert (folder / "x.dml").read_bytes() == b"x = 1\nprint(x)\n"


def test_fmt_of_stdin():
    done = subprocess.run([*COMMAND, "fmt", "-"], input=UGLY, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "# sum\nx = 1 + 2\nprint(x)\n", "")


# ---------------------------------------------------------------- doctor
def test_doctor(cli):
    status, out, err = cli("doctor")
    assert (status, err) == (0, "")
    for line in ("numpy", "scipy", "cupy-cuda12x", "cores", "memory", "BLAS", "nn library", "scripts"):
        assert f"  {line}" in out


def test_doctor_never_fails(cli, monkeypatch):
    from importlib import metadata

    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    monkeypatch.setattr("numpy.show_config", lambda mode: {})
    monkeypatch.setenv("DMLITE_CACHE_DIR", "/nowhere/at/all")
    status, out, _ = cli("doctor")
    assert status == 0 and "missing: pip install 'dmlite[gpu]'" in out and "unknown" in out and "/nowhere/at/all" in out


def test_doctor_is_quick():
    begun = time.perf_counter()
    subprocess.run([*COMMAND, "doctor"], check=True, capture_output=True, timeout=60)
    assert time.perf_counter() - begun < 20
