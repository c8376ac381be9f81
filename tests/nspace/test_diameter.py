"""The subset with the smallest diameter: against all subsets, on graphs whose covers are known, and within a budget."""

import itertools
import math

import nspace
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from robustcore import _core


def sqdist(X):
    return np.ascontiguousarray(((X[:, None] - X[None]) ** 2).sum(axis=2))


def symmetric(A):
    """As distances: of each pair the entry above the diagonal."""
    upper = np.triu(A, 1).astype(float)
    return upper + upper.T


def solve(D, f, **more):
    subset, low, high = _core.smallest_diameter(np.asarray(D, float), f, **more)
    assert subset.dtype == np.int64 and len(subset) == len(D) - f
    assert (np.diff(subset) > 0).all()
    return subset.tolist(), low, high


def agrees(D, f):
    subset, low, high = solve(D, f)
    expected, diameter = nspace.minimum_diameter_subset(D.tolist(), f)
    assert (subset, low, high) == (expected, diameter, diameter)


KINDS = {
    "gaussian": lambda rng, n: sqdist(rng.normal(size=(n, 5))),
    "plane": lambda rng, n: sqdist(rng.normal(size=(n, 2))),
    "line": lambda rng, n: sqdist(rng.integers(0, 20, size=(n, 1)).astype(float)),
    "clusters": lambda rng, n: sqdist(10.0 * rng.integers(0, 2, size=(n, 1)) + rng.normal(size=(n, 2))),
    "lattice": lambda rng, n: sqdist(rng.integers(0, 4, size=(n, 2)).astype(float)),
    "corners": lambda rng, n: sqdist(rng.integers(0, 2, size=(n, 5)).astype(float)),
    "copies": lambda rng, n: sqdist(rng.normal(size=(n, 3))[rng.integers(0, max(n // 2, 1), size=n)]),
    "one place": lambda rng, n: np.zeros((n, n)),
    "any numbers": lambda rng, n: symmetric(rng.random((n, n))),
    "few numbers": lambda rng, n: symmetric(rng.integers(0, 4, size=(n, n))),
    "0 and 1": lambda rng, n: symmetric(rng.random((n, n)) < rng.random()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_against_all_subsets(kind):
    """And the first of equal ones; f may be any number."""
    rng = np.random.default_rng(list(KINDS).index(kind))
    for _ in range(150):
        n = int(rng.integers(1, 11))
        agrees(KINDS[kind](rng, n), int(rng.integers(0, n)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "f"), [(13, 3), (13, 6), (14, 5), (14, 7)])
def test_against_all_subsets_of_more(kind, n, f):
    for seed in range(2):
        agrees(KINDS[kind](np.random.default_rng([seed, n, f]), n), f)


@given(data=st.data())
def test_against_all_subsets_of_matrices_that_shrink(data):
    n = data.draw(st.integers(1, 8))
    D = symmetric(data.draw(arrays(np.int8, (n, n), elements=st.integers(0, 5))))
    agrees(D, data.draw(st.integers(0, n - 1)))


# ---- graphs whose smallest cover is known --------------------------------------------------------------------------


def graph(n, edges):
    A = np.zeros((n, n))
    for u, v in edges:
        A[u, v] = A[v, u] = 1.0
    return A


def cycle(n):
    return graph(n, [(i, (i + 1) % n) for i in range(n)])


def hypercube(d):
    return graph(2**d, [(u, u ^ (1 << b)) for u in range(2**d) for b in range(d)])


def kneser(n, k):
    subsets = [set(s) for s in itertools.combinations(range(n), k)]
    return graph(len(subsets), [(i, j) for i, j in itertools.combinations(range(len(subsets)), 2)
                                if not subsets[i] & subsets[j]])  # fmt: skip


def union(*graphs):
    n = sum(map(len, graphs))
    A, begin = np.zeros((n, n)), 0
    for one in graphs:
        A[begin : begin + len(one), begin : begin + len(one)] = one
        begin += len(one)
    return A


COVERS = {
    "no edge": (np.zeros((9, 9)), 0),
    "path": (graph(8, [(i, i + 1) for i in range(7)]), 4),
    "even cycle": (cycle(100), 50),
    "odd cycle": (cycle(101), 51),
    "star": (graph(40, [(7, i) for i in range(40) if i != 7]), 1),
    "complete": (1.0 - np.eye(30), 29),
    "complete bipartite": (graph(25, [(i, 10 + j) for i in range(10) for j in range(15)]), 10),
    "all but a matching": (1.0 - np.eye(20) - graph(20, [(2 * i, 2 * i + 1) for i in range(10)]), 18),
    "Petersen": (kneser(5, 2), 6),
    "Kneser": (kneser(8, 3), 56 - 21),  # Erdos, Ko, Rado: those that hold one number
    "hypercube": (hypercube(7), 64),
    "many components": (union(*[kneser(5, 2)] * 12, *[cycle(7)] * 5, hypercube(3)), 72 + 20 + 4),
    "tree": (graph(127, [(i, (i - 1) // 2) for i in range(1, 127)]), 42),  # levels 5, 3 and 1 of 0 to 6
    "grid": (graph(144, [(12 * r + c, 12 * (r + a) + c + b) for r in range(12) for c in range(12)
                         for a, b in ((0, 1), (1, 0)) if r + a < 12 and c + b < 12]), 72),
}  # fmt: skip


@pytest.mark.parametrize("name", COVERS)
def test_the_diameter_is_zero_from_the_smallest_cover_on(name):
    A, cover = COVERS[name]
    order = np.random.default_rng(0).permutation(len(A))
    for D in (A, A[np.ix_(order, order)]):
        subset, low, high = solve(D, cover)
        assert low == high == 0.0 and not D[np.ix_(subset, subset)].any()
        if cover:
            assert solve(D, cover - 1)[1:] == (1.0, 1.0)


@pytest.mark.parametrize("name", ["odd cycle", "Petersen", "Kneser", "many components", "grid"])
def test_of_many_subsets_the_first(name):
    """Whoever could be taken before is adjacent to those taken, or leaves no cover: asked by the same search."""
    A, cover = COVERS[name]
    subset = solve(A, cover)[0]
    for v in range(len(A)):
        taken = [u for u in subset if u < v]
        if v in subset or A[v, taken].any():
            continue
        out = (A[[*taken, v]].any(axis=0) | (np.arange(len(A)) < v)) & ~np.isin(np.arange(len(A)), [*taken, v])
        rest = np.flatnonzero(~out & ~np.isin(np.arange(len(A)), [*taken, v]))
        if cover - out.sum() >= 0:
            assert solve(A[np.ix_(rest, rest)], int(cover - out.sum()))[2] == 1.0


def test_a_cover_that_is_planted_is_found():
    """Those inside are within 1 of each other, those outside are farther than 1 from enough others."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, f = 150, 60
        D = symmetric(1.0 + (rng.random((n, n)) < 0.5))
        inside = np.sort(rng.permutation(n)[: n - f])
        D[np.ix_(inside, inside)] = np.minimum(D[np.ix_(inside, inside)], 1.0)
        subset, low, high = solve(D, f)
        assert (subset, low, high) == (inside.tolist(), 1.0, 1.0)


# ---- only the order counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_order_of_distances_counts(kind):
    for seed in range(5):
        D = KINDS[kind](np.random.default_rng(seed), 40)
        subset, low, high = solve(D, 15)
        assert low == high == D[np.ix_(subset, subset)].max()
        values, place = np.unique(D, return_inverse=True)
        highest = place.reshape(D.shape) == max(len(values) - 1, 1)
        for other in (place * 5e-324, np.exp2(place.astype(float)), np.where(highest, np.inf, D)):
            assert solve(other.reshape(D.shape), 15)[0] == subset


def test_bits_of_more_than_eight_words():
    """600 points, 20 of them far from each other and from the rest."""
    X = np.random.default_rng(0).normal(size=(600, 3))
    far = np.random.default_rng(1).permutation(600)[:20]
    X[far] += 1e3 * (1 + np.arange(20))[:, None]
    subset, low, high = solve(sqdist(X), 20)
    assert subset == np.setdiff1d(np.arange(600), far).tolist() and low == high


# ---- budgets, progress, Ctrl-C -------------------------------------------------------------------------------------


def thick(n=90, degree=5):
    """A random graph of this degree, of the union of matchings: some hundred steps at the cover's threshold."""
    rng, A = np.random.default_rng(0), np.zeros((n, n))
    for _ in range(degree):
        order = rng.permutation(n)
        A[order[::2], order[1::2]] = A[order[1::2], order[::2]] = 1.0
    return A * (1 + np.arange(n)[:, None] % 7) * (1 + np.arange(n) % 7)  # and some different distances


@pytest.mark.parametrize("f", [20, 35, 44, 50])
def test_within_a_budget_of_steps_bounds_are_proven_and_the_same_everywhere(f):
    D = thick()
    exact, least, _ = solve(D, f)
    for steps in (1, 2, 3, 5, 10, 30, 100, 300, 10**6):
        subset, low, high = solve(D, f, steps=steps)
        assert low <= least <= high == D[np.ix_(subset, subset)].max()
        assert (subset, low, high) == solve(D, f, steps=steps)
        assert low in D
    assert (subset, low, high) == (exact, least, least)


HARD = 300  # vertices of degree 6: hours


@pytest.mark.slow
def test_seconds_end_the_search():
    D = thick(HARD, 6)
    subset, low, high = solve(D, 184, seconds=0.05)
    assert low < high == D[np.ix_(subset, subset)].max()


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_what_progress_raises_ends_the_search(error):
    told = []

    def progress(share):
        told.append(share)
        if len(told) == 3:
            raise error("enough")

    with pytest.raises(error, match="enough"):
        solve(thick(HARD, 6), 184, progress=progress)
    assert all(0 <= share <= 1 for share in told)


def test_what_makes_no_sense_is_refused():
    for f in (-1, 4):
        with pytest.raises(ValueError, match="0 <= f < n"):
            _core.smallest_diameter(np.zeros((4, 4)), f)
    assert math.isfinite(solve(np.zeros((1, 1)), 0)[2])
