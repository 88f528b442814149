"""Casts between kinds and value types, at the edges of both."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.backends.local import casts as k
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import Fact, constant, matrix
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import ShapeError
from dmlite.values import DMLList

A = np.arange(6.0).reshape(2, 3)


def exactly(value, expected):
    assert type(value) is type(expected) and (value == expected or value != value)


class TestAsScalar:
    @pytest.mark.parametrize("x", [np.array([[2.5]]), csr_array(np.array([[2.5]])), DMLList((2.5,)), DMLList((np.array([[2.5]]),))])
    def test_one_value(self, x):
        exactly(k.as_scalar(x), 2.5)

    def test_element_keeps_its_type(self):
        for value in (3, True, "two"):
            exactly(k.as_scalar(DMLList((value,), ("a",))), value)
        exactly(k.as_scalar(csr_array((1, 1))), 0.0)

    @pytest.mark.parametrize(
        "x, text",
        [
            (A, "a 2x3 matrix"),
            (np.zeros((0, 0)), "a 0x0 matrix"),
            (DMLList((1, 2)), "a list of 2"),
            (DMLList((A,)), "a 2x3 matrix"),
            (3.0, "3.0"),
            ("x", '"x"'),
        ],
    )
    def test_refused(self, x, text):
        with pytest.raises(DMLRuntimeError, match=f"as.scalar takes a 1x1 matrix or a list of one, not {text}"):
            k.as_scalar(x)

    def test_facts(self):
        BY_NAME["as.scalar"].size(matrix(1, None))
        with pytest.raises(ShapeError):
            BY_NAME["as.scalar"].size(matrix(2, None))


class TestAsMatrix:
    def test_scalars(self):
        for value, cell in ((3, 3.0), (2.5, 2.5), (True, 1.0), ("4e2", 400.0)):
            x = k.as_matrix(value)
            assert x.shape == (1, 1) and x.dtype == np.float64 and x[0, 0] == cell

    def test_matrices_and_lists(self):
        assert k.as_matrix(A) is A
        assert k.as_matrix(DMLList((A,))) is A
        assert np.array_equal(k.as_matrix(DMLList((1, "2", True))), [[1.0], [2], [1]])
        assert np.array_equal(k.as_matrix(DMLList(("7",))), [[7.0]])
        assert k.as_matrix(DMLList()).shape == (0, 1)

    @pytest.mark.parametrize("x", [DMLList((A, A)), DMLList((1, A)), DMLList(("x",)), "x", None])
    def test_refused(self, x):
        with pytest.raises(DMLRuntimeError):
            k.as_matrix(x)

    def test_facts(self):
        size = BY_NAME["as.matrix"].size
        assert size(constant(1)) == (1, 1) and size(matrix(2, 3)) == (2, 3) and size(Fact("list", rows=3)) == (None, None)


class TestScalars:
    @pytest.mark.parametrize(
        "x, expected",
        [(3, 3.0), (True, 1.0), (" 1e3 ", 1000.0), ("-Infinity", float("-inf")), ("NaN", float("nan")), ("1" + "0" * 400, float("inf"))],
    )
    def test_double(self, x, expected):
        exactly(k.as_double(x), expected)

    @pytest.mark.parametrize(
        "x, expected",
        [
            (2.9, 2),
            (-2.9, -2),
            (True, 1),
            ("12", 12),
            (" 5 ", 5),
            ("1.5", 1),
            ("1e3", 1000),
            (float("nan"), 0),
            ("NaN", 0),
            (1e20, 2**63 - 1),
            (-1e20, -(2**63)),
            (float("inf"), 2**63 - 1),
            ("99999999999999999999", 2**63 - 1),
            ("9007199254740993", 2**53 + 1),
        ],
    )
    def test_integer(self, x, expected):
        exactly(k.as_integer(x), expected)

    @pytest.mark.parametrize("x, expected", [(0.0, False), (-0.0, False), (0.5, True), (float("nan"), True), (7, True), (False, False)])
    def test_logical(self, x, expected):
        exactly(k.as_logical(x), expected)

    @pytest.mark.parametrize(
        "text, expected", [("TRUE", True), ("true", True), ("True", True), (" TRUE ", False), ("1", False), ("", False)]
    )
    def test_logical_of_text(self, text, expected):
        exactly(k.as_logical(text), expected)

    @pytest.mark.parametrize("cast", [k.as_double, k.as_integer])
    @pytest.mark.parametrize("text", ["", "x", "1_000", "TRUE", "1 2"])
    def test_not_a_number(self, cast, text):
        with pytest.raises(DMLRuntimeError, match=f'"{text}" is not a number'):
            cast(text)

    @pytest.mark.parametrize("cast", [k.as_double, k.as_integer, k.as_logical])
    def test_not_a_scalar(self, cast):
        with pytest.raises(DMLRuntimeError, match="takes a scalar, not a 2x3 matrix"):
            cast(A)


class TestDeclared:
    @pytest.mark.parametrize(
        "x, type, expected",
        [
            (2.7, "int", 2),
            (True, "int", 1),
            (1, "boolean", True),
            (0.5, "string", "0.5"),
            (1e10, "string", "1.0E10"),
            (True, "string", "TRUE"),
            (7, "double", 7.0),
            ("3", "int", 3),
            (2.5, "double", 2.5),
            ("a", "string", "a"),
        ],
    )
    def test_values(self, x, type, expected):
        exactly(k.cast_to(x, type), expected)

    def test_refused(self):
        with pytest.raises(DMLRuntimeError, match="expected a double scalar, found a 2x3 matrix"):
            k.cast_to(A, "double")
        with pytest.raises(DMLRuntimeError, match="not a number"):
            k.cast_to("x", "double")

    def test_value_type_is_known(self):
        assert BY_NAME["cast_to"].vtype(Fact(), constant("int")) == "int"


@pytest.mark.parametrize("value, expected", [(3, 3), (90.0, 90), (2.9, 2), (0, 0), (True, 1)])
def test_dimension(value, expected):
    exactly(k.dimension(value, "rows"), expected)


@pytest.mark.parametrize("value", [-1, -0.5, float("nan"), float("inf"), "3", A, None])
def test_not_a_dimension(value):
    with pytest.raises(DMLRuntimeError, match="rows is"):
        k.dimension(value, "rows")
