"""LSTM layers: one product per time step, everything else vectorised over the batch or over all steps.

With N sequences, T steps, D features, M units: the input of a step is [x, 1, h] (N x (D+1+M)) and its weights are
W with the bias as an additional row, so that a single product gives all gates i, f, o, g (N x 4M).
"""

from __future__ import annotations

import numpy as np

from dmlite.backends.local.storage import Matrix, dense
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve

Quintuple = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Dims = tuple[int, int, int, int]


def lstm(x: Matrix, w: Matrix, b: Matrix, out0: Matrix, c0: Matrix, return_sequences: bool) -> Quintuple:
    """An LSTM over X (N x T*D) with W ((D+M) x 4M) and b (1 x 4M), from the states out0 and c0 (N x M; further rows are ignored).

    Returns the outputs (N x T*M, or N x M of the last step), the last cell state (N x M), and what `lstm_backward` needs: outputs
    and cell states of all steps (T x N*M) and gates (T x N*4M). Raises DMLRuntimeError when the shapes do not fit.
    """
    n, t, d, m = dims = _dims("lstm", x, w, b)
    for name, state in (("out0", out0), ("c0", c0)):
        if state.shape[0] < n or state.shape[1] != m:
            raise _misfit("lstm", name, state, (n, m))
    reserve(t, n * (d + 1 + 9 * m), "the states of lstm")
    inputs = _inputs(x, dims)
    hidden = inputs[:, :, d + 1 :]
    hidden[0] = dense(out0)[:n]
    cells, gates = _forward(inputs, _with_bias(w, b, d), dense(c0)[:n])
    states = np.array(hidden[1:], order="C")
    out = np.array(states.transpose(1, 0, 2), order="C").reshape(n, t * m) if return_sequences else states[-1].copy()
    return out, cells[-1].copy(), states.reshape(t, n * m), cells.reshape(t, n * m), gates.reshape(t, n * 4 * m)


def _forward(inputs: np.ndarray, weights: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cell states (T, N, M) and gates (T, N, 4M) of all steps; writes the hidden states into `inputs` (T+1, N, D+1+M)."""
    (n, m), t = c.shape, inputs.shape[0] - 1
    cells, gates = np.empty((t, n, m)), np.empty((t, n, 4 * m))
    hidden, ifo = inputs[:, :, -m:], gates[:, :, : 3 * m]
    i, f, o, g = (gates[:, :, k * m : (k + 1) * m] for k in range(4))
    z, e, scratch = np.empty((n, 4 * m)), np.empty((n, 3 * m)), np.empty((n, m))
    z_ifo, z_g = z[:, : 3 * m], z[:, 3 * m :]
    # With the sign of the columns of i, f and o turned, their sigmoid is 1 / (1 + exp(z)).
    weights[:, : 3 * m] *= -1.0
    for step in range(t):
        np.matmul(inputs[step], weights, out=z)
        np.exp(z_ifo, out=e)
        e += 1.0
        np.divide(1.0, e, out=ifo[step])
        np.tanh(z_g, out=g[step])
        c = np.multiply(f[step], c, out=cells[step])
        c += np.multiply(i[step], g[step], out=scratch)
        np.multiply(o[step], np.tanh(c, out=scratch), out=hidden[step + 1])
    return cells, gates


def lstm_backward(
    x: Matrix,
    w: Matrix,
    b: Matrix,
    out0: Matrix,
    c0: Matrix,
    given_sequences: bool,
    dout: Matrix,
    dc: Matrix,
    cache_out: Matrix,
    cache_c: Matrix,
    cache_ifog: Matrix,
) -> Quintuple:
    """The gradients of `lstm` by X, W, b, out0 and c0, each of the shape of its parameter.

    dout is the gradient of the outputs (N x T*M, or N x M of the last step alone), dc that of the last cell state (N x M).
    Raises DMLRuntimeError when the shapes do not fit.
    """
    n, t, d, m = dims = _dims("lstm_backward", x, w, b)
    expected = {"out0": m, "c0": m, "dout": t * m if given_sequences else m, "dc": m}
    for (name, cols), value in zip(expected.items(), (out0, c0, dout, dc), strict=True):
        if value.shape != (n, cols):
            raise _misfit("lstm_backward", name, value, (n, cols))
    for name, value, width in (("cache_out", cache_out, m), ("cache_c", cache_c, m), ("cache_ifog", cache_ifog, 4 * m)):
        if value.shape != (t, n * width):
            raise _misfit("lstm_backward", name, value, (t, n * width))
    reserve(t, n * (d + 1 + 12 * m), "the gradients of lstm_backward")
    w = dense(w)
    dhidden = np.zeros((t, n, m))
    if given_sequences:
        dhidden[:] = dense(dout).reshape(n, t, m).transpose(1, 0, 2)
    else:
        dhidden[-1] = dense(dout)
    gates = dense(cache_ifog).reshape(t, n, 4, m)
    dz, dout0, dc0 = _backward(dhidden, dense(dc), w[d:], dense(c0), dense(cache_c).reshape(t, n, m), gates)
    inputs = _inputs(x, dims)
    inputs[0, :, d + 1 :] = dense(out0)
    inputs[1:, :, d + 1 :] = dense(cache_out).reshape(t, n, m)
    dweights = inputs[:t].reshape(t * n, d + 1 + m).T @ dz
    dx = (dz @ w[:d].T).reshape(t, n, d).transpose(1, 0, 2).reshape(n, t * d)
    return dx, np.delete(dweights, d, axis=0), dweights[d : d + 1].copy(), dout0, dc0


def _backward(
    dhidden: np.ndarray, dc: np.ndarray, weights: np.ndarray, c0: np.ndarray, cells: np.ndarray, gates: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The gradients by the gates before their activation (T*N x 4M), by the first hidden and by the first cell state (N x M).

    `dhidden` (T, N, M) holds the gradients of the outputs; it is added to on the way back through time.
    """
    t, n, m = cells.shape
    dz, dh_by_c = _slopes(c0, cells, gates)
    dz_if, dz_o, dz_g, f = dz[:, :, :2], dz[:, :, 2], dz[:, :, 3], gates[:, :, 1]
    back = np.ascontiguousarray(weights.T)
    dc, dh0, scratch = dc.copy(), np.empty((n, m)), np.empty((n, m))
    wide = dc.reshape(n, 1, m)
    flat = dz.reshape(t, n, 4 * m)
    for step in range(t - 1, -1, -1):
        dh = dhidden[step]
        dc += np.multiply(dh, dh_by_c[step], out=scratch)
        dz_if[step] *= wide
        dz_o[step] *= dh
        dz_g[step] *= dc
        dc *= f[step]
        np.matmul(flat[step], back, out=dh0)
        if step:
            dhidden[step - 1] += dh0
    return flat.reshape(t * n, 4 * m), dh0, dc


def _slopes(c0: np.ndarray, cells: np.ndarray, gates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives that need no walk through time, of all steps at once.

    Of the cell state by the inputs of the gates i, f and g, in the place of o of the hidden state by its input (T, N, 4, M);
    and of the hidden by the cell state (T, N, M).
    """
    i, _, o, g = (gates[:, :, k] for k in range(4))
    tanh_c = np.tanh(cells)
    slopes = 1.0 - gates
    slopes *= gates
    slopes[:, :, 0] *= g
    slopes[0, :, 1] *= c0
    slopes[1:, :, 1] *= cells[:-1]
    slopes[:, :, 2] *= tanh_c
    slopes[:, :, 3] = i * (1.0 - g * g)
    return slopes, o * (1.0 - tanh_c * tanh_c)


def _inputs(x: Matrix, dims: Dims) -> np.ndarray:
    """[x, 1, h] of every step, (T+1, N, D+1+M), with the hidden states still to be filled in."""
    n, t, d, m = dims
    inputs = np.empty((t + 1, n, d + 1 + m))
    inputs[:t, :, :d] = dense(x).reshape(n, t, d).transpose(1, 0, 2)
    inputs[:t, :, d] = 1.0
    return inputs


def _with_bias(w: Matrix, b: Matrix, d: int) -> np.ndarray:
    """W with b as its row d, to meet the 1 in [x, 1, h]."""
    w = dense(w)
    return np.concatenate((w[:d], dense(b), w[d:]))


def _dims(name: str, x: Matrix, w: Matrix, b: Matrix) -> Dims:
    """N, T, D, M. Raises DMLRuntimeError when X, W and b contradict each other."""
    rows, cols = w.shape
    m = cols // 4
    d = rows - m
    if m < 1 or cols % 4 or d < 1:
        raise DMLRuntimeError(f"{name} needs weights of (D+M) x 4M, found {rows}x{cols}")
    if b.shape != (1, cols):
        raise _misfit(name, "b", b, (1, cols))
    n, width = x.shape
    if width < 1 or width % d:
        raise DMLRuntimeError(f"{name}: X is {n}x{width} and does not hold whole steps of {d} features, as W of {rows}x{cols} asks for")
    return n, width // d, d, m


def _misfit(name: str, what: str, found: Matrix, expected: tuple[int, int]) -> DMLRuntimeError:
    return DMLRuntimeError(f"{name}: {what} is {found.shape[0]}x{found.shape[1]}, expected {expected[0]}x{expected[1]}")
