"""The largest value of a quadratic form on the subsets of t indices, against all of them."""

import time

import nspace
import numpy as np
import pytest
from bits import same_bits
from hypothesis import given
from hypothesis import strategies as st

from robustcore import _core


def gram(n, d, seed=0):
    """A positive form of rank d, as the points themselves have it, and a linear part of the same size."""
    rng = np.random.default_rng([seed, n, d])
    X = rng.normal(size=(n, d))
    return X @ X.T, rng.normal(size=n) * d


def indefinite(n, seed=0):
    rng = np.random.default_rng([seed, n])
    A = rng.normal(size=(n, n))
    return A + A.T, rng.normal(size=n)


def rounding(G, h, t):
    """What values may be off: a few units in the last place of what they are sums of."""
    return (t * np.abs(h).max() + t * t * np.abs(G).max()) * (t + 2) ** 2 * 1e-15 + 1e-300


def assert_is_largest(G, h, t, **options):
    T, value, bound = _core.largest_quadratic(G, h, t, **options)
    expected = nspace.largest_quadratic(G, h, t)
    off = rounding(G, h, t)
    assert T.tolist() == list(expected)
    assert abs(value - nspace.quadratic(G, h, expected)) <= off
    assert value <= bound <= value + off
    return T, value, bound


@pytest.mark.parametrize("n", [1, 2, 3, 6, 9, 12])
def test_random_forms(n):
    for t in range(n + 1):
        for seed in range(3):
            assert_is_largest(*gram(n, 1 + seed, seed), t)
            assert_is_largest(*gram(n, 100, seed), t)
            assert_is_largest(*indefinite(n, seed), t)


@given(st.data())
def test_ties_go_to_the_first_subset(data):
    n = data.draw(st.integers(1, 9))
    entry = st.integers(-2, 2)
    G = np.array(data.draw(st.lists(entry, min_size=n * n, max_size=n * n)), float).reshape(n, n)
    h = np.array(data.draw(st.lists(entry, min_size=n, max_size=n)), float)
    assert_is_largest(np.triu(G) + np.triu(G, 1).T, h, data.draw(st.integers(0, n)))


@given(st.integers(0, 2**32), st.integers(2, 9), st.integers(1, 3), st.sampled_from([1.0, 0.1]))
def test_lattice_points_and_duplicates(seed, n, d, unit):
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, size=(n, d)) * unit
    t = int(rng.integers(0, n + 1))
    G, h = X @ X.T, np.abs(X).sum(axis=1)
    _, value, bound = _core.largest_quadratic(G, h, t)
    most = nspace.quadratic(G, h, nspace.largest_quadratic(G, h, t))
    assert abs(value - most) <= rounding(G, h, t) and most <= bound <= most + rounding(G, h, t)
    if unit == 1.0:
        assert_is_largest(G, h, t)


@pytest.mark.parametrize(("n", "t"), [(60, 25), (300, 4)])
def test_where_all_are_equal_the_first_win_at_once(n, t):
    for G, h in [(np.zeros((n, n)), np.zeros(n)), (np.full((n, n), 0.1), np.full(n, -0.3))]:
        T, value, bound = _core.largest_quadratic(G, h, t, 2)
        assert T.tolist() == list(range(t))
        assert value == pytest.approx(nspace.quadratic(G, h, T), rel=1e-12)
        assert value <= bound <= value + rounding(G, h, t)


def test_copies_are_told_apart_by_their_place_alone():
    rng = np.random.default_rng(5)
    X = np.repeat(rng.normal(size=(4, 3)), 12, axis=0)[rng.permutation(48)]
    first = [np.flatnonzero((x == X).all(axis=1))[0] for x in X]
    G = (X @ X.T)[np.ix_(first, first)]
    T, _, _ = _core.largest_quadratic(G, np.zeros(48), 20, 2)
    for x in np.unique(X, axis=0):
        same = np.flatnonzero((x == X).all(axis=1))
        taken = np.isin(same, T).sum()
        assert np.isin(same[:taken], T).all()


def test_the_farthest_centroid():
    for n, t, d in [(7, 2, 3), (9, 4, 1), (10, 3, 20)]:
        rng = np.random.default_rng([n, t])
        X, y = rng.normal(size=(n, d)), rng.normal(size=d)
        g = X - X.mean(axis=0)
        b = X.sum(axis=0) - (n - t) * y - t * X.mean(axis=0)
        T, value, _ = _core.largest_quadratic(g @ g.T, (g * g).sum(axis=1) - 2 * g @ b, t)
        assert T.tolist() == list(nspace.farthest_centroid(X, t, y))
        farthest = np.linalg.norm(np.delete(X, T, axis=0).mean(axis=0) - y)
        assert np.sqrt(b @ b + value) / (n - t) == pytest.approx(farthest, rel=1e-13)


@pytest.mark.parametrize(("n", "t", "d"), [(50, 10, 1000), (50, 16, 10), (40, 20, 3), (100, 3, 50)])
def test_threads_change_nothing(n, t, d):
    G, h = gram(n, d)
    found = [_core.largest_quadratic(G, h, t, threads) for threads in (1, 2, 7)]
    assert all(same_bits(T, found[0][0]) and (v, b) == found[0][1:] for T, v, b in found)
    T, value = _core.local_search(G, h, t)
    assert value == pytest.approx(nspace.quadratic(G, h, T), rel=1e-12) and value <= found[0][2]


@pytest.mark.parametrize(("n", "t"), [(30, 8), (45, 5)])
def test_the_order_of_the_points_changes_nothing(n, t):
    G, h = gram(n, 50)
    order = np.random.default_rng(1).permutation(n)
    T, value, _ = _core.largest_quadratic(G, h, t)
    moved, moved_value, _ = _core.largest_quadratic(np.ascontiguousarray(G[order][:, order]), h[order], t)
    assert sorted(order[moved]) == T.tolist() and moved_value == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("exponent", [-900, -300, 300, 900])
def test_there_is_no_unit(exponent):
    G, h = indefinite(20)
    expected = _core.largest_quadratic(G, h, 7)
    T, value, bound = _core.largest_quadratic(np.ldexp(G, exponent), np.ldexp(h, exponent), 7)
    assert T.tolist() == expected[0].tolist() and value == np.ldexp(expected[1], exponent)
    assert bound == pytest.approx(np.ldexp(expected[2], exponent), rel=1e-13)


def test_one_part_far_larger_than_the_other():
    G, h = indefinite(10)
    for ratio in (1e-20, 1e-8, 1e8, 1e20):
        _, value, bound = _core.largest_quadratic(G * ratio, h, 4)
        most = nspace.quadratic(G * ratio, h, nspace.largest_quadratic(G * ratio, h, 4))
        assert abs(value - most) <= rounding(G * ratio, h, 4) and most <= bound <= most + rounding(G * ratio, h, 4)


def test_only_what_is_above_the_threshold_counts():
    G, h = gram(12, 6)
    T, value, _ = _core.largest_quadratic(G, h, 5)
    above, below = value + 1e-9 * abs(value), value - 1e-9 * abs(value)
    found = _core.largest_quadratic(G, h, 5, threshold=below)
    assert found[0].tolist() == T.tolist() and found[1] == value
    found = _core.largest_quadratic(G, h, 5, threshold=above)
    assert found[0] is None and found[1] == -np.inf and value <= found[2] <= above * (1 + 1e-12)
    for far in (1e300, np.inf):
        assert _core.largest_quadratic(G, h, 5, threshold=far)[0] is None
    assert _core.largest_quadratic(G, h, 5, threshold=-1e300)[0].tolist() == T.tolist()


def test_a_budget_leaves_a_bound():
    G, h = gram(24, 100)
    for t in (6, 12):
        _, most, _ = _core.largest_quadratic(G, h, t)
        values, bounds = [], []
        for steps in (1, 2, 10, 100, 1000):
            first = _core.largest_quadratic(G, h, t, 1, steps=steps)
            again = _core.largest_quadratic(G, h, t, 2, steps=steps)
            assert first[0].tolist() == again[0].tolist() and first[1:] == again[1:]
            values.append(first[1])
            bounds.append(first[2])
        assert values == sorted(values) and max(values) <= most * (1 + 1e-14) and min(bounds) >= most
        assert np.isfinite(bounds).all()


@pytest.mark.parametrize("threads", [1, 2])
def test_time_is_up(threads):
    G, h = indefinite(120)
    began = time.perf_counter()
    T, value, bound = _core.largest_quadratic(G, h, 50, threads, seconds=0.05)
    assert time.perf_counter() - began < 5.0
    assert len(T) == 50 and value == pytest.approx(nspace.quadratic(G, h, T), rel=1e-12) and value < bound < np.inf


@pytest.mark.parametrize("threads", [1, 2])
def test_what_progress_raises_stops_the_search(threads):
    def progress(fraction):
        assert 0.0 <= fraction <= 1.0
        raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        _core.largest_quadratic(*indefinite(120), 50, threads, progress=progress)


def test_what_makes_no_sense_is_refused():
    G, h = indefinite(4)
    for wrong in (-1, 5):
        with pytest.raises(ValueError, match="0 <= t <= n"):
            _core.largest_quadratic(G, h, wrong)
    with pytest.raises(ValueError, match="square matrix"):
        _core.local_search(G[:2], h, 2)
    with pytest.raises(ValueError, match="one value for each row"):
        _core.largest_quadratic(G, h[:3], 2)
    for x in (np.nan, np.inf):
        with pytest.raises(ValueError, match="finite"):
            _core.largest_quadratic(G, np.array([0.0, x, 0.0, 0.0]), 2)
