"""Certificates: the three searches on an output at hand, from the data, and a small one against trying all subsets."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import pytest

import robustcore as rc
from bench import reference

# n, f, d, and what the f Byzantine clients do; the output is the coordinate-wise median.
CASES = {
    "20 x 100, f = 6": (20, 6, 100, "nothing"),
    "20 x 1000, f = 6": (20, 6, 1000, "nothing"),
    "20 x 1000, f = 6, outliers": (20, 6, 1000, "outliers"),
    "30 x 1000, f = 10, outliers": (30, 10, 1000, "outliers"),
    "30 x 1000, f = 10, together": (30, 10, 1000, "together"),
    "24 x 1000, f = 8": (24, 8, 1000, "nothing"),
    "50 x 20, f = 10": (50, 10, 20, "nothing"),
    "50 x 1000, f = 10, outliers": (50, 10, 1000, "outliers"),
    "100 x 20, f = 20, outliers": (100, 20, 20, "outliers"),
}
CERTIFICATES = "certify"
AGAINST_ALL = "certify, 14 x 100, f = 4"


@lru_cache(maxsize=1)
def data(n, f, d, attack):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    if attack == "outliers":
        X[:f] += 10 * rng.standard_normal((f, d))
    if attack == "together":
        X[:f] += 3
    return X, rc.median(X)


@pytest.mark.parametrize("name", CASES)
def test_certify(name, cycle, clock):
    n, f, d, attack = CASES[name]
    clock(CERTIFICATES, name, partial(rc.certify, *data(n, f, d, attack), f), rounds=3)


CONTENDERS = {"robustcore certify": rc.certify, "all subsets": reference.certify}


@pytest.mark.parametrize("name", CONTENDERS)
def test_against_all_subsets(name, cycle, clock):
    clock(AGAINST_ALL, name, partial(CONTENDERS[name], *data(14, 4, 100, "outliers"), 4), rounds=1)


def test_same_certificate():
    X, y = data(12, 4, 20, "together")
    certificate = rc.certify(X, y, 4)
    found = certificate.meb_factor, certificate.kappa, certificate.centroid_ratio
    np.testing.assert_allclose(found, reference.certify(X, y, 4), rtol=1e-9)
