"""Enclosing balls and weighted one-centres: right where others are not, with a proof that can be checked."""

import balls
import ml_dtypes
import numpy as np
import pytest
from bits import same_bits
from hypothesis import given, settings
from hypothesis import strategies as st

import robustcore as rc


def assert_is_the_ball(X, gap=1e-13, w=None):
    """Its weights prove it, the others are inside, and the support alone has the same ball."""
    X = np.asarray(X)
    ball = rc.minimum_enclosing_ball(X) if w is None else rc.weighted_one_center(X, w)
    assert ball.gap <= gap
    assert (ball.weights >= 0).all() and ball.weights.sum() == pytest.approx(1.0, abs=1e-14)
    assert ball.support.tolist() == np.flatnonzero(ball.weights).tolist()
    assert ball.center.dtype == X.dtype and ball.center.shape == X[0].shape
    size = np.abs(X - X[0].astype(float)).max() or 1.0
    scaled = (X.astype(float) - X[ball.support[0]].astype(float)) / size
    value, bound = balls.proven(scaled, ball.weights, 1.0 if w is None else w)
    assert value <= bound * (1 + gap)
    assert ball.radius == pytest.approx(value * size, rel=1e-12, abs=0.0)
    return ball


def kinds(rng, n, d):
    """Point sets that hurt: the names say how."""
    line = rng.normal(size=(n, 1)) * rng.normal(size=(1, d))
    on_sphere = rng.normal(size=(n, d))
    on_sphere /= np.linalg.norm(on_sphere, axis=1, keepdims=True)
    return {
        "gaussian": rng.normal(size=(n, d)),
        "lattice": rng.integers(-1, 2, (n, d)).astype(float),
        "duplicates": rng.normal(size=(n, d))[rng.integers(0, n, n)],
        "collinear": line,
        "nearly collinear": line + 1e-10 * rng.normal(size=(n, d)),
        "on a sphere": on_sphere,
        "nearly on a sphere": on_sphere * (1 + 1e-12 * rng.normal(size=(n, 1))),
        "flat": rng.normal(size=(n, d)) * np.where(np.arange(d) < d // 2, 1.0, 1e-9),
        "offset 1e12": np.round(3 * rng.normal(size=(n, d))) + 1e12,
        "1e150": 1e150 * rng.normal(size=(n, d)),
        "1e-150": 1e-150 * rng.normal(size=(n, d)),
        "24 decades": rng.normal(size=(n, d)) * 10.0 ** rng.uniform(-12, 12, (n, 1)),
        "one point": np.full((n, d), 0.1),
    }


@pytest.mark.parametrize("kind", kinds(np.random.default_rng(0), 1, 1))
@pytest.mark.parametrize("d", [1, 2, 3, 5, 9, 20, 60])
def test_it_proves_itself_on_every_kind_of_points(kind, d):
    for seed in range(6):
        rng = np.random.default_rng([seed, d])
        for n in (1, 2, 3, d, d + 1, d + 2, 40, 300):
            assert_is_the_ball(kinds(rng, n, d)[kind])


@pytest.mark.parametrize("kind", kinds(np.random.default_rng(0), 1, 1))
@pytest.mark.parametrize("d", [1, 2, 3, 12])
def test_many_points(kind, d):
    """More than the core looks at at once: it starts from every 32nd of them."""
    rng = np.random.default_rng(d)
    X = kinds(rng, 10_000, d)[kind]
    norms = np.linalg.norm(X - X.mean(axis=0), axis=1)
    assert_is_the_ball(X)
    assert_is_the_ball(X[np.argsort(norms)])
    assert_is_the_ball(X.astype(np.float32) if kind not in ("1e150", "1e-150", "24 decades") else X[:5000])
    X[::32] = X[0]
    assert_is_the_ball(X)
    X[::32] = X[norms.argmin()]
    assert_is_the_ball(X)
    for spread in (0.5, 3, 12) if kind != "24 decades" else (3,):
        assert_is_the_ball(X, 1e-12, 10.0 ** rng.uniform(-spread / 2, spread / 2, len(X)))


@settings(max_examples=200)
@given(st.integers(1, 7), st.integers(1, 3), st.integers(0, 2**32), st.booleans())
def test_it_is_the_smallest_of_all_circumspheres(n, d, seed, lattice):
    rng = np.random.default_rng(seed)
    X = rng.integers(-2, 3, (n, d)).astype(float) if lattice else rng.normal(size=(n, d))
    center, radius = balls.minimum_enclosing_ball(X)
    ball = rc.minimum_enclosing_ball(X)
    assert ball.radius == pytest.approx(radius, rel=1e-9, abs=1e-12)
    assert np.allclose(ball.center, center, rtol=0, atol=1e-9)


def test_known_balls():
    assert rc.minimum_enclosing_ball(np.eye(3)).radius == pytest.approx(np.sqrt(2 / 3), rel=1e-15)
    for d in (2, 5, 30, 100):  # a regular simplex: all of it is support
        ball = assert_is_the_ball(np.eye(d))
        assert ball.radius == pytest.approx(np.sqrt((d - 1) / d), rel=1e-14)
        assert np.allclose(ball.weights, 1 / d, rtol=1e-9)
    cube = np.array(np.meshgrid(*[[0.0, 1.0]] * 10)).reshape(10, -1).T.copy()  # 1024 cospherical points
    assert assert_is_the_ball(cube).radius == pytest.approx(np.sqrt(10) / 2, rel=1e-14)
    assert rc.minimum_enclosing_ball(np.array([[3.0, 4.0]])).radius == 0.0
    turned = np.exp(2j * np.pi * np.arange(360) / 360)
    assert assert_is_the_ball(np.column_stack([turned.real, turned.imag])).radius == pytest.approx(1.0, rel=1e-14)


def test_near_degenerate_simplices_end():
    for height in 10.0 ** -np.arange(1, 17):
        X = np.array([[0.0, 0, 0], [1, 0, 0], [0.5, height, 0], [0.5, 0.3, height], [0.5, -0.3, height]])
        assert_is_the_ball(X)
        assert_is_the_ball(np.vstack([X, X + height]))


@pytest.mark.parametrize("n", [5, 40])
@pytest.mark.parametrize("d", [41, 700, 9000])
def test_fewer_points_than_dimensions(n, d):
    rng = np.random.default_rng([n, d])
    X = rng.normal(size=(n, d))
    X[n // 2] = X[0]
    assert_is_the_ball(X, 2e-12)
    assert_is_the_ball(X.astype(np.float32), 2e-12)
    assert_is_the_ball(X + 1e6, 1e-9)
    low = rng.normal(size=(n, 3))
    ball = rc.minimum_enclosing_ball(low @ np.linalg.qr(rng.normal(size=(d, 3)))[0].T)
    assert ball.radius == pytest.approx(rc.minimum_enclosing_ball(low).radius, rel=1e-12)


@pytest.mark.parametrize("apart", 10.0 ** -np.arange(7, 17))
def test_near_copies_in_many_dimensions(apart):
    """What D cannot tell apart must not be divided by: the same points, twice, are more than dimensions."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(3, 8))[[0, 0, 1, 1, 2]] + apart * rng.normal(size=(5, 8))
        radius = rc.minimum_enclosing_ball(np.vstack([X, X])).radius
        assert rc.minimum_enclosing_ball(X).radius == pytest.approx(radius, rel=1e-13)
        short = X.astype(np.float32)
        r = rc.MEBCenter().aggregate(short)
        exact = rc.minimum_enclosing_ball(np.vstack([short, short]).astype(float)).radius
        assert np.linalg.norm(short - r.weights @ short, axis=1).max() == pytest.approx(exact, rel=1e-12)


def test_many_points_of_any_structure_need_no_matrix_of_distances():
    X = np.random.default_rng(0).normal(size=(40_000, 2))
    assert rc.minimum_enclosing_ball(list(X)).radius == rc.minimum_enclosing_ball(X).radius
    halves = [[x[:1], x[1:]] for x in X.astype(ml_dtypes.bfloat16)[:500]]
    flat = np.array([np.concatenate(x) for x in halves])
    assert rc.minimum_enclosing_ball(halves).radius == rc.minimum_enclosing_ball(flat).radius


def test_masked_points_are_refused():
    with pytest.raises(TypeError, match="masked"):
        rc.minimum_enclosing_ball(np.ma.masked_greater([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [99.0, 99.0]], 50))


def test_any_structure():
    X = np.random.default_rng(0).normal(size=(6, 5))
    ball = rc.minimum_enclosing_ball([{"w": x[:4].reshape(2, 2), "b": x[4:]} for x in X])
    plain = rc.minimum_enclosing_ball(X)
    assert np.allclose(ball.center["w"].ravel(), plain.center[:4]) and np.allclose(ball.center["b"], plain.center[4:])
    assert ball.radius == pytest.approx(plain.radius, rel=1e-12)
    assert rc.minimum_enclosing_ball([[0.0, 1.0], [4.0, 1.0], [1.0, 2.0]]).center.tolist() == [2.0, 1.0]
    for dtype in (np.float16, np.float32, ">f8"):
        made = rc.minimum_enclosing_ball(X.astype(dtype)[:, ::2])
        assert made.center.dtype == np.dtype(dtype)


@pytest.mark.parametrize("shape", [(7, 3), (7, 30)])
def test_points_that_are_not_finite_are_left_out_while_they_are_few(shape):
    X = np.random.default_rng(0).normal(size=shape)
    whole = rc.minimum_enclosing_ball(np.delete(X, [1, 4, 5], axis=0))
    X[1, 0], X[4, 2], X[5] = np.nan, np.inf, -np.inf
    ball = rc.minimum_enclosing_ball(X)
    assert ball.radius == whole.radius and ball.dropped == dict.fromkeys([1, 4, 5], "not finite")
    assert (ball.weights[[1, 4, 5]] == 0).all() and not set(ball.support) & {1, 4, 5}
    assert rc.weighted_one_center(X, np.ones(7)).radius == pytest.approx(whole.radius, rel=1e-14)
    many = np.random.default_rng(1).normal(size=(5000, 2))
    whole = rc.minimum_enclosing_ball(many)
    for i in (32, 33):  # whether among those it starts from or not
        ball = rc.minimum_enclosing_ball(np.insert(many, i, np.inf, axis=0))
        assert ball.radius == pytest.approx(whole.radius, rel=1e-15) and list(ball.dropped) == [i]
    X[0] = np.nan
    with pytest.raises(rc.ConstraintError, match="4 of 7 updates cannot be used, more than a minority of 7"):
        rc.minimum_enclosing_ball(X)


@pytest.mark.parametrize("shape", [(600_011, 2), (120_011, 9), (30_011, 40), (12, 20_000)])
def test_same_bits_for_every_number_of_threads_and_instruction_set(shape, on_every_isa):
    X = np.random.default_rng(0).normal(size=shape)

    def compute():
        found = []
        for threads in (1, 2, 7):
            with rc.num_threads(threads):
                found.append(rc.minimum_enclosing_ball(X))
        return found

    first, *others = [ball for per_isa in on_every_isa(compute) for ball in per_isa]
    for ball in others:
        assert ball.radius == first.radius and ball.gap == first.gap
        assert same_bits(ball.center, first.center) and same_bits(ball.weights, first.weights)


def test_it_moves_turns_and_grows_with_the_points():
    rng = np.random.default_rng(0)
    for n, d in ((50, 4), (8, 30)):
        X, Q = rng.normal(size=(n, d)), np.linalg.qr(rng.normal(size=(d, d)))[0]
        ball, order = rc.minimum_enclosing_ball(X), rng.permutation(n)
        moved = rc.minimum_enclosing_ball(3.0 * X[order] @ Q + 7.0)
        assert moved.radius == pytest.approx(3.0 * ball.radius, rel=1e-13)
        assert np.allclose(moved.center, 3.0 * ball.center @ Q + 7.0, rtol=0, atol=1e-12)
        assert set(order[moved.support]) == set(ball.support)


# ---- weights ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.5, 3, 12])
@pytest.mark.parametrize("kind", kinds(np.random.default_rng(0), 1, 1))
def test_weighted_centers_prove_themselves(kind, spread):
    if kind == "24 decades" and spread == 12:
        pytest.skip("36 decades in one problem are more than float64 has digits for")
    for seed in range(4):
        for d in (1, 2, 7, 19):
            for n in (1, 2, 3, d + 1, 60):
                rng = np.random.default_rng([seed, d, n])
                assert_is_the_ball(kinds(rng, n, d)[kind], 1e-12, 10.0 ** rng.uniform(-spread / 2, spread / 2, n))


def test_weighted_centers_against_another_solver():
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, w = rng.normal(size=(12, 3)), rng.uniform(0.3, 3.0, 12)
        ball = rc.weighted_one_center(X, w)
        found = optimize.minimize(
            lambda z: z[3],
            np.append(X.mean(axis=0), 10.0),
            method="SLSQP",
            constraints={"type": "ineq", "fun": lambda z, X=X, w=w: z[3] ** 2 - w**2 * ((X - z[:3]) ** 2).sum(axis=1)},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert ball.radius == pytest.approx(found.x[3], rel=1e-6)
        assert np.allclose(ball.center, found.x[:3], atol=1e-4)


def test_equal_weights_are_a_ball_and_weights_have_no_scale():
    for shape in ((30, 4), (9, 40)):
        X, w = np.random.default_rng(0).normal(size=shape), np.random.default_rng(1).uniform(1, 9, shape[0])
        assert rc.weighted_one_center(X, np.full(shape[0], 2.0)).radius == pytest.approx(
            2.0 * rc.minimum_enclosing_ball(X).radius, rel=1e-13
        )
        for unit in (1e150, 1e-150, 2.0**-1060):
            assert rc.weighted_one_center(X, unit * w).radius == pytest.approx(
                unit * rc.weighted_one_center(X, w).radius, rel=1e-13 if unit > 1e-300 else 1e-3
            )


def test_kissing_discs():
    """Three equal discs that touch: the point between them is 2 / sqrt(3) radii from their centers (Theorem 5.4)."""
    centers = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, np.sqrt(3.0)]])
    assert rc.weighted_one_center(centers, np.ones(3)).radius == pytest.approx(2 / np.sqrt(3), rel=1e-15)


@pytest.mark.parametrize(
    ("w", "error", "says"),
    [
        ([1.0, 2.0], ValueError, "one weight for each of the 3 points; w has the shape (2,)"),
        ([1.0, 0.0, 1.0], ValueError, "positive finite weights; w[1] is 0.0"),
        ([1.0, np.nan, 1.0], ValueError, "positive finite weights; w[1] is nan"),
        ([1.0, [2.0], 1.0], TypeError, "weighted_one_center needs w to be 3 positive numbers, not [1.0, [2.0], 1.0]"),
        ("abc", TypeError, "weighted_one_center needs w to be 3 positive numbers, not 'abc'"),
        (None, TypeError, "weighted_one_center needs w to be 3 positive numbers, not None"),
        ([1.0, 1e-120, 1.0], ValueError, "within 1e+50 of each other"),
    ],
)
def test_weights_that_are_none(w, error, says):
    with pytest.raises(error) as caught:
        rc.weighted_one_center(np.eye(3)[:, :2], w)
    assert says in str(caught.value)


def test_center_of_all_updates():
    X = np.random.default_rng(0).normal(size=(9, 50))
    r = rc.MEBCenter().aggregate(X)
    assert r.gap < 1e-12 and np.allclose(r.value, rc.minimum_enclosing_ball(X).center, atol=1e-12)
    X[3] = np.nan
    assert np.allclose(rc.meb_center(X), rc.minimum_enclosing_ball(np.delete(X, 3, axis=0)).center, atol=1e-12)
    for far in (1e200, 1e307):  # the farthest alone decides
        X[5, 0] = far
        assert rc.meb_center(X)[0] == pytest.approx(far / 2, rel=1e-9)
        assert rc.minimum_enclosing_ball(X).radius == pytest.approx(far / 2, rel=1e-12)
    tiny = 1e-15 * np.random.default_rng(0).normal(size=(5, 4))
    tiny[3, 0] = 1e300  # in units of the others, that is more than float64 can say
    assert rc.meb_center(tiny)[0] == pytest.approx(5e299, rel=1e-9)
