"""The syntax tree, as nested objects: {"node": class, "text": its own words, "place": ..., "children": [...]}."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

from dmlite.errors import Span
from dmlite.lang import nodes as ast


def syntax_tree(root: Any) -> dict[str, Any]:
    """The tree below a node of the AST. Without recursion: chains of thousands of operators are legal."""
    made: dict[int, dict[str, Any]] = {}
    stack = [(root, False)]
    while stack:
        node, expanded = stack.pop()
        below = [value for _, value in _parts(node)]
        if expanded:
            made[id(node)] = _element(node, [made[id(child)] for child in below])
        else:
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(below))
    return made[id(root)]


def _parts(node: Any) -> list[tuple[str, Any]]:
    """Child nodes by field, in the order of the text."""
    found: list[tuple[str, Any]] = []
    for field in fields(node):
        value = getattr(node, field.name)
        for item in value if isinstance(value, tuple) else (value,):
            if is_dataclass(item) and not isinstance(item, Span | ast.DataType | ast.Comment):
                found.append((field.name, item))
    return found


def _element(node: Any, children: list[dict[str, Any]]) -> dict[str, Any]:
    span = node.span
    place = {"file": span.source.name, "line": span.line, "col": span.col, "end_line": span.end_line, "end_col": span.end_col}
    return {"node": type(node).__name__, "text": _words(node), "place": place, "children": children}


def _words(node: Any) -> str:
    """What the node holds besides its children."""
    words = []
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, ast.DataType):
            words.append(str(value))
        elif value is True:
            words.append(field.name)
        elif isinstance(value, (str, int, float)) and value is not False:
            words.append(str(value) if isinstance(value, str) and field.name != "value" else repr(value))
    return " ".join(words)
