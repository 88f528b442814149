"""What a legal DAG is. Checked between passes in tests, and for users with DMLITE_VERIFY=1."""

from __future__ import annotations

from collections.abc import Collection

from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import HOLE, LITERAL, LIVE_IN, PICK, Hop, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Root


class IllegalDag(AssertionError):
    """A pass made a DAG that cannot be; the message names the pass and the node."""


def verify(before: list[Root], after: list[Root], inputs: Collection[str], facts: FactTable, what: str) -> None:
    """Raise IllegalDag unless `after` is a well-formed DAG that can stand for `before`."""
    if [r.name for r in before] != [r.name for r in after]:
        raise IllegalDag(f"{what}: the roots changed from {[r.name for r in before]} to {[r.name for r in after]}")
    for hop in postorder(r.hop for r in after):
        problem = _misfit(hop, inputs)
        if problem:
            raise IllegalDag(f"{what}: {problem} in {hop!r}")
    for old, new in zip(before, after, strict=True):
        a, b = facts[old.hop], facts[new.hop]
        if a.kind != b.kind or not _agree(a, b):
            raise IllegalDag(f"{what}: {old.name or 'an effect'} was {a} and became {b}")


def _misfit(hop: Hop, inputs: Collection[str]) -> str | None:
    if hop.op == LITERAL:
        return None
    if hop.op == LIVE_IN:
        return None if hop.value in inputs else f"the variable '{hop.value}' is not an input"
    if hop.op == HOLE:
        return "an unfilled hole"
    if hop.op == PICK:
        results = BY_NAME[hop.args[0].op].results if hop.args and hop.args[0].op in BY_NAME else ()
        return None if hop.value < len(results) else f"there is no result {hop.value}"
    row = BY_NAME.get(hop.op)
    if row is None:
        return f"there is no operator '{hop.op}'"
    fixed = [p for p in row.parameters if not p.variadic]
    enough = len(hop.args) >= len(fixed) if len(fixed) < len(row.parameters) else len(hop.args) == len(fixed)
    return None if enough else f"{len(hop.args)} operands where {len(fixed)} are declared"


def _agree(a: Fact, b: Fact) -> bool:
    """Nothing that is known on both sides differs."""
    return all(x is None or y is None or x == y for x, y in ((a.rows, b.rows), (a.cols, b.cols), (a.vtype, b.vtype)))
