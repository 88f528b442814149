"""Scalars in files: the bare print form, nothing else."""

from __future__ import annotations

import os
import re
from typing import Final

from dmlite.errors import DMLIOError
from dmlite.runtime.io.files import open_bytes, quoted
from dmlite.runtime.io.meta import Meta
from dmlite.text import scalar_text

_INT: Final = re.compile(r"[-+]?\d+")
_DOUBLE: Final = re.compile(r"[-+]?((\d+\.?\d*|\.\d+)(e[-+]?\d+)?|nan|inf(inity)?)", re.IGNORECASE)
_KINDS: Final = {
    "double": "double",
    "fp64": "double",
    "fp32": "double",
    "int": "int",
    "integer": "int",
    "int64": "int",
    "int32": "int",
    "boolean": "boolean",
    "string": "string",
}
_LIMIT: Final = 1 << 28


def read(meta: Meta) -> float | int | bool | str:
    """The value in a scalar file, of the declared value type or else of the type its text looks like.

    Raises DMLIOError when the text is not of the declared type.
    """
    with open_bytes(meta.path) as file:
        if os.fstat(file.fileno()).st_size > _LIMIT:
            raise DMLIOError(f"{meta.path}: too large for a scalar")
        raw = file.read()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DMLIOError(f"{meta.path}: not UTF-8 text at byte {error.start}", hint="save it as UTF-8") from None
    kind = _KINDS.get(meta.value_type or "") or _guess(text.strip())
    if kind == "string":
        if not meta.value_type and "\n" in text.strip():
            raise DMLIOError(f"{meta.path}: several lines are not one scalar", hint='value_type="string" reads them as one text')
        return text.removesuffix("\n").removesuffix("\r")
    text = text.strip()
    if kind == "boolean" and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if kind == "int" and _INT.fullmatch(text):
        return int(text)
    if kind == "double" and _DOUBLE.fullmatch(text):
        return float(text)
    raise DMLIOError(f"{meta.path}: {quoted(raw.strip()) if text else 'an empty file'} is not a value of type {kind}")


def _guess(text: str) -> str:
    if text.lower() in ("true", "false"):
        return "boolean"
    if _INT.fullmatch(text):
        return "int"
    return "double" if _DOUBLE.fullmatch(text) else "string"


def text_and_type(value: float | int | bool | str) -> tuple[str, str]:
    """What is written for a scalar, and its value type."""
    if isinstance(value, bool):
        return ("true" if value else "false"), "boolean"
    kind = "double" if isinstance(value, float) else "int" if isinstance(value, int) else "string"
    return scalar_text(value), kind
