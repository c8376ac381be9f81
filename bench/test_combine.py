"""The combine pass with equal weights, against the plain mean: the unit of the report."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import robustcore as rc
from bench.cases import THREADS, Contender, names

CONTENDERS = {
    "numpy mean(X, axis=0)": Contender(1, lambda X, f: partial(np.mean, X, axis=0)),
    "robustcore mean": Contender(THREADS, lambda X, f: partial(rc.mean, X)),
}


@pytest.mark.parametrize("name", names(CONTENDERS))
def test_combine(case, name, race):
    race(case, name, CONTENDERS[name])


def test_same_answer():
    X = np.random.default_rng(0).standard_normal((12, 1000))
    np.testing.assert_allclose(rc.mean(X), np.mean(X, axis=0), rtol=1e-12)
