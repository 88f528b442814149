"""Operations of layers; per channel, each of C channels owns a block of ncol(X)/C adjacent columns."""

from __future__ import annotations

import numpy as np

from dmlite.backends.local.storage import Matrix, dense, is_sparse, settle
from dmlite.errors import DMLRuntimeError

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]
Quintuple = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def softmax(x: Matrix) -> np.ndarray:
    """exp(X - rowMaxs(X)) with every row divided by its sum, n x m; NaN in a row spreads over it."""
    x = dense(x)
    if not x.size:
        return x.copy()
    out = np.subtract(x, x.max(axis=1, keepdims=True))
    np.exp(out, out=out)
    out /= out.sum(axis=1, keepdims=True)
    return out


def bias_add(x: Matrix, b: Matrix) -> np.ndarray:
    """X (N x K*L) plus b (K x 1), one value a block of L columns.

    Raises DMLRuntimeError when b is not a column, or K does not divide the columns of X.
    """
    return (by_channel("bias_add", x, b) + dense(b)).reshape(x.shape)


def bias_multiply(x: Matrix, b: Matrix) -> Matrix:
    """X (N x K*L) times b (K x 1), one factor a block of L columns; CSR of CSR. Raises DMLRuntimeError as `bias_add` does."""
    if is_sparse(x):
        _check_channels("bias_multiply", x, b)
        scaled = x.copy()
        scaled.data *= dense(b)[x.indices // max(1, x.shape[1] // b.shape[0]), 0]
        return settle(scaled)
    return (by_channel("bias_multiply", x, b) * dense(b)).reshape(x.shape)


def batch_norm2d(x: Matrix, gamma: Matrix, beta: Matrix, ema_mean: Matrix, ema_var: Matrix, mode: str, eps: float, mu: float) -> Quintuple:
    """Every channel of X (N x C*L) shifted and scaled to beta and gamma (C x 1).

    Returns the output, the running mean and variance (C x 1, moved by 1 - mu towards the batch in mode "train"), the mean and
    1/sqrt(variance + eps) that were used (C x 1). In mode "test" the running statistics are used and stay as they are.
    Raises DMLRuntimeError on another mode, or parameters that do not fit X.
    """
    blocks = by_channel("batch_norm2d", x, gamma)
    for other in (beta, ema_mean, ema_var):
        _check_channels("batch_norm2d", x, other, gamma.shape[0])
    ema_mean, ema_var = dense(ema_mean), dense(ema_var)
    if mode == "train":
        mean = blocks.mean(axis=(0, 2)).reshape(-1, 1)
        centred = blocks - mean
        variance = np.einsum("ncl,ncl->c", centred, centred).reshape(-1, 1) / max(1, blocks.shape[0] * blocks.shape[2])
        new_mean, new_var = mu * ema_mean + (1 - mu) * mean, mu * ema_var + (1 - mu) * variance
    elif mode == "test":
        mean, variance = ema_mean.copy(), ema_var
        centred = blocks - mean
        new_mean, new_var = ema_mean.copy(), ema_var.copy()
    else:
        raise DMLRuntimeError(f"batch_norm2d: the mode must be 'train' or 'test', found '{mode}'")
    inv_sd = 1.0 / np.sqrt(variance + eps)
    centred *= dense(gamma) * inv_sd
    centred += dense(beta)
    return centred.reshape(x.shape), new_mean, new_var, mean, inv_sd


def batch_norm2d_backward(x: Matrix, dout: Matrix, gamma: Matrix, eps: float, cache_mean: Matrix, cache_inv_var: Matrix) -> Triple:
    """The gradients of `batch_norm2d` in training by X (N x C*L), gamma and beta (C x 1), from that of its output (N x C*L).

    Raises DMLRuntimeError when the shapes do not fit.
    """
    check_gradient(x, dout, gamma, cache_mean, cache_inv_var)
    blocks = by_channel("batch_norm2d_backward", x, gamma)
    gradient, inv_sd = by_channel("batch_norm2d_backward", dout, gamma), dense(cache_inv_var)
    normal = (blocks - dense(cache_mean)) * inv_sd
    dbeta = gradient.sum(axis=(0, 2)).reshape(-1, 1)
    dgamma = np.einsum("ncl,ncl->c", gradient, normal).reshape(-1, 1)
    count = max(1, blocks.shape[0] * blocks.shape[2])
    return by_input(gradient, normal, dgamma / count, dbeta / count, dense(gamma) * inv_sd).reshape(x.shape), dgamma, dbeta


def check_gradient(x: Matrix, dout: Matrix, gamma: Matrix, *parameters: Matrix) -> None:
    """Raises DMLRuntimeError for what `batch_norm2d_backward` does not take."""
    _check_channels("batch_norm2d_backward", x, gamma)
    if dout.shape != x.shape:
        raise DMLRuntimeError(f"batch_norm2d_backward: dout is {dout.shape[0]}x{dout.shape[1]}, X is {x.shape[0]}x{x.shape[1]}")
    for other in parameters:
        _check_channels("batch_norm2d_backward", x, other, gamma.shape[0])


def by_input(gradient: np.ndarray, normal: np.ndarray, dgamma: np.ndarray, dbeta: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The gradient by the input, from means of those by gamma and beta over the batch; in the memory of the normalised input."""
    normal *= -dgamma
    normal += gradient
    normal -= dbeta
    normal *= scale
    return normal


def by_channel(name: str, x: Matrix, b: Matrix) -> np.ndarray:
    """X as (N, C, L), for the C rows of b."""
    _check_channels(name, x, b)
    channels = b.shape[0]
    return dense(x).reshape(x.shape[0], channels, x.shape[1] // max(1, channels))


def _check_channels(name: str, x: Matrix, b: Matrix, channels: int | None = None) -> None:
    count, width = b.shape
    if width != 1 or (channels is not None and count != channels) or (x.shape[1] % count if count else x.shape[1]):
        raise DMLRuntimeError(
            f"{name}: the {count}x{width} parameter does not fit X of {x.shape[0]}x{x.shape[1]}"
            + (f" with {channels} channels" if channels else ""),
            hint="it must be a column with one row a channel, and the channels must divide the columns of X",
        )
