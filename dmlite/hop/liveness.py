"""Which variables are still wanted where; bindings that nobody reads are dropped."""

from __future__ import annotations

from dmlite.hop.node import LIVE_IN, postorder
from dmlite.hop.program import Block, CallNode, ForNode, FunctionInstance, IfNode, Node, WhileNode, walk_blocks


def mark_live(function: FunctionInstance) -> None:
    """Set `live_out` of every block and remove its dead roots."""
    _Heads().before(function.body, set(function.returns))
    for block in walk_blocks(function.body):
        block.dropped += [r for r in block.roots if r.name is not None and r.name not in block.live_out]
        block.roots = [r for r in block.roots if r.name is None or r.name in block.live_out]


def renew_liveness(function: FunctionInstance) -> None:
    """Compute everything anew after nodes were added or replaced."""
    for block in walk_blocks(function.body):
        block.live_out.clear()
        block.live_after.clear()
    mark_live(function)


class _Heads:
    """Names live before nodes; keeps those at the head of every loop.

    What is live after a loop only grows from one pass over an outer loop to the next, so that an inner one goes on from
    where its last pass ended: nesting adds passes, it does not multiply them.
    """

    def __init__(self) -> None:
        self._heads: dict[int, set[str]] = {}

    def before(self, nodes: list[Node], after: set[str]) -> set[str]:
        """Names live before `nodes`, given those live after them."""
        live = set(after)
        for node in reversed(nodes):
            match node:
                case Block():
                    live = _block(node, live)
                case CallNode():
                    live = (live - set(node.results)) | set(node.args)
                case IfNode():
                    live = self.before(node.then, live) | self.before(node.orelse, live) | {node.cond}
                case WhileNode():
                    live = self._while(node, live)
                case ForNode():
                    live = self._for(node, live)
        return live

    def _while(self, node: WhileNode, after: set[str]) -> set[str]:
        head = self._heads.setdefault(id(node), set())
        while True:
            body = self.before(node.body, head)
            wider = self.before(node.test, after | body | {node.cond})
            if wider <= head:
                return set(head)
            head |= wider

    def _for(self, node: ForNode, after: set[str]) -> set[str]:
        bounds = {n for n in (node.start, node.stop, node.step) if n is not None}
        if node.parallel is not None:
            bounds |= {*node.parallel.results, *node.parallel.accumulators, *node.parallel.restored}
            bounds |= {node.parallel.workers} if node.parallel.workers else set()
        head = self._heads.setdefault(id(node), set())
        head |= after
        while True:
            wider = self.before(node.body, head) - {node.var}
            if wider <= head:
                # `a:b` runs at least once and so always sets its variable; `seq` may not run at all
                return (head - {node.var} if node.step is None else head) | bounds
            head |= wider


def _block(block: Block, after: set[str]) -> set[str]:
    outputs = set(block.outputs)
    block.live_out |= outputs & after
    block.live_after |= after
    kept = [r.hop for r in block.roots if r.name is None or r.name in after]
    return (after - outputs) | {h.value for h in postorder(kept) if h.op == LIVE_IN}
