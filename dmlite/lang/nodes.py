"""The abstract syntax tree: one frozen dataclass per construct, each with the span it came from.

Spans take no part in equality, so that printing and parsing again gives an equal tree.
"""

# ruff: noqa: RUF009  (every class needs a field object of its own)
from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from dmlite.errors import Span


def _span() -> Span:
    return field(compare=False, repr=False, kw_only=True)


# ---------------------------------------------------------------- expressions
@dataclass(frozen=True)
class Literal:
    """A number, string or boolean; `int` and `float` are different literals (`1` and `1.0`)."""

    value: int | float | str | bool
    span: Span = _span()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Literal) and type(self.value) is type(other.value) and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash(repr(self.value))


@dataclass(frozen=True)
class Name:
    """A variable, or one of the constants NaN, Inf, pi."""

    name: str
    span: Span = _span()


@dataclass(frozen=True)
class Dollar:
    """A command-line parameter, `$name` or `$1`, without the dollar."""

    name: str
    span: Span = _span()


@dataclass(frozen=True)
class Unary:
    """`-x`, `+x` or `!x`. A minus on a numeric literal is folded into the literal by the parser."""

    op: str
    operand: Expr
    span: Span = _span()


@dataclass(frozen=True)
class Binary:
    """`left op right`; `op` is the DML spelling. `&&` and `||` are kept as written."""

    op: str
    left: Expr
    right: Expr
    span: Span = _span()


@dataclass(frozen=True)
class Range:
    """One dimension of an index: `i` has only `lower`, `a:b` has both."""

    lower: Expr
    upper: Expr | None = None
    span: Span = _span()


@dataclass(frozen=True)
class Index:
    """`X[rows, cols]` on a variable. A missing range means all; `X[i]` has `comma=False`."""

    name: str
    rows: Range | None
    cols: Range | None
    comma: bool = True
    span: Span = _span()


@dataclass(frozen=True)
class Arg:
    """One argument of a call, named or not."""

    name: str | None
    value: Expr
    span: Span = _span()


@dataclass(frozen=True)
class Call:
    """`f(args)` or `namespace::f(args)`."""

    name: str
    args: tuple[Arg, ...]
    namespace: str | None = None
    span: Span = _span()


@dataclass(frozen=True)
class ListLiteral:
    """`[e1, e2, ...]` as used for shapes and schemas."""

    items: tuple[Expr, ...]
    span: Span = _span()


Expr: TypeAlias = Literal | Name | Dollar | Unary | Binary | Index | Call | ListLiteral
Target: TypeAlias = Name | Index


# ---------------------------------------------------------------- statements
@dataclass(frozen=True)
class Assign:
    """`target = value`, `target <- value` (the same), or `target += value` with `accumulate`."""

    target: Target
    value: Expr
    accumulate: bool = False
    span: Span = _span()


@dataclass(frozen=True)
class IfDef:
    """`target = ifdef($param, default)`."""

    target: Target
    param: str
    default: Expr
    span: Span = _span()


@dataclass(frozen=True)
class MultiAssign:
    """`[a, b] = f(...)`."""

    targets: tuple[Target, ...]
    call: Call
    span: Span = _span()


@dataclass(frozen=True)
class CallStmt:
    """A call for its effect: `print`, `write`, `stop`, `assert`, or a function."""

    call: Call
    span: Span = _span()


@dataclass(frozen=True)
class If:
    cond: Expr
    then: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...]
    span: Span = _span()


@dataclass(frozen=True)
class While:
    cond: Expr
    body: tuple[Stmt, ...]
    span: Span = _span()


@dataclass(frozen=True)
class For:
    """`for (var in start:stop)` (`seq` False) or `for (var in seq(start, stop, step))` (`seq` True).

    `parallel` marks `parfor`; `options` are its `name=value` pairs.
    """

    var: str
    start: Expr
    stop: Expr
    step: Expr | None
    seq: bool
    body: tuple[Stmt, ...]
    parallel: bool = False
    options: tuple[Arg, ...] = ()
    span: Span = _span()


@dataclass(frozen=True)
class Import:
    """`source("path") as alias`."""

    path: str
    alias: str
    span: Span = _span()


@dataclass(frozen=True)
class SetWd:
    path: str
    span: Span = _span()


@dataclass(frozen=True)
class DataType:
    """A declared type: `data` is matrix | frame | list | scalar, `value` is double | int | boolean | string | unknown."""

    data: str
    value: str

    def __str__(self) -> str:
        return self.value if self.data == "scalar" else f"{self.data}[{self.value}]"


@dataclass(frozen=True)
class Param:
    """A declared input (`default` may be None) or output of a function."""

    name: str
    type: DataType
    default: Expr | None = None
    span: Span = _span()


@dataclass(frozen=True)
class Function:
    name: str
    params: tuple[Param, ...]
    returns: tuple[Param, ...]
    body: tuple[Stmt, ...]
    span: Span = _span()


Stmt: TypeAlias = Assign | IfDef | MultiAssign | CallStmt | If | While | For | Import | SetWd


@dataclass(frozen=True)
class Comment:
    """A comment with its delimiters; `own_line` when nothing but blanks stands before it."""

    text: str
    own_line: bool
    span: Span = _span()


@dataclass(frozen=True)
class Script:
    """One file: statements and functions in the order of the text; comments ride along for the printer."""

    body: tuple[Stmt | Function, ...]
    comments: tuple[Comment, ...] = field(default=(), compare=False, repr=False)
    span: Span = _span()
