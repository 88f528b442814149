"""Small questions about statements that only the lowering asks."""

from __future__ import annotations

from dmlite.lang import nodes as ast
from dmlite.lang.walk import assigned, children, statements, targets


def has_loop(body: tuple[ast.Stmt, ...]) -> bool:
    return any(isinstance(s, (ast.While, ast.For)) for s in statements(body))


def changed(body: tuple[ast.Stmt, ...]) -> set[str]:
    """The names whose values a block may change: those that it binds, and those that it stores cells into."""
    return assigned(body) | {t.name for s in statements(body) for t in targets(s)}


def calls(expr: ast.Expr) -> list[ast.Call]:
    """Calls inside an expression, innermost first, left to right: the order in which they are made."""
    out: list[ast.Call] = []
    stack: list[ast.Expr] = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Call):
            out.append(node)
        stack.extend(children(node))
    return out[::-1]
