"""Text to AST: an LALR automaton over the tables of `dml.lark`, building nodes as it reduces."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dmlite.errors import DMLSyntaxError, Problems, Source
from dmlite.lang import nodes
from dmlite.lang.build import Builder
from dmlite.lang.lexer import Token, tokenize
from dmlite.lang.tables import ACCEPT, Rule, tables

MAX_PROBLEMS = 20
STATEMENT_WORDS = frozenset({"IF", "FOR", "PARFOR", "WHILE", "SOURCE", "SETWD", "QUALIFIED", "_MULTI"})
OPENING = frozenset({"LPAR", "_INDEX", "_MULTI", "_LIST"})
CLOSING = frozenset({"RPAR", "RSQB"})
AFTER_FIRST_NAME = frozenset({"=", "<-", "+=", "(", "["})


def parse(text: str, name: str = "<script>") -> nodes.Script:
    """The tree of one DML script; `name` is what problems call it.

    Raises DMLSyntaxError with every problem that could be told apart.
    """
    problems = Problems()
    tokens, comments = tokenize(Source(name, text))
    script = _Automaton(tokens, problems).run()
    problems.raise_if_any(DMLSyntaxError)
    assert script is not None
    return replace(script, comments=tuple(comments))


class _Automaton:
    """Four stacks in step: states (one more than the rest), values, and the first and last token under each value."""

    def __init__(self, tokens: list[Token], problems: Problems):
        table = tables()
        builder = Builder(problems)
        self.tokens = tokens
        self.problems = problems
        self.actions = table.actions
        self.end = table.end
        self.rules = [(rule, getattr(builder, rule.action) if rule.action else None) for rule in table.rules]
        self.renames = [rule.lhs if rule.passes and rule.size == 1 else None for rule in table.rules]
        self.states = [table.start]
        self.values: list[Any] = []
        self.firsts: list[int] = []
        self.lasts: list[int] = []

    def run(self) -> nodes.Script | None:
        """The script, or None when there were syntax errors (they are in `problems`)."""
        actions, states, tokens, renames = self.actions, self.states, self.tokens, self.renames
        at: int | None = 0
        while at is not None:
            kind = tokens[at].kind
            action = actions[states[-1]].get(kind)
            if action is None:
                at = self._fail(at)
            elif action < 0 and (lhs := renames[~action]):
                states[-1] = actions[states[-2]][lhs]  # from one level of precedence to the next
            elif action < 0:
                self._reduce(*self.rules[~action], at)
                if kind == ACCEPT and states[-1] == self.end:
                    return self.values[-1]
            else:
                states.append(action)
                self.values.append(tokens[at])
                self.firsts.append(at)
                self.lasts.append(at)
                at += 1
        return None

    def _reduce(self, rule: Rule, method: Any, at: int) -> None:
        """Replace the topmost `rule.size` values by what the rule makes of them."""
        states, size = self.states, rule.size
        first, last = (self.firsts[-size], self.lasts[-1]) if size else (at, at)
        parts = self.values[len(self.values) - size :]
        for stack in (states, self.values, self.firsts, self.lasts):
            del stack[len(stack) - size :]
        children: list[Any] = []
        for position, spliced in rule.keep:
            if position < 0:
                children.append(None)
            elif not spliced:
                children.append(parts[position])
            elif children:
                children.extend(parts[position])
            else:
                children = parts[position]
        if method:
            span = self.tokens[first].span
            self.values.append(method(span if first == last else span.to(self.tokens[last].span), *children))
        else:
            self.values.append(children[0] if rule.passes else children)
        states.append(self.actions[states[-1]][rule.lhs])
        self.firsts.append(first)
        self.lasts.append(last)

    # ---------------------------------------------------------------- errors
    def _fail(self, at: int) -> int | None:
        """Report the token at `at`; where to go on, or None when nothing more can be told."""
        from dmlite.lang.diagnose import Scene, explain  # only broken scripts pay for it

        level = self._statement_level()
        begin = self.firsts[level] if level < len(self.firsts) else at
        accepted = frozenset(kind for kind in self.actions[self.states[-1]] if kind.isupper() and self._accepts(kind))
        scene = Scene(self.tokens, at, begin, accepted)
        if not (self.problems.found and scene.unbalanced):
            self.problems.found.append(explain(scene))
        if len(self.problems.found) >= MAX_PROBLEMS:
            return None
        return self._resume(at, begin)

    def _statement_level(self) -> int:
        """The height of the innermost state in which a statement may begin."""
        return next(height for height in reversed(range(len(self.states))) if "statement" in self.actions[self.states[height]])

    def _accepts(self, kind: str) -> bool:
        """Whether `kind` could really come next: the row of a state may promise more than the stack allows."""
        states = list(self.states)
        while (action := self.actions[states[-1]].get(kind)) is not None:
            if action >= 0:
                return True
            rule = self.rules[~action][0]
            del states[len(states) - rule.size :]
            states.append(self.actions[states[-1]][rule.lhs])
            if kind == ACCEPT and states[-1] == self.end:
                return True
        return False

    def _resume(self, at: int, begin: int) -> int | None:
        """Drop the broken statement, with its braces, up to a token from which another one can be read."""
        if at == begin + 2 and self._defines(begin) and self._unwind(begin):
            return begin  # a definition inside a block: most likely the block was never closed
        margin = self.tokens[begin].span.col
        parentheses = braces = 0
        for position in range(begin, len(self.tokens) - 1):
            kind = self.tokens[position].kind
            if position >= max(at, begin + 1) and not braces and self._may_resume(position, margin, parentheses) and self._unwind(position):
                return position
            parentheses += (kind in OPENING) - (kind in CLOSING)
            if position >= at:
                braces = max(0, braces + (kind == "LBRACE") - (kind == "RBRACE"))
        return None

    def _may_resume(self, at: int, margin: int, parentheses: int) -> bool:
        """Whether a statement seems to start or a block to end here; `margin` is the column of the broken statement."""
        token, previous = self.tokens[at], self.tokens[at - 1]
        if token.kind == "RBRACE" or (token.kind == "SEMICOLON" and parentheses <= 0):
            return True
        fresh_line = previous.span.end_line < token.span.line and token.span.col <= margin
        if not fresh_line and (previous.kind not in ("SEMICOLON", "RBRACE") or parentheses > 0):
            return False
        if token.kind == "NAME":
            following = self.tokens[at + 1].text
            return following in AFTER_FIRST_NAME and not (following == "[" and parentheses > 0)
        return token.kind in STATEMENT_WORDS

    def _defines(self, at: int) -> bool:
        """Whether `name = function` stands here."""
        name, assign, function = (*self.tokens[at : at + 3], self.tokens[-1], self.tokens[-1])[:3]
        return name.kind == "NAME" and assign.text in ("=", "<-") and function.kind == "FUNCTION"

    def _unwind(self, at: int) -> bool:
        """Drop what was read since the innermost place where the token at `at` can begin or end something; False if there is none."""
        wanted = "function" if self._defines(at) else "statement"
        for height in reversed(range(len(self.states))):
            row = self.actions[self.states[height]]
            if wanted in row and self.tokens[at].kind in row:
                del self.states[height + 1 :], self.values[height:], self.firsts[height:], self.lasts[height:]
                return True
        return False
