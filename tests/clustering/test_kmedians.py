"""k-medians: scikit-learn's conventions, the smallest cost where it is known, and properties."""

import clusters
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

import robustcore as rc
from robustcore.clustering import KMedians, assign


def three_clouds(n=60, d=2, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) + 20.0 * (np.arange(n) % 3)[:, None]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_the_conventions_of_scikit_learn():
    check_estimator(KMedians(n_clusters=3, n_init=2))


@pytest.mark.parametrize("seed", range(6))
def test_enough_starts_find_the_smallest_cost_of_few_points(seed):
    rng = np.random.default_rng(seed)
    X, weights = rng.integers(0, 9, (7, 2)).astype(np.float64), rng.integers(0, 3, 7) + 0.5
    for k, w in ((1, None), (2, weights), (3, None)):
        found = KMedians(k, n_init=30, random_state=0).fit(X, sample_weight=w)
        assert found.inertia_ <= clusters.best(X, k, w) * (1 + 1e-6)


def test_the_center_of_one_cluster_is_the_geometric_median():
    X = np.random.default_rng(0).standard_normal((40, 7))
    found = KMedians(1).fit(X)
    median = rc.geometric_median(X)
    assert np.allclose(found.cluster_centers_[0], median, atol=1e-4)
    assert found.inertia_ == pytest.approx(np.linalg.norm(X - median, axis=1).sum(), rel=1e-8)


@given(st.integers(0, 10**6), st.integers(1, 6), st.integers(1, 3))
def test_what_every_answer_has(seed, k, d):
    rng = np.random.default_rng(seed)
    X, weights = rng.integers(-3, 4, (12, d)) / 4, rng.integers(0, 3, 12)
    if not weights.any():
        weights[0] = 1
    found = KMedians(k, n_init=1, random_state=seed).fit(X, sample_weight=weights)
    labels, distances = clusters.nearest(X, found.cluster_centers_)
    assert np.array_equal(found.labels_, labels) and np.array_equal(found.predict(X), labels)
    assert found.inertia_ == pytest.approx(weights @ distances, abs=1e-12)
    assert found.score(X, sample_weight=weights) == pytest.approx(-found.inertia_, abs=1e-12)
    assert found.inertia_ <= clusters.cost(X, [np.zeros(d)], weights) + 1e-9
    order = np.lexsort(found.cluster_centers_.T[::-1])
    assert np.array_equal(order, np.arange(k))


def test_a_weight_counts_a_point_so_many_times():
    X, weights = three_clouds(), np.arange(60) % 4
    weighted = KMedians(3, random_state=0).fit(X, sample_weight=weights)
    repeated = KMedians(3, random_state=0).fit(np.repeat(X, weights, axis=0))
    assert np.allclose(weighted.cluster_centers_, repeated.cluster_centers_, atol=1e-5)
    assert weighted.inertia_ == pytest.approx(repeated.inertia_)


@pytest.mark.parametrize("scale", [2.0**-990, 2.0**-400, 2.0**400, 2.0**1000])
def test_scale_does_not_matter(scale):
    plain, scaled = (KMedians(3, random_state=0).fit(three_clouds() * unit) for unit in (1.0, scale))
    assert np.allclose(scaled.cluster_centers_ / scale, plain.cluster_centers_, rtol=1e-12)
    assert scaled.inertia_ / scale == pytest.approx(plain.inertia_, rel=1e-12)
    X = three_clouds() * scale
    assert np.array_equal(scaled.predict(X), scaled.labels_)
    assert scaled.score(X) == pytest.approx(-scaled.inertia_, rel=1e-12)
    assert np.allclose(scaled.transform(X) / scale, plain.transform(three_clouds()), rtol=1e-12)
    assert scaled.predict(X[:1] * 0)[0] == plain.predict(X[:1] * 0)[0]  # points may be of another scale than centers


@pytest.mark.parametrize("scale", [1e-310, 1e-170, 1e170, 1e308])
def test_the_scale_of_weights_does_not_matter(scale):
    X, weights = three_clouds(), 1.0 + np.arange(60) % 2
    plain = KMedians(3, random_state=0).fit(X, sample_weight=weights / 2)
    scaled = KMedians(3, random_state=0).fit(X, sample_weight=weights / 2 * scale)
    assert np.allclose(scaled.cluster_centers_, plain.cluster_centers_, rtol=1e-5)
    if scale < 1e308:  # where the cost is a number
        assert scaled.inertia_ / scale == pytest.approx(plain.inertia_, rel=1e-9)


def test_one_weight_for_all():
    X = three_clouds()
    assert KMedians(3, random_state=0).fit(X, sample_weight=2.0).inertia_ == pytest.approx(
        2 * KMedians(3, random_state=0).fit(X).inertia_
    )


def test_fewer_distinct_points_than_clusters():
    found = KMedians(4, random_state=0).fit([[1.0], [2.0], [1.0], [2.0], [2.0]])
    assert found.inertia_ == 0.0 and set(found.cluster_centers_.ravel()) == {1.0, 2.0}


def test_float32_stays_and_threads_change_nothing():
    X = three_clouds(3000, 5).astype(np.float32)
    with rc.num_threads(1):
        one = KMedians(3, random_state=0).fit(X)
    with rc.num_threads(2):
        two = KMedians(3, random_state=0).fit(X)
    assert one.cluster_centers_.dtype == np.float32
    assert np.array_equal(one.cluster_centers_, two.cluster_centers_) and one.inertia_ == two.inertia_


@pytest.mark.parametrize("weighted", [False, True])
def test_many_points_start_from_some_of_them(weighted):
    X = three_clouds(140_000, 2)
    weights = (np.arange(len(X)) % 2).astype(np.float64) if weighted else None
    X[:9] = 1e4 + np.arange(9)[:, None]  # a few far ones, which a sample may miss: a center must find them
    X[9:18] = X[:9]
    found = KMedians(4, random_state=0).fit(X, sample_weight=weights)
    assert np.sort(np.round(found.cluster_centers_[:, 0])).tolist() == [0, 20, 40, 10004]


def test_clone_and_transform():
    found = KMedians(3, random_state=0).fit(three_clouds())
    assert clone(found).get_params() == found.get_params()
    away = found.transform(three_clouds())
    assert away.shape == (60, 3) and np.array_equal(away.argmin(axis=1), found.labels_)
    assert found.get_feature_names_out().tolist() == ["kmedians0", "kmedians1", "kmedians2"]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"n_clusters": 0}, "n_clusters must be from 1 to n_samples=60; it is 0"),
        ({"n_clusters": 61}, "n_clusters must be from 1 to n_samples=60; it is 61"),
        ({"n_init": 0}, "KMedians needs n_init >= 1; here n_init = 0"),
        ({"max_iter": 0}, "KMedians needs max_iter >= 1; here max_iter = 0"),
        ({"tol": np.nan}, "KMedians: tol must be a finite number >= 0, not nan"),
    ],
)
def test_wrong_parameters(parameters, sentence):
    with pytest.raises(ValueError, match=sentence):
        KMedians(**{"n_clusters": 3, **parameters}).fit(three_clouds())
    with pytest.raises(TypeError, match=r"n_clusters must be a whole number; it is 2\.5"):
        KMedians(2.5).fit(three_clouds())


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (np.ones(59), r"sample_weight has the shape \(59,\)"),
        (np.r_[np.ones(59), -1], r"sample_weight\[59\] is -1.0"),
        (np.r_[np.nan, np.ones(59)], r"sample_weight\[0\] is nan"),
        (np.zeros(60), "sample_weight is zero"),
        (np.full(60, 1j), "sample_weight must be numbers, not complex128"),
    ],
)
def test_wrong_weights(weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        KMedians(3).fit(three_clouds(), sample_weight=weights)


def test_assign_takes_lists_of_centers():
    labels, distances = assign(np.array([[0.0, 3.0], [9.0, 0.0]]), [[0, 0], [5, 0]])
    assert labels.tolist() == [0, 1] and distances.tolist() == [3.0, 4.0]


def test_assign_says_what_is_wrong():
    for X, centers, sentence in (
        ([[0.0, np.nan]], [[0.0, 0.0]], "X contains NaN"),
        ([[0.0, 1.0]], [[np.inf, 0.0]], "centers contains infinity"),
        ([[0.0, 1.0]], [[0.0]], "as many numbers"),
        (np.empty((0, 2)), [[0.0, 0.0]], "0 sample"),
    ):
        with pytest.raises(ValueError, match=sentence):
            assign(X, centers)
