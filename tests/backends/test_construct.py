"""Matrices from numbers, texts, counts and other matrices, against NumPy written plainly; size rules against the results."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.backends.local import construct as k
from dmlite.backends.local.storage import is_sparse
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import Fact, constant, matrix
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.construct import sequence_length
from dmlite.hop.ops.row import ShapeError
from dmlite.values import DMLList

STORAGES = [pytest.param(np.array, id="dense"), pytest.param(csr_array, id="csr")]
A = np.array([[0.0, 2, 0], [0, 0, 6.5]])
BIG = np.where(np.random.default_rng(1).random((80, 90)) < 0.05, np.random.default_rng(2).normal(size=(80, 90)), 0.0)


def plain(x):
    return x if isinstance(x, np.ndarray) else x.toarray()


def column(*values):
    return np.array(values, dtype=float).reshape(-1, 1)


def size(name, *facts):
    return BY_NAME[name].size(*facts)


class TestMatrix:
    def test_fill(self):
        assert (k.fill(2, 2, 3.9, True) == np.full((2, 3), 2.0)).all()
        assert k.fill(0, 2, 0, True).shape == (2, 0)
        assert k.fill(True, 1, 1, True)[0, 0] == 1.0
        assert np.isnan(k.fill(float("nan"), 1, 1, True)[0, 0])

    def test_zeros_beyond_memory_are_sparse(self):
        x = k.fill(0, 10**7, 10**7, True)
        assert is_sparse(x) and x.nnz == 0 and x.shape == (10**7, 10**7)

    def test_strings(self):
        assert (k.fill("1 2  3\n4,5, 6", 2, 3, False) == [[1, 2, 3], [4, 5, 6]]).all()
        assert k.fill("", 0, 0, True).shape == (0, 0)
        x = k.fill("NaN Infinity -Infinity 1e-3", 2, 2, True)
        assert np.array_equal(x, [[np.nan, np.inf], [-np.inf, 0.001]], equal_nan=True)

    @pytest.mark.parametrize("text, message", [("1 2 3", "needs 4 numbers, the string holds 3"), ("1 2 3 x", "not a number")])
    def test_bad_strings(self, text, message):
        with pytest.raises(DMLRuntimeError, match=message):
            k.fill(text, 2, 2, True)

    @pytest.mark.parametrize("rows", [-1, float("nan"), float("inf"), "2", None])
    def test_bad_sizes(self, rows):
        with pytest.raises(DMLRuntimeError, match="rows of matrix"):
            k.fill(0, rows, 2, True)

    def test_too_large(self):
        with pytest.raises(DMLRuntimeError, match="memory"):
            k.fill(1, 10**7, 10**7, True)

    @pytest.mark.parametrize("make", STORAGES)
    @pytest.mark.parametrize("byrow, order", [(True, "C"), (False, "F")])
    def test_reshape(self, make, byrow, order):
        for x in (A, BIG, np.zeros((3, 0)), np.ones((1, 1))):
            n, m = x.shape[1], x.shape[0]
            expected = np.array(x.ravel(order=order)).reshape((n, m), order=order)
            assert (plain(k.reshape(make(x), n, m, byrow)) == expected).all()
        assert (k.matrix(make(A), 6, 1, True) == A.reshape(6, 1)).all()

    def test_reshape_of_wrong_size(self):
        with pytest.raises(DMLRuntimeError, match="a 2x3 matrix has 6 cells and cannot become 2x2"):
            k.reshape(A, 2, 2, True)
        with pytest.raises(ShapeError):
            size("reshape", matrix(2, 3), constant(2), constant(2), constant(True))

    def test_facts(self):
        assert size("fill", constant(0), constant(90.0), constant(2), constant(True)) == (90, 2)
        assert BY_NAME["fill"].nnz(constant(0.0), constant(2), constant(2), constant(True)) == 0
        assert BY_NAME["fill"].nnz(Fact("scalar"), constant(2), constant(2), constant(True)) is None
        assert size("reshape", matrix(4, 3), constant(2), Fact("scalar"), constant(True)) == (2, 6)


class TestSeq:
    @pytest.mark.parametrize(
        "first, last, step, n",
        [
            (1, 5, None, 5),
            (3, 1, None, 3),
            (1, 0, None, 2),
            (10, 1, -3, 4),
            (0, 1, 0.1, 11),
            (0, 0.3, 0.1, 3),
            (-1, 1, 0.2, 11),
            (1, 10, 4, 3),
            (1, 1, -1, 1),
            (1, 0.1, -0.1, 10),
            (0, 1e6, 0.1, 10_000_001),
            (0.5, 2.4, 1, 2),
        ],
    )
    def test_values(self, first, last, step, n):
        by = step or (1 if first <= last else -1)
        x = k.seq(first, last, step)
        assert x.shape == (n, 1)
        assert np.array_equal(x.ravel(), first + np.arange(n) * by)
        assert size("seq", constant(first), constant(last), Fact() if step is None else constant(step)) == (n, 1)

    @pytest.mark.parametrize("args", [(1, 5, -1), (5, 1, 1), (1, 5, 0), (1, float("inf"), 1), (float("nan"), 1, 1)])
    def test_never_arrives(self, args):
        assert sequence_length(*args) is None
        with pytest.raises(DMLRuntimeError, match="never gets to"):
            k.seq(*args)

    def test_not_a_number(self):
        with pytest.raises(DMLRuntimeError, match="a 2x3 matrix, expected a number"):
            k.seq(1, A, None)

    def test_unknown_bound(self):
        assert size("seq", constant(1), Fact("scalar"), Fact()) == (None, 1)
        assert size("seq", constant(1), constant(5), Fact("scalar")) == (None, 1)


def tabulated(a, b, w=None, rows=None, cols=None):
    """A plain loop over the pairs."""
    a, b = np.ravel(a), np.broadcast_to(np.ravel(b), np.size(a)) if np.size(b) == 1 else np.ravel(b)
    w = np.broadcast_to(1.0 if w is None else np.ravel(w), a.shape)
    pairs = [(int(i), int(j), v) for i, j, v in zip(a, b, w, strict=True) if i == i and j == j]
    rows = max(i for i, _, _ in pairs) if rows is None else rows
    cols = max(j for _, j, _ in pairs) if cols is None else cols
    out = np.zeros((rows, cols))
    for i, j, v in pairs:
        if i <= rows and j <= cols:
            out[i - 1, j - 1] += v
    return out


class TestTable:
    def check(self, result, *args):
        assert np.array_equal(plain(result), tabulated(*args), equal_nan=True)

    def test_documented(self):
        v, w = column(3, 1, 2, 2, 5), column(1, 2, 3, 1, 2)
        self.check(k.table(v, w, 1, None, None), v, w)
        assert (k.table(v, 1, 1, None, None) == column(1, 2, 1, 0, 1)).all()
        assert (k.table_dims(v, v, 3, 3) == np.diag([1.0, 2, 1])).all()
        self.check(k.table(v, w, column(10, 20, 30, 40, 50), None, None), v, w, column(10, 20, 30, 40, 50))
        assert (k.table(v, 5.0, 2, None, None)[:, 4] == [2, 4, 2, 0, 2]).all()

    @pytest.mark.parametrize("shape", [(400, 1), (1, 400), (20, 20)])
    @pytest.mark.parametrize("top", [5, 900])
    def test_random(self, shape, top):
        g = np.random.default_rng(top)
        a, b, w = g.uniform(1, top, shape), g.uniform(1, top, shape), g.normal(size=shape)
        a[0, 0] = b[-1, -1] = np.nan
        self.check(k.table(a, b, 1, None, None), a, b)
        assert np.allclose(plain(k.table(a, b, w, None, None)), tabulated(a, b, w))
        assert np.allclose(plain(k.table(a, b, w, top // 2, top * 2)), tabulated(a, b, w, top // 2, top * 2))

    def test_one_hot_is_sparse(self):
        p = np.random.default_rng(3).permutation(500) + 1.0
        x = k.table_dims(k.seq(1, 500, None), column(*p), 500, 500)
        assert is_sparse(x) and x.nnz == 500 and x.has_sorted_indices
        self.check(x, np.arange(1, 501), p, None, 500, 500)
        assert (x @ column(*range(1, 501)) == column(*p)).all()

    @pytest.mark.parametrize("odd", [None, 0.0, -1.0, 2.5, 31.0, 1e300, -1e300, np.nan, np.inf, -np.inf])
    def test_one_hot_of_what_is_a_column(self, odd):
        v = np.random.default_rng(4).integers(1, 31, 200).astype(float)
        if odd is not None:
            v[[0, 7, 199]] = odd
        x = k.one_hot(column(*v), 30)
        assert is_sparse(x) and x.indices.dtype == x.indptr.dtype == np.int32
        assert np.array_equal(x.toarray(), v[:, None] == np.arange(1, 31))

    def test_rows_may_be_missing_or_repeated(self):
        a, b = column(2, 4, 900), column(1, 70, 2)
        self.check(k.table_dims(a, b, 1000, 80), a, b, None, 1000, 80)
        a = column(900, 2, 2)
        self.check(k.table_dims(a, column(5, 5, 5), 1000, 80), a, column(5, 5, 5), None, 1000, 80)

    def test_empty(self):
        assert k.table(column(np.nan), column(1), 1, None, None).shape == (0, 0)
        assert k.table_dims(np.zeros((0, 1)), np.zeros((0, 1)), 2, 2).sum() == 0

    @pytest.mark.parametrize("bad", [0.0, -1.0, 0.5])
    def test_below_one(self, bad):
        with pytest.raises(DMLRuntimeError, match=f"table of the value {bad}"):
            k.table(column(1, bad), column(1, 1), 1, None, None)
        with pytest.raises(DMLRuntimeError, match="table of the value"):
            k.table(column(1, 1), bad, 1, 2, 2)

    def test_shapes(self):
        with pytest.raises(DMLRuntimeError, match="a 2x1 matrix and a 1x2 matrix"):
            k.table(column(1, 2), np.ones((1, 2)), 1, None, None)
        with pytest.raises(DMLRuntimeError, match="Infinity"):
            k.table(column(np.inf), column(1), 1, None, None)

    def test_facts(self):
        absent = Fact()
        assert size("table_dims", matrix(9, 1), matrix(9, 1), constant(4), constant(5)) == (4, 5)
        assert size("table", matrix(9, 1), constant(3), constant(1), absent, absent, absent) == (None, 3)
        assert size("table", matrix(9, 1), matrix(9, 1), constant(1), absent, absent, absent) == (None, None)
        assert BY_NAME["table"].nnz(matrix(9, 1)) == 9


OPERATORS = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "^": lambda a, b: a**b,
    "%%": lambda a, b: a - int(a / b) * b,
    "%/%": lambda a, b: int(a / b),
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "&": lambda a, b: a != 0 and b != 0,
    "|": lambda a, b: a != 0 or b != 0,
    "min": min,
    "max": max,
}


class TestOuter:
    @pytest.mark.parametrize("op", OPERATORS)
    def test_operators(self, op):
        u, v = column(-7, 7, 2, 0), np.array([[3.0, -2, 2]])
        expected = [[float(OPERATORS[op](a, b)) if not (op == "^" and a == 0 > b) else np.inf for b in v[0]] for a in u[:, 0]]
        with np.errstate(all="ignore"):
            assert np.allclose(k.outer(u, v, op), expected)
            assert np.allclose(k.outer(u, csr_array(v), op), expected)

    def test_log_and_types(self):
        x = k.outer(column(8, 9), np.array([[2.0, 3]]), "log")
        assert np.allclose(x, [[3, np.log(8) / np.log(3)], [np.log2(9), 2]])
        assert k.outer(column(1), np.array([[1.0]]), "==").dtype == np.float64

    def test_errors(self):
        with pytest.raises(DMLRuntimeError, match="a 1x3 matrix and a 3x1 matrix"):
            k.outer(np.ones((1, 3)), column(1, 2, 3), "+")
        with pytest.raises(DMLRuntimeError, match="operator"):
            k.outer(column(1), column(1), "plus")
        with pytest.raises(ShapeError):
            size("outer", matrix(1, 3), matrix(3, 1), constant("+"))
        assert size("outer", matrix(4, 1), matrix(1, None), constant("+")) == (4, None)


class TestDiagonals:
    @pytest.mark.parametrize("n", [0, 1, 2, 100])
    def test_vector(self, n):
        v = np.arange(n, dtype=float).reshape(n, 1)
        x = k.diag(v)
        assert (plain(x) == np.diagflat(v)).all() and x.shape == (n, n)
        assert n < 100 or (is_sparse(x) and x.nnz == n - 1)
        assert size("diag", matrix(n, 1)) == x.shape

    @pytest.mark.parametrize("make", STORAGES)
    def test_square(self, make):
        x = BIG[:80, :80] + np.diag(np.arange(80.0))
        assert (plain(k.diag(make(x))) == np.diagonal(x).reshape(-1, 1)).all()
        assert size("diag", matrix(80, 80)) == (80, 1)

    def test_other_shapes(self):
        with pytest.raises(DMLRuntimeError, match="diag of a 2x3 matrix"):
            k.diag(A)
        with pytest.raises(ShapeError):
            size("diag", matrix(1, 3))

    @pytest.mark.parametrize("make", STORAGES)
    @pytest.mark.parametrize("diag", [False, True])
    def test_triangles(self, make, diag):
        for x in (np.array([[0, 0, np.nan], [5, 6, 7]]), BIG):
            below, above = (0, 0) if diag else (-1, 1)
            assert np.array_equal(plain(k.lower_tri(make(x), diag, True)), np.tril(x, below), equal_nan=True)
            assert np.array_equal(plain(k.upper_tri(make(x), diag, True)), np.triu(x, above), equal_nan=True)
            assert (plain(k.lower_tri(make(x), diag, False)) == np.tril(np.ones(x.shape), below)).all()
            assert (plain(k.upper_tri(make(x), diag, False)) == np.triu(np.ones(x.shape), above)).all()


class TestBind:
    @pytest.mark.parametrize("first", STORAGES)
    @pytest.mark.parametrize("second", STORAGES)
    def test_matrices(self, first, second):
        for x in (A, BIG):
            y = x[::-1] * 2
            assert (plain(k.cbind(first(x), second(y))) == np.hstack((x, y))).all()
            assert (plain(k.rbind(first(x), second(y), first(x))) == np.vstack((x, y, x))).all()
            assert (plain(k.rbind(DMLList((first(x), second(y))))) == np.vstack((x, y))).all()

    def test_sparse_stays_sparse(self):
        assert is_sparse(k.rbind(csr_array(BIG), csr_array(BIG)))
        assert is_sparse(k.cbind(csr_array(BIG), np.zeros((80, 1))))
        assert not is_sparse(k.cbind(csr_array(BIG), np.ones((80, 90))))

    def test_empty_parts(self):
        assert (k.cbind(np.zeros((2, 0)), A) == A).all()
        assert (k.rbind(A, np.zeros((0, 3))) == A).all()
        assert (plain(k.rbind(csr_array(BIG), np.zeros((0, 90)))) == BIG).all()

    def test_a_copy_even_of_one(self):
        assert not np.shares_memory(k.cbind(A), A)

    def test_lists_and_strings(self):
        x = k.cbind(DMLList((1, 2)), 5.0, A)
        assert x.items[:3] == (1, 2, 5.0) and x.items[3] is A and x.names is None
        assert k.rbind("a", "b") == k.cbind("a", "b") == "a\nb"

    @pytest.mark.parametrize("args", [(A, np.ones((1, 3))), (A, csr_array(np.ones((1, 3)))), (csr_array(A), np.ones((3, 3)))])
    def test_mismatch(self, args):
        with pytest.raises(DMLRuntimeError, match=r"cbind of a 2x3 matrix, a \dx3 matrix"):
            k.cbind(*args)

    def test_not_matrices(self):
        for args in ((A, 1.0), (1.0, A), (DMLList((A, "x")),), (DMLList(),), ("a", 1)):
            with pytest.raises(DMLRuntimeError, match="rbind of"):
                k.rbind(*args)

    def test_facts(self):
        assert size("cbind", matrix(2, 3), matrix(None, 4)) == (2, 7)
        assert size("rbind", matrix(None, 3), matrix(2, None)) == (None, 3)
        assert BY_NAME["cbind"].nnz(matrix(2, 3, 1), matrix(2, 3, 2)) == 3
        with pytest.raises(ShapeError, match="2x3 and 3x3"):
            size("cbind", matrix(2, 3), matrix(3, 3))
