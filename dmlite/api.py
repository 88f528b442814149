"""Embedding: `dml(script).input(X=array).output("W")`, executed by an `MLContext`, results by name."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dmlite.backends.local.storage import dense, is_matrix, is_sparse, sparse
from dmlite.config import config
from dmlite.errors import DMLError
from dmlite.flow import Unit, compile
from dmlite.hop.facts import Fact, constant, matrix, scalar, vtype_of
from dmlite.runtime.stats import Stats
from dmlite.values import DMLList


class Matrix:
    """A matrix result: `.toNumPy()`, `.to_scipy()`, `.shape`, and NumPy functions take it as it is."""

    __slots__ = ("_value",)

    def __init__(self, value: Any):
        self._value = value

    @property
    def shape(self) -> tuple[int, int]:
        return self._value.shape

    def toNumPy(self) -> np.ndarray:
        """The cells as a 2-D float64 array of the caller's own."""
        return np.array(dense(self._value))

    def to_scipy(self) -> Any:
        """The cells as a `scipy.sparse.csr_array`."""
        return sparse(self._value).copy()

    def toDF(self) -> Any:
        """The cells as a pandas DataFrame with columns C1, C2, ..."""
        import pandas

        return pandas.DataFrame(self.toNumPy(), columns=[f"C{i + 1}" for i in range(self.shape[1])])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.toNumPy()
        return array if dtype is None else array.astype(dtype)

    def __repr__(self) -> str:
        stored = f"sparse, {self._value.nnz} non-zeros" if is_sparse(self._value) else "dense"
        return f"Matrix({self.shape[0]}x{self.shape[1]}, {stored})"

    def _repr_html_(self) -> str:
        rows, cols = min(self.shape[0], 10), min(self.shape[1], 10)
        head = dense(self._value[:rows, :cols])
        body = "".join("<tr>" + "".join(f"<td>{v:.5g}</td>" for v in row) + "</tr>" for row in head)
        return f"<table>{body}</table><small>{self!r}</small>"


class Script:
    """A DML script with its inputs and wanted outputs; compiled once per kind and shape of the inputs."""

    def __init__(self, text: str, name: str = "<script>", base: Path | None = None):
        self._text = text
        self._name = name
        self._base = base
        self._inputs: dict[str, Any] = {}
        self._dollar: dict[str, Any] = {}
        self._outputs: list[str] | None = None
        self._compiled: dict[Any, Unit] = {}

    def input(self, *args: Any, **kwargs: Any) -> Script:
        """Bind variables: `input("X", x)` or `input(X=x, n=3)`. A name starting with `$` is a command-line parameter.

        Takes NumPy arrays (1-D becomes a column), scipy.sparse, pandas, scalars, strings, lists, and earlier results.
        """
        if len(args) not in (0, 2):
            raise ValueError("Expected name, value pair.")
        pairs = {args[0]: args[1], **kwargs} if args else kwargs
        for name, value in pairs.items():
            if name.startswith("$"):
                self._dollar[name[1:]] = value
            else:
                self._inputs[name] = to_value(value, name)
        return self

    def output(self, *names: str) -> Script:
        """Name the variables that are wanted; everything that serves none of them is dead code."""
        self._outputs = [*(self._outputs or ()), *names]
        return self

    def clearIO(self) -> Script:
        """Forget inputs and outputs."""
        self._inputs.clear()
        self._dollar.clear()
        self._outputs = None
        return self

    def getScriptString(self) -> str:
        return self._text

    # ------------------------------------------------------------ compiling and running
    def compile(self, stats: Stats | None = None) -> Unit:
        """The compiled program for the inputs bound now; kept, so that the same kinds and shapes compile once.

        Raises DMLError with every problem of the script.
        """
        facts = {name: input_fact(value) for name, value in self._inputs.items()}
        key = (tuple(sorted(facts.items(), key=lambda f: f[0])), repr(sorted(self._dollar.items())), tuple(self._outputs or ()), self._outputs is None, config())
        unit = self._compiled.get(key) if stats is None else None
        if unit is None:
            unit = compile(Unit(self._text, self._name, facts, self._dollar, self._outputs, self._base, config(), stats))
            if stats is None:
                self._compiled[key] = unit
        return unit

    def execute(self, stats: Stats | None = None) -> MLResults:
        """Compile where needed, run, and give the results."""
        unit = self.compile(stats)
        assert unit.engine is not None
        return MLResults(unit.engine.run(self._inputs))

    run = execute


class MLResults:
    """The variables a script left behind."""

    def __init__(self, values: Mapping[str, Any]):
        self._values = dict(values)

    def get(self, *names: str) -> Any:
        """One name gives the value, several a list of them. Matrices come as `Matrix`, scalars as Python values.

        Raises DMLError for a variable the script did not set (or did not name as output).
        """
        if len(names) == 1:
            return self._one(names[0])
        return [self._one(n) for n in names]

    def _one(self, name: str) -> Any:
        if name not in self._values:
            raise DMLError(f"variable '{name}' not found", hint=f"the script left: {', '.join(sorted(self._values)) or 'nothing'}")
        return from_value(self._values[name])

    def __getitem__(self, name: str) -> Any:
        return self._one(name)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        return list(self._values)


class MLContext:
    """Executes scripts. An argument (a Spark or Dask entry point) is accepted; local execution does not need one."""

    def __init__(self, context: Any = None):
        self._context = context
        self._statistics = False

    def execute(self, script: Script) -> MLResults:
        """Run a script and give its results. Raises DMLError."""
        stats = Stats() if self._statistics else None
        results = script.execute(stats)
        if stats is not None:
            from dmlite.tools.statistics import print_statistics

            print_statistics(stats)
        return results

    def setStatistics(self, on: bool) -> MLContext:
        """Print the heaviest operators after every run."""
        self._statistics = bool(on)
        return self

    def version(self) -> str:
        from dmlite import __version__

        return __version__

    def close(self) -> None:
        """Nothing is held open; for scripts that close their context."""


def dml(script: str) -> Script:
    """A script from its text, or from a file when the string ends in `.dml`.

    Raises ValueError for anything but a string, or a path that does not exist.
    """
    if not isinstance(script, str):
        raise ValueError(f"a script must be a string, not {type(script).__name__}")
    if script.strip().endswith(".dml") and "\n" not in script.strip():
        return dmlFromFile(script.strip())
    return Script(script)


def dmlFromFile(path: str | Path) -> Script:
    """A script from a file; its `source` paths start at the file's folder. Raises ValueError when there is none."""
    file = Path(path)
    if not file.is_file():
        raise ValueError(f"no such script: {path}")
    return Script(file.read_text(encoding="utf-8"), str(path), file.parent)


@contextmanager
def jvm_stdout(parallel_flush: bool = False) -> Iterator[None]:
    """Kept for notebooks of SystemML, where it showed what the script prints; here prints always reach `sys.stdout`."""
    yield


# ---------------------------------------------------------------- values in and out
def to_value(value: Any, name: str = "input") -> Any:
    """A Python value as a DML value. Raises DMLError when there is no such DML value."""
    if isinstance(value, Matrix):
        return value._value
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        value = value.item()
    if isinstance(value, (bool, int, float, str, DMLList)):
        return value
    if isinstance(value, complex):
        return float(_real_part(np.array(value), name))
    if hasattr(value, "tocsr"):
        from scipy.sparse import csr_array

        found = csr_array(_real_part(value, name)).astype(np.float64, copy=True)
        found.sum_duplicates()
        found.eliminate_zeros()
        return found
    if isinstance(value, (list, tuple)) and not _is_numeric_table(value):
        return DMLList(tuple(to_value(v, name) for v in value))
    if isinstance(value, dict):
        return DMLList(tuple(to_value(v, name) for v in value.values()), tuple(map(str, value)))
    return _dense_matrix(value, name)


def _is_numeric_table(value: Any) -> bool:
    """Nested lists of numbers are a matrix; everything else is a list."""
    return bool(value) and all(isinstance(row, (list, tuple)) and row and all(isinstance(c, (int, float)) for c in row) for row in value)


def _dense_matrix(value: Any, name: str) -> np.ndarray:
    array = _real_part(np.asarray(value), name)
    if array.dtype.kind not in "biuf":
        raise DMLError(f"input '{name}' holds {array.dtype} values; a matrix holds numbers", hint="select or encode the numeric columns first")
    if array.ndim == 0:
        array = array.reshape(1, 1)
    elif array.ndim == 1:
        array = array.reshape(-1, 1)
    elif array.ndim != 2:
        raise DMLError(f"input '{name}' has {array.ndim} dimensions; a matrix has two")
    return np.asarray(array, dtype=np.float64)


def _real_part(array: Any, name: str) -> Any:
    if array.dtype.kind != "c":
        return array
    warnings.warn(f"input '{name}' is complex; its imaginary part is dropped", stacklevel=4)
    return array.real


def from_value(value: Any) -> Any:
    """A DML value as a Python value."""
    if is_matrix(value):
        return Matrix(value)
    if isinstance(value, DMLList):
        items = [from_value(v) for v in value.items]
        return dict(zip(value.names, items, strict=True)) if value.names else items
    return value


def input_fact(value: Any) -> Fact:
    """What is known of an input at compile time; booleans are constants, so that they choose branches."""
    if is_matrix(value):
        return matrix(*value.shape)
    if isinstance(value, DMLList):
        return Fact("list")
    if isinstance(value, bool):
        return constant(value)
    return scalar(vtype_of(value))
