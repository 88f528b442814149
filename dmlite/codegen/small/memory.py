"""Memory and names of a compiled loop: variables have places of their own, temporary values share what others no longer need."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field

from dmlite.codegen.small.values import Place, Unsuitable, Var, matrix_var
from dmlite.errors import Span

_MOST = 1 << 22  # cells in all
_LINE = 8  # cells of a line of the cache


@dataclass(frozen=True)
class Check:
    """A range that was found outside of a matrix: what the error says. bounds: which of rl, ru, cl, cu are given.

    axis: that the message speaks of, None where it speaks of the whole range.
    """

    span: Span | None
    what: str
    shape: tuple[int, int]
    axis: int | None
    bounds: tuple[bool, bool, bool, bool]


class Memory:
    """Hands out places in the two arrays `w`, for temporary values, and `h`, for variables; local names; numbers of checks."""

    def __init__(self) -> None:
        self.sizes = {"w": 0, "h": 0}
        self.checks: list[Check] = []
        self.locals: dict[str, str] = {}  # local variables of scalars that exist from the start, and their types
        self._free: dict[int, list[int]] = defaultdict(list)
        self._names = itertools.count()

    def temporary(self, rows: int, cols: int) -> Place:
        free = self._free[_rounded(rows * cols)]
        return Place.whole("w", free.pop() if free else self._grown("w", rows * cols), rows, cols)

    def release(self, place: Place) -> None:
        self._free[_rounded(place.cells)].append(place.start)

    def home(self, rows: int, cols: int) -> Place:
        return Place.whole("h", self._grown("h", rows * cols), rows, cols)

    def _grown(self, base: str, cells: int) -> int:
        start = self.sizes[base]
        self.sizes[base] += _rounded(cells)
        if self.sizes[base] > _MOST:
            raise Unsuitable("its values need too much memory")
        return start

    def name(self, prefix: str) -> str:
        return f"{prefix}{next(self._names)}"

    def check(self, check: Check) -> int:
        self.checks.append(check)
        return len(self.checks)


@dataclass
class Scope:
    """The variables of a function while it is written. homes: where each lives, by its name and shape; locals: the same for
    scalars, by type. array: gives the places of variables that others see.
    """

    memory: Memory
    state: dict[str, Var] = field(default_factory=dict)
    homes: dict[tuple[str, object], Place] = field(default_factory=dict)
    locals: dict[tuple[str, str], str] = field(default_factory=dict)
    array: Callable[[str, int, int], Place] | None = None

    def home(self, name: str, rows: int, cols: int) -> Place:
        key = (name, (rows, cols))
        if key not in self.homes:
            self.homes[key] = self.array(name, rows, cols) if self.array else self.memory.home(rows, cols)
        return self.homes[key]

    def owns(self, name: str) -> bool:
        """Whether a variable is in its own memory, which nothing else refers to."""
        place = self.state[name].place
        return place is not None and self.homes.get((name, (place.rows, place.cols))) == place

    def settle(self, names: Iterable[str]) -> list[tuple[Place, Place]]:
        """Copies, in order, that bring matrices to their own memory, and whatever else is there to its own."""
        moves: dict[str, Place] = {}
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            place = self.state[name].place
            assert place is not None
            home = self.home(name, place.rows, place.cols)
            if name not in moves and home != place:
                moves[name] = home
                waiting += [n for n, v in self.state.items() if n != name and v.place is not None and v.place.is_within(home)]
        sources = {n: p for n in moves if (p := self.state[n].place) is not None}
        aside = {n: self.memory.temporary(p.rows, p.cols) for n, p in sources.items() if any(p.is_within(h) for h in moves.values())}
        for place in aside.values():
            self.memory.release(place)
        self.state.update({n: matrix_var(home) for n, home in moves.items()})
        return [*((t, sources[n]) for n, t in aside.items()), *((home, aside.get(n, sources[n])) for n, home in moves.items())]

    def alone(self, name: str, alive: Container[str] | None = None) -> list[tuple[Place, Place]]:
        """Copies to make before a variable's own memory changes: the variables that share it move to their own.

        alive: those that anybody reads later; all when not known.
        """
        homes = [p for (n, _), p in self.homes.items() if n == name]
        others = [n for n, v in self.state.items() if n != name and v.place is not None and any(v.place.is_within(h) for h in homes)]
        for other in others:
            if alive is not None and other not in alive:
                del self.state[other]
        return self.settle(n for n in others if n in self.state)

    def local(self, name: str, kind: str) -> str:
        key = (name, kind)
        if key not in self.locals:
            self.locals[key] = self.memory.name("u")
            self.memory.locals[self.locals[key]] = kind
        return self.locals[key]


def _rounded(cells: int) -> int:
    return -(-cells // _LINE) * _LINE
