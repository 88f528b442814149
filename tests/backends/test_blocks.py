"""Blocks of rows on several threads: every row once, results joined in order, errors passed on."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from dmlite.backends.local import blocks, threads
from dmlite.errors import DMLRuntimeError


@pytest.fixture(params=[1, 2, 5])
def cores(request, monkeypatch):
    monkeypatch.setattr(blocks, "_THREADED", 0)
    monkeypatch.setattr(blocks, "cores", lambda: request.param)
    threads.pool.cache_clear()
    yield request.param
    threads.pool.cache_clear()


@pytest.mark.parametrize("rows", [1, 2, 31, 33, 1000])
@pytest.mark.parametrize("block", [1, 3, 64, 10**6])
def test_every_row_once_and_in_order(cores, rows, block, monkeypatch):
    monkeypatch.setattr(blocks, "_BLOCK", block)
    x = np.arange(rows * 3, dtype=float).reshape(rows, 3)
    out = np.full_like(x, np.nan)

    def run(i, j, x, out):
        out[i:j] = x[i:j] * 2
        return float(x[i:j].sum()), x[i:j].sum(0, keepdims=True), x[i:j].max()

    total, columns, most = blocks.by_rows(run, rows, 3, (np.add, np.add, np.maximum), x, out)
    assert np.array_equal(out, 2 * x)
    assert total == x.sum() and total.__class__ is float and most == x.max() and most.__class__ is float
    assert np.array_equal(columns, x.sum(0, keepdims=True))


def test_sums_do_not_depend_on_the_number_of_threads(monkeypatch):
    x = np.random.default_rng(0).normal(size=(5000, 7))
    monkeypatch.setattr(blocks, "_THREADED", 0)
    monkeypatch.setattr(blocks, "_BLOCK", 70)
    found = set()
    for count in (1, 2, 4):
        monkeypatch.setattr(blocks, "cores", lambda count=count: count)
        threads.pool.cache_clear()
        found.add(blocks.by_rows(lambda i, j: (float(x[i:j].sum()),), 5000, 7, (np.add,)))
    threads.pool.cache_clear()
    assert len(found) == 1


def test_an_error_is_raised_when_all_threads_have_ended(cores):
    running = []

    def run(i, j):
        running.append(threading.get_ident())
        try:
            if i == 0:
                raise DMLRuntimeError("broken")
        finally:
            running.pop()
        return ()

    with pytest.raises(DMLRuntimeError, match="broken"):
        blocks.by_rows(run, 1000, 10**6, ())
    assert running == []


def test_nobody_warns(cores):
    with np.errstate(all="raise"):
        blocks.by_rows(lambda i, j: (np.log(np.zeros(1)).sum(),), 100, 10**6, (np.add,))


def test_results_that_cannot_fit_are_refused():
    with pytest.raises(DMLRuntimeError, match="the result"):
        blocks.unfilled(10**7, 10**7)
