"""A syntax tree as one short line, for tests that say exactly what a text means."""

from __future__ import annotations

from dmlite.lang import nodes as n
from dmlite.lang.parser import parse


def statements(text: str) -> list[str]:
    return [show(item) for item in parse(text).body]


def expression(text: str) -> str:
    (statement,) = parse(f"x = {text}").body
    return show(statement.value)


def show(node) -> str:
    match node:
        case None:
            return "_"
        case tuple():
            return "{" + "; ".join(map(show, node)) + "}"
        case n.Literal(value):
            return {True: "TRUE", False: "FALSE"}[value] if isinstance(value, bool) else repr(value)
        case n.Name(name):
            return name
        case n.Dollar(name):
            return "$" + name
        case n.Unary(op, operand):
            return f"({op} {show(operand)})"
        case n.Binary(op, left, right):
            return f"({op} {show(left)} {show(right)})"
        case n.Range(lower, upper):
            return show(lower) + (f":{show(upper)}" if upper is not None else "")
        case n.Index(name, rows, cols, comma):
            return f"{name}[{show(rows)}{', ' + show(cols) if comma else ''}]"
        case n.Arg(name, value):
            return f"{name}={show(value)}" if name else show(value)
        case n.Call(name, args, namespace):
            return f"{namespace + '::' if namespace else ''}{name}({', '.join(map(show, args))})"
        case n.ListLiteral(items):
            return f"[{', '.join(map(show, items))}]"
        case n.Assign(target, value, accumulate):
            return f"{show(target)} {'+=' if accumulate else '='} {show(value)}"
        case n.IfDef(target, param, default):
            return f"{show(target)} = ifdef(${param}, {show(default)})"
        case n.MultiAssign(targets, call):
            return f"<{', '.join(map(show, targets))}> = {show(call)}"
        case n.CallStmt(call):
            return show(call)
        case n.If(cond, then, orelse):
            return f"if {show(cond)} {show(then)} else {show(orelse)}"
        case n.While(cond, body):
            return f"while {show(cond)} {show(body)}"
        case n.For(var, start, stop, step, seq, body, parallel, options):
            word = "parfor" if parallel else "for"
            kind = "seq" if seq else "range"
            return f"{word} {var} {kind} {show(start)} {show(stop)} {show(step)} [{', '.join(map(show, options))}] {show(body)}"
        case n.Import(path, alias):
            return f"source {path!r} {alias}"
        case n.SetWd(path):
            return f"setwd {path!r}"
        case n.Param(name, type_, default):
            return f"{type_} {name}" + (f" = {show(default)}" if default is not None else "")
        case n.Function(name, params, returns, body):
            return f"{name}({', '.join(map(show, params))}) -> ({', '.join(map(show, returns))}) {show(body)}"
    raise TypeError(node)
