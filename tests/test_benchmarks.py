"""The benchmarks run at tiny sizes and agree with their peers; nothing here looks at times."""

from __future__ import annotations

import xml.etree.ElementTree as xml

import numpy as np
import pytest
from scipy.sparse import csr_array

from tests.benchmarks.__main__ import main
from tests.benchmarks.report import markdown
from tests.benchmarks.runs import Run, agree, from_json
from tests.benchmarks.systemds import write
from tests.benchmarks.workload import Target, load, save
from tests.benchmarks.workloads import WORKLOADS


def test_all_peers_find_the_same(tmp_path, capsys):
    pytest.importorskip("sklearn")
    words = ["--quick", "--rounds", "1", "--with", "dmlite", "numpy", "scikit-learn", "dask-tasks", "--out", str(tmp_path)]
    status = main([*words, "--only", "lstm", "wdivmm", "chains", "l2svm-dense", "dask-cells"])
    assert status == 0, capsys.readouterr().out
    runs = from_json((tmp_path / "results.json").read_text())
    assert {name: list(peers) for name, peers in runs.items()} == {
        "lstm": ["dmlite", "numpy"],
        "wdivmm": ["dmlite", "numpy"],
        "chains": ["dmlite", "numpy"],
        "l2svm-dense": ["dmlite", "scikit-learn"],
        "dask-cells": ["dmlite", "dask-tasks"],
    }
    for peers in runs.values():
        assert all(np.isfinite(list(run.results.values())).all() and run.results for found in peers.values() for run in found)
    assert (tmp_path / "results.md").read_text().count("| agree |") == 10
    assert xml.parse(tmp_path / "results.svg").getroot().tag.endswith("svg")


def _run(seconds: float, size: float, peak: int) -> Run:
    return Run(seconds, [seconds, 9 * seconds, seconds / 2], {"size": size, "total": 1.0}, seconds, peak, 10**8)


def test_report_tells_what_is_missed_and_what_differs():
    row = WORKLOADS["lrcg"]
    runs = {"dmlite": [_run(2, 5, 2 * 10**9)], "numpy": [_run(1, 5, 10**9)], "numba": [_run(2, 6, 10**9)], "copy": [_run(4, 5, 10**9)]}
    table = markdown([row], {"lrcg": runs}, "")
    assert "| ≥ 1.5 × numpy | 0.50 | **no** |" in table
    assert "| ≥ 0.7 of the bandwidth of copy | 1.00 | yes |" in table
    assert "| ≤ 1.2 × memory of numba | 2.11 | **no** |" in table
    assert "systemds" not in table
    assert table.count("| agree |") == 3 and table.count("| **differs** |") == 1
    assert "| lrcg | numpy | 1 | 1.000 (1.000 to 1.000) | 1.000 | 900 MB | 1000 MB | 0.0 | agree |" in table


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "measured", "holds"),
    [
        ("faster", 2, 6, 3, True),
        ("faster", 2, 3, 1.5, False),
        ("at most", 2, 1, 2, True),
        ("at most", 4, 1, 4, False),
        ("memory", 1, 2, 0.5, True),
    ],
)
def test_targets(kind, ours, theirs, measured, holds):
    target = Target("peer", kind, 2)
    assert target.measured(ours, theirs) == measured and target.holds(measured) == holds


def test_agreement_is_relative_and_about_what_both_tell():
    assert agree({"a": 100.0, "b": 1.0}, {"a": 100.0001}, 1e-5)
    assert not agree({"a": 100.0}, {"a": 100.1}, 1e-5)
    assert not agree({"a": np.nan}, {"a": np.nan}, 1e-5)


def test_inputs_come_back_as_they_were(tmp_path):
    sparse = csr_array(np.array([[0, 2.5, 0], [1, 0, 0]]))
    save({"X": sparse, "y": np.array([[np.nan], [-0.0]]), "n": 3, "seed": 0.5}, tmp_path / "inputs")
    inputs = load(tmp_path / "inputs")
    assert (inputs["X"].toarray() == sparse.toarray()).all() and inputs["X"].shape == (2, 3)
    np.testing.assert_array_equal(inputs["y"], [[np.nan], [-0.0]])
    assert (inputs["n"], inputs["seed"]) == (3, 0.5)


def test_files_for_systemds(tmp_path):
    """Records as SystemDS 3.4 wrote them for the same matrices."""
    write(np.array([[0.5, 2.0]]), tmp_path / "dense")
    key = "00000010" + "0000000000000001" * 2
    cells = "3fe0000000000000" + "4000000000000000"
    assert (tmp_path / "dense").read_bytes()[126:].hex() == "00000029" + key + "0000000100000002" + "03" + cells
    write(csr_array(np.array([[1.0, 0, 0], [0, 0, 0], [0, 0, 3]])), tmp_path / "sparse")
    cells = "00000001" + "00000000" + "3ff0000000000000" + "00000000" + "00000001" + "00000002" + "4008000000000000"
    assert (tmp_path / "sparse").read_bytes()[126:].hex() == "00000041" + key + "0000000300000003" + "02" + "00000002" + cells
