"""Table 1 of the paper on centroid approximation, and what we had to prove anew."""

import itertools
import math

import numpy as np
import pytest

import robustcore as rc
from robustcore import theory
from robustcore.theory.centroid import METHODS

# n, f, d that every method withstands, and all with n <= 60, f < n / 3.
EVERY = np.array([(n, f, d) for n in range(1, 61) for f in range((n + 2) // 3) for d in (1, 2, 7)]).T


@pytest.mark.parametrize(
    ("method", "synchronous", "asynchronous"),
    [
        ("safe_area_algorithm", math.inf, math.inf),
        ("safe_area", 18.0, 20.0),
        ("centroid_and_safe_area", 1.0, 2.0),
        ("mda_and_safe_area", 2.0, 4.8),
        ("box", 6.0, 12.0),
        ("rbtm", 6.0, 12.0),
    ],
)
def test_table_1(method, synchronous, asynchronous):
    """In 9 dimensions; what depends on f / n as f tends to n / 7."""
    assert theory.centroid_ratio(method, 111, 11, 9) == synchronous
    found = theory.centroid_ratio(method, 111, 10, 9, synchronous=False)
    if method == "mda_and_safe_area":
        f = np.arange(0, 10**6, 10**5)
        assert (theory.centroid_ratio(method, 7 * 10**6 + 1, f, 1, synchronous=False) < asynchronous).all()
        found = theory.centroid_ratio(method, 7 * 10**9 + 1, 10**9, 1, synchronous=False)
        assert found < asynchronous
    assert found == pytest.approx(asynchronous)


def test_table_1_for_mda():
    """What is proved is 4 and not 3.8, and 7.2 rather than 10.4."""
    n, f, _ = EVERY
    few = f < n / 4
    ratio = theory.centroid_ratio("mda", n[few], f[few], 1)
    assert (ratio < 4).all() and ratio.max() > 3.8
    assert theory.centroid_ratio("mda", 4 * 10**9 + 1, 10**9, 1) == pytest.approx(4)
    assert theory.centroid_ratio("mda", 10**9, 1, 1) == pytest.approx(2)
    few = f < n / 7
    assert (theory.centroid_ratio("mda", n[few], f[few], 1, synchronous=False) < 7.2).all()
    assert theory.centroid_ratio("mda", 7 * 10**9 + 1, 10**9, 1, synchronous=False) == pytest.approx(7.2)


def test_the_printed_sum_of_lemma_4_11():
    """34/9 is what is printed at f = n / 4; the series begins at q^0 and not at q^2, and then it is 10."""
    t, n = 1.0, 4.0
    q, factor = 2 * t / (n - t), n / (n - t)
    assert 2 + 4 * t**2 * n / ((n - t) ** 2 * (n - 3 * t)) == pytest.approx(34 / 9)
    assert 2 + factor * 2 * sum(q**r for r in range(2, 200)) == pytest.approx(50 / 9)  # with its own factor of 2
    assert 2 + factor * 2 * sum(q ** (r - 2) for r in range(2, 200)) == pytest.approx(10)


def test_lemma_5_15_is_off_but_the_ratio_stands():
    """The edge of the larger box is up to three times the smaller's; but not so far from any point of the smaller."""
    rng = np.random.default_rng(0)
    inputs = [rng.choice([0.0, 1.0, 5.0], n) for n in (4, 5, 7, 10) for _ in range(50)]
    inputs.append(np.array([-1.0, -1.0, 1.0, 1.0]))
    widest = 0.0
    for x in inputs:
        n = len(x)
        for t in range(1, (n + 2) // 3):
            x = np.sort(x)
            low, high = x[: n - t].mean(), x[t:].mean()
            wide_low, wide_high = x[: n - 2 * t].mean(), x[2 * t :].mean()
            assert max(high - wide_low, wide_high - low) <= 2 * (high - low) + 1e-12
            if high > low:
                widest = max(widest, (wide_high - wide_low) / (high - low))
    assert widest == pytest.approx(3)


def test_resilience():
    n = np.arange(1, 100)
    assert np.array_equal(theory.resilience("box", n, 50), np.ceil(n / 3) - 1)
    assert np.array_equal(theory.resilience("mda", n, 50), np.ceil(n / 4) - 1)
    assert np.array_equal(theory.resilience("mda", n, 50, synchronous=False), np.ceil(n / 7) - 1)
    for d in (1, 2, 3, 10):
        assert np.array_equal(
            theory.resilience("safe_area", n, d), np.minimum(np.ceil(n / 3), np.ceil(n / (d + 1))) - 1
        )
        smaller = np.minimum(np.ceil(n / 4), np.ceil(n / (d + 1))) - 1
        assert np.array_equal(theory.resilience("mda_and_safe_area", n, d), smaller)
    assert type(theory.resilience("rbtm", 10, 3)) is int
    assert theory.resilience("safe_area", 12, 2, synchronous=False) == 2


@pytest.mark.parametrize(("method", "synchronous"), [*itertools.product(METHODS, [True, False])])
def test_a_ratio_is_known_for_as_many_as_it_withstands(method, synchronous):
    for n, d in itertools.product(range(1, 30), (1, 3)):
        most = theory.resilience(method, n, d, synchronous=synchronous)
        assert theory.centroid_ratio(method, n, most, d, synchronous=synchronous) >= 1
        message = f"{method} withstands f = {most} at most; here n = {n}, f = {most + 1}"
        with pytest.raises(rc.ConstraintError, match=message):
            theory.centroid_ratio(method, n, [0, most + 1], d, synchronous=synchronous)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="there is no method 'krum'; there are safe_area_algorithm, "):
        theory.centroid_ratio("krum", 9, 1, 2)
    with pytest.raises(rc.ConstraintError, match="resilience needs n >= 1; here n = 0"):
        theory.resilience("box", 0, 1)
    with pytest.raises(rc.ConstraintError, match="resilience needs d >= 1; here d = 0"):
        theory.resilience("box", [9, 9], [1, 0])
    with pytest.raises(rc.ConstraintError, match="box_centroid_ratio needs d >= 1"):
        theory.box_centroid_ratio(0)


def test_what_rules_say_of_themselves():
    for rule in (rc.MDA(3), rc.SMEA(3), rc.MultiKrum(3), rc.MultiKrum(3, 7), rc.Mean(3), rc.MoNNA(3)):
        assert rule.centroid_ratio(10, 50) == 2.0
    for rule in (rc.TrimmedMean(3), rc.RBTM(3), rc.BoxMidpoint(3), rc.Meamed(3), rc.Phocas(3)):
        assert rule.centroid_ratio(10, 49) == theory.box_centroid_ratio(49) == 14.0
    for rule in (rc.Mean(), rc.Median(3), rc.Krum(3), rc.MultiKrum(3, 6), rc.MDA(3, mixing=rc.NNM(3)), rc.Medoid(3)):
        assert rule.centroid_ratio(10, 50) is None
    assert rc.MultiKrum(3, neighbors="classic").centroid_ratio(10, 50) is None
    with pytest.raises(rc.ConstraintError, match="n > 2f"):
        rc.MDA(3).centroid_ratio(6, 2)


def test_the_median_is_in_no_centroid_box():
    """Why no ratio is stated for it: zeros are the majority, but every mean of n - 1 is above."""
    X = np.array([[0.0], [0.0], [0.0], [10.0], [10.0]])
    assert rc.median(X, 1).item() == 0.0 < np.sort(X, axis=0)[:4].mean()


def mda_agreement(rng, n, t, d):
    """Twelve rounds of synchronous MDA agreement: the honest send what they hold; the others lie, to some of them."""
    X = rng.normal(size=(n, d)) * rng.choice([1.0, 5.0], (n, 1))
    honest = np.arange(n - t)
    center, radius = X[honest].mean(axis=0), rc.centroid_ball(X, t).radius
    held = X.copy()
    for _ in range(12):
        spread = np.linalg.norm(held[honest] - held[0], axis=1).max()
        seen = []
        for _ in honest:  # every node may miss some of the lies
            heard = np.flatnonzero((np.arange(n) < n - t) | (rng.random(n) < 0.7))
            seen.append(rc.mda(held[heard], f=len(heard) - (n - t)))
        held[honest] = seen
        held[n - t :] = held[0] + spread * (center + 3 * rng.normal(size=d) - held[0]) / 4
    return np.linalg.norm(held[honest] - center, axis=1).max() / radius


@pytest.mark.parametrize(("n", "t"), [(5, 1), (9, 2), (13, 3)])
def test_mda_agreements_end_within_the_ratio(n, t):
    for seed in range(5):
        rng = np.random.default_rng([seed, n])
        assert mda_agreement(rng, n, t, 2) <= theory.centroid_ratio("mda", n, t, 2)
