"""Operator rows: from one kind or value type to another."""

from __future__ import annotations

from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size


def _as_scalar_size(x: Fact, *_: Fact) -> Size:
    if x.is_matrix and (x.rows not in (None, 1) or x.cols not in (None, 1)):
        raise ShapeError(f"as.scalar of a {x.shape_text()} matrix", "it takes a 1x1 matrix")
    return None, None


def _as_matrix_size(x: Fact) -> Size:
    return (1, 1) if x.is_scalar else (x.rows, x.cols) if x.is_matrix else (None, None)


def _as_matrix_nnz(x: Fact) -> int | None:
    return x.nnz if x.is_matrix else None


def _declared_type(_x: Fact, type: Fact) -> str | None:
    return type.value if isinstance(type.value, str) else None


ROWS: Final[tuple[Op, ...]] = (
    Op("as.scalar", "x: M", "D", "casts.as_scalar", "The number in a 1x1 matrix.", size=_as_scalar_size, aliases=("castAsScalar",)),
    Op("as.scalar_list", "x: L", "A", "casts.as_scalar", "The scalar in a list of one.", spelling="as.scalar", aliases=("castAsScalar",)),
    Op(
        "as.scalar_any",
        "x: A",
        "A",
        "casts.as_scalar",
        "The scalar in a 1x1 matrix or a list of one.",
        spelling="as.scalar",
        aliases=("castAsScalar",),
    ),
    Op(
        "as.matrix",
        "x: A",
        "M",
        "casts.as_matrix",
        "A scalar as a 1x1 matrix, the matrix in a list of one, or the scalars of a list as a column; a matrix stays as it is.",
        size=_as_matrix_size,
        nnz=_as_matrix_nnz,
        view=True,
    ),
    Op("as.double", "x: S", "D", "casts.as_double", "A scalar as a double; strings are parsed."),
    Op(
        "as.integer",
        "x: S",
        "I",
        "casts.as_integer",
        "A scalar as an int: cut off toward zero, at the ends of 64 bits; NaN is 0; strings are parsed.",
    ),
    Op(
        "as.logical",
        "x: S",
        "B",
        "casts.as_logical",
        "Whether a number is not zero (NaN is not), or a string says true.",
        aliases=("as.boolean",),
    ),
    Op(
        "cast_to",
        "x: A, type: T",
        "cell",
        "casts.cast_to",
        "A scalar as the value type that a function declares: double, int, boolean or string; a matrix or list as it is.",
        vtype=_declared_type,
        view=True,
        spelling="(type)",
    ),
)
