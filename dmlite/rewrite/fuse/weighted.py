"""The weighted family: a product of thin factors that is needed only where a driver matrix is not zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from dmlite.hop.cost import is_sparse
from dmlite.hop.facts import Fact
from dmlite.rewrite.fuse.fusion import Fusion
from dmlite.rewrite.rule import Match

LEAST_CELLS: Final = 1 << 14  # a smaller product is cheap to have whole
_SHAPES: Final = "W=150x120 X=150x120 U=150x3 V=120x3"
# Cellwise functions of one operand that may stand between the product and the driver.
_FUNCTIONS: Final = ("exp", "log", "sqrt", "abs", "sign", "round", "floor", "ceil", "sin", "cos", "tanh", "square", "sprop", "sigmoid_op")


def _same_shape(x: Fact, rows: int | None, cols: int | None) -> bool:
    return x.rows is not None and (x.rows, x.cols) == (rows, cols)


def beside(*drivers: str) -> Callable[[Match], bool]:
    """Every driver has the shape of U %*% t(V), which is known, and known to be legal; so nothing is broadcast.

    Beside a dense driver the factors must be smaller than their product, else having that saves little, and keeps it from
    running with its neighbours.
    """

    def guard(m: Match) -> bool:
        u, v = m.fact("U"), m.fact("V")
        if u.rows is None or v.rows is None or u.cols is None or u.cols != v.cols or u.rows * v.rows < LEAST_CELLS:
            return False
        if not is_sparse(m.fact(drivers[0])) and u.cols * (u.rows + v.rows) > u.rows * v.rows:
            return False
        return all(_same_shape(m.fact(d), u.rows, v.rows) for d in drivers)

    return guard


def _either_sign(text: str) -> tuple[str, str]:
    """Both ways to write a difference whose sign does not matter."""
    return text.format("X - U %*% t(V)"), text.format("U %*% t(V) - X")


def _rule(name: str, before: str | tuple[str, ...], after: str, why: str, *drivers: str) -> Fusion:
    text = before if isinstance(before, str) else before[0]
    facts = "U low=0.1; V low=0.1" if any(f"{f}(U" in text for f in ("log", "log_base", "sqrt")) else ""
    return Fusion(name, before, after, why, values="reassociates", where=beside(*(drivers or "W")), shapes=_SHAPES, facts=facts)


# ---------------------------------------------------------------- sums
_LOSS: Final = "the squared errors are summed without the product or a matrix of errors"
_SUMS: Final = (
    _rule("wsloss", (*_either_sign("sumsq({})"), *_either_sign("sum(square({}))")), "wsloss(X, U, V)", _LOSS, "X"),
    _rule("wsloss_post", _either_sign("sum(W * square({}))"), "wsloss_post(W, U, V, X)", _LOSS, "W", "X"),
    _rule(
        "wsloss_weights_inside",
        (*_either_sign("sumsq(W * ({}))"), *_either_sign("sum(square(W * ({})))")),
        "wsloss_post(square(W), U, V, X)",
        _LOSS,
        "W",
        "X",
    ),
    _rule("wsloss_nz", _either_sign("sum((X != 0) * square({}))"), "wsloss_nz(X, U, V)", _LOSS, "X"),
    _rule("wsloss_pre", ("sumsq(X - W * (U %*% t(V)))", "sumsq(W * (U %*% t(V)) - X)"), "wsloss_pre(W, U, V, X)", _LOSS, "W", "X"),
    _rule("wcemm", "sum(X * log(U %*% t(V)))", "wcemm(X, U, V)", "logarithms only where they count", "X"),
    _rule("wcemm_eps", "sum(X * log(U %*% t(V) + e))", "wcemm(X, U, V, e)", "logarithms only where they count", "X"),
    _rule("wcemm_base", "sum(X * log_base(U %*% t(V), b))", "wcemm(X, U, V) / log(b)", "logarithms only where they count", "X"),
)


# ---------------------------------------------------------------- cells, and products with the factors
def _with_products(name: str, cells: str, after: str, *drivers: str) -> tuple[Fusion, ...]:
    """The rules for the cells, the cells times V, t(U) times the cells, and the transpose of that; `after` holds `{}` for the side."""
    why = "the product is computed only beside the non-zeros of its neighbour"
    return (
        _rule(name, cells, after.format(""), why, *drivers),
        _rule(f"{name}_right", f"({cells}) %*% V", after.format("_right"), f"{why}, and the second product with it", *drivers),
        _rule(f"{name}_left", f"t(U) %*% ({cells})", after.format("_left"), f"{why}, and the second product with it", *drivers),
        _rule(f"{name}_left_t", f"t({cells}) %*% U", f"t({after.format('_left')})", f"{why}, and the second product with it", *drivers),
    )


_PRODUCTS: Final = (
    *_with_products("wdivmm_mul", "W * (U %*% t(V))", "wdivmm_mul{}(W, U, V)"),
    *_with_products("wdivmm_div", "W / (U %*% t(V))", "wdivmm_div{}(W, U, V)"),
    *_with_products("wdivmm_div_eps", "W / (U %*% t(V) + e)", "wdivmm_div{}(W, U, V, e)"),
    *_with_products("wdivmm_div_minus_eps", "W / (U %*% t(V) - e)", "wdivmm_div{}(W, U, V, -e)"),
    *_with_products("wdivmm_minus", "(X != 0) * (U %*% t(V) - X)", "wdivmm_minus{}(X, U, V)", "X"),
    *_with_products("wdivmm_minus_negated", "(X != 0) * (X - U %*% t(V))", "-wdivmm_minus{}(X, U, V)", "X"),
    *_with_products("wdivmm_minus_weighted", "W * (U %*% t(V) - X)", "wdivmm_minus_weighted{}(W, U, V, X)", "W", "X"),
    *_with_products("wdivmm_minus_weighted_negated", "W * (X - U %*% t(V))", "-wdivmm_minus_weighted{}(W, U, V, X)", "W", "X"),
)


# ---------------------------------------------------------------- functions of the product
def _spelled(pattern: str, *arguments: str) -> tuple[str, ...]:
    return tuple(pattern.format(a) for a in arguments)


_PLUS: Final = ("sigmoid_op(U %*% t(V))", "(1 / (1 + exp(-(U %*% t(V)))))")
_MINUS: Final = ("sigmoid_op(-(U %*% t(V)))", "one_minus(sigmoid_op(U %*% t(V)))", "(1 / (1 + exp(U %*% t(V))))")
_SIGMOID: Final = "the sigmoid only beside the non-zeros of its neighbour"
_SIGMOIDS: Final = (
    _rule("wsigmoid", _spelled("W * {}", *_PLUS), "wsigmoid(W, U, V)", _SIGMOID),
    _rule("wsigmoid_minus", _spelled("W * {}", *_MINUS), "wsigmoid_minus(W, U, V)", _SIGMOID),
    _rule("wsigmoid_log", _spelled("W * log({})", *_PLUS), "wsigmoid_log(W, U, V)", _SIGMOID),
    _rule("wsigmoid_log_minus", _spelled("W * log({})", *_MINUS), "wsigmoid_log_minus(W, U, V)", _SIGMOID),
)


_UNARY: Final = tuple(
    _rule(
        f"wumm_{op}_{f}",
        f"W {symbol} {f}(U %*% t(V))",
        f'wumm_{op}(W, U, V, "{f}")',
        "the function of a product is computed only beside the non-zeros of its neighbour",
    )
    for op, symbol in (("mul", "*"), ("div", "/"))
    for f in _FUNCTIONS
    # A negative zero of a sparse product loses its sign, which a quotient would show; sigmoids of products have rules above.
    if (op, f) not in (("div", "ceil"), ("mul", "sigmoid_op"))
)

RULES: Final = (*_SUMS, *_PRODUCTS, *_SIGMOIDS, *_UNARY)
