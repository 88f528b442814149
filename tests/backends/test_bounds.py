"""The tests of compiled loops once more, with every index checked against the bounds of its array."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
CHECKED = os.environ.get("NUMBA_BOUNDSCHECK") == "1"


@pytest.mark.skipif(CHECKED, reason="this is the run it starts")
def test_no_loop_leaves_its_arrays(tmp_path):
    files = [str(HERE / f"test_{name}.py") for name in ("aggregate", "bounds", "compiled", "matmul", "statistics", "weighted")]
    run = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "compiled", *files]
    env = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "DMLITE_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(run, env=env, cwd=HERE.parents[1], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]


@pytest.mark.skipif(not CHECKED, reason="only with bounds checks")
def test_compiled_loops_are_checked():
    from dmlite.backends.local import compiled

    assert compiled.wait()
    indptr, beyond = np.array([0, 1], np.uint32), np.array([7], np.uint32)
    for name, out in (("product", np.empty((1, 2))), ("product_of_transpose", np.zeros((3, 2)))):
        with pytest.raises(IndexError):
            getattr(compiled._background.module, name)(indptr, beyond, np.ones(1), np.ones((3, 2)), 0, 1, out)
