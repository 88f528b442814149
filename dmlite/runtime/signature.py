"""What the plan of a block depends on: shapes and storage of matrices, the magnitude of the non-zeros of sparse ones, types of
scalars, values of scalars that set sizes."""

from __future__ import annotations

from typing import Final

from dmlite.hop.facts import UNKNOWN, Fact
from dmlite.hop.node import LIVE_IN, Hop
from dmlite.hop.program import Block

# Operand positions that decide the shape of a result.
_SIZE_OPERANDS: Final = {
    "index": (1, 2, 3, 4),
    "leftindex": (2, 3, 4, 5),
    "fill": (1, 2),
    "reshape": (1, 2),
    "matrix": (1, 2),
    "rand": (0, 1),
    "seq": (0, 1, 2),
}
_SCALAR_OPS: Final = frozenset(["add", "sub", "mul", "div", "neg", "intdiv", "mod", "min2", "max2", "cast_to", "floor", "ceil", "round"])


class Signature:
    """The key under which plans of one block are kept."""

    def __init__(self, block: Block):
        self.inputs = block.inputs
        self.recycled = block.recycled
        maybe_unset = {h.args[0].value for h in block.hops if h.op == "is_set"}.difference(block.checked)
        self.facts = [UNKNOWN if n in maybe_unset else block.fact_in(n) for n in self.inputs]
        self.by_value = _size_scalars(block) - block.varying

    @property
    def is_constant(self) -> bool:
        return not any(self._parts())

    def _parts(self) -> list[str]:
        return [p for i, (n, f) in enumerate(zip(self.inputs, self.facts, strict=True)) if (p := self._part(f"x{i}", n, f))]

    def _part(self, x: str, name: str, fact: Fact) -> str:
        if fact.kind == "matrix":
            return f"{x}.shape, -1 if {x}.__class__ is ndarray else plan_key({x})"
        if fact.kind == "unknown":
            return f"kind_key({x})" + (f", {x} if {x}.__class__ is int or {x}.__class__ is float else 0" if name in self.by_value else "")
        if fact.kind == "scalar":
            typed = "" if fact.vtype else f"{x}.__class__"
            return f"{x}.__class__, {x}" if name in self.by_value else typed
        return ""

    def source(self, name: str) -> str:
        """The source of the dispatcher; `plans` maps keys to functions, `make` makes the missing one."""
        names = [f"x{i}" for i in range(len(self.inputs))]
        given, params = ", ".join(names), ", ".join([*names, *(f"r{i}" for i in range(len(self.recycled)))])
        key = f"({', '.join(self._parts())},)" if self._parts() else "()"
        comma = "," if len(self.inputs) == 1 else ""
        return (
            f"def {name}({params}):\n"
            f"    key = {key}\n"
            f"    plan = plans.get(key)\n"
            f"    if plan is None:\n"
            f"        plan = make(({given}{comma}), key)\n"
            f"    return plan({params})\n"
        )


def _size_scalars(block: Block) -> frozenset[str]:
    """Live-in scalars from which shapes inside the block follow."""
    found: set[str] = set()
    stack: list[Hop] = []
    for hop in block.hops:
        stack.extend(hop.args[i] for i in _SIZE_OPERANDS.get(hop.op, ()) if i < len(hop.args))
    while stack:
        hop = stack.pop()
        if hop.op == LIVE_IN and block.fact_in(hop.value).kind in ("scalar", "unknown"):
            found.add(hop.value)
        elif hop.op in _SCALAR_OPS:
            stack.extend(hop.args)
    return frozenset(found)
