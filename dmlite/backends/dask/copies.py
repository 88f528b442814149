"""What the workers have of matrices that are here, so that a loop sends what it does not change once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from sys import getrefcount
from threading import Lock
from typing import Any, Final

_ONE: Final = 2  # references to a value that only its entry holds: the entry, and the call that counts
_KEPT: Final = 64


class Copies:
    """Copies of variables, by the object and how it is cut.

    A variable is held as long as its copy is, so that nothing stores into it in place meanwhile; one that only its copy holds is let
    go. At the end of a run all are, since callers may change their arrays.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[int, Any], tuple[Any, Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, value: Any, how: Any, send: Callable[[], Any]) -> Any:
        """The copy of `value` for the key `how`; sent if there is none."""
        key = (id(value), how)
        with self._lock:
            self._let_go()
            entry = self._entries.get(key)
            if entry is None:
                entry = self._entries[key] = (value, send())
            self._entries.move_to_end(key)
            return entry[1]

    def _let_go(self) -> None:
        for key in [k for k, entry in self._entries.items() if getrefcount(entry[0]) <= _ONE]:
            del self._entries[key]
        while len(self._entries) > _KEPT:
            self._entries.popitem(last=False)

    def forget(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._entries.clear()
