"""Physical plan -> the source of one Python function per block.

Script text never becomes code: variables get generated names, strings and numbers are `repr`-ed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dmlite.codegen.indexing import index_code, leftindex_code, owned_target, reshape_code
from dmlite.codegen.templates import DENSE, LARGE_PRODUCT, SCALAR, SCALAR_ANY_NUMBER, SCALAR_BOOLEAN, UFUNC, python_name
from dmlite.errors import Span
from dmlite.hop.facts import Fact
from dmlite.hop.kinds import fits, paired
from dmlite.hop.node import LITERAL, LIVE_IN, PICK, Hop
from dmlite.hop.ops import BY_NAME
from dmlite.plan.chunked import Chunks
from dmlite.plan.physical import BlockPlan, Step
from dmlite.plan.room import Room
from dmlite.plan.sampled import Sampled

if TYPE_CHECKING:
    from dmlite.codegen.chunked import ChunkCode, ChunksWriter
    from dmlite.codegen.loops import Loop
    from dmlite.codegen.regions import RegionWriter
    from dmlite.codegen.sampled import SampledWriter
    from dmlite.plan.regions import Region

RELEASE_CELLS = 10_000  # smaller dead values are not worth a `del`
BLAS_CELLS = 1 << 14  # cells from which on sums by row and column go through BLAS, which takes longer to call and is faster
_SUMS = frozenset({"rowSums", "colSums"})


@dataclass
class Code:
    """Generated source, the kernels it names, which operator each line came from, loops that may replace functions in it, and what
    the workers run."""

    source: str
    kernels: set[str] = field(default_factory=set)
    lines: dict[int, tuple[str, Span | None]] = field(default_factory=dict)
    loops: dict[str, Loop] = field(default_factory=dict)
    chunks: dict[str, ChunkCode] = field(default_factory=dict)

    def text(self) -> str:
        """All of it, to be read: the source, and what may replace parts of it."""
        loops = (f"# compiled, in place of {name}, once that has run for long:\n{loop.source}" for name, loop in self.loops.items())
        return "".join((self.source, *loops))


class Emitter:
    """Writes the function of one block."""

    def __init__(self, plan: BlockPlan, name: str, stats: bool = False):
        self.plan = plan
        self.name = name
        self.stats = stats
        self.kernels: set[str] = set()
        self.names: dict[Hop, str] = {}
        self.body: list[tuple[str, Step | None]] = []
        self.functions: list[tuple[str, list[tuple[str, Step | None]]]] = []  # that the body calls: header and body
        self.loops: dict[str, Loop] = {}  # of these functions
        self.chunks: dict[str, ChunkCode] = {}

    def emit(self) -> Code:
        params = []
        for i, variable in enumerate(self.plan.inputs):
            params.append(f"x{i}_{tidy(variable)}")
        by_name = dict(zip(self.plan.inputs, params, strict=True))
        self.recycled = {name: f"r{i}_{tidy(name)}" for i, name in enumerate(self.plan.recycled)}
        for hop in self._leaves():
            self.names[hop] = by_name[hop.value]
        for region, numbered in groupby(enumerate(self.plan.steps), key=lambda pair: pair[1].region):
            steps = list(numbered)
            if region is not None:
                self._region([step for _, step in steps], steps[0][0])
            else:
                for number, step in steps:
                    self._step(number, step)
        results = ", ".join(self.ref(hop) for _, hop in self.plan.outputs)
        self.body.append((f"return {results or None}", None))
        return self._assemble([*params, *self.recycled.values()])

    def _leaves(self) -> Iterable[Hop]:
        seen = {a for s in self.plan.steps for a in s.hop.args} | {h for _, h in self.plan.outputs}
        seen |= {t.args[0] for s in self.plan.steps if s.region is not None for t in s.region.absorbed}
        return (h for h in seen if h.op == LIVE_IN)

    def _assemble(self, params: list[str]) -> Code:
        lines: list[str] = []
        code = Code("", self.kernels, loops=self.loops, chunks=self.chunks)
        for header, body in (*self.functions, (f"def {self.name}({', '.join(params)}):", self.body)):
            lines.append(header)
            for text, step in body:
                for part in text.split("\n"):
                    lines.append("    " + part)
                    if step is not None:
                        code.lines[len(lines)] = (BY_NAME[step.hop.op].dml if step.hop.op in BY_NAME else step.hop.op, step.span)
        code.source = "\n".join(lines) + "\n"
        return code

    # ------------------------------------------------------------ one step
    def _step(self, number: int, step: Step) -> None:
        hop = step.hop
        target = self.names[hop] = f"v{number}"
        args = [self.ref(a) for a in hop.args]
        text = f"{target} = {self._there(step, args)}" if step.there is not None else self._special(step, target, args)
        if text is None:
            out = self._out(step, args)
            text = f"{target} = {self.expression(step, args, out and out[0])}"
            text = f"{out[1]}\n{text}" if out and out[1] else text
        if self.stats:
            text = f"_t = clock()\n{text}\nrecord({number}, clock() - _t, {target})"
        self.body.append((text, step))
        self._release(step.dead)

    def _there(self, step: Step, args: list[str]) -> str:
        """An operator that the workers run by a kernel of its own."""
        kernel = step.there.kernel if isinstance(step.there, Room) else ""
        return f"{self.kernel('dask:' + (kernel or BY_NAME[step.hop.op].kernel))}({', '.join(args)})"

    def _release(self, dead: Iterable[Hop]) -> None:
        names = [self.names[d] for d in dead if self._worth_release(self.plan.facts[d])]
        if names:
            self.body.append((f"del {', '.join(names)}", None))

    def _region(self, steps: list[Step], first: int) -> None:
        """Steps that run together; what is recorded of them is the time of all, with each result."""
        region = steps[0].region
        assert region is not None
        text = _writer_of(region)(self, len(self.functions), steps).write(first)
        if self.stats:
            seen = [f"record({first + i}, 0.0, {self.names[s.hop]})" for i, s in enumerate(steps[:-1]) if s.hop in region.outputs]
            last = f"record({first + len(steps) - 1}, _t, {self.names[steps[-1].hop]})"
            text = "\n".join(("_t = clock()", text, "_t = clock() - _t", *seen, last))
        self.body.append((text, steps[-1]))
        inside = set(region.hops) - set(region.outputs)
        self._release(d for s in steps for d in s.dead if d not in inside)

    @staticmethod
    def _worth_release(fact: Fact) -> bool:
        return not fact.is_scalar and (fact.cells is None or fact.cells >= RELEASE_CELLS)

    def _special(self, step: Step, target: str, args: list[str]) -> str | None:
        """Statements rather than expressions: bounds checks before a slice, stores into one."""
        hop = step.hop
        if hop.op == "index":
            return index_code(self, hop, target, args)
        if hop.op == "leftindex":
            return leftindex_code(self, step, target, args)
        if hop.op == "gemm" and step.owned and self._all_dense(hop, [self.plan.facts[a] for a in hop.args]):
            where = f"{owned_target(hop, args[0])} and {args[0]}.flags.c_contiguous"
            run, in_place = self.kernel("matmul.gemm"), self.kernel("matmul.gemm_inplace")
            return f"{target} = ({in_place} if {where} else {run})({', '.join(args)})"
        return None

    def expression(self, step: Step, args: list[str], out: str | None) -> str:
        hop = step.hop
        if hop.op == PICK:
            return f"{args[0]}[{hop.value}]"
        if hop.op == "literals":
            return f"({', '.join(args)},)"
        facts = [self.plan.facts[a] for a in hop.args]
        if step.fact.is_scalar and all(f.is_scalar for f in facts):
            inline = scalar_code(hop.op, facts, args, internal=hop in self.plan.internal)
            if inline is not None:
                return inline
        elif self._all_dense(hop, facts) and (step.fact.is_scalar or step.fact.cells is not None):
            inline = self._dense_code(step, facts, args, out)
            if inline is not None:
                return inline
        return f"{self.kernel(self._kernel_name(hop, facts))}({', '.join(self._checked(hop, facts, args))})"

    def _checked(self, hop: Hop, facts: list[Fact], args: list[str]) -> list[str]:
        """Operands of a kind that the run time alone knows, or that does not fit, are looked at before the kernel gets them."""
        row = BY_NAME[hop.op]
        out = []
        for (parameter, arg), fact, text in zip(paired(row, hop.args), facts, args, strict=True):
            if not fits(parameter, arg, fact, unknown_fits=False):
                text = f"{self.kernel('casts.operand')}({text}, {parameter.kinds!r}, {row.dml!r}, {parameter.name!r})"
            out.append(text)
        return out

    def _kernel_name(self, hop: Hop, facts: list[Fact]) -> str:
        row = BY_NAME[hop.op]
        if row.kernel.startswith("elementwise."):
            if all(f.is_scalar for f in facts):
                return f"scalar.{row.kernel.split('.')[1]}"
            if not any(f.is_matrix for f in facts):
                return f"either.{row.kernel.split('.')[1]}"
        return row.kernel

    def _out(self, step: Step, args: list[str]) -> tuple[str, str] | None:
        """The array that may take the result, and a statement that decides about it first.

        A dead temporary is certain. The buffer of a variable may be taken only if nothing else refers to it, which must be
        asked before the call, since its pending operands count as references.
        """
        if step.hop.op not in UFUNC and step.hop.op != "matmul":
            return None
        if step.reuse is not None and step.hop.op in UFUNC:
            x = args[step.reuse]
            return ("out", f"out = {x} if {owned(x)} else None") if step.hop.args[step.reuse].op == LIVE_IN else (x, "")
        if step.recycle is not None:
            r = self.recycled[step.recycle]
            shape = (step.fact.rows, step.fact.cols)
            return (
                "out",
                f"out = {r} if {r}.__class__ is ndarray and {r}.shape == {shape} and {owned(r)} and {r}.flags.c_contiguous else None",
            )
        return None

    def _all_dense(self, hop: Hop, facts: list[Fact]) -> bool:
        matrices = [a for a, f in zip(hop.args, facts, strict=True) if not (f.is_scalar or a.op == LITERAL)]
        return (
            bool(matrices)
            and all(self.plan.dense.get(a, False) for a in matrices)
            and all(f.cells is not None for f in facts if f.is_matrix)
        )

    def _dense_code(self, step: Step, facts: list[Fact], args: list[str], out: str | None) -> str | None:
        op = step.hop.op
        if op == "reshape":
            return reshape_code(step, facts, args)
        if any(f.is_scalar and f.vtype not in ("double", "int") for f in facts):
            return None
        if op in UFUNC:
            ufunc, small = UFUNC[op]
            keyword = "out=" if op in ("min2", "max2") else ""  # NumPy takes a third operand of these by name alone
            return small.format(*args) if out is None else f"{ufunc}({', '.join(args)}, {keyword}{out})"
        if op == "matmul":
            return self._product(step, facts, args, out)
        if op in ("cbind", "rbind"):
            return f"np_concatenate(({', '.join(args)}), {int(op == 'cbind')})" if len(args) > 1 and all(f.cells for f in facts) else None
        if op == "as.scalar" and facts[0].cells == 1:
            return f"{args[0]}.item()"
        if op in DENSE and not (op in _SUMS and facts[0].cols != 1 and (facts[0].cells or 0) >= BLAS_CELLS):
            return DENSE[op].format(*args)
        return None

    def _product(self, step: Step, facts: list[Fact], args: list[str], out: str | None) -> str:
        given = ", ".join([*args, out] if out is not None else args)
        if facts[0].cols == 1:  # for which BLAS is not called
            return f"np_multiply({given})"
        if (facts[0].cells or 0) * (facts[1].cols or 0) >= LARGE_PRODUCT and step.region is None:
            return f"{self.kernel('matmul.large')}({given})"
        return f"np_matmul({given})" if out is not None else DENSE["matmul"].format(*args)

    # ------------------------------------------------------------ names
    def kernel(self, name: str) -> str:
        self.kernels.add(name)
        return python_name(name)

    def ref(self, hop: Hop) -> str:
        return literal_code(hop.value) if hop.op == LITERAL else self.names[hop]


def _writer_of(region: Region | Sampled | Chunks) -> type[RegionWriter] | type[SampledWriter] | type[ChunksWriter]:
    """What writes a region; small scripts have none, and start without it."""
    if isinstance(region, Chunks):
        from dmlite.codegen.chunked import ChunksWriter

        return ChunksWriter
    if isinstance(region, Sampled):
        from dmlite.codegen.sampled import SampledWriter

        return SampledWriter
    from dmlite.codegen.regions import RegionWriter

    return RegionWriter


def owned(param: str) -> str:
    """The run-time test that only the caller's variable refers to an array that is its own memory."""
    return f"refcount({param}) <= param_refs and {param}.flags.owndata"


def scalar_code(op: str, facts: list[Fact], args: list[str], *, internal: bool) -> str | None:
    """The Python operator for scalars where it means the same; int arithmetic goes through kernels that watch for overflow.

    internal: nobody can see the number grow beyond 64 bits.
    """
    types = {f.vtype for f in facts}
    if types == {"double", "int"} and op in SCALAR_ANY_NUMBER:  # Python would compare the whole number to the last digit
        args = [a if f.vtype == "double" or _is_exact(f) else f"float({a})" for a, f in zip(args, facts, strict=True)]
    if op in SCALAR and (
        types == {"double"} or (internal and types == {"int"}) or (op in SCALAR_ANY_NUMBER and types <= {"double", "int"})
    ):
        return SCALAR[op].format(*args)
    if op in SCALAR_BOOLEAN and types == {"boolean"}:
        return SCALAR_BOOLEAN[op].format(*args)
    if op in SCALAR and types == {"double", "int"} and op != "neg":
        return SCALAR[op].format(*args)
    return None


def _is_exact(fact: Fact) -> bool:
    """Whether a whole number is surely one that a double can hold."""
    return fact.is_const and abs(fact.value) <= 2**53


def literal_code(value: Any) -> str:
    """A constant as Python source; negative numbers in parentheses, so that they stand in any expression."""
    if isinstance(value, tuple):
        return f"({', '.join(map(literal_code, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "(-inf)"
    if isinstance(value, (int, float)) and not isinstance(value, bool) and (value < 0 or math.copysign(1.0, value) < 0):
        return f"({value!r})"
    return repr(value)


def tidy(name: str) -> str:
    """A DML name as part of a Python identifier; distinct only together with a number."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
