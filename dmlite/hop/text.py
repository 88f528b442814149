"""HOP <-> text: every node can be written as DML, and what DML can say is read back as the same node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Final

from dmlite.errors import Problems, Source, Span
from dmlite.hop.builder import Variable
from dmlite.hop.facts import Fact
from dmlite.hop.node import HOLE, LITERAL, LIVE_IN, PICK, Hop, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import Op
from dmlite.hop.program import shown
from dmlite.lang import nodes as ast
from dmlite.lang.printer import STRENGTH, to_dml

_NOWHERE: Final = Span(Source("<expression>", ""), 1, 1, 1, 1)
_CUT: Final = ast.Name("...", span=_NOWHERE)
_UNARY: Final = {"neg": "-", "not_": "!"}
_CASTS: Final = {"int": "as.integer", "double": "as.double", "boolean": "as.logical"}


# ---------------------------------------------------------------- HOP -> DML
def hop_to_dml(root: Hop, names: Mapping[Hop, str] | None = None, limit: int | None = None) -> str:
    """The expression that `root` computes, as DML.

    names: nodes below the root that are written as that name instead of in full. limit: the most operators to write;
    what is left out, deepest first, becomes `...`. Operators that no script can spell are written as calls of their name.
    """
    known = {hop: name for hop, name in (names or {}).items() if hop is not root}
    kept = None if limit is None else _nearest(root, known, limit)
    written: dict[Hop, ast.Expr] = {}
    for hop in _inside(root, known):
        if hop in known:
            written[hop] = ast.Name(known[hop], span=_NOWHERE)
        elif kept is not None and hop.args and hop not in kept:
            written[hop] = _CUT
        else:
            written[hop] = _expression(hop, [written.get(a, _CUT) for a in hop.args])
    return to_dml(written[root])


def _inside(root: Hop, known: Mapping[Hop, str]) -> list[Hop]:
    """Nodes from the leaves to the root that are not hidden behind a name."""
    if not known:
        return list(postorder([root]))
    order: list[Hop] = []
    seen: set[Hop] = set()
    stack = [(root, False)]
    while stack:
        hop, expanded = stack.pop()
        if expanded:
            order.append(hop)
        elif hop not in seen:
            seen.add(hop)
            stack.append((hop, True))
            stack.extend((arg, False) for arg in hop.args if hop not in known)
    return order


def _nearest(root: Hop, known: Mapping[Hop, str], limit: int) -> set[Hop]:
    """The operators to write in full. A shared one is written as often as it occurs, so occurrences are what counts."""
    kept: set[Hop] = set()
    level, left = [root], limit
    while level and left >= len(level):
        left -= len(level)
        kept.update(level)
        level = [arg for hop in level for arg in hop.args if arg.args and arg not in known]
    return kept or {root}


def _expression(hop: Hop, args: list[ast.Expr]) -> ast.Expr:
    """One operator over operands that are already written."""
    if hop.op == LITERAL:
        return _constant(hop.value)
    if hop.op in (LIVE_IN, HOLE):
        return ast.Name(shown(hop.value), span=_NOWHERE)
    if hop.op == PICK:
        return ast.Index(
            _operand(args[0]), ast.Range(ast.Literal(hop.value + 1, span=_NOWHERE), span=_NOWHERE), None, comma=False, span=_NOWHERE
        )
    if hop.op in _UNARY:
        return ast.Unary(_UNARY[hop.op], args[0], span=_NOWHERE)
    if hop.op == "index":
        return _indexed(_operand(args[0]), hop.args[1:], args[1:])
    if hop.op == "literals":
        return ast.ListLiteral(tuple(args), span=_NOWHERE)
    if hop.op == "list":
        names = hop.args[0].value or (None,) * (len(args) - 1)
        return ast.Call("list", tuple(ast.Arg(n, a, span=_NOWHERE) for n, a in zip(names, args[1:], strict=True)), span=_NOWHERE)
    if hop.op == "cast_to" and hop.args[1].value in _CASTS:
        return ast.Call(_CASTS[hop.args[1].value], (ast.Arg(None, args[0], span=_NOWHERE),), span=_NOWHERE)
    row = BY_NAME[hop.op]
    if row.dml in STRENGTH and len(args) == 2:
        return ast.Binary(row.dml, args[0], args[1], span=_NOWHERE)
    return ast.Call(_name(row), tuple(_arguments(row, hop, args)), span=_NOWHERE)


def _name(row: Op) -> str:
    """The spelling of scripts where there is one that can be called."""
    return row.dml if row.dml.replace(".", "").replace("_", "").isalnum() else row.name


def _arguments(row: Op, hop: Hop, args: list[ast.Expr]) -> list[ast.Arg]:
    """Required arguments by position, others by name and only where they are not the default."""
    out: list[ast.Arg] = []
    for at, arg in enumerate(args):
        parameter = row.parameters[min(at, len(row.parameters) - 1)]
        if parameter.required or parameter.variadic:
            out.append(ast.Arg(None, arg, span=_NOWHERE))
        elif not _same(hop.args[at], parameter.default):
            out.append(ast.Arg(parameter.name, arg, span=_NOWHERE))
    return out


def _same(hop: Hop, default: Any) -> bool:
    return hop.is_literal and hop.value.__class__ is default.__class__ and repr(hop.value) == repr(default)


def _constant(value: Any) -> ast.Expr:
    if value is None:
        return ast.Name("NULL", span=_NOWHERE)
    if isinstance(value, tuple):
        return ast.ListLiteral(tuple(map(_constant, value)), span=_NOWHERE)
    return ast.Literal(value, span=_NOWHERE)


def _operand(target: ast.Expr) -> str:
    """What is indexed, in parentheses unless it is a name."""
    return target.name if isinstance(target, ast.Name) else f"({to_dml(target)})"


def _indexed(target: str, bounds: tuple[Hop, ...], args: list[ast.Expr]) -> ast.Index:
    ranges: list[ast.Range | None] = []
    for at in (0, 2):
        low, high = bounds[at], bounds[at + 1]
        absent = low.is_literal and low.value is None
        single = high.is_literal and high.value is None
        ranges.append(None if absent else ast.Range(args[at], None if single else args[at + 1], span=_NOWHERE))
    return ast.Index(target, ranges[0], ranges[1], span=_NOWHERE)


# ---------------------------------------------------------------- DML -> HOP
def dml_to_hop(text: str, leaf: Callable[[str], tuple[Hop, Fact]]) -> Hop:
    """The node of a DML expression; `leaf` gives the node and the fact of every name in it.

    Internal operators are written by their table name. Raises DMLError when the text is no legal expression.
    """
    from dmlite.hop.expressions import CONSTANTS
    from dmlite.hop.lower import Context, Lowerer
    from dmlite.lang.modules import Module
    from dmlite.lang.parser import parse
    from dmlite.lang.walk import walk

    script = parse(f"r = {text}", "<expression>")
    (stmt,) = script.body
    assert isinstance(stmt, ast.Assign)
    context = Context(Problems(), {}, lambda row, args: None, _no_files, internal=True)
    lowerer = Lowerer(context, Module(PurePath("<expression>"), script))  # type: ignore[arg-type]
    for name in {e.name for e in walk(stmt.value) if isinstance(e, (ast.Name, ast.Index))} - CONSTANTS.keys():
        hop, fact = leaf(name)
        lowerer.scope.vars[name] = Variable(hop, fact)
        lowerer.builder.facts.known(hop, fact)
    hop = lowerer.expr(stmt.value)
    context.problems.raise_if_any()
    return hop


def _no_files(params: Mapping[str, Any]) -> Fact:
    raise AssertionError("an expression cannot read files")
