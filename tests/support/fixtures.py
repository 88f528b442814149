"""Before/after pairs in plain files: reading them, lowering them, and computing them straight through the kernels.

A pair is a block of lines:

    # name: what it shows
    # sizes: X[100,10] nnz=30, v[10,1], s=scalar, n=int, k=3, Y[?,?]
    # facts: X low=0 integer finite symmetric; Y nnz=0
    # values: X low=0
    # level: 3
    before
    ---
    after

Only the name is required; `facts` is what rules know, `values` what the numbers are drawn like though no rule knows it. Upper-case names are matrices (5x4 unless `sizes` says otherwise; `?` is not known when rules
run), lower-case names scalars (double unless it says int, or a constant). Each half is an expression, or statements
whose variables are all needed afterwards. Operators that scripts cannot type are written by their name in the operator
table, and an argument that is left out is `none`. Equal halves mean that nothing may happen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from dmlite.backends.local import registry
from dmlite.backends.local.storage import is_matrix
from dmlite.errors import DMLSyntaxError, Problems
from dmlite.flow import fold
from dmlite.hop.builder import Variable
from dmlite.hop.expressions import CONSTANTS
from dmlite.hop.facts import UNKNOWN, Fact, constant, matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.lower import Context, Lowerer
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop, literal, make
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Block
from dmlite.lang import nodes as ast
from dmlite.lang.modules import Module
from dmlite.lang.parser import parse
from dmlite.lang.walk import walk
from dmlite.rewrite.driver import Firing, rewrite
from dmlite.rewrite.pattern import ABSENT
from dmlite.rewrite.phases import rules_for

HERE = Path(__file__).parents[1] / "rewrite" / "fixtures"
DEFAULT_SHAPE = (5, 4)
_STRUCTURES = frozenset(["symmetric", "lower", "upper", "diagonal", "rows_sum_to_one", "permutation"])


@dataclass(frozen=True)
class Given:
    """One input of a pair: what rules know about it, and the shape (or value) it has when the pair is computed."""

    fact: Fact
    shape: tuple[int, int] = (1, 1)
    value: Any = None


@dataclass(frozen=True)
class Pair:
    """One fixture."""

    topic: str
    name: str
    before: str
    after: str
    level: int = 2
    sizes: Mapping[str, Given] = field(default_factory=dict)
    draws: Mapping[str, Given] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.topic}-{self.name.replace(' ', '_')}"

    @property
    def stays(self) -> bool:
        return self.before == self.after


# ---------------------------------------------------------------- reading
def pairs() -> Iterator[Pair]:
    """Every pair of every file, folder by folder."""
    for file in sorted(HERE.glob("*/*.dml")):
        topic = f"{file.parent.name}-{file.stem}"
        for block in re.split(r"\n(?=# name:)", file.read_text(encoding="utf-8")):
            if block.strip():
                yield _pair(topic, block)


def _pair(topic: str, block: str) -> Pair:
    heads: dict[str, str] = {}
    lines = []
    for line in block.strip().splitlines():
        head = re.match(r"# (name|sizes|facts|values|level):\s*(.*)", line)
        if head:
            heads[head[1]] = f"{heads[head[1]]}; {head[2]}" if head[1] in heads else head[2]
        elif not line.startswith("#"):
            lines.append(line)
    halves = "\n".join(lines).split("\n---\n")
    assert len(halves) == 2 and "name" in heads, f"{topic}: a pair needs a name and two halves around ---:\n{block}"
    sizes, facts, values = (heads.get(h, "") for h in ("sizes", "facts", "values"))
    draws = given(sizes, "; ".join(filter(None, [facts, values])))
    return Pair(topic, heads["name"], halves[0].strip(), halves[1].strip(), int(heads.get("level", 2)), given(sizes, facts), draws)


def given(sizes: str, facts: str) -> dict[str, Given]:
    """The variables that the two header lines tell of."""
    found: dict[str, Given] = {}
    for text in re.split(r",\s*(?![^\[]*\])", sizes) if sizes else ():
        dims = re.fullmatch(r"(\w+)\[(\d+|\?),\s*(\d+|\?)\](?:\s+nnz=(\d+))?", text.strip())
        if dims:
            name, rows, cols, nnz = dims.groups()
            known = [None if d == "?" else int(d) for d in (rows, cols)]
            shape = tuple(d if k is None else k for k, d in zip(known, DEFAULT_SHAPE, strict=True))
            found[name] = Given(matrix(*known, None if nnz is None else int(nnz)), shape)
        else:
            name, value = re.fullmatch(r"(\w+)\s*=\s*(\S+)", text.strip()).groups()
            found[name] = _scalar(value)
    for text in facts.split(";") if facts else ():
        name, *words = text.split()
        old = found.get(name) or default(name)
        fields = dict(_fact_field(word) for word in words if word not in _STRUCTURES)
        found[name] = replace(old, fact=replace(old.fact, structure=old.fact.structure | (frozenset(words) & _STRUCTURES), **fields))
    return found


def _scalar(text: str) -> Given:
    if text in ("scalar", "double"):
        return Given(scalar("double"))
    if text == "int":
        return Given(scalar("int"), value=3)
    value = int(text) if re.fullmatch(r"-?\d+", text) else float(text)
    return Given(constant(value), value=value)


def _fact_field(word: str) -> tuple[str, Any]:
    if word == "finite":
        return "may_nan", False
    if word == "integer":
        return "integer", True
    key, value = word.split("=")
    return key, int(value) if key.startswith("nnz") else float(value)


def default(name: str) -> Given:
    return Given(matrix(*DEFAULT_SHAPE), DEFAULT_SHAPE) if name[0].isupper() else Given(scalar("double"))


# ---------------------------------------------------------------- lowering and rewriting
def lowered(pair: Pair, text: str) -> Block:
    """One half as a block: every variable that it sets is a root, and nothing is rewritten."""
    try:
        script = parse(text, pair.id)
    except DMLSyntaxError:
        script = None
    if script is None or not all(isinstance(s, ast.Assign) for s in script.body):
        script = parse(f"r = {text}", pair.id)
    context = Context(Problems(), {}, fold, _no_files, internal=True)
    lowerer = Lowerer(context, Module(PurePath(pair.id), script))
    lowerer.scope.vars[ABSENT] = Variable(literal(None), UNKNOWN)
    for name in variables(script):
        lowerer.scope.vars[name] = Variable(None, (pair.sizes.get(name) or default(name)).fact)
    lowerer.statements(script.body)
    lowerer.builder.flush()
    context.problems.raise_if_any()
    (block,) = lowerer.builder.nodes
    return block


def variables(script: ast.Script) -> list[str]:
    """The names that a half reads before it sets them."""
    found: dict[str, None] = {}
    set_: set[str] = set()
    for stmt in script.body:
        for node in walk(stmt.value):
            if isinstance(node, (ast.Name, ast.Index)) and node.name not in set_:
                found.setdefault(node.name)
        if isinstance(stmt.target, ast.Index) and stmt.target.name not in set_:
            found.setdefault(stmt.target.name)  # a store keeps the other cells
        set_.add(stmt.target.name)
    return [n for n in found if n not in (ABSENT, *CONSTANTS)]


def _no_files(params: Mapping[str, Any]) -> Fact:
    raise AssertionError("a fixture cannot read files")


def rewritten(pair: Pair, block: Block) -> tuple[dict[str, Hop], list[Firing]]:
    """The roots after every rule of the level of the pair, and what fired."""
    roots, firings = rewrite(block, FactTable(block.facts_in, lenient=True), rules_for(pair.level, sizes_known=True))
    return {r.name: r.hop for r in roots}, firings


def untagged(hop: Hop) -> Hop:
    """The node without the tags that keep random draws apart, for comparison."""
    return make(hop.op, map(untagged, hop.args), hop.value)


# ---------------------------------------------------------------- computing
def inputs(pair: Pair, names: list[str], kind: str) -> dict[str, Any]:
    """Seeded values for the variables of a pair. kind: plain | nan (every matrix holds NaN, Inf and -Inf)."""
    rng = np.random.default_rng(11)
    return {name: drawn(pair.draws.get(name) or default(name), kind, rng) for name in sorted(names)}


def drawn(variable: Given, kind: str, rng: np.random.Generator) -> Any:
    """A value with the shape and the facts of a variable."""
    fact = variable.fact
    if not fact.is_matrix:
        return variable.value if variable.value is not None else float(rng.uniform(0.5, 2.0))
    x = rng.normal(size=variable.shape)
    low, high = max(fact.low, -3.0), min(fact.high, 3.0)
    if (fact.low, fact.high) != (-np.inf, np.inf):
        x = rng.uniform(low, high, size=variable.shape)
    if fact.integer:
        x = np.ceil(x)
    x = _structured(x, fact.structure)
    if kind == "nan" and fact.may_nan and x.size and not fact.structure:
        x.flat[0], x.flat[x.size // 2], x.flat[-1] = np.nan, fact.high, fact.low
    if fact.nnz is not None and fact.nnz < x.size:
        from scipy.sparse import csr_array

        keep = rng.permutation(x.size)[: fact.nnz]
        mask = np.zeros(x.size, dtype=bool)
        mask[keep] = True
        return csr_array(np.where(mask.reshape(x.shape), x, 0.0))
    return x


def _structured(x: np.ndarray, structure: frozenset[str]) -> np.ndarray:
    if "symmetric" in structure:
        x = (x + x.T) / 2
    if "lower" in structure:
        x = np.tril(x)
    if "upper" in structure:
        x = np.triu(x)
    if "diagonal" in structure:
        x = np.diag(np.diag(x))
    if "permutation" in structure:
        x = np.eye(len(x))[::-1]
    return np.abs(x) / np.abs(x).sum(1, keepdims=True) if "rows_sum_to_one" in structure else np.array(x)


def computed(hop: Hop, values: Mapping[str, Any], known: dict[Hop, Any] | None = None) -> Any:
    """The value of a node, straight through the kernels, without plan or generated code."""
    known = {} if known is None else known
    if hop.op == LITERAL:
        return hop.value
    if hop.op == LIVE_IN:
        return values[hop.value]
    if hop not in known:
        args = [computed(a, values, known) for a in hop.args]
        known[hop] = args[0][hop.value] if hop.op == PICK else _applied(hop.op, args)
    return known[hop]


def _applied(op: str, args: list[Any]) -> Any:
    module, function = BY_NAME[op].kernel.split(".")
    if module == "elementwise" and not any(map(is_matrix, args)):
        module = "scalar"
    if module == "system":
        from dmlite.runtime import system

        return getattr(system, function)(*args)
    return registry.kernel(module, function)(*args)
