"""SMEA: against its twin, what no motion or scale changes, far attackers, budgets, and who is dropped."""

import nspace
import numpy as np
import pytest
from bits import same_bits

import robustcore as rc
from robustcore import Budget

F32, F64 = np.float32, np.float64


def gaussian(n, d=4, seed=0):
    return np.random.default_rng([seed, n, d]).normal(size=(n, d))


@pytest.mark.parametrize(("n", "f"), [(1, 0), (2, 0), (3, 1), (5, 1), (5, 2), (8, 3), (11, 5)])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_against_the_twin(n, f, dtype):
    for seed in range(4):
        X = gaussian(n, 3, seed).astype(dtype)
        least, found = nspace.smea(X.astype(F64), f)
        r = rc.SMEA(f).aggregate(X)
        assert found[tuple(r.selected)] <= least * (1 + (1e-5 if dtype is F32 else 1e-9))
        assert r.optimum.exact and r.optimum.value == pytest.approx(least, rel=1e-5 if dtype is F32 else 1e-12)
        assert same_bits(r.weights[r.selected], np.full(n - f, 1 / (n - f)))
        assert np.allclose(r.value, X[r.selected].mean(axis=0), rtol=0, atol=1e-6 if dtype is F32 else 1e-14)
        assert same_bits(r.value, rc.smea(X, f))


def test_short_dtypes_are_looked_at_in_float64():
    """Where a subset lies within the rounding of float32 distances, they would choose another."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        X = (rng.integers(0, 3, (9, 2)) + 1e-4 * rng.normal(size=(9, 2))).astype(F32)
        least = nspace.smea(X.astype(F64), 2)[0]
        assert rc.SMEA(2).aggregate(X).optimum.value == pytest.approx(least, rel=1e-9)


def test_no_guarantee_without_proof():
    X = np.zeros((100, 1))
    X[:25], X[-1] = -1, 1
    stopped = rc.SMEA(25, budget=rc.Budget(steps=10)).aggregate(X)
    assert not stopped.optimum.exact and stopped.guarantee is None
    assert rc.SMEA(2).aggregate(X[80:]).guarantee is not None


@pytest.mark.parametrize("attackers", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [F32, F64])
def test_attackers_of_any_size_lose_all_weight(dtype, attackers):
    """And the others are told apart as if they were alone."""
    for together in (True, False):
        for far in (1e6, 1e18, 1e30, *((1e77, 1e100, 1e160, 1e200, 1e260) if dtype is F64 else ())):
            X = gaussian(9).astype(dtype)
            X[:attackers] = far if together else far * gaussian(attackers, 4, 1)
            r = rc.SMEA(4).aggregate(X)
            alone = rc.SMEA(4 - attackers).aggregate(X[attackers:])
            assert r.selected.tolist() == (alone.selected + attackers).tolist()
            assert r.optimum.value == pytest.approx(alone.optimum.value, rel=1e-12)


@pytest.mark.parametrize("exponent", [-1000, -540, -300, 300, 500, 1000])
def test_a_power_of_two_changes_nobody(exponent):
    for seed in range(4):
        X = gaussian(10, 3, seed)
        X[:2] *= 50.0
        assert (
            rc.SMEA(3).aggregate(np.ldexp(X, exponent)).selected.tolist() == rc.SMEA(3).aggregate(X).selected.tolist()
        )


def test_translations_rotations_and_permutations_change_nobody():
    for seed in range(4):
        X = gaussian(10, 4, seed)
        chosen = rc.SMEA(3).aggregate(X).selected
        turn = np.linalg.qr(gaussian(4))[0]
        for other, found in [(X + 1e4, chosen), (X @ turn, chosen), (-X, chosen), (X[::-1], 9 - chosen[::-1])]:
            assert rc.SMEA(3).aggregate(other).selected.tolist() == found.tolist()


def test_of_equal_eigenvalues_the_first_subset_in_lexicographic_order():
    square = np.array([[0.1, 0.1], [1.1, 0.1], [1.1, 1.1], [0.1, 1.1]])
    for X in (square, square[::-1], square @ np.linalg.qr(gaussian(2))[0]):
        assert rc.SMEA(1).aggregate(X).selected.tolist() == [0, 1, 2]
        assert rc.SMEA(1).aggregate(np.repeat(X, 2, axis=0)).selected.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert rc.SMEA(3).aggregate(np.zeros((7, 2))).selected.tolist() == [0, 1, 2, 3]
    assert rc.SMEA(1).aggregate(np.array([[0.0], [1.0], [2.0]])).selected.tolist() == [0, 1]


def test_equal_updates_give_that_update():
    x = gaussian(1, 900)[0]
    for n, f in [(1, 0), (4, 1), (7, 3)]:
        r = rc.SMEA(f).aggregate(np.tile(x, (n, 1)))
        assert same_bits(r.value, x) and r.optimum.value == 0.0 and r.optimum.exact


def test_f_0_is_the_mean():
    X = gaussian(8)
    assert same_bits(rc.smea(X, 0), rc.mean(X))


def test_past_a_budget_the_best_so_far_and_a_proven_bound():
    X = gaussian(20, 100)
    best = rc.SMEA(4).aggregate(X).optimum
    for steps in (1, 10, 100):
        rule = rc.SMEA(4, budget=Budget(steps=steps))
        r = rule.aggregate(X)
        assert nspace.largest_eigenvalue(X[r.selected]) == pytest.approx(r.optimum.value, rel=1e-12)
        assert r.optimum.bound <= best.value * (1 + 1e-10) and best.value <= r.optimum.value
        with rc.num_threads(7):
            assert same_bits(rule(X), r.value)
            assert rule.aggregate(X).optimum == r.optimum
    assert not r.optimum.exact
    assert rc.SMEA(4, budget=60).aggregate(X).optimum == best
    assert rc.SMEA(2, budget=1) == rc.SMEA(2, budget=Budget(seconds=1.0)) != rc.SMEA(2)
    with pytest.raises(TypeError, match="smea: budget"):
        rc.smea(X, 4, budget="1")


def test_updates_that_are_not_finite_count_against_f():
    X = gaussian(9)
    X[2] = np.nan
    r = rc.SMEA(3).aggregate(X)
    assert same_bits(r.value, rc.smea(np.delete(X, 2, axis=0), 2))
    assert r.dropped == {2: "not finite"} and r.weights[2] == 0.0
    assert r.guarantee == rc.theory.smea_upper_bound(9, 3)
    with pytest.raises(rc.ConstraintError, match="smea needs n > 2f; here n = 8 and f = 4"):
        rc.smea(gaussian(8), 4)


def test_behind_a_mixing():
    X = gaussian(11)
    X[:3] = 1e30
    r = rc.SMEA(3, mixing=rc.NNM(3)).aggregate(X)
    assert not r.weights[:3].any() and r.weights.sum() == pytest.approx(1.0)
