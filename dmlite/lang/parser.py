"""Text to AST: an LALR automaton over the tables of `dml.lark`, building nodes as it reduces."""

from __future__ import annotations

from dataclasses import replace

from dmlite.errors import DMLSyntaxError, Problems, Source
from dmlite.lang import nodes
from dmlite.lang.build import Builder
from dmlite.lang.lexer import tokenize
from dmlite.lang.tables import ACCEPT, tables


def parse(text: str, name: str = "<script>") -> nodes.Script:
    """The tree of one DML script; `name` is what problems call it.

    Raises DMLSyntaxError with every problem that could be told apart.
    """
    problems = Problems()
    tokens, comments = tokenize(Source(name, text))
    script = _Automaton(tokens, Builder(problems)).run()
    problems.raise_if_any(DMLSyntaxError)
    return replace(script, comments=tuple(comments))


class _Automaton:
    """Four stacks in step: states, values, and the spans of the first and last token under each value."""

    def __init__(self, tokens, builder):
        self.tokens = tokens
        self.tables = tables()
        self.methods = [getattr(builder, rule.action) if rule.action and not rule.lhs.startswith("_") else None for rule in self.tables.rules]
        self.states = [self.tables.start]
        self.values = []
        self.firsts = []
        self.lasts = []

    def run(self):
        table = self.tables.actions
        states, values, firsts, lasts = self.states, self.values, self.firsts, self.lasts
        for token in self.tokens:
            kind = token.kind
            while True:
                action = table[states[-1]].get(kind)
                if action is None:
                    raise DMLSyntaxError(f"unexpected {token.text}", token.span)
                if action >= 0:
                    states.append(action)
                    values.append(token)
                    firsts.append(token.span)
                    lasts.append(token.span)
                    break
                self._reduce(~action, token)
                if kind == ACCEPT and states[-1] == self.tables.end:
                    return values[-1]

    def _reduce(self, number, token):
        rule = self.tables.rules[number]
        states, values, firsts, lasts = self.states, self.values, self.firsts, self.lasts
        size = rule.size
        method = self.methods[number]
        if size == 1 and rule.action is None:
            states.pop()
            states.append(self.tables.actions[states[-1]][rule.lhs])
            return
        if size:
            parts = values[-size:]
            first, last = firsts[-size], lasts[-1]
            del states[-size:], values[-size:], firsts[-size:], lasts[-size:]
        else:
            parts, first, last = [], token.span, token.span
        children = []
        for at, spliced in rule.keep:
            if at < 0:
                children.append(None)
            elif not spliced:
                children.append(parts[at])
            elif children:
                children.extend(parts[at])
            else:
                children = parts[at]
        if method is not None:
            value = method(first if first is last else first.to(last), *children)
        elif rule.action is None:
            value = children[0]
        else:
            value = children
        states.append(self.tables.actions[states[-1]][rule.lhs])
        values.append(value)
        firsts.append(first)
        lasts.append(last)
