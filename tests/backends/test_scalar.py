"""Scalar kernels: the values and types of DML, against `math`, NumPy and results of SystemDS 3.4."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from dmlite.backends.local import elementwise
from dmlite.backends.local import scalar as k
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import constant, vtype_of
from dmlite.hop.ops import cellwise

INF, NAN = math.inf, math.nan
NUMBERS = [0.0, 1.0, -1.0, 2.5, -7.5, 0.3, 1e300, -1e300, 5e-324, INF, -INF, NAN, 0, 1, -3, 7, True, False]


def same(result, expected):
    """Equal in value and in Python type, NaN equal to NaN; the sign of zero is not looked at."""
    assert type(result) is type(expected), (result, expected)
    assert result == expected or (result != result and expected != expected), (result, expected)


@pytest.mark.parametrize(
    ("name", "operands", "expected"),
    [
        ("add", (2, 3), 5), ("add", (2, 3.0), 5.0), ("add", (True, True), 2.0), ("add", (True, 2), 3), ("add", (True, 2.5), 3.5),
        ("sub", (2, 3), -1), ("sub", (True, False), 1.0), ("mul", (2, 3), 6), ("mul", (2, 3.0), 6.0), ("mul", (True, True), 1.0), ("mul", (False, 5), 0),
        ("div", (6, 2), 3.0), ("div", (7, 2), 3.5), ("div", (1, 0), INF), ("div", (-1, 0), -INF), ("div", (0, 0), NAN), ("div", (1.0, -0.0), -INF),
        ("div", (NAN, 0.0), NAN), ("div", (True, True), 1.0),
        ("pow", (2, 3), 8.0), ("pow", (2, -1), 0.5), ("pow", (0.0, 0), 1.0), ("pow", (-8.0, 1 / 3), NAN), ("pow", (0.0, -1.0), INF), ("pow", (1e300, 2), INF),
        ("pow", (-1e200, 3), -INF), ("pow", (True, 2), 1.0), ("pow", (3, 100000), INF),
        ("intdiv", (7, 2), 3), ("intdiv", (-7, 3), -2), ("intdiv", (7, -3), -2), ("intdiv", (-7, -3), 2), ("intdiv", (6, -3), -2), ("intdiv", (-3.5, 2), -1.0),
        ("intdiv", (-7.5, 2), -3.0), ("intdiv", (5.5, 0), INF), ("intdiv", (5, True), 5), ("intdiv", (True, True), 1.0), ("intdiv", (5, INF), 0.0),
        ("mod", (7, 4), 3), ("mod", (-7, 3), -1), ("mod", (7, -3), 1), ("mod", (-7.5, 2), -1.5), ("mod", (5.5, 0), NAN), ("mod", (5, 0), 0), ("mod", (5.0, INF), NAN),
        ("mod", (5.5, 0.1), 0.0), ("mod", (True, True), 0.0),
        ("neg", (3,), -3), ("neg", (3.0,), -3.0), ("neg", (True,), -1),
        ("min2", (3, 4), 3), ("max2", (3, 4), 4), ("max2", (3, 4.0), 4.0), ("min2", (2.5, 7), 2.5), ("min2", (3, 4.0), 3.0), ("max2", (NAN, 1.0), NAN),
        ("min2", (1.0, NAN), NAN), ("max2", (True, False), 1.0), ("max2", (True, 3), 3), ("min2", (True, 3), 1), ("max_n", (3, 7, 5), 7.0), ("min_n", (3, NAN, 5), NAN),
        ("log", (0.0,), -INF), ("log", (-1.0,), NAN), ("log_base", (8, 2), 3.0), ("log_base", (5.0, 1), INF), ("exp", (1000,), INF), ("exp", (-1000.0,), 0.0),
        ("sqrt", (16,), 4.0), ("sqrt", (-1.0,), NAN), ("abs", (-3,), 3.0), ("sign", (-4.2,), -1.0), ("sign", (0,), 0.0), ("sign", (NAN,), NAN), ("sign", (True,), 1.0),
        ("round", (2.5,), 3.0), ("round", (-2.5,), -2.0), ("round", (1e20,), 1e20), ("round", (0.49999999999999994,), 0.0), ("round", (2.0**52 + 1,), 2.0**52 + 1), ("round", (NAN,), NAN), ("round", (-INF,), -INF), ("round", (7,), 7.0),
        ("floor", (-0.5,), -1.0), ("floor", (INF,), INF), ("ceil", (1.2,), 2.0), ("ceil", (NAN,), NAN), ("ceil", (5,), 5.0),
        ("asin", (2.0,), NAN), ("sin", (INF,), NAN), ("cosh", (1e4,), INF), ("sinh", (-1e4,), -INF), ("tanh", (INF,), 1.0),
        ("sigmoid_op", (-1e4,), 0.0), ("sigmoid_op", (0,), 0.5), ("sigmoid_op", (1e4,), 1.0), ("one_minus", (3,), -2), ("one_minus", (0.25,), 0.75),
        ("sprop", (0.25,), 0.1875), ("square", (3,), 9.0), ("axpy", (1.0, 2, 3), 7.0), ("axpy", (1, 2, 3), 7),
        ("lt", (2, 3.5), True), ("ge", (3, 3), True), ("eq", (True, 1), True), ("eq", (NAN, NAN), False), ("ne", (NAN, NAN), True), ("gt", (INF, 1), True),
        ("and_", (3, 1), True), ("and_", (3.0, 0), False), ("or_", (0, 0.5), True), ("or_", (0, False), False), ("not_", (7.0,), False), ("not_", (0,), True),
        ("and_", (NAN, True), True), ("xor", (True, False), True), ("xor", (1.0, 0.0), 1.0), ("xor", (2, 1), 0.0),
        ("ifelse", (True, 3, 4.5), 3), ("ifelse", (0.0, 3, 4.5), 4.5), ("ifelse", (NAN, 1, 2), 1), ("ifelse", (1, "a", "b"), "a"),
        ("is_na", (NAN,), 1.0), ("is_na", (3,), 0.0), ("is_na", ("a",), 0.0), ("is_infinite", (-INF,), 1.0), ("is_infinite", (3,), 0.0),
        ("bitwAnd", (12, 10), 8), ("bitwAnd", (12.0, 10), 8.0), ("bitwOr", (12, 3), 15), ("bitwXor", (12, 10), 6), ("bitwShiftL", (1, 3), 8),
        ("bitwShiftR", (-8, 1), -4), ("bitwShiftL", (1.0, 64), 1.0), ("bitwShiftL", (1, 63), -(2**63)), ("bitwAnd", (NAN, 1), 0.0), ("bitwOr", (1e300, 0), 2.0**63),
        ("ppred", (2, 1, ">"), True), ("ppred", (2, 1, "=="), False),
    ],
)  # fmt: skip
def test_values_and_types(name, operands, expected):
    same(getattr(k, name)(*operands), expected)


@pytest.mark.parametrize(
    ("operands", "expected"),
    [
        (("a", 1.0), "a1.0"),
        (("a", True), "aTRUE"),
        ((3, "a"), "3a"),
        (("x", 0.25), "x0.25"),
        (("a", "b"), "ab"),
        ((1e10, "!"), "1.0E10!"),
        (("", NAN), "NaN"),
    ],
)
def test_joining(operands, expected):
    assert k.add(*operands) == expected


def test_strings_compare_by_print_form_and_code_unit():
    same(k.lt("10", "9"), True)
    same(k.eq("a", 1), False)
    same(k.eq("7.0", 7.0), True)
    same(k.eq("7", 7.0), False)
    same(k.ne(True, "TRUE"), False)
    same(k.lt("\U0001f600", "\uffff"), True)  # a surrogate pair sorts below U+FFFF
    same(k.ge("b", "a"), True)


@pytest.mark.parametrize("name", ["sub", "mul", "div", "pow", "mod", "intdiv", "min2", "and_", "bitwShiftL"])
def test_strings_are_no_numbers(name):
    for operands in (("a", 3), (3, "a"), ("%d", 3)):
        with pytest.raises(DMLRuntimeError, match=r"\"(a|%d)\""):
            getattr(k, name)(*operands)


@pytest.mark.parametrize("name", ["exp", "sqrt", "floor", "round", "sign", "sigmoid_op", "neg", "not_", "tanh"])
def test_functions_of_strings(name):
    with pytest.raises(DMLRuntimeError):
        getattr(k, name)("a")


def test_ints_are_64_bits():
    largest = 2**63 - 1
    assert k.add(largest, 0) == largest
    for name, operands in [
        ("add", (largest, 1)),
        ("sub", (-largest, 2)),
        ("mul", (2**40, 2**40)),
        ("neg", (-(2**63),)),
        ("intdiv", (-(2**63), -1)),
        ("intdiv", (5, 0)),
    ]:
        with pytest.raises(DMLRuntimeError, match="overflow"):
            getattr(k, name)(*operands)
    assert k.add(largest, 1.0) == 2.0**63
    assert k.intdiv(9007199254740993, 1) == 9007199254740993


def test_ppred_knows_only_comparisons():
    with pytest.raises(DMLRuntimeError, match="<>"):
        k.ppred(1, 2, "<>")


SHARED = [row for row in cellwise.ROWS if row.name not in ("ppred", "ifelse", "axpy", "min_n", "max_n")]


@pytest.mark.parametrize("row", SHARED, ids=lambda row: row.name)
def test_agrees_with_the_matrix_kernel(row):
    """On doubles both kernels of a row compute the same; `math` and NumPy may differ in the last digits."""
    name = row.kernel.split(".")[1]
    doubles = [x for x in NUMBERS if type(x) is float]
    with np.errstate(all="ignore"):
        for operands in itertools.product(doubles, repeat=len(row.parameters)):
            if name in ("sin", "cos", "tan") and abs(operands[0]) > 1e15:
                continue
            expected = getattr(elementwise, name)(*(np.array([[x]]) for x in operands))[0, 0]
            np.testing.assert_allclose(float(getattr(k, name)(*operands)), expected, rtol=1e-13, err_msg=str(operands))


@pytest.mark.parametrize("row", [row for row in cellwise.ROWS if row.name != "ppred"], ids=lambda row: row.name)
def test_declared_types(row):
    """The value type of a row is that of the result, whenever it says one."""
    count = 3 if row.name in ("min_n", "max_n") else len(row.parameters)
    pool = [2.5, 3, 1, True] + (["a"] if row.name in ("add", "eq", "lt", "ifelse") else [])
    for operands in itertools.product(pool, repeat=count):
        if row.name == "ifelse" and isinstance(operands[0], str):
            continue
        declared = row.vtype(*map(constant, operands))
        assert declared in (None, vtype_of(getattr(k, row.name)(*operands))), operands
        assert declared is not None or row.name == "ifelse"
