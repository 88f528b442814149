"""Linear regression by conjugate gradients on data several times the memory that the script may take, read by the workers.

python tests/benchmarks/beyond_memory.py [--memory 512MB] [--times 5] [--formats binary csv] [--folder /tmp]

Every run is a process of its own. Memory is the most that a process has held at a time, files that it looked at among it, as the
system counts it (VmHWM). The result is compared with the normal equations, summed up by NumPy over the mapped file.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from dmlite.memory import human, parse_bytes

COLS = 100
STEPS = 1 << 14  # rows that are made at a time
REG = 1e-3
SCRIPT = """
X = read($X)
y = read($y)
B = lmCG(X=X, y=y, icpt=0, reg=$reg, tol=1e-12, maxi=$steps, verbose=FALSE)
"""
_DIGITS = np.array([b"0.%04d," % i for i in range(10_000)])


def make(folder: Path, rows: int, formats: list[str]) -> None:
    """X, of numbers of four digits, as `X.npy` and in the other formats, and y."""
    rng = np.random.default_rng(7)
    weights = rng.standard_normal((COLS, 1))
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.float64, (rows, COLS))
    y = np.empty((rows, 1))
    for low in range(0, rows, STEPS):
        digits = rng.integers(0, 10_000, (min(STEPS, rows - low), COLS))
        block = digits / 10_000
        X[low : low + STEPS] = block
        y[low : low + STEPS] = block @ weights + 0.1 * rng.standard_normal((len(block), 1))
        if "binary" in formats:
            (folder / "X").mkdir(exist_ok=True)
            np.save(folder / "X" / f"part-{low // STEPS:05d}.npy", block)
        if "csv" in formats:
            with open(folder / "X.csv", "ab") as file:
                file.write(_lines(digits))
    np.save(folder / "y.npy", y)


def _lines(digits: np.ndarray) -> bytes:
    text = _DIGITS[digits].view("u1").reshape(len(digits), -1)
    text[:, -1] = ord("\n")
    return text.tobytes()


def expected(folder: Path) -> np.ndarray:
    """The solution of the normal equations."""
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy")
    gram, right = REG * np.eye(COLS), np.zeros((COLS, 1))
    for low in range(0, len(X), STEPS):
        block = np.asarray(X[low : low + STEPS])
        gram += block.T @ block
        right += block.T @ y[low : low + STEPS]
    return np.linalg.solve(gram, right)


def peak() -> int:
    """Bytes that this process has held at most."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def run(X: str, y: str, memory: int, steps: int) -> dict[str, object]:
    """Seconds, peaks and the result of one run in this process."""
    from dmlite import dml
    from dmlite.backends.dask.cluster import session
    from dmlite.config import settings

    with settings(memory=memory):
        start = perf_counter()
        found = dml(SCRIPT).input(**{"$X": X, "$y": y, "$reg": REG, "$steps": steps}).output("B").execute().get("B")
        seconds = perf_counter() - start
        workers = session().client.run(peak)
    return {"seconds": seconds, "driver": peak(), "workers": list(workers.values()), "B": found.toNumPy().ravel().tolist()}


def child(arguments: argparse.Namespace, X: Path, y: Path) -> dict[str, object]:
    command = [sys.executable, __file__, "--run", X, y, "--memory", arguments.memory, "--steps", arguments.steps]
    done = subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    return json.loads(done.stdout.splitlines()[-1])


def measure(arguments: argparse.Namespace, folder: Path) -> bool:
    """Print a table; whether every process stayed within the budget and every result is right."""
    budget = parse_bytes(arguments.memory)
    rows = int(arguments.times * budget / (8 * COLS))
    make(folder, rows, arguments.formats)
    solution = expected(folder)
    print(f"X: {rows}x{COLS}, {human(8 * rows * COLS)}; budget {human(budget)}; {arguments.steps} steps")
    print(f"{'format':<12}{'on disk':>10}{'seconds':>10}{'driver':>12}{'workers':>24}{'error':>10}")
    all_well = True
    for form in arguments.formats:
        path = folder / {"binary": "X", "csv": "X.csv", "npy": "X.npy"}[form]
        found = child(arguments, path, folder / "y.npy")
        error = float(np.max(np.abs(np.array(found["B"]) - solution.ravel())) / np.max(np.abs(solution)))
        peaks = [found["driver"], *found["workers"]]
        size = sum(f.stat().st_size for f in (path.iterdir() if path.is_dir() else [path]))
        shown = ", ".join(map(human, found["workers"]))
        print(f"{form:<12}{human(size):>10}{found['seconds']:>10.1f}{human(found['driver']):>12}{shown:>24}{error:>10.1e}", flush=True)
        all_well &= max(peaks) <= budget and error <= 1e-8
    return all_well


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory", default="512MB")
    parser.add_argument("--times", type=float, default=5.0, help="bytes of the data, in budgets")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--formats", nargs="+", default=["binary", "csv"], choices=["binary", "csv", "npy"])
    parser.add_argument("--folder", help="where the data are written for the time of the run")
    parser.add_argument("--run", nargs=2, metavar=("X", "Y"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        print(json.dumps(run(*arguments.run, parse_bytes(arguments.memory), arguments.steps)))
        return 0
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        return 0 if measure(arguments, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
