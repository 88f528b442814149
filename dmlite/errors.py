"""What can go wrong, and how it is shown: `file:line:col`, the source line, a caret, one hint."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, eq=False)
class Source:
    """One DML text and the name it is reported under (a path, or `<script>`)."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """The 1-based source line, or an empty string past the end."""
        lines = self.text.split("\n")
        return lines[number - 1].rstrip("\r") if 0 < number <= len(lines) else ""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of source text; lines and columns count from 1, the end column is exclusive."""

    source: Source
    line: int
    col: int
    end_line: int
    end_col: int

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.col}"

    def to(self, other: Span) -> Span:
        """The span from the start of this one to the end of `other`."""
        return Span(self.source, self.line, self.col, other.end_line, other.end_col)


@dataclass(frozen=True)
class Place:
    """A line of generated source, from which the runtime knows the line of DML."""

    filename: str
    line: int


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong, where, and what to do about it."""

    message: str
    span: Span | None = None
    hint: str | None = None

    def __str__(self) -> str:
        head = f"{self.span}: error: {self.message}" if self.span else f"error: {self.message}"
        parts = [head]
        if self.span and (text := self.span.source.line(self.span.line)):
            parts.append(_caret(text, self.span))
        if self.hint:
            parts.append(f"  hint: {self.hint}")
        return "\n".join(parts)


def _caret(text: str, span: Span, width: int = 160) -> str:
    """The source line with `^~~~` under the span; a very long line is cut around it."""
    start = span.col - 1
    stop = span.end_col - 1 if span.end_line == span.line else len(text)
    cut = max(0, start - width // 2) if len(text) > width else 0
    shown = text[cut : cut + width].replace("\t", " ")
    marks = "^" + "~" * max(0, min(stop, cut + width) - start - 1)
    return f"    {shown}\n    {' ' * (start - cut)}{marks}"


class DMLError(Exception):
    """Base of everything dmlite raises on purpose. `problems` holds one or more `Problem`s.

    Kernels raise `DMLRuntimeError("message", hint=...)` without a span; the runtime adds the DML
    line. `str(error)` is what a person should read.
    """

    def __init__(self, message: str = "", span: Span | None = None, hint: str | None = None, problems: Iterable[Problem] = ()):
        self.problems = list(problems) or [Problem(message, span, hint)]
        self.place: Place | None = None  # where it began, if elsewhere than it was raised
        super().__init__(message or self.problems[0].message)

    def __str__(self) -> str:
        return "\n".join(str(p) for p in self.problems)

    @property
    def message(self) -> str:
        return self.problems[0].message

    def at(self, span: Span | None) -> DMLError:
        """The same error, pinned to `span` where it has no place yet."""
        self.problems = [p if p.span else Problem(p.message, span, p.hint) for p in self.problems]
        return self


class DMLSyntaxError(DMLError):
    """The text is not DML."""


class DMLValidationError(DMLError):
    """The text is DML, but means nothing: names, types, shapes, arguments."""


class DMLRuntimeError(DMLError):
    """A value made an operation impossible."""


class DMLStop(DMLRuntimeError):
    """The script called `stop(message)`, or an `assert` failed."""


class DMLIOError(DMLRuntimeError):
    """A file could not be read or written, or does not hold what it should."""


@dataclass
class Problems:
    """Collects problems so that all of a script are reported at once, one for each place."""

    found: list[Problem] = field(default_factory=list)

    def add(self, message: str, span: Span | None, hint: str | None = None) -> None:
        if not any(p.span == span if span else p.message == message for p in self.found):
            self.found.append(Problem(message, span, hint))

    def raise_if_any(self, kind: type[DMLError] = DMLValidationError) -> None:
        if self.found:
            key = lambda p: (p.span.source.name, p.span.line, p.span.col) if p.span else ("", 0, 0)  # noqa: E731
            raise kind(problems=sorted(self.found, key=key))


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A one-line hint naming the closest known spelling, or None; one or two letters are near their other case only."""
    import difflib  # only what is wrong needs it

    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6) if len(name) > 2 else []
    if not near:
        near = [k for k in known if k.lower() == name.lower()]
    return f"did you mean '{near[0]}'?" if near else None
