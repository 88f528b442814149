"""Expressions of one region as an e-graph: terms go to egglog, and what is found equal comes back as HOPs.

egglog finds the matches and keeps the classes of equal terms. Rules and laws go to it as text; the shapes that laws need
are computed there too. A guard of a rule is a function on facts, so its matches come back, are judged here, and what
holds is handed in as an equation. Every class has a representative HOP, whose fact is known of the whole class.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dmlite.hop.infer import FactTable
from dmlite.hop.kinds import fits, paired
from dmlite.hop.node import LITERAL, Hop, literal, make
from dmlite.hop.ops import BY_NAME
from dmlite.rewrite.rule import Match, Rule, instantiate
from dmlite.rewrite.saturation.terms import PRELUDE, STEP, Equality, declarations, dims_of, head, holes, literal_term, operators, read_word


class Theory:
    """An egglog graph of operators and equalities, without terms: declared when first needed, and kept for later regions."""

    def __init__(self, bindings: Any, known: tuple[Equality, ...]):
        self.graph = bindings.EGraph()
        self.known = known
        self.active: dict[int, Equality] = {}
        self.operators: set[tuple[str, int]] = set()
        self.run(PRELUDE)

    def run(self, text: str) -> None:
        """Give commands to egglog, each in a line; what it remembers of a command includes all that it was read with."""
        for line in text.strip().split("\n"):
            self.graph.run_program(*self.graph.parse_program(line))

    def admit(self, found: set[tuple[str, int]]) -> None:
        """Declare operators, and every equality that can be met when starting from them."""
        reachable = self.operators | found
        added: dict[int, Equality] = {}
        while True:
            near = (i for i, e in enumerate(self.known) if i not in self.active and i not in added)
            new = {i: self.known[i] for i in near if operators(self.known[i].before) <= reachable}
            if not new:
                break
            added |= new
            reachable |= {op for e in new.values() for op in operators(e.after)}
        text = [line for op in sorted(reachable - self.operators) for line in declarations(*op)]
        self.operators |= reachable
        active = {e.text(0) for e in self.active.values() if not e.guarded}
        text += dict.fromkeys(t for i, e in sorted(added.items()) if (t := e.text(i)) not in active)
        self.active |= added
        self.run("\n".join(text))


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One way to compute a class: `op` over classes, of which `hop` is an instance; or the leaf `hop`."""

    op: str
    operands: tuple[Any, ...]
    hop: Hop

    @property
    def is_leaf(self) -> bool:
        return not self.op


class EGraph:
    """`roots` over `leaves`, and all that is equal to them. Classes are opaque values of egglog.

    To be used in a with-block, at whose end the theory is again without terms.
    """

    def __init__(self, theory: Theory, facts: FactTable, roots: Sequence[Hop], leaves: Collection[Hop]):
        self.facts = facts
        self.roots = roots
        self.leaves = leaves
        self._theory = theory
        self._operators = {(h.op, len(h.args)) for h in postorder_above(roots, leaves) if h not in leaves and h.op != LITERAL}
        self._numbers: dict[Hop, int] = {}  # of leaves, and of what was put in first
        self._names: dict[Hop, str] = {}  # in the actions that are pending
        self._judged: set[tuple[Any, ...]] = set()
        self._pending: list[str] = []
        self._declared: list[str] = []
        self._flushes = 0
        self._classes: dict[Hop, Any] = {}
        self._rows: dict[Any, list[tuple[str, tuple[Any, ...]]]] = {}
        self._representative: dict[Any, Hop] = {}
        self._leaf_classes: dict[Any, Hop] = {}

    def __enter__(self) -> EGraph:
        self._theory.admit(self._operators)
        self._operators = set(self._theory.operators)
        self._theory.run("(push)")
        for hop in dict.fromkeys([*self.leaves, *postorder_above(self.roots, self.leaves)]):
            name = self._name(hop)
            self._pending.append(f"(entered {self._number(hop)} {name})")
        self._flush()
        self._read(self._theory.graph.freeze().functions)
        return self

    def __exit__(self, *_: object) -> None:
        self._theory.run("(pop)")

    # ------------------------------------------------------------ putting in
    def _name(self, hop: Hop) -> str:
        """A name for `hop` in the pending actions, which enter it with all it is made of."""
        for inner in postorder_above([hop], self._names):
            if inner not in self._names:
                self._bind(inner)
        return self._names[hop]

    def _bind(self, hop: Hop) -> None:
        name = self._names[hop] = f"h{len(self._names)}"
        if hop.op == LITERAL:
            self._pending.append(f"(let {name} {literal_term(hop)})")
        elif hop in self.leaves or not hop.args or hop.tag or hop.op not in BY_NAME:
            self._pending.append(f"(let {name} (leaf {self._number(hop)}))")
            self._shape(name, hop)
        else:
            self._declare(hop.op, len(hop.args))
            self._pending.append(f"(let {name} ({head(hop.op, len(hop.args))} {' '.join(self._names[a] for a in hop.args)}))")
            if dims_of(hop.op, [("0", "0")] * len(hop.args)) is None:
                self._shape(name, hop)

    def _number(self, hop: Hop) -> int:
        return self._numbers.setdefault(hop, len(self._numbers))

    def _declare(self, op: str, arity: int) -> None:
        if (op, arity) not in self._operators:
            self._operators.add((op, arity))
            self._declared += declarations(op, arity)

    def _shape(self, name: str, hop: Hop) -> None:
        fact = self.facts[hop]
        rows, cols = (fact.rows, fact.cols) if fact.is_matrix else (-1, -1) if fact.is_scalar else (-2, -2)
        if rows is not None and cols is not None:
            self._pending.append(f"(set (rows {name}) {rows}) (set (cols {name}) {cols})")

    def _flush(self) -> None:
        """Run what is pending as the actions of a rule without conditions.

        egglog 13 corrupts the graph when terms are bound to global names and one of them is not canonical any more.
        """
        if self._pending:
            self._flushes += 1
            rule = f"(rule () ({' '.join(self._pending)}) :ruleset entering{self._flushes})"
            commands = f"(ruleset entering{self._flushes})", rule, f"(run-schedule (run entering{self._flushes}))"
            self._theory.run("\n".join((*self._declared, *commands)))
            self._pending, self._declared, self._names = [], [], {}

    # ------------------------------------------------------------ exploring
    def step(self, limit: int) -> bool:
        """One round of all equalities; whether there is more to find.

        A round that leads beyond `limit` nodes is the last one, and is not looked at.
        """
        before = self._extent()
        self._theory.run(STEP)
        tables = self._theory.graph.freeze().functions
        if sum(len(tables[head(*op)].rows) for op in self._operators) > limit:
            return False
        self._read(tables)
        self._judge(tables)
        grew = bool(self._pending) or self._extent() != before
        self._flush()
        return grew

    def _extent(self) -> tuple[int, int]:
        return len(self._rows), sum(map(len, self._rows.values()))

    def _read(self, tables: Mapping[str, Any]) -> None:
        """Take over the classes and their nodes, and find a HOP to stand for each class."""
        number_of = self._theory.graph.value_to_i64
        by_number = {number_of(entry.inputs[0]): entry.inputs[1] for entry in tables["entered"].rows}
        self._classes = {hop: by_number[number] for hop, number in self._numbers.items() if number in by_number}
        self._leaf_classes = dict(self._read_leaves(tables))
        self._representative |= self._leaf_classes
        self._rows = {}
        for op, arity in sorted(self._operators):
            for entry in tables[head(op, arity)].rows if head(op, arity) in tables else ():
                self._rows.setdefault(entry.output, []).append((op, tuple(entry.inputs)))
        waiting = [c for c in self._rows if c not in self._representative]
        while waiting:
            left = [c for c in waiting if not self._settle(c)]
            if len(left) == len(waiting):
                break
            waiting = left

    def _read_leaves(self, tables: Mapping[str, Any]) -> Iterator[tuple[Any, Hop]]:
        graph = self._theory.graph
        hops = list(self._numbers)
        for entry in tables["leaf"].rows:
            yield entry.output, hops[graph.value_to_i64(entry.inputs[0])]
        for entry in tables["word"].rows:
            yield entry.output, read_word(graph.value_to_string(entry.inputs[0]))
        for entry in tables["number"].rows:
            value = graph.value_to_f64(entry.inputs[0])
            yield entry.output, literal(int(value) if value == int(value) and abs(value) < 2**53 else value)

    def _settle(self, cls: Any) -> bool:
        """Whether the class has a legal node over classes that are settled; the first one represents it."""
        hop = next(self._instances(cls), None)
        if hop is None:
            return False
        self._representative[cls] = hop[2]
        return True

    def _instances(self, cls: Any) -> Iterator[tuple[str, tuple[Any, ...], Hop]]:
        """The nodes of a class that DML allows, as HOPs over what represents their operands."""
        for op, operands in self._rows.get(cls, ()):
            if all(o in self._representative for o in operands):
                hop = make(op, [self._representative[o] for o in operands])
                if self._is_legal(hop):
                    yield op, operands, hop

    def _is_legal(self, hop: Hop) -> bool:
        fact = self.facts[hop]
        if hop.op not in BY_NAME or not (fact.cells is not None if fact.is_matrix else fact.is_scalar):
            return False
        return all(fits(p, a, self.facts[a], False) for p, a in paired(BY_NAME[hop.op], hop.args))

    def _judge(self, tables: Mapping[str, Any]) -> None:
        """Let guarded rules decide on their new matches."""
        for number, equality in self._theory.active.items():
            if not equality.guarded:
                continue
            names = holes(equality.before)
            for entry in tables[f"match{number}"].rows:
                found = [self._representative.get(c) for c in entry.inputs]
                whole, *parts = found
                if (number, *found) in self._judged or whole is None or None in parts:
                    continue
                self._judged.add((number, *found))
                assert equality.rule is not None
                new = self._result(equality.rule, equality.before, dict(zip(names, parts, strict=True)))  # type: ignore[arg-type]
                if new is not None and new is not whole:
                    self._pending.append(f"(union {self._name(whole)} {self._name(new)})")

    def _result(self, rule: Rule, pattern: Hop, bound: dict[str, Hop]) -> Hop | None:
        """What a rule gives for a match; None where it does not hold."""
        if any(self.facts[h].is_matrix != n[0].isupper() for n, h in bound.items()):
            return None
        root = instantiate(pattern, bound)
        if not self._is_legal(root):
            return None
        match = Match(root, bound, self.facts, {})
        if rule.where is not None and not rule.where(match):
            return None
        new = rule.after(match) if callable(rule.after) else instantiate(rule.replacement, bound)
        return new if new is not None and self._same_shape(root, new) else None

    def _same_shape(self, a: Hop, b: Hop) -> bool:
        one, other = self.facts[a], self.facts[b]
        return (one.kind, one.rows, one.cols) == (other.kind, other.rows, other.cols)

    # ------------------------------------------------------------ reading out
    def nodes(self) -> dict[Any, list[Node]]:
        """The ways to compute each class that has one."""
        found = {cls: [Node("", (), hop)] for cls, hop in self._leaf_classes.items()}
        for cls in self._rows:
            whole = self._representative.get(cls)
            if whole is not None:
                same = (Node(*i) for i in self._instances(cls) if self._same_shape(i[2], whole))
                found.setdefault(cls, []).extend(same)
        return found

    def class_of(self, hop: Hop) -> Any:
        """The class of a HOP that was put in."""
        return self._classes[hop]

    def as_entered(self, nodes: Mapping[Any, Sequence[Node]]) -> dict[Any, Node]:
        """The nodes that compute the roots as they were put in."""
        choice: dict[Any, Node] = {}
        for hop in postorder_above(self.roots, self.leaves):
            cls = self._classes[hop]
            wanted = ("", ()) if hop in self.leaves or hop.op == LITERAL else (hop.op, tuple(self._classes[a] for a in hop.args))
            node = next((n for n in nodes[cls] if (n.op, n.operands) == wanted), None)
            if node is not None:
                choice.setdefault(cls, node)
        return choice


def postorder_above(roots: Sequence[Hop], stops: Container[Hop]) -> Iterator[Hop]:
    """Nodes from `roots` down to, and with, those in `stops`; operands first."""
    seen: set[Hop] = set()
    for root in roots:
        stack = [(root, False)]
        while stack:
            hop, expanded = stack.pop()
            if expanded:
                yield hop
            elif hop not in seen:
                seen.add(hop)
                stack.append((hop, True))
                if hop not in stops:
                    stack.extend((arg, False) for arg in reversed(hop.args))
