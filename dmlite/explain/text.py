"""Stages of a program as text: HOPs, the physical plan, and the generated Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Block, CallNode, ForNode, FunctionInstance, IfNode, Node, Program, Root, WhileNode
from dmlite.memory import human
from dmlite.plan.physical import BlockPlan
from dmlite.rewrite.driver import Firing
from dmlite.runtime.engine import Engine

_INFIX = frozenset(["+", "-", "*", "/", "^", "%*%", "%%", "%/%", "<", "<=", ">", ">=", "==", "!=", "&", "|"])


def explain(engine: Engine, level: str) -> str:
    """The program at `level`: hops (after lowering), plan (rewritten, with storage and kernels) or runtime (Python source)."""
    views: dict[str, Callable[[Block], Iterator[str]]] = {
        "hops": hops_of_block,
        "plan": lambda b: plan_of_block(engine, b),
        "runtime": lambda b: source_of_block(engine, b),
    }
    return "\n".join(program_text(engine.program, views[level])) + "\n"


def program_text(program: Program, view: Callable[[Block], Iterator[str]]) -> Iterator[str]:
    """Every function with its control flow; `view` writes the blocks."""
    for function in (program.main, *program.functions.values()):
        yield _head(function)
        yield from _nodes(function.body, "  ", view)


def _head(function: FunctionInstance) -> str:
    given = ", ".join(map(shown, function.params))
    results = ", ".join(map(shown, function.returns))
    return f"MAIN ({given}) -> ({results})" if function.key == "main" else f"FUNCTION {function.key} ({given}) -> ({results})"


def _nodes(nodes: list[Node], indent: str, view: Callable[[Block], Iterator[str]]) -> Iterator[str]:
    for node in nodes:
        match node:
            case Block():
                if node.roots:
                    yield f"{indent}BLOCK {_lines(node)}"
                    yield from (f"{indent}  {line}" for line in view(node))
            case CallNode():
                yield f"{indent}CALL {', '.join(node.results)} = {node.function}({', '.join(node.args)})"
            case IfNode():
                yield f"{indent}IF {node.cond}"
                yield from _nodes(node.then, indent + "  ", view)
                if node.orelse:
                    yield f"{indent}ELSE"
                    yield from _nodes(node.orelse, indent + "  ", view)
            case WhileNode():
                yield f"{indent}WHILE {node.cond}"
                yield from _nodes([*node.test, *node.body], indent + "  ", view)
            case ForNode():
                bounds = ":".join(b for b in (node.start, node.stop, node.step) if b)
                yield f"{indent}{'PARFOR' if node.parallel else 'FOR'} {node.var} in {bounds}"
                yield from _nodes(node.body, indent + "  ", view)


def _lines(block: Block) -> str:
    lines = sorted({s.line for s in block.spans.values()})
    if not lines:
        return ""
    return f"line {lines[0]}" if lines[0] == lines[-1] else f"lines {lines[0]}-{lines[-1]}"


# ---------------------------------------------------------------- operators, one a line
def hops_of_block(block: Block) -> Iterator[str]:
    """The block as lowered: every operator with its shape and source line."""
    yield from _operators(block.roots, FactTable(block.facts_in, lenient=True), block)


def _operators(roots: list[Root], facts: FactTable, block: Block, notes: Callable[[Hop], str] = lambda hop: "") -> Iterator[str]:
    names: dict[Hop, str] = {}
    for hop in postorder(r.hop for r in roots):
        if hop.op == LITERAL:
            names[hop] = "NULL" if hop.value is None else repr(hop.value)
        elif hop.op == LIVE_IN:
            names[hop] = shown(hop.value)
        else:
            names[hop] = f"h{sum(1 for n in names.values() if n.startswith('h') and n[1:].isdigit()) + 1}"
            span = block.spans.get(hop)
            where = f"line {span.line}" if span else ""
            yield f"{names[hop]} = {_call(hop, [names[a] for a in hop.args]):<40} {_fact(facts[hop]):<24} {where:<9} {notes(hop)}".rstrip()
    for root in roots:
        if root.name is not None:
            yield f"{shown(root.name)} <- {names[root.hop]}"


def _call(hop: Hop, args: list[str]) -> str:
    if hop.op == PICK:
        return f"result {hop.value + 1} of {args[0]}"
    spelling = BY_NAME[hop.op].dml
    if spelling in _INFIX and len(args) == 2:
        return f"{args[0]} {spelling} {args[1]}"
    while args and args[-1] == "NULL":
        args = args[:-1]
    return f"{spelling.removesuffix('()')}({', '.join(args)})"


def _fact(fact: Fact) -> str:
    if fact.is_matrix:
        sparse = f" nnz<={fact.nnz}" if fact.nnz is not None and fact.nnz != fact.cells else ""
        size = f" {human(8 * fact.cells)}" if fact.cells is not None else ""
        return f"[{fact.shape_text()}{sparse}{size}]"
    return f"[{fact.vtype or fact.kind}]"


def plan_of_block(engine: Engine, block: Block) -> Iterator[str]:
    """The block after rewriting, with the kernel of every step and the rules that fired."""
    run = engine.preview(block)
    plan: BlockPlan = run.plan
    steps = {s.hop: s for s in plan.steps}

    def notes(hop: Hop) -> str:
        step = steps.get(hop)
        if step is None:
            return ""
        row = BY_NAME.get(hop.op)
        storage = "dense" if step.dense else "dense or CSR" if step.fact.is_matrix else ""
        extra = (
            ["in place where unshared"]
            if step.owned
            else [f"into the buffer of operand {step.reuse + 1}"]
            if step.reuse is not None
            else []
        )
        return "  ".join(["local", row.kernel if row else "", storage, *extra]).rstrip()

    yield from _operators(plan_roots(plan), plan.facts, block, notes)
    yield from (_firing(f) for f in run.firings)


def plan_roots(plan: BlockPlan) -> list[Root]:
    """The roots of a plan: its outputs, and its effects in order."""
    effects = [Root(None, s.hop) for s in plan.steps if s.hop.op in BY_NAME and BY_NAME[s.hop.op].effect]
    return [*effects, *(Root(name, hop) for name, hop in plan.outputs)]


def _firing(firing: Firing) -> str:
    where = f" at {firing.span}" if firing.span else ""
    return f"rewritten by {firing.rule}: {firing.before!r} -> {firing.after!r}{where}"


def source_of_block(engine: Engine, block: Block) -> Iterator[str]:
    """The Python that runs for the facts known at compile time."""
    yield from engine.preview(block).code.source.rstrip().split("\n")
