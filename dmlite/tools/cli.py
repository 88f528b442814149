"""The command line: `dmlite run FILE`, `explain`, `check`, `fmt`, `demo`, `doctor`; also the spellings of SystemDS.

Exit status: 0 fine, 1 an error in the script, 2 an error in the command. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dmlite.errors import DMLError, did_you_mean

USAGE: Final = """\
usage: dmlite run FILE [-nvargs K=V ...] [-args A ...] [--explain hops|plan|runtime] [--stats [N]] [--seed S]
       dmlite explain FILE [--level hops|plan|runtime] [-nvargs K=V ...]
       dmlite check FILE... [--inputs X,y]  report every problem; --inputs names variables bound from Python
       dmlite fmt [--check] FILE...  rewrite scripts in the canonical form
       dmlite demo [--out FOLDER] [--quick]  learn a healthy bearing, hear a broken one
       dmlite doctor                 what is installed, what is missing and why
FILE may be given with -f, a script text with -s; options may have one dash or two.
"""


class UsageError(Exception):
    """The command itself is wrong; the message says how."""


@dataclass
class Options:
    """What the command line asked for."""

    files: list[str] = field(default_factory=list)
    text: str | None = None
    dollar: dict[str, Any] = field(default_factory=dict)
    explain: str | None = None
    stats: int | None = None
    seed: int | None = None
    flags: set[str] = field(default_factory=set)
    out: str | None = None
    inputs: list[str] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    argv = list(sys.argv[1:] if argv is None else argv)
    command, rest = (argv[0], argv[1:]) if argv and argv[0] in COMMANDS else ("run", argv)
    if not argv or argv[0] in ("-h", "--help", "-help", "help"):
        sys.stdout.write(USAGE)
        return 0 if argv else 2
    if argv[0] in ("--version", "-version"):
        from dmlite import __version__

        sys.stdout.write(f"dmlite {__version__}\n")
        return 0
    try:
        return COMMANDS[command](parse_options(rest))
    except UsageError as error:
        sys.stderr.write(f"dmlite: {error}\n{USAGE}")
        return 2
    except DMLError as error:
        sys.stdout.flush()
        sys.stderr.write(f"{error}\n")
        return 1
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 1


# ---------------------------------------------------------------- options
def parse_options(args: list[str]) -> Options:
    """Options and files; every option may be written with one dash or two. Raises UsageError."""
    options = Options()
    rest = list(args)
    while rest:
        word = rest.pop(0)
        name = word.lstrip("-")
        if not word.startswith("-") or not name:
            options.files.append(word)
        elif name in _HANDLERS:
            _HANDLERS[name](options, rest)
        elif name in ("quick", "check", "verbose"):
            options.flags.add(name)
        else:
            near = did_you_mean(name, [*_HANDLERS, "quick", "check"])
            raise UsageError(f"unknown option {word}" + (f"; {near}" if near else ""))
    return options


def _value(rest: list[str], option: str) -> str:
    if not rest:
        raise UsageError(f"{option} needs a value")
    return rest.pop(0)


def _take(rest: list[str]) -> list[str]:
    """The words up to the next option; a negative number is a word."""
    words = []
    while rest and not (rest[0].startswith("-") and rest[0].lstrip("-") in _HANDLERS):
        words.append(rest.pop(0))
    return words


def _named(options: Options, rest: list[str]) -> None:
    for word in _take(rest):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"-nvargs takes NAME=VALUE, found '{word}'")
        options.dollar[name] = dollar_value(value)


def _positional(options: Options, rest: list[str]) -> None:
    for number, word in enumerate(_take(rest), start=1):
        options.dollar[str(number)] = dollar_value(word)


def dollar_value(text: str) -> bool | int | float | str:
    """A `$` argument: TRUE or FALSE, a whole number, a number, else a string (surrounding quotes dropped)."""
    if text in ("TRUE", "FALSE"):
        return text == "TRUE"
    for convert in (int, float):
        try:
            return convert(text) if "_" not in text else text
        except ValueError:
            continue
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text


def _explain(options: Options, rest: list[str]) -> None:
    levels = ("hops", "plan", "runtime")
    options.explain = rest.pop(0) if rest and rest[0] in levels else "runtime"


def _level(options: Options, rest: list[str]) -> None:
    level = _value(rest, "--level")
    if level not in ("hops", "plan", "runtime"):
        raise UsageError(f"--level is hops, plan or runtime, not '{level}'")
    options.explain = level


def _stats(options: Options, rest: list[str]) -> None:
    options.stats = int(rest.pop(0)) if rest and rest[0].isdigit() else 10


def _seed(options: Options, rest: list[str]) -> None:
    text = _value(rest, "--seed")
    if not text.lstrip("-").isdigit():
        raise UsageError(f"--seed takes a whole number, not '{text}'")
    options.seed = int(text)


def _exec(options: Options, rest: list[str]) -> None:
    """`-exec singlenode` and the like: accepted, since placement is decided by cost."""
    _value(rest, "-exec")


_HANDLERS: Final[dict[str, Callable[[Options, list[str]], None]]] = {
    "f": lambda o, rest: o.files.append(_value(rest, "-f")),
    "s": lambda o, rest: setattr(o, "text", _value(rest, "-s")),
    "nvargs": _named,
    "args": _positional,
    "explain": _explain,
    "level": _level,
    "stats": _stats,
    "seed": _seed,
    "exec": _exec,
    "inputs": lambda o, rest: o.inputs.extend(n for n in _value(rest, "--inputs").split(",") if n),
    "out": lambda o, rest: setattr(o, "out", _value(rest, "--out")),
}


# ---------------------------------------------------------------- commands
def _script(options: Options) -> Any:
    from dmlite.api import Script

    if options.text is not None:
        script = Script(options.text)
    else:
        if len(options.files) != 1:
            raise UsageError("give one script file" if not options.files else f"one script at a time, found {len(options.files)}")
        path = Path(options.files[0])
        script = Script(read_script(path), str(path), path.parent)
    return script.input(**{f"${name}": value for name, value in options.dollar.items()}).output()


def read_script(path: Path) -> str:
    """The text of a script file. Raises DMLError when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        near = did_you_mean(path.name, (p.name for p in path.parent.glob("*.dml"))) if path.parent.is_dir() else None
        raise DMLError(f"no such script: {path}", hint=near) from None
    except UnicodeDecodeError as error:
        raise DMLError(f"{path} is not a text file in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise DMLError(f"cannot read {path}: {error.strerror}") from None


def run(options: Options) -> int:
    from dmlite.runtime.stats import Stats

    script = _script(options)
    if options.seed is not None:
        from dmlite.backends.local.random import set_global_seed

        set_global_seed(options.seed)
    stats = Stats() if options.stats is not None else None
    unit = script.compile(stats)
    if options.explain is not None:
        from dmlite.explain.text import explain

        sys.stderr.write(explain(unit.engine, options.explain))
    try:
        unit.engine.run({})
    finally:
        sys.stdout.flush()
        if stats is not None:
            from dmlite.tools.statistics import print_statistics

            print_statistics(stats, options.stats or 10)
    return 0


def explain_(options: Options) -> int:
    from dmlite.explain.text import explain

    sys.stdout.write(explain(_script(options).compile().engine, options.explain or "hops"))
    return 0


def check(options: Options) -> int:
    """Every problem of every file; warnings do not fail."""
    from dmlite.flow import Unit, compile
    from dmlite.hop.facts import UNKNOWN

    if not options.files:
        raise UsageError("give the script files to check")
    failed = 0
    for name in options.files:
        path = Path(name)
        try:
            text = read_script(path)
            inputs = dict.fromkeys(options.inputs, UNKNOWN)
            unit = Unit(text, str(path), inputs, options.dollar, base=path.parent, open_dollar=True)
            compile(unit, until="hops")
            for warning in unit.warnings:
                sys.stderr.write(f"{str(warning).replace(': error: ', ': warning: ', 1)}\n")
        except DMLError as error:
            failed += len(error.problems)
            sys.stderr.write(f"{error}\n")
    return 1 if failed else 0


def fmt(options: Options) -> int:
    """Canonical form in place; with --check only tell which files would change."""
    from dmlite.lang.parser import parse
    from dmlite.lang.printer import to_dml

    if not options.files:
        raise UsageError("give the script files to format")
    changed = []
    for name in options.files:
        text = read_script(Path(name))
        new = to_dml(parse(text, name))
        if new != text:
            changed.append(name)
            if "check" not in options.flags:
                from dmlite.runtime.io.files import create_text, replacing

                with replacing(name) as (temporary,), create_text(temporary) as file:
                    file.write(new)
    sys.stderr.write("".join(f"{'would reformat' if 'check' in options.flags else 'reformatted'} {n}\n" for n in changed))
    return 1 if changed and "check" in options.flags else 0


def demo(options: Options) -> int:
    from dmlite.tools.demo import run_demo

    return run_demo(Path(options.out or "dmlite-demo"), quick="quick" in options.flags)


def doctor(options: Options) -> int:
    from dmlite.tools.doctor import report

    sys.stdout.write(report())
    return 0


COMMANDS: Final[dict[str, Callable[[Options], int]]] = {
    "run": run,
    "explain": explain_,
    "check": check,
    "fmt": fmt,
    "demo": demo,
    "doctor": doctor,
}
