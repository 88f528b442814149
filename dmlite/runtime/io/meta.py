"""What is known about a file: parameters of the call, the `.mtd` file beside it, its extension, its first bytes."""

from __future__ import annotations

import getpass
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from dmlite.errors import DMLIOError, did_you_mean
from dmlite.runtime.io.files import check_exists, check_text, local_path, open_bytes, parts_of, reporting
from dmlite.values import DMLList

FORMATS: Final = ("text", "csv", "mm", "binary", "parquet")
# Row and column numbers pass through doubles, which are exact up to here.
MAX_SIZE: Final = 2**53
_LATER: Final = ("libsvm", "hdf5", "cog", "compressed", "proto", "jsonl", "delta")
_EXTENSIONS: Final = {".csv": "csv", ".mtx": "mm", ".mm": "mm", ".ijv": "text", ".npy": "binary", ".npz": "binary", ".parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class Meta:
    """A file and how to read it. `rows`, `cols` and `nnz` are None where unknown, `nnz` is not to be relied on.

    part_rows   rows of every part, of a folder of parts
    """

    path: str
    data_type: str = "matrix"
    value_type: str | None = None
    format: str = "text"
    rows: int | None = None
    cols: int | None = None
    nnz: int | None = None
    sep: str = ","
    header: bool = False
    fill: bool = True
    default: float = 0.0
    na_strings: tuple[str, ...] = ()
    part_rows: tuple[int, ...] | None = None

    def check_shape(self, rows: int, cols: int) -> None:
        """Raise DMLIOError when the file holds another shape than the call or the `.mtd` file says."""
        if self.rows not in (None, rows) or self.cols not in (None, cols):
            said = f"{_size(self.rows)}x{_size(self.cols)}"
            raise DMLIOError(f"{self.path}: holds {rows}x{cols} cells, but {said} are declared", hint="correct rows= and cols=")


def _size(size: int | None) -> str:
    return "?" if size is None else str(size)


# --- parameters and metadata keys -------------------------------------------------------------------------------------


def _size_of(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not float(value).is_integer() or not -1 <= value <= MAX_SIZE:
        raise ValueError("a whole number, or -1 when unknown")
    return None if value == -1 else int(value)


def _flag(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError("TRUE or FALSE")


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a number")
    try:
        return float(value)
    except ValueError:
        raise ValueError("a number") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a string")
    return value


def _separator(value: Any) -> str:
    if not isinstance(value, str) or not value or "\n" in value or "\r" in value:
        raise ValueError("a string of at least one character, without line ends")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    items = tuple(value) if isinstance(value, list | tuple | DMLList) else (value,)
    return tuple(sorted({_text(item).strip() for item in items} - {""}))


def _sizes(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(isinstance(n, int) and not isinstance(n, bool) and n >= 0 for n in value):
        raise ValueError("a list of whole numbers")
    return tuple(value)


def _choice(*names: str) -> Callable[[Any], str]:
    def choose(value: Any) -> str:
        if not isinstance(value, str) or value.lower() not in names:
            raise ValueError("one of " + ", ".join(names))
        return value.lower()

    return choose


def _format(value: Any) -> str:
    name = "text" if value == "ijv" else _choice(*FORMATS, *_LATER)(value)
    if name in _LATER:
        raise DMLIOError(f'format="{name}" is not supported yet', hint="dmlite reads and writes " + ", ".join(FORMATS))
    return name


_READ: Final[Mapping[str, Callable[[Any], Any]]] = {
    "data_type": _choice("matrix", "scalar", "frame", "list", "tensor"),
    "value_type": _choice("double", "int", "integer", "boolean", "string", "unknown", "fp64", "fp32", "int64", "int32"),
    "rows": _size_of,
    "cols": _size_of,
    "nnz": _size_of,
    "format": _format,
    "sep": _separator,
    "header": _flag,
    "fill": _flag,
    "default": _number,
    "naStrings": _texts,
    "rows_in_block": _size_of,
    "cols_in_block": _size_of,
    "schema": _text,
    "indSep": _text,
    "dataset": _text,
}
_SIDECAR: Final = {**_READ, "sparse": _flag, "part_rows": _sizes} | dict.fromkeys(
    ("description", "author", "created", "privacy", "fine_grained_privacy"), lambda value: value
)
_WRITE: Final = {key: _READ[key] for key in ("format", "sep", "header", "rows_in_block", "cols_in_block", "indSep", "dataset")} | {
    "sparse": _flag,
    "description": _text,
}


def _parse(values: Mapping[str, Any], known: Mapping[str, Callable[[Any], Any]], path: str, where: str) -> dict[str, Any]:
    """Known keys only, each with a value of its kind; what is unknown (None) is left out."""
    parsed = {}
    for key, value in values.items():
        if key not in known:
            raise DMLIOError(f"{path}: unknown {where} '{key}'", hint=did_you_mean(key, known) or "known: " + ", ".join(known))
        try:
            result = known[key](value)
        except (ValueError, OverflowError) as error:
            raise DMLIOError(f"{path}: {where} '{key}' is {_show(value)}, expected {error}") from None
        except DMLIOError as error:
            raise DMLIOError(f"{path}: {error.message}", hint=error.problems[0].hint) from None
        if result is not None:
            parsed[key] = result
    return parsed


def _show(value: Any) -> str:
    return str(value).upper() if isinstance(value, bool) else repr(value)


def parse_write(path: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The checked parameters of a write call."""
    return _parse(params, _WRITE, path, "write parameter")


# --- from a call to what is known -------------------------------------------------------------------------------------


def describe(filename: object, params: Mapping[str, Any]) -> Meta:
    """Everything known about a file before its data are read.

    Raises DMLIOError when it does not exist, when the call and the `.mtd` file disagree, and when the format cannot be told.
    """
    path = local_path(filename)
    call = _parse(params, _READ, path, "read parameter")
    with reporting(path):
        known = _merge(path, call, _sidecar(path))
        kind = known.get("data_type", "matrix")
        if kind not in ("matrix", "scalar"):
            raise DMLIOError(f"{path}: reading a {kind} is not supported yet", hint="dmlite reads matrices and scalars")
        check_exists(path)
        if "format" not in known:
            known["format"] = "text" if kind == "scalar" else _guess_format(path)
        known["na_strings"] = known.pop("naStrings", ())
        return Meta(path, **{key: value for key, value in known.items() if key in Meta.__dataclass_fields__})


def _merge(path: str, call: Mapping[str, Any], sidecar: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in call.items():
        if key in sidecar and sidecar[key] != value:
            raise DMLIOError(
                f"{path}: '{key}' is {_show(value)} in the call, but {_show(sidecar[key])} in {path}.mtd", hint="correct one of the two"
            )
    return {**sidecar, **call}


def _sidecar(path: str) -> dict[str, Any]:
    """The checked contents of `<path>.mtd`, a file or a folder of parts; empty when there is none."""
    name = Path(path + ".mtd")
    pieces = sorted(name.glob("part*")) if name.is_dir() else [name] if name.exists() else []
    found: dict[str, Any] = {}
    for piece in pieces:
        try:
            values = json.loads(piece.read_bytes())
        except json.JSONDecodeError as error:
            raise DMLIOError(f"{piece}:{error.lineno}:{error.colno}: not a JSON object: {error.msg}") from None
        except (UnicodeDecodeError, RecursionError):
            raise DMLIOError(f"{piece}: not a JSON object") from None
        if not isinstance(values, dict):
            raise DMLIOError(f"{piece}: a JSON {type(values).__name__}, expected an object")
        found |= _parse(values, _SIDECAR, str(piece), "metadata key")
    return found


def _guess_format(path: str) -> str:
    """By extension, else by the first bytes."""
    if parts := parts_of(path):
        return _EXTENSIONS[os.path.splitext(parts[0])[1]]
    with open_bytes(path) as file:
        head = file.read(1 << 14)
    if by_name := _EXTENSIONS.get(os.path.splitext(path)[1].lower()):
        return by_name
    if head.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        return "binary"
    if head.startswith(b"PAR1"):
        return "parquet"
    if head[:14].lower() == b"%%matrixmarket":
        return "mm"
    check_text(path, head)
    lines = [line for line in head.splitlines()[:20] if line.strip()]
    if len(lines) > 1 and len(head) == 1 << 14:
        lines.pop()  # the block may end within a line
    if not lines:
        raise DMLIOError(f"{path}: is empty", hint="a file without numbers needs format=, rows= and cols=")
    if any(b"," in line for line in lines) or all(len(line.split()) == 1 for line in lines):
        return "csv"
    if all(re.fullmatch(rb"\s*\d+\s+\d+\s+[-+.\w]+\s*", line) for line in lines):
        return "text"
    raise DMLIOError(
        f"{path}: cannot tell the format from the name or the first lines", hint='pass format="csv" and sep=, or format="text"'
    )


def with_sizes(meta: Meta, rows: int | None, cols: int | None, nnz: int | None = None) -> Meta:
    """`meta` completed by what the head of the file says."""
    return replace(
        meta,
        rows=meta.rows if rows is None else rows,
        cols=meta.cols if cols is None else cols,
        nnz=meta.nnz if nnz is None else nnz,
    )


# --- writing ----------------------------------------------------------------------------------------------------------


def sidecar_text(entries: Iterable[tuple[str, Any]]) -> str:
    """The `.mtd` text of the entries that are not None, with author and time of writing."""
    try:
        author = getpass.getuser()
    except (OSError, KeyError):
        author = "unknown"
    values = {key: value for key, value in entries if value is not None}
    tail = {key: values.pop(key) for key in ("header", "sep") if key in values}
    created = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return json.dumps({**values, "author": author, **tail, "created": created}, indent=4, ensure_ascii=False)
