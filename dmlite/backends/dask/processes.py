"""The workers of this machine: a process beside ours that runs a scheduler and workers, and ends with us.

A process of its own needs nothing of the caller's script, which need not be guarded against being imported again; interrupts and
signals that are meant for the script do not reach it; and as its input ends when we do, however that happens, nothing stays behind.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from typing import Final

from dmlite.backends.beside import beside
from dmlite.errors import DMLRuntimeError
from dmlite.hop.machine import Cluster

_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_FAILURES: Final = 2  # workers that a task may end before it counts as the cause
_LOADED: Final = ["distributed", "scipy.sparse", "dmlite.backends.dask.worker"]  # once, for all workers


class Processes:
    """Workers on this machine; `address` is that of their scheduler."""

    def __init__(self, planned: Cluster, dashboard: str = ""):
        """Raises DMLRuntimeError when they cannot be started."""
        words = planned.workers, planned.cores, planned.memory, dashboard
        try:
            self._process = beside(
                "dmlite.backends.dask.processes", *words, environment=dict.fromkeys(_ONE_THREAD, "1"), start_new_session=True
            )
        except OSError as error:
            raise DMLRuntimeError(f"workers cannot be started: {error.strerror or error}") from None

    @property
    def address(self) -> str:
        """Waits until the scheduler has one. Raises DMLRuntimeError when there will be none."""
        assert self._process.stdout is not None
        kind, _, text = self._process.stdout.readline().strip().partition(" ")
        if kind != "at":
            raise DMLRuntimeError(f"workers cannot be started: {text or 'their process ended'}", hint="--exec local does without them")
        return text

    def close(self) -> None:
        """End the workers, and wait until they have."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


def main(workers: int, threads: int, memory: int, dashboard: str) -> None:
    """Run the cluster until standard input ends."""
    import dask
    from dask.distributed import LocalCluster
    from distributed.utils import get_mp_context

    async def serve() -> None:
        cluster = LocalCluster(
            n_workers=workers, threads_per_worker=threads, memory_limit=memory, processes=True, host="127.0.0.1",
            dashboard_address=dashboard or "127.0.0.1:0", scheduler_kwargs={"dashboard": bool(dashboard)}, silence_logs=logging.CRITICAL,
            asynchronous=True,
        )  # fmt: skip
        async with cluster:
            print("at", cluster.scheduler_address, flush=True)
            await _end_of_input()

    with tempfile.TemporaryDirectory(prefix="dmlite-", dir=dask.config.get("temporary-directory")) as folder:
        dask.config.set({
            "temporary-directory": folder,
            "distributed.worker.multiprocessing-method": "forkserver",
            "distributed.scheduler.allowed-failures": _FAILURES,
        })  # fmt: skip
        get_mp_context().set_forkserver_preload(_LOADED)
        asyncio.run(serve())


async def _end_of_input() -> None:
    """Returns when the process that started us has closed our input, or has ended."""
    parent, ended, loop = os.getppid(), asyncio.Event(), asyncio.get_running_loop()

    def read() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=read, daemon=True).start()
    while not ended.is_set() and os.getppid() == parent:  # children of theirs may keep the input open
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), 1)


if __name__ == "__main__":
    try:
        main(*map(int, sys.argv[1:4]), sys.argv[4])
    except Exception as error:
        print("error", error, flush=True)
