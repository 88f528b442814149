"""Parse actions: what each rule of `dml.lark` becomes. Every method takes the span of its construct, then its parts."""

from __future__ import annotations

import re
from typing import Any

from dmlite.errors import Problems, Span
from dmlite.lang import nodes as n
from dmlite.lang.lexer import Token

MAX_INTEGER = 2**63 - 1
ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r", '"': '"', "'": "'", "\\": "\\"}
DATA_TYPES = ("matrix", "frame", "list", "scalar")
VALUE_TYPES = {"int": "int", "integer": "int", "string": "string", "boolean": "boolean", "double": "double", "unknown": "unknown"}


class Builder:
    """Builds the tree of one script; what is well-formed but not allowed goes to `problems`."""

    def __init__(self, problems: Problems):
        self.problems = problems

    # ---------------------------------------------------------------- statements
    def start(self, span: Span, *items: n.Stmt | n.Function) -> n.Script:
        return n.Script(items, span=span)

    def assign(self, span: Span, target: Any, value: n.Expr) -> n.Assign:
        return n.Assign(_target(target), value, span=span)

    def accumulate(self, span: Span, target: Any, value: n.Expr) -> n.Assign:
        return n.Assign(_target(target), value, accumulate=True, span=span)

    def ifdef(self, span: Span, target: Any, param: Token, default: n.Expr) -> n.IfDef:
        return n.IfDef(_target(target), param.text[1:], default, span=span)

    def multi_assign(self, span: Span, *parts: Any) -> n.MultiAssign:
        return n.MultiAssign(tuple(_target(part) for part in parts[:-1]), parts[-1], span=span)

    def call_stmt(self, span: Span, call: n.Call) -> n.CallStmt:
        return n.CallStmt(call, span=span)

    def import_(self, span: Span, path: Token, alias: Token) -> n.Import:
        return n.Import(self._decode(path), alias.text, span=span)

    def setwd(self, span: Span, path: Token) -> n.SetWd:
        return n.SetWd(self._decode(path), span=span)

    def block(self, span: Span, *body: n.Stmt) -> tuple[n.Stmt, ...]:
        return body

    body = block

    def if_(self, span: Span, cond: n.Expr, then: tuple[n.Stmt, ...], orelse: tuple[n.Stmt, ...] | None) -> n.If:
        return n.If(cond, then, orelse or (), span=span)

    def while_(self, span: Span, cond: n.Expr, body: tuple[n.Stmt, ...]) -> n.While:
        return n.While(cond, body, span=span)

    def for_(self, span: Span, var: Token, bounds: tuple[Any, ...], *rest: Any, parallel: bool = False) -> n.For:
        start, stop, step, seq = bounds
        return n.For(var.text, start, stop, step, seq, rest[-1], parallel, rest[:-1], span=span)

    def parfor(self, span: Span, *parts: Any) -> n.For:
        return self.for_(span, *parts, parallel=True)

    def option(self, span: Span, name: Token, value: n.Expr) -> n.Arg:
        return n.Arg(name.text, value, span=span)

    def iterable(self, span: Span, first: n.Expr, last: n.Expr | None) -> tuple[n.Expr, n.Expr, n.Expr | None, bool]:
        """(start, stop, step, whether written as seq)."""
        if last is not None:
            return first, last, None, False
        if isinstance(first, n.Call) and first.name == "seq" and first.namespace is None:
            given = dict(zip(("from", "to", "incr"), first.args, strict=False))
            given.update({arg.name: arg for arg in first.args if arg.name})
            if 2 <= len(first.args) == len(given) <= 3 and "from" in given and "to" in given:
                step = given.get("incr")
                return given["from"].value, given["to"].value, step.value if step else None, True
            self.problems.add("a loop over seq() takes seq(from, to) or seq(from, to, increment)", span)
        else:
            hint = "to visit all rows, write for (i in 1:nrow(X))"
            self.problems.add("a loop runs over from:to or seq(from, to, increment), not over any other value", span, hint)
        return first, first, None, False

    # ---------------------------------------------------------------- functions
    def function(self, span: Span, name: Token, params: Any, returns: Any, body: tuple[n.Stmt, ...]) -> n.Function:
        for output in returns or ():
            if output.default is not None:
                self.problems.add(f"the output '{output.name}' cannot have a default value", output.span, "assign it in the body")
        return n.Function(name.text, params, returns or (), body, span=span)

    def external(self, span: Span, name: Token, params: Any, returns: Any, *_options: n.Arg) -> n.Function:
        hint = "write it as a DML function, or compute its result in Python and pass it in as an input"
        self.problems.add(f"'{name.text}' is an external (Java) function, which cannot be run here", span, hint)
        return n.Function(name.text, params, returns or (), (), span=span)

    def params(self, span: Span, *params: n.Param) -> tuple[n.Param, ...]:
        return params

    def param(self, span: Span, type_: n.DataType, name: Token, default: n.Expr | None) -> n.Param:
        return n.Param(name.text, type_, default, span=span)

    def type(self, span: Span, first: Token, value: Token | None = None) -> n.DataType:
        if first.kind == "VALUE_TYPE":
            return n.DataType("scalar", VALUE_TYPES[first.text.lower()])
        data = first.text[0].lower() + first.text[1:]
        if data not in DATA_TYPES:
            hint = "a type is matrix[double], frame[string], list[unknown], double, int, boolean or string"
            self.problems.add(f"'{first.text}' is not a type", first.span, hint)
        elif value is None:
            kind = {"frame": "string", "list": "unknown"}.get(data, "double")
            self.problems.add(f"the type '{first.text}' needs a value type", first.span, f"write {first.text}[{kind}]")
        elif data == "matrix" and VALUE_TYPES[value.text.lower()] != "double":
            self.problems.add(f"a matrix holds doubles, not {value.text}", value.span, f"write {first.text}[double]")
        return n.DataType(data, VALUE_TYPES[value.text.lower()] if value else "unknown")

    # ---------------------------------------------------------------- expressions
    def binary(self, span: Span, left: n.Expr, op: Token, right: n.Expr) -> n.Binary:
        return n.Binary(op.text, left, right, span=span)

    def unary(self, span: Span, op: Token, operand: n.Expr) -> n.Unary:
        return n.Unary(op.text, operand, span=span)

    def signed_number(self, span: Span, sign: Token, digits: Token) -> n.Expr:
        """A minus becomes part of the literal; `-2^2` never comes here, since `^` binds first."""
        if sign.text == "+":
            return n.Unary("+", self.number(digits.span, digits), span=span)
        if digits.kind == "DOUBLE":
            return n.Literal(-float(digits.text), span=span)
        return n.Literal(-self._integer(digits, MAX_INTEGER + 1), span=span)

    def number(self, span: Span, digits: Token) -> n.Literal:
        value = float(digits.text) if digits.kind == "DOUBLE" else self._integer(digits, MAX_INTEGER)
        return n.Literal(value, span=span)

    def string(self, span: Span, token: Token) -> n.Literal:
        return n.Literal(self._decode(token), span=span)

    def boolean(self, span: Span, token: Token) -> n.Literal:
        return n.Literal(token.text == "TRUE", span=span)

    def dollar(self, span: Span, token: Token) -> n.Dollar:
        return n.Dollar(token.text[1:], span=span)

    def name(self, span: Span, token: Token) -> n.Name:
        return n.Name(token.text, span=span)

    def parenthesis(self, span: Span, inner: n.Expr) -> n.Expr:
        return inner

    def list_literal(self, span: Span, *items: n.Expr) -> n.ListLiteral:
        return n.ListLiteral(items, span=span)

    def indexed(self, span: Span, name: Token, rows: n.Range | None, *columns: Any) -> n.Index:
        """`columns` is empty, or the comma and the column range."""
        return n.Index(name.text, rows, columns[1] if columns else None, bool(columns), span=span)

    def range(self, span: Span, lower: n.Expr, upper: n.Expr | None) -> n.Range:
        return n.Range(lower, upper, span=span)

    def call(self, span: Span, name: Token, *args: n.Arg) -> n.Call:
        namespace, _, function = name.text.rpartition("::")
        return n.Call(function, args, namespace or None, span=span)

    def arg(self, span: Span, name: Token | None, value: n.Expr) -> n.Arg:
        return n.Arg(name.text if name else None, value, span=span)

    # ---------------------------------------------------------------- literals
    def _integer(self, digits: Token, limit: int) -> int:
        if len(digits.text.lstrip("0")) > 19 or int(digits.text) > limit:
            self.problems.add(f"the integer {digits.text} is too large", digits.span, f"the largest is {MAX_INTEGER}; write it as a double")
            return 0
        return int(digits.text)

    def _decode(self, token: Token) -> str:
        """The characters a string literal stands for."""
        text = token.text[1:-1]
        if "\\" not in text:
            return text

        def character(match: re.Match[str]) -> str:
            if match[1] not in ESCAPES:
                self.problems.add(f"a string cannot contain '{match[0]}'", token.span, "write \\\\ for a backslash")
            return ESCAPES.get(match[1], "")

        return re.sub(r"\\(.)", character, text, flags=re.DOTALL)


def _target(part: Token | n.Index) -> n.Target:
    return n.Name(part.text, span=part.span) if isinstance(part, Token) else part
