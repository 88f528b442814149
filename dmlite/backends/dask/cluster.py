"""The workers: a cluster that was given, or processes of this machine, started when the first plan needs them."""

from __future__ import annotations

import atexit
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from dmlite.backends.dask.copies import Copies
from dmlite.backends.dask.worker import ChunkError
from dmlite.config import config
from dmlite.errors import DMLError, DMLRuntimeError, Span
from dmlite.hop.machine import Cluster

_SMALL: Final = 1 << 15  # bytes of a value that travels with every task that needs it
_AT_ONCE: Final = 8  # partial results that are joined by one task


class Session:
    """A connection to workers, and what was sent through it.

    The lines of generated source are kept by its name, so that an error of a task is told at its line of DML.
    """

    def __init__(self, client: Any, *, owned: bool, chunk: int):
        self.client = client
        self.owned = owned
        self.chunk = chunk
        self.lines: dict[str, Mapping[int, tuple[str, Span | None]]] = {}
        self.copies = Copies()

    # ------------------------------------------------------------ what there is
    def describe(self) -> Cluster:
        """The workers as the planner sees them. Raises DMLRuntimeError when there are none."""
        workers = list(self.client.scheduler_info(n_workers=-1)["workers"].values())
        if not workers:
            raise DMLRuntimeError("the cluster has no workers", hint="start some, or leave --cluster out")
        memory = min(int(w["memory_limit"] or 0) or 1 << 62 for w in workers)
        return Cluster(len(workers), memory, max(1, min(w["nthreads"] for w in workers)), chunk=self.chunk)

    @property
    def slots(self) -> int:
        """Tasks that run at a time."""
        return max(1, sum(self.client.nthreads().values()))

    # ------------------------------------------------------------ tasks
    def each(self, function: Callable[..., Any], *columns: Sequence[Any], name: str) -> list[Any]:
        """Futures of `function` for every row of the columns, which may hold futures."""
        stem = f"{name}-{uuid.uuid4().hex}"
        keys = [f"{stem}-{i}" for i in range(len(columns[0]))]
        return self.client.map(function, *columns, key=keys, pure=False)

    def one(self, function: Callable[..., Any], *args: Any, name: str) -> Any:
        return self.client.submit(function, *args, key=f"{name}-{uuid.uuid4().hex}", pure=False)

    def put(self, value: Any) -> Any:
        """A future of a value of this process. It is the result of a task, so it survives the loss of a worker."""
        return self.one(_itself, value, name="put")

    def shared(self, value: Any) -> Any:
        """A value for many tasks: a large one becomes a future that every worker gets once, a small one travels with each task."""
        size = getattr(value, "nbytes", None) or getattr(getattr(value, "data", None), "nbytes", 0)
        return self.put(value) if size > _SMALL else value.copy() if isinstance(value, np.ndarray) else value

    def total(self, parts: list[Any], join: str, name: str, *, small: bool) -> Any:
        """Partial results joined and here, always in the same order; small: here, else by a tree of tasks."""
        return join_all(join, *self.gather(parts)) if small else self.gather(self.joined(parts, join, name))

    def joined(self, futures: list[Any], join: str, name: str) -> Any:
        """A future of what `join` makes of partial results, by a tree, always in the same order."""
        while len(futures) > 1:
            groups = [futures[i : i + _AT_ONCE] for i in range(0, len(futures), _AT_ONCE)]
            futures = [g[0] if len(g) == 1 else self.one(join_all, join, *g, name=f"join-{name}") for g in groups]
        return futures[0]

    def gather(self, futures: Any) -> Any:
        """Values of futures, here. Raises DMLError at the line of DML whose task failed."""
        try:
            return self.client.gather(futures)
        except ChunkError as error:
            raise self._explained(error) from None
        except Exception as error:
            raise _told(error) from None

    def _explained(self, error: ChunkError) -> DMLError:
        what, span = self.lines.get(error.code, {}).get(error.line, ("an operator", None))
        cause = error.cause
        if isinstance(cause, DMLError):
            return cause.at(span)
        if isinstance(cause, MemoryError):
            return DMLRuntimeError(f"a worker ran out of memory in {what}", span, "use more workers, or give them more with --memory")
        return DMLRuntimeError(f"{what} failed on a worker: {cause}", span, "DMLITE_TRACEBACK=full shows the Python frames")

    def close(self) -> None:
        """Give the workers back; those that were started here end."""
        if self.owned:
            cluster = self.client.cluster
            self.client.close(timeout=5)
            cluster.close(timeout=10)


def join_all(join: str, *parts: Any) -> Any:
    """Partial results as one."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part if join == "add" else getattr(np, join)(total, part)
    return total.item() if isinstance(total, np.generic) else total


def _itself(value: Any) -> Any:
    return value


def _told(error: Exception) -> Exception:
    name = type(error).__name__
    if name == "KilledWorker":
        return DMLRuntimeError(
            "workers ran out of memory, or were killed, again and again in the same task",
            hint="give them more with --memory, or use smaller chunks",
        )
    return error


# ---------------------------------------------------------------- the one in use
class _Sessions:
    """One session an address, and the client that a caller gave for its thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str | None, Session] = {}
        self.given = threading.local()

    def get(self) -> Session:
        client = getattr(self.given, "client", None)
        address = f"client:{id(client)}" if client is not None else config().cluster
        with self._lock:
            session = self._open.get(address)
            if session is None or session.client.status != "running":
                session = self._open[address] = _connect(client, config().cluster)
            return session

    def forget(self) -> None:
        """Let go of copies of what is here."""
        for session in list(self._open.values()):
            session.copies.forget()

    def close(self) -> None:
        with self._lock:
            for session in self._open.values():
                session.close()
            self._open.clear()


def _connect(client: Any, address: str | None) -> Session:
    settings = config()
    if client is not None:
        return Session(client, owned=False, chunk=settings.chunk)
    from dask.distributed import Client, LocalCluster

    if address is not None:
        return Session(Client(address, set_as_default=False), owned=False, chunk=settings.chunk)
    from dmlite.hop.machine import here

    planned = here().cluster
    assert planned is not None
    workers = LocalCluster(
        n_workers=planned.workers,
        threads_per_worker=1,
        processes=True,
        memory_limit=planned.memory,
        host="127.0.0.1",
        dashboard_address=None,
    )
    atexit.register(sessions.close)
    return Session(Client(workers, set_as_default=False), owned=True, chunk=settings.chunk)


sessions: Final = _Sessions()


def session() -> Session:
    """The workers that the configuration in force names; started if need be."""
    return sessions.get()


def close() -> None:
    """End all sessions, and the workers that were started for them."""
    sessions.close()
