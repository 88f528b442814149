"""The binary container: a NumPy `.npy` array when dense, an uncompressed `.npz` of the three CSR arrays when sparse.

Nothing is ever unpickled. The sparse layout is the one of `scipy.sparse.save_npz`.
"""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from dmlite import memory
from dmlite.backends.local import storage
from dmlite.backends.local.storage import Matrix
from dmlite.errors import DMLIOError, DMLRuntimeError
from dmlite.runtime.io.files import open_bytes
from dmlite.runtime.io.meta import Meta, with_sizes

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_NPY: Final = b"\x93NUMPY"
_ZIP: Final = b"PK\x03\x04"
_CSR: Final = ("data", "indices", "indptr", "shape")
_MAPPED: Final = 1 << 16  # bytes from which on an array of an archive is mapped


def read(meta: Meta) -> Matrix:
    """The matrix in a `.npy` or `.npz` container; 1-D arrays are columns, other numbers become doubles.

    Raises DMLIOError for anything else, for damaged files and for pickled objects, which are never loaded.
    """
    with open_bytes(meta.path) as file, _damage(meta.path):
        matrix = (_read_zip if _is_zip(meta.path, file) else _read_array)(meta.path, file)
    meta.check_shape(*matrix.shape)
    return matrix


def peek(meta: Meta) -> Meta:
    """The sizes in the head of the file."""
    with open_bytes(meta.path) as file, _damage(meta.path):
        shape, nnz = _zip_sizes(meta.path, file) if _is_zip(meta.path, file) else (_array_shape(meta.path, file), None)
    meta.check_shape(*shape)
    return with_sizes(meta, *shape, nnz)


def write(matrix: Matrix, file: BinaryIO) -> None:
    """Dense as `.npy`, CSR as `.npz`."""
    if isinstance(matrix, np.ndarray):
        np.save(file, matrix, allow_pickle=False)
        return
    arrays: dict[str, Any] = {name: np.asarray(getattr(matrix, name)) for name in _CSR}
    np.savez(file, format=np.array(b"csr"), **arrays)


@contextmanager
def _damage(path: str) -> Iterator[None]:
    """NumPy, zipfile and zlib tell of a damaged file in many kinds of exception: all of them become one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (DMLRuntimeError, OSError, MemoryError):
        raise
    except Exception as error:
        raise DMLIOError(f"{path}: damaged or foreign binary file: {error}") from error


def _is_zip(path: str, file: BinaryIO) -> bool:
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"SEQ"):
        raise DMLIOError(f"{path}: a Hadoop sequence file, which dmlite does not read", hint='write it again with format="csv" or "text"')
    if magic != _NPY and magic[:4] != _ZIP:
        raise DMLIOError(f"{path}: is not a binary matrix file", hint='expected .npy or .npz; pass format="csv" or "text" for text')
    return magic != _NPY


def _array_shape(path: str, file: BinaryIO) -> tuple[int, int]:
    """The matrix shape in a `.npy` header."""
    version = np.lib.format.read_magic(file)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = header(file)
    if kind.kind not in "fiub" or len(shape) not in (1, 2):
        raise DMLIOError(f"{path}: an array of {kind} with {len(shape)} dimensions, expected a matrix of numbers")
    return (shape[0], 1) if len(shape) == 1 else (shape[0], shape[1])


def _read_array(path: str, file: BinaryIO) -> np.ndarray:
    start = file.tell()
    shape = _array_shape(path, file)
    memory.reserve(*shape, "a matrix")
    file.seek(start)
    return np.load(file, allow_pickle=False).astype(np.float64, copy=False).reshape(shape)


def _zip_sizes(path: str, file: BinaryIO) -> tuple[tuple[int, int], int | None]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if "indptr.npy" not in names:
            if len(names) != 1:
                raise DMLIOError(f"{path}: holds {len(names)} arrays, expected one matrix")
            with archive.open(names[0]) as member:
                return _array_shape(path, member), None  # type: ignore[arg-type]
        with archive.open("shape.npy") as member:
            rows, cols = np.load(member, allow_pickle=False).tolist()
        with archive.open("data.npy") as member:
            return (rows, cols), _array_shape(path, member)[0]  # type: ignore[arg-type]


def _read_zip(path: str, file: BinaryIO) -> Matrix:
    with zipfile.ZipFile(file) as archive:
        # A tiny compressed member may stand for more than fits into memory.
        memory.reserve(sum(member.file_size for member in archive.infolist()), 1, "a matrix", bytes_per_cell=1)
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        if "indptr" not in arrays:
            if len(arrays.files) != 1:
                raise DMLIOError(f"{path}: holds {len(arrays.files)} arrays, expected one matrix")
            found = arrays[arrays.files[0]]
            if found.ndim not in (1, 2) or found.dtype.kind not in "fiub":
                raise DMLIOError(f"{path}: an array of {found.dtype} with {found.ndim} dimensions, expected a matrix of numbers")
            return found.astype(np.float64, copy=False).reshape(len(found), -1)
        _check_csr(path, arrays["format"])
        data, indices, indptr, shape = (arrays[name] for name in _CSR)
    return storage.settle(_csr(path, data, indices, indptr, tuple(shape.tolist())))


def _check_csr(path: str, form: np.ndarray) -> None:
    if form.item() not in (b"csr", "csr"):
        raise DMLIOError(f"{path}: a sparse matrix stored as {form.item()!r}, expected csr")


def _csr(path: str, data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> csr_array:
    if data.dtype.kind not in "fiub" or indices.dtype.kind not in "iu" or indptr.dtype.kind not in "iu":
        raise DMLIOError(f"{path}: a sparse matrix of {data.dtype} at {indices.dtype} indices, expected numbers at integers")
    from scipy.sparse import csr_array

    matrix = csr_array((data.astype(np.float64, copy=False), indices, indptr), shape=shape)
    matrix.check_format(full_check=True)
    matrix.sum_duplicates()
    return matrix


# ---------------------------------------------------------------- some rows
def rows_of(path: str, low: int, high: int, *, mapped: bool) -> Matrix:
    """Some rows of the matrix in a file: an array, or CSR where that is stored. Raises DMLIOError as `read` does.

    mapped: the file may be looked at as long as the rows are used, so that those of an array need not be copied.
    """
    with open_bytes(path) as file, _damage(path):
        if _is_zip(path, file):
            return _rows_of_zip(path, file, low, high)
        rows, cols = _array_shape(path, file)
        file.close()
        found = np.asarray(np.load(path, mmap_mode="c", allow_pickle=False)).reshape(rows, cols)[low:high]
        return np.ascontiguousarray(found, dtype=np.float64) if mapped else np.array(found, dtype=np.float64, order="C")


def _rows_of_zip(path: str, file: BinaryIO, low: int, high: int) -> Matrix:
    """Stored members are mapped, so that nothing but these rows is read."""
    with zipfile.ZipFile(file) as archive:
        if "indptr.npy" not in archive.namelist():
            return _read_zip(path, file)[low:high]
        form, shape = (_member(path, archive, name) for name in ("format", "shape"))
        _check_csr(path, form)
        data, indices, indptr = (_member(path, archive, name) for name in _CSR[:3])
        ends = np.array(indptr[low : high + 1])
        cells = slice(int(ends[0]), int(ends[-1]))
        matrix = _csr(path, np.array(data[cells]), np.array(indices[cells]), ends - ends[0], (high - low, int(shape[1])))
    matrix.eliminate_zeros()
    return matrix


def _member(path: str, archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """An array of an archive; mapped when it is stored as it is."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as member:
        if info.compress_type != zipfile.ZIP_STORED or info.file_size < _MAPPED:
            memory.reserve(info.file_size, 1, "a matrix", bytes_per_cell=1)
            return np.lib.format.read_array(member, allow_pickle=False)
        version = np.lib.format.read_magic(member)  # type: ignore[arg-type]
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, kind = header(member)  # type: ignore[arg-type]
        head = member.tell()
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)  # where a local header tells the lengths of the name and of what follows it
        lengths = struct.unpack("<HH", file.read(4))
    return np.memmap(path, kind, "r", info.header_offset + 30 + sum(lengths) + head, shape)
