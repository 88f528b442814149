"""Expressions that an optimizer is known to have got wrong: every level gives the truth.

`fixtures/defects.dml` holds the cases, blocks of lines that anybody can add to:

    # defect: 4 what it shows             the number of the defect first
    # input: A = np.ones((3, 4)); s = 2   values of variables, in NumPy; csr(x) makes a sparse matrix of x
    # truth: r = np.sum(A + s)            what variables must be, in NumPy over inputs and results
    # check: q > 0                        what else must hold
    the script
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite import MLContext, dml, settings

LEVELS = (0, 2, 3, 4)
DEFECTS = 25
FILE = Path(__file__).parent / "fixtures" / "defects.dml"


@dataclass(frozen=True)
class Case:
    defect: int
    name: str
    inputs: tuple[tuple[str, str], ...]
    truths: tuple[tuple[str, str], ...]
    checks: tuple[str, ...]
    script: str


def _read(block: str) -> Case:
    heads = re.findall(r"^# (\w+): (.*)", block, flags=re.MULTILINE)
    number, name = next(text for key, text in heads if key == "defect").split(" ", 1)
    named = {
        key: tuple(tuple(part.split(" = ", 1)) for k, text in heads if k == key for part in text.split("; ")) for key in ("input", "truth")
    }
    checks = tuple(text for key, text in heads if key == "check")
    script = "\n".join(line for line in block.splitlines() if not line.startswith("#"))
    return Case(int(number), name, named["input"], named["truth"], checks, script.strip())


CASES = [_read(block) for block in re.split(r"\n(?=# defect:)", FILE.read_text(encoding="utf-8"))]


# ---------------------------------------------------------------- what inputs are written with
def _small(rng: np.random.Generator, rows: int, cols: int) -> np.ndarray:
    """Mostly zeros."""
    return np.where(rng.random((rows, cols)) < 0.05, rng.normal(size=(rows, cols)), 0.0)


def _low(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Three columns; some rows are zero, so that the product of two of these has zeros."""
    return np.where(rng.random((rows, 1)) < 0.1, 0.0, rng.random((rows, 3)) + 0.1)


NAMES: dict[str, Any] = {
    "np": np, "nan": np.nan, "inf": np.inf, "rng": np.random.default_rng, "csr": csr_array, "full": lambda x: x.toarray(),
    "small": _small, "low": _low,
}  # fmt: skip


def value(text: str, names: dict[str, Any]) -> Any:
    """What a line of the fixture says."""
    return eval(text, {**NAMES, **names})  # noqa: S307 - fixtures are code of this project


def _array(x: Any) -> np.ndarray:
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x, dtype=float)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.defect}-{c.name.replace(' ', '_')}")
def test_every_level_gives_the_truth(case: Case, level: int):
    inputs = {name: value(text, {}) for name, text in case.inputs}
    results = set(re.findall(r"^(\w+) = (?!function)", case.script, flags=re.MULTILINE)) | {name for name, _ in case.truths}
    with settings(opt_level=level, verify=True):
        run = MLContext().execute(dml(case.script).input(**inputs).output(*sorted(results)))
    found = {name: _array(run.get(name)) for name in results}
    with np.errstate(all="ignore"):
        for name, text in case.truths:
            truth = np.asarray(value(text, {**found, **inputs}), dtype=float)
            assert found[name].shape == truth.shape, name
            np.testing.assert_allclose(found[name], truth, rtol=1e-9, atol=1e-11, equal_nan=True, err_msg=name)
        for text in case.checks:
            assert value(text, {**inputs, **found}), text


def test_every_defect_has_several_cases():
    numbers = [case.defect for case in CASES]
    assert all(numbers.count(n) >= 2 for n in range(1, DEFECTS + 1))
    assert len({(c.defect, c.name) for c in CASES}) == len(CASES)
