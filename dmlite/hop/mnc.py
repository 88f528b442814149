"""Sketches of real sparse matrices: non-zeros of every row and column, from which those of products follow closely.

A uniform density says nothing of skew: a full column times a full row is a full matrix at any density. Counts by row and
column cost nothing to get from CSR, and give exact results for permutations, selections, one-hot and diagonal matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np


@dataclass(frozen=True, eq=False)
class Sketch:
    """Counts of the non-zeros of an m x n matrix.

    rows, cols: by row (m) and by column (n). lone_rows, lone_cols: by row, those that are alone in their column, and by
    column, those alone in their row. Of results of operators the counts are expectations, so they need not be whole.
    """

    rows: np.ndarray
    cols: np.ndarray
    lone_rows: np.ndarray
    lone_cols: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), len(self.cols)

    @property
    def nnz(self) -> float:
        return float(self.rows.sum())


def sketch_of(x: Any) -> Sketch:
    """The exact sketch of a matrix: CSR in one pass over its indices, dense in one over its cells."""
    if isinstance(x, np.ndarray):
        filled = x != 0
        rows, cols = filled.sum(1), filled.sum(0)
        return _sketch(rows, cols, filled[:, cols == 1].sum(1), filled[rows == 1].sum(0))
    m, n = x.shape
    rows, cols = np.diff(x.indptr), np.bincount(x.indices, minlength=n)
    row_of = np.repeat(np.arange(m), rows)
    lone_rows = np.bincount(row_of[cols[x.indices] == 1], minlength=m)
    lone_cols = np.bincount(x.indices[rows[row_of] == 1], minlength=n)
    return _sketch(rows, cols, lone_rows, lone_cols)


_EXACT: Final = 1 << 14  # cells of an array that are counted one by one: 15 microseconds
_STEPS: Final = np.outer([0.7548776662466927, 0.5698402909980532], np.arange(2048)) % 1.0  # evenly over the square, on no line


def expected_count(x: np.ndarray) -> float:
    """The non-zeros of an array, of a large one from a sample of its cells; half a hit where the sample has none."""
    if x.size <= _EXACT:
        return float(np.count_nonzero(x))
    rows, cols = (_STEPS * [[x.shape[0]], [x.shape[1]]]).astype(np.intp)
    return max(0.5, float(np.count_nonzero(x[rows, cols]))) * x.size / len(rows)


def _sketch(rows: Any, cols: Any, lone_rows: Any = None, lone_cols: Any = None) -> Sketch:
    floats = [None if a is None else np.asarray(a, dtype=np.float64) for a in (rows, cols, lone_rows, lone_cols)]
    return Sketch(floats[0], floats[1], *(np.zeros(len(f)) if a is None else a for f, a in zip(floats[:2], floats[2:], strict=True)))


def full(rows: int, cols: int) -> Sketch:
    """The sketch of a matrix without zeros."""
    by_row, by_col = np.full(rows, float(cols)), np.full(cols, float(rows))
    return Sketch(by_row, by_col, by_row if rows == 1 else np.zeros(rows), by_col if cols == 1 else np.zeros(cols))


# ---------------------------------------------------------------- products
def product_nnz(a: Sketch, b: Sketch) -> float:
    """Expected non-zeros of A %*% B; exact when every row of A or every column of B holds one at most."""
    if _single(a.rows) or _single(b.cols):
        return float(a.cols @ b.rows)
    exact = float(a.lone_cols @ b.rows + (a.cols - a.lone_cols) @ b.lone_rows)
    return _within(exact + _meeting(a, b, exact), a, b)


def _meeting(a: Sketch, b: Sketch, taken: float) -> float:
    """Of the pairs that may fall on the same cell, how many cells they fill; long rows and columns catch more of them."""
    left, right = a.cols - a.lone_cols, b.rows - b.lone_rows
    heights, widths = _histogram(a.rows), _histogram(b.cols)
    cells = heights[1].sum() * widths[1].sum() - taken
    if cells < 1:
        return 0.0
    with np.errstate(divide="ignore"):
        caught = -np.log1p(-np.minimum(left * right / cells, 1.0)).sum()
    if np.isinf(caught):
        return float(cells)
    share = [(lengths / np.average(lengths, weights=counts), counts) for lengths, counts in (heights, widths)]
    filled = -np.expm1(-caught * np.outer(share[0][0], share[1][0]))
    return float(cells * np.average(filled, weights=np.outer(share[0][1], share[1][1])))


def _histogram(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The lengths that occur among the rows (or columns) with a non-zero, rounded, and how many there are of each."""
    return np.unique(np.ceil(counts[counts > 0]), return_counts=True)


def _within(count: float, a: Sketch, b: Sketch) -> float:
    """Rows and columns more than half full meet for certain; empty ones never do."""
    inner = len(a.cols)
    least = np.count_nonzero(a.rows > inner / 2) * np.count_nonzero(b.cols > inner / 2)
    most = np.count_nonzero(a.rows) * np.count_nonzero(b.cols)
    return float(min(max(count, least), most))


def _single(counts: np.ndarray) -> bool:
    return bool((counts <= 1).all())


def product(a: Sketch, b: Sketch) -> Sketch:
    """The sketch of A %*% B, its counts shared out as those of A and B are."""
    nnz = product_nnz(a, b)
    return _sketch(_spread(a.rows, nnz, len(b.cols)), _spread(b.cols, nnz, len(a.rows)))


def _spread(counts: np.ndarray, total: float, most: int) -> np.ndarray:
    """`total` shared out in proportion to `counts`, none above `most`."""
    weight = counts.sum()
    if weight == 0:
        return np.zeros(len(counts))
    shares = counts * (total / weight)
    for _ in range(8):  # what the full ones cannot hold goes to the others
        full = shares >= most
        over, open_ = float((shares[full] - most).sum()), counts[~full].sum()
        shares[full] = most
        if over < 1 or open_ == 0:
            break
        shares[~full] += counts[~full] * (over / open_)
    return shares


# ---------------------------------------------------------------- other operators
_KEPT: Final = frozenset({"mul", "div", "neg", "abs", "sqrt", "square", "sign"})
PRODUCTS: Final = frozenset({"matmul", "tmm", "tsmm_left", "tsmm_right"})


def sketched(op: str, operands: Sequence[Sketch | None]) -> Sketch | None:
    """The sketch of an operator's result; None for operators it says nothing about. `operands`: None for scalars and what is not known."""
    x, *others = operands
    if x is None:
        return others[0] if op == "mul" and len(others) == 1 else None
    if op in _KEPT and all(y is None for y in others):
        return x
    if None in others:
        return None
    return _of_matrices(op, x, [y for y in others if y is not None])


def _of_matrices(op: str, x: Sketch, others: list[Sketch]) -> Sketch | None:
    match op:
        case "matmul":
            return product(x, *others)
        case "tmm":
            return product(_turned(x), *others)
        case "tsmm_left":
            return product(_turned(x), x)
        case "tsmm_right":
            return product(x, _turned(x))
        case "t":
            return _turned(x)
        case "cbind" | "rbind":
            return _bound(op, [x, *others])
        case "mul" | "add" | "sub" if others[0].shape == x.shape:
            return _cellwise(op, x, *others)
    return None


def _turned(x: Sketch) -> Sketch:
    return Sketch(x.cols, x.rows, x.lone_cols, x.lone_rows)


def _cellwise(op: str, x: Sketch, y: Sketch) -> Sketch:
    """Within a row both operands fall on columns as their column counts say, so those tell how often they meet."""
    rows, cols = (_meet(a, b, c, d) for a, b, c, d in ((x.rows, y.rows, x.cols, y.cols), (x.cols, y.cols, x.rows, y.rows)))
    if op == "mul":
        return _sketch(rows, cols)
    return _sketch(x.rows + y.rows - rows, x.cols + y.cols - cols)


def _meet(x: np.ndarray, y: np.ndarray, across_x: np.ndarray, across_y: np.ndarray) -> np.ndarray:
    pairs = float(x.sum()) * float(y.sum())
    return np.minimum(x * y * (float(across_x @ across_y) / pairs if pairs else 0.0), np.minimum(x, y))


def _bound(op: str, parts: Sequence[Sketch]) -> Sketch:
    along, across = ("rows", "cols") if op == "rbind" else ("cols", "rows")
    joined, summed = np.concatenate([getattr(p, along) for p in parts]), sum(getattr(p, across) for p in parts)
    return _sketch(joined, summed) if op == "rbind" else _sketch(summed, joined)
