"""Every optimiser over several steps against its formula in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tests.support.scripts import run

STEPS = 5
RNG = np.random.default_rng(23)
START = RNG.standard_normal((4, 3))
GRADIENTS = RNG.standard_normal((STEPS, 4, 3))
Step = Callable[..., tuple[np.ndarray, ...]]


@dataclass(frozen=True)
class Optimiser:
    """`step(x, gradient, step number, *state)` gives x and the state after one step."""

    name: str
    settings: str
    state: tuple[str, ...]
    step: Step


def sgd_momentum(x, g, k, v):
    v = 0.8 * v - 0.1 * g
    return x + v, v


def sgd_nesterov(x, g, k, v):
    new = 0.8 * v - 0.1 * g
    return x - 0.8 * v + 1.8 * new, new


def adagrad(x, g, k, cache):
    cache = cache + g**2
    return x - 0.1 * g / (np.sqrt(cache) + 0.01), cache


def rmsprop(x, g, k, cache):
    cache = 0.9 * cache + 0.1 * g**2
    return x - 0.1 * g / (np.sqrt(cache) + 0.01), cache


def adam(x, g, k, m, v):
    m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
    rate = 0.1 * np.sqrt(1 - 0.99 ** (k + 1)) / (1 - 0.9 ** (k + 1))
    return x - rate * m / (np.sqrt(v) + 0.001), m, v


OPTIMISERS = [
    Optimiser("sgd", "0.1", (), lambda x, g, k: (x - 0.1 * g,)),
    Optimiser("sgd_momentum", "0.1, 0.8", ("v",), sgd_momentum),
    Optimiser("sgd_nesterov", "0.1, 0.8", ("v",), sgd_nesterov),
    Optimiser("adagrad", "0.1, 0.01", ("cache",), adagrad),
    Optimiser("rmsprop", "0.1, 0.9, 0.01", ("cache",), rmsprop),
    Optimiser("adam", "0.1, 0.9, 0.99, 0.001, step - 1", ("m", "v"), adam),
]


def bracketed(names: tuple[str, ...]) -> str:
    return f"[{', '.join(names)}]" if len(names) > 1 else names[0]


@pytest.mark.parametrize("optimiser", OPTIMISERS, ids=lambda optimiser: optimiser.name)
def test_optimiser(optimiser: Optimiser) -> None:
    variables = ("X", *optimiser.state)
    start = f"{bracketed(optimiser.state)} = optim::init(X)" if optimiser.state else ""
    arguments = ", ".join(["X", "dX", optimiser.settings, *optimiser.state])
    script = f"""
      source("nn/optim/{optimiser.name}.dml") as optim
      {start}
      for (step in 1:{STEPS}) {{
        dX = gradients[(4 * step - 3):(4 * step), ]
        {bracketed(variables)} = optim::update({arguments})
      }}"""
    got = run(script, {"X": START, "gradients": GRADIENTS.reshape(-1, 3)}, *variables)
    expected = (START, *(np.zeros_like(START) for _ in optimiser.state))
    for k, gradient in enumerate(GRADIENTS):
        expected = optimiser.step(expected[0], gradient, k, *expected[1:])
    for value, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-12, atol=1e-14)
