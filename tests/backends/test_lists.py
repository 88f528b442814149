"""Lists: made, appended to, taken apart."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite.backends.local import lists as k
from dmlite.backends.local.construct import cbind
from dmlite.errors import DMLRuntimeError
from dmlite.values import DMLList

A = np.ones((2, 2))
PAIR = DMLList((1, "bee"), ("a", "b"))


def test_make():
    assert k.make((), 1, "x") == DMLList((1, "x"))
    assert k.make(("a", "b"), 1, "bee") == PAIR
    assert k.make(()) == DMLList() and len(k.make(())) == 0


def test_append():
    assert cbind(PAIR, 5) == DMLList((1, "bee", 5), ("a", "b", ""))
    assert cbind(PAIR, DMLList((3,), ("q",))) == DMLList((1, "bee", 3), ("a", "b", "q"))
    assert cbind(DMLList((1, 2)), DMLList((3,))) == DMLList((1, 2, 3))
    assert cbind(DMLList((1, 2)), DMLList((3, 4))) == DMLList((1, 2, DMLList((3, 4))))
    assert cbind(DMLList((1,)), DMLList((DMLList((3, 4)),))) == DMLList((1, DMLList((3, 4))))
    assert cbind(DMLList(), DMLList((3,), ("q",))) == DMLList((3,), ("q",))
    assert DMLList((1, "bee"), ("a", "b")) == PAIR


def test_as_list():
    inner = DMLList((2, 3))
    assert k.as_list(DMLList((inner,))) is inner
    assert k.as_list(PAIR) is PAIR
    with pytest.raises(DMLRuntimeError, match="not a 2x2 matrix"):
        k.as_list(A)


@pytest.mark.parametrize("which", [2, 2.5, "b"])
def test_remove(which):
    assert k.remove(PAIR, which) == (DMLList((1,), ("a",)), DMLList(("bee",), ("b",)))
    assert k.remove(DMLList((1, 2, 3)), 3) == (DMLList((1, 2)), DMLList((3,)))


@pytest.mark.parametrize("which, message", [(3, "no element 3 in a list of 2"), ("c", 'no element "c"'), (True - 1, "no element 0")])
def test_remove_what_is_not_there(which, message):
    with pytest.raises(DMLRuntimeError, match=message):
        k.remove(PAIR, which)


def test_hint_names_the_nearest():
    names = DMLList((1, 2), ("weights", "bias"))
    with pytest.raises(DMLRuntimeError, match="did you mean 'weights'"):
        k.section(names, "weigths", None)
