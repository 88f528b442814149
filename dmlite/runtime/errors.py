"""From a Python exception in generated code to an error at a DML line."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType

from dmlite.errors import DMLError, DMLRuntimeError, Span


class Traces:
    """Knows which DML operator every line of generated source came from."""

    def __init__(self) -> None:
        self._lines: dict[str, Mapping[int, tuple[str, Span | None]]] = {}

    def register(self, filename: str, lines: Mapping[int, tuple[str, Span | None]]) -> None:
        self._lines[filename] = lines

    def explain(self, error: Exception) -> DMLError:
        """`error` as a DMLError at the innermost DML operator on its traceback."""
        what, span = self._place(error.__traceback__, only="call" if isinstance(error, RecursionError) else None)
        if isinstance(error, DMLError):
            if error.place is not None:
                span = self._lines.get(error.place.filename, {}).get(error.place.line, (what, span))[1]
            return error.at(span)
        if isinstance(error, MemoryError):
            return DMLRuntimeError(f"out of memory in {what}", span, "use smaller or sparse matrices")
        if isinstance(error, RecursionError):
            return DMLRuntimeError("functions call each other too deeply", span, "is there a case that ends the recursion?")
        return DMLRuntimeError(
            f"{what} failed: {error}" if str(error) else f"{what} failed ({type(error).__name__})",
            span,
            "DMLITE_TRACEBACK=full shows the Python frames",
        )

    def _place(self, tb: TracebackType | None, only: str | None) -> tuple[str, Span | None]:
        """The innermost operator, or the innermost of one sort."""
        what, span = "the script", None
        while tb is not None:
            lines = self._lines.get(tb.tb_frame.f_code.co_filename)
            if lines is not None and tb.tb_lineno in lines and only in (None, lines[tb.tb_lineno][0]):
                what, span = lines[tb.tb_lineno]
            tb = tb.tb_next
        return what, span
