"""The workers: a cluster that was given, or processes of this machine, started when the first plan needs them."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from typing import Any, Final

import numpy as np

from dmlite.backends.dask import connect, given
from dmlite.backends.dask.copies import Copies
from dmlite.backends.dask.failures import asked_at, explained
from dmlite.backends.dask.processes import Processes
from dmlite.backends.dask.progress import progress
from dmlite.config import config
from dmlite.errors import DMLRuntimeError, Span
from dmlite.hop.machine import Cluster, chunk_of

_SMALL: Final = 1 << 15  # bytes of a value that travels with every task that needs it
_AT_ONCE: Final = 8  # partial results that are joined by one task
_PATIENCE: Final = 10  # seconds that a cluster may take to get its first worker, or to let go of a client


class Session:
    """A connection to workers, and what was sent through it.

    The lines of generated source are kept by its name, so that an error of a task is told at its line of DML; so are the bytes that a
    chunk takes.
    """

    def __init__(self, client: Any, *, processes: Processes | None = None, planned: Cluster | None = None, borrowed: bool = False):
        """processes: that run the workers, ended with the session; planned: what they were started as. borrowed: the client is
        the caller's.

        Raises DMLRuntimeError when there are no workers.
        """
        self.client = client
        self.lines: dict[str, Mapping[int, tuple[str, Span | None]]] = {}
        self.copies = Copies()
        self.needs: dict[str, int] = {}
        self._processes, self._planned, self._borrowed = processes, planned, borrowed
        self.workers = self.describe()
        self._is_quiet = False
        if not borrowed:
            client.subscribe_topic("all", self._look_at)

    # ------------------------------------------------------------ what there is
    def describe(self) -> Cluster:
        """The workers as the planner sees them. Raises DMLRuntimeError when there are none."""
        if self._planned is not None:  # whoever of them has ended is started again
            return replace(self._planned, chunk=chunk_of(self._planned.memory, self._planned.cores))
        with suppress(TimeoutError):
            self.client.wait_for_workers(1, _PATIENCE)
        workers = list(self.client.scheduler_info(n_workers=-1)["workers"].values())
        if not workers:
            raise DMLRuntimeError(
                "the cluster has no workers", hint="`dask worker ADDRESS` starts one; without --cluster, this machine is used"
            )
        memory = min(int(w["memory_limit"] or 0) or 1 << 62 for w in workers)
        cores = max(1, min(w["nthreads"] for w in workers))
        self.workers = Cluster(len(workers), memory, cores, chunk=chunk_of(memory, cores))
        return self.workers

    @property
    def is_beside(self) -> bool:
        """Whether the workers are processes of this machine, which see its files."""
        return self._processes is not None

    @property
    def chunk(self) -> int:
        """Bytes of a chunk, about, under the configuration in force."""
        return chunk_of(self.workers.memory, self.workers.cores)

    @property
    def slots(self) -> int:
        """Tasks that run at a time."""
        return self.workers.workers * self.workers.cores

    def _look_at(self, event: tuple[float, Any]) -> None:
        """Tell when workers were lost, the first time."""
        what = event[1]
        if what.get("action") == "remove-worker" and not what.get("expected") and not self._is_quiet:
            self._is_quiet = True
            sys.stderr.write("dmlite: a worker was lost; what it held is computed again\n")

    # ------------------------------------------------------------ tasks
    def each(self, function: Callable[..., Any], *columns: Sequence[Any], name: str) -> list[Any]:
        """Futures of `function` for every row of the columns, which may hold futures."""
        stem = f"{name}{asked_at()}-{uuid.uuid4().hex}"
        keys = [f"{stem}-{i}" for i in range(len(columns[0]))]
        with _of_any_size():
            return self.client.map(function, *columns, key=keys, pure=False)

    def one(self, function: Callable[..., Any], *args: Any, name: str) -> Any:
        with _of_any_size():
            return self.client.submit(function, *args, key=f"{name}{asked_at()}-{uuid.uuid4().hex}", pure=False)

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
        return self.folded(join_all, futures, join, name=f"join-{name}")

    def folded(self, function: Callable[..., Any], futures: list[Any], *first: Any, name: str) -> Any:
        """A future of what a function makes of `first` and partial results, some at a time, and then of what it made of them."""
        while len(futures) > 1:
            groups = [futures[i : i + _AT_ONCE] for i in range(0, len(futures), _AT_ONCE)]
            futures = [g[0] if len(g) == 1 else self.one(function, *first, *g, name=name) for g in groups]
        return futures[0]

    def gather(self, futures: Any) -> Any:
        """Values of futures, here. Raises DMLError at the line of DML whose task failed."""
        try:
            with progress(self.client):
                return self.client.gather(futures)
        except KeyboardInterrupt:
            logging.getLogger("asyncio").addFilter(_was_awaited)
            raise
        except Exception as error:
            raise explained(error, self) from None

    def close(self) -> None:
        """Give the workers back; those that were started here end."""
        self._is_quiet = True
        if not self._borrowed:
            with suppress(Exception):  # nobody waits for an answer
                self.client.close(timeout=_PATIENCE)
        if self._processes is not None:
            self._processes.close()


def _was_awaited(record: logging.LogRecord) -> bool:
    """Not a message about a result that an interrupted script no longer waits for."""
    return "never retrieved" not in record.getMessage()


def join_all(join: str, *parts: Any) -> Any:
    """Partial results as one."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part if join == "add" else getattr(np, join)(total, part)
    return total.item() if isinstance(total, np.generic) else total


def _of_any_size() -> AbstractContextManager[Any]:
    """Values travel with the tasks that make them chunks, so that they can be made again: dask need not warn of it."""
    import dask

    return dask.config.set({"distributed.admin.large-graph-warning-threshold": "1TB"})


def _itself(value: Any) -> Any:
    return value


# ---------------------------------------------------------------- the one in use
class _Sessions:
    """One session for every address and for every client that a caller gave."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[Any, Session] = {}

    def get(self) -> Session:
        key = given.client.get() or config().cluster
        with self._lock:
            session = self._open.get(key)
            if session is None or session.client.status != "running":
                session = self._open[key] = _connect(given.client.get(), config().cluster)
            return session

    def forget(self) -> None:
        """Let go of copies of what is here."""
        for session in list(self._open.values()):
            session.copies.forget()

    def described(self) -> Cluster | None:
        """The workers in use; None where they are yet to be started."""
        named = given.client.get() or config().cluster
        return self.get().describe() if named is not None or None in self._open else None

    def close(self) -> None:
        with self._lock:
            for session in self._open.values():
                session.close()
            self._open.clear()


def _connect(client: Any, address: str | None) -> Session:
    if client is not None:
        connect.check(client)
        return Session(client, borrowed=True)
    if address is not None:
        return Session(connect.connect(address))
    from dmlite.hop.machine import here

    planned = here().cluster
    assert planned is not None
    return started(planned, config().dashboard or "")


def started(planned: Cluster, dashboard: str = "") -> Session:
    """Processes of this machine as workers. Raises DMLRuntimeError."""
    processes = Processes(planned, dashboard)
    try:
        return Session(connect.connect(processes.address), processes=processes, planned=planned)
    except BaseException:
        processes.close()
        raise


sessions: Final = _Sessions()


@atexit.register
def _leave() -> None:
    logging.getLogger("asyncio").addFilter(_was_awaited)
    sessions.close()


def session() -> Session:
    """The workers that the configuration in force names; started if need be."""
    return sessions.get()


def close() -> None:
    """End all sessions, and the workers that were started for them."""
    sessions.close()
