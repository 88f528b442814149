"""One block of a compiled loop: its operators in an order that lets as many as possible share loops over cells."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dmlite.codegen.small import operators
from dmlite.codegen.small.cells import Cells, is_even
from dmlite.codegen.small.memory import Memory, Scope
from dmlite.codegen.small.scalars import CELLS, Scalar, applied
from dmlite.codegen.small.values import Place, Unsuitable, Var, matrix_var, scalar_literal
from dmlite.errors import Span
from dmlite.hop.facts import constant, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, Hop, postorder
from dmlite.hop.program import Block
from dmlite.rewrite.phases import optimise

_COSTLY = frozenset({"exp", "log", "log_base", "tanh", "sigmoid_op", "softplus", "log_sigmoid", "pow", "sin", "cos", "tan", "atan"})
_LARGEST = 1 << 15  # cells of a result, from where on NumPy's calls do not count


@dataclass
class _Group:
    """Operators on cells of one shape that share a loop, and whether a single loop can read all they need from outside."""

    rows: int
    cols: int
    members: list[Hop]
    is_flat: bool


class BlockWriter:
    """Writes the statements of one block; `state` has its variables before and after."""

    def __init__(self, memory: Memory, scope: Scope, block: Block, level: int):
        self.memory, self.scope, self.state = memory, scope, scope.state
        inputs = {n: self.state[n].fact for n in block.inputs if n in self.state}
        self.facts = FactTable(inputs, lenient=True)
        self.roots, _ = optimise(block, self.facts, level)
        self.block = block
        if any(r.name is None for r in self.roots):
            raise Unsuitable("an effect such as print")
        self.outputs = [(r.name, r.hop) for r in self.roots if r.name is not None]
        self.lines: list[str] = []
        self.places: dict[Hop, Place] = {}
        self.scalars: dict[Hop, Scalar] = {}
        self.owner: dict[Hop, Hop] = {}  # whose memory a value is in
        self.todo: list[Hop] = []
        self.temporaries: dict[Hop, Place] = {}

    def write(self) -> list[str]:
        alive = {*self.block.live_after, *self.block.inputs}
        self.lines += [line for n, _ in self.outputs for pair in self.scope.alone(n, alive) for line in operators.copied(*pair)]
        for hop in postorder(r.hop for r in self.roots):
            if hop.op == LIVE_IN:
                self._take(hop)
            elif hop.op != LITERAL:
                self.todo.append(hop)
        while self.todo:
            self._next()
        self._bind()
        for place in self.temporaries.values():
            self.memory.release(place)
        return self.lines

    def _take(self, hop: Hop) -> None:
        var = self.state.get(hop.value)
        if var is None:
            raise Unsuitable(f"{hop.value} may have no value")
        if var.place is not None:
            self.places[hop], self.owner[hop] = var.place, hop
        elif var.fact.is_const:
            self._constant(hop, var.fact.value)
        else:
            self.scalars[hop] = Scalar(var.text, var.kind, var.bound)

    def _constant(self, hop: Hop, value: object) -> None:
        text, fact, bound = scalar_literal(value)
        self.scalars[hop] = Scalar(text, fact.vtype or "", bound, value)

    # ------------------------------------------------------------ order
    def _next(self) -> None:
        """Whatever is no operator on cells as soon as it can be done, then as many of those as can share a loop."""
        waiting = set(self.todo)
        ready = [h for h in self.todo if not waiting.intersection(h.args)]
        single = next((h for h in ready if not self._is_cells(h) and not self._must_wait(h)), None)
        if single is not None:
            self._finish([single], operators.write(self, single))
            return
        first = next((h for h in ready if self._is_cells(h)), None)
        if first is None:
            self._finish([ready[0]], operators.write(self, ready[0]))
        else:
            group = self._group(first)
            self._finish(group.members, self._loop(group))

    def _finish(self, done: list[Hop], lines: list[str]) -> None:
        self.lines += lines
        self.todo = [h for h in self.todo if h not in done]
        for owner, place in list(self.temporaries.items()):
            if not self.readers(owner) and not any(self.owner.get(h) is owner for _, h in self.outputs):
                self.memory.release(place)
                del self.temporaries[owner]

    def _is_cells(self, hop: Hop) -> bool:
        return hop.op in CELLS and self.facts[hop].is_matrix

    def _must_wait(self, hop: Hop) -> bool:
        """Whether a store has to let others read the old value first."""
        return hop.op == "leftindex" and bool(self.readers(self.owner.get(hop.args[0], hop)) - {hop})

    def readers(self, owner: Hop) -> set[Hop]:
        """Operators to come that read what is in the memory of a value."""
        return {h for h in self.todo if any(self.owner.get(a) is owner for a in h.args)}

    def _group(self, first: Hop) -> _Group:
        rows, cols = self.shape(first)
        group = _Group(rows, cols, [first], self._reads_evenly(first, rows, cols, []))
        for hop in self.todo:
            waiting = set(self.todo).difference(group.members)
            if hop in group.members or not self._is_cells(hop) or waiting.intersection(hop.args) or self.shape(hop) != (rows, cols):
                continue
            even = self._reads_evenly(hop, rows, cols, group.members)
            if even if group.is_flat else not (even and hop.op in _COSTLY and cols % 8):
                group.members.append(hop)
        return group

    def _reads_evenly(self, hop: Hop, rows: int, cols: int, members: list[Hop]) -> bool:
        outside = (self.place(a) for a in hop.args if a not in members and self.facts[a].is_matrix)
        return all(is_even(p, rows, cols) for p in outside)

    # ------------------------------------------------------------ values
    def shape(self, hop: Hop) -> tuple[int, int]:
        fact = self.facts[hop]
        if not fact.is_matrix or not fact.rows or not fact.cols:
            raise Unsuitable(f"{hop.op} of unknown or no cells")
        if fact.rows * fact.cols > _LARGEST and hop.op not in operators.UNLIMITED:
            raise Unsuitable(f"{hop.op} of {fact.rows}x{fact.cols} cells")
        return fact.rows, fact.cols

    def place(self, hop: Hop) -> Place:
        if hop not in self.places:
            raise Unsuitable(f"{hop.op} is no matrix")
        return self.places[hop]

    def scalar(self, hop: Hop) -> Scalar:
        """A scalar operand. Raises Unsuitable for what is none."""
        if hop not in self.scalars:
            if hop.op != LITERAL:
                raise Unsuitable(f"{hop.op} is no number")
            self._constant(hop, hop.value)
        return self.scalars[hop]

    def temporary(self, hop: Hop) -> Place:
        """New memory for a value."""
        place = self.memory.temporary(*self.shape(hop))
        self.temporaries[hop] = place
        return self.settle(hop, place)

    def target(self, hop: Hop) -> Place:
        """Memory for a result: the variable's that it is bound to, once nobody reads what is there; else new memory."""
        for name, output in self.outputs:
            if output is hop and self.is_free(home := self.scope.home(name, *self.shape(hop)), set()):
                return self.settle(hop, home)
        return self.temporary(hop)

    def is_free(self, home: Place, allowed: set[Hop]) -> bool:
        """Whether the memory of a variable has no old value that anyone but `allowed` reads, nor a new one."""
        if any(p == home for h, p in self.places.items() if h.op != LIVE_IN):
            return False
        old = [h for h, p in self.places.items() if h.op == LIVE_IN and p.is_within(home)]
        return not any(self.is_kept(h) or self.readers(h) - allowed for h in old)

    def is_kept(self, owner: Hop) -> bool:
        """Whether a variable is bound to something in the memory of a value, other than to what it is already."""
        return any(self.owner.get(h) is owner and not (h is owner and n == h.value) for n, h in self.outputs)

    def settle(self, hop: Hop, place: Place, owner: Hop | None = None) -> Place:
        self.places[hop], self.owner[hop] = place, owner or hop
        return place

    def operand(self, hop: Hop, cells: Cells) -> str:
        """An operand of an operator on cells."""
        if self.facts[hop].is_matrix:
            return cells.read(self.place(hop), self.memory.name("p"))
        return self.scalar(hop).double

    def span(self, hop: Hop) -> Span | None:
        return self.block.spans.get(hop)

    # ------------------------------------------------------------ operators on cells
    def _loop(self, group: _Group) -> list[str]:
        members = set(group.members)
        outside = [self.place(a) for h in group.members for a in h.args if a not in members and self.facts[a].is_matrix]
        cells = Cells(group.rows, group.cols, outside)
        names: dict[Hop, str] = {}
        for hop in group.members:
            args = [names[a] if a in names else self.operand(a, cells) for a in hop.args]
            names[hop] = self.memory.name("v")
            cells.cell.append(f"{names[hop]} = {CELLS[hop.op].format(*args)}")
        for hop in group.members:
            if any(h is hop for _, h in self.outputs) or any(hop in h.args for h in self.todo if h not in members):
                cells.stores.append(f"{cells.cell_of(self._stored(hop, members))} = {names[hop]}")
        return cells.lines()

    def _stored(self, hop: Hop, members: set[Hop]) -> Place:
        """Memory for a result of a loop; that of an old value which only this loop reads, cell by cell, may be taken."""
        for name, output in self.outputs:
            if output is hop:
                home = self.scope.home(name, *self.shape(hop))
                alike = {h for h in members if all(p == home or not p.is_within(home) for p in self._read_by(h))}
                if self.is_free(home, alike):
                    return self.settle(hop, home)
        return self.temporary(hop)

    def _read_by(self, hop: Hop) -> Iterable[Place]:
        return (self.places[a] for a in hop.args if a in self.places)

    # ------------------------------------------------------------ the end
    def _bind(self) -> None:
        """Give variables their values, all at once: what would be overwritten while it is still needed is copied first."""
        matrices = [(n, h) for n, h in self.outputs if h in self.places]
        written = {n: self.scope.home(n, *self.shape(h)) for n, h in matrices if not self._may_share(h)}
        shared = {n: self.places[h] for n, h in matrices if n not in written}
        for name in [n for n, p in shared.items() if any(p.is_within(home) for home in written.values())]:
            written[name] = self.scope.home(name, shared[name].rows, shared[name].cols)
            del shared[name]
        sources = {n: self._aside(h, written[n], list(written.values())) for n, h in matrices if n in written}
        for name, source in sources.items():
            self.lines += operators.copied(written[name], source)
        self.state.update({n: matrix_var(p) for n, p in (written | shared).items()})
        changes: dict[str, str] = {}
        for name, hop in self.outputs:
            if hop not in self.places:
                self._assign(name, hop, changes)
        if changes:
            self.lines.append(f"{', '.join(changes)} = {', '.join(changes.values())}")

    def _may_share(self, hop: Hop) -> bool:
        """Whether a value is in the memory of a variable, which then serves two until one of them changes."""
        place = self.places[hop]
        return self.owner[hop].op == LIVE_IN and place.is_plain and not place.shift and place.base != "w" and not self._is_stored(hop)

    def _is_stored(self, hop: Hop) -> bool:
        """Whether a value came into the memory of a variable by stores."""
        while hop.op not in (LIVE_IN, "leftindex"):
            hop = hop.args[0]
        return hop.op == "leftindex"

    def _aside(self, hop: Hop, home: Place, overwritten: list[Place]) -> Place:
        """Where to take the value for `home` from."""
        source = self.places[hop]
        if source == home or source.number is not None or not any(source.is_within(o) for o in overwritten):
            return source
        self.temporaries[hop] = copy = self.memory.temporary(source.rows, source.cols)
        self.lines += operators.copied(copy, source)
        return copy

    def _assign(self, name: str, hop: Hop, changes: dict[str, str]) -> None:
        if self.facts[hop].is_const and isinstance(self.facts[hop].value, str):
            self.state[name] = Var("string", "", None, self.facts[hop])
            return
        value = self.scalar(hop)
        local = self.scope.local(name, value.kind)
        if local != value.text:
            changes[local] = value.text
        fact = scalar(value.kind) if value.value is None else constant(value.value)  # type: ignore[arg-type]
        self.state[name] = Var(value.kind, local, None, fact, value.bound)

    def constant(self, hop: Hop) -> bool:
        """Whether an operator gives a number that is known."""
        fact = self.facts[hop]
        if not (fact.is_scalar and fact.is_const) or isinstance(fact.value, str):
            return fact.is_scalar and fact.is_const
        self._constant(hop, fact.value)
        return True

    def number(self, hop: Hop) -> None:
        """Write an operator on scalars. Raises Unsuitable."""
        kind = self.facts[hop].vtype
        text, bound = applied(hop.op, kind, [self.scalar(a) for a in hop.args])
        name = self.memory.name("s")
        self.lines.append(f"{name} = {text}")
        self.scalars[hop] = Scalar(name, kind or "", bound)
