"""The anomaly scripts: data bit for bit, training against the same arithmetic in NumPy, files in and out."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite.tools.cli import main
from tests.support.material import SCRIPTS, recording
from tests.support.reference_models import (
    autoencoder_weights,
    lorenz,
    lstm_weights,
    train_autoencoder,
    train_lstm,
)
from tests.support.scripts import run

HEALTHY, BROKEN = (10, 28, 8 / 3), (30, 128, 28 / 3)


def script(name: str) -> str:
    return str(SCRIPTS / f"{name}.dml")


def dollars(**values: object) -> dict[str, object]:
    return {f"${name}": value for name, value in values.items()}


@pytest.mark.parametrize(("name", "shape"), [("healthy", HEALTHY), ("broken", BROKEN)])
def test_lorenz_is_exact_to_the_last_bit(name, shape):
    data = run(script("lorenz"), dollars(**dict(zip("abc", shape, strict=True))), "data")[0]
    np.testing.assert_array_equal(data, lorenz(*shape))
    published = recording(f"{name}.phase_aligned.csv")
    if published is not None:
        np.testing.assert_array_equal(data, published)


def test_lorenz_parameters():
    default = run(script("lorenz"), {}, "data")[0]
    np.testing.assert_array_equal(default, lorenz(*HEALTHY))
    other = run(script("lorenz"), dollars(n=20, h=0.002, x0=-1, y0=0.5, z0=9), "data")[0]
    np.testing.assert_array_equal(other, lorenz(*HEALTHY, n=20, h=0.002, start=(-1, 0.5, 9)))


def test_spectrum_across_channels_and_along_time():
    data = lorenz(*HEALTHY, n=333)
    across = run(script("spectrum"), {"X": data}, "spectrum")[0]
    np.testing.assert_allclose(across, np.fft.fft(data).real, atol=1e-12)
    along = run(script("spectrum"), {"X": data} | dollars(over="time"), "spectrum")[0]
    np.testing.assert_allclose(along, np.fft.fft(data, axis=0).real, atol=1e-9)


def test_autoencoder_trains_like_numpy():
    spectrum = np.fft.fft(lorenz(*HEALTHY, n=200)).real
    W1, W2 = autoencoder_weights(200, 10)
    inputs = {"X": spectrum, "W1": W1, "W2": W2} | dollars(hidden=10, iterations=40, every=20, learning_rate=0.01)
    got = run(script("autoencoder"), inputs, "W1", "W2", "losses")
    W1, W2, errors = train_autoencoder(spectrum, W1, W2, iterations=40, learning_rate=0.01, every=20)
    np.testing.assert_allclose(got[0], W1, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got[1], W2, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(got[2], np.column_stack([[20, 40], errors]), rtol=1e-12)


def test_lstm_trains_like_numpy():
    series, W = lorenz(*HEALTHY, n=300)[:, 1], lstm_weights(1, 6)
    inputs = {"X": series, "W": W} | dollars(inputs=24, outputs=6, iterations=30, every=10)
    got = run(script("lstm"), inputs, "W", "losses")
    W, losses = train_lstm(series, W, iterations=30, in_steps=24, out_steps=6)
    np.testing.assert_allclose(got[0], W, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(got[1], np.column_stack([[0, 10, 20], losses[::10]]), rtol=1e-9)


def test_training_starts_at_random_weights_when_none_are_given():
    settings = dollars(inputs=8, outputs=2, iterations=1)
    W, losses = run(script("lstm"), {"X": lorenz(*HEALTHY, n=60)} | settings, "W", "losses")
    assert W.shape == (3, 8) and losses.shape == (1, 2)
    again, _ = run(script("lstm"), {"X": lorenz(*HEALTHY, n=60)} | settings, "W", "losses")
    assert (again != W).any()


def test_from_files_to_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def dmlite(name: str, *values: str) -> None:
        assert main(["run", script(name), "-nvargs", *values]) == 0

    dmlite("lorenz", "n=200", "out=healthy.csv")
    dmlite("spectrum", "X=healthy.csv", "out=spectrum.csv")
    dmlite("autoencoder", "X=spectrum.csv", "hidden=5", "iterations=4", "every=2", "out=first")
    dmlite("autoencoder", "X=spectrum.csv", "iterations=2", "every=2", "W1=first.W1.csv", "W2=first.W2.csv")
    dmlite("lstm", "X=healthy.csv", "inputs=15", "outputs=5", "iterations=4", "every=2", "out=second")
    dmlite("lstm", "X=healthy.csv", "inputs=15", "outputs=5", "iterations=1", "W=second.W.csv")
    lines = capsys.readouterr().out.split("\n")
    heads = [line.split(" loss=")[0] for line in lines if line]
    assert heads == ["iter=2", "iter=4", "iter=2", "iter=0", "iter=2", "iter=0"]
    losses = [float(line.split("loss=")[1]) for line in lines if line]
    assert losses[0] > losses[1] > losses[2] and losses[3] > losses[4] > losses[5]
    np.testing.assert_array_equal(np.loadtxt("healthy.csv", delimiter=","), lorenz(*HEALTHY, n=200))
    np.testing.assert_allclose(np.loadtxt("first.losses.csv", delimiter=","), [[2, losses[0]], [4, losses[1]]], rtol=1e-15)
