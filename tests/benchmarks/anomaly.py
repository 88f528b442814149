"""The two anomaly scripts beside the same arithmetic written by hand in NumPy: alternating runs, equal results, ratios.

    python tests/benchmarks/anomaly.py [--rounds 5] [--lstm 300] [--autoencoder 500]

Prints the median and spread of both and the median of the paired ratios (below 1: dmlite is faster).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
import reference_models as ref

from dmlite import MLContext, dml

LSTM = """
source("nn/layers/lstm.dml") as lstm
source("nn/layers/l2_loss.dml") as l2_loss
source("nn/optim/rmsprop.dml") as rmsprop
N = nrow(X); T = ncol(X); M = ncol(Y)
[W0, b, out0, c0] = lstm::init(N, 1, M)
W = Wstart
cache = rmsprop::init(W)
losses = matrix(0, iterations, 1)
for (i in 1:iterations) {
  [out, c, c_out, c_c, c_ifog] = lstm::forward(X, W, b, T, 1, FALSE, out0, c0)
  losses[i, 1] = l2_loss::forward(out, Y)
  dout = l2_loss::backward(out, Y)
  [dX, dW, db, dout0, dc0] = lstm::backward(dout, c0, X, W, b, T, 1, FALSE, out0, c0, c_out, c_c, c_ifog)
  [W, cache] = rmsprop::update(W, dW, 0.01, 0.95, 1e-6, cache)
}
"""
AUTOENCODER = """
source("nn/layers/affine.dml") as affine
source("nn/layers/sigmoid.dml") as sigmoid
source("nn/layers/l2_loss.dml") as l2_loss
b1 = matrix(0, 1, ncol(W1)); b2 = matrix(0, 1, ncol(W2))
for (i in 1:iterations) {
  z2 = affine::forward(X, W1, b1)
  a2 = sigmoid::forward(z2)
  z3 = affine::forward(a2, W2, b2)
  Y = sigmoid::forward(z3)
  dz3 = sigmoid::backward(l2_loss::backward(Y, X), z3)
  [da2, dW2, db2] = affine::backward(dz3, a2, W2, b2)
  dz2 = sigmoid::backward(da2, z2)
  [dX, dW1, db1] = affine::backward(dz2, X, W1, b1)
  W1 = W1 - 0.001 * dW1
  W2 = W2 - 0.001 * dW2
}
"""


def seconds(work: Callable[[], object]) -> float:
    start = perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    return perf_counter() - start


def compare(name: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> None:
    """Alternate the two, first run of each not counted, and print medians, spread and the paired ratio."""
    ours(), peer()
    times = []
    for round_ in range(rounds):
        pair = [seconds(ours), seconds(peer)] if round_ % 2 == 0 else [seconds(peer), seconds(ours)][::-1]
        times.append(pair)
    mine, theirs = zip(*times, strict=True)
    ratios = [a / b for a, b in times]
    spread = lambda t: f"{statistics.median(t):.3f} s ({min(t):.3f}-{max(t):.3f})"  # noqa: E731
    print(
        f"{name}: dmlite {spread(mine)}, NumPy {spread(theirs)}, ratio {statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"
    )


def lstm(iterations: int, rounds: int) -> None:
    series = ref.lorenz(10, 28, 8 / 3)[:, 1]
    X, Y = ref.windows(series, 70, 30)
    W = ref.lstm_weights(1, 30)
    script = dml(LSTM).input(X=X, Y=Y, Wstart=W, iterations=iterations).output("losses")
    ml = MLContext()
    mine = ml.execute(script).get("losses").toNumPy().ravel()
    _, losses = ref.train_lstm(series, W, iterations)
    np.testing.assert_allclose(mine, losses, rtol=1e-6)
    compare(f"LSTM, {iterations} iterations", lambda: ml.execute(script), lambda: ref.train_lstm(series, W, iterations), rounds)


def autoencoder(iterations: int, rounds: int, *, keep_all: bool) -> None:
    """keep_all: no `.output(...)`, so that every intermediate of the last iteration stays available, as the tutorial has it."""
    spectrum = np.fft.fft(ref.lorenz(10, 28, 8 / 3), axis=0).real
    X = ref.squashed(spectrum)
    W1, W2 = ref.autoencoder_weights(3000, 100)
    script = dml(AUTOENCODER).input(X=X, W1=W1, W2=W2, iterations=iterations)
    script = script if keep_all else script.output("W1", "W2")
    ml = MLContext()
    mine = ml.execute(script)
    V1, V2, _ = ref.train_autoencoder(spectrum, W1, W2, iterations)
    np.testing.assert_allclose(mine.get("W1").toNumPy(), V1, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(mine.get("W2").toNumPy(), V2, rtol=1e-8, atol=1e-10)
    compare(
        f"autoencoder, {iterations} iterations, {'all variables kept' if keep_all else 'weights wanted'}",
        lambda: ml.execute(script),
        lambda: ref.train_autoencoder(spectrum, W1, W2, iterations, every=iterations + 1),
        rounds,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lstm", type=int, default=300)
    parser.add_argument("--autoencoder", type=int, default=500)
    options = parser.parse_args()
    lstm(options.lstm, options.rounds)
    autoencoder(options.autoencoder, options.rounds, keep_all=False)
    autoencoder(options.autoencoder, options.rounds, keep_all=True)
