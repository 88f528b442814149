"""The command line from outside, and scripts for it."""

from __future__ import annotations

import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "dmlite"]


def script(text: str, name: str = "x.dml") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name
