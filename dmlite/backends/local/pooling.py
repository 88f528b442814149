"""Maximum and mean over windows of images, and their gradients."""

from __future__ import annotations

import numpy as np

from dmlite.backends.local.storage import Matrix
from dmlite.backends.local.windows import Literals, Windows, expect, integers, windows
from dmlite.memory import reserve


def max_pool(x: Matrix, input_shape: Literals, pool_size: Literals, stride: Literals, padding: Literals) -> np.ndarray:
    """The maximum of every window, N x C*P*Q, of images (N x C*H*W); padding never wins.

    Raises DMLRuntimeError when the lists are malformed or do not fit the matrix.
    """
    view = _setup("max_pool", x, input_shape, pool_size, stride, padding)
    out = np.full((view.n, view.c, view.p, view.q), -np.inf)
    for start, stop in view.chunks(view.c * view.h * view.w):
        _maximum(view, view.image(x, start, stop), out[start:stop])
    return out.reshape(view.n, view.c * view.p * view.q)


def avg_pool(x: Matrix, input_shape: Literals, pool_size: Literals, stride: Literals, padding: Literals) -> np.ndarray:
    """The mean of every window, N x C*P*Q, of images (N x C*H*W); padding counts as zeros. Raises DMLRuntimeError as `max_pool` does."""
    view = _setup("avg_pool", x, input_shape, pool_size, stride, padding)
    out = np.zeros((view.n, view.c, view.p, view.q))
    for start, stop in view.chunks(view.c * view.h * view.w):
        images, means = view.image(x, start, stop), out[start:stop]
        for _, _, (down, across), (rows, cols) in view.offsets:
            means[:, :, down, across] += images[:, :, rows, cols]
        means /= view.r * view.s
    return out.reshape(view.n, view.c * view.p * view.q)


def max_pool_backward(
    x: Matrix, dout: Matrix, input_shape: Literals, pool_size: Literals, stride: Literals, padding: Literals
) -> np.ndarray:
    """The gradient of `max_pool`, N x C*H*W: `dout` (N x C*P*Q) goes to the first maximum, by rows, of each window.

    Raises DMLRuntimeError as `max_pool` does.
    """
    view = _setup("max_pool_backward", x, input_shape, pool_size, stride, padding)
    expect("dout of max_pool_backward", dout, view.n, view.c * view.p * view.q)
    out = np.zeros((view.n, view.c, view.h, view.w))
    for start, stop in view.chunks(view.c * view.h * view.w):
        images, gradients = view.image(x, start, stop), out[start:stop]
        maximum = np.full((stop - start, view.c, view.p, view.q), -np.inf)
        _maximum(view, images, maximum)
        # The gradient of a window is used up by its first maximum. Masking its bits is exact, and four times as fast as a choice.
        left = view.grid(dout, start, stop, view.c).copy().view(np.int64)
        for _, _, (down, across), (rows, cols) in view.offsets:
            rest, hit = left[:, :, down, across], images[:, :, rows, cols] == maximum[:, :, down, across]
            share = rest & np.subtract(0, hit, dtype=np.int64)
            gradients[:, :, rows, cols] += share.view(np.float64)
            rest ^= share
    return out.reshape(view.n, view.c * view.h * view.w)


def avg_pool_backward(
    x: Matrix, dout: Matrix, input_shape: Literals, pool_size: Literals, stride: Literals, padding: Literals
) -> np.ndarray:
    """The gradient of `avg_pool`, N x C*H*W: `dout` (N x C*P*Q) spread evenly over each window.

    Raises DMLRuntimeError as `max_pool` does.
    """
    view = _setup("avg_pool_backward", x, input_shape, pool_size, stride, padding)
    expect("dout of avg_pool_backward", dout, view.n, view.c * view.p * view.q)
    out = np.zeros((view.n, view.c, view.h, view.w))
    for start, stop in view.chunks(view.c * view.h * view.w):
        share, gradients = view.grid(dout, start, stop, view.c) / (view.r * view.s), out[start:stop]
        for _, _, (down, across), (rows, cols) in view.offsets:
            gradients[:, :, rows, cols] += share[:, :, down, across]
    return out.reshape(view.n, view.c * view.h * view.w)


def _setup(name: str, x: Matrix, input_shape: Literals, pool_size: Literals, stride: Literals, padding: Literals) -> Windows:
    r, s = integers("pool_size", pool_size, "HW", least=1)
    view = windows(input_shape, (r, s), stride, padding)
    expect(f"X of {name}", x, view.n, view.c * view.h * view.w)
    reserve(view.n, view.c * max(view.p * view.q, view.h * view.w), f"the result of {name}")
    return view


def _maximum(view: Windows, images: np.ndarray, out: np.ndarray) -> None:
    """Raises `out`, (images, C, P, Q), to the maximum of each window."""
    for _, _, (down, across), (rows, cols) in view.offsets:
        best = out[:, :, down, across]
        np.maximum(best, images[:, :, rows, cols], out=best)
