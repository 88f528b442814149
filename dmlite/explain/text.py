"""A record as text: one operator a line, with where it stands, what it gives, what it takes and how it is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from dmlite.explain.accuracy import size_errors
from dmlite.explain.record import BlockRecord, Graph, Item, Operator, Record, Rewrite, Value
from dmlite.explain.summary import places, summary
from dmlite.explain.words import (
    NOTABLE,
    control_text,
    line_text,
    lines_text,
    runs_text,
    saving_text,
    signature,
    size_text,
    statement,
    table,
    where_text,
)
from dmlite.hop.machine import seconds_text
from dmlite.memory import human

View = Callable[[BlockRecord], Iterator[str]]
_OFF: Final = 1.05  # a q-error from which on it is told
_WIDE: Final = 60  # operators up to this width move what stands beside them


def text_of(record: Record, level: str) -> str:
    """The program at `level`: ast, hops, plan, runtime or trace."""
    return "\n".join([*_head(record, level), *_LEVELS[level](record)]) + "\n"


def _head(record: Record, level: str) -> Iterator[str]:
    yield f"# {record.name}: {level}, optimization level {record.opt_level}"
    if record.run is not None:
        yield f"# ran in {seconds_text(record.run.seconds)}, memory grew by {human(record.run.peak)} at its highest"


# ---------------------------------------------------------------- control flow
def _program(record: Record, view: View, *, statements: bool = False) -> Iterator[str]:
    for function in record.functions:
        yield f"{signature(function)}{f': {function.runs}' if function.runs else ''}"
        if statements:
            yield from (f"  {line}" for line in _statement_lines(record, function.key, None))
        yield from _items(record, function.body, "  ", view)


def _items(record: Record, items: Sequence[Item], indent: str, view: View) -> Iterator[str]:
    for item in items:
        if item["kind"] == "block":
            block = record.blocks[item["number"]]
            lines = list(view(block))
            if lines:
                yield f"{indent}block {block.number}{_block_head(record, block)}"
                yield from (f"{indent}  {line}" for line in lines)
        else:
            yield indent + control_text(item)
            for key in ("test", "body", "then"):
                yield from _items(record, item.get(key, ()), indent + "  ", view)
            if item.get("else"):
                yield f"{indent}else"
                yield from _items(record, item["else"], indent + "  ", view)


def _block_head(record: Record, block: BlockRecord) -> str:
    parts = [lines] if (lines := lines_text(record, block.place)) else []
    if runs := runs_text(block):
        parts.append(runs)
    if block.plans > 1:
        parts.append(f"the heaviest of {block.plans} plans")
    elif record.run is not None and not block.plans:
        parts.append("not run")
    return f": {', '.join(parts)}" if parts else ""


# ---------------------------------------------------------------- operators
def _hops(record: Record) -> Iterator[str]:
    def view(block: BlockRecord) -> Iterator[str]:
        yield from _operators(record, block.hops)

    yield from _program(record, view)


def _plan(record: Record) -> Iterator[str]:
    def view(block: BlockRecord) -> Iterator[str]:
        yield from _operators(record, block.plan)
        statements = list(_statement_lines(record, block.function, block.number))
        if block.rewrites or (statements and block.plan.operators):
            yield _totals(block)
        if block.rewrites or statements:
            yield from (f"  {line}" for line in _beside(block))
            yield from (f"  {line}" for rewrite in block.rewrites for line in _rewrite_lines(record, rewrite))
            yield from (f"  {line}" for line in statements)
        yield from _miss_lines(record, block)

    yield from _program(record, view, statements=True)
    yield from summary(record)


def _operators(record: Record, graph: Graph) -> Iterator[str]:
    """What is known of the variables from before the block, then an operator a line."""
    rows = list(_operator_rows(record, graph, placed=len(places(record)) > 1))
    used = {a for o in graph.operators for a in o.operands} | {r.id for r in graph.results}
    inputs = [f"{o.name} {size_text(o.value)}" for o in graph.operators if o.kind == "input" and o.id in used]
    if rows and inputs:
        yield f"reads {', '.join(inputs)}"
    yield from table(rows)


def _operator_rows(record: Record, graph: Graph, *, placed: bool) -> Iterator[list[str]]:
    """placed: also where each operator runs and why; where that is the same for all, it is said in the end."""
    for operator in graph.operators:
        if operator.kind == "operator":
            size = [size_text(operator.value), _bytes(operator.value)] if operator.name else ["", ""]
            row = [line_text(record, operator.place), statement(operator), *size, seconds_text(operator.seconds)]
            if record.run is not None:
                row += _actual(operator)
            if operator.kernel:
                place = f"{operator.backend}: {operator.why_there}" if placed else ""
                row += [operator.kernel, "; ".join(filter(None, (_storage(operator), operator.reason, place)))]
            yield row
    for result in graph.results:
        if result.text != result.variable:
            yield ["", f"{result.variable} = {result.text}"]


def _storage(operator: Operator) -> str:
    """How the result is stored, unless that follows from the kernel."""
    plain = not operator.value.storage or (operator.kernel == "numpy" and operator.value.storage == "dense")
    return "" if plain else f"gives {operator.value.storage}"


def _bytes(value: Value) -> str:
    return "" if value.kind != "matrix" else "?" if value.bytes is None else human(value.bytes)


def _actual(operator: Operator) -> list[str]:
    """Measured beside the estimate: time of all calls, calls, real size, and the worse q-error of its size."""
    actual = operator.actual
    if actual is None:
        return ["-", "", "", "", ""]
    size = ""
    if actual.rows is not None and actual.cols is not None and actual.bytes is not None:
        sparse = f" {actual.nnz} nnz" if actual.storage == "CSR" else ""
        size = f"{actual.rows}x{actual.cols}{sparse} {human(actual.bytes)}"
    off = max(size_errors(operator).values(), default=1.0)
    grew = f"memory +{human(actual.grew)}" if (actual.grew or 0) >= NOTABLE else ""
    return [f"took {seconds_text(actual.seconds)}", f"/ {actual.calls}", size, f"estimate off {off:.2g}x" if off >= _OFF else "", grew]


# ---------------------------------------------------------------- before and after
def _totals(block: BlockRecord) -> str:
    before, after = _total(block.hops, block.peak_before), _total(block.plan, block.peak)
    return f"rewritten: {before} before, {after} after"


def _total(graph: Graph, peak: int | None) -> str:
    count = sum(o.kind == "operator" for o in graph.operators)
    unknown = f" and {graph.unknown} of unknown cost" if graph.unknown else ""
    return f"{count} operator{'s' * (count != 1)} in {seconds_text(graph.seconds)}{unknown}{'' if not peak else f' and {human(peak)}'}"


def _beside(block: BlockRecord) -> Iterator[str]:
    """Operators before and after in two columns; those that stay as they are, are left out."""
    left, right = ([statement(o) for o in graph.operators if o.kind == "operator"] for graph in (block.hops, block.plan))
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    rows: list[tuple[str, str]] = []
    for what, a, b, c, d in matcher.get_opcodes():
        if what != "equal":
            height = max(b - a, d - c)
            columns = ([""] * (height - len(part)) + part for part in (left[a:b], right[c:d]))
            rows.extend(zip(*columns, strict=True))
    width = max((len(row[0]) for row in rows if len(row[0]) <= _WIDE), default=0)
    for before, after in rows:
        yield f"{before.ljust(width)} | {after}".rstrip()


def _rewrite_lines(record: Record, rewrite: Rewrite) -> Iterator[str]:
    yield f"[{rewrite.number}] {rewrite.rule}{where_text(record, rewrite.place)}: {rewrite.why}"
    yield f"    {rewrite.before}  ->  {rewrite.after}  {saving_text(rewrite)}"


# ---------------------------------------------------------------- statements, and what was nearly fused
def _statement_lines(record: Record, function: str, block: int | None) -> Iterator[str]:
    for change in record.statements:
        if change.function == function and change.block == block:
            why = "" if change.kind == "inlining" else f"  ({change.why})"
            yield f"{change.kind}{where_text(record, change.place)}: {change.before}  ->  {change.after}{why}"


def _miss_lines(record: Record, block: BlockRecord) -> Iterator[str]:
    for miss in block.misses:
        yield f"not fused{where_text(record, miss.place)}: {miss.rule} of {miss.text}: {miss.reason}"


# ---------------------------------------------------------------- other levels
def _runtime(record: Record) -> Iterator[str]:
    yield from _program(record, lambda block: iter(block.python.rstrip().split("\n")))


def _trace(record: Record) -> Iterator[str]:
    rewrites = [rewrite for block in record.blocks for rewrite in block.rewrites]
    for change in record.statements:
        yield f"{change.kind}{where_text(record, change.place)}{'' if change.function == 'main' else f' of {change.function}'}"
        yield from (f"    {change.before}", f"    -> {change.after}", f"    {change.why}")
    for rewrite in rewrites:
        yield f"[{rewrite.number}] {rewrite.rule}{where_text(record, rewrite.place)}, block {rewrite.block} ({rewrite.values})"
        yield f"    {rewrite.before}"
        yield f"    -> {rewrite.after}"
        yield from (f"    where {name} = {text}" for name, text in rewrite.where.items())
        yield f"    {rewrite.why} {saving_text(rewrite)}"
    if not rewrites and not record.statements:
        yield "no rule fired"


def _ast(record: Record) -> Iterator[str]:
    stack: list[tuple[dict[str, Any], int]] = [(record.syntax, 0)]
    while stack:
        node, depth = stack.pop()
        head = f"{node['node']} {node['text']}".rstrip()
        yield f"{node['place']['line']:>4}  {'  ' * depth}{head}"
        stack.extend((child, depth + 1) for child in reversed(node["children"]))


_LEVELS: Final[dict[str, Callable[[Record], Iterator[str]]]] = {
    "ast": _ast,
    "hops": _hops,
    "plan": _plan,
    "runtime": _runtime,
    "trace": _trace,
}
