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


# ---------------------------------------------------------------- comparing what was printed
_NUMBER = re.compile(r"(?<![\w.])-?(?:\d+(?:\.\d+)?(?:[Ee][-+]?\d+)?)(?![\w.])")


def mismatch(wanted: list[str], got: list[str]) -> str | None:
    """The first difference between two printed texts, in words; None where they agree.

    Numbers may differ by 1e-9 relative or 1e-12 absolute (one unit of the last place where nine and more decimals
    are printed), as long as they have the same form; all else is equal to the letter.
    """
    for number, (left, right) in enumerate(zip(wanted, got, strict=False), 1):
        if left != right and not _same_line(left, right):
            return f"line {number}: expected {left!r}, got {right!r}"
    if len(wanted) != len(got):
        return f"{len(wanted)} lines expected, got {len(got)}: {got[len(wanted) :] or wanted[len(got) :]}"
    return None


def _same_line(left: str, right: str) -> bool:
    """Whether two lines differ in nothing but the last digits of numbers."""
    ours, theirs = _NUMBER.findall(left), _NUMBER.findall(right)
    same_text = _NUMBER.sub("#", left) == _NUMBER.sub("#", right)
    return same_text and len(ours) == len(theirs) and all(_same_number(a, b) for a, b in zip(ours, theirs, strict=True))


def _same_number(left: str, right: str) -> bool:
    """`3` is not `3.0`, and `0.50` not `0.5`; `0.30000000000000004` is near enough to `0.3`."""
    if left == right:
        return True
    a, b = float(left), float(right)
    decimals = [len(text.partition(".")[2].partition("E")[0]) for text in (left, right)]
    if ("." in left) != ("." in right) or ("E" in left) != ("E" in right) or (max(decimals) < 6 and a == b):
        return False
    unit = 1.01 * 10.0 ** -decimals[0] if decimals[0] == decimals[1] >= 9 and "E" not in left else 0.0
    return abs(a - b) <= max(1e-9 * max(abs(a), abs(b)), 1e-12, unit)
