"""The validity conditions given the honest updates, and how they imply each other (Section 7 of the MEB paper)."""

from math import inf, sqrt

import ml_dtypes
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

import robustcore as rc
from robustcore import validity

PAIR = np.repeat([[0.0, 0.0], [0.0, 1.0]], 3, axis=0)  # the paper's half of the updates here, half there
KINDS = {
    "gaussian": lambda rng, n, d: rng.normal(size=(n, d)),
    "lattice": lambda rng, n, d: rng.integers(-2, 3, (n, d)).astype(float),
    "flat": lambda rng, n, d: rng.normal(size=(n, 1)) * rng.normal(size=d) + 1.0,
    "offset": lambda rng, n, d: 1e4 + 1e-2 * rng.normal(size=(n, d)),
    "tiny": lambda rng, n, d: 1e-200 * rng.normal(size=(n, d)),
    "huge": lambda rng, n, d: 1e300 * rng.normal(size=(n, d)),
    "equal": lambda rng, n, d: np.repeat(rng.normal(size=(1, d)), n, axis=0),
}
CASES = st.tuples(
    st.sampled_from(sorted(KINDS)), st.integers(1, 8), st.sampled_from([1, 2, 3, 12]), st.integers(0, 2**32 - 1)
)


def drawn(case):
    kind, n, d, seed = case
    rng = np.random.default_rng(seed)
    return KINDS[kind](rng, n, d), rng


def spread(H):
    return float(np.abs(H / 4 - np.median(H, axis=0) / 4).max()) * 4


def distance(H, y, p):
    """The distance of y from the hull of H by a linear programme in d rows, or by a quadratic one."""
    n, d = H.shape
    if p == 2:
        found = minimize(
            lambda a: ((a @ H - y) ** 2).sum(),
            np.full(n, 1 / n),
            jac=lambda a: 2 * H @ (a @ H - y),
            bounds=[(0, 1)] * n,
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1, "jac": np.ones_like},
            options={"ftol": 1e-15, "maxiter": 1000},
        )
        return sqrt(found.fun)
    slack = -np.eye(d) if p == 1 else -np.ones((d, 1))
    rows = np.vstack([np.hstack([H.T, slack]), np.hstack([-H.T, slack])])
    costs = np.append(np.zeros(n), np.ones(slack.shape[1]))
    ones = np.append(np.ones(n), np.zeros(slack.shape[1]))
    return linprog(costs, A_ub=rows, b_ub=np.append(y, -y), A_eq=ones[np.newaxis], b_eq=[1.0]).fun


# ---- each of them ------------------------------------------------------------------------------------------------


def test_weak_and_strong_are_about_equal_updates():
    same, other = np.ones((3, 2)), np.array([[1.0, 1.0], [1.0, 2.0]])
    assert validity.strong(same[0], same) and not validity.strong(other[1], same)
    assert validity.strong(np.zeros(2), other)
    assert validity.weak(other[1], same, f=1) and not validity.weak(other[1], same)
    assert validity.weak(np.zeros(2), other)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1.0, 1e30, 1e300])
def test_equal_updates_leave_rounding_alone(scale):
    """Nothing but a unit in the last place is close to equal updates, whatever their scale."""
    H = np.full((3, 4), scale)
    conditions = (validity.strong, validity.convex, validity.meb, validity.box, validity.weak)
    for holds in conditions:
        assert holds(H.mean(axis=0), H)
        assert not holds(H[0] * (1 + 1e-14), H)
        assert not holds(np.zeros(4), H)
    zeros = np.zeros((3, 4))
    assert all(holds(zeros[0], zeros) and not holds(H[0], zeros) for holds in conditions)


def test_the_tolerance_is_relative_to_the_spread():
    for scale in (1e-200, 1e-3, 1.0, 1e200):
        H = scale * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        for away, expected in [(1e-10, True), (1e-6, False)]:
            y = scale * np.array([0.5 + away, 0.5])
            assert validity.convex(y, H) == validity.convex(y, H[::-1]) == expected
            y = scale * np.array([0.5, 0.5]) + scale * (0.5 + away) * np.array([1.0, 1.0])
            assert validity.meb(y, H) == (away < 1e-9)


def test_an_offset_takes_no_digits():
    rng = np.random.default_rng(5)
    for d in (3, 11, 40):
        simplex = 1e-2 * np.vstack([np.zeros(d), np.eye(d)])[: min(d + 1, 12)]
        H = 1e4 + simplex
        y = rng.dirichlet(np.ones(len(H))) @ simplex + 1e4
        assert validity.convex(y, H) and validity.meb(y, H) and validity.box(y, H)
        out = 1e4 + simplex[1] * (1 + 1e-5) - simplex[2] * 1e-5  # beyond an edge
        assert not validity.convex(out, H) and not validity.box(out, H)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
def test_every_dtype_and_structure(name):
    rng = np.random.default_rng(1)
    dtype = np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
    H = rng.normal(size=(9, 30)).astype(dtype)
    layers = [{"a": row[:10].reshape(2, 5), "b": row[10:], "none": row[:0]} for row in H]
    for y, holds in [(rc.mean(H), True), (H[3], True), ((3 * H[3].astype(float)).astype(dtype), False)]:
        like = {"a": y[:10].reshape(2, 5), "b": y[10:], "none": y[:0]}
        for asked in (validity.convex, validity.box, validity.meb):
            assert asked(y, H) == asked(like, layers) == holds, asked
        assert validity.relaxed_convex(like, layers, 0.0) == holds
        assert validity.relaxed_convex(like, layers, 0.0, inf) == holds


def test_the_mean_in_many_dimensions_is_valid():
    """The coordinates come from a factorization by blocks of columns."""
    H = np.random.default_rng(2).normal(size=(7, 700_001)).astype(np.float32)
    y = rc.mean(H)
    assert validity.convex(y, H) and validity.meb(y, H) and validity.relaxed_convex(y, H, 0.0)
    out = y + np.float32(0.01) * H[0]
    assert not validity.convex(out, H)
    away = 0.01 * np.linalg.norm(H[0].astype(float))  # nearly: H[0] is nearly orthogonal to the others
    assert validity.relaxed_convex(out, H, away) and not validity.relaxed_convex(out, H, away / 20)


def test_what_is_not_finite_is_not_valid():
    for bad in (np.nan, inf):
        y = np.array([bad, 0.5])
        for asked in (validity.strong, validity.weak, validity.box, validity.convex, validity.meb):
            assert not asked(y, PAIR)
        assert not validity.relaxed_convex(y, PAIR, 1e300)
        assert not validity.trusted_box(PAIR, 1).contains(y)
        with pytest.raises(rc.ConstraintError, match="convex: 1 of 2 updates cannot be used"):
            validity.convex(np.zeros(2), np.array([[0.0, 0.0], [bad, 0.0]]))


def test_wrong_input_is_said():
    with pytest.raises(ValueError, match="y is not like the updates: shape"):
        validity.convex(np.zeros(3), PAIR)
    with pytest.raises(ValueError, match="p must be 1, 2 or inf, not 3"):
        validity.relaxed_convex(np.zeros(2), PAIR, 1.0, 3)
    with pytest.raises(ValueError, match="delta must be a finite number >= 0"):
        validity.relaxed_convex(np.zeros(2), PAIR, -1.0)
    with pytest.raises(ValueError, match="c must be a finite number >= 0"):
        validity.meb(np.zeros(2), PAIR, -1.0)
    with pytest.raises(TypeError, match="f must be a whole number"):
        validity.weak(np.zeros(2), PAIR, f=0.5)


def test_a_y_of_another_world():
    """A y that is far beyond the scale of the updates is outside, and its distance is known."""
    for far in (1e20, 1e150, 1e300):
        y = np.array([far, 0.0])
        assert not any(asked(y, PAIR) for asked in (validity.box, validity.convex, validity.meb))
        assert not validity.relaxed_convex(y, PAIR, 1.0) and not validity.meb(y, PAIR, 1e3)
    assert validity.relaxed_convex(np.array([1e20, 0.0]), PAIR, 1.001e20)
    assert not validity.relaxed_convex(np.array([1e20, 0.0]), PAIR, 0.999e20)


@pytest.mark.parametrize("p", [1, 2, inf])
@given(case=st.tuples(st.integers(1, 7), st.integers(1, 6), st.integers(0, 2**32 - 1)))
def test_relaxed_convex_against_another_programme(p, case):
    n, d, seed = case
    rng = np.random.default_rng(seed)
    H, y = rng.normal(size=(n, d)), 2 * rng.normal(size=d)
    delta = distance(H, y, p)
    assert validity.relaxed_convex(y, H, delta * (1 + 1e-5) + 1e-5, p)
    assert delta < 1e-4 or not validity.relaxed_convex(y, H, delta * (1 - 1e-3), p)


# ---- how they imply each other -----------------------------------------------------------------------------------


@given(CASES)
def test_lemma_7_1_convex_implies_meb_and_box(case):
    H, rng = drawn(case)
    y = rng.dirichlet(np.full(len(H), 0.3)) @ (H - H[0]) + H[0]
    assert validity.convex(y, H) and validity.meb(y, H)
    low, high = H.min(axis=0), H.max(axis=0)
    assert validity.box(np.clip(y, low, high), H)
    assert validity.strong(y, H) and validity.weak(y, H)


def test_lemma_7_2_meb_does_not_imply_convex():
    y = np.array([0.5, 0.5])
    assert validity.meb(y, PAIR) and not validity.convex(y, PAIR)


def test_lemma_7_6_meb_does_not_imply_box():
    """The ball is a disc of radius 1/2, not the unit disc that the text has: (1, 1/2) is two radii away."""
    assert rc.minimum_enclosing_ball(PAIR).radius == 0.5
    y = np.array([0.5, 0.5])
    assert validity.meb(y, PAIR) and not validity.box(y, PAIR)
    assert not validity.meb(np.array([1.0, 0.5]), PAIR)


@given(CASES, st.floats(0.0, 3.0))
def test_lemma_7_3_c_meb_implies_relaxed_convex(case, c):
    H, rng = drawn(case)
    assume(spread(H) > 0.0)
    ball = rc.minimum_enclosing_ball(H)
    way = rng.normal(size=H.shape[1])
    y = ball.center + c * ball.radius * way / np.linalg.norm(way)
    assume(np.isfinite(y).all())
    assert validity.meb(y, H, c * (1 + 1e-7))
    assert validity.relaxed_convex(y, H, (c * (1 + 1e-7) + 1) * ball.radius, 2)
    assert validity.relaxed_convex(y, H, c * (1 + 1e-7) * ball.radius, 2)  # the center is in the hull
    assert c < 1e-3 or not validity.meb(y, H, c * (1 - 1e-5))


def test_lemma_7_3_cannot_have_less_than_c_radii():
    for c in (0.5, 1.0, 3.0):
        y = np.array([c / 2, 0.5])
        assert validity.meb(y, PAIR, c) and validity.relaxed_convex(y, PAIR, c / 2)
        assert not validity.relaxed_convex(y, PAIR, 0.999 * c / 2)


@given(CASES, st.floats(0.0, 3.0))
def test_lemma_7_4_relaxed_convex_implies_c_meb(case, share):
    H, rng = drawn(case)
    diameter = np.sqrt(rc.pairwise_sqdist(H / spread(H)).max()) * spread(H) if spread(H) else 0.0
    assume(diameter > 0.0)
    delta, way = share * diameter, rng.normal(size=H.shape[1])
    y = rng.dirichlet(np.ones(len(H))) @ (H - H[0]) + H[0] + delta * way / np.linalg.norm(way)
    assume(np.isfinite(y).all())
    assert validity.relaxed_convex(y, H, delta, 2)
    assert validity.meb(y, H, 1 + 2 * delta / diameter)


@given(CASES)
def test_lemma_7_5_box_implies_sqrt_d_meb(case):
    H, rng = drawn(case)
    corner = np.where(rng.integers(0, 2, H.shape[1]), H.max(axis=0), H.min(axis=0))
    assert validity.box(corner, H)
    assert validity.meb(corner, H, sqrt(H.shape[1]))


def test_lemma_7_5_is_tight_for_the_axes():
    """In the box of the ends of the axes, a corner is sqrt(d) radii from the center."""
    for d in (2, 5, 9):
        H = np.vstack([np.eye(d), -np.eye(d)])
        assert validity.box(np.ones(d), H) and validity.meb(np.ones(d), H, sqrt(d))
        assert not validity.meb(np.ones(d), H, 0.999 * sqrt(d))


def test_the_reading_with_every_point_of_the_hull_is_another_condition():
    """As printed, y would have to be near all points of the hull: then no y would do for delta below the radius."""
    y = PAIR.mean(axis=0)
    assert validity.relaxed_convex(y, PAIR, 0.0)
    assert np.linalg.norm(y - PAIR, axis=1).max() == 0.5


# ---- boxes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(("n", "f"), [(1, 0), (3, 1), (4, 1), (7, 2), (9, 4)])
def test_boxes_are_what_they_are_defined_as(name, n, f):
    dtype = np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
    X = np.random.default_rng(n).standard_cauchy(size=(n, 500)).astype(dtype)
    ordered = np.sort(X.astype(float), axis=0)
    trusted, centroids = validity.trusted_box(X, f), validity.centroid_box(X, f)
    assert trusted.low.dtype == centroids.high.dtype == dtype
    assert (trusted.low.astype(float) == ordered[f]).all() and (trusted.high.astype(float) == ordered[n - f - 1]).all()
    exact = 1e-15 + {"float16": 1e-3, "bfloat16": 4e-3, "float32": 6e-8, "float64": 1e-15}[name]
    size = np.abs(ordered).sum(axis=0)
    assert (abs(centroids.low.astype(float) - ordered[: n - f].mean(axis=0)) <= exact * size).all()
    assert (abs(centroids.high.astype(float) - ordered[f:].mean(axis=0)) <= exact * size).all()
    assert trusted.contains(trusted.midpoint) and trusted.midpoint.dtype == dtype


@given(CASES, st.integers(0, 3))
def test_the_rules_are_in_the_boxes(case, f):
    X, rng = drawn(case)
    assume(len(X) > 2 * f)
    X[rng.permutation(len(X))[:f]] *= 100.0 if np.abs(X).max() < 1e300 else 1.0
    trusted, centroids = validity.trusted_box(X, f), validity.centroid_box(X, f)
    for name in ("median", "trimmed_mean", "box_midpoint"):
        assert trusted.contains(rc.aggregate(X, name, f=f).value), name
    assert centroids.contains(rc.box_midpoint(X, f)) and centroids.contains(rc.trimmed_mean(X, f))
    if len(X) > 3 * f:
        assert trusted.contains(rc.rbtm(X, f)) and centroids.contains(rc.rbtm(X, f))


@given(CASES, st.integers(0, 3))
def test_boxes_without_knowing_who_is_honest(case, f):
    """The local trusted box is in the trusted one, and the honest mean in the centroid box, whoever is honest."""
    X, rng = drawn(case)
    assume(len(X) > 2 * f)
    trusted, centroids = validity.trusted_box(X, f), validity.centroid_box(X, f)
    honest = X[np.sort(rng.permutation(len(X))[f:])]
    assert validity.box(trusted.low, honest) and validity.box(trusted.high, honest)
    mean, slack = (honest / len(honest)).sum(axis=0), 1e-15 * np.abs(X).max(axis=0)  # other sums than those of the box
    assert (centroids.low - slack <= mean).all() and (mean <= centroids.high + slack).all()


def test_the_midpoint_of_both_boxes():
    X = np.random.default_rng(3).normal(size=(9, 40))
    trusted, centroids = validity.trusted_box(X, 3), validity.centroid_box(X, 3)
    both = validity.Box(np.maximum(trusted.low, centroids.low), np.minimum(trusted.high, centroids.high))
    assert np.allclose(both.midpoint, rc.box_midpoint(X, 3), rtol=1e-14, atol=1e-14)


def test_boxes_count_who_is_not_finite_against_f():
    X = np.array([[1.0, 0.0], [2.0, np.nan], [3.0, 5.0], [4.0, 7.0]])
    box = validity.trusted_box(X, 1)
    assert box.low.tolist() == [1.0, 0.0] and box.high.tolist() == [4.0, 7.0] and box.dropped == {1: "not finite"}
    with pytest.raises(rc.ConstraintError, match="trusted_box needs n > 2f"):
        validity.trusted_box(X, 2)
    with pytest.raises(rc.ConstraintError, match="more than f = 0"):
        validity.centroid_box(X, 0)


def test_boxes_at_the_end_of_the_range():
    X = np.array([[1.7e308], [1.7e308], [1.6e308], [-1.7e308]])
    box = validity.centroid_box(X, 1)
    assert box.high[0] == pytest.approx(5 / 3 * 1e308) and np.isfinite(box.low).all()
    assert np.isfinite(validity.Box(X[3], X[0]).midpoint).all() and validity.Box(X[3], X[0]).contains(X[2])
