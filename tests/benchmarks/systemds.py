"""Running SystemDS beside dmlite: Java on the jars of its Python package, inputs in its binary format, times taken in the script."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from scipy.sparse import csr_array

from tests.benchmarks.workload import Workload

BLOCK = 1000
_ORIGIN = "org.apache.sysds.runtime.matrix.data."
_SPARSE, _DENSE = 2, 3  # kinds of blocks in its files


# ---------------------------------------------------------------- inputs
def write(matrix: np.ndarray | csr_array, path: Path) -> None:
    """A matrix as a Hadoop sequence file of blocks, with its description beside it."""
    rows, cols = matrix.shape
    with path.open("wb") as file:
        names = [(_ORIGIN + name).encode() for name in ("MatrixIndexes", "MatrixBlock")]
        file.write(b"SEQ\x06" + b"".join(bytes([len(name)]) + name for name in names))
        file.write(b"\0\0" + struct.pack(">i", 0) + bytes(range(16)))  # not compressed, no further description, mark between records
        for top in range(0, rows, BLOCK):
            for left in range(0, cols, BLOCK):
                _write_block(file, matrix[top : top + BLOCK, left : left + BLOCK], top // BLOCK + 1, left // BLOCK + 1)
    nnz = matrix.nnz if isinstance(matrix, csr_array) else int(np.count_nonzero(matrix))
    about = {"data_type": "matrix", "value_type": "double", "format": "binary", "rows": rows, "cols": cols, "nnz": nnz}
    Path(f"{path}.mtd").write_text(json.dumps(about | {"rows_in_block": BLOCK, "cols_in_block": BLOCK}), encoding="utf-8")


def _write_block(file: BinaryIO, part: np.ndarray | csr_array, row: int, col: int) -> None:
    if isinstance(part, csr_array):
        content = struct.pack(">bi", _SPARSE, part.nnz) + _sparse_rows(part)
    else:
        content = struct.pack(">b", _DENSE) + part.astype(">f8").tobytes()
    value = struct.pack(">ii", *part.shape) + content
    file.write(struct.pack(">iiqq", 16 + len(value), 16, row, col) + value)


def _sparse_rows(part: csr_array) -> bytes:
    """For each row its number of cells, then column and value of each."""
    part.sort_indices()
    counts = np.diff(part.indptr)
    cells = np.empty(part.nnz, dtype=[("column", ">i4"), ("value", ">f8")])
    cells["column"], cells["value"] = part.indices, part.data
    out = np.empty(12 * part.nnz + 4 * len(counts), dtype=np.uint8)
    heads = 12 * part.indptr[:-1] + 4 * np.arange(len(counts))
    is_head = np.zeros(len(out), dtype=bool)
    is_head[(heads[:, None] + np.arange(4)).ravel()] = True
    out[is_head] = np.frombuffer(counts.astype(">i4").tobytes(), dtype=np.uint8)
    out[~is_head] = np.frombuffer(cells.tobytes(), dtype=np.uint8)
    return out.tobytes()


# ---------------------------------------------------------------- the script
def script(workload: Workload, inputs: Mapping[str, Any], folder: Path, repeats: int) -> str:
    """The workload as a script that times itself: all inputs are read before, and every run is fenced by loops from the clock.

    inputs: names, with None for matrices, which are read from `folder`. The second run is not counted, as with the others.
    """
    matrices = [name for name, value in inputs.items() if value is None]
    lines = [workload.header]
    lines += [f'{name} = read("{folder / name}.bin")' for name in matrices]
    lines += [f"{name} = {_literal(value)}" for name, value in inputs.items() if name not in matrices]
    lines += [f'print("read " + sum({name}))' for name in matrices]
    kept = [f"{name}_kept = {name}" for name in inputs]
    again = [f"  {name} = {name}_kept" for name in inputs]
    shown = [f'  print("result {name} " + {name})' for name in workload.results]
    lines += [
        *kept,
        f"for (round in 1:{repeats + 2 if repeats else 1}) {{",
        *again,
        "  start = time()",
        *_fenced(workload.others or workload.body),
    ]
    lines += ['  print("seconds " + (time() - start) / 1e9)', *_fenced(workload.check), *shown, "}"]
    return "\n".join(lines) + "\n"


def _fenced(text: str) -> list[str]:
    """Statements in a loop that runs once, which neither the clock nor the compiler of SystemDS moves across."""
    return ["  go = TRUE", "  while (go) {", text, "  go = FALSE", "  }"]


def _literal(value: Any) -> str:
    return {True: "TRUE", False: "FALSE"}[value] if isinstance(value, bool) else repr(value)


# ---------------------------------------------------------------- running
class SystemDS:
    """SystemDS as it lies in a Python environment."""

    def __init__(self, python: Path, scratch: Path, heap: str = "8g"):
        self.package = next(python.absolute().parents[1].glob("lib/python3*/site-packages/systemds"))
        self.scratch = scratch
        self.heap = heap
        if (scratch / "nn").exists():
            return
        with zipfile.ZipFile(self.package / "SystemDS.jar") as jar:  # its layers, found as nn/ from the folder of the script
            jar.extractall(scratch / "jar", [name for name in jar.namelist() if name.startswith("scripts/nn/")])
        (scratch / "nn").symlink_to(scratch / "jar/scripts/nn")

    def command(self, path: Path, settings: Mapping[str, str]) -> list[str]:
        """What runs a script file that lies anywhere, as a process in the scratch folder."""
        values = {"sysds.scratch": f"{self.scratch}/space", "sysds.localtmpdir": f"{self.scratch}/local", **settings}
        configuration = self.scratch / "config.xml"
        configuration.write_text("<root>" + "".join(f"<{k}>{v}</{k}>" for k, v in values.items()) + "</root>", encoding="utf-8")
        classes = f"{self.package}/SystemDS.jar:{self.package}/lib/*"
        java = ["java", f"-Xmx{self.heap}", "-Xss8m", "--add-modules=jdk.incubator.vector", "-cp", classes]
        words = ["org.apache.sysds.api.DMLScript", "-f", str(path), "-exec", "singlenode", "-config", str(configuration)]
        return [*java, *words]


def parsed(output: str, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Times and results that a script of `script` printed, None if it did not come to them; the first run takes its compilation along."""
    seconds = [float(s) for s in re.findall(r"^seconds (\S+)", output, re.M)]
    compilation = re.search(r"^Total compilation time:\s+([\d.,]+)", output, re.M)
    results = {name: float(value) for name, value in re.findall(r"^result (\w+) (\S+)", output, re.M)}
    if compilation is None or results.keys() != set(names):
        return None
    results = {name: value for name, value in results.items() if value == value}  # NaN is for what it does not tell
    return {"first": seconds[0] + float(compilation[1].replace(",", "")), "later": seconds[2:], "results": results}


def found(python: Path | None) -> bool:
    """Whether there is a Java, and an environment with the package."""
    java = subprocess.run(["java", "-version"], capture_output=True, check=False).returncode == 0 if _has("java") else False
    return java and python is not None and any(python.absolute().parents[1].glob("lib/python3*/site-packages/systemds/SystemDS.jar"))


def _has(program: str) -> bool:
    return any(os.access(Path(folder) / program, os.X_OK) for folder in os.environ.get("PATH", "").split(os.pathsep))
