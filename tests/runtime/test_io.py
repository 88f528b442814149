"""Reading and writing files: every format, with and without metadata."""

from __future__ import annotations

import json
import os
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array, load_npz, random_array, save_npz

from dmlite.errors import DMLIOError
from dmlite.runtime import io
from dmlite.values import DMLList

SYSTEMDS = Path(__file__).parent / "data" / "systemds"
FORMATS = ("text", "csv", "mm", "binary")


def dense(x):
    return x if isinstance(x, np.ndarray) else x.toarray()


def _sparse(rows, cols, density, seed=3):
    rng = np.random.default_rng(seed)
    return csr_array(random_array((rows, cols), density=density, format="csr", rng=rng, dtype=np.float64))


MATRICES = {
    "plain": np.random.default_rng(0).standard_normal((7, 5)),
    "one cell": np.array([[2.5]]),
    "one zero": np.zeros((1, 1)),
    "row": np.arange(6.0).reshape(1, 6),
    "column": np.array([[0.0], [1.5], [0.0], [0.0]]),
    "zeros": np.zeros((4, 3)),
    "specials": np.array([[np.nan, np.inf, -np.inf], [1e300, 5e-324, -1.7976931348623157e308], [1 / 3, 1e7, 1e-3]]),
    "negative zero": np.array([[-0.0, 1.0]]),
    "transposed": np.random.default_rng(1).standard_normal((40, 9)).T,
    "strided": np.random.default_rng(2).standard_normal((20, 9))[::2, ::3],
    "large": np.random.default_rng(4).standard_normal((700, 300)),
    "sparse": _sparse(300, 200, 0.02),
    "sparse column blocks": csr_array(([1.0, 2.0], ([0, 999], [199, 0])), shape=(1000, 200)),
    "sparse empty": csr_array((100, 100)),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((3, 0)),
}


# --- there and back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", MATRICES)
def test_round_trip(tmp_path, name, form):
    matrix, path = MATRICES[name], str(tmp_path / "m")
    io.write(matrix, path, format=form)
    back = io.read(path)
    assert back.dtype == np.float64
    np.testing.assert_array_equal(dense(back), dense(matrix))
    meta = io.read_meta(path)
    assert (meta.format, meta.data_type) == (form, "matrix")
    assert (meta.rows, meta.cols) == matrix.shape


@pytest.mark.parametrize("name", MATRICES)
def test_round_trip_of_sparse_csv_with_header(tmp_path, name):
    matrix, path = MATRICES[name], str(tmp_path / "m")
    io.write(matrix, path, format="csv", sparse=True, header=True, sep=";")
    np.testing.assert_array_equal(dense(io.read(path)), dense(matrix))


@pytest.mark.parametrize("form", FORMATS)
def test_only_sparse_matrices_come_back_as_csr(tmp_path, form):
    for name, kind in (("sparse", csr_array), ("large", np.ndarray), ("plain", np.ndarray), ("column", np.ndarray)):
        path = str(tmp_path / name)
        io.write(MATRICES[name], path, format=form)
        assert isinstance(io.read(path), kind)


@pytest.mark.parametrize("form", FORMATS)
def test_read_csr_is_canonical(tmp_path, form):
    path = str(tmp_path / "m")
    io.write(MATRICES["sparse"], path, format=form)
    back = io.read(path)
    back.check_format(full_check=True)
    assert back.has_sorted_indices
    assert np.count_nonzero(back.data) == back.nnz == MATRICES["sparse"].nnz


@pytest.mark.parametrize("value", [7, -3, 2.5, 1e10, -0.0, np.inf, -np.inf, True, False, "hello world", "", "two\nlines", "déjà", "12"])
def test_scalars(tmp_path, value):
    path = str(tmp_path / "s")
    io.write(value, path)
    back = io.read(path)
    assert type(back) is type(value)
    assert repr(back) == repr(value)


def test_nan_scalar(tmp_path):
    io.write(np.nan, str(tmp_path / "s"))
    assert np.isnan(io.read(str(tmp_path / "s")))


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("7", None, 7),
        ("7", "double", 7.0),
        (" 2.5\n", None, 2.5),
        ("1.0E10", None, 1e10),
        ("TRUE", None, True),
        ("false\n", None, False),
        ("NaN?", None, "NaN?"),
        ("-Infinity", None, -np.inf),
        ("7", "string", "7"),
        ("some text\n", "string", "some text"),
    ],
)
def test_scalars_without_metadata(tmp_path, text, kind, value):
    path = tmp_path / "s"
    path.write_text(text)
    back = io.read(str(path), data_type="scalar", **({"value_type": kind} if kind else {}))
    assert (type(back), back) == (type(value), value)


# --- bytes on disk ----------------------------------------------------------------------------------------------------

B = np.array([[np.nan, np.inf, -np.inf], [1e6, 0, 1e-5], [0, 1e300, 5e-324]])
D = np.zeros((60, 50))
D[6, 8], D[59, 49], D[0, 0] = 1.25, -2, 1e10
Z = np.zeros((4, 3))
SAMPLES = [
    ("a.txt", np.array([[1, 2.5, -3], [1e6, 0, 1e-5], [0, 1e300, 5e-324]]), {"format": "text"}),
    ("b.csv", B, {"format": "csv"}),
    ("bh.csv", B, {"format": "csv", "header": True, "sep": ";", "sparse": True}),
    ("b.mtx", B, {"format": "mm"}),
    ("d.ijv", D, {"format": "text"}),
    ("d.csv", D, {"format": "csv", "sparse": True}),
    ("d.mtx", D, {"format": "mm"}),
    ("z.txt", Z, {"format": "text"}),
    ("z.csv", Z, {"format": "csv"}),
    ("zs.csv", Z, {"format": "csv", "sparse": True}),
    ("scalar_int", 7, {}),
    ("scalar_double", 2.5, {}),
    ("scalar_power", 1e10, {}),
    ("scalar_boolean", True, {}),
    ("scalar_string", "hello world", {}),
]


@pytest.mark.parametrize(("name", "value", "params"), SAMPLES, ids=[name for name, _, _ in SAMPLES])
def test_files_of_systemds_read_and_are_written_alike(tmp_path, name, value, params):
    sample, mine = SYSTEMDS / name, tmp_path / name
    np.testing.assert_array_equal(io.read(str(sample)), value)
    io.write(value, str(mine), **params)
    assert mine.read_bytes() == sample.read_bytes()
    sidecar = sample.with_name(name + ".mtd")
    if not sidecar.exists():
        assert not mine.with_name(name + ".mtd").exists()
        return
    changing = re.compile(r'"(author|created)": "[^"]*"')
    written = mine.with_name(name + ".mtd").read_text()
    assert changing.sub(r"\1", written) == changing.sub(r"\1", sidecar.read_text())
    assert re.search(r'"created": "\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"', written)


def test_the_zero_line_of_systemds_in_matrix_market(tmp_path):
    np.testing.assert_array_equal(io.read(str(SYSTEMDS / "z.mtx")), Z)
    io.write(Z, str(tmp_path / "z.mtx"), format="mm")
    assert (tmp_path / "z.mtx").read_text() == "%%MatrixMarket matrix coordinate real general\n4 3 0\n"


def test_description_follows_the_format(tmp_path):
    io.write(Z, str(tmp_path / "z"), format="csv", description="all zeros")
    keys = list(json.loads((tmp_path / "z.mtd").read_text()))
    assert keys == ["data_type", "value_type", "rows", "cols", "nnz", "format", "description", "author", "header", "sep", "created"]


def test_binary_files_are_plain_numpy_and_scipy_ones(tmp_path):
    io.write(MATRICES["plain"], str(tmp_path / "dense"), format="binary")
    io.write(MATRICES["sparse"], str(tmp_path / "sparse"), format="binary")
    assert sorted(os.listdir(tmp_path)) == ["dense", "dense.mtd", "sparse", "sparse.mtd"]
    np.testing.assert_array_equal(np.load(tmp_path / "dense", allow_pickle=False), MATRICES["plain"])
    assert (load_npz(tmp_path / "sparse") != MATRICES["sparse"]).nnz == 0


def test_foreign_binary_files(tmp_path):
    np.save(tmp_path / "ints.npy", np.arange(6, dtype=np.int32).reshape(2, 3))
    np.save(tmp_path / "vector.npy", np.arange(3.0))
    np.savez_compressed(tmp_path / "one.npz", X=np.eye(2, dtype=np.float32))
    save_npz(tmp_path / "sparse.npz", MATRICES["sparse"])
    np.testing.assert_array_equal(io.read(str(tmp_path / "ints.npy")), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(io.read(str(tmp_path / "vector.npy")), [[0], [1], [2]])
    np.testing.assert_array_equal(io.read(str(tmp_path / "one.npz")), np.eye(2))
    assert (io.read(str(tmp_path / "sparse.npz")) != MATRICES["sparse"]).nnz == 0
    shapes = {name: io.read_meta(str(tmp_path / name)) for name in os.listdir(tmp_path)}
    assert {name: (m.rows, m.cols) for name, m in shapes.items()} == {
        "ints.npy": (2, 3),
        "vector.npy": (3, 1),
        "one.npz": (2, 2),
        "sparse.npz": (300, 200),
    }
    assert shapes["sparse.npz"].nnz == MATRICES["sparse"].nnz


# --- what is known before reading -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "form", "value"),
    [
        ("x.csv", "1,2\n3,4\n", "csv", [[1, 2], [3, 4]]),
        ("x.ijv", "1 2 5\n", "text", [[0, 5]]),
        ("x.txt", "2 1 5\n1 1 3.5\n", "text", [[3.5], [5]]),
        ("x.txt", "1,2\n", "csv", [[1, 2]]),
        ("x.txt", "1\n2\n", "csv", [[1], [2]]),
        ("x", "7", "csv", [[7]]),
        ("x.mtx", "%%MatrixMarket matrix coordinate real general\n1 2 1\n1 2 4\n", "mm", [[0, 4]]),
        ("noname", "%%MatrixMarket matrix coordinate real general\n% a comment\n\n1 2 1\n1 2 4\n", "mm", [[0, 4]]),
    ],
)
def test_format_from_name_or_contents(tmp_path, name, text, form, value):
    (tmp_path / name).write_text(text)
    assert io.read_meta(str(tmp_path / name)).format == form
    np.testing.assert_array_equal(dense(io.read(str(tmp_path / name))), value)


def test_call_before_metadata_before_name(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1 1 5\n")
    assert io.read(str(path), format="TEXT", rows=2, cols=1).tolist() == [[5], [0]]
    (tmp_path / "x.csv.mtd").write_text('{"data_type": "matrix", "format": "text", "rows": 1, "cols": 2, "nnz": -1}')
    assert io.read(str(path)).tolist() == [[5, 0]]
    assert io.read(str(path), rows=1, cols=2.0, format="ijv").tolist() == [[5, 0]]


def test_metadata_in_a_folder_of_parts(tmp_path):
    (tmp_path / "x").write_text("1;2\n")
    (tmp_path / "x.mtd").mkdir()
    (tmp_path / "x.mtd" / "part-0").write_text('{"format": "csv"}')
    (tmp_path / "x.mtd" / "part-1").write_text('{"sep": ";", "header": "false"}')
    assert io.read(str(tmp_path / "x")).tolist() == [[1, 2]]


def test_meta_of_csv_tells_the_columns(tmp_path):
    (tmp_path / "x.csv").write_text("a,b,c\n1,2,3\n")
    meta = io.read_meta(str(tmp_path / "x.csv"), header=True)
    assert (meta.rows, meta.cols, meta.header, meta.format) == (None, 3, True, "csv")
    assert io.read_meta(str(SYSTEMDS / "scalar_int")).data_type == "scalar"
    assert io.read_meta(str(SYSTEMDS / "d.mtx")).nnz == 3


def test_file_addresses(tmp_path):
    (tmp_path / "x.csv").write_text("1\n")
    assert io.read(f"file:{tmp_path}/x.csv").tolist() == [[1]]
    assert io.read(f"file://{tmp_path}/x.csv").tolist() == [[1]]


# --- csv --------------------------------------------------------------------------------------------------------------

nan = np.nan


@pytest.mark.parametrize(
    ("text", "params", "value"),
    [
        ("1,2\r\n3,4\r\n", {}, [[1, 2], [3, 4]]),
        ("1,2\n3,4", {}, [[1, 2], [3, 4]]),
        ("1,2\n3,4\n\n\n", {}, [[1, 2], [3, 4]]),
        (" 1 ,\t2\n", {}, [[1, 2]]),
        ("NaN,Infinity,-Infinity,1E3,+2,.5,1.\n", {}, [[nan, np.inf, -np.inf, 1000, 2, 0.5, 1]]),
        ("1,,3\n", {}, [[1, 0, 3]]),
        ("1,,\n,,\n", {"default": 7}, [[1, 7, 7], [7, 7, 7]]),
        ("1, ,3\n", {"default": -1.5}, [[1, -1.5, 3]]),
        ("1,NA\nnull,4\n", {"naStrings": ["NA", "null"]}, [[1, nan], [nan, 4]]),
        ("1, NA \n,4\n", {"naStrings": DMLList(("NA",))}, [[1, nan], [0, 4]]),
        ("-999,2\n", {"naStrings": "-999"}, [[nan, 2]]),
        ("C1,C2\n1,2\n", {"header": True}, [[1, 2]]),
        ("1;2\n", {"sep": ";"}, [[1, 2]]),
        ("1\t2\n", {"sep": "\t"}, [[1, 2]]),
        ("1 2\n", {"sep": " "}, [[1, 2]]),
        ("1||2||3\n", {"sep": "||"}, [[1, 2, 3]]),
        ("1§2\n", {"sep": "§"}, [[1, 2]]),
        ("1|2\n", {"sep": "|"}, [[1, 2]]),
        ("1\n\n3\n", {}, [[1], [0], [3]]),
        ("1\n\n\n", {"rows": 3}, [[1], [0], [0]]),
        ("\n\n", {"rows": 2, "cols": 1}, [[0], [0]]),
        ("\ufeff1,2\n", {}, [[1, 2]]),
        ("\ufeffa,b\n1,\n", {"header": True}, [[1, 0]]),
        ("1e400,1e-400\n", {}, [[np.inf, 0]]),
        ("", {"rows": 0, "cols": 3}, np.zeros((0, 3))),
        ("a,b\n", {"rows": 0, "cols": 2, "header": True}, np.zeros((0, 2))),
        ("1,2\n", {"fill": False}, [[1, 2]]),
        ("1,2\n", {"rows": -1, "cols": 2, "nnz": 99, "value_type": "double", "data_type": "matrix"}, [[1, 2]]),
    ],
)
def test_csv(tmp_path, text, params, value):
    (tmp_path / "x.csv").write_bytes(text.encode())
    np.testing.assert_array_equal(io.read(str(tmp_path / "x.csv"), **params), np.array(value, dtype=float))


def test_both_csv_readers_agree(tmp_path):
    matrix = np.random.default_rng(5).standard_normal((3000, 40)) * 1e5
    io.write(matrix, str(tmp_path / "x.csv"), format="csv")
    np.testing.assert_array_equal(io.read(str(tmp_path / "x.csv"), naStrings="NA"), matrix)
    np.testing.assert_array_equal(io.read(str(tmp_path / "x.csv")), matrix)


def test_many_blocks_with_gaps(tmp_path, monkeypatch):
    monkeypatch.setattr(io.csv, "_BLOCK_BYTES", 64)
    text = "".join(f"{i},,{i / 8}\n" for i in range(500))
    (tmp_path / "x.csv").write_text(text + "\n\n")
    expected = np.array([[i, 0, i / 8] for i in range(500)])
    np.testing.assert_array_equal(io.read(str(tmp_path / "x.csv")), expected)
    (tmp_path / "y.csv").write_text(text + "\n\n1,2,3\n")
    with pytest.raises(DMLIOError, match=r"y\.csv:501: a blank line"):
        io.read(str(tmp_path / "y.csv"))


def test_wide_empty_csv_never_becomes_dense(tmp_path, monkeypatch):
    monkeypatch.setattr(io.csv, "_BLOCK_BYTES", 1 << 13)
    (tmp_path / "x.csv").write_text(("," * 1999 + "\n") * 300 + "," * 1999 + "3\n")
    io.read(str(tmp_path / "x.csv"))  # whatever is imported for the first time is not counted
    tracemalloc.start()
    matrix = io.read(str(tmp_path / "x.csv"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (matrix.shape, matrix.nnz) == ((301, 2000), 1)
    assert peak < 301 * 2000 * 8 / 2


# --- coordinate formats -----------------------------------------------------------------------------------------------

MM = "%%MatrixMarket matrix coordinate"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (f"{MM} real symmetric\n2 2 2\n1 1 4\n2 1 5\n", [[4, 5], [5, 0]]),
        (f"{MM} pattern general\n2 3 2\n1 1\n2 3\n", [[1, 0, 0], [0, 0, 1]]),
        (f"{MM} pattern symmetric\n2 2 1\n2 1\n", [[0, 1], [1, 0]]),
        (f"{MM} integer general\n2 2 1\n2 1 -3\n", [[0, 0], [-3, 0]]),
        (f"{MM} real general\n% made by hand\n%\n2 2 2\n1 1 1e3\n\n1 2 NaN\n", [[1000, nan], [0, 0]]),
        (f"{MM} real general\n2 2 0\n", np.zeros((2, 2))),
        (f"{MM.upper()} REAL GENERAL\n1 1 1\n1 1 2\n", [[2]]),
        (f"{MM} real general\n2 2 3\n1 1 1\n1 1 5\n2 2 3\n", [[5, 0], [0, 3]]),
    ],
)
def test_matrix_market(tmp_path, text, value):
    (tmp_path / "x.mtx").write_text(text)
    np.testing.assert_array_equal(io.read(str(tmp_path / "x.mtx")), np.array(value, dtype=float))


def test_of_entries_for_one_cell_the_last_counts(tmp_path):
    rng = np.random.default_rng(6)
    rows, cols, values = rng.integers(1, 100, 900), rng.integers(1, 100, 900), rng.integers(0, 4, 900)
    expected = np.zeros((99, 99))
    for i, j, v in zip(rows, cols, values, strict=True):
        expected[i - 1, j - 1] = v
    (tmp_path / "x.ijv").write_text("".join(f"{i} {j} {v}\n" for i, j, v in zip(rows, cols, values, strict=True)))
    back = io.read(str(tmp_path / "x.ijv"), rows=99, cols=99)
    assert not isinstance(back, np.ndarray)
    np.testing.assert_array_equal(back.toarray(), expected)


def test_text_with_tabs_blank_lines_and_no_last_newline(tmp_path):
    (tmp_path / "x.ijv").write_text("1\t1\t1.5\n\n  2 2   -1.0E-3\n0 0 0\n1.0 2 7")
    assert io.read(str(tmp_path / "x.ijv")).tolist() == [[1.5, 7], [0, -0.001]]


def test_very_large_sparse_shapes_cost_little(tmp_path):
    (tmp_path / "x.ijv").write_text("3 4000000000 2.5\n")
    back = io.read(str(tmp_path / "x.ijv"), rows=1000, cols=4_000_000_000)
    assert back.shape == (1000, 4_000_000_000)
    assert back[2, 3_999_999_999] == 2.5
