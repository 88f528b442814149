"""Operators on scalars as source for a compiler, where it means the same as DML's."""

from __future__ import annotations

from typing import Final

from dmlite.codegen.small.values import WIDE, Unsuitable
from dmlite.codegen.templates import LOOP_CELLS, SCALAR_ANY_NUMBER

# Operators on cells for which NumPy has faster loops, when arrays are large.
CELLS: Final = LOOP_CELLS | {
    "pow": "power({0}, {1})",
    "mod": "remainder({0}, {1})",
    "intdiv": "truncated({0} / {1})",
    "sin": "np.sin({0})",
    "cos": "np.cos({0})",
    "tan": "np.tan({0})",
    "atan": "np.arctan({0})",
}
_COMPARED: Final = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_INT: Final = {"add": "{0} + {1}", "sub": "{0} - {1}", "mul": "{0} * {1}", "neg": "-{0}", "min2": "min({0}, {1})", "max2": "max({0}, {1})"}
_STEP: Final = 2.0**32  # what may be added to a number that a loop counts up


class Scalar:
    """A scalar operand: its source, its value type, and how large it is if it is a whole number."""

    def __init__(self, text: str, kind: str, bound: float, value: object = None):
        self.text, self.kind, self.bound, self.value = text, kind, bound, value

    @property
    def double(self) -> str:
        return self.text if self.kind == "double" else f"float({self.text})"

    @property
    def truth(self) -> str:
        return self.text if self.kind == "boolean" else f"({self.text} != 0)"


def applied(op: str, kind: str | None, args: list[Scalar]) -> tuple[str, float]:
    """Source of the result of type `kind`, and its bound. Raises Unsuitable."""
    if op in _COMPARED and op in SCALAR_ANY_NUMBER:
        if any(a.kind == "boolean" for a in args) or kind != "boolean":
            raise Unsuitable(f"{op} of booleans")
        same = all(a.kind == "int" for a in args)
        x, y = (a.text if same else a.double for a in args)
        return f"({x} {_COMPARED[op]} {y})", 1.0
    if kind == "boolean" and op in ("and_", "or_"):
        return f"({args[0].truth} {op[:-1]} {args[1].truth})", 1.0
    if kind == "boolean" and op == "not_":
        return f"(not {args[0].truth})", 1.0
    if kind == "double" and op in CELLS:
        return CELLS[op].format(*(a.double for a in args)), float("inf")
    if kind == "int" and all(a.kind == "int" for a in args):
        return _whole(op, args)
    raise Unsuitable(f"{op} of scalars")


def _whole(op: str, args: list[Scalar]) -> tuple[str, float]:
    """Arithmetic on whole numbers that surely stay within 64 bits.

    What a loop counts up may be as large as WIDE at most: with steps below _STEP, no run of compiled code is long enough.
    """
    bounds = [a.bound for a in args]
    if op in ("mod", "intdiv"):
        divisor = args[1].value
        if not isinstance(divisor, int) or divisor in (0, -1):
            raise Unsuitable(f"{op} by a whole number that is not known")
        return f"whole_{op}({args[0].text}, {args[1].text})", bounds[0] if op == "intdiv" else min(bounds[0], float(abs(divisor)))
    if op not in _INT:
        raise Unsuitable(f"{op} of whole numbers")
    bound = {"mul": lambda: bounds[0] * bounds[1], "add": lambda: sum(bounds), "sub": lambda: sum(bounds)}.get(op, lambda: max(bounds))()
    counts = op in ("add", "sub") and min(bounds) <= _STEP and max(bounds) <= WIDE
    if bound >= WIDE and not counts and op in ("mul", "add", "sub"):
        raise Unsuitable("whole numbers that may grow beyond 64 bits")
    return f"({_INT[op].format(*(a.text for a in args))})", min(bound, WIDE)


def index_bound(x: Scalar) -> bool:
    """Whether a scalar is a whole number that an index may be."""
    return x.kind == "int" and x.bound <= WIDE
