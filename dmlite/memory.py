"""How much memory there is, so that nothing is allocated that cannot fit."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

from dmlite.errors import DMLError, DMLRuntimeError

SHARE: Final = 0.7  # of the free memory that a program may take
# Limit, use and details of a control group, as the second version has them and as the first.
_CGROUP_FILES: Final = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
    ),
)
_UNITS: Final = {"B": 1} | {
    f"{prefix}{rest}": base**k for k, prefix in enumerate("KMGTP", start=1) for rest, base in (("", 1000), ("B", 1000), ("IB", 1024))
}
_SIZE: Final = re.compile(r"(\d+\.?\d*(?:e\d+)?|\.\d+)\s*([KMGTP]?i?B?)", re.IGNORECASE)


@lru_cache(maxsize=1)
def total_bytes() -> int:
    """Physical memory of this machine or of its control group, whichever is smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 8 << 30
    for path, _, _ in _CGROUP_FILES:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


@lru_cache(maxsize=1)
def _group_files() -> tuple[Path, Path, Path] | None:
    """Limit, use and details of the control group of this process, where it has one."""
    for limit, use, detail in _CGROUP_FILES:
        if Path(limit).is_file():
            return Path(limit), Path(use), Path(detail)
    return None


def free_bytes() -> int:
    """Memory that can be taken without anything being moved out of it; all there is where the system does not tell."""
    free = total_bytes()
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = min(free, 1024 * int(next(line.split()[1] for line in lines if line.startswith("MemAvailable:"))))
    with suppress(OSError, ValueError):
        if (files := _group_files()) is not None and (limit := files[0].read_text().strip()).isdigit():
            details = dict(line.split(" ", 1) for line in files[2].read_text().splitlines() if " " in line)
            cached = int(details.get("inactive_file", details.get("total_inactive_file", "0")))  # given back when somebody needs it
            free = min(free, max(0, int(limit) - int(files[1].read_text()) + cached))
    return free


def budget_bytes(limit: int | None) -> int:
    """What a program may take: `limit`, or else 70 % of what is free."""
    return int(SHARE * free_bytes()) if limit is None else limit


def parse_bytes(text: str) -> int:
    """`8GB`, `512 MB`, `1.5e9`: bytes. Raises DMLError for what is no size."""
    match = _SIZE.fullmatch(text.strip())
    size = float(match[1]) * _UNITS[(match[2] or "B").upper()] if match else 0.0
    if not 1 <= size < 2**63:
        raise DMLError(f"'{text}' is no amount of memory", hint="write it as 8GB or 512MB")
    return int(size)


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
