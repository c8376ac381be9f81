"""The distances pass, against other ways to the same matrix or, in the product's case, to less."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import robustcore as rc
from bench import reference
from bench.cases import THREADS, Contender, alone, names


def scipy_pdist(X, f):
    from scipy.spatial import distance

    return partial(distance.pdist, X, "sqeuclidean")


CONTENDERS = {
    "robustcore pairwise_sqdist": Contender(THREADS, lambda X, f: partial(rc.pairwise_sqdist, X)),
    "robustcore pairwise_sqdist, 1 thread": Contender(1, lambda X, f: alone(rc.pairwise_sqdist, X)),
    "numpy X @ X.T": Contender(THREADS, lambda X, f: lambda: X @ X.T),
    "scipy pdist(X, 'sqeuclidean')": Contender(1, scipy_pdist, slow=True, needs=("scipy",)),
    "naive numpy distances": Contender(1, lambda X, f: partial(reference.sqdist, X), slow=True),
}


@pytest.mark.parametrize("name", names(CONTENDERS))
def test_distances(case, name, race):
    race(case, name, CONTENDERS[name])


def test_same_answer():
    X = np.random.default_rng(0).standard_normal((12, 1000))
    np.testing.assert_allclose(rc.pairwise_sqdist(X), reference.sqdist(X), rtol=1e-12)
