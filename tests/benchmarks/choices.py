"""Plans that are chosen by cost, against what a rule that fires by reflex would have made of the same script.

    python tests/benchmarks/choices.py [CASE ...] [--rounds 9]

Both plans run in turn, operator by operator through the kernels, on the same seeded inputs; their results must agree. Medians
and quartiles of the rounds are printed, beside what the cost model expected. The chosen plan has to be the faster one.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from dmlite.hop.cost import cost_of
from dmlite.hop.infer import FactTable
from dmlite.hop.node import Hop
from dmlite.rewrite.driver import rewrite
from dmlite.rewrite.phases import rules_for
from tests.support.fixtures import Pair, computed, given, inputs, lowered

Roots = dict[str, Hop]
LEAST = 0.02  # seconds that a measurement takes, in as many runs as that needs


@dataclass(frozen=True)
class Case:
    """One choice. reflex: the plan not to be taken, by operators; sizes: as in fixtures, `finite` behind what is known to be.

    operators: what the chosen plan computes with, besides views.
    """

    name: str
    script: str
    reflex: str
    sizes: str
    operators: str

    @property
    def pair(self) -> Pair:
        """Script and other plan as a fixture; every number is positive."""
        known = given(self.sizes.replace(" finite", ""), "; ".join(f"{n} finite" for n in re.findall(r"(\w+)\[[^]]*\] finite", self.sizes)))
        script, other = ("\n".join(half.split("; ")) for half in (self.script, self.reflex))
        return Pair("choices", self.name, script, other, 2, known, {n: replace(g, fact=replace(g.fact, low=0.1)) for n, g in known.items()})


LOSS = "X[1500,1500], A[1500,1000], B[1000,1500]"
LOW_RANK = "S[4000,3000] nnz=60000, U[4000,10], V[3000,10]"
CELLS = "X[600,500], Y[600,500]"
CASES = (
    Case("long inner dimension", "s = sum((X - A %*% B)^2)", "s = wsloss(X, A, t(B))", LOSS, "matmul sumsq_diff"),
    Case(
        "squares needed twice",
        "E = (X - A %*% B)^2; s = sum(E); m = rowMaxs(E)",
        "E = square(X - A %*% B); s = wsloss(X, A, t(B)); m = rowMaxs(E)",
        LOSS,
        "matmul sub square sum rowMaxs",
    ),
    Case("loss over a sparse matrix", "s = sum((S - U %*% t(V))^2)", "s = sumsq_diff(S, U %*% t(V))", LOW_RANK, "wsloss"),
    Case(
        "product beside a sparse matrix",
        "R = (S / (U %*% t(V))) %*% V",
        "R = (S / (U %*% t(V))) %*% V",
        LOW_RANK,
        "wdivmm_div_right",
    ),
    Case("residual times a factor", "R = (U %*% t(V) - S) %*% V", "R = (U %*% t(V) - S) %*% V", LOW_RANK, "tsmm_left matmul matmul sub"),
    Case("factor twice", "R = X * Y * X", "R = X * Y * X", CELLS, "square mul"),
    Case("sum of a factor twice", "s = sum(X * Y * X)", "s = sum(Y * X^2)", CELLS, "tak3"),
    Case("vectors in a product", "R = X * V * W", "R = X * V * W", "X[600,500], V[600,1], W[600,1]", "mul mul"),
    Case("sum of a sum", "s = sum(X + Y)", "s = sum(X + Y)", CELLS, "sum sum add"),
    Case("common factor", "R = A %*% B + A %*% C", "R = A %*% B + A %*% C", "A[800,800] finite, B[800,600], C[800,600]", "add matmul"),
    Case("chain", "R = A %*% B %*% V", "R = (A %*% B) %*% V", "A[1200,1000], B[1000,1200], V[1200,1]", "matmul matmul"),
)


def chosen(case: Case) -> tuple[Roots, FactTable]:
    """The plan of level 2."""
    block = lowered(case.pair, case.pair.before)
    facts = FactTable(block.facts_in)
    roots, _ = rewrite(block, facts, rules_for(2, sizes_known=True))
    return {r.name: r.hop for r in roots}, facts


def reflex(case: Case) -> tuple[Roots, FactTable]:
    """The other plan, as it is written."""
    block = lowered(case.pair, case.pair.after)
    return {r.name: r.hop for r in block.roots}, FactTable(block.facts_in)


def expected(plan: tuple[Roots, FactTable]) -> float:
    """Seconds by the cost model."""
    seconds = cost_of(list(plan[0].values()), plan[1]).seconds
    assert seconds is not None
    return seconds


def run(plan: Roots, values: Mapping[str, Any]) -> tuple[float, dict[str, Any]]:
    """Seconds, and the results."""
    known: dict[Hop, Any] = {}
    start = perf_counter()
    with np.errstate(all="ignore"):
        found = {name: computed(hop, values, known) for name, hop in plan.items()}
    return perf_counter() - start, found


def agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    for name, x in one.items():
        a, b = (np.asarray(y.toarray() if hasattr(y, "toarray") else y) for y in (x, other[name]))
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(1.0, float(np.abs(a).max(initial=0.0))))


def measure(case: Case, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of both plans, run in turn; the first round warms up and compares the results."""
    plans = chosen(case)[0], reflex(case)[0]
    values = inputs(case.pair, sorted(case.pair.draws), "plain")
    agree(*(run(plan, values)[1] for plan in plans))
    repeats = [1 + int(LEAST / run(plan, values)[0]) for plan in plans]
    times = [[sum(run(plan, values)[0] for _ in range(n)) / n for plan, n in zip(plans, repeats, strict=True)] for _ in range(rounds)]
    first, second = np.array(times).T
    return first, second


def _text(seconds: np.ndarray, expected: float) -> str:
    low, middle, high = np.percentile(seconds, (25, 50, 75)) * 1e3
    return f"{middle:8.2f} ms ({low:.2f} to {high:.2f}, expected {expected * 1e3:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", nargs="*", help="names or parts of names; all of them without")
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    slower = []
    for case in CASES:
        if args.case and not any(part in case.name for part in args.case):
            continue
        mine, other = measure(case, args.rounds)
        print(f"{case.name}: {case.script}")
        print(f"  chosen {_text(mine, expected(chosen(case)))}")
        ratio = float(np.median(other / mine))  # round by round, so that what else runs meets both
        print(f"  reflex {_text(other, expected(reflex(case)))}   x {ratio:.2f}", flush=True)
        if ratio < 1:
            slower.append(case.name)
    if slower:
        raise SystemExit(f"the plan that was chosen is the slower one: {', '.join(slower)}")


if __name__ == "__main__":
    main()
