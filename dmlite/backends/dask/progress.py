"""How far the workers are, on a terminal, while somebody waits for them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

_AFTER: Final = 1.0  # seconds of waiting before anything is shown
_EVERY: Final = 0.25


@contextmanager
def progress(client: Any) -> Iterator[None]:
    """One line on standard error, if that is a terminal, which is gone after the block."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_show, args=(client, done), name="dmlite-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _show(client: Any, done: threading.Event) -> None:
    total = pending(client)
    if done.wait(_AFTER):
        return
    while True:
        left = pending(client)
        total = max(total, left)  # what is lost is pending again
        sys.stderr.write(f"\r\x1b[K{total - left} of {total} tasks done")
        sys.stderr.flush()
        if done.wait(_EVERY):
            break
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


def pending(client: Any) -> int:
    """Tasks of a client that have not ended."""
    return sum(state.status == "pending" for state in list(client.futures.values()))
