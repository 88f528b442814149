"""Files read and written by workers: the same matrices, the same bytes and the same mistakes as here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array, save_npz

from dmlite import dml
from dmlite.backends.dask.chunked import Chunked, Lazy
from dmlite.backends.dask.cluster import session
from dmlite.config import settings
from dmlite.errors import DMLIOError
from dmlite.runtime import io
from dmlite.runtime.io import chunked, parts
from dmlite.runtime.io.ranges import ranges

RNG = np.random.default_rng(5)
FORMATS = ("text", "csv", "mm", "binary")
CHUNK = 4096


def _holes(x):
    x[RNG.random(x.shape) < 0.1] = 0.0
    return x


MATRICES = {
    "tall": _holes(RNG.standard_normal((503, 7))),
    "wide rows": _holes(RNG.standard_normal((5, 900))),
    "column": _holes(RNG.standard_normal((2000, 1))),
    "specials": np.tile([[np.nan, np.inf, -np.inf, 1e300, 5e-324, 1 / 3, 0.0]], (120, 1)),
    "zeros": np.zeros((300, 5)),
    "sparse": csr_array(random_array((300, 70), density=0.03, format="csr", rng=RNG)),
    "sparse with empty chunks": csr_array(([1.0, 2.0, 3.0], ([0, 1, 1499], [0, 29, 7])), shape=(1500, 30)),
}


def array(x):
    return x if isinstance(x, np.ndarray) else x.toarray()


def there(path, **params):
    """A file as the workers read it, in several chunks."""
    with settings(exec="dask", chunk=CHUNK):
        found = io.read(str(path), **params)
    assert isinstance(found, Chunked)
    return found


def here(path, **params):
    with settings(exec="local"):
        return io.read(str(path), **params)


def same(found, expected):
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.toarray(), array(expected))


@pytest.mark.parametrize(("name", "form"), [(n, f) for n in MATRICES for f in FORMATS if n != "zeros" or f in ("csv", "binary")])
def test_read_and_written_as_here(tmp_path, name, form):
    matrix, path = MATRICES[name], tmp_path / "m"
    io.write(matrix, str(path), format=form)
    found = there(path)
    same(found, matrix)
    assert found.nnz == np.count_nonzero(array(matrix))
    assert found.dense == isinstance(here(path), np.ndarray)
    assert len(found.parts) > 1
    io.write(found, str(tmp_path / "again"), format=form)
    same(there(tmp_path / "again"), matrix)
    np.testing.assert_array_equal(array(here(tmp_path / "again")), array(matrix))
    if form != "binary":
        assert (tmp_path / "again").read_bytes() == path.read_bytes()
    if form != "mm":
        told, again = (json.loads(Path(f"{p}.mtd").read_text()) for p in (path, tmp_path / "again"))
        part_rows = again.pop("part_rows", None)
        assert {**told, "created": 0} == {**again, "created": 0}
        assert part_rows == (found.heights if form == "binary" else None)
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.endswith(".mtd")) == ["again", "m"]


@pytest.mark.parametrize("form", ["csv", "text", "mm"])
def test_what_does_not_fit_is_kept_in_files(tmp_path, monkeypatch, form):
    monkeypatch.setattr(chunked, "_SHARE", 0.0)
    for name in ("tall", "sparse"):
        io.write(MATRICES[name], str(tmp_path / name), format=form)
        found = there(tmp_path / name)
        assert all(isinstance(p, Lazy) for p in found.parts)
        assert found.nnz == np.count_nonzero(array(MATRICES[name]))
        same(found, MATRICES[name])


@pytest.mark.parametrize("name", ["tall", "sparse"])
def test_binary_files_that_do_not_fit_stay_where_they_are(tmp_path, monkeypatch, name):
    monkeypatch.setattr(chunked, "_SHARE", 0.0)
    io.write(MATRICES[name], str(tmp_path / "x"), format="binary")
    found = there(tmp_path / "x")
    assert all(isinstance(p, Lazy) for p in found.parts)
    same(found, MATRICES[name])
    io.write(2.0 * MATRICES[name], str(tmp_path / "x"), format="binary")
    with pytest.raises(DMLIOError, match="x: has changed since it was read"):
        found.toarray()


# --- csv --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "params"),
    [
        ("{0};;{1}", {"sep": ";", "default": 7.0}),
        ("{0}::{1}", {"sep": "::"}),
        ("{0},NA,{1}", {"naStrings": "NA"}),
        ("  {0} , {1} ", {}),
        ("{0},{1}\r", {}),
    ],
)
@pytest.mark.parametrize("header", [False, True])
def test_dialects(tmp_path, line, params, header):
    path = tmp_path / "x.csv"
    lines = [line.format(i, -i / 7) for i in range(400)]
    path.write_bytes(("\ufeff" + "\n".join((["a,b"] if header else []) + lines) + "\n\n\n").encode())
    same(there(path, header=header, **params), here(path, header=header, **params))


def test_blank_lines_of_one_column(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("1\n\n3\n" * 400)
    same(there(path, default=-1.0), here(path, default=-1.0))
    path.write_text("1\n" * 400 + "\n" * 5)
    with settings(exec="dask", chunk=CHUNK):
        assert io.read(str(path), rows=403, cols=1).shape == (403, 1)  # an odd file, which is read here


@pytest.mark.parametrize("about", [1, 7, 50, 10_000])
def test_ranges_end_with_lines(tmp_path, about):
    path = tmp_path / "x"
    text = b"head\n" + b"".join(b"%d," % i * (i % 5) + b"x\n" for i in range(60)) + b"\n \n\r\n\n"
    path.write_bytes(text)
    found = ranges(str(path), 5, about)
    pieces = []
    for piece in found:
        with piece.open() as file:
            pieces.append(file.read())
        assert piece.lines_before() == text[: piece.start].count(b"\n")
    assert b"".join(pieces) == text[5:].rstrip(b"\r\n")
    assert all(p.endswith(b"\n") for p in pieces[:-1]) and all(pieces)


MISTAKES = {
    "a field too many": ("csv", ["1,2"] * 700 + ["1,2,3"] + ["1,2"] * 50, {}),
    "text": ("csv", ["1,2"] * 700 + ["1,x"] + ["1,2"] * 50, {}),
    "a blank line": ("csv", ["1,2"] * 700 + [""] + ["1,2"] * 50, {}),
    "no fill": ("csv", ["1,2"] * 700 + ["1,"] + ["1,2"] * 50, {"fill": False}),
    "more rows than declared": ("csv", ["1,2"] * 700, {"rows": 699}),
    "fewer columns than declared": ("csv", ["1,2"] * 700, {"cols": 3}),
    "an entry too short": ("text", ["1 1 2.5"] * 700 + ["1 2"], {}),
    "an index of zero": ("text", ["1 1 2.5"] * 700 + ["2 0 1"], {}),
    "an index outside": ("text", [f"{i} 1 2.5" for i in range(1, 700)] + ["701 2 1"], {"rows": 700, "cols": 2}),
    "a header elsewhere": ("mm", ["%%MatrixMarket matrix coordinate real general", "900 2 700"] + ["1 1 1"] * 699, {}),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told_as_here(tmp_path, name):
    form, lines, params = MISTAKES[name]
    path = tmp_path / "x"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(DMLIOError) as expected:
        here(path, format=form, **params)
    with pytest.raises(DMLIOError) as found:
        there(path, format=form, **params)
    assert str(found.value) == str(expected.value)


# --- rows, columns and values -----------------------------------------------------------------------------------------


def test_entries_in_any_order_and_the_last_one_of_a_cell(tmp_path):
    path = tmp_path / "x"
    rows, cols = RNG.integers(1, 300, 2000), RNG.integers(1, 40, 2000)
    path.write_text("".join(f"{i} {j} {k}\n" for k, (i, j) in enumerate(zip(rows, cols, strict=True))))
    for params in ({}, {"rows": 400}, {"cols": 3000}):
        found = there(path, format="text", **params)
        same(found, here(path, format="text", **params))
        assert found.dense == ("cols" not in params and isinstance(here(path, format="text"), np.ndarray))


def test_symmetric_and_pattern(tmp_path):
    path = tmp_path / "x.mtx"
    cells = sorted({(int(max(a, b)), int(min(a, b))) for a, b in RNG.integers(1, 80, (900, 2))})
    path.write_text(
        f"%%MatrixMarket matrix coordinate pattern symmetric\n% x\n80 80 {len(cells)}\n" + "".join(f"{i} {j}\n" for i, j in cells)
    )
    same(there(path), here(path))


# --- parts ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Parts of different kinds and heights, some without rows, and the matrix they make."""
    blocks = [RNG.random((3, 6)), np.zeros((0, 6)), RNG.random((700, 6)), csr_array(random_array((50, 6), density=0.2, rng=RNG))]
    blocks += [RNG.random((20, 6)).astype(np.float32), np.asfortranarray(RNG.random((90, 6)))]
    path = tmp_path / "X"
    path.mkdir()
    for i, block in enumerate(blocks):
        name = str(path / f"part-{i:05d}")
        np.save(name, block) if isinstance(block, np.ndarray) else save_npz(name, block, compressed=i % 2 == 0)
    return path, np.concatenate([array(b) for b in blocks]).astype(float)


def test_folder_of_parts(folder):
    path, matrix = folder
    assert io.read_meta(str(path)).format == "binary"
    np.testing.assert_array_equal(array(here(path)), matrix)
    found = there(path)
    same(found, matrix)
    assert max(found.heights) < 700
    assert not found.dense


def test_parts_that_do_not_go_together(folder):
    path, matrix = folder
    Path(f"{path}.mtd").write_text(json.dumps({"rows": len(matrix), "cols": 6, "part_rows": [3, 0, 700, 50, 21, 90]}))
    for read in (here, there):
        with pytest.raises(DMLIOError, match=r"part-00004.npy: has 20 rows, but 21 are declared"):
            read(path)
    Path(f"{path}.mtd").write_text(json.dumps({"part_rows": [3, 0]}))
    with pytest.raises(DMLIOError, match=r"X: holds 6 parts, but 2 are declared"):
        here(path)
    Path(f"{path}.mtd").write_text(json.dumps({"part_rows": [3, "0"]}))
    with pytest.raises(DMLIOError, match=r"'part_rows' is \[3, '0'\], expected a list of whole numbers"):
        here(path)
    os.unlink(f"{path}.mtd")
    np.save(path / "part-00006.npy", np.eye(5))
    with pytest.raises(DMLIOError, match=r"part-00006.npy: has 5 columns, but .*part-00000.npy has 6"):
        there(path)
    (path / "part-00006.npy").write_bytes(b"\x93NUMPY" + bytes(100))
    with pytest.raises(DMLIOError, match=r"part-00006.npy: damaged or foreign"):
        there(path)


def test_parts_are_in_the_order_of_their_numbers(tmp_path):
    for i in (2, 10, 1):
        np.save(tmp_path / f"p{i}.npy", np.full((1, 1), float(i)))
    assert here(tmp_path).ravel().tolist() == [1, 2, 10]


def test_chunks_of_parts():
    part = parts.Rows("a", "binary", 0, 10, 1, None, (0, 0))
    few = parts.Rows("b", "binary", 0, 2, 1, None, (0, 0))
    spans = lambda about: [[(r.path, r.low, r.high) for r in g] for g in parts.chunks([few, part, few, few], about)]  # noqa: E731
    assert spans(8) == [[("b", i, i + 1)] for i in (0, 1)] + [[("a", i, i + 1)] for i in range(10)] + 2 * [[("b", 0, 1)], [("b", 1, 2)]]
    assert spans(40) == [[("b", 0, 2)], [("a", 0, 5)], [("a", 5, 10)], [("b", 0, 2)], [("b", 0, 2)]]
    assert spans(90) == [[("b", 0, 2)], [("a", 0, 10)], [("b", 0, 2), ("b", 0, 2)]]
    assert spans(1000) == [[("b", 0, 2), ("a", 0, 10), ("b", 0, 2), ("b", 0, 2)]]


@pytest.mark.parametrize("compressed", [False, True])
def test_large_archives_are_read_in_parts(tmp_path, compressed):
    matrix = csr_array(random_array((3000, 500), density=0.02, rng=RNG, format="csr"))
    save_npz(tmp_path / "x.npz", matrix, compressed=compressed)
    same(there(tmp_path / "x.npz"), matrix)


# --- writing ----------------------------------------------------------------------------------------------------------


def test_a_folder_replaces_a_file_and_a_file_a_folder(tmp_path):
    io.write(MATRICES["tall"], str(tmp_path / "x"), format="csv")
    found, path = there(tmp_path / "x"), str(tmp_path / "m")
    for matrix in (MATRICES["sparse"], found, found, MATRICES["column"]):
        io.write(matrix, path, format="binary")
        np.testing.assert_array_equal(array(here(path)), array(matrix) if matrix is not found else MATRICES["tall"])
    assert sorted(os.listdir(tmp_path)) == ["m", "m.mtd", "x", "x.mtd"]


def test_folders_of_others_are_not_replaced(tmp_path):
    io.write(MATRICES["tall"], str(tmp_path / "x"), format="csv")
    (tmp_path / "m").mkdir()
    for extra in (None, "notes.txt"):
        if extra:
            (tmp_path / "m" / extra).write_text("mine")
        for matrix in (MATRICES["tall"], there(tmp_path / "x")):
            with pytest.raises(DMLIOError, match="m: is a folder"):
                io.write(matrix, str(tmp_path / "m"), format="binary")
    assert os.listdir(tmp_path / "m") == ["notes.txt"]


@pytest.mark.parametrize("form", FORMATS)
def test_a_failed_write_leaves_nothing(tmp_path, form):
    at = session()
    good = at.put(np.ones((3, 2)))
    gone = parts.Rows(str(tmp_path / "gone"), "binary", 0, 3, 2, None, (0, 0))
    broken = Chunked(at, [good, Lazy(chunked._look, ((gone,),)), good], [0, 3, 6, 9], 2, dense=True)
    io.write(np.eye(2), str(tmp_path / "m"), format="csv")
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(DMLIOError, match="gone: no such file"):
        io.write(broken, str(tmp_path / "m"), format=form)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


# --- scripts ----------------------------------------------------------------------------------------------------------

SCRIPT = """
X = read($X)
write(X * 2, $out, format=$form)
s = sum(X)
"""


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("changes", [{"exec": "dask", "chunk": CHUNK}, {"memory": 40_000, "chunk": CHUNK}])
def test_a_script_reads_and_writes_on_workers(tmp_path, monkeypatch, form, changes):
    matrix = MATRICES["tall"]
    io.write(matrix, str(tmp_path / "x"), format=form)
    kinds = []
    written = io._write_matrix
    monkeypatch.setattr(io, "_write_matrix", lambda value, *rest: (kinds.append(type(value)), written(value, *rest)))
    with settings(**changes):
        arguments = {"$X": str(tmp_path / "x"), "$out": str(tmp_path / "out"), "$form": form}
        found = dml(SCRIPT).input(**arguments).output("s").execute()
    assert kinds == [Chunked]
    assert found.get("s") == pytest.approx(matrix.sum(), rel=1e-12)  # chunks are added in another order
    np.testing.assert_array_equal(array(here(tmp_path / "out")), 2 * matrix)


def test_what_fits_is_read_here(tmp_path):
    for form in FORMATS:
        io.write(MATRICES["tall"], str(tmp_path / form), format=form)
        assert isinstance(io.read(str(tmp_path / form)), np.ndarray)
        with settings(exec="dask"):
            assert isinstance(io.read(str(tmp_path / form)), np.ndarray)  # too small to be cut


# --- Parquet ----------------------------------------------------------------------------------------------------------


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    for name in ("specials", "sparse"):
        matrix, path = MATRICES[name], tmp_path / name
        io.write(matrix, str(path), format="parquet")
        meta = io.read_meta(str(path))
        assert (meta.format, meta.rows, meta.cols) == ("parquet", *matrix.shape)
        np.testing.assert_array_equal(array(here(path)), array(matrix))
        found = there(path)
        same(found, matrix)
        io.write(found, str(tmp_path / "again"), format="parquet")
        same(there(tmp_path / "again"), matrix)
        np.testing.assert_array_equal(array(here(tmp_path / "again")), array(matrix))


def test_parquet_of_others(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "x.parquet"
    table = pyarrow.table({"a": [1, None, 3], "b": [True, False, None], "c": pyarrow.array([0.5, 1.5, 2.5], "float32")})
    parquet.write_table(table, path, row_group_size=2)
    expected = [[1, 1, 0.5], [np.nan, 0, 1.5], [3, np.nan, 2.5]]
    np.testing.assert_array_equal(here(path), expected)
    np.testing.assert_array_equal(there(path).toarray(), expected)
    parquet.write_table(pyarrow.table({"a": [1, 2], "name": ["x", "y"]}), path)
    with pytest.raises(DMLIOError, match=r"x\.parquet: column 'name' holds string, expected numbers"):
        here(path)
    path.write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises(DMLIOError, match=r"x\.parquet: damaged or foreign Parquet file"):
        here(path)


def test_parquet_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    for act in (lambda: io.read(str(tmp_path / "x.parquet")), lambda: io.write(np.eye(2), str(tmp_path / "m"), format="parquet")):
        with pytest.raises(DMLIOError, match=r"tmp.*(x\.parquet|m): Parquet files need pyarrow"):
            act()
    assert os.listdir(tmp_path) == ["x.parquet"]


# --- beyond the memory ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_regression_on_five_times_the_memory():
    script = Path(__file__).parents[1] / "benchmarks" / "beyond_memory.py"
    environment = {**os.environ, "PYTHONPATH": str(script.parents[2])}
    done = subprocess.run([sys.executable, str(script)], cwd=script.parents[2], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
