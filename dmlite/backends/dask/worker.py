"""What runs on the workers: generated source over chunks, with the local kernels.

Source comes from this engine alone, through the client that whoever runs the script has opened.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final

import numpy as np

from dmlite.backends.dask.chunked import Lazy
from dmlite.backends.local import loading, threads
from dmlite.codegen.loops import Loop
from dmlite.config import settings

_KEPT: Final = 256  # functions of generated source


@dataclass(frozen=True)
class Shipped:
    """A function for chunks, as source. split: how many of its operands are chunks; compile: whether Numba may be used."""

    name: str
    source: str
    kernels: tuple[str, ...]
    loops: dict[str, Loop]
    split: int
    compile: bool


class ChunkError(Exception):
    """What went wrong in generated source, with its name and line, so that the client can tell the line of DML."""

    def __init__(self, code: str, line: int, cause: BaseException):
        super().__init__(code, line, cause)
        self.code, self.line, self.cause = code, line, cause


class _Functions:
    """Functions of generated source, by that source; the last few hundred."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Callable[..., Any]] = OrderedDict()

    def get(self, code: Shipped) -> Callable[..., Any]:
        with self._lock:
            function = self._known.get(code.source)
            if function is None:
                namespace = loading.names(code.kernels, shared=True)
                function = loading.load(code.source, code.name, f"<dml {code.name}>", namespace, code.loops)
                self._known[code.source] = function
                while len(self._known) > _KEPT:
                    self._known.popitem(last=False)
            self._known.move_to_end(code.source)
            return function


_functions: Final = _Functions()


def loaded(part: Any) -> Any:
    """A chunk, made now if nobody has yet. One that another worker sent may lie at any byte, where NumPy cannot give it to BLAS."""
    if isinstance(part, Lazy):
        return part.load()
    return part.copy() if isinstance(part, np.ndarray) and not part.flags.aligned else part


def run(code: Shipped, *operands: Any) -> Any:
    """The results of generated source for one chunk. Raises ChunkError."""
    with settings(compile=code.compile), np.errstate(all="ignore"), threads.one():
        function = _functions.get(code)
        try:
            return function(*map(loaded, operands))
        except Exception as error:
            raise ChunkError(code.name, _line(error.__traceback__, f"<dml {code.name}>"), error.with_traceback(None)) from None


def apply(function: Callable[..., Any], *operands: Any) -> Any:
    """The result of a kernel on chunks, by one thread."""
    with np.errstate(all="ignore"), threads.one():
        return function(*map(loaded, operands))


def _line(trace: TracebackType | None, filename: str) -> int:
    """The line of generated source on a traceback."""
    found = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == filename:
            found = trace.tb_lineno
        trace = trace.tb_next
    return found
