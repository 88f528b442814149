"""The command line from outside, and scripts for it."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "dmlite"]


def interruptible() -> None:
    """To be run in a child before its program: tests in the background of a shell ignore interrupts, which children inherit."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def script(text: str, name: str = "x.dml") -> str:
    Path(name).write_text(text, encoding="utf-8")
    return name
