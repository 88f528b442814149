"""Looking into the stages: lowered programs, facts at the end of a script, and the blocks that were generated."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

from dmlite.config import settings
from dmlite.flow import Unit, compile
from dmlite.hop.facts import UNKNOWN, Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.program import Block, ForNode, IfNode, Node, Program, WhileNode, children
from dmlite.runtime.engine import BlockRun, Engine
from dmlite.runtime.exchange import input_fact


def lowered(text: str, inputs: dict[str, Fact] | None = None, outputs: list[str] | None = None, **dollar: Any) -> Program:
    """The HOP program of a script."""
    program = compile(Unit(text, inputs=inputs or {}, dollar=dollar, outputs=outputs), until="hops").program
    assert program is not None
    return program


def nodes(program: Program) -> Iterator[Node]:
    """Every node of the main body, nested ones too."""
    stack = list(reversed(program.main.body))
    while stack:
        node = stack.pop()
        yield node
        for inner in reversed(children(node)):
            stack.extend(reversed(inner))


def fact(program: Program, name: str) -> Fact:
    """What is known of a variable by the last block (in the order of the text) that binds it."""
    found = UNKNOWN
    for node in nodes(program):
        if isinstance(node, Block):
            for root in node.roots:
                if root.name == name:
                    found = FactTable(node.facts_in, lenient=True)[root.hop]
    return found


def operators(program: Program) -> set[str]:
    """The operators of the main body."""
    return {hop.op for node in nodes(program) if isinstance(node, Block) for hop in node.hops}


def control(program: Program) -> list[str]:
    """The control nodes of the main body: if, while, for, and calls by the name of the function."""
    names = {IfNode: "if", WhileNode: "while", ForNode: "for"}
    return [names.get(type(n)) or program.functions[n.function].name for n in nodes(program) if not isinstance(n, Block)]  # type: ignore[union-attr]


def executed(text: str, level: int = 2, outputs: list[str] | None = None, **inputs: Any) -> tuple[Engine, dict[str, Any], str]:
    """Compile and run a script; the engine with everything it generated, the raw values of the variables, and the output."""
    with settings(opt_level=level):
        unit = compile(Unit(text, inputs={n: input_fact(v) for n, v in inputs.items()}, outputs=outputs))
        assert unit.engine is not None
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            values = unit.engine.run(inputs)
    return unit.engine, values, printed.getvalue()


def runs_of(engine: Engine, name: str) -> list[BlockRun]:
    """The plans made of blocks that bind a variable."""
    return [run for run in engine.runs if name in run.block.outputs]
