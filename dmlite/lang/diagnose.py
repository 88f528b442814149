"""Syntax errors in human words: what was found, what could stand there, and a hint where a mistake is well known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from dmlite.errors import Problem, Span, did_you_mean
from dmlite.lang.lexer import DOTTED_NAMES, Token
from dmlite.lang.mistakes import ATTRIBUTES, CHARACTERS, DOTTED_HINTS, MISTAKES
from dmlite.lang.tables import ACCEPT, tables

BEFORE, AFTER = 40, 4  # tokens in the window of a mistake
CLOSERS = {"RPAR": "(", "RSQB": "[", "RBRACE": "{"}
OPENERS = {"LPAR": "(", "_INDEX": "[", "_MULTI": "[", "_LIST": "[", "LBRACE": "{"}
PAIRS = {"(": ")", "[": "]", "{": "}"}

OPERATORS = frozenset({"OR", "AND", "RELATION", "SIGN", "TIMES", "MODULO", "MATMUL", "POWER"})
VALUES = frozenset({"NAME", "QUALIFIED", "INTEGER", "DOUBLE", "STRING", "BOOLEAN", "DOLLAR", "LPAR"})
STATEMENTS = frozenset({"IF", "FOR", "PARFOR", "WHILE", "SOURCE", "SETWD", "_MULTI"})
GROUPS: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = (  # named together, with what goes without saying then
    ("a statement", STATEMENTS, frozenset({"NAME", "QUALIFIED"})),
    ("a value", VALUES, frozenset({"SIGN", "NOT", "_LIST", "FUNCTION", "EXTERNALFUNCTION", "IFDEF"})),
    ("an operator", OPERATORS, frozenset()),
)
WORDS = {  # how the remaining terminals are called in "expected ..."
    "NAME": "a name",
    "QUALIFIED": "a name",
    "STRING": "a string",
    "DOLLAR": "a command-line parameter",
    "VALUE_TYPE": "a type",
    "_INDEX": "'['",
    "_LIST": "'['",
    ACCEPT: "the end of the text",
}
CASTS = {
    **dict.fromkeys(("int", "integer"), "as.integer(x)"),
    "double": "as.double(x)",
    "boolean": "as.logical(x)",
    "string": '"" + x',
}


@dataclass(frozen=True)
class Scene:
    """Where the parser stopped: the offending token, the first one of its statement, and which kinds could have followed."""

    tokens: list[Token]
    at: int
    begin: int
    accepted: frozenset[str]

    @property
    def found(self) -> Token:
        return self.tokens[self.at]

    @property
    def previous(self) -> Token | None:
        return self.tokens[self.at - 1] if self.at else None

    @cached_property
    def opened(self) -> list[int]:
        """Positions of the brackets still open before the offending token."""
        opened: list[int] = []
        for at, token in enumerate(self.tokens[: self.at]):
            if token.kind in OPENERS:
                opened.append(at)
            elif token.kind in CLOSERS and opened:
                opened.pop()
        return opened

    @property
    def opener(self) -> Token | None:
        """The innermost bracket that is open."""
        return self.tokens[self.opened[-1]] if self.opened else None

    @property
    def within(self) -> str:
        """The innermost open bracket and the word before it, as in `if (`."""
        if not self.opened:
            return ""
        at = self.opened[-1]
        before = self.tokens[at - 1].text + " " if at else ""
        return before + self.tokens[at].text

    @property
    def unbalanced(self) -> bool:
        """Whether all that is wrong is a brace too many or too few, the usual echo of an earlier problem."""
        return self.found.kind in ("RBRACE", ACCEPT, "ELSE")

    @property
    def window(self) -> str:
        """The tokens around, a blank between them and `@` before the offending one; string contents left out."""
        texts = ['""' if t.kind == "STRING" else t.text for t in self.tokens[max(0, self.at - BEFORE) : self.at + AFTER]]
        middle = min(self.at, BEFORE)
        return " ".join([*texts[:middle], "@" + texts[middle], *texts[middle + 1 :]])

    def end_of_previous(self) -> Span:
        """The place just after the last token that was fine."""
        span = self.previous.span if self.previous else self.found.span
        return replace(span, line=span.end_line, col=span.end_col)


def explain(scene: Scene) -> Problem:
    """The problem to report for the place where the parser stopped."""
    for diagnose in (_stray, _balance, _indexed_value, _uncalled, _known, _reserved, _open_bracket):
        if problem := diagnose(scene):
            return problem
    return _plain(scene)


def _stray(scene: Scene) -> Problem | None:
    """A token that no rule takes, or a string that swallowed what follows."""
    token, previous = scene.found, scene.previous
    if previous and previous.kind == "STRING" and previous.span.line != previous.span.end_line and token.kind != ACCEPT:
        start = replace(previous.span, end_line=previous.span.line, end_col=previous.span.col + 1)
        message = f"this string goes on over several lines, up to line {previous.span.end_line}"
        return Problem(message, start, "is its closing quote missing?")
    if token.text.startswith("'") and previous and _touch(previous, token) and previous.kind in ("NAME", "RPAR", "RSQB"):
        hint = "join texts and values with +" if previous.text == "f" and token.kind == "STRING" else "the transpose of X is t(X)"
        return Problem("a quote is not an operator", token.span, hint)
    match token.kind:
        case "OPEN_STRING":
            return Problem("this string is never closed", token.span, f"add the closing {token.text}")
        case "OPEN_COMMENT":
            return Problem("this comment is never closed", token.span, "add */")
        case "DOTTED":
            called = scene.tokens[scene.at + 1].text == "("
            return Problem(f"'{token.text}' is not a name", token.span, _dotted_hint(token.text, called))
        case "BAD_NUMBER":
            return Problem(f"'{token.text}' is not a number", token.span, _number_hint(token.text))
        case "UNKNOWN" if token.text not in CHARACTERS and not token.text.isprintable():
            return Problem(f"the text has an invisible character, U+{ord(token.text[0]):04X}", token.span, "remove it")
        case "UNKNOWN" if token.text in CHARACTERS:
            return Problem(f"'{token.text}' is not a character of DML", token.span, CHARACTERS[token.text])
        case "UNKNOWN" if token.text[0] == "_":
            return Problem(f"'{token.text}' is not a name", token.span, "names begin with a letter")
        case "UNKNOWN" if not token.text.isascii():
            return Problem(f"'{token.text}' is not a character of DML", token.span, "names are made of the letters a to z, digits and _")
    return None


def _touch(left: Token, right: Token) -> bool:
    return (left.span.end_line, left.span.end_col) == (right.span.line, right.span.col)


def _dotted_hint(text: str, called: bool) -> str:
    owner, _, last = text.rpartition(".")
    if known := DOTTED_HINTS.get(text) or did_you_mean(text, DOTTED_NAMES):
        return known
    if last in ATTRIBUTES:
        return ATTRIBUTES[last].format(owner)
    if called:
        return f"there are no methods and modules; functions go by their bare names, as in {last}(..)"
    return f"names have no dots; write {text.replace('.', '_')}"


def _number_hint(text: str) -> str:
    if re.fullmatch(r"[0-9]+[lL]", text):
        return f"integers have no suffix; write {text[:-1]}"
    if re.match(r"0[xXbBoO]", text):
        return "write it in decimal digits"
    if "_" in text:
        return f"write {text.replace('_', '')}"
    return "a number is like 12, 1.5 or 1e-3; a name begins with a letter"


def _balance(scene: Scene) -> Problem | None:
    """Brackets that are closed wrongly or not at all."""
    token, opener = scene.found, scene.opener
    if token.kind in CLOSERS:
        wanted = CLOSERS[token.kind]
        if opener is None:
            return Problem(f"this '{token.text}' closes nothing", token.span, f"remove it, or add the '{wanted}' it belongs to")
        if opener.text != wanted:
            message = f"expected '{PAIRS[opener.text]}' to close the '{opener.text}' of {_place(opener.span)}, found '{token.text}'"
            return Problem(message, token.span)
    if token.kind == ACCEPT and opener:
        return Problem(f"this '{opener.text}' is never closed", opener.span, f"add the missing '{PAIRS[opener.text]}'")
    if token.kind == "FUNCTION" and opener and opener.text == "{" and scene.previous and scene.previous.text in ("=", "<-"):
        hint = f"if it is, then the '{{' of {_place(opener.span)} is not closed"
        return Problem("a function is defined at the top level only", scene.tokens[scene.at - 2].span, hint)
    return None


def _indexed_value(scene: Scene) -> Problem | None:
    """`t(A)[1, 1]`: what looks like an index of a value was read as the start of `[a, b] = f()`."""
    for at in range(scene.at, max(scene.begin - 1, 0), -1):
        token, previous = scene.tokens[at], scene.tokens[at - 1]
        if token.kind == "_MULTI":
            indexed = previous.kind in ("RPAR", "RSQB", "STRING") and previous.span.end_line == token.span.line
            hint = "give the value a name first, then index the name"
            return Problem("only a variable can be indexed", token.span, hint) if indexed else None
    return None


def _uncalled(scene: Scene) -> Problem | None:
    """A name that had to be called: `ns::f` always, any name after `[a, b] =`."""
    name = scene.previous if scene.accepted == {"LPAR"} else None
    if name and name.kind == "QUALIFIED":
        hint = "files import functions only, not variables"
        return Problem(f"'{name.text}' names a function, which must be called", name.span, hint)
    if name and scene.tokens[scene.at - 2].text in ("=", "<-"):
        return Problem("only a function call gives several values", name.span, "write [a, b] = f(...)")
    if scene.accepted == {"NAME", "QUALIFIED"}:
        return Problem("only a function call gives several values", scene.found.span, "write [a, b] = f(...)")
    return None


def _known(scene: Scene) -> Problem | None:
    """The first row of MISTAKES that fits."""
    window, within = scene.window, scene.within
    for mistake in MISTAKES:
        if mistake.expects and mistake.expects not in scene.accepted:
            continue
        if mistake.within and not re.search(mistake.within + "$", within):
            continue
        if match := re.search(mistake.pattern, window):
            start = match.start("at") if "at" in match.re.groupindex else window.index("@")
            at = max(0, scene.at - BEFORE) + window.count(" ", 0, start)
            return Problem(match.expand(mistake.message), scene.tokens[at].span, match.expand(mistake.hint))
    return None


def _reserved(scene: Scene) -> Problem | None:
    """A keyword where a name is meant."""
    token = scene.found
    if "NAME" not in scene.accepted or not (token.kind == "VALUE_TYPE" or token.text in tables().words):
        return None
    following = scene.tokens[scene.at + 1]
    if following.kind not in OPERATORS and following.text not in ("=", "<-", "+=", "(", "[", ",", ")", "in"):
        return None
    if following.text == "(" and token.kind == "VALUE_TYPE":
        cast = CASTS.get(token.text.lower())
        return Problem(f"'{token.text}' is a type, not a function", token.span, f"to convert, write {cast}" if cast else None)
    return Problem(f"'{token.text}' is a reserved word and cannot be a name", token.span, f"call it {token.text}_ or something else")


def _open_bracket(scene: Scene) -> Problem | None:
    """Something begins although a bracket before it is still open, or a comma is missing."""
    opener, token = scene.opener, scene.found
    if opener is None or opener.text == "{" or scene.previous is None:
        return None
    closer = PAIRS[opener.text]
    if ("RPAR" if closer == ")" else "RSQB") not in scene.accepted:
        return None
    if token.span.line == scene.previous.span.end_line and token.kind in VALUES and "COMMA" in scene.accepted:
        return Problem(f"expected ',' or '{closer}' before {_describe(token)}", token.span, "is a comma or an operator missing?")
    message = f"expected '{closer}' to close the '{opener.text}' of {_place(opener.span)}, found {_describe(token)}"
    return Problem(message, token.span, f"add the missing '{closer}'")


def _plain(scene: Scene) -> Problem:
    """What was found, and what could have stood there."""
    token = scene.found
    span = scene.end_of_previous() if token.kind == ACCEPT else token.span
    expected = _list(_expected(scene.accepted))
    hint = None
    if token.kind in VALUES and scene.accepted >= OPERATORS:
        hint = "is an operator missing before it?"
    elif scene.at == scene.begin or (scene.at == scene.begin + 1 and scene.previous and scene.previous.kind == "NAME"):
        hint = "a statement is an assignment, a call, if, while, for or parfor"
    return Problem(f"expected {expected}, found {_describe(token)}", span, hint)


def _expected(accepted: frozenset[str]) -> Iterator[str]:
    """The accepted kinds in a few words, most telling first."""
    rest = set(accepted) - {"SEMICOLON"}
    for words, group, implied in GROUPS:
        if group <= rest or (group is OPERATORS and group & rest - {"SIGN"}):
            yield words
            rest -= group | implied
    yield from sorted({WORDS.get(kind) or f"'{_spelling(kind)}'" for kind in rest})


def _spelling(kind: str) -> str:
    table = tables()
    patterns = dict(table.patterns)
    words = {name: word for word, name in table.words.items()}
    return words.get(kind) or re.sub(r"\\(.)", r"\1", patterns.get(kind, kind))


def _list(words: Iterable[str]) -> str:
    words = list(words)
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _describe(token: Token) -> str:
    if token.kind == ACCEPT:
        return "the end of the text"
    if token.kind == "STRING":
        return f"the string {token.text if len(token.text) < 30 else token.text[:25] + '...' + token.text[0]}"
    if token.text in tables().words:
        return f"the keyword '{token.text}'"
    return f"'{token.text}'"


def _place(span: Span) -> str:
    return f"line {span.line}"
