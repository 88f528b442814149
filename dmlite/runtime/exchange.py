"""Values between Python and DML: what `input` accepts and what results look like."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from dmlite.backends.local.storage import dense, index_type, is_matrix, is_sparse, sparse
from dmlite.errors import DMLError
from dmlite.hop.facts import LIST, Fact, constant, matrix, scalar, vtype_of
from dmlite.values import DMLList


class Matrix:
    """A matrix result: `.toNumPy()`, `.to_scipy()`, `.shape`, and NumPy functions take it as it is.

    Its cells never change, so that it can be the input of any number of later runs without being copied.
    """

    __slots__ = ("_value",)

    def __init__(self, value: Any):
        self._value = value

    @property
    def shape(self) -> tuple[int, int]:
        return self._value.shape

    def toNumPy(self) -> np.ndarray:
        """The cells as a 2-D float64 array of the caller's own. Raises DMLError when it cannot fit into memory."""
        cells = dense(self._value)
        return cells if is_sparse(self._value) else cells.copy()

    def to_scipy(self) -> Any:
        """The cells as a `scipy.sparse.csr_array` of the caller's own."""
        cells = sparse(self._value)
        return cells.copy() if is_sparse(self._value) else cells

    def toDF(self) -> Any:
        """The cells as a pandas DataFrame with columns C1, C2, ..."""
        import pandas

        return pandas.DataFrame(self.toNumPy(), columns=[f"C{i + 1}" for i in range(self.shape[1])])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("the cells of a Matrix can only be copied")
        return self.toNumPy().astype(dtype or np.float64, copy=False)

    def __repr__(self) -> str:
        stored = f"sparse, {self._value.nnz} non-zeros" if is_sparse(self._value) else "dense"
        return f"Matrix({self.shape[0]}x{self.shape[1]}, {stored})"

    def _repr_html_(self) -> str:
        head = dense(self._value[:10, :10])
        body = "".join("<tr>" + "".join(f"<td>{v:.5g}</td>" for v in row) + "</tr>" for row in head)
        return f"<table>{body}</table><small>{self!r}</small>"


# ---------------------------------------------------------------- Python to DML
def to_value(value: Any, name: str = "input") -> Any:
    """A Python value as a DML value.

    Scalars stay scalars. NumPy arrays, pandas frames, nested lists of numbers and everything else that NumPy can read
    become dense matrices, scipy.sparse becomes CSR; 1-D is a column. Other lists and dicts become DML lists. A dense
    float64 array is not copied. Raises DMLError for what is none of these; warns when an imaginary part is dropped.
    """
    if isinstance(value, Matrix):
        return value._value
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        value = value.item()
    if isinstance(value, (bool, int, float, str, DMLList)):
        return value
    if isinstance(value, complex):
        return float(_real(np.array(value), name))
    if hasattr(value, "tocsr"):
        return _sparse_matrix(value, name)
    if isinstance(value, (list, tuple)) and not _is_table(value):
        return DMLList(tuple(to_value(v, name) for v in value))
    if isinstance(value, dict):
        return DMLList(tuple(to_value(v, name) for v in value.values()), tuple(map(str, value)))
    return _dense_matrix(value, name)


def _is_table(value: Any) -> bool:
    """Nested lists of numbers are a matrix; every other list is a list."""
    return bool(value) and all(
        isinstance(row, (list, tuple)) and row and all(isinstance(c, (int, float, complex)) for c in row) for row in value
    )


def _sparse_matrix(value: Any, name: str) -> Any:
    from scipy.sparse import csr_array

    cells = value.reshape(-1, 1) if value.ndim == 1 else value
    rows = _real(cells.tocsr(), name)
    index = index_type(rows.shape[1], rows.nnz)
    parts = np.array(rows.data, np.float64), np.array(rows.indices, index), np.array(rows.indptr, index)
    found = csr_array(parts, shape=rows.shape)
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def _dense_matrix(value: Any, name: str) -> np.ndarray:
    try:
        array = _real(_numbers(np.asarray(value)), name)
    except ValueError as error:
        raise DMLError(f"input '{name}' is no matrix: {error}", hint="all rows need the same length") from None
    if array.dtype.kind not in "biuf":
        raise DMLError(f"input '{name}' holds {_held(array)}; a matrix holds numbers", hint="select or encode the numeric columns first")
    if array.ndim > 2:
        raise DMLError(f"input '{name}' has {array.ndim} dimensions; a matrix has two")
    if array.ndim < 2:
        array = array.reshape(-1, 1)
    return np.asarray(array, dtype=np.float64)


def _numbers(array: np.ndarray) -> np.ndarray:
    """Columns of different kinds come as an array of objects, which may all be numbers."""
    if array.dtype.kind == "O" and all(isinstance(v, (int, float, np.number, np.bool_)) for v in array.flat):
        return array.astype(np.float64)
    return array


def _held(array: np.ndarray) -> str:
    if array.dtype.kind != "O":
        return f"{array.dtype} values"
    return f"values of the kind {next(type(v).__name__ for v in array.flat if not isinstance(v, (int, float, np.number)))}"


def _real(array: Any, name: str) -> Any:
    if array.dtype.kind != "c":
        return array
    warnings.warn(f"input '{name}' is complex; its imaginary part is dropped", stacklevel=5)
    return array.real


def input_fact(value: Any, *, counted: bool = False) -> Fact:
    """What is known of an input at compile time; booleans are constants, so that they choose branches.

    counted: also the non-zeros of a sparse matrix, on which no compiled program that is kept should depend.
    """
    if is_matrix(value):
        rows, cols = value.shape
        return matrix(rows, cols, value.nnz if counted and is_sparse(value) else None)
    if isinstance(value, DMLList):
        return LIST
    return constant(value) if isinstance(value, bool) else scalar(vtype_of(value))


# ---------------------------------------------------------------- DML to Python
def from_value(value: Any) -> Any:
    """A DML value as a Python value: `Matrix`, scalar, list, or dict for a list with names."""
    if is_matrix(value):
        return Matrix(value)
    if isinstance(value, DMLList):
        items = [from_value(v) for v in value.items]
        return dict(zip(value.names, items, strict=True)) if value.names else items
    return value


def detached(value: Any, borrowed: list[np.ndarray]) -> Any:
    """`value`, copied where its cells lie in one of the `borrowed` arrays, which belong to the caller."""
    if isinstance(value, DMLList):
        return DMLList(tuple(detached(v, borrowed) for v in value.items), value.names)
    if isinstance(value, np.ndarray) and any(np.may_share_memory(value, array) for array in borrowed):
        return value.copy()
    return value
