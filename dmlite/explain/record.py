"""The record that every view is drawn from, which is also what `--format json` writes.

Its JSON form is an object with the fields of `Record`, nested as the classes below; tuples are arrays, and a field that is
not known is null. `schema` is 1 and rises when a field is renamed or changes its meaning; new fields may come at any time.
Sizes are in bytes, times in seconds, lines and columns count from 1.

An estimated time is that of one execution; `times` of a block says how often it is executed, a loop of unknown length taken
as one round. In `body` every element has a `kind`: block (with the `number` of an element of `blocks`), call, if, while or for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

SCHEMA: Final = 1


@dataclass
class Place:
    """A stretch of source text; the end column is exclusive."""

    file: str
    line: int
    col: int
    end_line: int
    end_col: int


@dataclass
class Value:
    """What is known of a result. nnz is an upper bound, expected the number of non-zeros that costs go by.

    storage: `dense`, or `dense or CSR` where that is decided by the numbers; of plans only.
    """

    kind: str
    vtype: str | None = None
    rows: int | None = None
    cols: int | None = None
    nnz: int | None = None
    expected: float | None = None
    bytes: int | None = None
    properties: list[str] = field(default_factory=list)
    storage: str = ""


@dataclass
class Actual:
    """What a run measured at one operator: all calls together, the size of a recent result, and by how many bytes memory grew."""

    seconds: float
    calls: int
    rows: int | None
    cols: int | None
    nnz: int | None
    bytes: int | None
    storage: str
    grew: int | None = None


@dataclass
class Operator:
    """One operator (or `input`, a variable from before the block).

    text: this operator on the names of its operands. expression: the same down to named variables.
    operands: ids in the same graph, without literals. code: the generated Python. rules: numbers of the rewrites it came from.
    backend: where it runs, and why_there; moved: bytes that travel to workers and back; kernel: what computes it, and reason.
    """

    id: int
    kind: str
    op: str
    name: str
    text: str
    expression: str
    operands: list[int]
    place: Place | None
    value: Value
    flops: float | None = None
    seconds: float | None = None
    backend: str = ""
    moved: int = 0
    why_there: str = ""
    kernel: str = ""
    code: str = ""
    reason: str = ""
    rules: list[int] = field(default_factory=list)
    actual: Actual | None = None


@dataclass
class Graph:
    """One DAG. results: variable and id of what it is bound to (None: a constant, given in `text`).

    seconds: the sum of all estimates; unknown: how many operators have none.
    """

    operators: list[Operator]
    results: list[Result]
    seconds: float
    unknown: int


@dataclass
class Result:
    """A variable that a block binds."""

    variable: str
    id: int | None
    text: str


@dataclass
class Rewrite:
    """One firing of a rule. where: what the numbered operators in `before` and `after` compute.

    before_seconds and after_seconds, before_bytes and after_bytes: of the operators that went and came, None when not known.
    """

    number: int
    block: int
    rule: str
    why: str
    values: str
    place: Place | None
    before: str
    after: str
    where: dict[str, str]
    before_seconds: float | None
    after_seconds: float | None
    before_bytes: int | None
    after_bytes: int | None
    before_graph: Graph
    after_graph: Graph


@dataclass
class StatementRewrite:
    """One rewrite of whole statements (of a `kind` such as inlining): what stood there, and what became of it.

    block: the block that it shaped, None where it shaped the program before there were blocks.
    """

    kind: str
    why: str
    function: str
    block: int | None
    place: Place | None
    before: str
    after: str


@dataclass
class NearMiss:
    """A fused operator that was nearly used, and what spoke against it. id: the operator in the plan that it would replace."""

    rule: str
    why: str
    block: int
    id: int | None
    place: Place | None
    text: str
    reason: str


@dataclass
class BlockRecord:
    """A straight line of statements: as lowered (`hops`) and as it runs (`plan`).

    times: how often it runs; open: in one round of a loop of unknown length; maybe: at most, as a branch is around it.
    peak: the most bytes that inputs and results need at a time, by the estimates; peak_before: had nothing been rewritten.
    plans: how many plans a run made, of which the one that took most time is shown; 0 when it did not run or was not asked to.
    """

    number: int
    function: str
    place: Place | None
    times: int
    open: bool
    maybe: bool
    hops: Graph
    plan: Graph
    rewrites: list[Rewrite] = field(default_factory=list)
    misses: list[NearMiss] = field(default_factory=list)
    python: str = ""
    peak: int | None = None
    peak_before: int | None = None
    plans: int = 0


@dataclass
class FunctionRecord:
    """One function as compiled for the facts of some of its calls. runs: how often, as text; empty for once."""

    key: str
    name: str
    params: list[str]
    returns: list[str]
    body: list[Item]
    runs: str = ""


Item: TypeAlias = dict[str, Any]


@dataclass
class Run:
    """A whole run: seconds, and by how many bytes memory grew at its highest."""

    seconds: float
    peak: int


@dataclass
class Record:
    """A program at every stage. syntax: the tree of `--level ast`. sources: the text of every file by name. budget: bytes it may take."""

    name: str
    opt_level: int
    functions: list[FunctionRecord]
    blocks: list[BlockRecord]
    statements: list[StatementRewrite]
    sources: dict[str, str]
    syntax: Item
    run: Run | None = None
    budget: int | None = None
    schema: int = SCHEMA
