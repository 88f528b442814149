"""Connections to schedulers. What goes wrong is told at once, and as a person would."""

from __future__ import annotations

import gc
import logging
import socket
from typing import Any, Final
from urllib.parse import urlsplit

from dmlite.errors import DMLError, DMLRuntimeError

_SECONDS: Final = 10  # that a scheduler may take to answer
_KNOCK: Final = 3  # seconds that reaching its port may take
_TALKATIVE: Final = ("distributed.client", "distributed.core", "distributed.batched", "distributed.comm")  # of what is told as an error
_TLS: Final = "name ca-file, client cert and key under distributed.comm.tls in dask's configuration"


def connect(address: str) -> Any:
    """A client of the scheduler at an address; `tls://` ones take the security of dask's configuration. Raises DMLRuntimeError."""
    _knock(address)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    found = _client(address)
    if isinstance(found, str):
        gc.collect()  # what is left of a client that failed closes itself now: while another one starts, each would wait for the other
        scheme = "is that the address of a Dask scheduler, and does it begin with tcp:// or tls:// as its own?"
        hint = _TLS if address.startswith("tls://") else scheme
        raise DMLRuntimeError(f"the scheduler at {address} does not answer: {found}", hint=hint)
    try:
        check(found)
    except DMLError:
        found.close(timeout=5)
        raise
    return found


def _client(address: str) -> Any:
    """A client, or why there is none."""
    from dask.distributed import Client

    try:
        return Client(address, set_as_default=False, timeout=_SECONDS)
    except (OSError, ValueError, TypeError) as error:
        return _first_line(error)


def check(client: Any) -> None:
    """Raises DMLRuntimeError for workers that cannot run what this process sends them."""
    try:
        found = client.get_versions(packages=["dmlite"])
    except Exception as error:
        raise DMLRuntimeError(f"the cluster does not answer: {_first_line(error)}", hint="is its scheduler running?") from None
    ours = found["client"]["packages"]["dmlite"]
    there = {"the scheduler": found["scheduler"], **{f"the worker at {address}": w for address, w in found["workers"].items()}}
    for who, versions in there.items():
        version = (versions or {}).get("packages", {}).get("dmlite")
        if version != ours:
            has = f"has dmlite {version}" if version else "has no dmlite"
            raise DMLRuntimeError(f"{who} {has}, this process {ours}", hint="install the same version on all machines of the cluster")


def _knock(address: str) -> None:
    """Whether something listens; dask itself would try for long."""
    parts = urlsplit(address if "://" in address else f"tcp://{address}")
    if parts.scheme not in ("tcp", "tls"):
        return
    try:
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise _malformed(address, str(error)) from None
    if not host or not port:
        raise _malformed(address, "it needs a host and a port")
    try:
        socket.create_connection((host, port), _KNOCK).close()
    except OSError as error:
        text = f"no scheduler can be reached at {address}: {error.strerror or error}"
        raise DMLRuntimeError(
            text, hint="`dask scheduler` prints its address when it starts; without --cluster, this machine is used"
        ) from None


def _malformed(address: str, why: str) -> DMLRuntimeError:
    return DMLRuntimeError(f"'{address}' is no address of a scheduler: {why}", hint="as in tcp://127.0.0.1:8786")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
