"""THE OPERATOR TABLE: one row an operator, by topic; everything else about operators is looked up here."""

from __future__ import annotations

from typing import Final

from dmlite.hop.ops import (
    aggregates,
    casts,
    cellwise,
    construct,
    fused,
    indexing,
    linalg,
    lists,
    neural,
    probability,
    reorg,
    statistics,
    system,
)
from dmlite.hop.ops.row import Op

TOPICS: Final = (cellwise, aggregates, statistics, construct, reorg, indexing, lists, casts, linalg, probability, neural, fused, system)
BY_NAME: Final[dict[str, Op]] = {op.name: op for topic in TOPICS for op in topic.ROWS}
_BY_SPELLING: Final[dict[str, list[Op]]] = {}
for _op in BY_NAME.values():
    for _spelling in (_op.dml, *_op.aliases):
        _BY_SPELLING.setdefault(_spelling, []).append(_op)


def candidates(spelling: str) -> list[Op]:
    """The rows that share a DML spelling, in order of preference; empty when there is no such builtin."""
    return _BY_SPELLING.get(spelling, [])


def spellings() -> list[str]:
    """All DML names and symbols of the table."""
    return list(_BY_SPELLING)
