"""From Python exceptions in generated code to errors at DML lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmlite.errors import DMLError, DMLRuntimeError, DMLStop, Source, Span
from dmlite.runtime.errors import Traces

SOURCE = Source("a.dml", "x = 1\ny = x[2]\nz = 3\n")
OUTER = Span(SOURCE, 1, 1, 1, 6)
INNER = Span(SOURCE, 2, 5, 2, 9)


def traces() -> Traces:
    """Two generated functions, `outer` calling `inner`, each with its place on line 2."""
    made = Traces()
    made.register("<dml outer>", {2: ("call", OUTER)})
    made.register("<dml inner>", {2: ("[]", INNER)})
    return made


def fail(error: BaseException, *, in_kernel: bool = False) -> Exception:
    """`error` as it comes out of `outer` -> `inner` (-> a kernel)."""

    def kernel() -> None:
        raise error

    namespace: dict[str, Any] = {"go": kernel, "error": error}
    code = "def inner():\n    go()\n" if in_kernel else "def inner():\n    raise error\n"
    exec(compile(code, "<dml inner>", "exec"), namespace)  # noqa: S102
    exec(compile("def outer():\n    inner()\n", "<dml outer>", "exec"), namespace)  # noqa: S102
    outer: Callable[[], None] = namespace["outer"]
    try:
        outer()
    except Exception as caught:
        return caught
    raise AssertionError


@pytest.mark.parametrize("in_kernel", [False, True])
def test_the_innermost_place_counts(in_kernel: bool) -> None:
    explained = traces().explain(fail(DMLRuntimeError("no"), in_kernel=in_kernel))
    assert explained.problems[0].span is INNER


def test_an_error_that_has_a_place_keeps_it() -> None:
    explained = traces().explain(fail(DMLRuntimeError("no", OUTER)))
    assert explained.problems[0].span is OUTER


def test_the_class_and_the_hint_of_an_error_are_kept() -> None:
    explained = traces().explain(fail(DMLStop("stop", hint="go on")))
    assert isinstance(explained, DMLStop)
    assert explained.problems[0].hint == "go on"


def test_memory_and_recursion_are_said_in_words_of_the_script() -> None:
    memory = traces().explain(fail(MemoryError(), in_kernel=True))
    assert "out of memory in []" in memory.message and memory.problems[0].span is INNER
    recursion = traces().explain(fail(RecursionError("maximum recursion depth exceeded")))
    assert "too deeply" in recursion.message and recursion.problems[0].hint


def test_anything_else_names_the_operator() -> None:
    explained = traces().explain(fail(ValueError("odd")))
    assert isinstance(explained, DMLRuntimeError)
    assert explained.message == "[] failed: odd"
    assert traces().explain(fail(ValueError())).message == "[] failed (ValueError)"


def test_without_generated_frames_there_is_no_place() -> None:
    explained = Traces().explain(fail(ValueError("odd")))
    assert explained.problems[0].span is None
    assert explained.message == "the script failed: odd"


def test_the_text_shows_the_line_with_a_caret() -> None:
    text = str(traces().explain(fail(DMLRuntimeError("no such row", hint="there is one row"))))
    assert text.splitlines() == ["a.dml:2:5: error: no such row", "    y = x[2]", "        ^~~~", "  hint: there is one row"]


def test_explained_errors_are_dml_errors() -> None:
    assert isinstance(traces().explain(fail(KeyError("k"))), DMLError)
