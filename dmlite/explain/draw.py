"""DAGs and syntax trees in the languages of two drawing tools: DOT (Graphviz) and Mermaid."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from dmlite.explain.record import BlockRecord, Graph, Operator, Record
from dmlite.explain.words import size_text, statement
from dmlite.hop.machine import seconds_text

_LONGEST: Final = 60  # characters of one line in a box


@dataclass
class Picture:
    """Boxes with lines of text, arrows between them, in frames. Ids are made of letters, digits and underscores only."""

    frames: list[tuple[str, str, list[tuple[str, list[str], str]]]] = field(default_factory=list)
    arrows: list[tuple[str, str]] = field(default_factory=list)


def dot(record: Record, level: str) -> str:
    """A digraph with a cluster for every block."""
    picture = _PICTURES[level](record)
    lines = ["digraph program {", "  rankdir=TB;", '  node [shape=box, fontname="monospace"];']
    for frame, title, boxes in picture.frames:
        lines += [f"  subgraph cluster_{frame} {{", f"    label={_dot_text([title])};"]
        lines += [f"    {box} [label={_dot_text(text)}{_DOT_STYLES[kind]}];" for box, text, kind in boxes]
        lines.append("  }")
    lines += [f"  {a} -> {b};" for a, b in picture.arrows]
    return "\n".join([*lines, "}"]) + "\n"


def _dot_text(lines: list[str]) -> str:
    """A quoted string; `\\l` ends a line and aligns it to the left."""
    escaped = [_one_line(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines]
    return '"' + "\\l".join(escaped) + ('\\l"' if len(lines) > 1 else '"')


def mermaid(record: Record, level: str) -> str:
    """A flowchart with a subgraph for every block."""
    picture = _PICTURES[level](record)
    lines = ["flowchart TB"]
    for frame, title, boxes in picture.frames:
        lines.append(f'  subgraph {frame}["{_entities([title])}"]')
        lines += [f'    {box}{_MERMAID_SHAPES[kind][0]}"{_entities(text)}"{_MERMAID_SHAPES[kind][1]}' for box, text, kind in boxes]
        lines.append("  end")
    lines += [f"  {a} --> {b}" for a, b in picture.arrows]
    return "\n".join(lines) + "\n"


def _entities(lines: list[str]) -> str:
    """Everything but letters, digits and blanks by its number: nothing is left that Mermaid or HTML could read otherwise."""
    return "<br/>".join("".join(c if c.isalnum() or c == " " else f"#{ord(c)};" for c in _one_line(line)) for line in lines)


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


_DOT_STYLES: Final = {"operator": "", "input": ", style=rounded", "result": ", style=bold"}
_MERMAID_SHAPES: Final = {"operator": ("[", "]"), "input": ("([", "])"), "result": ("[[", "]]")}


# ---------------------------------------------------------------- pictures
def _blocks(record: Record, graph_of: Callable[[BlockRecord], Graph]) -> Picture:
    picture = Picture()
    for block in record.blocks:
        graph = graph_of(block)
        if not any(o.kind == "operator" for o in graph.operators):
            continue
        frame = f"block{block.number}"
        results = {r.id for r in graph.results}
        boxes = [(f"{frame}_{o.id}", list(_words(o)), "result" if o.id in results else o.kind) for o in graph.operators]
        where = f", line {block.place.line}" if block.place else ""
        picture.frames.append((frame, f"{block.function}: block {block.number}{where}", boxes))
        picture.arrows += [(f"{frame}_{a}", f"{frame}_{o.id}") for o in graph.operators for a in o.operands]
    return picture


def _words(operator: Operator) -> Iterator[str]:
    if operator.kind == "input":
        yield operator.name
        yield size_text(operator.value)
        return
    yield statement(operator)
    yield f"{size_text(operator.value)}  {seconds_text(operator.seconds)}" if operator.name else seconds_text(operator.seconds)
    if operator.kernel:
        yield f"{operator.backend} {operator.kernel}"
    if operator.actual is not None:
        yield f"took {seconds_text(operator.actual.seconds)} / {operator.actual.calls}"


def _syntax(record: Record) -> Picture:
    picture = Picture([("script", record.name, [])])
    boxes = picture.frames[0][2]
    stack = [(record.syntax, "")]
    while stack:
        node, above = stack.pop()
        name = f"node{len(boxes)}"
        boxes.append((name, [f"{node['node']} {node['text']}".rstrip()], "operator" if node["children"] else "input"))
        if above:
            picture.arrows.append((above, name))
        stack.extend((child, name) for child in reversed(node["children"]))
    return picture


_PICTURES: Final[dict[str, Callable[[Record], Picture]]] = {
    "ast": _syntax,
    "hops": lambda record: _blocks(record, lambda block: block.hops),
    "plan": lambda record: _blocks(record, lambda block: block.plan),
}
DRAWN: Final = frozenset(_PICTURES)
