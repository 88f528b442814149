"""A loop of small operators, with all functions it calls, as the source of one function for a compiler.

Values of variables stay at fixed places in memory, which a block overwrites when nobody needs what is there. Types and shapes are those
at hand; where a path would change them the loop is not suitable. An `if` at the top of the body may have a branch that cannot be
compiled, such as a print, where its condition is known when an iteration starts: such an iteration is left to the interpreter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dmlite.codegen.loops import Source
from dmlite.codegen.small.block import BlockWriter
from dmlite.codegen.small.cells import indented
from dmlite.codegen.small.memory import Check, Memory, Scope
from dmlite.codegen.small.operators import copied
from dmlite.codegen.small.values import COUNTED, LEFT, RANGE, WIDE, Place, Unsuitable, Var, matrix_var
from dmlite.hop.facts import Fact, constant, scalar
from dmlite.hop.program import Block, CallNode, ForNode, FunctionInstance, IfNode, Node, Root, WhileNode, assigned_in, carried, read_after

TEMPORARY = "%"  # starts the names of operands and results of calls, which nobody reads later
_DEEPEST = 12  # calls in calls
_MOST_BLOCKS = 150
_MOST_LINES = 800  # of source
_SLOTS = 6  # of `n` before the whole numbers of variables: iterations done, why it ended, and four bounds
_ZERO = {"int": "0", "boolean": "False", "double": "0.0"}


@dataclass(frozen=True)
class SmallLoop(Source):
    """`loop(first, step, count, n, d, w, h, arrays...)`: at most `count` iterations, on variables in `n`, `d` and arrays.

    arrays: the variable of each array, its shape, whether it is changed, and whether it has a value before. numbers: scalar variables in
    `n` or `d`, their type and place; slots: the sizes of `n` and `d`. results: variables that have a new value
    afterwards. sizes: cells of `w` and `h`.
    """

    arrays: tuple[tuple[str, tuple[int, int], bool, bool], ...]
    numbers: tuple[tuple[str, str, int], ...]
    slots: tuple[int, int]
    results: frozenset[str]
    sizes: tuple[int, int]
    checks: tuple[Check, ...]


def loop_of(
    node: ForNode | WhileNode, entry: Mapping[str, Fact], functions: Mapping[str, FunctionInstance], level: int, constants: frozenset[str]
) -> SmallLoop:
    """The compiled form of a loop for variables of these facts. constants: scalars whose values it may build upon.

    Raises Unsuitable.
    """
    return _Writer(node, functions, level).write(entry, constants)


class _Writer:
    def __init__(self, node: ForNode | WhileNode, functions: Mapping[str, FunctionInstance], level: int):
        self.node, self.functions, self.level = node, functions, min(level, 3)  # an e-graph takes too long between two iterations
        self.memory = Memory()
        self.arrays: list[tuple[str, Place, bool]] = []
        self.main = Scope(self.memory, array=self._array)
        self.leaving: list[str] = []
        self.head: dict[str, Var] = {}
        self.calls = self.blocks = 0

    def _array(self, name: str, rows: int, cols: int) -> Place:
        place = Place.whole(f"a{len(self.arrays)}", 0, rows, cols)
        self.arrays.append((name, place, True))
        return place

    def write(self, entry: Mapping[str, Fact], constants: frozenset[str]) -> SmallLoop:
        node = self.node
        nodes = [*node.test, *node.body] if isinstance(node, WhileNode) else node.body
        changed = assigned_in(nodes) | ({node.var} if isinstance(node, ForNode) else set())
        needed = carried(nodes) - ({node.var} if isinstance(node, ForNode) else set())
        for name, fact in entry.items():
            if name in needed or name not in changed:
                self._enter(name, fact, changed, constants)
        given = dict(self.main.state)
        lines, compiled = self._iteration(node)
        kept = {n for n in changed if n in given}
        self._close(kept, given, lines)
        touched = assigned_in(compiled) | (changed - assigned_in(nodes))
        later = read_after([node])
        results = {n for n in touched if n in kept or (n in later and not n.startswith(TEMPORARY))}
        if missing := {n for n in results if n not in self.main.state or self.main.state[n].kind == "string"}:
            raise Unsuitable(f"{min(missing)} may have no value, or is a string")
        return self._assembled(lines, given, results)

    def _enter(self, name: str, fact: Fact, changed: set[str], constants: frozenset[str]) -> None:
        if fact.is_matrix:
            if name in changed:
                place = self.main.home(name, fact.rows or 0, fact.cols or 0)
            else:
                place = self._array(name, fact.rows or 0, fact.cols or 0)
                self.arrays[-1] = (name, place, False)
            self.main.state[name] = matrix_var(place)
        elif fact.is_scalar and fact.vtype == "string":
            if name not in changed:
                self.main.state[name] = Var("string", "", None, fact)
        elif fact.is_scalar and fact.vtype in _ZERO:
            var = Var(fact.vtype, self.main.local(name, fact.vtype), None, scalar(fact.vtype), COUNTED)
            known = name in constants and name not in changed
            self.main.state[name] = replace(var, fact=constant(fact.value)) if known else var.varying() if name in changed else var

    def _iteration(self, node: ForNode | WhileNode) -> tuple[list[str], list[Node]]:
        """The statements of an iteration, and the nodes that are compiled in it."""
        if isinstance(node, ForNode):
            var = self.main.local(node.var, "int")
            self.main.state[node.var] = Var("int", var, None, scalar("int"), RANGE)
            lines = [f"{var} = first + done * step"]
            test: list[Node] = []
        else:
            test = node.test
            lines = [*self._nodes(test, self.main), f"if not {self._condition(node.cond, self.main)}:", "    break"]
        self.head = dict(self.main.state)
        body, compiled = self._top(node.body)
        return [*lines, *self.leaving, *body, "done += 1"], [*test, *compiled]

    def _top(self, nodes: list[Node]) -> tuple[list[str], list[Node]]:
        lines: list[str] = []
        compiled: list[Node] = []
        for i, node in enumerate(nodes):
            before = dict(self.main.state)
            try:
                lines += self._nodes([node], self.main)
                compiled.append(node)
            except Unsuitable:
                self.main.state = before
                if not isinstance(node, IfNode):
                    raise
                rest = self._leave(node, nodes[:i])
                lines += self._nodes(rest, self.main)
                compiled += rest
        return lines, compiled

    def _leave(self, node: IfNode, earlier: list[Node]) -> list[Node]:
        """Check at the start of an iteration whether it takes the branch that cannot be compiled; the nodes of the other branch."""
        before = dict(self.main.state)
        try:
            self._nodes(node.then, self.main)
            then_is_fine = True
        except Unsuitable:
            then_is_fine = False
        self.main.state = before
        found = [n for n in earlier if isinstance(n, Block) and node.cond in n.outputs]
        if not found:
            raise Unsuitable("a branch that depends on what comes before it")
        at = earlier.index(found[-1])
        hop = next(r.hop for r in found[-1].roots if r.name == node.cond)
        test = Block([Root(node.cond, hop)], found[-1].facts_in, found[-1].spans)
        if set(test.inputs) & assigned_in(earlier[:at]):
            raise Unsuitable("a branch that depends on what comes before it")
        scope = Scope(self.memory, dict(self.head))
        self.leaving += BlockWriter(self.memory, scope, test, self.level).write()
        condition = self._condition(node.cond, scope)
        self.leaving += [f"if {'not ' if then_is_fine else ''}{condition}:", f"    n[1] = {LEFT}", "    break"]
        return node.then if then_is_fine else node.orelse

    # ------------------------------------------------------------ nodes
    def _nodes(self, nodes: list[Node], scope: Scope) -> list[str]:
        lines: list[str] = []
        for node in nodes:
            match node:
                case Block():
                    self.blocks += 1
                    if self.blocks > _MOST_BLOCKS:
                        raise Unsuitable("a loop that would take too long to compile")
                    lines += BlockWriter(self.memory, scope, node, self.level).write() if node.roots else []
                case CallNode():
                    lines += self._call(node, scope)
                case IfNode():
                    lines += self._if(node, scope)
                case WhileNode():
                    lines += self._while(node, scope)
                case ForNode():
                    lines += self._for(node, scope)
        return lines

    def _condition(self, name: str, scope: Scope) -> str:
        var = scope.state.get(name)
        if var is None or var.kind not in _ZERO:
            raise Unsuitable("a condition that is no number")
        return var.text if var.kind == "boolean" else f"({var.text} != 0)"

    def _if(self, node: IfNode, scope: Scope) -> list[str]:
        condition = self._condition(node.cond, scope)
        fact = scope.state[node.cond].fact
        if fact.is_const:
            return self._nodes(node.then if fact.value else node.orelse, scope)
        before = scope.state
        branches, states = [], []
        for nodes in (node.then, node.orelse):
            scope.state = dict(before)
            branches.append(self._nodes(nodes, scope))
            states.append(scope.state)
        scope.state = {}
        for name in states[0].keys() & states[1].keys():
            _join(scope, name, [s[name] for s in states], branches)
        then, orelse = (lines or ["pass"] for lines in branches)
        return [f"if {condition}:", *indented(then), "else:", *indented(orelse)]

    def _while(self, node: WhileNode, scope: Scope) -> list[str]:
        lines, heads = self._heads(assigned_in([*node.test, *node.body]), scope)
        body = self._nodes(node.test, scope)
        body += [f"if not {self._condition(node.cond, scope)}:", "    break"]
        known = dict(scope.state)
        body += self._nodes(node.body, scope)
        self._repeat(heads, scope, body)
        scope.state = {n: v for n, v in scope.state.items() if n in known}
        return [*lines, "while True:", *indented(body)]

    def _for(self, node: ForNode, scope: Scope) -> list[str]:
        if node.parallel is not None:
            raise Unsuitable("parfor")
        start, stop = (self._bound(n, scope) for n in (node.start, node.stop))
        step = self._bound(node.step, scope) if node.step is not None else None
        if step is not None and not (step.fact.is_const and int(step.fact.value)):
            raise Unsuitable("a step that is not known")
        lines, heads = self._heads(assigned_in(node.body) | {node.var}, scope)
        low, high = (str(int(v.fact.value)) if v.fact.is_const else v.text for v in (start, stop))
        known = start.fact.is_const and stop.fact.is_const
        by = str(int(step.fact.value)) if step else ("1" if int(low) <= int(high) else "-1") if known else self.memory.name("s")
        if step is None and not known:
            lines.append(f"{by} = 1 if {low} <= {high} else -1")
        var, counter = scope.local(node.var, "int"), self.memory.name("i")
        scope.state[node.var] = Var("int", var, None, scalar("int"), COUNTED if known else max(start.bound, stop.bound))
        before = dict(scope.state)
        body = [f"{var} = {counter}", *self._nodes(node.body, scope)]
        self._repeat(heads, scope, body)
        if not (known and len(range(int(low), int(high) + (1 if int(by) > 0 else -1), int(by)))):
            scope.state = {n: v for n, v in scope.state.items() if n in before and (n != node.var or n in heads)}
        return [*lines, f"for {counter} in range({low}, {high} + (1 if {by} > 0 else -1), {by}):", *indented(body)]

    def _bound(self, name: str, scope: Scope) -> Var:
        var = scope.state.get(name)
        if var is None or not (var.kind == "int" or (var.kind == "double" and var.fact.is_const and abs(var.fact.value) < COUNTED)):
            raise Unsuitable("a bound that is no whole number")
        if var.bound > COUNTED and not var.fact.is_const:
            raise Unsuitable("a bound that may be large")
        return var

    # ------------------------------------------------------------ what a loop carries along
    def _heads(self, changed: set[str], scope: Scope) -> tuple[list[str], dict[str, Var]]:
        """Put the variables that a loop changes into their own places; the statements, and these variables."""
        lines: list[str] = []
        heads: dict[str, Var] = {}
        for name in sorted(changed & scope.state.keys()):
            var = scope.state[name]
            if var.kind == "string":
                del scope.state[name]
                continue
            lines += [*_moved(scope, name, var), *_alone(scope, name)]
            heads[name] = scope.state[name] = scope.state[name].varying()
        return lines, heads

    def _repeat(self, heads: dict[str, Var], scope: Scope, body: list[str]) -> None:
        """Bring what an iteration has changed to where the next one looks for it."""
        for name, head in heads.items():
            var = scope.state.get(name)
            if var is None or var.type != head.type:
                raise Unsuitable(f"{name} may change its type or shape")
            body += _moved(scope, name, scope.state[name])
        for name, head in heads.items():
            scope.state[name] = head

    def _close(self, kept: set[str], given: dict[str, Var], lines: list[str]) -> None:
        last = lines.pop()
        heads = {n: given[n] for n in kept if given[n].kind != "string"}
        self._repeat(heads, self.main, lines)
        lines.append(last)

    # ------------------------------------------------------------ calls
    def _call(self, node: CallNode, scope: Scope) -> list[str]:
        instance = self.functions[node.function]
        self.calls += 1
        if self.calls > _DEEPEST:
            raise Unsuitable("calls that go too deep")
        inner = Scope(self.memory)
        lines: list[str] = []
        borrowed = set()
        for param, arg in zip(instance.params, node.args, strict=True):
            var = scope.state.get(arg)
            if var is None:
                raise Unsuitable(f"{arg} may have no value")
            inner.state[param] = var
            if param in assigned_in(instance.body) and var.kind != "string":
                lines += _moved(inner, param, var)
            elif var.place is not None:
                borrowed.add(var.place)
        lines += self._nodes(instance.body, inner)
        self.calls -= 1
        return [*lines, *self._returned(node, instance, inner, scope, borrowed)]

    def _returned(self, node: CallNode, instance: FunctionInstance, inner: Scope, scope: Scope, borrowed: set[Place]) -> list[str]:
        """Bind results. Matrices stay where the function left them, unless that is the caller's own variable."""
        lines: list[str] = []
        changes: dict[str, str] = {}
        for result, name in zip(node.results, instance.returns, strict=False):
            var = inner.state.get(name)
            if var is None:
                raise Unsuitable(f"{name} may have no value")
            if var.place is not None and any(var.place.is_within(b) for b in borrowed):
                home = scope.home(result, var.place.rows, var.place.cols)
                if home in borrowed and home != var.place:
                    raise Unsuitable("results that are each other's arguments")
                lines += [*_alone(scope, result), *copied(home, var.place)] if home != var.place else []
                var = matrix_var(home)
            elif var.place is None and var.kind != "string":
                local = scope.local(result, var.kind)
                changes[local] = var.text
                var = replace(var, text=local)
            scope.state[result] = var
        if changes:
            lines.append(f"{', '.join(changes)} = {', '.join(changes.values())}")
        return lines

    # ------------------------------------------------------------ the source
    def _assembled(self, lines: list[str], given: dict[str, Var], results: set[str]) -> SmallLoop:
        after = []
        for name in sorted(results - given.keys()):
            var = self.main.state[name]
            if var.place is not None:
                after += copied(self.main.home(name, var.place.rows, var.place.cols), var.place)
        numbers, slots = [], {"int": _SLOTS, "double": 0}
        for (name, kind), _ in self.main.locals.items():
            sort = "double" if kind == "double" else "int"
            numbers.append((name, kind, slots[sort]))
            slots[sort] += 1
        start, end = self._exchanged(numbers)
        arrays = [p.base for _, p, _ in self.arrays]
        body = [
            *start,
            "done = 0",
            "while done < count:",
            *indented(lines),
            *(["if done > 0:", *indented(after)] if after else []),
            "n[0] = done",
            *end,
        ]
        source = f"def loop(first, step, count, n, d, w, h{''.join(', ' + a for a in arrays)}):\n" + "\n".join(indented(body)) + "\n"
        if source.count("\n") > _MOST_LINES:
            raise Unsuitable("a loop that would take too long to compile")
        used = tuple((n, k, s) for n, k, s in numbers if given.get(n, self.main.state.get(n)) is not None and self._kind(n, given) == k)
        return SmallLoop(
            source, "loop", "nnnlaaa" + "a" * len(arrays),
            tuple((n, (p.rows, p.cols), changed, n in given and given[n].place == p) for n, p, changed in self.arrays),
            used, (slots["int"], slots["double"]), frozenset(results), (self.memory.sizes["w"], self.memory.sizes["h"]),
            tuple(self.memory.checks),
        )  # fmt: skip

    def _kind(self, name: str, given: dict[str, Var]) -> str:
        return (self.main.state.get(name) or given[name]).kind

    def _exchanged(self, numbers: list[tuple[str, str, int]]) -> tuple[list[str], list[str]]:
        """Statements that take scalars in, and give them back."""
        start = [f"{local} = {_ZERO[kind]}" for local, kind in self.memory.locals.items()]
        end = []
        for name, kind, slot in numbers:
            local = self.main.locals[name, kind]
            start.append(f"{local} = " + {"int": f"n[{slot}]", "boolean": f"n[{slot}] != 0", "double": f"d[{slot}]"}[kind])
            end.append(f"{'d' if kind == 'double' else 'n'}[{slot}] = {f'1 if {local} else 0' if kind == 'boolean' else local}")
        return start, end


def _alone(scope: Scope, name: str) -> list[str]:
    """Statements after which nothing shares the memory of a variable."""
    return [line for pair in scope.alone(name) for line in copied(*pair)]


def _moved(scope: Scope, name: str, var: Var) -> list[str]:
    """Statements that bring a variable to its own place."""
    if var.place is not None:
        scope.state[name] = var
        return [line for pair in scope.settle([name]) for line in copied(*pair)]
    local = scope.local(name, var.kind)
    scope.state[name] = replace(var, text=local)
    return [] if local == var.text else [f"{local} = {var.text}"]


def _join(scope: Scope, name: str, found: list[Var], branches: list[list[str]]) -> None:
    """What a variable is after two branches; nothing where they leave it with different types."""
    first, second = found
    if first is second:
        scope.state[name] = first
    elif first.type == second.type and first.kind != "string":
        if first.place != second.place or first.text != second.text:
            for var, lines in zip(found, branches, strict=True):
                lines += _moved(scope, name, var)
        else:
            scope.state[name] = first
        joined = scope.state[name]
        same = first.fact.is_const and first.fact == second.fact
        scope.state[name] = replace(
            joined, fact=first.fact if same else joined.varying().fact, bound=min(WIDE, max(first.bound, second.bound))
        )
