"""What the paper on validity in enclosing balls says of rules and of safeMEB, where it can be computed."""

from math import sqrt

import balls
import numpy as np
import pytest

import robustcore as rc

KINDS = {
    "gaussian": lambda rng, n, d, f: rng.normal(size=(n, d)),
    "clustered": lambda rng, n, d, f: rng.normal(size=(n, d)) + 5 * (rng.permutation(n) < f)[:, None],
    "together": lambda rng, n, d, f: np.where(rng.permutation(n)[:, None] < f, 2.0, rng.normal(size=(n, d))),
    "lattice": lambda rng, n, d, f: rng.integers(-1, 2, (n, d)).astype(float),
    "far": lambda rng, n, d, f: rng.normal(size=(n, d)) * np.where(rng.permutation(n)[:, None] < f, 1e6, 1.0),
    "heavy tails": lambda rng, n, d, f: rng.standard_cauchy(size=(n, d)),
}
# Theorems 6.4, 6.5 and 6.7
FACTORS = {
    "mda": lambda n, f: 1 + 2 * f / (n - f),
    "medoid": lambda n, f: (3 * n - 2 * f) / (n - 2 * f),
    "geometric_median": lambda n, f: 2 * (n - f) / (n - 2 * f),
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
        for name, rule in rc.RULES.items():
            if name in ("bulyan", "rbtm", "sign_majority", "monna", "centered_clip") and name not in FACTORS:
                continue  # they need a larger n or more parameters, or are no point among the updates
            y = rule(f=f).aggregate(X).value
            factor = (np.linalg.norm(centers - y, axis=1) / radii).max()
            assert best <= factor + 1e-8 * max(1.0, factor), name
            assert factor <= FACTORS.get(name, lambda n, f: np.inf)(n, f) + 1e-8, name


def groups(*of):
    return np.concatenate([np.repeat([point], count, axis=0) for point, count in of]).astype(float)


def theorem_6_6(t, x):
    half = t // 2
    return groups(((0, 0), half - 1), ((1, 1), half), ((3, 1), half), ((4, 0), half - 1), ((2, 0), 2), ((2, x), 1))


@pytest.mark.parametrize("x", [5.0, 50.0])
def test_theorem_6_6_for_t_large_enough(x):
    """The medoid is in B or C, sqrt(5) radii from the center of the other side. (For small t, it is in E, in both.)"""
    for t in (6, 10):
        assert rc.medoid(theorem_6_6(t, x)).tolist() == [2.0, 0.0]
    for t in (20, 40):
        X = theorem_6_6(t, x)
        assert len(X) == 2 * t + 1
        y = rc.medoid(X)
        assert y.tolist() in ([1.0, 1.0], [3.0, 1.0])
        other = groups(((4 - 2 * (y[0] > 2) * 2, 0), t // 2 - 1), ((4 - y[0], 1), t // 2), ((2, 0), 2))
        ball = rc.minimum_enclosing_ball(other)
        assert len(other) == t + 1 and ball.radius == pytest.approx(1.0)
        assert np.linalg.norm(y - ball.center) == pytest.approx(sqrt(5))


def theorem_6_8(t, x=10.0):
    return groups(((0, 0), 1), ((1, 1), t - 2), ((3, 1), t - 2), ((4, 0), 1), ((2, 0), t - 2), ((2, x), 1))


def test_theorem_6_8_from_above():
    """sqrt(7/3 - 2/sqrt(3)) = 1.0857 is what the distance in radii tends to."""
    found = []
    for t, expected in [(5, 1.135), (50, 1.0893), (200, 1.0865)]:
        X = theorem_6_8(t)
        assert len(X) == 3 * t - 3
        ball = rc.minimum_enclosing_ball(groups(((0, 0), 1), ((1, 1), t - 2), ((2, 0), t - 2)))
        assert ball.radius == pytest.approx(1.0)
        found.append(np.linalg.norm(rc.geometric_median(X) - ball.center))
        assert found[-1] == pytest.approx(expected, abs=6e-4)
    assert found[0] > found[1] > found[2] > sqrt(7 / 3 - 2 / sqrt(3))


# ---- Theorem 4.3 -------------------------------------------------------------------------------------------------


def theorem_4_3(d, common, each, y):
    """d unit balls with one point p in common, any d - 1 of them with another, q_i, and a large ball through all q_i.

    ``common`` updates in p and ``each`` in every q_i; one opposite p in each unit ball, and one opposite the q_i in the
    large ball around y (1, ..., 1).
    """
    ones, units = np.ones(d), np.eye(d)
    p, q = ones / sqrt(d * (d - 1)), (sqrt(d) + 1) / (d - 1) ** 1.5 * (ones - units)
    opposite = 2 * sqrt(d / (d - 1)) * units - p
    z = y * ones + np.linalg.norm(y * ones - q[0]) * ones / sqrt(d)
    return groups((p, common), *((at, each) for at in q), *((at, 1) for at in opposite), (z, 1))


def test_theorem_4_3_its_balls_have_no_common_point():
    for d, y in [(2, 10.0), (3, 3.0), (4, 3.0), (5, 3.0)]:
        X = theorem_4_3(d, 1, 1, y)
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
        X = theorem_4_3(d, t - d, t - d, y)
        assert len(X) == (d + 1) * t - d**2 + 1 > 2 * t
        assert rc.safe_meb(X, t).empty
        for group in range(t - d + 1, t):
            assert not rc.safe_meb(theorem_4_3(d, group, group, y), t).empty
        assert not rc.safe_meb(theorem_4_3(d, t - d + 1, t - d, y), t).empty
        assert not rc.safe_meb(theorem_4_3(d, t - d, t - d + 1, y), t).empty


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
