"""Loop-invariant code motion: what every iteration would compute again is computed once, before the loop.

Only work that is worth it and breaks no fused operator is moved: products, factorisations, sorting, tables, aggregates.
Cheap cell-by-cell operators stay, since the loop may fuse them with their consumers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from dmlite.hop.builder import fresh_name
from dmlite.hop.changes import Change, quoted
from dmlite.hop.infer import FactTable
from dmlite.hop.liveness import renew_liveness
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop, live_in, make, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Block, ForNode, Node, Program, Root, WhileNode, assigned_in, children
from dmlite.hop.text import hop_to_dml

# Operators whose result is worth keeping; aggregates besides.
_HEAVY: Final = frozenset({"matmul", "tmm", "tsmm_left", "tsmm_right", "solve", "inv", "cholesky", "det", "conv2d"}) | frozenset(
    {"table", "table_dims", "outer", "order", "unique", "removeEmpty", "cumsum", "cumprod", "cumsumprod", "quantile", "quantiles", "median"}
)
# Those of them that cannot fail once the shapes of their operands are known to fit; only these leave a loop that may not run.
_TOTAL: Final = frozenset(["matmul", "tmm", "tsmm_left", "tsmm_right", "cumsum", "cumprod"])


@dataclass
class Hoisted:
    """One motion: which operator left which loop, for explain."""

    hop: Hop
    variable: str


@dataclass
class _Motion:
    """What leaves one loop: the block that runs before it."""

    assigned: set[str]
    certain: bool  # the loop runs at least once
    roots: list[Root] = field(default_factory=list)
    names: dict[Hop, str] = field(default_factory=dict)


def hoist_invariants(program: Program) -> list[Hoisted]:
    """Move loop-invariant work out of all loops of the program, innermost loops first, so that it may rise through several."""
    moved: list[Hoisted] = []
    for function in (program.main, *program.functions.values()):
        found = _in_nodes(function.body, function.changes)
        if found:
            moved += found
            renew_liveness(function)
    return moved


def _in_nodes(nodes: list[Node], changes: list[Change]) -> list[Hoisted]:
    moved: list[Hoisted] = []
    position = 0
    while position < len(nodes):
        node = nodes[position]
        for inner in children(node):
            moved += _in_nodes(inner, changes)
        if isinstance(node, (ForNode, WhileNode)) and not (isinstance(node, ForNode) and node.parallel):
            before = _out_of(node)
            if before is not None:
                moved += [Hoisted(r.hop, str(r.name)) for r in before.roots]
                changes += [_change(r.hop, before, node) for r in before.roots]
                nodes.insert(position, before)
                position += 1
        position += 1
    return moved


def _change(hop: Hop, before: Block, loop: ForNode | WhileNode) -> Change:
    span = before.spans.get(hop)
    line = f" in line {loop.span.line}" if loop.span else ""
    return Change("loop_invariant_motion", span, quoted(span) or hop_to_dml(hop), f"computed once, before the loop{line}")


def _out_of(loop: ForNode | WhileNode) -> Block | None:
    """The block to run before the loop; the blocks inside then read its variables."""
    names = assigned_in(children(loop)[-1]) | (assigned_in(loop.test) if isinstance(loop, WhileNode) else {loop.var})
    motion = _Motion(names, isinstance(loop, ForNode) and loop.step is None)
    out = Block([], {}, {})
    for block in loop.body:
        if isinstance(block, Block):
            _lift(block, motion, out)
    out.roots = motion.roots
    return out if motion.roots else None


def _lift(block: Block, motion: _Motion, out: Block) -> None:
    """Replace the invariant operators of one block by variables of `out`."""
    facts = FactTable(block.facts_in, lenient=True)
    fixed: set[Hop] = set()
    for hop in block.hops:
        if _is_fixed(hop, fixed, motion.assigned, block):
            fixed.add(hop)
    chosen = [h for h in _outermost(block, fixed) if _worth(h, motion, facts)]
    if not chosen:
        return
    for hop in chosen:
        if hop not in motion.names:
            motion.names[hop] = fresh_name("invariant")
            motion.roots.append(Root(motion.names[hop], hop))
        for leaf in postorder([hop]):
            if leaf.op == LIVE_IN:
                out.facts_in[leaf.value] = block.fact_in(leaf.value)
            if leaf in block.spans:
                out.spans[leaf] = block.spans[leaf]
        block.facts_in[motion.names[hop]] = facts[hop]
    both = _with_variables([*block.roots, *block.dropped], {h: motion.names[h] for h in chosen}, block)
    block.roots, block.dropped = both[: len(block.roots)], both[len(block.roots) :]
    block.__dict__.pop("recycled", None)


def _is_fixed(hop: Hop, fixed: set[Hop], assigned: set[str], block: Block) -> bool:
    """Whether a node has the same value in every iteration."""
    if hop.op == LIVE_IN:
        return hop.value not in assigned and hop.value not in block.checked
    if hop.op == LITERAL:
        return True
    source = hop.args[0].op if hop.op == PICK else hop.op
    return bool(hop.args) and not hop.tag and all(a in fixed for a in hop.args) and not BY_NAME[source].effect


def _outermost(block: Block, fixed: set[Hop]) -> list[Hop]:
    """Worthwhile fixed operators that are not inside another one."""
    found: list[Hop] = []
    stack = [r.hop for r in block.roots]
    seen: set[Hop] = set()
    while stack:
        hop = stack.pop()
        if hop in seen:
            continue
        seen.add(hop)
        if hop in fixed and hop.args and _is_heavy(hop):
            found.append(hop)
        else:
            stack.extend(hop.args)
    return found


def _is_heavy(hop: Hop) -> bool:
    row = BY_NAME.get(hop.op)
    return row is not None and (hop.op in _HEAVY or row.kernel.startswith("aggregate.")) and len(row.results) == 1


def _worth(hop: Hop, motion: _Motion, facts: FactTable) -> bool:
    """Safe to compute even if the loop should not run, and about matrices."""
    if not any(facts[a].is_matrix for a in hop.args):
        return False
    return motion.certain or all(_cannot_fail(h, facts) for h in postorder([hop]) if h.args)


def _cannot_fail(hop: Hop, facts: FactTable) -> bool:
    row = BY_NAME.get(hop.op)
    if row is None or any(facts[a].is_matrix and facts[a].cells is None for a in hop.args):
        return False
    fits = not facts[hop].is_matrix or facts[hop].cells is not None  # a lenient table knows nothing of what cannot be
    return fits and (hop.op in _TOTAL or row.kernel.split(".")[0] in ("elementwise", "aggregate") or hop.op == "t")


def _with_variables(roots: list[Root], names: dict[Hop, str], block: Block) -> list[Root]:
    """The roots with every chosen operator replaced by a read of its variable."""
    done: dict[Hop, Hop] = {h: live_in(n) for h, n in names.items()}
    for hop in postorder(r.hop for r in roots):
        if hop not in done:
            args = tuple(done[a] for a in hop.args)
            done[hop] = hop if args == hop.args else make(hop.op, args, hop.value, hop.tag)
            if hop in block.spans:
                block.spans.setdefault(done[hop], block.spans[hop])
    return [Root(r.name, done[r.hop]) for r in roots]
