"""Wherever a rule fires it keeps the numbers: every record over many shapes, contents and states of knowledge.

The operands of a pattern get shapes that its record does not name (single cells, vectors either way, nothing at all, one
broadcast beside another), contents such as zeros, NaN and Inf, and facts from all to nothing. What the expression refuses
must be refused after the rule too.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.backends.local.storage import is_matrix, is_sparse, settle
from dmlite.errors import DMLError
from dmlite.hop.facts import Fact, constant, matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop, literal, live_in
from dmlite.hop.ops.row import ShapeError
from dmlite.hop.program import Block, Root
from dmlite.rewrite.driver import rewrite
from dmlite.rewrite.phases import ALL
from dmlite.rewrite.rule import Rule, instantiate
from tests.rewrite.test_rules import as_array, holes, variables
from tests.support.fixtures import Given, computed, drawn

VARIANTS = 40
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -1.5, 2.0)
INVERSES = frozenset({"inverse_times", "times_inverse"})  # what factorisations make of infinite cells depends on the way taken
# Sums of products in another order: Inf - Inf and 0 * Inf come about earlier, or not at all, and NaN beside Inf with them.
_SIDES = ("sum", "row_sums", "col_sums")
INFINITE = frozenset({
    *(f"{side}_of_{what}" for side in _SIDES for what in ("outer_product", "product", "low_rank")),
    "mean_of_product", "row_means_of_product", "col_means_of_product", "det_of_product", "det_of_transpose",
    "low_rank_sum_times", "times_low_rank_sum", "low_rank_difference_times", "times_low_rank_difference",
    "sparse_minus_low_rank_times", "times_sparse_minus_low_rank",
    "product_order_from_left", "product_order_from_right", "product_order_turned_left", "product_order_turned_right",
})  # fmt: skip
CONTENTS = ("plain", "zeros", "nan", "special")


def shapes(base: dict[str, tuple[int, int]], rng: random.Random) -> dict[str, tuple[int, int]]:
    """Other shapes for the holes: each length of the record changed throughout, or one hole broadcast or misshapen."""
    lengths = {n for shape in base.values() for n in shape}
    changed = dict.fromkeys(lengths)
    for n in lengths:
        changed[n] = rng.choice((n, n, n, n, n, 1, 1, 2, 3, 0)) if n > 1 else rng.choice((1, 1, 1, 1, 4))
    found = {name: (changed[r], changed[c]) for name, (r, c) in base.items()}
    if found and rng.random() < 0.4:
        name, other = (rng.choice(sorted(found)) for _ in range(2))
        r, c = found[other]
        found[name] = rng.choice(((r, c), (1, 1), (1, c), (r, 1), (c, r), (r, c + 1), (r + 1, c)))
    return found


def reshaped(variable: Given, shape: tuple[int, int], known: bool, told: bool) -> Given:
    """The variable in another shape. known: rules know the shape; told: they know the facts that its record names, and these hold."""
    if not told:
        return Given(matrix(*(shape if known else (None, None))), shape)
    fact, cells = variable.fact, shape[0] * shape[1]
    size = variable.shape[0] * variable.shape[1]
    nnz = None if fact.nnz == size else min(fact.nnz or 0, cells)
    nnz_min = cells if fact.nnz_min == size else min(fact.nnz_min, cells)
    structure = fact.structure if shape[0] == shape[1] or fact.structure <= {"rows_sum_to_one"} else frozenset()
    dims = matrix(*(shape if known else (None, None)), nnz)
    return Given(replace(fact, rows=dims.rows, cols=dims.cols, nnz=dims.nnz, nnz_min=nnz_min, structure=structure), shape)


def contents(variable: Given, kind: str, rng: np.random.Generator) -> Any:
    """Numbers with the facts of a variable and, where these allow it, zeros, NaN or all that is special at some places."""
    x, fact = drawn(variable, "plain", rng), variable.fact
    if is_sparse(x):
        return x if rng.random() < 0.5 else x.toarray()
    if kind == "plain" or not x.size or fact.structure:
        return x
    allowed = [v for v in SPECIAL if (v != v or fact.low <= v <= fact.high) and not (v == 0 and fact.nnz_min)]
    allowed = [v for v in allowed if (np.isfinite(v) or fact.may_nan) and not (fact.integer and v == -1.5)]
    wanted = {"zeros": [v for v in allowed if v == 0], "nan": [v for v in allowed if v != v or v == 0], "special": allowed}[kind]
    if wanted:
        places = rng.integers(0, x.size, size=rng.integers(1, 4) if kind == "special" else 2 * x.size)
        x.flat[places] = rng.choice(wanted, size=len(places))
    return settle(csr_array(x)) if kind == "zeros" and rng.random() < 0.5 else x


def number(variable: Given, kind: str, told: bool, rng: random.Random) -> Given:
    """A scalar operand. told: as its record says, or a known number of the same type; else nothing is known but that it is a number."""
    value = variable.value
    if told and variable.fact.is_const:
        if value.__class__ is int and rng.random() < 0.3:
            value = rng.choice((0, 1, 2, 3, 4, 5, -1))
        return Given(replace(constant(value), may_nan=False), value=value)
    fact = variable.fact if told else scalar("double")
    plain = [1.75, -2.0, 0.0] if value is None or isinstance(value, str) else [value, value + 1, -value, 0.0]
    return Given(fact, value=float(rng.choice([v for v in SPECIAL if kind == "special" and fact.may_nan] or plain)))


def cases(rule: Rule, pattern: Hop) -> Iterator[tuple[dict[str, Given], str, np.random.Generator]]:
    """Operands for a pattern: those that its record names, the same with one of which nothing but its size is known, and others."""
    base = variables(rule, pattern)
    plain = {name: v.shape for name, v in base.items() if v.fact.is_matrix}
    seeds = np.random.SeedSequence(5).spawn(VARIANTS + len(base) * 6 + 4)
    for kind in CONTENTS:
        yield base, kind, np.random.default_rng(seeds.pop())
    for untold in base:
        for kind, value in (("plain", 3.5), ("zeros", 0.0), ("nan", -2.0), ("special", np.inf), ("special", np.nan), ("special", 0.0)):
            found = {name: reshaped(base[name], size, True, name != untold) for name, size in plain.items()}
            rest = {name: v for name, v in base.items() if name not in found}
            found |= rest | {name: Given(scalar("double"), value=value) for name in rest if name == untold}
            yield found, kind, np.random.default_rng(seeds.pop())
    for which in range(VARIANTS):
        rng = random.Random(f"{rule.name} {which}")
        kind, share = CONTENTS[which % len(CONTENTS)], rng.choice((1.0, 1.0, 0.6))  # of operands that all is known of
        found = {n: reshaped(base[n], size, rng.random() <= share, rng.random() <= share) for n, size in shapes(plain, rng).items()}
        found |= {n: number(v, kind, rng.random() <= share, rng) for n, v in base.items() if n not in found}
        yield found, kind, np.random.default_rng(seeds.pop())


def block_of(pattern: Hop, operands: dict[str, Given]) -> Block:
    bound = {h: literal(v.value) if v.fact.is_const else live_in(h) for h, v in operands.items()}
    facts: dict[str, Fact] = {h: v.fact for h, v in operands.items() if not v.fact.is_const}
    return Block([Root("r", instantiate(pattern, bound))], facts, {})


def outcome(hop: Hop, values: dict[str, Any]) -> np.ndarray | None:
    """The value of a node; None where the operands are refused."""
    with np.errstate(all="ignore"):
        try:
            return as_array(computed(hop, values))
        except DMLError:
            return None


def keeps_nan(values: dict[str, Any]) -> bool:
    """Whether NaN stays where it is in sums and products: not beside zeros that are not stored, or nothing."""
    return not any(is_matrix(x) and (is_sparse(x) or not x.size) for x in values.values())


def assert_same(rule: Rule, before: np.ndarray, after: np.ndarray, *, keeps_nan: bool) -> None:
    """Finite numbers stay under every tag; NaN and infinities under `exact`, and NaN where it is not made of infinities."""
    assert before.shape == after.shape
    exact = rule.values == "exact"
    scale = np.abs(before[np.isfinite(before)]).max(initial=1.0)
    every = exact or (rule.values == "reassociates" and keeps_nan)
    where = np.ones(before.shape, dtype=bool) if every else np.isfinite(before)
    np.testing.assert_allclose(after[where], before[where], rtol=0 if exact else 1e-9, atol=0 if exact else 1e-10 * scale, equal_nan=True)


@pytest.mark.parametrize("rule", ALL, ids=lambda r: r.name)
def test_keeps_the_numbers_wherever_it_fires(rule: Rule):
    for pattern in rule.patterns:
        assert set(holes(pattern)) <= set(variables(rule, pattern))
        for operands, kind, rng in cases(rule, pattern):
            block = block_of(pattern, operands)
            try:
                roots, firings = rewrite(block, FactTable(block.facts_in), [rule])
            except ShapeError:
                continue  # refused before anything is rewritten
            if rule.name in INVERSES and kind == "special":
                continue
            if not firings or any(h.op == "rand" and h.args[5].value == -1 for h in block.hops):
                continue  # draws without a seed differ
            values = {h: contents(v, kind, rng) if v.fact.is_matrix else drawn(v, kind, rng) for h, v in operands.items()}
            before, after = (outcome(hop, values) for hop in (block.roots[0].hop, roots[0].hop))
            where = f"{block.roots[0].hop} -> {roots[0].hop} with {operands}, {kind}"
            if before is None or after is None:
                given = [x for x in (before, after) if x is not None and np.isfinite(x).any()]
                assert not given, f"refused on one side only: {where}"  # what cannot be inverted may give NaN as well
            else:
                try:
                    assert_same(rule, before, after, keeps_nan=rule.name not in INFINITE and keeps_nan(values))
                except AssertionError as error:
                    raise AssertionError(f"{where}\n{values}\n{error}") from None
