"""The passes of k-medians against plain NumPy."""

import clusters
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robustcore import _core

EXACT = 1e-7


def draw(n, d, k, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)).astype(dtype), rng.standard_normal((k, d)), rng.random(n) + 0.1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (31, 1, 3), (33, 2, 4), (500, 63, 5), (70, 130, 9), (9000, 3, 2)])
def test_nearest_is_that_of_numpy_on_every_instruction_set(n, d, k, dtype, on_every_isa):
    X, centers, _ = draw(n, d, k, dtype)
    labels, distances = clusters.nearest(X, centers)
    found = on_every_isa(lambda: _core.nearest_centers(X, centers, 2))
    for own_labels, own_distances in found:
        assert np.array_equal(own_labels, labels)
        assert np.allclose(own_distances, distances, rtol=1e-14, atol=0)
        assert np.array_equal(own_distances, found[0][1])


def test_threads_do_not_change_a_bit():
    X, centers, weights = draw(200_000, 6, 5, np.float32)
    labels, distances = _core.nearest_centers(X, centers, 1)
    sums = _core.costs_with(X, weights, distances, centers * 0.5, 1)
    medians = _core.cluster_medians(X, weights, labels, centers, EXACT, 1)
    for threads in (2, 7):
        again = _core.nearest_centers(X, centers, threads)
        assert np.array_equal(again[0], labels) and np.array_equal(again[1], distances)
        assert np.array_equal(_core.costs_with(X, weights, distances, centers * 0.5, threads), sums)
        assert np.array_equal(_core.cluster_medians(X, weights, labels, centers, EXACT, threads), medians)


def test_the_first_of_equally_near_centers():
    X = np.zeros((40, 2))
    labels, distances = _core.nearest_centers(
        X, np.array([[3.0, 4.0], [0.0, 5.0], [-5.0, 0.0], [0.0, 5.0], [9.0, 9.0]]), 1
    )
    assert not labels.any() and (distances == 5.0).all()


def test_an_offset_changes_no_label():
    X, centers, _ = draw(300, 4, 6, np.float64)
    X, centers = np.round(X * 1024) / 1024, np.round(centers * 1024) / 1024  # exact beside the offset
    plain, far = (_core.nearest_centers(X + offset, centers + offset, 1) for offset in (0.0, 2.0**30))
    assert np.array_equal(plain[0], far[0]) and np.array_equal(plain[1], far[1])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (50, 1), (5000, 2), (300, 40)])
def test_what_further_centers_would_be_worth(n, d, weighted):
    X, candidates, weights = draw(n, d, 3, np.float64)
    distances = np.random.default_rng(1).random(n) * 2
    expected = [
        ((weights if weighted else 1.0) * np.minimum(distances, np.linalg.norm(X - c, axis=1))).sum()
        for c in candidates
    ]
    assert np.allclose(
        _core.costs_with(X, weights if weighted else None, distances, candidates, 2), expected, rtol=1e-12
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "d", "k"), [(5, 1, 2), (400, 1, 3), (300, 2, 4), (40, 30, 3), (2000, 5, 5)])
def test_medians_are_those_of_many_steps(n, d, k, dtype):
    X, centers, weights = draw(n, d, k, dtype, seed=3)
    labels, _ = _core.nearest_centers(X, centers, 1)
    found = _core.cluster_medians(X, weights, labels, centers, EXACT, 1)
    for c in range(k):
        own, w = X[labels == c], weights[labels == c]
        if not len(own):
            assert np.array_equal(found[c], centers[c])
            continue
        least = clusters.cost(own, [clusters.median(own, w)], w)
        assert clusters.cost(own, [found[c]], w) <= least * (1 + 2 * EXACT)


def heavy_ones_that_nearly_balance(rng, kind):
    n = int(rng.integers(3, 8))
    if kind == "two":
        return 3 * rng.standard_normal((n, 2)), np.r_[1000 * rng.uniform(0.99, 1.01, 2), rng.uniform(0.5, 2, n - 2)]
    if kind == "line":
        return rng.standard_normal((n, 1)), rng.integers(20, 60, n) * 0.5
    flat = rng.standard_normal((n, 2)) * [1.0, 10.0 ** -rng.integers(0, 8)]
    return flat, 10 ** rng.uniform(-3, 4, n)


@pytest.mark.parametrize("kind", ["two", "line", "flat"])
def test_medians_between_heavy_points_that_nearly_balance(kind):
    rng = np.random.default_rng(0)
    for _ in range(300):
        X, weights = heavy_ones_that_nearly_balance(rng, kind)
        start = X[:1] + rng.standard_normal(X.shape[1]) * rng.choice([0.0, 0.3])
        found = _core.cluster_medians(X, weights, np.zeros(len(X), np.int32), start, EXACT, 1)
        points = min(clusters.cost(X, [x], weights) for x in X)
        assert clusters.cost(X, found, weights) <= points * (1 + EXACT)
        away = X - found[0]
        far = np.linalg.norm(away, axis=1)
        pull = (weights[far > 0] / far[far > 0]) @ away[far > 0]
        assert (
            2 * (np.linalg.norm(pull) - weights[far == 0].sum()) <= 1e-5 * weights.sum()
        )  # what rounding leaves of it


# Small integers, so that many are the same or in a line, and medians lie on points.
ON_A_GRID = st.integers(1, 9).flatmap(
    lambda n: st.tuples(
        st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=n, max_size=n),
        st.lists(st.integers(0, 3), min_size=n, max_size=n).filter(any),
    )
)


@given(ON_A_GRID)
def test_medians_of_points_on_a_grid(drawn):
    X, weights = np.array(drawn[0], np.float64), np.array(drawn[1], np.float64)
    found = _core.cluster_medians(X, weights, np.zeros(len(X), np.int32), np.array([[0.3, 0.1]]), 1e-10, 1)
    heavy = weights > 0
    least = clusters.cost(X[heavy], [clusters.median(X[heavy], weights[heavy])], weights[heavy])
    assert clusters.cost(X, found, weights) <= least + 1e-9 * (1 + least)


def test_a_point_that_is_the_median_is_met_exactly():
    X = np.array([[0.1, 0.2], [7.0, 0.2], [0.1, 9.0], [-4.0, -5.0]])
    for start in ([50.0, 50.0], [0.1, 0.2], [7.0, 0.2], [0.2, 0.2]):
        for weights in (np.array([2.0, 1.0, 1.0, 1.0]), np.array([1.0, 1.0, 9.0, 2.0])):
            found = _core.cluster_medians(X, weights, np.zeros(4, np.int32), np.array([start]), EXACT, 1)
            assert np.array_equal(found[0], X[weights.argmax()])
    # three copies weigh as much as one point of weight 3
    copies = np.array([[0.1, 0.2]] * 3 + [[7.0, 0.2], [0.1, 9.0], [-4.0, -5.0]])
    found = _core.cluster_medians(copies, None, np.zeros(6, np.int32), np.array([[5.0, 5.0]]), EXACT, 1)
    assert np.array_equal(found[0], X[0])


def test_a_cluster_without_weight_keeps_its_center():
    X, centers, _ = draw(20, 2, 3, np.float64)
    labels = np.repeat(np.array([0, 2], np.int32), 10)
    found = _core.cluster_medians(X, np.repeat([1.0, 0.0], 10), labels, centers, EXACT, 1)
    assert np.array_equal(found[1:], centers[1:]) and not np.array_equal(found[0], centers[0])


def test_what_does_not_fit_is_refused():
    X, centers, weights = draw(10, 2, 3, np.float64)
    labels, distances = _core.nearest_centers(X, centers, 1)
    with pytest.raises(ValueError, match="as many numbers"):
        _core.nearest_centers(X, np.zeros((3, 3)), 1)
    with pytest.raises(ValueError, match="as many numbers"):
        _core.nearest_centers(X, np.zeros((0, 2)), 1)
    with pytest.raises(ValueError, match="one distance and one weight"):
        _core.costs_with(X, weights[1:], distances, centers, 1)
    with pytest.raises(ValueError, match="one label and one weight"):
        _core.cluster_medians(X, weights, labels[1:], centers, EXACT, 1)
    with pytest.raises(ValueError, match="labels"):
        _core.cluster_medians(X, weights, labels + np.int32(3), centers, EXACT, 1)
    with pytest.raises(ValueError, match="C-contiguous"):
        _core.nearest_centers(X.T, centers, 1)
