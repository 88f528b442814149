"""Starting costs little: what is rarely needed is loaded when it is needed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable

import pytest

HEAVY = ("scipy", "numba", "dask", "distributed", "networkx", "pandas", "cupy", "rich", "lark", "IPython", "sklearn")


# Modules of ours that few small scripts need.
RARE = (
    "api",
    "backends.local.jit",
    "codegen.region_loops",
    "codegen.sampled_loops",
    "explain",
    "lang.parfor_deps",
    "runtime.hot",
    "runtime.stats",
)


def _loaded(program: str, among: Iterable[str] = HEAVY) -> set[str]:
    """The heavy packages, or the modules `among` others, that a fresh process has loaded after `program`."""
    code = f"import json, sys\n{program}\nprint(json.dumps(list(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return set(json.loads(done.stderr.splitlines()[-1])) & set(among)


def test_importing_loads_nothing_heavy():
    assert _loaded("import dmlite") == set()


def test_running_a_dense_script_loads_nothing_heavy():
    program = "from dmlite import dml\ndml('print(1)').execute()"  # the tables of the grammar are in the cache from here on
    _loaded(program)
    assert _loaded("from dmlite import dml\ndml('X = rand(rows=9, cols=9); s = sum(X %*% t(X)); print(s > 0)').execute()") == set()


def test_the_command_line_loads_nothing_heavy():
    _loaded("from dmlite import dml\ndml('print(1)').execute()")
    for words in (["run", "-s", "print(1)"], ["--help"], ["doctor"]):
        assert _loaded(f"from dmlite.tools.cli import main\nmain({words!r})") == set(), words


@pytest.mark.parametrize("program", ["import dmlite", "from dmlite.tools.cli import main\nmain(['--help'])"])
def test_what_computes_nothing_loads_no_numpy(program):
    assert _loaded(program, ["numpy"]) == set()


def test_small_scripts_load_what_they_need():
    program = "from dmlite.tools.cli import main\nmain(['-s', 'X = rand(rows=9, cols=9, seed=1); print(sum(X %*% t(X) + 1) > 0)'])"
    assert _loaded(program, [f"dmlite.{name}" for name in RARE]) == set()


@pytest.mark.skipif("CI" in os.environ, reason="measures this machine")
def test_print_as_a_whole_process_is_quick():
    command = [sys.executable, "-m", "dmlite", "-s", "print(1)"]
    subprocess.run(command, check=True, capture_output=True)
    used = []
    for _ in range(3):
        before = os.times()
        subprocess.run(command, check=True, capture_output=True)
        after = os.times()
        used.append(after.children_user - before.children_user + after.children_system - before.children_system)
    assert min(used) < 0.7  # seconds of CPU, about three times what it takes
