"""Runs of processes: what they took and found, alone and in files."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """One process: seconds of the first run and of the later ones, what came out, and seconds and peak bytes of the process.

    idle    peak bytes of the same process at tiny sizes: the interpreter, what it imports, and what it compiles
    others  how many cores other processes kept busy meanwhile, on Linux
    cpu     seconds that all cores together worked for the process
    planning  the part of a run in which everything is planned anew that this takes, where it was measured
    """

    first: float
    later: list[float]
    results: dict[str, float]
    wall: float
    peak: int
    idle: int = 0
    others: float = 0.0
    cpu: float = 0.0
    planning: float = 0.0


class Failed(Exception):
    """A run did not end well; holds what it printed last."""


def run_process(command: Sequence[Any], environment: Mapping[str, str] | None = None, folder: Path = ROOT) -> tuple[str, dict[str, Any]]:
    """What a process printed, and `wall`, `peak`, `others` and `cpu` of its run. Raises Failed."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        busy, start = _busy(), perf_counter()
        child = subprocess.Popen(
            [str(word) for word in command],
            stdout=output,
            stderr=errors,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={**os.environ, **(environment or {})},
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = perf_counter() - start
        cpu = usage.ru_utime + usage.ru_stime
        others = max(0.0, (_busy() - busy - cpu) / wall)
        child.returncode = os.waitstatus_to_exitcode(status)
        text, problems = (_text(file) for file in (output, errors))
    if child.returncode:
        raise Failed(f"{text[-1000:]}{problems[-2000:]}")
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return text, {"wall": wall, "peak": peak, "others": round(others, 2), "cpu": round(cpu, 2)}


def quiet(seconds: float = 60, share: float = 0.3) -> None:
    """Wait until no more than a part of one core is at work, for example for what a run before still compiles; not for ever."""
    end = perf_counter() + seconds
    while perf_counter() < end:
        busy, start = _busy(), perf_counter()
        sleep(1)
        if _busy() - busy <= share * (perf_counter() - start):
            return


def _busy() -> float:
    """Seconds that all cores together have worked, as far as the system tells."""
    try:
        user, nice, system, *_ = (int(word) for word in Path("/proc/stat").read_text().split()[1:8])
    except OSError:
        return 0.0
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _text(file: Any) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


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
