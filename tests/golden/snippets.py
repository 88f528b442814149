"""The corpus as plain text: `<topic>.dml` holds snippets, `expected/<topic>.txt` what each of them prints.

Both files are split by header lines `#--- name: the-name`; `(later)` after the name marks a snippet that needs
functions dmlite does not have yet. Names are unique over all topics. `differences.json` holds the snippets whose
result is not to be the one of SystemDS 3.4.0, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
DIFFERENCES = HERE / "differences.json"
_HEADER = re.compile(r"^#--- name: ([a-z0-9-]+)( \(later\))?\n", re.M)


@dataclass(frozen=True)
class Snippet:
    """One small script, and the topic whose file it stands in."""

    topic: str
    name: str
    text: str
    later: bool


def split(text: str) -> Iterator[tuple[str, str, bool]]:
    """(name, body, later) for each header; a body is kept to the letter, for its blank lines count."""
    _, *parts = _HEADER.split(text)
    for name, later, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        yield name, body, bool(later)


def topics() -> list[str]:
    return sorted(path.stem for path in HERE.glob("*.dml"))


def snippets(topic: str) -> list[Snippet]:
    """All snippets of one topic, in file order."""
    return [Snippet(topic, *part) for part in split((HERE / f"{topic}.dml").read_text(encoding="utf-8"))]


def expected(topic: str) -> dict[str, str]:
    """What SystemDS prints for each snippet of a topic."""
    path = HERE / "expected" / f"{topic}.txt"
    return {name: body for name, body, _ in split(path.read_text(encoding="utf-8"))} if path.exists() else {}


def differences() -> dict[str, dict]:
    """name -> {"systemds": ..., "dmlite": [lines], "reason": ...} for the results that are deliberately others."""
    return json.loads(DIFFERENCES.read_text(encoding="utf-8")) if DIFFERENCES.exists() else {}
