"""The two anomaly detectors: an LSTM network and an autoencoder, both trained on the vibration of a simulated bearing."""

from __future__ import annotations

import numpy as np

from tests.benchmarks.workload import Inputs, Results, Target, Work, Workload
from tests.support import reference_models as models

# ---------------------------------------------------------------- long short-term memory
LSTM_HEADER = """
source("nn/layers/lstm.dml") as lstm
source("nn/layers/l2_loss.dml") as l2_loss
source("nn/optim/rmsprop.dml") as rmsprop
"""
LSTM = """
N = nrow(X)
M = ncol(Y)
[W_random, b, out0, c0] = lstm::init(N, 1, M)
cache = rmsprop::init(W)
iter = 0
while (iter < iterations) {
  [out, c, c_out, c_c, c_ifog] = lstm::forward(X, W, b, ncol(X), 1, FALSE, out0, c0)
  loss = l2_loss::forward(out, Y)
  if (iter %% 100 == 0) {
    print("iter=" + iter + " loss=" + loss)
  }
  dout = l2_loss::backward(out, Y)
  [dX, dW, db, dout0, dc0] = lstm::backward(dout, c0, X, W, b, ncol(X), 1, FALSE, out0, c0, c_out, c_c, c_ifog)
  [W, cache] = rmsprop::update(W, dW, 0.01, 0.95, 1e-6, cache)
  iter = iter + 1
}
size = sum(W^2)
"""


def recording(iterations: int) -> Inputs:
    series = models.lorenz(10, 28, 8 / 3)[:, 1]
    X, Y = models.windows(series, 70, 30)
    return {"X": X, "Y": Y, "W": models.lstm_weights(1, 30), "series": series[:, None], "iterations": iterations}


def lstm_numpy(inputs: Inputs) -> Work:
    def work() -> Results:
        W, losses = models.train_lstm(inputs["series"].ravel(), inputs["W"], inputs["iterations"])
        return {"loss": losses[-1], "size": np.sum(W**2)}

    return work


def lstm_torch(inputs: Inputs) -> Work:
    """The layer of PyTorch, whose gates stand in the order i, f, g, o."""
    import torch

    torch.set_num_threads(1)
    X, Y = (torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in ("X", "Y"))
    N, M = Y.shape
    start = torch.from_numpy(inputs["W"]).reshape(1 + M, 4, M)[:, [0, 1, 3, 2]].reshape(1 + M, 4 * M).T

    def work() -> Results:
        net = torch.nn.LSTM(1, M, bias=False, batch_first=True, dtype=torch.float64)
        with torch.no_grad():
            net.weight_ih_l0.copy_(start[:, :1])
            net.weight_hh_l0.copy_(start[:, 1:])
        optimizer = torch.optim.RMSprop(net.parameters(), lr=0.01, alpha=0.95, eps=1e-6)
        for _ in range(inputs["iterations"]):
            optimizer.zero_grad(set_to_none=True)
            out, _ = net(X[:, :, None])
            loss = 0.5 * ((out[:, -1] - Y) ** 2).sum() / N
            loss.backward()
            optimizer.step()
        return {"loss": loss.item(), "size": sum((w**2).sum().item() for w in net.parameters())}

    return work


# ---------------------------------------------------------------- autoencoder
AUTOENCODER_HEADER = """
source("nn/layers/affine.dml") as affine
source("nn/layers/sigmoid.dml") as sigmoid
source("nn/layers/l2_loss.dml") as l2_loss

reconstruct = function(matrix[double] X, matrix[double] W1, matrix[double] b1, matrix[double] W2, matrix[double] b2)
    return (matrix[double] z2, matrix[double] a2, matrix[double] z3, matrix[double] out) {
  z2 = affine::forward(X, W1, b1)
  a2 = sigmoid::forward(z2)
  z3 = affine::forward(a2, W2, b2)
  out = sigmoid::forward(z3)
}

gradients = function(matrix[double] X, matrix[double] W1, matrix[double] b1, matrix[double] W2, matrix[double] b2)
    return (matrix[double] dW1, matrix[double] dW2) {
  [z2, a2, z3, out] = reconstruct(X, W1, b1, W2, b2)
  dz3 = sigmoid::backward(l2_loss::backward(out, X), z3)
  [da2, dW2, db2] = affine::backward(dz3, a2, W2, b2)
  [dX, dW1, db1] = affine::backward(sigmoid::backward(da2, z2), X, W1, b1)
}
"""
AUTOENCODER = """
S = t(spectrum)
S = sigmoid::forward((S - colMeans(S)) / (colSds(S) + 1e-17))
b1 = matrix(0, rows=1, cols=ncol(W1))
b2 = matrix(0, rows=1, cols=ncol(W2))
iter = 0
while (iter < iterations) {
  [dW1, dW2] = gradients(S, W1, b1, W2, b2)
  W1 = W1 - 0.001 * dW1
  W2 = W2 - 0.001 * dW2
  iter = iter + 1
  if (iter %% every == 0) {
    [z2, a2, z3, out] = reconstruct(S, W1, b1, W2, b2)
    error = sqrt(sum((S - out)^2))
    print("iter=" + iter + " error=" + error)
  }
}
size = sum(W1^2) + sum(W2^2)
"""


def spectrum(iterations: int, every: int) -> Inputs:
    W1, W2 = models.autoencoder_weights(3000, 100)
    path = models.lorenz(10, 28, 8 / 3)
    return {"spectrum": np.fft.fft(path, axis=0).real, "W1": W1, "W2": W2, "iterations": iterations, "every": every, "error": 0.0}


def autoencoder_numpy(inputs: Inputs) -> Work:
    def work() -> Results:
        iterations, every = inputs["iterations"], inputs["every"]
        W1, W2, errors = models.train_autoencoder(inputs["spectrum"], inputs["W1"], inputs["W2"], iterations, every=every)
        return {"error": errors[-1], "size": np.sum(W1**2) + np.sum(W2**2)}

    return work


WORKLOADS = (
    Workload(
        name="lstm",
        title="LSTM anomaly script, 1000 iterations",
        inputs=recording,
        header=LSTM_HEADER,
        body=LSTM,
        results=("loss", "size"),
        full={"iterations": 1000},
        quick={"iterations": 5},
        peers={"numpy": lstm_numpy, "torch": lstm_torch},
        targets=(Target("systemds", "faster", 15), Target("numpy", "at most", 1.0), Target("torch", "at most", 1.0)),
        first=True,
        repeats=0,
        tolerance=1e-4,
        threads={"numpy": 1, "torch": 1},
    ),
    Workload(
        name="autoencoder",
        title="autoencoder script, 10,000 iterations",
        inputs=spectrum,
        header=AUTOENCODER_HEADER,
        body=AUTOENCODER,
        results=("error", "size"),
        full={"iterations": 10_000, "every": 100},
        quick={"iterations": 4, "every": 2},
        peers={"numpy": autoencoder_numpy},
        targets=(Target("systemds", "faster", 2), Target("numpy", "at most", 0.7)),
        first=True,
        repeats=0,
        threads={"numpy": 1},
    ),
)
