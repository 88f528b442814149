"""Control flow -> the source of one Python function per DML function; blocks and calls are names in its globals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dmlite.codegen.emit import tidy
from dmlite.errors import Span
from dmlite.hop.facts import Fact
from dmlite.hop.program import (
    Block,
    CallNode,
    ForNode,
    FunctionInstance,
    IfNode,
    Node,
    Parallel,
    WhileNode,
    assigned_in,
    read_in,
    shown,
    walk_blocks,
)

MAX_DEPTH = 12  # Python takes 20 loops in each other, and 100 levels of indentation
Line = tuple[str, tuple[str, Span | None] | None]  # text, and where it comes from


@dataclass
class FunctionCode:
    """Source of a function, where its lines come from, and its blocks by the name they are called under."""

    source: str = ""
    lines: dict[int, tuple[str, Span | None]] = field(default_factory=dict)
    blocks: dict[str, Block] = field(default_factory=dict)


@dataclass
class _Frame:
    """A Python function that is being written: the depth of its body, and the local functions that hold deep parts of it."""

    depth: int
    parts: list[Line] = field(default_factory=list)


class FunctionWriter:
    """Writes one function instance. `block_name`, `call_name` and `loop_name` hand out the global names.

    Without `loop_name`, loops are plain ones, which compiled code can never take over. `remote_name` gives the name of a parfor loop
    whose iterations workers may run, with the variables that they read.
    """

    def __init__(self, instance: FunctionInstance, block_name: Callable[[Block], str], call_name: Callable[[str], str], *, is_main: bool,
        loop_name: Callable[[ForNode | WhileNode, list[str]], str] | None = None,
        remote_name: Callable[[ForNode], tuple[str, list[str]] | None] | None = None,
    ):  # fmt: skip
        self.instance = instance
        self.block_name = block_name
        self.call_name = call_name
        self.loop_name = loop_name
        self.remote_name = remote_name
        self.is_main = is_main
        self.code = FunctionCode()
        self._locals: dict[str, str] = {}
        self._lines: list[Line] = []
        self._frame = _Frame(1)
        self._parts = 0
        self._released: set[str] = set()

    def write(self, name: str) -> FunctionCode:
        params = [self._local(p) for p in self.instance.params]
        self._body(self.instance.body, 1)
        self._lines[:0] = self._frame.parts
        self._return()
        preset = sorted({self._locals[n] for n in _may_be_unset(self.instance) if n in self._locals} - set(params))
        head: list[Line] = [(f"def {name}({', '.join(params)}):", None)]
        if preset:
            head.append((f"    {' = '.join(preset)} = UNSET", None))
        lines = [*head, *self._lines]
        self.code.lines = {number: where for number, (_, where) in enumerate(lines, 1) if where is not None}
        self.code.source = "\n".join(text for text, _ in lines) + "\n"
        return self.code

    def _local(self, name: str) -> str:
        found = self._locals.get(name)
        if found is None:
            found = self._locals[name] = f"u{len(self._locals)}_{tidy(name)}"
        return found

    def _add(self, depth: int, text: str, span: Span | None = None, what: str = "") -> None:
        self._lines.append(("    " * depth + text, None if span is None else (what, span)))

    def _return(self) -> None:
        names = self.instance.returns
        if self.is_main:
            self._add(1, f"return {{{', '.join(f'{n!r}: {self._local(n)}' for n in names)}}}")
            return
        for n in names:
            if n in self.instance.maybe_unset:
                self._add(1, f"if {self._local(n)} is UNSET: no_result({n!r}, {self.instance.name!r})")
        self._add(1, f"return ({', '.join(self._local(n) for n in names)}{',' if len(names) == 1 else ''})")

    # ------------------------------------------------------------ nodes
    def _body(self, nodes: list[Node], depth: int) -> None:
        start = len(self._lines)
        for node in nodes:
            match node:
                case Block():
                    self._block(node, depth)
                case CallNode():
                    results = "".join(self._local(r) + ", " for r in node.results)
                    call = f"{self.call_name(node.function)}({', '.join(map(self._local, node.args))})"
                    self._add(depth, f"({results}) = {call}" if results else call, node.span, "call")
                case IfNode():
                    self._if(node, depth)
                case WhileNode():
                    self._while(node, depth)
                case ForNode():
                    self._for(node, depth)
        if len(self._lines) == start:
            self._add(depth, "pass")

    def _inner(self, nodes: list[Node], depth: int) -> None:
        """The body of a branch or loop; a local function of its own where Python would not take deeper nesting."""
        if depth - self._frame.depth < MAX_DEPTH:
            self._body(nodes, depth)
            return
        self._parts += 1
        name = f"part_{self._parts}"
        lines, released, inside = self._lines, self._released, self._frame.depth
        self._lines, self._released = [], set()
        self._body(nodes, inside + 1)
        head: list[Line] = [("    " * inside + f"def {name}():", None)]
        if shared := sorted({self._local(n) for n in assigned_in(nodes) | self._released}):
            head.append(("    " * (inside + 1) + f"nonlocal {', '.join(shared)}", None))
        self._frame.parts += [*head, *self._lines]
        self._lines, self._released = lines, released
        self._add(depth, f"{name}()")

    def _block(self, block: Block, depth: int) -> None:
        if not block.roots:
            return
        name = self.block_name(block)
        self.code.blocks[name] = block
        inputs = block.inputs
        for variable in inputs:
            if variable in block.checked:
                text = f"if {self._local(variable)} is UNSET: unset({shown(variable)!r})"
                self._add(depth, text, block.checked[variable], "read")
        targets = [self._local(o) for o in block.outputs]
        call = f"{name}({', '.join(map(self._local, [*inputs, *block.recycled]))})"
        self._add(depth, f"{', '.join(targets)} = {call}" if targets else call)
        self._release(block, depth)

    def _release(self, block: Block, depth: int) -> None:
        """Let go of matrices that nobody reads any more."""
        dead = [v for v in block.inputs if v not in block.live_after and v not in block.outputs and _may_be_large(block.fact_in(v))]
        if dead:
            self._released.update(dead)
            self._add(depth, f"{' = '.join(map(self._local, dead))} = None")

    def _if(self, node: IfNode, depth: int) -> None:
        self._add(depth, f"if truth({self._local(node.cond)}):", node.span, "if")
        self._inner(node.then, depth + 1)
        if node.orelse:
            self._add(depth, "else:")
            self._inner(node.orelse, depth + 1)

    def _while(self, node: WhileNode, depth: int) -> None:
        if self.loop_name is None:
            self._add(depth, "while True:")
        else:
            run, loop, go = self._hot(node)
            self._add(depth, f"{run} = {loop}.start(None)")
            self._add(depth, "while True:")
            self._add(depth + 1, f"if {run}.due(): {go}", node.span, "while")
        self._body(node.test, depth + 1)
        self._add(depth + 1, f"if not truth({self._local(node.cond)}): break", node.span, "while")
        self._inner(node.body, depth + 1)

    def _hot(self, node: ForNode | WhileNode) -> tuple[str, str, str]:
        """Names of one run of a loop and of the loop, and the statement that lets compiled code go on with it."""
        nodes = [*node.test, *node.body] if isinstance(node, WhileNode) else node.body
        changed = assigned_in(nodes) | ({node.var} if isinstance(node, ForNode) else set())
        names = sorted(changed | read_in(nodes))
        assert self.loop_name is not None
        self._parts += 1
        run = f"run_{self._parts}"
        results = "".join(self._local(n) + ", " for n in names if n in changed)
        call = f"{run}.go({', '.join(map(self._local, names))})"
        return run, self.loop_name(node, names), f"({results}) = {call}" if results else call

    def _for(self, node: ForNode, depth: int) -> None:
        bounds = ", ".join(self._local(n) for n in (node.start, node.stop, node.step) if n is not None)
        if node.parallel is not None:
            self._parfor(node, node.parallel, bounds, depth)
        elif self.loop_name is None:
            self._add(depth, f"for {self._local(node.var)} in loop_range({bounds}):", node.span, "for")
            self._inner(node.body, depth + 1)
        else:
            run, loop, go = self._hot(node)
            self._add(depth, f"{run} = {loop}.start(loop_range({bounds}))", node.span, "for")
            self._add(depth, f"while {run}.next():")
            self._add(depth + 1, f"for {self._local(node.var)} in {run}.part:")
            self._inner(node.body, depth + 2)
            self._add(depth + 1, f"if {run}.ready: {go}", node.span, "for")

    def _parfor(self, node: ForNode, p: Parallel, bounds: str, depth: int) -> None:
        merged = [*p.results, *p.accumulators]
        own = [*merged, *p.restored]
        function = f"parfor_{len(self._lines)}"
        self._add(depth, f"def {function}(part, box):")
        self._add(depth + 1, f"{''.join(self._local(n) + ', ' for n in own)}= box.pop()" if own else "pass")
        if p.restored:
            self._add(depth + 1, f"before = ({''.join(self._local(n) + ', ' for n in p.restored)})")
        outer, self._frame = self._frame, _Frame(depth + 1)
        start = len(self._lines)
        self._add(depth + 1, f"for {self._local(node.var)} in part:")
        fresh = sorted({self._local(n) for n in assigned_in(node.body)} - {self._local(n) for n in own} - {self._local(node.var)})
        if fresh:
            self._add(depth + 2, f"{' = '.join(fresh)} = UNSET")
        if p.restored:
            self._add(depth + 2, f"{''.join(self._local(n) + ', ' for n in p.restored)}= before")
        self._body(node.body, depth + 2)
        self._lines[start:start] = self._frame.parts
        self._frame = outer
        self._add(depth + 1, f"return ({''.join(self._local(n) + ', ' for n in merged)})")
        workers = self._local(p.workers) if p.workers else "None"
        values = "".join(self._local(n) + ", " for n in own)
        targets = "".join(self._local(n) + ", " for n in merged)
        remote = self.remote_name(node) if self.remote_name is not None else None
        there = "" if remote is None else f", {remote[0]}, ({''.join(self._local(n) + ', ' for n in remote[1])})"
        call = f"parfor({function}, indices, ({values}), {len(p.results)}, {len(p.accumulators)}, {workers}{there})"
        self._add(depth, f"indices = loop_range({bounds})", node.span, "parfor")
        self._add(depth, f"({targets}) = {call}" if merged else call, node.span, "parfor")
        self._add(depth, f"if indices: {self._local(node.var)} = indices[-1]")


def _may_be_large(fact: Fact) -> bool:
    return fact.kind != "scalar" and (fact.cells is None or fact.cells > 1000)


def _may_be_unset(instance: FunctionInstance) -> set[str]:
    """Variables that generated code may mention before they are set."""
    names = set(instance.maybe_unset) | read_in(instance.body)
    for block in walk_blocks(instance.body):
        names.update(block.checked)
        names |= {h.args[0].value for h in block.hops if h.op == "is_set"}
    return names | set(instance.returns) | assigned_in(instance.body)
