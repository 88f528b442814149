"""2-D convolution and its gradients, as matrix products over unrolled windows.

A chunk of B images is unrolled to a C*R*S x B*P*Q matrix, so that one large product does the work of the chunk.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dmlite.backends.local.storage import Matrix, dense
from dmlite.backends.local.windows import Literals, Windows, expect, integers, windows
from dmlite.errors import DMLRuntimeError
from dmlite.memory import reserve


def conv2d(x: Matrix, w: Matrix, input_shape: Literals, filter_shape: Literals, stride: Literals, padding: Literals) -> np.ndarray:
    """The cross-correlation, N x K*P*Q, of images (N x C*H*W) with filters (K x C*R*S).

    Raises DMLRuntimeError when the lists are malformed or do not fit the matrices.
    """
    view, k = _setup(input_shape, filter_shape, stride, padding)
    cells = view.c * view.r * view.s
    expect("X of conv2d", x, view.n, view.c * view.h * view.w)
    expect("W of conv2d", w, k, cells)
    reserve(view.n, k * view.p * view.q, "the result of conv2d")
    out = np.empty((view.n, k, view.p * view.q))
    w = dense(w)
    for start, stop, unrolled in _unrolled(x, view):
        product = w @ unrolled
        out[start:stop] = product.reshape(k, stop - start, view.p * view.q).transpose(1, 0, 2)
    return out.reshape(view.n, k * view.p * view.q)


def conv2d_backward_filter(
    x: Matrix, dout: Matrix, input_shape: Literals, filter_shape: Literals, stride: Literals, padding: Literals
) -> np.ndarray:
    """The gradient by the filters, K x C*R*S, from that of the output (N x K*P*Q). Raises DMLRuntimeError as `conv2d` does."""
    view, k = _setup(input_shape, filter_shape, stride, padding)
    expect("X of conv2d_backward_filter", x, view.n, view.c * view.h * view.w)
    expect("dout of conv2d_backward_filter", dout, view.n, k * view.p * view.q)
    total = np.zeros((k, view.c * view.r * view.s))
    for start, stop, unrolled in _unrolled(x, view):
        total += _by_filter(dout, view, k, start, stop) @ unrolled.T
    return total


def conv2d_backward_data(
    w: Matrix, dout: Matrix, input_shape: Literals, filter_shape: Literals, stride: Literals, padding: Literals
) -> np.ndarray:
    """The gradient by the images, N x C*H*W, from that of the output (N x K*P*Q). Raises DMLRuntimeError as `conv2d` does."""
    view, k = _setup(input_shape, filter_shape, stride, padding)
    cells = view.c * view.r * view.s
    expect("W of conv2d_backward_data", w, k, cells)
    expect("dout of conv2d_backward_data", dout, view.n, k * view.p * view.q)
    reserve(view.n, view.c * view.h * view.w, "the result of conv2d_backward_data")
    out = np.zeros((view.n, view.c, view.h, view.w))
    w = dense(w)
    for start, stop in view.chunks(cells * view.p * view.q):
        spread = (w.T @ _by_filter(dout, view, k, start, stop)).reshape(view.c, view.r, view.s, stop - start, view.p, view.q)
        images = out[start:stop].transpose(1, 0, 2, 3)
        for i, j, (down, across), (rows, cols) in view.offsets:
            images[:, :, rows, cols] += spread[:, i, j, :, down, across]
    return out.reshape(view.n, view.c * view.h * view.w)


def _setup(input_shape: Literals, filter_shape: Literals, stride: Literals, padding: Literals) -> tuple[Windows, int]:
    """The windows, and the number K of filters."""
    k, c, r, s = integers("filter_shape", filter_shape, "KCRS", least=1)
    view = windows(input_shape, (r, s), stride, padding)
    if c != view.c:
        raise DMLRuntimeError(f"the filters have {c} channels, the images {view.c}")
    return view, k


def _unrolled(x: Matrix, view: Windows) -> Iterator[tuple[int, int, np.ndarray]]:
    """Chunks (start, stop, C*R*S x B*P*Q matrix of the cells under every window)."""
    buffer = np.empty(0)
    for start, stop in view.chunks(view.c * view.r * view.s * view.p * view.q):
        shape = (view.c, view.r, view.s, stop - start, view.p, view.q)
        if buffer.shape != shape:
            # Cells over the padding are never written, so they stay zero from chunk to chunk.
            buffer = np.zeros(shape) if view.padded else np.empty(shape)
        images = view.image(x, start, stop).transpose(1, 0, 2, 3)
        for i, j, (down, across), (rows, cols) in view.offsets:
            buffer[:, i, j, :, down, across] = images[:, :, rows, cols]
        yield start, stop, buffer.reshape(view.c * view.r * view.s, (stop - start) * view.p * view.q)


def _by_filter(dout: Matrix, view: Windows, k: int, start: int, stop: int) -> np.ndarray:
    """The output gradient of images start..stop as K x B*P*Q."""
    return view.grid(dout, start, stop, k).transpose(1, 0, 2, 3).reshape(k, (stop - start) * view.p * view.q)
