"""Random algebra: no level makes a block dearer by the cost model than it is unrewritten, and all give the same numbers.

`DMLITE_FUZZ_N` blocks from seed `DMLITE_FUZZ_SEED` on; a failing one is made small and shown as DML. What was found once
is kept in cost_fixtures/*.dml.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmlite.config import settings
from dmlite.errors import DMLError
from dmlite.flow import Unit, compile
from dmlite.hop.cost import cost_of
from dmlite.hop.infer import FactTable
from dmlite.hop.program import Block
from dmlite.rewrite.phases import optimise
from tests.support import algebra, differential
from tests.support.budget import Budget
from tests.support.fixtures import computed
from tests.support.shrink import shrink

BUDGET = Budget("random algebra blocks", count=1000, seconds=150, batch=50)
LEVELS = differential.LEVELS[1:]
EXPLORED = 25  # every so many blocks at level 4 too, which takes its time
FIXTURES = sorted((Path(__file__).parent / "cost_fixtures").glob("*.dml"))


@cache
def _values() -> dict[str, Any]:
    return algebra.values(algebra.SIZES["small"], 1)


def _block(text: str, size: str) -> Block:
    sizes = algebra.SIZES[size]
    unit = compile(Unit(algebra.sized(text, sizes), inputs=algebra.facts(sizes)), until="hops")
    assert unit.program is not None
    (found,) = unit.program.blocks()
    return found[1]


def problem(text: str, levels: tuple[int, ...], sizes: Iterable[str] = algebra.SIZES) -> str | None:
    """What is wrong with a block in one line that starts with the kind; None when all is well."""
    for size in sizes:
        block = _block(text, size)
        facts = FactTable(block.facts_in, lenient=True)
        before = cost_of([r.hop for r in block.roots], facts).seconds
        assert before is not None, "the generator writes shapes that are not known"
        for level in levels:
            with settings(verify=True):
                roots, firings = optimise(block, facts, level)
            after = cost_of([r.hop for r in roots], facts).seconds
            names = ", ".join(dict.fromkeys(f.rule for f in firings))
            if after is None or after > before * (1 + 1e-9):
                return f"cost at level {level}: {before} s becomes {after} s when {size}, by {names}"
            if size == "small":
                wrong = _difference(block, roots, level)
                if wrong:
                    return f"numbers at level {level}: {wrong}, by {names}"
    return None


def _difference(block: Block, roots: list, level: int) -> str | None:
    """Where a rewritten block gives other numbers, up to what rounding makes of the largest value on the way.

    Sums in another order may be NaN in place of infinite, which is not told apart.
    """
    known: dict = {}
    for old, new in zip(block.roots, roots, strict=True):
        with np.errstate(all="ignore"):
            want, got = (_array(computed(r.hop, _values(), m)) for r, m in ((old, known), (new, {})))
        cells = [_array(v) for v in known.values() if not isinstance(v, tuple)]
        special = any(not np.isfinite(c).all() for c in cells)
        if special and level > 2:
            continue
        scale = max((np.max(np.abs(c[np.isfinite(c)]), initial=1.0) for c in cells), default=1.0)
        if want.shape != got.shape or not np.allclose(_finite(got), _finite(want), rtol=1e-9, atol=1e-12 * scale, equal_nan=True):
            return f"{old.name} is {got.tolist()}, not {want.tolist()}"
    return None


def _array(x: Any) -> np.ndarray:
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x, dtype=float)


def _finite(x: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(x), x, np.nan)


def _smallest(text: str, found: str) -> str:
    """The same kind of failure at the same level, from less text."""
    kind = found.split(":")[0]

    def fails(candidate: str) -> bool:
        try:
            new = problem(candidate, (int(kind[-1]),))
        except (DMLError, AssertionError, ValueError):
            return False  # not a block any more
        return new is not None and new.split(":")[0] == kind

    return shrink(text, fails)


@pytest.mark.parametrize("start", BUDGET.starts())
def test_never_dearer(start: int, record_property: Callable[[str, object], None]) -> None:
    for seed in BUDGET.seeds(start, record_property):
        text = algebra.block(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            levels = LEVELS if seed % EXPLORED else (*LEVELS, 4)
            found = problem(text, levels)
            if found is not None:
                small = _smallest(text, found)
                pytest.fail(f"seed {seed}: {found}\n\n{text}\nmade small:\n{small}\n{problem(small, levels)}", pytrace=False)


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.stem)
def test_fixture(path: Path) -> None:
    assert problem(path.read_text(), LEVELS) is None
