"""One row of the operator table, and the small language its parameters are declared in."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from dmlite.hop.facts import Fact

KINDS: Final = {
    "M": "matrix",
    "S": "scalar",
    "D": "number",
    "I": "int",
    "B": "boolean",
    "T": "string",
    "L": "list",
    "F": "frame",
    "V": "literals",
    "A": "any",
}
REQUIRED: Final = object()

Size = tuple[int | None, int | None]


class ShapeError(Exception):
    """Raised by a size rule when the operand shapes can never fit; the message names both shapes."""

    def __init__(self, message: str, hint: str | None = None):
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True)
class Parameter:
    """One declared parameter: its name, the kinds it takes, its default (`REQUIRED`, or a literal; None = may be left out)."""

    name: str
    kinds: tuple[str, ...]
    default: Any = REQUIRED
    variadic: bool = False

    @property
    def required(self) -> bool:
        return self.default is REQUIRED


@dataclass(frozen=True)
class Op:
    """One operator: everything the checker, the optimizer, the planner and the docs need to know.

    name      unique internal name; the kernel's arguments are the parameters in order, defaults filled in
    params    "X: M, by: S|M = 1, *more: M" with kinds M matrix, S scalar, D number, I int, B boolean,
              T string, L list, F frame, V literal list `[..]`, A any; "= default" takes a DML literal, "= ?" means absent (None)
    returns   M, D, I, B, T, L, F, A (decided at run time), "cell" (matrix if any argument is one, else a scalar), or
              several "M,M,D" for multi-assignment; "" for none
    kernel    "module.function" in every backend room; cellwise rows also have `scalar.<name>` for all-scalar operands
    size      (fact, ...) -> (rows, cols) of the matrix result; for several results a list of such; raises ShapeError
    nnz       (fact, ...) -> upper bound of the non-zeros of the result, None when not known
    flops     (fact, ...) -> floating-point operations, for costs; None counts one per output cell
    seconds   (machine, fact, ...) -> seconds of the work, where one rate for all operations is too far from the truth
    vtype     (fact, ...) -> value type of a scalar "cell" result
    zero      positions of matrix operands whose zero cells give zero results (sparse-safe); () for none
    spelling  DML name or operator symbol; the internal name when left out. Rows may share a spelling: the first whose
              parameters fit is taken
    aliases   other DML spellings
    effect    has a visible effect or differs between calls, so it is never merged, dropped or moved (print, write, rand without seed)
    view      the result may share memory with an operand
    """

    name: str
    params: str
    returns: str
    kernel: str
    doc: str
    size: Callable[..., Any] | None = None
    nnz: Callable[..., int | None] | None = None
    flops: Callable[..., float | None] | None = None
    seconds: Callable[..., float | None] | None = None
    vtype: Callable[..., str | None] | None = None
    zero: tuple[int, ...] = ()
    spelling: str = ""
    aliases: tuple[str, ...] = ()
    effect: bool = False
    view: bool = False
    commutative: bool = False

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        return tuple(_parameter(p) for p in _split(self.params))

    @property
    def dml(self) -> str:
        return self.spelling or self.name

    @cached_property
    def results(self) -> tuple[str, ...]:
        return tuple(r.strip() for r in self.returns.split(",") if r.strip())


def _split(text: str) -> list[str]:
    """Split at commas outside of quotes."""
    return [p.strip(" ") for p in re.findall(r"""(?:"[^"]*"|[^,])+""", text) if p.strip(" ")]


def _parameter(text: str) -> Parameter:
    match = re.fullmatch(r"(\*?)([\w.]+)\s*:\s*([A-Z|]+)(?:\s*=\s*(.+))?", text, re.DOTALL)
    if match is None:
        raise ValueError(f"bad parameter declaration {text!r}")
    star, name, kinds, default = match.groups()
    return Parameter(name, tuple(KINDS[k] for k in kinds.split("|")), REQUIRED if default is None else _literal(default), bool(star))


def _literal(text: str) -> Any:
    """A DML literal of a declaration; `?` means that the argument may be absent."""
    words = {"?": None, "TRUE": True, "FALSE": False, "NaN": float("nan"), "Inf": float("inf")}
    if text in words:
        return words[text]
    if text[0] in "\"'":
        return text[1:-1]
    return int(text) if re.fullmatch(r"-?\d+", text) else float(text)


# ---------------------------------------------------------------- size rules that many rows share
def same(x: Fact, *_: Fact) -> Size:
    """The shape of the first operand."""
    return x.rows, x.cols


def column(x: Fact, *_: Fact) -> Size:
    """One column: a row-wise aggregate."""
    return x.rows, 1


def row(x: Fact, *_: Fact) -> Size:
    """One row: a column-wise aggregate."""
    return 1, x.cols


def unknown(*_: Fact) -> Size:
    return None, None


def cellwise(*facts: Fact) -> Size:
    """Broadcasting of DML: equal shapes, scalars, and row or column vectors or 1x1 on either side, no column against a row.

    Raises ShapeError when two known shapes cannot be combined.
    """
    rows: int | None = None
    cols: int | None = None
    matrices = [f for f in facts if f.kind in ("matrix", "unknown")]
    if len(matrices) == 1:
        return matrices[0].rows, matrices[0].cols
    for axis in (0, 1):
        sizes = [(f.rows, f.cols)[axis] for f in matrices]
        wide = {s for s in sizes if s not in (None, 1)}
        if len(wide) > 1:
            a, b = (
                matrices[0],
                next(f for f in matrices[1:] if (f.rows, f.cols)[axis] not in (1, (matrices[0].rows, matrices[0].cols)[axis])),
            )
            raise ShapeError(
                f"shapes {a.shape_text()} and {b.shape_text()} do not fit cell by cell",
                "both need the same shape, or one must be a scalar or a vector along one side",
            )
        size = wide.pop() if wide else (None if None in sizes else 1)
        rows, cols = (size, cols) if axis == 0 else (rows, size)
    shapes = [(f.rows, f.cols) for f in matrices]
    if (rows, cols) not in shapes and not any(None in shape for shape in shapes):
        texts = " and ".join(f.shape_text() for f in matrices)
        raise ShapeError(f"shapes {texts} do not fit cell by cell", "a column and a row are combined by outer(u, v, op)")
    return rows, cols
