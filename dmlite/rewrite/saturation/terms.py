"""HOPs, rules and laws in the language of egglog.

A HOP is a term with one constructor for every operator and number of operands, over numbered leaves, numbers, and words
(any other constant). `rows` and `cols` give the shape of a class; a scalar has -1 rows and columns, a word -2.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from dmlite.hop.node import HOLE, LITERAL, Hop, literal, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import cellwise, column, row, same
from dmlite.rewrite.pattern import parse_pattern
from dmlite.rewrite.rule import Rule
from dmlite.rewrite.saturation.laws import LAWS

Dims = tuple[str, str]
_SCALAR: Final = "-1"  # as the number of rows and of columns
_ANYTHING: Final = frozenset("PQZ")
PRELUDE: Final = """
(sort E)
(function rows (E) i64 :merge old)
(function cols (E) i64 :merge old)
(constructor leaf (i64) E)
(constructor number (f64) E)
(constructor word (String) E)
(ruleset sizes)
(ruleset equalities)
(rule ((= e (number x))) ((set (rows e) -1) (set (cols e) -1)) :ruleset sizes)
(rule ((= e (word x))) ((set (rows e) -2) (set (cols e) -2)) :ruleset sizes)
"""
STEP: Final = "(run-schedule (saturate (run sizes)) (run equalities))"


# ---------------------------------------------------------------- HOPs and rules as text
def is_number(hop: Hop) -> bool:
    """A literal that terms know by its value."""
    value = hop.value
    return hop.op == LITERAL and value.__class__ in (int, float) and math.isfinite(value) and repr(value) != "-0.0"


def head(op: str, arity: int) -> str:
    """The constructor of an operator with so many operands."""
    return f"{op}/{arity}"


def literal_term(hop: Hop) -> str:
    """A constant."""
    if is_number(hop):
        return f"(number {float(hop.value)!r})"
    quoted = repr(hop.value).replace("\\", "\\\\").replace('"', '\\"')
    return f'(word "{quoted}")'


def read_word(text: str) -> Hop:
    """The constant of a word."""
    return literal(float(text) if text in ("nan", "inf", "-inf") else ast.literal_eval(text))


def term(pattern: Hop) -> str:
    """A pattern; its holes are variables."""
    if pattern.op == HOLE:
        return f"x_{pattern.value}"
    if pattern.op == LITERAL:
        return literal_term(pattern)
    return f"({head(pattern.op, len(pattern.args))} {' '.join(map(term, pattern.args))})"


def dims_of(op: str, operands: Sequence[Dims]) -> Dims | None:
    """The shape of a result as expressions of the shapes of the operands; None where only the operator table knows."""
    size = BY_NAME[op].size
    if op == "matmul":
        return operands[0][0], operands[1][1]
    if op == "t":
        return operands[0][1], operands[0][0]
    if BY_NAME[op].returns == "D":
        return _SCALAR, _SCALAR
    if size is cellwise:
        rows, cols = operands[0]
        for r, c in operands[1:]:
            rows, cols = f"(max {rows} {r})", f"(max {cols} {c})"
        return rows, cols
    return {same: operands[0], column: (operands[0][0], "1"), row: ("1", operands[0][1])}.get(size) if operands else None


def declarations(op: str, arity: int) -> Iterator[str]:
    """The declaration of an operator: its term, its shape, its symmetry."""
    name, names = head(op, arity), [f"a{i}" for i in range(arity)]
    call = f"({name} {' '.join(names)})"
    yield f"(constructor {name} ({' '.join('E' * arity)}) E)"
    dims = dims_of(op, [(f"r{i}", f"c{i}") for i in range(arity)])
    if dims is not None:
        facts = " ".join(f"(= r{i} (rows a{i})) (= c{i} (cols a{i}))" for i in range(arity))
        yield f"(rule ((= e {call}) {facts}) ((set (rows e) {dims[0]}) (set (cols e) {dims[1]})) :ruleset sizes)"
    if arity == 2 and BY_NAME[op].commutative:
        yield f"(rewrite {call} ({name} a1 a0) :ruleset equalities)"
    if op in ("add", "sub", "mul") and arity == 2:
        symbol = BY_NAME[op].dml
        yield f"(rewrite ({name} (number x) (number y)) (number ({symbol} x y)) :ruleset equalities)"


def holes(pattern: Hop) -> list[str]:
    """The names in a pattern, sorted."""
    return sorted({h.value for h in postorder([pattern]) if h.op == HOLE})


def _kind(name: str, *, lawful: bool) -> str:
    """What a name may stand for, as conditions."""
    variable = f"x_{name}"
    shape = f"(= r_{name} (rows {variable})) (= c_{name} (cols {variable}))"
    if lawful and name[0] in _ANYTHING:
        return shape
    if name[0].islower():
        return f"{shape} (= r_{name} {_SCALAR})"
    vector = {"C": f" (= c_{name} 1)", "R": f" (= r_{name} 1)"}.get(name[0], "") if lawful else ""
    return f"{shape} (>= r_{name} 0){vector}"


def _legal_products(pattern: Hop) -> list[str]:
    """Conditions under which every matrix product of a pattern has operands that fit."""
    found: list[str] = []

    def walk(hop: Hop) -> Dims:
        if hop.op == HOLE:
            return f"r_{hop.value}", f"c_{hop.value}"
        if hop.op == LITERAL:
            return _SCALAR, _SCALAR
        operands = [walk(a) for a in hop.args]
        if hop.op == "matmul":
            found.append(f"(= {operands[0][1]} {operands[1][0]})")
        dims = dims_of(hop.op, operands)
        assert dims is not None, f"laws are about operators with a simple shape, not {hop.op}"
        return dims

    walk(pattern)
    return found


def _one_way(before: Hop, after: Hop) -> str:
    names = holes(before)
    conditions = [_kind(n, lawful=True) for n in names] + _legal_products(after)
    for name in names:
        twin = next((n for n in names if n < name and n.rstrip("0123456789") == name.rstrip("0123456789")), None)
        if twin is not None:
            conditions.append(f"(= r_{twin} r_{name}) (= c_{twin} c_{name})")
    return f"(rule ((= e {term(before)}) {' '.join(conditions)}) ((union e {term(after)})) :ruleset equalities)"


@dataclass(frozen=True)
class Equality:
    """A law in one direction, or one spelling of a rule, whose result may have to be computed (`after` is then an example)."""

    name: str
    before: Hop
    after: Hop
    rule: Rule | None = None

    @property
    def guarded(self) -> bool:
        """Whether the rule itself decides on every match."""
        return self.rule is not None and (self.rule.where is not None or callable(self.rule.after))

    def text(self, number: int) -> str:
        """For egglog; the matches of a guarded rule are collected in the relation `match<number>`."""
        if self.rule is None:
            return _one_way(self.before, self.after)
        names = holes(self.before)
        conditions = f"(= e {term(self.before)}) {' '.join(_kind(n, lawful=False) for n in names)}"
        if not self.guarded:
            return f"(rule ({conditions}) ((union e {term(self.after)})) :ruleset equalities)"
        match = f"match{number}"
        return (
            f"(relation {match} (E {' '.join('E' * len(names))}))\n"
            f"(rule ({conditions}) (({match} e {' '.join(f'x_{n}' for n in names)})) :ruleset equalities)"
        )


def _of_law(name: str, text: str) -> Iterator[Equality]:
    left, arrow, right = re.split(r"\s(<?->)\s", text)
    sides = parse_pattern(left), parse_pattern(right)
    yield Equality(name, *sides)
    if arrow == "<->":
        yield Equality(name, *sides[::-1])


def _of_rule(rule: Rule) -> Iterator[Equality]:
    for pattern in rule.patterns:
        if pattern.op not in (HOLE, LITERAL) and not any(h.tag for h in postorder([pattern])):
            yield Equality(rule.name, pattern, rule.replacement, rule)


@lru_cache(maxsize=8)
def equalities(rules: tuple[Rule, ...], disabled: frozenset[str]) -> tuple[Equality, ...]:
    """All laws and rules that are not switched off, each spelling once."""
    laws = [e for name, text in LAWS.items() for e in _of_law(name, text)]
    found = laws + [e for r in dict.fromkeys(rules) for e in _of_rule(r)]
    return tuple(e for e in found if e.name not in disabled)


def operators(pattern: Hop) -> set[tuple[str, int]]:
    """Every operator of a pattern with the number of its operands."""
    return {(h.op, len(h.args)) for h in postorder([pattern]) if h.op not in (HOLE, LITERAL)}
