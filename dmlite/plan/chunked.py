"""Operators on matrices that are cut into chunks of rows, and chunk regions: those that run together, as one task for each chunk.

A member gives its result chunk by chunk, or one result that is joined from those of all chunks. Of some operands it needs the
rows of the chunk, these are split; the others it needs whole, so they are sent to every worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.node import LITERAL, LIVE_IN, Hop, literal, live_in, make, users
from dmlite.hop.ops import BY_NAME
from dmlite.plan.regions import JOINS, Grouping, is_product
from dmlite.plan.room import Room, takes_all_rows

_WHOLE_JOINS: Final[Mapping[str, str]] = {
    **JOINS,
    "prod": "multiply", "colProds": "multiply", "nnz": "add", "tsmm_left": "add",
    "wsloss": "add", "wsloss_nz": "add", "wsloss_post": "add", "wsloss_pre": "add", "wcemm": "add",
    "conv2d_backward_filter": "add", "table": "add", "table_dims": "add", "contains": "logical_or",
    "wdivmm_mul_left": "add", "wdivmm_div_left": "add", "wdivmm_minus_left": "add", "wdivmm_minus_weighted_left": "add",
}  # fmt: skip
_MEANS: Final = {"mean": "sum", "colMeans": "colSums"}  # sums that are divided when they have been joined
_FIRST: Final = (0,)
_WEIGHTED: Final = (0, 1, 3)  # W, U and X beside V, or beside a number
# Operands of which a member needs the rows of its chunk, by their places; of cellwise operators, those that have that many rows.
_SPLIT: Final[Mapping[str, tuple[int, ...]]] = {
    **dict.fromkeys(("tmm", "wumm_mul", "wumm_div"), (0, 1)),
    **dict.fromkeys(("mmchain", "mmchain_w", "mmchain_y"), (0, 2)),
    **dict.fromkeys((name for name in BY_NAME if name.startswith(("wdivmm", "wsloss", "wsigmoid", "wcemm"))), _WEIGHTED),
    **dict.fromkeys(("matmul", "tsmm_left", "index", "replace", "outer", "softmax", "bias_add", "bias_multiply", "one_hot"), _FIRST),
    **dict.fromkeys((*_MEANS, "contains", "outer_counts"), _FIRST),
    **dict.fromkeys(("table", "table_dims"), (0, 1, 2)),
    **dict.fromkeys(("conv2d", "max_pool", "avg_pool"), _FIRST),
    **dict.fromkeys(("conv2d_backward_filter", "max_pool_backward", "avg_pool_backward"), (0, 1)),
    "conv2d_backward_data": (1,),
    **dict.fromkeys(("rowSums", "rowProds", "rowMeans", "rowVars", "rowSds", "rowMins", "rowMaxs", "rowSumsSq", "rowcumsum"), _FIRST),
    **dict.fromkeys(("rowIndexMax", "rowIndexMin", "rowCountDistinct", "rowCountDistinctApprox"), _FIRST),
    **dict.fromkeys(("sum", "sumsq", "prod", "nnz", "min_agg", "max_agg"), _FIRST),
    **dict.fromkeys(("colSums", "colSumsSq", "colProds", "colMins", "colMaxs"), _FIRST),
    "gemm": (0, 2),
}
_ALL_SPLIT: Final = frozenset({"cbind"})
_CELLWISE: Final = ("elementwise.", "fused.")
_IMAGES: Final = ("convolution.", "pooling.")


@dataclass(frozen=True)
class Role:
    """split: the operands, by their places, of which a member needs the rows of its chunk. join: the function that makes one result of
    those of two chunks, None where results are chunks too. partial: the operator that runs for a chunk, if it is another one, whose
    joined results are divided by `share`."""

    split: tuple[int, ...]
    join: str | None = None
    partial: str | None = None
    share: int = 1


def role_of(hop: Hop, facts: FactTable) -> Role | None:
    """How an operator runs on chunks of rows; None if it does not."""
    row = BY_NAME.get(hop.op)
    if row is None or row.effect or hop.tag or len(row.results) != 1:
        return None
    if is_product(hop):
        return Role((0, 1), "add") if _rows(hop.args[1], facts) else None
    split = _split_places(hop, facts)
    rows = {_rows(hop.args[i], facts) for i in split}
    if len(rows) != 1 or None in rows or not _is_cut_by_row(hop, facts):
        return None
    if hop.op in _MEANS:
        x = facts[hop.args[0]]
        return Role(split, "add", _MEANS[hop.op], (x.cells if hop.op == "mean" else x.rows) or 1)
    return Role(split, _WHOLE_JOINS.get(hop.op))


def _is_cut_by_row(hop: Hop, facts: FactTable) -> bool:
    """Whether the results for chunks are known well enough to be put together."""
    if hop.op == "index" and not takes_all_rows(hop):
        return False
    if hop.op == "table" and facts[hop].cells is None:
        return False
    return not counts_rows(hop) or isinstance(_shape_of_images(hop).value, tuple)


def counts_rows(hop: Hop) -> bool:
    """Whether a parameter tells how many rows an operand has: of images, their number."""
    return BY_NAME[hop.op].kernel.startswith(_IMAGES)


def _shape_of_images(hop: Hop) -> Hop:
    return hop.args[_image_place(hop)]


def _image_place(hop: Hop) -> int:
    return [p.name for p in BY_NAME[hop.op].parameters].index("input_shape")


def _split_places(hop: Hop, facts: FactTable) -> tuple[int, ...]:
    places = _SPLIT.get(hop.op)
    matrices = [i for i, a in enumerate(hop.args) if facts[a].is_matrix]
    if places is not None:
        split = [i for i in places if i in matrices]
        beside = places == _WEIGHTED and len(split) == 3 and facts[hop.args[3]].rows == 1  # a row for all rows of W
        return tuple(split[:2] if beside else split)
    if hop.op in _ALL_SPLIT:
        return tuple(matrices)
    if not BY_NAME[hop.op].kernel.startswith(_CELLWISE):
        return ()
    if any(facts[hop.args[i]].rows is None for i in matrices):
        return ()
    most = max((facts[hop.args[i]].rows or 0 for i in matrices), default=0)
    return tuple(i for i in matrices if facts[hop.args[i]].rows == most)


def _rows(hop: Hop, facts: FactTable) -> int | None:
    """The rows of a value that can be cut."""
    rows = facts[hop].rows
    return rows if rows is not None and rows > 1 and facts[hop].cols else None


def how(hop: Hop, role: Role) -> str:
    """The physical operator, in the terms of distributed linear algebra."""
    if hop.op.startswith(("mmchain", "tsmm")):
        return "chain" if hop.op.startswith("mmchain") else "transpose-self"
    if hop.op == "tmm" or is_product(hop):
        return "zip"
    if hop.op in ("matmul", "gemm", "outer"):
        return "broadcast-right"
    if hop.op.startswith(("wdivmm", "wsloss", "wsigmoid", "wcemm", "wumm")):
        return "weighted"
    return "map" if role.join is None else "tree"


@dataclass(eq=False)
class Chunks:
    """A chunk region. rows: of every value that is split. outputs: what is needed outside. absorbed: transposes of split values that only
    products inside read. joins: of the members that give one result."""

    rows: int
    hops: list[Hop]
    outputs: list[Hop]
    absorbed: list[Hop]
    roles: dict[Hop, Role]
    inner: frozenset[Hop] = frozenset()
    bodies: dict[int | None, Body] = field(default_factory=dict)

    def is_joined(self, hop: Hop) -> bool:
        return self.roles[hop].join is not None

    def split(self) -> list[Hop]:
        """Values from outside of which members need the rows of a chunk."""
        inside = set(self.hops)
        return list(dict.fromkeys(a for h in self.hops for a in parts(h, self.roles[h]) if a not in inside))

    def whole(self) -> list[Hop]:
        """Values from outside that members need as they are."""
        return list(dict.fromkeys(a for h in self.hops for a in wholes(h, self.roles[h])))

    def turned(self) -> list[Hop]:
        """What members read behind transposes that others read too, once for each such member."""
        return [h.args[0].args[0] for h in self.hops if is_product(h) and h.args[0] not in self.absorbed]

    def needs(self, _: FactTable) -> list[Hop]:
        """What must be there before the region starts."""
        return [*self.split(), *self.whole()]


def parts(hop: Hop, role: Role) -> list[Hop]:
    """The values of which a member needs the rows of its chunk; of a transpose, those of what is transposed."""
    if is_product(hop):
        return [hop.args[0].args[0], hop.args[1]]
    return [hop.args[i] for i in role.split]


def wholes(hop: Hop, role: Role) -> list[Hop]:
    """The values that a member needs as they are."""
    return [a for i, a in enumerate(hop.args) if i not in role.split and a.op != LITERAL]


@dataclass(frozen=True)
class Body:
    """What a region computes for a chunk, as operators on live-ins: `s0`, `s1`, ... are split, `w0`, `w1`, ... whole."""

    roots: tuple[Hop, ...]
    facts: Mapping[str, Fact]
    origins: Mapping[Hop, Hop]  # members by the nodes that stand for them


def body_of(region: Chunks, facts: FactTable, rows: int | None) -> Body:
    """The body of a region for chunks of so many rows; None is any number."""
    known: dict[Hop, Hop] = {}  # split values and members, of which there are the rows of a chunk
    sent: dict[Hop, Hop] = {}
    given: dict[str, Fact] = {}
    for i, hop in enumerate(region.split()):
        known[hop] = live_in(f"s{i}")
        given[f"s{i}"] = _of_chunk(facts[hop], rows)
    for i, hop in enumerate(region.whole()):
        sent[hop] = live_in(f"w{i}")
        given[f"w{i}"] = facts[hop]
    for hop in region.hops:
        role = region.roles[hop]
        args = [(known if i in role.split else sent).get(a, a) for i, a in enumerate(hop.args)]
        if is_product(hop):
            args[0] = _turned(hop.args[0], known)
        if counts_rows(hop):
            place = _image_place(hop)
            args[place] = literal((rows, *args[place].value[1:]))
        known[hop] = make(role.partial or hop.op, args, hop.value)
    return Body(tuple(known[h] for h in region.outputs), given, {known[h]: h for h in region.hops})


def _turned(transpose: Hop, known: Mapping[Hop, Hop]) -> Hop:
    return make("t", [known[transpose.args[0]]])


def _of_chunk(fact: Fact, rows: int | None) -> Fact:
    """What is known of some rows of a matrix."""
    cells = None if rows is None or fact.cols is None else rows * fact.cols
    nnz = cells if fact.nnz is None or cells is None else min(fact.nnz, cells)
    share = None if fact.nnz_avg is None or not fact.rows or rows is None else fact.nnz_avg * rows / fact.rows
    return replace(fact, rows=rows, nnz=nnz, nnz_min=0, nnz_avg=share, structure=fact.structure & {"rows_sum_to_one"})


class ChunkRegions(Grouping):
    """Finds the chunk regions of one block. there: how the operators run that workers run."""

    def __init__(self, order: Sequence[Hop], roots: Iterable[Hop], facts: FactTable, there: Mapping[Hop, Role | Room]):
        self.facts = facts
        self.order = [h for h in order if h.op not in (LITERAL, LIVE_IN)]
        self.place = {h: i for i, h in enumerate(self.order)}
        self.users = users(order, roots)
        self.roles = {h: role for h, role in there.items() if isinstance(role, Role)}
        self.home: dict[Hop, set[Hop]] = {}

    def find(self) -> list[Chunks]:
        for hop in self.order:
            if hop in self.roles:
                self.home[hop] = {hop}
                for arg in parts(hop, self.roles[hop]):
                    if arg in self.home and self.roles[arg].join is None:
                        self._merge(self.home[arg], self.home[hop])
        self._merge_readers()
        return [self._region(members) for members in {id(m): m for m in self.home.values()}.values()]

    def _merge_readers(self) -> None:
        """Members that read the same value read it once."""
        for value in self.users:
            readers = [u for u in self.users[value] if u in self.home and value in parts(u, self.roles[u])]
            turned = [
                p for t in self.users[value] if t is not None and t.op == "t" for p in self.users[t] if p in self.home and is_product(p)
            ]
            together = sorted({*readers, *turned}, key=lambda h: self.place[h])  # type: ignore[index]
            for one, other in combinations(together, 2):
                self._merge(self.home[one], self.home[other])  # type: ignore[index]

    def _rows(self, members: set[Hop]) -> int | None:
        hop = next(iter(members))
        return self.facts[parts(hop, self.roles[hop])[0]].rows

    def _can_run_at_once(self, members: set[Hop]) -> bool:
        """Whether nothing outside has to run between two members, and no member needs the joined result of another."""
        places = [self.place[h] for h in members]
        after: set[Hop] = set()  # what depends on members without being one
        for hop in self.order[min(places) : max(places) + 1]:
            if hop in members:
                split = parts(hop, self.roles[hop])
                if any(a in after for a in (*hop.args, *split)) or any(a in members for a in wholes(hop, self.roles[hop])):
                    return False
                if any(a in members and self.roles[a].join for a in split):
                    return False
            elif not self._stands_for_a_part(hop, members) and any(a in members or a in after for a in hop.args):
                after.add(hop)
        return True

    def _stands_for_a_part(self, hop: Hop, members: set[Hop]) -> bool:
        """A transpose that only members read, each as the rows of what is transposed."""
        return (
            hop.op == "t"
            and all(u in members and is_product(u) and u.args[0] is hop for u in self.users[hop] if u is not None)
            and None not in self.users[hop]
        )

    def _region(self, members: set[Hop]) -> Chunks:
        hops = sorted(members, key=self.place.__getitem__)
        turned = dict.fromkeys(h.args[0] for h in hops if is_product(h) and self._stands_for_a_part(h.args[0], members))
        inside = members.union(turned)
        rows = self._rows(members)
        assert rows is not None
        return Chunks(rows, hops, [h for h in hops if not self.users[h] <= inside], list(turned), {h: self.roles[h] for h in hops})
