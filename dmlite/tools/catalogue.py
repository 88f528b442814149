"""`dmlite rules`: the catalogue of rewrites as a table, as a page, or one rule in full; and how often each fired in a script."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Final

from dmlite.errors import DMLError, did_you_mean
from dmlite.explain.record import Record
from dmlite.hop.changes import KINDS, Kind
from dmlite.rewrite.phases import ALL, rules_for
from dmlite.rewrite.rule import Rule
from dmlite.tools.report import Section, report_html
from dmlite.tools.terminal import plain_table, show_table

_LEVELS: Final = (2, 3, 4)
STATEMENTS: Final = "statements"  # the topic of what is done to whole statements
_MEANING: Final = {
    "exact": "the same numbers bit for bit, up to the sign of zero",
    "reassociates": "rounding may differ",
    "ignores-nan": "a NaN or an overflow may become a number",
}


@dataclass(frozen=True)
class Entry:
    """One rule as it is shown. topic: the module of its record below `dmlite/rewrite/`; line: where the record stands there."""

    name: str
    before: tuple[str, ...]
    after: str
    why: str
    values: str
    level: int
    topic: str
    line: int | None
    guarded: bool
    guard: str
    fired: int | None = None


def catalogue(fired: Mapping[str, int] | None = None) -> list[Entry]:
    """Every rule in the order in which they are tried, then the rewrites of statements; `fired`: how often each did, by name."""
    count = lambda name: None if fired is None else fired.get(name, 0)  # noqa: E731
    rules = [_entry(rule, count(rule.name)) for rule in dict.fromkeys(ALL)]
    return rules + [_statement_entry(name, kind, count(name)) for name, kind in KINDS.items()]


def fired_in(record: Record) -> Counter[str]:
    """How often each rule fired in a program."""
    rewrites = [rewrite.rule for block in record.blocks for rewrite in block.rewrites]
    return Counter([*rewrites, *(change.kind for change in record.statements)])


def _statement_entry(name: str, kind: Kind, fired: int | None) -> Entry:
    return Entry(name, (kind.before,), kind.after, kind.why, "exact", kind.level, STATEMENTS, None, False, "", fired)


def _entry(rule: Rule, fired: int | None) -> Entry:
    topic, line = _home(rule)
    level = next((n for n in _LEVELS if rule in rules_for(n, sizes_known=True)), _LEVELS[-1])
    after = rule.after if isinstance(rule.after, str) else rule.example
    guard = (rule.where.__doc__ or "") if rule.where is not None else ""
    return Entry(rule.name, rule.spellings, after, rule.why, rule.values, level, topic, line, rule.where is not None, guard, fired)


def _home(rule: Rule) -> tuple[str, int | None]:
    """The module whose RULES hold the record, and its line."""
    for module, rules in _modules().items():
        if rule in rules:
            lines = Path(sys.modules[module].__file__ or "").read_text(encoding="utf-8").split("\n")
            found = re.compile(rf"""["']{re.escape(rule.name)}["']""")
            line = next((number for number, text in enumerate(lines, start=1) if found.search(text)), None)
            return module.removeprefix("dmlite.rewrite."), line
    return "", None


@cache
def _modules() -> dict[str, Sequence[Rule]]:
    """The modules of rules; importing the phases has loaded them all."""
    found = {name: getattr(module, "RULES", None) for name, module in sys.modules.items() if name.startswith("dmlite.rewrite.")}
    return {name: rules for name, rules in found.items() if isinstance(rules, tuple)}


# ---------------------------------------------------------------- text
def select(entries: Sequence[Entry], name: str) -> list[Entry]:
    """The rule of that name, or all whose name or topic contains it. Raises DMLError when there is none."""
    exact = [e for e in entries if e.name == name]
    near = [e for e in entries if name in e.name or name in e.topic]
    if not exact and not near:
        raise DMLError(f"there is no rewrite rule '{name}'", hint=did_you_mean(name, (e.name for e in entries)))
    return exact or near


def as_text(entries: Sequence[Entry], *, whole: bool) -> str:
    """A table; `whole`: a paragraph for each rule."""
    if whole:
        return "\n".join(_paragraph(entry) for entry in entries)
    title, headings, rows = _table(entries)
    return plain_table(title, headings, rows)


def print_table(entries: Sequence[Entry]) -> None:
    show_table(sys.stdout, *_table(entries))


def _table(entries: Sequence[Entry]) -> tuple[str, list[str], list[list[str]]]:
    counted = any(e.fired is not None for e in entries)
    headings = [*(["fired"] if counted else []), "rule", "before", "after", "values", "level", "topic", "why"]
    rows = []
    for e in sorted(entries, key=lambda e: -(e.fired or 0)):
        more = f"  (or {len(e.before) - 1} more)" if len(e.before) > 1 else ""
        row = [e.name, e.before[0] + more, e.after, e.values, str(e.level), e.topic, e.why]
        rows.append([*([str(e.fired)] if counted else []), *row])
    total = f"{len(entries)} rewrite rules" + (f", fired {sum(e.fired or 0 for e in entries)} times" if counted else "")
    return total, headings, rows


def _paragraph(entry: Entry) -> str:
    where = f"dmlite/rewrite/{entry.topic.replace('.', '/')}.py" + (f":{entry.line}" if entry.line else "")
    facts = {
        "why": entry.why,
        "values": f"{entry.values}: {_MEANING[entry.values]}; at level {entry.level} and above",
        "guard": (entry.guard or "on what is known of the operands") if entry.guarded else "none: always",
        "file": where if entry.topic not in ("", STATEMENTS) else "",
        "fired": "" if entry.fired is None else f"{entry.fired} times",
    }
    equations = "".join(f"    {before}  ->  {entry.after}\n" for before in entry.before)
    return f"{entry.name}\n{equations}" + "".join(f"  {key:<8}{text}\n" for key, text in facts.items() if text)


# ---------------------------------------------------------------- data and page
def as_json(entries: Sequence[Entry]) -> str:
    """An array of objects with the fields of `Entry`."""
    return json.dumps([asdict(e) for e in entries], indent=1) + "\n"


def as_html(entries: Sequence[Entry], script: str | None = None) -> str:
    """A page with a section for every topic; `script`: the one in which firings were counted."""
    topics = dict.fromkeys(e.topic for e in entries)
    tables = {topic: [e for e in entries if e.topic == topic] for topic in topics}
    links = [f'<a href="#{escape(topic)}">{escape(topic)}</a> {len(found)}' for topic, found in tables.items()]
    sections = [Section("Topics", html=f"<p>{' · '.join(links)}</p>")]
    sections += [Section(topic or "other", html=_html_table(topic, found)) for topic, found in tables.items()]
    counted = f" Counted in {script}: they fired {sum(e.fired or 0 for e in entries)} times." if script else ""
    lead = f"{len(entries)} rules, each an equation with the reason for it. Upper-case letters stand for matrices, lower-case for scalars."
    return report_html("Rewrite rules", sections, lead + counted)


def _html_table(topic: str, entries: Sequence[Entry]) -> str:
    counted = any(e.fired is not None for e in entries)
    headings = ["rule", "before", "after", "why", "values", "level", *(["fired"] if counted else [])]
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    rows = "".join(f'<tr id="{escape(e.name)}">{_html_cells(e, counted)}</tr>\n' for e in entries)
    return f"<figure id='{escape(topic)}'><table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody></table></figure>"


def _html_cells(entry: Entry, counted: bool) -> str:
    code = lambda text: f"<code>{escape(text)}</code>"  # noqa: E731
    before = "<br>".join(map(code, entry.before))
    guard = " (guarded)" if entry.guarded else ""
    cells = [code(entry.name), before, code(entry.after), escape(entry.why + guard), escape(entry.values), str(entry.level)]
    return "".join(f"<td>{cell}</td>" for cell in [*cells, *([str(entry.fired)] if counted else [])])
