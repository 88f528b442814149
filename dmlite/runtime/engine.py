"""Runs a lowered program: blocks are planned once per signature of their live-ins, then are plain Python calls."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dmlite.backends.local import loading
from dmlite.backends.local.storage import SPARSE_LIMIT, is_chunked, is_matrix, plan_key
from dmlite.backends.local.threads import BLAS
from dmlite.codegen.control import FunctionWriter
from dmlite.codegen.emit import Code, Emitter
from dmlite.codegen.templates import python_name
from dmlite.config import Config, nested_calls, settings
from dmlite.hop.facts import Fact, constant, matrix, scalar, vtype_of
from dmlite.hop.infer import FactTable, Sketches
from dmlite.hop.machine import DEFAULT, Machine
from dmlite.hop.mnc import expected_count, sketch_of
from dmlite.hop.program import Block, ForNode, FunctionInstance, Program, WhileNode
from dmlite.plan.memory import refuse
from dmlite.plan.planning import plan_of
from dmlite.rewrite.driver import Firing
from dmlite.rewrite.phases import optimise
from dmlite.runtime import system
from dmlite.runtime.errors import Traces
from dmlite.runtime.parfor import parfor
from dmlite.runtime.signature import Signature
from dmlite.values import DMLList

if TYPE_CHECKING:
    from dmlite.codegen.loops import Loop
    from dmlite.runtime.stats import Stats

MAX_PLANS = 32  # plans of one block that are told apart by scalar values; further signatures ignore the values

_PRODUCTS = frozenset({"matmul", "tsmm_left", "tsmm_right", "tmm", "mmchain", "lstm", "lstm_backward"})  # that go through BLAS


@dataclass
class BlockRun:
    """One plan of one block: the facts it was made for, the rewrites, and the generated source."""

    block: Block
    facts_in: Mapping[str, Fact]
    firings: list[Firing]
    code: Code
    plan: Any


class Engine:
    """Holds the generated functions of one program; `run` may be called any number of times."""

    def __init__(
        self,
        program: Program,
        config: Config,
        call_by_name: Callable[..., tuple[Any, ...]],
        stats: Stats | None = None,
        machine: Machine = DEFAULT,
    ):
        """machine: that blocks are planned for."""
        self.program = program
        self.machine = machine
        self.config = config
        self.stats = stats
        self.runs: list[BlockRun] = []
        self.sources: dict[str, str] = {}
        self.traces = Traces()
        self.multiplies = False  # matrices, as far as is known
        self._numbers = itertools.count()
        self._effects = {f"system__{n}": f for n, f in system.by_name(call_by_name).items()}
        self._globals: dict[str, Any] = {
            "UNSET": system.UNSET,
            "truth": system.truth,
            "loop_range": system.loop_range,
            "unset": system.unset,
            "no_result": system.no_result,
            "parfor": parfor,
        }
        self._function_names: dict[str, str] = {}
        self.main = self._function(program.main, is_main=True)

    # ------------------------------------------------------------ running
    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Execute the script on input values by name; the values of its outputs by name.

        Raises DMLError with the DML line for everything that goes wrong.
        """
        args = [inputs[name] for name in self.program.main.params]
        return self._guarded(self.main, args)

    def call(self, instance: FunctionInstance, args: list[Any]) -> tuple[Any, ...]:
        """Call one function instance (for `eval`)."""
        return self._globals[self._call_name(instance.key)](*args)

    def _guarded(self, function: Callable[..., Any], args: list[Any]) -> Any:
        try:
            with np.errstate(all="ignore"), settings(**vars(self.config)), nested_calls(20_000), BLAS.run(calm=self.multiplies):
                result = function(*args)
        except BrokenPipeError:
            raise  # nobody reads the output any more, which is no fault of the script
        except Exception as error:
            if self.config.traceback:
                raise
            raise self.traces.explain(error) from None
        finally:
            if (workers := sys.modules.get("dmlite.backends.dask.cluster")) is not None:
                workers.sessions.forget()
        return {k: v for k, v in result.items() if v is not system.UNSET}

    # ------------------------------------------------------------ generated functions
    def _function(self, instance: FunctionInstance, *, is_main: bool = False) -> Callable[..., Any]:
        name = "main" if is_main else f"f{next(self._numbers)}_{instance.name}"
        may_compile = self.config.compile and self.config.exec != "dask" and (self.stats is None or not self.stats.sizes)
        hot = self._loop_name if may_compile else None
        writer = FunctionWriter(instance, self._block_name, self._call_name, is_main=is_main, loop_name=hot, remote_name=self._remote_name)
        code = writer.write(name)
        for block_name, block in code.blocks.items():
            self._globals[block_name] = self._dispatcher(block_name, block)
        return self._load(name, code.source, code.lines, self._globals)

    def _block_name(self, block: Block) -> str:
        return f"b{next(self._numbers)}"

    def _call_name(self, key: str) -> str:
        """The global name of a function instance; its code is generated when it is first called."""
        name = self._function_names.get(key)
        if name is None:
            name = self._function_names[key] = f"call{next(self._numbers)}"

            def first_call(*args: Any) -> Any:
                self._globals[name] = self._function(self.program.functions[key])
                return self._globals[name](*args)

            self._globals[name] = first_call
        return name

    def _loop_name(self, node: ForNode | WhileNode, names: list[str]) -> str:
        from dmlite.runtime.hot import HotLoop

        name = f"loop{next(self._numbers)}"
        loop = self._globals[name] = HotLoop(node, names, self.program.functions, self.config.opt_level)
        if self.stats is not None:
            self.stats.loops.append(loop)
        return name

    def _remote_name(self, node: ForNode) -> tuple[str, list[str]] | None:
        """The global name of a parfor loop that may run on workers, where those are more than the cores here or are asked for."""
        cluster = self.machine.cluster
        if cluster is None or not (self.config.exec == "dask" or cluster.workers * cluster.cores > self.machine.cores):
            return None
        from dmlite.runtime.remote import RemoteLoop, can_run_remotely

        if not can_run_remotely(node, self.program.functions):
            return None
        name = f"remote{next(self._numbers)}"
        loop = self._globals[name] = RemoteLoop(node, self.program.functions, self.config, self.machine)
        return name, loop.names

    def _load(
        self, name: str, source: str, lines: Mapping[int, Any], namespace: dict[str, Any], loops: Mapping[str, Loop] | None = None
    ) -> Callable[..., Any]:
        filename = f"<dml {name}>"
        self.sources[name] = source
        self.traces.register(filename, lines)
        return loading.load(source, name, filename, namespace, loops or {})

    # ------------------------------------------------------------ blocks
    def _dispatcher(self, name: str, block: Block) -> Callable[..., Any]:
        """A function that picks the plan of `block` for the values at hand, making it when it is new."""
        signature = Signature(block)
        if signature.is_constant:
            return self._lazy(name, block)
        plans: dict[Any, Callable[..., Any]] = {}

        def make(args: tuple[Any, ...], key: Any) -> Callable[..., Any]:
            if len(plans) >= MAX_PLANS and signature.by_value:
                signature.by_value = frozenset()
                plans.clear()
                self._globals[name] = self._load(name, signature.source(name), {}, self._keys(plans, make))
                return self._specialise(name, block, args, frozenset())
            plans[key] = self._specialise(name, block, args, signature.by_value)
            return plans[key]

        return self._load(name, signature.source(name), {}, self._keys(plans, make))

    @staticmethod
    def _keys(plans: dict[Any, Any], make: Callable[..., Any]) -> dict[str, Any]:
        """What the source of a dispatcher refers to."""
        return {"plans": plans, "make": make, "kind_key": kind_key, "plan_key": plan_key, "ndarray": np.ndarray}

    def _lazy(self, name: str, block: Block) -> Callable[..., Any]:
        """A block whose plan depends on nothing at run time is planned at its first call."""

        def first_call(*args: Any) -> Any:
            self._globals[name] = self._specialise(name, block, args, frozenset())
            return self._globals[name](*args)

        return first_call

    def _specialise(self, name: str, block: Block, args: tuple[Any, ...], by_value: frozenset[str]) -> Callable[..., Any]:
        inputs = block.inputs
        facts_in = {
            n: fact_of(v, block.fact_in(n), known_value=n in by_value, counted=n not in block.varying)
            for n, v in zip(inputs, args, strict=False)
        }
        chunked = frozenset(n for n, v in zip(inputs, args, strict=False) if is_chunked(v))
        here = ((n, v) for n, v in zip(inputs, args, strict=False) if is_matrix(v) and n not in chunked)
        sketches = {n: partial(sketch_of, v) for n, v in here if not facts_in[n].dense}
        with nullcontext() if self.stats is None else self.stats.at_planning():
            planned = self.plan_block(f"{name}_{next(self._numbers)}", block, facts_in, sketches, chunked)
        refuse(self.runs[-1].plan, self.config.memory)
        if any(step.hop.op in _PRODUCTS for step in self.runs[-1].plan.steps):
            self.multiplies = True
            BLAS.calm()
        return planned

    def plan_block(
        self,
        name: str,
        block: Block,
        facts_in: Mapping[str, Fact],
        sketches: Sketches | None = None,
        chunked: frozenset[str] = frozenset(),
        *,
        show: bool = False,
    ) -> Callable[..., Any]:
        """Rewrite, plan, generate and load one block for the given facts; `sketches` of its sparse inputs, where they are at hand.

        chunked: inputs that lie on workers. show: the plan is to be looked at.
        """
        with settings(**vars(self.config)):
            facts = FactTable(facts_in, lenient=True, sketches=sketches, machine=self.machine)
            roots, firings = optimise(block, facts, self.config.opt_level)
            plan = plan_of(roots, facts, block, self.machine, self.config, chunked, show=show)
        facts.forget_sketches()  # plans outlive the values
        code = Emitter(plan, name, stats=self.stats is not None).emit()
        self.runs.append(BlockRun(block, facts_in, firings, code, plan))
        if self.stats is not None and not show:
            self.stats.planned[id(block)] += 1
        return self._load(name, code.source, code.lines, self._namespace(code, plan), code.loops)

    def preview(self, block: Block) -> BlockRun:
        """The plan of a block for what is known at compile time; matrices count as dense arrays unless few non-zeros are expected."""
        facts = {n: block.fact_in(n) for n in block.inputs}
        arrays = {n: f.is_matrix and (f.sparsity is None or f.sparsity > SPARSE_LIMIT) for n, f in facts.items()}
        facts = {n: replace(f, dense=arrays[n]) for n, f in facts.items()}
        chunked = self._whereabouts.get(id(block), frozenset())
        self.plan_block(f"preview_{next(self._numbers)}", block, facts, chunked=chunked, show=True)
        return self.runs.pop()

    @cached_property
    def _whereabouts(self) -> Mapping[int, frozenset[str]]:
        from dmlite.plan.whereabouts import whereabouts

        return whereabouts(self.program, self.config, self.machine)

    def _namespace(self, code: Code, plan: Any) -> dict[str, Any]:
        others = {python_name(k): self._kernel(k) for k in code.kernels if k.startswith(("system.", "dask:"))}
        namespace = {**loading.names(code.kernels, others), **code.chunks}
        if self.stats is not None:
            namespace |= {"clock": self.stats.clock, "record": self.stats.recorder(plan)}
        return namespace

    def _kernel(self, name: str) -> Callable[..., Any]:
        """One that is not of the local room."""
        module, function = name.split(".")
        if module.startswith("dask:"):
            from dmlite.backends.dask.registry import kernel

            return kernel(module.removeprefix("dask:"), function)
        return self._effects.get(python_name(name)) or getattr(system, function)


def kind_key(value: Any) -> Any:
    """What a plan depends on when not even the kind of a value is known beforehand."""
    if not is_matrix(value):
        return value.__class__
    return value.shape, -1 if isinstance(value, np.ndarray) else plan_key(value)


def fact_of(value: Any, known: Fact, *, known_value: bool, counted: bool) -> Fact:
    """The fact of a runtime value: its shape, and what was known before. Scalars keep their constant only where the plan is keyed by it.

    counted: whether to look at the cells of an array; of what a loop changes, those it starts with tell nothing.
    """
    if is_matrix(value):
        return _matrix_fact(value, known, counted)
    if isinstance(value, DMLList):
        return Fact("list")
    vtype = vtype_of(value)
    if vtype is None:
        return known
    if known_value:
        return constant(value)
    return known.without_value() if known.is_scalar and known.vtype else scalar(vtype)


def _matrix_fact(value: Any, known: Fact, counted: bool) -> Fact:
    """Of the non-zeros, only what the key of the plan tells: their number of binary digits. The count itself is an expectation."""
    rows, cols = value.shape
    least, most = 0, rows * cols
    chunked = is_chunked(value)
    dense = value.dense if chunked else isinstance(value, np.ndarray)
    if chunked and value.nnz is None:
        expected = known.nnz_avg if value.likely is None else value.likely
    elif dense and not chunked:
        expected = expected_count(value) if counted else known.nnz_avg
    else:
        digits, expected = value.nnz.bit_length(), float(value.nnz)
        least, most = (1 << digits) >> 1, min(most, (1 << digits) - 1)
    if not known.is_matrix:
        return matrix(rows, cols, most, nnz_min=least, nnz_avg=expected, dense=dense)
    most = most if known.nnz is None else min(most, known.nnz)
    expected = None if expected is None else min(expected, most)
    return replace(known, rows=rows, cols=cols, nnz=most, nnz_min=max(least, known.nnz_min), nnz_avg=expected, dense=dense)
