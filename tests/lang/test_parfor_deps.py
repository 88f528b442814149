"""Which parfor bodies are accepted, what is said of the others, and that the proof of disjoint cells is neither wrong nor timid."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest

from dmlite.errors import Problems
from dmlite.lang.linear import Interval, Steps, add, constant, multiply, never_meet, number, split, symbol, widen
from dmlite.lang.nodes import For
from dmlite.lang.parfor_deps import ParforResults, check_parfor, parfor_results
from dmlite.lang.parser import parse
from dmlite.lang.walk import assigned

BEFORE = "R = matrix(0,8,8); S = R; X = R; L = list(1,2); n = 4; D = 2; s = 0; j = 1\n"


def loop_of(text: str) -> tuple[For, set[str]]:
    """The last loop of a script and the names assigned before it."""
    body = parse(BEFORE + text).body
    loop = next(s for s in reversed(body) if isinstance(s, For))
    return loop, assigned(body[: body.index(loop)])


def found(text: str, scalars: tuple[str, ...] = ("n", "D", "s", "j")) -> list[str]:
    problems = Problems()
    loop, defined = loop_of(text)
    check_parfor(loop, defined, scalars, problems)
    return [f"{p.span.line}:{p.span.col} {p.message}" for p in problems.found]


ACCEPTED = [
    # cells of its own for every iteration
    "parfor (i in 1:8) R[i,1] = i",
    "parfor (i in 1:8) R[i,] = R[i,] * 2 + i",
    "parfor (i in 1:8) R[,i] = X[,i]",
    "parfor (i in 1:8) R[1,i] = i",
    "parfor (i in 1:8) R[i] = X[i]",
    "parfor (i in 8:1) R[9-i,1] = i",
    "parfor (i in 1:8) R[i,1] += i",
    "parfor (i in seq(1,8,2)) R[i:(i+1),1] = X[i:(i+1),1]",
    "parfor (i in seq(7,1,-2)) R[i:(i+1),1] = X[i:(i+1),1]",
    "parfor (i in 1:4) R[(2*i-1):(2*i),1] = X[1:2,1]",
    "parfor (i in 1:4) { R[2*i,1] = i; R[2*i-1,1] = -i }",
    "parfor (i in 1:4) { R[i,1] = i; R[i+4,1] = -i }",
    "parfor (i in 1:4) R[i,1] = as.scalar(R[i+4,1])",
    "parfor (i in 1:8) { R[i,1] = i; R[i,2] = as.scalar(R[i,1]) }",
    "parfor (i in 1:8) { R[i,1] = i; S[i,1] = sum(X) }",
    "parfor (i in 1:8) R[i,1] = nrow(R) + ncol(R)",
    "parfor (i in 1:8) L[i] = i",
    # blocks of a size known only at run time
    "parfor (i in 1:n) R[((i-1)*D+1):(i*D),] = X[1:D,]",
    "parfor (i in 1:n) { a = (i-1)*D + 1; b = i*D; R[a:b,] = X[1:D,] }",
    "parfor (i in 1:n) R[((i-1)*nrow(X)+1):(i*nrow(X)),] = X",
    "parfor (i in 1:n) R[((i-1)*(D+1)+1):(i*(D+1)),] = X",
    "parfor (i in 1:n) R[((i-1)*(n %/% 2)+1):(i*(n %/% 2)),] = X",
    "parfor (i in 1:n) R[i+n,] = X[i,]",
    "parfor (i in 1:n) R[i/1,] = X[i,]",
    # inner loops, their variables and scalars computed on the way
    "parfor (i in 1:8) for (j in 1:8) R[i,j] = i + j",
    "parfor (i in 1:8) parfor (k in 1:8) R[i,k] = i + k",
    "parfor (i in 1:8) for (k in i:8) R[i,k] = i",
    "parfor (i in 1:4) for (k in 1:2) R[(i-1)*2+k,1] = k",
    "parfor (i in 1:4) for (k in 2:1) R[(i-1)*2+k,1] = k",
    "parfor (i in 1:4) for (k in seq(0,1)) R[2*i-k,1] = k",
    "parfor (i in 1:4) for (k in seq(1,D,1)) R[(i-1)*D+k,1] = k",
    "parfor (i in 1:4) for (k in 1:D) R[(i-1)*D+k,1] = k",
    "parfor (i in 1:8) { k = i; if (k > 3) { q = 1 } else { q = 2 }; R[k,q] = 1 }",
    "parfor (i in 1:8) { if (i > 3) { k = i } else { k = i }; R[k,1] = 1 }",
    "parfor (i in 1:8) { k = 0; while (k < 3) { k = k + 1; R[i,k] = k } }",
    "parfor (i in 1:8) { i = i + 0; R[i,1] = 1 }",
    # accumulation, locals, nothing written at all
    "parfor (i in 1:8) R += matrix(i,8,8)",
    "parfor (i in 1:8) for (k in 1:2) { R += X; S += X }",
    "parfor (i in 1:8) { Y = X * i; Y[1,1] = 3; q = sum(Y); q = q + 1; print(q) }",
    "parfor (i in 1:8) print(sum(R))",
    "parfor (i in 1:8, check=0) { s = i; R[1,1] = i }",
    "parfor (i in 1:8, check=FALSE) R[1,1] = i",
    "parfor (i in 1:1) R[1,1] = i",
]

REJECTED = [
    ("parfor (i in 1:8) s = i", "2:19", "'s' exists before the loop and is overwritten"),
    ("parfor (i in 1:8) s = s + i", "2:19", "'s' exists before the loop"),
    ("parfor (i in 1:8) X = matrix(i,2,2)", "2:19", "'X' exists before the loop"),
    ("parfor (i in 1:8) [a, X] = f(i)", "2:23", "'X' exists before the loop"),
    ("parfor (i in 1:8) X = ifdef($x, 1)", "2:19", "'X' exists before the loop"),
    ("parfor (i in 1:8, check=1) s = i", "2:28", "'s' exists before the loop"),
    ("parfor (i in 1:8) { if (i > 2) { while (i > 3) { s = i } } }", "2:50", "'s' exists"),
    ("parfor (i in 1:8) { print(j); for (j in 1:2) print(j) }", "2:31", "'j' exists before the loop"),
    ("parfor (i in 1:8) s += i", "2:19", "'s' is a scalar"),
    ("parfor (i in 1:8) { R += X; print(sum(R)) }", "2:21", "also read at 2:39"),
    ("parfor (i in 1:8) { R += X; R[i,1] = 1 }", "2:21", "also written at 2:29"),
    ("parfor (i in 1:8) R[1,1] = i", "2:19", "two iterations may write the same cells of 'R'"),
    ("parfor (i in 1:8) R[,] = X", "2:19", "may write the same cells of 'R'"),
    ("parfor (i in 1:8) R[1,1] += i", "2:19", "may write the same cells of 'R'"),
    ("parfor (i in 1:8) R[i:(i+1),1] = X[1:2,1]", "2:19", "may write the same cells"),
    ("parfor (i in 1:8) R[2*i:(2*i+2),1] = X[1:3,1]", "2:19", "may write the same cells"),
    ("parfor (i in 1:8) R[1:i,1] = X[1:i,1]", "2:19", "may write the same cells"),
    ("parfor (i in 1:8) R[i/2,1] = i", "2:19", "may write the same cells"),
    ("parfor (i in 1:8) R[i*i,1] = i", "2:19", "may write the same cells"),
    ("parfor (i in 1:8) R[i %% 4,1] = i", "2:19", "may write the same cells"),
    ("parfor (i in 1:n) R[i*D,1] = i", "2:19", "may write the same cells"),
    ("parfor (i in 1:n) R[((i-1)*D):(i*D),] = X", "2:19", "may write the same cells"),
    ("parfor (i in 1:8) R[as.scalar(X[i,1]),1] = i", "2:19", "may write the same cells"),
    ("parfor (i in 1:8) { R[i,1] = i; R[i+1,1] = i }", "2:21", "write the same cells of 'R' here and at 2:33"),
    ("parfor (i in 1:5) { R[i,1] = i; R[i+4,1] = -i }", "2:21", "write the same cells of 'R' here and at 2:33"),
    ("parfor (i in 1:8) R[i+1,1] = as.scalar(R[i,1])", "2:19", "read by another iteration at 2:40"),
    ("parfor (i in 1:8) R[i,1] = sum(R)", "2:19", "read by another iteration at 2:32"),
    ("parfor (i in 1:8) { Y = R; R[i,1] = i }", "2:28", "read by another iteration at 2:25"),
    ("parfor (i in 1:8) for (k in 1:8) R[k,1] = i", "2:34", "may write the same cells"),
    ("parfor (i in 1:8) for (k in 1:8) R[i+k,1] = i", "2:34", "may write the same cells"),
    ("parfor (i in 1:4) for (k in 0:2) R[2*i+k,1] = i", "2:34", "may write the same cells"),
    ("parfor (i in 1:4) for (k in 2:n) R[i*(n-1)+k,1] = i", "2:34", "may write the same cells"),
    ("parfor (i in 1:8) { k = 1; if (i > 3) { k = i }; R[k,1] = 1 }", "2:50", "may write the same cells"),
    ("parfor (i in 1:8) { k = i; while (k < 9) { R[k,1] = 1; k = k + 1 } }", "2:44", "may write the same cells"),
    ("parfor (i in 1:8) { R[k,1] = 1; k = i }", "2:21", "may write the same cells"),
    ('parfor (i in 1:8) L["a"] = i', "2:19", "may write the same cells of 'L'"),
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_accepted(text):
    assert found(text) == []


@pytest.mark.parametrize(("text", "place", "fragment"), REJECTED)
def test_rejected(text, place, fragment):
    messages = found(text)
    assert len(messages) == 1
    assert messages[0].startswith(place + " ")
    assert fragment in messages[0]


def test_every_variable_is_reported_once_with_a_way_out():
    problems = Problems()
    loop, defined = loop_of("parfor (i in 1:8) { R[1,1] = i; R[2,1] = i; S[1,1] = 2; s = 3; s = 4 }")
    check_parfor(loop, defined, {"s"}, problems)
    assert sorted(p.message.split("'")[1] for p in problems.found) == ["R", "S", "s"]
    assert all("check=0" in p.hint for p in problems.found)


@pytest.mark.parametrize(
    ("body", "results", "accumulators"),
    [
        ("R[i,1] = i; q = 2; Y = X; Y[1,1] = 2", ("R",), ()),
        ("R += X; S[i,] = X[i,]", ("S",), ("R",)),
        ("R += X; R[1,1] = 2", ("R",), ()),
        ("for (j in 1:2) { if (i > 2) { [a, S] = f(i) } }; s = 3", ("S", "s"), ()),
        ("i = i + 1; print(i)", (), ()),
        ("R[i,1] += 2", ("R",), ()),
    ],
)
def test_results(body, results, accumulators):
    assert parfor_results(*loop_of(f"parfor (i in 1:8, check=0) {{ {body} }}")) == ParforResults(results, accumulators)


def test_long_sums_in_an_index_are_not_provable_but_harmless():
    assert len(found(f"parfor (i in 1:8) R[{' + '.join(['i'] * 5000)},1] = 1")) == 1
    product = " * ".join(f"(n{k} + i)" for k in range(15))
    assert len(found(f"parfor (i in 1:8) R[{product},1] = 1")) == 1


# ---------------------------------------------------------------- the proof itself
def _line(slope: int, offset: int | Fraction) -> dict:
    return add(multiply(constant(slope), symbol("i")), constant(offset))


def test_disjointness_is_exact_for_whole_numbers():
    """Against all pairs of iterations, for every small stride, offset, width, step and number of iterations."""
    rng = random.Random(7)
    for _ in range(4000):
        stride, p, q = rng.randint(-3, 3), rng.randint(-6, 6), rng.randint(-6, 6)
        u, v, step, trips = rng.randint(1, 4), rng.randint(1, 4), rng.randint(1, 3), rng.randint(1, 6)
        a = Interval(_line(stride, p), _line(stride, p + u - 1))
        b = Interval(_line(stride, q), _line(stride, q + v - 1))
        values = range(0, trips * step, step)
        meet = any(
            max(stride * i + p, stride * k + q) <= min(stride * i + p + u - 1, stride * k + q + v - 1)
            for i, k in itertools.permutations(values, 2)
        )
        assert never_meet(a, b, Steps("i", step, trips)) == (not meet)


def test_disjointness_holds_for_floored_bounds():
    rng = random.Random(8)
    for _ in range(4000):
        stride = Fraction(rng.randint(-8, 8), rng.choice((1, 2, 3)))
        p, q, u, v = (Fraction(rng.randint(0, 12), 4) for _ in range(4))
        a, b = (
            Interval({("i",): stride, (): p}, {("i",): stride, (): p + u}),
            Interval({("i",): stride, (): q}, {("i",): stride, (): q + v}),
        )
        if not never_meet(a, b, Steps("i")):
            continue
        for i, k in itertools.permutations(range(8), 2):
            assert max(stride * i + p, stride * k + q) // 1 > min(stride * i + p + u, stride * k + q + v) // 1


def test_polynomials():
    i, d = symbol("i"), symbol("D")
    block = add(multiply(add(i, constant(-1)), d), constant(1))
    assert split(block, "i") == (d, {("D",): -1, (): 1})
    assert split(multiply(i, i), "i") is None
    assert number(add(i, i, -1)) == 0
    assert number(i) is None


def test_widening_covers_both_directions():
    interval = Interval(add(symbol("i"), symbol("k"), -2), add(symbol("i"), symbol("k")))
    wide = widen(interval, "k", constant(1), constant(3))
    assert wide == Interval(add(symbol("i"), constant(-6)), add(symbol("i"), constant(3)))
    assert widen(Interval(multiply(symbol("k"), symbol("D")), symbol("k")), "k", constant(1), constant(3)) is None


def _random_index(rng: random.Random) -> str:
    terms = rng.sample(("i", "j", "k", "m", str(rng.randint(1, 4))), rng.randint(1, 3))
    return " + ".join(f"{rng.choice((1, 1, 2, 3, -1))}*{t}" for t in terms)


def test_accepted_loops_have_no_conflicts():
    """Random nests run cell by cell: whatever is accepted never touches a written cell in two iterations."""
    rng = random.Random(9)
    accepted = 0
    for _ in range(1500):
        a, b, lo, hi = rng.randint(1, 3), rng.randint(1, 5), rng.randint(0, 2), rng.randint(0, 3)
        scalar, write, read, m = _random_index(rng).replace("k", "j"), _random_index(rng), _random_index(rng), rng.randint(1, 3)
        up, col = write + rng.choice(("", " + 1", " + j")), rng.choice(("1", "i", "j", "k"))
        body = f"for (j in {lo}:{hi}) {{ k = {scalar}; R[{write}:{up}, {col}] = R[{read}, {col}] }}"
        problems = Problems()
        loop = parse(f"parfor (i in {a}:{b}) {body}").body[0]
        check_parfor(loop, {"R", "m"}, {"m"}, problems)
        if problems.found:
            continue
        accepted += 1
        touched: dict[tuple[int, int], set[int]] = {}
        written: set[tuple[int, int]] = set()
        for i in range(a, b + 1) if a <= b else range(a, b - 1, -1):
            for j in range(lo, hi + 1) if lo <= hi else range(lo, hi - 1, -1):
                known = {"i": i, "j": j, "m": m}
                known["k"] = eval(scalar, {}, known)  # noqa: S307
                first, last, at, column = (eval(e, {}, known) for e in (write, up, read, col))  # noqa: S307
                cells = {(row, column) for row in range(first, last + 1)}
                written |= cells
                for cell in (*cells, (at, column)):
                    touched.setdefault(cell, set()).add(i)
        assert all(len(touched[cell]) == 1 for cell in written), body
    assert accepted > 100
