"""Coordinate text: one line `row column value` a non-zero, bare (`text`) or below a Matrix Market header (`mm`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO, TypeAlias

import numpy as np

from dmlite import memory
from dmlite.backends.local import storage
from dmlite.backends.local.storage import Matrix
from dmlite.errors import DMLIOError
from dmlite.runtime.io.files import check_text, open_bytes, quoted
from dmlite.runtime.io.meta import MAX_SIZE, Meta, with_sizes
from dmlite.runtime.io.ranges import Range
from dmlite.runtime.io.table import SMALL, fast_table
from dmlite.text import double_texts

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NO_ENTRIES: Final = "0 0 0\n"  # all that a file of a matrix of zeros holds
_BLOCK_CELLS: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Header:
    """What a Matrix Market file says of itself; `lines` come before the first entry."""

    rows: int
    cols: int
    entries: int
    pattern: bool
    symmetric: bool
    lines: int

    def check_entries(self, path: str, found: int) -> None:
        """Raises DMLIOError when the file holds another number of entries."""
        if found != self.entries:
            raise DMLIOError(f"{path}: {found} entries, but the header announces {self.entries}", hint="the file may be cut off")


Entries: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


# --- reading ----------------------------------------------------------------------------------------------------------


def read_text(meta: Meta) -> Matrix:
    """The matrix in a file of `row column value` lines; undeclared sizes are the largest indices.

    Raises DMLIOError, with the line, for anything but three numbers and for indices outside the matrix.
    """
    with _open(meta) as file:
        row, col, value = _entries(meta, file, 0, 3)
    if not len(row) and (meta.rows is None or meta.cols is None):
        raise DMLIOError(f"{meta.path}: has no non-zero, so its size is unknown", hint="pass rows= and cols=")
    rows = int(row.max()) if meta.rows is None else meta.rows
    cols = int(col.max()) if meta.cols is None else meta.cols
    _check_range(meta, row, col, meta.rows, meta.cols, 0)
    return assemble(row - 1, col - 1, value, rows, cols)


def read_mm(meta: Meta) -> Matrix:
    """The matrix in a Matrix Market coordinate file: real, integer or pattern; general or symmetric.

    Raises DMLIOError for other kinds, and with the line for malformed entries.
    """
    with _open(meta) as file:
        header = _read_header(meta.path, file)
        row, col, value = _entries(meta, file, header.lines, 2 if header.pattern else 3)
    meta.check_shape(header.rows, header.cols)
    _check_range(meta, row, col, header.rows, header.cols, header.lines)
    header.check_entries(meta.path, len(row))
    if header.symmetric:
        row, col, value = _mirrored(row, col, value)
    return assemble(row - 1, col - 1, value, header.rows, header.cols)


def _mirrored(row: np.ndarray, col: np.ndarray, value: np.ndarray) -> Entries:
    below = row != col
    return np.concatenate([row, col[below]]), np.concatenate([col, row[below]]), np.concatenate([value, value[below]])


def head(meta: Meta) -> tuple[Header | None, int]:
    """What a Matrix Market file says of itself, and where its entries start. Raises DMLIOError as reading does."""
    with _open(meta) as file:
        header = _read_header(meta.path, file) if meta.format == "mm" else None
        start = file.tell()
    if header is not None:
        meta.check_shape(header.rows, header.cols)
    return header, start


def read_range(meta: Meta, header: Header | None, lines: Range) -> tuple[int, Entries]:
    """How many entries some lines hold, and 1-based rows and columns and the values, those above the diagonal of a symmetric matrix
    too. Raises DMLIOError as reading does, with the line in the file."""
    skipped, width = (header.lines, 2 if header.pattern else 3) if header is not None else (0, 3)
    row, col, value = _entries(meta, lines.open(), skipped, width)
    rows, cols = (header.rows, header.cols) if header is not None else (meta.rows, meta.cols)
    _check_range(meta, row, col, rows, cols, skipped)
    return len(row), _mirrored(row, col, value) if header is not None and header.symmetric else (row, col, value)


def peek_mm(meta: Meta) -> Meta:
    """The sizes in a Matrix Market header."""
    with _open(meta) as file:
        header = _read_header(meta.path, file)
    meta.check_shape(header.rows, header.cols)
    return with_sizes(meta, header.rows, header.cols, header.entries * (2 if header.symmetric else 1))


def _open(meta: Meta) -> BinaryIO:
    file = open_bytes(meta.path)
    start = file.tell()
    check_text(meta.path, file.read(1 << 12))
    file.seek(start)
    return file


def _read_header(path: str, file: BinaryIO) -> Header:
    first = file.readline().decode("latin-1").lower().split()
    if len(first) != 5 or first[0] != "%%matrixmarket" or first[1] != "matrix":
        raise DMLIOError(f"{path}:1: no Matrix Market header", hint="the first line is '%%MatrixMarket matrix coordinate real general'")
    layout, field, symmetry = first[2:]
    for word, allowed in ((layout, ("coordinate",)), (field, ("real", "integer", "pattern")), (symmetry, ("general", "symmetric"))):
        if word not in allowed:
            raise DMLIOError(f"{path}:1: Matrix Market files of kind '{word}' are not supported", hint="expected " + " or ".join(allowed))
    number, line = 1, b"%"
    while line.startswith(b"%") or (line and not line.strip()):
        number, line = number + 1, file.readline()
    try:
        rows, cols, entries = map(int, line.split())
    except ValueError:
        rows = cols = entries = -1
    if min(rows, cols, entries) < 0 or max(rows, cols) > MAX_SIZE or b"_" in line:
        raise DMLIOError(f"{path}:{number}: {quoted(line.strip())} is not a size line", hint="expected 'rows columns entries'")
    if symmetry == "symmetric" and rows != cols:
        raise DMLIOError(f"{path}:{number}: a symmetric matrix cannot be {rows}x{cols}")
    return Header(rows, cols, entries, field == "pattern", symmetry == "symmetric", number)


def _entries(meta: Meta, file: BinaryIO, skipped: int, width: int) -> Entries:
    """1-based rows and columns and the values; `0 0 0`, which marks a matrix of zeros, is left out. Closes `file`."""
    table = fast_table(file, None)
    if table is not None and table.size == 0:
        table = np.zeros((0, width))
    if table is None or table.shape[1] != width or not _whole(table[:, :2]):
        _find_mistake(meta, skipped, width)
        raise DMLIOError(f"{meta.path}: is not a list of 'row column value' lines")
    row, col = table[:, 0].astype(np.int64), table[:, 1].astype(np.int64)
    value = table[:, 2] if width == 3 else np.ones(len(table))
    marker = (row == 0) & (col == 0) & (value == 0)
    return (row[~marker], col[~marker], value[~marker]) if marker.any() else (row, col, value)


def _whole(indices: np.ndarray) -> bool:
    return bool(np.all(np.abs(indices) <= MAX_SIZE) and np.all(indices == np.floor(indices)))


def _lines(meta: Meta, skipped: int) -> Iterator[tuple[int, list[bytes]]]:
    """Line numbers and fields of the lines that hold entries."""
    with _open(meta) as file:
        for number, line in enumerate(file, 1):
            # Text knows more blanks than bytes do; what NumPy's reader split must be split here.
            if number > skipped and (fields := line.decode("ascii", "surrogateescape").split()):
                yield number, [field.encode("ascii", "surrogateescape") for field in fields]


def _find_mistake(meta: Meta, skipped: int, width: int) -> None:
    """Raise for the first line that is no entry."""
    expected = "row column value" if width == 3 else "row column"
    for number, fields in _lines(meta, skipped):
        if number == 1 and fields[0].lower() == b"%%matrixmarket":
            raise DMLIOError(f"{meta.path}:1: a Matrix Market header in a file of format text", hint='pass format="mm"')
        if len(fields) != width:
            hint = 'pass format="csv"' if len(fields) == 1 and b"," in fields[0] else None
            raise DMLIOError(f"{meta.path}:{number}: {len(fields)} fields, expected '{expected}'", hint=hint)
        for position, field in enumerate(fields):
            try:
                number_read = float(field)
                valid = b"_" not in field and (position == 2 or (number_read.is_integer() and abs(number_read) <= MAX_SIZE))
            except ValueError:
                valid = False
            if not valid:
                what = "a number" if position == 2 else "an index"
                raise DMLIOError(f"{meta.path}:{number}: {quoted(field)} is not {what}", hint=f"expected '{expected}'")


def _check_range(meta: Meta, row: np.ndarray, col: np.ndarray, rows: int | None, cols: int | None, skipped: int) -> None:
    """rows, cols: None where they are those of the largest indices."""
    outside = (row < 1) | (col < 1) | (row > (np.inf if rows is None else rows)) | (col > (np.inf if cols is None else cols))
    if not outside.any():
        return
    at = int(np.argmax(outside))
    place, wanted = "", (int(row[at]), int(col[at]))
    for number, fields in _lines(meta, skipped):
        if (int(float(fields[0])), int(float(fields[1]))) == wanted:
            place = f":{number}"
            break
    size = "matrix" if rows is None or cols is None else f"{rows}x{cols} matrix"
    raise DMLIOError(f"{meta.path}{place}: cell [{wanted[0]},{wanted[1]}] lies outside the {size}", hint="indices count from 1")


def suits_csr(rows: int, cols: int, entries: int) -> bool:
    """Whether a matrix is kept sparse."""
    cells = rows * cols
    return cells >= SMALL and cols != 1 and entries <= storage.SPARSE_LIMIT * cells


def assemble(row: np.ndarray, col: np.ndarray, value: np.ndarray, rows: int, cols: int) -> Matrix:
    """0-based entries as a matrix; of entries for the same cell the last one counts."""
    if not suits_csr(rows, cols, len(value)):
        memory.reserve(rows, cols, "a matrix")
        dense = np.zeros((rows, cols))
        dense[row, col] = value
        return dense
    return storage.settle(csr_of(row, col, value, rows, cols))


def csr_of(row: np.ndarray, col: np.ndarray, value: np.ndarray, rows: int, cols: int) -> csr_array:
    """0-based entries as CSR; of entries for the same cell the last one counts. Zeros may be stored."""
    from scipy.sparse import csr_array

    memory.reserve(rows + 1, 1, "the row index of a sparse matrix")
    key_step = np.diff(row)
    if np.any(key_step < 0) or np.any((key_step == 0) & (np.diff(col) <= 0)):
        order = np.lexsort((col, row))
        row, col, value = row[order], col[order], value[order]
        last = np.append((np.diff(row) != 0) | (np.diff(col) != 0), np.ones(min(len(row), 1), dtype=bool))
        row, col, value = row[last], col[last], value[last]
    starts = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=rows))])
    index = storage.index_type(cols, len(value))
    return csr_array((value.copy(), col.astype(index), starts.astype(index)), shape=(rows, cols))


# --- writing ----------------------------------------------------------------------------------------------------------


def write_text(matrix: Matrix, file: TextIO) -> None:
    """`row column value` lines of the non-zeros, row by row; `0 0 0` alone when there are none."""
    if not write_entries(matrix, file):
        file.write(NO_ENTRIES)


def write_mm(matrix: Matrix, file: TextIO) -> None:
    """A Matrix Market coordinate file."""
    nnz = np.count_nonzero(matrix) if isinstance(matrix, np.ndarray) else matrix.nnz
    file.write(mm_header(*matrix.shape, nnz))
    write_entries(matrix, file)


def mm_header(rows: int, cols: int, nnz: int) -> str:
    return f"%%MatrixMarket matrix coordinate real general\n{rows} {cols} {nnz}\n"


def write_entries(matrix: Matrix, file: TextIO, above: int = 0) -> int:
    """The lines of the non-zeros of a matrix below so many other rows, a block of rows at a time; how many there are."""
    written = 0
    for row, col, value in _dense_entries(matrix) if isinstance(matrix, np.ndarray) else _sparse_entries(matrix):
        texts, rows = double_texts(value), (row + (above + 1)).tolist()
        file.write("".join(f"{i} {j} {v}\n" for i, j, v in zip(rows, (col + 1).tolist(), texts, strict=True)))
        written += len(texts)
    return written


def _dense_entries(matrix: np.ndarray) -> Iterator[Entries]:
    step = max(1, _BLOCK_CELLS // max(matrix.shape[1], 1))
    for start in range(0, matrix.shape[0], step):
        block = matrix[start : start + step]
        row, col = np.nonzero(block)
        yield row + start, col, block[row, col]


def _sparse_entries(matrix: csr_array) -> Iterator[Entries]:
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    for start in range(0, matrix.nnz, _BLOCK_CELLS):
        part = slice(start, start + _BLOCK_CELLS)
        yield row[part], matrix.indices[part], matrix.data[part]
