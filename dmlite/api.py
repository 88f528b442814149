"""Embedding: `dml(script).input(X=array).output("W")`, executed by an `MLContext`, results by name."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dmlite.backends.dask import given
from dmlite.config import config
from dmlite.errors import DMLError
from dmlite.flow import Unit, compile
from dmlite.hop.facts import Fact
from dmlite.runtime.exchange import Matrix, detached, from_value, input_fact, to_value
from dmlite.runtime.stats import Stats
from dmlite.values import DMLList

if TYPE_CHECKING:
    from dmlite.explain.explanation import Explanation

MAX_UNITS: Final = 64  # compiled programs that are kept, the latest used


class Script:
    """A DML script with its inputs and wanted outputs; compiled once per kind and shape of the inputs."""

    def __init__(self, text: str, name: str = "<script>", base: Path | None = None):
        self._text = text
        self._name = name
        self._base = base
        self._inputs: dict[str, Any] = {}
        self._borrowed: dict[str, list[np.ndarray]] = {}
        self._dollar: dict[str, Any] = {}
        self._outputs: list[str] | None = None

    def input(self, *args: Any, **kwargs: Any) -> Script:
        """Bind variables: `input("X", x)` or `input(X=x, n=3)`. A name starting with `$` is a command-line parameter.

        Takes NumPy arrays (1-D becomes a column), scipy.sparse, pandas, scalars, strings, lists, and earlier results.
        Arrays are not changed by the script, and not copied where they are float64. Raises ValueError for another
        number of arguments, DMLError for a value that DML has no kind for.
        """
        if len(args) not in (0, 2):
            raise ValueError("Expected name, value pair.")
        pairs = {args[0]: args[1], **kwargs} if args else kwargs
        for name, value in pairs.items():
            found = to_value(value, name)
            if name.startswith("$"):
                if not isinstance(found, (bool, int, float, str)):
                    raise DMLError(f"parameter {name} must be a number, a boolean or a string", hint="bind a matrix to a variable instead")
                self._dollar[name[1:]] = found
            else:
                self._inputs[name] = found
                self._borrowed[name] = [] if isinstance(value, Matrix) else _arrays(found)
        return self

    def output(self, *names: str) -> Script:
        """Name the variables that are wanted; everything that serves none of them is dead code."""
        self._outputs = [*(self._outputs or ()), *names]
        return self

    def clearIO(self) -> Script:
        """Forget inputs and outputs."""
        self._inputs.clear()
        self._borrowed.clear()
        self._dollar.clear()
        self._outputs = None
        return self

    def getScriptString(self) -> str:
        return self._text

    # ------------------------------------------------------------ compiling and running
    def compile(self, stats: Stats | None = None) -> Unit:
        """The compiled program for the inputs bound now; kept, so that the same text, kinds and shapes compile once.

        Raises DMLError with every problem of the script.
        """
        unit = self._unit({name: input_fact(value) for name, value in self._inputs.items()}, stats)
        return compile(unit) if stats is not None else _units.compiled(unit)

    def _unit(self, facts: Mapping[str, Fact], stats: Stats | None) -> Unit:
        return Unit(self._text, self._name, facts, self._dollar.copy(), self._outputs, self._base, config(), stats)

    def explain(self, level: str = "plan", format: str = "text", analyze: bool = False) -> Explanation:
        """What the script is compiled to: `ast`, `hops`, `plan`, `runtime` (the generated Python) or `trace` (the rewrites).

        format: `text`, `json`, `dot`, `mermaid` or `html`. analyze: run the script on its inputs first, and show what was
        measured beside the estimates. `str()` of the result gives it; notebooks show it as a page. Raises DMLError, and
        ValueError for another level or format.
        """
        from dmlite.explain.explanation import check, explain, measure

        check(level, format)
        facts = {name: input_fact(value, counted=True) for name, value in self._inputs.items()}
        unit = compile(self._unit(facts, Stats(sizes=True) if analyze else None))
        assert unit.script is not None
        run = measure(_engine(unit), self._inputs) if analyze else None
        return explain(unit.script, unit.name, _engine(unit), level, format, run)

    def execute(self, stats: Stats | None = None) -> MLResults:
        """Compile where needed, run, and give the results. Raises DMLError."""
        found = _engine(self.compile(stats)).run(self._inputs)
        borrowed = [array for arrays in self._borrowed.values() for array in arrays]
        # an input that the script leaves as it is belongs to the caller; get() copies it
        return MLResults({n: v if v is self._inputs.get(n) else detached(v, borrowed) for n, v in found.items()}, borrowed)

    run = execute


def _arrays(value: Any) -> list[np.ndarray]:
    """The arrays of an input, which its caller may change after the run."""
    if isinstance(value, DMLList):
        return [array for item in value.items for array in _arrays(item)]
    return [value] if isinstance(value, np.ndarray) else []


def _engine(unit: Unit) -> Any:
    assert unit.engine is not None
    return unit.engine


class _Units:
    """Compiled programs by text, inputs, parameters and settings; forgotten when a file they were made from changes."""

    def __init__(self) -> None:
        self._units: OrderedDict[Any, Unit] = OrderedDict()
        self._lock = Lock()

    def compiled(self, unit: Unit) -> Unit:
        """`unit` compiled, or an equal one that was compiled before."""
        outputs = None if unit.outputs is None else tuple(unit.outputs)
        facts, dollar = tuple(sorted(unit.inputs.items())), repr(sorted(unit.dollar.items()))
        key = (unit.text, unit.name, unit.base, os.getcwd(), facts, dollar, outputs, unit.config, given.client.get())
        with self._lock:
            known = self._units.get(key)
            if known is not None and known.is_fresh():
                self._units.move_to_end(key)
                return known
        compile(unit)
        with self._lock:
            self._units[key] = unit
            while len(self._units) > MAX_UNITS:
                self._units.popitem(last=False)
        return unit


_units = _Units()


class MLResults:
    """The variables a script left behind."""

    def __init__(self, values: Mapping[str, Any], borrowed: list[np.ndarray] | None = None):
        self._values = dict(values)
        self._borrowed = borrowed or []

    def get(self, *names: str) -> Any:
        """One name gives the value, several a list of them. Matrices come as `Matrix`, scalars as Python values.

        Raises DMLError for a variable the script did not set (or did not name as output).
        """
        return self[names[0]] if len(names) == 1 else [self[name] for name in names]

    def __getitem__(self, name: str) -> Any:
        if name not in self._values:
            raise DMLError(f"variable '{name}' not found", hint=f"the script left: {', '.join(sorted(self._values)) or 'nothing'}")
        return from_value(detached(self._values[name], self._borrowed))

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def names(self) -> list[str]:
        """All variables, in no particular order."""
        return list(self._values)

    def __repr__(self) -> str:
        return f"MLResults({', '.join(sorted(self._values))})"


class MLContext:
    """Executes scripts, on the workers of a `dask.distributed.Client` where plans use workers.

    The client stays the caller's. Any other argument (an entry point of Spark) is accepted, and not needed.
    """

    def __init__(self, context: Any = None):
        self._client = context if given.is_client(context) else None
        self._statistics = False
        self._explain = False
        self._count = 10
        self._level = "plan"

    def execute(self, script: Script) -> MLResults:
        """Run a script and give its results. Raises DMLError, and ValueError for what is not a script."""
        if not isinstance(script, Script):
            raise ValueError(f"execute takes a script made by dml(...), not {type(script).__name__}")
        with given.using(self._client):
            return self._execute(script)

    def _execute(self, script: Script) -> MLResults:
        if self._explain:
            sys.stdout.write(str(script.explain(self._level)))
        if not self._statistics:
            return script.execute()
        from dmlite.tools.statistics import print_statistics

        stats = Stats()
        results = script.execute(stats)
        print_statistics(stats, self._count)
        return results

    def setStatistics(self, on: bool) -> MLContext:
        """Print the heaviest operators after every run."""
        self._statistics = bool(on)
        return self

    def setStatisticsMaxHeavyHitters(self, count: int) -> MLContext:
        """How many operators the statistics show."""
        self._count = int(count)
        return self

    def setExplain(self, on: bool) -> MLContext:
        """Print the program before every run."""
        self._explain = bool(on)
        return self

    def setExplainLevel(self, level: str) -> MLContext:
        """A level of `Script.explain`. Raises ValueError for another one."""
        if level not in ("ast", "hops", "trace", "plan", "runtime"):
            raise ValueError(f"level is ast, hops, trace, plan or runtime, not {level!r}")
        self._level = level
        return self

    def version(self) -> str:
        from dmlite import __version__

        return __version__

    def __enter__(self) -> MLContext:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers that were started for scripts, and connections to others. What lies on workers is lost, unless it was got."""
        given.close()


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
    return Script(file.read_text(encoding="utf-8-sig"), str(path), file.parent)


@contextmanager
def jvm_stdout(parallel_flush: bool = False) -> Iterator[None]:
    """Kept for notebooks of SystemML, where it showed what the script prints; here prints always reach `sys.stdout`."""
    yield
