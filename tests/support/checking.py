"""The checker on a small operator table, away from the files and operators of the product."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from dmlite.errors import Problems
from dmlite.hop.ops.row import Op
from dmlite.lang.check import check
from dmlite.lang.modules import Module
from dmlite.lang.nodes import Function, Script
from dmlite.lang.parser import parse
from dmlite.lang.scopes import Findings


class Builtins:
    """A small operator table."""

    ROWS = (
        *(Op(name, "X: M", "D", "", "") for name in ("sum", "mean")),
        *(Op(name, "X: A", "I", "", "") for name in ("nrow", "ncol", "length")),
        *(Op(name, "x: M|S", "cell", "", "") for name in ("exp", "abs")),
        Op("t", "X: M", "M", "", ""),
        Op("as.scalar", "x: A", "D", "", ""),
        Op("as.matrix", "x: A", "M", "", ""),
        Op("matrix", "data: M|S, rows: D, cols: D, byrow: B = TRUE", "M", "", ""),
        Op("rand", 'rows: D = 1, cols: D = 1, min: D = 0, max: D = 1, pdf: T = "uniform", seed: D = -1', "M", "", "", effect=True),
        Op("seq", "from: D, to: D, incr: D = ?", "M", "", ""),
        Op("table_dims", "A: M, B: M, rows: D, cols: D", "M", "", "", spelling="table"),
        Op("table", "A: M, B: M, W: M|S = 1", "M", "", ""),
        Op("max", "x: M|S, y: M|S, *more: M|S", "cell", "", ""),
        Op("max_all", "X: M", "D", "", "", spelling="max"),
        Op("rbind", "X: A, *more: A", "M", "", ""),
        Op("eigen", "A: M", "M,M", "", ""),
        Op("list", "names: V, *items: A", "L", "", ""),
        Op("exists", "name: A", "B", "", ""),
        Op("eval", "name: T, *arguments: A", "A", "", "", effect=True),
        Op("toString", "target: A, rows: I = 100, cols: I = 100, decimal: I = 3", "T", "", ""),
        Op("order", "target: M, by: D|M = 1, decreasing: B = FALSE, index.return: B = FALSE", "M", "", ""),
        Op("print", "what: A, *arguments: A", "", "", "", effect=True),
        Op("stop", "message: S", "", "", "", effect=True),
        Op("assert", "condition: S", "", "", "", effect=True),
        Op("write", 'X: A, file: T, format: T = "text"', "", "", "", effect=True),
        Op("read", 'file: T, rows: D = ?, cols: D = ?, format: T = "text"', "A", "", "", effect=True),
        Op("conv2d", "X: M, W: M, input_shape: V, filter_shape: V, stride: V, padding: V", "M", "", ""),
    )

    def candidates(self, spelling: str) -> list[Op]:
        return [row for row in self.ROWS if row.dml == spelling]

    def spellings(self) -> list[str]:
        return [row.dml for row in self.ROWS]


def File(script: Script, imports: dict[str, Module] | None = None) -> Module:
    """A script as the module loader hands it over."""
    functions = {f.name: f for f in script.body if isinstance(f, Function)}
    return Module(PurePath(script.span.source.name), script, functions, dict(imports or {}))


AFFINE = """
forward = function(matrix[double] X, matrix[double] W, matrix[double] b) return (matrix[double] out) { out = X %*% W + b }
init = function(int D, int M, int seed = -1) return (matrix[double] W, matrix[double] b) { W = rand(rows=D, cols=M, seed=seed); b = matrix(0, 1, M) }
log = function(string s) { print(s) }
"""
EMPTY_FILE = "y = undefined_but_never_run\n"


def checked(text: str, inputs=(), dollar: dict[str, Any] | None = None, name: str = "<script>") -> tuple[Problems, Findings]:
    imports = {"affine": File(parse(AFFINE, "affine.dml")), "nothing": File(parse(EMPTY_FILE, "nothing.dml"))}
    problems = Problems()
    return problems, check(File(parse(text, name), imports), inputs, dollar or {}, Builtins(), problems)


def shown(problems: Problems) -> list[str]:
    return [f"{p.span.line}:{p.span.col} {p.message}" for p in problems.found]
