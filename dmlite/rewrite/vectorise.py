"""For-loop vectorisation: `for (i in a:b) R[i,1] = f(A[i,1], B[i,2], i)` becomes one expression over the rows a:b.

The loop must do nothing but store row i of one matrix, computed cell by cell from row i of others, from i, and from
what does not change. Iterations then touch different rows, so their order does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dmlite.hop.changes import Change, quoted
from dmlite.hop.facts import scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.liveness import renew_liveness
from dmlite.hop.node import LITERAL, LIVE_IN, Hop, literal, live_in, make
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import ShapeError
from dmlite.hop.program import Block, ForNode, Node, Program, Root, children
from dmlite.rewrite.rule import folded

_ABSENT: Final = literal(None)
# An aggregate over row i alone becomes the row aggregate over all rows.
_BY_ROW: Final = {"sum": "rowSums", "mean": "rowMeans", "min_agg": "rowMins", "max_agg": "rowMaxs"}


class _NotVectorisable(Exception):
    """Something in the loop body depends on more than its own row."""


def vectorise_loops(program: Program) -> int:
    """Replace the loops of the program that are a single row-wise expression; how many there were."""
    count = 0
    for function in (program.main, *program.functions.values()):
        found = _in_nodes(function.body, function.changes)
        if found:
            count += found
            renew_liveness(function)
    return count


def _in_nodes(nodes: list[Node], changes: list[Change]) -> int:
    count = 0
    for position, node in enumerate(nodes):
        for inner in children(node):
            count += _in_nodes(inner, changes)
        if isinstance(node, ForNode) and node.step is None:
            block = _vectorised(node)
            if block is not None:
                nodes[position] = block
                count += 1
                after = f"one expression for all rows of {block.roots[0].name}"
                changes.append(Change("loop_vectorisation", node.span, quoted(node.span), after))
    return count


def _vectorised(loop: ForNode) -> Block | None:
    """The block that does what the loop does, or None."""
    blocks = [n for n in loop.body if not (isinstance(n, Block) and not n.roots)]
    if len(blocks) != 1 or not isinstance(blocks[0], Block):
        return None
    body = blocks[0]
    stores = [r for r in body.roots if r.name in body.live_out or r.name is None]
    whole = all(fact.vtype == "int" for fact in loop.bounds.values())
    if len(stores) != 1 or stores[0].name is None or body.checked or not whole:
        return None
    try:
        return _Rows(loop, body, stores[0]).block()
    except (_NotVectorisable, ShapeError):
        return None


@dataclass
class _Rows:
    """Rewrites the value stored into row i as the values of all rows at once."""

    loop: ForNode
    body: Block
    store: Root

    def __post_init__(self) -> None:
        ends = [self._bound(self.loop.start), self._bound(self.loop.stop)]
        self.low, self.high = (folded(op, ends) or make(op, ends) for op in ("min2", "max2"))
        self.index = live_in(self.loop.var)
        self.facts_in = dict(self.body.facts_in) | self.loop.bounds
        self.facts = FactTable(self.facts_in)
        self.spans = dict(self.body.spans)
        self.inside = FactTable(self.body.facts_in | {self.loop.var: scalar("int")})

    def _bound(self, variable: str) -> Hop:
        """A bound of the loop: the number where it is known, so that the rows are."""
        fact = self.loop.bounds[variable]
        return literal(fact.value) if fact.is_const else live_in(variable)

    def block(self) -> Block:
        store = self.store.hop
        if store.op != "leftindex" or store.args[0] != live_in(str(self.store.name)) or store.args[2] is not self.index:
            raise _NotVectorisable
        target, value, _, upper, *columns = store.args
        if upper is not _ABSENT or not all(self._is_fixed(c) for c in columns):
            raise _NotVectorisable
        rows = self._rows(value)
        width = self.inside[store.args[0]].cols if columns[0] is _ABSENT else 1 if columns[1] is _ABSENT else None
        if self._is_fixed(value):
            if not self.inside[value].is_scalar or width != 1:
                raise _NotVectorisable
        elif width is None or self.facts[rows].cols != width:
            raise _NotVectorisable
        new = make("leftindex", [target, rows, self.low, self.high, *columns])
        _ = self.facts[new]
        if store in self.spans:
            self.spans[new] = self.spans[store]
        roots = [Root(self.store.name, new), Root(self.loop.var, live_in(self.loop.stop))]
        return Block(roots, self.facts_in, self.spans, self.body.varying)

    def _is_fixed(self, hop: Hop) -> bool:
        """Whether a value is the same in every iteration."""
        if hop.op == LITERAL:
            return True
        if hop.op == LIVE_IN:
            return hop is not self.index and hop.value != self.store.name
        return bool(hop.args) and not hop.tag and all(map(self._is_fixed, hop.args))

    def _rows(self, hop: Hop) -> Hop:
        """The values of `hop` in all iterations, one a row; what is fixed stays as it is."""
        new = self._by_rows(hop)
        if hop in self.spans:
            self.spans.setdefault(new, self.spans[hop])
        return new

    def _by_rows(self, hop: Hop) -> Hop:
        if self._is_fixed(hop):
            return hop
        if hop is self.index:
            return make("seq", [self.low, self.high, literal(1)])
        row = BY_NAME.get(hop.op)
        if hop.op == "index":
            return self._slice(hop)
        if hop.op == "as.scalar" and self.inside[hop.args[0]].cells == 1:
            return self._rows(hop.args[0])
        if hop.op in _BY_ROW and self.inside[hop.args[0]].rows == 1 and self.inside[hop.args[0]].cols:
            return make(_BY_ROW[hop.op], [self._rows(hop.args[0])])
        if row is not None and row.kernel.startswith("elementwise.") and self._is_numeric(hop):
            return make(hop.op, map(self._rows, hop.args))
        raise _NotVectorisable

    def _slice(self, hop: Hop) -> Hop:
        source, low, high, *columns = hop.args
        own = source.op == LIVE_IN and source.value == self.store.name
        if low is not self.index or high is not _ABSENT or not (own or self._is_fixed(source)) or not all(map(self._is_fixed, columns)):
            raise _NotVectorisable
        if not self.inside[source].is_matrix:
            raise _NotVectorisable
        return make("index", [source, self.low, self.high, *columns])

    def _is_numeric(self, hop: Hop) -> bool:
        """Every operand a row or a number that mean the same by rows: one row in each iteration, all of them one matrix."""
        facts = [self.inside[a] for a in hop.args]
        if hop.op in ("mod", "intdiv") and all(f.vtype == "int" for f in facts):
            return False  # whole numbers divided by zero are no Inf or NaN
        rows = all((f.is_scalar and f.vtype in ("double", "int", "boolean")) or (f.is_matrix and f.rows == 1) for f in facts)
        fixed = [f.cols for a, f in zip(hop.args, facts, strict=True) if f.is_matrix and f.cols != 1 and self._is_fixed(a)]
        varying = [f.cols for a, f in zip(hop.args, facts, strict=True) if f.is_matrix and not self._is_fixed(a)]
        return rows and all(c is not None and c in varying for c in fixed)  # a fixed row goes with whole rows, not with a column
