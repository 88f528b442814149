"""Kernels: transposing and rearranging matrices on the workers."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.cluster import session
from dmlite.backends.dask.moves import aligned, cut
from dmlite.backends.dask.worker import apply, loaded
from dmlite.backends.local.storage import Matrix, is_sparse


def t(x: Any) -> Chunked:
    """The transpose: every result chunk takes its columns from all chunks."""
    at = x.session if isinstance(x, Chunked) else session()
    x = aligned(at, x, x.bounds if isinstance(x, Chunked) else cut(at, [x]))
    rows, cols = x.shape
    height = max(1, -(-cols // max(1, min(cols, len(x.parts)))))
    bounds = (*range(0, cols, height), cols)
    parts = [at.one(apply, _columns, low, high, *x.parts, name="t") for low, high in itertools.pairwise(bounds)]
    return Chunked(at, parts, bounds, rows, dense=x.dense, nnz=x.nnz)


def _columns(low: int, high: int, *parts: Any) -> Matrix:
    taken = [loaded(p)[:, low:high].T for p in parts]
    if all(map(is_sparse, taken)):
        from scipy.sparse import hstack

        return type(loaded(parts[0]))(hstack(taken, format="csr"))
    return np.ascontiguousarray(np.hstack([c.toarray() if is_sparse(c) else c for c in taken]))
