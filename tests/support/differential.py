"""One program, run by the engine at several optimisation levels and by the oracle: where do they differ?"""

from __future__ import annotations

import contextlib
import io
import math
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from dmlite import dml
from dmlite.api import Matrix
from dmlite.config import settings
from dmlite.errors import DMLError
from tests.support import oracle
from tests.support.oracle_values import ListValue

TOLERANCE = 1e-9
PRINTED = 1.1e-3  # toString rounds to three decimals
INTERNAL = re.compile(r"\bfailed( \(|: )")  # how runtime/errors.py words an exception that is not a DMLError
_NUMBER = re.compile(r"^-?(\d+\.?\d*([eE]-?\d+)?|Infinity|NaN)$")


@dataclass
class Result:
    """What the engine did: what it printed, its variables, and the error if there was one (crash: not one of DML)."""

    printed: str
    variables: dict[str, Any] = field(default_factory=dict)
    error: DMLError | None = None
    crash: str | None = None


@contextlib.contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """Raise TimeoutError in the main thread after so many seconds."""

    def stop(*_: Any) -> None:
        raise TimeoutError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def small_is_large() -> contextlib.ExitStack:
    """Inside, the engine treats the smallest matrix as it otherwise treats large ones: buffers are reused, dead values dropped."""
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch("dmlite.plan.physical.REUSE_CELLS", 1))
    stack.enter_context(mock.patch("dmlite.codegen.emit.RELEASE_CELLS", 0))
    stack.enter_context(mock.patch("dmlite.codegen.control._may_be_large", lambda fact: fact.kind != "scalar"))
    return stack


def run_engine(text: str, inputs: Mapping[str, Any], level: int, seconds: int = 20) -> Result:
    """Run a script; everything that is not a DMLError, also one wrapped by the runtime, is a crash."""
    out = io.StringIO()
    result = Result("")
    try:
        with deadline(seconds), settings(opt_level=level, verify=True), contextlib.redirect_stdout(out):
            script = dml(text)
            for name, value in inputs.items():
                script.input(name, value)
            done = script.execute()
            result.variables = {n: done.get(n) for n in done.names()}
    except DMLError as error:
        result.error = error
        if any(INTERNAL.search(p.message) for p in error.problems):
            result.crash = str(error)
    except Exception as error:
        result.crash = f"{type(error).__name__}: {error}"
    result.printed = out.getvalue()
    return result


def disagreement(text: str, inputs: Mapping[str, Any], levels: tuple[int, ...] = (0, 2, 3)) -> str | None:
    """What is wrong with the engine on this program, in one line that starts with the kind; None when all is well.

    Raises NotImplementedError when the oracle cannot run it.
    """
    plain = {n: (v.toarray() if hasattr(v, "toarray") else v) for n, v in inputs.items()}
    expected = oracle.run(text, plain)
    relaxed = oracle.run(text, plain, lazy=True) if expected.error else expected
    for level in levels:
        if level >= 3 and (expected.notes.special or relaxed.notes.special):
            continue
        given = {n: (v.copy() if hasattr(v, "copy") else v) for n, v in inputs.items()}
        with small_is_large() if level == 2 else contextlib.nullcontext():
            result = run_engine(text, given, level)
        if any(not _same_input(given[n], inputs[n]) for n in inputs):
            return f"input: level {level} changed an input"
        problem = _compare(result, expected, relaxed, exact=level == 0)
        if problem:
            return problem.replace(":", f" at level {level}:", 1)
    return None


def _compare(result: Result, expected: oracle.Outcome, relaxed: oracle.Outcome, *, exact: bool) -> str | None:
    if result.crash:
        return f"crash: {result.crash}"
    if result.error is not None:
        if expected.error is None:
            return f"refused: {result.error}"
        return (
            None if _prefix(result.printed, expected.printed) else f"printed: {result.printed!r} before the error, not {expected.printed}"
        )
    outcome = expected if expected.error is None else relaxed
    if outcome.error == "overflow":
        return None  # of a whole number that is only compared, which nobody can see
    if outcome.error is not None:
        return f"accepted: the oracle says {expected.error}"
    if outcome.notes.ambiguous or (outcome.notes.signed and not exact):
        return None
    if not same_text(result.printed, "".join(p + "\n" for p in outcome.printed)):
        return f"printed: {result.printed!r}, not {outcome.printed}"
    for name, value in outcome.variables.items():
        if name not in result.variables:
            return f"variable: {name} is missing"
        if not same_value(result.variables[name], value):
            return f"variable: {name} is {_show(result.variables[name])}, not {_show(value)}"
    more = set(result.variables) - set(outcome.variables)
    return f"variable: {sorted(more)} should not exist" if more else None


def _same_input(a: Any, b: Any) -> bool:
    a, b = (v.toarray() if hasattr(v, "toarray") else v for v in (a, b))
    return np.array_equal(a, b, equal_nan=True)


def _show(value: Any) -> str:
    return repr(value.toNumPy() if isinstance(value, Matrix) else value).replace("\n", " ")


# ---------------------------------------------------------------- comparing
def same_value(got: Any, want: Any) -> bool:
    """Equal up to rounding; the types of scalars must agree."""
    if isinstance(want, np.ndarray):
        return isinstance(got, Matrix) and got.shape == want.shape and _close(got.toNumPy(), want)
    if isinstance(want, ListValue):
        items = list(got.values()) if isinstance(got, dict) else got
        names = tuple(got) if isinstance(got, dict) else None
        return isinstance(items, list) and names == want.names and len(items) == len(want.items) and all(map(same_value, items, want.items))
    if isinstance(want, float):
        return isinstance(got, float) and _close(np.float64(got), np.float64(want))
    return type(got) is type(want) and (got == want or (isinstance(want, str) and same_text(got, want)))


def _close(a: Any, b: Any) -> bool:
    scale = np.max(np.abs(b[np.isfinite(b)]), initial=1.0) if isinstance(b, np.ndarray) else 1.0
    return bool(np.allclose(a, b, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True))


def same_text(got: str, want: str) -> bool:
    """The same words; numbers up to rounding."""
    if got == want:
        return True
    a, b = re.split(r"([\s|,]+)", got), re.split(r"([\s|,]+)", want)
    return len(a) == len(b) and all(x == y or _same_number(x, y) for x, y in zip(a, b, strict=True))


def _same_number(x: str, y: str) -> bool:
    numbers = [re.split(r"(-?\d+\.\d+(?:E-?\d+)?)", s) for s in (x, y)]
    if len(numbers[0]) != len(numbers[1]):
        return False
    for p, q in zip(*numbers, strict=True):
        if p != q:
            try:
                u, v = float(p), float(q)
            except ValueError:
                return False
            if not (math.isclose(u, v, rel_tol=TOLERANCE, abs_tol=PRINTED) or (u != u and v != v)):
                return False
    return True


def _prefix(printed: str, expected: list[str]) -> bool:
    """One text begins with the other: how much is printed before an error is not laid down."""
    whole = "".join(p + "\n" for p in expected)
    count = min(printed.count("\n"), whole.count("\n"))
    cut = lambda t: "\n".join(t.split("\n")[:count])  # noqa: E731
    return same_text(cut(printed), cut(whole))
