"""The core algorithms and the published scripts give the same here, on workers, and where a small budget makes the planner mix both."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import random_array

from dmlite import dml
from dmlite.config import settings
from tests.scripts.test_published import HEALTHY, shortened
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
# Bytes of a chunk, and of the budget with which some of it must run on workers.
CHUNK, BUDGETS = 16_000, {"linear regression directly": 90_000, "k-means": 130_000, "ALS": 80_000}


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


@pytest.mark.parametrize("name", SCRIPTS)
def test_algorithms_on_workers(name):
    text, inputs = SCRIPTS[name]
    expected, places = run(text, inputs, "B", exec="local")
    assert places == {False}
    found, places = run(text, inputs, "B", exec="dask", chunk=CHUNK)
    assert True in places
    same(found, expected)


@pytest.mark.parametrize("name", BUDGETS)
def test_algorithms_within_a_small_budget(name):
    text, inputs = SCRIPTS[name]
    expected, _ = run(text, inputs, "B", exec="local")
    found, places = run(text, inputs, "B", memory=BUDGETS[name], chunk=CHUNK)
    assert places == {True, False}
    same(found, expected)


@pytest.mark.parametrize("name", ["autoencoder", pytest.param("lstm", marks=pytest.mark.slow)])
def test_published_scripts_on_workers(name):
    if name == "autoencoder":
        text, outputs = shortened(name, 3), ("W1", "W2")
        W1, W2 = autoencoder_weights(3000, 100)
        inputs = {"pushWeights": True, "W1push": W1, "W2push": W2, "X": np.fft.fft(HEALTHY).real}
    else:
        text, outputs = shortened(name, 1), ("W",)
        inputs = {"X": HEALTHY[:, 1:2], "pushWeights": True, "Wpush": lstm_weights(1, 30)}
    expected, _ = run(text, inputs, *outputs, exec="local")
    found, places = run(text, inputs, *outputs, exec="dask", chunk=10_000_000)
    assert places == {True, False}
    same(found, expected)
