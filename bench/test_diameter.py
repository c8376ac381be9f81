"""MDA and SMEA: the search among subsets, beyond the distances: easy cases, hard ones, and how it grows with n."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import pytest

import robustcore as rc
from bench import reference
from bench.cases import names
from bench.test_rules import F, theirs
from robustcore import _core


def gaussian(n, d, far=0):
    """Distances of standard normal updates, so many of them moved away and apart."""
    X = np.random.default_rng(0).standard_normal((n, d), dtype=np.float32)
    X[:far] = 3 * X[:far] + 5
    return rc.pairwise_sqdist(X)


def symmetric(A):
    upper = np.triu(A, 1).astype(float)
    return upper + upper.T


def independent(n, values=None):
    """No geometry at all: any numbers, or so many different ones."""
    rng = np.random.default_rng(0)
    return symmetric(rng.random((n, n)) if values is None else rng.integers(0, values, (n, n)))


def regular(n, degree):
    """Distances 0, but 1 between neighbours in a random regular graph."""
    rng = np.random.default_rng(0)
    while True:
        ends = rng.permutation(np.repeat(np.arange(n), degree)).reshape(-1, 2)
        A = np.zeros((n, n))
        np.add.at(A, (ends[:, 0], ends[:, 1]), 1.0)
        A += A.T
        if A.max() == 1.0 and not A.diagonal().any():
            return A


def threshold(D):
    """The smallest f for which all distances above 0 can be left out."""
    n = len(D)
    return next(f for f in range(n // 2, n) if _core.smallest_diameter(D, f)[2] == 0.0)


# What is searched, and how many may be left out; None: see `threshold`, and one less.
CASES = {
    "outliers, 500, f = 200": (partial(gaussian, 500, 1000, far=200), 200),
    "gaussian d = 1e3, 200, f = 99": (partial(gaussian, 200, 1000), 99),
    "gaussian d = 1e3, 500, f = 200": (partial(gaussian, 500, 1000), 200),
    "gaussian d = 1e5, 300, f = 140": (partial(gaussian, 300, 10**5), 140),
    "gaussian d = 2, 500, f = 200": (partial(gaussian, 500, 2), 200),
    "all equal, 400, f = 199": (partial(np.zeros, (400, 400)), 199),
    "0 or 1, 400, f = 199": (partial(independent, 400, 2), 199),
    "any numbers, 400, f = 80": (partial(independent, 400), 80),
    "any numbers, 400, f = 199": (partial(independent, 400), 199),
    "3-regular, 150, f enough": (partial(regular, 150, 3), None),
    "3-regular, 150, f one less": (partial(regular, 150, 3), None),
    "3-regular, 200, f one less": (partial(regular, 200, 3), None),
    "4-regular, 150, f one less": (partial(regular, 150, 4), None),
}
GROWTH = [25, 50, 100, 200, 400, 800]
GROWN = "search, gaussian d = 1e3, f = 2n / 5"
SMALL = [(12, 3), (16, 5), (20, 4)]


def small(n, f):
    return f"{n} x 100, f = {f}"


@lru_cache(maxsize=1)
def case(name):
    make, f = CASES[name]
    D = make()
    return D, threshold(D) - name.endswith("less") if f is None else f


@pytest.mark.parametrize("name", CASES)
def test_search(name, cycle, clock):
    clock("search", name, partial(_core.smallest_diameter, *case(name)), rounds=3)


@pytest.mark.parametrize("n", GROWTH)
def test_growth(n, cycle, clock):
    clock(GROWN, str(n), partial(_core.smallest_diameter, gaussian(n, 1000), 2 * n // 5))


# From the data, small: against all subsets, one by one.
CONTENDERS = {
    "robustcore mda": lambda X, f: partial(rc.mda, X, f),
    "robustcore smea": lambda X, f: partial(rc.smea, X, f),
    "naive numpy MDA": lambda X, f: partial(reference.mda, X, f),
    "naive numpy SMEA": lambda X, f: partial(reference.smea, X, f),
}
PEERS = {"byzfl MDA": theirs("MDA", F), "byzfl SMEA": theirs("SMEA", F)}


@pytest.mark.parametrize(("n", "f"), SMALL)
@pytest.mark.parametrize("name", [*CONTENDERS, *names(PEERS)])
def test_against_all_subsets(name, n, f, cycle, clock):
    X = np.random.default_rng(0).standard_normal((n, 100))
    prepare = CONTENDERS[name] if name in CONTENDERS else PEERS[name].prepare
    clock(small(n, f), name, prepare(X, f), rounds=5 if name.startswith("robustcore") else 1)


def test_same_answer():
    X = np.random.default_rng(0).standard_normal((10, 20))
    for ours, naive in ((rc.mda, reference.mda), (rc.smea, reference.smea)):
        np.testing.assert_allclose(ours(X, 3), naive(X, 3), rtol=1e-12, atol=1e-15)
