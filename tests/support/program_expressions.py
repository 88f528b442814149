"""Random DML expressions of a wanted type."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from tests.support.program_idioms import Idioms
from tests.support.program_types import Env, L, M, S

NUMBERS = (0.0, 1.0, -1.5, 2.25, 3.0, 0.5, -2.0, 100.25, 0.001)
SHAPES = ((1, 1), (2, 2), (2, 3), (3, 2), (1, 3), (3, 1), (4, 1), (1, 4), (4, 4), (4, 3), (6, 2))
EMPTY = ((0, 2), (2, 0), (0, 0), (0, 1), (1, 0))


class Expressions(Idioms):
    """Mixed into the writer of programs: everything is decided by `rng`."""

    rng: random.Random
    style: Any
    functions: list[Any]
    parallel: bool

    # ------------------------------------------------------------ atoms
    def number(self) -> float:
        if self.style.special and self.rng.random() < 0.15:
            return self.rng.choice((float("nan"), float("inf"), float("-inf")))
        return self.rng.choice(NUMBERS)

    def number_text(self) -> str:
        value = self.number()
        if value != value or abs(value) == float("inf"):
            return {"nan": "NaN", "inf": "Inf", "-inf": "(-Inf)"}[repr(value)]
        return repr(value) if self.rng.random() < 0.7 else str(int(value))

    def shape(self) -> tuple[int, int]:
        return self.rng.choice(EMPTY) if self.rng.random() < 0.05 else self.rng.choice(SHAPES)

    def small_matrix_type(self) -> M:
        return M(*self.rng.choice(SHAPES[:8]))

    def pick(self, env: Env, fits: Callable[[Any], Any], *, writable: bool = False) -> str | None:
        names = [n for n, t in env.vars.items() if fits(t) and n not in env.maybe and not (writable and n in env.locked)]
        return self.rng.choice(names) if names else None

    def int_text(self, env: Env, value: int) -> str:
        """An int of known value, as a literal or in a way that the compiler may not see through."""
        same = [n for n, t in env.vars.items() if isinstance(t, S) and t.range == (value, value)]
        if same and self.rng.random() < 0.5:
            return self.rng.choice(same)
        return self.rng.choice((str(value), str(value), f"({value - 1} + 1)", f"{value}.0")) if value > 0 else str(value)

    def position(self, env: Env, at: int, size: int) -> str:
        """A valid 1-based index: a literal, a loop variable, or the end."""
        names = [
            n for n, t in env.vars.items() if isinstance(t, S) and t.vtype == "int" and t.range and t.range[0] >= 1 and t.range[1] <= size
        ]
        if names and self.rng.random() < 0.7:
            return self.rng.choice(names)
        if self.rng.random() < 0.15:
            return f"min(max(1, {self.scalar(env, 'int', 1)}), {size})"
        return self.int_text(env, at)

    def window(self, t: M) -> tuple[int, int, int, int]:
        assert t.rows and t.cols
        r, c = sorted(self.rng.choices(range(1, t.rows + 1), k=2)), sorted(self.rng.choices(range(1, t.cols + 1), k=2))
        return r[0], r[1], c[0], c[1]

    def of_type(self, env: Env, kind: Any, depth: int) -> str:
        if isinstance(kind, M):
            n, m = (d if d is not None else self.rng.randint(1, 3) for d in (kind.rows, kind.cols))
            return self.matrix(env, n, m, depth)
        if isinstance(kind, S):
            return self.scalar(env, kind.vtype, depth)
        items = [self.of_type(env, i, depth - 1) for i in kind.items]
        return f"list({', '.join(f'{n}={x}' for n, x in zip(kind.names, items, strict=True)) if kind.names else ', '.join(items)})"

    def call_text(self, env: Env, f: Any, depth: int) -> str:
        """A call with positional arguments, with a default left out, or all named in any order."""
        args = []
        for name, kind in f.params:
            value = str(self.rng.randint(*kind.range)) if isinstance(kind, S) and kind.range else self.of_type(env, kind, depth - 1)
            args.append((name, value))
        if f.default and self.rng.random() < 0.4:
            args.pop()
        if self.rng.random() < 0.3:
            self.rng.shuffle(args)
            return f"{f.name}({', '.join(f'{n}={v}' for n, v in args)})"
        return f"{f.name}({', '.join(v for _, v in args)})"

    def calls_giving(self, kind: type, fits: Callable[[Any], bool]) -> list[Any]:
        return [f for f in self.functions if isinstance(f.returns[0][1], kind) and fits(f.returns[0][1])]

    # ------------------------------------------------------------ scalars
    def scalar(self, env: Env, vtype: str, depth: int) -> str:
        known = self.pick(env, lambda t: isinstance(t, S) and t.vtype == vtype)
        if known is not None and self.rng.random() < (0.3 if depth > 0 else 0.7):
            return known
        maker = {"int": self.int_, "double": self.double, "boolean": self.boolean, "string": self.string}[vtype]
        return maker(env, depth)

    def any_matrix(self, env: Env, depth: int) -> str:
        known = self.pick(env, lambda t: isinstance(t, M))
        return known if known is not None and self.rng.random() < 0.6 else self.matrix(env, *self.shape(), depth - 1)

    def int_(self, env: Env, depth: int) -> str:
        if depth <= 0:
            return str(self.rng.choice((0, 1, 2, 3, 7, -1)))
        one = lambda: self.scalar(env, "int", depth - 1)  # noqa: E731
        return self.rng.choice(
            (
                lambda: f"({one()} {self.rng.choice('+-*')} {one()})",
                lambda: f"({one()} {self.rng.choice(('%%', '%/%'))} {self.rng.choice((2, 3, -2))})",
                lambda: f"{self.rng.choice(('nrow', 'ncol', 'length'))}({self.any_matrix(env, depth)})",
                lambda: f"{self.rng.choice(('min', 'max'))}({one()}, {one()})",
                lambda: f"as.integer({self.scalar(env, 'double', depth - 1)})",
                lambda: f"(-{one()})",
                lambda: f"ifelse({self.scalar(env, 'boolean', depth - 1)}, {one()}, {one()})",
            )
        )()

    def double(self, env: Env, depth: int) -> str:
        if depth <= 0:
            return f"({self.number_text()})" if self.rng.random() < 0.2 else self.number_text()
        one = lambda: self.scalar(env, self.rng.choice(("double", "double", "int")), depth - 1)  # noqa: E731
        two = lambda: self.scalar(env, "double", depth - 1)  # noqa: E731
        options: list[Callable[[], str]] = [
            lambda: f"({two()} {self.rng.choice('+-*/')} {one()})",
            lambda: f"({one()} {self.rng.choice('+-*')} {two()})",
            lambda: f"({two()} {self.rng.choice(('%%', '%/%'))} {one()})",
            lambda: f"({two()} ^ {self.rng.choice((2, 0, 1, 3, 0.5))})",
            lambda: f"{self.rng.choice(('sum', 'mean', 'min', 'max', 'sd', 'var', 'prod', 'sum', 'sum'))}({self.any_matrix(env, depth)})",
            lambda: f"as.scalar({self.matrix(env, 1, 1, depth - 1)})",
            lambda: f"{self.rng.choice(('abs', 'floor', 'round', 'ceil', 'sign', 'tanh', 'sin'))}({one()})",
            lambda: f"{self.rng.choice(('min', 'max'))}({two()}, {one()})",
            lambda: f"{self.rng.choice(('min', 'max'))}({two()}, {one()}, {two()})",
            lambda: f'as.double("{self.rng.choice(("7.5", "-2", "1e3", " 4 "))}")',
            lambda: self.loss(env),
            lambda: self.loss(env),
            lambda: f"as.double({self.scalar(env, self.rng.choice(('int', 'boolean', 'double')), depth - 1)})",
            lambda: f"(-{two()})",
            lambda: f"ifelse({self.scalar(env, 'boolean', depth - 1)}, {two()}, {two()})",
            lambda: self.cell(env),
            lambda: self.list_item(env, S) or self.number_text(),
        ]
        squares = self.pick(env, lambda t: isinstance(t, M) and t.known and t.rows == t.cols)
        if squares:
            options.append(lambda: f"trace({squares} %*% t({squares}))")
        for f in self.calls_giving(S, lambda t: t.vtype == "double"):
            options.append(lambda f=f: self.call_text(env, f, depth))
        return self.rng.choice(options)()

    def cell(self, env: Env) -> str:
        name = self.pick(env, lambda t: isinstance(t, M) and t.cells)
        if name is None:
            return self.number_text()
        t = env.vars[name]
        r, _, c, _ = self.window(t)
        return f"as.scalar({name}[{self.position(env, r, t.rows)},{self.position(env, c, t.cols)}])"

    def boolean(self, env: Env, depth: int) -> str:
        if depth <= 0:
            return self.rng.choice(("TRUE", "FALSE"))
        compare = self.rng.choice(("<", "<=", ">", ">=", "==", "!="))
        one = lambda: self.scalar(env, "boolean", depth - 1)  # noqa: E731
        return self.rng.choice(
            (
                lambda: f"({self.scalar(env, 'int', depth - 1)} {compare} {self.scalar(env, 'int', depth - 1)})",
                lambda: f"({self.scalar(env, 'double', depth - 1)} {compare} {self.scalar(env, 'int', depth - 1)})",
                lambda: f"({self.scalar(env, 'string', 0)} {compare} {self.scalar(env, 'string', 0)})",
                lambda: f"({one()} {self.rng.choice('&|')} {one()})",
                lambda: f"(!{one()})",
                lambda: f"xor({one()}, {one()})",
                lambda: f"as.logical({self.scalar(env, self.rng.choice(('int', 'double')), depth - 1)})",
                lambda: f"({self.int_(env, 0)} {compare} {self.int_(env, 0)})",
                lambda: f'exists("{self.rng.choice(sorted(env.maybe | set(env.vars) | {"never"}))}")',
            )
        )()

    def string(self, env: Env, depth: int) -> str:
        literal = '"' + self.rng.choice(("", "a", "b c", "v7.0;", "x = y", "%d", "it's", "#")) + '"'
        if depth <= 0:
            return literal
        vtype = self.rng.choice(("int", "double", "boolean", "string"))
        return self.rng.choice(
            (
                lambda: f"({literal} + {self.scalar(env, vtype, depth - 1)})",
                lambda: f"({self.scalar(env, vtype, depth - 1)} + {literal})",
                lambda: f"toString({self.matrix(env, *self.shape(), depth - 1)})",
            )
        )()

    def list_item(self, env: Env, kind: type, shape: tuple[int, int] | None = None) -> str | None:
        """An element of a list: a double, or a matrix of the wanted shape."""
        found = []
        for name, t in env.vars.items():
            if isinstance(t, L) and name not in env.maybe:
                for i, item in enumerate(t.items):
                    where = f'"{t.names[i]}"' if t.names and self.rng.random() < 0.5 else str(i + 1)
                    if kind is M and isinstance(item, M) and (item.rows, item.cols) == shape:
                        found.append(f"as.matrix({name}[{where}])")
                    elif kind is S and isinstance(item, S) and item.vtype == "double":
                        found.append(f"as.scalar({name}[{where}])")
        return self.rng.choice(found) if found else None

    # ------------------------------------------------------------ matrices
    def matrix(self, env: Env, n: int, m: int, depth: int) -> str:
        """An expression that gives an n x m matrix."""
        same = self.pick(env, lambda t: isinstance(t, M) and (t.rows, t.cols) == (n, m))
        if same is not None and self.rng.random() < (0.35 if depth > 0 else 0.8):
            return same
        if depth <= 0:
            return self.constant(env, n, m)
        options = (
            self.cellwise(env, n, m, depth)
            + self.moved(env, n, m, depth)
            + self.reduced(env, n, m, depth)
            + [lambda: self.constant(env, n, m)]
        )
        return self.rng.choice(options)()

    def constant(self, env: Env, n: int, m: int) -> str:
        size = f"rows={self.int_text(env, n)}, cols={self.int_text(env, m)}"
        how = self.rng.random()
        if how < 0.35 or not n * m:
            return f"matrix({self.number_text()}, {size})"
        if how < 0.5 and m == 1:
            return f"seq(1, {self.int_text(env, n)})"
        if how < 0.6:
            return f"matrix(seq(1, {n * m}), {size}{self.rng.choice(('', ', byrow=FALSE'))})"
        if how < 0.65:
            value = self.rng.choice(NUMBERS)
            return f"rand({size}, min={value}, max={value})"
        cells = " ".join(repr(self.number()).replace("inf", "Infinity").replace("nan", "NaN") for _ in range(n * m))
        return f'matrix("{cells}", {size})'

    def cellwise(self, env: Env, n: int, m: int, depth: int) -> list[Callable[[], str]]:
        sub = lambda r=n, c=m: self.matrix(env, r, c, depth - 1)  # noqa: E731
        num = lambda: self.scalar(env, self.rng.choice(("double", "int")), depth - 1)  # noqa: E731
        op = self.rng.choice(("+", "-", "*", "+", "-", "*", "/", "^", "%%", "%/%", "<", "<=", ">", ">=", "==", "!=", "&", "|"))
        other = self.rng.choice((sub, sub, sub, num, num, lambda: sub(1, m), lambda: sub(n, 1), lambda: sub(1, 1)))
        simple = self.rng.choice(
            ("abs", "round", "floor", "ceil", "sign", "tanh", "sqrt", "exp", "sin", "cos", "atan", "log", "is.nan", "is.infinite")
        )
        return [
            lambda: f"({sub()} {op} {other()})",
            lambda: f"({sub()} {self.rng.choice('+-*')} {other()})",
            lambda: f"({num()} {self.rng.choice('+-*')} {sub()})",
            lambda: f"{simple}({sub()})",
            lambda: f"(-{sub()})" if self.rng.random() < 0.7 else f"(!{sub()})",
            lambda: f"{self.rng.choice(('min', 'max'))}({sub()}, {self.rng.choice((sub, num))()})",
            lambda: f"{self.rng.choice(('min', 'max'))}({sub()}, {self.rng.choice((sub, num))()}, {other()})",
            lambda: f"xor({sub()}, {self.rng.choice((sub, lambda: sub(1, 1)))()})",
            lambda: f"ifelse({sub()}, {self.rng.choice((sub, num))()}, {self.rng.choice((sub, num))()})",
            lambda: self.idiom(sub()),
        ]

    def moved(self, env: Env, n: int, m: int, depth: int) -> list[Callable[[], str]]:
        sub = lambda r=n, c=m: self.matrix(env, r, c, depth - 1)  # noqa: E731
        inner = self.rng.randint(1, 3)
        out: list[Callable[[], str]] = [
            lambda: f"t({sub(m, n)})",
            lambda: f"({sub(n, inner)} %*% {sub(inner, m)})",
            lambda: f"(t({sub(inner, n)}) %*% t({sub(m, inner)}))",
        ]
        if n and m:
            out += [
                lambda: f"rev({sub()})",
                lambda: f"roll({sub()}, {self.rng.choice((1, -1, 2))})",
                lambda: f"matrix({sub(m, n)}, {n}, {m}{self.rng.choice(('', ', FALSE'))})",
                lambda: f"replace(target={sub()}, pattern={self.number_text()}, replacement={self.number_text()})",
                lambda: f"order(target={sub()}, by={self.rng.randint(1, m)}, decreasing={self.rng.choice(('TRUE', 'FALSE'))})",
                lambda: f"{self.rng.choice(('cumsum', 'cummin', 'cummax', 'cumprod'))}({sub()})",
            ]
            out += [lambda: self.around_product(env, n, m)] * 2
        if m > 1:
            out.append(lambda: f"cbind({sub(n, 1)}, {sub(n, m - 1)})")
        if n > 1:
            out.append(lambda: f"rbind({sub(n - 1, m)}, {sub(1, m)})")
        if m == 1 and n:
            out.append(lambda: f"order(target={sub(n, 2)}, by=1, decreasing={self.rng.choice(('TRUE', 'FALSE'))}, index.return=TRUE)")
        wider = self.pick(env, lambda t: isinstance(t, M) and t.known and t.rows >= n and t.cols >= m)
        if wider is not None and n and m:
            out += [lambda: self.slice(env, wider, n, m)] * 3
        return out

    def slice(self, env: Env, name: str, n: int, m: int) -> str:
        t = env.vars[name]
        parts = []
        for want, have in ((n, t.rows), (m, t.cols)):
            steps = self.pick(
                env, lambda t, w=want, h=have: isinstance(t, S) and t.range is not None and t.range[0] >= 1 and t.range[1] * w <= h
            )
            if steps and self.rng.random() < 0.5:
                parts.append(f"(({steps} - 1) * {want} + 1):({steps} * {want})")
                continue
            first = self.rng.randint(1, have - want + 1)
            if want == have and self.rng.random() < 0.5:
                parts.append("")
            elif want == 1:
                parts.append(self.position(env, first, have))
            else:
                parts.append(f"{first}:{self.rng.choice((str(first + want - 1), f'({first} + {want - 1})'))}")
        return f"{name}[{parts[0]},{parts[1]}]"

    def reduced(self, env: Env, n: int, m: int, depth: int) -> list[Callable[[], str]]:
        sub = lambda r, c: self.matrix(env, r, c, depth - 1)  # noqa: E731
        other = self.rng.randint(1, 4)
        out: list[Callable[[], str]] = []
        kinds = ("Sums", "Means", "Maxs", "Mins", "Sums", "Vars", "Sds", "Prods")
        if m == 1:
            out += [
                lambda: f"row{self.rng.choice(kinds)}({sub(n, other)})",
                lambda: f"rowIndex{self.rng.choice(('Max', 'Min'))}({sub(n, other)})",
            ] * 2
            out += [lambda: f"rowSums(t({sub(other, n)}))"]
        if n == 1:
            out += [lambda: f"col{self.rng.choice(kinds)}({sub(other, m)})"] * 2 + [lambda: f"colSums(t({sub(m, other)}))"]
            dynamic = self.pick(env, lambda t: isinstance(t, M) and t.rows is None and t.cols == m)
            if dynamic:
                out += [lambda: f"colSums({dynamic})"] * 3
        if n == m == 1:
            out.append(lambda: f"as.matrix({self.scalar(env, 'double', depth - 1)})")
        if n and m:
            out.append(lambda: f'outer({sub(n, 1)}, {sub(1, m)}, "{self.rng.choice(("+", "*", "-", "<", "=="))}")')
            out.append(
                lambda: (
                    f"table(seq(1, {n}), 1 + (abs(round(rowSums(sin({sub(n, 2)})))) %% {m}), {n}, {m})"
                    if not self.style.special
                    else self.constant(env, n, m)
                )
            )
        if n == m and n:
            out += [
                lambda: f"diag({sub(n, 1)})",
                lambda: f"(diag({sub(n, 1)}) %*% {sub(n, n)})",
                lambda: (
                    f"{self.rng.choice(('lower', 'upper'))}.tri(target={sub(n, n)}, diag={self.rng.choice(('TRUE', 'FALSE'))}, values=TRUE)"
                ),
            ]
        item = self.list_item(env, M, (n, m))
        if item:
            out += [lambda: item] * 3
        for f in self.calls_giving(M, lambda t: (t.rows, t.cols) == (n, m)):
            out += [lambda f=f: self.call_text(env, f, depth)] * 2
            out.append(
                lambda f=f: (
                    f'eval("{f.name}", {", ".join(self.of_type(env, k, 1) for _, k in f.params)})'
                    if len(f.params) > 1
                    else self.call_text(env, f, depth)
                )
            )
        return out
