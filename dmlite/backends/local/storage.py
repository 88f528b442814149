"""Dense or CSR: the only place that decides how a local matrix is stored.

`scipy.sparse` costs a tenth of a second to import, so it is loaded when the first sparse matrix appears.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from dmlite.memory import reserve

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    Matrix: TypeAlias = np.ndarray | csr_array
else:
    Matrix = Any

# Above this share of non-zeros a CSR matrix is kept dense: 12 bytes a non-zero against 8 a cell, and slower kernels.
SPARSE_LIMIT: Final = 0.4


def is_sparse(x: Any) -> bool:
    """Whether a matrix value is CSR; cheap, and does not import scipy."""
    return not isinstance(x, np.ndarray)


def is_matrix(x: Any) -> bool:
    """Whether a runtime value is a matrix (and not a scalar, list or frame)."""
    return isinstance(x, np.ndarray) or hasattr(x, "tocsr")


def dense(x: Matrix) -> np.ndarray:
    """`x` as a 2-D float64 array; the array itself when it is one already.

    Raises DMLRuntimeError when the dense form cannot fit into memory.
    """
    if isinstance(x, np.ndarray):
        return x
    reserve(*x.shape, "the dense form of a sparse matrix")
    return x.toarray()


def sparse(x: Matrix) -> csr_array:
    """`x` as CSR with sorted indices and no stored zeros; the matrix itself when it is sparse."""
    if is_sparse(x):
        return x
    from scipy.sparse import csr_array

    return csr_array(x)


def index_type(*largest: int) -> type[np.signedinteger[Any]]:
    """The smallest type for positions up to these in CSR; scipy keeps the one that it is given, and compiled loops take 32 bits."""
    return np.int32 if max(largest) < 2**31 else np.int64


def settle(x: csr_array) -> Matrix:
    """Drop stored zeros, and keep CSR only while it is sparse enough, with indices as narrow as they can be. Takes ownership of `x`."""
    x.eliminate_zeros()
    return _as_fits(x)


def with_cells(x: csr_array, data: np.ndarray) -> Matrix:
    """The structure of `x` with other values in its stored cells. Takes ownership of `data`.

    Indices are shared with `x`, since nothing writes into those of a matrix, unless there are zeros to be dropped.
    """
    if data.all():
        return _as_fits(type(x)((data, x.indices, x.indptr), shape=x.shape))
    return settle(type(x)((data, x.indices.copy(), x.indptr.copy()), shape=x.shape))


def _as_fits(x: csr_array) -> Matrix:
    rows, cols = x.shape
    if cols == 1 or x.nnz > SPARSE_LIMIT * rows * cols:
        return x.toarray()
    index = index_type(cols, x.nnz)
    x.indices, x.indptr = x.indices.astype(index, copy=False), x.indptr.astype(index, copy=False)
    return x


def is_chunked(x: Any) -> bool:
    """Whether a runtime value is a matrix on workers."""
    return hasattr(x, "session")


def plan_key(x: Any) -> Any:
    """What plans depend on besides the shape, of a matrix that is not an array: of CSR, how many digits its non-zeros have."""
    return x.key if hasattr(x, "key") else x.nnz.bit_length()


def choose(x: np.ndarray) -> Matrix:
    """CSR when a dense result turned out to be sparse and large enough for that to pay."""
    if x.size < 4096 or x.shape[1] == 1:
        return x
    return sparse(x) if np.count_nonzero(x) <= 0.1 * x.size else x
