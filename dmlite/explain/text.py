"""A record as text: one operator a line, with where it stands, what it gives, what it takes and how it is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import PurePath
from typing import Any, Final

from dmlite.explain.accuracy import all_errors, heaviest, size_errors, timed
from dmlite.explain.record import BlockRecord, FunctionRecord, Graph, Item, Operator, Place, Record, Rewrite, Value
from dmlite.hop.machine import seconds_text
from dmlite.memory import human

View = Callable[[BlockRecord], Iterator[str]]
_HEAVY: Final = 5  # operators named as those that take most time
_GOOD: Final = 2.0  # a q-error up to this is a good estimate
_WIDE: Final = 60  # operators wider than this move the rest of their line to the right


def text_of(record: Record, level: str) -> str:
    """The program at `level`: ast, hops, plan, runtime or trace."""
    return "\n".join([*_head(record, level), *_LEVELS[level](record)]) + "\n"


def _head(record: Record, level: str) -> Iterator[str]:
    yield f"# {record.name}: {level}, optimization level {record.opt_level}"
    if record.run is not None:
        yield f"# ran in {seconds_text(record.run.seconds)}, memory grew by {human(record.run.peak)} at its highest"


# ---------------------------------------------------------------- control flow
def _program(record: Record, view: View) -> Iterator[str]:
    for function in record.functions:
        yield signature(function)
        yield from _items(record, function.body, "  ", view)


def signature(function: FunctionRecord) -> str:
    """`function f#0(X, n) -> (Y)`; the number tells instances for different arguments apart."""
    head = "main" if function.key == "main" else f"function {function.key}"
    return f"{head}({', '.join(function.params)}) -> ({', '.join(function.returns)})"


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


def control_text(item: Item) -> str:
    """The head of a statement that holds others, or a call."""
    match item["kind"]:
        case "call":
            results = f"[{', '.join(item['results'])}] = " if len(item["results"]) > 1 else "".join(f"{r} = " for r in item["results"])
            return f"{results}{item['function']}({', '.join(item['args'])})"
        case "for":
            return f"{'parfor' if item['parallel'] else 'for'} ({item['variable']} in {':'.join(item['bounds'])})"
    return f"{item['kind']} ({item['condition']})"


def _block_head(record: Record, block: BlockRecord) -> str:
    place = block.place
    parts = []
    if place is not None:
        lines = f"line {place.line}" if place.line == place.end_line else f"lines {place.line}-{place.end_line}"
        parts.append(lines if place.file == record.name else f"{lines} of {PurePath(place.file).name}")
    if block.times not in (None, 1):
        parts.append(f"{block.times} times")
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
        if block.rewrites:
            yield _totals(block)
            yield from (f"  {line}" for line in _beside(block))
            yield from (f"  {line}" for rewrite in block.rewrites for line in _rewrite_lines(record, rewrite))

    yield from _program(record, view)
    yield from _heavy(record)
    yield from _accuracy(record)


def _operators(record: Record, graph: Graph) -> Iterator[str]:
    """What is known of the variables from before the block, then an operator a line."""
    rows = list(_operator_rows(record, graph))
    inputs = [f"{o.name} {size_text(o.value)}" for o in graph.operators if o.kind == "input"]
    if rows and inputs:
        yield f"reads {', '.join(inputs)}"
    yield from _table(rows)


def _operator_rows(record: Record, graph: Graph) -> Iterator[list[str]]:
    for operator in graph.operators:
        if operator.kind == "operator":
            size = [size_text(operator.value), _bytes(operator.value)] if operator.name else ["", ""]
            row = [line_text(record, operator.place), statement(operator), *size, seconds_text(operator.seconds)]
            if record.run is not None:
                row += _actual(operator)
            if operator.kernel:
                row += [operator.kernel, "; ".join(filter(None, (_storage(operator), operator.reason)))]
            yield row
    for result in graph.results:
        if result.text != result.variable:
            yield ["", f"{result.variable} = {result.text}"]


def _storage(operator: Operator) -> str:
    """How the result is stored, unless that follows from the kernel."""
    return "" if operator.kernel == "numpy" and operator.value.storage == "dense" else operator.value.storage


def statement(operator: Operator) -> str:
    """`name = operator`; an input, and what gives nothing, by its text alone."""
    return f"{operator.name} = {operator.text}" if operator.name and operator.kind == "operator" else operator.text


def line_text(record: Record, place: Place | None) -> str:
    """`12`, or `affine:12` when it stands in another file."""
    if place is None:
        return ""
    return str(place.line) if place.file == record.name else f"{PurePath(place.file).stem}:{place.line}"


def size_text(value: Value) -> str:
    """`5x4`, `1000x1000 1%` for what is sparse; the type of a scalar."""
    if value.kind != "matrix":
        return value.vtype or (value.kind if value.kind != "unknown" else "?")
    shape = f"{'?' if value.rows is None else value.rows}x{'?' if value.cols is None else value.cols}"
    cells = value.rows * value.cols if value.rows is not None and value.cols is not None else 0
    full = cells == 0 or value.expected is None or value.expected > 0.995 * cells
    return shape if full else f"{shape} {share_text(value.expected / cells)}"  # type: ignore[operator]


def share_text(share: float) -> str:
    return f"{100 * share:.3g}%"


def _bytes(value: Value) -> str:
    return "" if value.kind != "matrix" else "?" if value.bytes is None else human(value.bytes)


def _actual(operator: Operator) -> list[str]:
    """Measured beside the estimate: time of all calls, calls, real size, and the worse q-error of its size."""
    actual = operator.actual
    if actual is None:
        return ["-", "", "", ""]
    size = ""
    if actual.rows is not None and actual.cols is not None and actual.bytes is not None:
        sparse = f" {actual.nnz} nnz" if actual.storage == "CSR" else ""
        size = f"{actual.rows}x{actual.cols}{sparse} {human(actual.bytes)}"
    errors = size_errors(operator).values()
    return [f"took {seconds_text(actual.seconds)}", f"/ {actual.calls}", size, f"q {max(errors):.2g}" if errors else ""]


def _table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Aligned columns; the first is aligned to the right."""
    table = list(rows)
    columns = max((len(row) for row in table), default=0)
    widths = [max((len(row[k]) for row in table if k < len(row) and len(row[k]) <= _WIDE), default=0) for k in range(columns)]
    for row in table:
        cells = [cell.rjust(widths[0]) if k == 0 else cell.ljust(widths[k]) for k, cell in enumerate(row)]
        yield "  ".join(cells).rstrip()


# ---------------------------------------------------------------- before and after
def _totals(block: BlockRecord) -> str:
    before, after = _total(block.hops), _total(block.plan)
    return f"rewritten: {before} before, {after} after"


def _total(graph: Graph) -> str:
    count = sum(o.kind == "operator" for o in graph.operators)
    unknown = f" and {graph.unknown} of unknown cost" if graph.unknown else ""
    return f"{count} operators in {seconds_text(graph.seconds)}{unknown}"


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
    where = line_text(record, rewrite.place)
    yield f"[{rewrite.number}] {rewrite.rule}{f' in line {where}' if where else ''}: {rewrite.why}"
    yield f"    {rewrite.before}  ->  {rewrite.after}  {saving_text(rewrite)}"


def saving_text(rewrite: Rewrite) -> str:
    before, after = rewrite.before_seconds, rewrite.after_seconds
    return f"({seconds_text(before)} -> {seconds_text(after)})"


# ---------------------------------------------------------------- summaries
def _heavy(record: Record) -> Iterator[str]:
    total = sum(seconds for _, _, seconds in timed(record))
    rows = [
        [
            seconds_text(seconds),
            share_text(seconds / total),
            f"block {block.number}",
            line_text(record, operator.place),
            statement(operator),
        ]
        for seconds, block, operator in heaviest(record, _HEAVY)
    ]
    if rows:
        yield f"where the time goes ({'measured' if record.run else 'estimated, loops of unknown length once'})"
        yield from (f"  {line}" for line in _table(rows))


def _accuracy(record: Record) -> Iterator[str]:
    errors = all_errors(record)
    if errors:
        good = sum(error <= _GOOD for error, *_ in errors) / len(errors)
        yield f"estimates of nnz and bytes: {share_text(good)} of {len(errors)} within a factor of {_GOOD:g}"
        for error, what, block, operator in errors[:_HEAVY]:
            if error > _GOOD:
                yield f"  off by {error:.3g} in {what}: block {block.number}, {statement(operator)}"


# ---------------------------------------------------------------- other levels
def _runtime(record: Record) -> Iterator[str]:
    yield from _program(record, lambda block: iter(block.python.rstrip().split("\n")))


def _trace(record: Record) -> Iterator[str]:
    rewrites = [rewrite for block in record.blocks for rewrite in block.rewrites]
    for rewrite in rewrites:
        where = line_text(record, rewrite.place)
        yield f"[{rewrite.number}] block {rewrite.block}{f', line {where}' if where else ''}: {rewrite.rule} ({rewrite.values})"
        yield f"    {rewrite.before}"
        yield f"    -> {rewrite.after}"
        yield from (f"    where {name} = {text}" for name, text in rewrite.where.items())
        yield f"    {rewrite.why} {saving_text(rewrite)}"
    if not rewrites:
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
