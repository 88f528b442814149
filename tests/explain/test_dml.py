"""HOPs as DML: what is written can be read back as the very same node."""

from __future__ import annotations

import math

import pytest

from dmlite.hop.facts import matrix, scalar
from dmlite.hop.node import HOLE, Hop, literal, live_in, make, postorder
from dmlite.hop.text import dml_to_hop, hop_to_dml
from dmlite.rewrite.phases import ALL


def leaf(name: str):
    return live_in(name), matrix() if name[0].isupper() else scalar("double")


def hole(name: str):
    return make(HOLE, (), name), matrix() if name[0].isupper() else scalar("double")


@pytest.mark.parametrize(
    "text",
    [
        "X + Y * Z",
        "(X + Y) * Z",
        "-X^2",
        "(-X)^2",
        "X^-1",
        "X - (Y - Z)",
        "t(X) %*% (X %*% Y)",
        "!X > 0",
        "X * -1",
        "X[1:n, 3]",
        "X[, j]",
        "min(X, Y)",
        "min(X)",
        "ifelse(X > 0, X, 0)",
        "cbind(X, Y, Z)",
        "matrix(0, 3, 4)",
        "matrix(X, 3, 4, byrow=FALSE)",
        "outer(X, t(Y), \"<\")",
        "sum(X) / nrow(X)",
        "a + 1.5",
        "a * NaN",
        "as.integer(a)",
        'toString(X, sep="\\",\\t\\\\")',
        "square(X)",
        "sumsq(X)",
    ],
)  # fmt: skip
def test_round_trip(text):
    hop = dml_to_hop(text, leaf)
    assert hop_to_dml(hop) == text
    assert dml_to_hop(hop_to_dml(hop), leaf) is hop


@pytest.mark.parametrize("rule", ALL, ids=lambda r: r.name)
def test_both_sides_of_every_rule_round_trip(rule):
    """But for slices of expressions, which DML has not, and draws, which are never the same twice."""
    for hop in (*rule.patterns, rule.replacement):
        operators = {h.op for h in postorder([hop])}
        if hop.op != HOLE and not operators & {"index", "leftindex", "rand"}:
            assert dml_to_hop(hop_to_dml(hop), hole) is hop


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1.0"),
        (-2.5, "-2.5"),
        (True, "TRUE"),
        ('a"b\n</script>', '"a\\"b\\n</script>"'),
        (math.inf, "1e999"),
        ((1, 2), "[1, 2]"),
        (None, "NULL"),
    ],
)
def test_literals(value, text):
    assert hop_to_dml(literal(value)) == text


def test_named_operands_are_written_as_their_names():
    product = dml_to_hop("t(X) %*% Y", leaf)
    total = make("sum", [make("mul", [product, product])])
    assert hop_to_dml(total, {product: "G"}) == "sum(G * G)"
    assert hop_to_dml(product, {product: "G"}) == "t(X) %*% Y"  # the node itself is always spelled out


def test_shared_operands_do_not_explode():
    hop: Hop = live_in("X")
    for _ in range(3000):
        hop = make("add", [hop, hop])
    assert hop_to_dml(hop, limit=3) == "... + ... + (... + ...)"


def test_what_scripts_cannot_say_is_still_written():
    X = live_in("X")
    none = literal(None)
    assert hop_to_dml(make("index", [make("t", [X]), literal(1), none, none, none])) == "(t(X))[1, ]"
    eigen = make("eigen", [X])
    assert hop_to_dml(make("pick", [eigen], 1)) == "(eigen(X))[2]"
    assert hop_to_dml(make("list", [literal(("a", "b")), X, literal(2)])) == "list(a=X, b=2)"
    assert hop_to_dml(live_in("x@17")) == "x"
