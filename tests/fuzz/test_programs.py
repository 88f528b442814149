"""Random programs: the engine at every optimisation level against the naive evaluator in tests/support.

`DMLITE_FUZZ_N` programs from seed `DMLITE_FUZZ_SEED` on; a failing one is made small and shown as DML. What was found
once is kept in fixtures/*.dml, each with the lines it prints behind `#>`.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from pathlib import Path

import pytest

from tests.support.differential import disagreement, run_engine, same_text, small_is_large
from tests.support.programs import Program, program
from tests.support.shrink import shrink

COUNT = int(os.environ.get("DMLITE_FUZZ_N", "400"))
FIRST = int(os.environ.get("DMLITE_FUZZ_SEED", "0"))
BATCH = 20
FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.dml"))


def _kind(problem: str) -> str:
    """What must stay the same while a program is made smaller: the sort of disagreement, and of a crash its text without names."""
    head, _, rest = problem.partition(":")
    return head.split(" at ")[0] + (re.sub(r"'\w+'|\d+", "", rest.split("\n")[0]) if head.startswith("crash") else "")


def _smallest(case: Program, problem: str) -> str:
    def fails(text: str) -> bool:
        with contextlib.suppress(NotImplementedError):
            found = disagreement(text, case.inputs)
            return found is not None and _kind(found) == _kind(problem)
        return False

    return shrink(case.text, fails)


@pytest.mark.parametrize("start", range(FIRST, FIRST + COUNT, BATCH))
def test_random_programs(start: int) -> None:
    for seed in range(start, min(start + BATCH, FIRST + COUNT)):
        case = program(seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                problem = disagreement(case.text, case.inputs)
            except NotImplementedError:
                continue
            if problem is not None:
                inputs = {n: getattr(v, "shape", v) for n, v in case.inputs.items()}
                pytest.fail(f"seed {seed}: {problem}\ninputs: {inputs}\n\n{_smallest(case, problem)}", pytrace=False)


@pytest.mark.parametrize("level", [0, 2, 3])
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
        with contextlib.suppress(NotImplementedError):
            assert disagreement(path.read_text(), {}) is None, path.stem


def test_shrinking_keeps_only_what_matters() -> None:
    text = 'A = matrix(1, 2, 2)\nB = t(A) + 3\nfor (i in 1:3) { B = B * 2; if (i == 2) { print("x" + sum(B ^ 2)) } }\nprint(sum(A))\n'
    small = shrink(text, lambda t: "sum(" in t and "for" in t)
    assert small.split() == ["for", "(i", "in", "0:0)", "{", "print(sum(0))", "}"] or len(small) < 40
