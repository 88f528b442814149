"""What Python hands to a script and gets back: matrices, scalars, lists; nothing is shared that could be changed."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from dmlite import DMLError, Matrix, MLContext, dml
from dmlite.runtime.exchange import to_value

ml = MLContext()
RNG = np.random.default_rng(5)
TABLE = np.arange(12.0).reshape(4, 3)


def echo(value):
    """The cells of `value` as a script sees them."""
    return ml.execute(dml("Y = X + 0").input(X=value).output("Y")).get("Y").toNumPy()


# ---------------------------------------------------------------- matrices in
FORMS = {
    "float64": TABLE,
    "float32": TABLE.astype(np.float32),
    "float16": TABLE.astype(np.float16),
    "int8": TABLE.astype(np.int8),
    "uint64": TABLE.astype(np.uint64),
    "big-endian": TABLE.astype(">f8"),
    "fortran": np.asfortranarray(TABLE),
    "transposed": TABLE.T.copy().T,
    "strided": np.repeat(np.repeat(TABLE, 2, axis=0), 3, axis=1)[::2, ::3],
    "reversed": TABLE[::-1].copy()[::-1],
    "read-only": np.frombuffer(TABLE.tobytes()).reshape(4, 3),
    "np.matrix": np.asmatrix(TABLE),
    "objects": TABLE.astype(object),
    "nested lists": TABLE.tolist(),
    "nested tuples": tuple(map(tuple, TABLE.tolist())),
    "csr": sp.csr_array(TABLE),
    "csr matrix": sp.csr_matrix(TABLE),
    "csc": sp.csc_array(TABLE),
    "coo": sp.coo_array(TABLE),
    "lil": sp.lil_matrix(TABLE),
    "dok": sp.dok_array(TABLE),
    "bsr": sp.bsr_array(TABLE),
    "integer csr": sp.csr_array(TABLE.astype(int)),
    "frame": pd.DataFrame(TABLE, columns=list("abc")),
    "integer frame": pd.DataFrame(TABLE.astype(int)),
    "mixed frame": pd.DataFrame({"a": TABLE[:, 0].astype(int), "b": TABLE[:, 1].astype(np.float32), "c": TABLE[:, 2]}),
    "result": ml.execute(dml("A = X").input(X=TABLE)).get("A"),
}


@pytest.mark.parametrize("form", FORMS)
def test_matrix_inputs(form):
    assert np.array_equal(echo(FORMS[form]), TABLE)


@pytest.mark.parametrize(
    "vector",
    [
        np.arange(4.0),
        np.arange(4),
        np.arange(8)[::2] / 2,
        pd.Series([0, 1, 2, 3]),
        np.arange(4.0).reshape(-1, 1),
        sp.coo_array(np.arange(4.0)),
    ],
    ids=["float", "int", "strided", "series", "column", "sparse"],
)
def test_one_dimension_is_a_column(vector):
    assert np.array_equal(echo(vector), [[0.0], [1.0], [2.0], [3.0]])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0), (1, 1), (1, 5)])
def test_shapes_at_the_edge(shape):
    assert echo(np.ones(shape)).shape == shape


def test_booleans_are_ones_and_zeros():
    assert np.array_equal(echo(np.array([[True, False]])), [[1.0, 0.0]])
    assert np.array_equal(echo(pd.DataFrame({"a": [True], "b": [0.5]})), [[1.0, 0.5]])


def test_special_values_survive():
    values = np.array([[np.nan, np.inf, -np.inf, -0.0, 5e-324]])
    got = ml.execute(dml("Y = X").input(X=values)).get("Y").toNumPy()
    assert np.array_equal(got.view(np.int64), values.view(np.int64))


def test_sparse_input_is_put_in_order():
    disordered = sp.csr_array((np.array([2.0, 1.0, 0.0, 3.0, 4.0]), np.array([2, 0, 1, 1, 1]), np.array([0, 3, 5])), shape=(2, 3))
    got = ml.execute(dml("Y = X; n = sum(X != 0)").input(X=disordered)).get("Y", "n")
    assert np.array_equal(got[0].toNumPy(), [[1, 0, 2], [0, 7, 0]]) and got[1] == 3
    assert disordered.nnz == 5  # the caller's matrix is as it was


def test_indices_of_sparse_input_are_narrow():
    wide = sp.random_array((20, 10), density=0.3, rng=3, format="csr")
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    got = to_value(wide)
    assert got.indices.dtype == got.indptr.dtype == np.int32 and np.array_equal(got.toarray(), wide.toarray())
    assert wide.indices.dtype == np.int64


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (np.zeros((2, 2, 2)), "3 dimensions"),
        (np.array([["a", "b"]]), "holds <U1 values"),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), "holds values of the kind str"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), "datetime64"),
        (None, "NoneType"),
        (object(), "object"),
        ([[1, 2], [3]], "same length|no matrix"),
        ({"a": object()}, "object"),
    ],
)
def test_what_is_no_matrix(value, says):
    with pytest.raises(DMLError, match=says):
        dml("print(sum(X))").input(X=value)


# ---------------------------------------------------------------- complex numbers
@pytest.mark.parametrize(
    "value",
    [
        TABLE + 2j,
        sp.csr_array(TABLE + 0j),
        sp.coo_array(TABLE + 0j),
        (TABLE + 1j).astype(np.complex64),
        (TABLE + 1j).tolist(),
        pd.DataFrame(TABLE + 1j),
    ],
    ids=["dense", "csr", "coo", "complex64", "lists", "frame"],
)
def test_complex_input_keeps_its_real_part(value):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        script = dml("Y = X").input(X=value)
    assert [str(w.message) for w in found] == ["input 'X' is complex; its imaginary part is dropped"]
    assert found[0].filename == __file__
    assert np.array_equal(script.execute().get("Y").toNumPy(), TABLE)


def test_complex_scalar():
    with pytest.warns(UserWarning, match="imaginary"):
        script = dml("y = x * 2").input(x=3 + 4j)
    assert script.execute().get("y") == 6.0


# ---------------------------------------------------------------- scalars, strings, lists
@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (True, bool, "TRUE"),
        (np.bool_(False), bool, "FALSE"),
        (3, int, "3"),
        (np.int32(3), int, "3"),
        (2.5, float, "2.5"),
        (np.float32(0.5), float, "0.5"),
        (float("nan"), float, "NaN"),
        ("a 'b' \"c\" \\n ü", str, "a 'b' \"c\" \\n ü"),
        ("", str, ""),
    ],
)
def test_scalar_inputs(value, kind, text, capsys):
    got = ml.execute(dml("print(x); y = x").input(x=value)).get("y")
    assert type(got) is kind
    assert got == value or value != value
    assert capsys.readouterr().out == f"{text}\n"


def test_lists_and_dicts():
    script = dml("n = length(l); b = as.scalar(l[2]); c = as.matrix(d['w']); s = sum(c)")
    got = ml.execute(script.input(l=[1, 2.5, "x"], d={"w": TABLE, "k": 7}))
    assert got.get("n", "b", "s") == [3, 2.5, TABLE.sum()]
    named = ml.execute(dml("l = list(a=1, b=matrix(2, 1, 1)); k = list(3, 'x')")).get("l", "k")
    assert named[0]["a"] == 1 and np.array_equal(named[0]["b"], [[2.0]]) and named[1] == [3, "x"]


def test_input_forms_of_the_call():
    assert dml("y = x + 1").input("x", 1).execute().get("y") == 2
    assert dml("y = x + z").input("x", 1, z=2).execute().get("y") == 3
    assert dml("y = x + z").input(x=1).input(z=4).execute().get("y") == 5
    assert dml("y = x + 1").input(x=1).input(x=2).execute().get("y") == 3
    for args in (("x",), ("x", 1, 2)):
        with pytest.raises(ValueError, match="pair"):
            dml("y = x").input(*args)


def test_an_unused_input_is_no_error():
    assert dml("y = 1").input(x=TABLE, push=False).execute().get("y") == 1


@pytest.mark.parametrize("push", [True, False])
def test_a_boolean_input_chooses_a_branch_that_need_not_make_sense_otherwise(push):
    script = dml("if (push) { W = Wpush } else { W = matrix(0, 2, 2) }\ns = sum(W)").input(push=push)
    if push:
        script.input(Wpush=np.ones((3, 3)))
        assert script.execute().get("s") == 9
    else:
        assert script.input(Wpush=0).execute().get("s") == 0


def test_dollar_parameters():
    script = dml("y = $a + 1; s = $name; z = ifdef($b, 7)")
    assert script.input(**{"$a": 2, "$name": "x"}).execute().get("y", "s", "z") == [3, "x", 7]
    assert script.input("$b", np.int64(1)).execute().get("z") == 1
    with pytest.raises(DMLError, match="a number, a boolean or a string"):
        script.input("$a", TABLE)
    with pytest.raises(DMLError, match=r"\$a"):
        dml("y = $a").execute()


# ---------------------------------------------------------------- results
def test_get_one_and_many():
    results = ml.execute(dml("a = 1; B = matrix(2, 2, 3); s = 'x'"))
    assert results.get("a") == 1
    one, two = results.get("a", "B")
    assert one == 1 and isinstance(two, Matrix)
    assert results["s"] == "x" and "B" in results and "C" not in results
    assert sorted(results.names()) == ["B", "a", "s"]
    assert results.get() == []


def test_get_of_what_is_not_there():
    results = ml.execute(dml("a = 1; b = 2").output("a"))
    with pytest.raises(DMLError, match="variable 'b' not found") as error:
        results.get("b")
    assert "the script left: a" in str(error.value)


def test_a_wanted_output_that_no_path_sets():
    with pytest.raises(DMLError, match="W"):
        ml.execute(dml("a = 1").output("W")).get("W")


def test_matrix_results():
    result = ml.execute(dml("Y = X * 2").input(X=TABLE)).get("Y")
    assert result.shape == (4, 3) and repr(result) == "Matrix(4x3, dense)"
    assert result.toNumPy().dtype == np.float64 and np.array_equal(result.toNumPy(), 2 * TABLE)
    assert np.array_equal(np.asarray(result), 2 * TABLE) and np.array_equal(np.sqrt(result), np.sqrt(2 * TABLE))
    assert np.asarray(result, dtype=np.float32).dtype == np.float32
    assert isinstance(result.to_scipy(), sp.csr_array) and np.array_equal(result.to_scipy().toarray(), 2 * TABLE)
    assert list(result.toDF().columns) == ["C1", "C2", "C3"] and np.array_equal(result.toDF().to_numpy(), 2 * TABLE)
    assert "<td>22</td>" in result._repr_html_()
    with pytest.raises(ValueError, match="copied"):
        np.array(result, copy=False)


def test_sparse_results():
    X = sp.random_array((200, 100), density=0.01, rng=3, format="csr")
    result = ml.execute(dml("Y = X * 2").input(X=X)).get("Y")
    assert repr(result) == f"Matrix(200x100, sparse, {X.nnz} non-zeros)"
    assert np.array_equal(result.toNumPy(), 2 * X.toarray()) and np.array_equal(result.to_scipy().toarray(), 2 * X.toarray())
    assert "<td>" in result._repr_html_()


def test_results_of_one_run_are_inputs_of_the_next():
    first = ml.execute(dml("W = X + 1").input(X=TABLE)).get("W")
    script = dml("V = W * 2").input(W=first)
    assert script._inputs["W"] is first._value  # not copied
    assert np.array_equal(script.execute().get("V"), 2 * (TABLE + 1))


# ---------------------------------------------------------------- nothing is shared that could be changed
CHANGES = """
X[1, 1] = 100
for (i in 1:nrow(X)) { X[i, 2] = -i }
X[, 3] = matrix(7, nrow(X), 1)
Y = X
Y[1, 1] = 5
"""


@pytest.mark.parametrize("form", ["float64", "fortran", "strided", "csr", "frame", "result", "int8"])
def test_inputs_are_never_changed(form):
    value = FORMS[form]
    value = value if isinstance(value, Matrix) else value.copy()
    before = np.array(value.todense() if sp.issparse(value) else value)
    X, Y = dml(CHANGES).input(X=value).execute().get("X", "Y")
    assert np.array_equal(np.array(value.todense() if sp.issparse(value) else value), before)
    assert X.toNumPy()[:, 1].tolist() == [-1, -2, -3, -4] and X.toNumPy()[0, 0] == 100 and Y.toNumPy()[0, 0] == 5


@pytest.mark.parametrize(
    "text", ["Y = X", "Y = X[1:2,]", "Y = X[,1:2]", "Y = X + 0", "Y = t(t(X))", "Y = matrix(X, 4, 3)", "l = list(X); Y = as.matrix(l[1])"]
)
def test_results_do_not_follow_a_change_of_the_input(text):
    value = TABLE.copy()
    results = dml(text).input(X=value).execute()
    before = results.get("Y").toNumPy()
    value[:] = -1
    assert np.array_equal(results.get("Y").toNumPy(), before)
    got = results.get("Y")
    value[:] = -2
    assert np.array_equal(got.toNumPy(), before)


def test_a_list_result_does_not_follow_a_change_of_the_input():
    value = TABLE.copy()
    results = dml("l = list(X, X[1,])").input(X=value).execute()
    value[:] = -1
    assert np.array_equal(results.get("l")[0], TABLE) and np.array_equal(results.get("l")[1], TABLE[:1])


def test_an_input_the_script_leaves_alone_is_copied_when_asked_for():
    value = TABLE.copy()
    got = dml("y = 1").input(X=value).execute().get("X")
    value[:] = -1
    assert np.array_equal(got, TABLE)


def test_results_are_the_callers_own():
    results = dml("A = X * 2; B = A; C = t(A)").input(X=TABLE).execute()
    a = results.get("A").toNumPy()
    a[:] = -1
    results.get("A").to_scipy().data[:] = -1
    for name, expected in (("A", 2 * TABLE), ("B", 2 * TABLE), ("C", 2 * TABLE.T)):
        assert np.array_equal(results.get(name), expected)


def test_results_survive_the_next_run():
    script = dml("A = X * 2 + 1\nfor (i in 1:5) A = A * 1.5 - X").output("A")
    first = script.input(X=TABLE).execute().get("A")
    before = first.toNumPy()
    for k in range(3):
        script.input(X=TABLE + k, A=first).execute()
    assert np.array_equal(first, before)
