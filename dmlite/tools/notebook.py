"""DML in notebooks: `%load_ext dmlite.tools.notebook`, then cells that start with `%%dml`.

    %%dml -i X,y -o w          take X and y from the notebook, leave w there
    %%dml --explain plan       do not run the cell, show what it is compiled to
    %%dml -i X --analyze       run it and show what was measured
    %%dml -nvargs n=10         values of $n
    %%dml --stats              the heaviest operators in the end

Without -o the cell gives its results as one value.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any, Final

from dmlite.api import Script
from dmlite.errors import DMLError
from dmlite.runtime.stats import Stats
from dmlite.tools.options import Options, UsageError, parse_options
from dmlite.tools.statistics import print_statistics

_OPTIONS: Final = frozenset({"i", "inputs", "o", "out", "nvargs", "args", "explain", "analyze", "stats"})


class CellError(DMLError):
    """An error of a cell, shown as its message alone."""

    def _render_traceback_(self) -> list[str]:
        return str(self).split("\n")


def load_ipython_extension(shell: Any) -> None:
    """Called by `%load_ext`."""
    shell.register_magic_function(lambda line, cell: run_cell(line, cell, shell.user_ns), "cell", "dml")


def run_cell(line: str, cell: str, namespace: dict[str, Any]) -> Any:
    """Run one cell on variables of `namespace`. Raises CellError for every mistake in the cell and its options.

    The value is the results of the script, its explanation with --explain or --analyze, or None with -o.
    """
    try:
        options = parse_options(shlex.split(line), _OPTIONS)
        if options.files:
            raise UsageError(f"%%dml takes options only, found '{options.files[0]}'")
        return _run(options, _script(options, cell, namespace), namespace)
    except (UsageError, ValueError) as error:
        raise CellError(str(error), hint="see help('dmlite.tools.notebook')") from None
    except DMLError as error:
        raise CellError(problems=error.problems) from None


def _script(options: Options, cell: str, namespace: Mapping[str, Any]) -> Script:
    script = Script(cell, "<cell>")
    for name in options.inputs:
        if name not in namespace:
            raise UsageError(f"there is no variable '{name}' in the notebook")
        script.input(name, namespace[name])
    for name, value in options.dollar.items():
        script.input(f"${name}", value)
    return script.output(*_outputs(options)) if options.out else script


def _outputs(options: Options) -> list[str]:
    return [name for name in (options.out or "").split(",") if name]


def _run(options: Options, script: Script, namespace: dict[str, Any]) -> Any:
    if options.explain is not None or options.analyze:
        return script.explain(options.explain or "plan", analyze=options.analyze)
    stats = Stats() if options.stats is not None else None
    results = script.execute(stats)
    if stats is not None:
        print_statistics(stats, options.stats or 10)
    if not options.out:
        return results
    for name in _outputs(options):
        namespace[name] = results[name]
    return None
