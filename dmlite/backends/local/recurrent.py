"""LSTM layers: one product per time step, everything else vectorised over the batch or over all steps.

With N sequences, T steps, D features, M units: the input of a step is [x, 1, h] (N x (D+1+M)) and its weights are
W with the bias as an additional row, so that a single product gives all gates i, f, o, g (N x 4M).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dmlite.backends.local.storage import Matrix, dense
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve

Dims = tuple[int, int, int, int]
Quintuple = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]

# The gates of a block of steps stay within this many bytes on the way back, so that they are still in cache for every use.
_BLOCK_BYTES: Final = 256 << 10


def lstm(x: Matrix, w: Matrix, b: Matrix, out0: Matrix, c0: Matrix, return_sequences: bool) -> Quintuple:
    """An LSTM over X (N x T*D) with W ((D+M) x 4M) and b (1 x 4M), from the states out0 and c0 (N x M; further rows are ignored).

    Returns the outputs (N x T*M, or N x M of the last step), the last cell state (N x M), and what `lstm_backward` needs: outputs
    and cell states of all steps (T x N*M) and gates (T x N*4M). Raises DMLRuntimeError when the shapes do not fit.
    """
    n, t, d, m = _dims("lstm", x, w, b)
    _expect({"out0": out0[:n], "c0": c0[:n]}, [(n, m), (n, m)])
    reserve(t, n * 7 * m, "the states of lstm")
    states, cells, gates = np.empty((t, n, m)), np.empty((t, n, m)), np.empty((t, n, 4 * m))
    inputs = np.ones((n, d + 1 + m))
    inputs[:, d + 1 :] = dense(out0)[:n]
    weights = np.concatenate((dense(w)[:d], dense(b), dense(w)[d:]))
    _forward(dense(x).reshape(n, t, d).transpose(1, 0, 2), inputs, weights, dense(c0)[:n], states, cells, gates)
    out = np.array(states.transpose(1, 0, 2), order="C").reshape(n, t * m) if return_sequences else states[-1].copy()
    return out, cells[-1].copy(), states.reshape(t, n * m), cells.reshape(t, n * m), gates.reshape(t, n * 4 * m)


def _forward(
    x: np.ndarray, inputs: np.ndarray, weights: np.ndarray, c: np.ndarray, states: np.ndarray, cells: np.ndarray, gates: np.ndarray
) -> None:
    """Fills the states and cells (T, N, M) and gates (T, N, 4M) of all steps, from `inputs` = [., 1, h] before the first."""
    n, m = c.shape
    i, f, o, g = (gates[:, :, k * m : (k + 1) * m] for k in range(4))
    ifo, x_now, h_now = gates[:, :, : 3 * m], inputs[:, : x.shape[2]], inputs[:, -m:]
    z, e, scratch = np.empty((n, 4 * m)), np.empty((n, 3 * m)), np.empty((n, m))
    z_ifo, z_g = z[:, : 3 * m], z[:, 3 * m :]
    # With the sign of the columns of i, f and o turned, their sigmoid is 1 / (1 + exp(z)).
    weights[:, : 3 * m] *= -1.0
    for step in range(len(x)):
        x_now[...] = x[step]
        np.matmul(inputs, weights, out=z)
        np.exp(z_ifo, out=e)
        e += 1.0
        np.divide(1.0, e, out=ifo[step])
        np.tanh(z_g, out=g[step])
        c = np.multiply(f[step], c, out=cells[step])
        c += np.multiply(i[step], g[step], out=scratch)
        h_now[...] = np.multiply(o[step], np.tanh(c, out=scratch), out=states[step])


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
    outs = t * m if given_sequences else m
    _expect({"out0": out0, "c0": c0, "dout": dout, "dc": dc}, [(n, m), (n, m), (n, outs), (n, m)])
    _expect({"cache_out": cache_out, "cache_c": cache_c, "cache_ifog": cache_ifog}, [(t, n * m), (t, n * m), (t, n * 4 * m)])
    reserve(n, t * d, "the gradient of lstm_backward by X")
    gradients = np.zeros((n, m)) if given_sequences else np.array(dense(dout), order="C"), np.array(dense(dc), order="C")
    series = dense(cache_out).reshape(t, n, m), dense(cache_c).reshape(t, n, m), dense(cache_ifog).reshape(t, n, 4, m)
    douts = dense(dout).reshape(n, t, m).transpose(1, 0, 2) if given_sequences else None
    dx, dweights = _backward(dense(x).reshape(n, t, d), dense(w), (dense(out0), dense(c0)), gradients, douts, series, dims)
    return dx.reshape(n, t * d), np.delete(dweights, d, axis=0), dweights[d : d + 1].copy(), *gradients


def _backward(
    x: np.ndarray,
    w: np.ndarray,
    first: tuple[np.ndarray, np.ndarray],
    gradients: tuple[np.ndarray, np.ndarray],
    douts: np.ndarray | None,
    series: tuple[np.ndarray, np.ndarray, np.ndarray],
    dims: Dims,
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients by X (N, T, D) and by the stacked W and bias, block by block back through time.

    `first` and `gradients` (taken in place to before the first step) hold h and c, `series` the h, c and gates of all steps.
    """
    (n, t, d, m), (states, cells, gates) = dims, series
    back = np.ascontiguousarray(w[d:].T)
    dx, dweights = np.empty((n, t, d)), np.zeros((d + 1 + m, 4 * m))
    length = max(1, _BLOCK_BYTES // (8 * max(1, n) * 4 * m))
    for start in range((t - 1) // length * length, -1, -length):
        block = slice(start, min(start + length, t))
        dz, dh_by_c = _slopes(_before(first[1], cells, block), cells[block], gates[block])
        _walk_back(*gradients, dz, dh_by_c, gates[block, :, 1], back, None if douts is None else douts[block])
        dz = dz.reshape(-1, 4 * m)
        inputs = np.ones((block.stop - start, n, d + 1 + m))
        inputs[:, :, :d] = x[:, block].transpose(1, 0, 2)
        inputs[:, :, d + 1 :] = _before(first[0], states, block)
        dweights += inputs.reshape(-1, d + 1 + m).T @ dz
        dx[:, block] = (dz @ w[:d].T).reshape(block.stop - start, n, d).transpose(1, 0, 2)
    return dx, dweights


def _walk_back(
    dh: np.ndarray, dc: np.ndarray, dz: np.ndarray, dh_by_c: np.ndarray, f: np.ndarray, back: np.ndarray, douts: np.ndarray | None
) -> None:
    """Takes the gradients dh and dc (N x M), in place, from after to before a block of steps, and scales the slopes `dz` to gradients."""
    scratch, wide, flat = np.empty_like(dh), dc[:, None, :], dz.reshape(len(dz), len(dh), len(back))
    for step in range(len(dz) - 1, -1, -1):
        if douts is not None:
            dh += douts[step]
        dc += np.multiply(dh, dh_by_c[step], out=scratch)
        now = dz[step]
        for part, gradient in ((now[:, :2], wide), (now[:, 2], dh), (now[:, 3], dc)):
            np.multiply(part, gradient, out=part)
        dc *= f[step]
        np.matmul(flat[step], back, out=dh)


def _slopes(before: np.ndarray, cells: np.ndarray, gates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives that need no walk through time, of all steps of a block at once.

    Of the cell state by the inputs of the gates i, f and g, in the place of o of the hidden state by its input (T, N, 4, M);
    and of the hidden by the cell state (T, N, M). `before` holds the cell states one step earlier.
    """
    i, _, o, g = (gates[:, :, k] for k in range(4))
    tanh_c = np.tanh(cells)
    slopes = 1.0 - gates
    slopes *= gates
    slopes[:, :, 0] *= g
    slopes[:, :, 1] *= before
    slopes[:, :, 2] *= tanh_c
    slopes[:, :, 3] = i * (1.0 - g * g)
    return slopes, o * (1.0 - tanh_c * tanh_c)


def _before(first: np.ndarray, steps: np.ndarray, block: slice) -> np.ndarray:
    """The values one step earlier than a block; `first` comes before all of `steps`."""
    return steps[block.start - 1 : block.stop - 1] if block.start else np.concatenate((first[None], steps[: block.stop - 1]))


def _dims(name: str, x: Matrix, w: Matrix, b: Matrix) -> Dims:
    """N, T, D, M. Raises DMLRuntimeError when X, W and b contradict each other."""
    rows, cols = w.shape
    m = cols // 4
    d = rows - m
    if m < 1 or cols % 4 or d < 1:
        raise DMLRuntimeError(f"{name} needs weights of (D+M) x 4M, found {rows}x{cols}")
    _expect({"b": b}, [(1, cols)])
    n, width = x.shape
    if width < 1 or width % d:
        raise DMLRuntimeError(f"{name}: X is {n}x{width} and does not hold whole steps of {d} features, as W of {rows}x{cols} asks for")
    return n, width // d, d, m


def _expect(given: dict[str, Matrix], shapes: Sequence[tuple[int, int]]) -> None:
    """Raises DMLRuntimeError when a matrix does not have its shape."""
    for (name, value), (rows, cols) in zip(given.items(), shapes, strict=True):
        if value.shape != (rows, cols):
            raise DMLRuntimeError(f"lstm: {name} is {value.shape[0]}x{value.shape[1]}, expected {rows}x{cols}")
