"""Operator rows: convolution, pooling, channel-wise operations, batch normalisation, LSTM."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dmlite.hop.facts import Fact
from dmlite.hop.ops.row import Op, ShapeError, Size, same

_CONV: Final = "input_shape: V, filter_shape: V, stride: V, padding: V"
_POOL: Final = "input_shape: V, pool_size: V, stride: V, padding: V"
_LSTM: Final = "X: M, W: M, b: M, out0: M, c0: M"


def _numbers(x: Fact, length: int) -> tuple[int, ...] | tuple[None, ...]:
    """The integers of a constant literal list; Nones while it is not known."""
    value: Any = x.value
    if not isinstance(value, tuple) or len(value) != length or not all(isinstance(v, int | float) for v in value):
        return (None,) * length
    return tuple(int(v // 1) for v in value)


def _windows(size: int | None, window: int | None, stride: int | None, pad: int | None) -> int | None:
    """How many windows fit along one side."""
    if size is None or window is None or stride is None or pad is None or stride < 1:
        return None
    if size + 2 * pad < window:
        raise ShapeError(f"a window of {window} does not fit into {size} cells with a padding of {pad}")
    return (size + 2 * pad - window) // stride + 1


def _mul(*factors: int | None) -> int | None:
    product = 1
    for factor in factors:
        if factor is None:
            return None
        product *= factor
    return product


def _windows_2d(image: Fact, window: tuple[int | None, int | None], stride: Fact, padding: Fact) -> int | None:
    """P*Q, the windows of one channel of one image."""
    _, _, height, width = _numbers(image, 4)
    (sh, sw), (ph, pw) = _numbers(stride, 2), _numbers(padding, 2)
    return _mul(_windows(height, window[0], sh, ph), _windows(width, window[1], sw, pw))


def _columns(name: str, x: Fact, found: str, expected: int | None) -> None:
    if x.cols is not None and expected is not None and x.cols != expected:
        raise ShapeError(f"{name}: {found} is {x.shape_text()}, its parameters ask for {expected} columns")


# ---------------------------------------------------------------- convolution
def _conv2d(x: Fact, w: Fact, image: Fact, filters: Fact, stride: Fact, padding: Fact) -> Size:
    k, _, r, s = _numbers(filters, 4)
    _columns("conv2d", x, "X", _mul(*_numbers(image, 4)[1:]))
    _columns("conv2d", w, "W", _mul(*_numbers(filters, 4)[1:]))
    return x.rows, _mul(w.rows if k is None else k, _windows_2d(image, (r, s), stride, padding))


def _conv2d_backward_filter(x: Fact, dout: Fact, image: Fact, filters: Fact, *_: Fact) -> Size:
    k, *crs = _numbers(filters, 4)
    _columns("conv2d_backward_filter", x, "X", _mul(*_numbers(image, 4)[1:]))
    return k, _mul(*crs)


def _conv2d_backward_data(w: Fact, dout: Fact, image: Fact, *_: Fact) -> Size:
    return dout.rows, _mul(*_numbers(image, 4)[1:])


def _conv2d_flops(first: Fact, second: Fact, image: Fact, filters: Fact, stride: Fact, padding: Fact) -> float | None:
    """Two per window, filter and cell of the filter, as in all three of forward, by filter and by data."""
    _, _, r, s = _numbers(filters, 4)
    windows = _windows_2d(image, (r, s), stride, padding)
    return _mul(2, _numbers(image, 4)[0], *_numbers(filters, 4), windows)


# ---------------------------------------------------------------- pooling
def _pool(x: Fact, image: Fact, size: Fact, stride: Fact, padding: Fact) -> Size:
    r, s = _numbers(size, 2)
    _columns("pooling", x, "X", _mul(*_numbers(image, 4)[1:]))
    return x.rows, _mul(_numbers(image, 4)[1], _windows_2d(image, (r, s), stride, padding))


def _pool_flops(x: Fact, image: Fact, size: Fact, stride: Fact, padding: Fact) -> float | None:
    r, s = _numbers(size, 2)
    return _mul(x.rows, _numbers(image, 4)[1], r, s, _windows_2d(image, (r, s), stride, padding))


def _pool_backward_flops(x: Fact, dout: Fact, *parameters: Fact) -> float | None:
    return _mul(3, _pool_flops(x, *parameters))


def _batch_norm2d(x: Fact, gamma: Fact, *_: Fact) -> list[Size]:
    return [same(x), *[(gamma.rows, 1)] * 4]


def _batch_norm2d_backward(x: Fact, dout: Fact, gamma: Fact, *_: Fact) -> list[Size]:
    return [same(x), (gamma.rows, 1), (gamma.rows, 1)]


def _per_cell(work: float) -> Callable[..., float | None]:
    return lambda x, *_: None if x.cells is None else work * x.cells


# ---------------------------------------------------------------- LSTM
def _lstm_dims(x: Fact, w: Fact) -> tuple[int | None, int | None]:
    """T time steps and M units, from X (N x T*D) and W ((D+M) x 4M)."""
    if w.cols is not None and (w.cols == 0 or w.cols % 4 or (w.rows is not None and w.rows <= w.cols // 4)):
        raise ShapeError(f"lstm needs weights of (D+M) x 4M, found {w.shape_text()}")
    m = None if w.cols is None else w.cols // 4
    d = None if w.rows is None or m is None else w.rows - m
    if x.cols is None or d is None:
        return None, m
    if x.cols % d:
        raise ShapeError(f"lstm: X is {x.shape_text()} and does not hold whole steps of {d} features, as W of {w.shape_text()} asks for")
    return x.cols // d, m


def _lstm(x: Fact, w: Fact, b: Fact, out0: Fact, c0: Fact, sequences: Fact) -> list[Size]:
    t, m = _lstm_dims(x, w)
    steps = {True: t, False: 1}.get(sequences.value if sequences.is_const else None)
    state = _mul(x.rows, m)
    return [(x.rows, _mul(steps, m)), (x.rows, m), (t, state), (t, state), (t, _mul(4, state))]


def _lstm_backward(x: Fact, w: Fact, b: Fact, out0: Fact, c0: Fact, *_: Fact) -> list[Size]:
    m = _lstm_dims(x, w)[1]
    return [same(x), same(w), (1, w.cols), (x.rows, m), (x.rows, m)]


def _lstm_flops(x: Fact, w: Fact, *_: Fact) -> float | None:
    """The product of every step, and about 40 per gate for the exponentials."""
    return _mul(x.rows, _lstm_dims(x, w)[0], w.cols, None if w.rows is None else 2 * w.rows + 40)


def _lstm_backward_flops(x: Fact, w: Fact, *_: Fact) -> float | None:
    return _mul(2, _lstm_flops(x, w))


ROWS: Final[tuple[Op, ...]] = (
    Op(
        "conv2d",
        f"X: M, W: M, {_CONV}",
        "M",
        "convolution.conv2d",
        "Cross-correlation of N images C*H*W with K filters C*R*S; N x K*P*Q.",
        _conv2d,
        flops=_conv2d_flops,
    ),
    Op(
        "conv2d_backward_filter",
        f"X: M, dout: M, {_CONV}",
        "M",
        "convolution.conv2d_backward_filter",
        "Gradient of conv2d by its filters; K x C*R*S.",
        _conv2d_backward_filter,
        flops=_conv2d_flops,
    ),
    Op(
        "conv2d_backward_data",
        f"W: M, dout: M, {_CONV}",
        "M",
        "convolution.conv2d_backward_data",
        "Gradient of conv2d by its images; N x C*H*W.",
        _conv2d_backward_data,
        flops=_conv2d_flops,
    ),
    Op("max_pool", f"X: M, {_POOL}", "M", "pooling.max_pool", "Maximum of every window; N x C*P*Q.", _pool, flops=_pool_flops),
    Op(
        "avg_pool",
        f"X: M, {_POOL}",
        "M",
        "pooling.avg_pool",
        "Mean of every window, padding counted as 0; N x C*P*Q.",
        _pool,
        flops=_pool_flops,
    ),
    Op(
        "max_pool_backward",
        f"X: M, dout: M, {_POOL}",
        "M",
        "pooling.max_pool_backward",
        "Gradient of max_pool, to the first maximum of each window.",
        same,
        lambda x, dout, *_: dout.nnz,
        flops=_pool_backward_flops,
    ),
    Op(
        "avg_pool_backward",
        f"X: M, dout: M, {_POOL}",
        "M",
        "pooling.avg_pool_backward",
        "Gradient of avg_pool, spread over each window.",
        same,
        flops=_pool_backward_flops,
    ),
    Op(
        "softmax",
        "X: M",
        "M",
        "neural.softmax",
        "exp(X - rowMaxs(X)), divided by its row sums.",
        same,
        flops=_per_cell(25),
        spelling="softmax()",
    ),
    Op("bias_add", "X: M, b: M", "M", "neural.bias_add", "Adds b[k] (K x 1) to the k-th of K blocks of columns.", same),
    Op(
        "bias_multiply",
        "X: M, b: M",
        "M",
        "neural.bias_multiply",
        "Multiplies the k-th of K blocks of columns by b[k] (K x 1).",
        same,
        lambda x, b: x.nnz,
    ),
    Op(
        "batch_norm2d",
        "X: M, gamma: M, beta: M, ema_mean: M, ema_var: M, mode: T, eps: D, mu: D",
        "M,M,M,M,M",
        "neural.batch_norm2d",
        '[out, ema_mean, ema_var, cache_mean, cache_inv_var]: normalises every channel; mode is "train" or "test".',
        _batch_norm2d,
        flops=_per_cell(7),
    ),
    Op(
        "batch_norm2d_backward",
        "X: M, dout: M, gamma: M, eps: D, cache_mean: M, cache_inv_var: M",
        "M,M,M",
        "neural.batch_norm2d_backward",
        "[dX, dgamma, dbeta]: gradient of batch_norm2d in training.",
        _batch_norm2d_backward,
        flops=_per_cell(11),
    ),
    Op(
        "lstm",
        f"{_LSTM}, return_sequences: B",
        "M,M,M,M,M",
        "recurrent.lstm",
        "[out, c, cache_out, cache_c, cache_ifog]: an LSTM layer over N sequences of T steps.",
        _lstm,
        flops=_lstm_flops,
    ),
    Op(
        "lstm_backward",
        f"{_LSTM}, given_sequences: B, dout: M, dc: M, cache_out: M, cache_c: M, cache_ifog: M",
        "M,M,M,M,M",
        "recurrent.lstm_backward",
        "[dX, dW, db, dout0, dc0]: gradient of lstm through time.",
        _lstm_backward,
        flops=_lstm_backward_flops,
    ),
)
