"""Tests run with every check of the compiler on: a failing rewrite rule raises, and every rewritten block is verified.

Plans are made for the default constants and a fixed amount of memory, whatever there is here.
BLAS keeps to one thread: on matrices this small several only wait for each other.
Connections to workers end with the module that opened them: their threads would allocate while others measure memory.
"""

import os

import pytest

os.environ.setdefault("DMLITE_VERIFY", "1")
os.environ["DMLITE_CALIBRATED"] = "0"
os.environ["DMLITE_MEMORY"] = "16GB"
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="module", autouse=True)
def disconnected():
    yield
    from dmlite.backends.dask import given  # not before: the environment comes first

    given.close()
