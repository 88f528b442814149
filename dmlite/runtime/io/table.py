"""Number tables in text: NumPy's C reader for clean files, and how a table in memory is stored in the end."""

from __future__ import annotations

import io
import warnings
from typing import BinaryIO, Final

import numpy as np

from dmlite.backends.local import storage
from dmlite.backends.local.storage import Matrix

# Below this many cells a sparse form saves nothing worth having.
SMALL: Final = 4096


def fast_table(file: BinaryIO, sep: str | None) -> np.ndarray | None:
    """The rest of `file` as a rows x columns array, or None when it is anything but plain numbers in equal rows.

    `sep` is one ASCII character, or None for any blanks. Blank lines are skipped, so callers compare the row count. Closes `file`.
    """
    # Every byte is mapped, and an odd one never to a blank, so that it ends up in a field that is not a number.
    text = io.TextIOWrapper(file, encoding="ascii", errors="surrogateescape")
    with text, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return np.loadtxt(text, delimiter=sep, comments=None, ndmin=2)
        except ValueError:
            return None


def count_lines(file: BinaryIO) -> int:
    """Lines from here to the end, without the blank ones that end the file."""
    lines, final, content = 0, 0, False
    while chunk := file.read(1 << 20):
        lines += chunk.count(b"\n")
        body = chunk.rstrip(b"\r\n")
        final = chunk.count(b"\n", len(body)) + (0 if body else final)
        content = content or bool(body)
    return lines - final + 1 if content else 0


def count_all_lines(file: BinaryIO) -> int:
    """Lines from here to the end, blank ones too."""
    lines, last = 0, b"\n"
    while chunk := file.read(1 << 20):
        lines += chunk.count(b"\n")
        last = chunk[-1:]
    return lines + (last != b"\n")


def pack(block: np.ndarray) -> Matrix:
    """CSR when `block` is large and mostly zero, else `block` itself."""
    if block.size < SMALL or block.shape[1] == 1 or np.count_nonzero(block) > storage.SPARSE_LIMIT * block.size:
        return block
    return storage.sparse(block)


def stack(blocks: list[Matrix]) -> Matrix:
    """Blocks of equal width below each other, in the form that suits the whole."""
    if len(blocks) == 1:
        return blocks[0]
    whole = [block for block in blocks if isinstance(block, np.ndarray)]
    if len(whole) == len(blocks):
        return pack(np.concatenate(whole))
    from scipy.sparse import csr_array, vstack

    return storage.settle(csr_array(vstack([storage.sparse(block) for block in blocks], format="csr")))
