"""Random programs: every optimisation level against the naive evaluator in tests/support and against level 0, and no dearer.

`DMLITE_FUZZ_N` programs from seed `DMLITE_FUZZ_SEED` on; a failing one is made small and shown as DML. What was found
once is kept in fixtures/*.dml, each with the lines it prints behind `#>`.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.budget import Budget
from tests.support.comparing import same_text
from tests.support.differential import LEVELS, disagreement, run_engine, small_is_large
from tests.support.programs import Program, program
from tests.support.shrink import shrink

BUDGET = Budget("random programs", count=1000, seconds=300, batch=20)
EXPLORED = 25  # every so many programs at level 4 too, which takes its time
FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.dml"))


def _kind(problem: str) -> str:
    """What must stay the same while a program is made smaller: the sort of disagreement, and of an error its text without names."""
    head, _, rest = problem.partition(":")
    return head.split(" at ")[0] + (re.sub(r"'\w+'|\d+", "", rest.split("\n")[0]) if head.startswith(("crash", "refused")) else "")


def _smallest(case: Program, problem: str) -> str:
    def fails(text: str) -> bool:
        try:
            found = disagreement(text, case.inputs)
        except Exception:
            return False  # nonsense that the evaluator does not know to refuse
        return found is not None and _kind(found) == _kind(problem)

    return shrink(case.text, fails)


@pytest.mark.parametrize("start", BUDGET.starts())
def test_random_programs(start: int, record_property: Callable[[str, object], None]) -> None:
    for seed in BUDGET.seeds(start, record_property):
        case = program(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            problem = disagreement(case.text, case.inputs, LEVELS if seed % EXPLORED else (*LEVELS, 4))
            if problem is not None:
                inputs = {n: getattr(v, "shape", v) for n, v in case.inputs.items()}
                pytest.fail(f"seed {seed}: {problem}\ninputs: {inputs}\n\n{_smallest(case, problem)}", pytrace=False)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.stem)
def test_fixture(path: Path, level: int) -> None:
    text = path.read_text()
    lines = [line[3:] for line in text.splitlines() if line.startswith("#>")]
    error = lines.pop().removeprefix("error ") if lines and lines[-1].startswith("error ") else None
    with small_is_large() if level == 2 else contextlib.nullcontext():
        result = run_engine(text, {}, level)
    assert result.crash is None
    assert same_text(result.printed, "".join(line + "\n" for line in lines)), result.printed
    assert error is None if result.error is None else error is not None and error in str(result.error), result.error


def test_the_evaluator_knows_the_fixtures() -> None:
    for path in FIXTURES:
        assert disagreement(path.read_text(), {}) is None, path.stem


def test_shrinking_keeps_only_what_matters() -> None:
    text = 'A = matrix(1, 2, 2)\nB = t(A) + 3\nfor (i in 1:3) { B = B * 2; if (i == 2) { print("x" + sum(B ^ 2)) } }\nprint(sum(A))\n'
    small = shrink(text, lambda t: "sum(" in t and "for" in t)
    assert small.split() == ["for", "(i", "in", "0:0)", "{", "print(sum(0))", "}"] or len(small) < 40
