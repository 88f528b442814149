"""Broken scripts as plain text: `<topic>.dml` holds them, each below a few header lines.

    #--- name: the-name
    #--- at: 2:5          line and column of the mistake in the script, from 1
    #--- says: regex      found in the message, case ignored
    #--- hint: regex      found in the hint (optional)
    #--- in: data/x.dml   the file that `at` means, where it is not the script (optional)
    #--- args: -nvargs..  further words of the command line (optional)

A script with several mistakes repeats `at` and `says`, in the order of reporting. `data/` holds what the scripts read.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
_START = re.compile(r"^#--- name: ([a-z0-9-]+)\n", re.M)
_HEADER = re.compile(r"#--- (\w+): (.*)\n")


@dataclass(frozen=True)
class Case:
    """One broken script and what must be said about it."""

    topic: str
    name: str
    text: str
    places: tuple[tuple[int, int], ...]
    says: tuple[str, ...]
    hint: str | None
    file: str | None
    args: tuple[str, ...]


def cases() -> list[Case]:
    return [case for path in sorted(HERE.glob("*.dml")) for case in _read(path)]


def _read(path: Path) -> list[Case]:
    _, *parts = _START.split(path.read_text(encoding="utf-8"))
    return [_case(path.stem, name, body) for name, body in zip(parts[::2], parts[1::2], strict=True)]


def _case(topic: str, name: str, body: str) -> Case:
    headers: dict[str, list[str]] = {}
    position = 0
    while match := _HEADER.match(body, position):
        headers.setdefault(match[1], []).append(match[2])
        position = match.end()
    places = tuple((int(line), int(column)) for line, column in (at.split(":") for at in headers["at"]))
    return Case(
        topic,
        name,
        body[position:],
        places,
        tuple(headers["says"]),
        headers.get("hint", [None])[0],
        headers.get("in", [None])[0],
        tuple(shlex.split(headers.get("args", [""])[0])),
    )
