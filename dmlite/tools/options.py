"""The words of a command line: options with one dash or two, script parameters, files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

from dmlite.errors import DMLError, did_you_mean
from dmlite.memory import parse_bytes

# What SystemDS calls the levels, and ours for them.
LEVELS: Final = {
    "ast": "ast",
    "hops": "hops",
    "trace": "trace",
    "plan": "plan",
    "runtime": "runtime",
    "recompile_hops": "plan",
    "recompile_runtime": "runtime",
    "codegen": "runtime",
}
MODES: Final = {
    "auto": "auto",
    "local": "local",
    "dask": "dask",
    "singlenode": "local",
    "hybrid": "auto",
    "hybrid_spark": "auto",
    "spark": "dask",
    "hadoop": "dask",
}
_INTEGER: Final = re.compile(r"[+-]?[0-9]+\Z")
_NUMBER: Final = re.compile(r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|NaN|Infinity)\Z")
_ESCAPE: Final = re.compile(r"""\\([btnfr"'\\])""")
_ESCAPED: Final = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


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
    opt: int | None = None
    memory: int | None = None
    exec: str | None = None
    cluster: str | None = None
    inputs: list[str] = field(default_factory=list)
    out: str | None = None
    format: str | None = None
    analyze: bool = False
    script: str | None = None
    quick: bool = False
    check: bool = False
    debug: bool = False
    help: bool = False
    ignored: list[str] = field(default_factory=list)


def parse_options(args: list[str], allowed: Collection[str]) -> Options:
    """Options and files. Raises UsageError for an option outside of `allowed` and for a value that does not fit."""
    options = Options()
    rest = list(args)
    while rest:
        word = rest.pop(0)
        name = word.lstrip("-")
        if name == word or not name:
            options.files.append(word)
            continue
        if word.startswith("--") and "=" in name:
            name, _, value = name.partition("=")
            rest.insert(0, value)
        if name in ("h", "help"):
            options.help = True
        elif name in allowed:
            HANDLERS[name](options, rest)
        else:
            near = did_you_mean(name, allowed)
            raise UsageError(f"unknown option {word}" + (f"; {near}" if near else ""))
    return options


# ---------------------------------------------------------------- taking words
def _value(rest: list[str], option: str) -> str:
    if not rest:
        raise UsageError(f"{option} needs a value")
    return rest.pop(0)


def _words(rest: list[str]) -> list[str]:
    """The words up to the next option; a negative number is a word."""
    words = []
    while rest and not (rest[0].startswith("-") and rest[0].lstrip("-").partition("=")[0] in HANDLERS):
        words.append(rest.pop(0))
    return words


def _named(options: Options, rest: list[str]) -> None:
    for word in _words(rest):
        name, equals, value = word.partition("=")
        if not equals or not name.isidentifier():
            raise UsageError(f"-nvargs takes NAME=VALUE, found '{word}'")
        if "=" in value:
            raise UsageError(f"the value of {name} holds a second '=': '{word}'")
        options.dollar[name] = dollar_value(value)


def _positional(options: Options, rest: list[str]) -> None:
    for number, word in enumerate(_words(rest), start=1):
        options.dollar[str(number)] = dollar_value(word)


def dollar_value(text: str) -> bool | int | float | str:
    """A `$` argument: TRUE or FALSE, a whole number, a number, else a string without its quotes and escapes."""
    if text in ("TRUE", "FALSE"):
        return text == "TRUE"
    if _INTEGER.match(text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    if _NUMBER.match(text):
        return float(text)
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1]
    return _ESCAPE.sub(lambda m: _ESCAPED.get(m[1], m[1]), text)


def _explain(options: Options, rest: list[str]) -> None:
    options.explain = LEVELS[rest.pop(0)] if rest and rest[0] in LEVELS else "runtime"


def _level(options: Options, rest: list[str]) -> None:
    level = _value(rest, "--level")
    if level not in LEVELS:
        raise UsageError(f"--level is ast, hops, trace, plan or runtime, not '{level}'")
    options.explain = LEVELS[level]


def _stats(options: Options, rest: list[str]) -> None:
    options.stats = int(rest.pop(0)) if rest and rest[0].isdecimal() else 10


def _seed(options: Options, rest: list[str]) -> None:
    text = _value(rest, "--seed")
    if not _INTEGER.match(text):
        raise UsageError(f"--seed takes a whole number, not '{text}'")
    options.seed = int(text)


def _opt(options: Options, rest: list[str]) -> None:
    text = _value(rest, "--opt")
    if text not in ("0", "1", "2", "3", "4"):
        raise UsageError(f"--opt takes a level from 0 to 4, not '{text}'")
    options.opt = int(text)


def _memory(options: Options, rest: list[str]) -> None:
    try:
        options.memory = parse_bytes(_value(rest, "--memory"))
    except DMLError as error:
        raise UsageError(f"--memory takes an amount such as 8GB: {error.message}") from None


def _mode(options: Options, rest: list[str]) -> None:
    """Where operators may run; SystemDS has other names for it."""
    mode = _value(rest, "--exec")
    if mode not in MODES:
        raise UsageError(f"--exec is auto, local or dask, not '{mode}'")
    options.exec = MODES[mode]


def _cluster(options: Options, rest: list[str]) -> None:
    options.cluster = _value(rest, "--cluster")


def _gpu(options: Options, rest: list[str]) -> None:
    if rest and rest[0] == "force":
        rest.pop(0)
    options.ignored.append("-gpu")


def _config(options: Options, rest: list[str]) -> None:
    options.ignored.append(f"-config {_value(rest, '-config')}")


def _inputs(options: Options, rest: list[str]) -> None:
    options.inputs.extend(name for name in _value(rest, "--inputs").split(",") if name)


def _switch(name: str) -> Callable[[Options, list[str]], None]:
    return lambda options, rest: setattr(options, name, True)


HANDLERS: Final[dict[str, Callable[[Options, list[str]], None]]] = {
    "f": lambda o, rest: o.files.append(_value(rest, "-f")),
    "s": lambda o, rest: setattr(o, "text", _value(rest, "-s")),
    "nvargs": _named,
    "args": _positional,
    "explain": _explain,
    "level": _level,
    "stats": _stats,
    "seed": _seed,
    "opt": _opt,
    "memory": _memory,
    "exec": _mode,
    "cluster": _cluster,
    "gpu": _gpu,
    "config": _config,
    "inputs": _inputs,
    "i": _inputs,
    "out": lambda o, rest: setattr(o, "out", _value(rest, "--out")),
    "o": lambda o, rest: setattr(o, "out", _value(rest, "-o")),
    "format": lambda o, rest: setattr(o, "format", _value(rest, "--format")),
    "analyze": _switch("analyze"),
    "script": lambda o, rest: setattr(o, "script", _value(rest, "--script")),
    "quick": _switch("quick"),
    "check": _switch("check"),
    "debug": _switch("debug"),
}
