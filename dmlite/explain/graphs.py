"""DAGs of a record: one `Operator` a node, with its facts, its estimate, and how it is computed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from dmlite.errors import Span
from dmlite.explain.choice import Choice
from dmlite.explain.lineage import Lineage
from dmlite.explain.naming import is_number, is_temporary, written
from dmlite.explain.record import Actual, Graph, Operator, Place, Result, Value
from dmlite.hop.cost import Cost, bytes_of, estimate, nonzeros
from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop, postorder
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Root
from dmlite.runtime.stats import Measured

EXPRESSION_LIMIT: Final = 24  # operators that are written out as the full expression of a node


class GraphBuilder:
    """Builds the graph of one block from names and facts; the rest is known of plans only.

    choices and measured are those of the steps of the plan; `first` is the number of the first rewrite.
    """

    def __init__(
        self,
        names: Mapping[Hop, str],
        facts: FactTable,
        spans: Mapping[Hop, Span],
        lineage: Lineage | None = None,
        choices: Mapping[Hop, Choice] | None = None,
        measured: Mapping[Hop, Measured] | None = None,
        first: int = 0,
    ):
        self.names = names
        self.facts = facts
        self.spans = spans
        self.lineage = lineage
        self.choices = choices or {}
        self.measured = measured or {}
        self.first = first
        self.variables = {hop: name for hop, name in names.items() if hop.op != LITERAL and not is_number(name)}

    @staticmethod
    def ids(roots: Sequence[Root]) -> dict[Hop, int]:
        """The numbers of the nodes in the graph of `roots`, in their order."""
        nodes = (hop for hop in postorder(r.hop for r in roots) if hop.op != LITERAL)
        return {hop: number for number, hop in enumerate(nodes)}

    def graph(self, roots: Sequence[Root]) -> Graph:
        """The DAG of a block."""
        ids = self.ids(roots)
        operators = [self._operator(hop, ids) for hop in ids]
        results = [
            Result(root.name.split("@")[0], ids.get(root.hop), self.names[root.hop])
            for root in roots
            if root.name is not None and not is_temporary(root.name)
        ]
        costs = [o.seconds for o in operators]
        return Graph(operators, results, sum(c for c in costs if c is not None), costs.count(None))

    def _operator(self, hop: Hop, ids: Mapping[Hop, int]) -> Operator:
        name, fact = self.names[hop], self.facts[hop]
        span = self.spans.get(hop)
        operator = Operator(
            id=ids[hop],
            kind="input" if hop.op == LIVE_IN else "operator",
            op=hop.op,
            name="" if is_silent(hop) else name,
            text=name if hop.op == LIVE_IN else operator_text(hop, self.names),
            expression=name if hop.op == LIVE_IN else written(hop, self.variables, EXPRESSION_LIMIT),
            operands=[ids[a] for a in hop.args if a.op != LITERAL],
            place=None if span is None else Place(span.source.name, span.line, span.col, span.end_line, span.end_col),
            value=value_of(fact),
        )
        choice = self.choices.get(hop)
        cost = _in_place(hop, self.facts) if choice is not None and choice.in_place else estimate(hop, self.facts)
        operator.flops, operator.seconds = cost.flops, cost.seconds
        if choice is not None:
            operator.backend, operator.why_there = choice.placement.backend, choice.placement.reason
            operator.moved = int(choice.placement.moved)
            operator.kernel, operator.code, operator.reason = choice.kernel, choice.code, choice.reason
            operator.value.storage = choice.storage
            if choice.seconds is not None:
                operator.flops, operator.seconds = None, choice.seconds
            if choice.never_whole:
                operator.value.bytes = 0
        if self.lineage is not None:
            operator.rules = [self.first + number for number in self.lineage.made_by(hop)]
        step = self.measured.get(hop)
        if step is not None and step.calls:
            storage = "" if step.dense is None else "dense" if step.dense else "CSR"
            operator.actual = Actual(step.seconds, step.calls, step.rows, step.cols, step.nnz, step.bytes, storage, step.grew)
        return operator


def _in_place(hop: Hop, facts: FactTable) -> Cost:
    """Of writing into the old matrix: only what is written counts."""
    value = facts[hop.args[1]]
    size, machine = bytes_of(value), facts.machine
    return Cost(0.0, None, None) if size is None else Cost(0.0, 2.0 * size, machine.moving(size, size) + machine.call)


def is_silent(hop: Hop) -> bool:
    """Whether the operator gives nothing: it prints, writes or stops."""
    return hop.op in BY_NAME and not BY_NAME[hop.op].returns


def operator_text(hop: Hop, names: Mapping[Hop, str]) -> str:
    """One operator on the names of its operands."""
    if hop.op == PICK:
        return f"result {hop.value + 1} of {names[hop.args[0]]}"
    if hop.op == "leftindex":
        target, value, *bounds = hop.args
        rows, cols = (_bound(names, *bounds[at : at + 2]) for at in (0, 2))
        return f"{names[target]} with [{rows}, {cols}] = {names[value]}"
    text = written(hop, {a: names[a] for a in hop.args if a.op != LITERAL})
    return _WHOLE.sub("", text) if hop.op in _COUNTING else text


_COUNTING: Final = frozenset({"index", "fill", "reshape", "seq"})  # operators whose numbers are whole, whatever their type
_WHOLE: Final = re.compile(r"(?<=\d)\.0(?![\w.])")


def _bound(names: Mapping[Hop, str], low: Hop, high: Hop) -> str:
    absent = lambda hop: hop.is_literal and hop.value is None  # noqa: E731
    return "" if absent(low) else names[low] if absent(high) else f"{names[low]}:{names[high]}"


def value_of(fact: Fact) -> Value:
    """A fact as it is shown."""
    sized = fact.is_matrix and fact.cells is not None
    return Value(
        fact.kind,
        fact.vtype,
        fact.rows,
        fact.cols,
        fact.nnz if fact.is_matrix else None,
        nonzeros(fact) if fact.is_matrix else None,
        bytes_of(fact) if sized else None,
        _properties(fact),
    )


def _properties(fact: Fact) -> list[str]:
    """What is known of a matrix beyond its size."""
    if not fact.is_matrix:
        return []
    found = sorted(s.replace("_", " ") for s in fact.structure)
    if fact.integer:
        found.append("whole numbers")
    if not fact.may_nan:
        found.append("finite")
    if fact.low == fact.high:
        found.append(f"all {fact.low:g}")
    elif not (math.isinf(fact.low) and math.isinf(fact.high)):
        found.append(f"between {fact.low:g} and {fact.high:g}")
    return found


def graph_of_rewrite(root: Hop, changing: Sequence[Hop], facts: FactTable, names: Mapping[Hop, str]) -> Graph:
    """One side of a rewrite as a small graph: the operators that change, down to what both sides share.

    names: of what both sides share, where it has one.
    """
    ours = set(changing)
    order: list[Hop] = []
    for hop in changing:
        order.extend(a for a in hop.args if a not in ours and a.op != LITERAL and a not in order)
        order.append(hop)
    if root not in ours:
        order = [root]
    ids = {hop: number for number, hop in enumerate(order)}
    operators = [_rewrite_operator(hop, ids, facts, names, hop in ours) for hop in order]
    costs = [o.seconds for o in operators]
    return Graph(operators, [], sum(c for c in costs if c is not None), costs.count(None))


def _rewrite_operator(hop: Hop, ids: Mapping[Hop, int], facts: FactTable, names: Mapping[Hop, str], changing: bool) -> Operator:
    expression = written(hop, names, EXPRESSION_LIMIT) if hop.args else names.get(hop, str(hop.value))
    text = written(hop, names, 1) if changing else names.get(hop) or written(hop, names, 3)
    seconds = estimate(hop, facts).seconds if changing else 0.0
    operands = [ids[a] for a in hop.args if a in ids] if changing else []
    kind = "operator" if changing else "input"
    return Operator(ids[hop], kind, hop.op, "", text, expression, operands, None, value_of(facts[hop]), seconds=seconds)
