"""From what went wrong on workers to errors at lines of DML.

The key of a task tells where in generated source the driver was when it asked for it: `name@function:line-id-number`.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, Final

from dmlite.backends.dask.worker import ChunkError
from dmlite.errors import DMLError, DMLRuntimeError, Place
from dmlite.memory import human

if TYPE_CHECKING:
    from dmlite.backends.dask.cluster import Session

_KEY: Final = re.compile(r"(?P<name>.*?)(?:@(?P<function>\w+):(?P<line>\d+))?-[0-9a-f]{32}(?:-\d+)?\Z")
_MORE: Final = "use smaller chunks (DMLITE_CHUNK), or give workers more with --memory"


def asked_at() -> str:
    """Where in generated source this thread is, for a key."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        if file.startswith("<dml "):
            return f"@{file[5:-1]}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def explained(error: Exception, session: Session) -> Exception:
    """The error as one of DML where it is about what the workers did; any other as it is."""
    kind = type(error).__name__
    if isinstance(error, ChunkError):
        return _in_chunk(error, session)
    if kind == "KilledWorker":
        return _killed(error, session)
    if isinstance(error, MemoryError):
        return DMLRuntimeError(_out_of_memory(error), hint=_MORE)
    if kind in ("FutureCancelledError", "FuturesCancelledError", "CancelledError", "CommClosedError", "ClosedClientError"):
        return DMLRuntimeError("the cluster ended, and what lay on its workers with it", hint="is its scheduler running?")
    return error


def _in_chunk(error: ChunkError, session: Session) -> DMLError:
    what, span = session.lines.get(error.code, {}).get(error.line, ("an operator", None))
    cause = error.cause
    if isinstance(cause, DMLError):
        return cause.at(span)
    if isinstance(cause, MemoryError):
        return DMLRuntimeError(f"{_out_of_memory(cause)} in {what}", span, _MORE)
    return DMLRuntimeError(f"{what} failed on a worker: {cause}", span, "DMLITE_TRACEBACK=full shows the Python frames")


def _out_of_memory(error: BaseException) -> str:
    return f"a worker ran out of memory ({error})" if str(error) else "a worker ran out of memory"


def _killed(error: Any, session: Session) -> DMLError:
    """A task after which several workers were gone. The system, or the one that watches them, ends those that take too much memory."""
    found = _KEY.match(str(error.task))
    name = found["name"] if found else ""
    needs = session.needs.get(name)
    limit = session.workers.memory
    chunk = "" if not needs else f"a chunk takes about {human(needs)}, and "
    raised = DMLRuntimeError(
        f"{error.allowed_failures + 1} workers ended while they ran this, probably out of memory: {chunk}a worker has {human(limit)}",
        hint=_MORE,
    )
    if found and found["function"]:
        raised.place = Place(f"<dml {found['function']}>", int(found["line"]))
    return raised
