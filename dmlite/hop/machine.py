"""What the planner knows of the machine a program will run on: numbers only, so that any machine can be planned for."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

from dmlite.memory import total_bytes


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
class Machine:
    """One machine.

    product_rate  operations a second inside of matrix products and factorisations
    sparse_rate   the same where an operand is sparse: every non-zero is looked up
    cell_rate     operations a second in everything else
    bandwidth     bytes a second between memory and cores
    call          seconds that a call of a kernel takes on top of its work
    memory        bytes
    devices       accelerators
    """

    product_rate: float = 3e10
    sparse_rate: float = 1e9
    cell_rate: float = 2e9
    bandwidth: float = 8e9
    call: float = 1e-6
    memory: int = field(default_factory=total_bytes)
    devices: tuple[Device, ...] = ()


DEFAULT: Final = Machine()


@cache
def here() -> Machine:
    """This machine; a GPU is looked for where its driver shows it, and not touched."""
    found = next(Path("/dev").glob("nvidia[0-9]*"), None) is not None or shutil.which("nvidia-smi") is not None
    return Machine(devices=(Device(),) if found else ())


def seconds_text(seconds: float | None) -> str:
    """`1.2 ms`; `?` when it is not known."""
    if seconds is None:
        return "?"
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns" if seconds > 0 else "0"
