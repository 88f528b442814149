"""The command line: `dmlite run FILE`, `explain`, `rules`, `check`, `fmt`, `demo`, `calibrate`, `doctor`; also the spellings of SystemDS.

Exit status: 0 fine, 1 an error in a script, 2 an error in the command. Results go to stdout, everything else to stderr.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dmlite.config import config, settings
from dmlite.errors import DMLError, did_you_mean
from dmlite.tools.help import HELP, Help
from dmlite.tools.options import Options, UsageError, parse_options

if TYPE_CHECKING:
    from dmlite.flow import Unit

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141


@dataclass(frozen=True)
class Command:
    """One command: what it does, the options it takes, and its help."""

    action: Callable[[Options], int]
    options: frozenset[str]
    help: Help


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    _prepare_streams()
    try:
        status = _guarded(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        _discard_stdout()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        sys.stderr.write("dmlite: interrupted\n")
        return INTERRUPTED
    except OSError as error:
        _discard_stdout()
        sys.stderr.write(f"dmlite: cannot write the output: {error.strerror or error}\n")
        return 1


def _prepare_streams() -> None:
    """A closed stream swallows what is written; a character that an encoding lacks is escaped. A warning is one line."""
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.formatwarning = lambda message, *_: f"dmlite: {message}\n"


def _guarded(argv: list[str]) -> int:
    """Every error as a message and a status."""
    frames = config().traceback or "--debug" in argv or "-debug" in argv
    try:
        return _dispatch(argv)
    except UsageError as error:
        sys.stderr.write(f"dmlite: {error}\n")
        return 2
    except DMLError as error:
        if frames:
            raise
        sys.stdout.flush()
        sys.stderr.write(f"{error}\n")
        return 1
    except BrokenPipeError:
        raise
    except Exception as error:
        if frames:
            raise
        sys.stdout.flush()
        what = str(error).split("\n")[0] or "no details"
        sys.stderr.write(f"dmlite: internal error: {type(error).__name__}: {what}\n  hint: DMLITE_TRACEBACK=full shows where\n")
        return 1


def _discard_stdout() -> None:
    """Nobody reads any more: what is still buffered must not raise again when Python exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _dispatch(argv: list[str]) -> int:
    if not argv:
        sys.stderr.write(overview())
        return 2
    word = argv[0]
    if word in ("-h", "--help", "-help", "help"):
        sys.stdout.write(overview())
        return 0
    if word in ("--version", "-version", "-V"):
        from dmlite import __version__

        sys.stdout.write(f"dmlite {__version__}\n")
        return 0
    name, rest = (word, argv[1:]) if word in COMMANDS else ("run", argv)
    if name != word and not word.startswith("-") and not word.endswith(".dml") and not Path(word).is_file():
        near = did_you_mean(word, COMMANDS)
        raise UsageError(f"'{word}' is neither a command nor a script" + (f"; {near}" if near else "") + "; see dmlite --help")
    command = COMMANDS[name]
    options = parse_options(rest, command.options)
    if options.help:
        sys.stdout.write(f"usage: dmlite {command.help.usage}\n\n{command.help.summary}.\n{command.help.details}")
        return 0
    if options.ignored:
        sys.stderr.write(f"dmlite: {', '.join(options.ignored)} has no effect\n")
    changes: dict[str, Any] = ({"traceback": True} if options.debug else {}) | ({} if options.opt is None else {"opt_level": options.opt})
    changes |= {n: v for n in ("memory", "exec", "cluster") if (v := getattr(options, n)) is not None}
    with settings(**changes):
        return command.action(options)


def overview() -> str:
    """The help of `dmlite --help`."""
    lines = ["usage: dmlite COMMAND ...", "       dmlite FILE.dml [options of run]", ""]
    lines += [f"  {h.usage.split()[0]:<9}{h.summary[0].lower()}{h.summary[1:]}" for h in HELP.values()]
    return "\n".join([*lines, "", "dmlite COMMAND --help tells more. Options may have one dash or two.", ""])


# ---------------------------------------------------------------- scripts
def _one_script(options: Options) -> tuple[str, str, Path | None]:
    """Text, name and folder of the script to work on."""
    if options.text is not None:
        if options.files:
            raise UsageError(f"give a script text or a file, not both (found {options.files[0]})")
        return options.text, "<script>", None
    if len(options.files) != 1:
        raise UsageError("give one script file" if not options.files else f"one script at a time, found {' '.join(options.files)}")
    name = options.files[0]
    return read_script(name), "<stdin>" if name == "-" else name, None if name == "-" else Path(name).parent


def read_script(name: str) -> str:
    """The text of a script file, `-` for stdin. Raises DMLError when it cannot be read."""
    path = Path(name)
    try:
        data = sys.stdin.buffer.read() if name == "-" else path.read_bytes()
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        near = did_you_mean(path.name, (p.name for p in path.parent.glob("*.dml"))) if path.parent.is_dir() else None
        raise DMLError(f"no such script: {name}", hint=near) from None
    except UnicodeDecodeError as error:
        raise DMLError(f"{name} is not a text file in UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise DMLError(f"cannot read {name}: {error.strerror}") from None


def _many(options: Options, what: str) -> list[str]:
    if not options.files:
        raise UsageError(f"give the script files to {what}")
    return options.files


def _draft(options: Options, text: str, name: str, base: Path | None) -> Unit:
    """A program that is compiled but not run: parameters that are not given count as unknown, and so do `--inputs`."""
    from dmlite.flow import Unit
    from dmlite.hop.facts import UNKNOWN

    outputs: list[str] | None = None if options.inputs else []
    return Unit(text, name, dict.fromkeys(options.inputs, UNKNOWN), options.dollar, outputs, base, config(), open_dollar=True)


# ---------------------------------------------------------------- commands
def run(options: Options) -> int:
    from dmlite.flow import Unit, compile

    text, name, base = _one_script(options)
    if options.seed is not None:
        from dmlite.backends.local.random import set_global_seed

        set_global_seed(options.seed)
    stats = None
    if options.stats is not None:
        from dmlite.runtime.stats import Stats

        stats = Stats()
    unit = compile(Unit(text, name, {}, options.dollar, [], base, config(), stats))
    _warn(unit)
    if options.explain is not None:
        from dmlite.tools.show import explanation

        sys.stderr.write(str(explanation(unit, options.explain)))
    engine: Any = unit.engine
    try:
        engine.run({})
    finally:
        if stats is not None:
            from dmlite.tools.statistics import print_statistics

            sys.stdout.flush()
            print_statistics(stats, options.stats or 10)
    return 0


def explain(options: Options) -> int:
    from dmlite.tools import show

    return show.explain(options, _draft(options, *_one_script(options)))


def rules(options: Options) -> int:
    from dmlite.tools import show

    name = options.script
    draft = None if name is None else _draft(options, read_script(name), name, Path(name).parent)
    return show.rules(options, draft)


def check(options: Options) -> int:
    """Every problem of every file; warnings do not fail."""
    from dmlite.flow import compile

    errors = warnings = 0
    for name in _many(options, "check"):
        try:
            unit = _draft(options, read_script(name), name, Path(name).parent)
            compile(unit, until="fit")
            warnings += len(unit.warnings)
            _warn(unit)
        except DMLError as error:
            errors += len(error.problems)
            sys.stderr.write(f"{error}\n")
    counts = [f"{n} {what}{'s' * (n > 1)}" for n, what in ((errors, "error"), (warnings, "warning")) if n]
    sys.stderr.write(f"{len(options.files)} file{'s' * (len(options.files) > 1)} checked: {', '.join(counts) or 'no problems'}\n")
    return 1 if errors else 0


def _warn(unit: Unit) -> None:
    for warning in unit.warnings:
        sys.stderr.write(f"{str(warning).replace(': error: ', ': warning: ', 1)}\n")


def fmt(options: Options) -> int:
    """Canonical form in place; with --check only tell which files would change; `-` formats stdin to stdout."""
    from dmlite.lang.parser import parse
    from dmlite.lang.printer import to_dml

    changed = failed = 0
    for name in _many(options, "format"):
        try:
            text = read_script(name)
            script = parse(text, name)
            new = to_dml(script)
            if parse(new, name) != script:
                raise DMLError(f"{name}: the canonical form would not be the same program; the file is left as it is")
        except DMLError as error:
            sys.stderr.write(f"{error}\n")
            failed += 1
            continue
        changed += new != text
        if name == "-":
            sys.stdout.write(new)
        elif new != text:
            sys.stderr.write(f"{'would reformat' if options.check else 'reformatted'} {name}\n")
            if not options.check:
                _replace(name, new)
    return 1 if failed or (changed and options.check) else 0


def _replace(name: str, text: str) -> None:
    """Write the new text at once or not at all, with the permissions of the old one."""
    import shutil

    from dmlite.runtime.io.files import create_text, replacing, reporting

    with reporting(name), replacing(name) as (temporary,):
        with create_text(temporary) as file:
            file.write(text)
        shutil.copymode(name, temporary)


def demo(options: Options) -> int:
    from dmlite.tools.demo import run_demo

    if options.files:
        raise UsageError(f"demo takes no files, found {options.files[0]}")
    return run_demo(Path(options.out or "dmlite-demo"), quick=options.quick)


def doctor(options: Options) -> int:
    from dmlite.tools.doctor import show

    show(sys.stdout)
    return 0


def calibrate(options: Options) -> int:
    from dmlite.tools.calibrate import calibrate as measure

    if options.files:
        raise UsageError(f"calibrate takes no files, found {options.files[0]}")
    measure(sys.stdout)
    return 0


# ---------------------------------------------------------------- the table
_SCRIPT: Final = {"f", "s", "nvargs", "args", "debug"}
COMMANDS: Final[dict[str, Command]] = {
    "run": Command(
        run, frozenset(_SCRIPT | {"explain", "stats", "seed", "opt", "memory", "exec", "cluster", "gpu", "config"}), HELP["run"]
    ),
    "explain": Command(
        explain,
        frozenset(_SCRIPT | {"level", "inputs", "explain", "format", "analyze", "opt", "memory", "exec", "cluster", "o", "out"}),
        HELP["explain"],
    ),
    "rules": Command(rules, frozenset({"script", "format", "o", "out", "inputs", "nvargs", "args", "debug"}), HELP["rules"]),
    "check": Command(check, frozenset({"inputs", "nvargs", "args", "memory", "exec", "cluster", "debug"}), HELP["check"]),
    "fmt": Command(fmt, frozenset({"check", "debug"}), HELP["fmt"]),
    "demo": Command(demo, frozenset({"out", "quick", "debug"}), HELP["demo"]),
    "calibrate": Command(calibrate, frozenset({"debug"}), HELP["calibrate"]),
    "doctor": Command(doctor, frozenset({"debug"}), HELP["doctor"]),
}
