"""Small questions about statements: what do they assign, do they loop, which functions do they call?"""

from __future__ import annotations

from collections.abc import Iterator

from dmlite.lang import nodes as ast


def statements(body: tuple[ast.Stmt, ...]) -> Iterator[ast.Stmt]:
    """Every statement, nested ones included."""
    stack = list(reversed(body))
    while stack:
        stmt = stack.pop()
        yield stmt
        for inner in inner_bodies(stmt):
            stack.extend(reversed(inner))


def inner_bodies(stmt: ast.Stmt) -> tuple[tuple[ast.Stmt, ...], ...]:
    match stmt:
        case ast.If():
            return stmt.then, stmt.orelse
        case ast.While() | ast.For():
            return (stmt.body,)
    return ()


def assigned(body: tuple[ast.Stmt, ...]) -> set[str]:
    """Names that some statement of `body` may assign."""
    names: set[str] = set()
    for stmt in statements(body):
        match stmt:
            case ast.Assign() | ast.IfDef():
                names.add(stmt.target.name)
            case ast.MultiAssign():
                names.update(t.name for t in stmt.targets)
            case ast.For():
                names.add(stmt.var)
    return names


def has_loop(body: tuple[ast.Stmt, ...]) -> bool:
    return any(isinstance(s, (ast.While, ast.For)) for s in statements(body))


def calls(expr: ast.Expr) -> Iterator[ast.Call]:
    """Calls inside an expression, innermost first, left to right."""
    out: list[ast.Call] = []
    stack: list[ast.Expr | ast.Range | None] = [expr]
    while stack:
        node = stack.pop()
        match node:
            case ast.Call():
                out.append(node)
                stack.extend(a.value for a in node.args)
            case ast.Binary():
                stack += (node.left, node.right)
            case ast.Unary():
                stack.append(node.operand)
            case ast.Index():
                stack += (node.rows, node.cols)
            case ast.Range():
                stack += (node.lower, node.upper)
            case ast.ListLiteral():
                stack.extend(node.items)
    return reversed(out)
