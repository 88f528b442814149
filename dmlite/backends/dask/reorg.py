"""Kernels: transposing and rearranging matrices on the workers, selecting from them, and counting what is in them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from dmlite.backends.dask.chunked import Chunked
from dmlite.backends.dask.moves import aligned, mapped, over, regular, rows, spread, stacked
from dmlite.backends.dask.worker import apply, loaded
from dmlite.backends.local import reorg
from dmlite.backends.local.storage import Matrix, dense, is_sparse, settle


def t(x: Any) -> Chunked:
    """The transpose: every result chunk takes its columns from all chunks."""
    (x,) = spread(x)
    n, cols = x.shape
    bounds = regular(cols, min(cols, len(x.parts)))
    parts = [x.session.one(apply, _columns, low, high, *x.parts, name="t") for low, high in itertools.pairwise(bounds)]
    return Chunked(x.session, parts, bounds, n, dense=x.dense, nnz=x.nnz, likely=x.likely)


def _columns(low: int, high: int, *parts: Any) -> Matrix:
    taken = [loaded(p)[:, low:high].T for p in parts]
    if all(map(is_sparse, taken)):
        from scipy.sparse import hstack

        return type(loaded(parts[0]))(hstack(taken, format="csr"))
    return np.ascontiguousarray(np.hstack([c.toarray() if is_sparse(c) else c for c in taken]))


# ---------------------------------------------------------------- sizes
nrow, ncol, length = reorg.nrow, reorg.ncol, reorg.length


def identity(x: Any, *_: Any) -> Chunked:
    """The matrix itself."""
    return spread(x)[0]


# ---------------------------------------------------------------- rows put elsewhere
def rev(x: Any) -> Chunked:
    """The rows in reverse order: every chunk turned, and their order."""
    (x,) = spread(x)
    n = x.shape[0]
    return Chunked(x.session, over(reorg.rev, x)[::-1], [n - b for b in x.bounds[::-1]], x.cols, dense=x.dense, nnz=x.nnz)


def roll(x: Any, k: Any) -> Chunked:
    """The rows moved down by k, around the end: the chunks from where the last k rows start, then those before."""
    (x,) = spread(x)
    n = x.shape[0]
    first = -int(k) % n
    if not first:
        return x
    cuts = sorted({0, first, n, *x.bounds})
    pieces = [(low, high) for low, high in itertools.pairwise(cuts)]
    turned = [p for p in pieces if p[0] >= first] + [p for p in pieces if p[0] < first]
    bounds = [0, *itertools.accumulate(high - low for low, high in turned)]
    return Chunked(x.session, [rows(x, *p) for p in turned], bounds, x.cols, dense=x.dense, nnz=x.nnz)


def order(target: Any, by: Any, decreasing: Any, index_return: Any) -> Any:
    """The rows sorted by columns, or their order: the keys are sorted here, then every chunk sends its rows to where they belong."""
    (x,) = spread(target)
    columns = tuple(reorg.key_columns(target, by))
    keys = np.concatenate(x.session.gather(over(_keys, x, columns)))
    places = reorg.order(keys, np.arange(1.0, len(columns) + 1).reshape(1, -1), decreasing, True).ravel().astype(np.int64) - 1
    if index_return:
        return (places + 1.0).reshape(-1, 1)
    return _shuffled(x, places)


def _keys(x: Matrix, columns: tuple[int, ...]) -> np.ndarray:
    return dense(x[:, list(columns)])


def _shuffled(x: Chunked, places: np.ndarray) -> Chunked:
    """The rows at these places, in that order. Every chunk is taken apart once, by the chunks of the result that its rows go to."""
    ends = np.array(x.bounds[1:])
    wanted = [places[low:high] for low, high in itertools.pairwise(x.bounds)]
    owners = [np.searchsorted(ends, w, side="right") for w in wanted]
    given = [[w[o == k] - low for w, o in zip(wanted, owners, strict=True)] for k, low in enumerate(x.bounds[:-1])]
    apart = over(_taken_apart, x, given)
    parts = []
    for j, owner in enumerate(owners):
        back = np.argsort(np.argsort(owner, kind="stable"), kind="stable")
        senders = [k for k in range(len(apart)) if len(given[k][j])]
        pieces = [x.session.one(_piece, apart[k], j, name="rows") for k in senders]
        parts.append(x.session.one(apply, _in_order, back, *pieces, name="order"))
    return Chunked(x.session, parts, x.bounds, x.cols, dense=x.dense, nnz=x.nnz)


def _taken_apart(x: Matrix, places: list[np.ndarray]) -> list[Matrix]:
    return [x[p] for p in places]


def _piece(pieces: Sequence[Matrix], which: int) -> Matrix:
    return pieces[which]


def _in_order(places: np.ndarray, *pieces: Matrix) -> Matrix:
    return stacked(*pieces)[places]


# ---------------------------------------------------------------- selected
def remove_empty(target: Any, margin: Any, select: Any, empty_return: Any) -> Chunked:
    """The rows (or columns) that are occupied or selected; which these are is known here before any is moved."""
    (x,) = spread(target)
    axis = 0 if margin == "rows" else 1
    if select is not None:
        masks = [reorg.selected(target, axis, select)]
    else:
        masks = x.session.gather(over(reorg.occupied, x, axis))
    keep = np.concatenate(masks) if axis == 0 else np.logical_or.reduce(masks)
    if not keep.any():
        left = 1 if empty_return else 0
        nothing = np.zeros((left, x.cols) if axis == 0 else (x.shape[0], left))
        return aligned(x.session, nothing, (0, left) if axis == 0 else x.bounds)
    if axis == 1:
        return mapped(_kept_columns, x, np.flatnonzero(keep), cols=int(keep.sum()), dense=x.dense)
    kept = [keep[low:high] for low, high in itertools.pairwise(x.bounds)]
    parts = [p for p, k in zip(over(_kept_rows, x, kept), kept, strict=True) if k.any()]
    bounds = [0, *itertools.accumulate(int(k.sum()) for k in kept if k.any())]
    return Chunked(x.session, parts, bounds, x.cols, dense=x.dense)


def _kept_rows(x: Matrix, keep: np.ndarray) -> Matrix:
    return x[keep] if isinstance(x, np.ndarray) else settle(x[np.flatnonzero(keep)])


def _kept_columns(x: Matrix, places: np.ndarray) -> Matrix:
    return np.ascontiguousarray(x[:, places]) if isinstance(x, np.ndarray) else settle(x[:, places])


# ---------------------------------------------------------------- distinct values
def unique(x: Any, dir: Any) -> np.ndarray:
    """The distinct values, or rows, of all chunks: those of every chunk, merged by a tree."""
    (x,) = spread(x)
    return x.session.gather(x.session.folded(_merged, over(reorg.unique, x, dir), dir, name="unique"))


def _merged(dir: str, *found: np.ndarray) -> np.ndarray:
    return reorg.unique(np.concatenate(found), dir)


def count_distinct(x: Any, dir: Any = "rc") -> Any:
    """The number of distinct values of the matrix, of each row or of each column."""
    if dir == "r":
        (x,) = spread(x)
        return np.concatenate(x.session.gather(over(reorg.row_count_distinct, x)))
    return len(unique(x, "rc")) if dir == "rc" else col_count_distinct(x)


def count_distinct_approx(x: Any, type: str, dir: Any = "rc") -> Any:
    """`count_distinct`: the exact number, whichever sketch is asked for."""
    return count_distinct(x, dir)


def col_count_distinct(x: Any, type: str = "") -> np.ndarray:
    """The number of distinct values of each column, 1 x m."""
    (x,) = spread(x)
    found = x.session.gather(x.session.folded(_merged_columns, over(_distinct_of_columns, x), name="distinct"))
    return np.array([[float(len(c)) for c in found]])


def _distinct_of_columns(x: Matrix) -> list[np.ndarray]:
    return [reorg.unique(x[:, [j]], "rc") for j in range(x.shape[1])]


def _merged_columns(*found: list[np.ndarray]) -> list[np.ndarray]:
    return [reorg.unique(np.concatenate(columns), "rc") for columns in zip(*found, strict=True)]
