"""Plans made for one sparse input are not used for another with which they would be wrong, or slow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite import MLContext, dml, settings
from dmlite.hop.facts import matrix
from dmlite.runtime.engine import fact_of


@pytest.mark.parametrize("level", [0, 2, 3])
def test_a_loop_that_fills_an_empty_matrix(level):
    source = """
    X = S
    sums = ""
    for (i in 1:4) {
      sums = sums + sum(X) + " " + nrow(removeEmpty(target=X, margin="rows")) + ";"
      X = X + T
    }
    """
    S, T = csr_array((200, 200)), csr_array((np.ones(3), ([1, 2, 3], [4, 5, 6])), shape=(200, 200))
    with settings(opt_level=level):
        assert MLContext().execute(dml(source).input(S=S, T=T)).get("sums") == "0.0 1;3.0 3;6.0 3;9.0 3;"


@pytest.mark.parametrize("nnz", [0, 1, 2, 3, 4, 5, 100])
def test_facts_hold_for_every_value_with_the_same_key(nnz):
    x = csr_array((np.ones(nnz), (np.arange(nnz), np.arange(nnz))), shape=(100, 100))
    fact = fact_of(x, matrix(100, 100), known_value=False, counted=True)
    assert fact.nnz_min <= nnz <= fact.nnz and fact.nnz_avg == nnz
    assert fact.nnz.bit_length() == fact.nnz_min.bit_length() == nnz.bit_length()


def test_dense_values_may_hold_zeros():
    fact = fact_of(np.zeros((3, 4)), matrix(3, 4), known_value=False, counted=True)
    assert (fact.nnz_min, fact.nnz, fact.nnz_avg) == (0, 12, 0)
