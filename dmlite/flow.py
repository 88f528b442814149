"""THE PIPELINE: one tuple of named stages; `compile(..., until="ast")` stops after any of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final

from dmlite.backends.dask import given
from dmlite.config import Config, config, nested_calls
from dmlite.errors import DMLError, Problem, Problems
from dmlite.hop import ops
from dmlite.hop.facts import UNKNOWN, Fact, matrix, scalar
from dmlite.hop.lower import Context, lower
from dmlite.hop.machine import Machine, here
from dmlite.hop.ops.row import Op
from dmlite.hop.program import Program
from dmlite.lang import nodes as ast
from dmlite.lang.check import check
from dmlite.lang.modules import Module, load_modules
from dmlite.lang.parser import parse
from dmlite.plan.fit import refuse_program
from dmlite.rewrite.loops import Hoisted, hoist_invariants
from dmlite.rewrite.vectorise import vectorise_loops
from dmlite.runtime.engine import Engine

if TYPE_CHECKING:
    from dmlite.runtime.stats import Stats

_FOLDED_CASTS: Final = frozenset({"cast_to", "as.double", "as.integer", "as.logical"})
_VALUE_TYPES: Final = {"double": "double", "int": "int", "boolean": "boolean", "string": "string"}


@dataclass
class Unit:
    """One script on its way through the pipeline; every stage fills in its part.

    inputs: facts of the variables bound from outside. dollar: values of `$` parameters. outputs: wanted variables, None
    for all. base: the folder that relative `source` paths start from. machine: that it is planned for, None for this one.
    open_dollar: `$` parameters that are not given are unknown values rather than errors, and files need not exist. files: what
    the program was made from besides its text.
    """

    text: str
    name: str = "<script>"
    inputs: Mapping[str, Fact] = field(default_factory=dict)
    dollar: Mapping[str, Any] = field(default_factory=dict)
    outputs: list[str] | None = None
    base: Path | None = None
    config: Config = field(default_factory=config)
    stats: Stats | None = None
    machine: Machine | None = None
    open_dollar: bool = False
    problems: Problems = field(default_factory=Problems)
    warnings: list[Problem] = field(default_factory=list)
    script: ast.Script | None = None
    module: Module | None = None
    context: Context | None = None
    program: Program | None = None
    hoisted: list[Hoisted] = field(default_factory=list)
    engine: Engine | None = None
    files: dict[str, tuple[int, int] | None] = field(default_factory=dict)

    def is_fresh(self) -> bool:
        """Whether the files that the program was made from are as they were."""
        return all(_stamp(path) == stamp for path, stamp in self.files.items())


def _parse(unit: Unit) -> None:
    unit.script = parse(unit.text, unit.name)


def _modules(unit: Unit) -> None:
    assert unit.script is not None
    unit.module = load_modules(unit.script, unit.base, unit.problems)
    unit.files |= {str(path): _stamp(str(path)) for path in _imported(unit.module)}


def _imported(main: Module) -> list[PurePath]:
    """The files of all modules that `main` imports, directly or not."""
    found = [main]
    for module in found:
        found.extend(m for m in module.neighbours() if m not in found)
    return [module.path for module in found[1:]]


def _check(unit: Unit) -> None:
    assert unit.module is not None
    dollar = _Anything(unit.dollar) if unit.open_dollar else unit.dollar
    findings = check(unit.module, list(unit.inputs), dollar, ops, unit.problems)
    unit.warnings = findings.warnings.found
    unit.problems.raise_if_any()


class _Anything(dict[str, Any]):
    """Every `$` parameter counts as given."""

    def __contains__(self, name: object) -> bool:
        return True


def _lower(unit: Unit) -> None:
    assert unit.module is not None
    unit.context = Context(Problems(), unit.dollar, fold, lambda params: _head_of_file(unit, params))
    unit.program = lower(unit.module, unit.context, unit.inputs, unit.outputs)
    unit.context.problems.raise_if_any()


def _rewrite(unit: Unit) -> None:
    assert unit.program is not None
    if unit.config.opt_level >= 2:
        vectorise_loops(unit.program)  # first: a loop that is gone needs nothing moved out of it
        unit.hoisted = hoist_invariants(unit.program)


def _generate(unit: Unit) -> None:
    assert unit.program is not None and unit.machine is not None
    unit.engine = Engine(unit.program, unit.config, lambda name, args: _call_by_name(unit, name, args), unit.stats, unit.machine)


def _fit(unit: Unit) -> None:
    assert unit.program is not None and unit.machine is not None
    refuse_program(unit.program, unit.config, unit.machine)


STAGES: Final[tuple[tuple[str, Callable[[Unit], None]], ...]] = (
    ("ast", _parse),  # text to syntax tree
    ("modules", _modules),  # the files it imports; what is missing is reported with the problems of the next stage
    ("check", _check),  # names, arguments, structure: every problem at once
    ("hops", _lower),  # constants and shapes flow; kinds and shapes are checked
    ("rewrite", _rewrite),  # whole-program rewrites: work that leaves loops
    ("fit", _fit),  # what cannot fit into memory is refused before anything runs
    ("runtime", _generate),  # control flow as Python; blocks are rewritten and planned when their inputs are known
)


def compile(unit: Unit, until: str = "runtime", *, show: bool = False) -> Unit:
    """Run the stages up to and including `until`. Raises DMLError with all problems of the stage that failed.

    show: the program is to be looked at, not to be run, so it need not fit into memory.
    """
    if unit.machine is None:
        unit.machine = _machine()
    with nested_calls(100_000), nullcontext() if unit.stats is None else unit.stats.at_planning():
        for name, stage in STAGES:
            if not (show and name == "fit"):
                stage(unit)
            if name == until:
                break
    return unit


def _machine() -> Machine:
    """This machine, with the workers that were named, or are at work already. Raises DMLError when those cannot be reached."""
    machine, workers = here(), given.workers()
    return machine if workers is None else replace(machine, cluster=workers)


def fold(row: Op, values: list[Any]) -> Any:
    """A scalar operator applied to constants; None when it is left to the run time, for example to report an error there."""
    from dmlite.backends.local import registry

    if row.kernel.startswith("elementwise.") and all(v is not None and not isinstance(v, tuple) for v in values):
        kernel = registry.kernel("scalar", row.kernel.split(".")[1])
    elif row.name in _FOLDED_CASTS:
        kernel = registry.kernel(*row.kernel.split("."))
    else:
        return None
    try:
        return kernel(*values)
    except DMLError:
        return None


def _head_of_file(unit: Unit, params: Mapping[str, Any]) -> Fact:
    """`read_fact`, remembered as something the program was made from; a draft need not have its files yet."""
    for path in (str(params["filename"]), f"{params['filename']}.mtd"):
        unit.files[path] = _stamp(path)
    try:
        return read_fact(params)
    except DMLError:
        if unit.open_dollar:
            return UNKNOWN
        raise


def _stamp(path: str) -> tuple[int, int] | None:
    """What changes when a file does; None for a file that is not there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_mtime_ns, status.st_size


def read_fact(params: Mapping[str, Any]) -> Fact:
    """What the head of a file tells about the value `read` will give. Raises DMLIOError."""
    from dmlite.runtime import io

    params = dict(params)
    meta = io.read_meta(params.pop("filename"), **params)
    if meta.data_type == "scalar":
        return scalar(_VALUE_TYPES.get(meta.value_type or ""))
    return matrix(meta.rows, meta.cols)


def _call_by_name(unit: Unit, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """`eval`: the function of that name in the main script, `alias::f` in an imported file."""
    from dmlite.runtime.by_name import call

    assert unit.module is not None and unit.context is not None and unit.engine is not None
    return call(unit.module, unit.context, unit.engine, name, args)
