"""Threads of BLAS: one inside of a run, all for what is large, and afterwards as many as before."""

from __future__ import annotations

import numpy as np
import pytest

from dmlite import MLContext, dml
from dmlite.backends.local import matmul, threads


class Library:
    """Stands for a copy of BLAS with four threads."""

    def __init__(self) -> None:
        self.num_threads = 4

    def set_num_threads(self, count: int) -> None:
        self.num_threads = count


@pytest.fixture
def library(monkeypatch):
    found = Library()
    monkeypatch.setattr(threads, "_libraries", lambda: [found])
    return found


def test_products_beside_others_keep_to_one_thread(library):
    with threads.BLAS.alone():
        assert library.num_threads == 1
        with threads.BLAS.large():
            assert library.num_threads == 1
        with threads.BLAS.alone():
            pass
        assert library.num_threads == 1
    assert library.num_threads == 4


def test_only_large_products_of_a_run_take_all_threads(library):
    with threads.BLAS.run(calm=False):
        assert library.num_threads == 4
        threads.BLAS.calm()
        assert library.num_threads == 1
        with threads.BLAS.run(calm=True):
            threads.BLAS.calm()
            with threads.BLAS.large():
                assert library.num_threads == 4
        assert library.num_threads == 1
    assert library.num_threads == 4


def test_the_threads_come_back_after_an_error(library):
    with pytest.raises(ValueError), threads.BLAS.run(calm=True):
        raise ValueError
    assert library.num_threads == 4


def test_what_a_script_multiplies_decides(library, monkeypatch):
    seen = []
    monkeypatch.setattr(matmul.np, "matmul", lambda a, b, out=None: seen.append(library.num_threads) or a.dot(b))
    program = dml("S = A %*% A\nL = B %*% t(B)\n").input(A=np.ones((2, 2)), B=np.ones((300, 300))).output("S", "L")
    context = MLContext()
    for _ in range(2):
        S, L = context.execute(program).get("S", "L")
        assert (S.toNumPy() == 2).all() and (L.toNumPy() == 300).all()
    assert seen == [4, 4] and library.num_threads == 4
