"""Matrices put beside or below one another: flat, and aggregated before they are copied."""

from __future__ import annotations

from typing import Final

from dmlite.hop.node import Hop, make
from dmlite.rewrite.rule import Match, Rule, Values
from dmlite.rewrite.static.guards import Guard, alone, both, filled

_MOST: Final = 8  # parts that a flat bind is looked for with
_NAMES: Final = "ABCDEFGH"


def _same(axis: str) -> Guard:
    """Both parts fit for certain; the bind would have refused others."""
    return lambda m: getattr(m.fact("A"), axis) is not None and getattr(m.fact("A"), axis) == getattr(m.fact("B"), axis)


def _flattened(m: Match) -> Hop:
    op = m.root.op
    return make(op, [part for arg in m.root.args for part in (arg.args if arg.op == op and m.only_use(arg) else [arg])])


def _flat(op: str) -> Rule:
    """Parts are collected from the left, so one nested bind of any length is enough."""
    left = tuple(f"{op}({op}({', '.join(_NAMES[:n])}), Z)" for n in range(2, _MOST + 1))
    return Rule(
        f"{op}_flat", (*left, f"{op}(A, {op}(B, Z))"), _flattened, "one copy instead of one for each step",
        where=alone, shapes=" ".join(f"{n}=4x4" for n in f"{_NAMES}Z"), example=f"{op}(A, B, Z)",
    )  # fmt: skip


_FLAT: Final = tuple(_flat(op) for op in ("cbind", "rbind"))

# Over all cells, and along the bound side: the aggregates of the parts are put together.
_JOINED: Final[dict[str, tuple[str, Values]]] = {
    "sum": ("{} + {}", "reassociates"), "sumsq": ("{} + {}", "reassociates"), "nnz": ("{} + {}", "exact"),
    "min": ("min({}, {})", "exact"), "max": ("max({}, {})", "exact"),
}  # fmt: skip
_ALONG: Final[dict[str, tuple[str, Values]]] = {
    "Sums": ("{} + {}", "reassociates"), "SumsSq": ("{} + {}", "reassociates"), "Mins": ("min({}, {})", "exact"), "Maxs": ("max({}, {})", "exact"),
}  # fmt: skip
_ACROSS: Final[dict[str, Values]] = {
    "Sums": "reassociates", "SumsSq": "reassociates", "Means": "reassociates", "Vars": "reassociates", "Sds": "reassociates",
    "Mins": "exact", "Maxs": "exact", "Prods": "reassociates",
}  # fmt: skip
_WHY: Final = "the parts are aggregated where they lie, without a copy"


def _of_bind(op: str, axis: str, along: str, across: str) -> tuple[Rule, ...]:
    """cbind has rows in common and is aggregated along them by rowX; colX gives one result for each part."""
    bound = f"{op}(A, B)"
    shapes = "A=5x4 B=5x3" if op == "cbind" else "A=5x4 B=3x4"
    guard = both(alone, _same(axis), filled("A", "B"))
    return (
        *(
            Rule(f"{agg}_of_{op}", f"{agg}({bound})", form.format(f"{agg}(A)", f"{agg}(B)"), _WHY, values, where=guard, shapes=shapes)
            for agg, (form, values) in _JOINED.items()
        ),
        *(
            Rule(
                f"{along}{agg}_of_{op}",
                f"{along}{agg}({bound})",
                form.format(f"{along}{agg}(A)", f"{along}{agg}(B)"),
                _WHY,
                values,
                where=guard,
                shapes=shapes,
            )
            for agg, (form, values) in _ALONG.items()
        ),
        *(
            Rule(
                f"{across}{agg}_of_{op}",
                f"{across}{agg}({bound})",
                f"{op}({across}{agg}(A), {across}{agg}(B))",
                _WHY,
                values,
                where=guard,
                shapes=shapes,
            )
            for agg, values in _ACROSS.items()
        ),
    )


_BIAS: Final = (
    Rule(
        "bias_product", "cbind(X, matrix(1, a, 1)) %*% rbind(A, B)", "X %*% A + B", "no copy of X with a column of ones",
        "reassociates", where=lambda m: _bias(m), shapes="X=5x4 A=4x3 B=1x3 a=5",
    ),
)  # fmt: skip


def _bias(m: Match) -> bool:
    x, a, b = (m.fact(h) for h in "XAB")
    fit = x.cols is not None and x.cols == a.rows and a.cols is not None and a.cols == b.cols
    return m.inner_only() and fit and b.rows == 1 and x.rows is not None and m.fact("a").const_int() == x.rows


RULES: Final = (*_FLAT, *_of_bind("cbind", "rows", "row", "col"), *_of_bind("rbind", "cols", "col", "row"), *_BIAS)
