"""The geometric median and the medoid: an independent solver, attackers, degenerate positions, every scale."""

import itertools

import ml_dtypes
import nspace
import numpy as np
import pytest
from bits import same_bits
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import robustcore as rc

F16, BF16, F32, F64 = np.float16, ml_dtypes.bfloat16, np.float32, np.float64


def gaussian(n, d=4, seed=0):
    return np.random.default_rng([seed, n, d]).normal(size=(n, d))


@st.composite
def grids(draw, most=9):
    """Small whole numbers: ties, duplicates and points in a line are common."""
    n, d = draw(st.integers(1, most)), draw(st.integers(1, 3))
    return draw(arrays(F64, (n, d), elements=st.integers(-3, 3).map(float)))


def assert_is_median(X, r, smoothing=0.0):
    """That the independent solver finds nothing better, and nothing below what the gap promises."""
    value = nspace.sum_of_distances(X, r.value, smoothing)
    least = nspace.sum_of_distances(X, nspace.geometric_median(X, smoothing), smoothing)
    assert value <= least * (1 + 1e-12)
    assert least >= value * (1 - r.gap - 1e-13)


# ---- against the twins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 8, 30])
@pytest.mark.parametrize("dtype", [F16, BF16, F32, F64])
def test_every_count_and_dtype(n, dtype):
    X = gaussian(n, 40).astype(dtype)
    r = rc.GeometricMedian().aggregate(X)
    assert r.value.dtype == dtype
    exact, found = X.astype(F64), r.weights @ X.astype(F64)
    value, least = (nspace.sum_of_distances(exact, y) for y in (found, nspace.geometric_median(exact)))
    assert value <= least * (1 + (1e-12 if dtype is F64 else 1e-7))
    assert rc.Medoid().aggregate(X).selected.item() == nspace.medoid(exact)
    assert r.gap <= 1e-12


# ---- properties ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [F16, BF16, F32, F64])
@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_equal_updates_give_that_update(dtype, n):
    x = gaussian(1, 900)[0].astype(dtype)
    for rule in (rc.GeometricMedian(), rc.GeometricMedian(smoothing=0.5), rc.Medoid()):
        assert same_bits(rule(np.tile(x, (n, 1))), x), rule


@given(grids(), st.integers(-1060, 1000), st.sampled_from(["geometric_median", "medoid"]))
def test_a_power_of_two_scales_the_result(X, exponent, rule):
    one, other = getattr(rc, rule)(X), getattr(rc, rule)(np.ldexp(X, exponent))
    assert np.abs(np.ldexp(other, -exponent) - one).max() <= 1e-9


def test_translations_rotations_and_permutations():
    X = gaussian(11)
    X[8:] = 5.0
    median = rc.geometric_median(X)
    turn = np.linalg.qr(gaussian(4))[0]
    assert np.allclose(rc.geometric_median(X @ turn), median @ turn, rtol=0, atol=1e-12)
    assert np.allclose(rc.geometric_median(X[::-1]), median, rtol=0, atol=1e-12)
    assert np.allclose(rc.geometric_median(X + 1e8) - 1e8, median, rtol=0, atol=1e-7)
    whole = np.round(1000 * X)
    assert same_bits(rc.medoid(whole + 2.0**50), rc.medoid(whole) + 2.0**50)


@pytest.mark.parametrize("rule", ["geometric_median", "medoid"])
def test_more_than_half_in_one_place_are_the_median_bit_for_bit(rule):
    for n, far in itertools.product((3, 5, 6, 9), (1e-170, 1e-8, 1.0, 1e30, 1e200, 1e300)):
        X = np.full((n, 3), 0.1)
        X[: (n - 1) // 2] += far * gaussian((n - 1) // 2, 3)
        assert same_bits(getattr(rc, rule)(X), X[-1])


def test_ties_go_to_the_lowest_index():
    assert rc.Medoid().aggregate(np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])).selected.tolist() == [0]
    assert rc.Medoid().aggregate(np.array([[7.0], [0], [1], [-1], [0]])).selected.tolist() == [1]


# ---- degenerate positions --------------------------------------------------------------------------------------


def test_an_update_that_is_the_median_is_returned_bit_for_bit():
    """The unit vectors to the others sum up to less than 1 (Kuhn 1973): four corners and something near the middle."""
    X = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [0.1, 1 / 3]])
    r = rc.GeometricMedian().aggregate(X)
    assert same_bits(r.value, X[4])
    assert r.weights.tolist() == [0, 0, 0, 0, 1]


def test_leaving_a_medoid_that_is_not_the_median():
    X = np.array([[0.0, 0.0], [2.0, 2.0], [-2.0, 2.0], [0.0, 3.0], [0.1, 1.1]])
    r = rc.GeometricMedian().aggregate(X)
    assert_is_median(X, r)
    assert r.gap <= 1e-12


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 11])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_points_in_a_line_have_the_median_of_their_places(n, offset):
    places = np.sort(np.random.default_rng(n).normal(size=n))
    direction = np.array([0.6, 0.8, 0.0])
    X = offset + places[:, None] * direction
    r = rc.GeometricMedian().aggregate(X)
    along = (r.value - offset) @ direction
    slack = 1e-6 if offset else 1e-9
    assert places[(n - 1) // 2] - slack <= along <= places[n // 2] + slack
    assert np.abs(r.value - offset - along * direction).max() <= slack


@pytest.mark.parametrize("apart", [1e-3, 1.0, 1e3, 1e5, 1e8, 1e30])
def test_two_clusters_of_equal_size(apart):
    """All that the sum of distances loses between them, it gains; what is left to decide is of the clusters' size."""
    for seed in range(4):
        X = gaussian(10, seed=seed)
        spread = np.linalg.norm(X, axis=1).sum()
        X[5:] += apart * np.array([1.0, 0.0, 0.0, 0.0])
        r = rc.GeometricMedian().aggregate(X)
        assert_is_median(X, r)
        assert X[:, 0].min() <= r.value[0] <= X[:, 0].max()
        if apart <= 1e8:  # beyond, extended precision no longer sees the clusters' own size in the sum
            value, least = (nspace.sum_of_distances(X, y) for y in (r.value, nspace.geometric_median(X)))
            assert value - least <= max(1e-9, 1e-12 * apart) * spread


@pytest.mark.parametrize("far", [1e2, 1e6, 1e30, 1e100, 1e160, 1e200, 1e300])
@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1.0, 1e150])
def test_half_but_one_in_one_far_cluster(far, scale):
    """However far they are: only their direction counts."""
    X = gaussian(41, 3)
    X[::2] = X[::2].mean(axis=0)
    X = X * scale
    X[:19] = np.array([0.6, 0.0, 0.8]) * far * scale if far * scale < 1e300 else [0.6e300, 0.0, 0.8e300]
    at_1e4 = np.vstack([np.tile([0.6e4, 0.0, 0.8e4], (19, 1)), X[19:] / scale])
    r = rc.GeometricMedian().aggregate(X)
    if far > 1e4:
        assert np.abs(r.value / scale - rc.geometric_median(at_1e4)).max() <= 2e-3
    assert np.abs(r.value / scale).max() <= 50
    assert r.gap <= 1e-11
    assert rc.Medoid().aggregate(X).selected.item() >= 19


@pytest.mark.parametrize("scale", [1e-150, 1e-8, 1.0, 1e150])
def test_attackers_so_far_that_weights_vanish_leave_an_update_of_the_majority(scale):
    """The same four directions, from 1e10 to 1e300: the value does not change any more."""
    X = gaussian(9) * scale
    values = []
    for far in (1e10 * scale, 1e60, 1e100, 1e150, 1e160, 1e200, 1e300):
        X[5:] = far * np.eye(5, 4, k=-1)[1:]
        if 1e9 * scale <= far and far / scale < 1e300:
            values.append(rc.geometric_median(X) / scale)
        if far > scale:
            assert (np.abs(rc.geometric_median(X)) <= 10 * scale).all()
    assert len(values) >= 3
    assert np.ptp(values, axis=0).max() <= 1e-8


@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("exponent", [2, 5, 8, 10, 12, 14, 15, 16, 20, 35, 120, 300])
def test_near_duplicates_break_nothing(dtype, exponent):
    """Almost half of the updates so close together that distances do not tell in what direction the others lie."""
    X = gaussian(9)
    X[5:] *= 10.0**-exponent
    X = X.astype(dtype)
    r = rc.GeometricMedian().aggregate(X)
    exact = X.astype(F64)
    value, least = (nspace.sum_of_distances(exact, y) for y in (r.weights @ exact, nspace.geometric_median(exact)))
    assert value <= least * (1 + (1e-8 if dtype is F32 else 1e-12))
    if dtype is F64:
        assert value <= least * (1 + r.gap + 1e-15)


@pytest.mark.parametrize("smoothing", [1.0, 0.5, 0.15, 1e-6, 1e-7, 1e30, 1e200])
def test_what_is_within_the_smoothing_is_not_far(smoothing):
    """Nor are distances a hundred times longer than most a reason to count them as unsmoothed."""
    X = np.array([[0.0, 1e-9], [1e-8, 0.0], [2e-8, 0.0], [0.1, 0.0], [0.2, 0.05]])
    r = rc.GeometricMedian(smoothing=smoothing).aggregate(X)
    if smoothing >= 0.5:
        assert np.allclose(r.value, X.mean(axis=0), rtol=0, atol=1e-12)
    assert_is_median(X, r, smoothing)


SPREAD = [
    lambda rng, X: X,
    lambda rng, X: np.round(2 * X),
    lambda rng, X: X * 10.0 ** -rng.integers(0, 17, size=X.shape[1]),
    lambda rng, X: X + (np.arange(len(X)) < len(X) // 2)[:, None] * 10.0 ** rng.integers(0, 12),
    lambda rng, X: np.vstack([X[:1] + X[1:2] * 10.0 ** -rng.integers(0, 20), X]),
    lambda rng, X: X * 10.0 ** rng.uniform(-10, 10, size=(len(X), 1)),
]


@pytest.mark.parametrize("smoothing", [0.0, 0.5])
@pytest.mark.parametrize("spread", SPREAD, ids=["gaussian", "rounded", "flat", "clusters", "duplicate", "sizes"])
def test_the_gap_is_a_bound_for_points_of_every_kind(spread, smoothing):
    for seed in range(25):
        rng = np.random.default_rng(seed)
        X = spread(rng, rng.normal(size=(rng.integers(2, 14), rng.integers(1, 5))))
        r = rc.GeometricMedian(smoothing=smoothing).aggregate(X)
        value = nspace.sum_of_distances(X, r.weights @ X, smoothing)
        least = nspace.sum_of_distances(X, nspace.geometric_median(X, smoothing), smoothing)
        assert value <= least * (1 + min(r.gap + 1e-13, 1e-9))


@pytest.mark.parametrize("rule", ["geometric_median", "medoid"])
def test_a_majority_equal_up_to_rounding_wins(rule):
    """Pulled in to a distance of a last place, an attacker may come to lie where the majority is."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=3)
        X = np.array([x + np.spacing(x) * rng.integers(-1, 2, size=3) for _ in range(9)])
        X[rng.permutation(9)[:4]] = rng.normal(size=(4, 3)) * 10.0 ** rng.integers(-3, 30)
        assert np.abs(getattr(rc, rule)(X) - x).max() <= 1e-14


def test_sums_of_opposite_numbers_beyond_float64():
    X = np.array([[1.7e308], [-1.7e308], [1.0], [2.0], [3.0]])
    assert rc.geometric_median(X) == rc.medoid(X) == 2.0


# ---- who counts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [rc.GeometricMedian, rc.Medoid])
def test_updates_that_are_not_finite_count_against_f(rule):
    X = gaussian(9)
    X[[1, 4]] = [[np.nan] * 4, [np.inf] * 4]
    r = rule(2).aggregate(X)
    others = rule(0).aggregate(np.delete(X, [1, 4], axis=0))
    assert same_bits(r.value, others.value)
    assert r.dropped == {1: "not finite", 4: "not finite"}
    assert np.isnan(r.scores).nonzero()[0].tolist() == [1, 4]
    assert same_bits(np.delete(r.scores, [1, 4]), others.scores)
    assert not r.weights[[1, 4]].any()
    with pytest.raises(rc.ConstraintError, match=r"more than f = 1"):
        rule(1)(X)
    X[[0, 2, 3]] = np.nan
    with pytest.raises(rc.ConstraintError, match="more than a minority of 9"):
        rule()(X)


@pytest.mark.parametrize("smoothing", [-1.0, np.nan, np.inf])
def test_smoothing_is_a_number_from_zero_on(smoothing):
    with pytest.raises(ValueError, match=r"smoothing must be a finite number >= 0"):
        rc.GeometricMedian(smoothing=smoothing)


# ---- what attackers have tried ---------------------------------------------------------------------------------


def test_near_copies_of_an_honest_update_and_far_rows_do_not_lead_away():
    """Where distances do not tell a direction, a small gap is not taken from wherever it shows."""
    far = [[-86.18799030227353, 48.240931761015766], [-446.7144826037087, -353.50327458410715]]
    copies = [[0.10000000000002521, 0.1], [0.1, 0.1000000001371314]]
    X = np.array([*copies, *far, [0.1, 0.1], [1.1, 0.1], [0.1, 1.1], [-0.9, 0.1], [0.1, -0.9]])
    r = rc.GeometricMedian(4).aggregate(X)
    assert np.abs(r.value - 0.1).max() <= 1e-9
    for seed in range(200):
        rng = np.random.default_rng(seed)
        honest = rng.integers(-1, 2, (5, 2)) + 0.1
        near = honest[0] + rng.normal(size=(2, 2)) * 10.0 ** rng.integers(-16, -5, (2, 1))
        X = np.vstack([near, rng.normal(size=(2, 2)) * 10.0 ** rng.integers(0, 6, (2, 1)), honest])
        r = rc.GeometricMedian(4).aggregate(X)
        sums = [nspace.sum_of_distances(X, y) for y in (r.value, *X)]
        assert sums[0] <= min(sums) * (1 + 1e-9), seed


@pytest.mark.parametrize("rule", ["geometric_median", "medoid"])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_a_minority_wins_neither_a_pair_nor_what_mixing_has_made_of_the_majority(rule, dtype):
    for seed in range(150):
        rng = np.random.default_rng(seed)
        a = rng.normal(size=50)
        honest = np.vstack([a + 1e-5 * rng.normal(size=(2, 50)), rng.normal(size=(1, 50))])
        X = np.vstack([honest, rng.normal(size=(1, 50)) * 10.0 ** rng.uniform(5, 25)]).astype(dtype)
        assert np.linalg.norm(getattr(rc, rule)(X, 1)) <= 30, seed
        n = int(rng.integers(4, 13))
        f = (n - 1) // 2
        lies = rng.normal(size=(f, 5)) * 10.0 ** rng.uniform(3, 27, size=(f, 1))
        Y = np.vstack([lies, rng.normal(1, 0.1, size=(n - f, 5))]).astype(dtype)
        assert np.linalg.norm(getattr(rc, rule)(Y, f, mixing=rc.NNM(f))) <= 5, seed


@pytest.mark.parametrize("d", [1, 20])
@pytest.mark.parametrize("far", [1e307, 1.79e308])
@pytest.mark.parametrize("signs", [(1, -1), (1, 1)])
def test_liars_at_the_end_of_the_range_are_farther_than_float64_can_say(signs, far, d):
    X = 1 + 0.1 * np.random.default_rng(0).standard_normal((11, d))
    X[0], X[1] = (sign * far for sign in signs)
    for rule in (rc.Medoid(f=2), rc.GeometricMedian(f=2)):
        assert np.abs(rule(X) - 1).max() < 0.5
        assert rc.certify(X, rule(X), f=2).kappa < 9
