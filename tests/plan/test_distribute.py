"""Where operators run, for machines that are only described: no worker is started."""

from __future__ import annotations

import pytest

from dmlite.config import settings
from dmlite.errors import DMLError
from dmlite.flow import Unit, compile
from dmlite.hop.facts import matrix
from dmlite.hop.machine import Cluster, Machine
from dmlite.hop.ops import BY_NAME
from dmlite.plan.chunked import how
from dmlite.plan.room import Room

GB = 1 << 30
# A driver of 2 GB beside twenty workers of 64 GB.
MACHINE = Machine(cores=8, memory=4 * GB, budget=2 * GB, cluster=Cluster(20, 64 * GB, cores=8))
FACTS = {
    "X": matrix(10**7, 100, dense=True),  # 8 GB
    "Y": matrix(10**7, 100, dense=True),
    "T": matrix(1_250_000_000, 100, dense=True),  # 1 TB
    "A": matrix(200_000, 100_000, dense=True),  # 160 GB
    "B": matrix(100_000, 200_000, dense=True),
    "S": matrix(10**7, 10**6, 10**9, nnz_avg=1e9),
    "U": matrix(10**7, 10, dense=True),
    "V": matrix(10**6, 10, dense=True),
    "v": matrix(100, 1, dense=True),
    "V10": matrix(100, 10, dense=True),
    "w": matrix(10**7, 1, dense=True),
    "r": matrix(1, 100, dense=True),
    "small": matrix(1000, 1000, dense=True),
}


def planned(text: str, machine: Machine = MACHINE, limit: int = 2 * GB, **facts):
    """The last plan of a script whose large inputs lie on workers."""
    given = {**FACTS, **facts}
    with settings(memory=limit, exec="auto"):
        unit = compile(Unit(text, inputs=given, outputs=["Z"], machine=machine), show=True)
        assert unit.program is not None and unit.engine is not None
        block = unit.program.main.body[-1]
        chunked = frozenset(n for n in block.inputs if (given[n].cells or 0) * 8 > limit or n in ("S", "U"))
        unit.engine.plan_block("b", block, {n: given[n] for n in block.inputs}, chunked=chunked, show=True)
        return unit.engine.runs[-1].plan


def physical(plan) -> list[str]:
    """`operator: how` of what runs on workers, in order."""
    found = [(s.hop, s.there) for s in plan.steps if s.there is not None]
    return [f"{hop.op}: {BY_NAME[hop.op].kernel if isinstance(role, Room) else how(hop, role)}" for hop, role in found]


CHOICES = {
    "Z = t(X) %*% X": ["tsmm_left: transpose-self"],
    "Z = sum(X %*% v)": None,
    "Z = X %*% V10": ["matmul: broadcast-right"],
    "Z = t(X) %*% (X %*% v)": ["mmchain: chain"],
    "Z = t(X) %*% (w * (X %*% v))": ["mmchain_w: chain"],
    "Z = t(X) %*% ((X %*% v) - w)": ["mmchain_y: chain"],
    "Z = t(X) %*% Y": ["matmul: zip"],
    "Z = t(X) %*% w": ["matmul: zip"],
    "Z = X + Y": ["add: map"],
    "Z = X * w": ["mul: map"],
    "Z = X * r": ["mul: map"],
    "Z = X / rowSums(X)": ["rowSums: map", "div: map"],
    "Z = colSums(X)": ["colSums: tree"],
    "Z = rowSums(X)": ["rowSums: map"],
    "Z = sum(X * Y)": ["tak: tree"],
    "Z = cbind(X, w)": ["cbind: map"],
    "Z = A %*% B": ["matmul: matmul.matmul"],
    "Z = rbind(X, Y)": ["rbind: construct.rbind"],
    "Z = cumsum(X)": ["cumsum: aggregate.cumsum"],
    "Z = (S * (U %*% t(V))) %*% V": ["wdivmm_mul_right: weighted"],
    "Z = t(T) %*% T": ["tsmm_left: transpose-self"],
}


@pytest.mark.parametrize("text", CHOICES)
def test_physical_operators(text):
    expected = CHOICES[text]
    found = physical(planned(text))
    assert found == expected if expected is not None else found


def test_operators_on_chunks_run_as_one_task_for_each():
    plan = planned("Z = colSums((X - r) / rowSums(X) * w)")
    regions = {id(s.region): s.region for s in plan.steps if s.there is not None}
    assert len(regions) == 1
    (region,) = regions.values()
    assert len(region.outputs) == 1 and region.is_joined(region.outputs[0])


def test_what_follows_from_small_results_runs_here():
    plan = planned("Z = solve(t(X) %*% X + diag(matrix(1, 100, 1)), t(X) %*% w)")
    here = {s.hop.op for s in plan.steps if s.there is None}
    assert {"solve", "add"} <= here
    assert sorted(physical(plan)) == ["matmul: zip", "tsmm_left: transpose-self"]


def test_small_values_stay_here_and_the_reason_is_told():
    plan = planned("Z = sum(small %*% small) + sum(X)")
    by_op = {s.hop.op: plan.places[s.hop] for s in plan.steps}
    assert by_op["matmul"].backend == "local"
    large = next(plan.places[s.hop] for s in plan.steps if s.there is not None)
    assert large.backend == "dask" and large.reason == "8.0 GB > budget 2.1 GB"


def test_small_matrices_on_workers_are_collected():
    """A chunked value that is cheaper here is collected, once, however many read it."""
    facts = {"X": matrix(500, 10, dense=True)}
    with settings(memory=2 * GB):
        unit = compile(Unit("Z = sum(solve(t(X) %*% X, t(X))) + sum(exp(X))", inputs=facts, outputs=["Z"], machine=MACHINE), show=True)
        unit.engine.plan_block("b", unit.program.main.body[-1], facts, chunked=frozenset({"X"}), show=True)
    plan = unit.engine.runs[-1].plan
    assert [s.hop.op for s in plan.steps if s.hop.op == "collect"] == ["collect"]
    assert all(s.there is None for s in plan.steps)


def test_what_fits_nowhere_is_refused_with_line_and_bytes():
    with settings(memory=2 * GB, exec="auto"), pytest.raises(DMLError) as error:
        compile(Unit("Y = rand(rows=20000, cols=20000)\nZ = inv(Y)", outputs=["Z"], machine=MACHINE))
    assert (
        "<script>:2:5: error: 'inv' needs 10.6 GB, more than the 2.1 GB that a program may take here; the workers have no kernel for it"
        in str(error.value)
    )


def test_more_than_all_disks_hold_is_refused():
    with settings(memory=2 * GB, exec="auto"), pytest.raises(DMLError, match=r"'rand' needs 800.0 TB"):
        compile(Unit("Z = sum(rand(rows=10000000, cols=10000000))", outputs=["Z"], machine=MACHINE))


def test_without_workers_nothing_is_distributed():
    alone = Machine(cores=8, memory=64 * GB, budget=60 * GB, cluster=Cluster(2, 8 * GB))
    plan = planned("Z = sum(exp(X))", alone, 60 * GB)
    assert not plan.places and all(s.there is None for s in plan.steps)
