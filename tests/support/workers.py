"""Two worker processes for all tests of a session, and single operators run on them as a plan of their own."""

from __future__ import annotations

import atexit
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

import numpy as np

from dmlite.backends.dask.cluster import close, session
from dmlite.backends.dask.moves import aligned, resident
from dmlite.backends.dask.processes import Processes
from dmlite.backends.dask.registry import kernel
from dmlite.backends.local import loading
from dmlite.backends.local.storage import is_chunked, is_matrix
from dmlite.codegen.emit import Emitter
from dmlite.codegen.templates import python_name
from dmlite.config import config, settings
from dmlite.hop.infer import FactTable
from dmlite.hop.machine import Cluster, Machine
from dmlite.hop.node import PICK, make
from dmlite.hop.ops import BY_NAME
from dmlite.hop.program import Block, Root
from dmlite.plan.physical import BlockPlan
from dmlite.plan.placement import DASK
from dmlite.plan.planning import plan_of
from dmlite.runtime import system
from dmlite.values import DMLList
from tests.support.operands import node

CHUNK: Final = 8000  # bytes


@cache
def address() -> str:
    """Where the scheduler listens; started when the first test asks."""
    workers = Processes(Cluster(2, 1 << 30))
    atexit.register(workers.close)
    atexit.register(close)  # before, so that nobody misses them
    return workers.address


@contextmanager
def distributed(chunk: int = CHUNK) -> Iterator[None]:
    """Everything runs on the workers that can."""
    with settings(exec="dask", cluster=address(), chunk=chunk):
        yield


def ragged(x: Any) -> Any:
    """A matrix of more than one row on the workers, in chunks of very different sizes, one of a single row."""
    rows = x.shape[0]
    bounds = sorted({0, 1, rows // 3, rows // 3 + 2, rows - 1, rows})
    return aligned(session(), x, bounds) if rows > 1 else x


def run(op: str, values: Sequence[Any], memory: int = 1 << 30) -> tuple[list[Any], BlockPlan]:
    """The results of one operator, those of matrices as arrays, and its plan for workers of so many bytes, under the configuration in force."""
    hop, facts = node(op, [_whole(v) for v in values])
    count = len(BY_NAME[op].results)
    roots = [Root(f"r{i}", make(PICK, [hop], i) if count > 1 else hop) for i in range(count)]
    given = {f"v{i}": v for i, v in enumerate(values)}
    machine = Machine(cluster=Cluster(2, memory, chunk=config().chunk) if config().exec == "dask" else None)
    block = Block(roots, facts, {}, live_after={*facts, *(f"r{i}" for i in range(count))})
    chunked = frozenset(n for n in block.inputs if is_chunked(given[n]))
    plan = plan_of(roots, FactTable(facts, lenient=True, machine=machine), block, machine, config(), chunked)
    code = Emitter(plan, "block").emit()
    others = {python_name(k): _kernel(k) for k in code.kernels if k.startswith(("system.", "dask:"))}
    function = loading.load(code.source, "block", "<dml block>", {**loading.names(code.kernels, others), **code.chunks}, code.loops)
    with np.errstate(all="ignore"):
        found = function(*(given[n] for n in block.inputs))
    results = list(found) if count > 1 else [found]
    for result, root in zip(results, (h for _, h in plan.outputs), strict=True):
        assert is_chunked(result) == (root in plan.chunked), "the plan says otherwise"
        if is_chunked(result):
            _check_chunks(result, plan.facts[root].dense)
    return [_plain(v) for v in results], plan


def _check_chunks(x: Any, dense: bool) -> None:
    """Chunks have the shapes that they are said to have, and are arrays where that is certain."""
    parts = x.session.gather(list(resident(x).parts))
    assert [p.shape for p in parts] == [(height, x.cols) for height in x.heights]
    assert x.dense >= dense, "the plan takes chunks for arrays"
    assert not x.dense or all(isinstance(p, np.ndarray) for p in parts)


def where(op: str, plan: BlockPlan) -> bool:
    """Whether the plan runs the operator on the workers."""
    places = {place.backend for hop, place in plan.places.items() if hop.op == op}
    assert any(s.there for s in plan.steps if s.hop.op == op) == (DASK in places)
    return DASK in places


def _whole(value: Any) -> Any:
    """What the plan knows of a chunked operand is what it knows of the same one here."""
    return value.toarray() if is_chunked(value) and value.dense else value.tocsr() if is_chunked(value) else value


def _plain(value: Any) -> Any:
    """Matrices as arrays, also those in a list."""
    if isinstance(value, DMLList):
        return [_plain(v) for v in value.items]
    return value if isinstance(value, np.ndarray) or not is_matrix(value) else value.toarray()


def _kernel(name: str) -> Any:
    module, function = name.split(".")
    return kernel(module.removeprefix("dask:"), function) if module.startswith("dask:") else getattr(system, function)
