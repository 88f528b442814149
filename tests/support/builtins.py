"""Calling the builtins that are written in DML, and real data to call them with."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import scipy.sparse as sp

from dmlite import dml

STORAGES = {"dense": np.asarray, "sparse": sp.csr_array}


def call(script: str, **inputs):
    """Run one assignment; what stands left of its `=` comes back, matrices as dense arrays."""
    names = [name.strip() for name in script.split("=", 1)[0].strip(" []\n").split(",")]
    bound = dml(script)
    for name, value in inputs.items():
        bound = bound.input(name, value)
    results = bound.output(*names).execute()
    values = [results.get(name) for name in names]
    values = [value.toNumPy() if hasattr(value, "toNumPy") else value for value in values]
    values = [value.toarray() if sp.issparse(value) else value for value in values]
    return values[0] if len(values) == 1 else tuple(values)


@functools.cache
def data(name: str, standardised: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """The rows and targets (n x 1; classes from 1) of a data set that ships with scikit-learn."""
    datasets = pytest.importorskip("sklearn.datasets")
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    if standardised:
        X = (X - X.mean(0)) / np.where(X.std(0) == 0, 1, X.std(0))
    return X, y.reshape(-1, 1) + (0.0 if name == "diabetes" else 1.0)
