"""The ball of all centroids: the search beyond the distances, with outliers and without, and against trying all."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import pytest

import robustcore as rc
from bench import reference
from robustcore import _core

# n, f, d, and how many of the points are three times as far out.
CASES = {
    "50 x 1000, f = 10": (50, 10, 1000, 0),
    "50 x 10, f = 16, outliers": (50, 16, 10, 8),
    "100 x 5, f = 20, outliers": (100, 20, 5, 10),
    "100 x 5, f = 20": (100, 20, 5, 0),
    "500 x 1000, f = 2": (500, 2, 1000, 0),
    "simplex of 200, f = 60": (200, 60, None, 0),
}
BALLS = "ball of all centroids"
AGAINST_ALL = "ball of all centroids, 16 x 100, f = 4"


@lru_cache(maxsize=1)
def coordinates(name):
    n, f, d, far = CASES[name]
    X = np.eye(n) if d is None else np.random.default_rng(0).standard_normal((n, d))
    X[:far] *= 3
    return _core.coordinates(rc.pairwise_sqdist(X), np.ones(n), 0), f


@pytest.mark.parametrize("name", CASES)
def test_ball(name, cycle, clock):
    clock(BALLS, name, partial(_core.centroid_ball, *coordinates(name), rc.get_num_threads()), rounds=3)


# From the data, small: against the ball of all centroids, one by one.
CONTENDERS = {
    "robustcore centroid_ball": rc.centroid_ball,
    "minimum_enclosing_ball of all": lambda X, f: rc.minimum_enclosing_ball(reference.centroids(X, f)),
}


@pytest.mark.parametrize("name", CONTENDERS)
def test_against_all_centroids(name, cycle, clock):
    X = np.random.default_rng(0).standard_normal((16, 100))
    clock(AGAINST_ALL, name, partial(CONTENDERS[name], X, 4))


def test_same_ball():
    X = np.random.default_rng(0).standard_normal((12, 20))
    radii = [ball(X, 4).radius for ball in CONTENDERS.values()]
    np.testing.assert_allclose(radii[0], radii[1], rtol=1e-11)
