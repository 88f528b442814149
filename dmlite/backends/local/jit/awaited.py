"""Compiled code that nothing waits for.

It is looked for on the disk when the work it is to do has taken as long as loading it does, and compiled, by another process, when the work
has taken as long as that does: so it costs at most as much again, and what runs only briefly never pays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from threading import Event

    from dmlite.codegen.loops import Source

LOAD_SECONDS: Final = 0.05
COMPILE_SECONDS: Final = 1.0


class Awaited:
    """A loop, and its compiled function when that is there."""

    def __init__(self, loop: Source):
        self.loop = loop
        self.compiled: Callable[..., None] | None = None
        self._pending: Event | None = None
        self._is_looked_for = self._is_settled = False

    def advance(self, spent: float) -> None:
        """Look for the function, or have it compiled, now that the loop has run for `spent` seconds without it."""
        from dmlite.backends.local.jit import store

        if self._is_settled:
            return
        if not self._is_looked_for or (self._pending is not None and self._pending.is_set()):
            self._is_looked_for = True
            self._is_settled = self._pending is not None  # whatever came of it, that was all
            self.compiled = store.load(self.loop)
        if self.compiled is None and self._pending is None and spent >= COMPILE_SECONDS:
            self._pending = store.compiler.compile(self.loop)

    def wait(self) -> bool:
        """Compile or load now; whether the function is there."""
        from dmlite.backends.local.jit import store

        self.compiled = store.load(self.loop)
        if self.compiled is None and store.compiler.compile(self.loop).wait(60):
            self.compiled = store.load(self.loop)
        return self.compiled is not None
