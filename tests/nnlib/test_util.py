"""The helpers on images and rows, against NumPy on arrays with as many axes as the data have."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.scripts import run

RNG = np.random.default_rng(17)
N, C, H, W = 3, 2, 5, 4
BATCH = RNG.permutation(N * C * H * W).reshape(N, C, H, W).astype(float)  # no two cells alike
IMAGE = BATCH[0].reshape(C, H * W)
ROWS = BATCH.reshape(N, -1)
GEOMETRIES = [(2, 2, 1, 1), (3, 2, 1, 2), (2, 1, 3, 2), (5, 4, 1, 1)]  # filter height and width, strides down and across


def call(expression: str, **inputs: np.ndarray) -> np.ndarray:
    return run(f'source("nn/util.dml") as util\nout = util::{expression}', inputs, "out")[0]


def positions(geometry: tuple[int, int, int, int]) -> list[tuple[slice, slice]]:
    hf, wf, sh, sw = geometry
    return [(slice(p, p + hf), slice(q, q + wf)) for p in range(0, H - hf + 1, sh) for q in range(0, W - wf + 1, sw)]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_windows_to_columns_and_back(geometry):
    sizes = ", ".join(map(str, geometry))
    expected = np.column_stack([BATCH[0][:, rows, cols].reshape(-1) for rows, cols in positions(geometry)])
    columns = call(f"im2col(img, {H}, {W}, {sizes})", img=IMAGE)
    np.testing.assert_array_equal(columns, expected)

    values = RNG.standard_normal(columns.shape)
    added, last = np.zeros((C, H, W)), np.zeros((C, H, W))
    for column, (rows, cols) in zip(values.T, positions(geometry), strict=True):
        added[:, rows, cols] += column.reshape(C, *geometry[:2])
        last[:, rows, cols] = column.reshape(C, *geometry[:2])
    back = call(f'col2im(cols, {C}, {H}, {W}, {sizes}, "add")', cols=values)
    np.testing.assert_allclose(back, added.reshape(C, -1), rtol=1e-14, atol=1e-14)
    np.testing.assert_array_equal(call(f'col2im(cols, {C}, {H}, {W}, {sizes}, "none")', cols=values), last.reshape(C, -1))


@pytest.mark.parametrize(("padh", "padw"), [(1, 2), (0, 1), (2, 0), (0, 0)])
def test_borders(padh, padw):
    expected = np.pad(BATCH[0], ((0, 0), (padh, padh), (padw, padw)), constant_values=7.5).reshape(C, -1)
    padded = call(f"pad_image(img, {H}, {W}, {padh}, {padw}, 7.5)", img=IMAGE)
    np.testing.assert_array_equal(padded, expected)
    np.testing.assert_array_equal(call(f"unpad_image(img, {H}, {W}, {padh}, {padw})", img=padded), IMAGE)


def test_channel_sums():
    np.testing.assert_array_equal(call(f"channel_sums(X, {C}, {H}, {W})", X=ROWS), BATCH.sum((0, 2, 3))[:, None])


def test_transpositions():
    np.testing.assert_array_equal(call(f"transpose_NCHW_to_CNHW(X, {C})", X=ROWS), BATCH.swapaxes(0, 1).reshape(C, -1))
    np.testing.assert_array_equal(call("transpose_NCHW_to_CNHW(X, 4)", X=ROWS[:, :4]), ROWS[:, :4].T)
    np.testing.assert_array_equal(call(f"transpose_ABCD_to_ACBD(X, {C}, {H})", X=ROWS), BATCH.swapaxes(1, 2).reshape(N, -1))


def test_predicted_class_of_pixels_and_of_rows():
    np.testing.assert_array_equal(call(f"predict_class(X, {C}, {H}, {W})", X=ROWS), BATCH.argmax(1).reshape(N, -1) + 1)
    np.testing.assert_array_equal(call("predict_class(X, 40, 1, 1)", X=ROWS), ROWS.argmax(1)[:, None] + 1)


def test_threshold():
    assert call("threshold(X, 2)", X=np.array([[1.0, 2.0, 3.0]])).tolist() == [[0, 0, 1]]


def test_greatest_cells():
    order = np.argsort(-ROWS, axis=1)[:, :3]
    script = 'source("nn/util.dml") as util\n[values, indices] = util::{}'
    values, indices = run(script.format("top_k(X, 3)"), {"X": ROWS}, "values", "indices")
    np.testing.assert_array_equal(values, np.take_along_axis(ROWS, order, 1))
    np.testing.assert_array_equal(indices, order + 1)
    values, indices = run(script.format("top_k_row(X, 2, 3)"), {"X": ROWS}, "values", "indices")
    np.testing.assert_array_equal(values, ROWS[1:2, order[1]])
    np.testing.assert_array_equal(indices, order[1:2] + 1)

    channels = np.argsort(-BATCH, axis=1)[:, :1]
    values, indices = run(script.format(f"top_k2d(X, 1, {C}, {H}, {W})"), {"X": ROWS}, "values", "indices")
    np.testing.assert_array_equal(values, np.take_along_axis(BATCH, channels, 1).reshape(N, -1))
    np.testing.assert_array_equal(indices, channels.reshape(N, -1) + 1)


def test_ties_keep_the_order_of_columns():
    script = 'source("nn/util.dml") as util\n[values, indices] = util::top_k(X, 2)'
    assert run(script, {"X": np.array([[1.0, 3.0, 3.0, 3.0]])}, "indices")[0].tolist() == [[2, 3]]
