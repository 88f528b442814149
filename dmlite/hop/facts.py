"""What is known about a value at compile time. None always means "not known", never a guess."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any, Final


class _NoValue:
    """The marker for "no constant known"; distinct from every DML value."""

    def __repr__(self) -> str:
        return "?"


NO_VALUE: Final = _NoValue()


@dataclass(frozen=True, slots=True)
class Fact:
    """Facts about one value. Everything here is certain, but for `nnz_avg`, which only costs may use.

    kind: matrix | scalar | list | frame | literals (a `[a, b]` literal list) | unknown.
    vtype: double | int | boolean | string for scalars, None when not known.
    rows, cols: exact dimensions of a matrix (of a list: rows is its length).
    nnz_min, nnz, nnz_avg: bounds on the number of non-zero cells, never on the wrong side of the truth, and what is expected.
    low, high: bounds of every cell (or of the scalar) that is not NaN.
    may_nan: False when certainly no cell is NaN or infinite.
    integer: every cell is a whole number (or not finite).
    structure: of {symmetric, lower, upper, diagonal, permutation, rows_sum_to_one}.
    dense: certainly stored as an array, however few cells are not zero.
    value: the constant itself, for scalars and literal lists.
    """

    kind: str = "unknown"
    vtype: str | None = None
    rows: int | None = None
    cols: int | None = None
    nnz: int | None = None
    value: Any = NO_VALUE
    nnz_min: int = 0
    nnz_avg: float | None = None
    low: float = -math.inf
    high: float = math.inf
    may_nan: bool = True
    integer: bool = False
    structure: frozenset[str] = frozenset()
    dense: bool = False

    def __eq__(self, other: object) -> bool:
        """Constants are equal as DML tells them apart: by type and by the sign of zero; NaN equals NaN."""
        return self is other or (isinstance(other, Fact) and self._key() == other._key())

    def __hash__(self) -> int:
        return hash((self.kind, self.vtype, self.rows, self.cols, repr(self.value)))

    def _key(self) -> tuple[Any, ...]:
        exact = repr(self.value) if isinstance(self.value, (float, tuple)) else self.value
        sizes = (self.kind, self.vtype, self.rows, self.cols, self.nnz, self.value.__class__, exact)
        return (*sizes, self.nnz_min, self.nnz_avg, self.low, self.high, self.may_nan, self.integer, self.structure, self.dense)

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

    @property
    def is_column(self) -> bool:
        return self.is_matrix and self.cols == 1

    @property
    def is_row(self) -> bool:
        return self.is_matrix and self.rows == 1

    @property
    def is_cell(self) -> bool:
        return self.rows == self.cols == 1

    @property
    def is_square(self) -> bool:
        return self.is_matrix and self.rows is not None and self.rows == self.cols

    @property
    def sparsity(self) -> float | None:
        """The expected share of non-zeros, between 0 and 1; for costs."""
        nnz = self.nnz_avg if self.nnz_avg is not None else self.nnz
        return None if nnz is None or not self.cells else min(1.0, nnz / self.cells)

    def const_int(self) -> int | None:
        """The constant as a dimension (doubles are floored, as DML does), or None."""
        if isinstance(self.value, (int, float)) and abs(self.value) < 2**62:
            return int(self.value // 1)
        return None

    def shape_text(self) -> str:
        """`3x?` as shown in messages and plans."""
        return f"{'?' if self.rows is None else self.rows}x{'?' if self.cols is None else self.cols}"

    def join(self, other: Fact, *, widen: bool = False) -> Fact:
        """What holds on both of two paths. widen: a bound that moves is given up, so that loops come to an end."""
        if self == other:
            return self
        if self.kind != other.kind:
            return UNKNOWN
        same = lambda a, b: a if a == b else None  # noqa: E731
        nnz = None if self.nnz is None or other.nnz is None else max(self.nnz, other.nnz)
        average = None if self.nnz_avg is None or other.nnz_avg is None else max(self.nnz_avg, other.nnz_avg)
        constant = self.is_const and other.is_const and type(self.value) is type(other.value) and repr(self.value) == repr(other.value)
        return Fact(
            self.kind,
            same(self.vtype, other.vtype),
            same(self.rows, other.rows),
            same(self.cols, other.cols),
            same(self.nnz, nnz) if widen else nnz,
            self.value if constant else NO_VALUE,
            (self.nnz_min if self.nnz_min <= other.nnz_min else 0) if widen else min(self.nnz_min, other.nnz_min),
            average,
            (self.low if self.low <= other.low else -math.inf) if widen else min(self.low, other.low),
            (self.high if self.high >= other.high else math.inf) if widen else max(self.high, other.high),
            self.may_nan or other.may_nan,
            self.integer and other.integer,
            self.structure & other.structure,
            self.dense and other.dense,
        )

    def without_value(self) -> Fact:
        return replace(self, value=NO_VALUE)


_values: Final = attrgetter(*(field.name for field in fields(Fact)))
_PLACES: Final = {field.name: place for place, field in enumerate(fields(Fact))}


def changed(fact: Fact, changes: Mapping[str, Any]) -> Fact:
    """As `dataclasses.replace`, at half the time: inference makes most of its facts so."""
    values = list(_values(fact))
    for name, value in changes.items():
        values[_PLACES[name]] = value
    return Fact(*values)


UNKNOWN: Final = Fact()
LIST: Final = Fact("list")


def matrix(rows: int | None = None, cols: int | None = None, nnz: int | None = None, **more: Any) -> Fact:
    """A matrix fact; the bound on the non-zeros is never more than the number of cells. `more`: further fields of Fact."""
    if rows is not None and cols is not None:
        nnz = rows * cols if nnz is None else min(nnz, rows * cols)
    return Fact("matrix", "double", rows, cols, nnz, **more)


def scalar(vtype: str | None = None, value: Any = NO_VALUE) -> Fact:
    return Fact("scalar", vtype, value=value)


def constant(value: float | int | bool | str) -> Fact:
    """The fact of a literal."""
    vtype = vtype_of(value)
    if isinstance(value, str):
        return Fact("scalar", vtype, value=value)
    finite = math.isfinite(value)
    low, high = (value, value) if finite else (-math.inf, math.inf)
    return Fact("scalar", vtype, value=value, low=low, high=high, may_nan=not finite, integer=finite and value == int(value))


def vtype_of(value: Any) -> str | None:
    """The DML value type of a Python scalar."""
    for python, name in ((bool, "boolean"), (int, "int"), (float, "double"), (str, "string")):
        if isinstance(value, python):
            return name
    return None
