"""Closed-form guarantees (Bareilles et al.)."""

import itertools
import math

import numpy as np
import pytest

import robustcore as rc
from robustcore import theory
from robustcore.theory import kappa_upper_bound

NF = [(n, f) for n in (3, 5, 10, 31, 100, 1000) for f in {1, n // 10, n // 4, n // 3, (n - 1) // 2} if 2 * f < n]


def test_theorem_1_by_hand():
    # n = 3, f = 1, m = 2: 2/1 * (sqrt(1/2) + sqrt(2/2) + 1/2)^2, and 2.20710678^2 = 4.87132034, below 5.82842712.
    assert math.isclose(kappa_upper_bound(3, 1, 2), 9.74264069, rel_tol=1e-8)
    # n = 100, f = 10, m = 1: 90/80 * (1 + sqrt 2)^2, which is 5.82842712.
    assert math.isclose(kappa_upper_bound(100, 10, 1), 6.55698052, rel_tol=1e-8)
    # n = 6, f = 2, m = 4: 4/2 * (sqrt(2/4) + sqrt(4/4) + 2/4)^2, as the first.
    assert math.isclose(kappa_upper_bound(6, 2, 4), 9.74264069, rel_tol=1e-8)


@pytest.mark.parametrize(("n", "f"), NF)
def test_theorem_2_the_transition_point(n, f):
    """The bound is Krum's up to ((A + sqrt(A^2 + 4(1 + sqrt 2)f)) / (2(1 + sqrt 2)))^2, and falls from there on."""
    A = math.sqrt(n - 2 * f) + math.sqrt(2 * f)
    transition = ((A + math.sqrt(A * A + 4 * (1 + math.sqrt(2)) * f)) / (2 * (1 + math.sqrt(2)))) ** 2
    bounds = [kappa_upper_bound(n, f, m) for m in range(1, n - f + 1)]
    for m, (bound, following) in enumerate(itertools.pairwise(bounds), start=1):
        if m + 1 < transition:
            assert following == bound == bounds[0]
        elif m > transition:
            assert following < bound


@pytest.mark.parametrize(("n", "f"), NF)
def test_the_upper_bound_is_above_every_lower_bound(n, f):
    universal = f / (n - 2 * f)  # Proposition 1
    assert all(kappa_upper_bound(n, f, m) >= universal for m in range(1, n - f + 1))
    even = n % 2 == 0
    theorem_3 = (n - 2) / (n - 2 * f + 2) if even else (n - 1) / (n - 2 * f + 1)
    assert kappa_upper_bound(n, f, 1) >= theorem_3
    if n > 3 * f:
        assert kappa_upper_bound(n, f, n - f) >= 4 * universal  # Theorem 4


def test_allouah_table_1():
    # n = 10, f = 2: x = 1/3.
    bounds = {"krum": 8.0, "geometric_median": 64 / 9, "median": 64 / 9, "trimmed_mean": 8 / 3}
    for rule, bound in bounds.items():
        assert theory.allouah_upper_bound(rule, 10, 2) == pytest.approx(bound)
    assert rc.Median(f=2).guarantee(10) == rc.GeometricMedian(f=2).guarantee(10) == pytest.approx(64 / 9)
    assert rc.TrimmedMean(f=2).guarantee(10) == rc.RBTM(f=2).guarantee(10) == pytest.approx(8 / 3)
    assert rc.Median().guarantee(10) is rc.GeometricMedian(2, smoothing=1.0).guarantee(10) is None
    with pytest.raises(ValueError, match="no bound for 'caf'"):
        theory.allouah_upper_bound("caf", 10, 2)
    with pytest.raises(rc.ConstraintError, match="n > 2f"):
        theory.allouah_upper_bound("median", 4, 2)


@pytest.mark.parametrize("rule", ["median", "geometric_median", "trimmed_mean"])
def test_the_bounds_hold_on_random_inputs(rule):
    """|value - mean(S)|^2 <= kappa variance(S) for the honest S, with lies of every size."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        honest = rng.normal(size=(8, 3))
        X = np.vstack([rng.normal(size=(2, 3)) * 10.0 ** rng.uniform(-2, 6, (2, 1)), honest])
        error = ((getattr(rc, rule)(X, 2) - honest.mean(axis=0)) ** 2).sum()
        variance = ((honest - honest.mean(axis=0)) ** 2).sum(axis=1).mean()
        assert error <= theory.allouah_upper_bound(rule, 10, 2) * variance


def test_smea_is_within_four_times_what_is_possible():
    assert theory.smea_upper_bound(10, 2) == pytest.approx(4 / 3)
    assert theory.smea_upper_bound(5, 0) == 0.0
    with pytest.raises(rc.ConstraintError, match="n > 2f"):
        theory.smea_upper_bound(4, 2)


def test_the_bound_of_smea_holds_on_random_inputs_for_the_largest_eigenvalue():
    """Also with lies that hide among the honest, or shift their mean."""
    worst = 0.0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        honest = rng.normal(size=(6, 2))
        lie = honest.mean(axis=0) + rng.normal(size=2) * rng.choice([0.1, 1.0, 2.0, 4.0, 1e6])
        X = np.vstack([lie + rng.normal(size=(2, 2)) * rng.choice([1e-3, 0.3]), honest])
        deviations = honest - honest.mean(axis=0)
        widest = np.linalg.eigvalsh(deviations.T @ deviations / 6)[-1]
        worst = max(worst, ((rc.smea(X, 2) - honest.mean(axis=0)) ** 2).sum() / widest)
    assert 0.5 < worst <= theory.smea_upper_bound(8, 2)
