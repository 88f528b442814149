"""What the gradient table cannot see: caches, trimming, kinks and ties, running averages, starting weights, call forms."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite import DMLError
from tests.support.reference_models import lstm_backward, lstm_forward
from tests.support.scripts import run

RNG = np.random.default_rng(5)
N, T, D, M = 4, 5, 2, 3
X, W, B = RNG.standard_normal((N, T * D)), RNG.standard_normal((D + M, 4 * M)), RNG.standard_normal((1, 4 * M))
OUT0, C0, DOUT, DC = (RNG.standard_normal((N, M)) for _ in range(4))
LSTM = 'source("nn/layers/lstm.dml") as lstm\n'
FORWARD = f"[out, c, cache_out, cache_c, cache_ifog] = lstm::forward(X, W, b, {T}, {D}, FALSE, out0, c0)\n"
BACKWARD = (
    f"[dX, dW, db, dout0, dc0] = lstm::backward(dout, dc, X, W, b, {T}, {D}, FALSE, out0[1:{N}, ], c0, cache_out, cache_c, cache_ifog)\n"
)


def lstm_inputs(**changes: np.ndarray) -> dict[str, np.ndarray]:
    return {"X": X, "W": W, "b": B, "out0": OUT0, "c0": C0, "dout": DOUT, "dc": DC} | changes


def test_lstm_caches_and_gradients_agree_with_numpy():
    outs, state = lstm_forward(X.reshape(N, T, D).swapaxes(0, 1), W, B[0], OUT0, C0)
    got = run(LSTM + FORWARD, lstm_inputs(), "out", "c", "cache_out", "cache_c", "cache_ifog")
    expected = [outs[-1], state.c[-1], outs.reshape(T, N * M), state.c[1:].reshape(T, N * M), state.gates.reshape(T, N * 4 * M)]
    for value, reference in zip(got, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=1e-12, atol=1e-14)
    script = LSTM + FORWARD + BACKWARD.replace(f"out0[1:{N}, ]", "out0")
    dX, dW, db, dout0, dc0 = run(script, lstm_inputs(), "dX", "dW", "db", "dout0", "dc0")
    reference = lstm_backward(DOUT, DC, W, state)
    np.testing.assert_allclose(dX, reference[0].swapaxes(0, 1).reshape(N, T * D), rtol=1e-10, atol=1e-13)
    for value, other in zip((dW, db[0], dout0, dc0), reference[1:], strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize(("layer", "weights"), [("lstm", W), ("rnn", W[:, :M])])
def test_recurrent_layers_use_the_first_rows_of_longer_states(layer, weights):
    states = "out0, c0" if layer == "lstm" else "out0"
    results = "[out, c, o, cc, g]" if layer == "lstm" else "[out, o]"
    script = f'source("nn/layers/{layer}.dml") as layer\n{results} = layer::forward(X, W, b, {T}, {D}, TRUE, {states})'
    inputs = lstm_inputs(W=weights, b=B[:, : weights.shape[1]])
    longer = {name: np.vstack([inputs[name], np.ones((2, M))]) for name in ("out0", "c0")}
    np.testing.assert_array_equal(run(script, inputs | longer, "out")[0], run(script, inputs, "out")[0])


def test_lstm_backward_says_which_states_do_not_fit():
    script = LSTM + FORWARD + BACKWARD.replace(f"out0[1:{N}, ]", "out0")
    longer = {"out0": np.vstack([OUT0, OUT0]), "c0": np.vstack([C0, C0])}
    with pytest.raises(DMLError, match=r"out0 has 8 rows but X has 4"):
        run(script, lstm_inputs(**longer), "dX")


@pytest.mark.parametrize(
    ("layer", "call", "expected"),
    [
        ("relu", "backward(X * 0 + 1, X)", [0, 0, 1]),
        ("leaky_relu", "backward(X * 0 + 1, X)", [0.01, 0.01, 1]),
        ("elu", "backward(X * 0 + 1, X, 1)", [np.exp(-1000.0), 0, 1]),
        ("elu", "forward(X, 3)", [-3, 0, 1000]),
        ("l1_loss", "backward(X, X)", [0, 0, 0]),
        ("softmax", "forward(X)", [0, 0, 1]),
        ("sigmoid", "forward(X)", [0, 0.5, 1]),
    ],
)
def test_kinks_and_large_values(layer, call, expected):
    script = f'source("nn/layers/{layer}.dml") as layer\nout = layer::{call}'
    np.testing.assert_allclose(run(script, {"X": np.array([[-1000.0, 0.0, 1000.0]])}, "out")[0], [expected], atol=1e-15)


def test_tied_maxima_share_the_gradient_or_the_first_takes_it():
    image = np.array([[1.0, 1.0, 0.0, 1.0]])
    script = 'source("nn/layers/{}.dml") as pool\n[out, h, w] = pool::forward(X, 1, 2, 2, 2, 2, 1, 1, 0, 0)\n'
    script += "dX = pool::backward(matrix(5, rows=1, cols=1), h, w, X, 1, 2, 2, 2, 2, 1, 1, 0, 0)"
    assert run(script.format("max_pool2d"), {"X": image}, "dX")[0].tolist() == [[5, 5, 0, 5]]
    assert run(script.format("max_pool2d_builtin"), {"X": image}, "dX")[0].tolist() == [[5, 0, 0, 0]]


def test_batch_norm_keeps_running_averages_in_training_only():
    call = '[out, mean, var, a, b, c] = bn::forward(X, matrix(1, 1, 2), matrix(0, 1, 2), "{}", m, v, 0.9, 0)'
    script = 'source("nn/layers/batch_norm1d.dml") as bn\n' + call
    inputs = {"X": RNG.standard_normal((7, 2)), "m": np.array([[1.0, 2.0]]), "v": np.array([[3.0, 4.0]])}
    out, mean, var = run(script.format("train"), inputs, "out", "mean", "var")
    np.testing.assert_allclose([out.mean(0), out.var(0)], [[0, 0], [1, 1]], atol=1e-12)
    np.testing.assert_allclose(mean, 0.9 * inputs["m"] + 0.1 * inputs["X"].mean(0, keepdims=True))
    np.testing.assert_allclose(var, 0.9 * inputs["v"] + 0.1 * inputs["X"].var(0, keepdims=True))
    out, mean, var = run(script.format("test"), inputs, "out", "mean", "var")
    np.testing.assert_allclose(out, (inputs["X"] - inputs["m"]) / np.sqrt(inputs["v"]))
    assert (mean == inputs["m"]).all() and (var == inputs["v"]).all()


def test_dropout_keeps_the_given_share_and_repeats_with_a_seed():
    script = 'source("nn/layers/dropout.dml") as dropout\n[out, mask] = dropout::forward(X, 0.7, 3)\n'
    script += "[again, mask2] = dropout::forward(X, 0.7, 3)\n[other, mask3] = dropout::forward(X, 0.7, -1)"
    ones = np.ones((200, 200))
    out, mask, again, other = run(script, {"X": ones}, "out", "mask", "again", "other")
    assert set(np.unique(mask)) == {0, 1}
    assert abs(mask.mean() - 0.7) < 0.01
    assert abs(out.mean() - 1) < 0.02
    assert (out == again).all() and (out != other).any()


SEEDED = [
    ("affine", "300, 40", (300, 40), (1, 40)),
    ("conv2d", "30, 4, 5, 5", (30, 100), (30, 1)),
    ("conv2d_builtin", "30, 4, 5, 5", (30, 100), (30, 1)),
]


@pytest.mark.parametrize(("layer", "sizes", "weights", "bias"), SEEDED, ids=[row[0] for row in SEEDED])
def test_starting_weights_with_and_without_a_seed(layer, sizes, weights, bias):
    lines = [f'source("nn/layers/{layer}.dml") as layer']
    lines += [f"[W{i}, b{i}] = layer::init({sizes}{seed})" for i, seed in enumerate(["", ", -1", ", 7", ", 7", ", 8"])]
    free, free2, seven, seven2, eight, b = run("\n".join(lines), {}, "W0", "W1", "W2", "W3", "W4", "b0")
    assert free.shape == weights and b.shape == bias and not b.any()
    inputs = weights[0] if layer == "affine" else weights[1]
    for drawn in (free, seven):
        assert abs(drawn.mean()) < 4 * drawn.std() / np.sqrt(drawn.size)
        assert abs(drawn.std() - np.sqrt(2 / inputs)) < 0.1 * np.sqrt(2 / inputs)
    assert (seven == seven2).all() and (seven != eight).any() and (free != free2).any()


@pytest.mark.parametrize(("layer", "gates", "states"), [("lstm", 4, 2), ("rnn", 1, 1)])
def test_recurrent_starting_weights(layer, gates, states):
    rows, inputs, neurons = 3, 20, 30
    targets = ["W", "b", *(f"s{i}" for i in range(states))]
    script = f'source("nn/layers/{layer}.dml") as layer\n[{", ".join(targets)}] = layer::init({rows}, {inputs}, {neurons})'
    weights, bias, *zeros = run(script, {}, *targets)
    bound = np.sqrt(6 / (inputs + neurons + gates * neurons))
    assert weights.shape == (inputs + neurons, gates * neurons)
    assert bias.shape == (1, gates * neurons) and not bias.any()
    assert 0.98 * bound < weights.max() <= bound and -bound <= weights.min() < -0.98 * bound
    assert all(state.shape == (rows, neurons) and not state.any() for state in zeros)


def test_other_starting_parameters():
    script = 'source("nn/layers/batch_norm1d.dml") as bn\nsource("nn/layers/scale_shift1d.dml") as ss\n'
    script += "[g, b, m, v] = bn::init(3)\n[g2, b2] = ss::init(2)"
    values = run(script, {}, "g", "b", "m", "v", "g2", "b2")
    assert [value.tolist() for value in values] == [[[1, 1, 1]], [[0, 0, 0]], [[0, 0, 0]], [[1, 1, 1]], [[1, 1]], [[0, 0]]]
