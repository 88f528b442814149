"""Cellwise kernels against NumPy written plainly, CSR against dense, and the rows of the operator table against both."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.sparse import csr_array

from dmlite.backends.local import elementwise as k
from dmlite.backends.local import indexing
from dmlite.backends.local.storage import is_matrix, is_sparse
from dmlite.errors import DMLRuntimeError
from dmlite.hop.facts import constant, matrix, scalar
from dmlite.hop.ops import BY_NAME, candidates, cellwise
from dmlite.hop.ops.row import ShapeError

RNG = np.random.default_rng(7)


def as_double(f):
    return lambda *a: np.asarray(f(*a), dtype=float)


@np.vectorize(otypes=[np.int64])
def long(x):
    return 0 if np.isnan(x) else int(min(max(float(x), -(2.0**63)), 2.0**63)) - (x >= 2.0**63)


def modulo(x, y):
    return x - np.trunc(x / y) * y


UNARY = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "sign": np.sign, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "floor": np.floor,
    "ceil": np.ceil, "round": lambda x: np.floor(x + 0.5), "neg": lambda x: -x, "not_": as_double(lambda x: x == 0), "is_na": as_double(np.isnan),
    "is_infinite": as_double(np.isinf), "one_minus": lambda x: 1 - x, "sprop": lambda x: x * (1 - x), "square": lambda x: x * x,
    "sigmoid_op": lambda x: np.where(x < 0, np.exp(x) / (1 + np.exp(x)), 1 / (1 + np.exp(-x))),
}  # fmt: skip
BINARY = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.float_power, "mod": modulo,
    "intdiv": lambda x, y: np.trunc(x / y), "log_base": lambda x, y: np.log(x) / np.log(y), "min2": np.minimum, "max2": np.maximum,
    "lt": as_double(np.less), "le": as_double(np.less_equal), "gt": as_double(np.greater), "ge": as_double(np.greater_equal),
    "eq": as_double(np.equal), "ne": as_double(np.not_equal), "and_": as_double(np.logical_and), "or_": as_double(np.logical_or),
    "xor": as_double(np.logical_xor), "bitwAnd": as_double(lambda x, y: long(x) & long(y)), "bitwOr": as_double(lambda x, y: long(x) | long(y)),
    "bitwXor": as_double(lambda x, y: long(x) ^ long(y)), "bitwShiftL": as_double(lambda x, y: long(x) << (long(y) & 63)),
    "bitwShiftR": as_double(lambda x, y: long(x) >> (long(y) & 63)),
}  # fmt: skip
SAFE = {"mul", "and_", "bitwAnd"}


def some(rows, cols, density=1.0):
    """Small whole and fractional numbers of both signs, so that equalities and truncations happen."""
    values = np.where(RNG.random((rows, cols)) < 0.5, RNG.integers(-3, 4, (rows, cols)), RNG.normal(size=(rows, cols)) * 3)
    return np.where(RNG.random((rows, cols)) < density, values, 0.0)


def special(rows, cols):
    out = some(rows, cols, 0.3)
    out.flat[::5] = np.resize([np.nan, np.inf, -np.inf], out.flat[::5].shape)
    return out


MATRICES = {
    "dense": some(6, 7), "sparse": some(6, 7, 0.15), "special": special(6, 7), "zeros": np.zeros((6, 7)), "ones": np.ones((6, 7)),
    "1x1": some(1, 1), "row": some(1, 7), "column": some(6, 1), "0x7": np.zeros((0, 7)), "6x0": np.zeros((6, 0)), "fortran": np.asfortranarray(some(6, 7)),
    "view": some(12, 14)[::2, ::2],
}  # fmt: skip
OTHERS = {
    "full": some(6, 7), "sparse": some(6, 7, 0.2), "special": special(6, 7), "row": some(1, 7), "zero row": np.zeros((1, 7)), "column": some(6, 1),
    "sparse row": some(1, 7, 0.3), "1x1": some(1, 1), "2.0": 2.0, "0": 0, "-1.5": -1.5, "0.5": 0.5, "NaN": np.nan, "Inf": np.inf, "TRUE": True,
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def plain(x):
    assert is_matrix(x)
    assert x.dtype == np.float64
    if isinstance(x, np.ndarray):
        return x
    assert x.has_sorted_indices
    assert np.count_nonzero(x.data) == x.nnz
    return x.toarray()


def same(a, b, what=""):
    np.testing.assert_allclose(plain(a), b, rtol=1e-13, atol=0, err_msg=what)


def kept(*operands):
    """Copies, to see afterwards that a kernel changed nothing."""
    return [x.copy() if is_matrix(x) else x for x in operands]


def unchanged(operands, copies):
    for x, y in zip(operands, copies, strict=True):
        if is_matrix(x):
            same(x, plain(y))
            assert is_sparse(x) == is_sparse(y)


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    kernel = getattr(k, name)
    for what, x in MATRICES.items():
        expected = UNARY[name](x)
        for operand in (x, csr_array(x)):
            copies = kept(operand)
            result = kernel(operand)
            same(result, expected, what)
            unchanged([operand], copies)
            assert result is not operand
            assert not np.shares_memory(plain(result), operand) if isinstance(operand, np.ndarray) else True


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    kernel, reference = getattr(k, name), BINARY[name]
    for (what_x, x), (what_y, y) in itertools.product(MATRICES.items(), OTHERS.items()):
        if is_matrix(y) and not fits(x, y):
            continue
        for a, b in ((x, y), (y, x)):
            for left, right in itertools.product(storages(a), storages(b)):
                expected = reference(*(np.asarray(z, dtype=float) for z in (a, b)))
                if name in SAFE:
                    expected = np.where(absent(left, expected.shape) | absent(right, expected.shape), 0.0, expected)
                copies = kept(left, right)
                same(kernel(left, right), expected, f"{name}: {what_x} with {what_y}, {type(left).__name__} {type(right).__name__}")
                unchanged([left, right], copies)


def storages(x):
    return (x, csr_array(x)) if is_matrix(x) and x.shape[1] != 1 else (x,)


def fits(*operands):
    shapes = [x.shape for x in operands if is_matrix(x)]
    try:
        return np.broadcast_shapes(*shapes) in shapes
    except ValueError:
        return False


def absent(x, shape):
    """The cells that a full CSR operand does not store; vectors are made dense before they are used."""
    if not is_matrix(x) or isinstance(x, np.ndarray) or x.shape != shape:
        return np.zeros(shape, bool)
    return x.toarray() == 0


@pytest.mark.parametrize("kernel", [k.add, k.mul, k.lt, k.max2])
@pytest.mark.parametrize("store", [np.array, csr_array])
def test_shapes_that_do_not_fit(kernel, store):
    for x, y in [((6, 1), (1, 7)), ((1, 7), (6, 1)), ((2, 3), (3, 2)), ((2, 3), (2, 2)), ((0, 3), (2, 3)), ((2, 3), (1, 2))]:
        with pytest.raises(DMLRuntimeError, match=rf"{x[0]}x{x[1]} and {y[0]}x{y[1]}"):
            kernel(store(np.ones(x)), store(np.ones(y)))
        with pytest.raises(ShapeError, match=rf"{x[0]}x{x[1]} and {y[0]}x{y[1]}"):
            BY_NAME["add"].size(matrix(*x), matrix(*y))


@pytest.mark.parametrize("kernel", [k.add, k.mul, k.eq, k.pow, k.bitwAnd])
def test_a_string_is_no_matrix(kernel):
    for x in (np.ones((2, 2)), csr_array(np.eye(9))):
        with pytest.raises(DMLRuntimeError, match="abc"):
            kernel(x, "abc")
        with pytest.raises(DMLRuntimeError, match="abc"):
            kernel("abc", x)


class TestStorage:
    X = csr_array(np.where(RNG.random((50, 60)) < 0.05, RNG.normal(size=(50, 60)), 0.0))

    def test_stays_sparse(self):
        x, dense, row, column = self.X, RNG.random((50, 60)) + 1, RNG.random((1, 60)) + 1, RNG.random((50, 1)) + 1
        for result in (
            k.mul(x, 3), k.mul(0.5, x), k.mul(x, dense), k.mul(dense, x), k.mul(x, row), k.mul(column, x), k.mul(x, x), k.div(x, 2.0), k.div(x, dense),
            k.div(x, row), k.div(x, column), k.add(x, x), k.sub(x, x), k.add(x, 0), k.ne(x, 0), k.gt(x, 0), k.lt(x, 0), k.gt(x, 1), k.le(x, -1),
            k.and_(x, dense), k.and_(x, 1), k.max2(x, 0), k.min2(x, x), k.pow(x, 2), k.abs(x), k.sqrt(x), k.sprop(x), k.round(x), k.is_na(x), k.neg(x),
            k.ifelse(x, dense, 0), k.ifelse(x, 1, 0), k.ifelse(dense, x, 0), k.ifelse(x, 0, x), k.max_n(x, x, x), k.axpy(x, 2.0, x),
        ):  # fmt: skip
            assert is_sparse(result)

    def test_becomes_dense(self):
        for result in (
            k.exp(self.X),
            k.add(self.X, 1),
            k.eq(self.X, 0),
            k.div(1, self.X),
            k.div(self.X, 0),
            k.not_(self.X),
            k.pow(self.X, 0),
        ):
            assert not is_sparse(result)

    def test_division_by_zero_cells_is_seen(self):
        divisor = np.ones((50, 60))
        divisor[3, 4] = 0
        assert np.isnan(plain(k.div(csr_array((50, 60)), divisor))[3, 4])

    def test_no_cells_are_shared_with_the_operand(self):
        assert not np.shares_memory(self.X.data, k.neg(self.X).data)

    def test_shared_indices_are_never_written(self):
        x = self.X.copy()
        before = x.copy()
        negated = k.neg(x)
        assert np.shares_memory(negated.indices, x.indices)
        cells = negated.toarray()
        halves = k.mul(negated, k.gt(negated, 0.0))  # drops cells
        changed = indexing.leftindex_inplace(negated, 0.0, 1, 3, None, None)
        assert halves.nnz < x.nnz and changed.nnz < x.nnz
        for part in ("data", "indices", "indptr"):
            assert np.array_equal(getattr(x, part), getattr(before, part))
        assert np.array_equal(negated.toarray(), cells)

    def test_a_dense_result_that_cannot_fit_is_refused(self):
        huge = csr_array((10_000_000, 10_000_000))
        for kernel in (k.exp, k.not_, lambda x: k.add(x, 1.0), lambda x: k.ifelse(0, x, 1)):
            with pytest.raises(DMLRuntimeError, match="10000000x10000000"):
                kernel(huge)
        assert k.mul(huge, 2.0).shape == huge.shape


def test_ifelse():
    for c, a, b in itertools.product(
        [some(6, 7, 0.3), special(6, 7), some(1, 7, 0.5), some(6, 1, 0.5), 0, 1.5, np.nan, True],
        [some(6, 7), special(6, 7), some(1, 7), some(6, 1), 2, 0],
        [some(6, 7, 0.2), some(1, 7), 0, -1.5, False],
    ):
        if not any(map(is_matrix, (c, a, b))) or not fits(c, a, b):
            continue
        expected = np.where(np.asarray(c) != 0, a, b) * 1.0
        for operands in itertools.product(storages(c), storages(a), storages(b)):
            copies = kept(*operands)
            result = k.ifelse(*operands)
            same(result, expected)
            assert all(result is not x for x in operands)
            unchanged(operands, copies)
    with pytest.raises(DMLRuntimeError, match="2x3 and 3x2"):
        k.ifelse(np.ones((2, 3)), np.ones((3, 2)), 0)
    with pytest.raises(DMLRuntimeError, match="no"):
        k.ifelse(np.ones((2, 3)), "no", 0)


def test_extremes_of_many():
    a, row, column = some(6, 7), some(1, 7), some(6, 1)
    same(k.min_n(row, column, a, 0.5), np.minimum(np.minimum(np.minimum(a, row), column), 0.5))
    same(k.max_n(1, 2, a, csr_array(a)), np.maximum(a, 2))
    assert np.isnan(k.max_n(1, np.nan, a)).all()
    with pytest.raises(DMLRuntimeError, match="1x7 and 6x1"):
        k.min_n(row, column, 1)


def test_axpy():
    for x, y in itertools.product([some(6, 7), some(1, 7), 2.0], [some(6, 7, 0.2), some(6, 1), -1.0]):
        if fits(x, y) and (is_matrix(x) or is_matrix(y)):
            for left, right in itertools.product(storages(x), storages(y)):
                same(k.axpy(left, -0.5, right), x - 0.5 * y)


def test_ppred():
    x = some(4, 5)
    same(k.ppred(x, 0, ">="), (x >= 0) * 1.0)
    with pytest.raises(DMLRuntimeError, match="=>"):
        k.ppred(x, 0, "=>")


def test_sigmoid_far_out():
    x = np.array([[-1e4, -700.0, 0.0, 700.0, 1e4, np.inf, -np.inf]])
    np.testing.assert_allclose(k.sigmoid_op(x), [[0, np.exp(-700.0), 0.5, 1, 1, 1, 0]], rtol=1e-14)


def test_round_halves_up():
    x = np.array([[2.5, -2.5, 3.5, -0.4, 0.49999999999999994, 2.0**52 + 1, np.inf, np.nan]])
    same(k.round(x), [[3, -2, 4, 0, 0, 2.0**52 + 1, np.inf, np.nan]])


def test_bits_follow_64_bit_integers():
    x = np.array([[-8.0, 12.9, np.nan, 1e300]])
    same(k.bitwShiftR(x, 1), [[-4, 6, 0, 2.0**62]])
    same(k.bitwShiftL(np.array([[1.0]]), 64), [[1]])
    same(k.bitwAnd(x, 10), [[8, 8, 0, 10]])


# ---------------------------------------------------------------- rows
def operands(row):
    count = len(row.parameters) if row.name not in ("min_n", "max_n") else 3
    return [some(6, 7, 0.3) for _ in range(count)]


CELLWISE = [row for row in cellwise.ROWS if row.name != "ppred"]


@pytest.mark.parametrize("row", CELLWISE, ids=lambda row: row.name)
def test_rows_tell_the_truth(row):
    """Declared zeros, non-zeros and shapes hold for the kernel."""
    kernel = getattr(k, row.kernel.split(".")[1])
    xs = operands(row)
    if row.name == "axpy":
        xs[1] = 2.0
    for position in row.zero:
        changed = list(xs)
        changed[position] = np.zeros((6, 7))
        assert not np.count_nonzero(kernel(*changed))
    variants = [xs]
    if len(xs) == 2:
        variants += (
            [[xs[0], c] for c in (0, 1.0, -2, 0.5, np.nan, np.inf)]
            + [[c, xs[1]] for c in (0, 1.0, -2)]
            + [[some(6, 7, 0.2), some(1, 7, 0.3)]]
        )
    for case in variants:
        facts = [matrix(*x.shape, nnz=int(np.count_nonzero(x))) if is_matrix(x) else constant(x) for x in case]
        result = kernel(*(csr_array(x) if is_matrix(x) and x.shape[0] > 1 else x for x in case))
        assert row.size(*facts) == result.shape
        bound = row.nnz(*facts) if row.nnz else None
        assert bound is None or np.count_nonzero(plain(result)) <= bound, case
        unknown = [matrix() if is_matrix(x) else scalar("double") for x in case]
        assert row.size(*unknown) == (None, None)
        assert row.nnz is None or row.nnz(*unknown) is None
        assert row.flops is None or row.flops(*facts) > 0


def test_bounds_are_tight_where_it_pays():
    x = matrix(100, 50, nnz=20)
    bound = lambda name, *facts: BY_NAME[name].nnz(*facts)  # noqa: E731
    assert bound("mul", x, matrix(100, 50)) == 20
    assert bound("mul", matrix(100, 50), matrix(1, 50, nnz=2)) == 200
    assert bound("add", x, x) == 40
    assert bound("gt", x, constant(0)) == 20
    assert bound("ge", x, constant(0)) is None
    assert bound("div", x, constant(3)) == 20
    assert bound("div", x, constant(0)) is None
    assert bound("pow", x, constant(2)) == 20
    assert bound("max2", x, constant(0)) == 20
    assert bound("ifelse", x, matrix(100, 50), constant(0)) == 20


def test_every_row_has_both_kernels():
    from dmlite.backends.local import scalar as scalars

    for row in cellwise.ROWS:
        name = row.kernel.split(".")[1]
        assert callable(getattr(k, name))
        assert callable(getattr(scalars, name))


def test_spellings():
    assert [row.name for row in candidates("min")] == ["min2", "min_n", "min_agg"]
    assert [row.name for row in candidates("log")] == ["log", "log_base"]
    assert [row.name for row in candidates("-")] == ["sub"]
    assert candidates("is.nan")[0].name == candidates("isNA")[0].name == "is_na"
    assert candidates("ceiling")[0].name == "ceil"
    assert not candidates("sprop")


@pytest.mark.parametrize(
    "exponent", [0.5, np.array([[0.5]]), np.full((2, 1), 0.5), np.full((1, 3), 0.5), np.full((2, 3), 0.5)], ids=np.shape
)
@pytest.mark.parametrize("store", [np.asarray, csr_array], ids=["dense", "sparse"])
def test_power_of_one_half_is_a_power(store, exponent):
    """Of minus infinity, as `math.pow` and SystemDS have it; a root of it would be NaN."""
    x = np.array([[-np.inf, -0.0, 4.0], [-2.0, 0.0, np.inf]])
    got = plain(k.pow(store(x), exponent))
    np.testing.assert_array_equal(got, [[np.inf, 0.0, 2.0], [np.nan, 0.0, np.inf]])
    assert not np.signbit(got[0, 1])
