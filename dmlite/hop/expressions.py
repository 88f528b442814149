"""Expressions of the AST to HOPs: operators, indexing, builtin calls; kinds are checked on the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dmlite.errors import Span, did_you_mean
from dmlite.hop import scan
from dmlite.hop.builder import READS
from dmlite.hop.facts import Fact
from dmlite.hop.kinds import ABSENT, check_operands, describe, fits, paired
from dmlite.hop.node import Hop, fresh_tag, literal
from dmlite.hop.ops import BY_NAME, candidates, spellings
from dmlite.hop.ops.row import Op
from dmlite.lang import nodes as ast
from dmlite.lang.arguments import bind, bind_builtin, formals_of

if TYPE_CHECKING:
    from dmlite.hop.lower import Lowerer

CONSTANTS = {"NaN": math.nan, "Inf": math.inf, "pi": math.pi}
_UNARY = {"-": "neg", "!": "not_"}
_INDEX_HINTS = {
    "matrix": "use as.scalar(...), or a table(...) product to gather rows",
    "list": "take an element out with as.scalar(L[i])",
    "literals": "an index has one pair of brackets, X[rows, columns]; elements of a list are as.scalar(L[i]) or as.matrix(L[i])",
}
# Operators whose arguments are lowered in order of the text and whose call is itself an effect.
_ROOTED = frozenset({"eval", "evalList"})


def lower_expr(lo: Lowerer, expr: ast.Expr) -> Hop:
    """The node of `expr` in the open block; calls inside it that may print are made first, in order."""
    for call in scan.calls(expr):
        if lo.calls.resolve(call) is not None:
            lo.calls.hoist(call)
        elif call.namespace is None and call.name in _ROOTED:
            lo.calls.keep(call, builtin_call(lo, call))
    return _lower(lo, expr)


def _lower(lo: Lowerer, expr: ast.Expr) -> Hop:
    match expr:
        case ast.Literal():
            return literal(expr.value)
        case ast.Name():
            return _name(lo, expr)
        case ast.Dollar():
            given = lo.context.dollar
            return literal(given[expr.name]) if expr.name in given else lo.builder.read(lo.scope, f"${expr.name}")
        case ast.Unary():
            operand = _lower(lo, expr.operand)
            return operand if expr.op == "+" else _apply(lo, BY_NAME[_UNARY[expr.op]], [operand], expr.span, [expr.operand.span])
        case ast.Binary():
            return _binary_spine(lo, expr)
        case ast.Index():
            return lower_index(lo, lo.builder.read(lo.scope, expr.name, expr.span), expr)
        case ast.Call():
            hoisted = lo.calls.take_hoisted(expr)
            return hoisted if hoisted is not None else builtin_call(lo, expr)
        case ast.ListLiteral():
            items = [_lower(lo, item) for item in expr.items]
            if all(i.is_literal for i in items):
                return literal(tuple(i.value for i in items))
            return lo.builder.make("literals", items, expr.span)
    raise AssertionError(f"unknown expression {type(expr).__name__}")


def _name(lo: Lowerer, expr: ast.Name) -> Hop:
    if expr.name in CONSTANTS and expr.name not in lo.scope.vars:
        return literal(CONSTANTS[expr.name])
    return lo.builder.read(lo.scope, expr.name, expr.span)


def _binary_spine(lo: Lowerer, expr: ast.Binary) -> Hop:
    """Left-deep chains such as `a + b + c + ...` are walked without recursion."""
    spine: list[ast.Binary] = []
    node: ast.Expr = expr
    while isinstance(node, ast.Binary):
        spine.append(node)
        node = node.left
    left = _lower(lo, node)
    for binary in reversed(spine):
        right = _lower(lo, binary.right)
        rows = candidates(binary.op)
        if not rows:  # && and ||: reported by the checker
            return left
        left = _apply(lo, rows[0], [left, right], binary.span, [binary.left.span, binary.right.span])
    return left


def _apply(lo: Lowerer, row: Op, args: list[Hop], span: Span, spans: Sequence[Span | None] = ()) -> Hop:
    """A node of a table row; folded to a literal when every operand is one. `spans`: where the operands stand."""
    check_operands(row, args, lo.builder.facts, spans, span, lo.problems)
    if args and not row.effect and all(a.is_literal for a in args):
        folded = lo.context.fold(row, [a.value for a in args])
        if folded is not None:
            return literal(folded)
    tag = fresh_tag() if row.effect else 0
    hop = lo.builder.make(row.name, args, span, tag=tag)
    if row.effect and (not row.returns or row.name in _ROOTED):
        lo.builder.effect(hop)
    return hop


# ---------------------------------------------------------------- indexing
def lower_index(lo: Lowerer, target: Hop, index: ast.Index) -> Hop:
    check_indexed(lo, target, index)
    return lo.builder.make("index", [target, *bounds(lo, index, lo.builder.facts[target])], index.span)


def check_indexed(lo: Lowerer, target: Hop, index: ast.Index) -> None:
    """Report an index of something that has no parts."""
    fact = lo.builder.facts[target]
    if fact.is_scalar:
        lo.problems.add(f"'{index.name}' is {describe(fact)} and has no parts", index.span, "only matrices and lists can be indexed")


def bounds(lo: Lowerer, index: ast.Index, of: Fact) -> list[Hop]:
    """Lower and upper row bound, lower and upper column bound, of a value with these facts; absent ones are the literal None."""
    out: list[Hop] = []
    for part in (index.rows, index.cols):
        for bound in (part.lower, part.upper) if part is not None else (None, None):
            hop = ABSENT if bound is None else _lower(lo, bound)
            fact = lo.builder.facts[hop]
            if bound is not None and fact.kind in _INDEX_HINTS:
                lo.problems.add(f"an index must be a scalar, not {describe(fact)}", bound.span, _INDEX_HINTS[fact.kind])
            elif bound is not None and fact.vtype == "string" and of.is_matrix:
                message = f"an index of a matrix must be a number, not {describe(fact)}"
                lo.problems.add(message, bound.span, "only elements of lists have names")
            out.append(hop)
    return out


# ---------------------------------------------------------------- builtin calls
def builtin_call(lo: Lowerer, call: ast.Call) -> Hop:
    """A call of a table row; the first row of that spelling whose parameters fit is taken."""
    if call.name == "exists":
        return _exists(lo, call)
    if call.name == "list":
        return _list(lo, call)
    rows = candidates(call.name) if call.namespace is None else []
    if lo.context.internal and not rows and call.name in BY_NAME:
        rows = [BY_NAME[call.name]]
    if not rows:
        if not lo.problems.found:
            lo.problems.add(f"function '{call.name}' is not defined", call.span, did_you_mean(call.name, spellings()))
        return literal(math.nan)
    lowered = {id(a.value): _lower(lo, a.value) for a in call.args}
    bound = [(row, exprs) for row in rows if (exprs := bind_builtin(row, call)) is not None]
    if not bound:
        lo.problems.found.extend(p for p in bind(call, formals_of(rows[0])).problems.found if p not in lo.problems.found)
        return literal(math.nan)
    for unknown_fits in (False, True):  # a row made for the unknown kind comes before one that might fit
        for row, exprs in bound:
            args = _fill_defaults(row, exprs, lowered)
            if all(fits(p, a, lo.builder.facts[a], unknown_fits) for p, a in paired(row, args)):
                return _known_size(lo, row, args) or _finish(lo, row, args, call)
    row, exprs = bound[0]
    return _apply(lo, row, _fill_defaults(row, exprs, lowered), call.span, [e and e.span for e in exprs])


def _finish(lo: Lowerer, row: Op, args: list[Hop], call: ast.Call) -> Hop:
    hop = _apply(lo, row, args, call.span)
    if row.name in READS:
        lo.read_facts(hop, row, args, call.span)
    return hop


def _fill_defaults(row: Op, exprs: list[ast.Expr | None], lowered: dict[int, Hop]) -> list[Hop]:
    """Operands in parameter order; a missing one becomes its default."""
    out: list[Hop] = []
    for position, expr in enumerate(exprs):
        if expr is not None:
            out.append(lowered[id(expr)])
        else:
            out.append(literal(row.parameters[position].default))
    return out


def _known_size(lo: Lowerer, row: Op, args: list[Hop]) -> Hop | None:
    """`nrow`, `ncol` and `length` of a matrix of known shape are constants."""
    if row.name not in ("nrow", "ncol", "length"):
        return None
    fact = lo.builder.facts[args[0]]
    size = {"nrow": fact.rows, "ncol": fact.cols, "length": fact.cells}[row.name] if fact.is_matrix else None
    return None if size is None else literal(size)


def _exists(lo: Lowerer, call: ast.Call) -> Hop:
    """Whether a variable is bound here: decided now, or at run time when it depends on the path."""
    value = call.args[0].value if call.args else None
    name = value.name if isinstance(value, ast.Name) else value.value if isinstance(value, ast.Literal) else None
    if not isinstance(name, str):
        lo.problems.add("exists takes a variable or its name as a string literal", call.span)
        return literal(False)
    variable = lo.scope.vars.get(name)
    if variable is None or not variable.maybe_unset:
        return literal(variable is not None)
    return lo.builder.make("is_set", [lo.builder.read(lo.scope, name, checked=False)], call.span)


def _list(lo: Lowerer, call: ast.Call) -> Hop:
    names = tuple(a.name for a in call.args) if any(a.name for a in call.args) else ()
    items = [_lower(lo, a.value) for a in call.args]
    return lo.builder.make("list", [literal(names), *items], call.span)
