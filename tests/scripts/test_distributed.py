"""The core algorithms and the published scripts give the same here, on workers, and where a small budget makes the planner mix both."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import random_array

from dmlite import dml
from dmlite.config import settings
from dmlite.runtime import io
from tests.scripts.test_published import HEALTHY, shortened, started
from tests.support.reference_models import autoencoder_weights, lstm_weights

RNG = np.random.default_rng(1)
X = RNG.standard_normal((600, 12))
X[:200] += 3
TARGET = X @ RNG.standard_normal((12, 1)) + 0.1 * RNG.standard_normal((600, 1))
CLASSES = np.argmax(X[:, :3], axis=1).reshape(-1, 1) + 1.0
RATINGS = random_array((300, 80), density=0.1, format="csr", rng=RNG)
SCRIPTS = {
    "linear regression by CG": ("B = lmCG(X=X, y=y, icpt=1, reg=1e-3, verbose=FALSE)", {"X": X, "y": TARGET}),
    "linear regression directly": ("B = lmDS(X=X, y=y, icpt=1, reg=1e-3, verbose=FALSE)", {"X": X, "y": TARGET}),
    "logistic regression": ("B = multiLogReg(X=X, Y=y, icpt=1, maxi=3, reg=1, verbose=FALSE)", {"X": X, "y": CLASSES}),
    "k-means": ("[C, B] = kmeans(X=X, k=3, runs=1, max_iter=5, seed=7)", {"X": X}),
    "PCA": ("[P, C, a, b] = pca(X=X, K=3)\nB = abs(C)", {"X": X}),
    "ALS": ("[U, V] = alsCG(X=R, rank=3, maxi=2, verbose=FALSE, seed=3)\nB = U %*% V", {"R": RATINGS}),
}
CHUNK, BUDGET = 16_000, 45_000  # bytes; X takes 57,600


def run(text: str, inputs, *outputs: str, **changes):
    """The outputs of a script, and where its operators ran."""
    with settings(**changes):
        script = dml(text).input(**inputs).output(*outputs)
        found = script.execute()
        places = {step.there is not None for r in script.compile().engine.runs for step in r.plan.steps}
    return [found.get(name).toNumPy() for name in outputs], places


def same(found, expected):
    """To the 1e-8 that is promised: sums by chunks round otherwise, which iterations carry on; cells near 0 by the size of the largest."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-8 * np.max(np.abs(other)))


def reading(inputs, folder) -> str:
    """The inputs in files, and the lines of a script that read them."""
    for key, value in inputs.items():
        io.write(value, str(folder / key), format="binary" if isinstance(value, np.ndarray) else "text")
    return "".join(f'{key} = read("{folder / key}")\n' for key in inputs)


@pytest.mark.parametrize("name", SCRIPTS)
def test_algorithms_on_workers(name):
    text, inputs = SCRIPTS[name]
    expected, places = run(text, inputs, "B", exec="local")
    assert places == {False}
    found, places = run(text, inputs, "B", exec="dask", chunk=CHUNK)
    assert True in places
    same(found, expected)


@pytest.mark.parametrize("name", SCRIPTS)
def test_algorithms_on_files_larger_than_the_budget(name, tmp_path):
    """What is read lies on workers, and what follows from small results is here."""
    text, inputs = SCRIPTS[name]
    expected, _ = run(text, inputs, "B", exec="local")
    found, places = run(reading(inputs, tmp_path) + text, {}, "B", memory=BUDGET, chunk=CHUNK)
    assert places == {True, False}
    same(found, expected)


def published_script(name: str):
    """A published script with few iterations, its inputs and outputs."""
    rng = np.random.default_rng(2)
    small = {"X": rng.random((8, 2)), "y": rng.random((8, 1)), "W1start": rng.random((2, 3)), "W2start": rng.random((3, 1))}
    W1, W2 = autoencoder_weights(3000, 100)
    spectrum = {"pushWeights": True, "W1push": W1, "W2push": W2, "X": np.fft.fft(HEALTHY).real}
    series = {"X": HEALTHY[:, 1:2], "pushWeights": True, "Wpush": lstm_weights(1, 30)}
    return {
        "feedforward_plain": lambda: (started(shortened("feedforward_plain", 3), 2), small, ("YhatAfter",)),
        "feedforward_nn": lambda: (started(shortened("feedforward_nn", 3), 2), small, ("YhatAfter",)),
        "autoencoder": lambda: (shortened("autoencoder", 3), spectrum, ("W1", "W2")),
        "lstm": lambda: (shortened("lstm", 1), series, ("W",)),
    }[name]()


def check_published(name: str, folder=None, **changes):
    """folder: for inputs that are read from files, where that is so."""
    text, inputs, outputs = published_script(name)
    expected, _ = run(text, inputs, *outputs, exec="local")
    if folder is not None:
        files = {key: inputs.pop(key) for key in ("W1push", "W2push") if key in inputs}
        text = reading(files, folder) + text
    found, places = run(text, inputs, *outputs, **changes)
    assert places == {True, False}
    same(found, expected)


# The LSTM takes thousands of steps, each of which waits for workers.
@pytest.mark.parametrize(
    ("name", "chunk"),
    [
        ("feedforward_plain", 4000),
        ("feedforward_nn", 4000),
        ("autoencoder", 10_000_000),
        pytest.param("lstm", 1_000_000, marks=pytest.mark.slow),
    ],
)
def test_published_scripts_on_workers(name, chunk):
    check_published(name, exec="dask", chunk=chunk)


@pytest.mark.parametrize(("name", "memory"), [("autoencoder", 1_500_000), ("lstm", 300_000)])
def test_published_scripts_within_a_small_budget(name, memory, tmp_path):
    check_published(name, tmp_path, memory=memory, chunk=500_000)
