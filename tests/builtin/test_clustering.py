"""Clusters, mixtures and neighbours beside scikit-learn on digits, wine and breast cancer, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from dmlite import DMLError
from tests.support.builtins import STORAGES, call, data

SQUARES = np.array([[1, 2], [1, 2.5], [8, 8], [8.2, 8], [30, 30], [1, 1.5]])


def objective(X, C, Y):
    return ((X - C[Y[:, 0].astype(int) - 1]) ** 2).sum()


# ---------------------------------------------------------------- k-means
@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize(("name", "standardised", "k"), [("digits", False, 10), ("wine", True, 3)])
def test_kmeans_is_as_good_as_scikit_learn(storage, name, standardised, k):
    cluster = pytest.importorskip("sklearn.cluster")
    X, _ = data(name, standardised)
    C, Y = call("[C, Y] = kmeans(X=X, k=k, runs=5, seed=1)", X=storage(X), k=k)
    P = call("P = kmeansPredict(X, C)", X=storage(X), C=C)
    best = cluster.KMeans(k, n_init=5, random_state=0).fit(X).inertia_
    assert objective(X, C, Y) <= 1.02 * best
    assert np.array_equal(Y, P)
    # a fixed point of Lloyd's iterations, as scikit-learn goes on from it
    again = cluster.KMeans(k, init=C, n_init=1, tol=0).fit(X)
    assert again.inertia_ == pytest.approx(objective(X, C, Y), rel=1e-3)


def test_kmeans_by_hand():
    X = np.array([[0.0, 0], [0, 2], [10, 0], [10, 2], [5, 30]])
    C, Y = call("[C, Y] = kmeans(X=X, k=3, seed=4)", X=X)
    assert sorted(map(tuple, C.tolist())) == [(0, 1), (5, 30), (10, 1)]
    assert objective(X, C, Y) == 4


def test_kmeans_with_a_seed_is_repeatable():
    X, _ = data("wine", True)
    first, second = (call("[C, Y] = kmeans(X=X, k=4, runs=2, seed=9)", X=X) for _ in range(2))
    assert np.array_equal(first[0], second[0]) and np.array_equal(first[1], second[1])


def test_kmeans_with_as_many_clusters_as_rows_or_equal_rows(capsys):
    X = np.arange(8.0).reshape(4, 2)
    C, Y = call("[C, Y] = kmeans(X=X, k=4, runs=3, is_verbose=TRUE)", X=X)
    assert objective(X, C, Y) == pytest.approx(0) and sorted(Y[:, 0]) == [1, 2, 3, 4]
    assert capsys.readouterr().out.count("sum of squared distances") == 3
    C, Y = call("[C, Y] = kmeans(X=X, k=2)", X=np.ones((5, 2)))
    assert objective(np.ones((5, 2)), C, Y) == 0
    with pytest.raises(DMLError, match="k must be from 1 to the number of rows 4, found 5"):
        call("[C, Y] = kmeans(X=X, k=5)", X=X)


@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_rows_far_from_the_origin(name):
    X, _ = data(name, True)
    far = X + 2.0**26  # cells of X lose their last digits, their distances none of the first six
    X = far - 2.0**26
    C, Y = call("[C, Y] = kmeans(X=X, k=3, seed=1)", X=X)
    D, Z = call("[C, Y] = kmeans(X=X, k=3, seed=1)", X=far)
    assert np.allclose(C, D - 2.0**26, atol=1e-6) and np.array_equal(Y, Z)
    assert np.array_equal(call("P = kmeansPredict(X, C)", X=far, C=D), Y)
    assert np.array_equal(call("N = knnbf(X, T, 4)", X=far, T=far[:50]), call("N = knnbf(X, T, 4)", X=X, T=X[:50]))
    model, cluster = np.c_[X, Y], call("[cluster, outlier] = dbscanApply(X, model, 1.5)", X=X[:80] + 0.1, model=np.c_[X, Y])
    assert np.array_equal(
        cluster[0],
        call("[cluster, outlier] = dbscanApply(X, model, 1.5)", X=far[:80] + 0.1, model=model + np.r_[[2.0**26] * X.shape[1], 0])[0],
    )


# ---------------------------------------------------------------- mixtures
MODELS = {"VVV": "full", "EEE": "tied", "VVI": "diag", "VII": "spherical"}
GMM = "[labels, P, df, bic, mu, F, weight] = gmm(X=X, n_components=k, model=model, seed=3, tol=1e-9, iter=500)"


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize(("name", "k"), [("wine", 3), ("breast_cancer", 2)])
@pytest.mark.parametrize("model", MODELS)
def test_gmm_is_as_good_as_scikit_learn(storage, name, k, model):
    mixture = pytest.importorskip("sklearn.mixture")
    X, _ = data(name, True)
    X = X[:, :13]
    labels, P, df, bic, mu, F, weight = call(GMM, X=storage(X), k=k, model=model)
    peer = mixture.GaussianMixture(k, covariance_type=MODELS[model], n_init=3, random_state=0, tol=1e-9, max_iter=500).fit(X)
    loglik = (df * np.log(len(X)) - bic) / 2 / len(X)
    assert df == peer._n_parameters()
    assert loglik >= peer.score(X) - 0.02 * abs(peer.score(X))
    # the same parameters in scikit-learn's hands tell the same of every row
    peer.weights_, peer.means_ = weight[:, 0], mu
    peer.precisions_cholesky_ = F.reshape(k, X.shape[1], -1) if model == "VVV" else F[:, 0] if model == "VII" else F
    assert peer.score(X) == pytest.approx(loglik, rel=1e-8)
    assert np.allclose(peer.predict_proba(X), P, atol=1e-8)
    assert np.array_equal(peer.predict(X) + 1, labels[:, 0])
    assert peer.bic(X) == pytest.approx(bic, rel=1e-8)
    _, new = call("[labels, P] = gmmPredict(X, weight, mu, F, model)", X=storage(X[:20]), weight=weight, mu=mu, F=F, model=model)
    assert np.allclose(new, P[:20], atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_gmm_of_sparse_rows(model):
    X = sp.random_array((200, 6), density=0.3, rng=2).toarray() + np.repeat([[0.0], [3]], 100, axis=0) * np.array([1, 0, 1, 0, 0, 0])
    dense, sparse = (call(GMM, X=storage(X), k=2, model=model) for storage in STORAGES.values())
    for a, b in zip(dense, sparse, strict=True):
        assert np.allclose(a, b, rtol=1e-6, atol=1e-8)


def test_gmm_by_hand():
    # two pairs far apart: each component has the mean of its pair and the variance 1 + reg_covar
    X = np.array([[-101.0], [-99], [99], [101]])
    for model in MODELS:
        _, P, df, _, mu, F, weight = call(GMM, X=X, k=2, model=model)
        assert sorted(mu[:, 0]) == pytest.approx([-100, 100]) and np.allclose(weight, 0.5)
        assert np.allclose(F, 1 / np.sqrt(1 + 1e-6)) and np.allclose(np.sort(P), [0, 1])
        assert df == (4 if model == "EEE" else 5)


@pytest.mark.parametrize("model", MODELS)
def test_gmm_far_from_the_origin(model):
    far = data("wine", True)[0][:, :5] + 2.0**20
    near = far - 2.0**20
    _, P, _, bic, mu, F, weight = call(GMM, X=near, k=2, model=model)
    _, P2, _, bic2, mu2, _, _ = call(GMM, X=far, k=2, model=model)
    assert np.allclose(P, P2, atol=1e-6) and bic2 == pytest.approx(bic) and np.allclose(mu, mu2 - 2.0**20)
    assert np.allclose(call("[l, P] = gmmPredict(X, w, mu, F, model)", X=far, w=weight, mu=mu + 2.0**20, F=F, model=model)[1], P, atol=1e-6)


def test_gmm_refuses_what_it_does_not_know():
    for argument, known in (("model='VEV'", "VVV, EEE, VVI or VII"), ("init_params='pca'", "kmeans or random")):
        with pytest.raises(DMLError, match=known):
            call(f"[a, b, c, d, e, f, g] = gmm(X=X, {argument})", X=SQUARES)


# ---------------------------------------------------------------- density
@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize(("name", "eps", "minPts"), [("wine", 2.2, 5), ("digits", 20.0, 6)])
def test_dbscan_is_that_of_scikit_learn(storage, name, eps, minPts):
    cluster = pytest.importorskip("sklearn.cluster")
    X, _ = data(name, name == "wine")
    X = X[:600]
    members, model = call("[members, model] = dbscan(X=X, eps=eps, minPts=minPts)", X=storage(X), eps=eps, minPts=minPts)
    peer = cluster.DBSCAN(eps=eps, min_samples=minPts).fit(X)
    assert peer.labels_.max() > 0 and (peer.labels_ < 0).any()
    assert np.array_equal(members[:, 0] - 1, peer.labels_)
    assert np.array_equal(model[:, :-1], X[peer.core_sample_indices_])
    assert np.array_equal(model[:, -1], members[peer.core_sample_indices_, 0])
    cluster, outlier = call("[cluster, outlier] = dbscanApply(X, model, eps)", X=storage(X), model=model, eps=eps)
    assert np.array_equal(outlier, members == 0)
    assert np.array_equal(cluster[peer.core_sample_indices_], members[peer.core_sample_indices_])


def test_dbscan_by_hand():
    members, model = call("[members, model] = dbscan(X=X, eps=1.1, minPts=2)", X=SQUARES)
    assert members[:, 0].tolist() == [1, 1, 2, 2, 0, 1] and model.shape == (5, 3)
    cluster, outlier = call("[cluster, outlier] = dbscanApply(X, model, 1.1)", X=np.array([[1.0, 1], [8, 8.5], [3, 3]]), model=model)
    assert cluster[:, 0].tolist() == [1, 2, 0] and outlier[:, 0].tolist() == [0, 0, 1]
    members, model = call("[members, model] = dbscan(X=X, eps=0.1, minPts=2)", X=SQUARES)
    assert not members.any() and model.shape == (0, 3)
    assert call("[cluster, outlier] = dbscanApply(X, model, 1.1)", X=SQUARES, model=model)[1].all()


# ---------------------------------------------------------------- neighbours
@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
@pytest.mark.parametrize("shift", [0, 2.0**26])
def test_distances_are_those_of_scipy(storage, name, shift):
    distance = pytest.importorskip("scipy.spatial.distance")
    X = data(name)[0][:200] + shift
    Y = call("Y = dist(X)", X=storage(X))
    assert np.allclose(Y, distance.squareform(distance.pdist(X)), rtol=1e-6, atol=1e-6 * X.std()) and not Y.diagonal().any()


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("name", ["digits", "breast_cancer"])
def test_knnbf_finds_the_nearest(storage, name):
    neighbors = pytest.importorskip("sklearn.neighbors")
    X, _ = data(name)
    found = call("N = knnbf(X=X, T=T, k_value=6)", X=storage(X), T=storage(X[:100] + 1))[:, :].astype(int) - 1
    distances, _ = neighbors.NearestNeighbors(n_neighbors=6, algorithm="brute").fit(X).kneighbors(X[:100] + 1)
    assert np.allclose(np.linalg.norm(X[found] - (X[:100] + 1)[:, None], axis=2), distances)
    assert all(len(set(row)) == 6 for row in found.tolist())


def test_knnbf_by_hand():
    assert call("N = knnbf(X=X, T=T, k_value=3)", X=SQUARES, T=np.array([[1.0, 1], [8, 9]])).tolist() == [[6, 1, 2], [3, 4, 2]]
    # of equally near rows the first come first
    assert call("N = knnbf(X=X, T=T, k_value=2)", X=np.ones((3, 2)), T=np.zeros((1, 2))).tolist() == [[1, 2]]


@pytest.mark.parametrize("storage", STORAGES.values(), ids=STORAGES)
@pytest.mark.parametrize("name", ["wine", "breast_cancer"])
def test_knn_predicts_as_scikit_learn(storage, name):
    neighbors = pytest.importorskip("sklearn.neighbors")
    X, y = data(name)
    low, high = X[::2].min(0), X[::2].max(0)
    Z = (X - low) / (high - low)
    _, P, _ = call(
        "[N, P, gain] = knn(Train=X, Test=T, CL=y, CL_T=2, trans_continuous=1, k_value=7, interval=50)",
        X=storage(X[::2]),
        T=storage(X[1::2]),
        y=y[::2],
    )
    assert np.array_equal(P[:, 0], neighbors.KNeighborsClassifier(7).fit(Z[::2], y[::2, 0]).predict(Z[1::2]))
    target = X[:, :1]
    N, mean, _ = call("[N, P, gain] = knn(Train=X, Test=T, CL=y, k_value=4)", X=Z[::2, 1:], T=Z[1::2, 1:], y=target[::2])
    peer = neighbors.KNeighborsRegressor(4).fit(Z[::2, 1:], target[::2])
    assert np.allclose(mean, peer.predict(Z[1::2, 1:]))
    _, median, _ = call(
        "[N, P, gain] = knn(Train=X, Test=T, CL=y, k_value=4, predict_con_tg=1)", X=Z[::2, 1:], T=Z[1::2, 1:], y=target[::2]
    )
    assert np.allclose(median[:, 0], np.median(target[::2, 0][N.astype(int) - 1], axis=1))


def test_knn_chooses_features_and_number():
    rng = np.random.default_rng(4)
    X = rng.random((120, 4))
    y = 1.0 + (X[:, 2:3] > 0.5)
    script = "[N, P, gain] = knn(Train=X, Test=T, CL=y, CL_T=2, select_feature=1, feature_importance=1, select_k=1, k_min=2, k_max=9, START_SELECTED=matrix(0, 0, 0))"
    N, predicted, gain = call(script, X=X[:80], T=X[80:], y=y[:80])
    assert 2 <= N.shape[1] <= 9 and np.mean(predicted == y[80:]) > 0.9
    assert gain.shape == (1, 4) and gain.argmax() == 2 and gain[0, 2] > 0.3
