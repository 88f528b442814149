"""Which rules may fit where. Rules are told apart by the words of their text, and parsed once a program holds those."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from functools import lru_cache
from threading import Lock

from dmlite.hop.node import HOLE, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.rewrite.rule import Rule

_SYMBOLS = {"neg": "-", "not_": "!", "index": "["}
Candidates = list[tuple[Rule, tuple[Hop, ...]]]


def _words(op: str) -> frozenset[str]:
    """How an operator may be written in a rule."""
    row = BY_NAME.get(op)
    names = (row.dml.removesuffix("()"), *row.aliases) if row else ()
    return frozenset((op, _SYMBOLS.get(op, op), *names))


class Index:
    """Rules by the operators at the root of a match and right below it, for nodes that are asked for operands first."""

    def __init__(self, rules: tuple[Rule, ...]):
        self.rules = rules
        self.fusions: dict[str, list[Rule]] = {}
        self._seen: set[str] = set()
        self._by_root: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)  # positions of rules and spellings, in order
        self._by_operands: dict[tuple[str, ...], Candidates] = {}
        self._missing: dict[tuple[int, int], int] = {}
        self._waiting: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        self._lock = Lock()
        for at, rule in enumerate(rules):
            for which, words in enumerate(rule.words):
                self._missing[at, which] = len(words)
                for word in words:
                    self._waiting[word].append((at, which))

    def at(self, hop: Hop) -> Candidates:
        """Rules, in their order, with the spellings of theirs that the operators at and right below `hop` do not rule out."""
        key = (hop.op, *[a.op for a in hop.args])
        found = self._by_operands.get(key)
        if found is None or hop.op not in self._seen:
            with self._lock:
                self._admit(hop.op)
                found = self._by_operands[key] = self._fitting(key)
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
        for key in [k for k in self._by_operands if k[0] == root]:
            del self._by_operands[key]

    def _fitting(self, key: tuple[str, ...]) -> Candidates:
        found: dict[int, list[Hop]] = defaultdict(list)
        for at, which in self._by_root[key[0]]:
            pattern = self.rules[at].pattern(which)
            if _fits(pattern, key[1:]) or (BY_NAME[pattern.op].commutative and _fits(pattern, key[:0:-1])):
                found[at].append(pattern)
        return [(self.rules[at], tuple(patterns)) for at, patterns in found.items()]


def _fits(pattern: Hop, operands: tuple[str, ...]) -> bool:
    return len(pattern.args) == len(operands) and all(a.op in (HOLE, op) for a, op in zip(pattern.args, operands, strict=True))


@lru_cache(maxsize=64)
def index_of(rules: tuple[Rule, ...]) -> Index:
    """The index of a set of rules, which all programs share."""
    return Index(rules)
