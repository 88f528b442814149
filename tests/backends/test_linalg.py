"""Solvers, factorisations and transforms against their defining equations, SciPy, and results of SystemDS."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.linalg
from scipy.sparse import csr_array, diags_array, issparse

from dmlite.backends.local import fourier
from dmlite.backends.local import linalg as kernels
from dmlite.errors import DMLRuntimeError
from dmlite.hop import facts
from dmlite.hop.ops import BY_NAME
from dmlite.hop.ops.row import ShapeError

STORAGES = {"dense": np.array, "sparse": csr_array}
S = np.array([[4.0, 1.0], [1.0, 3.0]])
SINGULAR = np.array([[1.0, 2.0], [2.0, 4.0]])
TALL = np.array([[4.0, 1.0, 2.0], [1.0, 3.0, 0.0], [2.0, 5.0, 7.0], [1.0, 1.0, 9.0]])


def cells(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, cols))


def plain(x) -> np.ndarray:
    return x.toarray() if issparse(x) else np.asarray(x)


def close(a, b) -> None:
    np.testing.assert_allclose(plain(a), b, rtol=1e-10, atol=1e-10)


# ---------------------------------------------------------------- solve, inv, det, cholesky
@pytest.mark.parametrize("left,right", list(itertools.product(STORAGES, STORAGES)))
@pytest.mark.parametrize("n,m", [(1, 1), (2, 1), (6, 1), (6, 4), (3, 0), (0, 2), (0, 0)])
def test_solve(left: str, right: str, n: int, m: int) -> None:
    a, b = cells(n, n, 1), cells(n, m, 2)
    x = kernels.solve(STORAGES[left](a), STORAGES[right](b))
    assert x.shape == (n, m)
    close(a @ x, b)


@pytest.mark.parametrize("storage", STORAGES.values())
def test_small_systems_as_systemds_solves_them(storage) -> None:
    close(kernels.solve(storage(S), np.array([[1.0], [2.0]])), [[1 / 11], [7 / 11]])
    close(kernels.inv(storage(S)), np.array([[3.0, -1.0], [-1.0, 4.0]]) / 11)
    close(kernels.cholesky(storage(S)), [[2.0, 0.0], [0.5, 1.6583123951777]])
    assert kernels.det(storage(S)) == pytest.approx(11.0, rel=1e-14)
    assert type(kernels.det(storage(S))) is float


@pytest.mark.parametrize("storage", STORAGES.values())
def test_singular_matrices_are_refused(storage) -> None:
    for kernel in (kernels.inv, lambda a: kernels.solve(a, np.ones((2, 1)))):
        with pytest.raises(DMLRuntimeError, match="2x2 matrix is singular"):
            kernel(storage(SINGULAR))
        with pytest.raises(DMLRuntimeError, match="singular"):
            kernel(storage(np.zeros((2, 2))))
    assert kernels.det(storage(SINGULAR)) == pytest.approx(0.0, abs=1e-15)


def test_nearly_singular_matrices_are_solved() -> None:
    a = np.array([[1.0, 2.0], [2.0, 4.0 + 1e-13]])
    assert np.isfinite(kernels.inv(a)).all() and np.isfinite(kernels.solve(a, np.ones((2, 1)))).all()


def test_inverse_of_sparse_diagonals_and_permutations_stays_sparse() -> None:
    order = np.random.default_rng(3).permutation(500)
    a = csr_array((np.arange(1.0, 501.0), order, np.arange(501)), shape=(500, 500))
    inverse = kernels.inv(a)
    assert issparse(inverse)
    close((a @ inverse).toarray(), np.eye(500))
    for broken in (diags_array(np.r_[np.ones(499), 0.0]), csr_array((np.ones(500), np.zeros(500, int), np.arange(501)), shape=(500, 500))):
        broken = csr_array(broken)
        broken.eliminate_zeros()
        with pytest.raises(DMLRuntimeError, match="singular"):
            kernels.inv(broken)


def test_large_sparse_system() -> None:
    n = 20000
    a = csr_array(diags_array([np.full(n - 1, -1.0), np.full(n, 2.1), np.full(n - 1, -1.0)], offsets=[-1, 0, 1]))
    b = cells(n, 1)
    close(a @ kernels.solve(a, b), b)


@pytest.mark.parametrize(
    "bad", [np.array([[4.0, 1.0], [2.0, 3.0]]), np.array([[1.0, 2.0], [2.0, 1.0]]), np.zeros((2, 2)), np.full((2, 2), np.nan)]
)
def test_cholesky_refuses(bad: np.ndarray) -> None:
    with pytest.raises(DMLRuntimeError, match=r"cholesky needs a (symmetric|positive definite) matrix"):
        kernels.cholesky(bad)


def test_cholesky_takes_rounded_products() -> None:
    x = cells(50, 8)
    a = x.T @ x
    a[0, 1] *= 1 + 4e-16
    lower = kernels.cholesky(a)
    close(lower @ lower.T, a)
    assert (np.triu(lower, 1) == 0).all()


def test_cholesky_takes_rounded_zeros() -> None:
    a = np.diag([4.0, 9.0, 1e-6])
    a[0, 1], a[1, 0], a[0, 2] = 3e-17, -2e-17, 1e-20  # uncorrelated columns, as products leave them
    close(kernels.cholesky(a), np.diag([2.0, 3.0, 1e-3]))
    a[0, 2] = 1e-10
    with pytest.raises(DMLRuntimeError, match="symmetric"):
        kernels.cholesky(a)


@pytest.mark.parametrize("name", ["solve", "inv", "cholesky", "det", "eigen", "lu", "sqrt_matrix"])
def test_rectangles_are_refused(name: str) -> None:
    arguments = (np.ones((2, 3)), np.ones((2, 1)))[: 2 if name == "solve" else 1]
    with pytest.raises(DMLRuntimeError, match="needs a square matrix, found 2x3") as error:
        getattr(kernels, name)(*arguments)
    if name == "solve":
        assert "t(A) %*% A" in str(error.value)


def test_solve_checks_the_right_hand_side() -> None:
    with pytest.raises(DMLRuntimeError, match="2x2 and 3x1"):
        kernels.solve(S, np.ones((3, 1)))


# ---------------------------------------------------------------- spectra
@pytest.mark.parametrize("storage", STORAGES.values())
@pytest.mark.parametrize("n", [0, 1, 2, 3, 10])
def test_eigen_of_symmetric_matrices(storage, n: int) -> None:
    a = cells(n, n)
    a = a + a.T
    w, v = kernels.eigen(storage(a))
    assert w.shape == (n, 1) and v.shape == (n, n)
    assert (np.diff(w[:, 0]) >= 0).all()
    close(a @ v, v * w.T)
    close(v.T @ v, np.eye(n))


def test_eigen_as_systemds_gives_it() -> None:
    close(kernels.eigen(S)[0], [[2.3819660112501], [4.6180339887499]])
    w, v = kernels.eigen(np.array([[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]]))
    np.testing.assert_allclose(w, [[0.585786], [2.0], [3.414214]], atol=1e-6)
    np.testing.assert_allclose(abs(v), [[0.5, 0.707107, 0.5], [0.707107, 0.0, 0.707107], [0.5, 0.707107, 0.5]], atol=1e-6)
    close(kernels.eigen(np.array([[1.0, 2.0], [3.0, 4.0]]))[0], [[-0.3722813232690143], [5.372281323269014]])
    w, _ = kernels.eigen(np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]))
    close(w, [[-0.5], [-0.5], [1.0]])


def test_signs_do_not_depend_on_the_order_of_rows() -> None:
    a = cells(6, 6)
    a, order = a + a.T, [3, 0, 5, 1, 4, 2]
    close(kernels.eigen(a[np.ix_(order, order)])[1], kernels.eigen(a)[1][order])


@pytest.mark.parametrize("n,m", [(3, 2), (2, 3), (5, 5), (1, 4), (4, 1), (1, 1), (0, 3), (3, 0), (100, 70)])
@pytest.mark.parametrize("storage", STORAGES.values())
def test_svd(storage, n: int, m: int) -> None:
    a, k = cells(n, m), min(n, m)
    u, s, v = kernels.svd(storage(a))
    assert (u.shape, s.shape, v.shape) == ((n, k), (k, k), (m, k))
    close(u @ plain(s) @ v.T, a)
    close(u.T @ u, np.eye(k))
    assert (np.diff(plain(s).diagonal()) <= 0).all()


def test_svd_as_systemds_gives_it() -> None:
    _, s, _ = kernels.svd(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    np.testing.assert_allclose(s, [[9.525518, 0.0], [0.0, 0.514301]], atol=1e-6)
    u, s, v = kernels.svd(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    np.testing.assert_allclose(abs(v), [[0.428667, 0.805964], [0.566307, 0.112382], [0.703947, 0.581199]], atol=1e-6)
    assert u[1, 0] > 0 and s[0, 0] > s[1, 1]


@pytest.mark.parametrize("name", ["eigen", "svd"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_spectra_of_broken_matrices(name: str, bad: float) -> None:
    with np.errstate(all="ignore"), pytest.raises(DMLRuntimeError, match="needs finite cells"):
        getattr(kernels, name)(np.array([[1.0, bad], [bad, 1.0]]))


# ---------------------------------------------------------------- QR, LU, square root
@pytest.mark.parametrize("storage", STORAGES.values())
@pytest.mark.parametrize("n,m", [(4, 3), (3, 3), (2, 4), (1, 1), (5, 1), (1, 5), (0, 2), (2, 0)])
def test_qr_by_multiplying_the_reflections(storage, n: int, m: int) -> None:
    a = cells(n, m, 4)
    h, r = kernels.qr(storage(a))
    assert h.shape == r.shape == (n, m)
    assert (np.tril(r, -1) == 0).all() and (np.triu(h, 1) == 0).all()
    q = np.eye(n)
    for j in range(min(n, m)):
        column = h[:, j : j + 1]
        q = q @ (np.eye(n) - column @ column.T / column[j, 0])
    close(q @ r, a)


def test_qr_as_systemds_gives_it() -> None:
    h, r = kernels.qr(TALL)
    expected_h = [[1.852803, 0, 0], [0.213201, 1.529751, 0], [0.426401, 0.842688, 1.369694], [0.213201, 0.096122, 0.929154]]
    np.testing.assert_allclose(h, expected_h, atol=1e-6)
    np.testing.assert_allclose(r, [[-4.690416, -3.837613, -6.609222], [0, -4.612237, -4.474264], [0, 0, -8.384459], [0, 0, 0]], atol=1e-6)
    h, r = kernels.qr(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
    np.testing.assert_allclose(h, [[1.242536, 0, 0], [0.970143, 2, 0]], atol=1e-6)
    np.testing.assert_allclose(r, [[-4.123106, -5.335784, -6.548462], [0, 0.727607, 1.455214]], atol=1e-6)


@pytest.mark.parametrize("storage", STORAGES.values())
@pytest.mark.parametrize("n", [0, 1, 3, 80])
def test_lu(storage, n: int) -> None:
    a = cells(n, n, 5)
    p, lower, upper = kernels.lu(storage(a))
    close(plain(p) @ a, lower @ upper)
    assert (np.triu(lower, 1) == 0).all() and (lower.diagonal() == 1).all() and (np.tril(upper, -1) == 0).all()
    assert (plain(p).sum(axis=0) == 1).all() and (plain(p).sum(axis=1) == 1).all()
    assert issparse(p) == (n == 80)


def test_lu_as_systemds_gives_it() -> None:
    p, lower, upper = kernels.lu(np.array([[2.0, 1.0, 1.0], [4.0, 3.0, 3.0], [8.0, 7.0, 9.0]]))
    close(p, [[0, 0, 1], [1, 0, 0], [0, 1, 0]])
    close(lower, [[1, 0, 0], [0.25, 1, 0], [0.5, 2 / 3, 1]])
    close(upper, [[8, 7, 9], [0, -0.75, -1.25], [0, 0, -2 / 3]])


def test_square_root() -> None:
    np.testing.assert_allclose(kernels.sqrt_matrix(S), [[1.981578, 0.270832], [0.270832, 1.710745]], atol=1e-6)
    for a in (np.array([[4.0, 1.0], [0.0, 9.0]]), np.eye(3), np.zeros((2, 2)), scipy.linalg.expm(cells(5, 5))):
        root = kernels.sqrt_matrix(csr_array(a))
        close(root @ root, a)
    for bad in (-np.eye(2), np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 1.0], [0.0, 0.0]])):
        with pytest.raises(DMLRuntimeError, match="no real square root"):
            kernels.sqrt_matrix(bad)


# ---------------------------------------------------------------- einsum
A, B = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), np.array([[1.0], [2.0], [3.0]])
SQUARE = np.arange(1.0, 10.0).reshape(3, 3)


@pytest.mark.parametrize(
    "equation,operands,expected",
    [
        ("ij,jk->ik", (A, A.T), A @ A.T),
        ("ij,jk->ki", (A, A.T), (A @ A.T).T),
        ("ij->ji", (A,), A.T),
        ("ij->i", (A,), A.sum(axis=1, keepdims=True)),
        ("ij->j", (A,), A.sum(axis=0).reshape(-1, 1)),
        ("ij,j->i", (A, B), A @ B),
        ("ij, j -> i", (A, B.T), A @ B),
        ("i,j->ij", (B, B), B @ B.T),
        ("ii->i", (SQUARE,), np.array([[1.0], [5.0], [9.0]])),
        ("ij,ij->ij", (SQUARE, SQUARE), SQUARE * SQUARE),
        ("ij,jk,kl->il", (SQUARE,) * 3, SQUARE @ SQUARE @ SQUARE),
        ("ij->ij", (A,), A),
    ],
)
@pytest.mark.parametrize("storage", STORAGES.values())
def test_einsum(storage, equation: str, operands: tuple, expected: np.ndarray) -> None:
    inputs = [storage(x) for x in operands]
    got = kernels.einsum(equation, *inputs)
    close(got, expected)
    assert not any(np.shares_memory(got, x) for x in inputs if not issparse(x))


def test_einsum_to_a_scalar() -> None:
    assert kernels.einsum("ij->", A) == 21.0
    assert kernels.einsum("i,i->", B, B) == 14.0
    assert type(kernels.einsum("ii->", SQUARE)) is float


@pytest.mark.parametrize(
    "equation,operands,message",
    [
        ("ij,jk", (A, A), "cannot read"),
        ("ijk->i", (A,), "cannot read"),
        ("i...->i", (A,), "cannot read"),
        ("ij,jk->ik", (A,), "takes 2 matrices, found 1"),
        ("ij,jk->ik", (A, A), "index 'j' is 3 in one place and 2"),
        ("ii->i", (A,), "index 'i'"),
        ("i->i", (A,), "'i' needs a vector, found 2x3"),
        ("ij->k", (A,), "each index of the result"),
        ("ij->ii", (A,), "each index of the result"),
        ("i,j->ij", (np.ones((10**6, 1)),) * 2, "memory"),
    ],
)
def test_einsum_refuses(equation: str, operands: tuple, message: str) -> None:
    with pytest.raises(DMLRuntimeError, match=message):
        kernels.einsum(equation, *operands)


# ---------------------------------------------------------------- Fourier transforms
def dft(n: int) -> np.ndarray:
    return np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)


@pytest.mark.parametrize("storage", STORAGES.values())
@pytest.mark.parametrize("n,m", [(1, 1), (1, 8), (8, 1), (4, 4), (2, 16)])
def test_transforms(storage, n: int, m: int) -> None:
    x = cells(n, m)
    re, im = fourier.fft(storage(x))
    close(re + 1j * im, dft(n) @ x @ dft(m))
    back, zero = fourier.ifft(storage(re), storage(im))
    close(back, x)
    close(zero, np.zeros((n, m)))
    re, im = fourier.fft_linearized(storage(x))
    close(re + 1j * im, x @ dft(m))
    close(fourier.ifft_linearized(storage(re), storage(im))[0], x)


def test_transforms_as_systemds_gives_them() -> None:
    re, im = fourier.fft(np.array([[1.0, 2.0, 3.0, 4.0]]))
    close(re, [[10, -2, -2, -2]])
    close(im, [[0, 2, 0, -2]])
    x = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8], [1, 9, 2, 3], [4, 5, 6, 7]])
    re, im = fourier.fft(x)
    close(re, [[73, -7, -15, -7], [-5, -1, 7, -1], [-23, 1, -7, 1], [-5, -1, 7, -1]])
    close(im, [[0, 0, 0, 0], [-4, 8, 0, -8], [0, -8, 0, 8], [4, 8, 0, -8]])
    close(fourier.ifft(re, None)[0], [[1, 3, 3, 3], [4.5, 6.5, 6.5, 6.5], [1, 6, 2, 6], [4.5, 6.5, 6.5, 6.5]])
    assert fourier.fft_linearized(np.ones((3, 4)))[0].tolist() == [[4, 0, 0, 0]] * 3


def test_short_time_transform() -> None:
    x = cells(2, 11)
    re, im = fourier.stft(x, 4, 1)
    padded = np.hstack((x, np.zeros((2, 2))))
    expected = np.hstack([padded[:, start : start + 4] @ dft(4) for start in (0, 3, 6, 9)])
    close(re + 1j * im, expected)
    assert BY_NAME["stft"].size(facts.matrix(2, 11), facts.constant(4), facts.constant(1)) == [(2, 16)] * 2
    assert fourier.stft(np.ones((1, 2)), 4, 3)[0].shape == (1, 4)


@pytest.mark.parametrize(
    "call",
    [
        lambda: fourier.fft(np.ones((1, 3))),
        lambda: fourier.fft(np.ones((3, 4))),
        lambda: fourier.fft(np.ones((0, 4))),
        lambda: fourier.ifft(np.ones((6, 1)), None),
        lambda: fourier.fft_linearized(np.ones((4, 3))),
        lambda: fourier.stft(np.ones((1, 9)), 3, 1),
    ],
)
def test_transforms_need_powers_of_two(call) -> None:
    with pytest.raises(DMLRuntimeError, match="powers of two"):
        call()


def test_transforms_refuse() -> None:
    with pytest.raises(DMLRuntimeError, match="1x4 and 1x2"):
        fourier.ifft(np.ones((1, 4)), np.ones((1, 2)))
    with pytest.raises(DMLRuntimeError, match="overlap"):
        fourier.stft(np.ones((1, 9)), 4, 4)


# ---------------------------------------------------------------- what the table knows
def test_sizes() -> None:
    known = facts.matrix(4, 2)
    assert BY_NAME["svd"].size(known) == [(4, 2), (2, 2), (2, 2)]
    assert BY_NAME["qr"].size(known) == [(4, 2), (4, 2)]
    assert BY_NAME["fft"].size(known) == [(4, 2), (4, 2)]
    assert BY_NAME["eigen"].size(facts.matrix(3, None)) == [(3, 1), (3, 3)]
    assert BY_NAME["lu"].size(facts.matrix(None, None)) == [(None, None)] * 3
    assert BY_NAME["solve"].size(facts.matrix(3, 3), facts.matrix(None, 2)) == (3, 2)
    assert BY_NAME["solve"].size(facts.matrix(), facts.matrix(3, 2)) == (3, 2)
    assert BY_NAME["inv"].size(facts.matrix(None, 3)) == (3, 3)


@pytest.mark.parametrize("name", ["inv", "cholesky", "det", "eigen", "lu", "sqrtMatrixJava"])
def test_known_rectangles_never_fit(name: str) -> None:
    with pytest.raises(ShapeError, match="2x3"):
        BY_NAME[name].size(facts.matrix(2, 3))


def test_other_shapes_that_never_fit() -> None:
    with pytest.raises(ShapeError, match="2x3") as error:
        BY_NAME["solve"].size(facts.matrix(2, 3), facts.matrix(2, 1))
    assert "t(A) %*% A" in error.value.hint
    with pytest.raises(ShapeError, match="3x3 and 2x1"):
        BY_NAME["solve"].size(facts.matrix(3, 3), facts.matrix(2, 1))
    with pytest.raises(ShapeError, match="powers of two"):
        BY_NAME["fft"].size(facts.matrix(3, 4))
    BY_NAME["fft_linearized"].size(facts.matrix(3, 4))
