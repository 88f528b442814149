"""Parts of matrices and lists, read and written, against NumPy slices."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.backends.local import indexing as k
from dmlite.backends.local.storage import is_sparse
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import Fact, constant, matrix
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import ShapeError
from dmlite.values import DMLList

STORAGES = [pytest.param(np.array, id="dense"), pytest.param(np.asfortranarray, id="columns"), pytest.param(csr_array, id="csr")]
A = np.arange(1.0, 13).reshape(3, 4)
_g = np.random.default_rng(0)
SPARSE = np.where(_g.random((60, 50)) < 0.08, _g.normal(size=(60, 50)), 0.0)
# bounds (rl, ru, cl, cu) and the NumPy slices that they mean
RANGES = [
    ((None, None, None, None), (slice(None), slice(None))),
    ((2, None, None, None), (slice(1, 2), slice(None))),
    ((None, None, 3, None), (slice(None), slice(2, 3))),
    ((3, None, 4, None), (slice(2, 3), slice(3, 4))),
    ((1, 2, 2, 3), (slice(0, 2), slice(1, 3))),
    ((1.7, 2.9999999, 2.0, None), (slice(0, 2), slice(1, 2))),
    ((1, 3, 1, 4), (slice(0, 3), slice(0, 4))),
    ((2, 3, None, None), (slice(1, 3), slice(None))),
    ((None, None, 1, 4.5), (slice(None), slice(0, 4))),
    ((True, None, 1, 1), (slice(0, 1), slice(0, 1))),
]
stored = pytest.mark.parametrize("make", STORAGES)
ranges = pytest.mark.parametrize("bounds, slices", RANGES)


def plain(x):
    return x if isinstance(x, np.ndarray) else x.toarray()


def check(x):
    assert not is_sparse(x) or (x.has_canonical_format and np.all(x.data != 0))
    return plain(x)


class TestRead:
    @stored
    @ranges
    @pytest.mark.parametrize("x", [A, SPARSE], ids=["small", "sparse"])
    def test_ranges(self, make, bounds, slices, x):
        operand = make(x)
        assert np.array_equal(check(k.index(operand, *bounds)), x[slices])
        assert np.array_equal(plain(operand), x)

    def test_dense_is_a_view(self):
        x = A.copy()
        assert np.shares_memory(k.index(x, 2, 3, None, None), x)

    def test_csr_never_shares(self):
        x = csr_array(SPARSE)
        part = k.index(x, 2, 40, None, None)
        assert is_sparse(part) and not np.shares_memory(part.data, x.data) and not np.shares_memory(part.indices, x.indices)

    def test_every_cell_of_csr(self):
        x = csr_array(SPARSE)
        cells = [[k.index(x, i, None, j, None)[0, 0] for j in range(1, 51)] for i in range(1, 61)]
        assert np.array_equal(cells, SPARSE)

    def test_empty_dimension(self):
        assert k.index(np.zeros((0, 3)), None, None, 2, None).shape == (0, 1)

    @stored
    @pytest.mark.parametrize(
        "bounds, text",
        [
            ((4, None, 1, None), "[4,1]"),
            ((0, None, None, None), "[0,]"),
            ((-1, 2, None, None), "[-1:2,]"),
            ((3, 2, None, None), "[3:2,]"),
            ((1, 1, 2, 5), "[1:1,2:5]"),
            ((None, None, 0.5, None), "[,0.5]"),
            ((np.nan, None, None, None), "[NaN,]"),
            ((1, np.inf, None, None), "[1:Infinity,]"),
            (("a", None, None, None), '["a",]'),
        ],
    )
    def test_outside(self, make, bounds, text):
        for call in (lambda: k.index(make(A), *bounds), lambda: k.leftindex(make(A), 1.0, *bounds)):
            with pytest.raises(DMLRuntimeError) as error:
                call()
            assert f"index {text} is not within a 3x4 matrix" in str(error.value)

    def test_scalars_have_no_parts(self):
        for call in (lambda: k.index(3.0, 1, None, None, None), lambda: k.leftindex("x", 1, 1, None, None, None)):
            with pytest.raises(DMLRuntimeError, match="has no parts"):
                call()


class TestWrite:
    @stored
    @ranges
    @pytest.mark.parametrize("x", [A, SPARSE], ids=["small", "sparse"])
    @pytest.mark.parametrize("kind", ["zero", "number", "matrix", "csr", "zeros"])
    def test_ranges(self, make, bounds, slices, x, kind):
        expected, shape = x.copy(), x[slices].shape
        block = np.where(_g.random(shape) < 0.3, _g.normal(size=shape), 0.0)
        value = {"zero": 0, "number": 2.5, "matrix": block, "csr": csr_array(block), "zeros": np.zeros(shape)}[kind]
        expected[slices] = plain(value) if kind == "csr" else value
        operand = make(x)
        assert np.array_equal(check(k.leftindex(operand, value, *bounds)), expected)
        assert np.array_equal(plain(operand), x)
        assert np.array_equal(check(k.leftindex_inplace(operand, value, *bounds)), expected)

    def test_in_place(self):
        x = A.copy()
        assert k.leftindex_inplace(x, 9.0, 1, None, 1, None) is x and x[0, 0] == 9

    def test_overlap(self):
        x = A.copy()
        k.leftindex_inplace(x, k.index(x, 1, 2, None, None), 2, 3, None, None)
        assert np.array_equal(x, A[[0, 0, 1]])

    def test_sparse_stays_sparse_until_it_is_not(self):
        x = csr_array(SPARSE)
        assert is_sparse(k.leftindex(x, 1.0, 5, None, None, None))
        assert not is_sparse(k.leftindex(x, 1.0, 1, 40, None, None))
        assert k.leftindex(csr_array((1000, 1000)), 4.0, 1000, None, 1000, None).nnz == 1

    @stored
    def test_shapes_must_agree(self, make):
        for value in (np.ones((1, 1)), csr_array(np.ones((2, 3))), "x", None, DMLList((1,))):
            with pytest.raises(DMLRuntimeError, match="cannot be assigned to a range of 2x2"):
                k.leftindex(make(A), value, 1, 2, 1, 2)


class TestLists:
    L = DMLList((1.0, "bee", A, 4), ("a", "b", "c", "d"))

    @pytest.mark.parametrize(
        "low, high, first, last",
        [(2, None, 1, 2), (2.9, None, 1, 2), ("b", None, 1, 2), (1, 3, 0, 3), ("a", "c", 0, 3), (2, "d", 1, 4)],
    )
    def test_read(self, low, high, first, last):
        part = k.index(self.L, low, high, None, None)
        assert part.items == self.L.items[first:last] and part.names == self.L.names[first:last]

    def test_read_unnamed(self):
        assert k.index(DMLList((5, 6)), 2, None, None, None) == DMLList((6,))

    def test_write(self):
        assert k.leftindex(self.L, 7, 1, None, None, None).items == (7, *self.L.items[1:])
        changed = k.leftindex(self.L, A, "b", None, None, None)
        assert changed.items[1] is A and changed.names == self.L.names and self.L.items[1] == "bee"

    @pytest.mark.parametrize(
        "bounds, message",
        [
            ((5, None), "no element 5 in a list of 4"),
            ((0, None), "no element 0"),
            ((np.nan, None), "no element NaN"),
            (("zz", None), 'no element "zz"'),
            ((A, None), "no element a 3x4 matrix"),
            ((3, 2), "3:2 of a list is empty"),
        ],
    )
    def test_not_there(self, bounds, message):
        with pytest.raises(DMLRuntimeError, match=message):
            k.index(self.L, *bounds, None, None)

    def test_misuse(self):
        with pytest.raises(DMLRuntimeError, match="no names"):
            k.index(DMLList((1,)), "a", None, None, None)
        with pytest.raises(DMLRuntimeError, match="one dimension"):
            k.index(self.L, 1, None, 1, None)
        with pytest.raises(DMLRuntimeError, match="one dimension"):
            k.leftindex(self.L, 1, None, None, None, None)
        with pytest.raises(DMLRuntimeError, match="one element"):
            k.leftindex(self.L, 1, 1, 2, None, None)
        with pytest.raises(DMLRuntimeError, match="no element 9"):
            k.leftindex(self.L, 1, 9, None, None, None)


class TestFacts:
    NONE = Fact()

    def test_index(self):
        size = BY_NAME["index"].size
        assert size(matrix(9, 8), constant(2), constant(4), constant(1.9), constant(3)) == (3, 3)
        assert size(matrix(9, 8), self.NONE, self.NONE, constant(2), self.NONE) == (None, None)
        assert size(Fact("list", rows=3), constant(9), self.NONE, self.NONE, self.NONE) == (None, None)
        assert BY_NAME["index"].nnz(matrix(9, 8, 5)) == 5
        for bounds in ((constant(10), self.NONE), (constant(0), self.NONE), (constant(3), constant(2)), (constant(1), constant(10))):
            with pytest.raises(ShapeError):
                size(matrix(9, 8), *bounds, self.NONE, self.NONE)

    def test_leftindex(self):
        row = BY_NAME["leftindex"]
        bounds = (constant(1), constant(2), constant(1), constant(2))
        assert row.size(matrix(9, 8), matrix(2, 2), *bounds) == (9, 8)
        assert row.size(matrix(9, 8), constant(0), *bounds) == (9, 8)
        with pytest.raises(ShapeError, match="2x3 matrix does not fit into the 2x2"):
            row.size(matrix(9, 8), matrix(2, 3), *bounds)
        assert row.nnz(matrix(9, 8, 3), matrix(2, 2, 1), *bounds) == 4
        assert row.nnz(matrix(9, 8, 3), constant(0), *bounds) == 3
        assert row.nnz(matrix(9, 8, 3), constant(1), *bounds) is None
