"""What is known about a value at compile time. None always means "not known", never a guess."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final


class _NoValue:
    """The marker for "no constant known"; distinct from every DML value."""

    def __repr__(self) -> str:
        return "?"


NO_VALUE: Final = _NoValue()


@dataclass(frozen=True, slots=True)
class Fact:
    """Facts about one value.

    kind: matrix | scalar | list | frame | literals (a `[a, b]` literal list) | unknown.
    vtype: double | int | boolean | string for scalars, None when not known.
    rows, cols: exact dimensions of a matrix (of a list: rows is its length).
    nnz: an upper bound on the number of non-zero cells of a matrix, never below the truth.
    value: the constant itself, for scalars and literal lists.
    """

    kind: str = "unknown"
    vtype: str | None = None
    rows: int | None = None
    cols: int | None = None
    nnz: int | None = None
    value: Any = NO_VALUE

    @property
    def is_matrix(self) -> bool:
        return self.kind == "matrix"

    @property
    def is_scalar(self) -> bool:
        return self.kind == "scalar"

    @property
    def is_const(self) -> bool:
        return self.value is not NO_VALUE

    @property
    def cells(self) -> int | None:
        return None if self.rows is None or self.cols is None else self.rows * self.cols

    @property
    def is_vector(self) -> bool:
        return self.is_matrix and 1 in (self.rows, self.cols)

    def const_int(self) -> int | None:
        """The constant as a dimension (doubles are floored, as DML does), or None."""
        if isinstance(self.value, (int, float)) and abs(self.value) < 2**62:
            return int(self.value // 1)
        return None

    def shape_text(self) -> str:
        """`3x?` as shown in messages and plans."""
        return f"{'?' if self.rows is None else self.rows}x{'?' if self.cols is None else self.cols}"

    def join(self, other: Fact) -> Fact:
        """What holds on both of two paths."""
        if self == other:
            return self
        if self.kind != other.kind:
            return UNKNOWN
        same = lambda a, b: a if a == b else None  # noqa: E731
        nnz = None if self.nnz is None or other.nnz is None else max(self.nnz, other.nnz)
        constant = self.is_const and other.is_const and type(self.value) is type(other.value) and repr(self.value) == repr(other.value)
        return Fact(
            self.kind,
            same(self.vtype, other.vtype),
            same(self.rows, other.rows),
            same(self.cols, other.cols),
            nnz,
            self.value if constant else NO_VALUE,
        )

    def without_value(self) -> Fact:
        return replace(self, value=NO_VALUE)


UNKNOWN: Final = Fact()
LIST: Final = Fact("list")


def matrix(rows: int | None = None, cols: int | None = None, nnz: int | None = None) -> Fact:
    """A matrix fact; the bound on the non-zeros is never more than the number of cells."""
    if rows is not None and cols is not None:
        nnz = rows * cols if nnz is None else min(nnz, rows * cols)
    return Fact("matrix", "double", rows, cols, nnz)


def scalar(vtype: str | None = None, value: Any = NO_VALUE) -> Fact:
    return Fact("scalar", vtype, value=value)


def constant(value: float | int | bool | str) -> Fact:
    """The fact of a literal."""
    return Fact("scalar", vtype_of(value), value=value)


def vtype_of(value: Any) -> str | None:
    """The DML value type of a Python scalar."""
    for python, name in ((bool, "boolean"), (int, "int"), (float, "double"), (str, "string")):
        if isinstance(value, python):
            return name
    return None
