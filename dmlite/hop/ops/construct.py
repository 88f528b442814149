"""Operator rows: matrices made from numbers, texts, draws, counts, and other matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size, same, unknown


# ---------------------------------------------------------------- sequences
def sequence_length(first: float, last: float, step: float) -> int | None:
    """How many numbers `seq(first, last, step)` has; None when `step` does not lead from `first` to `last`.

    Counted as `last / step - first / step`, as SystemDS does, so that fractional steps give the same length there and here.
    """
    steps = last / step - first / step if step else float("nan")
    if not 0 <= steps < 2**62:
        return None
    return 1 + int(steps)


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
def _dims(*positions: int) -> Callable[..., Size]:
    """The size rule of rows whose arguments at `positions` are the number of rows and of columns."""
    i, j = positions
    return lambda *facts: (facts[i].const_int(), facts[j].const_int())


def _fill_nnz(data: Fact, *_: Fact) -> int | None:
    return 0 if data.is_const and data.value == 0 else None


def _reshape_size(x: Fact, rows: Fact, cols: Fact, *_: Fact) -> Size:
    n, m = rows.const_int(), cols.const_int()
    cells = x.cells
    if cells is None:
        return n, m
    if m is None and n and cells % n == 0:
        m = cells // n
    elif n is None and m and cells % m == 0:
        n = cells // m
    if n is not None and m is not None and n * m != cells:
        raise ShapeError(f"a {x.shape_text()} matrix has {cells} cells and cannot become {n}x{m}")
    return n, m


def _rand_nnz(_rows: Fact, _cols: Fact, low: Fact, high: Fact, sparsity: Fact, _seed: Fact, pdf: Fact, *_: Fact) -> int | None:
    only_zero = low.value == 0 and high.value == 0 and pdf.value == "uniform"
    return 0 if sparsity.value == 0 or only_zero else None


def _rand_flops(rows: Fact, cols: Fact, *_: Fact) -> float | None:
    n, m = rows.const_int(), cols.const_int()
    return None if n is None or m is None else 10.0 * n * m


# ---------------------------------------------------------------- tables, products, diagonals
def _table_size(_a: Fact, b: Fact, _w: Fact, rows: Fact, cols: Fact, *_: Fact) -> Size:
    """A scalar B is the only column that is counted into, hence the last one."""
    width = b.const_int() if cols.kind == "unknown" and b.is_scalar else cols.const_int()
    return rows.const_int(), width


def _table_nnz(a: Fact, *_: Fact) -> int | None:
    return a.cells


def _outer_size(u: Fact, v: Fact, *_: Fact) -> Size:
    if u.cols not in (None, 1) or v.rows not in (None, 1):
        raise ShapeError(f"outer of {u.shape_text()} and {v.shape_text()}", "it takes a column and a row vector: outer(u, t(v), op)")
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
def _bind_size(name: str, along: str, across: str) -> Callable[..., Size]:
    """The size rule of matrices put one after the other `along` rows or cols."""

    def size(*parts: Fact) -> Size:
        shared = next((p for p in parts if getattr(p, across) is not None), Fact())
        for part in parts:
            if getattr(part, across) not in (None, getattr(shared, across)):
                raise ShapeError(f"{name} of {shared.shape_text()} and {part.shape_text()}", f"all parts need equally many {across}")
        lengths = [getattr(p, along) for p in parts]
        total, width = None if None in lengths else sum(lengths), getattr(shared, across)
        return (total, width) if along == "rows" else (width, total)

    return size


def _bind_nnz(*parts: Fact) -> int | None:
    total = 0
    for part in parts:
        if part.nnz is None:
            return None
        total += part.nnz
    return total


def _bind_rows(name: str, along: str, across: str, *aliases: str) -> tuple[Op, ...]:
    """What cbind and rbind take, by the kind of the first argument; all of it is told apart by one kernel."""
    kernel, shared = f"construct.{name}", dict[str, Any](spelling=name, aliases=aliases)
    side = "beside" if along == "cols" else "below"
    doc = f"Matrices put {side} one another"
    return (
        Op(name, "X: M, *more: M", "M", kernel, f"{doc}.", _bind_size(name, along, across), _bind_nnz, **shared),
        Op(f"{name}_list", "parts: L", "M", kernel, f"{doc}, taken from a list.", unknown, **shared),
        Op(f"{name}_append", "items: L, *more: A", "L", kernel, "The list with further elements at its end.", **shared),
        Op(f"{name}_text", "a: T, b: T", "T", kernel, "Two strings as two lines.", **shared),
        Op(f"{name}_any", "first: A, *more: A", "A", kernel, f"{doc}, or a list with further elements.", **shared),
    )


ROWS: Final[tuple[Op, ...]] = (
    Op(
        "fill",
        "data: S, rows: D, cols: D, byrow: B = TRUE",
        "M",
        "construct.fill",
        "A matrix of one number everywhere, or of the numbers in a string, row by row.",
        size=_dims(1, 2),
        nnz=_fill_nnz,
        spelling="matrix",
    ),
    Op(
        "reshape",
        "data: M, rows: D, cols: D, byrow: B = TRUE",
        "M",
        "construct.reshape",
        "The cells of a matrix in another shape, read and written by row or by column.",
        size=_reshape_size,
        nnz=_nnz,
        zero=(0,),
        spelling="matrix",
        view=True,
    ),
    Op(
        "matrix",
        "data: A, rows: D, cols: D, byrow: B = TRUE",
        "M",
        "construct.matrix",
        "A matrix filled with a number, read from a string, or reshaped from a matrix.",
        size=_dims(1, 2),
        view=True,
    ),
    Op(
        "rand",
        'rows: D = 1, cols: D = 1, min: D = 0, max: D = 1, sparsity: D = 1, seed: D = -1, pdf: T = "uniform", lambda: D = 1',
        "M",
        "random.rand",
        "Random numbers: uniform on [min, max), normal (standard) or poisson (lambda). The same seed gives the same matrix everywhere; "
        "seed -1 gives other numbers at each execution, so two such calls are never one.",
        size=_dims(0, 1),
        nnz=_rand_nnz,
        flops=_rand_flops,
        aliases=("Rand", "RAND"),
    ),
    Op(
        "sample",
        "range: D, size: D, replace: S = FALSE, seed: D = -1",
        "M",
        "random.sample",
        "A column of `size` whole numbers drawn from 1..range; a number as third argument is the seed. "
        "Without a seed two calls differ, so they are never one.",
        size=lambda _range, size, *_: (size.const_int(), 1),
    ),
    Op(
        "seq",
        "from: D, to: D, incr: D = ?",
        "M",
        "construct.seq",
        "A column of equally spaced numbers; the increment is 1, or -1 when counting down.",
        size=_seq_size,
    ),
    Op(
        "table_dims",
        "A: M, B: M|S, odim1: D, odim2: D",
        "M",
        "construct.table_dims",
        "How often each pair (A[k], B[k]) occurs, as an odim1 x odim2 matrix; pairs outside of it are left out.",
        size=_dims(2, 3),
        nnz=_table_nnz,
        spelling="table",
        aliases=("ctable",),
    ),
    Op(
        "table",
        "A: M, B: M|S, W: M|S = 1, odim1: D = ?, odim2: D = ?, outputEmptyBlocks: B = TRUE",
        "M",
        "construct.table",
        "Sums of the weights W of each pair (A[k], B[k]), in row A[k] and column B[k].",
        size=_table_size,
        nnz=_table_nnz,
        aliases=("ctable",),
    ),
    Op(
        "outer",
        "u: M, v: M, op: T",
        "M",
        "construct.outer",
        "The n x m matrix of `u op v` for a column u and a row v.",
        size=_outer_size,
        nnz=_outer_nnz,
    ),
    Op(
        "outer_counts",
        "u: M, v: M, op: T",
        "M",
        "construct.outer_counts",
        "rowSums(outer(u, v, op)) for a comparison: in how many cells of v it holds, for each cell of u.",
        size=lambda u, v, _op: (_outer_size(u, v)[0], 1),
        spelling="outer_counts()",
    ),
    Op(
        "one_hot",
        "v: M, n: D",
        "M",
        "construct.one_hot",
        'outer(v, t(seq(1, n)), "=="): a one in column v[i] of each row, none where v[i] is no column.',
        size=lambda v, n: (v.rows, n.const_int()),
        nnz=lambda v, _n: v.rows,
        spelling="one_hot()",
    ),
    Op(
        "diag",
        "X: M",
        "M",
        "construct.diag",
        "The diagonal matrix of a column, or the diagonal of a square matrix as a column.",
        size=_diag_size,
        nnz=_nnz,
        zero=(0,),
    ),
    *_bind_rows("cbind", "cols", "rows", "append"),
    *_bind_rows("rbind", "rows", "cols"),
    Op(
        "lower.tri",
        "target: M, diag: B = FALSE, values: B = FALSE",
        "M",
        "construct.lower_tri",
        "Ones below the diagonal, or the values of the target there.",
        size=same,
    ),
    Op(
        "upper.tri",
        "target: M, diag: B = FALSE, values: B = FALSE",
        "M",
        "construct.upper_tri",
        "Ones above the diagonal, or the values of the target there.",
        size=same,
    ),
)
