"""Names that people can read: of the variables of a function, and of the operators of a block."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from dmlite.explain.lineage import Lineage
from dmlite.hop.node import LITERAL, LIVE_IN, Hop, postorder
from dmlite.hop.program import Block, CallNode, ForNode, FunctionInstance, IfNode, Node, Root, WhileNode, children, shown, walk_blocks
from dmlite.hop.text import hop_to_dml

TEMPORARY = "%"


def is_temporary(variable: str) -> bool:
    """Whether the compiler made the variable, for a condition, an argument or a result."""
    return variable.startswith(TEMPORARY)


def is_number(name: str) -> bool:
    """Whether an operator goes by a number, as it is bound to no variable."""
    return name.startswith("_")


class Variables:
    """How the variables of one function are shown: as in the script, numbered where inlined functions use the same name.

    The result of a call goes by the name of the variable it is assigned to.
    """

    def __init__(self, function: FunctionInstance):
        self._shown: dict[str, str] = {}
        taken: Counter[str] = Counter()
        dropped = (root.name or "" for block in walk_blocks(function.body) for root in block.dropped)
        for name in dict.fromkeys([*function.params, *function.returns, *_mentioned(function.body), *dropped]):
            plain = f"%{shown(name)[1]}" if is_temporary(name) else shown(name)
            taken[plain] += 1
            first = taken[plain] == 1 and not is_temporary(name)
            self._shown[name] = plain if first else f"{plain}{'' if is_temporary(name) else '.'}{taken[plain]}"
        for block in walk_blocks(function.body):
            for root in sorted((*block.roots, *block.dropped), key=_is_inlined, reverse=True):  # names of the function itself last
                result = root.hop.value if root.hop.op == LIVE_IN else ""
                if result.startswith("%r") and root.name and not is_temporary(root.name) and root.name not in block.inputs:
                    self._shown[result] = self._shown[root.name]

    def __getitem__(self, variable: str) -> str:
        return self._shown.get(variable, variable)


def _mentioned(nodes: list[Node]) -> Iterator[str]:
    for node in nodes:
        match node:
            case Block():
                yield from node.inputs
                yield from node.outputs
            case CallNode():
                yield from (*node.args, *node.results)
            case IfNode() | WhileNode():
                yield node.cond
            case ForNode():
                yield from (n for n in (node.var, node.start, node.stop, node.step) if n)
        for inner in children(node):
            yield from _mentioned(inner)


def _is_inlined(root: Root) -> bool:
    return "@" in (root.name or "")


class OperatorNames:
    """Names for the nodes of a block, before and after rewriting: what is the same, or became the other, is called the same."""

    def __init__(self, variables: Variables):
        self.variables = variables
        self._numbers = itertools.count(1)

    def before(self, roots: Sequence[Root], dropped: Sequence[Root]) -> dict[Hop, str]:
        """dropped: bindings of variables that nobody reads later, whose names say most all the same."""
        return self._names(roots, dropped, {})

    def after(self, roots: Sequence[Root], dropped: Sequence[Root], before: Mapping[Hop, str], lineage: Lineage) -> dict[Hop, str]:
        known: dict[Hop, str] = {}
        for hop, name in before.items():
            known.setdefault(lineage.became(hop), name)
        return self._names(roots, [Root(r.name, lineage.became(r.hop)) for r in dropped], {**known, **before})

    def _names(self, roots: Sequence[Root], dropped: Sequence[Root], known: Mapping[Hop, str]) -> dict[Hop, str]:
        order = list(postorder(r.hop for r in roots))
        position = {hop: at for at, hop in enumerate(order)}
        last_use = {arg: at for at, hop in enumerate(order) for arg in hop.args}
        names = {hop: self.leaf(hop) for hop in order if hop.op in (LITERAL, LIVE_IN)}
        busy = {name: last_use.get(hop, -1) for hop, name in names.items() if hop.op == LIVE_IN}
        used = set()
        own = sorted((r for r in dropped if r.hop in position), key=_is_inlined)
        for root in (*roots, *own):
            if root.name is None or is_temporary(root.name) or root.hop in names:
                continue
            variable = self.variables[root.name]
            if busy.get(variable, -1) <= position[root.hop] and variable not in used:
                names[root.hop] = variable
                used.add(variable)
        used.update(names.values())
        for hop in order:
            if hop not in names:
                name = known.get(hop, "")
                names[hop] = name if is_number(name) and name not in used else f"_{next(self._numbers)}"
                used.add(names[hop])
        return names

    def leaf(self, hop: Hop) -> str:
        """A literal as DML, a variable by the name it is shown under."""
        return self.variables[hop.value] if hop.op == LIVE_IN else hop_to_dml(hop)
