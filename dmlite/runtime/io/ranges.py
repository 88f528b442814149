"""Text files in ranges of bytes that begin and end with lines, so that each can be read for itself."""

from __future__ import annotations

import io
import itertools
import os
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from dmlite.errors import DMLIOError
from dmlite.runtime.io.files import open_bytes

_STEP: Final = 1 << 16


class _Window(io.RawIOBase):
    """The bytes of an open file before `end`."""

    def __init__(self, file: BinaryIO, end: int):
        self._file, self._left = file, end - file.tell()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with memoryview(buffer) as view:
            count = self._file.readinto(view[: max(0, self._left)])  # type: ignore[attr-defined]
        self._left -= count
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(frozen=True)
class Range:
    """The bytes from `start` to `end` of a file of the bytes `size` that was last changed at `changed`."""

    path: str
    start: int
    end: int
    size: int
    changed: int

    def open(self) -> BinaryIO:
        """These bytes alone. Raises DMLIOError when the file has changed."""
        file = open_bytes(self.path)
        status = os.fstat(file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed):
            file.close()
            raise DMLIOError(f"{self.path}: has changed while it was read", hint="read it again")
        file.seek(self.start)
        return io.BufferedReader(_Window(file, self.end), 1 << 18)  # type: ignore[return-value]

    def lines_before(self) -> int:
        """Line ends before the range: the number of its first line, counted from zero."""
        lines, left = 0, self.start
        with open(self.path, "rb") as file:
            while left > 0 and (chunk := file.read(min(left, 1 << 20))):
                lines += chunk.count(b"\n")
                left -= len(chunk)
        return lines


def ranges(path: str, start: int, about: int) -> list[Range]:
    """The lines from byte `start` on in ranges of about so many bytes, without the blank lines that end the file."""
    with open_bytes(path) as file:
        status = os.fstat(file.fileno())
        end = _end_of_content(file, start, status.st_size)
        cuts = [start]
        while cuts[-1] < end:
            file.seek(min(end, cuts[-1] + max(1, about)))
            file.readline()
            cuts.append(min(end, file.tell()))
    return [Range(path, low, high, status.st_size, status.st_mtime_ns) for low, high in itertools.pairwise(cuts)]


def _end_of_content(file: BinaryIO, start: int, end: int) -> int:
    """The byte behind the last that is no line end."""
    while end > start:
        low = max(start, end - _STEP)
        file.seek(low)
        body = file.read(end - low).rstrip(b"\r\n")
        if body:
            return low + len(body)
        end = low
    return start
