"""Kernels: batch normalisation over the chunks of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from dmlite.backends.dask.aggregate import merged
from dmlite.backends.dask.moves import mapped, over, spread
from dmlite.backends.local import neural
from dmlite.backends.local.storage import Matrix, dense


def batch_norm2d(x: Any, gamma: Matrix, beta: Matrix, ema_mean: Matrix, ema_var: Matrix, mode: str, eps: float, mu: float) -> Any:
    """Moments of every channel over all chunks; then each chunk is normalised by them."""
    (x,) = spread(x)
    mean, variance = dense(ema_mean).copy(), dense(ema_var).copy()
    new_mean, new_var = mean.copy(), variance.copy()
    if mode == "train":
        count, mean, squares = merged(x.session.gather(over(_moments, x, gamma)))
        variance = squares / max(1, count)
        new_mean, new_var = mu * new_mean + (1 - mu) * mean, mu * new_var + (1 - mu) * variance
    out = mapped(_normalised, x, gamma, beta, mean, variance, eps, dense=True)
    return out, new_mean, new_var, mean, 1.0 / np.sqrt(variance + eps)


def _moments(x: Matrix, gamma: Matrix) -> tuple[int, np.ndarray, np.ndarray]:
    blocks = neural.by_channel("batch_norm2d", x, gamma)
    mean = blocks.mean(axis=(0, 2)).reshape(-1, 1)
    centred = blocks - mean
    return blocks.shape[0] * blocks.shape[2], mean, np.einsum("ncl,ncl->c", centred, centred).reshape(-1, 1)


def _normalised(x: Matrix, gamma: Matrix, beta: Matrix, mean: np.ndarray, variance: np.ndarray, eps: float) -> np.ndarray:
    return neural.batch_norm2d(x, gamma, beta, mean, variance, "test", eps, 0.0)[0]


def batch_norm2d_backward(x: Any, dout: Any, gamma: Matrix, eps: float, cache_mean: Matrix, cache_inv_var: Matrix) -> Any:
    """The gradients by gamma and beta are sums over all chunks; that by each chunk of X is made of them."""
    neural.check_gradient(x, dout, gamma, cache_mean, cache_inv_var)
    x, dout = spread(x, dout)
    given = (gamma, dense(cache_mean), dense(cache_inv_var))
    dgamma, dbeta = np.add.reduce(x.session.gather(over(_sums, x, dout, *given)))
    count = x.shape[0] * (x.cols // gamma.shape[0])
    return mapped(_by_input, x, dout, *given, dgamma / count, dbeta / count, dense=True), dgamma, dbeta


def _parts(x: Matrix, dout: Matrix, gamma: Matrix, mean: np.ndarray, inv_sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The gradient by channel, and the normalised input."""
    blocks = neural.by_channel("batch_norm2d_backward", x, gamma)
    return neural.by_channel("batch_norm2d_backward", dout, gamma), (blocks - mean) * inv_sd


def _sums(x: Matrix, dout: Matrix, gamma: Matrix, mean: np.ndarray, inv_sd: np.ndarray) -> np.ndarray:
    gradient, normal = _parts(x, dout, gamma, mean, inv_sd)
    sums = np.einsum("ncl,ncl->c", gradient, normal), gradient.sum(axis=(0, 2))
    return np.array([s.reshape(-1, 1) for s in sums])


def _by_input(
    x: Matrix, dout: Matrix, gamma: Matrix, mean: np.ndarray, inv_sd: np.ndarray, dgamma: np.ndarray, dbeta: np.ndarray
) -> np.ndarray:
    gradient, normal = _parts(x, dout, gamma, mean, inv_sd)
    return neural.by_input(gradient, normal, dgamma, dbeta, dense(gamma) * inv_sd).reshape(x.shape)
