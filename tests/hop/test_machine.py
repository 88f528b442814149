"""The machine that plans are made for: probed, calibrated, or described; and an estimate of every operator on it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from dmlite.config import settings
from dmlite.errors import DMLError, DMLRuntimeError
from dmlite.hop import calibration, machine
from dmlite.hop.cost import estimate
from dmlite.hop.facts import matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import DEFAULT, Cluster, Machine, here
from dmlite.hop.node import live_in, make
from dmlite.memory import SHARE, budget_bytes, free_bytes, parse_bytes, total_bytes
from dmlite.tools import calibrate
from dmlite.tools.cli import main

FACTS = {"X": matrix(3000, 2000), "Y": matrix(2000, 3000), "S": matrix(3000, 2000, 60_000), "a": scalar("double")}
X, Y, S, a = map(live_in, FACTS)


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """An empty cache folder, and nothing remembered from before."""
    monkeypatch.setenv("DMLITE_CACHE_DIR", str(tmp_path))
    for remembered in (machine._probed, machine._measured):
        remembered.cache_clear()
    yield tmp_path
    for remembered in (machine._probed, machine._measured):
        remembered.cache_clear()


def seconds(hop, on: Machine | None = None) -> float:
    found = estimate(hop, FactTable(FACTS, machine=on or DEFAULT)).seconds
    assert found is not None
    return found


# ---------------------------------------------------------------- costs
def test_each_rate_counts_where_it_applies():
    product, sparse, function, sums = make("matmul", [X, Y]), make("matmul", [S, Y]), make("exp", [X]), make("add", [X, X])
    assert seconds(product) == pytest.approx(2 * 3000 * 2000 * 3000 / 3e10 + 1e-6)
    assert seconds(product, replace(DEFAULT, product_rate=3e9)) == pytest.approx(12 + 1e-6, rel=1e-6)
    assert seconds(sparse, replace(DEFAULT, sparse_rate=1e8)) == pytest.approx(10 * (seconds(sparse) - 1e-6) + 1e-6)
    assert seconds(function, replace(DEFAULT, function_rate=1e8)) > 10 * seconds(function)
    assert seconds(function, replace(DEFAULT, cell_rate=1e8)) == seconds(function)
    assert seconds(sums, replace(DEFAULT, write=8e8)) == pytest.approx(48e6 / 8e9 + 48e6 / 8e8 + 1e-6)
    assert seconds(sums, replace(DEFAULT, read=8e8)) == pytest.approx(48e6 / 8e8 + 48e6 / 8e9 + 1e-6)


def test_equal_bandwidths_are_one():
    assert DEFAULT.moving(3.0, 5.0) == 8.0 / 8e9


def test_a_cluster_is_described_without_one():
    cluster = Cluster(workers=20, memory=64 << 30, cores=8, network=1.25e9, task=5e-4)
    assert replace(DEFAULT, cluster=cluster).cluster == cluster and DEFAULT.cluster is None


# ---------------------------------------------------------------- calibration
def test_without_calibration_the_defaults_hold(fresh):
    with settings(calibrated=True):
        assert replace(here(), devices=(), cluster=None, budget=DEFAULT.budget) == DEFAULT


def test_measured_constants_are_kept_and_used(fresh):
    calibration.store({"product_rate": 1e11, "call": 2e-6})
    with settings(calibrated=True):
        assert (here().product_rate, here().call, here().cell_rate) == (1e11, 2e-6, DEFAULT.cell_rate)
    with settings(calibrated=False):
        assert here().product_rate == DEFAULT.product_rate


def test_measured_constants_of_workers_hold_for_those_of_this_machine(fresh):
    calibration.store({"network": 1e9, "task": 1e-4, "read": 2e10})
    with settings(calibrated=True, exec="auto"):
        cluster = here().cluster
        assert cluster is not None and (cluster.network, cluster.task, cluster.wait) == (1e9, 1e-4, Cluster(1, 0).wait)
        assert here().read == 2e10
    with settings(calibrated=False, exec="auto"):
        assert here().cluster is not None and here().cluster.network == Cluster(1, 0).network


def test_another_processor_has_a_file_of_its_own(fresh, monkeypatch):
    calibration.store({"product_rate": 1e11})
    monkeypatch.setattr(calibration, "_processor", lambda: "another")
    assert calibration.load() == {}


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 1}', '{"version": 1, "constants": 3}', '{"version": 1, "constants": {"call": -1}}',
     '{"version": 1, "constants": {"call": "x"}}', '{"version": 1, "constants": {"call": Infinity}}', "\xff"],
)  # fmt: skip
def test_a_damaged_file_is_passed_over(fresh, text):
    calibration.path().write_bytes(text.encode("latin-1"))
    with pytest.warns(UserWarning, match="damaged"):
        assert calibration.load() == {}


def test_a_file_of_another_version_is_measured_anew(fresh):
    calibration.path().write_text('{"version": 0, "constants": {"call": 1}}')
    assert calibration.load() == {}


def test_calibrate_measures_keeps_and_shows(fresh, monkeypatch, capsys):
    monkeypatch.setattr(calibrate, "_SECONDS", 0.0)
    monkeypatch.setattr(calibrate, "_SIDE", 64)
    monkeypatch.setattr(calibrate, "_LARGE", 1 << 12)
    monkeypatch.setattr(calibrate, "_SENT", 1 << 12)
    assert main(["doctor"]) == 0 and "calibrated     no: dmlite calibrate" in capsys.readouterr().out
    assert main(["calibrate"]) == 0
    shown = capsys.readouterr().out
    assert all(what in shown for what, _ in calibration.CONSTANTS.values()) and "30 Goperations/s" in shown and str(fresh) in shown
    kept = json.loads(calibration.path().read_text())["constants"]
    assert kept.keys() == calibration.CONSTANTS.keys() and calibration.load() == kept
    assert main(["doctor"]) == 0 and "calibrated     yes" in capsys.readouterr().out
    assert main(["calibrate", "x"]) == 2


def test_what_cannot_be_measured_is_left_out(fresh, monkeypatch):
    def fails(_):
        raise DMLRuntimeError("workers cannot be started")

    monkeypatch.setattr(calibrate, "_MEASURES", {"call": lambda: 1e-6})
    monkeypatch.setattr(calibrate, "_compile", lambda: None)
    monkeypatch.setattr(calibrate, "started", fails)
    with pytest.warns(UserWarning, match="workers are not measured: workers cannot be started"):
        assert calibrate.measured() == {"call": 1e-6}


def test_where_constants_cannot_be_kept_that_is_told(fresh, monkeypatch, capsys):
    (fresh / "file").touch()
    monkeypatch.setenv("DMLITE_CACHE_DIR", str(fresh / "file"))
    monkeypatch.setattr(calibrate, "measured", lambda: {"call": 1e-6})
    assert main(["calibrate"]) == 1
    shown = capsys.readouterr()
    assert "calling a kernel" in shown.out and "not measured" in shown.out
    assert "these cannot be kept in" in shown.err and "DMLITE_CACHE_DIR names another folder" in shown.err


# ---------------------------------------------------------------- memory
@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GB", 8_000_000_000),
        ("512 MB", 512_000_000),
        ("1.5g", 1_500_000_000),
        ("2KiB", 2048),
        ("1e9", 1_000_000_000),
        ("7", 7),
        (" 1 TB ", 10**12),
    ],
)
def test_amounts_of_memory(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "8 XB", "0", "nan", "1e400", "9999999999PB"])
def test_what_is_no_amount(text):
    with pytest.raises(DMLError, match="no amount of memory"):
        parse_bytes(text)


def test_the_budget_is_what_was_said_or_a_share_of_what_is_free(monkeypatch):
    assert 0 < free_bytes() <= total_bytes()
    assert 0 < budget_bytes(None) <= SHARE * total_bytes()
    assert budget_bytes(123) == 123
    with settings(memory=1 << 30):
        assert here().budget == 1 << 30


def test_the_budget_of_the_environment(monkeypatch):
    from dmlite.config import Config

    monkeypatch.setenv("DMLITE_MEMORY", "2GB")
    assert Config.from_environment().memory == 2_000_000_000
    monkeypatch.setenv("DMLITE_MEMORY", "much")
    with pytest.warns(UserWarning, match="DMLITE_MEMORY has no effect"):
        assert Config.from_environment().memory is None


def test_a_control_group_limits_what_is_free(monkeypatch, tmp_path):
    from dmlite import memory

    files = [tmp_path / name for name in ("limit", "use", "stat")]
    for file, text in zip(files, ("1000000\n", "700000\n", "anon 1\ninactive_file 200000\n"), strict=True):
        file.write_text(text)
    monkeypatch.setattr(memory, "_CGROUP_FILES", (tuple(map(str, files)),))
    memory._group_files.cache_clear()
    memory.total_bytes.cache_clear()
    try:
        assert (free_bytes(), total_bytes()) == (500_000, 1_000_000)
    finally:
        memory._group_files.cache_clear()
        memory.total_bytes.cache_clear()
