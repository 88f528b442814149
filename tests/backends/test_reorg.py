"""Reorganised, selected and counted cells: dense and CSR against NumPy and plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.backends.local import reorg as k
from dmlite.backends.local.storage import is_sparse
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import Fact, constant, matrix
from dmlite.hop.ops import BY_NAME
from dmlite.values import DMLList

STORAGES = [pytest.param(np.array, id="dense"), pytest.param(np.asfortranarray, id="columns"), pytest.param(csr_array, id="csr")]
_g = np.random.default_rng(0)
_sparse = np.where(_g.random((70, 80)) < 0.06, _g.integers(-3, 4, (70, 80)), 0).astype(float)
_sparse[3] = 0
_sparse[:, [0, 5]] = 0
_sparse[7, 9] = np.nan
MATRICES = {
    "small": np.array([[1.0, 0, 2], [0, 0, 0], [0, 0, 3]]),
    "nan": np.array([[np.nan, 1.0], [0, np.nan], [np.nan, 1]]),
    "sparse": _sparse,
    "one": np.array([[7.0]]),
    "column": np.array([[3.0], [0], [2]]),
    "row": np.where(_g.random((1, 60)) < 0.1, 4.0, 0),
    "empty": np.zeros((4, 3)),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((3, 0)),
}
everywhere = pytest.mark.parametrize("name", MATRICES)
stored = pytest.mark.parametrize("make", STORAGES)


def plain(x):
    return x if isinstance(x, np.ndarray) else x.toarray()


def same(result, expected):
    assert not is_sparse(result) or (result.has_canonical_format and np.all(result.data != 0))
    assert plain(result).shape == expected.shape and np.array_equal(plain(result), expected, equal_nan=True)


@stored
@everywhere
class TestMoved:
    def test_cells_elsewhere(self, name, make):
        x = MATRICES[name]
        same(k.t(make(x)), x.T)
        same(k.rev(make(x)), x[::-1])
        for shift in (0, 1, -1, 2.0, 100, -73):
            same(k.roll(make(x), shift), np.roll(x, int(shift), axis=0))
        if make is not csr_array:
            assert not np.shares_memory(k.rev(operand := make(x)), operand)

    def test_sizes(self, name, make):
        x = MATRICES[name]
        assert (k.nrow(make(x)), k.ncol(make(x)), k.length(make(x))) == (*x.shape, x.size)
        assert type(k.length(make(x))) is int

    def test_replace(self, name, make):
        x = MATRICES[name]
        for pattern, value in ((0, 5), (3, 9), (3, 0), (np.nan, 0), (np.nan, 1.5), (np.inf, 1), (0, 0), (3, np.nan)):
            expected = x.copy()
            expected[np.isnan(x) if pattern != pattern else x == pattern] = value
            operand = make(x)
            same(k.replace(operand, pattern, value), expected)
            same(operand, x)
            found = bool((np.isnan(x) if pattern != pattern else x == pattern).any())
            assert k.contains(operand, pattern) is found

    def test_remove_empty(self, name, make):
        x = MATRICES[name]
        for axis, margin in enumerate(("rows", "cols")):
            expected = x.compress((x != 0).any(axis=1 - axis), axis=axis)
            same(k.remove_empty(make(x), margin, None, False), expected)
            zeros = np.zeros((1, x.shape[1]) if axis == 0 else (x.shape[0], 1))
            same(k.remove_empty(make(x), margin, None, True), expected if expected.shape[axis] else zeros)

    def test_distinct(self, name, make):
        x = MATRICES[name]
        values = lambda cells: {"nan" if c != c else c for c in cells}  # noqa: E731
        assert k.count_distinct(make(x)) == len(values(x.ravel().tolist()))
        assert type(k.count_distinct(make(x))) is int
        by_row = np.array([[len(values(r))] for r in x.tolist()], dtype=float).reshape(-1, 1)
        by_col = np.array([[len(values(c)) for c in x.T.tolist()]], dtype=float).reshape(1, -1)
        same(k.count_distinct_approx(make(x), "KMV", "r"), by_row)
        same(k.count_distinct(make(x), "c"), by_col)
        same(k.row_count_distinct(make(x), "KMV"), by_row)
        same(k.col_count_distinct(make(x)), by_col)

    def test_unique(self, name, make):
        x = MATRICES[name]
        nan_last = lambda row: [(c != c, 0 if c != c else c) for c in row]  # noqa: E731
        rows = lambda m: [list(r) for r in sorted({tuple(map(tuple, nan_last(r))) for r in m.tolist()})]  # noqa: E731
        back = lambda found, width: np.array([[np.nan if n else c for n, c in r] for r in found], dtype=float).reshape(len(found), width)  # noqa: E731
        same(k.unique(make(x), "rc"), back(rows(x.reshape(-1, 1)), 1))
        same(k.unique(make(x), "r"), back(rows(x), x.shape[1]))
        same(k.unique(make(x), "c"), back(rows(x.T), x.shape[0]).T)


def test_transpose_of_dense_is_a_view():
    x = np.ones((2, 3))
    assert np.shares_memory(k.t(x), x) and k.identity(x) is x


class TestOrder:
    A = np.array([[3.0, 1], [1, 5], [2, 2], [3, 7]])

    def test_documented(self):
        same(k.order(self.A, 1, False, False), np.array([[1.0, 5], [2, 2], [3, 1], [3, 7]]))
        same(k.order(self.A, 1, True, True), np.array([[1.0], [4], [3], [2]]))

    @stored
    @pytest.mark.parametrize("decreasing", [False, True])
    @pytest.mark.parametrize("by", [(2,), (1, 10), (10, 5, 80)])
    def test_stable_with_nan_last(self, make, decreasing, by):
        x = _sparse.copy()
        x[[5, 20], 1] = np.nan
        sign = -1 if decreasing else 1
        key = lambda i: [(x[i, c - 1] != x[i, c - 1], 0 if x[i, c - 1] != x[i, c - 1] else sign * x[i, c - 1]) for c in by]  # noqa: E731
        expected = sorted(range(len(x)), key=key)
        columns = by[0] if len(by) == 1 else np.array([by], dtype=float)
        same(k.order(make(x), columns, decreasing, True), np.array(expected, dtype=float).reshape(-1, 1) + 1)
        same(k.order(make(x), columns, decreasing, False), x[expected])

    @pytest.mark.parametrize("decreasing", [False, True])
    def test_column(self, decreasing):
        x = np.array([[1.0], [np.nan], [3], [-2]])
        same(k.order(x, 1, decreasing, False), np.array([[3.0], [1], [-2], [np.nan]] if decreasing else [[-2.0], [1], [3], [np.nan]]))

    def test_no_rows(self):
        same(k.order(np.zeros((0, 2)), 1, False, True), np.zeros((0, 1)))

    @pytest.mark.parametrize("by", [0, 3, np.nan, np.array([[1.0, 4.0]]), np.zeros((1, 0))])
    def test_columns_that_are_not_there(self, by):
        with pytest.raises(DMLRuntimeError, match="order of a 4x2 matrix by column"):
            k.order(self.A, by, False, False)

    def test_facts(self):
        rule = BY_NAME["order"].size
        assert rule(matrix(5, 3), constant(1), constant(False), constant(True)) == (5, 1)
        assert rule(matrix(5, 3), constant(1), constant(False), constant(False)) == (5, 3)
        assert rule(matrix(5, 3), constant(1), constant(False), Fact("scalar")) == (5, None)


class TestSelect:
    @stored
    def test_by_vector(self, make):
        keep = np.zeros((70, 1))
        keep[[3, 10, 69], 0] = (1, -2, np.nan)
        same(k.remove_empty(make(_sparse), "rows", keep, True), _sparse[[3, 10, 69]])
        across = csr_array(np.eye(1, 80, 9))
        same(k.remove_empty(make(_sparse), "cols", across, True), _sparse[:, [9]])

    @stored
    def test_nothing_left(self, make):
        none = np.zeros((3, 1))
        x = MATRICES["small"]
        same(k.remove_empty(make(x), "rows", none, True), np.zeros((1, 3)))
        same(k.remove_empty(make(x), "rows", none, False), np.zeros((0, 3)))
        same(k.remove_empty(make(x), "cols", none.T, False), np.zeros((3, 0)))

    def test_all_kept_is_a_copy(self):
        x = np.ones((3, 3))
        assert not np.shares_memory(k.remove_empty(x, "rows", None, True), x)

    def test_errors(self):
        with pytest.raises(DMLRuntimeError, match="margin"):
            k.remove_empty(np.ones((2, 2)), "row", None, True)
        for select in (np.ones((3, 1)), np.ones((2, 2))):
            with pytest.raises(
                DMLRuntimeError, match=r"select of removeEmpty is a \dx\d matrix, expected a vector of the 2 rows of a 2x5 matrix"
            ):
                k.remove_empty(np.ones((2, 5)), "rows", select, True)

    def test_facts(self):
        rule = BY_NAME["removeEmpty"].size
        assert rule(matrix(5, 3), constant("rows")) == (None, 3)
        assert rule(matrix(5, 3), constant("cols")) == (5, None)
        assert rule(matrix(5, 3), Fact("scalar")) == (None, None)
        assert BY_NAME["replace"].nnz(matrix(5, 3, 2), constant(np.nan), constant(0)) == 2
        assert BY_NAME["replace"].nnz(matrix(5, 3, 2), constant(0), constant(1)) is None
        assert BY_NAME["unique"].size(matrix(5, 3), constant("c")) == (5, None)


def test_sizes_of_lists_and_scalars():
    x = DMLList((1, "a", np.ones((2, 2))))
    assert (k.nrow(x), k.ncol(x), k.length(x)) == (3, 1, 3)
    with pytest.raises(DMLRuntimeError, match="nrow of 3"):
        k.nrow(3)
    with pytest.raises(DMLRuntimeError, match='length of "abc"'):
        k.length("abc")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda x: k.roll(x, np.nan), "shift of roll is NaN"),
        (lambda x: k.replace(x, "a", 1), 'pattern of replace is "a"'),
        (lambda x: k.contains(x, x), "a 2x2 matrix, expected a number"),
        (lambda x: k.unique(x, "rows"), 'dir is "rows"'),
        (lambda x: k.count_distinct(x, 1), "dir is 1"),
    ],
)
def test_refused(call, message):
    with pytest.raises(DMLRuntimeError, match=message):
        call(np.ones((2, 2)))
