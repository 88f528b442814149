"""The demonstration: what it writes, what it says, and that it can be stopped."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dmlite.errors import DMLError
from dmlite.tools import demo
from dmlite.tools.demo import BROKEN, HEALTHY, Findings, run_demo, sparkline
from tests.support.commands import interruptible
from tests.support.reference_models import lorenz


@pytest.fixture
def short(monkeypatch):
    """Just enough iterations to tell the two machines apart."""
    for name, iterations in (("LSTM", 20), ("AUTOENCODER", 100)):
        detector = getattr(demo, name)
        changes = {**vars(detector), "quick": iterations, "reports": 5}
        monkeypatch.setattr(demo, name, type(detector)(**changes))


def test_the_demo(short, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = io.StringIO()
    assert run_demo(Path("a/b"), quick=True, stream=out) == 0
    lines = out.getvalue().splitlines()
    losses = [line for line in lines if " loss " in line and "iteration" in line]
    assert len(losses) == 2 * 3 * 5
    assert losses[0].split() == ["LSTM,", "healthy", "iteration", "0", "loss", losses[0].split()[-1]]
    assert lines[-3].startswith("Alarm: on the broken bearing the loss of the LSTM jumped by a factor of ")
    assert float(lines[-3].rsplit(" ", 1)[1].rstrip(".")) > 10
    assert lines[-1] == "Report: a/b/report.html"
    assert [p.name for p in (tmp_path / "a/b").iterdir()] == ["report.html"]
    page = (tmp_path / "a/b/report.html").read_text()
    assert page.count("<svg") == 2 + 6 + 3 and "healthy, again" in page and "http" not in page


def test_the_signals_are_the_published_ones():
    for shape in (HEALTHY, BROKEN):
        assert np.array_equal(demo._signal(shape), lorenz(shape["$a"], shape["$b"], shape["$c"]))


def test_the_sentence():
    findings = Findings(demo.LSTM, {"healthy": [(0, 9.0), (1, 2.0)], "broken": [(0, 21.0), (1, 3.0)]})
    assert findings.factor == 10.5
    assert findings.sentence() == "Alarm: on the broken bearing the loss of the LSTM jumped by a factor of 10.5."
    findings.losses["broken"] = [(0, 2.0)]
    assert findings.sentence() == "No alarm: on the broken bearing the loss of the LSTM changed by a factor of 1."


def test_on_a_terminal(short, tmp_path, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    run_demo(tmp_path, quick=True, stream=out)
    shown = out.getvalue()
    assert "LSTM, healthy, again" in shown and "▁" in shown and "Alarm" in shown


def test_a_sparkline():
    assert sparkline([0, 7, 3.5, 1]) == "▁█▅▂"
    assert sparkline([2.0, 2.0]) == "▁▁"


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DMLError, match="file"):
        run_demo(tmp_path / "file", quick=True, stream=io.StringIO())


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_interruption_leaves_nothing_half_written(tmp_path):
    command = [sys.executable, "-m", "dmlite", "demo", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, preexec_fn=interruptible)
    assert process.stdout is not None
    assert any("loss" in line for line in iter(process.stdout.readline, ""))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "dmlite: interrupted\n")
    assert list(tmp_path.iterdir()) == []
