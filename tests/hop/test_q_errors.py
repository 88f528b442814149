"""Estimates against measurements, operator by operator, in whole scripts. `-s` prints a table of all scripts.

The q-error is max(estimate/actual, actual/estimate), here the larger one of non-zeros and of bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite import Script, dml
from dmlite.explain.accuracy import size_errors
from dmlite.explain.record import Operator, Record
from tests.support.reference_models import lorenz

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "scripts"
SHARE = 0.95  # of the operators must be within FACTOR
FACTOR = 2.0


@dataclass(frozen=True)
class Case:
    """A script, its inputs, and lines that are replaced: `(old, new)`."""

    path: Path
    inputs: Callable[[np.random.Generator], dict[str, Any]] = lambda _: {}
    edits: tuple[tuple[str, str], ...] = ()

    def script(self) -> Script:
        text = self.path.read_text()
        for old, new in self.edits:
            assert old in text
            text = text.replace(old, new)
        script = dml(text)
        for name, value in self.inputs(np.random.default_rng(5)).items():
            script.input(name, value)
        return script


def skewed(rows: int, cols: int, count: int, rng: np.random.Generator) -> csr_array:
    """Few rows and few columns hold most of the non-zeros, as with ratings."""
    weights = [1.0 / np.arange(5, n + 5) for n in (rows, cols)]
    places = np.unique(np.stack([rng.choice(len(w), count, p=w / w.sum()) for w in weights]), axis=1)
    return csr_array((rng.integers(1, 6, places.shape[1]).astype(float), tuple(places)), shape=(rows, cols))


def one_hot(rows: int, classes: int, rng: np.random.Generator) -> np.ndarray:
    return np.eye(classes)[rng.integers(0, classes, rows)]


def recording(rng: np.random.Generator) -> dict[str, Any]:
    return {"X": lorenz(10, 28, 8 / 3)[:1000]}


def ratings(rng: np.random.Generator) -> dict[str, Any]:
    return {"R": skewed(400, 300, 6000, rng)}


def sparse_features(rng: np.random.Generator) -> dict[str, Any]:
    return {"X": skewed(500, 120, 4000, rng), "y": (rng.random((500, 1)) > 0.5).astype(float)}


def sparse_classes(rng: np.random.Generator) -> dict[str, Any]:
    return {"X": skewed(200, 150, 3000, rng), "Y": one_hot(200, 5, rng)}


def sequences(rng: np.random.Generator) -> dict[str, Any]:
    return {"X": rng.normal(size=(40, 60)), "Y": one_hot(40, 4, rng)}


def images(rng: np.random.Generator) -> dict[str, Any]:
    """Bright strokes on black: most pixels are zero."""
    pixels = rng.random((20, 12, 12)) * (rng.random((20, 12, 1)) < 0.4)
    return {"X": pixels.reshape(20, 144), "Y": one_hot(20, 4, rng)}


def sparse_images(rng: np.random.Generator) -> dict[str, Any]:
    found = images(rng)
    return found | {"X": csr_array(found["X"])}


SHORT = {"autoencoder": "ifdef($iterations, 10000)", "lstm": "ifdef($iterations, 1000)"}
ANOMALY = {
    "lorenz": Case(ROOT / "scripts/anomaly/lorenz.dml", edits=(("ifdef($n, 3000)", "300"),)),
    "spectrum over channels": Case(ROOT / "scripts/anomaly/spectrum.dml", recording),
    "spectrum over time": Case(ROOT / "scripts/anomaly/spectrum.dml", recording, (('ifdef($over, "channels")', '"time"'),)),
    "autoencoder": Case(ROOT / "scripts/anomaly/autoencoder.dml", recording, ((SHORT["autoencoder"], "20"), ("ifdef($every, 100)", "5"))),
    "anomaly LSTM": Case(ROOT / "scripts/anomaly/lstm.dml", recording, ((SHORT["lstm"], "6"), ("ifdef($every, 100)", "3"))),
}
PLAIN = (('conv2d_builtin.dml"', 'conv2d.dml"'), ('max_pool2d_builtin.dml"', 'max_pool2d.dml"'))
CASES = {
    **ANOMALY,
    **{p.stem.replace("_", " "): Case(p) for p in sorted((ROOT / "tests/explain/scripts").glob("*.dml"))},
    "ALS by conjugate gradients": Case(HERE / "als_cg.dml", ratings),
    "regression on sparse features": Case(HERE / "sparse_regression.dml", sparse_features),
    "affine layers on sparse features": Case(HERE / "affine.dml", sparse_classes),
    "LSTM layer": Case(HERE / "lstm.dml", sequences),
    "convolutional": Case(HERE / "convolutional.dml", images),
    "convolutional, on sparse images": Case(HERE / "convolutional.dml", sparse_images),
    "convolutional, written out": Case(HERE / "convolutional.dml", images, PLAIN),
}


def measured(record: Record) -> list[tuple[float, int, Operator]]:
    """The error of every matrix operator that ran on operands of known size, with its block; no estimate is an error without bound."""
    found = []
    for block in record.blocks:
        operators = block.plan.operators
        for operator in operators:
            known = all(
                operators[i].value.kind != "unknown" and operators[i].value.rows is not None
                for i in operator.operands
                if operators[i].value.kind != "scalar"
            )
            if operator.kind == "operator" and known and operator.actual is not None and operator.actual.nnz is not None:
                errors = size_errors(operator)
                found.append((max(errors.values()) if len(errors) == 2 else np.inf, block.number, operator))
    return sorted(found, key=lambda f: -f[0])


def described(error: float, block: int, operator: Operator) -> str:
    value, actual = operator.value, operator.actual
    assert actual is not None
    line = operator.place.line if operator.place else "?"
    sizes = f"{value.rows}x{value.cols}, nnz {value.expected} for {actual.nnz}, bytes {value.bytes} for {actual.bytes} ({actual.storage})"
    return f"{error:8.2f}  block {block}, line {line}: {operator.text}  {sizes}"


@pytest.mark.parametrize("name", CASES)
def test_estimates_are_within_a_factor_of_two(name):
    errors = measured(CASES[name].script().explain(analyze=True).record)
    share = np.mean([error <= FACTOR for error, *_ in errors])
    print(f"\n{name}: {share:.1%} of {len(errors)} operators within {FACTOR:g}, worst {errors[0][0]:.3g}")
    assert share >= SHARE, "\n".join(described(*e) for e in errors if e[0] > FACTOR)


@pytest.mark.parametrize("from_file", [False, True], ids=["variable", "file"])
@pytest.mark.parametrize("name", ANOMALY)
def test_sizes_are_known_before_anything_runs(name, from_file, tmp_path):
    script = ANOMALY[name].script()
    if from_file:
        given = tmp_path / "X.csv"
        dml("write(X, $out, format='csv')").input(**recording(np.random.default_rng(5))).input("$out", str(given)).execute()
        script = script.clearIO().input("$X", str(given))
    operators = [o for b in script.explain().record.blocks for o in b.plan.operators if o.kind == "operator"]
    operators = [o for o in operators if o.value.kind != "scalar"]
    unknown = [o for o in operators if o.value.bytes is None and o.value.kind != "unknown"]
    print(f"\n{name}: {1 - len(unknown) / len(operators):.1%} of {len(operators)} sizes known")
    assert len(unknown) <= (1 - SHARE) * len(operators), "\n".join(f"{o.value.rows}x{o.value.cols}  {o.text}" for o in unknown)
