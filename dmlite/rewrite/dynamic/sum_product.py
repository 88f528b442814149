"""Common factors taken out, or products multiplied out, whichever the cost model prefers; scalars where they meet least."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dmlite.hop.cost import is_sparse
from dmlite.rewrite.dynamic.known import Guard, same_rows
from dmlite.rewrite.rule import Match, Rule
from dmlite.rewrite.static.guards import both, fits, nonzero, same_shape, with_finite
from dmlite.rewrite.worth import costed

_FACTOR: Final = "one product instead of two"
_SIGNS: Final = {"sum": "+", "difference": "-"}


def _is_sparse(hole: str) -> Guard:
    """Expected to be sparse, so that what is dense beside it is worth avoiding."""
    return lambda m: is_sparse(m.fact(hole))


# ---------------------------------------------------------------- common factors
def _common_factors(name: str, sign: str) -> tuple[Rule, ...]:
    return (
        costed(
            f"common_left_of_{name}",
            f"X %*% Y {sign} X %*% Z",
            f"X %*% (Y {sign} Z)",
            _FACTOR,
            values="ignores-nan",
            where=both(fits("X", "Y"), same_shape("Y", "Z")),
            shapes="X=50x40 Y=40x30 Z=40x30",
        ),
        costed(
            f"common_right_of_{name}",
            f"Y %*% X {sign} Z %*% X",
            f"(Y {sign} Z) %*% X",
            _FACTOR,
            values="ignores-nan",
            where=both(fits("Y", "X"), same_shape("Y", "Z")),
            shapes="X=40x50 Y=30x40 Z=30x40",
        ),
        costed(
            f"common_factor_of_{name}",
            f"X * Y {sign} X * Z",
            f"X * (Y {sign} Z)",
            _FACTOR,
            values="ignores-nan",
            where=same_shape("Y", "Z"),
            shapes="X=50x40 Y=50x40 Z=50x40",
        ),
    )


def _factored(name: str, sign: str) -> tuple[Rule, ...]:
    """The finite forms come first: infinity times a sum is not the sum of what infinity makes of the parts."""
    return (
        *(rule for form in _common_factors(name, sign) for rule in with_finite(form, "X", values="reassociates")),
        costed(
            f"common_divisor_of_{name}",
            f"Y / X {sign} Z / X",
            f"(Y {sign} Z) / X",
            "one quotient instead of two",
            values="ignores-nan",
            where=same_shape("Y", "Z"),
            shapes="X=50x40 Y=50x40 Z=50x40",
            facts="X low=0.5",
        ),
    )


def _own_factor(name: str, before: str, after: str) -> tuple[Rule, ...]:
    """A matrix beside its own product with another: one operand to read less, and with a vector one pass less."""
    rule = costed(
        f"own_factor_{name}",
        before,
        after,
        "the matrix is read once",
        values="ignores-nan",
        where=lambda m: m.root_fact.cells is not None and (m.fact("X").rows, m.fact("X").cols) == (m.root_fact.rows, m.root_fact.cols),
        shapes="X=500x40 Y=500x40",
    )
    return with_finite(rule, "X", values="reassociates")


_OWN_FACTOR: Final = (
    *_own_factor("taken_away", "X - X * Y", "X * one_minus(Y)"),
    *_own_factor("added", "X + X * Y", "X * (Y + 1)"),
    *_own_factor("left_over", "X * Y - X", "X * (Y - 1)"),
)


# ---------------------------------------------------------------- low rank beside sparse
def _low_rank(name: str, sign: str) -> tuple[Rule, ...]:
    """A product of thin factors beside a sparse matrix is never built when the sum is only multiplied further."""
    why = "the dense product of the factors is never built"
    right, left = {"shapes": "U=200x3 V=3x150 S=200x150 W=150x3"}, {"shapes": "U=200x3 V=3x150 S=200x150 W=3x200"}
    fit = both(fits("U", "V"), fits("S", "W"))
    fit_left = both(fits("U", "V"), fits("W", "S"))
    return (
        costed(f"low_rank_{name}_times", f"(U %*% V {sign} S) %*% W", f"U %*% (V %*% W) {sign} S %*% W", why, where=fit, **right),
        costed(f"times_low_rank_{name}", f"W %*% (U %*% V {sign} S)", f"(W %*% U) %*% V {sign} W %*% S", why, where=fit_left, **left),
        *(
            (
                costed("sparse_minus_low_rank_times", "(S - U %*% V) %*% W", "S %*% W - U %*% (V %*% W)", why, where=fit, **right),
                costed("times_sparse_minus_low_rank", "W %*% (S - U %*% V)", "W %*% S - (W %*% U) %*% V", why, where=fit_left, **left),
            )
            if sign == "-"
            else ()
        ),
    )


# ---------------------------------------------------------------- shifted sparse matrices
def _shifts_cols(shift: str, x: str, other: str, side: str) -> Guard:
    """A row is taken away from every row of a sparse matrix, which is then multiplied from one side."""

    def guard(m: Match) -> bool:
        r, s = m.fact(shift), m.fact(x)
        legal = r.rows == 1 and r.cols is not None and r.cols == s.cols and (s.rows or 0) > 1
        return legal and is_sparse(s) and (fits(x, other) if side == "right" else fits(other, x))(m)

    return guard


_CENTRED: Final = "the sparse matrix stays sparse"
_SHIFTED: Final = (
    costed(
        "shifted_times",
        "(X - R) %*% W",
        "X %*% W - R %*% W",
        _CENTRED,
        where=_shifts_cols("R", "X", "W", "right"),
        shapes="X=200x150 R=1x150 W=150x3",
        facts="X nnz=300",
    ),
    costed(
        "times_shifted",
        "W %*% (X - R)",
        "W %*% X - rowSums(W) %*% R",
        _CENTRED,
        values="ignores-nan",
        where=_shifts_cols("R", "X", "W", "left"),
        shapes="X=200x150 R=1x150 W=3x200",
        facts="X nnz=300",
    ),
    costed(
        "covariance_of_sparse",
        "t(X - colMeans(X)) %*% (X - colMeans(X))",
        "t(X) %*% X - (t(colMeans(X)) %*% colMeans(X)) * nrow(X)",
        _CENTRED,
        where=lambda m: is_sparse(m.fact("X")) and (m.fact("X").rows or 0) > 1,
        shapes="X=400x150",
        facts="X nnz=600",
    ),
)


# ---------------------------------------------------------------- scalars and vectors around products
def _row_of(hole: str, axis: str) -> Guard:
    return lambda m: m.fact(hole).rows == 1 and m.fact(hole).cols is not None and m.fact(hole).cols == getattr(m.fact("X"), axis)


def _column_of(hole: str, axis: str) -> Guard:
    return lambda m: m.fact(hole).cols == 1 and m.fact(hole).rows is not None and m.fact(hole).rows == getattr(m.fact("X"), axis)


def _nonzero_cells(hole: str) -> Guard:
    """No cell is zero; NaN is possible."""
    return lambda m: m.fact(hole).low > 0 or m.fact(hole).high < 0


def _cols_beside(m: Match) -> bool:
    """R scales the columns of Y, which has more than one."""
    return fits("X", "Y")(m) and m.fact("R").rows == 1 and m.fact("R").cols == m.fact("Y").cols is not None and (m.fact("Y").rows or 0) > 1


def _rows_of_y(m: Match) -> bool:
    return fits("X", "Y")(m) and m.fact("W").cols == 1 and same_rows("Y", "W")(m) and (m.fact("Y").cols or 0) > 1


_LEAST: Final = "the scalar meets the smallest of factors and result"
_SMALLER: Final = "the vector scales the smaller matrix"
_TALL: Final = "X=200x150 Y=150x2"
_WIDE: Final = "X=2x150 Y=150x200"
_TURNED_TALL: Final = "X=150x200 Y=150x2"
_TURNED_WIDE: Final = "X=2x150 Y=200x150"


def _moved(
    name: str, before: str, after: str, why: str, *guards: Guard, shapes: str, scale: str = "", left: str = "cols", right: str = "rows"
) -> tuple[Rule, ...]:
    """A factor that is moved; `scale` must be finite for every value to be kept, else the rule is for level 3.

    left, right: the sides of X and Y that are summed over, the others where one is transposed.
    """

    def fit(m: Match) -> bool:
        inner = getattr(m.fact("X"), left)
        return inner is not None and inner == getattr(m.fact("Y"), right)

    rule = costed(name, before, after, why, where=both(fit, *guards), shapes=shapes)
    return with_finite(replace(rule, values="ignores-nan"), scale, values="reassociates") if scale else (rule,)


def _vector(name: str, before: str, after: str, guard: Guard, shapes: str, scale: str) -> tuple[Rule, ...]:
    return _moved(name, before, after, _SMALLER, guard, shapes=shapes, scale=scale)


def _divided(name: str, before: str, after: str, guard: Guard, shapes: str, divisor: str) -> tuple[Rule, Rule]:
    """The form for a divisor without zeros comes first: what zeros divide is infinite at other places then."""
    rule = costed(name, before, after, _SMALLER, where=both(fits("X", "Y"), guard), shapes=shapes, facts=f"{divisor} low=0.5")
    where = both(fits("X", "Y"), guard, _nonzero_cells(divisor))
    return replace(rule, name=f"{name}_nonzero", where=where), replace(rule, values="ignores-nan")


_W: Final = f"{_TALL} W=200x1"
_R: Final = f"{_WIDE} R=1x200"
_SCALED: Final = (
    *_moved("scalar_out_of_left", "(X * a) %*% Y", "(X %*% Y) * a", _LEAST, shapes=_TALL, scale="a"),
    *_moved("scalar_out_of_right", "X %*% (Y * a)", "(X %*% Y) * a", _LEAST, shapes=_WIDE, scale="a"),
    *_moved("scalar_to_the_right", "(X * a) %*% Y", "X %*% (Y * a)", _LEAST, shapes="X=2000x20 Y=20x200", scale="a"),
    *_moved("scalar_to_the_left", "X %*% (Y * a)", "(X * a) %*% Y", _LEAST, shapes="X=20x2 Y=2x2000", scale="a"),
    *_moved("scalar_into_left", "(X %*% Y) * a", "(X * a) %*% Y", _LEAST, shapes="X=200x2 Y=2x500", scale="a"),
    *_moved("scalar_into_right", "(X %*% Y) * a", "X %*% (Y * a)", _LEAST, shapes="X=500x2 Y=2x200", scale="a"),
    *_moved("divisor_out_of_left", "(X / a) %*% Y", "(X %*% Y) / a", _LEAST, nonzero("a"), shapes=f"{_TALL} a=3"),
    *_moved("divisor_out_of_right", "X %*% (Y / a)", "(X %*% Y) / a", _LEAST, nonzero("a"), shapes=f"{_WIDE} a=3"),
    *_moved("scalar_out_of_turned_left", "t(X * a) %*% Y", "(t(X) %*% Y) * a", _LEAST, shapes=_TURNED_TALL, scale="a", left="rows"),
    *_moved("scalar_out_of_turned_right", "X %*% t(Y * a)", "(X %*% t(Y)) * a", _LEAST, shapes=_TURNED_WIDE, scale="a", right="cols"),
    *_moved(
        "divisor_out_of_turned_left", "t(X / a) %*% Y", "(t(X) %*% Y) / a", _LEAST, nonzero("a"), shapes=f"{_TURNED_TALL} a=3", left="rows"
    ),
    *_moved("sign_out_of_turned_left", "t(-X) %*% Y", "-(t(X) %*% Y)", _LEAST, shapes=_TURNED_TALL, left="rows"),
    *_moved("sign_out_of_turned_right", "X %*% t(-Y)", "-(X %*% t(Y))", _LEAST, shapes=_TURNED_WIDE, right="cols"),
    *_moved("sign_out_of_left", "(-X) %*% Y", "-(X %*% Y)", _LEAST, shapes=_TALL),
    *_moved("sign_out_of_right", "X %*% (-Y)", "-(X %*% Y)", _LEAST, shapes=_WIDE),
    *_vector("rows_scaled_later", "(X * W) %*% Y", "(X %*% Y) * W", _column_of("W", "rows"), _W, "W"),
    *_vector("cols_scaled_later", "X %*% (Y * R)", "(X %*% Y) * R", _cols_beside, _R, "R"),
    *_divided("rows_divided_later", "(X / W) %*% Y", "(X %*% Y) / W", _column_of("W", "rows"), _W, "W"),
    *_divided("cols_divided_later", "X %*% (Y / R)", "(X %*% Y) / R", _cols_beside, _R, "R"),
    *_vector("cols_scaled_across", "(X * R) %*% Y", "X %*% (Y * t(R))", _row_of("R", "cols"), f"{_TALL} R=1x150", "R"),
    *_vector("rows_scaled_across", "X %*% (Y * W)", "(X * t(W)) %*% Y", _rows_of_y, f"{_WIDE} W=150x1", "W"),
)


# ---------------------------------------------------------------- products of binds
def _parts_fit(m: Match) -> bool:
    a, b, c, d = (m.fact(h) for h in "ABCD")
    return a.rows is not None and (a.rows, b.rows) == (c.rows, d.rows) and a.cols == b.cols is not None


_BOUND: Final = (
    costed(
        "product_of_stacks",
        "t(rbind(A, B)) %*% rbind(C, D)",
        "t(A) %*% C + t(B) %*% D",
        "the stacks are not built",
        where=_parts_fit,
        shapes="A=400x3 B=500x3 C=400x2 D=500x2",
    ),
    costed(
        "stack_times",
        "rbind(A, B) %*% C",
        "rbind(A %*% C, B %*% C)",
        "the products are stacked instead of the factors",
        where=both(fits("A", "C"), fits("B", "C")),
        shapes="A=200x150 B=300x150 C=150x2",
    ),
    costed(
        "times_bound",
        "C %*% cbind(A, B)",
        "cbind(C %*% A, C %*% B)",
        "the products are bound instead of the factors",
        where=both(fits("C", "A"), fits("C", "B")),
        shapes="A=150x200 B=150x300 C=2x150",
    ),
)

RULES: Final = (
    *(rule for name, sign in _SIGNS.items() for rule in (*_factored(name, sign), *_low_rank(name, sign))),
    *_OWN_FACTOR,
    *_SHIFTED,
    *_SCALED,
    *_BOUND,
)
