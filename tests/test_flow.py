"""The shape of the package: data flows one way, files and functions stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from dmlite.errors import DMLError
from dmlite.flow import STAGES, Unit, compile

PACKAGE = Path(__file__).parents[1] / "dmlite"
# In the order in which a script passes through them; each may import from itself and from those before it.
ROW = ("lang", "hop", "rewrite", "plan", "codegen", "backends", "runtime", "explain", "tools")
ANYONE = {"errors", "config", "values", "memory", "text"}
# They join the row from outside: nothing in it but tools, which is a user of the whole, may import them.
OUTSIDE = {"flow", "api", "__init__", "__main__", "__version__"}
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 400
MAX_FUNCTION = 40


def _place(parts: tuple[str, ...]) -> str:
    """The folder or top-level module of the package that a module belongs to."""
    return parts[0] if parts else "__init__"


def _imports(path: Path) -> set[str]:
    """The places inside the package that a file imports from, also inside functions and for type checking."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" if node.module == "dmlite" else node.module or "" for alias in node.names]
        found |= {_place(tuple(name.split(".")[1:])) for name in names if name.split(".")[0] == "dmlite"}
    return found


def _name(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_imports_follow_the_flow(path):
    place = path.relative_to(PACKAGE).with_suffix("").parts[0]
    allowed = {*ROW, *ANYONE, *OUTSIDE}
    if place in ANYONE:
        allowed = ANYONE
    elif place in ROW:
        allowed = {*ROW[: ROW.index(place) + 1], *ANYONE}
        if place == "tools":
            allowed |= OUTSIDE
    else:
        assert place in OUTSIDE, f"{place} has no place in the flow"
    assert _imports(path) <= allowed


def test_every_folder_has_its_place():
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert folders == set(ROW)


def test_stages():
    assert [name for name, _ in STAGES] == ["ast", "modules", "check", "hops", "rewrite", "fit", "runtime"]


@pytest.mark.parametrize(("until", "last"), [("ast", "script"), ("modules", "module"), ("hops", "program"), ("runtime", "engine")])
def test_compilation_stops_after_any_stage(until, last):
    unit = compile(Unit("x = 1; print(x)"), until)
    parts = ["script", "module", "program", "engine"]
    done = [part for part in parts if getattr(unit, part) is not None]
    assert done == parts[: parts.index(last) + 1]


def test_a_stage_reports_all_its_problems():
    with pytest.raises(DMLError) as error:
        compile(Unit("print(a)\nprint(b)\nz = nosuch(1)"))
    assert [p.span.line for p in error.value.problems] == [1, 2, 3]


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_files_and_functions_are_small(path):
    text = path.read_text("utf-8")
    assert text.count("\n") < MAX_LINES
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    long = {n.name: n.end_lineno - n.lineno + 1 for n in functions if n.end_lineno - n.lineno + 1 > MAX_FUNCTION}
    assert not long


@pytest.mark.parametrize("path", FILES, ids=_name)
def test_public_names_are_documented(path):
    if path.name == "__init__.py" and not path.read_text("utf-8"):
        return
    tree = ast.parse(path.read_text("utf-8"))
    assert ast.get_docstring(tree), "a file says what it is for"
