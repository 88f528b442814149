"""Convolution, pooling and normalisation against plain loops, numerical gradients, and results of SystemDS."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_array, issparse

from dmlite.backends.local import convolution, neural, pooling, windows
from dmlite.errors import DMLRuntimeError
from dmlite.hop import facts
from dmlite.hop.facts import Fact
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import ShapeError

STORAGES = {"dense": np.array, "sparse": csr_array, "columns": np.asfortranarray}
# (N, C, H, W), (K, R, S), stride, padding
GEOMETRIES = [
    ((2, 1, 3, 3), (1, 2, 2), (1, 1), (1, 1)),
    ((3, 2, 6, 5), (4, 3, 2), (2, 1), (1, 0)),
    ((1, 1, 1, 1), (1, 1, 1), (1, 1), (0, 0)),
    ((2, 3, 4, 4), (2, 4, 4), (1, 1), (0, 0)),
    ((2, 2, 5, 7), (3, 3, 3), (3, 2), (2, 2)),
    ((2, 1, 4, 4), (2, 1, 1), (3, 3), (2, 1)),
    ((0, 2, 4, 4), (3, 2, 2), (1, 1), (0, 0)),
]


def cells(rows: int, cols: int, seed: int = 0, share: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, cols)) * (rng.random((rows, cols)) < share)


def close(a, b, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(a.toarray() if issparse(a) else a, b, rtol=tolerance, atol=tolerance)


def slope(f: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """The gradient of a scalar function by central differences."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (f(up) - f(down)) / (2 * step)
    return gradient


def sides_of(shape, window, stride, padding) -> tuple[int, int]:
    """How many windows fit down and across."""
    down, across = ((shape[2 + k] + 2 * padding[k] - window[k]) // stride[k] + 1 for k in range(2))
    return down, across


def windows_of(x: np.ndarray, shape, window, stride, padding, fill: float):
    """Every window by plain loops: its place, and its cells (N, C, R, S)."""
    n, c, h, w = shape
    images = np.full((n, c, h + 2 * padding[0], w + 2 * padding[1]), fill)
    images[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w] = x.reshape(shape)
    for i, j in np.ndindex(sides_of(shape, window, stride, padding)):
        yield i, j, images[:, :, i * stride[0] : i * stride[0] + window[0], j * stride[1] : j * stride[1] + window[1]]


def loop_conv2d(x, w, shape, filters, stride, padding) -> np.ndarray:
    out = np.zeros((shape[0], filters[0], *sides_of(shape, filters[1:], stride, padding)))
    for i, j, window in windows_of(x, shape, filters[1:], stride, padding, 0.0):
        for n, k in np.ndindex(out.shape[:2]):
            out[n, k, i, j] = (window[n].reshape(-1) * w[k]).sum()
    return out.reshape(shape[0], np.prod(out.shape[1:]))


def loop_pool(x, shape, window, stride, padding, reduce, fill: float) -> np.ndarray:
    out = np.zeros((*shape[:2], *sides_of(shape, window, stride, padding)))
    for i, j, values in windows_of(x, shape, window, stride, padding, fill):
        for n, c in np.ndindex(out.shape[:2]):
            out[n, c, i, j] = reduce(values[n, c])
    return out.reshape(shape[0], np.prod(out.shape[1:]))


def conv_arguments(shape, filters, stride, padding) -> tuple:
    k, r, s = filters
    return shape, (k, shape[1], r, s), stride, padding


# ---------------------------------------------------------------- convolution
@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("shape,filters,stride,padding", GEOMETRIES)
def test_conv2d(storage, shape, filters, stride, padding) -> None:
    x, w = cells(shape[0], np.prod(shape[1:]), 1, 0.6), cells(filters[0], shape[1] * filters[1] * filters[2], 2)
    arguments = conv_arguments(shape, filters, stride, padding)
    expected = loop_conv2d(x, w, shape, filters, stride, padding)
    close(convolution.conv2d(storage(x), storage(w), *arguments), expected)
    dout = cells(*expected.shape, 3, 0.6)
    by_filter = convolution.conv2d_backward_filter(storage(x), storage(dout), *arguments)
    by_data = convolution.conv2d_backward_data(storage(w), storage(dout), *arguments)
    close(by_filter, slope(lambda v: (loop_conv2d(x, v, shape, filters, stride, padding) * dout).sum(), w), 1e-6)
    close(by_data, slope(lambda v: (loop_conv2d(v, w, shape, filters, stride, padding) * dout).sum(), x), 1e-6)


@pytest.mark.parametrize("bytes_", [1, 700, 2000])
def test_convolution_and_pooling_in_chunks(monkeypatch: pytest.MonkeyPatch, bytes_: int) -> None:
    shape, filters, stride, padding = (7, 2, 4, 4), (3, 2, 2), (1, 1), (1, 1)
    x, w = cells(7, 32, 1), cells(3, 8, 2)
    arguments = conv_arguments(shape, filters, stride, padding)
    dout, pooled = cells(7, 75, 3), (shape, (2, 2), stride, padding)
    calls = [
        lambda: convolution.conv2d(x, w, *arguments),
        lambda: convolution.conv2d_backward_filter(x, dout, *arguments),
        lambda: convolution.conv2d_backward_data(w, dout, *arguments),
        lambda: pooling.max_pool(x, *pooled),
        lambda: pooling.max_pool_backward(x, dout[:, :50], *pooled),
        lambda: pooling.avg_pool_backward(x, dout[:, :50], *pooled),
    ]
    whole = [call() for call in calls]
    monkeypatch.setattr(windows, "_WORKSPACE_BYTES", bytes_)
    for call, expected in zip(calls, whole, strict=True):
        close(call(), expected, 1e-13)


def test_conv2d_as_systemds_gives_it() -> None:
    x, w = np.arange(1.0, 10.0).reshape(1, 9), np.array([[1.0, 0.0, 0.0, -1.0]])
    got = convolution.conv2d(x, w, (1, 1, 3, 3), (1.0, 1, 2.9, 2), (1, 1), (1, 1))
    assert got.tolist() == [[-1, -2, -3, 0, -4, -4, -4, 3, -7, -4, -4, 6, 0, 7, 8, 9]]


@pytest.mark.parametrize(
    "change,message",
    [
        ({"input_shape": (1, 1, 3)}, r"input_shape must be \[N, C, H, W\]"),
        ({"input_shape": (1, 1, 3, "3")}, "input_shape"),
        ({"input_shape": (1, 1, 3, float("inf"))}, "input_shape"),
        ({"filter_shape": (1, 1, 0, 2)}, "filter_shape"),
        ({"stride": (0, 1)}, "stride"),
        ({"padding": (-1, 1)}, "padding"),
        ({"input_shape": (2, 1, 3, 3)}, "X of conv2d is 1x9, its parameters describe 2x9"),
        ({"input_shape": (1, 1, 2, 3)}, "describe 1x6"),
        ({"filter_shape": (2, 1, 2, 2)}, "W of conv2d is 1x4"),
        ({"filter_shape": (1, 2, 2, 1)}, "filters have 2 channels, the images 1"),
        ({"filter_shape": (1, 1, 4, 1)}, "window of 4 does not fit into 3 cells"),
    ],
)
def test_conv2d_refuses(change: dict, message: str) -> None:
    given = {"input_shape": (1, 1, 3, 3), "filter_shape": (1, 1, 2, 2), "stride": (1, 1), "padding": (0, 0)} | change
    with pytest.raises(DMLRuntimeError, match=message):
        convolution.conv2d(np.ones((1, 9)), np.ones((1, 4)), *given.values())


def test_backward_convolutions_check_the_gradient() -> None:
    arguments = (1, 1, 3, 3), (1, 1, 2, 2), (1, 1), (0, 0)
    for kernel in (convolution.conv2d_backward_filter, convolution.conv2d_backward_data):
        first = np.ones((1, 9 if kernel is convolution.conv2d_backward_filter else 4))
        with pytest.raises(DMLRuntimeError, match=r"dout of conv2d_backward_.* is 1x5, its parameters describe 1x4"):
            kernel(first, np.ones((1, 5)), *arguments)


# ---------------------------------------------------------------- pooling
@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("shape,filters,stride,padding", GEOMETRIES)
def test_pooling(storage, shape, filters, stride, padding) -> None:
    x, window = cells(shape[0], np.prod(shape[1:]), 1, 0.7), filters[1:]
    arguments = shape, window, stride, padding
    if padding < window:
        close(pooling.max_pool(storage(x), *arguments), loop_pool(x, *arguments, np.max, -np.inf))
    average = loop_pool(x, *arguments, np.mean, 0.0)
    close(pooling.avg_pool(storage(x), *arguments), average)
    dout = cells(*average.shape, 2)
    by_average = pooling.avg_pool_backward(storage(x), storage(dout), *arguments)
    close(by_average, slope(lambda v: (loop_pool(v, *arguments, np.mean, 0.0) * dout).sum(), x), 1e-6)
    distinct = cells(shape[0], np.prod(shape[1:]), 3)
    if padding < window:
        by_maximum = pooling.max_pool_backward(storage(distinct), storage(dout), *arguments)
        close(by_maximum, slope(lambda v: (loop_pool(v, *arguments, np.max, -np.inf) * dout).sum(), distinct), 1e-6)


def test_pooling_as_systemds_gives_it() -> None:
    x = np.arange(1.0, 10.0).reshape(1, 9)
    overlapping, apart = ((1, 1, 3, 3), (2, 2), (1, 1), (0, 0)), ((1, 1, 3, 3), (2, 2), (2, 2), (1, 1))
    dout = np.array([[1.0, 2.0, 3.0, 4.0]])
    assert pooling.max_pool(x, *overlapping).tolist() == [[5, 6, 8, 9]]
    assert pooling.avg_pool(x, *apart).tolist() == [[0.25, 1.25, 2.75, 7.0]]
    assert pooling.max_pool_backward(x, dout, *overlapping).tolist() == [[0, 0, 0, 0, 1, 2, 0, 3, 4]]
    assert pooling.max_pool(x - 5, *apart).tolist() == [[-4, -2, 2, 4]]
    assert pooling.max_pool_backward(x - 5, dout, *apart).tolist() == [[1, 0, 2, 0, 0, 0, 3, 0, 4]]


def test_the_first_of_equal_maxima_takes_the_gradient() -> None:
    got = pooling.max_pool_backward(np.ones((1, 9)), np.array([[1.0, 2.0, np.inf, 4.0]]), (1, 1, 3, 3), (2, 2), (1, 1), (0, 0))
    assert got.tolist() == [[1, 2, 0, np.inf, 4, 0, 0, 0, 0]]


def test_pooling_of_nan() -> None:
    got = pooling.max_pool(np.array([[np.nan, 1.0, 2.0, 3.0]]), (1, 1, 2, 2), (1, 2), (1, 1), (0, 0))
    assert np.isnan(got[0, 0]) and got[0, 1] == 3.0


# ---------------------------------------------------------------- bias and normalisation
@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_bias(storage) -> None:
    x, b = cells(4, 6, 1, 0.4), np.array([[10.0], [0.0]])
    each = np.repeat(b[:, 0], 3)
    close(neural.bias_add(storage(x), storage(b)), x + each)
    close(neural.bias_multiply(storage(x), storage(b)), x * each)
    assert neural.bias_add(np.zeros((0, 6)), b).shape == (0, 6)
    assert issparse(neural.bias_multiply(csr_array(np.eye(6)), b))
    for bad in (np.ones((4, 1)), np.ones((1, 2)), np.ones((0, 1))):
        with pytest.raises(DMLRuntimeError, match="4x6"):
            neural.bias_multiply(storage(x), bad)


def norm_case(seed: int = 0):
    x = cells(3, 2 * 4, seed)
    column = lambda a, b: np.array([[a], [b]])  # noqa: E731
    return x, column(1.0, 2.0), column(0.5, -1.0), column(0.1, 0.2), column(1.0, 3.0)


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
def test_batch_norm2d(storage) -> None:
    x, gamma, beta, ema_mean, ema_var = norm_case()
    channels = [x[:, :4], x[:, 4:]]
    mean, var = np.array([[c.mean()] for c in channels]), np.array([[c.var()] for c in channels])
    out, new_mean, new_var, used_mean, used_inv = neural.batch_norm2d(*map(storage, norm_case()), "train", 1e-3, 0.9)
    expected = [(c - mean[k]) / np.sqrt(var[k] + 1e-3) * gamma[k] + beta[k] for k, c in enumerate(channels)]
    close(out, np.hstack(expected))
    close(new_mean, 0.9 * ema_mean + 0.1 * mean)
    close(new_var, 0.9 * ema_var + 0.1 * var)
    close(used_mean, mean)
    close(used_inv, 1 / np.sqrt(var + 1e-3))
    out, new_mean, new_var, used_mean, used_inv = neural.batch_norm2d(*map(storage, norm_case()), "test", 1e-3, 0.9)
    close(out, np.hstack([(c - ema_mean[k]) / np.sqrt(ema_var[k] + 1e-3) * gamma[k] + beta[k] for k, c in enumerate(channels)]))
    assert (new_mean == ema_mean).all() and (new_var == ema_var).all() and (used_mean == ema_mean).all()
    close(used_inv, 1 / np.sqrt(ema_var + 1e-3))


def test_batch_norm2d_gradients() -> None:
    x, gamma, beta, ema_mean, ema_var = norm_case(4)
    dout = cells(3, 8, 5)
    forward = lambda x, gamma, beta: neural.batch_norm2d(x, gamma, beta, ema_mean, ema_var, "train", 1e-3, 0.9)  # noqa: E731
    *_, mean, inv_var = forward(x, gamma, beta)
    dx, dgamma, dbeta = neural.batch_norm2d_backward(x, dout, gamma, 1e-3, mean, inv_var)
    close(dx, slope(lambda v: (forward(v, gamma, beta)[0] * dout).sum(), x), 1e-6)
    close(dgamma, slope(lambda v: (forward(x, v, beta)[0] * dout).sum(), gamma), 1e-6)
    close(dbeta, slope(lambda v: (forward(x, gamma, v)[0] * dout).sum(), beta), 1e-6)


def test_batch_norm2d_as_systemds_gives_it() -> None:
    x = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [3, 1, 2, 9]])
    _, gamma, beta, ema_mean, ema_var = norm_case()
    out, new_mean, _, mean, inv_var = neural.batch_norm2d(x, gamma, beta, ema_mean, ema_var, "train", 1e-3, 0.9)
    close(
        out,
        [
            [-0.54432354, -0.02216177, -2.90103533, -2.14062120],
            [1.54432354, 2.06648531, 0.14062120, 0.90103533],
            [0.5, -0.54432354, -3.66144947, 1.66144947],
        ],
        1e-8,
    )
    close(new_mean, [[0.39], [0.73]])
    close(mean, [[3.0], [5.5]])
    close(inv_var, [[0.52216177], [0.38020707]], 1e-8)
    dx, dgamma, dbeta = neural.batch_norm2d_backward(x, x * x, gamma, 1e-3, mean, inv_var)
    close(
        dx,
        [
            [1.02655906, -0.96617882, -0.50996565, -3.55041302],
            [-0.67845121, 1.50610506, -3.54678555, -0.50391986],
            [-1.91459315, 1.02655906, 4.05130999, 4.05977410],
        ],
        1e-8,
    )
    close(dgamma, [[78.32426533], [173.56452584]], 1e-8)
    close(dbeta, [[76.0], [223.0]])


def test_batch_norm2d_refuses() -> None:
    x, gamma, beta, ema_mean, ema_var = norm_case()
    with pytest.raises(DMLRuntimeError, match="'train' or 'test', found 'TRAIN'"):
        neural.batch_norm2d(x, gamma, beta, ema_mean, ema_var, "TRAIN", 1e-3, 0.9)
    with pytest.raises(DMLRuntimeError, match=r"4x1 parameter .* with 2 channels"):
        neural.batch_norm2d(x, gamma, np.ones((4, 1)), ema_mean, ema_var, "train", 1e-3, 0.9)
    with pytest.raises(DMLRuntimeError, match="dout is 2x8"):
        neural.batch_norm2d_backward(x, x[:2], gamma, 1e-3, ema_mean, ema_var)


# ---------------------------------------------------------------- what the table knows
def literals(*values) -> Fact:
    return Fact("literals", value=values)


def test_sizes_match_the_kernels() -> None:
    for shape, filters, stride, padding in GEOMETRIES:
        lists = conv_arguments(shape, filters, stride, padding)
        known, pool = [literals(*v) for v in lists], (shape, filters[1:], stride, padding)
        known_pool = [literals(*v) for v in pool]
        x, w = cells(shape[0], np.prod(shape[1:])), cells(filters[0], np.prod(lists[1][1:]))
        fx, fw = facts.matrix(*x.shape), facts.matrix(*w.shape)
        out = convolution.conv2d(x, w, *lists)
        assert BY_NAME["conv2d"].size(fx, fw, *known) == out.shape
        fout = facts.matrix(*out.shape)
        assert BY_NAME["conv2d_backward_filter"].size(fx, fout, *known) == w.shape
        assert BY_NAME["conv2d_backward_data"].size(fw, fout, *known) == x.shape
        assert BY_NAME["avg_pool"].size(fx, *known_pool) == pooling.avg_pool(x, *pool).shape
        windows_ = out.shape[1] // filters[0]
        assert BY_NAME["conv2d"].flops(fx, fw, *known) == 2 * out.size * w.shape[1]
        assert BY_NAME["max_pool"].flops(fx, *known_pool) == shape[0] * shape[1] * windows_ * filters[1] * filters[2]


def test_unknown_sizes_stay_unknown() -> None:
    anything = [facts.matrix(), facts.matrix(), *[Fact("literals")] * 4]
    assert BY_NAME["conv2d"].size(*anything) == (None, None)
    assert BY_NAME["conv2d"].flops(*anything) is None
    assert BY_NAME["max_pool"].size(facts.matrix(5, None), *anything[2:]) == (5, None)
    assert BY_NAME["batch_norm2d"].size(facts.matrix(5, 6), facts.matrix()) == [(5, 6), *[(None, 1)] * 4]


def test_shapes_that_never_fit() -> None:
    lists = [literals(1, 1, 3, 3), literals(1, 1, 2, 2), literals(1, 1), literals(0, 0)]
    with pytest.raises(ShapeError, match="X is 1x8"):
        BY_NAME["conv2d"].size(facts.matrix(1, 8), facts.matrix(1, 4), *lists)
    with pytest.raises(ShapeError, match="W is 1x5"):
        BY_NAME["conv2d"].size(facts.matrix(1, 9), facts.matrix(1, 5), *lists)
    with pytest.raises(ShapeError, match="window of 4"):
        BY_NAME["avg_pool"].size(facts.matrix(1, 9), lists[0], literals(4, 4), *lists[2:])
