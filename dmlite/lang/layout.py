"""Where the comments and blank lines of a script stand, for printing it again."""

from __future__ import annotations

from bisect import bisect_left

from dmlite.errors import Span
from dmlite.lang import nodes as n
from dmlite.lang.lexer import tokenize

Place = tuple[int, int]  # line and column
END: Place = (2**62, 0)


class Layout:
    """The comments of a script that are still to be printed, and the brackets of its text.

    All look-ups answer with the place itself, so that a tree that does not fit its text still prints.
    """

    def __init__(self, script: n.Script):
        tokens, _ = tokenize(script.span.source)
        self.comments = sorted(script.comments, key=lambda comment: start(comment.span), reverse=True)
        self.starts = [start(token.span) for token in tokens]
        self.kinds = [token.kind for token in tokens]
        self.partner: dict[int, int] = {}
        opened: list[int] = []
        for at, token in enumerate(tokens):
            if token.text in ("(", "[", "{"):
                opened.append(at)
            elif token.text in (")", "]", "}") and opened:
                self.partner[opened.pop()] = at

    def take(self, before: Place) -> n.Comment | None:
        """The next comment, if it stands before that place."""
        return self.comments.pop() if self.pending(before) else None

    def pending(self, before: Place) -> bool:
        return bool(self.comments) and start(self.comments[-1].span) < before

    def after(self, span: Span) -> Place:
        """Where the next thing begins after a statement and its semicolons."""
        at = bisect_left(self.starts, (span.end_line, span.end_col))
        while at < len(self.kinds) and self.kinds[at] == "SEMICOLON":
            at += 1
        return self.starts[at] if at < len(self.starts) else END

    def closing(self, place: Place, kind: str) -> Place:
        """The end of the first bracket of that kind at or after a place; the place itself without one."""
        for at in range(bisect_left(self.starts, place), len(self.kinds)):
            if self.kinds[at] == kind:
                return self.starts[self.partner.get(at, at)]
        return place

    def block_end(self, place: Place) -> Place:
        """The closing brace of the block that begins right after a place; the place itself for a bare statement."""
        at = bisect_left(self.starts, place)
        while at < len(self.kinds) and self.kinds[at] in ("RPAR", "RBRACE", "ELSE", "SEMICOLON"):
            at += 1
        return self.starts[self.partner.get(at, at)] if at < len(self.kinds) and self.kinds[at] == "LBRACE" else place


def start(span: Span) -> Place:
    return span.line, span.col
