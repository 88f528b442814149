"""One program, run by the engine at several optimisation levels and by the oracle: where do they differ?"""

from __future__ import annotations

import contextlib
import io
import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from dmlite import dml
from dmlite.config import settings
from dmlite.errors import DMLError
from tests.support import oracle
from tests.support.comparing import one_begins_with_the_other, plain, same_text, same_value
from tests.support.oracle_values import ListValue, Notes
from tests.support.spending import ROUNDING, Spending, watched

LEVELS = (0, 2, 3)  # the first is what the others are measured by
INTERNAL = re.compile(r"\bfailed( \(|: )")  # how runtime/errors.py words an exception that is not a DMLError


@dataclass
class Result:
    """What the engine did: what it printed, its variables, and the error if there was one (crash: not one of DML)."""

    printed: str
    variables: dict[str, Any] = field(default_factory=dict)
    error: DMLError | None = None
    crash: str | None = None
    spending: Spending = field(default_factory=Spending)


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
    """Inside, the engine treats the smallest matrix as it otherwise treats large ones.

    Buffers are reused, dead values dropped, and operators run together by blocks of rows, on several threads.
    """
    stack = contextlib.ExitStack()
    stack.enter_context(mock.patch("dmlite.plan.regions.REGION_CELLS", 2))
    stack.enter_context(mock.patch.multiple("dmlite.backends.local.blocks", _BLOCK=8, _THREADED=0))
    stack.enter_context(mock.patch("dmlite.plan.sampling.SAMPLED_CELLS", 2))
    stack.enter_context(mock.patch("dmlite.plan.sampling._Cells._costs", lambda *_: 0.0))
    stack.enter_context(mock.patch.multiple("dmlite.backends.local.stored", _BLOCK=8, _THREADED=0))
    stack.enter_context(mock.patch("dmlite.plan.physical.REUSE_CELLS", 1))
    stack.enter_context(mock.patch("dmlite.codegen.emit.RELEASE_CELLS", 0))
    stack.enter_context(mock.patch("dmlite.codegen.control._may_be_large", lambda fact: fact.kind != "scalar"))
    return stack


def run_engine(text: str, inputs: Mapping[str, Any], level: int, seconds: int = 20) -> Result:
    """Run a script; everything that is not a DMLError, also one wrapped by the runtime, is a crash."""
    out = io.StringIO()
    result = Result("")
    try:
        with (
            deadline(seconds),
            settings(opt_level=level, verify=True),
            contextlib.redirect_stdout(out),
            mock.patch("dmlite.flow.parse", oracle.parsed),  # one tree for all levels
            mock.patch("dmlite.api.MAX_UNITS", 0),  # a kept program would not be planned again
            watched() as result.spending,
        ):
            script = dml(text)
            for name, value in inputs.items():
                script.input(name, value)
            done = script.execute()
            result.variables = {n: plain(done.get(n)) for n in done.names()}
    except DMLError as error:
        result.error = error
        if any(INTERNAL.search(p.message) for p in error.problems):
            result.crash = str(error)
    except Exception as error:
        result.crash = f"{type(error).__name__}: {error}"
    result.printed = out.getvalue()
    return result


@dataclass
class Told:
    """What the oracle says. relaxed: with the errors of values that nobody uses left out."""

    expected: oracle.Outcome
    relaxed: oracle.Outcome

    @property
    def outcome(self) -> oracle.Outcome:
        return self.expected if self.expected.error is None else self.relaxed

    @property
    def special(self) -> bool:
        return self.expected.notes.special or self.relaxed.notes.special


def _told(text: str, inputs: Mapping[str, Any]) -> Told | None:
    """None when the oracle cannot run it: too deep or too long."""
    dense = {n: (v.toarray() if hasattr(v, "toarray") else v) for n, v in inputs.items()}
    try:
        expected = oracle.run(text, dense)
        return Told(expected, oracle.run(text, dense, lazy=True) if expected.error else expected)
    except NotImplementedError:
        return None


def disagreement(text: str, inputs: Mapping[str, Any], levels: tuple[int, ...] = LEVELS) -> str | None:
    """What is wrong with the engine on this program, in one line that starts with the kind; None when all is well.

    Every level must agree with the oracle and with the first level, and must not cost more by the cost model.
    """
    told = _told(text, inputs)
    base: Result | None = None
    for level in levels:
        given = {n: (v.copy() if hasattr(v, "copy") else v) for n, v in inputs.items()}
        with small_is_large() if level == 2 else contextlib.nullcontext():
            result = run_engine(text, given, level)
        base = base or result
        problem = next((p for p in _problems(result, base, told, level) if p), None)
        if any(not _same_input(given[n], inputs[n]) for n in inputs):
            problem = "input: changed"
        if problem:
            return problem.replace(":", f" at level {level}:", 1)
    return None


def _problems(result: Result, base: Result, told: Told | None, level: int) -> Iterator[str | None]:
    yield f"crash: {result.crash}" if result.crash else None
    yield f"cost: {result.spending.dearer[0]}" if result.spending.dearer else None
    special = told.special if told is not None else _has_special(base)
    if level >= 3 and special:
        return  # level 3 takes numbers for finite
    if told is not None:
        yield _against_oracle(result, told, exact=level == 0)
    if result is not base:
        yield _against_base(result, base, told.outcome.notes if told is not None else Notes())


def _against_oracle(result: Result, told: Told, *, exact: bool) -> str | None:
    if result.error is not None:
        if told.expected.error is None:
            return f"refused: {result.error}"
        whole = "".join(p + "\n" for p in told.expected.printed)
        agree = one_begins_with_the_other(result.printed, whole)
        return None if agree else f"printed: {result.printed!r} before the error, not {told.expected.printed}"
    outcome = told.outcome
    if outcome.error == "overflow":
        return None  # of a whole number that is only compared, which nobody can see
    if outcome.error is not None:
        return f"accepted: the oracle says {outcome.error}"
    if outcome.notes.ambiguous or (outcome.notes.signed and not exact):
        return None
    return _difference(result, "".join(p + "\n" for p in outcome.printed), outcome.variables)


def _against_base(result: Result, base: Result, notes: Notes) -> str | None:
    """An error may be dropped with dead code, but none may come; both runs then give the same."""
    if base.error is not None or base.crash is not None:
        return None
    if result.error is not None:
        return f"refused: {result.error}"
    found = None if notes.ambiguous or notes.signed else _difference(result, base.printed, base.variables)
    ours, theirs = result.spending.seconds, base.spending.seconds
    if found is None and ours is not None and theirs is not None and ours > theirs * ROUNDING:
        return f"cost of the run: {theirs} s becomes {ours} s"
    return found


def _difference(result: Result, printed: str, variables: Mapping[str, Any]) -> str | None:
    if not same_text(result.printed, printed):
        return f"printed: {result.printed!r}, not {printed!r}"
    for name, value in variables.items():
        if name not in result.variables:
            return f"variable: {name} is missing"
        if not same_value(result.variables[name], value):
            return f"variable: {name} is {_show(result.variables[name])}, not {_show(value)}"
    more = set(result.variables) - set(variables)
    return f"variable: {sorted(more)} should not exist" if more else None


def _has_special(result: Result) -> bool:
    """Whether a NaN or Inf is left at the end."""
    notes = Notes()
    for value in result.variables.values():
        notes.see(value)
    return notes.special or "NaN" in result.printed or "Infinity" in result.printed


def _same_input(a: Any, b: Any) -> bool:
    a, b = (v.toarray() if hasattr(v, "toarray") else v for v in (a, b))
    return a == b if isinstance(a, str) else np.array_equal(a, b, equal_nan=True)


def _show(value: Any) -> str:
    return repr(value).replace("\n", " ") if not isinstance(value, ListValue) else f"list{value.items}"
