"""`dmlite explain`: what a script is compiled to, and with --analyze what it took. `dmlite rules`: what may be rewritten."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dmlite.errors import DMLError
from dmlite.explain.explanation import Explanation, check, measure
from dmlite.explain.explanation import explain as explain_engine
from dmlite.flow import Unit, compile
from dmlite.runtime.stats import Stats
from dmlite.tools.options import Options, UsageError

if TYPE_CHECKING:
    from dmlite.runtime.engine import Engine

FORMAT_OF: Final[Mapping[str, str]] = {".json": "json", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid", ".html": "html"}


def explain(options: Options, draft: Unit) -> int:
    """Write the explanation to the file named by -o, or to stdout; then what the script prints goes to stderr."""
    level = options.explain or "plan"
    format = options.format or FORMAT_OF.get(Path(options.out or "").suffix, "text")
    try:
        check(level, format)
    except ValueError as error:
        raise UsageError(f"{'--' * str(error).startswith('format is')}{error}") from None
    shown = _analyzed(options, draft, level, format) if options.analyze else explanation(compile(draft, show=True), level, format)
    write(str(shown), options.out)
    return 0


def explanation(unit: Unit, level: str, format: str = "text") -> Explanation:
    """A compiled program, explained."""
    assert unit.script is not None
    return explain_engine(unit.script, unit.name, _engine(unit), level, format)


def _analyzed(options: Options, draft: Unit, level: str, format: str) -> Explanation:
    if options.inputs:
        raise UsageError("--analyze runs the script, which must read its inputs itself; see Script.explain(analyze=True) for others")
    unit = compile(Unit(draft.text, draft.name, {}, draft.dollar, [], draft.base, draft.config, Stats(sizes=True)))
    assert unit.script is not None
    with contextlib.redirect_stdout(sys.stdout if options.out else sys.stderr):
        run = measure(_engine(unit), {})
    return explain_engine(unit.script, unit.name, _engine(unit), level, format, run)


def rules(options: Options, draft: Unit | None) -> int:
    """Write the catalogue, or what matches a name; with the draft of a script, also how often each rule fires in it."""
    from dmlite.tools import catalogue

    format = options.format or FORMAT_OF.get(Path(options.out or "").suffix, "text")
    if format not in ("text", "json", "html"):
        raise UsageError(f"--format is text, json or html, not '{format}'")
    if len(options.files) > 1:
        raise UsageError(f"give one name, or a part of one, found {' '.join(options.files)}")
    record = explanation(compile(draft, show=True), "trace").record if draft is not None else None
    entries = catalogue.catalogue(None if record is None else catalogue.fired_in(record))
    if options.files:
        entries = catalogue.select(entries, options.files[0])
    if format == "json":
        write(catalogue.as_json(entries), options.out)
    elif format == "html":
        write(catalogue.as_html(entries, record.name if record else None), options.out)
    elif options.files or options.out:
        write(catalogue.as_text(entries, whole=bool(options.files)), options.out)
    else:
        catalogue.print_table(entries)
    return 0


def _engine(unit: Unit) -> Engine:
    assert unit.engine is not None
    return unit.engine


def write(text: str, path: str | None) -> None:
    """To a file, or to stdout. Raises DMLError when the file cannot be written."""
    if path is None:
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise DMLError(f"cannot write {path}: {error.strerror}") from None
