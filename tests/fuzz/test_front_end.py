"""Damaged scripts: whatever the text, there is a DMLError or a run, never another exception and never a compilation without end.

The scripts of the golden corpus are mutated character by character and token by token. Runs are cut off after a moment,
since a damaged loop may well be endless.
"""

from __future__ import annotations

import contextlib
import io
import random
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest

from dmlite import dml
from dmlite.errors import DMLError
from tests.support.budget import Budget
from tests.support.differential import INTERNAL, deadline

GOLDEN = Path(__file__).parent.parent / "golden"
BUDGET = Budget("random damage", count=800, seconds=150, batch=40)
SEEDS = [
    part for path in sorted(GOLDEN.glob("*.dml")) for part in re.split(r"^#--- name: .*\n", path.read_text(), flags=re.M) if part.strip()
]
TOKEN = re.compile(r"\"[^\"\n]*\"|\w+|%\*%|%%|%/%|<=|>=|==|!=|<-|\+=|\s+|.", re.S)
WORDS = (  # noqa: SIM905
    "if else for while parfor in function return source as ifdef TRUE FALSE matrix list sum print NaN Inf x A f ( ) [ ] { } , ; : = <- += == + - * / ^ "
    '%*% %% %/% ! & | 0 1 -1 2.5 1e3 9223372036854775807 1e308 "" \'a\' "\\n" $x :: # /* */ . @ ~ \\ é \x00 \t'
).split(" ")


def _mutant(rng: random.Random) -> str:
    text = rng.choice(SEEDS)
    for _ in range(rng.randint(1, 4)):
        how = rng.random()
        if how < 0.3:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + rng.choice((chr(rng.randrange(1, 256)), rng.choice("()[]{},;=+\"'\n#"), "")) + text[at + rng.randint(0, 2) :]
        elif how < 0.35:
            text = text[: rng.randrange(len(text) + 1)]
        elif how < 0.4:
            text += "\n" + rng.choice(SEEDS)
        else:
            text = _token_mutant(rng, text)
    return text


def _token_mutant(rng: random.Random, text: str) -> str:
    tokens = TOKEN.findall(text) or [""]
    solid = [i for i, t in enumerate(tokens) if t.strip()] or [0]
    a, b = rng.choice(solid), rng.choice(solid)
    how = rng.randrange(5)
    if how == 0:
        del tokens[a]
    elif how == 1:
        tokens.insert(a, tokens[b])
    elif how == 2:
        tokens[a], tokens[b] = tokens[b], tokens[a]
    else:
        tokens[a] = f" {rng.choice(WORDS)} " if how == 3 else tokens[b]
    return "".join(tokens)


def _failure(text: str) -> str | None:
    """What went wrong other than a DMLError."""
    try:
        with deadline(10):
            dml(text + "\n").compile()
    except DMLError:
        return None
    except Exception as error:
        return f"compiling: {type(error).__name__}: {error}"
    try:
        with deadline(2), contextlib.redirect_stdout(io.StringIO()):
            dml(text + "\n").execute()
    except DMLError as error:
        return str(error) if any(INTERNAL.search(p.message) for p in error.problems) else None
    except TimeoutError:
        return None
    except Exception as error:
        return f"running: {type(error).__name__}: {error}"
    return None


@pytest.fixture(autouse=True)
def _bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an empty folder, and with a memory so small that no damaged size hurts."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(GOLDEN / "data")
    monkeypatch.setattr("dmlite.memory.total_bytes", lambda: 100_000_000)


@pytest.mark.parametrize("start", BUDGET.starts())
def test_damaged_scripts(start: int, record_property: Callable[[str, object], None]) -> None:
    for seed in BUDGET.seeds(start, record_property):
        text = _mutant(random.Random(seed))
        with warnings.catch_warnings(), mock.patch("sys.stdin", io.StringIO()):
            warnings.simplefilter("ignore")
            failure = _failure(text)
        if failure is not None:
            pytest.fail(f"seed {seed}: {failure}\n\n{text}", pytrace=False)


@pytest.mark.parametrize(
    "text", ["", "\n", "#", "/*", '"', "'", "{", "}" * 100, "(" * 3000, "x = " + "-" * 5000 + "1", "x = 1" + " + 1" * 20_000]
)
def test_odd_texts(text: str) -> None:
    assert _failure(text) is None
