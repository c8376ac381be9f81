"""MDA: what no scale, motion or order changes, what the paper promises, ties, budgets and hostile input."""

import itertools

import nspace
import numpy as np
import pytest
import twins
from bits import same_bits

import robustcore as rc
from robustcore import Budget

F32, F64 = np.float32, np.float64
SIZES = [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2), (8, 3), (11, 5)]


def gaussian(n, d=4, seed=0):
    return np.random.default_rng([seed, n, d]).normal(size=(n, d))


def subset(X, f, **more):
    return rc.minimum_diameter_subset(X, f, **more).tolist()


@pytest.mark.parametrize(("n", "f"), SIZES)
@pytest.mark.parametrize("dtype", [F32, F64])
@pytest.mark.parametrize("d", [1, 2, 5])
def test_against_the_twin(n, f, dtype, d):
    for seed in range(5):
        X = gaussian(n, d, seed).astype(dtype)
        expected, diameter = nspace.minimum_diameter_subset(twins.pairwise_sqdist(X), f)
        r = rc.MDA(f).aggregate(X)
        assert r.selected.tolist() == subset(X, f) == expected
        assert r.selected.dtype == rc.minimum_diameter_subset(X, f).dtype == np.int64
        assert r.optimum.exact and r.optimum.value == pytest.approx(diameter**0.5, rel=1e-6 if dtype is F32 else 1e-13)
        assert same_bits(r.weights[expected], np.full(n - f, 1 / (n - f)))
        assert np.allclose(r.value, X[expected].mean(axis=0), rtol=0, atol=1e-6 if dtype is F32 else 1e-14)
        assert same_bits(r.value, rc.mda(X, f))


# ---- what the papers say ----------------------------------------------------------------------------------------


def enclosing_ball(points):
    """Centre and radius of the smallest ball: of the balls that few points span, the smallest that holds all."""
    best = points[0], np.inf
    for count in range(1, min(len(points), points.shape[1] + 1) + 1):
        for chosen in itertools.combinations(points, count):
            edges = np.array(chosen[1:]) - chosen[0] if count > 1 else np.zeros((0, points.shape[1]))
            share = np.linalg.lstsq(2 * edges @ edges.T, (edges**2).sum(axis=1), rcond=None)[0]
            center = chosen[0] + share @ edges
            radius = np.linalg.norm(points - center, axis=1).max()
            if radius < best[1] * (1 - 1e-12):
                best = center, radius
    return best


def test_the_ball_of_a_triangle_and_of_a_line():
    center, radius = enclosing_ball(np.array([[0.0, 0.0], [4.0, 0.0], [2.0, 0.5]]))
    assert center.tolist() == [2.0, 0.0] and radius == 2.0
    center, radius = enclosing_ball(np.array([[1.0, 0.0], [-0.5, 0.75**0.5], [-0.5, -(0.75**0.5)]]))
    assert np.allclose(center, 0.0, atol=1e-15) and radius == pytest.approx(1.0)


@pytest.mark.parametrize(("n", "t"), [(3, 1), (5, 2), (6, 1), (7, 3), (8, 3)])
@pytest.mark.parametrize("attack", ["none", "together", "beside", "far"])
def test_theorem_6_4_of_the_validity_paper(n, t, attack):
    """Within (1 + 2t/(n-t)) r_H of the centre of the smallest ball around H, for every H of n - t of the updates."""
    for seed in range(4):
        X = gaussian(n, 2, seed)
        moved = {"none": 0.0, "together": X[-1] * 2, "beside": 1.8 * X[:t], "far": 1e6}[attack]
        X[:t] = X[:t] if attack == "none" else moved + 1e-3 * X[:t]
        y = rc.mda(X, t)
        for H in itertools.combinations(range(n), n - t):
            center, radius = enclosing_ball(X[list(H)])
            assert np.linalg.norm(y - center) <= (1 + 2 * t / (n - t)) * radius * (1 + 1e-9)


def test_definition_4_8_of_the_agreement_paper_and_its_attack():
    """Lemma 4.12: t = 2 attackers beside the n - 2t equal updates are chosen with them, and leave the box."""
    X = np.array([[0.0, 0.0]] * 5 + [[1.0, 0.0]] * 2 + [[0.0, 0.999]] * 2)
    assert subset(X, 2) == [0, 1, 2, 3, 4, 7, 8]
    assert rc.mda(X, 2)[1] > 0


# ---- what changes nothing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "f"), [(7, 2), (12, 5), (40, 15)])
def test_permutations_translations_rotations_and_scales(n, f):
    """Permutations leave the diameter as it is; the subset, where several have it, goes by the order of clients."""
    for seed in range(5):
        X = gaussian(n, 3, seed)
        X[seed % n] *= 3
        found, value = subset(X, f), rc.mda(X, f)
        order = np.random.default_rng(seed).permutation(n)
        assert rc.MDA(f).aggregate(X[order]).optimum == rc.MDA(f).aggregate(X).optimum
        turn = np.linalg.qr(gaussian(3))[0]
        for other, expected in [(X + 1e4, value + 1e4), (X @ turn, value @ turn), (-X, -value), (X * 3, value * 3)]:
            assert subset(other, f) == found
            assert np.allclose(rc.mda(other, f), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("exponent", [-1070, -1000, -600, -540, -300, 300, 500, 600, 1000])
def test_powers_of_two_change_nobody(exponent):
    """Not where squares vanish, nor where they overflow; whole numbers survive as subnormal ones."""
    for seed in range(5):
        X = np.random.default_rng(seed).integers(-6, 7, size=(12, 3)).astype(F64)
        assert subset(np.ldexp(X, exponent), 4) == subset(X, 4)
        value = rc.MDA(4).aggregate(np.ldexp(X, exponent)).optimum.value
        if exponent >= -1000:
            assert value == np.ldexp(rc.MDA(4).aggregate(X).optimum.value, exponent)


def test_every_scale_at_once():
    """Three clusters whose squares vanish, fit and overflow."""
    for sizes, f in [((7, 2, 2), 4), ((4, 5, 2), 4), ((3, 3, 5), 5), ((3, 4, 4), 4)]:
        scale = np.repeat([1e-200, 1.0, 1e200], sizes)
        X = gaussian(11, 2, f) * scale[:, None]
        exact = twins.exact_sqdist(X)
        assert subset(X, f) == nspace.minimum_diameter_subset(exact, f)[0]


@pytest.mark.parametrize("dtype", [F32, F64])
def test_far_attackers_are_left_out(dtype):
    for far in (1e4, 1e18, 1e30, *((1e100, 1e160, 1e300) if dtype is F64 else ())):
        X = gaussian(11).astype(dtype)
        X[[1, 4, 6, 9]] = far * gaussian(4, 4, 1)
        r = rc.MDA(4).aggregate(X)
        assert r.selected.tolist() == [0, 2, 3, 5, 7, 8, 10]
        assert same_bits(r.value, rc.mean(X[r.selected]))
        assert r.optimum.value < 10


# ---- ties and duplicates --------------------------------------------------------------------------------------


def test_of_equal_diameters_the_first_subset_in_lexicographic_order():
    square = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    assert subset(square, 1) == [0, 1, 2]
    assert subset(np.repeat(square, 2, axis=0), 3) == [0, 1, 2, 3, 4]
    assert subset(np.array([[0.0], [1.0], [2.0]]), 1) == [0, 1]
    assert subset(np.array([[2.0], [0.0], [1.0]]), 1) == [0, 2]
    assert subset(np.zeros((9, 3)), 4) == [0, 1, 2, 3, 4]


def test_equal_updates_give_that_update():
    x = gaussian(1, 900)[0]
    for n, f in [(1, 0), (4, 1), (7, 3)]:
        r = rc.MDA(f).aggregate(np.tile(x, (n, 1)))
        assert same_bits(r.value, x) and r.optimum.value == 0.0 and r.optimum.exact


def test_f_0_is_the_mean():
    X = gaussian(8)
    assert same_bits(rc.mda(X, 0), rc.mean(X))


# ---- budgets ------------------------------------------------------------------------------------------------------


def test_past_a_budget_the_best_so_far_and_a_proven_bound():
    X = gaussian(60, 30)
    best = rc.MDA(25).aggregate(X).optimum
    for steps in (1, 2, 4, 8, 1000):
        r = rc.MDA(25, budget=Budget(steps=steps)).aggregate(X)
        chosen = X[r.selected]
        assert len(chosen) == 35
        assert r.optimum.value == pytest.approx(max(np.linalg.norm(a - b) for a in chosen for b in chosen), rel=1e-13)
        assert r.optimum.bound <= best.value <= r.optimum.value
        assert r.optimum.exact == (r.optimum.value == best.value and r.optimum.bound == best.value)
        with rc.num_threads(7):
            assert same_bits(rc.mda(X, 25, budget=Budget(steps=steps)), r.value)
            assert subset(X, 25, budget=Budget(steps=steps)) == r.selected.tolist()
    assert r.optimum == best
    assert rc.mda(X, 25, budget=60).tolist() == rc.mda(X, 25).tolist()


def test_a_budget_belongs_to_the_rule():
    assert rc.MDA(2) == rc.MDA(2, budget=None) != rc.MDA(2, budget=1)
    assert rc.MDA(2, budget=1) == rc.MDA(2, budget=1.0) == rc.MDA(2, budget=Budget(seconds=1))
    assert len({rc.MDA(2), rc.MDA(2, budget=1), rc.MDA(2, budget=Budget(steps=9))}) == 3
    assert repr(rc.MDA(2)) == "MDA(f=2)"
    assert repr(rc.MDA(2, budget=Budget(steps=9))) == "MDA(f=2, budget=Budget(seconds=None, steps=9))"
    for wrong in (0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="mda: budget"):
            rc.MDA(2, budget=wrong)
    for wrong in ("1", True, [1]):
        with pytest.raises(TypeError, match="budget"):
            rc.mda(gaussian(5), 2, budget=wrong)


# ---- who is dropped, and errors --------------------------------------------------------------------------------


def test_updates_that_are_not_finite_count_against_f():
    X = gaussian(9)
    X[2], X[7] = np.nan, np.inf
    r = rc.MDA(3).aggregate(X)
    left = np.delete(np.arange(9), [2, 7])
    assert r.dropped == {2: "not finite", 7: "not finite"}
    assert r.selected.tolist() == subset(X, 3) == left[subset(X[left], 1)].tolist()
    assert len(r.selected) == 6
    with pytest.raises(rc.ConstraintError, match="2 of 9 updates cannot be used, more than f = 1"):
        subset(X, 1)


def test_malformed_updates_count_as_well():
    X = list(gaussian(7))
    X[1] = X[1][:2]
    with pytest.raises(ValueError, match="client 1"):
        subset(X, 2)
    assert 1 not in subset(X, 2, malformed="drop") and len(subset(X, 2, malformed="drop")) == 5


def test_too_many_are_refused():
    for call in (rc.mda, rc.minimum_diameter_subset):
        with pytest.raises(rc.ConstraintError, match=f"{call.__name__} needs n > 2f; here n = 8 and f = 4"):
            call(gaussian(8), 4)


def test_behind_a_mixing():
    X = gaussian(11)
    mixed = rc.MDA(3, mixing=rc.NNM(3)).aggregate(X)
    assert np.isfinite(mixed.value).all() and mixed.weights.sum() == pytest.approx(1.0)
    X[:3] = 1e30
    assert not rc.MDA(3, mixing=rc.NNM(3)).aggregate(X).weights[:3].any()
