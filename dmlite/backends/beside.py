"""Processes of this package beside ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def beside(module: str, *words: object, environment: dict[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """`python -m module words`, which finds this package whatever else the path of the caller has. It is talked to by lines of text.

    Raises OSError when it cannot be started.
    """
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH", ""))))
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environment or {}), "PYTHONPATH": path},
        **options,
    )
