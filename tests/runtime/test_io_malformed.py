"""Files that are not what they should be, and calls that ask for the impossible: each names the file and what to do."""

from __future__ import annotations

import io as stdio
import os
import pickle
import zipfile

import numpy as np
import pytest
from scipy.sparse import csc_array, save_npz

from dmlite.errors import DMLIOError
from dmlite.runtime import io

MM = "%%MatrixMarket matrix coordinate real general\n"
HUGE = 10**15

# (file name, contents or {name: contents}, parameters, fragments of the message)
CASES = [
    # csv
    ("x.csv", "", {}, ["x.csv: is empty"]),
    ("x.csv", "\n\n", {}, ["x.csv: is empty"]),
    ("x.csv", "a,b\n", {"header": True}, ["x.csv: is empty"]),
    ("x.csv", "1,2\n3\n", {}, ["x.csv:2: 1 field, but the first row has 2"]),
    ("x.csv", "1,2\n3,4,5\n", {}, ["x.csv:2: 3 fields, but the first row has 2", 'separated by ","']),
    ("x.csv", "1,2\n\n3,4\n", {}, ["x.csv:2: a blank line"]),
    ("x.csv", "1,2\n3,abc\n", {}, ["x.csv:2:3: 'abc' is not a number", 'naStrings="abc"']),
    ("x.csv", "h\n1\n2,x\n", {"header": True}, ["x.csv:3: 2 fields, but the first row has 1"]),
    ("x.csv", "a,b\n1,2\n", {}, ["x.csv:1:1: 'a' is not a number", "header=TRUE"]),
    ("x.csv", "1;2\n", {}, ["x.csv:1:1: '1;2'", 'sep=";"']),
    ("x.csv", "1\t2\n", {}, ["x.csv:1:1", 'sep="\\t"']),
    ("x.csv", "1,2_000\n", {}, ["x.csv:1:3: '2_000' is not a number"]),
    ("x.csv", '1,"2"\n', {}, ["x.csv:1:3", "is not a number"]),
    ("x.csv", "1,0x1F\n", {}, ["x.csv:1:3: '0x1F'"]),
    ("x.csv", "1,TRUE\n", {}, ["x.csv:1:3: 'TRUE'"]),
    ("x.csv", "1,,3\n", {"fill": False}, ["x.csv:1:3: empty field", "fill=TRUE"]),
    ("x.csv", "1,2\n", {"rows": 2}, ["holds 1x2 cells, but 2x? are declared"]),
    ("x.csv", "1,2\n", {"cols": 3}, ["holds 1x2 cells, but ?x3 are declared"]),
    ("x.csv", "1,2\n", {"sep": ""}, ["read parameter 'sep' is ''", "at least one character"]),
    ("x.csv", b"1,2\n3,\xff\xfe\n", {}, ["x.csv:2:3", "is not a number"]),
    ("x.csv", "1,2\n".encode("utf-16"), {}, ["x.csv: is encoded as UTF-16", "UTF-8"]),
    ("x.csv", b"1,2\n\0\0", {}, ["x.csv: is a binary file"]),
    ("x.csv", "1," + "9" * 100 + "x\n", {}, ["x.csv:1:3", "..."]),
    # coordinate text
    ("x.ijv", "1 1\n", {}, ["x.ijv:1: 2 fields, expected 'row column value'"]),
    ("x.ijv", "1 1 1\n1 2\n", {}, ["x.ijv:2: 2 fields"]),
    ("x.ijv", "1 1 1 1\n", {}, ["x.ijv:1: 4 fields"]),
    ("x.ijv", "1 1 1\n\n1 x 2\n", {}, ["x.ijv:3: 'x' is not an index"]),
    ("x.ijv", "1 1.5 2\n", {}, ["x.ijv:1: '1.5' is not an index"]),
    ("x.ijv", "1 NaN 2\n", {}, ["x.ijv:1: 'NaN' is not an index"]),
    ("x.ijv", "1 1e300 2\n", {}, ["x.ijv:1: '1e300' is not an index"]),
    ("x.ijv", b"1 5\xa01.0\n2 2 2\n", {}, ["x.ijv:1: 2 fields"]),
    ("x.ijv", b"1 5\x1c1.0\n", {"rows": 1, "cols": 1}, ["x.ijv:1: cell [1,5]"]),
    ("x.ijv", "1 1 2,5\n", {}, ["x.ijv:1: '2,5' is not a number"]),
    ("x.ijv", "1 1 2\n5 1 2\n", {"rows": 4, "cols": 4}, ["x.ijv:2: cell [5,1] lies outside the 4x4 matrix"]),
    ("x.ijv", "1 0 2\n", {"rows": 4, "cols": 4}, ["x.ijv:1: cell [1,0]", "count from 1"]),
    ("x.ijv", "-1 1 2\n", {}, ["x.ijv:1: cell [-1,1]"]),
    ("x.ijv", "", {}, ["x.ijv: has no non-zero", "rows= and cols="]),
    ("x.ijv", "0 0 0\n", {"rows": 3}, ["x.ijv: has no non-zero"]),
    ("x.ijv", "1,2,3\n", {}, ["x.ijv:1: 1 fields", 'format="csv"']),
    ("x.ijv", MM + "1 1 1\n1 1 1\n", {}, ["x.ijv:1: a Matrix Market header", 'format="mm"']),
    ("x.ijv", "1 1 1\n", {"rows": HUGE, "cols": 4}, ["x.ijv", f"{HUGE + 1}x1 needs", "memory"]),
    ("x.ijv", "1 1 1\n", {"rows": HUGE, "cols": 1}, ["x.ijv", f"{HUGE}x1 needs", "memory"]),
    # Matrix Market
    ("x.mtx", "1 1 1\n", {}, ["x.mtx:1: no Matrix Market header"]),
    ("x.mtx", "", {}, ["x.mtx:1: no Matrix Market header"]),
    ("x.mtx", MM.replace("coordinate", "array") + "1 1\n2\n", {}, ["x.mtx:1", "'array' are not supported", "coordinate"]),
    ("x.mtx", MM.replace("real", "complex"), {}, ["x.mtx:1", "'complex'", "real or integer or pattern"]),
    ("x.mtx", MM.replace("general", "skew-symmetric"), {}, ["x.mtx:1", "'skew-symmetric'"]),
    ("x.mtx", MM.replace("general", "hermitian"), {}, ["x.mtx:1", "'hermitian'"]),
    ("x.mtx", MM, {}, ["x.mtx:2", "not a size line"]),
    ("x.mtx", MM + "% c\n2 2\n", {}, ["x.mtx:3: '2 2' is not a size line"]),
    ("x.mtx", MM + "2 99999999999999999999 1\n", {}, ["x.mtx:2", "not a size line"]),
    ("x.mtx", MM + "2 -2 1\n", {}, ["x.mtx:2: '2 -2 1' is not a size line"]),
    ("x.mtx", MM.replace("general", "symmetric") + "2 3 1\n1 1 1\n", {}, ["x.mtx:2: a symmetric matrix cannot be 2x3"]),
    ("x.mtx", MM + "2 2 2\n1 1 1\n", {}, ["x.mtx: 1 entries, but the header announces 2"]),
    ("x.mtx", MM + "2 2 1\n1 1 1\n2 2 2\n", {}, ["x.mtx: 2 entries, but the header announces 1"]),
    ("x.mtx", MM + "% c\n2 2 2\n1 1 1\n3 1 1\n", {}, ["x.mtx:5: cell [3,1] lies outside the 2x2 matrix"]),
    ("x.mtx", MM + "2 2 1\n1 1 one\n", {}, ["x.mtx:3: 'one' is not a number"]),
    ("x.mtx", MM.replace("real", "pattern") + "2 2 1\n1 1 1\n", {}, ["x.mtx:3: 3 fields, expected 'row column'"]),
    ("x.mtx", MM + "2 2 1\n1 1 1\n", {"rows": 3, "cols": 2}, ["holds 2x2 cells, but 3x2 are declared"]),
    # binary
    ("x.npy", "1,2\n", {}, ["x.npy: is not a binary matrix file"]),
    ("x.npy", b"\x93NUMPY\x01\x00", {}, ["x.npy: damaged or foreign binary file"]),
    ("x.npz", b"PK\x03\x04 and nothing else", {}, ["x.npz: damaged or foreign binary file"]),
    ("x", b"SEQ\x06...", {"format": "binary"}, ["x: a Hadoop sequence file"]),
    # scalars
    ("x", "abc", {"data_type": "scalar", "value_type": "int"}, ["x: 'abc' is not a value of type int"]),
    ("x", "2.5", {"data_type": "scalar", "value_type": "int"}, ["x: '2.5' is not a value of type int"]),
    ("x", "yes", {"data_type": "scalar", "value_type": "boolean"}, ["x: 'yes' is not a value of type boolean"]),
    ("x", "", {"data_type": "scalar", "value_type": "double"}, ["x: an empty file is not a value of type double"]),
    ("x", b"\xff\xfe", {"data_type": "scalar"}, ["x: not UTF-8 text at byte 0"]),
    # unknown formats and parameters
    ("x", "", {}, ["x: is empty", "format="]),
    ("x.txt", "1 2 3 4\n", {}, ["cannot tell the format"]),
    ("x.csv", "1\n", {"fromat": "csv"}, ["unknown read parameter 'fromat'", "did you mean 'format'?"]),
    ("x.csv", "1\n", {"zzz": 1}, ["unknown read parameter 'zzz'", "known: data_type"]),
    ("x.csv", "1\n", {"format": "cvs"}, ["'format' is 'cvs', expected one of text, csv"]),
    ("x.csv", "1\n", {"format": "libsvm"}, ['format="libsvm" is not supported yet']),
    ("x.csv", "1\n", {"data_type": "frame"}, ["reading a frame is not supported yet"]),
    ("x.csv", "1\n", {"rows": 1.5}, ["'rows' is 1.5, expected a whole number"]),
    ("x.csv", "1\n", {"rows": float("nan")}, ["'rows' is nan, expected a whole number"]),
    ("x.csv", "1\n", {"cols": "3"}, ["'cols' is '3', expected a whole number"]),
    ("x.csv", "1\n", {"rows": 1e300}, ["'rows' is 1e+300"]),
    ("x.csv", "1\n", {"rows": -2}, ["'rows' is -2"]),
    ("x.csv", "1\n", {"header": 3}, ["'header' is 3, expected TRUE or FALSE"]),
    ("x.csv", "1\n", {"default": True}, ["'default' is TRUE, expected a number"]),
    ("x.csv", "1\n", {"naStrings": 3}, ["'naStrings' is 3, expected a string"]),
    # metadata
    ("x", {"x": "1", "x.mtd": '{"rows": 4, "format": "csv"}'}, {"rows": 5}, ["'rows' is 5 in the call, but 4 in", "x.mtd"]),
    ("x", {"x": "1", "x.mtd": '{"header": true, "format": "csv"}'}, {"header": False}, ["'header' is FALSE in the call, but TRUE in"]),
    ("x", {"x": "1", "x.mtd": '{"format": "csv"}'}, {"format": "text"}, ["'format' is 'text' in the call, but 'csv' in"]),
    ("x", {"x": "1", "x.mtd": '{"colz": 4}'}, {}, ["x.mtd: unknown metadata key 'colz'", "did you mean 'cols'?"]),
    ("x", {"x": "1", "x.mtd": '{"rows": 4,\n oops}'}, {}, ["x.mtd:2:2: not a JSON object"]),
    ("x", {"x": "1", "x.mtd": ""}, {}, ["x.mtd:1:1: not a JSON object"]),
    ("x", {"x": "1", "x.mtd": "[1, 2]"}, {}, ["x.mtd: a JSON list, expected an object"]),
    ("x", {"x": "1", "x.mtd": b"\xff\xff\xff"}, {}, ["x.mtd: not a JSON object"]),
    ("x", {"x": "1", "x.mtd": '{"rows": "four"}'}, {}, ["x.mtd: metadata key 'rows' is 'four', expected a whole number"]),
    ("x", {"x": "1", "x.mtd": '{"data_type": "list"}'}, {}, ["reading a list is not supported yet"]),
    ("x", {"x": "1", "x.mtd": '{"format": "hdf5"}'}, {}, ["x.mtd", 'format="hdf5" is not supported yet']),
    # missing files
    ("data.cvs", {"data.csv": "1"}, {}, ["data.cvs: no such file", "did you mean", "data.csv'"]),
    ("model", {"model.csv": "1"}, {}, ["model: no such file", "model.csv"]),
    ("other", {"zzz": "1"}, {}, ["other: no such file", "relative names start at"]),
    ("nowhere/x.csv", {}, {}, ["x.csv: no such file", "there is no folder"]),
]


@pytest.mark.parametrize(("name", "contents", "params", "fragments"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_malformed(tmp_path, name, contents, params, fragments):
    for file, text in contents.items() if isinstance(contents, dict) else [(name, contents)]:
        (tmp_path / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DMLIOError) as caught:
        io.read(str(tmp_path / name), **params)
    for fragment in [str(tmp_path), *fragments]:
        assert fragment in str(caught.value)


def _saved(save, *args, **kwargs) -> bytes:
    buffer = stdio.BytesIO()
    save(buffer, *args, **kwargs)
    return buffer.getvalue()


def _npz(**changes) -> bytes:
    """A CSR container of a 2x2 identity with some of its arrays changed."""
    arrays = {"format": b"csr", "shape": [2, 2], "data": [1.0, 1.0], "indices": [0, 1], "indptr": [0, 1, 2]} | changes
    return _saved(np.savez, **{key: np.array(value) for key, value in arrays.items() if value is not None})


class _Unpickled:
    def __reduce__(self):
        return (os.mkdir, ("unpickled",))


BINARY = [
    (_saved(np.save, np.array([{"a": 1}], dtype=object)), "expected a matrix of numbers"),
    (_saved(np.save, np.array([_Unpickled()], dtype=object)), "expected a matrix of numbers"),
    (_saved(np.save, np.ones((2, 2), dtype=complex)), "complex128"),
    (_saved(np.save, np.ones((2, 2, 2))), "3 dimensions"),
    (_saved(np.save, np.array(["a"])), "expected a matrix of numbers"),
    (_saved(np.save, np.array(3.0)), "0 dimensions"),
    (_saved(np.save, np.ones((50, 50)))[:-9], "damaged or foreign"),
    (_saved(np.save, np.ones((2, 2))).replace(b"(2, 2)", b"(9e9,)"), "damaged or foreign"),
    (_saved(np.save, np.ones((2, 2))).replace(b"(2, 2)", b"(2, 2 "), "damaged or foreign"),
    (_saved(np.savez, a=np.ones(2), b=np.ones(2)), "holds 2 arrays"),
    (_saved(np.savez, a=np.ones((2, 2, 2))), "3 dimensions"),
    (_saved(np.savez, a=np.array([_Unpickled()], dtype=object)), "damaged or foreign"),
    (_saved(save_npz, csc_array(np.eye(3))), "csc"),
    (_npz(indices=[0, 5]), "damaged or foreign"),
    (_npz(indices=[0, -1]), "damaged or foreign"),
    (_npz(indptr=[0, 2, 1]), "damaged or foreign"),
    (_npz(indptr=[0, 1]), "damaged or foreign"),
    (_npz(data=[1.0]), "damaged or foreign"),
    (_npz(shape=[2]), "damaged or foreign"),
    (_npz(shape=[-2, 2]), "damaged or foreign"),
    (_npz(data=None), "damaged or foreign"),
    (_npz(data=[1j, 1j]), "complex128"),
    (_npz(indices=[0.5, 1.5]), "float64 indices"),
]


@pytest.mark.parametrize(("contents", "fragment"), BINARY, ids=range(len(BINARY)))
def test_malformed_binary(tmp_path, monkeypatch, contents, fragment):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").write_bytes(contents)
    with pytest.raises(DMLIOError) as caught:
        io.read(str(tmp_path / "x"), format="binary")
    assert fragment in str(caught.value)
    assert str(tmp_path / "x") in str(caught.value)
    assert os.listdir(tmp_path) == ["x"]


def test_declared_sizes_that_cannot_be(tmp_path):
    header = _saved(np.save, np.zeros((1000, 1000)))
    (tmp_path / "x.npy").write_bytes(header[:128].replace(b"(1000, 1000), }        ", b"(10000000, 10000000), }"))
    with pytest.raises(DMLIOError, match=r"x\.npy: .*10000000x10000000 needs"):
        io.read(str(tmp_path / "x.npy"))


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", _saved(np.save, np.zeros((1000, 1000))))
    monkeypatch.setattr("dmlite.memory.total_bytes", lambda: 1_000_000)
    with pytest.raises(DMLIOError, match="needs"):
        io.read(str(tmp_path / "x.npz"))


def test_pickles_are_never_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.npy").write_bytes(pickle.dumps(_Unpickled()))
    with pytest.raises(DMLIOError, match="is not a binary matrix file"):
        io.read("x.npy")
    assert os.listdir(tmp_path) == ["x.npy"]


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("", "non-empty string"),
        (3, "non-empty string"),
        ("a\0b", "zero byte"),
        ("hdfs://host/x", "'hdfs' addresses are not supported"),
        ("x" * 5000, "File name too long"),
    ],
)
def test_bad_file_names(tmp_path, monkeypatch, name, fragment):
    monkeypatch.chdir(tmp_path)
    for use in (io.read, io.read_meta, lambda name: io.write(1.0, name)):
        with pytest.raises(DMLIOError, match=fragment):
            use(name)
    assert os.listdir(tmp_path) == []


def test_folders_and_devices(tmp_path):
    (tmp_path / "d.csv").mkdir()
    for use in (io.read, io.read_meta):
        with pytest.raises(DMLIOError, match="is a folder, expected a file"):
            use(str(tmp_path / "d.csv"))
    with pytest.raises(DMLIOError, match="is a folder, cannot be replaced"):
        io.write(np.eye(2), str(tmp_path / "d.csv"))
    with pytest.raises(DMLIOError, match="not a regular file"):
        io.read("/dev/null", format="csv")
    with pytest.raises(DMLIOError, match="not a regular file"):
        io.write(np.eye(2), "/dev/null")
    (tmp_path / "m.mtd").mkdir()
    with pytest.raises(DMLIOError, match=r"m\.mtd: is a folder"):
        io.write(np.eye(2), str(tmp_path / "m"))
    (tmp_path / "file").write_text("x")
    with pytest.raises(DMLIOError, match="file/m"):
        io.write(np.eye(2), str(tmp_path / "file" / "m"))
    assert sorted(os.listdir(tmp_path)) == ["d.csv", "file", "m.mtd"]


def test_read_meta_finds_missing_files(tmp_path):
    with pytest.raises(DMLIOError, match="no such file"):
        io.read_meta(str(tmp_path / "x"), format="text", rows=1, cols=1)


@pytest.mark.parametrize(
    ("value", "params", "fragment"),
    [
        (np.eye(2), {"formt": "csv"}, "did you mean 'format'"),
        (np.eye(2), {"format": "hdf5"}, "not supported yet"),
        (np.eye(2), {"format": "xml"}, "expected one of text"),
        (np.eye(2), {"format": "csv", "header": "maybe"}, "expected TRUE or FALSE"),
        (np.eye(2), {"format": "csv", "sep": "\n"}, "without line ends"),
        ((1, 2), {}, "writing a tuple is not supported yet"),
    ],
)
def test_bad_writes(tmp_path, value, params, fragment):
    with pytest.raises(DMLIOError, match=fragment):
        io.write(value, str(tmp_path / "x"), **params)
    assert os.listdir(tmp_path) == []
