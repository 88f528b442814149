"""The constants of the cost model as measured on a machine, kept in the cache folder, a file for each sort of processor."""

from __future__ import annotations

import json
import math
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from dmlite.config import cache_folder, keep

# What each constant of a machine that can be measured is, and its unit.
CONSTANTS: Final[Mapping[str, tuple[str, str]]] = {
    "product_rate": ("matrix products", "operations/s"),
    "sparse_rate": ("products with sparse matrices", "operations/s"),
    "cell_rate": ("cell by cell, in cache", "operations/s"),
    "function_rate": ("exp and the like", "operations/s"),
    "read": ("reading memory", "bytes/s"),
    "write": ("writing memory", "bytes/s"),
    "call": ("calling a kernel", "s"),
    "compile": ("compiling a loop", "s"),
    "network": ("between this process and a worker beside it", "bytes/s"),
    "task": ("a task for workers", "s"),
    "submit": ("until the first task begins", "s"),
    "wait": ("until a result is back", "s"),
}
_VERSION: Final = 1  # of what the constants mean


def host() -> str:
    """What the constants hold for: the processor, and how many cores of it."""
    return f"{_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    """The model as the system names it; elsewhere than on Linux only its kind."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    import platform  # takes longer than the file

    return platform.machine() or "unknown"


def path() -> Path:
    """Where the constants of this machine are kept."""
    return cache_folder() / f"machine-{re.sub(r'[^A-Za-z0-9.]+', '-', host())}.json"


def store(constants: Mapping[str, float]) -> None:
    """Keep measured constants. Raises OSError."""
    keep(path(), (json.dumps({"version": _VERSION, "host": host(), "constants": dict(constants)}, indent=1) + "\n").encode())


def load() -> dict[str, float]:
    """The measured constants by name, none where nothing was measured; a damaged file is passed over with a warning."""
    try:
        data = path().read_bytes()
    except OSError:
        return {}
    try:
        kept = json.loads(data)
        if kept["version"] != _VERSION:
            return {}
        return {name: _positive(value) for name, value in kept["constants"].items() if name in CONSTANTS}
    except (ValueError, KeyError, TypeError, AttributeError):
        warnings.warn(f"{path()} is damaged and has no effect; dmlite calibrate writes it anew", stacklevel=2)
        return {}


def _positive(value: Any) -> float:
    """Raises ValueError for what no constant can be."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (0 < value < math.inf):
        raise ValueError(f"{value!r} is no measured constant")
    return float(value)
