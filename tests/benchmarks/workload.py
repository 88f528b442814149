"""What a workload is: a script, its inputs, the same by hand for every peer, and the ratios that are to be reached.

Nothing here imports dmlite, so that a peer may live in an interpreter without it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
Inputs = dict[str, Any]
Results = dict[str, float]
# What is timed; what takes time only to tell the results (or to fetch them from elsewhere) comes in a function to call afterwards.
Work = Callable[[], "Results | Callable[[], Results]"]
# From the inputs to the work; what is prepared here (a transposed copy, say) is not timed.
Peer = Callable[[Inputs], Work]


@dataclass(frozen=True)
class Target:
    """What is to be reached against one peer.

    kind    "faster" for time of the peer / time of dmlite of at least `ratio`, "at most" for time of dmlite / time of the peer,
            "bandwidth" for the part of the bandwidth of a copy that reading the inputs reaches, where the peer copies them as often as
            the script reads them, and a copy moves each byte twice; "memory" for peak memory of dmlite / that of the peer; "planning" for the part of a run that
            planning takes
    """

    peer: str
    kind: str
    ratio: float

    def measured(self, ours: float, theirs: float) -> float:
        """The ratio that was reached, from two times or two sizes."""
        return {"faster": theirs / ours, "bandwidth": theirs / (2 * ours)}.get(self.kind, ours / theirs)

    def holds(self, measured: float) -> bool:
        return measured >= self.ratio if self.kind in ("faster", "bandwidth") else measured <= self.ratio

    def __str__(self) -> str:
        words = {
            **{"faster": "≥ {} × {}", "at most": "≤ {} × {}", "bandwidth": "≥ {} of the bandwidth of {}"},
            **{"memory": "≤ {} × memory of {}", "planning": "≤ {} of a run of {} is planning"},
        }
        return words[self.kind].format(f"{self.ratio:g}", self.peer)


@dataclass(frozen=True)
class Workload:
    """One row of the table.

    inputs      matrices and numbers, from the sizes; the same every time
    header      `source` and functions of the script
    body        what is timed; leaves the variables `results`
    check       run after the clock has stopped, on the inputs and the variables `leaves` of the body; leaves `results` instead
    peers       by name; "dmlite" and "systemds" run the script and are not listed
    full quick  the sizes of a measurement, and of a check that it works; "rows" is what --scale multiplies
    first       whether the first run in a process counts, compilation and planning included, instead of the later ones
    repeats     runs in a process after the first and one more, which is not counted either: compiled code comes into use in it
    tolerance   relative, between the results of any two peers
    threads     of BLAS and Numba, where a peer is better off with another number than there are cores
    systemds    settings of its configuration file
    others      the body for SystemDS, where that has to be another one
    spread      matrices that lie on two worker processes of one thread each, beside which dmlite runs as --exec dask
    note        what a reader must know to judge the ratios
    """

    name: str
    title: str
    inputs: Callable[..., Inputs]
    body: str
    results: tuple[str, ...]
    full: Mapping[str, Any]
    quick: Mapping[str, Any]
    peers: Mapping[str, Peer] = field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    header: str = ""
    check: str = ""
    leaves: tuple[str, ...] = ()
    first: bool = False
    repeats: int = 3
    tolerance: float = 1e-6
    threads: Mapping[str, int] = field(default_factory=dict)
    systemds: Mapping[str, str] = field(default_factory=dict)
    others: str = ""
    spread: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Processes:
    """A row whose runs are whole processes, which are measured from outside.

    peers    names beside "dmlite"
    measure  from the harness and the name of a peer to a run, of which `first` counts
    """

    name: str
    title: str
    peers: tuple[str, ...]
    measure: Callable[[Any, str], Any]
    targets: tuple[Target, ...] = ()
    tolerance: float = 1e-6
    first: bool = True
    note: str = ""


def save(inputs: Inputs, folder: Path) -> None:
    """Inputs as plain arrays, so that loading them needs no memory beside them."""
    folder.mkdir(parents=True)
    kinds: dict[str, Any] = {}
    for name, value in inputs.items():
        if isinstance(value, csr_array):
            kinds[name] = {"shape": value.shape}
            for part in ("data", "indices", "indptr"):
                np.save(folder / f"{name}.{part}.npy", getattr(value, part))
        elif isinstance(value, np.ndarray):
            kinds[name] = "dense"
            np.save(folder / f"{name}.npy", value)
        else:
            kinds[name] = {"value": value}
    (folder / "inputs.json").write_text(json.dumps(kinds), encoding="utf-8")


def load(folder: Path) -> Inputs:
    """What `save` wrote."""
    inputs: Inputs = {}
    for name, kind in json.loads((folder / "inputs.json").read_text(encoding="utf-8")).items():
        if kind == "dense":
            inputs[name] = np.load(folder / f"{name}.npy")
        elif "shape" in kind:
            parts = (np.load(folder / f"{name}.{part}.npy") for part in ("data", "indices", "indptr"))
            inputs[name] = csr_array(tuple(parts), shape=tuple(kind["shape"]))
        else:
            inputs[name] = kind["value"]
    return inputs


def scalars(folder: Path) -> dict[str, Any]:
    """All names that `save` wrote, with the values of those that are no matrices, and None for these."""
    kinds = json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
    return {name: kind.get("value") if isinstance(kind, dict) else None for name, kind in kinds.items()}
