"""Relaxation factors (Cambus et al., Practical validity conditions), and what rules say of their own."""

import math

import numpy as np
import pytest

import robustcore as rc
from robustcore import theory


def theorem_5_4(n, f, d):
    """In exact numbers up to the root."""
    k = max(1, min(d, math.comb(n, f) - 1))
    return 1 + float(k - 1) / (k + 1 + math.sqrt(2 * k * (k + 1)))


def test_theorem_5_4():
    for n in range(1, 30):
        for f in range((n + 1) // 2):
            for d in (1, 2, 3, 5, 9, 100, 10**6):
                assert theory.minmax_meb_factor(n, f, d) == pytest.approx(theorem_5_4(n, f, d), rel=1e-15)
    assert theory.minmax_meb_factor(9, 4, 2) == pytest.approx(2 / math.sqrt(3))  # three discs that touch
    assert theory.minmax_meb_factor(9, 4, 1) == theory.minmax_meb_factor(9, 0, 5) == 1.0


def test_theorem_5_4_where_subsets_are_beyond_counting():
    assert theory.minmax_meb_factor(1001, 500, 10**6) == pytest.approx(theorem_5_4(1001, 500, 10**6), rel=1e-15)
    assert theory.minmax_meb_factor(2**53, 10**15, 2**53) == pytest.approx(math.sqrt(2), rel=1e-15)
    assert theory.minmax_meb_factor(10**6, 1, 10**9) == pytest.approx(theorem_5_4(10**6, 1, 10**9), rel=1e-15)
    n = np.arange(3, 400)
    factors = theory.minmax_meb_factor(n, (n - 1) // 2, np.array([[1], [2], [10**9]]))
    assert factors.shape == (3, 397) and (factors[0] == 1).all() and (factors <= math.sqrt(2)).all()
    assert (np.diff(factors, axis=0) >= 0).all() and (np.diff(factors, axis=1) >= 0).all()


def test_theorems_6_4_to_6_7_by_hand():
    assert theory.mda_meb_factor(9, 3) == 2.0
    assert theory.medoid_meb_factor(9, 3) == 7.0
    assert theory.geometric_median_meb_factor(9, 3) == 4.0
    assert theory.box_meb_factor(16) == 4.0
    assert theory.kappa_meb_factor(3) == 2.0


def test_the_optimal_rule_has_the_smallest_factor_and_all_grow_with_f():
    for n in (3, 10, 101):
        f = np.arange((n + 1) // 2)
        best = theory.minmax_meb_factor(n, f, 10**6)
        for factor in (theory.mda_meb_factor, theory.medoid_meb_factor, theory.geometric_median_meb_factor):
            assert (np.diff(factor(n, f)) > 0).all()
        assert (best <= theory.medoid_meb_factor(n, f)).all()
        assert (best <= theory.geometric_median_meb_factor(n, f)).all()
    assert (theory.mda_meb_factor(np.arange(3, 99, 2), np.arange(1, 49)) <= 3).all()


def test_what_rules_say_of_themselves():
    n, f, d = 20, 4, 100
    assert rc.MinMaxMEB(f).meb_factor(n, d) == theory.minmax_meb_factor(n, f, d) < theory.mda_meb_factor(n, f)
    assert rc.MinMaxMEB(2).meb_factor(n, d) == theory.mda_meb_factor(n, 2) < theory.minmax_meb_factor(n, 2, d)
    assert rc.MinMaxMEB(f).meb_factor(n, 3) == 1.0 < theory.minmax_meb_factor(n, f, 3)  # n > (d + 1) f
    assert rc.MDA(f).meb_factor(n, d) == theory.mda_meb_factor(n, f)
    # Their kappa* says more than the paper's own factors: for n even, the root of that of the geometric median.
    assert rc.GeometricMedian(f).meb_factor(n, d) ** 2 == pytest.approx(theory.geometric_median_meb_factor(n, f))
    for rule in (rc.Median(f), rc.TrimmedMean(f), rc.RBTM(f)):  # in the trusted box, or by their kappa*
        assert rule.meb_factor(n, 1) == 1.0
        assert rule.meb_factor(n, d) == pytest.approx(math.sqrt(1 + rule.guarantee(n)))
    assert rc.BoxMidpoint(f).meb_factor(n, d) == 10.0
    assert rc.Meamed(f).meb_factor(n, d) == rc.Phocas(f).meb_factor(n, d) == pytest.approx(10 * 1.5)
    for rule in (rc.Krum(f), rc.MultiKrum(f), rc.SMEA(f), rc.Medoid(f), rc.Krum(f, mixing=rc.NNM(f))):
        assert rule.meb_factor(n, d) == pytest.approx(math.sqrt(1 + rule.guarantee(n)))


def test_rules_of_which_nothing_is_known():
    unknown = [rc.Mean(4), rc.Medoid(), rc.GeometricMedian(), rc.GeometricMedian(4, smoothing=1.0), rc.Median()]
    unknown += [rc.Bulyan(4, mixing=rc.NNM(4)), rc.Krum(4, neighbors="classic"), rc.MEBCenter(4), rc.SignMajority(4)]
    assert all(rule.meb_factor(20, 5) is None for rule in unknown)
    with pytest.raises(rc.ConstraintError, match="n > 2f"):
        rc.MDA(4).meb_factor(8, 5)
    with pytest.raises(rc.ConstraintError, match="median needs d >= 1; here d = 0"):
        rc.Median().meb_factor(8, 0)
    with pytest.raises(TypeError, match="whole number"):
        rc.Median().meb_factor(8, 2.0)


def test_every_kappa_has_a_factor_that_is_met():
    """On a line, honest updates at 1 and -1 with mean mu, variance 1 - mu^2, and the farthest that kappa allows."""
    for kappa in (0.0, 0.5, 3.0):
        mu = 1 / math.sqrt(1 + kappa)
        assert mu + math.sqrt(kappa * (1 - mu**2)) == pytest.approx(theory.kappa_meb_factor(kappa))
