"""Syntax errors in human words: what was found, what could stand there, and a hint where a mistake is well known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from dmlite.errors import Problem, Span, did_you_mean
from dmlite.lang.lexer import DOTTED_NAMES, Token
from dmlite.lang.tables import ACCEPT, tables

CLOSERS = {"RPAR": "(", "RSQB": "[", "RBRACE": "{"}
OPENERS = {"LPAR": "(", "_INDEX": "[", "_MULTI": "[", "_LIST": "[", "LBRACE": "{"}
PAIRS = {"(": ")", "[": "]", "{": "}"}

OPERATORS = frozenset({"OR", "AND", "RELATION", "SIGN", "TIMES", "MODULO", "MATMUL", "POWER"})
VALUES = frozenset({"NAME", "QUALIFIED", "INTEGER", "DOUBLE", "STRING", "BOOLEAN", "DOLLAR", "LPAR"})
STATEMENTS = frozenset({"IF", "FOR", "PARFOR", "WHILE", "SOURCE", "SETWD", "_MULTI"})
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

    def window(self, before: int = 12, after: int = 3) -> str:
        """The tokens around, a blank between them and `@` before the offending one; string contents left out."""
        texts = ['""' if t.kind == "STRING" else t.text for t in self.tokens]
        start = max(0, self.at - before)
        return " ".join([*texts[start : self.at], "@" + texts[self.at], *texts[self.at + 1 : self.at + 1 + after]])

    def end_of_previous(self) -> Span:
        """The place just after the last token that was fine."""
        span = self.previous.span if self.previous else self.found.span
        return replace(span, line=span.end_line, col=span.end_col)


@dataclass(frozen=True)
class Mistake:
    """A known mistake: `pattern` is searched in the window, `within` in the innermost open bracket and its word.

    `back` moves the report that many tokens to the left, `expects` is a kind that must have been possible; groups of the
    pattern may be used in both texts.
    """

    pattern: str
    message: str
    hint: str
    back: int = 0
    within: str = ""
    expects: str = ""


NAME = r"(?!TRUE|FALSE)[A-Za-z][A-Za-z0-9_]*"
NOT_A_STATEMENT = "an assignment is a statement of its own and has no value"
MISTAKES = (
    # operators of other languages
    Mistake(r"\* @\*", "'**' is not an operator", "a power is written x^y", 1),
    Mistake(r"@: =", "':=' is not an operator", "assign with '='"),
    Mistake(r"(?:==|!=) @=", "'===' and '!==' are not operators", "compare with '==' or '!='", 1),
    Mistake(r"= @([<>])", "'=\\1' is not an operator", "write '\\1='", 1),
    Mistake(r"@= ([<>])", "'=\\1' is not an operator", "write '\\1='"),
    Mistake(r"< @>", "'<>' is not an operator", "write '!='", 1),
    Mistake(rf"({NAME}) @([-*/]) =", "'\\2=' is not an operator; only '+=' is", "write \\1 = \\1 \\2 ..."),
    Mistake(rf"({NAME}) @([-+]) \2", "'\\2\\2' is not an operator", "write \\1 = \\1 \\2 1"),
    Mistake(r"/ @/", "'//' does not start a comment", "comments are '# ...' or '/* ... */'", 1),
    Mistake(r"@/ /", "'//' does not start a comment", "comments are '# ...' or '/* ... */'"),
    Mistake(r"@%in%", "'%in%' is not an operator of DML", 'for rows of x in y: rowMaxs(outer(x, t(y), "=="))'),
    Mistake(r"@%o%", "'%o%' is not an operator of DML", 'the outer product is x %*% t(y), or outer(x, y, "*")'),
    Mistake(r"@(%[A-Za-z]+%)", "'\\1' is not an operator of DML", "operators in percent signs are %*%, %% and %/%"),
    Mistake(r"@\?", "'?' is not an operator", "choose with ifelse(condition, a, b)"),
    Mistake(r"@(and|or|not)\b", "'\\1' is not an operator", "write '&' for and, '|' for or, '!' for not"),
    Mistake(r"not @", "'not' is not an operator", "write '!'", 1, within="(if|while) \\("),
    # assignments where a value is wanted
    Mistake(r"@=", "'=' assigns, it does not compare", "write '=='", within=r"(if|while) \("),
    Mistake(r"@<-", "'<-' assigns, even without blanks around it", "write x < -5 to compare", within=r"(if|while) \("),
    Mistake(
        r"@<-", "'<-' cannot stand inside an expression", "write x < -5 to compare, or name=value for a named argument", within=r"[(\[]"
    ),
    Mistake(rf"(?:par)?for \( {NAME} @", "a loop is written for (i in from:to)", "for example for (i in 1:10)"),
    Mistake(rf"({NAME}) @==", "'==' compares, which is no statement", "write \\1 = ... to assign"),
    Mistake(rf"(?:=|<-) ({NAME}) @(?:=|<-)", NOT_A_STATEMENT, "write two statements: first \\1 = ..., then use \\1"),
    Mistake(r"@(?:=|<-|\+=)", NOT_A_STATEMENT, "assign first, on a line of its own, then use the name", within=r"\("),
    # ranges and brackets
    Mistake(r", @[,\]]", "a range is missing between the commas of an index", "an index is X[rows, columns]", within=r"\["),
    Mistake(r": @[,\]]", "a range needs both ends", "write X[a:nrow(X), ] for all that follow", within=r"\["),
    Mistake(r"@:", "a range needs both ends", "write X[1:b, ] for all up to b", within=r"\["),
    Mistake(r"@:", "a range from:to can only stand in a for header or in [ ]", "a column of numbers is seq(from, to)"),
    Mistake(r"[,(] @[,)]", "an argument is missing", "remove the ',' or write the argument", within=r"\("),
    # statements of other languages
    Mistake(r"\bbreak @", "there is no 'break'", "leave a loop by its condition: while (go & i <= n) { ... go = FALSE ... }", 1),
    Mistake(r"\b(next|continue) @", "there is no '\\1'", "put the rest of the loop body into an if", 1),
    Mistake(r"@return", "there is no 'return' statement", "declare outputs, f = function(...) return (double y) { ... }, and assign y"),
    Mistake(r"\brepeat @", "there is no 'repeat'", "write while (TRUE) { ... }, or better a condition", 1),
    Mistake(
        r"\b(switch|case|do|foreach|try|class|lambda|global|var|let|const|int) @",
        "there is no '\\1' in DML",
        "statements are if, while, for, parfor, assignments and calls",
        1,
    ),
    Mistake(rf"\bdef @({NAME})", "there is no 'def'", "write \\1 = function(double x) return (double y) { y = ... }", 1),
    Mistake(rf"@function ({NAME})", "a function is assigned to its name", "write \\1 = function(double x) return (double y) { y = ... }"),
    Mistake(
        r"@function",
        "functions are defined at the top level of a file only, and are not values",
        "move the definition out, and call it by its name",
    ),
    Mistake(r"\b(?:import|from|library|require|include) @", "files are imported with source", 'write source("path/file.dml") as name', 1),
    Mistake(r'source \( "" \) @', "the imported file needs a name", 'write source("path/file.dml") as name'),
    Mistake(r"@if\b", "'if' is a statement and has no value", "write ifelse(condition, a, b), or assign inside the branches"),
    Mistake(r"@(?:for|while|parfor)\b", "a loop is a statement and has no value", "assign inside the loop body", within=r"[(\[]"),
    Mistake(r"; @else", "this 'else' belongs to no 'if'", "remove the ';' before 'else'"),
    Mistake(r"@else", "the branch before 'else' is missing", "write { } for an empty one", expects="LBRACE"),
    Mistake(r"@else", "this 'else' belongs to no 'if'", "use { } around a branch of several statements"),
    Mistake(r"\bprint @", "print is a function", 'write print("text")', 1),
    Mistake(r"\b(if|while|for|parfor) @", "expected '(' after '\\1'", "its header stands in parentheses"),
    Mistake(r"\) return @", "expected '(' after 'return'", "outputs are declared as return (double y, matrix[double] Z)", expects="LPAR"),
    Mistake(r"\b(source|setwd) \( @", "'\\1' takes a string in quotes", 'for example \\1("folder/name")'),
    # parameters
    Mistake(
        r"ifdef \( .* \) @[-+*/^%&|<>=!]",
        "ifdef(...) must be the whole right-hand side of an assignment",
        "compute with its result in the next statement",
    ),
    Mistake(
        r"@ifdef", "ifdef(...) must be the whole right-hand side of an assignment", "give it a name first: p = ifdef($p, 1), then use p"
    ),
    Mistake(r"ifdef \( @", "ifdef asks for a command-line parameter", "write x = ifdef($x, default)"),
    Mistake(r"@(\$\w+) (?:=|<-)", "a command-line parameter cannot be assigned", "copy it first: x = \\1"),
    Mistake(
        rf"({NAME}) @[,)=]",
        "the parameter '\\1' has no type",
        "write matrix[double] \\1, double \\1, int \\1, boolean \\1 or string \\1",
        1,
        within=r"(function|return) \(",
    ),
    Mistake(
        rf"({NAME}) @:", "the type stands before the name", "write matrix[double] \\1 or double \\1", 1, within=r"(function|return) \("
    ),
)

CHARACTERS = {
    "\N{NO-BREAK SPACE}": "a no-break space, which looks like a blank; replace it by one",
    **dict.fromkeys("“”„«»", 'typographic quotes; write "'),
    **dict.fromkeys("‘’‚`´", "a typographic quote; write '"),
    **dict.fromkeys("–—−", "a dash; write the minus sign -"),
    "≤": "write <=",
    "≥": "write >=",
    "≠": "write !=",
    "×": "write * or %*%",
    "·": "write * or %*%",
    "÷": "write /",
    "~": "DML has no formulas",
    "@": "the matrix product is %*%",
    "\\": "a backslash only stands inside strings; newlines need none",
}
DOTTED_HINTS = {
    "read.csv": 'use read("file.csv", format="csv")',
    "write.csv": 'use write(X, "file.csv", format="csv")',
    "read.table": 'use read("file", format="text")',
    "write.table": 'use write(X, "file", format="text")',
    "as.numeric": "use as.double",
    "as.float": "use as.double",
    "as.int": "use as.integer",
    "as.bool": "use as.logical",
    "as.vector": "use matrix(X, rows=length(X), cols=1)",
    "as.character": 'use "" + x',
    "is.null": "there are no null values; use exists(x)",
    "which.max": "use rowIndexMax",
    "which.min": "use rowIndexMin",
    "data.frame": "use as.frame",
}


def explain(scene: Scene) -> Problem:
    """The problem to report for the place where the parser stopped."""
    for diagnose in (_stray, _balance, _indexed_value, _uncalled, _elif, _known, _reserved, _open_bracket):
        if problem := diagnose(scene):
            return problem
    return _plain(scene)


def _stray(scene: Scene) -> Problem | None:
    """A token that no rule takes, or a string that swallowed what follows."""
    token, previous = scene.found, scene.previous
    if previous and previous.kind == "STRING" and previous.span.line != previous.span.end_line and token.kind != ACCEPT:
        start = replace(previous.span, end_line=previous.span.line, end_col=previous.span.col + 1)
        return Problem(
            "this string goes on over several lines, up to " + _place(previous.span, end=True), start, "is its closing quote missing?"
        )
    match token.kind:
        case "OPEN_STRING":
            return Problem("this string is never closed", token.span, f"add the closing {token.text}")
        case "OPEN_COMMENT":
            return Problem("this comment is never closed", token.span, "add */")
        case "DOTTED":
            hint = DOTTED_HINTS.get(token.text) or did_you_mean(token.text, DOTTED_NAMES)
            return Problem(f"'{token.text}' is not a name", token.span, hint or f"names have no dots; write {token.text.replace('.', '_')}")
        case "BAD_NUMBER":
            return Problem(f"'{token.text}' is not a number", token.span, _number_hint(token.text))
        case "UNKNOWN" if token.text in CHARACTERS:
            return Problem(f"'{token.text}' is not a character of DML", token.span, CHARACTERS[token.text])
        case "UNKNOWN" if token.text[0] == "_":
            return Problem(f"'{token.text}' is not a name", token.span, "names begin with a letter")
        case "UNKNOWN" if not token.text.isascii():
            return Problem(f"'{token.text}' is not a character of DML", token.span, "names are made of the letters a to z, digits and _")
    return None


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
            return Problem(
                f"expected '{PAIRS[opener.text]}' to close the '{opener.text}' of {_place(opener.span)}, found '{token.text}'", token.span
            )
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
        if token.kind == "_MULTI" and previous.kind != "NAME" and previous.span.end_line == token.span.line:
            if previous.text in (")", "]") or previous.kind == "STRING":
                return Problem("only a variable can be indexed", token.span, "give the value a name first, then index the name")
            return None
        if token.kind == "_MULTI":
            return None
    return None


def _uncalled(scene: Scene) -> Problem | None:
    """A name that had to be called: `ns::f` always, any name after `[a, b] =`."""
    if scene.accepted == {"LPAR"} and scene.previous and scene.previous.kind == "QUALIFIED":
        return Problem(
            f"'{scene.previous.text}' names a function, which must be called",
            scene.previous.span,
            "files import functions only, not variables",
        )
    last = scene.tokens[max(0, scene.at - 2) : scene.at]
    after_list = scene.accepted == {"LPAR"} and last[0].text in ("=", "<-")
    if after_list or scene.accepted == {"NAME", "QUALIFIED"}:
        return Problem(
            "only a function call gives several values", (last if after_list else [scene.found])[-1].span, "write [a, b] = f(...)"
        )
    return None


def _elif(scene: Scene) -> Problem | None:
    """`elif (c) {` reads like a call followed by a brace."""
    if scene.found.kind != "LBRACE":
        return None
    word = scene.tokens[scene.begin] if scene.begin < scene.at else None
    for at in range(scene.at - 1, -1, -1):
        if scene.tokens[at].text in ("elif", "elseif", "elsif"):
            word = scene.tokens[at]
            break
        if scene.tokens[at].kind in ("LBRACE", "RBRACE", "SEMICOLON"):
            break
    if word and word.text in ("elif", "elseif", "elsif"):
        return Problem(f"there is no '{word.text}'", word.span, "write else if (...)")
    if word and word.text in ("foreach", "unless", "until", "switch"):
        return Problem(f"there is no '{word.text}'", word.span, "statements are if, while, for, parfor, assignments and calls")
    return None


def _known(scene: Scene) -> Problem | None:
    """The first row of MISTAKES that fits."""
    window, within = scene.window(), scene.within
    for mistake in MISTAKES:
        if mistake.expects and mistake.expects not in scene.accepted:
            continue
        if mistake.within and not re.search(mistake.within + "$", within):
            continue
        if match := re.search(mistake.pattern, window):
            token = scene.tokens[max(0, scene.at - mistake.back)]
            return Problem(match.expand(mistake.message), token.span, match.expand(mistake.hint))
    return None


def _reserved(scene: Scene) -> Problem | None:
    """A keyword where a name is meant."""
    token = scene.found
    if "NAME" not in scene.accepted or not (token.kind == "VALUE_TYPE" or token.text in tables().words):
        return None
    following = scene.tokens[scene.at + 1].text if token.kind != ACCEPT else ""
    if following not in ("=", "<-", "+=", "(", "[", ",", ")", "in") and not _is_operator(scene, scene.at + 1):
        return None
    if following == "(" and token.kind == "VALUE_TYPE":
        casts = {"int": "integer", "integer": "integer", "boolean": "logical", "double": "double"}
        cast = casts.get(token.text.lower())
        return Problem(
            f"'{token.text}' is a type, not a function", token.span, f"to convert, write as.{cast}(x)" if cast else 'write "" + x'
        )
    return Problem(f"'{token.text}' is a reserved word and cannot be a name", token.span, f"call it {token.text}_ or something else")


def _is_operator(scene: Scene, at: int) -> bool:
    return at < len(scene.tokens) and scene.tokens[at].kind in OPERATORS


def _open_bracket(scene: Scene) -> Problem | None:
    """Something begins although a bracket before it is still open, or a comma is missing."""
    opener, token = scene.opener, scene.found
    if opener is None or opener.text == "{" or scene.previous is None:
        return None
    closer = PAIRS[opener.text]
    where = _place(opener.span)
    if ("RPAR" if closer == ")" else "RSQB") not in scene.accepted:
        return None
    if token.span.line == scene.previous.span.end_line and token.kind in VALUES and "COMMA" in scene.accepted:
        return Problem(f"expected ',' or '{closer}' before {_describe(token)}", token.span, "is a comma or an operator missing?")
    return Problem(
        f"expected '{closer}' to close the '{opener.text}' of {where}, found {_describe(token)}", token.span, f"add the missing '{closer}'"
    )


def _plain(scene: Scene) -> Problem:
    """What was found, and what could have stood there."""
    token = scene.found
    span = scene.end_of_previous() if token.kind == ACCEPT else token.span
    expected = _list(_expected(scene.accepted))
    hint = None
    if token.kind in VALUES and scene.accepted >= OPERATORS:
        hint = "is an operator or a comma missing?" if scene.opener and scene.opener.text != "{" else "is an operator missing before it?"
    elif scene.at == scene.begin or (scene.at == scene.begin + 1 and scene.previous and scene.previous.kind == "NAME"):
        hint = "a statement is an assignment, a call, if, while, for or parfor"
    return Problem(f"expected {expected}, found {_describe(token)}", span, hint)


def _expected(accepted: frozenset[str]) -> Iterator[str]:
    """The accepted kinds in a few words, most telling first."""
    rest = accepted - {"SEMICOLON", "EXTERNALFUNCTION"}
    if rest >= VALUES:
        rest -= {"FUNCTION", "IFDEF"}
    for name, group in (("a statement", STATEMENTS), ("a value", VALUES), ("an operator", OPERATORS)):
        if group <= rest:
            yield name
            rest -= group | ({"NAME", "QUALIFIED"} if name == "a statement" else {"SIGN", "NOT", "_LIST"} if name == "a value" else set())
    if "RBRACE" in rest and ACCEPT in rest:
        rest.discard(ACCEPT)
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


def _place(span: Span, end: bool = False) -> str:
    return f"line {span.end_line if end else span.line}"
