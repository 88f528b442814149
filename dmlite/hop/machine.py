"""What the planner knows of the machine a program will run on: numbers only, so that any machine can be planned for."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Final

from dmlite.config import config
from dmlite.hop import calibration
from dmlite.memory import budget_bytes, total_bytes


@dataclass(frozen=True)
class Device:
    """An accelerator beside the cores.

    kernels   those that its backend has, as in the operator table
    speed     how much faster it computes than the cores
    transfer  bytes a second between its memory and that of the machine
    call      seconds that starting a kernel takes
    memory    bytes of its own
    """

    name: str = "GPU"
    kernels: frozenset[str] = frozenset()
    speed: float = 20.0
    transfer: float = 1.2e10
    call: float = 1e-5
    memory: int = 8 << 30


@dataclass(frozen=True)
class Cluster:
    """Workers beside this machine, all alike.

    memory   bytes of each
    cores    of each
    network  bytes a second into or out of one
    task     seconds that the scheduler takes for a task, one after the other
    submit   seconds until tasks that do not go on with others begin
    wait     seconds until a result is here after the last task that it needs
    chunk    bytes of a chunk, about, that a matrix is cut into
    """

    workers: int
    memory: int
    cores: int = 1
    network: float = 3.5e8
    task: float = 5e-4
    submit: float = 8e-3
    wait: float = 3e-3
    chunk: int = 64 << 20


WORKER_BASE: Final = 200 << 20  # bytes that a process takes with its libraries
_WORKER: Final = 2 * WORKER_BASE  # and with some chunks
_CHUNKS: Final = 8  # that fit into the memory of a worker, for each of its cores


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Machine:
    """One machine, and the devices and workers that it can use. Rates are those of all its cores together.

    cores          that a process may use
    product_rate   operations a second inside of matrix products and factorisations
    sparse_rate    the same where an operand is sparse: every non-zero is looked up
    cell_rate      operations a second in everything else
    function_rate  the same inside of exp, log and the like, of which a cell takes many
    read, write    bytes a second from memory to the cores, and back
    call           seconds that a call of a kernel takes on top of its work
    compile        seconds that compiling a loop takes
    memory         bytes
    budget         bytes of it that a program may take
    devices        accelerators
    cluster        workers, if there are any
    """

    cores: int = field(default_factory=_cores)
    product_rate: float = 3e10
    sparse_rate: float = 1e9
    cell_rate: float = 2e9
    function_rate: float = 2e9
    read: float = 8e9
    write: float = 8e9
    call: float = 1e-6
    compile: float = 1.0
    memory: int = field(default_factory=total_bytes)
    budget: int = field(default_factory=total_bytes)
    devices: tuple[Device, ...] = ()
    cluster: Cluster | None = None

    def moving(self, read: float, written: float) -> float:
        """Seconds of moving bytes between memory and cores."""
        return (read + written * (self.read / self.write)) / self.read


DEFAULT: Final = Machine()


def here() -> Machine:
    """This machine, under the configuration in force: as `dmlite calibrate` measured it, if it did, and with the memory that is free.

    A GPU is looked for where its driver shows it, and not touched.
    """
    settings = config()
    budget = budget_bytes(settings.memory)
    return replace(_probed(settings.calibrated), budget=budget, cluster=None if settings.exec == "local" else _beside(budget))


def _beside(budget: int) -> Cluster:
    """The processes of this machine that would share its budget."""
    workers, settings = _cores(), config()
    memory = max(budget // workers, _WORKER)
    return Cluster(workers, memory, chunk=chunk_of(memory, 1), **_measured(settings.calibrated, Cluster))


def chunk_of(memory: int, cores: int) -> int:
    """Bytes of a chunk under the configuration in force, for workers with that much memory, into which some must fit."""
    return max(1, min(config().chunk, memory // (_CHUNKS * cores)))


@cache
def _measured(calibrated: bool, kind: type) -> dict[str, float]:
    """The calibrated constants that such a description has."""
    names = {f.name for f in fields(kind)}
    return {name: value for name, value in calibration.load().items() if name in names} if calibrated else {}


@cache
def _probed(calibrated: bool) -> Machine:
    tools = (os.path.join(folder, name) for folder in os.get_exec_path() for name in ("nvidia-smi", "nvidia-smi.exe"))
    found = any(Path("/dev").glob("nvidia[0-9]*")) or any(os.access(tool, os.X_OK) for tool in tools)
    return Machine(devices=(Device(),) if found else (), **_measured(calibrated, Machine))  # type: ignore[arg-type]


def seconds_text(seconds: float | None) -> str:
    """`1.2 ms`; `?` when it is not known."""
    if seconds is None:
        return "?"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns" if seconds > 0 else "0"
