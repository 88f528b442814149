"""The LALR tables of `dml.lark`: compiled once by Lark, kept as JSON, so that a run never imports Lark."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.util import source_hash
from pathlib import Path
from typing import Any

from dmlite.config import cache_folder, keep

GRAMMAR = Path(__file__).with_name("dml.lark")
FORMAT = "1"  # raise when the shape of the stored tables changes

ACCEPT = "$END"


@dataclass(frozen=True)
class Rule:
    """One production. `keep` says what it is made from: (position, spliced) pairs, position -1 for an absent `[...]`.

    It becomes what the method `action` makes of that; without an action the list of it, or its only member if it `passes`.
    """

    lhs: str
    size: int
    action: str | None
    passes: bool
    keep: tuple[tuple[int, bool], ...]


@dataclass(frozen=True)
class Tables:
    """`actions[state][symbol]` is the state to shift or go to, or `~rule` to reduce."""

    patterns: tuple[tuple[str, str], ...]
    words: dict[str, str]
    actions: tuple[dict[str, int], ...]
    rules: tuple[Rule, ...]
    start: int
    end: int


@cache
def tables() -> Tables:
    """The tables of this grammar, from the user's cache when it holds them."""
    text = GRAMMAR.read_bytes()
    path = cache_folder() / f"grammar-{source_hash(text + FORMAT.encode()).hex()}.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        return _from_json(json.loads(path.read_text("utf-8")))
    data = _compile(text.decode("utf-8"))
    with suppress(OSError):
        keep(path, json.dumps(data, separators=(",", ":")).encode())
    return _from_json(data)


def _from_json(data: dict[str, Any]) -> Tables:
    return Tables(
        patterns=tuple((name, pattern) for name, pattern in data["patterns"]),
        words=data["words"],
        actions=tuple(data["actions"]),
        rules=tuple(Rule(lhs, size, action, passes, tuple(map(tuple, keep))) for lhs, size, action, passes, keep in data["rules"]),
        start=data["start"],
        end=data["end"],
    )


def _compile(grammar: str) -> dict[str, Any]:
    """Run Lark over the grammar and keep what the automaton needs."""
    from lark import Lark

    lark = Lark(grammar, parser="lalr", lexer="basic")
    table = lark.parser.parser._parse_table
    hollow = _hollow(lark.rules)
    number: dict[Any, int] = {}
    rules: list[Any] = []
    actions: list[dict[str, int]] = []
    for state in range(len(table.states)):
        row = {}
        for symbol, (action, argument) in table.states[state].items():
            if action.name == "Shift":
                row[symbol] = argument
                continue
            if argument not in number:
                number[argument] = len(rules)
                rules.append(_rule(argument, hollow))
            row[symbol] = ~number[argument]
        actions.append(row)
    words, patterns = _terminals(lark.terminals)
    return {
        "patterns": patterns,
        "words": words,
        "actions": actions,
        "rules": rules,
        "start": table.start_states["start"],
        "end": table.end_states["start"],
    }


def _hollow(rules: list[Any]) -> set[str]:
    """Spliced `_rules` that hold nothing but punctuation."""
    hollow = {rule.origin.name for rule in rules if rule.origin.name.startswith("_")}
    while full := {
        rule.origin.name
        for rule in rules
        if rule.origin.name in hollow and not all(s.filter_out if s.is_term else s.name in hollow for s in rule.expansion)
    }:
        hollow -= full
    return hollow


def _rule(rule: Any, hollow: set[str]) -> list[Any]:
    """Lark's shaping rules (filtered tokens, spliced `_rules`, absent `[...]`) worked out for one production."""
    keep: list[tuple[int, bool]] = []
    absent = list(rule.options.empty_indices)
    at = 0
    for is_absent in absent or [False] * len(rule.expansion):
        if is_absent:
            keep.append((-1, False))
            continue
        symbol = rule.expansion[at]
        if not (symbol.filter_out if symbol.is_term else symbol.name in hollow):
            keep.append((at, not symbol.is_term and symbol.name.startswith("_")))
        at += 1
    origin = str(rule.origin.name)
    passes = bool(rule.options.expand1 and not rule.alias and len(keep) == 1 and not keep[0][1])
    action = None if passes or origin.startswith("_") else str(rule.alias or origin)
    return [origin, len(rule.expansion), action, passes, keep]


def _terminals(terminals: Iterable[Any]) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Reserved words apart from the patterns; patterns in the order in which they are to be tried."""
    ordered = sorted(terminals, key=lambda t: (-t.priority, -t.pattern.max_width, -len(t.pattern.value), t.name))
    words = {t.pattern.value: t.name for t in ordered if t.pattern.type == "str" and t.pattern.value.isidentifier()}
    return words, [(t.name, t.pattern.to_regexp()) for t in ordered if t.name not in words.values()]
