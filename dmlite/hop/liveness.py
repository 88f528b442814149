"""Which variables are still wanted where; bindings that nobody reads are dropped."""

from __future__ import annotations

from dmlite.hop.node import LIVE_IN, postorder
from dmlite.hop.program import Block, CallNode, ForNode, FunctionInstance, IfNode, Node, WhileNode, walk_blocks


def mark_live(function: FunctionInstance) -> None:
    """Set `live_out` of every block and remove its dead roots."""
    _before(function.body, set(function.returns))
    for block in walk_blocks(function.body):
        block.roots = [r for r in block.roots if r.name is None or r.name in block.live_out]


def renew_liveness(function: FunctionInstance) -> None:
    """Compute everything anew after nodes were added or replaced."""
    for block in walk_blocks(function.body):
        block.live_out.clear()
        block.live_after.clear()
    mark_live(function)


def _before(nodes: list[Node], after: set[str]) -> set[str]:
    """Names live before `nodes`, given those live after them."""
    live = set(after)
    for node in reversed(nodes):
        live = _TRANSFER[type(node)](node, live)
    return live


def _block(block: Block, after: set[str]) -> set[str]:
    outputs = set(block.outputs)
    block.live_out |= outputs & after
    block.live_after |= after
    kept = [r.hop for r in block.roots if r.name is None or r.name in after]
    return (after - outputs) | {h.value for h in postorder(kept) if h.op == LIVE_IN}


def _call(node: CallNode, after: set[str]) -> set[str]:
    return (after - set(node.results)) | set(node.args)


def _if(node: IfNode, after: set[str]) -> set[str]:
    return _before(node.then, after) | _before(node.orelse, after) | {node.cond}


def _while(node: WhileNode, after: set[str]) -> set[str]:
    head: set[str] = set()
    while True:
        body = _before(node.body, head)
        wider = _before(node.test, after | body | {node.cond})
        if wider <= head:
            return head
        head |= wider


def _for(node: ForNode, after: set[str]) -> set[str]:
    bounds = {n for n in (node.start, node.stop, node.step) if n is not None}
    if node.parallel is not None:
        bounds |= {*node.parallel.results, *node.parallel.accumulators, *node.parallel.restored}
        bounds |= {node.parallel.workers} if node.parallel.workers else set()
    head: set[str] = set(after)
    while True:
        wider = _before(node.body, head) - {node.var}
        if wider <= head:
            # `a:b` runs at least once and so always sets its variable; `seq` may not run at all
            return (head - {node.var} if node.step is None else head) | bounds
        head |= wider


_TRANSFER = {Block: _block, CallNode: _call, IfNode: _if, WhileNode: _while, ForNode: _for}
