"""Tells at the end how many random cases were run, and how many were left for want of time."""

from __future__ import annotations

from collections import defaultdict
from typing import Any


def pytest_terminal_summary(terminalreporter: Any) -> None:
    done: dict[str, int] = defaultdict(int)
    wanted: dict[str, int] = defaultdict(int)
    for reports in terminalreporter.stats.values():
        for report in reports:
            for what, counts in getattr(report, "user_properties", ()):
                if what.startswith("random ") and report.when == "call":
                    done[what] += counts[0]
                    wanted[what] += counts[1]
    for what, count in done.items():
        terminalreporter.write_line(f"{what}: {count} of {wanted[what]} done")
