"""The twins of the fusion centre, on cases worked by hand and against another way to try all."""

import clusters
import fusion
import numpy as np
import pytest


def test_the_steps_worked_by_hand():
    X, weights = np.array([[0.0], [2.0], [9.0]]), np.array([1.0, 1.0, 3.0])
    matrix = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1]])
    replies = [np.array([[1.0], [50.0]]), np.array([[3.0], [9.0]]), None]
    kept, costs, Y, g = fusion.summary(X, weights, matrix, replies, t=1, rho=0.5, power=2)
    assert kept == [1, 0] and costs.tolist() == [2.0, 1.0, np.inf]
    assert Y.ravel().tolist() == [3.0, 9.0, 1.0, 50.0] and g.tolist() == [0.5, 1.5, 1.0, 0.0]


def test_the_best_clusters_of_a_line():
    X = np.array([[0.0], [1.0], [10.0], [14.0], [14.0]])
    assert fusion.optimum(X, 1, 1)[0] == 27.0  # all to 10
    cost, centers = fusion.optimum(X, 2, 2)
    assert cost == pytest.approx(0.5 + 32 / 3) and np.sort(centers.ravel()) == pytest.approx([0.5, 38 / 3])
    assert fusion.optimum(X, 2, 1, [1, 1, 9, 1, 0])[0] == pytest.approx(5.0)
    cost, centers = fusion.optimum(X, 5, 2)
    assert cost == 0.0 and set(centers.ravel()) == {0.0, 1.0, 10.0, 14.0}


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_best_clusters_tried_in_another_way(k):
    rng = np.random.default_rng(k)
    X, weights = rng.integers(0, 9, (6, 2)).astype(float), rng.integers(0, 3, 6) + 0.5
    assert fusion.optimum(X, k, 1, weights)[0] == pytest.approx(clusters.best(X, k, weights), rel=1e-4)
    for power in (1, 2):
        cost, centers = fusion.optimum(X, k, power, weights)
        assert centers.shape == (k, 2) and clusters.cost(X, centers, weights, power) == pytest.approx(cost)
