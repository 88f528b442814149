"""Index arithmetic: polynomials over loop variables and loop-invariant names, and when two index ranges can never meet.

A polynomial maps a monomial (sorted symbols) to its coefficient: `(i-1)*D + 1` is `{("D","i"): 1, ("D",): -1, (): 1}`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Final, TypeAlias

from dmlite.lang.nodes import Binary, Expr, Literal, Unary
from dmlite.lang.walk import walk

Monomial: TypeAlias = tuple[str, ...]
Poly: TypeAlias = dict[Monomial, Fraction]

MAX_NODES: Final = 64  # longer index expressions are taken as not provable


def constant(value: int | Fraction) -> Poly:
    return {(): Fraction(value)} if value else {}


def symbol(name: str) -> Poly:
    return {(name,): Fraction(1)}


def add(a: Poly, b: Poly, factor: int | Fraction = 1) -> Poly:
    """a + factor * b, without zero terms."""
    total = dict(a)
    for term, coefficient in b.items():
        total[term] = total.get(term, Fraction(0)) + factor * coefficient
    return {term: c for term, c in total.items() if c}


def multiply(a: Poly, b: Poly) -> Poly:
    total: Poly = {}
    for left, c in a.items():
        for right, d in b.items():
            total = add(total, {tuple(sorted(left + right)): c * d})
    return total


def number(p: Poly) -> Fraction | None:
    """The value of a polynomial without symbols, else None."""
    return p.get((), Fraction(0)) if not set(p) - {()} else None


def split(p: Poly, name: str) -> tuple[Poly, Poly] | None:
    """`(s, c)` with p = s * name + c; None when p is not linear in `name`."""
    slope: Poly = {}
    offset: Poly = {}
    for term, coefficient in p.items():
        match term.count(name):
            case 0:
                offset[term] = coefficient
            case 1:
                slope[tuple(s for s in term if s != name)] = coefficient
            case _:
                return None
    return slope, offset


def polynomial(expr: Expr, leaf: Callable[[Expr], Poly | None]) -> Poly | None:
    """The polynomial of an index expression, None when it is not one.

    `leaf` gives the polynomial of what is not a sum or product (a name, `nrow(X)`, `n %/% 2`), None when nothing is known of it.
    """
    if sum(1 for _, _ in zip(walk(expr), range(MAX_NODES + 1), strict=False)) > MAX_NODES:
        return None
    return _polynomial(expr, leaf)


def _polynomial(expr: Expr, leaf: Callable[[Expr], Poly | None]) -> Poly | None:
    match expr:
        case Literal(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**53:
            return constant(Fraction(value))
        case Unary("-" | "+", operand):
            p = _polynomial(operand, leaf)
            return p if p is None or expr.op == "+" else add({}, p, -1)
        case Binary("+" | "-" | "*" | "/", left, right):
            a, b = _polynomial(left, leaf), _polynomial(right, leaf)
            combined = None if a is None or b is None else _combine(expr.op, a, b)
            return leaf(expr) if combined is None else combined
    return leaf(expr)


def _combine(op: str, a: Poly, b: Poly) -> Poly | None:
    if op == "*":
        return multiply(a, b) if len(a) * len(b) <= MAX_NODES else None
    if op == "/":
        divisor = number(b)
        return add({}, a, 1 / divisor) if divisor else None
    return add(a, b, 1 if op == "+" else -1)


@dataclass(frozen=True)
class Interval:
    """The cells `lower..upper` along one dimension."""

    lower: Poly
    upper: Poly


def widen(interval: Interval, name: str, low: Poly, high: Poly) -> Interval | None:
    """The interval covering all values of `name` between `low` and `high`; None when its direction is not known."""
    ends: list[Poly] = []
    for p, smallest in ((interval.lower, True), (interval.upper, False)):
        parts = split(p, name)
        slope = None if parts is None else number(parts[0])
        if parts is None or slope is None:
            return None
        ends.append(add(parts[1], low if (slope > 0) == smallest else high, slope))
    return Interval(*ends)


@dataclass(frozen=True)
class Steps:
    """How the variable of a loop moves: by `step` (its absolute value), `trips` times when known."""

    name: str
    step: int = 1
    trips: int | None = None


def never_meet(a: Interval, b: Interval, steps: Steps) -> bool:
    """True when `a` in one iteration and `b` in a different one can be proven to share no index.

    With a = [s*i + p, s*i + a_end] and b = [s*j + q, s*j + b_end] they meet only where s*(j - i) lies strictly between
    p - b_end - 1 and a_end - q + 1 (strictly, so that bounds which are floored to integers are covered too). A symbolic stride
    is compared with widths of the same symbols; that it is then at least 1 follows from no range being empty.
    """
    parts = [split(p, steps.name) for p in (a.lower, a.upper, b.lower, b.upper)]
    if any(part is None for part in parts):
        return False
    (s, p), (s1, a_end), (s2, q), (s3, b_end) = parts  # type: ignore[misc]
    if not s == s1 == s2 == s3:
        return False
    reach_down, reach_up = add(add(p, b_end, -1), constant(-1)), add(add(a_end, q, -1), constant(1))
    stride, low, high = number(s), number(reach_down), number(reach_up)
    if stride is None:
        return any(_apart(add({}, s, sign * steps.step), reach_down, reach_up) for sign in (1, -1))
    return low is not None and high is not None and not _hits(stride * steps.step, low, high, steps.trips)


def _apart(stride: Poly, low: Poly, high: Poly) -> bool:
    """Is a positive symbolic stride at least as long as the reach on both sides?"""
    above, below = number(add(stride, high, -1)), number(add(stride, low))
    return above is not None and below is not None and above >= 0 and below >= 0


def _hits(stride: Fraction, low: Fraction, high: Fraction, trips: int | None) -> bool:
    """Is there an integer k != 0 with |k| < trips and low < stride * k < high?"""
    if trips is not None and trips <= 1:
        return False
    if stride == 0:
        return low < 0 < high
    ends = sorted((low / stride, high / stride))
    first, last = floor(ends[0]) + 1, ceil(ends[1]) - 1
    if trips is not None:
        first, last = max(first, 1 - trips), min(last, trips - 1)
    return first <= last and not first == last == 0
