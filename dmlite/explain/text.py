"""A record as text: one operator a line, with where it stands, what it gives, what it takes and how it is computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from pathlib import PurePath
from typing import Any, Final

from dmlite.explain.accuracy import all_errors, heaviest, size_errors, timed
from dmlite.explain.record import BlockRecord, FunctionRecord, Graph, Item, Operator, Place, Record, Rewrite, Value
from dmlite.explain.repeats import Repeats
from dmlite.hop.machine import seconds_text
from dmlite.hop.ops import BY_NAME
from dmlite.memory import human

View = Callable[[BlockRecord], Iterator[str]]
_HEAVY: Final = 5  # operators named as those that take most time
_GOOD: Final = 2.0  # a q-error up to this is a good estimate
_FULL: Final = 0.9  # share of cells that are not zero from which on a matrix counts as full
_PLAIN: Final = frozenset({"neg", "one_minus", "square", "is_set"})  # no more than one operator, whatever they are called
_OFF: Final = 1.05  # a q-error from which on it is told
_NOTABLE: Final = 1_000_000  # bytes by which memory grew that are told
_WIDE: Final = 60  # operators wider than this move the rest of their line to the right


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
    parts = [lines] if (lines := lines_text(record, block.place)) else []
    if runs := runs_text(block):
        parts.append(runs)
    if block.plans > 1:
        parts.append(f"the heaviest of {block.plans} plans")
    elif record.run is not None and not block.plans:
        parts.append("not run")
    return f": {', '.join(parts)}" if parts else ""


def lines_text(record: Record, place: Place | None) -> str:
    """`line 7`, `lines 7-9 of affine.dml`; empty when they are not known."""
    if place is None:
        return ""
    lines = f"line {place.line}" if place.line == place.end_line else f"lines {place.line}-{place.end_line}"
    return lines if place.file == record.name else f"{lines} of {PurePath(place.file).name}"


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
    yield from _heavy(record)
    yield from _fused(record)
    yield from _places(record)
    yield from _accuracy(record)


def _operators(record: Record, graph: Graph) -> Iterator[str]:
    """What is known of the variables from before the block, then an operator a line."""
    rows = list(_operator_rows(record, graph))
    used = {a for o in graph.operators for a in o.operands} | {r.id for r in graph.results}
    inputs = [f"{o.name} {size_text(o.value)}" for o in graph.operators if o.kind == "input" and o.id in used]
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
    plain = not operator.value.storage or (operator.kernel == "numpy" and operator.value.storage == "dense")
    return "" if plain else f"gives {operator.value.storage}"


def statement(operator: Operator) -> str:
    """`name = operator`; an input, and what gives nothing, by its text alone."""
    return f"{operator.name} = {operator.text}" if operator.name and operator.kind == "operator" else operator.text


def line_text(record: Record, place: Place | None) -> str:
    """`12`, or `affine:12` when it stands in another file."""
    if place is None:
        return ""
    return str(place.line) if place.file == record.name else f"{PurePath(place.file).stem}:{place.line}"


def where_text(record: Record, place: Place | None) -> str:
    """` in line 12`, or ` in affine:12`; empty when it is not known."""
    where = line_text(record, place)
    return "" if not where else f" in {'line ' * where.isdigit()}{where}"


def size_text(value: Value) -> str:
    """`5x4`, `1000x1000 1%` for what is sparse; the type of a scalar."""
    if value.kind != "matrix":
        return value.vtype or (value.kind if value.kind != "unknown" else "?")
    shape = f"{'?' if value.rows is None else value.rows}x{'?' if value.cols is None else value.cols}"
    cells = value.rows * value.cols if value.rows is not None and value.cols is not None else 0
    full = cells == 0 or value.expected is None or value.expected > _FULL * cells
    return shape if full else f"{shape} {share_text(value.expected / cells)}"  # type: ignore[operator]


def share_text(share: float) -> str:
    """`12.5%`."""
    return f"{100 * share:.3g}%"


def how_timed(record: Record) -> str:
    """How the times of the heaviest operators came about."""
    if record.run is not None:
        return "measured"
    return "estimated, one round of loops of unknown length" if any(block.open for block in record.blocks) else "estimated"


def time_share(share: float) -> str:
    """`12.5%`, or `<0.1%`."""
    return f"{100 * share:.1f}%" if share >= 0.001 else "<0.1%"


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
    grew = f"memory +{human(actual.grew)}" if (actual.grew or 0) >= _NOTABLE else ""
    return [f"took {seconds_text(actual.seconds)}", f"/ {actual.calls}", size, f"estimate off {off:.2g}x" if off >= _OFF else "", grew]


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


def saving_text(rewrite: Rewrite) -> str:
    """Estimated seconds before and after, and bytes of results that are no longer made where they are many."""
    before, after = rewrite.before_seconds, rewrite.after_seconds
    fewer = (rewrite.before_bytes or 0) - (rewrite.after_bytes or 0)
    return f"({seconds_text(before)} -> {seconds_text(after)}{f', {human(fewer)} never made' if fewer >= _NOTABLE else ''})"


def runs_text(block: BlockRecord) -> str:
    """How often a block runs: `70 times`, `at most 70 times a round`; empty for once."""
    return str(Repeats(block.times, block.open, block.maybe))


# ---------------------------------------------------------------- statements, and what was nearly fused
def _statement_lines(record: Record, function: str, block: int | None) -> Iterator[str]:
    for statement in record.statements:
        if statement.function == function and statement.block == block:
            why = "" if statement.kind == "inlining" else f"  ({statement.why})"
            yield f"{statement.kind}{where_text(record, statement.place)}: {statement.before}  ->  {statement.after}{why}"


def _miss_lines(record: Record, block: BlockRecord) -> Iterator[str]:
    for miss in block.misses:
        yield f"not fused{where_text(record, miss.place)}: {miss.rule} of {miss.text}: {miss.reason}"


def _fused(record: Record) -> Iterator[str]:
    rows = [[f"block {b.number}", line_text(record, o.place), statement(o), f"{r.rule}: {r.why}"] for b, o, r in fused(record)]
    if rows:
        yield "fused operators"
        yield from (f"  {line}" for line in _table(rows))


def fused(record: Record) -> Iterator[tuple[BlockRecord, Operator, Rewrite]]:
    """The operators that a rewrite made of several, which no script can spell, with the last such rewrite."""
    rewrites = {r.number: r for block in record.blocks for r in block.rewrites}
    for block in record.blocks:
        for operator in block.plan.operators:
            if operator.op not in _PLAIN and operator.op in BY_NAME and BY_NAME[operator.op].dml.endswith("()"):
                made = [r for r in map(rewrites.__getitem__, operator.rules) if _fuses(r, operator.op)]
                if made:
                    yield block, operator, made[-1]


def _fuses(rewrite: Rewrite, op: str) -> bool:
    count = lambda graph: sum(o.kind == "operator" for o in graph.operators)  # noqa: E731
    made = any(o.op == op and o.kind == "operator" for o in rewrite.after_graph.operators)
    return made and count(rewrite.before_graph) > count(rewrite.after_graph)


def places(record: Record) -> list[tuple[str, str, int]]:
    """The places where operators run, each with a reason and for how many it is the one; most frequent first."""
    operators = (o for block in record.blocks for o in block.plan.operators if o.kind == "operator")
    counted = Counter((o.backend, o.why_there) for o in operators)
    return [(backend, why, count) for (backend, why), count in counted.most_common()]


def _places(record: Record) -> Iterator[str]:
    found = places(record)
    if found:
        yield "where it runs"
        yield from (f"  {count} operator{'s' * (count != 1)} {backend}: {why}" for backend, why, count in found)


# ---------------------------------------------------------------- summaries
def _heavy(record: Record) -> Iterator[str]:
    total = sum(seconds for _, _, seconds in timed(record))
    rows = [
        [
            seconds_text(seconds),
            time_share(seconds / total),
            f"block {block.number}",
            line_text(record, operator.place),
            statement(operator),
        ]
        for seconds, block, operator in heaviest(record, _HEAVY)
    ]
    if rows:
        yield f"where the time goes ({how_timed(record)})"
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
