"""Delimited text: one line a row. Clean files take NumPy's reader, all others a careful one that knows line and column."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import chain
from typing import BinaryIO, Final, NoReturn, TextIO

import numpy as np

from dmlite.backends.local.storage import Matrix, dense
from dmlite.errors import DMLIOError
from dmlite.runtime.io.files import check_text, open_bytes, quoted
from dmlite.runtime.io.meta import Meta, with_sizes
from dmlite.runtime.io.ranges import Range
from dmlite.runtime.io.table import count_all_lines, count_lines, fast_table, pack, stack
from dmlite.text import double_texts

_BLOCK_BYTES: Final = 1 << 22
_BLOCK_CELLS: Final = 1 << 17


# --- reading ----------------------------------------------------------------------------------------------------------


def read(meta: Meta) -> Matrix:
    """The matrix in a csv file.

    Raises DMLIOError for ragged rows, text that is no number, sizes other than the declared ones, and empty files.
    """
    with _open_data(meta) as file:
        start = file.tell()
        lines = count_lines(file)
    if not lines and (meta.rows == 0 or meta.cols == 0):
        return np.zeros((meta.rows or 0, meta.cols or 0))
    found = fast_table(_open_data(meta), meta.sep) if lines and _is_plain(meta) else None
    if found is None or len(found) != max(lines, meta.rows or 0):
        matrix = _Careful(meta, lambda: _open_at(meta.path, start), lambda: 1 + meta.header).read()
    else:
        matrix = pack(found)
    meta.check_shape(*matrix.shape)
    return matrix


def read_range(meta: Meta, lines: Range, width: int) -> Matrix:
    """The rows in some lines of a csv file, of `width` fields each. Raises DMLIOError as `read` does, with the line in the file."""
    with lines.open() as file:
        count = count_all_lines(file)
    found = fast_table(lines.open(), meta.sep) if _is_plain(meta) else None
    if found is not None and found.shape == (count, width):
        return pack(found)
    return _Careful(meta, lines.open, lambda: 1 + lines.lines_before(), width).read_all()


def _is_plain(meta: Meta) -> bool:
    """Whether NumPy's reader can be tried."""
    return meta.fill and not meta.na_strings and len(meta.sep) == 1 and meta.sep.isascii()


def head(meta: Meta) -> tuple[int, int]:
    """Where the first line of data starts, and its number of fields; none when there is no data."""
    with _open_data(meta) as file:
        start, line = file.tell(), file.readline().rstrip(b"\r\n")
    return start, line.count(meta.sep.encode()) + 1 if line else 0


def peek(meta: Meta) -> Meta:
    """The number of columns, from the first line of data."""
    cols = head(meta)[1]
    return with_sizes(meta, None, cols) if cols and meta.cols is None else meta


def _open_data(meta: Meta) -> BinaryIO:
    """The file behind its header line."""
    file = open_bytes(meta.path)
    start = file.tell()
    check_text(meta.path, file.read(1 << 12))
    file.seek(start)
    if meta.header:
        file.readline()
    return file


def _open_at(path: str, start: int) -> BinaryIO:
    file = open_bytes(path)
    file.seek(start)
    return file


class _Careful:
    """Reads block by block, fills empty fields, and finds the place of a mistake.

    first: the number of the first line, asked for when something is wrong. width: fields of a row, 0 for those of the first.
    """

    def __init__(self, meta: Meta, open_lines: Callable[[], BinaryIO], first: Callable[[], int], width: int = 0):
        self.meta, self.open_lines, self.first = meta, open_lines, first
        self.sep = meta.sep.encode()
        self.known = {na.encode(): np.nan for na in meta.na_strings}
        if meta.fill:
            self.known[b""] = meta.default
        self.done = 0
        self.width = width

    @cached_property
    def start(self) -> int:
        return self.first()

    def read_all(self) -> Matrix:
        """All lines, blank ones too."""
        with self.open_lines() as file:
            return stack(
                [self._block([line.rstrip(b"\r\n") for line in lines]) for lines in iter(lambda: file.readlines(_BLOCK_BYTES), [])]
            )

    def read(self) -> Matrix:
        blocks: list[Matrix] = []
        blank: list[bytes] = []
        rows = 0
        with self.open_lines() as file:
            while lines := file.readlines(_BLOCK_BYTES):
                # Blank lines count as rows (of one empty field) only when something follows or is declared to follow.
                lines = blank + [line.rstrip(b"\r\n") for line in lines]
                end = next((i for i in range(len(lines), 0, -1) if lines[i - 1]), 0)
                blank, lines = lines[end:], lines[:end]
                if lines:
                    blocks.append(self._block(lines))
                    rows += len(lines)
        if self.meta.rows is not None and (self.width or self.meta.cols) == 1 and blank[: self.meta.rows - rows]:
            blocks.append(self._block(blank[: self.meta.rows - rows]))
        if not blocks:
            raise DMLIOError(f"{self.meta.path}: is empty", hint="a matrix without rows needs rows=0 and cols=")
        return stack(blocks)

    def _block(self, lines: list[bytes]) -> Matrix:
        rows = [line.split(self.sep) for line in lines]
        self.width = self.width or len(rows[0])
        for i, row in enumerate(rows):
            if len(row) != self.width:
                self._ragged(i, row)
        cells = self._numbers(rows)
        self.done += len(lines)
        return pack(np.array(cells, dtype=np.float64).reshape(len(rows), self.width))

    def _numbers(self, rows: list[list[bytes]]) -> list[float]:
        known, fields = self.known, chain.from_iterable(rows)
        try:
            cells = [known[field] if field in known else float(field) for field in fields]
        except ValueError:
            pass
        else:
            # Python reads 1_000 as a number, DML does not.
            if not any(b"_" in field for field in chain.from_iterable(rows)):
                return cells
        return [self._number(i, row, j) for i, row in enumerate(rows) for j in range(self.width)]

    def _number(self, number: int, row: list[bytes], index: int) -> float:
        field = row[index].strip()
        if field in self.known:
            return self.known[field]
        try:
            if b"_" not in field:
                return float(field)
        except ValueError:
            pass
        line = self.start + self.done + number
        column = sum(len(before) + len(self.sep) for before in row[:index]) + 1
        place = f"{self.meta.path}:{line}:{column}"
        if not field:
            raise DMLIOError(f"{place}: empty field", hint="fill=TRUE puts default= into empty fields")
        raise DMLIOError(f"{place}: {quoted(field)} is not a number", hint=self._advice(line, row, field))

    def _advice(self, line: int, row: list[bytes], field: bytes) -> str:
        if line == 1 and not any(map(_is_number, row)) and (len(row) > 1 or not any(sep in field for sep in (b";", b"\t"))):
            return "header=TRUE skips a first line of column names"
        for sep, shown in ((b";", ";"), (b"\t", "\\t"), (b"|", "|"), (b" ", " ")):
            if sep in field and all(map(_is_number, field.split(sep))):
                return f'pass sep="{shown}" when that separates the columns'
        return f"naStrings={quoted(field)} reads it as NaN".replace("'", '"')

    def _ragged(self, number: int, row: list[bytes]) -> NoReturn:
        line = self.start + self.done + number
        found = "a blank line" if row == [b""] else "1 field" if len(row) == 1 else f"{len(row)} fields"
        hint = f'fields are separated by "{self.meta.sep}"'
        raise DMLIOError(f"{self.meta.path}:{line}: {found}, but the first row has {self.width}", hint=hint)


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


# --- writing ----------------------------------------------------------------------------------------------------------


def write(matrix: Matrix, file: TextIO, sep: str = ",", header: bool = False, sparse: bool = False) -> None:
    """One line a row; zeros as `0`, or as nothing with `sparse`; a first line `C1,C2,...` with `header`."""
    cols = matrix.shape[1]
    if header:
        file.write(sep.join(f"C{j + 1}" for j in range(cols)) + "\n")
    for block in _dense_blocks(matrix):
        cells = block.ravel()
        texts = double_texts(cells)
        zero = "" if sparse else "0"
        for i in np.flatnonzero(cells == 0).tolist():
            texts[i] = zero
        file.write("".join(sep.join(texts[i * cols : (i + 1) * cols]) + "\n" for i in range(len(block))))


def _dense_blocks(matrix: Matrix) -> Iterator[np.ndarray]:
    rows, cols = matrix.shape
    step = max(1, _BLOCK_CELLS // max(cols, 1))
    for start in range(0, rows, step):
        yield dense(matrix[start : start + step])
