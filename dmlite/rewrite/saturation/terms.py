"""HOPs, rules and laws in the language of egglog.

A HOP is a term with one constructor for every operator and number of operands, over numbered leaves, numbers, and words
(any other constant). `rows` and `cols` give the shape of a class; a scalar has -1 rows and columns, a word -2.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final

from dmlite.hop.node import HOLE, LITERAL, Hop, literal, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import cellwise, column, row, same
from dmlite.rewrite.pattern import parse_pattern
from dmlite.rewrite.rule import Rule
from dmlite.rewrite.saturation.laws import LAWS

Dims = tuple[str, str]
_SCALAR: Final = "-1"  # as the number of rows and of columns
PRELUDE: Final = """
(sort E)
(function rows (E) i64 :merge old)
(function cols (E) i64 :merge old)
(constructor leaf (i64) E)
(constructor number (f64) E)
(constructor word (String) E)
(relation entered (i64 E))
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


def _kinds(names: Sequence[str], *, law: bool) -> list[str]:
    """What names may stand for, as far as the operators around them leave it open."""
    found = [f"(= r_{n} {_SCALAR})" for n in names if n[0].islower()]
    if law:
        found += [f"(= c_{n} 1)" for n in names if n[0] == "C"] + [f"(= r_{n} 1)" for n in names if n[0] == "R"]
    else:
        found += [f"(>= r_{n} 0)" for n in names if n[0].isupper()]
    return found


def _same_shapes(names: Sequence[str]) -> Iterator[str]:
    """Names that differ in their digit alone have one shape."""
    stems = {name: name.rstrip("0123456789") for name in names}
    for one, other in pairwise(names):
        if stems[one] == stems[other]:
            yield f"(= r_{one} r_{other}) (= c_{one} c_{other})"


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


def _body(pattern: Hop, conditions: Iterable[str]) -> str:
    """The left side of a rule: a pattern, conditions on the shapes r_X and c_X of its names, and where these come from."""
    text = " ".join(conditions)
    shapes = sorted(set(re.findall(r"\b([rc])_(\w+)", text)))
    lookups = (f"(= {axis}_{name} ({'rows' if axis == 'r' else 'cols'} x_{name}))" for axis, name in shapes)
    return f"((= e {term(pattern)}) {' '.join(lookups)} {text})"


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
        names = holes(self.before)
        conditions = _kinds(names, law=self.rule is None)
        if self.rule is None:
            conditions += [*_same_shapes(names), *_legal_products(self.after)]
        body = _body(self.before, conditions)
        if not self.guarded:
            return f"(rule {body} ((union e {term(self.after)})) :ruleset equalities)"
        found = f"({' '.join(['e', *(f'x_{n}' for n in names)])})"
        return (
            f"(relation match{number} ({' '.join('E' * (1 + len(names)))}))\n(rule {body} ((match{number} {found[1:]}) :ruleset equalities)"
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


@cache
def operators(pattern: Hop) -> frozenset[tuple[str, int]]:
    """Every operator of a pattern with the number of its operands."""
    return frozenset((h.op, len(h.args)) for h in postorder([pattern]) if h.op not in (HOLE, LITERAL))
