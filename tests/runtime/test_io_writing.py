"""Writing is all or nothing: a failure leaves what was there."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from dmlite.errors import DMLIOError
from dmlite.runtime import io

FORMATS = ("text", "csv", "mm", "binary")


# --- all or nothing ---------------------------------------------------------------------------------------------------


class _Boom(Exception):
    pass


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "No space left on device"), MemoryError(), KeyboardInterrupt(), _Boom()])
def test_failure_while_writing_leaves_nothing(tmp_path, monkeypatch, form, trouble):
    module, name = (
        (io.binary, "write") if form == "binary" else (io.csv, "double_texts") if form == "csv" else (io.coordinate, "double_texts")
    )

    def fail(*args, **kwargs):
        raise trouble

    monkeypatch.setattr(module, name, fail)
    expected = DMLIOError if isinstance(trouble, OSError | MemoryError) else type(trouble)
    with pytest.raises(expected):
        io.write(np.ones((3, 3)), str(tmp_path / "m"), format=form)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("failing", [1, 2])
def test_failure_while_replacing_leaves_nothing(tmp_path, monkeypatch, failing):
    calls, real = [], os.replace

    def replace(source, target):
        calls.append(target)
        if len(calls) == failing:
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(DMLIOError, match="Input/output error"):
        io.write(np.ones((3, 3)), str(tmp_path / "m"), format="csv")
    assert os.listdir(tmp_path) == []


def test_the_old_file_survives_a_failed_write(tmp_path, monkeypatch):
    path = str(tmp_path / "m")
    io.write(np.ones((2, 2)), path, format="csv")
    monkeypatch.setattr(io.csv, "double_texts", lambda values: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        io.write(np.zeros((9, 9)), path, format="csv")
    assert io.read(path).tolist() == [[1, 1], [1, 1]]
    assert sorted(os.listdir(tmp_path)) == ["m", "m.mtd"]


def test_folders_are_made_and_files_replaced(tmp_path):
    path = str(tmp_path / "a" / "b" / "m.csv")
    io.write(np.zeros((1, 1)), path, format="csv", header=True)
    io.write(np.array([[1.0, 2.0]]), path, format="text")
    assert io.read(path).tolist() == [[1, 2]]
    io.write(5, path)
    assert io.read(path) == 5


def test_matrix_market_takes_stale_metadata_away(tmp_path):
    path = str(tmp_path / "m")
    io.write(np.zeros((2, 2)), path, format="csv")
    io.write(np.ones((3, 1)), path, format="mm")
    assert io.read(path).shape == (3, 1)


def test_links_are_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real" / "m")
    io.write(3, str(tmp_path / "link"))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "m").read_text() == "3"
