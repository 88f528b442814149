"""Opening, replacing and reporting on files, so that every trouble with one is a DMLIOError that names it."""

from __future__ import annotations

import difflib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from dmlite.errors import DMLIOError, DMLRuntimeError

_BOM: Final = b"\xef\xbb\xbf"
_PART_ENDS: Final = (".npy", ".npz", ".parquet")
_OWN_PART: Final = re.compile(r"part-\d{5,}\.(npy|npz|parquet)")


def local_path(filename: object) -> str:
    """The path a script's file name stands for; `file:` addresses are local, other schemes are refused."""
    if not isinstance(filename, str) or not filename.strip():
        raise DMLIOError(f"a file name must be a non-empty string, found {filename!r}")
    if "\0" in filename:
        raise DMLIOError(f"the file name {filename!r} holds a zero byte")
    scheme, colon, rest = filename.partition(":")
    if colon and scheme.lower() == "file":
        return "/" + rest.lstrip("/") if rest.startswith("/") else rest
    if colon and rest.startswith("//"):
        raise DMLIOError(f"{filename}: '{scheme}' addresses are not supported", hint="copy the file to a local disk")
    return filename


@contextmanager
def reporting(path: str) -> Iterator[None]:
    """Turn what can go wrong inside into a DMLIOError about `path`."""
    try:
        yield
    except DMLIOError:
        raise
    except FileNotFoundError as error:
        raise _missing(path) from error
    except IsADirectoryError as error:
        raise _directory(path) from error
    except OSError as error:
        raise DMLIOError(f"{path}: {error.strerror or error}") from error
    except DMLRuntimeError as error:
        raise DMLIOError(f"{path}: {error.message}", hint=error.problems[0].hint) from error
    except MemoryError as error:
        raise DMLIOError(f"{path}: does not fit into memory") from error


def _directory(path: str) -> DMLIOError:
    return DMLIOError(f"{path}: is a folder, expected a file", hint="name one file inside it")


def _missing(path: str) -> DMLIOError:
    """A file-not-found error whose hint names the most similar file in the same folder."""
    folder, name = os.path.split(path)
    try:
        names = [entry for entry in os.listdir(folder or ".") if not entry.endswith(".mtd")]
    except OSError:
        return DMLIOError(f"{path}: no such file", hint=f"there is no folder '{folder}'")
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.7) or [n for n in names if Path(n).stem == Path(name).stem]
    hint = f"did you mean '{os.path.join(folder, near[0])}'?" if near else f"relative names start at {os.getcwd()}"
    return DMLIOError(f"{path}: no such file", hint=hint)


def parts_of(path: str) -> list[str]:
    """The files of a folder that holds a matrix in parts, from its first rows to its last; none if it is no such folder."""
    if not os.path.isdir(path):
        return []
    found = [e.name for e in os.scandir(path) if e.name.endswith(_PART_ENDS) and not e.name.startswith((".", "_"))]
    return [os.path.join(path, name) for name in sorted(found, key=_in_order)]


def part_name(number: int, end: str) -> str:
    return f"part-{number:05d}{end}"


def _in_order(name: str) -> list[tuple[int, str]]:
    """Numbers in names count as numbers."""
    return [(int(n or 0), text) for text, n in re.findall(r"(\D*)(\d*)", name)]


def check_exists(path: str) -> None:
    """Raises DMLIOError for what is neither a regular file nor a folder of parts, and OSError as `open` does."""
    if not parts_of(path):
        open_bytes(path).close()


def open_bytes(path: str) -> BinaryIO:
    """`path` opened for reading, a possible UTF-8 byte order mark skipped.

    Raises DMLIOError for folders, pipes and devices, and OSError as `open` does; use inside `reporting`.
    """
    mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise _directory(path)
    if not stat.S_ISREG(mode):
        raise DMLIOError(f"{path}: is not a regular file")
    file = open(path, "rb")  # noqa: SIM115 (handed to the caller)
    if file.read(3) != _BOM:
        file.seek(0)
    return file


def check_text(path: str, head: bytes) -> None:
    """Refuse the first bytes of a file that cannot be a text of numbers."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DMLIOError(f"{path}: is encoded as UTF-16", hint="save it as UTF-8")
    if b"\0" in head:
        raise DMLIOError(f"{path}: is a binary file, expected text", hint='dmlite reads its own binary files with format="binary"')


def quoted(field: bytes, limit: int = 40) -> str:
    """A piece of a file as it is shown in a message."""
    text = field.decode("utf-8", "replace")
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


@contextmanager
def replacing(*paths: str) -> Iterator[list[str]]:
    """Temporary names beside `paths`; the files or folders of parts made there take the places of `paths` when the block succeeds.

    When it fails, nothing is left: no temporary file and none of the new ones. Missing folders are made.
    """
    targets = [os.path.realpath(path) for path in paths]
    for path, target in zip(paths, targets, strict=True):
        _check_target(path, target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
    temporary = [_beside(target) for target in targets]
    replaced: list[str] = []
    try:
        yield temporary
        for source, target in zip(temporary, targets, strict=True):
            _replace(source, target)
            replaced.append(target)
    except BaseException:
        for name in temporary + replaced:
            _remove(name)
        raise


def _beside(target: str) -> str:
    return os.path.join(os.path.dirname(target), f".dmlite-{secrets.token_hex(6)}.tmp")


def _replace(source: str, target: str) -> None:
    if not os.path.isdir(source) and not os.path.isdir(target):
        os.replace(source, target)
        return
    # A folder cannot be replaced in one step: the old one is out of the way for an instant.
    old = _beside(target)
    if os.path.exists(target):
        os.rename(target, old)
    try:
        os.rename(source, target)
    except OSError:
        os.rename(old, target)
        raise
    _remove(old)


def _remove(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        Path(path).unlink(missing_ok=True)


def _check_target(path: str, target: str) -> None:
    if os.path.isdir(target):
        # What is in it goes, so it must hold nothing but what was written here.
        names = os.listdir(target)
        if not names or not all(map(_OWN_PART.fullmatch, names)):
            raise DMLIOError(f"{path}: is a folder, cannot be replaced by a file", hint="choose another name")
    elif os.path.exists(target) and not os.path.isfile(target):
        raise DMLIOError(f"{path}: is not a regular file, cannot be replaced")


def create_text(path: str) -> TextIO:
    """A new UTF-8 text file with plain newlines."""
    return open(path, "x", encoding="utf-8", newline="\n", buffering=1 << 20)
