"""Random blocks of matrix algebra over inputs of known shape, for costs: statements that share values, without control flow."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from dmlite.hop.facts import Fact, matrix, scalar

Shape = tuple[str, str]  # of dimensions by name
# Every size is met twice: small, where numbers are compared too, and large, where work outweighs the calls of kernels.
SIZES: dict[str, dict[str, int]] = {"small": {"n": 7, "m": 5, "k": 2, "1": 1}, "large": {"n": 20_000, "m": 1_000, "k": 10, "1": 1}}
# How sizes are written in the text of a block, so that it is DML before they are known.
MARKS = {"n": "9007", "m": "9005", "k": "9002", "1": "1"}
# Inputs by name; S and T are sparse.
INPUTS: dict[str, Shape] = {
    "A": ("n", "m"), "B": ("n", "m"), "S": ("n", "m"), "T": ("n", "m"), "C": ("m", "m"), "D": ("m", "m"), "E": ("m", "n"),
    "U": ("n", "k"), "V": ("m", "k"), "W": ("k", "m"), "G": ("k", "k"),
    "u": ("n", "1"), "v": ("m", "1"), "w": ("k", "1"), "x": ("1", "n"), "y": ("1", "m"), "z": ("1", "k"), "q": ("1", "1"),
}  # fmt: skip
SPARSE = frozenset("ST")
SCALARS = ("a", "b")
_CELL = {"+": 4, "-": 4, "*": 5, "/": 1, "^": 0.5}
_COMPARE = ("<", "<=", ">", ">=", "==", "!=")


def facts(sizes: Mapping[str, int]) -> dict[str, Fact]:
    """What is known of the inputs at these sizes."""
    shapes = {name: (sizes[r], sizes[c]) for name, (r, c) in INPUTS.items()}
    found = {name: matrix(*s, _nonzeros(s)) if name in SPARSE else replace(matrix(*s), dense=True) for name, s in shapes.items()}
    return found | {name: scalar("double") for name in SCALARS}


def _nonzeros(shape: tuple[int, int]) -> int:
    return max(1, shape[0] * shape[1] // (5 if shape[0] < 100 else 100))


def values(sizes: Mapping[str, int], seed: int) -> dict[str, Any]:
    """Inputs of quarters, so that most sums and products are exact."""
    rng = np.random.default_rng(seed)
    found: dict[str, Any] = {name: 0.25 * float(rng.integers(1, 9)) for name in SCALARS}
    for name, (r, c) in INPUTS.items():
        shape = sizes[r], sizes[c]
        x = 0.25 * rng.integers(-8, 9, size=shape)
        if name in SPARSE:
            kept = np.zeros(x.size, dtype=bool)
            kept[rng.permutation(x.size)[: _nonzeros(shape)]] = True
            x = csr_array(np.where(kept.reshape(shape), x, 0.0))
        found[name] = x
    return found


@dataclass
class Writer:
    """Writes one block; everything is decided by `rng`."""

    rng: random.Random
    known: dict[str, Shape | None]  # variables and their shapes, None for a scalar

    def block(self) -> str:
        lines = []
        for number in range(self.rng.choice((1, 1, 2, 3))):
            scalar_ = self.rng.random() < 0.35
            shape = self.rng.choice(sorted({s for s in INPUTS.values()}))
            depth = self.rng.choice((2, 3, 3, 4))
            text = self.scalar(depth) if scalar_ else self.matrix(shape, depth)
            name = f"r{number}"
            lines.append(f"{name} = {text}")
            self.known[name] = None if scalar_ else shape
        return "\n".join(lines) + "\n"

    def pick(self, *options: Callable[[], str]) -> str:
        return self.rng.choice(options)()

    # ------------------------------------------------------------ numbers
    def scalar(self, depth: int) -> str:
        names = [n for n, s in self.known.items() if s is None]
        if depth <= 0:
            return self.rng.choice([*names, *names, "2", "0.5", "1", "-1", "0", "3"])
        some = self.rng.choice(sorted({s for s in INPUTS.values()}))
        return self.pick(
            lambda: f"sum({self.matrix(some, depth - 1)})",
            lambda: f"sum({self.matrix(some, depth - 1)})",
            lambda: f"{self.rng.choice(('sum', 'mean', 'max', 'min'))}({self.matrix(some, depth - 1)})",
            lambda: f"trace({self.matrix(('m', 'm'), depth - 1)})",
            lambda: f"as.scalar({self.matrix(('1', '1'), depth - 1)})",
            lambda: f"({self.scalar(depth - 1)} {self.rng.choice('+-*')} {self.scalar(depth - 1)})",
            lambda: self.loss(),
        )

    def loss(self) -> str:
        """What factorisations minimise."""
        product = self.rng.choice(("(U %*% t(V))", "(U %*% W)"))
        s = self.rng.choice(("S", "T", "A"))
        return self.pick(
            lambda: f"sum(({s} - {product}) ^ 2)",
            lambda: f"sum((S != 0) * ({s} - {product}) ^ 2)",
            lambda: f"sum({s} * ({s} - {product}) ^ 2)",
            lambda: f"sum({s} * {product})",
            lambda: f"sum({product})",
            lambda: f"sum({product} ^ 2)",
            lambda: f"(sum({s}^2) - 2 * sum({s} * {product}))",
        )

    # ------------------------------------------------------------ matrices
    def matrix(self, shape: Shape, depth: int) -> str:
        """An expression of this shape."""
        names = [n for n, s in self.known.items() if s == shape]
        if depth <= 0 or (names and self.rng.random() < 0.12):
            if names and self.rng.random() < 0.9:
                return self.rng.choice(names)
            return self.turned(shape)
        options = [self.cellwise] * 4 + [self.product] * 3 + [self.function] * 2 + [self.moved] + [self.idiom]
        if "1" in shape:
            options += [self.reduced] * 4
        return self.rng.choice(options)(shape, depth - 1)

    def turned(self, shape: Shape) -> str:
        """A leaf: an input, its transpose, or a constant."""
        names = [n for n, s in self.known.items() if s == shape[::-1]]
        if names and self.rng.random() < 0.7:
            return f"t({self.rng.choice(names)})"
        rows, cols = (MARKS[d] for d in shape)
        return f"matrix({self.rng.choice(('0', '1', '2.5'))}, {rows}, {cols})"

    def cellwise(self, shape: Shape, depth: int) -> str:
        op = self.rng.choices(list(_CELL), list(_CELL.values()))[0]
        x = self.matrix(shape, depth)
        if op == "^":
            return f"({x} ^ {self.rng.choice('12230')})"
        if op == "/":
            return f"({x} / {self.rng.choice(('a', 'b', '2', '4', 'exp(' + self.matrix(shape, 0) + ')'))})"
        other = self.rng.random()
        if other < 0.55:
            y = self.matrix(shape, depth)
        elif other < 0.75:
            y = self.scalar(0 if self.rng.random() < 0.7 else depth)
        else:
            y = self.matrix(self.rng.choice([s for s in ((shape[0], "1"), ("1", shape[1])) if s in INPUTS.values()]), depth)
        if self.rng.random() < 0.35 and op != "/":
            x, y = y, x
        return f"({x} {op} {y})"

    def product(self, shape: Shape, depth: int) -> str:
        inner = [d for d in SIZES["small"] if (shape[0], d) in INPUTS.values() or (d, shape[0]) in INPUTS.values()]
        d = self.rng.choice(inner)
        left, right = self.matrix((shape[0], d), depth), self.matrix((d, shape[1]), depth)
        if self.rng.random() < 0.25:
            left = f"t({self.matrix((d, shape[0]), depth)})"
        return f"({left} %*% {right})"

    def function(self, shape: Shape, depth: int) -> str:
        x = self.matrix(shape, depth)
        low = self.matrix(shape, 0)
        return self.pick(
            lambda: f"(-{x})",
            lambda: f"abs({x})",
            lambda: f"({low} {self.rng.choice(_COMPARE)} {self.rng.choice(('0', '1', self.matrix(shape, 0)))})",
            lambda: f"max({x}, {self.rng.choice(('0', low))})",
            lambda: f"exp({low})",
            lambda: f"(1 / (1 + exp(-{x})))",
            lambda: f"ifelse({low} > 0, {x}, {self.rng.choice(('0', low))})",
            lambda: f"sqrt(abs({x}))",
        )

    def moved(self, shape: Shape, depth: int) -> str:
        x, turned = self.matrix(shape, depth), self.matrix(shape[::-1], depth)
        options = [lambda: f"t({turned})"] * 3 + [lambda: f"rev({x})"]
        if shape == ("m", "m"):
            options += [lambda: f"diag({self.matrix(('m', '1'), depth)})", lambda: f"(diag({self.matrix(('m', '1'), depth)}) %*% {x})"]
        if shape == ("m", "1"):
            options.append(lambda: f"diag({self.matrix(('m', 'm'), depth)})")
        return self.rng.choice(options)()

    def reduced(self, shape: Shape, depth: int) -> str:
        kind = self.rng.choice(("Sums", "Sums", "Sums", "Means", "Maxs"))
        if shape[1] == "1" and (shape[0] != "1" or self.rng.random() < 0.5):
            other = self.rng.choice([c for r, c in INPUTS.values() if r == shape[0]])
            return f"row{kind}({self.matrix((shape[0], other), depth)})"
        other = self.rng.choice([r for r, c in INPUTS.values() if c == shape[1]])
        return f"col{kind}({self.matrix((other, shape[1]), depth)})"

    def idiom(self, shape: Shape, depth: int) -> str:
        """What rewrites look for."""
        x, y, z = (self.matrix(shape, depth if i == 0 else 0) for i in range(3))
        found = [
            lambda: f"({x} * {y} + {x} * {z})",
            lambda: f"({x} - {x} * {y})",
            lambda: f"({x} * (1 - {x}))",
            lambda: f"({x} + a * {y})",
            lambda: f"({x} * {x} * {x})",
            lambda: f"({x} * ({x} > 0))",
        ]
        if shape == ("n", "m"):
            driver = self.rng.choice("STAB")
            found += [lambda: f"({driver} {self.rng.choice('*/')} (U %*% t(V)))", lambda: f"({driver} * (1 / (1 + exp(-(U %*% t(V))))))"]
        if shape == ("n", "k"):
            driver = self.rng.choice("STA")
            found += [lambda: f"(({driver} * (U %*% t(V))) %*% V)", lambda: f"((U %*% t(V) - {driver}) %*% V)"]
        if shape == ("m", "1"):
            tall = self.rng.choice("ASB")
            inner = self.rng.choice((f"({tall} %*% v)", f"(u * ({tall} %*% v))", f"({tall} %*% v - u)"))
            found += [lambda: f"(t({tall}) %*% {inner})"] * 3
        if shape in (("m", "m"), ("k", "k")):
            tall = self.rng.choice("AS") if shape[0] == "m" else "U"
            found += [lambda: f"(t({tall}) %*% {tall})", lambda: f"(t({tall} * u) %*% {tall})"]
        return self.rng.choice(found)()


def block(seed: int) -> str:
    """The text of one random block, with marks for sizes."""
    return Writer(random.Random(seed), {**INPUTS, **dict.fromkeys(SCALARS)}).block()


def sized(text: str, sizes: Mapping[str, int]) -> str:
    """The text with sizes in place of the marks."""
    for dimension, mark in MARKS.items():
        text = re.sub(rf"\b{mark}\b", str(sizes[dimension]), text) if mark != "1" else text
    return text
