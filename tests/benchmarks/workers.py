"""Two worker processes of one thread each, and matrices that lie on them in chunks of rows, the same for dmlite and its peers."""

from __future__ import annotations

import atexit
import itertools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tests.benchmarks.workload import Inputs

if TYPE_CHECKING:
    from dask.distributed import Client

WORKERS = 2
CHUNK = 64 << 20  # bytes, as dmlite cuts where nothing else is said
MEMORY = 3 << 30  # of a worker
_ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA")}


def start(count: int = WORKERS) -> Client:
    """A client of so many workers, which end with this process."""
    import dask
    from dask.distributed import Client, LocalCluster

    dask.config.set({"distributed.nanny.pre-spawn-environ": _ONE_THREAD})
    cluster = LocalCluster(n_workers=count, threads_per_worker=1, processes=True, memory_limit=MEMORY, dashboard_address=None)
    client = Client(cluster)
    atexit.register(cluster.close)
    atexit.register(client.close)
    return client


def cuts(rows: int, row_bytes: int, workers: int) -> tuple[int, ...]:
    """The first row of every chunk, and the number of all rows."""
    height = max(1, min(CHUNK // row_bytes, -(-rows // workers)))
    return (*range(0, rows, height), rows)


def placed(client: Client, value: Any, at: Sequence[int]) -> list[Any]:
    """Futures of the chunks of a matrix, in turn on the one and the other worker."""
    from dask.distributed import wait

    names = sorted(client.scheduler_info(n_workers=-1)["workers"])
    pieces = [value[low:high] for low, high in itertools.pairwise(at)]
    futures = []
    for i, piece in enumerate(pieces):
        on = [names[i % len(names)]]
        sent = client.scatter(piece, workers=on, hash=False)
        futures.append(client.submit(_aligned, sent, workers=on, pure=False))
    wait(futures)
    return futures


def _aligned(piece: Any) -> Any:
    """What arrives lies at any byte, where NumPy cannot give it to BLAS: that would slow the peers down eightfold."""
    return piece.copy()


def spread(client: Client, inputs: Inputs, names: Sequence[str]) -> tuple[tuple[int, ...], dict[str, list[Any]]]:
    """Where matrices of as many rows are cut, and their chunks; they leave this process."""
    rows = inputs[names[0]].shape[0]
    row_bytes = max(_bytes(inputs[name]) // rows for name in names)
    at = cuts(rows, max(1, row_bytes), len(client.nthreads()))
    return at, {name: placed(client, inputs.pop(name), at) for name in names}


def _bytes(x: Any) -> int:
    return x.nbytes if hasattr(x, "nbytes") else x.data.nbytes + x.indices.nbytes + x.indptr.nbytes


def for_dmlite(inputs: Inputs, names: Sequence[str], count: int = WORKERS) -> Inputs:
    """The inputs with those matrices on so many workers, beside which dmlite runs from now on all that it can."""
    os.environ |= {"DMLITE_EXEC": "dask", "DMLITE_CLUSTER": start(count).scheduler.address}
    from dmlite.backends.dask.chunked import Chunked
    from dmlite.backends.dask.cluster import session
    from dmlite.runtime.exchange import Matrix

    at = session()
    kinds = {name: (inputs[name].shape, getattr(inputs[name], "nnz", None)) for name in names}
    bounds, parts = spread(at.client, inputs, names)
    chunked = {n: Chunked(at, parts[n], bounds, cols, dense=nnz is None, nnz=nnz) for n, ((_, cols), nnz) in kinds.items()}
    return {**inputs, **{name: Matrix(value) for name, value in chunked.items()}}
