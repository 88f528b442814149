"""Fused operators: which expressions end in which, what keeps one from being made, and whole scripts that run them."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from dmlite import MLContext, dml, settings
from dmlite.hop.cost import cost_of
from dmlite.hop.facts import Fact, matrix, scalar
from dmlite.hop.infer import FactTable
from dmlite.hop.node import HOLE, Hop, live_in, make, postorder
from dmlite.hop.program import Block, Root
from dmlite.hop.text import dml_to_hop
from dmlite.rewrite.driver import rewrite
from dmlite.rewrite.fuse.fusion import Products, factors, transposed
from dmlite.rewrite.pattern import parse_pattern
from dmlite.rewrite.phases import FUSE, rules_for

UV = "(U %*% t(V))"
SPARSE = matrix(3000, 2000, 60_000)
FACTS = {
    **dict.fromkeys("SWX", SPARSE), "D": matrix(3000, 2000), "U": matrix(3000, 10), "V": matrix(2000, 10), "s": scalar("double"),
    "E": matrix(3000, 10), "A": matrix(1500, 1000), "B": matrix(1000, 1500), "C": matrix(1500, 1500), "c": scalar("double"), "Y": matrix(3000, 1),
}  # fmt: skip


def hop_of(text: str, facts: dict[str, Fact] = FACTS) -> Hop:
    return dml_to_hop(text.replace("UV", UV), lambda name: (live_in(name), facts[name]))


def optimised(*texts: str, level: int = 2, facts: dict[str, Fact] = FACTS) -> tuple[list[Hop], FactTable]:
    """The roots that the expressions of one block become."""
    block = Block([Root(f"r{i}", hop_of(t, facts)) for i, t in enumerate(texts)], facts, {})
    table = FactTable(facts)
    with settings(verify=True):
        roots, _ = rewrite(block, table, rules_for(level, sizes_known=True))
    return [r.hop for r in roots], table


def operators(*texts: str, **kw) -> set[str]:
    return {h.op for h in postorder(optimised(*texts, **kw)[0]) if h.args}


# ---------------------------------------------------------------- the table of the weighted family
TABLE = [
    ("sum((X-UV)^2)", {"wsloss"}),
    ("sum((UV-X)^2)", {"wsloss"}),
    ("sum(W*(X-UV)^2)", {"wsloss_post"}),
    ("sum((X!=0)*(X-UV)^2)", {"wsloss_nz"}),
    ("sum((X-W*UV)^2)", {"wsloss_pre"}),
    ("sum(((X-UV)*W)^2)", {"sumsq", "neg", "wdivmm_minus_weighted"}),  # squares the non-zeros instead of the weights
    ("sum((X-UV)^2*W)", {"wsloss_post"}),
    ("W*UV", {"wdivmm_mul"}),
    ("D*UV", {"wdivmm_mul"}),
    ("UV*W", {"wdivmm_mul"}),
    ("(W/UV)%*%V", {"wdivmm_div_right"}),
    ("t(U)%*%(W/UV)", {"wdivmm_div_left"}),
    ("(W*UV)%*%V", {"wdivmm_mul_right"}),
    ("t(U)%*%(W*UV)", {"wdivmm_mul_left"}),
    ("(W/(UV+0.1))%*%V", {"wdivmm_div_right"}),
    ("(W/(UV+s))%*%V", {"wdivmm_div_right"}),
    ("t(U)%*%(W/(UV+0.1))", {"wdivmm_div_left"}),
    ("t(U)%*%((X!=0)*(UV-X))", {"wdivmm_minus_left"}),
    ("((X!=0)*(UV-X))%*%V", {"wdivmm_minus_right"}),
    ("t(U)%*%(W*(UV-X))", {"wdivmm_minus_weighted_left"}),
    ("(W*(UV-X))%*%V", {"wdivmm_minus_weighted_right"}),
    ("(W*(X-UV))%*%V", {"wdivmm_minus_weighted_right", "neg"}),
    ("t(t(U)%*%(W*(UV-X)))", {"wdivmm_minus_weighted", "tmm"}),  # the same work; the transpose never exists
    ("(W*UV)%*%V + 0.1*U", {"wdivmm_mul_right", "add", "mul"}),  # too small for a fused sum to be faster
    ("sum(X*log(UV))", {"wcemm"}),
    ("sum(X*log(UV+0.1))", {"wcemm"}),
    ("sum(X*log(UV+s))", {"wcemm"}),
    ("sum(X*log_base(UV,s))", {"wcemm", "div", "log"}),  # one logarithm more, of a number
    ("X*(1/(1+exp(-UV)))", {"wsigmoid"}),
    ("X*sigmoid_op(UV)", {"wsigmoid"}),
    ("X*sigmoid_op(-UV)", {"wsigmoid_minus"}),
    ("X*(1/(1+exp(UV)))", {"wsigmoid_minus"}),
    ("X*log(sigmoid_op(UV))", {"wsigmoid_log"}),
    ("X*log(sigmoid_op(-UV))", {"wsigmoid_log_minus"}),
    ("X*exp(UV)", {"wumm_mul"}),
    ("X/exp(UV)", {"wumm_div"}),
    ("X*abs(UV)", {"wumm_mul"}),
    ("X*UV^2", {"wumm_mul"}),
    ("2*(X*UV)", {"wdivmm_mul", "mul"}),  # a number times the non-zeros
    ("D*exp(UV)", {"wumm_mul"}),
    ("X*tanh(UV)", {"wumm_mul"}),
    ("X+exp(UV)", {"matmul", "t", "exp", "add"}),  # exp(0) is 1: every cell counts
    ("(UV-S)%*%V", {"matmul", "tsmm_left", "sub"}),  # the factors first: nothing of the size of S
    ("sum(UV)-sum(S*log(UV))", {"wcemm", "colSums", "mul", "sum", "sub"}),
    ("UV+UV", {"matmul", "t", "mul"}),  # twice the thin factor
]  # fmt: skip


@pytest.mark.parametrize("text, wanted", TABLE, ids=lambda x: x if isinstance(x, str) else "")
def test_ends_in_the_expected_operators_and_costs_no_more(text, wanted):
    (found,), facts = optimised(text)
    assert {h.op for h in postorder([found]) if h.args} == wanted
    before, after = (cost_of([hop], facts).seconds for hop in (hop_of(text), found))
    assert after < before or text == "X+exp(UV)"


def test_names_shared_in_a_block_fuse_like_the_same_text():
    """`P = UV; sum(P) - sum(S * log(P))`: a node is a node, with or without a name."""
    assert "matmul" not in operators("sum(UV)", "sum(S*log(UV))")


# ---------------------------------------------------------------- what must not be made
WEIGHTED = {"wsloss", "wsloss_post", "wdivmm_mul", "wdivmm_mul_right", "wdivmm_div", "wcemm", "wumm_mul", "wdivmm_minus_weighted_right"}


@pytest.mark.parametrize(
    "texts",
    [
        pytest.param(("sum((C - A %*% B)^2)",), id="long inner dimension over dense cells"),
        pytest.param(("E * (D %*% V)",), id="thin product of a matrix larger than it"),
        pytest.param(("(W*UV)%*%V", "UV"), id="product is a result"),
        pytest.param(("sum(W*log(UV))", "exp(UV)"), id="product goes elsewhere"),
        pytest.param(("W*exp(UV)", "rowMaxs(UV)"), id="product is aggregated elsewhere"),
        pytest.param(("Y*exp(UV)",), id="vector is broadcast"),
        pytest.param(("sum(Y*log(UV))",), id="vector is broadcast in a sum"),
        pytest.param(("(W*(UV-Y))%*%V", "UV"), id="vector is broadcast inside"),
    ],
)
def test_stays_unfused(texts):
    assert not operators(*texts) & WEIGHTED


def test_a_vector_inside_of_the_residual_is_not_taken_for_a_matrix():
    assert operators("(W*(UV-Y))%*%V") == {"mul", "sub", "matmul", "t"}


def test_sizes_must_be_known():
    unknown = {name: matrix() if fact.is_matrix else fact for name, fact in FACTS.items()}
    assert "wdivmm_mul" not in operators("W*UV", facts=unknown)


def test_small_products_are_left_alone():
    small = {**FACTS, "W": matrix(30, 20, 40), "U": matrix(30, 3), "V": matrix(20, 3)}
    assert operators("W*UV", facts=small) == {"mul", "matmul", "t"}


def test_level_0_makes_nothing_and_names_switch_rules_off():
    assert operators("W*UV", level=0) == {"mul", "matmul", "t"}
    with settings(disabled_rules=frozenset({"wdivmm_mul"})):
        assert operators("W*UV") == {"mul", "matmul", "t"}


def test_a_shared_inner_product_is_not_computed_twice():
    facts = {"X": matrix(5000, 50), "v": matrix(50, 1), "V": matrix(50, 1), "Y": matrix(5000, 1)}
    assert operators("t(X)%*%(X%*%V)", facts=facts) == {"mmchain"}
    assert "mmchain" not in operators("t(X)%*%(X%*%V)", "X%*%V", facts=facts)


def test_never_costs_more_than_the_rules_before_it():
    """Every spelling of every rule, at its own sizes and with everything inside of it needed elsewhere too."""
    for rule in FUSE:
        for pattern in rule.patterns:
            holes = [h for h in postorder([pattern]) if h.op == HOLE]
            facts = {h.value: FACTS.get(h.value, SPARSE) if h.value.isupper() else scalar("double") for h in holes}
            if not {"U", "V"} <= facts.keys():
                facts = {name: matrix(300, 300) if fact.is_matrix else fact for name, fact in facts.items()}
            root = over_live_ins(pattern)
            roots = [Root(f"r{i}", hop) for i, hop in enumerate(dict.fromkeys([root, *root.args])) if hop.args]
            table = FactTable(facts, lenient=True)
            after, _ = rewrite(Block(roots, facts, {}), table, FUSE)
            before, now = (cost_of([r.hop for r in rs], table).seconds for rs in (roots, after))
            assert before is None or now <= before, rule.name


def over_live_ins(pattern: Hop) -> Hop:
    return live_in(pattern.value) if pattern.op == HOLE else make(pattern.op, map(over_live_ins, pattern.args), pattern.value, pattern.tag)


# ---------------------------------------------------------------- matching
class TestMatching:
    def bindings(self, pattern: str, node: str) -> list[dict[str, str]]:
        facts = {name: matrix(4, 4) for name in "ABCXYZW"} | {"s": scalar("double")}
        found = Products(FactTable(facts)).matches(parse_pattern(pattern), hop_of(node, facts))
        return [{name: repr(hop) for name, hop in bound.items()} for bound in found]

    def test_any_product_is_one_with_a_transpose(self):
        assert self.bindings("U %*% t(V)", "A %*% B") == [{"U": "A", "V": "t(B)"}]
        assert self.bindings("U %*% t(V)", "A %*% t(B)") == [{"U": "A", "V": "B"}]
        assert self.bindings("U %*% t(V)", "t(A %*% B)") == [{"U": "t(B)", "V": "A"}]

    def test_a_transposed_hole_stands_for_the_same_matrix_everywhere(self):
        assert self.bindings("(U %*% t(V)) %*% V", "(A %*% B) %*% t(B)") == [{"U": "A", "V": "t(B)"}]
        assert self.bindings("(U %*% t(V)) %*% V", "(A %*% B) %*% B") == []

    def test_products_of_cells_are_taken_in_any_bracketing(self):
        wanted = {"W": "mul(A, B)", "X": "C"}
        for node in ("A * B * exp(C)", "A * (B * exp(C))", "A * exp(C) * B"):
            assert wanted in self.bindings("W * exp(X)", node)

    def test_scalars_are_not_matrices(self):
        assert self.bindings("X %*% t(Y)", "A * s") == []

    def test_parts(self):
        a, b = live_in("A"), live_in("B")
        assert transposed(transposed(a)) is a
        assert factors(make("mul", (make("mul", (a, b)), a))) == [a, b, a]


# ---------------------------------------------------------------- whole scripts
SCRIPTS = [
    "Z = (W / (U %*% t(V))) %*% V",
    "Z = t(U) %*% (W / (U %*% t(V) + 0.1))",
    "Z = sum(W * (X - U %*% t(V))^2)",
    "Z = sum((X - U %*% t(V))^2)",
    "P = U %*% t(V); Z = sum(P) - sum(W * log(P))",
    "P = U %*% t(V); Q = sum(W * (X - P)^2); Z = (W * (P - X)) %*% V + Q",
    "Z = W * (1 / (1 + exp(-(U %*% t(V)))))",
    "Z = X * log(1 / (1 + exp(U %*% t(V))))",
    "Z = X / exp(U %*% t(V))",
    "Z = (X != 0) * log(X)",
    "Z = X - 2 * (X != 0)",
    "Z = t(X) %*% (X %*% V[1:ncol(X), 1])",
    "Z = t(X) %*% (rowSums(U) * (X %*% V[1:ncol(X), 1]))",
    "Z = sum(X * W * X) + sum((X - W)^2)",
    "Z = X + 3 * W - 1",
]


def values(kind: str) -> dict[str, object]:
    rng = np.random.default_rng(5)
    W = random_array((200, 150), density=0.05, rng=rng)
    X = random_array((200, 150), density=0.1, rng=rng)
    U, V = rng.random((200, 4)) + 0.01, rng.random((150, 4)) + 0.01
    if kind == "mixed signs":
        U, V = U - 0.5, V - 0.5
    if kind == "zeros":
        U[3], V[5] = 0.0, 0.0
    if kind == "nan":
        U[3, 1], V[5, 0] = np.nan, np.inf
    W, X = (m.toarray() if kind == "dense" else csr_array(m) for m in (W, X))
    return {"W": W, "X": X, "U": U, "V": V}


@pytest.mark.parametrize("kind", ["sparse", "dense", "mixed signs", "zeros", "nan"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_give_the_same_with_and_without(script, kind):
    found = []
    for level in (0, 2):
        with settings(opt_level=level, verify=True):
            found.append(np.asarray(MLContext().execute(dml(script).input(**values(kind)).output("Z")).get("Z"), dtype=float))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-9, atol=1e-11)


def test_the_product_never_exists():
    """1 % of 4000 x 3000: inputs, result and a little more, where the product alone would be 96 MB."""
    rng = np.random.default_rng(3)
    W = csr_array(random_array((4000, 3000), density=0.01, rng=rng))
    U, V = rng.random((4000, 20)), rng.random((3000, 20))
    script = dml("Z = (W / (U %*% t(V))) %*% V").input(W=W, U=U, V=V).output("Z")
    tracemalloc.start()
    Z = np.asarray(MLContext().execute(script).get("Z"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = sum(x.nbytes for x in (W.data, W.indices, W.indptr, U, V, Z))
    assert peak < 3 * size + (10 << 20) < W.shape[0] * W.shape[1] * 8 / 2
    rows = W[:50].toarray() / (U[:50] @ V.T)
    np.testing.assert_allclose(Z[:50], rows @ V, rtol=1e-10)
