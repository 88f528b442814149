"""The two anomaly detectors: an LSTM network and an autoencoder, both trained on the vibration of a simulated bearing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.benchmarks.workload import Inputs, Results, Target, Workload
from tests.support import reference_models as models

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


def lstm_numpy(inputs: Inputs) -> Callable[[], Results]:
    def work() -> Results:
        W, losses = models.train_lstm(inputs["series"].ravel(), inputs["W"], inputs["iterations"])
        return {"loss": losses[-1], "size": np.sum(W**2)}

    return work


def lstm_torch(inputs: Inputs) -> Callable[[], Results]:
    """The layer of PyTorch, whose gates stand in the order i, f, g, o."""
    import torch

    torch.set_num_threads(1)
    X, Y = (torch.from_numpy(np.ascontiguousarray(inputs[name])) for name in ("X", "Y"))
    N, M = Y.shape
    order = [0, 1, 3, 2]

    def work() -> Results:
        net = torch.nn.LSTM(1, M, bias=False, batch_first=True, dtype=torch.float64)
        start = torch.from_numpy(inputs["W"]).reshape(1 + M, 4, M)[:, order].reshape(1 + M, 4 * M).T
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
)
