"""Files and the files they import: `source("nn/layers/affine.dml") as affine`.

Only functions are imported. A path is looked up next to the importing file, then in the working directory (which `setwd`
moves) and its `scripts` folder, then in the installed library: `nn/...` and `scripts/...` are always found there, and a
local file of the same path wins. A name that is neither defined nor imported may be a builtin that is written in DML: the
function of that name in a file of the library's `scripts/builtin`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePath

from dmlite.errors import DMLSyntaxError, Problem, Problems
from dmlite.lang import nodes
from dmlite.lang.parser import parse
from dmlite.lang.walk import statements


@dataclass(eq=False)
class Module:
    """One file: its functions by name, the modules it imports by alias, and those of the DML-bodied builtins it may call.

    Modules are equal only to themselves.
    """

    path: PurePath
    script: nodes.Script = field(repr=False)
    functions: dict[str, nodes.Function] = field(default_factory=dict, repr=False)
    imports: dict[str, Module] = field(default_factory=dict, repr=False)
    library: dict[str, Module] = field(default_factory=dict, repr=False)

    def find(self, call: nodes.Call) -> tuple[nodes.Function, Module] | None:
        """The function written in DML that a call in this file means, with its file; None for other builtins and unknown names."""
        if call.namespace is not None:
            home = self.imports.get(call.namespace)
        else:
            home = self if call.name in self.functions else self.library.get(call.name)
        function = home.functions.get(call.name) if home else None
        return None if function is None or home is None else (function, home)

    def neighbours(self) -> list[Module]:
        """The files it refers to."""
        return [*self.imports.values(), *self.library.values()]


def load_modules(script: nodes.Script, base: Path | None, problems: Problems) -> Module:
    """The module of a script with all that it imports, directly or not; every file is read and parsed once.

    `base` is the folder of the script, None when it has none. What cannot be imported is added to `problems`, and its alias
    is in no module.
    """
    path = Path(script.span.source.name)
    main = Module(path, script, _functions(script, problems))
    loaded: dict[Path, Module | None] = {path.resolve(): main} if path.suffix == ".dml" else {}
    waiting = [(main, base)]
    while waiting:
        module, folder = waiting.pop()
        for name, path in _builtins_named(module).items():
            if path not in loaded:
                script = parse(path.read_text("utf-8"), _shown(path))
                builtin = loaded[path] = Module(path, script, _functions(script, problems))
                waiting.append((builtin, path.parent))
            if (known := loaded[path]) is not None:
                module.library[name] = known
        for statement, working in _sources(module.script):
            found = _resolve(statement.path, folder, working)
            if found is None:
                problems.found.append(_not_found(statement, folder, working))
                continue
            if found not in loaded:
                loaded[found] = _load(found, statement, problems)
                if new := loaded[found]:
                    waiting.append((new, found.parent))
            if (imported := loaded[found]) is None:
                continue
            if module.imports.setdefault(statement.alias, imported) is not imported:
                hint = f"it already stands for {_shown(module.imports[statement.alias].path)}; choose another one"
                problems.add(f"the alias '{statement.alias}' is given to two files", statement.span, hint)
    return main


def _load(path: Path, statement: nodes.Import, problems: Problems) -> Module | None:
    """The module of a file, without its imports; None, with its problems noted, when it cannot be read or parsed."""
    if (text := _read(path, statement, problems)) is None:
        return None
    try:
        script = parse(text, _shown(path))
    except DMLSyntaxError as error:
        problems.found.extend(error.problems)
        return None
    return Module(path, script, _functions(script, problems))


def dml_builtins() -> dict[str, Path]:
    """The builtins that are written in DML, and their files."""
    return _dml_files(library("scripts") / "builtin")


@cache
def _dml_files(folder: Path) -> dict[str, Path]:
    return {file.stem: file for file in sorted(folder.resolve().glob("*.dml"))}


def _builtins_named(module: Module) -> dict[str, Path]:
    """The DML-bodied builtins whose names occur in a file, in strings too, since `eval` calls by name."""
    words = dml_builtins().keys() & re.findall(r"\w+", module.script.span.source.text)
    return {name: dml_builtins()[name] for name in sorted(words - module.functions.keys())}


def _functions(script: nodes.Script, problems: Problems) -> dict[str, nodes.Function]:
    functions: dict[str, nodes.Function] = {}
    for item in script.body:
        if isinstance(item, nodes.Function) and functions.setdefault(item.name, item) is not item:
            first = functions[item.name].span.line
            problems.add(f"the function '{item.name}' is defined twice", item.span, f"the first definition is in line {first}")
    return functions


def _sources(script: nodes.Script) -> list[tuple[nodes.Import, Path]]:
    """The imports of a file, each with the working directory in force where it stands."""
    working = Path.cwd()
    found = []
    for statement in statements(item for item in script.body if not isinstance(item, nodes.Function)):
        if isinstance(statement, nodes.SetWd):
            working = working / os.path.expanduser(statement.path)
        elif isinstance(statement, nodes.Import):
            found.append((statement, working))
    return found


# ---------------------------------------------------------------- finding and reading files
def _places(path: str, folder: Path | None, working: Path) -> list[Path]:
    """Where a path is looked for, in this order."""
    plain = Path(os.path.expanduser(path))
    if plain.is_absolute():
        return [plain]
    places = [working / plain, working / "scripts" / plain]
    if folder is not None:
        places.insert(0, folder / plain)
    parts = PurePath(os.path.normpath(plain)).parts
    if parts[:1] == ("scripts",):
        places.append(library("scripts").joinpath(*parts[1:]))
        parts = parts[1:]
    if parts[:1] == ("nn",):
        places.append(library("nn").joinpath(*parts[1:]))
    return list(dict.fromkeys(places))


def _resolve(path: str, folder: Path | None, working: Path) -> Path | None:
    return next((place.resolve() for place in _places(path, folder, working) if place.exists()), None)


@cache
def library(name: str) -> Path:
    """A folder of the installed library: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    bundled = package / "_bundled" / name
    return bundled if bundled.is_dir() else package.parent / {"nn": "nnlib"}.get(name, name)


def _read(path: Path, statement: nodes.Import, problems: Problems) -> str | None:
    """The text of a file; None, with a problem at the importing statement, when it is not readable text."""
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        reason = "it is a folder" if path.is_dir() else (error.strerror or "it cannot be opened").lower()
        problems.add(f"cannot read {_shown(path)}: {reason}", statement.span)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        hint = "save it as UTF-8"
        problems.add(f"{_shown(path)} is not UTF-8 text: byte 0x{data[error.start]:02x} in line {line}", statement.span, hint)
    else:
        if "\0" not in text:
            return text
        problems.add(f"{_shown(path)} is not a text file", statement.span)
    return None


def _not_found(statement: nodes.Import, folder: Path | None, working: Path) -> Problem:
    """Names the places searched, and the nearest file name in any of them."""
    import difflib

    places = _places(statement.path, folder, working)
    wanted = PurePath(statement.path)
    names = {file.name for place in places if place.parent.is_dir() for file in place.parent.glob("*.dml")}
    near = difflib.get_close_matches(wanted.name, sorted(names), n=1)
    if near:
        hint = f"did you mean '{wanted.with_name(near[0]).as_posix()}'?"
    elif "://" in statement.path:
        hint = "files are not downloaded; fetch it first and import the copy"
    else:
        hint = "paths are relative to this file, or to the working directory"
    looked = ", ".join(_shown(place) for place in places)
    return Problem(f"the file '{statement.path}' is not found; looked for {looked}", statement.span, hint)


def _shown(path: PurePath) -> str:
    """A path as people like to read it: relative when it is below the working directory."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else str(path)
