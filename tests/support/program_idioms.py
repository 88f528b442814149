"""What scripts write and rewrites look for: cell by cell on any matrix, and around products of thin factors."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.support.program_types import Env


class Idioms:
    """Mixed into the writer of programs."""

    rng: random.Random
    matrix: Callable[[Env, int, int, int], str]

    def idiom(self, x: str) -> str:
        """Of the shape of `x`."""
        return self.rng.choice(
            (
                f"({x} * 1)", f"({x} + 0)", f"(0 - {x})", f"(-(-{x}))", f"({x} * {x})", f"({x} + {x})", f"(1 - {x})", f"({x} * (1 - {x}))",
                f"({x} ^ 2)", f"({x} * ({x} > 0))", f"(1 / (1 + exp(-{x})))", f"t(t({x}))", f"rev(rev({x}))", f"(!({x} == 0))", f"(-({x} - 2))",
                f"(({x} > 0) - ({x} < 0))", f"({x} + (-{x}))", f"({x} - sum({x} * {x}))", f"({x} - mean(t({x})))", f"({x} * sum(rowSums({x})))",
                f"({x} + 2 * {x})", f"max({x}, 0)", f"log({x} ^ 2 + 1)", f"({x} * {x} * {x})", f"({x} / max(abs({x}) + 1))",
            )
        )  # fmt: skip

    def loss(self, env: Env) -> str:
        """A number from a matrix and the product of two thin ones."""
        n, m, k = (self.rng.randint(1, 4) for _ in range(3))
        x, product = self.matrix(env, n, m, 0), self.product(env, n, m, k)
        w = self.rng.choice((x, f"({x} != 0)", f"({x} > 0)", self.matrix(env, n, m, 0)))
        return self.rng.choice(
            (
                f"sum(({x} - {product}) ^ 2)", f"sum({w} * ({x} - {product}) ^ 2)", f"sum(({x} - {w} * {product}) ^ 2)",
                f"sum({w} * {product})", f"sum({product})", f"sum({x} * log({product} ^ 2 + 1))", f"(sum({x} ^ 2) - 2 * sum({x} * {product}))",
                f"sum({x} * {x} * {w})", f"trace({product} %*% t({x}))", f"sum(t({x}) %*% {product})",
            )
        )  # fmt: skip

    def product(self, env: Env, n: int, m: int, k: int) -> str:
        left, right = self.matrix(env, n, k, 0), self.matrix(env, m, k, 0)
        return f"({left} %*% t({right}))" if self.rng.random() < 0.7 else f"({left} %*% {self.matrix(env, k, m, 0)})"

    def around_product(self, env: Env, n: int, m: int) -> str:
        """An n x m matrix from products with a factor in common, or weighted cell by cell."""
        k = self.rng.randint(1, 3)
        w, product = self.matrix(env, n, m, 0), self.product(env, n, m, k)
        tall, v = self.matrix(env, k, n, 0), self.matrix(env, n, m, 0)
        inner = self.matrix(env, n, k, 0)
        return self.rng.choice(
            (
                f"({w} * {product})", f"({w} / ({product} ^ 2 + 1))", f"({w} * (1 / (1 + exp(-{product}))))", f"({w} * exp({product}))",
                f"(t({tall}) %*% ({tall} %*% {v}))", f"(t({tall}) %*% ({self.matrix(env, k, 1, 0)} * ({tall} %*% {v})))",
                f"(t({tall}) %*% ({tall} %*% {v} - {self.matrix(env, k, m, 0)}))", f"({inner} %*% (t({inner}) %*% {v}))",
                f"(({w} * {product}) %*% {self.matrix(env, m, m, 0)})", f"({product} - {w})", f"({inner} %*% t({inner}) %*% {v})",
            )
        )  # fmt: skip
