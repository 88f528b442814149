"""Print forms, toString and format strings, against texts written by Java and SystemDS."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.errors import DMLRuntimeError
from dmlite.text import double_texts, java_format, list_text, matrix_text, scalar_text, to_text
from dmlite.values import DMLList

SCALARS = [
    (1 / 3, "0.3333333333333333"),
    (1e10, "1.0E10"),
    (1e-5, "1.0E-5"),
    (1e8, "1.0E8"),
    (3.0, "3.0"),
    (1234567.0, "1234567.0"),
    (12345678.0, "1.2345678E7"),
    (9999999.0, "9999999.0"),
    (1e7, "1.0E7"),
    (0.001, "0.001"),
    (0.0009, "9.0E-4"),
    (-0.00012, "-1.2E-4"),
    (0.0, "0.0"),
    (-0.0, "-0.0"),
    (5e-324, "4.9E-324"),
    (1e-323, "9.9E-324"),
    (2.2250738585072014e-308, "2.2250738585072014E-308"),
    (1.7976931348623157e308, "1.7976931348623157E308"),
    (123456789012345680.0, "1.2345678901234568E17"),
    (0.1 + 0.2, "0.30000000000000004"),
    (math.nan, "NaN"),
    (math.inf, "Infinity"),
    (-math.inf, "-Infinity"),
    (True, "TRUE"),
    (False, "FALSE"),
    (12, "12"),
    (-9007199254740993, "-9007199254740993"),
    ("as is", "as is"),
    ("", ""),
]


@pytest.mark.parametrize(("value", "text"), SCALARS)
def test_scalar(value, text):
    assert scalar_text(value) == text
    assert to_text(value, decimal=1, sep=",") == text


def test_numpy_scalars_print_like_python_ones():
    assert scalar_text(np.float64(1e10)) == "1.0E10"
    assert scalar_text(np.int64(3)) == "3"
    assert scalar_text(np.bool_(True)) == "TRUE"


def test_print_forms_read_back_exactly():
    rng = np.random.default_rng(7)
    values = rng.standard_normal(3000) * 10.0 ** rng.integers(-300, 300, 3000)
    texts = double_texts(values)
    assert texts == [scalar_text(v) for v in values.tolist()]
    np.testing.assert_array_equal(np.array([float(t) for t in texts]), values)


# --- toString ---------------------------------------------------------------------------------------------------------

A = np.array([[1, 2.5, -3], [1000000, 0, 0.00001]])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "1.000 2.500 -3.000\n1000000.000 0.000 0.000\n"),
        ({"decimal": 2, "sep": ","}, "1.00,2.50,-3.00\n1000000.00,0.00,0.00\n"),
        ({"decimal": 0}, "1 2 -3\n1000000 0 0\n"),
        ({"rows": 1, "cols": 2}, "1.000 2.500\n"),
        ({"rows": 1, "cols": 2, "sparse": True}, "1 1 1.000\n1 2 2.500\n"),
        ({"rows": -1, "cols": -1}, "1.000 2.500 -3.000\n1000000.000 0.000 0.000\n"),
        ({"rows": 0, "cols": 0}, ""),
        ({"linesep": ";"}, "1.000 2.500 -3.000;1000000.000 0.000 0.000;"),
        ({"sparse": True, "decimal": 1}, "1 1 1.0\n1 2 2.5\n1 3 -3.0\n2 1 1000000.0\n2 3 0.0\n"),
    ],
)
def test_matrix(options, text):
    assert matrix_text(A, **options) == text
    assert matrix_text(csr_array(A), **options) == text
    assert matrix_text(np.asfortranarray(A), **options) == text


@pytest.mark.parametrize(
    ("value", "decimal", "text"),
    [
        (0.0625, 3, "0.062"),
        (0.1875, 3, "0.188"),
        (1.0005, 3, "1.000"),
        (2.0005, 3, "2.001"),
        (0.5, 0, "0"),
        (1.5, 0, "2"),
        (-0.5, 0, "-0"),
        (-0.0, 3, "0.000"),
        (-1e-5, 3, "-0.000"),
        (1 / 3, 20, "0.33333333333333330000"),
        (0.1, 20, "0.10000000000000000000"),
        (1e22, 3, "1" + "0" * 22 + ".000"),
        (1e300, 3, "1" + "0" * 300 + ".000"),
        (-1.23456789e300, 1, "-123456789" + "0" * 292 + ".0"),
        (123456789012345680000.0, 2, "123456789012345680000.00"),
        (9007199254740993.5, 1, "9007199254740994.0"),
        (5e-324, 3, "0.000"),
        (math.nan, 3, "NaN"),
        (math.inf, 3, "Infinity"),
        (-math.inf, 0, "-Infinity"),
    ],
)
def test_cell(value, decimal, text):
    assert matrix_text(np.array([[value]]), decimal=decimal) == text + "\n"


def test_empty_matrices():
    assert matrix_text(np.zeros((0, 3))) == ""
    assert matrix_text(csr_array((0, 3))) == ""
    assert matrix_text(np.zeros((2, 0))) == "\n\n"
    assert matrix_text(np.zeros((2, 2)), sparse=True) == ""


def test_a_huge_sparse_matrix_shows_its_corner_only():
    assert matrix_text(csr_array((10**7, 10**7)), rows=2, cols=2) == "0.000 0.000\n0.000 0.000\n"
    assert matrix_text(csr_array(([4.0], ([1], [0])), shape=(10**7, 10**7)), sparse=True) == "2 1 4.000\n"


@pytest.mark.parametrize("decimal", [-1, 341])
def test_decimal_out_of_range(decimal):
    with pytest.raises(DMLRuntimeError, match=f"decimal={decimal}"):
        matrix_text(A, decimal=decimal)


def test_lists():
    items = DMLList((1, "two", np.full((2, 2), 3.0), np.array([[4.0]]), True, 2.5))
    text = "List containing:\n[1, two, \nMatrix:\n3.000 3.000\n3.000 3.000\n, \nMatrix:\n4.000\n, TRUE, 2.5]"
    assert list_text(items) == to_text(items) == text
    assert to_text(DMLList((items, 3))) == f"List containing:\n[{text}, 3]"
    assert list_text(DMLList((np.array([[1.0, 2.0]]),)), decimal=1, sep=",", linesep=";") == "List containing:\n[\nMatrix:\n1.0,2.0;]"
    assert list_text(DMLList()) == "List containing:\n[]"


def test_a_value_without_text():
    with pytest.raises(DMLRuntimeError, match="no text form"):
        to_text(object())


# --- format strings ---------------------------------------------------------------------------------------------------

_PARSE = {
    "Double": lambda text: float(text.replace("Infinity", "inf")),
    "Long": int,
    "String": str,
    "Boolean": lambda text: text == "true",
}


def _java_cases():
    lines = (Path(__file__).parent / "runtime" / "data" / "java_format.tsv").read_text().splitlines()
    for fmt, args, expected in (line.split("\t") for line in lines):
        values = tuple(_PARSE[kind](text) for kind, text in (arg.split(":") for arg in args.split()))
        yield fmt, values, expected


def test_formats_like_java():
    """Every line of the table holds a format, its arguments and what Java 17 made of them."""
    count = 0
    for fmt, args, expected in _java_cases():
        count += 1
        if expected == "!error":
            with pytest.raises(DMLRuntimeError) as caught:
                java_format(fmt, args)
            assert repr(fmt)[1:-1] in str(caught.value)
        else:
            assert java_format(fmt, args).replace("\n", "\\n") == expected, (fmt, args)
    assert count > 500


def test_integers_are_numbers_and_codes():
    assert java_format("%f|%.2e|%g|%c|%c", (3, 1234567, 2, 65, "x")) == "3.000000|1.23e+06|2.00000|A|x"
    assert java_format("%.1f", (2**63 - 1,)) == "9223372036854775807.0"


def test_matrices_and_lists_as_strings():
    assert java_format("%s!", (np.array([[1.0]]),)) == "1.000\n!"


def test_text_without_specifiers():
    assert java_format("nothing here", ()) == "nothing here"
    assert java_format("", (1,)) == ""


@pytest.mark.parametrize(
    ("fmt", "args", "fragments"),
    [
        ("%d", (3.5,), ["'%d'", "3.5 (double)", "%f or %s"]),
        ("x=%d", ("a",), ["'%d'", "a (string)", "x=%d"]),
        ("%f", (True,), ["TRUE (boolean)"]),
        ("%d %d", (1,), ["no argument", "1 given"]),
        ("100%", (1,), ["incomplete", "%%"]),
        ("%y", (1,), ["'%y'", "not a known conversion"]),
        ("%99999d", (1,), ["wider"]),
        ("%.99999f", (1.0,), ["more precise"]),
    ],
)
def test_format_errors(fmt, args, fragments):
    with pytest.raises(DMLRuntimeError) as caught:
        java_format(fmt, args)
    for fragment in fragments:
        assert fragment in str(caught.value)
