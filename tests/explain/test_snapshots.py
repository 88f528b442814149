"""Plans of ten real scripts as kept in `snapshots/`, to be read: what changed when the optimizer did.

Figures that follow from the cost model are masked. `DMLITE_UPDATE_SNAPSHOTS=1` writes them anew.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

from dmlite import dmlFromFile

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SCRIPTS = [*sorted((HERE / "scripts").glob("*.dml")), *sorted((ROOT / "scripts" / "anomaly").glob("*.dml"))]
RECORDING = {"autoencoder": (300, 3), "lstm": (3000, 1), "spectrum": (1024, 3)}
WRITTEN = ("autoencoder", "lorenz", "lstm", "spectrum")  # scripts that write what they find where they are told to
_FIGURE = re.compile(r"(?<![\w.])\d[\d.]*(?:e[+-]\d+)? (?:s|ms|us|ns)\b")


def plan(path: Path) -> str:
    script = dmlFromFile(path)
    if path.stem in RECORDING:
        script.input("X", np.random.default_rng(1).normal(size=RECORDING[path.stem]))
    if path.stem in WRITTEN:
        script.input("$out", path.stem)
    text = str(script.output().explain("plan")).replace(str(path), path.name)
    text = text.split("where the time goes")[0]  # a ranking by masked figures
    lines = _FIGURE.sub("_", text).split("\n")
    return "\n".join(line[: len(line) - len(line.lstrip())] + re.sub(r" {2,}", "  ", line.strip()) for line in lines)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_plan(path):
    kept = HERE / "snapshots" / f"{path.stem}.txt"
    found = plan(path)
    if os.environ.get("DMLITE_UPDATE_SNAPSHOTS"):
        kept.write_text(found, encoding="utf-8")
    assert kept.is_file(), "run once with DMLITE_UPDATE_SNAPSHOTS=1"
    assert found == kept.read_text(encoding="utf-8")


def test_there_are_ten():
    assert len(SCRIPTS) >= 10
