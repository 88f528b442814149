"""Operators that the workers run other than chunk by chunk: each has a kernel of its own in the Dask room."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from dmlite.hop.facts import Fact
from dmlite.hop.infer import FactTable
from dmlite.hop.memory import bytes_of, expected
from dmlite.hop.node import LITERAL, Hop

BROADCAST: Final = 0.25  # of the memory of a worker that a value may take which every one gets
COLLECTED: Final = 0.5  # of the budget that one value may take which is collected
_PARTIAL: Final = 0.1  # of that memory that the result for one chunk may take where all of them are added


@dataclass(frozen=True)
class Room:
    """chunks: operands, by their places, that it takes as chunks; None for all. results: which of its results are chunked.

    how: in words. fits: whether it runs for these operands. alike: operands taken as chunks must have equally many rows, as they are cut
    alike. kernel: where it is not that of the operator table.
    """

    how: str
    chunks: tuple[int, ...] | None = (0,)
    results: tuple[int, ...] = ()
    fits: Callable[[Hop, FactTable], bool] | None = None
    alike: bool = True
    kernel: str = ""

    def split(self, hop: Hop) -> list[Hop]:
        """The operands that it takes as chunks."""
        places = range(len(hop.args)) if self.chunks is None else self.chunks
        return [hop.args[i] for i in places if i < len(hop.args) and hop.args[i].op != LITERAL]

    def takes(self, hop: Hop, facts: FactTable) -> bool:
        """Whether the workers can run it for these operands."""
        given = [facts[a] for a in self.split(hop)]
        matrices = [f for f in given if f.is_matrix]
        if self.chunks != () and not (given and given[0].is_matrix):
            return False
        if self.alike and matrices and ((matrices[0].rows or 0) < 2 or any(f.rows != matrices[0].rows or not f.cols for f in matrices)):
            return False
        return self.fits is None or self.fits(hop, facts)


# ---------------------------------------------------------------- what must hold
def _literal(hop: Hop, place: int) -> object:
    return hop.args[place].value if hop.args[place].op == LITERAL else None


def _size(hop: Hop, facts: FactTable) -> float:
    return bytes_of(facts[hop], expected) or 0.0


def _of_worker(share: float, facts: FactTable) -> float:
    """Bytes of so much of the memory of a worker."""
    return inf if facts.machine.cluster is None else share * facts.machine.cluster.memory


def _is_one_of(place: int, *values: object) -> Callable[[Hop, FactTable], bool]:
    return lambda hop, facts: _literal(hop, place) in values


def _makes_rows(hop: Hop, facts: FactTable) -> bool:
    """Whether a result of known size can be cut."""
    return (facts[hop].rows or 0) > 1 and bool(facts[hop].cols)


def _is_filled(hop: Hop, facts: FactTable) -> bool:
    return _makes_rows(hop, facts) and facts[hop.args[0]].vtype in ("double", "int", "boolean")


def _is_reshaped(hop: Hop, facts: FactTable) -> bool:
    return _makes_rows(hop, facts) and _literal(hop, 3) is True


def _is_diagonal(hop: Hop, facts: FactTable) -> bool:
    x = facts[hop.args[0]]
    return x.cols in (1, x.rows)


def _has_unknown_size(hop: Hop, facts: FactTable) -> bool:
    return facts[hop].cells is None


def takes_all_rows(hop: Hop) -> bool:
    """Whether an indexing selects columns alone."""
    return all(a.op == LITERAL and a.value is None for a in hop.args[1:3])


def _takes_many_rows(hop: Hop, facts: FactTable) -> bool:
    """Whether what is selected is larger than a chunk, so that it stays on the workers."""
    cluster = facts.machine.cluster
    return not takes_all_rows(hop) and _makes_rows(hop, facts) and cluster is not None and _size(hop, facts) > cluster.chunk


def _takes_some_rows(hop: Hop, facts: FactTable) -> bool:
    return not takes_all_rows(hop) and not _takes_many_rows(hop, facts)


def _has_wide_result(hop: Hop, facts: FactTable) -> bool:
    return _size(hop, facts) > _of_worker(_PARTIAL, facts)


def _is_thin(hop: Hop, facts: FactTable) -> bool:
    """A few long rows times a matrix: its rows are cut, as the columns of the other are."""
    a, b = (facts[h] for h in hop.args)
    if not (a.rows and a.cols and (b.rows or 0) > 1) or hop.args[0].op == "t":
        return False
    if a.rows == 1:
        return True
    pays = a.rows * _chunks(b, facts) <= a.cols or _size(hop.args[1], facts) > _everywhere(facts)
    return pays and _size(hop.args[0], facts) < _size(hop.args[1], facts)


def _everywhere(facts: FactTable) -> float:
    """Bytes of a value that every worker may get, for which it is collected here first."""
    return min(_of_worker(BROADCAST, facts), COLLECTED * facts.machine.budget)


def _chunks(fact: Fact, facts: FactTable) -> float:
    """How many chunks a matrix is cut into, about."""
    cluster = facts.machine.cluster
    return 1.0 if cluster is None else max(cluster.workers, (bytes_of(fact, expected) or 0.0) / cluster.chunk)


def _is_large_on_both_sides(hop: Hop, facts: FactTable) -> bool:
    limit = _everywhere(facts)
    return hop.args[0].op != "t" and (facts[hop.args[0]].rows or 0) > 1 and all(_size(a, facts) > limit for a in hop.args)


def _is_tall(hop: Hop, facts: FactTable) -> bool:
    x = facts[hop.args[0]]
    return (x.rows or 0) >= (x.cols or 0)


# ---------------------------------------------------------------- the rooms
_SUMS: Final = "sums of every chunk, added"
_MOMENTS: Final = "means and squares of every chunk, merged"
_TWICE: Final = "first the means, then the powers of what is beside them, chunk by chunk"
_SCAN: Final = "totals of every chunk, then each with what came before it"
_RANKS: Final = "every chunk is sorted, and counted against values of all of them"
_DISTINCT: Final = "distinct values of every chunk, merged"
_HEAD: Final = "its size is known"
_SAME: Final = "its chunks as they are"
_BY_ROW: Final = "chunk by chunk"
_WIDE: Final = "every block of the result is a sum over the chunks"
_HERE, _FIRST = (), (0,)

_TABLE: Final[Mapping[str, Room | tuple[Room, ...]]] = {
    "mean_w": Room(_SUMS, (0, 1)),
    **dict.fromkeys(("var", "sd", "colVars", "colSds"), Room(_MOMENTS)),
    "trace": Room("every chunk has a part of the diagonal"),
    **dict.fromkeys(("cumsum", "cumprod", "cummin", "cummax", "cumsum_up", "cumsumprod"), Room(_SCAN, results=_FIRST)),
    "moment": Room(_TWICE),
    "moment_w": Room(_TWICE, (0, 1)),
    "cov": Room(_TWICE, (0, 1, 2)),
    **dict.fromkeys(("quantile", "quantiles", "interQuantile"), Room(_RANKS)),
    **dict.fromkeys(("median", "quantile_w", "quantiles_w", "interQuartileMean", "interQuantile_w"), Room(_RANKS, (0, 1))),
    "aggregate": Room("the groups of every chunk, merged", (0, 1, 3)),
    "fill": Room("tasks fill chunks when they need them", (), _FIRST, _is_filled),
    "seq": Room("tasks count when they need it", (), _FIRST, _makes_rows),
    "rand": Room("tasks draw the blocks of their rows", (), _FIRST, _makes_rows),
    "table": Room("the largest cells first, then the tables of every chunk, added", (0, 1, 2), fits=_has_unknown_size),
    "reshape": Room("every chunk takes its cells from those that hold them", results=_FIRST, fits=_is_reshaped),
    "diag": Room("every chunk has a part of the diagonal", results=_FIRST, fits=_is_diagonal),
    "rbind": Room(_SAME, None, _FIRST, alike=False),
    **dict.fromkeys(("lower.tri", "upper.tri"), Room("every chunk has a part of the triangle", results=_FIRST)),
    "t": Room("every chunk is cut into columns, which are put together", results=_FIRST, alike=False),
    "rev": Room("every chunk is turned, and their order", results=_FIRST),
    "roll": Room("every chunk takes its rows from those that hold them", results=_FIRST),
    "order": (
        Room("the keys are sorted here", fits=_is_one_of(3, True)),
        Room("the keys are sorted here, and rows sent to where they belong", results=_FIRST, fits=_is_one_of(3, False)),
    ),
    "removeEmpty": Room("which are kept is counted first", results=_FIRST, fits=_is_one_of(1, "rows", "cols")),
    "unique": Room("distinct ones of every chunk, merged", fits=_is_one_of(1, "rc", "r")),
    **dict.fromkeys(("countDistinct", "countDistinctApprox", "colCountDistinct", "colCountDistinctApprox"), Room(_DISTINCT)),
    "countDistinct_by": Room(_DISTINCT, fits=_is_one_of(1, "rc", "r", "c")),
    "countDistinctApprox_by": Room(_DISTINCT, fits=_is_one_of(2, "rc", "r", "c")),
    **dict.fromkeys(("nrow", "ncol", "length"), Room(_HEAD, alike=False)),
    **dict.fromkeys(("compress", "decompress", "as.matrix", "cast_to"), Room(_SAME, results=_FIRST, alike=False, kernel="reorg.identity")),
    "index": (
        Room("the chunks that hold these rows", results=_FIRST, fits=_takes_many_rows),
        Room("rows from the chunks that hold them", fits=_takes_some_rows, kernel="indexing.taken"),
    ),
    "leftindex": Room("the chunks that hold these rows are changed", (0, 1), _FIRST, alike=False),
    "matmul": (
        Room("as many columns as a chunk of the other has rows; the products are added", (1,), fits=_is_thin, kernel="matmul.thin"),
        Room(_WIDE, (0, 1), _FIRST, _is_large_on_both_sides, alike=False, kernel="matmul.replicated"),
    ),
    "tsmm_left": Room(_WIDE, results=_FIRST, fits=_has_wide_result),
    "tsmm_right": Room("every chunk times all of them", results=_FIRST),
    "svd": Room("QR of every chunk, then the SVD of their small factors", results=_FIRST, fits=_is_tall),
    "fft_linearized": Room(_BY_ROW, results=(0, 1)),
    "ifft_linearized": Room(_BY_ROW, (0, 1), (0, 1)),
    "stft": Room(_BY_ROW, results=(0, 1)),
    "batch_norm2d": Room("sums by channel of every chunk, then each is normalised", results=_FIRST, fits=_is_one_of(5, "train", "test")),
    "batch_norm2d_backward": Room("sums by channel of every chunk, then the gradient of each", (0, 1), _FIRST),
}


def room_of(hop: Hop, facts: FactTable) -> Room | None:
    """How the workers run an operator by a kernel of its own; None if they do not."""
    rooms = _TABLE.get(hop.op, ())
    return next((r for r in ([rooms] if isinstance(rooms, Room) else rooms) if r.takes(hop, facts)), None)
