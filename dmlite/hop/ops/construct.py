"""Operator rows: matrices made from numbers, texts, draws, counts, and other matrices."""

from __future__ import annotations

from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size, same, unknown


# ---------------------------------------------------------------- sequences
def sequence_length(first: float, last: float, step: float) -> int | None:
    """How many numbers `seq(first, last, step)` has; None when `step` does not lead from `first` to `last`.

    A step that misses `last` by rounding alone still reaches it: `seq(0, 0.3, 0.1)` has four numbers.
    """
    steps = (last - first) / step if step else float("nan")
    if not 0 <= steps < 2**62:
        return None
    return 1 + int(steps + 1e-10 + 1e-14 * steps)


def default_step(first: float, last: float) -> int:
    """The step of `seq(first, last)`."""
    return 1 if first <= last else -1


def _seq_size(first: Fact, last: Fact, step: Fact) -> Size:
    a, b, by = (_number(f) for f in (first, last, step))
    if a is None or b is None:
        return None, 1
    if by is None:
        if step.kind != "unknown":
            return None, 1
        by = default_step(a, b)
    length = sequence_length(a, b, by)
    if length is None:
        raise ShapeError(f"seq({a:g}, {b:g}, {by:g}) never gets to {b:g}", "the increment must point from the first number to the last")
    return length, 1


def _number(fact: Fact) -> float | None:
    return fact.value if isinstance(fact.value, (int, float)) else None


# ---------------------------------------------------------------- filled, reshaped and drawn matrices
def _dims(_data: Fact, rows: Fact, cols: Fact, *_: Fact) -> Size:
    return rows.const_int(), cols.const_int()


def _fill_nnz(data: Fact, *_: Fact) -> int | None:
    return 0 if data.is_const and data.value == 0 else None


def _reshape_size(x: Fact, rows: Fact, cols: Fact, *_: Fact) -> Size:
    n, m = rows.const_int(), cols.const_int()
    cells = x.cells
    if cells is None or (n is None and m is None):
        return n, m
    if m is None and n and cells % n == 0:
        m = cells // n
    elif n is None and m and cells % m == 0:
        n = cells // m
    if n is not None and m is not None and n * m != cells:
        raise ShapeError(f"a {x.shape_text()} matrix has {cells} cells and cannot become {n}x{m}")
    return n, m


def _reshape_nnz(x: Fact, *_: Fact) -> int | None:
    return x.nnz


def _rand_size(rows: Fact, cols: Fact, *_: Fact) -> Size:
    return rows.const_int(), cols.const_int()


def _rand_nnz(_rows: Fact, _cols: Fact, low: Fact, high: Fact, sparsity: Fact, _seed: Fact, pdf: Fact, *_: Fact) -> int | None:
    all_zero = low.value == 0 and high.value == 0 and pdf.value == "uniform"
    return 0 if sparsity.value == 0 or all_zero else None


def _rand_flops(rows: Fact, cols: Fact, *_: Fact) -> float | None:
    n, m = rows.const_int(), cols.const_int()
    return None if n is None or m is None else 10.0 * n * m


def _sample_size(_range: Fact, size: Fact, *_: Fact) -> Size:
    return size.const_int(), 1


# ---------------------------------------------------------------- tables, products, diagonals
def _table_size(_a: Fact, b: Fact, _w: Fact, rows: Fact, cols: Fact, *_: Fact) -> Size:
    n, m = rows.const_int(), cols.const_int()
    return n, b.const_int() if m is None and cols.kind == "unknown" else m


def _table_dims_size(_a: Fact, _b: Fact, rows: Fact, cols: Fact) -> Size:
    return rows.const_int(), cols.const_int()


def _table_nnz(a: Fact, *_: Fact) -> int | None:
    return a.cells


def _outer_size(u: Fact, v: Fact, *_: Fact) -> Size:
    if u.cols not in (None, 1) or v.rows not in (None, 1):
        raise ShapeError(f"outer of {u.shape_text()} and {v.shape_text()}", "it takes a column vector and a row vector: outer(u, t(v), op)")
    return u.rows, v.cols


def _outer_nnz(u: Fact, v: Fact, op: Fact) -> int | None:
    return u.nnz * v.nnz if op.value == "*" and u.nnz is not None and v.nnz is not None else None


def _diag_size(x: Fact) -> Size:
    if x.rows is None or x.cols is None:
        return None, None
    if x.cols == 1:
        return x.rows, x.rows
    if x.rows == x.cols:
        return x.rows, 1
    raise ShapeError(f"diag of a {x.shape_text()} matrix", "it takes a column vector or a square matrix")


def _nnz(x: Fact, *_: Fact) -> int | None:
    return x.nnz


# ---------------------------------------------------------------- concatenation
def _bind(axis: int) -> tuple[object, object]:
    """Size and nnz rules of matrices put side by side along `axis`."""
    names = ("rows", "cols")
    along, across = names[axis], names[1 - axis]

    def size(*parts: Fact) -> Size:
        shared = next((p for p in parts if getattr(p, across) is not None), None)
        for part in parts:
            if shared is not None and getattr(part, across) not in (None, getattr(shared, across)):
                raise ShapeError(
                    f"{'cr'[1 - axis]}bind of {shared.shape_text()} and {part.shape_text()}", f"all parts need the same number of {across}"
                )
        lengths = [getattr(p, along) for p in parts]
        total = None if None in lengths else sum(lengths)
        width = None if shared is None else getattr(shared, across)
        return (total, width) if axis == 0 else (width, total)

    return size, _bind_nnz


def _bind_nnz(*parts: Fact) -> int | None:
    counts = [p.nnz for p in parts]
    return None if None in counts else sum(counts)  # type: ignore[arg-type]
