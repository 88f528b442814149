"""Kernels: random matrices, of which every task draws the logical blocks that hold its rows, so that they are those drawn here."""

from __future__ import annotations

import itertools
from typing import Any, Final

from dmlite.backends.dask.chunked import Chunked, Lazy
from dmlite.backends.dask.cluster import session
from dmlite.backends.dask.construct import heights
from dmlite.backends.dask.moves import resident
from dmlite.backends.local import random

_KEPT: Final = 0.5  # of the memory of all workers up to which what was drawn is kept, rather than drawn again for every reader


def rand(rows: Any, cols: Any, min: Any, max: Any, sparsity: Any, seed: Any, pdf: Any, rate: Any) -> Chunked:
    """The matrix that `rand` of the local room draws. Raises DMLRuntimeError for what cannot be drawn."""
    at, draw = session(), random.checked(rows, cols, min, max, sparsity, seed, pdf, rate)
    row_bytes = int(draw.cols * (8 if draw.is_dense else 12 * draw.sparsity)) + 1
    bounds = _on_blocks(heights(at, draw.rows, row_bytes), random.block_shape(draw.rows, draw.cols)[0])
    parts = [Lazy(random.rand_rows, (low, high, draw)) for low, high in itertools.pairwise(bounds)]
    x = Chunked(at, parts, bounds, draw.cols, dense=draw.is_dense)
    return resident(x) if draw.rows * row_bytes <= _KEPT * at.workers.workers * at.workers.memory else x


def _on_blocks(bounds: tuple[int, ...], height: int) -> tuple[int, ...]:
    """Chunks that hold whole logical blocks, if they are larger than those."""
    step = bounds[1] // height * height
    return (*range(0, bounds[-1], step), bounds[-1]) if step else bounds
