"""Closed-form guarantees (Bareilles et al.)."""

import inspect
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import robustcore as rc
from robustcore import theory
from robustcore.theory import kappa_upper_bound

NF = [(n, f) for n in (3, 5, 10, 31, 100, 1000) for f in {1, n // 10, n // 4, n // 3, (n - 1) // 2} if 2 * f < n]
# All n <= 200, all f, all m that fit.
EVERY = np.array([(n, f, m) for n in range(1, 201) for f in range((n + 1) // 2) for m in range(1, n - f + 1)]).T


def test_theorem_1_by_hand():
    # n = 3, f = 1, m = 2: 2/1 * (sqrt(1/2) + sqrt(2/2) + 1/2)^2, and 2.20710678^2 = 4.87132034, below 5.82842712.
    assert math.isclose(kappa_upper_bound(3, 1, 2), 9.74264069, rel_tol=1e-8)
    # n = 100, f = 10, m = 1: 90/80 * (1 + sqrt 2)^2, which is 5.82842712.
    assert math.isclose(kappa_upper_bound(100, 10, 1), 6.55698052, rel_tol=1e-8)
    # n = 6, f = 2, m = 4: 4/2 * (sqrt(2/4) + sqrt(4/4) + 2/4)^2, as the first.
    assert math.isclose(kappa_upper_bound(6, 2, 4), 9.74264069, rel_tol=1e-8)


def test_theorem_6_by_hand():
    # n = 6, f = 2, m = 1, as m <= f: 4/2 * (sqrt(2/1) + sqrt 2 + 1)^2, and 3.82842712^2 = 14.65685425.
    assert math.isclose(theory.kappa_2(6, 2, 1), 29.3137085, rel_tol=1e-8)
    assert theory.kappa_2(6, 2, 4) == theory.kappa_upper_bound(6, 2, 4)
    assert theory.kappa_2(6, 0, 3) == pytest.approx(6 / 3)


def test_theorem_1_is_the_smaller_of_theorems_5_and_6():
    n, f, m = EVERY
    smaller = np.minimum(theory.kappa_1(n, f), theory.kappa_2(n, f, m))
    assert np.allclose(theory.kappa_upper_bound(n, f, m), smaller, rtol=1e-14)
    assert (theory.kappa_1(n, f) < theory.kappa_2(n, f, m))[m <= f].all()


@pytest.mark.parametrize(("f", "share"), [(100, 0.387243), (10, 0.227822), (1, 0.187731)])
def test_theorem_2_depends_on_the_share_alone(f, share):
    """10 %, 1 % and 0.1 %, and the limit."""
    assert theory.transition_m(1000, f) / 1000 == pytest.approx(share, abs=5e-7)
    assert theory.transition_m(10**6, 1000 * f) / 10**6 == pytest.approx(theory.transition_m(1000, f) / 1000, rel=1e-13)
    assert theory.transition_m(7, 0) / 7 == pytest.approx((1 + math.sqrt(2)) ** -2)
    assert theory.transition_m(10**12, 1) / 10**12 == pytest.approx(0.171573, abs=1e-6)


@pytest.mark.parametrize(("n", "f"), NF)
def test_theorem_2_solves_its_equation(n, f):
    """kappa_2^> is (1 + sqrt 2)^2 there, and within the printed bounds."""
    m = theory.transition_m(n, f)
    root = math.sqrt((n - 2 * f) / m) + math.sqrt(2 * f / m) + f / m
    assert root == pytest.approx(1 + math.sqrt(2), rel=1e-13)
    low, high = theory.transition_m_bounds(n, f)
    assert 0 < low <= m <= high and f < m


@pytest.mark.parametrize(("n", "f"), NF)
def test_theorem_2_the_transition_point(n, f):
    """The bound is Krum's up to there, and falls from there on."""
    transition = theory.transition_m(n, f)
    bounds = [kappa_upper_bound(n, f, m) for m in range(1, n - f + 1)]
    for m, (bound, following) in enumerate(itertools.pairwise(bounds), start=1):
        if m + 1 < transition:
            assert following == bound == bounds[0]
        elif m > transition:
            assert following < bound


def test_every_lower_bound_is_below_every_upper_bound():
    """All n <= 200, f, m, at once."""
    n, f, m = EVERY
    low, high = theory.multi_krum_lower_bound(n, f, m), theory.kappa_upper_bound(n, f, m)
    assert (theory.universal_lower_bound(n, f) <= low).all() and (low <= high).all()
    assert (theory.two_point_lower_bound(n, f, m) <= high).all()
    assert (theory.two_point_lower_bound(n, f, m) >= theory.universal_lower_bound(n, f) * (1 - 1e-14)).all()
    first = m == 1
    assert np.array_equal(
        low[first], np.maximum(theory.krum_lower_bound(n, f), theory.universal_lower_bound(n, f))[first]
    )
    assert (high[first] <= theory.allouah_upper_bound("krum", n, f)[first]).all()  # this paper's is the better one
    n, f = n[first], f[first]
    for rule in ("geometric_median", "median", "trimmed_mean"):
        sharp = theory.sharp_upper_bound(rule, n, f)
        assert (theory.universal_lower_bound(n, f) <= sharp * (1 + 1e-15)).all()
        assert (sharp <= theory.allouah_upper_bound(rule, n, f)).all()
    assert np.array_equal(theory.sharp_upper_bound("trimmed_mean", n, f), theory.universal_lower_bound(n, f))
    for rule in ("medoid", "mda"):
        assert (theory.sharp_upper_bound(rule, n, f) >= theory.universal_lower_bound(n, f) * (1 - 1e-15)).all()
    assert np.allclose(theory.smea_upper_bound(n, f), 4 * theory.universal_lower_bound(n, f))


def test_the_transition_is_between_its_bounds_and_within_reach():
    n, f, m = EVERY
    n, f = n[m == 1], f[m == 1]
    low, high = theory.transition_m_bounds(n, f)
    m = theory.transition_m(n, f)
    assert (low <= m * (1 + 1e-14)).all() and (m <= high).all()
    assert np.array_equal(m <= n - f, f <= 0.4056 * n)


def test_theorem_4_and_proposition_b_1():
    assert theory.multi_krum_lower_bound(100, 10, 90) == pytest.approx(0.5)
    assert theory.multi_krum_lower_bound(31, 10, 15) == pytest.approx(2.2124, abs=5e-5)
    assert theory.multi_krum_lower_bound(30, 10, 20) == theory.universal_lower_bound(30, 10)  # n = 3f
    n, f, m = EVERY
    all_of = (m == n - f) & (n > 3 * f) & (m > 1)
    assert np.allclose(theory.multi_krum_lower_bound(n, f, m)[all_of], 4 * (f / (n - 2 * f))[all_of])
    few = (m <= n - 2 * f) & (m > 1)
    assert np.array_equal(theory.multi_krum_lower_bound(n, f, m)[few], (f / (n - 2 * f))[few])


def test_monotone_in_m_and_in_f():
    for n in (7, 20, 61):
        for f in range((n + 1) // 2):
            bounds = theory.kappa_upper_bound(n, f, np.arange(1, n - f + 1))
            assert (np.diff(bounds) <= 0).all()
            assert (np.diff(theory.two_point_lower_bound(n, f, np.arange(1, n - f + 1))) <= 0).all()
        f = np.arange((n + 1) // 2)
        of_f = [theory.universal_lower_bound, theory.kappa_1, theory.krum_lower_bound, theory.smea_upper_bound]
        assert (np.diff(theory.transition_m(n, f[f < 0.4 * n])) > 0).all()
        for bound in of_f:
            assert (np.diff(bound(n, f)) > 0).all()
        assert (np.diff(theory.kappa_upper_bound(n, f, n // 2)) > 0).all()
        assert (np.diff(theory.nnm_upper_bound(theory.kappa_1(n, f), n, f)) > 0).all()


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, (n - 1) // 2))), st.data())
def test_arrays_give_what_numbers_give(nf, data):
    n, f = nf
    m = data.draw(st.integers(1, n - f))
    d = data.draw(st.integers(1, 10**9))
    known = {"n": n, "f": f, "m": m, "d": d, "kappa": 1.5, "rule": "median"}
    for name in theory.__all__:
        formula = getattr(theory, name)
        wanted = inspect.signature(formula).parameters
        if not hasattr(formula, "__wrapped__") or not wanted.keys() <= known.keys():
            continue
        given = {key: known[key] for key in wanted}
        one = formula(**given)
        many = formula(**given | {key: np.array([[value]]) for key, value in given.items() if key != "rule"})
        for single, array in zip(*((x if isinstance(x, tuple) else (x,)) for x in (one, many)), strict=True):
            assert type(single) is float and array.dtype == np.float64
            assert array.shape == (1, 1) and array[0, 0] == pytest.approx(single, rel=1e-15)


def test_counts_that_float64_does_not_count():
    for n, f in [(2**53 + 2, 1), ([2**62], [2**62]), ([10**30], 1)]:
        with pytest.raises(rc.ConstraintError, match=r"needs n <= 2\^53"):
            theory.universal_lower_bound(n, f)


def test_what_does_not_fit_is_named():
    with pytest.raises(rc.ConstraintError, match=r"kappa_1 needs n > 2f; here n = 4 and f = 2 .*at most 1"):
        theory.kappa_1([9, 4, 3], [1, 2, 2])
    with pytest.raises(rc.ConstraintError, match=r"here n = 9, f = 1 and m = 9 .*at most 8"):
        theory.kappa_2(9, 1, np.arange(1, 12))
    with pytest.raises(rc.ConstraintError, match="m = 0"):
        theory.multi_krum_lower_bound(9, 1, [1, 0])
    with pytest.raises(rc.ConstraintError, match="needs f >= 0; here f = -1"):
        theory.universal_lower_bound(9, [0, -1])
    with pytest.raises(TypeError, match=r"n must be a whole number, not 9\.5"):
        theory.transition_m([9, 9.5], 1)
    with pytest.raises(TypeError, match="f must be a whole number, not True"):
        theory.transition_m([9, 9], [True, False])
    with pytest.raises(ValueError, match=r"kappa must be a finite number >= 0, not -1\.0"):
        theory.nnm_upper_bound([1.0, -1.0], 9, 1)
    with pytest.raises(rc.ConstraintError, match=r"f = 600000000 .*at most 499999999"):
        theory.kappa_1(10**9, 6 * 10**8)
    with pytest.raises(TypeError, match="kappa_1: missing a required argument: 'f'"):
        theory.kappa_1(9)
    with pytest.raises(ValueError, match="broadcast"):
        theory.kappa_1([9, 9, 9], [1, 1])
    assert theory.kappa_1(np.arange(0), 0).shape == (0,)
    assert type(theory.kappa_1(np.int64(9), np.array(2))) is float
    assert theory.kappa_upper_bound(np.arange(9, 12)[:, None], 2, [1, 3]).shape == (3, 2)


def test_nnm():
    assert theory.nnm_upper_bound(3.0, 9, 2) == pytest.approx(16 / 7 * 4) == rc.NNM(2).guarantee(3.0, 9, 2)


def test_allouah_table_1():
    # n = 10, f = 2: x = 1/3.
    bounds = {"krum": 8.0, "geometric_median": 64 / 9, "median": 64 / 9, "trimmed_mean": 8 / 3}
    for rule, bound in bounds.items():
        assert theory.allouah_upper_bound(rule, 10, 2) == pytest.approx(bound)
    with pytest.raises(ValueError, match="no bound for 'caf'"):
        theory.allouah_upper_bound("caf", 10, 2)
    with pytest.raises(rc.ConstraintError, match="n > 2f"):
        theory.allouah_upper_bound("median", 4, 2)


def test_what_rules_are_worth():
    """Reached by the inputs of docs/worst.md: see test_worst_page.py."""
    expected = {
        "trimmed_mean": (2 / 6, 2 / 7),
        "median": (8 / 8, 10 / 8),
        "geometric_median": (10 / 6, 10 / 8),
        "medoid": (2 * 8 * 7 / 36, 2 * 9 * 8 / 49),
        "mda": (32 / 8, 32 / 9),
    }
    for rule, (even, odd) in expected.items():
        assert theory.sharp_upper_bound(rule, 10, 2) == rc.RULES[rule](f=2).guarantee(10) == pytest.approx(even)
        assert theory.sharp_upper_bound(rule, 11, 2) == rc.RULES[rule](f=2).guarantee(11) == pytest.approx(odd)
        assert theory.sharp_upper_bound(rule, 1, 0) == 0.0
    assert rc.RBTM(f=2).guarantee(10) == pytest.approx(1 / 3)
    assert rc.Median().guarantee(10) is rc.GeometricMedian(2, smoothing=1.0).guarantee(10) is None
    assert rc.Medoid().guarantee(10) is None
    with pytest.raises(ValueError, match="no bound for 'caf'"):
        theory.sharp_upper_bound("caf", 10, 2)
    with pytest.raises(rc.ConstraintError, match="n > 2f"):
        theory.sharp_upper_bound("median", 4, 2)


@pytest.mark.parametrize("rule", ["median", "geometric_median", "trimmed_mean", "medoid", "mda"])
def test_the_bounds_hold_on_random_inputs(rule):
    """|value - mean(S)|^2 <= kappa variance(S) for the honest S, with lies of every size."""
    for seed in range(100):
        rng = np.random.default_rng(seed)
        honest = rng.normal(size=(8, 3))
        X = np.vstack([rng.normal(size=(2, 3)) * 10.0 ** rng.uniform(-2, 6, (2, 1)), honest])
        error = ((getattr(rc, rule)(X, 2) - honest.mean(axis=0)) ** 2).sum()
        variance = ((honest - honest.mean(axis=0)) ** 2).sum(axis=1).mean()
        assert error <= theory.sharp_upper_bound(rule, 10, 2) * variance


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
