"""A matrix on the workers: chunks of rows, each a dense array or CSR, as futures or as what they can be loaded from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dmlite.backends.local.storage import Matrix

if TYPE_CHECKING:
    from dmlite.backends.dask.cluster import Session


@dataclass(frozen=True)
class Lazy:
    """A chunk that tasks make themselves when they need it, from a file or a seed: it takes no memory meanwhile."""

    make: Callable[..., Matrix]
    args: tuple[Any, ...]

    def load(self) -> Matrix:
        return self.make(*self.args)


class Chunked:
    """A matrix of rows x cols doubles, cut into chunks of rows. Like every value it never changes.

    parts   futures, or `Lazy` chunks
    bounds  the first row of every chunk, and the number of all rows
    dense   whether every chunk is certainly an array
    nnz     non-zeros of the whole matrix, None when nobody counted them
    likely  how many are expected then, None when nothing is known
    """

    __slots__ = ("bounds", "cols", "dense", "likely", "nnz", "parts", "session")

    def __init__(
        self,
        session: Session,
        parts: Sequence[Any],
        bounds: Sequence[int],
        cols: int,
        *,
        dense: bool,
        nnz: int | None = None,
        likely: float | None = None,
    ):
        self.session = session
        self.parts = tuple(parts)
        self.bounds = tuple(bounds)
        self.cols = cols
        self.dense = dense
        self.nnz = nnz
        self.likely = likely if nnz is None else float(nnz)

    @property
    def shape(self) -> tuple[int, int]:
        return self.bounds[-1], self.cols

    @property
    def heights(self) -> list[int]:
        """Rows of every chunk."""
        return np.diff(self.bounds).tolist()

    def ranges(self) -> Iterator[tuple[Any, int, int]]:
        """Every chunk with its first row and the row behind its last."""
        return zip(self.parts, self.bounds, self.bounds[1:], strict=False)

    @property
    def key(self) -> tuple[Any, ...]:
        """What plans depend on besides the shape."""
        return ("chunked", self.dense, self.nnz is None, -1 if self.likely is None else int(self.likely).bit_length())

    def toarray(self) -> np.ndarray:
        """The matrix here, as an array. Raises DMLRuntimeError when it cannot fit."""
        from dmlite.backends.dask.moves import collect
        from dmlite.backends.local.storage import dense

        return dense(collect(self))

    def tocsr(self) -> Any:
        """The matrix here, as CSR."""
        from dmlite.backends.dask.moves import collect
        from dmlite.backends.local.storage import sparse

        return sparse(collect(self))

    def __repr__(self) -> str:
        return f"Chunked({self.shape[0]}x{self.shape[1]}, {len(self.parts)} chunks)"
