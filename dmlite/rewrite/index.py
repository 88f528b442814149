"""Which rules may fit where. Rules are told apart by the words of their text, and parsed once a program holds those."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, TypeAlias

from dmlite.hop.infer import FactTable
from dmlite.hop.node import HOLE, LITERAL, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.rewrite.pattern import wanted
from dmlite.rewrite.rule import Rule

_SYMBOLS = {"neg": "-", "not_": "!", "index": "["}
_TOLD_APART = frozenset({-1, 0, 0.5, 1, 2})  # numbers that rules look for
_KINDS = frozenset({"matrix", "scalar"})
Kind: TypeAlias = tuple[Any, ...]
Candidates = list[tuple[Rule, tuple[Hop, ...]]]


def _words(op: str) -> frozenset[str]:
    """How an operator may be written in a rule."""
    row = BY_NAME.get(op)
    names = (row.dml.removesuffix("()"), *row.aliases) if row else ()
    return frozenset((op, _SYMBOLS.get(op, op), *names))


class Index:
    """Rules by the operators at the root of a match and two levels below, for nodes that are asked for operands first."""

    def __init__(self, rules: tuple[Rule, ...]):
        self.rules = rules
        self.fusions: dict[str, list[Rule]] = {}
        self._seen: set[str] = set()
        self._by_root: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)  # positions of rules and spellings, in order
        self._by_kinds: dict[tuple[Any, ...], Candidates] = {}
        self._missing: dict[tuple[int, int], int] = {}
        self._waiting: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self._lock = Lock()
        for at, rule in enumerate(rules):
            for which, words in enumerate(rule.words):
                self._missing[at, which] = len(words)
                for word in words:
                    self._waiting[word].append((at, which))

    def at(self, hop: Hop, facts: FactTable) -> Candidates:
        """Rules, in their order, with the spellings of theirs that the operators at `hop` and two levels below do not rule out."""
        args = hop.args
        key = (hop.op, len(args) == 2 and args[0] is args[1], *[_kind(a, facts) for a in args])
        found = self._by_kinds.get(key)
        if found is None or hop.op not in self._seen:
            with self._lock:
                self._admit(hop.op)
                found = self._by_kinds[key] = self._fitting(key)
        return found

    def _admit(self, op: str) -> None:
        """Parse the spellings for which `op` was the last word that no program had held so far."""
        if op in self._seen:
            return
        for word in _words(op):
            for spelling in self._waiting.pop(word, ()):
                self._missing[spelling] -= 1
                if not self._missing[spelling]:
                    self._enter(*spelling)
        self._seen.add(op)

    def _enter(self, at: int, which: int) -> None:
        rule = self.rules[at]
        root = rule.pattern(which).op
        if rule.fuses:
            if rule not in self.fusions.setdefault(root, []):
                insort(self.fusions[root], rule, key=self.rules.index)
            return
        insort(self._by_root[root], (at, which))
        for key in [k for k in self._by_kinds if k[0] == root]:
            del self._by_kinds[key]

    def _fitting(self, key: tuple[Any, ...]) -> Candidates:
        root, same, *kinds = key
        found: dict[int, list[Hop]] = defaultdict(list)
        for at, which in self._by_root[root]:
            pattern = self.rules[at].pattern(which)
            twice = len(pattern.args) == 2 and pattern.args[0] is pattern.args[1]
            if (same or not twice) and _fits(pattern, kinds):
                found[at].append(pattern)
        return [(self.rules[at], tuple(patterns)) for at, patterns in found.items()]


def _kind(hop: Hop, facts: FactTable) -> Kind:
    """The operator, what its value is (of a common number, that itself), and the operators below it."""
    if hop.op == LITERAL:
        return hop.op, hop.value if _is_told_apart(hop.value) else facts[hop].kind
    return (hop.op, facts[hop].kind, *[a.op for a in hop.args])


def _is_told_apart(value: Any) -> bool:
    return value.__class__ in (int, float) and value in _TOLD_APART


def _fits(pattern: Hop, kinds: Sequence[Kind | str]) -> bool:
    """Whether the operands of a pattern may be of these kinds, or have these operators."""
    if len(pattern.args) != len(kinds):
        return False
    orders = (kinds, kinds[::-1]) if len(kinds) == 2 and BY_NAME[pattern.op].commutative else (kinds,)
    return any(all(map(_is_of, pattern.args, order)) for order in orders)


def _is_of(pattern: Hop, kind: Kind | str) -> bool:
    op, value, *below = (kind, None) if isinstance(kind, str) else kind
    if pattern.op == HOLE:
        return value not in _KINDS or wanted(pattern.value) in (None, value)
    if pattern.op != op:
        return False
    if op == LITERAL:
        return value is None or (value == pattern.value if _is_told_apart(pattern.value) else not _is_told_apart(value))
    return isinstance(kind, str) or _fits(pattern, below)


@lru_cache(maxsize=64)
def index_of(rules: tuple[Rule, ...]) -> Index:
    """The index of a set of rules, which all programs share."""
    return Index(rules)
