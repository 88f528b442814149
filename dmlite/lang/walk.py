"""Walking syntax trees with explicit stacks: a sum of thousands of terms is one deep left spine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dmlite.lang.nodes import (
    Assign,
    Binary,
    Call,
    CallStmt,
    Expr,
    For,
    If,
    IfDef,
    Index,
    ListLiteral,
    MultiAssign,
    Range,
    Stmt,
    Target,
    Unary,
    While,
)


def children(expr: Expr) -> tuple[Expr, ...]:
    """The direct sub-expressions, in the order of the text."""
    match expr:
        case Binary(_, left, right):
            return left, right
        case Unary(_, operand):
            return (operand,)
        case Call():
            return tuple(arg.value for arg in expr.args)
        case ListLiteral():
            return expr.items
        case Index():
            return bounds(expr)
    return ()


def bounds(index: Index) -> tuple[Expr, ...]:
    """The expressions between the brackets."""
    ranges = [r for r in (index.rows, index.cols) if isinstance(r, Range)]
    return tuple(e for r in ranges for e in (r.lower, r.upper) if e is not None)


def walk(*roots: Expr) -> Iterator[Expr]:
    """Every expression at or below the roots, parents first, left to right."""
    stack = list(reversed(roots))
    while stack:
        expr = stack.pop()
        yield expr
        stack.extend(reversed(children(expr)))


def blocks(stmt: Stmt) -> tuple[tuple[Stmt, ...], ...]:
    """The blocks of statements inside a statement."""
    match stmt:
        case If():
            return stmt.then, stmt.orelse
        case While() | For():
            return (stmt.body,)
    return ()


def branches(stmt: If) -> tuple[list[tuple[Expr, tuple[Stmt, ...]]], tuple[Stmt, ...]]:
    """The conditions and blocks of an `if .. else if .. else` chain, and its last `else`."""
    arms = [(stmt.cond, stmt.then)]
    while len(stmt.orelse) == 1 and isinstance(stmt.orelse[0], If):
        stmt = stmt.orelse[0]
        arms.append((stmt.cond, stmt.then))
    return arms, stmt.orelse


def statements(body: Iterable[Stmt], *, into_parfor: bool = True) -> Iterator[Stmt]:
    """Every statement of a block, the nested ones too, in the order of the text."""
    stack = list(reversed(tuple(body)))
    while stack:
        stmt = stack.pop()
        yield stmt
        if into_parfor or not (isinstance(stmt, For) and stmt.parallel):
            for block in reversed(blocks(stmt)):
                stack.extend(reversed(block))


def targets(stmt: Stmt) -> tuple[Target, ...]:
    """What a statement itself assigns to (the variable of a loop is not among them)."""
    match stmt:
        case Assign() | IfDef():
            return (stmt.target,)
        case MultiAssign():
            return stmt.targets
    return ()


def expressions(stmt: Stmt) -> tuple[Expr, ...]:
    """What a statement itself evaluates before it assigns, without nested blocks, targets and loop options."""
    match stmt:
        case Assign():
            return (stmt.value,)
        case IfDef():
            return (stmt.default,)
        case If() | While():
            return (stmt.cond,)
        case For():
            return tuple(e for e in (stmt.start, stmt.stop, stmt.step) if e is not None)
        case MultiAssign() | CallStmt():
            return (stmt.call,)
    return ()


def assigned(body: Iterable[Stmt], *, into_parfor: bool = True) -> set[str]:
    """The names that a block binds as a whole, loop variables included; `X[1,1] = 2` binds nothing.

    Without `into_parfor`, only those that can outlive the block: what a parfor creates in its body does not.
    """
    names: set[str] = set()
    for stmt in statements(body, into_parfor=into_parfor):
        names.update(t.name for t in targets(stmt) if not isinstance(t, Index))
        if isinstance(stmt, For):
            names.add(stmt.var)
    return names
