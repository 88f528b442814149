"""Random DML programs, well-formed by construction and almost always free of run-time errors.

The generator knows the kind and shape of every variable it has made (a dimension may be unknown), so that it can ask
for "an expression that gives a 2x3 matrix". The same seed gives the same program.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tests.support.program_control import Control
from tests.support.program_expressions import Expressions
from tests.support.program_types import ANY, MATRIX_NAMES, Env, L, M, S

SCALAR_NAMES = ("a", "b", "k", "s", "u")
LIST_NAMES = ("L", "P")


@dataclass
class Function:
    """A generated function: its parameter and result types, and whether the last parameter has a default."""

    name: str
    params: list[tuple[str, Any]]
    returns: list[tuple[str, Any]]
    default: bool = False


@dataclass
class Program:
    text: str
    inputs: dict[str, Any]


@dataclass
class Style:
    """What a program may contain. special: NaN and Inf; faults: statements that may fail."""

    special: bool = False
    faults: bool = False
    sparse: bool = False


def program(seed: int) -> Program:
    """The program of a seed."""
    rng = random.Random(seed)
    style = Style(special=rng.random() < 0.2, faults=rng.random() < 0.25)
    style.sparse = not style.special and rng.random() < 0.4
    return Writer(rng, style).program()


@dataclass
class Writer(Expressions, Control):
    """Writes the statements of one program."""

    rng: random.Random
    style: Style
    lines: list[str] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    level: int = 0
    loops: int = 0
    budget: int = 0
    parallel: bool = False
    dead: int = 0
    in_function: bool = False

    # ------------------------------------------------------------ the whole
    def program(self) -> Program:
        self.in_function = True
        for number in range(self.rng.choice((0, 0, 1, 2, 3))):
            self.function(f"f{number}")
        if self.rng.random() < 0.15:
            self.rng.choice((self.recursive, self.twice_recursive))()
        self.in_function = False
        inputs, env = self.inputs()
        self.budget = self.rng.randint(4, 22)
        self.statements(env, self.budget)
        for name in self.rng.sample(sorted(env), min(len(env), 3)):
            self.print_variable(env, name)
        return Program("\n".join(self.lines) + "\n", inputs)

    def inputs(self) -> tuple[dict[str, Any], Env]:
        """Values bound from outside: their shapes are known to the engine, the scalars are not."""
        values: dict[str, Any] = {}
        env = Env({})
        if self.rng.random() < 0.6:
            values["n2"], values["n3"] = 2, 3
            env.vars["n2"], env.vars["n3"] = S("int", (2, 2)), S("int", (3, 3))
        if self.rng.random() < 0.3:
            values["d0"], values["q0"], values["w0"] = self.rng.choice((0.0, 1.0, -2.5)), self.rng.random() < 0.5, "given"
            env.vars |= {"d0": S("double"), "q0": S("boolean"), "w0": S("string")}
        if self.rng.random() < 0.5:
            rows, cols = self.rng.choice((1, 2, 3, 4)), self.rng.choice((1, 2, 3))
            values["X0"] = np.array([[self.number() for _ in range(cols)] for _ in range(rows)])
            env.vars["X0"] = M(rows, cols)
        if self.style.sparse:
            from scipy.sparse import csr_array

            rows, cols = self.rng.choice(((3, 4), (6, 5), (20, 30), (1, 1), (5, 1), (1, 6), (4, 4)))
            some = (0.0,) if self.rng.random() < 0.1 else (0.0, 0.0, 0.0, 0.0, 1.0, -2.0, 0.5)
            cells = np.array([[self.rng.choice(some) for _ in range(cols)] for _ in range(rows)])
            values["S0"] = csr_array(cells)
            env.vars["S0"] = M(rows, cols)
        return values, env

    def emit(self, text: str) -> None:
        self.lines.append("  " * self.level + text)

    # ------------------------------------------------------------ functions
    def function(self, name: str) -> None:
        types: list[Any] = [
            self.small_matrix_type(),
            S("double"),
            S("int", (1, 3)),
            self.small_matrix_type(),
            S("boolean"),
            S("string"),
            L((S("double"), M(2, 2))),
        ]
        params = [(n, t) for n, t in zip(("A", "a", "k", "X", "q", "w", "L"), types, strict=True) if self.rng.random() < 0.45] or [
            ("A", types[0])
        ]
        self.rng.shuffle(params)
        results = self.rng.sample(
            [
                ("Y", self.small_matrix_type()),
                ("s", S("double")),
                ("u", S("int")),
                ("A", self.small_matrix_type()),
                ("P", L((S("double"), M(2, 2)))),
            ],
            self.rng.randint(1, 2),
        )
        default = isinstance(params[-1][1], S) and params[-1][1].vtype in ("double", "int") and self.rng.random() < 0.5
        heads = [f"{self.declared(t)} {n}" for n, t in params]
        if default:
            heads[-1] += " = 2"
        self.emit(f"{name} = function({', '.join(heads)}) return ({', '.join(f'{self.declared(t)} {n}' for n, t in results)}) {{")
        self.level += 1
        env = Env(dict(params))
        self.statements(env, self.rng.randint(0, 4))
        for n, t in results:
            value = f"{n} = {self.of_type(env, t, 2)}"
            unset = self.style.faults and self.rng.random() < 0.1 and n not in env.vars
            self.emit(f"if ({self.scalar(env, 'boolean', 1)}) {{ {value} }}" if unset else value)
            env.vars[n] = t
        self.level -= 1
        self.emit("}")
        self.functions.append(Function(name, params, results, default))

    def recursive(self) -> None:
        rows, cols = self.rng.choice(((2, 2), (1, 3), (3, 1)))
        self.emit("r0 = function(int n, matrix[double] A) return (matrix[double] Y, int n) {")
        self.level += 1
        env = Env({"n": S("int"), "A": M(rows, cols)})
        self.emit("if (n <= 0) {")
        self.emit(f"  Y = {self.matrix(env, rows, cols, 1)}")
        self.emit("} else {")
        self.emit(f"  [Y, m] = r0(n - 1, {self.matrix(env, rows, cols, 1)})")
        self.emit("  Y[1,1] = Y[1,1] + n")
        self.emit("  n = m + 1")
        self.emit("}")
        self.level -= 1
        self.emit("}")
        self.functions.append(Function("r0", [("n", S("int", (0, 4))), ("A", M(rows, cols))], [("Y", M(rows, cols)), ("n", S("int"))]))

    def twice_recursive(self) -> None:
        """Two calls of itself in one expression, by position and by name."""
        base, step = self.scalar(Env({"n": S("int")}), "int", 1), self.rng.choice(("+", "-"))
        self.emit("r0 = function(int n, int low = 1) return (double s) {")
        self.emit(f"  if (n <= low) {{ s = {base} }} else {{ s = r0(n - 1) {step} r0(low=low, n=n - 2) }}")
        self.emit("}")
        self.functions.append(Function("r0", [("n", S("int", (0, 5))), ("low", S("int", (1, 2)))], [("s", S("double"))], default=True))

    @staticmethod
    def declared(kind: Any) -> str:
        return "matrix[double]" if isinstance(kind, M) else "list[unknown]" if isinstance(kind, L) else kind.vtype

    # ------------------------------------------------------------ statements
    def statements(self, env: Env, count: int) -> None:
        for _ in range(count):
            self.statement(env)

    def statement(self, env: Env) -> None:
        deep = self.level >= 3
        choices: list[tuple[int, Callable[[Env], None]]] = [
            (8, self.assign_matrix),
            (5, self.assign_scalar),
            (6, self.left_index),
            (3, self.alias),
            (2, self.print_something),
            (2, self.list_statement),
            (2, self.accumulate),
            (2 if self.functions and not self.level else 0, self.call),
            (0 if deep else 3, self.branch),
            (0 if deep else 3, self.for_loop),
            (0 if deep else 2, self.while_loop),
            (0 if deep or self.parallel else 2, self.parfor),
            (1, self.dynamic),
            (1, self.dead_code),
            (2 if self.style.faults and not self.parallel and not self.in_function else 0, self.fault),
        ]
        weights, actions = zip(*choices, strict=True)
        self.rng.choices(actions, weights)[0](env)

    def assign_matrix(self, env: Env) -> None:
        name = self.rng.choice(MATRIX_NAMES)
        kind = self.writable(env, name, M)
        if kind is None:
            return
        rows, cols = self.shape_for(kind)
        self.emit(f"{name} {self.rng.choice(('=', '=', '<-'))} {self.matrix(env, rows, cols, 3)}")
        env.vars[name] = kind if kind is not ANY and kind.frozen else M(rows, cols)

    def assign_scalar(self, env: Env) -> None:
        name = self.rng.choice(SCALAR_NAMES)
        kind = self.writable(env, name, S)
        if kind is None:
            return
        vtype = kind.vtype if kind is not ANY and kind.frozen else self.rng.choice(("int", "double", "double", "boolean", "string"))
        self.emit(f"{name} = {self.scalar(env, vtype, 3)}")
        env.vars[name] = kind if kind is not ANY and kind.frozen else S(vtype)

    def writable(self, env: Env, name: str, kind: type) -> Any:
        """The type a new value of the variable must have: ANY, or a type that loops and branches rely on; None when it may not be written."""
        old = env.vars.get(name)
        if name in env.maybe or name in env.locked:
            return None
        if old is None:
            return ANY
        if not old.frozen:
            return ANY if type(old) is kind or not self.level else None
        return old if type(old) is kind else None

    def shape_for(self, kind: Any) -> tuple[int, int]:
        if kind is ANY or not kind.frozen:
            return self.shape()
        return tuple(d if d is not None else self.rng.randint(1, 4) for d in (kind.rows, kind.cols))  # type: ignore[return-value]

    def left_index(self, env: Env) -> None:
        name = self.pick(env, lambda t: isinstance(t, M) and t.cells, writable=True)
        if name is None:
            self.assign_matrix(env)
            return
        t = env.vars[name]
        r0, r1, c0, c1 = self.window(t)
        how = self.rng.random()
        if how < 0.35:
            self.emit(f"{name}[{self.position(env, r0, t.rows)},{self.position(env, c0, t.cols)}] = {self.scalar(env, 'double', 2)}")
        elif how < 0.45:
            self.emit(f"{name}[{r0},] = {self.matrix(env, 1, t.cols, 2)}")
        elif how < 0.5:
            self.emit(
                f"{name}[{self.rng.choice((f'{r0}:{r1}', ''))},{c0}:{c1}] = {self.scalar(env, self.rng.choice(('double', 'int')), 1)}"
            )
        elif how < 0.55:
            self.emit(f"{name}[{r0}:{r1},] = {self.matrix(env, r1 - r0 + 1, t.cols, 2)}")
        elif how < 0.62:
            self.emit(f"{name}[,{self.position(env, c0, t.cols)}] = {self.matrix(env, t.rows, 1, 2)}")
        else:
            self.emit(f"{name}[{r0}:{r1},{c0}:{c1}] = {self.matrix(env, r1 - r0 + 1, c1 - c0 + 1, 2)}")

    def alias(self, env: Env) -> None:
        """Two names for the same cells, or a view, and then a store into one of them."""
        source = self.pick(env, lambda t: isinstance(t, M) and t.cells)
        name = self.rng.choice(MATRIX_NAMES)
        if source is None or name == source or self.writable(env, name, M) is not ANY:
            return
        t = env.vars[source]
        views = [
            (source, t),
            (f"t({source})", M(t.cols, t.rows)),
            (f"matrix({source}, rows={t.rows * t.cols}, cols=1)", M(t.rows * t.cols, 1)),
            (f"matrix({source}, 1, {t.rows * t.cols}, FALSE)", M(1, t.rows * t.cols)),
            (f"{source}[1:{t.rows},1:{t.cols}]", t),
            (f"{source}[1,]", M(1, t.cols)),
            (f"{source} + 0", t),
        ]
        text, kind = self.rng.choice(views)
        self.emit(f"{name} = {text}")
        env.vars[name] = M(kind.rows, kind.cols)
        for changed in self.rng.sample([name, source], self.rng.randint(1, 2)):
            if changed not in env.locked and changed not in env.maybe:
                shape = env.vars[changed]
                self.emit(f"{changed}[{self.rng.randint(1, shape.rows)},{self.rng.randint(1, shape.cols)}] = {self.number_text()}")

    def accumulate(self, env: Env) -> None:
        name = self.pick(env, lambda t: isinstance(t, M) or (isinstance(t, S) and t.vtype == "double"), writable=True)
        if name is None:
            return
        t = env.vars[name]
        if isinstance(t, S):
            self.emit(f"{name} += {self.scalar(env, 'double', 1)}")
        elif t.known:
            self.emit(f"{name} += {self.matrix(env, t.rows, t.cols, 1)}")
        else:
            self.emit(f"{name} += {self.scalar(env, 'double', 1)}")

    def print_something(self, env: Env) -> None:
        if self.parallel:
            return
        how = self.rng.random()
        if how < 0.06:
            self.emit(f'print("%d and %s", {self.scalar(env, "int", 1)}, {self.scalar(env, "string", 1)})')
        elif how < 0.5:
            self.emit(f"print({self.scalar(env, self.rng.choice(('string', 'double', 'int', 'boolean')), 2)})")
        elif how < 0.8:
            self.emit(f"print(toString({self.matrix(env, *self.shape(), 2)}))")
        elif env.vars:
            self.print_variable(env, self.rng.choice(sorted(env.vars)))

    def print_variable(self, env: Env, name: str) -> None:
        kind = env.vars.get(name)
        if kind is None or name in env.maybe:
            return
        self.emit(f"print({name})" if not isinstance(kind, L) else f'print("{name} has " + length({name}))')

    def list_statement(self, env: Env) -> None:
        name = self.pick(env, lambda t: isinstance(t, L), writable=True)
        if name is not None and self.rng.random() < 0.6:
            kind = env.vars[name]
            at = self.rng.randrange(len(kind.items))
            item = kind.items[at]
            where = f'"{kind.names[at]}"' if kind.names and self.rng.random() < 0.5 else str(at + 1)
            self.emit(f"{name}[{where}] = {self.of_type(env, item, 2)}")
            return
        whole, name = name, self.rng.choice(LIST_NAMES)
        if self.writable(env, name, L) is not ANY:
            return
        if whole is not None and self.rng.random() < 0.3:
            kind = env.vars[whole]
            low, high = sorted(self.rng.choices(range(1, len(kind.items) + 1), k=2))
            self.emit(f"{name} = {whole}[{low}:{high}]")
            env.vars[name] = L(kind.items[low - 1 : high], kind.names and kind.names[low - 1 : high])
            return
        items: list[Any] = [self.rng.choice((M(*self.shape()), S("double"), S("string"), S("int"))) for _ in range(self.rng.randint(1, 3))]
        for i, item in enumerate(items):  # a matrix is sometimes the very value of a variable
            held = self.pick(env, lambda t: isinstance(t, M) and t.known)
            if isinstance(item, M) and held is not None and self.rng.random() < 0.6:
                items[i] = (held, env.vars[held])
        names = tuple("pqr"[: len(items)]) if self.rng.random() < 0.4 else None
        texts = [i[0] if isinstance(i, tuple) else self.of_type(env, i, 2) for i in items]
        kinds = tuple(replace(i[1], frozen=False) if isinstance(i, tuple) else i for i in items)
        self.emit(f"{name} = list({', '.join(f'{n}={x}' for n, x in zip(names, texts, strict=True)) if names else ', '.join(texts)})")
        env.vars[name] = L(kinds, names)

    def call(self, env: Env) -> None:
        """A call for all results of a function."""
        f = self.rng.choice(self.functions)
        targets = []
        for _, kind in f.returns:
            pool = {M: MATRIX_NAMES, S: SCALAR_NAMES, L: LIST_NAMES}[type(kind)]
            free = [n for n in pool if n not in targets and self.writable(env, n, type(kind)) is ANY]
            if not free:
                return
            targets.append(self.rng.choice(free))
        head = targets[0] if len(targets) == 1 else f"[{', '.join(targets)}]"
        self.emit(f"{head} = {self.call_text(env, f, 2)}")
        for target, (_, kind) in zip(targets, f.returns, strict=True):
            env.vars[target] = replace(kind, range=None) if isinstance(kind, S) else kind

    def fault(self, env: Env) -> None:
        """A statement that fails, or may."""
        matrix = self.pick(env, lambda t: isinstance(t, M) and t.known)
        options = ['stop("enough")', f"assert({self.scalar(env, 'boolean', 2)})"]
        if matrix is not None:
            t = env.vars[matrix]
            options += [
                f"Z = {matrix}[{t.rows + 1},]",
                f"Z = {matrix} + {self.matrix(env, t.rows + 2, t.cols + 2, 1)}",
                f"z = as.scalar({matrix})",
                f"Z = {matrix} %*% {self.matrix(env, t.cols + 1, 2, 1)}",
            ]
            if matrix not in env.locked:
                options.append(f"{matrix}[{self.scalar(env, 'int', 2)},1] = 7")
        unset = sorted(n for n in env.maybe if not n.lower().startswith("z"))
        if unset:
            name = self.rng.choice(unset)
            options += [f'print("maybe " + length(list({name})))', f"z_{name} = {name}"]
        text = self.rng.choice(options)
        self.emit(f"if ({self.scalar(env, 'boolean', 1)}) {{ {text} }}" if self.rng.random() < 0.5 else text)
        env.maybe |= {"z", "Z"} | ({text.split(" ")[0]} if text.startswith("z_") else set())
