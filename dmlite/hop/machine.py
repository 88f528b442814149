"""What the planner knows of the machine a program will run on: numbers only, so that any machine can be planned for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dmlite.memory import total_bytes


@dataclass(frozen=True)
class Machine:
    """One machine.

    product_rate  operations a second inside of matrix products and factorisations
    sparse_rate   the same where an operand is sparse: every non-zero is looked up
    cell_rate     operations a second in everything else
    bandwidth     bytes a second between memory and cores
    call          seconds that a call of a kernel takes on top of its work
    memory        bytes
    """

    product_rate: float = 3e10
    sparse_rate: float = 1e9
    cell_rate: float = 2e9
    bandwidth: float = 8e9
    call: float = 1e-6
    memory: int = field(default_factory=total_bytes)


DEFAULT: Final = Machine()
