"""A headless browser that opens pages for tests."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=1500",
    "--window-size=1400,900",
    "--enable-logging=stderr",
]


def opened(page: Path, address: str = "") -> str:
    """The document after the page's program has run."""
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={page.parent / 'profile'}", "--dump-dom", f"{page.as_uri()}{address}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert not re.findall(r"CONSOLE.*(?:Error|Refused|violates)[^\n]*", done.stderr), done.stderr
    return done.stdout
