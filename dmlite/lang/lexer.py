"""Text to tokens: one compiled pattern, then the three meanings of `[` told apart by their surroundings."""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from dmlite.errors import Source, Span
from dmlite.lang.nodes import Comment
from dmlite.lang.tables import ACCEPT, tables


class Token(NamedTuple):
    kind: str
    text: str
    span: Span


# What no rule of the grammar takes: each is reported where the parser meets it (mistakes.py has the words).
STRAYS = (
    ("LSQB", r"\["),
    ("DOTTED", r"[A-Za-z][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]*)+"),
    ("BAD_NUMBER", r"\.?[0-9][A-Za-z0-9_.]*"),
    ("OPEN_STRING", r"[\"']"),
    ("OPEN_COMMENT", r"/\*"),
    ("UNKNOWN", r"%[A-Za-z]+%|[^\s\w]|\w+|."),
)
DOTTED_NAMES = (
    *(f"as.{kind}" for kind in ("scalar", "matrix", "frame", "list", "double", "integer", "logical", "boolean")),
    *("index.return", "empty.return", "lower.tail", "lower.tri", "upper.tri", "is.na", "is.nan", "is.infinite"),
)
OPERAND_ENDS = frozenset({"NAME", "QUALIFIED", "INTEGER", "DOUBLE", "STRING", "BOOLEAN", "DOLLAR", "RPAR", "RSQB"})
STARTS = frozenset({"SEMICOLON", "LBRACE", "RBRACE", "ELSE"})


@cache
def _scanner() -> tuple[re.Pattern[str], dict[str, str]]:
    """The pattern of all tokens, and the reserved words that look like names."""
    table = tables()
    pattern = "|".join(f"(?P<{name}>{regex})" for name, regex in (*table.patterns, *STRAYS))
    return re.compile(pattern, re.ASCII | re.DOTALL), table.words


def tokenize(source: Source) -> tuple[list[Token], list[Comment]]:
    """All tokens of the text, the end marker last, and its comments. Never fails: strays become tokens too."""
    pattern, words = _scanner()
    text = source.text
    tokens: list[Token] = []
    comments: list[Comment] = []
    line, line_start = 1, 0
    for match in pattern.finditer(text):
        kind, start, stop = match.lastgroup or "", match.start(), match.end()
        first_line, first_col = line, start - line_start + 1
        if kind in ("BLANK", "STRING", "COMMENT") and (breaks := text.count("\n", start, stop)):
            line += breaks
            line_start = text.rindex("\n", start, stop) + 1
        if kind == "BLANK":
            continue
        span = Span(source, first_line, first_col, line, stop - line_start + 1)
        if kind == "COMMENT":
            own_line = not text[start - first_col + 1 : start].strip()
            comments.append(Comment(match.group().replace("\r", ""), own_line, span=span))
            continue
        word = match.group()
        if kind == "NAME":
            kind = words.get(word, kind)
        tokens.append(Token(kind, word, span))
    tokens.append(Token(ACCEPT, "", Span(source, line, len(text) - line_start + 1, line, len(text) - line_start + 1)))
    _settle_brackets(tokens)
    return tokens, comments


def _settle_brackets(tokens: list[Token]) -> None:
    """Give every `[` its kind: _INDEX, _MULTI or _LIST.

    After an operand that cannot be indexed a statement `[a, b] = f()` must begin. After a name it is an index, unless
    the name is used as a value and the matching bracket is followed by an assignment: `y = x [a, b] = f()` is two statements.
    """
    open_at: list[int] = []
    for at, token in enumerate(tokens):
        if token.kind == "LSQB":
            open_at.append(at)
        elif token.kind == "RSQB" and open_at:
            start = open_at.pop()
            tokens[start] = tokens[start]._replace(kind=_bracket(tokens, start, tokens[at + 1].text in ("=", "<-")))
    for start in open_at:
        tokens[start] = tokens[start]._replace(kind=_bracket(tokens, start, assigned=False))


def _bracket(tokens: list[Token], at: int, assigned: bool) -> str:
    previous = tokens[at - 1].kind if at else "SEMICOLON"
    if previous == "NAME":
        before = tokens[at - 2].kind if at > 1 else "SEMICOLON"
        return "_MULTI" if assigned and before not in OPERAND_ENDS and before not in STARTS else "_INDEX"
    return "_MULTI" if previous in OPERAND_ENDS or previous in STARTS else "_LIST"
