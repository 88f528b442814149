"""Polynomials over scalar HOPs: enough algebra to prove how wide `X[, (t-1)*D+1 : t*D]` is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from dmlite.hop.facts import Fact
from dmlite.hop.node import Hop

# A monomial is a sorted tuple of the ids of its atoms; the constant term has the empty monomial.
Polynomial: TypeAlias = dict[tuple[int, ...], float]

_MAX_TERMS = 12


def polynomial(hop: Hop, fact_of: Callable[[Hop], Fact]) -> Polynomial:
    """`hop` as a polynomial of what it is made of; anything but + - * and numbers is an atom."""
    value = fact_of(hop).value
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {(): float(value)}
    if hop.op in ("add", "sub", "mul", "neg") and fact_of(hop).vtype in ("int", "double"):
        parts = [polynomial(arg, fact_of) for arg in hop.args]
        if hop.op == "neg":
            return _combine({}, parts[0], -1.0)
        if hop.op == "mul":
            if len(parts[0]) * len(parts[1]) <= _MAX_TERMS:
                return _product(*parts)
        else:
            return _combine(parts[0], parts[1], 1.0 if hop.op == "add" else -1.0)
    return {(id(hop),): 1.0}


def difference(high: Hop, low: Hop, fact_of: Callable[[Hop], Fact]) -> int | None:
    """`high - low` when it is the same whole number whatever the variables hold, else None."""
    rest = _combine(polynomial(high, fact_of), polynomial(low, fact_of), -1.0)
    if any(monomial for monomial in rest):
        return None
    gap = rest.get((), 0.0)
    return int(gap) if gap == int(gap) else None


def _combine(a: Polynomial, b: Polynomial, factor: float) -> Polynomial:
    out = dict(a)
    for monomial, coefficient in b.items():
        out[monomial] = out.get(monomial, 0.0) + factor * coefficient
    return {m: c for m, c in out.items() if c != 0.0}


def _product(a: Polynomial, b: Polynomial) -> Polynomial:
    out: Polynomial = {}
    for ma, ca in a.items():
        for mb, cb in b.items():
            monomial = tuple(sorted(ma + mb))
            out[monomial] = out.get(monomial, 0.0) + ca * cb
    return out
