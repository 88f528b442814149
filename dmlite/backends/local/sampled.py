"""The product D = U %*% t(V) of thin factors at the stored cells of a CSR driver W: by NumPy in blocks, or by compiled loops."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from dmlite.backends.local import compiled, transposes
from dmlite.backends.local.storage import Matrix, is_sparse
from dmlite.errors import DMLRuntimeError

_GATHERED: Final = 1 << 18  # numbers in a block of gathered rows of U or V, which stays in cache
_BLOCK: Final = 1 << 18  # cells in a block of rows, which stays in cache
_LEAST_ROWS: Final = 16  # a product with fewer rows would be far slower
_GATHER_LIMIT: Final = 0.05  # share of stored cells from which on whole rows of D cost less than gathered cells


def shape_of(x: Matrix) -> str:
    return f"{x.shape[0]}x{x.shape[1]}"


def spans(rows: int, cols: int) -> Iterator[tuple[int, int]]:
    """Blocks of rows, as first and one past the last."""
    step = max(_LEAST_ROWS, _BLOCK // max(1, cols))
    return ((i, min(rows, i + step)) for i in range(0, rows, step))


def row_numbers(w: Matrix, start: int = 0, stop: int | None = None) -> np.ndarray:
    """The rows of the stored cells from `start` to before `stop`."""
    stop = w.nnz if stop is None else stop
    first, last = np.searchsorted(w.indptr, (start, max(start, stop - 1)), side="right")
    counts = np.diff(np.clip(w.indptr[first - 1 : last + 1], start, stop))
    return np.repeat(np.arange(first - 1, first - 1 + counts.size, dtype=w.indices.dtype), counts)


def blocks(w: Matrix, u: np.ndarray, v: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The stored cells of a CSR `w` in blocks: their places, and a scratch array with D there."""
    if w.nnz > _GATHER_LIMIT * w.shape[0] * w.shape[1]:
        for i, j in spans(*w.shape):
            part = slice(w.indptr[i], w.indptr[j])
            rows = np.repeat(np.arange(j - i), np.diff(w.indptr[i : j + 1]))
            yield part, (u[i:j] @ v.T)[rows, w.indices[part]]
        return
    step = max(1, _GATHERED // max(1, u.shape[1]))
    left, right = np.empty((2, min(step, w.nnz), u.shape[1]))
    for start in range(0, w.nnz, step):
        part = slice(start, min(start + step, w.nnz))
        count = part.stop - start
        a = u.take(row_numbers(w, start, part.stop), axis=0, out=left[:count], mode="clip")
        b = v.take(w.indices[part], axis=0, out=right[:count], mode="clip")
        yield part, np.einsum("ij,ij->i", a, b)


def beside(x: Matrix, w: Matrix) -> np.ndarray:
    """The cells of `x` where the CSR matrix `w` stores one. Raises DMLRuntimeError when the shapes differ."""
    if x.shape != w.shape:
        raise DMLRuntimeError(f"matrices of {shape_of(x)} and {shape_of(w)} do not fit cell by cell")
    if not is_sparse(x):
        return x[row_numbers(w), w.indices]
    if x.nnz == w.nnz and np.array_equal(x.indptr, w.indptr) and np.array_equal(x.indices, w.indices):
        return x.data
    if not x.nnz:
        return np.zeros(w.nnz)
    wanted = row_numbers(w).astype(np.int64) * w.shape[1] + w.indices
    present = row_numbers(x).astype(np.int64) * w.shape[1] + x.indices
    place = np.minimum(np.searchsorted(present, wanted), x.nnz - 1)
    return np.where(present[place] == wanted, x.data[place], 0.0)


# ---------------------------------------------------------------- compiled loops
class Loop(NamedTuple):
    """The compiled loops for one call: the module, the cell, and its operands. x: a matrix beside the driver, or None."""

    module: Any
    kind: int
    w: Matrix
    u: np.ndarray
    v: np.ndarray
    x: Matrix | None
    eps: float

    @property
    def work(self) -> int:
        """Multiplications that D takes."""
        return self.w.nnz * self.u.shape[1]

    @property
    def operands(self) -> tuple[Any, ...]:
        cells = np.empty(0) if self.x is None else beside(self.x, self.w)
        return (self.kind, *compiled.stored(self.w), self.u, self.v, cells, self.eps)

    def turned(self) -> Loop | None:
        """The same for the transposed driver, where a transpose is kept for it."""

        def kept(m: Matrix) -> Matrix | None:
            return transposes.kept(m, self.u.shape[1]) if is_sparse(m) else m.T

        w, x = kept(self.w), None if self.x is None else kept(self.x)
        if w is None or (x is None and self.x is not None):
            return None
        return self._replace(w=w, u=self.v, v=self.u, x=x)

    def cells(self) -> np.ndarray:
        """At the stored cells."""
        operands, out = self.operands, np.empty(self.w.nnz)
        compiled.by_rows(self.w, self.work, lambda low, high: self.module.cells(*operands, low, high, out))
        return out

    def total(self) -> float:
        """The sum."""
        operands = self.operands
        return float(sum(compiled.by_rows(self.w, self.work, lambda low, high: self.module.total(*operands, low, high))))

    def right(self) -> np.ndarray:
        """The cells times V, m x k."""
        operands, out = self.operands, np.empty(self.u.shape)
        compiled.by_rows(self.w, self.work, lambda low, high: self.module.right(*operands, low, high, out))
        return out

    def left(self) -> np.ndarray:
        """t(U) times the cells, k x n."""
        turned = self.turned()
        if turned is not None:
            return turned.right().T
        operands, left = self.operands, self.module.left
        return compiled.summed(self.w, self.work, self.v.shape, lambda low, high, out: left(*operands, low, high, out)).T
