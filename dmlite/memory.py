"""How much memory there is, so that nothing is allocated that cannot fit."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from dmlite.errors import DMLRuntimeError

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@lru_cache(maxsize=1)
def total_bytes() -> int:
    """Physical memory of this machine or of its control group, whichever is smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 << 30
    for path in _CGROUP_LIMITS:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


def human(size: float) -> str:
    """`1.5 GB`: bytes for people."""
    for unit in ("B", "KB", "MB", "GB", "TB", "PB"):
        if size < 1000 or unit == "PB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError


def reserve(rows: int, cols: int, what: str, bytes_per_cell: int = 8) -> None:
    """Refuse an allocation that cannot fit.

    Raises DMLRuntimeError naming the shape and both sizes when `rows` x `cols` cells exceed the memory of this machine.
    """
    need = rows * cols * bytes_per_cell
    if need > total_bytes():
        raise DMLRuntimeError(
            f"{what} of {rows}x{cols} needs {human(need)}, more than the {human(total_bytes())} of memory here",
            hint="use fewer rows or columns, or a sparse matrix",
        )
