"""Runs every workload on every peer, each run in a process of its own, peers taking turns."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from tests.benchmarks import systemds
from tests.benchmarks.workload import CORES, Workload, load, save

ROOT = Path(__file__).parents[2]
# What a peer needs beside NumPy, SciPy and Numba, which dmlite needs itself.
PACKAGES = {"torch": "torch", "scikit-learn": "sklearn", "mllib": "pyspark"}


@dataclass(frozen=True)
class Run:
    """One process: seconds of the first run and of the later ones, what came out, and seconds and peak bytes of the process.

    idle  peak bytes of the same process at tiny sizes: the interpreter, what it imports, and what it compiles
    """

    first: float
    later: list[float]
    results: dict[str, float]
    wall: float
    peak: int
    idle: int = 0


class Failed(Exception):
    """A run did not end well; holds what it printed last."""


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
    def installed(self, workload: Workload) -> list[str]:
        """Names of the peers that can run here, dmlite first."""
        found = ["dmlite"]
        if systemds.found(self.systemds):
            found.append("systemds")
        return found + [name for name in workload.peers if name not in PACKAGES or self._has(PACKAGES[name])]

    def _has(self, package: str) -> bool:
        code = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
        return subprocess.run([self.peers, "-c", code], check=False).returncode == 0

    # ------------------------------------------------------------ inputs
    def _sizes(self, workload: Workload, quick: bool) -> dict[str, Any]:
        sizes = dict(workload.quick if quick else workload.full)
        if "rows" in sizes and not quick:
            sizes["rows"] = max(1, int(sizes["rows"] * self.scale))
        return sizes

    def _inputs(self, workload: Workload, quick: bool) -> Path:
        """The folder of the inputs, which are made once for the same sizes."""
        sizes = self._sizes(workload, quick)
        folder = self.scratch / "-".join([workload.inputs.__name__, *(f"{k}{v}" for k, v in sorted(sizes.items()))])
        if not folder.exists():
            code = "import sys; from tests.benchmarks.harness import make; make(*sys.argv[1:])"
            subprocess.run([sys.executable, "-c", code, workload.name, json.dumps(sizes), str(folder)], check=True, cwd=ROOT)
        return folder

    # ------------------------------------------------------------ runs
    def run(self, workload: Workload, peer: str) -> Run:
        """One process, and before the first of its kind one at tiny sizes to know what memory it takes anyway. Raises Failed."""
        if (workload.name, peer) not in self._idle:
            self._idle[workload.name, peer] = self._run(workload, peer, True).peak
        return replace(self._run(workload, peer, self.quick), idle=self._idle[workload.name, peer])

    def _run(self, workload: Workload, peer: str, quick: bool) -> Run:
        again = 1 if quick else workload.repeats
        folder = self._inputs(workload, quick)
        if peer == "systemds":
            return self._run_systemds(workload, folder, again)
        python = self.peers if peer in PACKAGES else Path(sys.executable)
        command = [python, "-m", "tests.benchmarks.child", workload.name, peer, folder, again]
        output, wall, peak = self.process(command, {} if peer == "dmlite" else _threads(workload.threads.get(peer, CORES)))
        return Run(wall=wall, peak=peak, **json.loads(output.splitlines()[-1]))

    def _run_systemds(self, workload: Workload, folder: Path, repeats: int) -> Run:
        if self._java is None:
            assert self.systemds is not None
            place = self.scratch / "systemds"
            place.mkdir(exist_ok=True)
            self._java = systemds.SystemDS(self.systemds, place)
        inputs = load(folder)
        for name, value in inputs.items():
            if hasattr(value, "shape") and not (folder / f"{name}.bin").exists():
                systemds.write(value, folder / f"{name}.bin")
        path = self._java.scratch / f"{workload.name}.dml"
        path.write_text(systemds.script(workload, inputs, folder, repeats), encoding="utf-8")
        del inputs
        command = self._java.command(path, dict(workload.systemds))
        output, wall, peak = self.process([*command, "-stats"], {}, self._java.scratch)
        found = systemds.parsed(output, workload.results)
        if found is None:  # an error in a script ends it with the status of success
            raise Failed(output[-2000:])
        return Run(wall=wall, peak=peak, **found)

    def process(self, command: Sequence[Any], environment: Mapping[str, str], folder: Path = ROOT) -> tuple[str, float, int]:
        """What a process printed, its seconds, and the peak of its resident bytes. Raises Failed."""
        start = perf_counter()
        with (self.scratch / "output.txt").open("w+b") as output:
            child = subprocess.Popen(
                [str(word) for word in command],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
                env={**os.environ, **environment},
            )
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            wall = perf_counter() - start
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
        if child.returncode:
            raise Failed(text[-2000:])
        return text, wall, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def make(name: str, sizes: str, folder: str) -> None:
    """The inputs of a workload; in a process of its own, whose memory they leave."""
    from tests.benchmarks.workloads import WORKLOADS

    save(WORKLOADS[name].inputs(**json.loads(sizes)), Path(folder))


def _threads(count: int) -> dict[str, str]:
    return {f"{name}_NUM_THREADS": str(count) for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def turns(
    harness: Harness, workloads: Sequence[Workload], rounds: int, only: Sequence[str]
) -> Iterator[tuple[Workload, str, Run | Failed]]:
    """All runs of all workloads; in every other round the peers come in the opposite order. A peer that failed is left out from then on."""
    for workload in workloads:
        peers = [peer for peer in harness.installed(workload) if not only or peer in only]
        for round_ in range(rounds):
            for peer in peers[:: -1 if round_ % 2 else 1]:
                try:
                    yield workload, peer, harness.run(workload, peer)
                except Failed as failed:
                    peers = [other for other in peers if other != peer]
                    yield workload, peer, failed


def agree(one: Mapping[str, float], other: Mapping[str, float], tolerance: float) -> bool:
    """Whether two peers found the same, as far as both tell."""
    return all(math.isclose(one[k], other[k], rel_tol=tolerance, abs_tol=1e-12) for k in one.keys() & other.keys())


def as_json(runs: Mapping[str, Mapping[str, list[Run]]]) -> str:
    plain = {name: {peer: [asdict(run) for run in found] for peer, found in peers.items()} for name, peers in runs.items()}
    return json.dumps(plain, indent=1)


def from_json(text: str) -> dict[str, dict[str, list[Run]]]:
    """What `as_json` made."""
    plain = json.loads(text)
    return {name: {peer: [Run(**run) for run in found] for peer, found in peers.items()} for name, peers in plain.items()}
