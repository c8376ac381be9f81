"""The ball of all centroids: against trying them all, what no motion changes, the paper's facts, and hostile input."""

import itertools

import balls
import numpy as np
import pytest
from bits import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import robustcore as rc
from robustcore import Budget

GAP = 2e-12


def proven(X, ball, unit=1.0):
    """(radius of the farthest centroid that decides, lower bound) of the ball's own shares, for points in that unit."""
    X = (np.asarray(X, float) - X[0].astype(float)) / unit
    C = np.array([X[subset].mean(axis=0) for subset in ball.subsets])
    value, bound = balls.proven(C, ball.shares)
    return value * unit, bound * unit


def assert_is_the_ball(X, f, gap=GAP, **options):
    """Its shares prove it, its weights are theirs, and what it says of itself fits together."""
    X = np.asarray(X)
    n, ball = len(X), rc.centroid_ball(X, f, **options)
    assert 0.0 <= ball.gap <= gap
    assert ball.subsets.shape == (len(ball.shares), n - f) and ball.subsets.dtype == np.int64
    rows = ball.subsets.tolist()
    assert all(row == sorted(set(row)) for row in rows)
    assert all(before < after for before, after in itertools.pairwise(rows))
    assert (ball.shares > 0).all() and ball.shares.sum() == pytest.approx(1.0, abs=1e-14)
    weights = sum(share * np.isin(np.arange(n), row) / (n - f) for share, row in zip(ball.shares, rows, strict=True))
    assert np.allclose(ball.weights, weights, rtol=0, atol=1e-15)
    assert ball.center.dtype == X.dtype and ball.center.shape == X[0].shape
    unit = np.abs(X - X[0].astype(float)).max() or 1.0
    value, bound = proven(X, ball, unit)
    assert value <= ball.radius * (1 + 1e-12) and ball.radius <= bound * (1 + gap + 1e-12)
    return ball


def kinds(rng, n, d):
    line = rng.normal(size=(n, 1)) * rng.normal(size=(1, d))
    return {
        "gaussian": rng.normal(size=(n, d)),
        "clusters": rng.normal(size=(3, d))[rng.integers(0, 3, n)] + 1e-3 * rng.normal(size=(n, d)),
        "lattice": rng.integers(-1, 2, (n, d)).astype(float),
        "duplicates": rng.normal(size=(n, d))[rng.integers(0, max(n // 2, 1), n)],
        "line": line,
        "nearly a line": line + 1e-9 * rng.normal(size=(n, d)),
        "outliers": rng.normal(size=(n, d)) * np.where(np.arange(n) < n // 3, 100.0, 1.0)[:, np.newaxis],
        "far away": np.round(64 * rng.normal(size=(n, d))) / 64 + 1e6,
        "one point": np.full((n, d), 0.1),
    }


@pytest.mark.parametrize("kind", kinds(np.random.default_rng(0), 1, 1))
@pytest.mark.parametrize("d", [1, 3, 12])
def test_against_the_ball_of_all_centroids(kind, d):
    for n in (1, 2, 5, 8, 10):
        for f in range(n):
            X = kinds(np.random.default_rng([n, f, d]), n, d)[kind]
            ball, C = assert_is_the_ball(X, f), balls.centroids(X - X[0], f)
            size = np.abs(X - X[0]).max()
            assert ball.radius == pytest.approx(rc.minimum_enclosing_ball(C).radius, rel=1e-11, abs=1e-13 * size)
            farthest = np.linalg.norm(C - ball.weights @ (X - X[0]), axis=1).max()
            assert farthest <= ball.radius * (1 + GAP) + 1e-14 * size


@settings(max_examples=150)
@given(st.integers(1, 7), st.integers(1, 3), st.integers(0, 2**32), st.booleans())
def test_it_is_the_smallest_of_all_circumspheres(n, d, seed, lattice):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, (n, d)).astype(float) if lattice else rng.normal(size=(n, d))
    f = int(rng.integers(0, n))
    C = np.unique(balls.centroids(X, f).round(12), axis=0)
    ball = assert_is_the_ball(X, f)
    if len(C) <= 12:
        center, radius = balls.minimum_enclosing_ball(C)
        assert ball.radius == pytest.approx(radius, rel=1e-9, abs=1e-11)
        assert np.allclose(ball.center, center, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n", "f", "d"), [(40, 6, 200), (50, 16, 10), (50, 34, 4), (100, 20, 5), (200, 2, 30)])
def test_sizes_that_nobody_can_try(n, f, d):
    X = np.random.default_rng([n, f]).normal(size=(n, d))
    X[: f // 2] *= 3
    ball = assert_is_the_ball(X, f)
    rng = np.random.default_rng(0)
    centroids = [X[rng.permutation(n)[f:]].mean(axis=0) for _ in range(1000)]
    for _ in range(100):  # and some that are far out
        centroids.append(X[np.argsort(X @ rng.normal(size=d))[f:]].mean(axis=0))
    assert np.linalg.norm(np.array(centroids) - ball.center, axis=1).max() <= ball.radius * (1 + GAP)


@pytest.mark.parametrize(("n", "f"), [(30, 10), (50, 25), (50, 40), (200, 60), (150, 100)])
def test_where_all_centroids_lie_on_the_sphere(n, f):
    """A regular simplex: the center is the mean of all, and any centroid is as far from it as any other."""
    ball = assert_is_the_ball(np.eye(n), f, 1e-11)
    assert ball.radius == pytest.approx(np.sqrt(f / (n * (n - f))), rel=1e-12)
    assert np.allclose(ball.center, 1 / n, rtol=1e-6)


# ---- what the paper says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "f"), [(4, 1), (10, 3), (31, 10), (100, 33)])
def test_lemma_4_13(n, f):
    """f vectors e_1, the others 0: the farthest centroids are 0 and f / (n - f) e_1."""
    X = np.zeros((n, 5))
    X[n - f :, 0] = 1.0
    ball = assert_is_the_ball(X, f)
    assert ball.radius == pytest.approx(f / (n - f) / 2, rel=1e-13)
    assert np.allclose(ball.center, [f / (n - f) / 2, 0, 0, 0, 0], rtol=1e-13, atol=0)


@pytest.mark.parametrize(("d", "t"), [(1, 2), (3, 2), (5, 4)])
def test_theorem_4_1(d, t):
    """t + 1 vectors 0 and d groups of t at (x, 0, ..., 0): twice the radius is t / (dt + 1) x."""
    X = np.zeros(((d + 1) * t + 1, d))
    X[t + 1 :, 0] = 7.0
    assert assert_is_the_ball(X, t).radius == pytest.approx(7.0 * t / (d * t + 1) / 2, rel=1e-13)


def test_observation_3_5():
    """The true centroid is inside, however many of the clients are honest, and wherever the others are."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        n = int(rng.integers(4, 25))
        t = int(rng.integers(1, (n + 2) // 3))
        liars = int(rng.integers(0, t + 1))
        X = rng.normal(size=(n, 6))
        X[:liars] *= 10.0 ** rng.uniform(-1, 3)
        ball = rc.centroid_ball(X, t)
        assert np.linalg.norm(X[liars:].mean(axis=0) - ball.center) <= ball.radius * (1 + GAP)


def test_without_liars_it_is_the_mean_and_with_all_but_one_the_ball_of_the_points():
    X = np.random.default_rng(0).normal(size=(12, 5))
    ball = rc.centroid_ball(X, 0)
    assert ball.radius == ball.gap == 0.0 and np.allclose(ball.center, X.mean(axis=0), rtol=0, atol=1e-15)
    assert ball.subsets.tolist() == [list(range(12))] and ball.shares.tolist() == [1.0]
    ball, whole = rc.centroid_ball(X, 11), rc.minimum_enclosing_ball(X)
    assert ball.radius == pytest.approx(whole.radius, rel=1e-13)
    assert ball.subsets.ravel().tolist() == whole.support.tolist() and np.allclose(ball.weights, whole.weights)


# ---- what does not matter --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "f", "d"), [(12, 3, 4), (20, 6, 50), (15, 11, 3)])
def test_it_moves_turns_and_grows_with_the_points(n, f, d):
    rng = np.random.default_rng([n, d])
    X, Q, order = rng.normal(size=(n, d)), np.linalg.qr(rng.normal(size=(d, d)))[0], rng.permutation(n)
    ball = rc.centroid_ball(X, f)
    moved = rc.centroid_ball(3.0 * X[order] @ Q + 7.0, f)
    assert moved.radius == pytest.approx(3.0 * ball.radius, rel=1e-11)
    assert np.allclose(moved.center, 3.0 * ball.center @ Q + 7.0, rtol=0, atol=1e-5)
    assert sorted(sorted(order[row]) for row in moved.subsets) == ball.subsets.tolist()
    for exponent in (-900, -60, 60, 900):
        scaled = rc.centroid_ball(np.ldexp(X, exponent), f)
        assert scaled.radius == pytest.approx(np.ldexp(ball.radius, exponent), rel=1e-11)
        assert np.allclose(scaled.center, np.ldexp(ball.center, exponent), rtol=1e-5, atol=np.ldexp(1e-6, exponent))


@pytest.mark.parametrize(("n", "f", "d"), [(40, 8, 300), (50, 16, 10), (60, 30, 3)])
def test_same_bits_for_every_number_of_threads_and_instruction_set(n, f, d, on_every_isa):
    X = np.random.default_rng([n, f]).normal(size=(n, d))

    def compute():
        found = []
        for threads in (1, 2, 7):
            with rc.num_threads(threads):
                found.append(rc.centroid_ball(X, f))
        return found

    first, *others = [ball for per_isa in on_every_isa(compute) for ball in per_isa]
    for ball in others:
        assert ball.radius == first.radius and ball.gap == first.gap
        for name in ("center", "weights", "subsets", "shares"):
            assert same_bits(getattr(ball, name), getattr(first, name))


def test_any_structure_and_dtype():
    X = np.random.default_rng(0).normal(size=(9, 5))
    plain = rc.centroid_ball(X, 2)
    ball = rc.centroid_ball([{"w": x[:4].reshape(2, 2), "b": x[4:]} for x in X], 2)
    assert same_bits(np.append(ball.center["w"].ravel(), ball.center["b"]), plain.center)
    assert rc.centroid_ball([[0.0], [0.0], [0.0], [3.0]], 1).center.tolist() == [0.5]
    for dtype in (np.float16, np.float32, ">f8"):
        assert assert_is_the_ball(X.astype(dtype)[:, ::2], 2).center.dtype == np.dtype(dtype)


def test_float32_is_seen_as_it_is():
    """Also where the points are close together and far from the origin."""
    X = (1e4 + 1e-2 * np.random.default_rng(0).normal(size=(15, 40))).astype(np.float32)
    ball, wide = rc.centroid_ball(X, 4), rc.centroid_ball(X.astype(float), 4)
    assert ball.radius == pytest.approx(wide.radius, rel=1e-12)
    assert np.allclose(ball.weights, wide.weights, rtol=0, atol=1e-6)


# ---- hostile input ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_outliers(dtype):
    X = np.random.default_rng(0).normal(size=(11, 6)).astype(dtype)
    X[2] *= dtype(1e30)
    ball = assert_is_the_ball(X, 3, 1e-11)
    assert ball.radius == pytest.approx(np.linalg.norm(X[2].astype(float)) / 16, rel=1e-6)
    if dtype is np.float64:
        for far in (1e200, 1e307):
            X[2] = [far, 0, 0, 0, 0, 0]
            ball = rc.centroid_ball(X, 3)
            assert ball.radius == pytest.approx(far / 16, rel=1e-12) and ball.gap <= 1e-11
            assert ball.center[0] == pytest.approx(far / 16, rel=1e-12)


def test_points_that_are_not_finite_count_against_f():
    X = np.random.default_rng(0).normal(size=(12, 5))
    whole, others = rc.centroid_ball(np.delete(X, [1, 7], axis=0), 2), np.delete(np.arange(12), [1, 7])
    X[1, 0], X[7] = np.nan, np.inf
    ball = rc.centroid_ball(X, 4)
    assert ball.dropped == dict.fromkeys([1, 7], "not finite") and ball.radius == whole.radius
    assert same_bits(ball.subsets, others[whole.subsets]) and same_bits(ball.shares, whole.shares)
    assert (ball.weights[[1, 7]] == 0).all() and same_bits(ball.weights[others], whole.weights)
    assert rc.centroid_ball(X, 2).radius == 0.0
    with pytest.raises(rc.ConstraintError, match="centroid_ball: 2 of 12 updates cannot be used, more than f = 1"):
        rc.centroid_ball(X, 1)
    with pytest.raises(rc.ConstraintError, match="3 of 3 updates cannot be used, more than f = 2"):
        rc.centroid_ball(np.full((3, 2), np.nan), 2)


@pytest.mark.parametrize(
    ("f", "error", "says"),
    [
        (4, rc.ConstraintError, "centroid_ball needs n > f; here n = 4 and f = 4 (with n = 4, f can be at most 3)"),
        (-1, rc.ConstraintError, "centroid_ball needs f >= 0; here f = -1"),
        (1.5, TypeError, "centroid_ball: f must be a whole number, not 1.5"),
    ],
)
def test_numbers_that_do_not_fit(f, error, says):
    with pytest.raises(error) as caught:
        rc.centroid_ball(np.eye(4), f)
    assert says in str(caught.value)


def test_budgets_that_are_none():
    with pytest.raises(TypeError, match="centroid_ball: budget must be a number of seconds, a Budget or None"):
        rc.centroid_ball(np.eye(4), 1, budget="much")
    with pytest.raises(ValueError, match="centroid_ball: budget must be a finite number > 0"):
        rc.centroid_ball(np.eye(4), 1, budget=0.0)


# ---- budgets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "f", "d"), [(30, 8, 100), (30, 22, 100), (60, 20, 3)])
def test_whatever_the_budget_the_ball_holds_all_and_the_gap_is_true(n, f, d):
    X = np.random.default_rng([n, f]).normal(size=(n, d))
    best = rc.centroid_ball(X, f)
    gaps = []
    for steps in (1, 10, 100, 1000, 3000, 10**7):
        ball = assert_is_the_ball(X, f, np.inf, budget=Budget(steps=steps))
        again = rc.centroid_ball(X, f, budget=Budget(steps=steps))
        assert (ball.radius, ball.gap) == (again.radius, again.gap) and same_bits(ball.weights, again.weights)
        assert ball.radius / (1 + ball.gap) <= best.radius * (1 + GAP)
        C = np.array([X[subset].mean(axis=0) for subset in best.subsets])
        assert np.linalg.norm(C - ball.center, axis=1).max() <= ball.radius * (1 + GAP)
        gaps.append(ball.gap)
    assert np.isfinite(gaps).all() and gaps[-1] <= GAP


def test_time_is_up():
    X = np.random.default_rng(0).normal(size=(60, 1000))
    ball = rc.centroid_ball(X, 28, budget=0.05)
    assert 0.0 < ball.gap < 1.0
    rng = np.random.default_rng(0)
    C = np.array([X[rng.permutation(60)[28:]].mean(axis=0) for _ in range(100)])
    assert np.linalg.norm(C - ball.center, axis=1).max() <= ball.radius
