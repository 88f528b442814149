"""Every fused operator against its expression in plain NumPy: dense, sparse, empty, one cell, vectors, NaN."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from dmlite.backends.local import elementwise, fused, matmul, weighted
from dmlite.backends.local.storage import is_sparse
from dmlite.errors import DMLRuntimeError
from dmlite.hop.ops.fused import ROWS
from tests.support.always import always_compiled

SHAPES = [(7, 5, 2), (40, 30, 3), (1, 1, 1), (6, 1, 1), (1, 6, 2), (0, 4, 2), (4, 0, 2), (5, 4, 0), (300, 2500, 4)]
KINDS = ["dense", "sparse", "very sparse", "no non-zeros"]
FUNCTIONS = {
    "exp": np.exp, "log": np.log, "sqrt": np.sqrt, "abs": np.abs, "round": lambda d: np.floor(d + 0.5), "floor": np.floor, "ceil": np.ceil,
    "sin": np.sin, "cos": np.cos, "tanh": np.tanh, "square": np.square, "sprop": lambda d: d * (1 - d), "sigmoid_op": lambda d: 1 / (1 + np.exp(-d)),
}  # fmt: skip


@pytest.fixture(autouse=True, params=["numpy", "compiled"])
def quiet(request, monkeypatch):
    """Every test with plain kernels and with compiled loops, in ranges of rows."""
    if request.param == "compiled":
        always_compiled(monkeypatch)
    with np.errstate(all="ignore"):
        yield


def driver(rng, shape, kind):
    """The driver and the same cells as an array."""
    if kind == "dense":
        w = rng.normal(size=shape).round(1)
        return w, w
    density = {"sparse": 0.3, "very sparse": 0.02, "no non-zeros": 0.0}[kind]
    w = csr_array(random_array(shape, density=density, rng=rng, data_sampler=lambda size: rng.normal(size=size)))
    w.sort_indices()
    return w, w.toarray()


def case(shape, kind, seed=0, positive=False):
    """W, its cells, U, V and the cells of U %*% t(V)."""
    m, n, k = shape
    rng = np.random.default_rng([seed, m, n, k])
    w, cells = driver(rng, (m, n), kind)
    u, v = rng.normal(size=(m, k)), rng.normal(size=(n, k))
    if positive:
        u, v = np.abs(u) + 0.01, np.abs(v) + 0.01
    return w, cells, u, v, u @ v.T


def array(x):
    return x.toarray() if hasattr(x, "toarray") else np.asarray(x)


def product(w, cells, other):
    """`W * other`: what a CSR matrix does not store gives zero whatever stands opposite."""
    return np.where(cells != 0, cells * other, 0.0) if is_sparse(w) else cells * other


def close(found, expected, **kw):
    found = array(found)
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10, **kw)


def with_sides(name, args, u, v, expected):
    """The three forms of an operator: the cells, times V, and t(U) times them."""
    close(getattr(weighted, name)(*args), expected)
    if np.isfinite(expected).all():
        close(getattr(weighted, f"{name}_right")(*args), expected @ v)
        close(getattr(weighted, f"{name}_left")(*args), u.T @ expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
class TestValues:
    def test_products(self, shape, kind):
        w, cells, u, v, d = case(shape, kind)
        with_sides("wdivmm_mul", (w, u, v), u, v, product(w, cells, d))

    @pytest.mark.parametrize("eps", [None, 0.1, -100.0])
    @pytest.mark.parametrize("positive", [True, False])
    def test_quotients(self, shape, kind, eps, positive):
        w, cells, u, v, d = case(shape, kind, positive=positive)
        with_sides("wdivmm_div", (w, u, v, eps), u, v, cells / (d + (eps or 0.0)))

    def test_differences(self, shape, kind):
        w, cells, u, v, d = case(shape, kind)
        with_sides("wdivmm_minus", (w, u, v), u, v, (cells != 0) * (d - cells))

    @pytest.mark.parametrize("other", KINDS)
    def test_weighted_differences(self, shape, kind, other):
        w, cells, u, v, d = case(shape, kind)
        x, x_cells = driver(np.random.default_rng(9), w.shape, other)
        with_sides("wdivmm_minus_weighted", (w, u, v, x), u, v, product(w, cells, d - x_cells))
        close(weighted.wsloss_post(w, u, v, x), product(w, cells, (x_cells - d) ** 2).sum())
        close(weighted.wsloss_pre(w, u, v, x), ((x_cells - product(w, cells, d)) ** 2).sum())

    def test_losses(self, shape, kind):
        w, cells, u, v, d = case(shape, kind)
        close(weighted.wsloss(w, u, v), ((cells - d) ** 2).sum())
        close(weighted.wsloss_nz(w, u, v), ((cells != 0) * (cells - d) ** 2).sum())

    def test_sigmoids(self, shape, kind):
        w, cells, u, v, d = case(shape, kind)
        close(weighted.wsigmoid(w, u, v), product(w, cells, 1 / (1 + np.exp(-d))))
        close(weighted.wsigmoid_minus(w, u, v), product(w, cells, 1 / (1 + np.exp(d))))
        close(weighted.wsigmoid_log(w, u, v), product(w, cells, np.log(1 / (1 + np.exp(-d)))))
        close(weighted.wsigmoid_log_minus(w, u, v), product(w, cells, np.log(1 / (1 + np.exp(d)))))

    @pytest.mark.parametrize("f", FUNCTIONS)
    def test_functions(self, shape, kind, f):
        w, cells, u, v, d = case(shape, kind, positive=True)
        close(weighted.wumm_mul(w, u, v, f), product(w, cells, FUNCTIONS[f](d)))
        close(weighted.wumm_div(w, u, v, f), cells / FUNCTIONS[f](d))

    @pytest.mark.parametrize("eps", [None, 0.1])
    def test_cross_entropy(self, shape, kind, eps):
        w, cells, u, v, d = case(shape, kind, positive=True)
        close(weighted.wcemm(w, u, v, eps), product(w, cells, np.log(d + (eps or 0.0))).sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("where", ["u", "v"])
@pytest.mark.parametrize("what", [np.nan, np.inf, 0.0])
def test_special_factors_give_what_the_expression_gives(kind, where, what):
    """A row of zeros, NaN or Inf in a factor: 0/0 and 0/NaN are NaN where the driver stores nothing, a product there is zero."""
    w, cells, u, v, _ = case((40, 30, 3), kind, positive=True)
    {"u": u, "v": v}[where][2] = what
    d = u @ v.T
    close(weighted.wdivmm_div(w, u, v, None), cells / d)
    quotient = elementwise.div(w, d)  # CSR or not as the values are, which decides whether its zeros meet NaN and Inf of a factor
    close(weighted.wdivmm_div_right(w, u, v, None), matmul.matmul(quotient, v))
    close(weighted.wdivmm_div_left(w, u, v, None), matmul.tmm(u, quotient))
    close(weighted.wumm_div(w, u, v, "sin"), cells / np.sin(d))
    close(weighted.wumm_div(w, u, v, "exp"), cells / np.exp(d))
    close(weighted.wdivmm_mul(w, u, v), product(w, cells, d))
    close(weighted.wsloss(w, u, v), ((cells - d) ** 2).sum())
    close(weighted.wsloss_nz(w, u, v), product(csr_array(cells) if kind != "dense" else cells, cells != 0, (cells - d) ** 2).sum())
    close(weighted.wcemm(w, u, v, None), product(w, cells, np.log(d)).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_nan_in_the_driver(kind):
    w, cells, u, v, d = case((40, 30, 3), kind)
    if kind == "no non-zeros":
        pytest.skip("there is no cell to hold one")
    (w if kind == "dense" else w.data).flat[3] = np.nan
    cells = array(w)
    with_sides("wdivmm_mul", (w, u, v), u, v, product(w, cells, d))
    with_sides("wdivmm_minus", (w, u, v), u, v, (cells != 0) * (d - cells))
    assert np.isnan(weighted.wsloss(w, u, v)) and np.isnan(weighted.wsloss_nz(w, u, v))


def test_mixed_signs_whose_product_is_never_zero_keep_the_quotient_sparse():
    w, cells, u, v, d = case((40, 30, 3), "sparse")
    found = weighted.wdivmm_div(w, u, v, None)
    assert is_sparse(found)
    close(found, cells / d)


@pytest.mark.parametrize("eps, sure", [(0.0, False), (13.0, True), (-13.0, True), (5.0, False)])
def test_bounds_of_the_factors(eps, sure):
    """Three columns between -2 and 2: D lies between -12 and 12."""
    u = np.array([[-2.0, 2.0, 1.0], [2.0, -2.0, -2.0], [0.0, 1.0, 2.0]])
    assert weighted._surely_not_zero(u, u, eps) is sure


def test_a_perfect_fit_does_not_cancel():
    """The cells that are not stored are summed apart; where that leaves nothing but rounding, every cell is computed."""
    rng = np.random.default_rng(1)
    u, v = np.zeros((200, 2)), np.zeros((150, 2))
    u[::20], v[::15] = rng.normal(size=(10, 2)), rng.normal(size=(10, 2))
    x = u @ v.T
    x[0, 0] += 1e-7
    close(weighted.wsloss(csr_array(x), u, v), ((x - u @ v.T) ** 2).sum() * 1.0, equal_nan=False)
    assert weighted.wsloss(csr_array(x), u, v) == pytest.approx(1e-14, rel=1e-6)


def test_sparse_factors_and_transposed_ones():
    w, cells, u, v, d = case((40, 30, 3), "sparse")
    close(weighted.wdivmm_mul_right(w, csr_array(u), np.asfortranarray(v)), (cells * d) @ v)


def test_shapes_that_do_not_fit():
    w, _, u, v, _ = case((7, 5, 2), "dense")
    with pytest.raises(DMLRuntimeError, match="7x5 does not fit the product of 6x2"):
        weighted.wdivmm_mul(w, u[:6], v)
    with pytest.raises(DMLRuntimeError, match="do not fit"):
        weighted.wsloss_pre(w, u, v, w[:, :1])


def test_operands_are_not_changed_and_their_cells_not_shared():
    for kind in ("dense", "sparse"):
        w, cells, u, v, _ = case((40, 30, 3), kind)
        before = cells.copy(), u.copy(), v.copy()
        out = weighted.wdivmm_mul(w, u, v)
        (out if kind == "dense" else out.data)[:] = 7.0
        for old, new in zip(before, (array(w), u, v), strict=True):
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("name", ["wdivmm_mul_right", "wdivmm_div_left", "wsloss", "wsloss_nz", "wcemm"])
@pytest.mark.parametrize("density", [0.002, 0.1])
def test_the_product_is_never_whole(name, density):
    """Beside W, memory grows with its non-zeros and with a block of rows, never with its cells."""
    rng = np.random.default_rng(2)
    m, n, k = 4000, 3000, 5
    w = csr_array(random_array((m, n), density=density, rng=rng))
    u, v = rng.random((m, k)) + 0.1, rng.random((n, k)) + 0.1
    rest = (None,) if name in ("wcemm", "wdivmm_div_left") else ()
    tracemalloc.start()
    getattr(weighted, name)(w, u, v, *rest)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * w.nnz + (24 << 20) < 8 * m * n


# ---------------------------------------------------------------- sums of products and cellwise chains
def pair(shape, kinds, seed=3):
    rng = np.random.default_rng([seed, *shape])
    return [driver(rng, shape, kind) for kind in kinds]


@pytest.mark.parametrize("shape", [(7, 5), (1, 1), (6, 1), (1, 6), (0, 4), (4, 0), (300, 500)])
@pytest.mark.parametrize(
    "kinds",
    [("dense",) * 3, ("sparse", "dense", "dense"), ("dense", "sparse", "dense"), ("sparse", "very sparse", "dense"), ("sparse",) * 3],
)
class TestTogether:
    def test_sums_of_products(self, shape, kinds):
        (x, a), (y, b), (z, c) = pair(shape, kinds)
        close(fused.tak(x, y), (a * b).sum())
        close(fused.tak3(x, y, z), (a * b * c).sum())
        close(fused.tak_rows(x, y), (a * b).sum(1, keepdims=True))
        close(fused.tak_cols(x, y), (a * b).sum(0, keepdims=True))
        close(fused.sumsq_diff(x, y), ((a - b) ** 2).sum())

    def test_cells(self, shape, kinds):
        (x, a), (y, b), _ = pair(shape, kinds)
        close(fused.relu_backward(x, y), (a > 0) * b)
        close(fused.one_minus_mul(x, y), 1 - a * b)
        close(fused.minus_nz(x, 1.5), a - 1.5 * (a != 0))


@pytest.mark.parametrize("base", [None, 2.0])
def test_log_of_non_zeros(base):
    dense = np.array([[0.0, 1.0, 8.0], [2.0, 0.0, np.nan]])
    expected = (dense != 0) * (np.log(dense) / (np.log(base) if base else 1.0))
    close(fused.log_nz(dense, base), expected)
    close(fused.log_nz(csr_array(dense), base), np.where(dense == 0, 0.0, expected))


@pytest.mark.parametrize("special", [np.nan, np.inf])
def test_special_values(special):
    x, y = np.array([[0.0, 1.0, 2.0]]), np.array([[special, 3.0, special]])
    close(fused.tak(x, y), (x * y).sum())
    close(fused.tak3(x, y, x), (x * y * x).sum())
    close(fused.tak_rows(x, y), (x * y).sum(1, keepdims=True))
    close(fused.tak_cols(x, y), x * y)
    close(fused.relu_backward(x, y), (x > 0) * y)
    close(fused.minus_nz(x, special), x - special * (x != 0))
    assert fused.tak(csr_array(x), y[:, [1, 1, 0]]) == pytest.approx(3.0 + 2 * special, nan_ok=True)
    close(fused.minus_nz(csr_array(x), special), np.where(x == 0, 0.0, x - special))


def test_other_memory_orders_and_broadcasts():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(6, 8)), rng.normal(size=(8, 6))
    close(fused.tak(x, y.T), (x * y.T).sum())
    close(fused.tak(x[:, ::2], x[:, ::2]), (x[:, ::2] ** 2).sum())
    close(fused.tak(x, x[:1]), (x * x[:1]).sum())
    close(fused.sumsq_diff(x, y.T), ((x - y.T) ** 2).sum())
    with pytest.raises(DMLRuntimeError, match="do not fit"):
        fused.tak(x, y)


def test_every_row_has_a_kernel():
    for row in ROWS:
        module, function = row.kernel.split(".")
        assert callable(getattr({"weighted": weighted, "fused": fused}[module], function))
        assert row.dml.endswith("()")
