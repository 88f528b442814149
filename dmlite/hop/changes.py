"""Rewrites of whole statements: what was done to which, and why; nothing but explain reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dmlite.errors import Span
from dmlite.lang import nodes as ast


@dataclass(frozen=True)
class Kind:
    """One such rewrite, as the catalogue shows it. level: the optimization level from which on it happens."""

    before: str
    after: str
    why: str
    level: int = 0


KINDS: Final = {
    "inlining": Kind("f(...)", "the statements of f", "what is known of its arguments is used inside, and no call is made"),
    "branch_removal": Kind("if (c) {...} else {...}", "one branch, or neither", "the condition is known before the program runs"),
    "loop_removal": Kind("while (c) {...}", "nothing", "the condition is false before the first round"),
    "loop_vectorisation": Kind("for (i in a:b) R[i, ] = f(X[i, ])", "R[a:b, ] = f(X[a:b, ])", "no iteration needs another one", 2),
    "loop_invariant_motion": Kind("loop { ... f(X) ... }", "y = f(X); loop { ... y ... }", "no iteration changes it", 2),
    "dead_code_removal": Kind("x = ...", "nothing", "nobody reads it"),
    "function_removal": Kind("f = function(...) {...}", "nothing", "nothing calls it any more"),
    "update_in_place": Kind("X[i, j] = v", "v written into the old X", "nobody reads the old one again"),
}


@dataclass(frozen=True)
class Change:
    """One time that statements were rewritten. kind: a name of KINDS; before and after: in words of the script."""

    kind: str
    span: Span | None
    before: str
    after: str
    why: str = ""

    @property
    def reason(self) -> str:
        return self.why or KINDS[self.kind].why


_LONGEST: Final = 60  # characters of the script that are quoted


def quoted(span: Span | None) -> str:
    """The script at `span`, as one short line."""
    if span is None:
        return ""
    lines = span.source.text.split("\n")[span.line - 1 : span.end_line]
    if len(lines) == 1:
        lines = [lines[0][span.col - 1 : span.end_col - 1]]
    elif lines:
        lines = [lines[0][span.col - 1 :], *lines[1:-1], lines[-1][: span.end_col - 1]]
    text = " ".join(" ".join(line.split("#")[0] if '"' not in line else line for line in lines).split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def without_branch(stmt: ast.If, condition: bool) -> Change:
    """An `if` whose condition is known."""
    taken = stmt.then if condition else stmt.orelse
    after = f"its {'then' if condition else 'else'} branch, as part of the block around it" if taken else "nothing"
    why = f"the condition is known to be {'TRUE' if condition else 'FALSE'} before the program runs"
    return Change("branch_removal", stmt.span, f"if ({quoted(stmt.cond.span)})", after, why)
