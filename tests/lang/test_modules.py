from __future__ import annotations

from pathlib import Path

import pytest

from dmlite.errors import Problems
from dmlite.lang import modules
from dmlite.lang.modules import Module, load_modules
from dmlite.lang.parser import parse

F = "f = function(double x) return (double y) { y = x }\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty working directory, beside which an installed library with a few files stands."""
    library = tmp_path / "library"
    write(library / "nn/layers/affine.dml", F + 'source("nn/util.dml") as util')
    write(library / "nn/util.dml", "u = function() { print(1) }")
    write(library / "scripts/algo.dml", "a = function() { print(1) }")
    monkeypatch.setattr(modules, "library", lambda name: library / name)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    return work


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(text: str, name: str = "<script>", base: Path | None = None) -> tuple[Module, list]:
    problems = Problems()
    return load_modules(parse(text, name), base, problems), problems.found


def found(text: str, base: Path | None = None) -> Path:
    module, problems = load(text, base=base)
    assert not problems
    (imported,) = module.imports.values()
    return Path(imported.path)


def test_functions_and_imports(folder):
    write(folder / "a.dml", F + "x = 3\n")
    module, problems = load('source("a.dml") as one source("a.dml") as two g = function() { print(2) }')
    assert not problems
    assert list(module.functions) == ["g"]
    assert module.imports["one"] is module.imports["two"]
    assert list(module.imports["one"].functions) == ["f"]
    assert module.imports["one"].functions["f"].span.source.name == "a.dml"
    assert "functions" not in repr(module)


def test_search_order(folder, tmp_path):
    text = 'source("nn/util.dml") as u'
    library = tmp_path / "library"
    assert found(text) == library / "nn/util.dml"
    below_scripts = write(folder / "scripts/nn/util.dml", F)
    assert found(text) == below_scripts
    working = write(folder / "nn/util.dml", F)
    assert found(text) == working
    beside = write(tmp_path / "project/nn/util.dml", F)
    assert found(text, base=tmp_path / "project") == beside
    assert found(text, base=tmp_path / "elsewhere") == working
    assert found(f'source("{beside}") as u') == beside


@pytest.mark.parametrize("path", ["nn/util.dml", "./nn/util.dml", "scripts/nn/util.dml", "nn/layers/../util.dml"])
def test_library_prefixes(folder, tmp_path, path):
    assert found(f'source("{path}") as u') == tmp_path / "library/nn/util.dml"


def test_scripts_of_the_library(folder, tmp_path):
    assert found('source("scripts/algo.dml") as a') == tmp_path / "library/scripts/algo.dml"


def test_the_installed_library_is_found():
    module, problems = load('source("nn/layers/affine.dml") as affine')
    assert not problems
    assert {"init", "forward", "backward"} <= set(module.imports["affine"].functions)


def test_setwd_moves_later_imports_only(folder):
    first = write(folder / "a.dml", F)
    second = write(folder / "sub/a.dml", F)
    module, problems = load('source("a.dml") as one setwd("sub") source("a.dml") as two')
    assert not problems
    assert (module.imports["one"].path, module.imports["two"].path) == (first, second)


def test_a_file_looks_beside_itself_first(folder):
    write(folder / "lib/a.dml", 'source("b.dml") as b')
    near = write(folder / "lib/b.dml", F)
    write(folder / "b.dml", F)
    module, problems = load('source("lib/a.dml") as a')
    assert not problems
    assert module.imports["a"].imports["b"].path == near


def test_every_file_is_parsed_once_and_cycles_are_fine(folder, monkeypatch):
    write(folder / "a.dml", 'source("b.dml") as b\n' + F)
    write(folder / "b.dml", 'source("a.dml") as a source("b.dml") as me source("main.dml") as main\n' + F)
    main = write(folder / "main.dml", 'source("a.dml") as a source("b.dml") as b')
    parsed = []
    monkeypatch.setattr(modules, "parse", lambda text, name: parsed.append(name) or parse(text, name))
    module, problems = load(main.read_text(), str(main), folder)
    assert not problems
    assert sorted(parsed) == ["a.dml", "b.dml"]
    a, b = module.imports["a"], module.imports["b"]
    assert (a.imports["b"], b.imports["a"], b.imports["me"], b.imports["main"]) == (b, a, b, module)


def test_an_alias_may_stand_before_its_source_and_in_a_block(folder):
    write(folder / "a.dml", F)
    module, problems = load('x = a::f(1)\nif (x > 1) { source("a.dml") as a }')
    assert not problems
    assert list(module.imports) == ["a"]


def test_missing_file(folder):
    write(folder / "lib/afine.dml", F)
    _, (problem,) = load('x = 1\nsource("lib/affine.dml") as affine\n', "main.dml")
    assert str(problem.span) == "main.dml:2:1"
    assert problem.message == "the file 'lib/affine.dml' is not found; looked for lib/affine.dml, scripts/lib/affine.dml"
    assert problem.hint == "did you mean 'lib/afine.dml'?"
    _, (problem,) = load('source("nn/layers/afine.dml") as affine')
    assert "library" in problem.message
    assert problem.hint == "did you mean 'nn/layers/affine.dml'?"
    _, (problem,) = load('source("nowhere/x.dml") as x')
    assert "relative" in problem.hint
    _, (problem,) = load('source("https://example.org/x.dml") as x')
    assert "not downloaded" in problem.hint


def test_all_problems_of_all_files_are_reported(folder):
    write(folder / "a.dml", "x = = 3\n")
    write(folder / "b.dml", 'source("c.dml") as c\n' + F + F)
    module, problems = load('source("a.dml") as a source("a.dml") as again source("b.dml") as b ' + F.strip() + F)
    assert sorted(str(problem.span) for problem in problems) == ["<script>:1:118", "a.dml:1:5", "b.dml:1:1", "b.dml:3:1"]
    assert list(module.imports) == ["b"]


def test_function_defined_twice():
    _, (problem,) = load(F + "x = 1\n" + F)
    assert (problem.span.line, problem.message) == (3, "the function 'f' is defined twice")
    assert "line 1" in problem.hint


def test_one_alias_for_two_files(folder):
    write(folder / "a.dml", F)
    write(folder / "b.dml", F)
    module, (problem,) = load('source("a.dml") as a\nsource("a.dml") as a\nsource("b.dml") as a')
    assert problem.span.line == 3
    assert "'a' is given to two files" in problem.message
    assert "a.dml" in problem.hint
    assert module.imports["a"].path == folder / "a.dml"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x = 1\ny = '\xff'", "a.dml is not UTF-8 text: byte 0xff in line 2"),
        (b"x\0y", "a.dml is not a text file"),
        (None, "cannot read a.dml: it is a folder"),
    ],
)
def test_unreadable_files(folder, content, message):
    if content is None:
        (folder / "a.dml").mkdir()
    else:
        write(folder / "a.dml", content)
    module, (problem,) = load('source("a.dml") as a')
    assert (problem.message, problem.span.line) == (message, 1)
    assert not module.imports


def test_byte_order_mark_and_windows_line_ends(folder):
    write(folder / "a.dml", b"\xef\xbb\xbf# text\r\nf = function() {\r\n  print(1)\r\n}\r\n")
    module, problems = load('source("a.dml") as a')
    assert not problems
    assert list(module.imports["a"].functions) == ["f"]
