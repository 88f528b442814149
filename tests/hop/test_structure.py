"""What is claimed about results holds: ranges, wholeness, structure and non-zero bounds against the kernels' own numbers."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dmlite.backends.local import registry
from dmlite.hop.facts import Fact, constant, matrix
from dmlite.hop.infer import FactTable
from dmlite.hop.node import literal, live_in, make
from dmlite.hop.ops import BY_NAME
from dmlite.hop.structure import _RULES

RNG = np.random.default_rng(11)
LOWER = np.tril(RNG.normal(size=(4, 4)))
MATRICES = [
    RNG.normal(size=(4, 4)),
    RNG.integers(-3, 4, size=(4, 4)).astype(float),
    np.abs(RNG.normal(size=(4, 4))) + 0.5,
    -np.abs(RNG.normal(size=(4, 4))) - 0.5,
    LOWER,
    LOWER.T.copy(),
    LOWER + LOWER.T,
    np.diag([1.0, 2.0, 0.0, -1.0]),
    np.eye(4)[[2, 0, 1, 3]],
    np.zeros((4, 4)),
    np.array([[np.nan, 1, 2, 3], [4, np.inf, 0, 0], [1, 1, 1, 1], [0, -np.inf, 0, 2]]),
    np.full((4, 4), 1e200),
    RNG.normal(size=(4, 1)),
    np.array([[2.0]]),
]
SCALARS = [0.0, 1.0, -2.5, 3, float("inf"), float("nan"), 1e300]


def describe(x: np.ndarray) -> Fact:
    """Everything true of a matrix, as tightly as can be said."""
    finite = x[~np.isnan(x)]
    square = x.shape[0] == x.shape[1]
    structure = set()
    if square:
        structure |= {"symmetric"} if np.array_equal(x, x.T, equal_nan=True) else set()
        structure |= {"lower"} if np.array_equal(x, np.tril(x), equal_nan=True) else set()
        structure |= {"upper"} if np.array_equal(x, np.triu(x), equal_nan=True) else set()
        structure |= {"diagonal"} if np.array_equal(x, np.diag(np.diag(x)), equal_nan=True) else set()
        if ((x == 0) | (x == 1)).all() and (x.sum(0) == 1).all() and (x.sum(1) == 1).all():
            structure.add("permutation")
    return matrix(
        *x.shape,
        int(np.count_nonzero(x)),
        nnz_min=int(np.count_nonzero(x)),
        low=float(finite.min()) if finite.size else -np.inf,
        high=float(finite.max()) if finite.size else np.inf,
        may_nan=not np.isfinite(x).all(),
        integer=bool((np.isinf(finite) | (finite == np.round(finite))).all()),
        structure=frozenset(structure),
    )


def check(op: str, claimed: Fact, result) -> None:
    x = np.atleast_2d(np.asarray(result.toarray() if hasattr(result, "toarray") else result, dtype=float))
    true = describe(x)
    slack = 1e-12 * max(1.0, abs(claimed.low) if np.isfinite(claimed.low) else 1.0, abs(claimed.high) if np.isfinite(claimed.high) else 1.0)
    if (~np.isnan(x)).any():
        assert claimed.low <= true.low + slack and true.high <= claimed.high + slack, op
    assert claimed.may_nan or not true.may_nan, op
    assert not claimed.integer or true.integer, op
    if claimed.is_matrix:
        assert claimed.structure <= true.structure | {"rows_sum_to_one"}, op
        assert claimed.nnz_min <= true.nnz, op
        assert claimed.nnz is None or true.nnz <= claimed.nnz, op


def arities() -> list[tuple[str, int]]:
    skipped = {"fill", "rand", "seq", "index", "order", "reshape", "roll", "diag", "nrow", "ncol", "length"}
    return [(op, len(BY_NAME[op].parameters)) for op in _RULES if op in BY_NAME and op not in skipped]


@pytest.mark.parametrize(("op", "arity"), arities())
def test_claims_hold_for_all_operands(op, arity):
    row = BY_NAME[op]
    operands = [(m, describe(m)) for m in MATRICES]
    if row.kernel.startswith("elementwise.") and arity == 2:
        operands += [(s, constant(s)) for s in SCALARS]
    for chosen in itertools.product(operands, repeat=arity):
        values, facts = [v for v, _ in chosen], [f for _, f in chosen]
        if not any(f.is_matrix for f in facts):
            continue
        hops = [live_in(f"x{i}") for i in range(arity)]
        table = FactTable({f"x{i}": f for i, f in enumerate(facts)}, lenient=True)
        claimed = table[make(op, hops)]
        try:
            with np.errstate(all="ignore"):
                result = registry.kernel(*row.kernel.split("."))(*values)
        except Exception:
            continue  # shapes that do not fit: nothing is claimed of a value that is never made
        check(op, claimed, result)


@pytest.mark.parametrize(
    ("op", "args"),
    [
        ("fill", (0, 3, 3, True)),
        ("fill", (2.5, 2, 3, True)),
        ("fill", (-1, 1, 1, True)),
        ("rand", (20, 30, 0, 1, 1.0, 7, "uniform", 1)),
        ("rand", (20, 30, 2, 5, 0.2, 7, "uniform", 1)),
        ("rand", (20, 30, 0, 1, 1.0, 7, "normal", 1)),
        ("rand", (20, 30, 0, 1, 1.0, 7, "poisson", 3)),
        ("seq", (1, 10, 2)),
        ("seq", (5, 1, None)),
        ("seq", (0, 1, 0.25)),
    ],
)
def test_claims_about_generators(op, args):
    claimed = FactTable({})[make(op, map(literal, args), tag=1 if op == "rand" else 0)]
    check(op, claimed, registry.kernel(*BY_NAME[op].kernel.split("."))(*args))


def test_expected_non_zeros_of_a_draw_are_not_a_bound():
    fact = FactTable({})[make("rand", map(literal, (100, 100, 0, 1, 0.1, -1, "uniform", 1)), tag=2)]
    assert (fact.nnz_min, fact.nnz_avg, fact.nnz) == (0, 1000.0, 10_000)


def test_bounds_widen_in_loops():
    a, b = matrix(2, 2, low=0.0, high=1.0), matrix(2, 2, low=0.0, high=2.0)
    assert a.join(b).high == 2.0
    assert a.join(b, widen=True).high == np.inf and a.join(b, widen=True).low == 0.0
