"""Random control flow: branches, loops, parfor, shapes that change, and code that never runs."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.support.program_types import ANY, MATRIX_NAMES, Env, M, S

LOOP_NAMES = ("i", "j", "k")


class Control:
    """Mixed into the writer of programs, whose other parts give it expressions and statements."""

    rng: random.Random
    lines: list[str]
    level: int
    loops: int
    parallel: bool
    dead: int
    emit: Callable[[str], None]
    statements: Callable[[Env, int], None]
    writable: Callable[[Env, str, type], Any]
    shape: Callable[[], tuple[int, int]]
    pick: Callable[..., str | None]
    matrix: Callable[[Env, int, int, int], str]
    scalar: Callable[[Env, str, int], str]
    int_text: Callable[[Env, int], str]

    def nested(self, env: Env, count: int) -> Env:
        inner = env.copy()
        self.level += 1
        start = len(self.lines)
        self.statements(inner, count)
        if len(self.lines) == start:
            self.dead_code(inner)
        self.level -= 1
        return inner

    def branch(self, env: Env) -> None:
        self.emit(f"if ({self.scalar(env, 'boolean', 2)}) {{")
        frozen = env.frozen() if self.rng.random() < 0.5 else env
        then = self.nested(frozen, self.rng.randint(1, 3))
        orelse = frozen.copy()
        if self.rng.random() < 0.25:
            self.emit(f"}} else if ({self.scalar(frozen, 'boolean', 1)}) {{")
            middle = self.nested(frozen, self.rng.randint(1, 2))
            between = frozen.copy()
            between.merge(then, middle)
            then = between
        if self.rng.random() < 0.6:
            self.emit("} else {")
            orelse = self.nested(frozen, self.rng.randint(1, 3))
        self.emit("}")
        env.merge(then, orelse)

    def for_loop(self, env: Env) -> None:
        var = self.rng.choice(LOOP_NAMES)
        if self.writable(env, var, S) is not ANY:
            return
        first, last = self.rng.choice(((1, 2), (1, 3), (3, 1), (2, 2), (0, 2)))
        header = f"{self.int_text(env, first)}:{self.int_text(env, last)}"
        lowest, highest, runs = min(first, last), max(first, last), True
        if self.rng.random() < 0.25:
            step = self.rng.choice((1, 2, -1))
            header = f"seq({first},{last},{step})"
            runs = (last - first) * step >= 0
        self.emit(f"for ({var} in {header}) {{")
        self.loop_body(env, {var: S("int", (lowest, highest))}, always=runs)
        self.emit("}")

    def loop_body(self, env: Env, extra: dict[str, Any], *, always: bool, after: str | None = None) -> None:
        self.loops += 1
        start = env.frozen(self.rng)
        start.vars.update(extra)
        start.locked |= set(extra)
        end = self.nested(start, self.rng.randint(1, 3))
        if after:
            self.emit(f"  {after}")
        self.loops -= 1
        end.locked -= set(extra)
        if always:
            env.become(end)
        else:
            env.merge(end, env.frozen_as(start))

    def while_loop(self, env: Env) -> None:
        var = f"w{self.loops}"
        if var in env.vars or var in env.maybe:
            return
        self.emit(f"{var} = {self.rng.choice((0, 0, 3))}")
        condition = f"{var} < {self.rng.choice((1, 2, 3))}"
        if self.rng.random() < 0.3:
            condition += f" & {self.scalar(env.frozen_dims(), 'boolean', 1)}"
        self.emit(f"while ({condition}) {{")
        self.loop_body(env, {var: S("int", (0, 3))}, always=False, after=f"{var} = {var} + 1")
        self.emit("}")
        env.vars[var] = S("int")
        env.maybe.discard(var)

    def parfor(self, env: Env) -> None:
        var = "p"
        if self.loops or var in env.vars or var in env.maybe:
            return
        target = self.pick(env, lambda t: isinstance(t, M) and t.cells, writable=True)
        if target is None:
            return
        t = env.vars[target]
        self.emit(f"parfor ({var} in 1:{t.rows}{self.rng.choice(('', ', par=1', ', par=2'))}) {{")
        inner = env.frozen()
        inner.locked |= set(env.vars) | {var}
        inner.vars[var] = S("int", (1, t.rows))
        inner.vars.pop(target)
        self.parallel, self.level, self.loops = True, self.level + 1, self.loops + 1
        if self.rng.random() < 0.3:
            self.emit(f"{target} += {self.matrix(inner, t.rows, t.cols, 2)}")
        else:
            self.statements(inner, self.rng.randint(0, 2))
            own = f" + {target}[{var},]" if self.rng.random() < 0.5 else ""
            self.emit(f"{target}[{var},] = {self.matrix(inner, 1, t.cols, 2)}{own}")
        self.parallel, self.level, self.loops = False, self.level - 1, self.loops - 1
        self.emit("}")
        env.vars[var] = S("int")

    def dynamic(self, env: Env) -> None:
        """Shapes that differ from iteration to iteration, or that only the data decide."""
        name = self.pick(env, lambda t: isinstance(t, M) and not t.known, writable=True)
        if name is None:
            free = [n for n in MATRIX_NAMES if self.writable(env, n, M) is ANY]
            if free and not self.level:
                name, (rows, cols) = self.rng.choice(free), self.shape()
                margin = self.rng.choice(("rows", "rows", "cols"))
                select = f", select={self.matrix(env, rows, 1, 1)}" if margin == "rows" and rows and self.rng.random() < 0.3 else ""
                self.emit(f'{name} = removeEmpty(target={self.matrix(env, rows, cols, 2)}, margin="{margin}"{select})')
                env.vars[name] = M(None, cols) if margin == "rows" else M(rows, None)
            return
        t = env.vars[name]
        n, m = t.rows, t.cols
        options = []
        if n is None and m is not None:
            options += [
                f"rbind({name}, {self.matrix(env, self.rng.randint(1, 2), m, 1)})",
                f"{name}[1:max(1, nrow({name}) - 1),]" if not t.may_be_empty else name,
            ]
        if m is None and n is not None:
            options += [f"cbind({name}, {self.matrix(env, n, self.rng.randint(1, 2), 1)})"]
        if n is None and m is None:
            options += [f"t({name})", f"{name} * 2"]
        self.emit(f"{name} = {self.rng.choice(options)}")

    def dead_code(self, env: Env) -> None:
        self.dead += 1
        if self.rng.random() < 0.5:
            self.emit(f"if ({self.rng.choice(('FALSE', '1 > 2', '0'))}) {{ dead{self.dead} = {self.matrix(env, 2, 2, 1)} }}")
        else:
            self.emit(f"dead{self.dead} = {self.scalar(env, 'double', 2)}")
            env.maybe.add(f"dead{self.dead}")
