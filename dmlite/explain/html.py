"""A record as one page that needs nothing else: data, styles and program are inside, and nothing is fetched.

Everything shown is prepared here, as text and coordinates; the page's program (page.js) only draws it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from importlib.resources import files
from typing import Any, Final

from dmlite.explain.accuracy import heaviest, size_errors, timed
from dmlite.explain.answers import answers
from dmlite.explain.layout import layered
from dmlite.explain.record import BlockRecord, Graph, Item, NearMiss, Operator, Record, Rewrite, StatementRewrite
from dmlite.explain.summary import fused
from dmlite.explain.text import text_of
from dmlite.explain.words import (
    control_text,
    how_timed,
    line_text,
    lines_text,
    runs_text,
    saving_text,
    signature,
    size_text,
    statement,
    time_share,
)
from dmlite.hop.machine import seconds_text
from dmlite.hop.ops import BY_NAME
from dmlite.memory import human

_LETTER: Final = 7.25  # pixels of a character
_LINE: Final = 16  # pixels of a line
_PADDING: Final = 18
_LONGEST: Final = 40  # characters of one line in a box
_HEAVY: Final = 8


def page(record: Record, level: str) -> str:
    """The page, opened at `level`."""
    assets = files("dmlite.explain")
    style, program = (assets.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    body = assets.joinpath("page.html").read_text(encoding="utf-8")
    # `<` is the only character with which text could leave the script element
    data = json.dumps(_Page(record).data(level), allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {"title": escape(record.name), "style": style, "data": data, "program": program}
    return re.sub(r"%%(\w+)%%", lambda slot: parts[slot[1]], body)  # one pass: what is put in is not looked at again


class _Page:
    """What the page shows, as text and coordinates."""

    def __init__(self, record: Record):
        self.record = record
        self.total = sum(seconds for *_, seconds in timed(record))
        self.seconds = {(b.number, o.id): seconds for b, o, seconds in timed(record)}
        self.rewrites = {r.number: r for b in record.blocks for r in b.rewrites}
        self.fused = {(b.number, o.id) for b, o, _ in fused(record)}

    def data(self, level: str) -> dict[str, Any]:
        record = self.record
        return {
            "name": record.name,
            "level": level,
            "summary": list(self._summary()),
            "outline": list(self._outline()),
            "heavy": [self._entry(b, o, seconds_text(s), s) for s, b, o in heaviest(record, _HEAVY)],
            "heavyTitle": "Where the time goes, measured" if record.run else "Where the time goes, estimated",
            "fused": [self._entry(b, o, f"{r.rule}: {r.why}", 0.0) for b, o, r in fused(record)],
            "missed": [self._missed(m) for b in record.blocks for m in b.misses],
            "answers": [asdict(answer) for answer in answers(record)],
            "measured": record.run is not None,
            "timed": how_timed(record),
            "times": list(self._times()),
            "blocks": [self._block(b) for b in record.blocks],
            "rewrites": [*map(self._statement, record.statements), *map(self._rewrite, self.rewrites.values())],
            "sources": record.sources,
            "syntax": text_of(record, "ast"),
        }

    def _summary(self) -> Iterator[list[str]]:
        record = self.record
        operators = [o for b in record.blocks for o in b.plan.operators if o.kind == "operator"]
        if record.run is not None:
            yield ["run time", seconds_text(record.run.seconds)]
            yield ["peak memory", f"+{human(record.run.peak)}"]
        else:
            yield ["estimated", seconds_text(self.total)]
        yield ["operators", str(len(operators))]
        yield ["rewrites", str(len(self.rewrites) + len(record.statements))]
        yield ["fused", str(len(self.fused))]
        yield ["optimization level", str(record.opt_level)]

    # ------------------------------------------------------------ the program at the side
    def _outline(self) -> Iterator[dict[str, Any]]:
        for function in self.record.functions:
            yield {"depth": 0, "text": signature(function), "kind": "function"}
            yield from self._items(function.body, 1)

    def _items(self, items: Sequence[Item], depth: int) -> Iterator[dict[str, Any]]:
        for item in items:
            if item["kind"] == "block":
                block = self.record.blocks[item["number"]]
                if any(o.kind == "operator" for o in block.hops.operators):
                    yield self._block_entry(block, depth)
                continue
            yield {"depth": depth, "text": control_text(item), "kind": item["kind"], "place": item["place"]}
            for key in ("test", "body", "then"):
                yield from self._items(item.get(key, ()), depth + 1)
            if item.get("else"):
                yield {"depth": depth, "text": "else", "kind": "else"}
                yield from self._items(item["else"], depth + 1)

    def _title(self, block: BlockRecord) -> str:
        return f"block {block.number}{f', {lines}' if (lines := lines_text(self.record, block.place)) else ''}"

    def _block_entry(self, block: BlockRecord, depth: int) -> dict[str, Any]:
        share = self._share(sum(self.seconds.get((block.number, o.id), 0.0) for o in block.plan.operators))
        count = sum(o.kind == "operator" for o in block.plan.operators)
        note = f"{count} op{'s' * (count != 1)}" + (f", {time_share(share)}" if share >= 0.001 else "")
        return {"depth": depth, "text": self._title(block), "kind": "block", "block": block.number, "note": note, "share": share}

    def _share(self, seconds: float) -> float:
        return seconds / self.total if self.total else 0.0

    def _entry(self, block: BlockRecord, operator: Operator, note: str, seconds: float) -> dict[str, Any]:
        share = self._share(seconds)
        where = line_text(self.record, operator.place)
        text = f"{where + ': ' if where else ''}{statement(operator)}"
        return {"block": block.number, "node": operator.id, "text": text, "note": note, "share": share}

    def _missed(self, miss: NearMiss) -> dict[str, Any]:
        where = line_text(self.record, miss.place)
        text = f"{where + ': ' if where else ''}{miss.rule} of {miss.text}"
        return {"block": miss.block, "node": miss.id, "text": text, "note": miss.reason, "share": 0.0}

    def _times(self) -> Iterator[dict[str, Any]]:
        """A row for every operator that takes time, measured or by estimate, the heaviest first."""
        for seconds, block, operator in heaviest(self.record, sum(len(b.plan.operators) for b in self.record.blocks)):
            actual = operator.actual
            runs = actual.calls if actual else block.times
            yield {
                "block": block.number,
                "node": operator.id,
                "text": statement(operator),
                "line": line_text(self.record, operator.place),
                "kind": operator.op,
                "seconds": seconds,
                "estimate": None if operator.seconds is None else operator.seconds * runs,
                "runs": runs,
                "bytes": actual.bytes if actual else operator.value.bytes,
                "grew": actual.grew if actual else None,
            }

    # ------------------------------------------------------------ blocks
    def _block(self, block: BlockRecord) -> dict[str, Any]:
        facts, as_written = [], []
        if runs := runs_text(block):
            facts.append(f"runs {runs}")
        if block.peak:
            facts.append(f"holds at most {human(block.peak)}")
        if block.peak_before:
            as_written.append(f"would hold at most {human(block.peak_before)}")
        if block.plans > 1:
            facts.append(f"the heaviest of {block.plans} plans")
        elif self.record.run is not None and not block.plans:
            facts.append("was not run")
        return {
            "title": self._title(block),
            "facts": facts,
            "asWritten": as_written,
            "place": vars(block.place) if block.place else None,
            "hops": self._graph(block, block.hops, planned=False),
            "plan": self._graph(block, block.plan, planned=True),
            "rewrites": [r.number for r in block.rewrites],
            "python": block.python,
        }

    def _graph(self, block: BlockRecord, graph: Graph, *, planned: bool) -> dict[str, Any]:
        results: dict[int, list[str]] = {}
        for result in graph.results:
            if result.id is not None:
                results.setdefault(result.id, []).append(result.variable)
        nodes = [self._node(block, o, results.get(o.id, []), planned=planned) for o in graph.operators]
        return _placed(nodes) | {"total": seconds_text(graph.seconds) + (f" and {graph.unknown} of unknown cost" if graph.unknown else "")}

    def _node(self, block: BlockRecord, operator: Operator, results: list[str], *, planned: bool) -> dict[str, Any]:
        seconds = self.seconds.get((block.number, operator.id), 0.0) if planned else 0.0
        share = self._share(seconds)
        lines = [statement(operator)]
        time = seconds_text(operator.actual.seconds if operator.actual else operator.seconds)
        lines.append(
            "  ".join(filter(None, (size_text(operator.value) if operator.name else "", time if operator.kind == "operator" else "")))
        )
        is_fused = planned and (block.number, operator.id) in self.fused
        kind = "fused" if is_fused else "changed" if operator.rules else operator.kind
        return _box(operator, lines, kind) | {
            "title": statement(operator),
            "details": [[k, v] for k, v in (*self._details(operator, results), *(self._near(block, operator) if planned else ())) if v],
            "share": round(share, 4),
            "place": vars(operator.place) if operator.place else None,
            "rules": [[number, self.rewrites[number].rule] for number in operator.rules],
        }

    def _details(self, operator: Operator, results: list[str]) -> Iterator[tuple[str, str]]:
        value, actual = operator.value, operator.actual
        yield "line", line_text(self.record, operator.place)
        yield "computes", operator.expression if operator.kind == "operator" else ""
        yield "operator", BY_NAME[operator.op].doc if operator.op in BY_NAME else ""
        yield "gives", size_text(value) if operator.name else "nothing: an effect"
        yield "assigned to", ", ".join(r for r in results if r != operator.name)
        if value.kind == "matrix":
            yield "non-zeros", f"at most {value.nnz}, expected {value.expected:.0f}" if value.nnz is not None and value.expected else ""
            yield "known", ", ".join(value.properties)
            yield "memory", "not known" if value.bytes is None else human(value.bytes)
            yield "storage", value.storage
        if operator.kind == "operator":
            yield "estimated", f"{seconds_text(operator.seconds)} a time" if operator.seconds is not None else "not known"
            yield "computed by", operator.kernel
            yield "because", operator.reason
            yield "runs on", f"{operator.backend}: {operator.why_there}" if operator.backend else ""
            yield "Python", operator.code
        if actual is not None:
            yield "measured", f"{seconds_text(actual.seconds)} in {actual.calls} call{'s' * (actual.calls != 1)}"
            if actual.rows is not None and actual.bytes is not None:
                yield "was", f"{actual.rows}x{actual.cols}, {actual.nnz} non-zeros, {human(actual.bytes)}, {actual.storage}"
            yield "memory grew", f"by {human(actual.grew)} at its highest" if actual.grew else ""
            errors = {what: error for what, error in size_errors(operator).items() if error > 1.005}
            yield "estimate off by", ", ".join(f"{what} {error:.3g}x" for what, error in errors.items())

    @staticmethod
    def _near(block: BlockRecord, operator: Operator) -> Iterator[tuple[str, str]]:
        """The fusions that this operator nearly had."""
        for miss in block.misses:
            if miss.id == operator.id:
                yield "not fused", f"{miss.rule}: {miss.reason}"

    def _statement(self, change: StatementRewrite) -> dict[str, Any]:
        """A rewrite of statements, as a step of the trace without graphs."""
        return {
            "number": None,
            "block": change.block,
            "rule": change.kind,
            "why": change.why,
            "values": "" if change.function == "main" else f"function {change.function}",
            "line": line_text(self.record, change.place),
            "place": vars(change.place) if change.place else None,
            "before": change.before,
            "after": change.after,
            "where": [],
            "saving": "",
            "graphs": [],
        }

    def _rewrite(self, rewrite: Rewrite) -> dict[str, Any]:
        where = line_text(self.record, rewrite.place)
        graphs = [
            _placed([_box(o, [o.text], o.kind) | {"title": o.expression} for o in g.operators])
            for g in (rewrite.before_graph, rewrite.after_graph)
        ]
        return {
            "number": rewrite.number,
            "block": rewrite.block,
            "rule": rewrite.rule,
            "why": rewrite.why,
            "values": rewrite.values,
            "line": where,
            "place": vars(rewrite.place) if rewrite.place else None,
            "before": rewrite.before,
            "after": rewrite.after,
            "where": [f"{name} = {text}" for name, text in rewrite.where.items()],
            "saving": saving_text(rewrite).strip("()"),
            "graphs": graphs,
        }


def _box(operator: Operator, lines: Sequence[str], kind: str) -> dict[str, Any]:
    short = [line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…" for line in lines if line]
    width, height = max(map(len, short)) * _LETTER + _PADDING, len(short) * _LINE + _PADDING
    return {"id": operator.id, "kind": kind, "lines": short, "w": round(width, 1), "h": height, "operands": operator.operands}


def _placed(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Boxes with their places, the arrows between them, and the size of the whole."""
    layout = layered({n["id"]: n["operands"] for n in nodes}, {n["id"]: (n["w"], n["h"]) for n in nodes})
    for node in nodes:
        node["x"], node["y"] = (round(c, 1) for c in layout.centres[node["id"]])
    arrows = [{"from": a, "to": b, "points": [[round(x, 1), round(y, 1)] for x, y in points]} for a, b, points in layout.arrows]
    return {"nodes": nodes, "arrows": arrows, "width": round(layout.width, 1), "height": round(layout.height, 1)}
