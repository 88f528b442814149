"""Operator rows that talk to the world: printing, files, time, control. Their kernels live in the runtime."""

from __future__ import annotations

from typing import Final

from dmlite.hop.ops.row import Op, same

_READ = (
    "filename: T, data_type: T = ?, value_type: T = ?, rows: D = ?, cols: D = ?, nnz: D = ?, format: T = ?, sep: T = ?, "
    "header: B = ?, fill: B = ?, default: D = ?, naStrings: A = ?, indSep: T = ?, schema: A = ?, dataset: T = ?, "
    "rows_in_block: D = ?, cols_in_block: D = ?"
)
_WRITE = (
    "data: A, filename: T, format: T = ?, sep: T = ?, header: B = ?, sparse: B = ?, description: T = ?, indSep: T = ?, dataset: T = ?, "
    "rows_in_block: D = ?, cols_in_block: D = ?"
)

ROWS: Final[tuple[Op, ...]] = (
    Op("print", "x: A, *args: A", "", "system.print_", "Writes one line: a value, or a format string with its values.", effect=True),
    Op("stop", 'message: A = ""', "", "system.stop", "Ends the script with a message.", effect=True),
    Op("assert", "condition: S", "", "system.assert_", "Ends the script when the condition does not hold.", effect=True),
    Op("read", _READ, "A", "system.read", "A matrix or scalar from a file.", effect=True),
    Op("readMM", "filename: T", "M", "system.read_mm", "A matrix from a Matrix Market file.", effect=True),
    Op("write", _WRITE, "", "system.write", "A matrix or scalar to a file, with its .mtd beside it.", effect=True),
    Op("time", "", "I", "system.now", "Nanoseconds of a steady clock.", effect=True),
    Op("eval", "fname: T, *args: A", "A", "system.eval_", "Calls a function by name; a scalar result becomes a 1x1 matrix.", effect=True),
    Op("evalList", "fname: T, *args: A", "L", "system.eval_list", "Calls a function by name; all its results as a list.", effect=True),
    Op(
        "toString",
        'target: A, rows: D = 100, cols: D = 100, decimal: D = 3, sparse: B = FALSE, sep: T = " ", linesep: T = "\n"',
        "T",
        "system.to_string",
        "The text of a value, matrices cell by cell.",
    ),
    Op("literals", "*items: A", "V", "system.literals", "A literal list whose elements are computed.", spelling="[]"),
    Op("collect", "X: M", "M", "system.collect", "A matrix of the workers, here.", size=same, nnz=lambda x: x.nnz, spelling="collect()"),
    Op("is_set", "x: A", "B", "system.is_set", "Whether a variable that depends on the path is bound.", spelling="exists()"),
)
