"""Matrices that are made from numbers: constants, sequences, draws, tables, outer combinations."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, literal, make
from dmlite.rewrite.rule import Match, Rule, folded
from dmlite.rewrite.static.guards import Guard, alone, both, constant, filled, finite, full, number, with_finite

_BINARY: Final = ("{} + {}", "{} - {}", "{} * {}", "{} / {}", "{} ^ {}", "min({}, {})", "max({}, {})",
                  "{} < {}", "{} <= {}", "{} > {}", "{} >= {}", "{} == {}", "{} != {}")  # fmt: skip
_FILL: Final = "matrix(a, n, k)"
_NO_MATRIX: Final = "no matrix of equal numbers is made"


# ---------------------------------------------------------------- constants
def _sizes(m: Match) -> bool:
    """The size of the constant matrix is known, and legal."""
    sizes = [m.fact(h) for h in ("n", "k")]
    return all((n := size.const_int()) is not None and n > 0 and n == size.value for size in sizes)


def _bare(m: Match) -> Hop:
    """The operator on the number itself."""
    return make(m.root.op, [a.args[0] if a.op == "fill" else a for a in m.root.args])


def _refilled(m: Match) -> Hop | None:
    """A constant matrix of what the operator makes of the number."""
    fill = next(a for a in m.root.args if a.op == "fill")
    args = [a.args[0] if a is fill else a for a in m.root.args]
    return make("fill", [folded(m.root.op, args) or make(m.root.op, args), *fill.args[1:]])


_CONSTANTS: Final = (
    Rule(
        "constant_operand", (*(f.format("X", _FILL) for f in _BINARY), *(f.format(_FILL, "X") for f in _BINARY)), _bare, _NO_MATRIX,
        "reassociates", where=both(full("X"), _sizes), shapes="X=5x4 n=5 k=4", example="X + a",
    ),
    Rule(
        "constant_beside_scalar", tuple(f.format(_FILL, "b") for f in ("{} + {}", "{} - {}", "{} * {}", "{} / {}")), _refilled, _NO_MATRIX,
        "reassociates", where=alone, shapes="n=5 k=4", example="matrix(a + b, n, k)",
    ),
    Rule(
        "scalar_beside_constant", tuple(f.format("b", _FILL) for f in ("{} - {}", "{} / {}")), _refilled, _NO_MATRIX,
        "reassociates", where=alone, shapes="n=5 k=4", example="matrix(b - a, n, k)",
    ),
    Rule(
        "function_of_constant", tuple(f"{f}({_FILL})" for f in ("exp", "log", "sqrt", "abs", "square", "one_minus", "sigmoid_op", "tanh")),
        _refilled, "one number is computed", "reassociates", where=alone, shapes="n=5 k=4", example="matrix(exp(a), n, k)",
    ),
    Rule("transpose_of_constant", f"t({_FILL})", "matrix(a, k, n)", "no copy", where=alone, shapes="n=5 k=4"),
    Rule("reverse_of_constant", f"rev({_FILL})", _FILL, "all rows are equal", where=alone, shapes="n=5 k=4"),
    Rule("sum_of_constant", f"sum({_FILL})", "a * (n * k)", _NO_MATRIX, "reassociates", where=both(_sizes, finite("a")), shapes="n=5 k=4", facts="a finite"),
    Rule("mean_of_constant", f"mean({_FILL})", "a * 1.0", _NO_MATRIX, "reassociates", where=_sizes, shapes="n=5 k=4"),
    Rule("min_of_constant", f"min({_FILL})", "a * 1.0", _NO_MATRIX, where=_sizes, shapes="n=5 k=4"),
    Rule("max_of_constant", f"max({_FILL})", "a * 1.0", _NO_MATRIX, where=_sizes, shapes="n=5 k=4"),
    Rule("row_sums_of_constant", f"rowSums({_FILL})", "matrix(a * k, n, 1)", _NO_MATRIX, "reassociates", where=both(_sizes, finite("a")), shapes="n=5 k=4", facts="a finite"),
    Rule("col_sums_of_constant", f"colSums({_FILL})", "matrix(a * n, 1, k)", _NO_MATRIX, "reassociates", where=both(_sizes, finite("a")), shapes="n=5 k=4", facts="a finite"),
    Rule("scalar_of_constant", "as.scalar(matrix(a, 1, 1))", "a * 1.0", _NO_MATRIX),
)  # fmt: skip


# ---------------------------------------------------------------- sequences
def _whole(m: Match, hole: str) -> int | None:
    value = constant(m, hole)
    return int(value) if value is not None and value == int(value) and abs(value) < 2**53 else None


def _upwards(m: Match) -> bool:
    n = _whole(m, "n")
    return n is not None and n >= 1


def _backwards(m: Match) -> Hop | None:
    """The same whole numbers in reverse order, from the last that the sequence reaches."""
    first, last, step = (_whole(m, h) for h in "abd")
    if None in (first, last, step) or step == 0 or (last - first) * step < 0:  # type: ignore[operator]
        return None
    final = first + (last - first) // step * step  # type: ignore[operator]
    return make("seq", [number(final), number(first), number(-step)])  # type: ignore[arg-type, operator]


_SEQUENCES: Final = (
    Rule("reverse_of_sequence", "rev(seq(1, n))", "seq(n, 1, -1)", "counted down instead of copied", where=both(alone, _upwards), shapes="n=7"),
    Rule(
        "reverse_of_steps", "rev(seq(a, b, d))", _backwards, "counted backwards instead of copied",
        where=both(alone, lambda m: _whole(m, "d") is not None), shapes="a=2 b=9 d=3", example="seq(8, 2, -3)",
    ),
    Rule("order_of_sequence", "order(seq(1, n))", "seq(1, n)", "in order already", where=_upwards, shapes="n=7"),
    Rule("order_of_countdown", "order(seq(n, 1, -1))", "seq(1, n)", "counted up instead of sorted", where=_upwards, shapes="n=7"),
    *with_finite(
        Rule(
            "permutation_of_countdown", "table(seq(1, n), seq(n, 1, -1)) %*% X", "rev(X)", "rows are reversed without a product",
            "ignores-nan", where=lambda m: _upwards(m) and m.fact("X").rows == _whole(m, "n"), shapes="X=5x4 n=5",
        ),
        "X",
    ),
    Rule(
        "column_sums_of_cumsum", "colSums(cumsum(X))", "t(seq(nrow(X), 1, -1)) %*% X", "each row counts as often as it is added up; no running sums",
        "reassociates", where=lambda m: m.inner_only() and (m.fact("X").rows or 0) > 0, shapes="X=5x4",
    ),
    Rule(
        "sum_of_cumsum", "sum(cumsum(X))", "sum(t(seq(nrow(X), 1, -1)) %*% X)", "each row counts as often as it is added up; no running sums",
        "reassociates", where=lambda m: m.inner_only() and (m.fact("X").rows or 0) > 0, shapes="X=5x4",
    ),
)  # fmt: skip


# ---------------------------------------------------------------- draws
def _redrawn(m: Match) -> Hop:
    """The same draw between other bounds; its tag keeps it apart from all others."""
    draw = next(a for a in m.root.args if a.op == "rand")
    ends = [folded(m.root.op, [end, m.bound["c"]]) or make(m.root.op, [end, m.bound["c"]]) for end in draw.args[2:4]]
    return make("rand", [*draw.args[:2], *ends, *draw.args[4:]], tag=draw.tag)


def _draw(name: str, form: str, guard: Guard, example: str) -> Rule:
    """Only draws without zeros: those would stay where they are."""
    return Rule(
        name, form.format("rand(rows=n, cols=k, min=a, max=b, sparsity=1, seed=d)"), _redrawn, "drawn in the wanted range",
        "reassociates", where=both(alone, guard), shapes="n=5 k=4 a=-1 b=1 d=7 c=3",
        example=f"rand(rows=n, cols=k, {example}, sparsity=1, seed=d)",
    )  # fmt: skip


def _positive(m: Match) -> bool:
    return finite("c")(m) and m.fact("c").low > 0


_DRAWS: Final = (
    _draw("scaled_draw", "{} * c", _positive, "min=a * c, max=b * c"),
    _draw("shifted_draw", "{} + c", finite("c"), "min=a + c, max=b + c"),
    _draw("shifted_down_draw", "{} - c", finite("c"), "min=a - c, max=b - c"),
)

# ---------------------------------------------------------------- outer combinations
_COMPARED: Final = ("<", "<=", ">", ">=", "==", "!=")
_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def _counts(u: str, v: str, *, turned: bool = False) -> object:
    def after(m: Match) -> Hop:
        op = m.root.args[0].args[2].value
        left, right = (make("t", [m.bound[h]]) if turned else m.bound[h] for h in (u, v))
        return make("outer_counts", [left, right, literal(_TURNED[op] if turned else op)])

    return after


def _turned_counts(m: Match) -> Hop:
    return make("t", [_counts("V", "U", turned=True)(m)])  # type: ignore[operator]


_VECTORS: Final = "U=5x1 V=1x4"
_SORTED: Final = "one vector is sorted and searched: O((m+n) log n) instead of O(mn)"


def _sides(m: Match) -> bool:
    """A column and a row for certain."""
    return m.fact("U").cols == 1 and m.fact("V").rows == 1


def _sides_with_cells(m: Match) -> bool:
    """NaN in one vector does not show when the other is empty."""
    return m.inner_only() and _sides(m) and filled("U", "V")(m)


def _each(form: str) -> tuple[str, ...]:
    return tuple(form.format(f'outer(U, V, "{op}")') for op in _COMPARED)


_OUTER: Final = (
    Rule(
        "row_counts_of_outer", _each("rowSums({})"), _counts("U", "V"), _SORTED,
        where=both(alone, _sides), shapes=_VECTORS, example='outer_counts(U, V, "<")',
    ),
    Rule(
        "col_counts_of_outer", _each("colSums({})"), _turned_counts, _SORTED,
        where=both(alone, _sides), shapes=_VECTORS, example='t(outer_counts(t(V), t(U), ">"))',
    ),
    Rule(
        "count_of_outer", _each("sum({})"), lambda m: make("sum", [_counts("U", "V")(m)]), _SORTED,  # type: ignore[operator]
        where=both(alone, _sides), shapes=_VECTORS, example='sum(outer_counts(U, V, "<"))',
    ),
    Rule("sum_of_outer_product", 'sum(outer(U, V, "*"))', "sum(U) * sum(V)", "two vectors instead of a matrix", "reassociates", where=_sides_with_cells, shapes=_VECTORS),
    Rule("row_sums_of_outer_product", 'rowSums(outer(U, V, "*"))', "U * sum(V)", "two vectors instead of a matrix", "reassociates", where=_sides_with_cells, shapes=_VECTORS),
    Rule("col_sums_of_outer_product", 'colSums(outer(U, V, "*"))', "V * sum(U)", "two vectors instead of a matrix", "reassociates", where=_sides_with_cells, shapes=_VECTORS),
    Rule("row_sums_of_outer_sum", 'rowSums(outer(U, V, "+"))', "U * ncol(V) + sum(V)", "two vectors instead of a matrix", "reassociates", where=_sides_with_cells, shapes=_VECTORS),
    Rule("col_sums_of_outer_sum", 'colSums(outer(U, V, "+"))', "V * nrow(U) + sum(U)", "two vectors instead of a matrix", "reassociates", where=_sides_with_cells, shapes=_VECTORS),
    Rule(
        "one_hot_of_outer", 'outer(U, t(seq(1, n)), "==")', "one_hot(U, n)", "one cell a row instead of n comparisons",
        where=lambda m: m.fact("U").cols == 1 and _upwards(m), shapes="U=5x1 n=3",
    ),
)  # fmt: skip

RULES: Final = (*_CONSTANTS, *_SEQUENCES, *_DRAWS, *_OUTER)
