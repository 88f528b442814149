"""Where operators run, with the reason: described machines only, no device is touched."""

from __future__ import annotations

import pytest

from dmlite.hop.facts import matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import Device, Machine, here
from dmlite.hop.node import live_in, make
from dmlite.plan.placement import why_local

FACTS = {
    "X": matrix(4000, 3000),
    "Y": matrix(3000, 2000),
    "S": matrix(30, 30),
    "Z": matrix(),
    "H": matrix(100_000, 100_000),
    "a": scalar("double"),
}
X, Y, S, Z, H, a = map(live_in, FACTS)
KERNELS = frozenset({"matmul.matmul", "elementwise.add", "elementwise.exp"})


def reason(hop, *devices: Device) -> str:
    return why_local(hop, FactTable(FACTS, lenient=True), Machine(memory=16 << 30, devices=devices))


GPU = Device("GPU", KERNELS, memory=8 << 30)
CASES = {
    "no device": (make("matmul", [X, Y]), (), "no GPU on this machine"),
    "no kernel": (make("tanh", [X]), (GPU,), "the GPU backend does not run this operator"),
    "no matrix": (make("add", [a, a]), (GPU,), "not about matrices"),
    "too small": (make("add", [S, S]), (GPU,), "too small: 2.8 us here, where starting a kernel of the GPU takes 10 us"),
    "unknown": (make("exp", [Z]), (GPU,), "its size is not known before it runs"),
    "too large": (make("exp", [H]), (GPU,), "needs 160.0 GB, the GPU has 8.6 GB"),
    "transfer": (make("add", [X, X]), (GPU,), "moving 192.0 MB takes 16 ms, computing there saves"),
    "two devices": (make("tanh", [X]), (GPU, Device("NPU")), "the GPU backend does not run this operator; the NPU backend does not run this operator"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_reasons(name):
    hop, devices, expected = CASES[name]
    assert reason(hop, *devices).startswith(expected)


def test_this_machine_is_described_without_touching_a_device():
    assert all(not device.kernels for device in here().devices)
