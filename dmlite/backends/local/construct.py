"""Kernels: matrices made from numbers, texts, counts, and other matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from dmlite.backends.local import lists
from dmlite.backends.local.casts import describe, dimension, number
from dmlite.backends.local.storage import SPARSE_LIMIT, Matrix, dense, index_type, is_matrix, settle, sparse
from dmlite.errors import DMLRuntimeError
from dmlite.hop.ops.construct import default_step, sequence_length
from dmlite.hop.storage import SMALL
from dmlite.memory import reserve
from dmlite.values import DMLList

_LAZY_ZEROS: Final = 1 << 27  # cells beyond which a matrix of zeros is CSR


# ---------------------------------------------------------------- matrix(...)
def matrix(data: Any, rows: Any, cols: Any, byrow: Any) -> Matrix:
    """`reshape` of a matrix, `fill` of anything else."""
    return reshape(data, rows, cols, byrow) if is_matrix(data) else fill(data, rows, cols, byrow)


def fill(data: float | int | bool | str, rows: Any, cols: Any, byrow: Any) -> Matrix:
    """rows x cols of one number, or of the numbers in a string (apart by blanks or commas), always by row.

    Raises DMLRuntimeError when the string does not hold rows * cols numbers, or the matrix cannot fit into memory.
    """
    n, m = dimension(rows, "rows of matrix"), dimension(cols, "cols of matrix")
    if isinstance(data, (int, float)):
        if data == 0:
            return _zeros(n, m)
        reserve(n, m, "a matrix")
        return np.full((n, m), float(data))
    if isinstance(data, str):
        return _parsed(data, n, m)
    if is_matrix(data):  # its kind was not known when the operator was chosen
        return reshape(data, rows, cols, byrow).copy()
    raise DMLRuntimeError(f"matrix(...) of {describe(data)}", hint="it takes a number, a string of numbers, or a matrix")


def _zeros(rows: int, cols: int) -> Matrix:
    if rows * cols <= _LAZY_ZEROS:
        return np.zeros((rows, cols))
    from scipy.sparse import csr_array

    reserve(rows, 1, "an empty matrix")
    return csr_array((rows, cols))


def _parsed(text: str, rows: int, cols: int) -> np.ndarray:
    words = text.replace(",", " ").split()
    if len(words) != rows * cols:
        raise DMLRuntimeError(f"a {rows}x{cols} matrix needs {rows * cols} numbers, the string holds {len(words)}")
    try:
        return np.array([float(w) for w in words], dtype=np.float64).reshape(rows, cols)
    except ValueError:
        wrong = next(w for w in words if not is_number(w))
        raise DMLRuntimeError(f"the string of matrix(...) holds '{wrong[:40]}', which is not a number") from None


def is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def reshape(data: Matrix, rows: Any, cols: Any, byrow: Any) -> Matrix:
    """The cells of `data` as rows x cols, read and written by row or by column. May share memory with `data`.

    Raises DMLRuntimeError when the number of cells differs.
    """
    if not is_matrix(data):
        return fill(data, rows, cols, byrow)
    n, m = dimension(rows, "rows of matrix"), dimension(cols, "cols of matrix")
    if n * m != data.shape[0] * data.shape[1]:
        raise DMLRuntimeError(f"{describe(data)} has {data.shape[0] * data.shape[1]} cells and cannot become {n}x{m}")
    order = "C" if byrow else "F"
    if data.__class__ is np.ndarray:
        return data.reshape((n, m), order=order)
    return data.copy() if data.shape == (n, m) else settle(data.reshape((n, m), order=order).tocsr())


# ---------------------------------------------------------------- sequences and tables
def seq(first: Any, last: Any, step: Any) -> np.ndarray:
    """first, first + step, ... up to last, as a column; `step` None is 1 or -1.

    Raises DMLRuntimeError when `step` is zero or points away from `last`.
    """
    first, last = number(first, "from of seq"), number(last, "to of seq")
    step = default_step(first, last) if step is None else number(step, "incr of seq")
    length = length_of(first, last, step)
    reserve(length, 1, "a sequence")
    out = np.arange(length, dtype=np.float64)
    if step != 1:
        out *= step
    out += first
    return out.reshape(length, 1)


def length_of(first: float, last: float, step: float) -> int:
    """How many numbers a sequence has. Raises DMLRuntimeError when `step` is zero or points away from `last`."""
    length = sequence_length(first, last, step)
    if length is None:
        raise DMLRuntimeError(
            f"seq({describe(first)}, {describe(last)}, {describe(step)}) never gets to {describe(last)}",
            hint="the increment must point from the first number to the last",
        )
    return length


def table_dims(A: Matrix, B: Matrix | float, odim1: Any, odim2: Any) -> Matrix:
    """`table` of unweighted pairs with a fixed size."""
    return table(A, B, 1, odim1, odim2)


def table(A: Matrix, B: Matrix | float, W: Matrix | float, odim1: Any, odim2: Any, output_empty_blocks: bool = True) -> Matrix:
    """F[i, j] = sum of W[k] over the cells k with A[k] = i and B[k] = j, cut off to whole numbers; NaN pairs do not count.

    F is max(A) x max(B), or odim1 x odim2 without the pairs outside of it. A scalar B or W holds for every k.
    Raises DMLRuntimeError for values below 1 and for operands of different shapes.
    """
    i, j = _cells(A, A, "A"), _cells(B, A, "B")
    w = _cells(W, A, "W") if is_matrix(W) else float(number(W, "W of table"))
    if (i < 1).any() or (j < 1).any():
        raise DMLRuntimeError(f"table of the value {describe(float(np.nanmin(np.minimum(i, j))))}", hint="rows and columns count from 1")
    rows = None if odim1 is None else dimension(odim1, "odim1 of table")
    cols = None if odim2 is None else dimension(odim2, "odim2 of table")
    counted = _below(i, rows) & _below(j, cols)
    if not counted.all():
        i, j = i[counted], j[counted]
        w = w if isinstance(w, float) else w[counted]
    return _tally(i, j, w, _extent(i) if rows is None else rows, _extent(j) if cols is None else cols)


def _cells(operand: Matrix | float, like: Matrix, what: str) -> np.ndarray:
    """The cells of an operand of `table` one after the other; of a scalar, one for each cell of `like`."""
    if not is_matrix(operand):
        return np.full(like.shape[0] * like.shape[1], float(number(operand, f"{what} of table")))
    if operand.shape != like.shape:
        raise DMLRuntimeError(f"table of {describe(like)} and {describe(operand)}", hint=f"A and {what} need the same shape")
    return dense(operand).ravel()


def _below(values: np.ndarray, size: int | None) -> np.ndarray:
    """Which values are row or column numbers of a table of `size`; NaN never is."""
    return values == values if size is None else values < size + 1


def _extent(values: np.ndarray) -> int:
    largest = float(values.max()) if values.size else 0.0
    if largest >= 2**53:
        raise DMLRuntimeError(f"table of the value {describe(largest)}", hint="rows and columns must be numbers that a matrix can have")
    return int(largest)


def _tally(i: np.ndarray, j: np.ndarray, w: np.ndarray | float, rows: int, cols: int) -> Matrix:
    """Sums of `w` per pair of 1-based positions; dense when the result is small, or not much larger than the pairs."""
    i, j = i.astype(np.int64) - 1, j.astype(np.int64) - 1
    if cols <= 1 or rows * cols < max(SMALL, 2 * len(i)):
        reserve(rows, cols, "a table")
        factor, weights = (w, None) if isinstance(w, float) else (1.0, w)
        sums = np.bincount(i * cols + j, weights, minlength=rows * cols) * factor
        return sums.reshape(rows, cols)
    from scipy.sparse import coo_array, csr_array

    reserve(rows, 1, f"a table of {rows}x{cols}")
    i, j = i.astype(index_type(rows, cols)), j.astype(index_type(rows, cols))
    weights = np.full(len(i), w) if isinstance(w, float) else w
    if (i[1:] > i[:-1]).all():  # one-hot rows and permutations: already in the order of CSR
        pointers = np.concatenate(([0], np.cumsum(np.bincount(i, minlength=rows)))).astype(j.dtype)
        return settle(csr_array((weights.copy(), j, pointers), shape=(rows, cols)))
    return settle(coo_array((weights, (i, j)), shape=(rows, cols)).tocsr())


# ---------------------------------------------------------------- outer products, diagonals, triangles
def _logarithm(x: np.ndarray, base: np.ndarray) -> np.ndarray:
    return np.log(x) / np.log(base)


def _whole_quotient(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.trunc(x / y)


_OUTER: Final[dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "%%": np.fmod,
    "%/%": _whole_quotient,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
    "==": np.equal,
    "!=": np.not_equal,
    "&": np.logical_and,
    "|": np.logical_or,
    "min": np.minimum,
    "max": np.maximum,
    "log": _logarithm,
}


def outer(u: Matrix, v: Matrix, op: str) -> np.ndarray:
    """The n x m matrix of `u[i] op v[j]` for a column u and a row v.

    Raises DMLRuntimeError for other shapes and unknown operators.
    """
    if u.shape[1] != 1 or v.shape[0] != 1:
        raise DMLRuntimeError(f"outer of {describe(u)} and {describe(v)}", hint="it takes a column and a row vector: outer(u, t(v), op)")
    if op not in _OUTER:
        raise DMLRuntimeError(f"outer with the operator {describe(op)}", hint=f"known are {' '.join(_OUTER)}")
    reserve(u.shape[0], v.shape[1], "an outer product")
    return _OUTER[op](dense(u), dense(v)).astype(np.float64, copy=False)


def outer_counts(u: Matrix, v: Matrix, op: str) -> np.ndarray:
    """In how many cells of the row v does `u[i] op v[j]` hold; n x 1 of an n x 1 column u. NaN differs from everything.

    Raises DMLRuntimeError when u is no column or v no row.
    """
    if u.shape[1] != 1 or v.shape[0] != 1:
        raise DMLRuntimeError(f"outer of {describe(u)} and {describe(v)}", hint="it takes a column and a row vector: outer(u, t(v), op)")
    cells, wanted = np.sort(dense(v).ravel()), dense(u).ravel()
    cells = cells[: np.searchsorted(cells, np.nan)]
    below, upto = (np.searchsorted(cells, wanted, side) for side in ("left", "right"))
    counts = {
        ">": below,
        ">=": upto,
        "<": cells.size - upto,
        "<=": cells.size - below,
        "==": upto - below,
        "!=": v.shape[1] - (upto - below),
    }
    missing = v.shape[1] if op == "!=" else 0
    return np.where(np.isnan(wanted), missing, counts[op]).astype(np.float64).reshape(-1, 1)


def one_hot(v: Matrix, n: float) -> Matrix:
    """n0 x n with a one at (i, v[i]) where v[i] is one of the columns 1..n, for a column v of n0 cells.

    Raises DMLRuntimeError when v is no column.
    """
    width = dimension(n, "to of seq")
    if v.shape[1] != 1:
        raise DMLRuntimeError(f"outer of {describe(v)} and a row of {width}", hint="it takes a column and a row vector: outer(u, t(v), op)")
    from scipy.sparse import csr_array

    cells = dense(v).ravel()
    kind = index_type(max(v.shape), width)
    with np.errstate(invalid="ignore"):  # NaN and what is too large become some column that they do not equal
        columns = cells.astype(kind)
    hits = (columns == cells) & (cells >= 1) & (cells <= width)
    if hits.all():
        ends = np.arange(v.shape[0] + 1, dtype=kind)
    else:
        columns, ends = columns[hits], np.zeros(v.shape[0] + 1, dtype=kind)
        np.cumsum(hits, out=ends[1:])
    columns -= 1
    return settle(csr_array((np.ones(columns.size), columns, ends), shape=(v.shape[0], width)))


def diag(X: Matrix) -> Matrix:
    """n x 1 to the n x n matrix with that diagonal; n x n to its diagonal as n x 1.

    Raises DMLRuntimeError for other shapes.
    """
    rows, cols = X.shape
    if cols == 1:
        return _diagonal_matrix(dense(X).ravel())
    if rows != cols:
        raise DMLRuntimeError(f"diag of {describe(X)}", hint="it takes a column vector or a square matrix")
    return X.diagonal().reshape(rows, 1).copy()


def _diagonal_matrix(values: np.ndarray) -> Matrix:
    n = len(values)
    if n * n < SMALL:
        return np.diag(values)
    from scipy.sparse import csr_array

    places = np.arange(n + 1, dtype=index_type(n, n))
    return settle(csr_array((values.copy(), places[:-1].copy(), places), shape=(n, n)))


def lower_tri(target: Matrix, diag: Any, values: Any, above: int = 0) -> Matrix:
    """Ones (or the values of the target) below the diagonal, and on it when `diag`; `above` tells the rows above those of the target."""
    last = above if diag else above - 1
    return _triangle(target, "tril", last) if values else _ones_below(target.shape, last)


def upper_tri(target: Matrix, diag: Any, values: Any, above: int = 0) -> Matrix:
    """As `lower_tri`, above the diagonal."""
    first = above if diag else above + 1
    return _triangle(target, "triu", first) if values else 1.0 - _ones_below(target.shape, first - 1)


def _ones_below(shape: tuple[int, int], diagonal: int) -> np.ndarray:
    reserve(*shape, "a triangle of ones")
    return np.tri(*shape, diagonal)


def _triangle(target: Matrix, which: str, diagonal: int) -> Matrix:
    if target.__class__ is np.ndarray:
        return getattr(np, which)(target, diagonal)
    import scipy.sparse

    return settle(getattr(scipy.sparse, which)(target, diagonal, format="csr"))


# ---------------------------------------------------------------- concatenation
def cbind(first: Any, *more: Any) -> Any:
    """Matrices side by side; the matrices of a list side by side; a list with more elements; or two strings as two lines.

    Raises DMLRuntimeError when the operands do not go together.
    """
    return _bind(1, first, more)


def rbind(first: Any, *more: Any) -> Any:
    """As `cbind`, with matrices one below the other."""
    return _bind(0, first, more)


def _bind(axis: int, first: Any, more: tuple[Any, ...]) -> Any:
    if is_matrix(first):
        return _concatenate(axis, (first, *more))
    if isinstance(first, DMLList):
        return lists.append(first, *more) if more else _concatenate(axis, first.items)
    if isinstance(first, str) and all(isinstance(m, str) for m in more):
        return "\n".join((first, *more))
    raise unbindable(axis, (first, *more))


def _concatenate(axis: int, parts: tuple[Any, ...]) -> Matrix:
    if all(p.__class__ is np.ndarray for p in parts):
        try:
            return np.concatenate(parts, axis=axis)
        except ValueError:
            raise unbindable(axis, parts) from None
    if not all(is_matrix(p) and p.shape[1 - axis] == parts[0].shape[1 - axis] for p in parts):
        raise unbindable(axis, parts)
    nonzeros = sum(p.size if isinstance(p, np.ndarray) else p.nnz for p in parts)
    across, along = parts[0].shape[1 - axis], sum(p.shape[axis] for p in parts)
    if nonzeros > SPARSE_LIMIT * across * along:
        return np.concatenate([dense(p) for p in parts], axis=axis)
    from scipy.sparse import hstack, vstack

    return settle((hstack if axis else vstack)([sparse(p) for p in parts], format="csr"))


def unbindable(axis: int, parts: tuple[Any, ...]) -> DMLRuntimeError:
    """The error of parts that do not go together along an axis."""
    shown = ", ".join(describe(p) for p in parts[:4]) + (", ..." if len(parts) > 4 else "")
    side = "rows" if axis else "columns"
    return DMLRuntimeError(
        f"{'cbind' if axis else 'rbind'} of {shown or 'an empty list'}", hint=f"it takes matrices with equally many {side}"
    )
