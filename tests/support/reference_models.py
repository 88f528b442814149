"""The two anomaly detectors written by hand in NumPy: reference values for tests and the opponent in benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def lorenz(
    a: float, b: float, c: float, n: int = 3000, h: float = 0.008, start: tuple[float, float, float] = (2.0, 3.0, 4.0)
) -> np.ndarray:
    """Lorenz attractor by semi-implicit Euler: n x 3 positions, the first one after one step from `start`."""
    x, y, z = start
    path = np.empty((n, 3))
    for i in range(n):
        x += h * a * (y - x)
        y += h * (x * (b - z) - y)
        z += h * (x * y - c * z)
        path[i] = x, y, z
    return path


def windows(series: np.ndarray, in_steps: int, out_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of a series, each one sample after the one before: inputs (N, in_steps), targets (N, out_steps)."""
    length = in_steps + out_steps
    index = np.arange(series.size // length)[:, None] + np.arange(length)
    both = series.ravel()[index]
    return both[:, :in_steps], both[:, in_steps:]


# --- long short-term memory ---------------------------------------------------------------------------------------


@dataclass
class LSTMState:
    """What the forward pass keeps for the backward pass, time first: h and c start with the state before step 1."""

    inputs: np.ndarray  # (T, N, D + M)
    c: np.ndarray  # (T + 1, N, M)
    shown: np.ndarray  # (T, N, M), tanh of the cell states
    gates: np.ndarray  # (T, N, 4M), blocks i, f, o, g


def lstm_forward(X: np.ndarray, W: np.ndarray, b: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, LSTMState]:
    """Outputs of all steps, (T, N, M), for inputs X (T, N, D), weights W (D + M, 4M) and bias b (4M,)."""
    T, N, D = X.shape
    M = h.shape[1]
    state = LSTMState(np.empty((T, N, D + M)), np.empty((T + 1, N, M)), np.empty((T, N, M)), np.empty((T, N, 4 * M)))
    state.inputs[:, :, :D] = X
    state.c[0] = c
    out = np.empty((T, N, M))
    for t in range(T):
        state.inputs[t, :, D:] = h
        z = state.inputs[t] @ W + b
        gates = state.gates[t]
        gates[:, : 3 * M] = sigmoid(z[:, : 3 * M])
        gates[:, 3 * M :] = np.tanh(z[:, 3 * M :])
        i, f, o, g = gates[:, :M], gates[:, M : 2 * M], gates[:, 2 * M : 3 * M], gates[:, 3 * M :]
        c = f * c + i * g
        state.shown[t] = np.tanh(c)
        state.c[t + 1] = c
        h = o * state.shown[t]
        out[t] = h
    return out, state


def lstm_backward(
    dout: np.ndarray, dc: np.ndarray, W: np.ndarray, state: LSTMState
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of X (T, N, D), W, b, h0 and c0, given those of the last output (N, M) or of all (T, N, M), and of the last cell state."""
    T, N, width = state.inputs.shape
    M = dc.shape[1]
    D = width - M
    all_steps = dout.ndim == 3
    dh = np.zeros((N, M)) if all_steps else dout
    dz = np.empty((T, N, 4 * M))
    back = W[D:].T
    for t in reversed(range(T)):
        if all_steps:
            dh = dh + dout[t]
        gates, shown = state.gates[t], state.shown[t]
        i, f, o, g = gates[:, :M], gates[:, M : 2 * M], gates[:, 2 * M : 3 * M], gates[:, 3 * M :]
        dc = dc + dh * o * (1 - shown * shown)
        dz[t, :, :M] = dc * g * i * (1 - i)
        dz[t, :, M : 2 * M] = dc * state.c[t] * f * (1 - f)
        dz[t, :, 2 * M : 3 * M] = dh * shown * o * (1 - o)
        dz[t, :, 3 * M :] = dc * i * (1 - g * g)
        dh = dz[t] @ back
        dc = dc * f
    flat = dz.reshape(T * N, 4 * M)
    dW = state.inputs.reshape(T * N, width).T @ flat
    return (flat @ W[:D].T).reshape(T, N, D), dW, flat.sum(0), dh, dc


def lstm_weights(D: int, M: int, seed: int = 0) -> np.ndarray:
    """Starting weights (D + M, 4M), uniform with variance 2 / (D + 5M)."""
    bound = np.sqrt(6 / (D + 5 * M))
    return np.random.default_rng(seed).uniform(-bound, bound, (D + M, 4 * M))


def train_lstm(
    series: np.ndarray,
    W: np.ndarray,
    iterations: int = 1000,
    in_steps: int = 70,
    out_steps: int = 30,
    learning_rate: float = 0.01,
    decay_rate: float = 0.95,
    epsilon: float = 1e-6,
) -> tuple[np.ndarray, np.ndarray]:
    """Trained weights and the loss before each iteration: LSTM on windows of a series, last output against target, RMSprop."""
    X, Y = windows(series, in_steps, out_steps)
    N, M = Y.shape
    X = np.ascontiguousarray(X.T)[:, :, None]
    zeros, bias = np.zeros((N, M)), np.zeros(4 * M)
    cache = np.zeros_like(W)
    losses = np.empty(iterations)
    for iteration in range(iterations):
        out, state = lstm_forward(X, W, bias, zeros, zeros)
        error = out[-1] - Y
        losses[iteration] = 0.5 * np.sum(error * error) / N
        _, dW, _, _, _ = lstm_backward(error / N, zeros, W, state)
        cache = decay_rate * cache + (1 - decay_rate) * dW * dW
        W = W - learning_rate * dW / (np.sqrt(cache) + epsilon)
    return W, losses


# --- autoencoder --------------------------------------------------------------------------------------------------


def squashed(spectrum: np.ndarray) -> np.ndarray:
    """Channels as rows, each frequency standardised over the channels and brought between 0 and 1."""
    X = spectrum.T
    n = X.shape[0]
    mean = X.sum(0) / n
    deviation = np.sqrt(((X * X).sum(0) / n - mean * mean) * n / (n - 1)) + 1e-17
    return sigmoid((X - mean) / deviation)


def autoencoder_weights(inputs: int, hidden: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Starting weights of both layers, normal with variance 2 / (columns in)."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((inputs, hidden)) * np.sqrt(2 / inputs), rng.standard_normal((hidden, inputs)) * np.sqrt(2 / hidden)


def train_autoencoder(
    spectrum: np.ndarray, W1: np.ndarray, W2: np.ndarray, iterations: int = 10_000, learning_rate: float = 0.001, every: int = 100
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trained weights and the reconstruction error after each `every` iterations: one hidden layer, sigmoids, biases zero."""
    X = squashed(spectrum)
    n = X.shape[0]
    errors = []
    for iteration in range(1, iterations + 1):
        hidden = sigmoid(X @ W1)
        out = sigmoid(hidden @ W2)
        dout = (out - X) / n * out * (1 - out)
        dhidden = (dout @ W2.T) * hidden * (1 - hidden)
        W1 = W1 - learning_rate * (X.T @ dhidden)
        W2 = W2 - learning_rate * (hidden.T @ dout)
        if iteration % every == 0:
            errors.append(np.sqrt(np.sum((X - sigmoid(sigmoid(X @ W1) @ W2)) ** 2)))
    return W1, W2, np.array(errors)
