"""AST to DML text in one canonical form: parsing it again gives an equal tree, and no comment is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dmlite.errors import Span
from dmlite.lang import nodes as n
from dmlite.lang.layout import END, Layout, Place, start

INDENT = "    "
WIDTH = 100

# Binding strength, loosest first; operands of an operator must bind at least as tightly as its row of SIDES says.
LOOSEST, NOT, UNARY, OPERAND = 0, 3, 9, 11
STRENGTH = {
    **dict.fromkeys(("|", "||"), 1),
    **dict.fromkeys(("&", "&&"), 2),
    **dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), 4),
    **dict.fromkeys(("+", "-"), 5),
    **dict.fromkeys(("*", "/"), 6),
    **dict.fromkeys(("%%", "%/%"), 7),
    "%*%": 8,
    "^": 10,
}
ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n", "\t": r"\t", "\r": r"\r", "\b": r"\b", "\f": r"\f"})

Part = str | tuple[n.Expr, int]


def to_dml(node: n.Script | n.Stmt | n.Function | n.Expr) -> str:
    """The node as DML text; a script keeps its comments and single blank lines, and ends with a newline."""
    if isinstance(node, n.Script):
        printer = _Printer(Layout(node) if node.span and node.span.source.text else None)
        printer.body(node.body, END)
        return "".join(f"{line}\n" for line in printer.lines)
    if isinstance(node, n.Stmt | n.Function):
        printer = _Printer(None)
        printer.body((node,), END)
        return "\n".join(printer.lines)
    return _expression(node)


# ---------------------------------------------------------------- expressions
def _expression(root: n.Expr, strength: int = LOOSEST) -> str:
    """Without recursion: chains of thousands of operators are legal."""
    texts: list[str] = []
    stack: list[Part] = [(root, strength)]
    while stack:
        part = stack.pop()
        if isinstance(part, str):
            texts.append(part)
        else:
            stack.extend(reversed(_parts(*part)))
    return "".join(texts)


def _parts(node: n.Expr, needed: int) -> list[Part]:
    """The text of a node with its operands still to be printed, each with the strength it needs there."""
    match node:
        case n.Literal(value):
            text = _literal(value)
            return [f"({text})" if text[0] == "-" and needed > UNARY else text]
        case n.Name(name):
            return [name]
        case n.Dollar(name):
            return ["$" + name]
        case n.Unary(op, operand):
            strength, inner = (NOT, NOT) if op == "!" else (UNARY, OPERAND if _signed(op, operand) else UNARY)
            parts: list[Part] = [op, (operand, inner)]
            if inner == OPERAND:
                parts = [op, "(", (operand, LOOSEST), ")"]
        case n.Binary(op, left, right):
            strength = STRENGTH[op]
            power = op == "^"
            parts = [(left, OPERAND if power else strength), op if power else f" {op} ", (right, UNARY if power else strength + 1)]
        case n.Index(name, rows, cols, comma):
            return [name, "[", *_range(rows), *([", ", *_range(cols)] if comma else []), "]"]
        case n.Call(name, args, namespace):
            return [f"{namespace}::{name}(" if namespace else f"{name}(", *_commas([_argument(arg) for arg in args]), ")"]
        case n.ListLiteral(items):
            return ["[", *_commas([[(item, LOOSEST)] for item in items]), "]"]
    return ["(", *parts, ")"] if strength < needed else parts


def _signed(op: str, operand: n.Expr) -> bool:
    """Whether a sign before the operand would run into it: `--x`, or a minus that would join a literal."""
    if isinstance(operand, n.Literal):
        return _literal(operand.value)[0] == "-" or (op == "-" and type(operand.value) in (int, float))
    return isinstance(operand, n.Unary) and operand.op != "!"


def _argument(arg: n.Arg) -> list[Part]:
    return [f"{arg.name}=", (arg.value, LOOSEST)] if arg.name else [(arg.value, LOOSEST)]


def _range(range_: n.Range | None) -> list[Part]:
    """Computed bounds get parentheses: `:` is the loosest operator here, but the tightest in R."""
    if range_ is None:
        return []
    if range_.upper is None:
        return [(range_.lower, LOOSEST)]
    return [(range_.lower, UNARY), ":", (range_.upper, UNARY)]


def _commas(items: Sequence[list[Part]]) -> list[Part]:
    parts: list[Part] = []
    for at, item in enumerate(items):
        parts += [", ", *item] if at else item
    return parts


def _literal(value: int | float | str | bool) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, str):
        return f'"{value.translate(ESCAPES)}"'
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    return repr(value).replace("inf", "1e999")


def _call_text(call: n.Call) -> str:
    return f"{call.namespace}::{call.name}(" if call.namespace else f"{call.name}("


# ---------------------------------------------------------------- statements
class _Printer:
    """Writes lines; with a layout, comments are put in at their places on the way."""

    def __init__(self, layout: Layout | None):
        self.layout = layout
        self.lines: list[str] = []
        self.depth = 0
        self.source_line = 0  # where the last thing printed ended in the source, 0 at the start of a block
        self.commented = False  # whether the last line ends in a `#` comment

    def line(self, text: str) -> None:
        self.lines.append(INDENT * self.depth + text)
        self.commented = False

    # ---------------------------------------------------------------- comments
    def comments(self, before: Place, inside: bool = False) -> None:
        """Print what comes before that place; `inside` a statement all of it goes to lines of its own."""
        while self.layout and (comment := self.layout.take(before)):
            own_line = comment.own_line or inside or self.commented or not self.lines
            if own_line:
                if not inside:
                    self.blank(comment.span)
                self.line(self.shifted(comment))
            else:
                self.lines[-1] += "  " + comment.text
            self.commented = comment.text.startswith("#")
            if not inside and (own_line or self.source_line):  # a comment after a header leaves the block at its start
                self.source_line = comment.span.end_line

    def shifted(self, comment: n.Comment) -> str:
        """The comment with its further lines moved along with its first."""
        first, *rest = comment.text.split("\n")
        shift = len(INDENT) * self.depth - (comment.span.col - 1) if comment.own_line else 0
        moved = [" " * shift + line if shift > 0 and line.strip() else _outdent(line, -shift) for line in rest]
        return "\n".join([first, *moved])

    def blank(self, span: Span) -> None:
        """One empty line where the source has some."""
        if self.layout and 0 < self.source_line < span.line - 1:
            self.lines.append("")

    # ---------------------------------------------------------------- blocks
    def body(self, items: Sequence[n.Stmt | n.Function], end: Place) -> None:
        self.source_line = 0
        for item in items:
            self.statement(item)
        self.comments(end)

    def block(self, items: Sequence[n.Stmt], end: Place, header: str) -> None:
        """A braced block after its header; whoever calls closes it."""
        self.line(header + " {" if header else "{")
        self.depth += 1
        self.body(items, end)
        self.depth -= 1

    def statement(self, item: n.Stmt | n.Function) -> None:
        layout = self.layout
        if layout:
            self.comments(start(item.span))
            self.blank(item.span)
        match item:
            case n.Function():
                self.function(item)
            case n.If():
                self.branches(item)
            case n.While() | n.For():
                end = layout.block_end(layout.closing(start(item.span), "LPAR")) if layout else END
                self.block(item.body, end, self.header(item))
                self.line("}")
            case _:
                self.simple(item)
        if layout:
            self.source_line = item.span.end_line
            if isinstance(item, n.Function | n.If | n.While | n.For):
                return
            self.trailing(layout.after(item.span))

    def trailing(self, before: Place) -> None:
        """Comments at the end of the line just printed."""
        while self.layout and self.layout.pending(before) and not self.layout.comments[-1].own_line:
            self.comments(_next(start(self.layout.comments[-1].span)))

    def branches(self, item: n.If) -> None:
        """`if`, and as `else if` every further one that stands alone in an else branch."""
        layout = self.layout
        header = "if"
        while True:
            end = layout.block_end(layout.closing(start(item.span), "LPAR")) if layout else END
            self.block(item.then, end, f"{header} ({_expression(item.cond)})")
            header = "} else if"
            if len(item.orelse) == 1 and isinstance(item.orelse[0], n.If):
                item = item.orelse[0]
                continue
            if item.orelse:
                end = layout.block_end(layout.after(item.then[-1].span) if item.then else end) if layout else END
                self.block(item.orelse, end, "} else")
            self.line("}")
            return

    def header(self, item: n.While | n.For) -> str:
        if isinstance(item, n.While):
            return f"while ({_expression(item.cond)})"
        bounds = [item.start, item.stop, *([item.step] if item.step else [])]
        if item.seq:
            over = f"seq({', '.join(map(_expression, bounds))})"
        else:
            over = ":".join(_expression(bound, UNARY) for bound in bounds)
        options = "".join(f", {option.name}={_expression(option.value)}" for option in item.options)
        return f"{'parfor' if item.parallel else 'for'} ({item.var} in {over}{options})"

    # ---------------------------------------------------------------- simple statements and functions
    def simple(self, item: n.Stmt) -> None:
        """On one line; a call that is too long or has comments between its arguments gets a line for each."""
        left, value = _sides(item)
        if isinstance(value, n.Call) and value.args:
            end = self.layout.closing(start(value.span), "LPAR") if self.layout else END
            self.line(self.items(left + _call_text(value), [(arg, _argument_text(arg)) for arg in value.args], end) + ")")
            return
        if self.layout:
            self.comments((item.span.end_line, item.span.end_col), inside=True)
        self.line(left + (value if isinstance(value, str) else _expression(value)))

    def function(self, item: n.Function) -> None:
        layout = self.layout
        begin = start(item.span)
        line = f"{item.name} = function("
        end = layout.closing(begin, "LPAR") if layout else END
        line = self.items(line, [(param, _parameter(param)) for param in item.params], end) + ")"
        if item.returns:
            end = layout.closing(_next(end), "LPAR") if layout else END
            line = self.items(line + " return (", [(output, _parameter(output)) for output in item.returns], end) + ")"
        end = layout.closing(begin, "LBRACE") if layout else END
        self.block(item.body, end, line)
        self.line("}")

    def items(self, line: str, items: Sequence[tuple[n.Arg | n.Param, str]], end: Place) -> str:
        """Continue `line` with the items; when that does not fit, or comments stand between, print a line for each.

        Returns the line that is still open.
        """
        joined = line + ", ".join(text for _, text in items)
        commented = self.layout is not None and self.layout.pending(end)
        if not commented and (len(joined) + len(INDENT) * self.depth < WIDTH or len(items) < 2):
            return joined
        self.line(line)
        self.depth += 1
        self.source_line = 0
        for at, (item, text) in enumerate(items, start=1):
            if self.layout:
                self.comments(start(item.span))
            self.line(text + ("," if at < len(items) else ""))
            self.source_line = 0
        self.comments(end)
        self.depth -= 1
        return ""


def _sides(item: n.Stmt) -> tuple[str, str | n.Expr]:
    """A simple statement as the text up to its value, and the value."""
    match item:
        case n.Import(path, alias):
            return "", f"source({_literal(path)}) as {alias}"
        case n.SetWd(path):
            return "", f"setwd({_literal(path)})"
        case n.IfDef(target, param, default):
            return f"{_expression(target)} = ", f"ifdef(${param}, {_expression(default)})"
        case n.MultiAssign(targets, call):
            return f"[{', '.join(map(_expression, targets))}] = ", call
        case n.CallStmt(call):
            return "", call
        case n.Assign(target, value, accumulate):
            return f"{_expression(target)} {'+=' if accumulate else '='} ", value
    raise TypeError(f"not a simple statement: {item!r}")


def _parameter(param: n.Param) -> str:
    default = f" = {_expression(param.default)}" if param.default is not None else ""
    return f"{param.type} {param.name}{default}"


def _argument_text(arg: n.Arg) -> str:
    return f"{arg.name}={_expression(arg.value)}" if arg.name else _expression(arg.value)


def _outdent(line: str, columns: int) -> str:
    blanks = len(line) - len(line.lstrip(" \t"))
    return line[min(blanks, max(columns, 0)) :]


def _next(place: Place) -> Place:
    return place[0], place[1] + 1
