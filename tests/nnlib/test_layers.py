"""Every layer: forward values against NumPy, backward against central differences of forward, from one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.reference_models import lstm_forward, sigmoid
from tests.support.scripts import run

Shape = tuple[int, int]
Draw = Callable[[np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Case:
    """A layer with inputs: a shape means normal numbers, a function of the generator draws something else.

    `gradients` names the inputs whose gradients backward returns, in its order; those with respect to `objective`,
    a DML expression in the results of forward, are what backward must give.
    """

    layer: str
    forward: str
    backward: str
    inputs: dict[str, Shape | Draw]
    expected: Callable[[SimpleNamespace], Any]
    results: str = "out"
    gradients: str = "X"
    objective: str = "sum(out * dout)"
    label: str = field(default="", kw_only=True)

    def drawn(self) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(11)
        return {name: rng.standard_normal(what) if isinstance(what, tuple) else what(rng) for name, what in self.inputs.items()}


def probabilities(*shape: int) -> Draw:
    return lambda rng: rng.uniform(0.1, 0.9, shape)


def labels(*shape: int) -> Draw:
    return lambda rng: (rng.random(shape) > 0.5).astype(float)


# --- references that are longer than a line -----------------------------------------------------------------------


def windows(images: np.ndarray, size: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int], fill: float) -> np.ndarray:
    """All windows of images (N, C, H, W), as (N, C, P, Q, Hf, Wf)."""
    padded = np.pad(images, ((0, 0), (0, 0), (pad[0], pad[0]), (pad[1], pad[1])), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, size, axis=(2, 3))[:, :, :: stride[0], :: stride[1]]


def convolution(
    v: SimpleNamespace, shape: tuple[int, int, int], size: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int]
) -> np.ndarray:
    under = windows(v.X.reshape(-1, *shape), size, stride, pad, 0)
    filters = v.W.reshape(-1, shape[0], *size)
    out = np.einsum("ncpqrs,fcrs->nfpq", under, filters) + v.b.reshape(1, -1, 1, 1)
    return out.reshape(len(v.X), -1)


def pooling(
    v: SimpleNamespace, shape: tuple[int, int, int], size: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int]
) -> np.ndarray:
    return windows(v.X.reshape(-1, *shape), size, stride, pad, -np.inf).max(axis=(4, 5)).reshape(len(v.X), -1)


def recurrent(v: SimpleNamespace, T: int, D: int, sequences: bool) -> np.ndarray:
    h, outs = v.out0, []
    for x in np.split(v.X, T, axis=1):
        h = np.tanh(np.hstack([x, h]) @ v.W + v.b)
        outs.append(h)
    return np.hstack(outs) if sequences else h


def memory(v: SimpleNamespace, T: int, D: int, sequences: bool) -> np.ndarray:
    out, _ = lstm_forward(v.X.reshape(-1, T, D).swapaxes(0, 1), v.W, v.b[0], v.out0, v.c0)
    return np.hstack(list(out)) if sequences else out[-1]


# --- the table ----------------------------------------------------------------------------------------------------


def activation(layer: str, expected: Callable[[np.ndarray], np.ndarray], extra: str = "") -> Case:
    return Case(layer, f"forward(X{extra})", f"backward(dout, X{extra})", {"X": (4, 5), "dout": (4, 5)}, lambda v: expected(v.X))


def loss(layer: str, pred: Shape | Draw, y: Shape | Draw, expected: Callable[[SimpleNamespace], float]) -> Case:
    return Case(layer, "forward(P, y)", "backward(P, y)", {"P": pred, "y": y}, expected, "loss", "P", "loss")


def batch_norm(mode: str) -> Case:
    def expected(v: SimpleNamespace) -> np.ndarray:
        mean, var = (v.X.mean(0), v.X.var(0)) if mode == "train" else (v.mean, v.var)
        return (v.X - mean) / np.sqrt(var + 0.01) * v.gamma + v.beta

    statistics = f'"{mode}", mean, var, 0.9, 0.01'
    results = "out, mean_upd, var_upd, cache_mean, cache_var, cache_norm"
    inputs = {"X": (6, 3), "gamma": (1, 3), "beta": (1, 3), "mean": (1, 3), "var": probabilities(1, 3), "dout": (6, 3)}
    forward, backward = f"forward(X, gamma, beta, {statistics})", f"backward(dout, {results}, X, gamma, beta, {statistics})"
    return Case("batch_norm1d", forward, backward, inputs, expected, results, "X, gamma, beta", label=mode)


def spatial(layer: str, shape: tuple[int, int, int], size: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int]) -> Case:
    """Convolution with 2 filters, or pooling, of 2 images of (channels, height, width)."""
    sizes = ", ".join(map(str, (*shape, *size, *stride, *pad)))
    out = [(n + 2 * p - f) // s + 1 for n, f, s, p in zip(shape[1:], size, stride, pad, strict=True)]
    pools = "pool" in layer
    inputs: dict[str, Shape | Draw] = {"X": (2, shape[0] * shape[1] * shape[2]), "dout": (2, (shape[0] if pools else 2) * out[0] * out[1])}
    if not pools:
        inputs |= {"W": (2, shape[0] * size[0] * size[1]), "b": (2, 1)}
    params = "X" if pools else "X, W, b"
    expected = pooling if pools else convolution
    forward, backward = f"forward({params}, {sizes})", f"backward(dout, Hout, Wout, {params}, {sizes})"
    label = f"{size}/{stride}+{pad}"
    return Case(layer, forward, backward, inputs, lambda v: expected(v, shape, size, stride, pad), "out, Hout, Wout", params, label=label)


def recurrent_layer(layer: str, sequences: bool, D: int) -> Case:
    N, T, M = 3, 4, 2
    gates, states, results, given = (4, "out0, c0", "out, c, cache_out, cache_c, cache_ifog", "dout, dc")
    if layer == "rnn":
        gates, states, results, given = (1, "out0", "out, cache_out", "dout")
    inputs = {"X": (N, T * D), "W": (D + M, gates * M), "b": (1, gates * M), "out0": (N, M), "dout": (N, T * M if sequences else M)}
    if layer == "lstm":
        inputs |= {"c0": (N, M), "dc": (N, M)}
    caches = results.split("cache", 1)[1]
    args = f"X, W, b, {T}, {D}, {str(sequences).upper()}, {states}"
    objective = "sum(out * dout)" + (" + sum(c * dc)" if layer == "lstm" else "")
    reference = memory if layer == "lstm" else recurrent
    return Case(
        layer,
        f"forward({args})",
        f"backward({given}, {args}, cache{caches})",
        inputs,
        lambda v: reference(v, T, D, sequences),
        results,
        f"X, W, b, {states}",
        objective,
        label=f"{'all' if sequences else 'last'}-D{D}",
    )


SHAPE = (2, 5, 4)
POOLS = [((2, 2), (2, 2), (0, 0)), ((3, 2), (1, 1), (0, 0)), ((3, 3), (2, 1), (1, 1))]
CONVOLUTIONS = [*POOLS, ((3, 1), (2, 2), (2, 1))]
CASES = [
    Case(
        "affine",
        "forward(X, W, b)",
        "backward(dout, X, W, b)",
        {"X": (4, 5), "W": (5, 3), "b": (1, 3), "dout": (4, 3)},
        lambda v: v.X @ v.W + v.b,
        gradients="X, W, b",
    ),
    activation("sigmoid", sigmoid),
    activation("tanh", np.tanh),
    activation("relu", lambda x: np.maximum(x, 0)),
    activation("leaky_relu", lambda x: np.where(x > 0, x, 0.01 * x)),
    activation("elu", lambda x: np.where(x > 0, x, 2 * np.expm1(x)), ", 2"),
    activation("softmax", lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    Case(
        "dropout",
        "forward(X, 0.6, 42)",
        "backward(dout, X, 0.6, mask)",
        {"X": (8, 9), "dout": (8, 9)},
        lambda v: v.X * v.mask / 0.6,
        "out, mask",
    ),
    loss("l1_loss", (4, 3), (4, 3), lambda v: np.abs(v.P - v.y).sum() / 4),
    loss("l2_loss", (4, 3), (4, 3), lambda v: 0.5 * ((v.P - v.y) ** 2).sum() / 4),
    loss(
        "log_loss",
        probabilities(6, 1),
        labels(6, 1),
        lambda v: -np.mean(np.where(v.y == 1, np.log(v.P), np.log(1 - v.P))),
    ),
    loss("cross_entropy_loss", probabilities(4, 3), probabilities(4, 3), lambda v: -(v.y * np.log(v.P + 1e-10)).sum() / 4),
    Case("l1_reg", "forward(X, 0.3)", "backward(X, 0.3)", {"X": (4, 3)}, lambda v: 0.3 * np.abs(v.X).sum(), "loss", objective="loss"),
    Case("l2_reg", "forward(X, 0.3)", "backward(X, 0.3)", {"X": (4, 3)}, lambda v: 0.15 * (v.X**2).sum(), "loss", objective="loss"),
    Case(
        "scale_shift1d",
        "forward(X, gamma, beta)",
        "backward(dout, out, X, gamma, beta)",
        {"X": (4, 3), "gamma": (1, 3), "beta": (1, 3), "dout": (4, 3)},
        lambda v: v.X * v.gamma + v.beta,
        gradients="X, gamma, beta",
    ),
    batch_norm("train"),
    batch_norm("test"),
    *(spatial(layer, SHAPE, *geometry) for layer in ("conv2d", "conv2d_builtin") for geometry in CONVOLUTIONS),
    *(spatial(layer, SHAPE, *geometry) for layer in ("max_pool2d", "max_pool2d_builtin") for geometry in POOLS),
    *(recurrent_layer(layer, sequences, D) for layer in ("lstm", "rnn") for sequences in (True, False) for D in (1, 3)),
]


def names(text: str) -> list[str]:
    return text.split(", ")


def assigned(targets: str) -> str:
    return f"[{targets}]" if "," in targets else targets


def gradient_script(case: Case) -> str:
    """Forward and backward once, and the objective's central differences in every cell of every input with a gradient."""
    signature = ", ".join(f"matrix[double] {name}" for name in case.inputs)
    lines = [
        f'source("nn/layers/{case.layer}.dml") as layer',
        f"objective = function({signature}) return (double value) {{",
        f"  {assigned(case.results)} = layer::{case.forward}",
        f"  value = {case.objective}",
        "}",
        f"{assigned(case.results)} = layer::{case.forward}",
        f"{assigned(', '.join(f'grad_{name}' for name in names(case.gradients)))} = layer::{case.backward}",
    ]
    for name in names(case.gradients):
        up, down = (", ".join(f"moved_{way}" if other == name else other for other in case.inputs) for way in ("up", "down"))
        lines += [
            f"difference_{name} = matrix(0, rows=nrow({name}), cols=ncol({name}))",
            f"for (i in 1:nrow({name})) {{",
            f"  for (j in 1:ncol({name})) {{",
            f"    moved_up = {name}",
            f"    moved_up[i, j] = as.scalar({name}[i, j]) + 1e-5",
            f"    moved_down = {name}",
            f"    moved_down[i, j] = as.scalar({name}[i, j]) - 1e-5",
            f"    difference_{name}[i, j] = (objective({up}) - objective({down})) / 2e-5",
            "  }",
            "}",
        ]
    return "\n".join(lines)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.layer}{case.label and '-' + case.label}")
def test_layer(case: Case) -> None:
    inputs = case.drawn()
    wanted = [*names(case.results), *(f"{kind}_{name}" for name in names(case.gradients) for kind in ("grad", "difference"))]
    values = dict(zip(wanted, run(gradient_script(case), inputs, *wanted), strict=True))
    expected = case.expected(SimpleNamespace(**inputs, **values))
    np.testing.assert_allclose(values[names(case.results)[0]], expected, rtol=1e-12, atol=1e-13)
    for name in names(case.gradients):
        assert values[f"grad_{name}"].shape == inputs[name].shape
        np.testing.assert_allclose(values[f"grad_{name}"], values[f"difference_{name}"], rtol=1e-6, atol=1e-8, err_msg=name)
