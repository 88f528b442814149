"""Loops that have run for a while, which compiled code takes over between two iterations.

The generated loop runs as ever, some iterations at a time. Once it has taken as long as loading compiled code does, that is looked for on
the disk, and once it has taken as long as compiling does, another process compiles it: see `jit.awaited`. Compiled code is entered only
with values of the types and shapes it was made for, and is given up where it turns out to be slower.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from math import inf
from sys import getrefcount
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from dmlite.backends.local import indexing
from dmlite.backends.local.jit.awaited import LOAD_SECONDS, Awaited
from dmlite.codegen.small.values import CARRIED, COUNTED, LEFT, RANGE, Unsuitable
from dmlite.config import config
from dmlite.errors import DMLError, DMLRuntimeError
from dmlite.hop.facts import Fact, constant, matrix
from dmlite.hop.ops.indexing import outside
from dmlite.hop.program import CallNode, ForNode, FunctionInstance, WhileNode, assigned_in, carried, children, read_in, walk_blocks
from dmlite.runtime.signature import Signature

_NOTHING = range(0)
if TYPE_CHECKING:
    from dmlite.codegen.small.loop import SmallLoop
    from dmlite.codegen.small.memory import Check

_SECONDS = 0.02  # that some iterations take before something is decided again
_MOST = 1 << 22  # cells of an array
_VARIANTS = 4  # sets of types and shapes one loop is compiled for
_REFUSALS = 20  # times that a loop could not be compiled for its values, after which nobody asks any more
_SLOWER = 1.1  # times as long as without compiled code: it is given up


class HotLoop:
    """One loop of a function. `names`: the variables that it is given; `assigned`: those that it sets, in the order of results."""

    def __init__(self, node: ForNode | WhileNode, names: list[str], functions: Mapping[str, FunctionInstance], level: int):
        self.node, self.names, self.functions, self.level = node, names, functions, level
        nodes = [*node.test, *node.body] if isinstance(node, WhileNode) else node.body
        changed = assigned_in(nodes) | ({node.var} if isinstance(node, ForNode) else set())
        self.assigned = [n for n in names if n in changed]
        self._fixed = [n not in changed for n in names]
        self._sizes = _sizes(nodes, changed)
        self._places = [names.index(n) for n in self.assigned]
        needed = (carried(nodes) | (set(names) - changed)) - ({node.var} if isinstance(node, ForNode) else set())
        self._matters = [i for i, n in enumerate(names) if n in needed]
        self._variants: dict[Any, Variant | None] = {}
        self._constants: frozenset[str] = frozenset()
        self.spent = 0.0
        self.iterations, self.seconds = 0, 0.0  # that compiled code has run
        self.is_given_up = False
        self.rates = {True: inf, False: inf}  # seconds of an iteration, the fewest seen, of compiled code and without it
        self.at_once = 1  # iterations that run before something is decided again
        self.reason = ""
        self._refusals = 0
        self._asking = LOAD_SECONDS  # seconds spent after which compiled code is asked for

    def start(self, rest: range | None) -> Run:
        return Run(self, rest)

    def took(self, seconds: float, iterations: int) -> None:
        self.spent += seconds
        if seconds < self.rates[False] * iterations:
            self.rates[False] = max(seconds / iterations, 1e-9)
            self.at_once = max(1, int(_SECONDS / self.rates[False]))

    @property
    def is_wanted(self) -> bool:
        return self.spent >= self._asking and not self.is_given_up

    def variant(self, values: tuple[Any, ...]) -> Variant | None:
        """Compiled code for these values, if there is any; it is asked for where it is worth it."""
        key = self._key(values)
        if key not in self._variants and len(self._variants) < _VARIANTS:
            self._variants[key] = self._made(values)
            if self._constants and self._variants[key] is not None:
                del self._variants[key]
                key = self._key(values)
                self._variants[key] = self._made(values)
        found = self._variants.get(key)
        if found is not None and found.compiled is None:
            found.advance(self.spent)
        if found is not None and found.compiled is not None:
            self._asking = 0.0
            return found
        self._refusals += found is None
        if self._asking:
            self._asking = self.spent + _SECONDS
            self.is_given_up = self._refusals >= _REFUSALS
        return None

    def _key(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        """What compiled code depends on."""
        return tuple([_key(self.names[i], values[i], self._fixed[i], self._constants) for i in self._matters])

    def _made(self, values: tuple[Any, ...]) -> Variant | None:
        from dmlite.codegen.small.loop import loop_of  # only what runs for long needs it

        entry = {n: fact for n, v in zip(self.names, values, strict=True) if (fact := _fact(v)) is not None}
        for constants in dict.fromkeys((self._constants, self._sizes)):
            try:
                loop = loop_of(self.node, entry, self.functions, self.level, constants)
            except (Unsuitable, DMLError) as error:
                self.reason = str(error)
            except Exception as error:
                if config().verify:
                    raise
                self.reason = f"{type(error).__name__}: {error}"
                warnings.warn(f"a loop could not be compiled and runs as before: {self.reason}", stacklevel=2)
            else:
                self._constants = constants
                return Variant(self, loop)
        return None


def _sizes(nodes: Any, changed: set[str]) -> frozenset[str]:
    """Scalars that shapes may depend on."""
    found: set[str] = set()
    for block in walk_blocks(nodes):
        found |= Signature(block).by_value
    return frozenset((found | (read_in(nodes) if any_calls(nodes) else set())) - changed)


def any_calls(nodes: Any) -> bool:
    return any(isinstance(n, CallNode) or any(any_calls(c) for c in children(n)) for n in nodes)


def _key(name: str, value: Any, is_fixed: bool, constants: frozenset[str]) -> Any:
    if value.__class__ is np.ndarray:
        return value.shape
    if value.__class__ is str or name in constants:
        return value.__class__, value if is_fixed else None
    return value.__class__


def _fact(value: Any) -> Fact | None:
    """What compiled code may build upon; None for what it cannot handle."""
    if value.__class__ is np.ndarray:
        fits = value.dtype == np.float64 and 0 < value.size <= _MOST
        return matrix(*value.shape, dense=True) if fits else None
    if value.__class__ in (float, int, bool, str):
        return constant(value)
    return None


class Variant(Awaited):
    """A loop for certain types and shapes, and its compiled function when that is there."""

    loop: SmallLoop

    def __init__(self, hot: HotLoop, loop: SmallLoop):
        super().__init__(loop)
        self._spaces: list[tuple[np.ndarray, np.ndarray]] = []
        index = {n: i for i, n in enumerate(hot.names)}
        self._arrays = [(index[n], shape, changed, given) for n, shape, changed, given in loop.arrays]
        self._numbers = [(index[n], kind, slot) for n, kind, slot in loop.numbers]
        self._results = [index[n] for n in hot.assigned if n in loop.results]

    def run(self, values: list[Any], first: int, step: int, count: int) -> tuple[int, bool]:
        """Run at most `count` iterations on the values, which are replaced by new ones.

        Returns how many were run, and whether the next one must be left to the interpreter. Raises DMLRuntimeError.
        """
        assert self.compiled is not None
        w, h = self._spaces.pop() if self._spaces else tuple(map(np.empty, self.loop.sizes))
        whole, numbers = np.zeros(self.loop.slots[0], dtype=np.int64), np.zeros(self.loop.slots[1])
        for i, kind, slot in self._numbers:
            if values[i].__class__ in (float, int, bool):
                (numbers if kind == "double" else whole)[slot] = values[i]
        arrays = [self._array(values, *a) for a in self._arrays]
        self.compiled(first, step, count, *map(_address, (whole, numbers, w, h, *arrays)))
        self._spaces = [(w, h)]
        if whole[1] > 0:
            raise _outside(self.loop.checks[whole[1] - 1], [int(b) for b in whole[2:6]])
        if whole[0]:
            self._give(values, arrays, numbers, whole)
        return int(whole[0]), whole[1] == LEFT

    @staticmethod
    def _array(values: list[Any], i: int, shape: tuple[int, int], changed: bool, given: bool) -> np.ndarray:
        if not given:
            return np.empty(shape)
        value = values[i]
        if not changed:
            return np.ascontiguousarray(value)
        del value
        if getrefcount(values[i]) <= OWNED and values[i].flags.owndata and values[i].flags.c_contiguous:
            return values[i]
        return values[i].copy(order="C")

    def _give(self, values: list[Any], arrays: list[np.ndarray], numbers: np.ndarray, whole: np.ndarray) -> None:
        results = set(self._results)
        for (i, _, changed, _), array in zip(self._arrays, arrays, strict=True):
            if changed and i in results:
                values[i] = array
        for i, kind, slot in self._numbers:
            if i in results:
                values[i] = float(numbers[slot]) if kind == "double" else int(whole[slot]) if kind == "int" else bool(whole[slot])


class Run:
    """One execution of a loop. rest: iterations to come, None for a `while`; part: those that the generated loop is to run now."""

    __slots__ = ("_asked", "_began", "_count", "_left", "_until", "hot", "part", "ready", "rest")

    def __init__(self, hot: HotLoop, rest: range | None):
        self.hot, self.rest = hot, rest
        self.part = _NOTHING
        self.ready = False
        self._left = False
        self._asked = False  # whether there was no compiled code before this part
        self._count, self._until = -1, 0  # iterations of a `while` since something was decided, and until it is again

    def next(self) -> bool:
        """The next iterations of a `for`; False when there are none."""
        hot, rest, now = self.hot, self.rest, perf_counter()
        assert rest is not None
        if self.part:
            hot.took(now - self._began, len(self.part))
        if not rest:
            return False
        self._began = now
        wanted = hot.is_wanted
        take = 1 if self._left else 0 if wanted and not self._asked else hot.at_once
        if take >= len(rest) or hot.is_given_up:
            self.part, self.rest, self.ready = rest, _NOTHING, False
        else:
            self.part, self.rest, self.ready = rest[:take], rest[take:], wanted
        self._left = self._asked = False
        return True

    def due(self) -> bool:
        """Whether a `while` should look for compiled code before its next iteration."""
        self._count += 1
        if self._count < self._until or self.hot.is_given_up:
            return False
        now = perf_counter()
        if self._count:
            self.hot.took(now - self._began, self._count)
        self._count, self._until = 0, self.hot.at_once
        self._began = now
        return self.hot.is_wanted

    def go(self, *values: Any) -> tuple[Any, ...]:
        """Let compiled code run, if it is there; the values of what the loop assigns."""
        found = list(values)
        del values
        hot = self.hot
        if self.part:
            hot.took(perf_counter() - self._began, len(self.part))
            self.part = _NOTHING
        variant = hot.variant(tuple(found)) if hot.is_wanted else None
        if variant is not None and self._is_small(found):
            self._compiled(variant, found)
        else:
            self._asked = True
        self._began = perf_counter()
        return tuple([found[i] for i in hot._places])

    def _is_small(self, values: list[Any]) -> bool:
        """Whether whole numbers are far from what 64 bits hold."""
        if self.rest and max(abs(self.rest[0]), abs(self.rest[-1])) > RANGE:
            return False
        return all(abs(v) <= (COUNTED if f else CARRIED) for v, f in zip(values, self.hot._fixed, strict=True) if v.__class__ is int)

    def _compiled(self, variant: Variant, values: list[Any]) -> None:
        hot, rest = self.hot, self.rest
        while rest is None or rest:
            began = perf_counter()
            rate = hot.rates[True]
            most = 1 if rate == inf else max(1, int(10 * _SECONDS / rate))
            count = min(most, len(rest)) if rest is not None else most
            first, step = (rest[0], rest.step) if rest is not None else (0, 0)
            done, left = variant.run(values, first, step, count)
            seconds = perf_counter() - began
            if done:
                hot.rates[True] = min(rate, seconds / done)
            hot.iterations += done
            hot.seconds += seconds
            if rest is not None:
                rest = self.rest = rest[done:]
            self._left = left
            if left or done < count or not self._is_small(values):
                self._until = 1
                break
        if hot.rates[True] > _SLOWER * hot.rates[False] and hot.iterations > 50:
            hot.is_given_up = True


def _address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]


def _outside(check: Check, bounds: list[int]) -> DMLRuntimeError:
    """The error of a range that is not within its matrix, as the generated loop would raise it."""
    rl, ru, cl, cu = (b if given else None for b, given in zip(bounds, check.bounds, strict=True))
    if check.axis is not None:
        low, high = (rl, ru) if check.axis == 0 else (cl, cu)
        assert low is not None
        message, hint = outside(low, low if high is None else high, f"{check.shape[0]}x{check.shape[1]}", check.axis)
        return DMLRuntimeError(message, check.span, hint)
    try:
        indexing.index(np.broadcast_to(0.0, check.shape), rl, ru, cl, cu)
    except DMLRuntimeError as error:
        return error.at(check.span)  # type: ignore[return-value]
    raise AssertionError("a range that was outside is inside")


OWNED = 0


def _measure() -> int:
    """What `getrefcount` says of an array that one variable of the generated loop refers to, when `Variant._array` asks."""

    def array(values: list[Any], i: int) -> int:
        return getrefcount(values[i])

    def run(values: list[Any]) -> int:
        return array(values, 0)

    def go(*values: Any) -> int:
        found = list(values)
        del values
        return run(found)

    x = bytearray(1)
    count = go(x)
    return count


OWNED = _measure()
