"""Which workers a run uses, without loading what talks to them: a client of the caller, an address, or processes of this machine."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from dmlite.config import config
from dmlite.errors import DMLError
from dmlite.hop.machine import Cluster

client: Final[ContextVar[Any]] = ContextVar("dmlite_client", default=None)


def is_client(value: Any) -> bool:
    """Whether it is a `dask.distributed.Client`; raises DMLError for one that cannot be used."""
    distributed = sys.modules.get("distributed")
    if distributed is None or not isinstance(value, distributed.Client):
        return False
    if value.asynchronous:
        raise DMLError("a script waits for its results, so it needs a client that does", hint="make it without asynchronous=True")
    return True


@contextmanager
def using(chosen: Any) -> Iterator[None]:
    """Inside of the block, runs use this client, if it is one."""
    token = client.set(chosen)
    try:
        yield
    finally:
        client.reset(token)


def workers() -> Cluster | None:
    """The workers that were named, or are at work already; None where a plan has yet to start some.

    Connects to those that were named. Raises DMLError when that fails.
    """
    module = "dmlite.backends.dask.cluster"
    if config().exec == "local" or (client.get() is None and config().cluster is None and module not in sys.modules):
        return None
    from dmlite.backends.dask.cluster import sessions

    return sessions.described()


def close() -> None:
    """End the workers that were started, and leave those that were named."""
    cluster = sys.modules.get("dmlite.backends.dask.cluster")
    if cluster is not None:
        cluster.close()
