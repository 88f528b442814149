"""Runs every workload on every peer, each run in a process of its own, peers taking turns."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.benchmarks import systemds
from tests.benchmarks.runs import Failed, Run, run_process
from tests.benchmarks.workload import CORES, Processes, Workload, load, save, scalars

# What a peer needs beside NumPy, SciPy and Numba, which dmlite needs itself.
PACKAGES = {"torch": "torch", "scikit-learn": "sklearn", "mllib": "pyspark"}
Row = Workload | Processes


@dataclass
class Harness:
    """Where things are: a folder for inputs and scratch files, and the interpreters of the peers."""

    scratch: Path
    peers: Path
    systemds: Path | None = None
    quick: bool = False
    scale: float = 1.0
    _idle: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)
    _java: systemds.SystemDS | None = field(default=None, repr=False)

    # ------------------------------------------------------------ peers
    def installed(self, row: Row) -> list[str]:
        """Names of the peers that can run here, dmlite first."""
        wanted = row.peers if isinstance(row, Processes) or row.spread else ["systemds", *row.peers]
        return ["dmlite", *(name for name in wanted if self._has(name))]

    def _has(self, peer: str) -> bool:
        if peer == "systemds":
            return systemds.found(self.systemds)
        if peer not in PACKAGES:
            return True
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({PACKAGES[peer]!r}) is None)"
        return subprocess.run([self.peers, "-c", code], check=False).returncode == 0

    @property
    def java(self) -> systemds.SystemDS:
        """SystemDS, set up when it is first asked for."""
        if self._java is None:
            assert self.systemds is not None
            place = self.scratch / "systemds"
            place.mkdir(exist_ok=True)
            self._java = systemds.SystemDS(self.systemds, place)
        return self._java

    # ------------------------------------------------------------ inputs
    def inputs(self, workload: Workload, quick: bool) -> Path:
        """The folder of the inputs, which are made once for the same sizes."""
        sizes = dict(workload.quick if quick else workload.full)
        if "rows" in sizes and not quick:
            sizes["rows"] = max(1, int(sizes["rows"] * self.scale))
        folder = self.scratch / "-".join([workload.inputs.__name__, *(f"{k}{v}" for k, v in sorted(sizes.items()))])
        if not folder.exists():
            self._elsewhere("make", workload.name, json.dumps(sizes), folder)
        return folder

    def _elsewhere(self, function: str, *words: object) -> None:
        """Call a function of this module in a process of its own: the peak of a process counts what its parent has."""
        code = f"import sys; from tests.benchmarks.harness import {function}; {function}(*sys.argv[1:])"
        run_process([sys.executable, "-c", code, *words])

    # ------------------------------------------------------------ runs
    def run(self, row: Row, peer: str) -> Run:
        """One process, and before the first of its kind one at tiny sizes to know what memory it takes anyway. Raises Failed."""
        if isinstance(row, Processes):
            return row.measure(self, peer)
        kind = row.name, peer
        if kind not in self._idle and peer == "dmlite":
            self.prime(row)
        if kind not in self._idle:
            tiny = self._run(row, peer, True)
            self._idle[kind] = tiny.peak
            if self.quick:
                return replace(tiny, idle=tiny.peak)
        return replace(self._run(row, peer, self.quick), idle=self._idle[kind])

    def prime(self, workload: Workload) -> None:
        """Let a process of dmlite leave compiled code on the disk, unless the first run counts. Raises Failed."""
        if not (self.quick or workload.first or workload.spread):
            run_process([sys.executable, "-m", "tests.benchmarks.child", workload.name, "dmlite", self.inputs(workload, False), "prime"])

    def _run(self, workload: Workload, peer: str, quick: bool) -> Run:
        again = min(1, workload.repeats) if quick else workload.repeats
        folder = self.inputs(workload, quick)
        if peer == "systemds":
            return self._run_systemds(workload, folder, again)
        threads = {} if peer == "dmlite" else _threads(workload.threads.get(peer, CORES))
        return self.run_child(workload, peer, folder, again, threads)

    def run_child(self, workload: Workload, peer: str, folder: Path, repeats: int, environment: Mapping[str, str]) -> Run:
        """A process of a peer in Python. Raises Failed."""
        python = self.peers if peer in PACKAGES else Path(sys.executable)
        command = [python, "-m", "tests.benchmarks.child", workload.name, peer, folder, repeats]
        output, usage = run_process(command, environment)
        return Run(**usage, **json.loads(output.splitlines()[-1]))

    def _run_systemds(self, workload: Workload, folder: Path, repeats: int) -> Run:
        if not (folder / "written").exists():
            self._elsewhere("write_for_systemds", folder)
        path = self.java.scratch / f"{workload.name}.dml"
        path.write_text(systemds.script(workload, scalars(folder), folder, repeats), encoding="utf-8")
        output, usage = run_process([*self.java.command(path, workload.systemds), "-stats"], folder=self.java.scratch)
        found = systemds.parsed(output, workload.results)
        if found is None:  # an error in a script ends it with the status of success
            raise Failed(output[-2000:])
        return Run(**usage, **found)


def make(name: str, sizes: str, folder: str) -> None:
    """The inputs of a workload; in a process of its own, whose memory they leave."""
    from tests.benchmarks.workloads import WORKLOADS

    workload = WORKLOADS[name]
    assert isinstance(workload, Workload)
    save(workload.inputs(**json.loads(sizes)), Path(folder))


def write_for_systemds(folder: str) -> None:
    """All matrices of a folder of inputs once more in the format of SystemDS."""
    for name, value in load(Path(folder)).items():
        if hasattr(value, "shape"):
            systemds.write(value, Path(folder) / f"{name}.bin")
    (Path(folder) / "written").touch()


def _threads(count: int) -> dict[str, str]:
    return {f"{name}_NUM_THREADS": str(count) for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def turns(harness: Harness, rows: Sequence[Row], rounds: int, only: Sequence[str]) -> Iterator[tuple[Row, str, Run | Failed]]:
    """All runs of all rows; in every other round the peers come in the opposite order. A peer that failed is left out from then on."""
    for row in rows:
        peers = [peer for peer in harness.installed(row) if not only or peer in only]
        for round_ in range(rounds):
            for peer in peers[:: -1 if round_ % 2 else 1]:
                try:
                    yield row, peer, harness.run(row, peer)
                except Failed as failed:
                    peers = [other for other in peers if other != peer]
                    yield row, peer, failed
