"""`dmlite doctor`: what is installed here, what is missing, and what for. Asks, but never imports, and never fails."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TextIO

from dmlite.config import cache_folder
from dmlite.hop import calibration
from dmlite.hop.machine import here
from dmlite.lang.modules import library
from dmlite.memory import human, total_bytes
from dmlite.tools.terminal import show_table

# Distribution, what it is for, and the extra that brings it (none for what every installation has).
_DEPENDENCIES: Final = (
    ("numpy", "dense matrices", ""),
    ("scipy", "sparse matrices, distributions, factorisations", ""),
    ("lark", "the grammar", ""),
    ("networkx", "placement as a minimum cut", ""),
    ("numba", "compiled loops", ""),
    ("dask", "matrices larger than memory", ""),
    ("distributed", "clusters", ""),
    ("rich", "tables and progress on a terminal", ""),
    ("egglog", "optimisation level 4", "egraph"),
    ("cupy-cuda12x", "kernels on an NVIDIA GPU", "gpu"),
    ("paho-mqtt", "streams of sensor data", "stream"),
    ("ipython", "DML cells in notebooks", "notebook"),
    ("pandas", "data frames in and out", "notebook"),
)
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def show(stream: TextIO) -> None:
    """Write the whole report."""
    show_table(stream, "Machine", ["", ""], machine())
    stream.write("\n")
    show_table(stream, "Packages", ["package", "version", "for"], packages())
    stream.write("\n")
    show_table(stream, "Folders", ["", "size", "path"], folders(), right={1})


def machine() -> list[list[str]]:
    """Python, operating system, cores, memory, BLAS and the variables that limit threads."""
    threads = " ".join(f"{name}={os.environ[name]}" for name in _THREADS if name in os.environ)
    return [
        ["dmlite", _version("dmlite") or "from a checkout"],
        ["Python", f"{platform.python_version()} ({sys.executable})"],
        ["system", platform.platform()],
        ["cores", _cores()],
        ["memory", f"{human(total_bytes())}, a program may take {human(here().budget)}"],
        ["calibrated", "yes" if calibration.load() else "no: dmlite calibrate measures what the planner assumes"],
        ["BLAS", _blas()],
        ["thread limits", threads or "none set"],
    ]


def _cores() -> str:
    total = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    return str(total) if usable == total else f"{usable} of {total}"


def _blas() -> str:
    """What NumPy was built with; NumPy itself is loaded already."""
    import numpy as np

    try:
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    except (KeyError, TypeError):
        return "unknown"


def packages() -> list[list[str]]:
    """Name, version or how to get it, and purpose of everything dmlite can use."""
    return [[name, _version(name) or _missing(name, extra), purpose] for name, purpose, extra in _DEPENDENCIES]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _missing(name: str, extra: str) -> str:
    """Why a package has no version: another build of it may still be there."""
    module = name.partition("-")[0]
    try:
        if find_spec(module) is not None:
            return "installed as another distribution"
    except (ImportError, ValueError):
        pass
    return f"missing: pip install 'dmlite[{extra}]'" if extra else f"missing: pip install {name}"


def folders() -> list[list[str]]:
    """The package, the DML library, and what is kept between runs."""
    package = Path(__file__).parents[1]
    found = [("package", package), ("nn library", library("nn")), ("scripts", library("scripts")), ("cache", cache_folder())]
    return [[what, _size(path), str(path)] for what, path in found]


def _size(path: Path) -> str:
    """Bytes of all files below a folder."""
    if not path.is_dir():
        return "none"
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            try:
                total += os.stat(os.path.join(folder, name), follow_symlinks=False).st_size
            except OSError:
                continue
    return human(total)
