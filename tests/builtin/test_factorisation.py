"""Principal components, low-rank and non-negative factors, graphs: beside scikit-learn, SciPy and NumPy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from dmlite import DMLError, settings
from tests.support.builtins import STORAGES, call, data

storages = pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)


# ---------------------------------------------------------------- principal components
@storages
@pytest.mark.parametrize("name", ["breast_cancer", "digits", "wine"])
@pytest.mark.parametrize("scale", [True, False])
def test_pca_is_that_of_scikit_learn(storage, name, scale):
    decomposition = pytest.importorskip("sklearn.decomposition")
    X, _ = data(name)
    spread = np.where(X.std(0) == 0, 1, X.std(0, ddof=1)) if scale else np.ones(X.shape[1])
    Z, V, shift, factor = call("[Z, V, shift, factor] = pca(X=X, K=4, scale=scale)", X=storage(X), scale=scale)
    peer = decomposition.PCA(4, svd_solver="full").fit((X - X.mean(0)) / spread)
    assert np.allclose(shift, X.mean(0)) and np.allclose(factor, spread)
    assert Z.var(0, ddof=1) == pytest.approx(peer.explained_variance_, rel=1e-6)
    assert np.allclose(np.abs(V), np.abs(peer.components_.T), atol=1e-6)
    assert (V[np.abs(V).argmax(0), range(4)] > 0).all()
    assert np.allclose(call("Y = pcaTransform(X, V, shift, factor)", X=storage(X), V=V, shift=shift, factor=factor), Z)
    nearest = peer.inverse_transform(peer.transform((X - X.mean(0)) / spread)) * spread + X.mean(0)
    back = call("Y = pcaInverse(Z, V, shift, factor)", Z=storage(Z), V=V, shift=shift, factor=factor)
    assert np.allclose(back, nearest, atol=1e-6 * np.abs(X).max())


@storages
@pytest.mark.parametrize("shape", [(30, 80), (80, 30)])
def test_pca_of_mostly_zero_rows(storage, shape):
    X = sp.random_array(shape, density=0.05, rng=3).toarray()
    Z, V, _, _ = call("[Z, V, shift, factor] = pca(X=X, K=3, scale=FALSE)", X=storage(X))
    _, s, Vt = np.linalg.svd(X - X.mean(0), full_matrices=False)
    assert Z.std(0, ddof=1) == pytest.approx(s[:3] / np.sqrt(len(X) - 1), rel=1e-6)
    assert np.allclose(np.abs(V), np.abs(Vt[:3].T), atol=1e-6)


def test_pca_where_means_are_far_larger_than_the_spread():
    rng = np.random.default_rng(0)
    X = 1e8 + rng.normal(size=(500, 3)) * [3, 2, 1]
    Z, _, _, _ = call("[Z, V, shift, factor] = pca(X=X, K=3, scale=FALSE)", X=X)
    assert Z.std(0, ddof=1) == pytest.approx(np.linalg.svd(X - X.mean(0))[1] / np.sqrt(499), rel=1e-6)


@storages
def test_pca_of_constant_columns(storage):
    X = np.random.default_rng(1).random((60, 4)) * (np.random.default_rng(2).random((60, 4)) < 0.4)
    X[:, 2] = 1 / 3
    Z, V, shift, factor = call("[Z, V, shift, factor] = pca(X=X, K=3)", X=storage(X))
    assert factor[0, 2] == 1 and np.allclose(V[2], 0) and shift[0, 2] == pytest.approx(1 / 3)
    others, *_ = call("[Z, V, shift, factor] = pca(X=X, K=3)", X=X[:, [0, 1, 3]])
    assert np.allclose(Z, others)


def test_pca_by_hand():
    X = np.array([[3.0, 4], [-3, -4], [8, -6], [-8, 6]])  # spread 2 * 10^2 along (4, -3), 2 * 5^2 along (3, 4)
    Z, V, shift, factor = call("[Z, V, shift, factor] = pca(X=X, K=2, scale=FALSE)", X=X)
    assert np.allclose(V, [[0.8, 0.6], [-0.6, 0.8]]) and not shift.any() and (factor == 1).all()
    assert np.allclose(Z, [[0, 5], [0, -5], [10, 0], [-10, 0]])
    Z, V, shift, _ = call("[Z, V, shift, factor] = pca(X=X, K=1, center=FALSE, scale=FALSE, onlyComponents=TRUE)", X=X + 100)
    assert Z.shape == (0, 0) and not shift.any() and np.allclose(V, np.sqrt(0.5), atol=0.01)
    with pytest.raises(DMLError, match="K must be from 1 to 2, found 3"):
        call("[Z, V, shift, factor] = pca(X=X, K=3)", X=X)


@storages
@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_ppca_finds_the_most_likely_parameters(storage, name):
    """They are known: the components span those of pca, and the noise is the mean of the variances left (Tipping, Bishop 1999)."""
    X, _ = data(name, True)
    X = X + 1
    Z, M = call("[Z, M] = ppca(X=X, K=2, maxi=5000, tolobj=1e-15, tolrecerr=0, verbose=FALSE)", X=storage(X))
    values, vectors = np.linalg.eigh(np.cov(X.T, ddof=0))
    noise = values[:-2].mean()
    span = np.linalg.qr(M)[0]
    assert np.linalg.svd(vectors[:, -2:].T @ span)[1] == pytest.approx([1, 1], rel=1e-6)
    assert np.linalg.eigvalsh(M.T @ M) == pytest.approx(values[-2:] - noise, rel=1e-4)
    assert np.allclose(Z, (X - X.mean(0)) @ M @ np.linalg.inv(M.T @ M + noise * np.eye(2)), atol=1e-4)


@storages
def test_factors_of_what_does_not_vary(storage):
    Z, V, _, factor = call("[Z, V, shift, factor] = pca(X=X, K=2)", X=storage(np.ones((6, 3))))
    assert not Z.any() and (factor == 1).all() and np.allclose(V.T @ V, np.eye(2))
    with pytest.raises(DMLError, match="nothing varies"):
        call("[Z, M] = ppca(X=X, verbose=FALSE)", X=storage(np.ones((6, 3))))
    for name in ("alsCG", "alsDS"):
        U, V = call(f"[U, V] = {name}(X=X, rank=2, reg=0, verbose=FALSE)", X=storage(np.zeros((5, 3))))
        assert not (U @ V).any()


# ---------------------------------------------------------------- alternating least squares
def ratings(rng):
    X = np.round(4 * rng.random((90, 1)) * rng.random((1, 60)) + 2 * rng.random((90, 60)), 1) * (rng.random((90, 60)) < 0.3)
    X[7], X[:, 5] = 0, 0  # nothing known of a user and an item
    return X


def loss(X, U, V, reg, weighted=False):
    W = X != 0
    a, b = (W.sum(1, keepdims=True), W.sum(0, keepdims=True)) if weighted else (1, 1)
    return (W * (X - U @ V) ** 2).sum() / 2 + reg / 2 * ((a * U**2).sum() + (b * V**2).sum())


def exact_turns(X, V, reg, turns, weighted=False):
    """Alternating least squares row by row, as it stands in the literature."""

    def solve(X, V):
        U = np.zeros((len(X), V.shape[1]))
        for i, x in enumerate(X):
            known = x != 0
            ridge = reg * (known.sum() if weighted else 1) * np.eye(V.shape[1])
            if known.any():
                U[i] = np.linalg.solve(V[known].T @ V[known] + ridge, V[known].T @ x[known])
        return U

    for _ in range(turns):
        U = solve(X, V)
        V = solve(X.T, U)
    return U, V.T


ALS = [("alsCG", ""), ("alsCG", ", regType='wL2'"), ("alsDS", ""), ("als", ""), ("als", ", regType='wL2'")]


@storages
@pytest.mark.parametrize(("name", "more"), ALS)
def test_als_goes_the_way_of_exact_turns(storage, name, more):
    X = ratings(np.random.default_rng(1))
    weighted = "wL2" in more
    reg = 0.2 if weighted else 2.0
    U, V = call(
        f"[U, V] = {name}(X=X, rank=3, reg=reg, maxi=3000, thr=1e-12, check=TRUE, seed=5, verbose=FALSE{more})", X=storage(X), reg=reg
    )
    assert U.shape == (90, 3) and V.shape == (3, 60)
    found = loss(X, U, V, reg, weighted)
    # nothing is left to gain: further exact turns from here stay where it is
    assert loss(X, *exact_turns(X, V.T, reg, 30, weighted), reg, weighted) == pytest.approx(found, rel=1e-6)
    start = np.random.default_rng(0).random((60, 3))
    assert found <= 1.02 * min(loss(X, *exact_turns(X, s * start, reg, 150, weighted), reg, weighted) for s in (0.3, 1))
    assert np.abs(U[7]).max() < 1e-9 and np.abs(V[:, 5]).max() < 1e-9


@storages
@pytest.mark.parametrize("name", ["wine", "diabetes"])
@pytest.mark.parametrize("algorithm", ["alsCG", "alsDS"])
def test_als_of_complete_data_has_a_closed_form(storage, name, algorithm):
    """Without gaps the least objective is that of the singular values, each lowered by reg, the largest `rank` of them."""
    X, _ = data(name, True)
    X = X + 3.7  # of no cell zero
    assert (X != 0).all()
    reg, rank = 5.0, 3
    s = np.linalg.svd(X, compute_uv=False)
    kept = np.where(np.arange(len(s)) < rank, np.maximum(s - reg, 0), 0)
    U, V = call(
        f"[U, V] = {algorithm}(X=X, rank=rank, reg=reg, maxi=2000, thr=1e-13, check=TRUE, seed=2, verbose=FALSE)",
        X=storage(X),
        rank=rank,
        reg=reg,
    )
    assert loss(X, U, V, reg) == pytest.approx(((s - kept) ** 2).sum() / 2 + reg * kept.sum(), rel=1e-6)


@storages
@pytest.mark.parametrize("name", ["alsCG", "alsDS"])
def test_fused_als_is_that_of_single_operators(storage, name):
    X = ratings(np.random.default_rng(1))
    script = f"[U, V] = {name}(X=X, rank=3, reg=1, maxi=4, check=FALSE, seed=5, verbose=FALSE)"
    U, V = call(script, X=storage(X))
    with settings(opt_level=0):
        plain_U, plain_V = call(script, X=storage(X))
    assert np.allclose(U, plain_U, rtol=1e-9, atol=1e-12) and np.allclose(V, plain_V, rtol=1e-9, atol=1e-12)


def test_als_tells_and_ends_early(capsys):
    X = ratings(np.random.default_rng(1))
    for name in ("alsCG", "alsDS"):
        call(f"[U, V] = {name}(X=X, rank=2, reg=0.1, maxi=9, check=FALSE, seed=5)", X=X)
        told = [float(line.rsplit(" ", 1)[1]) for line in capsys.readouterr().out.splitlines()]
        assert len(told) == 9 and told == sorted(told, reverse=True)
        call(f"[U, V] = {name}(X=X, rank=2, reg=0.1, maxi=9, check=TRUE, thr=0.1, seed=5)", X=X)
        assert len(capsys.readouterr().out.splitlines()) < 9
    with pytest.raises(DMLError, match="regType must be L2 or wL2, found L1"):
        call("[U, V] = als(X=X, regType='L1')", X=X)


def test_als_predict():
    L, R = np.array([[1.0], [2], [3], [4]]), np.array([[1.0, 10, 100]])
    known = np.eye(4, 3)
    for storage in STORAGES.values():
        assert call("Y = alsPredict(users, I, L, R)", users=np.array([[2.0], [4]]), I=storage(known), L=L, R=R).tolist() == [
            [2, 0, 200],
            [4, 40, 400],
        ]


@storages
def test_als_top_items(storage):
    X = ratings(np.random.default_rng(1))
    rng = np.random.default_rng(2)
    L, R = rng.normal(size=(90, 3)), rng.normal(size=(3, 60))
    items, values = call("[items, values] = alsTopkPredict(users, X, L, R, 4)", users=np.array([[3.0], [8], [3]]), X=storage(X), L=L, R=R)
    for user, item, value in zip((2, 7, 2), items, values, strict=True):
        scores = np.where(X[user] == 0, L[user] @ R, -np.inf)
        assert item.tolist() == (np.argsort(-scores)[:4] + 1).tolist() and value == pytest.approx(np.sort(scores)[::-1][:4])
    items, values = call(
        "[items, values] = alsTopkPredict(users, X, L, R, 5)",
        users=np.array([[1.0]]),
        X=storage(np.array([[1.0, 0, 0]])),
        L=np.ones((1, 1)),
        R=np.array([[9.0, 2, -3]]),
    )
    assert items.tolist() == [[2, 3, 0, 0, 0]] and values.tolist() == [[2, -3, 0, 0, 0]]


# ---------------------------------------------------------------- non-negative factors
def divergence(X, P):
    return (P - X + X * np.log(np.where(X > 0, X, 1) / np.where(X > 0, P, 1))).sum()


@storages
@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
@pytest.mark.parametrize(("algorithm", "beta"), [("gnmf", "frobenius"), ("pnmf", "kullback-leibler")])
@pytest.mark.filterwarnings("ignore:Maximum number of iterations")
def test_nmf_is_as_good_as_scikit_learn(storage, name, algorithm, beta):
    decomposition = pytest.importorskip("sklearn.decomposition")
    X, _ = data(name)
    X = X[:300, X[:300].any(0)] / X.mean()
    error = divergence if algorithm == "pnmf" else lambda X, P: ((X - P) ** 2).sum()
    best = np.inf
    for seed in (1, 2, 3):
        W, H = call(f"[W, H] = {algorithm}(X=X, rnk=4, maxi=300, verbose=FALSE, seed={seed})", X=storage(X))
        assert W.min() >= 0 and H.min() >= 0
        best = min(best, error(X, W @ H))
    peer = decomposition.NMF(4, solver="mu", beta_loss=beta, max_iter=300, tol=1e-8, init="random", random_state=0)
    W = peer.fit_transform(X)
    assert best <= 1.02 * error(X, W @ peer.components_)
    # the same updates from where they stand lead to the same place
    W, H = call(f"[W, H] = {algorithm}(X=X, rnk=4, maxi=1, verbose=FALSE, seed=1)", X=storage(X))
    W2, H2 = call(f"[W, H] = {algorithm}(X=X, rnk=4, maxi=2, verbose=FALSE, seed=1)", X=storage(X))
    if algorithm == "gnmf":
        H = H * (W.T @ X) / (W.T @ W @ H)
        W = W * (X @ H.T) / (W @ H @ H.T)
    else:
        H = H * (W.T @ (X / (W @ H))) / W.sum(0)[:, None]
        W = W * ((X / (W @ H)) @ H.T) / H.sum(1)
    assert np.allclose(W, W2) and np.allclose(H, H2)


@storages
@pytest.mark.parametrize("name", ["digits", "wine"])
def test_nmf_of_rank_one_is_known(storage, name):
    X, _ = data(name)
    W, H = call("[W, H] = pnmf(X=X, rnk=1, maxi=5, verbose=FALSE)", X=storage(X))
    assert np.allclose(W @ H, np.outer(X.sum(1), X.sum(0)) / X.sum())  # independence of rows and columns
    W, H = call("[W, H] = gnmf(X=X, rnk=1, maxi=100, verbose=FALSE)", X=storage(X))
    U, s, Vt = np.linalg.svd(X, full_matrices=False)
    assert np.allclose(W @ H, s[0] * np.outer(U[:, 0], Vt[0]), atol=1e-6 * X.max())  # the first singular vectors have one sign


def test_nmf_falls_and_refuses_what_is_negative(capsys):
    X, _ = data("digits")
    for name in ("gnmf", "pnmf"):
        call(f"[W, H] = {name}(X=X, rnk=3, maxi=12)", X=X[:100])
        told = [float(line.rsplit(" ", 1)[1]) for line in capsys.readouterr().out.splitlines()]
        assert len(told) == 12 and told == sorted(told, reverse=True)
        with pytest.raises(DMLError, match="must not be negative, found -1"):
            call(f"[W, H] = {name}(X=X, rnk=2)", X=-np.eye(3))


# ---------------------------------------------------------------- graphs
@storages
def test_components_are_those_of_scipy(storage):
    rng = np.random.default_rng(2)
    A = np.triu(rng.random((300, 300)) < 0.003, 1)
    A[range(100, 199), range(101, 200)] = True  # a long path
    G = (A | A.T).astype(float)
    count, labels = sp.csgraph.connected_components(G)
    found = call("C = components(G=G, verbose=FALSE)", G=storage(G))[:, 0]
    assert count > 10 and len(set(found)) == count
    for label in range(count):
        members = np.flatnonzero(labels == label)
        assert (found[members] == members.max() + 1).all()


def test_components_by_hand(capsys):
    G = np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0.0]])
    assert call("C = components(G=G)", G=G)[:, 0].tolist() == [2, 2, 4, 4]
    assert "2 vertices changed" in capsys.readouterr().out
    assert call("C = components(G=G, verbose=FALSE)", G=np.zeros((3, 3)))[:, 0].tolist() == [1, 2, 3]


@storages
def test_page_rank(storage):
    rng = np.random.default_rng(3)
    n = 60
    A = (rng.random((n, n)) < 0.1) + np.eye(n)
    G = A / A.sum(0)
    p = call(
        "p = pageRank(G=G, p=p, e=e, u=u, alpha=0.85, max_iter=200)",
        G=storage(G),
        p=np.full((n, 1), 1 / n),
        e=np.full((n, 1), 1 / n),
        u=np.ones((1, n)),
    )
    exact = np.linalg.solve(np.eye(n) - 0.85 * G, np.full((n, 1), 0.15 / n))
    assert np.allclose(p, exact, rtol=1e-6)
    # SystemDS 3.4.0 has this
    G = np.array([[0, 0.5, 1], [0.5, 0, 0], [0.5, 0.5, 0]])
    p = call("p = pageRank(G=G, p=p, e=p, u=u, max_iter=3)", G=storage(G), p=np.ones((3, 1)), u=np.array([[0.3, 0.3, 0.4]]))
    assert np.round(p[:, 0], 3).tolist() == [1.321, 0.679, 1]
