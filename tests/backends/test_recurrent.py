"""LSTM layers against plain loops, numerical gradients, and results of SystemDS."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from scipy.sparse import csr_array, issparse

from dmlite.backends.local import recurrent
from dmlite.errors import DMLRuntimeError
from dmlite.hop import facts
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import ShapeError

STORAGES = {"dense": np.array, "sparse": csr_array, "columns": np.asfortranarray}


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


def lstm_case(n: int, t: int, d: int, m: int, seed: int = 0):
    return cells(n, t * d, seed), cells(d + m, 4 * m, seed + 1), cells(1, 4 * m, seed + 2), cells(n, m, seed + 3), cells(n, m, seed + 4)


def loop_lstm(x, w, b, out0, c0, sequences: bool):
    """One step after the other, as the equations are written."""
    m, outs, cs, gates = out0.shape[1], [], [], []
    d = w.shape[0] - m
    sigmoid = lambda z: 1 / (1 + np.exp(-z))  # noqa: E731
    h, c = out0, c0
    for step in range(x.shape[1] // d):
        z = np.hstack((x[:, step * d : (step + 1) * d], h)) @ w + b
        i, f, o = (sigmoid(z[:, k * m : (k + 1) * m]) for k in range(3))
        g = np.tanh(z[:, 3 * m :])
        c = f * c + i * g
        h = o * np.tanh(c)
        outs, cs, gates = [*outs, h], [*cs, c], [*gates, np.hstack((i, f, o, g))]
    rows = lambda steps: np.vstack([s.reshape(1, -1) for s in steps])  # noqa: E731
    return np.hstack(outs) if sequences else h, c, rows(outs), rows(cs), rows(gates)


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("n,t,d,m", [(3, 4, 2, 3), (1, 1, 1, 1), (2, 5, 1, 4), (4, 1, 3, 2)])
def test_lstm(storage, sequences: bool, n: int, t: int, d: int, m: int) -> None:
    case = lstm_case(n, t, d, m)
    stored = [storage(a) for a in case]
    results = recurrent.lstm(*stored, sequences)
    for got, expected in zip(results, loop_lstm(*case, sequences), strict=True):
        close(got, expected, 1e-13)
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations((*results, *case), 2))
    dout, dc = cells(*results[0].shape, 8), cells(n, m, 9)
    gradients = recurrent.lstm_backward(*stored, sequences, storage(dout), storage(dc), *map(storage, results[2:]))

    def loss(*arguments: np.ndarray) -> float:
        out, c, *_ = loop_lstm(*arguments, sequences)
        return (out * dout).sum() + (c * dc).sum()

    for k, gradient in enumerate(gradients):
        close(gradient, slope(lambda v, k=k: loss(*case[:k], v, *case[k + 1 :]), case[k]), 1e-7)
    for now, before in zip(
        (*case, *(a if isinstance(a, np.ndarray) else a.toarray() for a in stored)), (*lstm_case(n, t, d, m), *case), strict=True
    ):
        assert (now == before).all()


def systemds_case():
    x, w = np.arange(1.0, 13.0).reshape(2, 6) / 10, np.arange(1.0, 33.0).reshape(4, 8) / 20 - 0.7
    return x, w, np.arange(1.0, 9.0).reshape(1, 8) / 10, np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([[-0.1, 0.3], [0.2, 0.5]])


def test_lstm_as_systemds_gives_it() -> None:
    out, c, *caches = recurrent.lstm(*systemds_case(), True)
    close(
        out,
        [
            [0.19964310, 0.37439335, 0.34886197, 0.48407811, 0.42109548, 0.54474251],
            [0.25540456, 0.40712235, 0.27431018, 0.41437168, 0.25388285, 0.39400089],
        ],
        1e-8,
    )
    close(c, [[0.73151716, 0.99706790], [0.46293291, 0.70887234]], 1e-8)
    close(caches[0][0], [0.19964310, 0.37439335, 0.25540456, 0.40712235], 1e-8)
    close(caches[2][2, :8], [0.48589681, 0.53499749, 0.58342910, 0.63030215, 0.67484044, 0.71642710, 0.80876708, 0.86680912], 1e-8)
    dx, dw, db, dout0, dc0 = recurrent.lstm_backward(*systemds_case(), True, out * out, c, *caches)
    close(
        dx,
        [
            [-0.41743083, -0.04331153, -0.50335692, -0.07653686, -0.53577156, -0.10595144],
            [-0.26032642, -0.04008335, -0.30065632, -0.04694401, -0.31901611, -0.05684275],
        ],
        1e-8,
    )
    close(dw[3], [0.23153988, 0.40389894, 0.11850640, 0.31153395, 0.06177668, 0.17536484, 0.24078232, 0.31338538], 1e-8)
    close(db, [[0.60564563, 1.07069461, 0.26524948, 0.77505424, 0.16540355, 0.49022294, 0.66103189, 0.88391819]], 1e-8)
    close(dout0, [[0.33080777, 0.70492708], [0.18015972, 0.40040279]], 1e-8)
    close(dc0, [[0.37608266, 0.68310606], [0.17322269, 0.37406674]], 1e-8)
    last, c, *caches = recurrent.lstm(*systemds_case(), False)
    dx, *_, dc0 = recurrent.lstm_backward(*systemds_case(), False, last * last, c, *caches)
    close(dx[0], [-0.35224603, -0.03709511, -0.44803198, -0.06961318, -0.53577156, -0.10595144], 1e-8)
    close(dc0, [[0.32700556, 0.58109443], [0.13695469, 0.29328521]], 1e-8)


def test_lstm_ignores_further_rows_of_the_first_state() -> None:
    x, w, b, out0, c0 = lstm_case(3, 4, 2, 3)
    close(recurrent.lstm(x[:2], w, b, out0, c0, False)[0], loop_lstm(x[:2], w, b, out0[:2], c0[:2], False)[0])


def test_lstm_walks_back_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    case = lstm_case(2, 7, 2, 3)
    out, c, *caches = recurrent.lstm(*case, True)
    whole = recurrent.lstm_backward(*case, True, out, c, *caches)
    for steps in (1, 3, 6):
        monkeypatch.setattr(recurrent, "_BLOCK_BYTES", steps * 8 * 2 * 4 * 3)
        for got, expected in zip(recurrent.lstm_backward(*case, True, out, c, *caches), whole, strict=True):
            close(got, expected, 1e-13)


def test_lstm_of_no_sequences() -> None:
    case = lstm_case(0, 4, 2, 3)
    out, c, *caches = recurrent.lstm(*case, False)
    assert out.shape == (0, 3) and caches[2].shape == (4, 0)
    assert [g.shape for g in recurrent.lstm_backward(*case, False, out, c, *caches)] == [a.shape for a in case]


def test_lstm_saturates_without_nan() -> None:
    x, w, b, out0, c0 = lstm_case(2, 3, 1, 2)
    with np.errstate(all="ignore"):
        results = recurrent.lstm(x * 1e6, w * 1e3, b, out0, c0, True)
        gradients = recurrent.lstm_backward(x * 1e6, w * 1e3, b, out0, c0, True, results[0], c0, *results[2:])
    assert all(np.isfinite(r).all() for r in (*results, *gradients))


@pytest.mark.parametrize(
    "position,bad,message",
    [
        (0, np.ones((2, 5)), "X is 2x5 and does not hold whole steps of 2 features, as W of 5x12"),
        (1, np.ones((5, 10)), r"weights of \(D\+M\) x 4M, found 5x10"),
        (1, np.ones((3, 12)), "found 3x12"),
        (2, np.ones((12, 1)), "b is 12x1, expected 1x12"),
        (3, np.ones((1, 3)), "out0 is 1x3, expected 2x3"),
        (4, np.ones((2, 4)), "c0 is 2x4, expected 2x3"),
        (6, np.ones((2, 12)), "dout is 2x12, expected 2x3"),
        (8, np.ones((4, 7)), "cache_out is 4x7, expected 4x6"),
    ],
)
def test_lstm_refuses(position: int, bad: np.ndarray, message: str) -> None:
    case = [*lstm_case(2, 4, 2, 3), False]
    case += [np.ones((2, 3)), np.ones((2, 3)), *recurrent.lstm(*case)[2:]]
    case[position] = bad
    if position < 6:
        with pytest.raises(DMLRuntimeError, match=message):
            recurrent.lstm(*case[:6])
    with pytest.raises(DMLRuntimeError, match=message):
        recurrent.lstm_backward(*case)


def test_sizes_of_lstm() -> None:
    x, w, b, out0, c0 = (facts.matrix(*a.shape) for a in lstm_case(2, 5, 3, 4))
    got = recurrent.lstm(*lstm_case(2, 5, 3, 4), True)
    assert BY_NAME["lstm"].size(x, w, b, out0, c0, facts.constant(True)) == [a.shape for a in got]
    assert BY_NAME["lstm"].size(x, w, b, out0, c0, facts.scalar())[0] == (2, None)
    assert BY_NAME["lstm_backward"].size(x, w, b, out0, c0) == [(2, 15), (7, 16), (1, 16), (2, 4), (2, 4)]
    assert BY_NAME["lstm"].flops(x, w) == 2 * 5 * 16 * (2 * 7 + 40)
    with pytest.raises(ShapeError, match="2x14"):
        BY_NAME["lstm"].size(facts.matrix(2, 14), w, b, out0, c0, facts.scalar())
    assert BY_NAME["lstm"].size(*[facts.matrix()] * 5, facts.scalar()) == [(None, None)] * 5
