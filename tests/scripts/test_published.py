"""The published scripts unmodified: short runs against NumPy from the same weights, and full runs against published figures."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dmlite import MLContext, dml, jvm_stdout
from tests.support.material import published, recording
from tests.support.reference_models import (
    autoencoder_weights,
    lorenz,
    lstm_weights,
    sigmoid,
    train_autoencoder,
    train_lstm,
)

HEALTHY = lorenz(10, 28, 8 / 3)


def shortened(name: str, iterations: int) -> str:
    return re.sub(r"max_iterations = \d+", f"max_iterations = {iterations}", published(name))


def started(text: str, layers: int) -> str:
    """The script with its random weights replaced by inputs: W1start, W2start."""
    for layer in range(1, layers + 1):
        text = re.sub(
            rf"^(W{layer} = rand\(.*|\[W{layer}, b{layer}\] = affine::init\(.*)$", rf"\1\nW{layer} = W{layer}start", text, flags=re.M
        )
    return text


def test_feedforward_plain():
    rng = np.random.default_rng(2)
    X, y, W1, W2 = rng.random((8, 2)), rng.random((8, 1)), rng.random((2, 3)), rng.random((3, 1))
    program = dml(started(shortened("feedforward_plain", 50), 2)).input(X=X, y=y, W1start=W1, W2start=W2)
    before, after = MLContext().execute(program).get("YhatBefore", "YhatAfter")

    def slope(z: np.ndarray) -> np.ndarray:  # the script's own "derivative": one power short of the true one
        return np.exp(-z) / (1 + np.exp(-z))

    np.testing.assert_allclose(before.toNumPy(), sigmoid(sigmoid(X @ W1) @ W2))
    for _ in range(50):
        z2 = X @ W1
        z3 = sigmoid(z2) @ W2
        d3 = (sigmoid(z3) - y) * slope(z3)
        d2 = (d3 @ W2.T) * slope(z2)
        W1, W2 = W1 - 0.001 * X.T @ d2, W2 - 0.001 * sigmoid(z2).T @ d3
    np.testing.assert_allclose(after.toNumPy(), sigmoid(sigmoid(X @ W1) @ W2), rtol=1e-10)


def test_feedforward_with_layers():
    rng = np.random.default_rng(3)
    X, y, W1, W2 = rng.random((8, 2)), rng.random((8, 1)), rng.standard_normal((2, 3)), rng.standard_normal((3, 1))
    program = dml(started(shortened("feedforward_nn", 50), 2)).input(X=X, y=y, W1start=W1, W2start=W2)
    after = MLContext().execute(program).get("YhatAfter").toNumPy()
    target = sigmoid(y)
    for _ in range(50):
        a2 = sigmoid(X @ W1)
        out = sigmoid(a2 @ W2)
        d3 = -target / (out + 1e-10) / 8 * out * (1 - out)
        d2 = (d3 @ W2.T) * a2 * (1 - a2)
        W1, W2 = W1 - 0.001 * X.T @ d2, W2 - 0.001 * a2.T @ d3
    np.testing.assert_allclose(after, sigmoid(sigmoid(X @ W1) @ W2), rtol=1e-10)


def test_autoencoder(capsys):
    spectrum = np.fft.fft(HEALTHY)
    W1, W2 = autoencoder_weights(3000, 100)
    program = dml(shortened("autoencoder", 100)).input(pushWeights=True).input(W1push=W1).input(W2push=W2)
    with pytest.warns(UserWarning, match="imaginary"), jvm_stdout(True):
        results = MLContext().execute(program.input(X=spectrum))
    got1, got2 = results.get("W1", "W2")
    W1, W2, errors = train_autoencoder(spectrum.real, W1, W2, iterations=100)
    np.testing.assert_allclose(float(capsys.readouterr().out), errors[0], rtol=1e-12)
    np.testing.assert_allclose(got1.toNumPy(), W1, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(got2.toNumPy(), W2, rtol=1e-8, atol=1e-12)


def test_lstm(capsys):
    W = lstm_weights(1, 30)
    program = dml(shortened("lstm", 101)).input(X=HEALTHY[:, 1:2]).input(pushWeights=True).input(Wpush=W)
    got = MLContext().execute(program).get("W").toNumPy()
    W, losses = train_lstm(HEALTHY[:, 1], W, iterations=101)
    printed = re.findall(r"iter=(\d+) loss=(\S+)", capsys.readouterr().out)
    assert [int(k) for k, _ in printed] == [0, 100]
    np.testing.assert_allclose([float(x) for _, x in printed], losses[[0, 100]], rtol=1e-9)
    np.testing.assert_allclose(got, W, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_lstm_reaches_the_published_losses(capsys):
    """Healthy from random weights, healthy again, then broken, as published: 690 to 530.64128, the same again, then about 23,400."""
    healthy, broken = recording("healthy.csv"), recording("broken.csv")
    script = published("lstm")
    W: object = np.zeros((1, 1))
    losses = []
    for k, data in enumerate((healthy, healthy, broken)):
        program = dml(script).input(X=data[:, 1:2]).input(pushWeights=k > 0).input(Wpush=W)
        W = MLContext().execute(program).get("W")
        losses.append([float(x) for x in re.findall(r"loss=(\S+)", capsys.readouterr().out)])
    first, second, third = losses
    assert 660 < first[0] < 720
    assert abs(first[-1] - 530.64128) < 1e-5
    assert abs(second[0] - 530.64128) < 1e-5 and second[-1] < second[0]
    assert 23_500 < third[0] < 24_500
    assert 23_380 < third[-1] < 23_460


@pytest.mark.slow
def test_autoencoder_reaches_the_published_errors(capsys):
    """Healthy from random weights, healthy again, then broken, as published: 18.0 to 14.3, 14.34 to 14.27, 15.9 to 14.30."""
    healthy, broken = recording("healthy.csv"), recording("broken.csv")
    script = published("autoencoder")
    W1: object = np.zeros((1, 1))
    W2: object = np.zeros((1, 1))
    errors = []
    for k, data in enumerate((healthy, healthy, broken)):
        program = dml(script).input(X=np.fft.fft(data).real).input(pushWeights=k > 0, W1push=W1, W2push=W2)
        W1, W2 = MLContext().execute(program).get("W1", "W2")
        errors.append([float(x) for x in capsys.readouterr().out.split()])
    first, second, third = errors
    assert abs(first[0] - 18.03) < 0.05 and abs(first[-1] - 14.3) < 0.1
    assert abs(second[0] - 14.34) < 0.05 and abs(second[-1] - 14.27) < 0.05
    assert abs(third[0] - 15.9) < 0.15 and abs(third[-1] - 14.30) < 0.05
