"""Parsed rules, kept in the user's cache: parsing those that one script calls for takes longer than compiling the script."""

from __future__ import annotations

import atexit
import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.util import source_hash
from pathlib import Path
from typing import Any, Final

from dmlite.config import cache_folder, keep
from dmlite.hop.node import Hop, fresh_tag, make

_PACKAGE: Final = Path(__file__).parents[1]
_MEANING: Final = ("lang/*.lark", "lang/*.py", "hop/*.py", "hop/ops/*.py", "rewrite/p*.py")  # what the node of a text depends on
_VERSIONS: Final = 8  # of dmlite whose rules are kept


class Parsed:
    """Nodes of texts, from a file and for it. A file that cannot be read or written is done without."""

    def __init__(self, path: Path):
        self.path = path
        self._trees: dict[str, Any] = {}
        self._is_new = False
        with suppress(OSError, ValueError, TypeError):
            self._trees = dict(json.loads(path.read_text("utf-8")))

    def node(self, text: str, parse: Callable[[str], Hop]) -> Hop:
        """What `parse` makes of `text`, now or in an earlier process."""
        with suppress(KeyError, TypeError, ValueError):
            return _grown(self._trees[text])
        node = parse(text)
        self._trees[text] = _tree(node)
        self._is_new = True
        return node

    def write(self) -> None:
        """Keep what was parsed, if anything was."""
        if not self._is_new:
            return
        with suppress(OSError):
            keep(self.path, json.dumps(self._trees, separators=(",", ":")).encode())
            for old in sorted(self.path.parent.glob("rules-*.json"), key=os.path.getmtime)[:-_VERSIONS]:
                old.unlink()


@cache
def parsed() -> Parsed:
    """The texts of this version of dmlite, written when the process ends."""
    files = (file for pattern in _MEANING for file in sorted(_PACKAGE.glob(pattern)))
    version = source_hash(b"".join(file.read_bytes() for file in files))
    kept = Parsed(cache_folder() / f"rules-{version.hex()}.json")
    atexit.register(kept.write)
    return kept


def _tree(hop: Hop) -> list[Any]:
    return [hop.op, hop.value, bool(hop.tag), *map(_tree, hop.args)]


def _grown(tree: list[Any]) -> Hop:
    op, value, tagged, *below = tree
    return make(op, map(_grown, below), tuple(value) if isinstance(value, list) else value, fresh_tag() if tagged else 0)
