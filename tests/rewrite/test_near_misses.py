"""What a rule must leave alone: another operator, number or operand than its pattern has, what is needed elsewhere, what is not known."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmlite.hop.cost import cost_of
from dmlite.hop.facts import constant, matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.node import HOLE, LITERAL, Hop, literal, live_in, make, postorder
from dmlite.hop.program import Block, Root
from dmlite.rewrite.driver import rewrite
from dmlite.rewrite.phases import ALL
from dmlite.rewrite.rule import Rule, instantiate
from tests.rewrite.test_rules import block_of, variables
from tests.support.fixtures import Given

RULES = pytest.mark.parametrize("rule", ALL, ids=lambda r: r.name)
# Operators that no rule has in its pattern, by the number of operands, and a number.
OTHERS = {1: "cumsum_up", 2: "intdiv", 3: "mmchain_w"}
NUMBER = 0.375
CHEAP = ("t", "fill", "diag")  # to have twice


def occurrences(hop: Hop, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Hop]]:
    """Every node of a pattern by the way to it, as often as it occurs."""
    yield path, hop
    for i, arg in enumerate(hop.args):
        yield from occurrences(arg, (*path, i))


def substituted(hop: Hop, path: tuple[int, ...], new: Hop) -> Hop:
    """The pattern with another node at the end of a way."""
    if not path:
        return new
    args = list(hop.args)
    args[path[0]] = substituted(args[path[0]], path[1:], new)
    return make(hop.op, args, hop.value, hop.tag)


def near_misses(rule: Rule, pattern: Hop) -> Iterator[tuple[str, Hop]]:
    """The pattern with one operator, one number, or one of several occurrences of an operand changed."""
    found = list(occurrences(pattern))
    for path, node in found:
        other = OTHERS.get(len(node.args))
        if node.args and other and not (rule.fuses and node.op == "t"):  # factors that are fused are transposed where need be
            yield f"{node.op} is {other}", substituted(pattern, path, make(other, node.args))
        elif node.op == LITERAL and node.value.__class__ in (int, float):
            yield f"{node.value} is {NUMBER}", substituted(pattern, path, literal(NUMBER))
        elif node.op == LITERAL and isinstance(node.value, str):
            yield f"{node.value} is something else", substituted(pattern, path, literal("something else"))
        elif node.op == HOLE and sum(h is node for _, h in found) > 1:
            yield f"{node.value} at {path} is another", substituted(pattern, path, make(HOLE, (), f"{node.value}other"))


def missed(rule: Rule, pattern: Hop, miss: Hop) -> Block:
    """The block of a near miss: another operand is like the one that it stands for."""
    known = variables(rule, pattern)
    known |= {f"{h}other": Given(constant(v.value + 1), value=v.value + 1) if v.fact.is_const else v for h, v in known.items()}
    bound = {h: literal(v.value) if v.fact.is_const else live_in(h) for h, v in known.items()}
    return Block([Root("r", instantiate(miss, bound))], {h: v.fact.without_value() for h, v in known.items()}, {})


@RULES
def test_near_misses_are_left_alone(rule: Rule):
    tried = 0
    for pattern in rule.patterns:
        for what, miss in near_misses(rule, pattern):
            block = missed(rule, pattern, miss)
            _, firings = rewrite(block, FactTable(block.facts_in, lenient=True), [rule])
            assert not firings, f"{what}: {block.roots[0].hop} -> {firings[0].after}"
            tried += 1
    assert tried or rule.where is not None, "no case where the rule must stay away"


def work(roots: list[Hop], facts: FactTable) -> tuple[int, float | None]:
    """The number of operators, and seconds by the cost model."""
    return len([h for h in postorder(roots) if h.args and h.op != "t"]), cost_of(roots, facts).seconds


@RULES
def test_what_is_needed_elsewhere_is_not_computed_twice(rule: Rule):
    """With every operator inside of the pattern needed by somebody else, no operators are added unless they pay; views are free."""
    for pattern in rule.patterns:
        block = block_of(rule, pattern)
        root = block.roots[0].hop
        inside = [h for h in postorder([root]) if h.args and h is not root and h.op not in CHEAP]
        if not inside:
            continue
        shared = Block([*block.roots, *(Root(f"s{i}", h) for i, h in enumerate(inside))], block.facts_in, {})
        facts = FactTable(shared.facts_in)
        roots, _ = rewrite(shared, facts, [rule])
        (before, old), (after, new) = (work([r.hop for r in rs], facts) for rs in (shared.roots, roots))
        assert after <= before or (old is not None and new is not None and new <= old), f"{root} -> {roots[0].hop}"


@RULES
def test_where_nothing_is_known_guards_hold(rule: Rule):
    """With nothing known of the operands and the inside of the pattern needed elsewhere, a guarded rule stays away."""
    if rule.where is None:
        return
    for which, pattern in enumerate(rule.patterns):
        block = block_of(rule, pattern, constants=False)
        inner = [Root(f"s{i}", a) for i, a in enumerate(block.roots[0].hop.args) if a.args]
        if which and not inner:
            continue  # a further spelling of which nothing can be needed elsewhere
        unknown = {n: matrix() if f.is_matrix else scalar(f.vtype) for n, f in block.facts_in.items()}
        _, firings = rewrite(Block([*block.roots, *inner], unknown, {}), FactTable(unknown), [rule])
        assert not firings
