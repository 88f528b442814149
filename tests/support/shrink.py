"""Makes a failing program small: statements are deleted, blocks unwrapped, expressions replaced by their parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

from dmlite.errors import DMLError
from dmlite.lang import nodes as ast
from dmlite.lang.parser import parse
from dmlite.lang.printer import to_dml
from dmlite.lang.walk import children

SIMPLE = (ast.Literal, ast.Name)


def shrink(text: str, fails: Callable[[str], bool], seconds: float = 20.0) -> str:
    """A program that still `fails` and in which no single deletion or simplification keeps the failure."""
    end = time.monotonic() + seconds
    script = parse(text)
    best = to_dml(script)
    if not fails(best):
        return text
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for candidate in _smaller(parse(best)):
            if time.monotonic() > end:
                break
            try:
                small = to_dml(candidate)
                parse(small)
            except (DMLError, ValueError, AttributeError):
                continue
            if len(small) < len(best) and fails(small):
                best, progress = small, True
                break
    return best


def _smaller(node: Any) -> Iterator[Any]:
    """Every tree with one thing less, coarse changes first."""
    yield from _bodies(node)
    yield from _rewritten(node, lambda n: isinstance(n, ast.Expr) and not isinstance(n, SIMPLE), _simpler)


def _bodies(node: Any) -> Iterator[Any]:
    for name, block in _blocks(node):
        for size in sorted({max(1, len(block) // 2), 2, 1}, reverse=True):
            for at in range(0, len(block), size):
                yield replace(node, **{name: block[:at] + block[at + size :]})
        for at, stmt in enumerate(block):
            for inner in _unwrapped(stmt):
                yield replace(node, **{name: block[:at] + inner + block[at + 1 :]})
            for smaller in _bodies(stmt):
                yield replace(node, **{name: (*block[:at], smaller, *block[at + 1 :])})


def _blocks(node: Any) -> list[tuple[str, tuple[Any, ...]]]:
    names = {"Script": ("body",), "Function": ("body",), "If": ("then", "orelse"), "While": ("body",), "For": ("body",)}
    return [(n, getattr(node, n)) for n in names.get(type(node).__name__, ())]


def _unwrapped(stmt: Any) -> Iterator[tuple[Any, ...]]:
    for _, block in _blocks(stmt) if not isinstance(stmt, ast.Function) else ():
        yield block


def _simpler(expr: Any) -> Iterator[Any]:
    yield from children(expr)
    for value in (0, 1, 2):
        yield ast.Literal(value, span=expr.span)
    if isinstance(expr, ast.Call) and expr.name != "matrix":
        yield ast.Call("matrix", tuple(ast.Arg(None, ast.Literal(2, span=expr.span), span=expr.span) for _ in range(3)), span=expr.span)


def _rewritten(node: Any, wanted: Callable[[Any], bool], change: Callable[[Any], Iterator[Any]]) -> Iterator[Any]:
    """Trees in which one wanted node is changed."""
    if wanted(node):
        yield from change(node)
    if not is_dataclass(node):
        return
    for f in fields(node):
        if f.name in ("span", "comments", "type"):
            continue
        value = getattr(node, f.name)
        if isinstance(value, tuple):
            for at, item in enumerate(value):
                for new in _rewritten(item, wanted, change):
                    yield replace(node, **{f.name: (*value[:at], new, *value[at + 1 :])})
        elif is_dataclass(value):
            for new in _rewritten(value, wanted, change):
                yield replace(node, **{f.name: new})
