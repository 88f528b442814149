"""Operator rows: lists."""

from __future__ import annotations

from typing import Final

from dmlite.hop.ops.row import Op

ROWS: Final[tuple[Op, ...]] = ()
