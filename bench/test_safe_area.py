"""Safe areas: a point in the convex hulls of all n - f, and whether one is, against a linear programme for each."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import pytest

import robustcore as rc
from bench import reference

pytest.importorskip("scipy")

SIZES = [(30, 4, 6), (50, 5, 8), (64, 3, 20), (60, 9, 5)]
CASES = {f"{n} x {d}, f = {f}{kind}": (n, f, d, kind) for n, f, d in SIZES for kind in ("", ", together")}
POINTS = "safe area point"
AGAINST_ALL = "in safe area, 14 x 3, f = 3"


@lru_cache(maxsize=1)
def data(n, f, d, kind=""):
    X = np.random.default_rng(0).standard_normal((n, d))
    if kind:
        X[:f] = 10 * np.random.default_rng(1).standard_normal(d) + 0.1 * X[:f]
    return X


@pytest.mark.parametrize("name", CASES)
def test_point(name, cycle, clock):
    n, f, d, kind = CASES[name]
    X = data(n, f, d, kind)
    clock(POINTS, name, partial(rc.validity.safe_area_point, X, f), rounds=3)
    assert rc.validity.safe_area_point(X, f).point is not None


CONTENDERS = {
    "robustcore in_safe_area": rc.validity.in_safe_area,
    "one programme a subset": reference.in_safe_area,
}


@pytest.mark.parametrize("name", CONTENDERS)
def test_against_all_subsets(name, cycle, clock):
    X = data(14, 3, 3)
    clock(AGAINST_ALL, name, partial(CONTENDERS[name], X, np.median(X, axis=0), 3), rounds=1)


def test_same_answer():
    X = data(10, 2, 3)
    for y in (np.median(X, axis=0), X[0], 0.5 * X[0]):
        assert bool(rc.validity.in_safe_area(X, y, 2)) == reference.in_safe_area(X, y, 2)
