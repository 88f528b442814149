"""Arguments put in the order of parameters, with defaults and names."""

from __future__ import annotations

from typing import Any

from dmlite.errors import Problems
from dmlite.lang.arguments import bind_builtin, bind_call, dml_text
from dmlite.lang.nodes import Literal
from dmlite.lang.parser import parse
from tests.support.checking import AFFINE, Builtins


def call_of(text: str):
    return parse(f"x = {text}").body[0].value


def values(bound) -> list[Any]:
    return [None if e is None else e.value if isinstance(e, Literal) else e for e in bound]


def test_binding_puts_arguments_in_parameter_order():
    (init,) = (f for f in parse(AFFINE).body if f.name == "init")
    problems = Problems()
    assert values(bind_call(init, call_of("init(1, seed=3, M=2)"), problems)) == [1, 2, 3]
    assert values(bind_call(init, call_of("init(1, 2)"), problems)) == [1, 2, None]
    assert problems.found == []
    assert len(bind_call(init, call_of("init(1, 2, 3, 4)"), problems)) == 3
    assert len(problems.found) == 1


def test_binding_builtins_spreads_variadic_arguments():
    row = {op.name: op for op in Builtins.ROWS}
    assert values(bind_builtin(row["max"], call_of("max(1, 2)"))) == [1, 2]
    assert values(bind_builtin(row["max"], call_of("max(1, 2, 3, 4)"))) == [1, 2, 3, 4]
    assert bind_builtin(row["max"], call_of("max(1)")) is None
    assert values(bind_builtin(row["order"], call_of("order(target=1, decreasing=TRUE)"))) == [1, None, True, None]
    assert bind_builtin(row["order"], call_of("order(target=1, target=2)")) is None


def test_defaults_are_shown_as_dml():
    assert [dml_text(v) for v in (True, "a", 1, 0.5, float("nan"), float("-inf"))] == ["TRUE", '"a"', "1", "0.5", "NaN", "-Inf"]
