"""Names that people can read: of the variables of a function, and of the operators of a block."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

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
        dropped = (r.name or "" for block in walk_blocks(function.body) for r in block.dropped if r.hop.op == LIVE_IN)
        for name in dict.fromkeys([*function.params, *function.returns, *_mentioned(function.body), *dropped]):
            plain = f"%{shown(name)[1]}" if is_temporary(name) else shown(name)
            taken[plain] += 1
            first = taken[plain] == 1 and not is_temporary(name)
            self._shown[name] = plain if first else f"{plain}{'' if is_temporary(name) else '.'}{taken[plain]}"
        for block in walk_blocks(function.body):
            for root in sorted((*block.roots, *block.dropped), key=_depth, reverse=True):  # names of the function itself last
                result = root.hop.value if root.hop.op == LIVE_IN else ""
                if result.startswith("%r") and root.name in self._shown and not is_temporary(root.name) and root.name not in block.inputs:
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


def _depth(root: Root) -> int:
    """Orders the variables of inlined functions behind those of what they were inlined into."""
    return int((root.name or "").partition("@")[2] or 0)


class OperatorNames:
    """Names for the nodes of a block, before and after rewriting: what is the same, or became the other, is called the same."""

    def __init__(self, variables: Variables):
        self.variables = variables
        self._numbers = itertools.count(1)

    def before(self, roots: Sequence[Root], dropped: Sequence[Root]) -> dict[Hop, str]:
        """dropped: bindings of variables that nobody reads later, whose names say most all the same."""
        local: dict[Hop, str] = {}
        for root in sorted(dropped, key=_depth):
            if root.name and not is_temporary(root.name):
                local.setdefault(root.hop, shown(root.name))
        return self._names(roots, local, {})

    def after(self, roots: Sequence[Root], dropped: Sequence[Root], before: Mapping[Hop, str], lineage: Lineage) -> dict[Hop, str]:
        """Names in the plan, by those that `before` has."""
        known: dict[Hop, str] = {}
        for hop, name in before.items():
            known.setdefault(lineage.became(hop), name)
        local = {lineage.became(r.hop): before[r.hop] for r in dropped if r.hop in before and not is_number(before[r.hop])}
        return self._names(roots, local, {**known, **before})

    def _names(self, roots: Sequence[Root], local: Mapping[Hop, str], known: Mapping[Hop, str]) -> dict[Hop, str]:
        """local: names of variables of this block alone. known: numbers that were given before."""
        order = list(postorder(r.hop for r in roots))
        names = {hop: self.leaf(hop) for hop in order if hop.op in (LITERAL, LIVE_IN)}
        self._of_results(roots, order, names)
        used = {*names.values(), *(self.variables[r.name] for r in roots if r.name)}
        for hop in order:
            if hop not in names and hop in local:
                plain = local[hop]
                names[hop] = next(n for k in itertools.count(1) if (n := plain if k == 1 else f"{plain}.{k}") not in used)
                used.add(names[hop])
        for hop in order:
            if hop not in names:
                name = known.get(hop, "")
                names[hop] = name if is_number(name) and name not in used else f"_{next(self._numbers)}"
                used.add(names[hop])
        return names

    def _of_results(self, roots: Sequence[Root], order: Sequence[Hop], names: dict[Hop, str]) -> None:
        """Operators that are bound to a variable go by its name, unless its old value is still read after them."""
        position = {hop: at for at, hop in enumerate(order)}
        last_use = {arg: at for at, hop in enumerate(order) for arg in hop.args}
        busy = {name: last_use.get(hop, -1) for hop, name in names.items() if hop.op == LIVE_IN}
        used = set()
        for root in roots:
            if root.name is None or is_temporary(root.name) or root.hop in names:
                continue
            variable = self.variables[root.name]
            if busy.get(variable, -1) <= position[root.hop] and variable not in used:
                names[root.hop] = variable
                used.add(variable)

    def leaf(self, hop: Hop) -> str:
        """A literal as DML, a variable by the name it is shown under."""
        return self.variables[hop.value] if hop.op == LIVE_IN else written(hop)


_LONG: Final = re.compile(r"(?<![\w.])\d+\.\d{9,}(?:e[+-]?\d+)?(?![\w.])")


def written(hop: Hop, names: Mapping[Hop, str] | None = None, limit: int | None = None) -> str:
    """The expression of a node for people to read: as `hop_to_dml`, with numbers of many digits rounded to six."""
    text = hop_to_dml(hop, names, limit)
    return text if '"' in text else _LONG.sub(lambda number: f"{float(number[0]):.6g}", text)
