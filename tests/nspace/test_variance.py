"""The subset that varies least in its widest direction: against all subsets, among far points, and within a budget."""

import itertools
import math

import nspace
import numpy as np
import pytest
import twins

from robustcore import _core


def solve(D, f, **more):
    subset, low, value = _core.smallest_variance(D, f, **more)
    assert subset.dtype == np.int64 and len(subset) == len(D) - f
    assert (np.diff(subset) > 0).all()
    return subset.tolist(), low, value


KINDS = {
    "gaussian": lambda rng, n: rng.normal(size=(n, 4)),
    "wide": lambda rng, n: rng.normal(size=(n, 4)) * [1.0, 2.0, 4.0, 8.0],
    "many coordinates": lambda rng, n: rng.normal(size=(n, 15)),
    "line": lambda rng, n: rng.normal(size=(n, 1)),
    "lattice": lambda rng, n: rng.integers(0, 3, size=(n, 2)).astype(float),
    "corners": lambda rng, n: rng.integers(0, 2, size=(n, 4)).astype(float),
    "copies": lambda rng, n: rng.normal(size=(n, 3))[rng.integers(0, max(n // 2, 1), size=n)],
    "clusters": lambda rng, n: 10.0 * rng.integers(0, 2, size=(n, 1)) + rng.normal(size=(n, 2)),
    "one place": lambda rng, n: np.ones((n, 2)),
    "one far": lambda rng, n: rng.normal(size=(n, 3)) * np.where(np.arange(n) == n // 2, 1e7, 1.0)[:, None],
}


@pytest.mark.parametrize("kind", KINDS)
def test_against_all_subsets(kind):
    """Ten digits are told apart; of what agrees to ten digits, the first."""
    rng = np.random.default_rng(list(KINDS).index(kind))
    for _ in range(25):
        n = int(rng.integers(1, 11))
        f = int(rng.integers(0, n))
        X = KINDS[kind](rng, n)
        subset, low, value = solve(twins.pairwise_sqdist(X), f)
        least, found = nspace.smea(X, f)
        size = max(map(np.abs, X.ravel())) ** 2 * 1e-14
        assert low == value == pytest.approx(least, rel=1e-10, abs=size)
        near = {one: v for one, v in found.items() if v <= least * (1 + 1e-8) + size}
        if max(near.values()) - least <= 1e-13 * least + size and kind != "one far":
            assert subset == list(min(near))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "f"), [(13, 3), (14, 5), (14, 6)])
def test_against_all_subsets_of_more(kind, n, f):
    X = KINDS[kind](np.random.default_rng([n, f]), n)
    D = twins.pairwise_sqdist(X)
    subset, low, value = solve(D, f)
    least, _ = nspace.smea(X, f)
    assert low == value == pytest.approx(least, rel=1e-10, abs=1e-14 * np.abs(X).max() ** 2)
    assert nspace.largest_eigenvalue(X[subset]) == pytest.approx(value, rel=1e-10, abs=1e-14 * np.abs(X).max() ** 2)
    assert all(solve(D, f, threads=threads) == (subset, low, value) for threads in (2, 7))


def test_any_f_and_equal_points():
    D = np.zeros((20, 20))
    for f in range(20):
        assert solve(D, f) == (list(range(20 - f)), 0.0, 0.0)


@pytest.mark.parametrize("far", [1e6, 1e15, 1e30, 1e150])
@pytest.mark.parametrize("together", [True, False])
def test_far_points_drown_nothing(far, together):
    """The others are told apart to the last digits, wherever the far ones are."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        near = rng.normal(size=(9, 3))
        X = np.vstack([near[:4], far * (1.0 if together else rng.normal(size=(3, 3))) + np.zeros((3, 3)), near[4:]])
        places = np.array([0, 1, 2, 3, 7, 8, 9, 10, 11])
        for f in (3, 4, 5):
            subset, low, value = solve(twins.pairwise_sqdist(X), f)
            expected = solve(twins.pairwise_sqdist(near), f - 3)
            assert (subset, low, value) == (places[expected[0]].tolist(), expected[1], expected[2])


@pytest.mark.parametrize("exponent", [-400, -200, 200, 400])
def test_it_knows_no_unit(exponent):
    D = twins.pairwise_sqdist(np.random.default_rng(0).normal(size=(12, 4)))
    subset, _, value = solve(D, 4)
    assert solve(np.ldexp(D, 2 * exponent), 4) == (subset, *[np.ldexp(value, 2 * exponent)] * 2)


def test_what_is_left_out_is_much():
    """Of 14 million subsets: the outliers stand out, so that few steps do."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5))
    X[::10] += 10.0
    subset, low, value = solve(twins.pairwise_sqdist(X), 6, steps=2000)
    assert subset == [i for i in range(60) if i % 10] and low == value


@pytest.mark.parametrize("kind", ["gaussian", "many coordinates", "lattice"])
def test_within_a_budget_of_steps_bounds_are_proven_and_the_same_everywhere(kind):
    D = twins.pairwise_sqdist(KINDS[kind](np.random.default_rng(1), 16))
    exact, least, _ = solve(D, 6)
    for steps in (1, 2, 3, 5, 10, 30, 100, 10**6):
        subset, low, value = solve(D, 6, steps=steps)
        assert low <= least * (1 + 1e-10) and least <= value
        assert all(solve(D, 6, steps=steps, threads=threads) == (subset, low, value) for threads in (1, 2, 7))
    assert (subset, low, value) == (exact, least, least)


def long_search():
    return twins.pairwise_sqdist(np.random.default_rng(0).normal(size=(60, 300)))  # 1e16 subsets


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_seconds_end_the_search(threads):
    _, low, value = solve(long_search(), 20, seconds=0.05, threads=threads)
    assert low < value


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_what_progress_raises_ends_the_search(threads):
    def progress(share):
        assert 0 <= share <= 1
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        solve(long_search(), 20, threads=threads, progress=progress)


def test_what_makes_no_sense_is_refused():
    for f in (-1, 4):
        with pytest.raises(ValueError, match="0 <= f < n"):
            _core.smallest_variance(np.zeros((4, 4)), f)


def test_the_twin_is_what_its_name_says():
    """The largest eigenvalue is the variance along the direction in which it is largest."""
    X = np.random.default_rng(0).normal(size=(7, 2))
    angles = np.linspace(0, math.pi, 2001)
    along = X @ np.array([np.cos(angles), np.sin(angles)])
    least, found = nspace.smea(X, 2)
    assert least == pytest.approx(
        min(along[list(T)].var(axis=0).max() for T in itertools.combinations(range(7), 5)), rel=1e-5
    )
    assert len(found) == 21
