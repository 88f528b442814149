"""`(W / (U %*% t(V))) %*% V` over a large sparse W: peak memory and time with the fused operator and without any rewrite.

    python tests/benchmarks/wdivmm.py [--rows 20000] [--cols 10000] [--density 0.01] [--rank 20]

Each run is a process of its own, whose peak is counted from the moment before its inputs are loaded. The fused plan has to stay below three
times the size of inputs and output; the plan of level 0 holds the product, 8 bytes a cell, at least once more.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

SCRIPT = "Z = (W / (U %*% t(V))) %*% V"


def prepare(folder: Path, rows: int, cols: int, density: float, rank: int) -> None:
    """Seeded inputs as plain arrays, so that loading them needs no memory beside them."""
    from scipy.sparse import csr_array, random_array

    rng = np.random.default_rng(7)
    W = csr_array(random_array((rows, cols), density=density, rng=rng))
    arrays = {"data": W.data, "indices": W.indices, "indptr": W.indptr, "U": rng.random((rows, rank)), "V": rng.random((cols, rank))}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def measure(folder: Path, level: int) -> dict[str, float]:
    """One run: bytes of inputs and output, bytes of the peak above the start, seconds, and a number to compare by."""
    from scipy.sparse import csr_array

    from dmlite import MLContext, dml, settings

    with settings(opt_level=level):
        MLContext().execute(dml(SCRIPT).input(W=csr_array(np.eye(3)), U=np.ones((3, 2)), V=np.ones((3, 2))))  # everything imported
        start = _peak()
        data, indices, indptr, U, V = (np.load(folder / f"{n}.npy") for n in ("data", "indices", "indptr", "U", "V"))
        W = csr_array((data, indices, indptr), shape=(len(U), len(V)))
        clock = perf_counter()
        Z = np.asarray(MLContext().execute(dml(SCRIPT).input(W=W, U=U, V=V).output("Z")).get("Z"))
        seconds = perf_counter() - clock
    size = sum(x.nbytes for x in (data, indices, indptr, U, V, Z))
    return {"size": size, "peak": _peak() - start, "seconds": seconds, "sum": float(np.sum(Z))}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def fresh(*arguments: object) -> str:
    """The output of this file in a new process."""
    return subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, kind, default in (("rows", int, 20_000), ("cols", int, 10_000), ("density", float, 0.01), ("rank", int, 20)):
        parser.add_argument(f"--{name}", type=kind, default=default)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        fresh("prepare", folder, args.rows, args.cols, args.density, args.rank)
        fused, plain = (json.loads(fresh("measure", folder, level)) for level in (2, 0))
    product = 8 * args.rows * args.cols
    print(f"inputs and output: {fused['size'] / 1e6:.1f} MB, the product alone: {product / 1e6:.1f} MB")
    for name, run in (("fused (level 2)", fused), ("as written (level 0)", plain)):
        print(f"{name:22s} peak {run['peak'] / 1e6:8.1f} MB = {run['peak'] / run['size']:6.2f} x   {run['seconds']:7.3f} s")
    assert np.isclose(fused["sum"], plain["sum"], rtol=1e-9), "both plans must give the same"
    assert fused["peak"] < 3 * fused["size"] and plain["peak"] - fused["peak"] > product


if __name__ == "__main__":
    if sys.argv[1:2] == ["prepare"]:
        prepare(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
    elif sys.argv[1:2] == ["measure"]:
        print(json.dumps(measure(Path(sys.argv[2]), int(sys.argv[3]))))
    else:
        main()
