"""`dmlite calibrate`: how fast this machine is, in the constants of the cost model."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter
from typing import Any, Final, TextIO

import numpy as np

from dmlite.backends.dask.cluster import Session, started
from dmlite.backends.local import elementwise, matmul
from dmlite.errors import DMLError, DMLRuntimeError
from dmlite.hop import calibration
from dmlite.hop.facts import matrix
from dmlite.hop.machine import DEFAULT, Cluster, seconds_text
from dmlite.hop.ops import BY_NAME
from dmlite.tools.terminal import show_table

_SECONDS: Final = 1.0  # for each constant
_LEAST: Final = 5  # measurements of each, of which the median counts
_SIDE: Final = 1024  # of square matrices in a product
_IN_CACHE: Final = 1 << 14  # cells
_LARGE: Final = 1 << 24  # cells, more than any cache holds
_SENT: Final = 1 << 22  # cells sent to a worker
_TASKS: Final = 100
_OPERATIONS: Final = {"operations/s", "bytes/s"}


def calibrate(stream: TextIO) -> None:
    """Measure every constant, write the table, and keep them. Raises DMLError when they cannot be kept."""
    found = measured()
    usual = {**vars(DEFAULT), **vars(Cluster(1, 0))}
    rows = [[what, _text(found.get(name), unit), _text(usual[name], unit)] for name, (what, unit) in calibration.CONSTANTS.items()]
    show_table(stream, f"Measured on {calibration.host()}", ["", "here", "default"], rows, right={1, 2})
    try:
        calibration.store(found)
    except OSError as error:
        problem = f"these cannot be kept in {calibration.path()}: {error.strerror or error}"
        raise DMLError(problem, hint="DMLITE_CACHE_DIR names another folder") from None
    stream.write(f"kept in {calibration.path()}\n")


def measured() -> dict[str, float]:
    """The constants by name; that of compiling is left out where there is no compiler."""
    found = {name: measure() for name, measure in _MEASURES.items()}
    compiling = _compile()
    return {**found, **({} if compiling is None else {"compile": compiling}), **_workers()}


def _text(value: float | None, unit: str) -> str:
    if value is None:
        return "not measured"
    return f"{value / 1e9:.3g} G{unit}" if unit in _OPERATIONS else seconds_text(value)


def _seconds(work: Callable[[], Any], repeat: int = 1) -> float:
    """The median time of a call, over about a second; repeat: calls that are measured together."""
    work()
    times: list[float] = []
    end = perf_counter() + _SECONDS
    while len(times) < _LEAST or perf_counter() < end:
        begun = perf_counter()
        for _ in range(repeat):
            work()
        times.append((perf_counter() - begun) / repeat)
    return median(times)


def _rate(op: str, cells: int) -> float:
    """Operations a second of a cellwise operator on a matrix that stays in cache; they are counted as in the operator table."""
    x = np.linspace(0.1, 1.0, cells).reshape(-1, 128)
    row, kernel = BY_NAME[op], getattr(elementwise, op)
    operands = [x] * len(row.parameters)
    flops = None if row.flops is None else row.flops(*[matrix(*x.shape)] * len(operands))
    return (flops or x.size) / _seconds(lambda: kernel(*operands), repeat=100)


def _product() -> float:
    x = np.linspace(0.0, 1.0, _SIDE * _SIDE).reshape(_SIDE, _SIDE)
    return 2.0 * _SIDE**3 / _seconds(lambda: matmul.matmul(x, x))


def _sparse_product() -> float:
    """CSR times a matrix of ten columns, by the kernels that need no compiler."""
    from scipy.sparse import csr_array

    rows, each, cols = 100_000, 10, 10
    rng = np.random.default_rng(1)
    places = np.sort(rng.integers(0, rows, size=(rows, each), dtype=np.int32), axis=1).ravel()
    x = csr_array((np.ones(rows * each), places, np.arange(0, rows * each + 1, each, dtype=np.int32)), shape=(rows, rows))
    v = np.ones((rows, cols))
    return 2.0 * rows * each * cols / _seconds(lambda: x @ v)


def _reading() -> float:
    x = np.ones(_LARGE)
    return x.nbytes / _seconds(lambda: np.max(x))


def _writing() -> float:
    x = np.empty(_LARGE)
    return x.nbytes / _seconds(lambda: x.fill(1.0))


def _call() -> float:
    x = np.ones((1, 1))
    return _seconds(lambda: elementwise.add(x, x), repeat=1000)


def _compile() -> float | None:
    """Seconds of compiling a small loop, Numba itself being loaded."""
    try:
        from numba import njit

        njit(_nothing)()
    except Exception as error:  # a compiler has many ways to fail
        warnings.warn(f"the time of compiling is not measured: {error}", stacklevel=2)
        return None
    begun = perf_counter()
    njit(_loop)(np.ones(4), np.ones(4))
    return perf_counter() - begun


def _workers() -> dict[str, float]:
    """What it takes to work beside two processes, which are started for it; nothing where they cannot be."""
    try:
        session = started(Cluster(2, 1 << 30))
    except DMLRuntimeError as error:
        warnings.warn(f"workers are not measured: {error.message}", stacklevel=2)
        return {}
    try:
        x = np.ones(_SENT)
        few, many = (_seconds(partial(_tasks, session, count)) for count in (2, 2 + _TASKS))
        there = session.put(x)
        moving = _seconds(lambda: session.gather(session.one(len, x, name="calibrate"))) + _seconds(lambda: session.gather(there))
        small = session.put(1.0)
        task, wait = max(many - few, 1e-6) / _TASKS, _seconds(lambda: session.gather(small))
    finally:
        session.close()
    return {"network": 2 * x.nbytes / moving, "task": task, "submit": max(few - wait - 2 * task, task), "wait": wait}


def _tasks(session: Session, count: int) -> None:
    session.gather(session.each(abs, [1.0] * count, name="calibrate"))


def _nothing() -> int:
    return 0


def _loop(x: Any, y: Any) -> float:
    total = 0.0
    for i in range(x.shape[0]):
        total += np.exp(x[i]) * y[i] - np.sqrt(y[i])
    return total


_MEASURES: Final[dict[str, Callable[[], float]]] = {
    "product_rate": _product,
    "sparse_rate": _sparse_product,
    "cell_rate": lambda: _rate("add", _IN_CACHE),
    "function_rate": lambda: _rate("exp", _IN_CACHE),
    "read": _reading,
    "write": _writing,
    "call": _call,
}
