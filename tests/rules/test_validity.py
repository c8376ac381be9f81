"""What the papers on validity and on the centroid say of rules and of safeMEB, where it can be computed."""

import inspect
import itertools
from math import sqrt

import balls
import numpy as np
import pytest

import robustcore as rc
from robustcore import theory
from robustcore.theory.worst import _balls

KINDS = {
    "gaussian": lambda rng, n, d, f: rng.normal(size=(n, d)),
    "clustered": lambda rng, n, d, f: rng.normal(size=(n, d)) + 5 * (rng.permutation(n) < f)[:, None],
    "together": lambda rng, n, d, f: np.where(rng.permutation(n)[:, None] < f, 2.0, rng.normal(size=(n, d))),
    "lattice": lambda rng, n, d, f: rng.integers(-1, 2, (n, d)).astype(float),
    "far": lambda rng, n, d, f: rng.normal(size=(n, d)) * np.where(rng.permutation(n)[:, None] < f, 1e6, 1.0),
    "heavy tails": lambda rng, n, d, f: rng.standard_cauchy(size=(n, d)),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "f"), [(3, 1), (5, 1), (5, 2), (7, 3), (8, 2), (9, 4)])
def test_the_factors_hold_and_none_is_less_than_that_of_minmax(kind, n, f):
    for d in (1, 2, 5):
        X = KINDS[kind](np.random.default_rng([n, f, d]), n, d, f)
        centers, radii = balls.candidates(X, f)
        if radii.min() == 0.0:
            continue
        best = rc.MinMaxMEB(f).aggregate(X).optimum.value
        for name, made in rc.RULES.items():
            if name in ("bulyan", "rbtm", "sign_majority", "centered_clip"):
                continue  # they need a larger n or more parameters, or are no point among the updates
            rule = made(f=f)
            factor = (np.linalg.norm(centers - rule(X), axis=1) / radii).max()
            assert best <= factor + 1e-8 * max(1.0, factor), name
            assert factor <= (rule.meb_factor(n, d) or np.inf) + 1e-8, name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "f"), [(3, 1), (5, 2), (7, 2), (8, 3)])
def test_the_centroid_ratios_hold_and_none_is_below_one(kind, n, f):
    for d in (1, 2, 5):
        X = KINDS[kind](np.random.default_rng([n, f, d]), n, d, f)
        candidates = np.array([X[list(T)].mean(axis=0) for T in itertools.combinations(range(n), n - f)])
        radius = rc.centroid_ball(X, f).radius
        known = {name for name, made in rc.RULES.items() if "tau" not in inspect.signature(made).parameters}
        for name in known - {"bulyan"} - ({"rbtm"} if n <= 3 * f else set()):
            rule = rc.RULES[name](f=f)
            ratio = np.linalg.norm(candidates - rule(X), axis=1).max() / radius
            assert 1 - 1e-8 <= ratio <= (rule.centroid_ratio(n, d) or np.inf) + 1e-8, name


def within(X, S, y):
    """How many radii y is from the center of the smallest ball around the rows S."""
    ball = rc.minimum_enclosing_ball(X[S])
    return np.linalg.norm(y - ball.center) / ball.radius


@pytest.mark.parametrize("x", [5.0, 50.0])
def test_theorem_6_6_for_t_large_enough(x):
    """The medoid is in B or C, sqrt(5) radii from the center of the other side. (For small t, it is in E, in both.)"""
    for t in (12, 14, 20, 40, 100):
        X, S, factor = theory.medoid_worst_case(t, x=x)
        assert X.shape == (2 * t + 1, 2) and len(S) == t + 1
        y = rc.medoid(X, t)
        assert y.tolist() == [1.0, 1.0]
        assert within(X, S, y) == pytest.approx(factor) and factor == sqrt(5) < theory.medoid_meb_factor(len(X), t)
    for t in (6, 10):  # of which it would not be true
        half = t // 2
        points, sizes = [(0, 0), (1, 1), (3, 1), (4, 0), (2, 0), (2, x)], [half - 1, half, half, half - 1, 2, 1]
        assert rc.medoid(np.repeat(np.array(points, float), sizes, axis=0)).tolist() == [2.0, 0.0]


def test_theorem_6_8_from_above():
    """sqrt(7/3 - 2/sqrt(3)) = 1.0857 is what the distance in radii tends to."""
    limit, found = sqrt(7 / 3 - 2 / sqrt(3)), []
    for t in (4, 5, 10, 50, 200):
        X, S, factor = theory.geometric_median_worst_case(t)
        assert X.shape == (3 * t - 3, 2) and len(S) == 2 * t - 3
        assert rc.minimum_enclosing_ball(X[S]).radius == pytest.approx(1.0)
        assert within(X, S, rc.geometric_median(X, t)) == pytest.approx(factor, abs=1e-6)
        found.append(factor)
    assert found == sorted(found, reverse=True) and limit < found[-1]
    assert [found[i] for i in (1, 3, 4)] == pytest.approx([1.135, 1.0893, 1.0865], abs=6e-4)
    assert theory.geometric_median_worst_case(10**5)[2] == pytest.approx(limit, abs=1e-5)


def test_theorem_6_9_for_t_large_enough():
    """The median is inside the triangle, its distance from the side between the first two corners its height there."""
    for t in (3, 4, 10, 100):
        X, S, distance = theory.convexity_worst_case(t)
        assert X.shape == (3 * t + 1, 2) and np.array_equal(np.unique(X[S], axis=0), [[0, 0], [1, 0]])
        assert rc.geometric_median(X, t) == pytest.approx(np.full(2, distance), abs=1e-6) and distance > 0
    assert theory.convexity_worst_case(10**5)[2] == pytest.approx((3 - sqrt(3)) / 6, abs=1e-5)  # Fermat's point
    for t in (1, 2):
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        assert rc.geometric_median(np.repeat(corners, [t + 1, t, t], axis=0)).tolist() == [0.0, 0.0]


# ---- Theorem 4.3 -------------------------------------------------------------------------------------------------


def test_theorem_4_3_its_balls_have_no_common_point():
    for d, y in [(2, 10.0), (3, 3.0), (4, 3.0), (5, 3.0)]:
        X = _balls(d, 1, 1, y)
        p, q, opposite, z = X[0], X[1 : d + 1], X[d + 1 : -1], X[-1]
        held = [rc.minimum_enclosing_ball(np.vstack([p, np.delete(q, i, axis=0), opposite[i]])) for i in range(d)]
        assert [ball.radius for ball in held] == pytest.approx([1.0] * d)
        held.append(rc.minimum_enclosing_ball(np.vstack([q, z])))
        centers, radii = np.array([ball.center for ball in held]), np.array([ball.radius for ball in held])
        assert rc.weighted_one_center(centers, 1 / radii).radius > 1.01


@pytest.mark.parametrize(("d", "y"), [(2, 10.0), (3, 3.0), (4, 3.0)])
def test_theorem_4_3_needs_t_minus_d_updates_in_each_group(d, y):
    """n - t updates must be left for each ball: all but one q_i and d opposite ones, or all but p and d opposite ones.

    So no group has more than t - d, and n is at most (d + 1) t - d^2 + 1. The paper's counts, t - 1 or t - 2 in each of
    the d + 1 groups, leave a point in safeMEB. (Tried: d = 2, 3, 4, t up to d + 5, up to t in each group, y from 1 to
    100. With t = d + 1, the construction has n = 2t.)
    """
    for t in (d + 2, d + 3, d + 4):
        X, S, c = theory.safe_meb_worst_case(t, d, y=y)
        assert len(X) == (d + 1) * t - d**2 + 1 == len(S) + t > 2 * t
        safe = rc.safe_meb(X, t)
        assert safe.empty and 1 - safe.margin >= c - 1e-9 > 1.01
        for group in range(t - d + 1, t):
            assert not rc.safe_meb(_balls(d, group, group, y), t).empty
        assert not rc.safe_meb(_balls(d, t - d + 1, t - d, y), t).empty
        assert not rc.safe_meb(_balls(d, t - d, t - d + 1, y), t).empty


@pytest.mark.parametrize(
    ("X", "t"),
    [
        ([[12, -17], [-52, -83], [12, -17], [12, 100], [22, 7], [8, 4], [-14, 7]], 3),
        ([[10, 5], [-30, -5], [100, -28], [-37, 96], [10, 5], [2, -21], [-30, -5], [2, -20], [2, -21], [-30, -5]], 4),
    ],
)
def test_theorem_4_3_in_the_plane_by_other_updates(X, t):
    """Found by going uphill: safeMEB is empty with n = (d + 1) t - d. (None was found with n = 3t - 1 or 3t.)"""
    X = np.array(X, float)
    assert X.shape == (3 * t - 2, 2)
    safe = rc.safe_meb(X, t)
    assert safe.empty and safe.exact and 1 - safe.margin > 1.05
    held = [rc.minimum_enclosing_ball(X[ball.members]) for ball in safe.balls]
    weights = 1 / np.array([ball.radius for ball in held])
    assert rc.weighted_one_center(np.array([ball.center for ball in held]), weights).radius > 1.05
