"""Whole runs of agreements in one process, and one local step of each: 16 nodes with 1e5 numbers."""

from __future__ import annotations

from functools import lru_cache, partial

import numpy as np
import pytest

import robustcore as rc

pytest.importorskip("scipy")

# Protocol, t, model, adversary; epsilon is 1e-6 of the largest distance between honest inputs.
CASES = {
    "box, t = 5": ("box", 5, True, "none"),
    "box, t = 5, late": ("box", 5, True, "late"),
    "box, t = 5, random": ("box", 5, True, "random"),
    "box, t = 5, asynchronous": ("box", 5, False, "none"),
    "rbtm, t = 5, late": ("rbtm", 5, True, "late"),
    "mda, t = 3": ("mda", 3, True, "none"),
    "mda, t = 3, worst_case": ("mda", 3, True, "worst_case"),
}
RUNS = "agree, 16 x 1e5"
STEPS = {"a step of box": partial(rc.box_midpoint, f=5), "a step of mda": partial(rc.mda, f=3)}


@lru_cache(maxsize=1)
def data():
    X = np.random.default_rng(0).standard_normal((16, 10**5))
    return X, 1e-6 * float(np.sqrt(rc.pairwise_sqdist(X)).max())


@pytest.mark.parametrize("name", CASES)
def test_run(name, cycle, clock):
    protocol, t, synchronous, adversary = CASES[name]
    X, epsilon = data()
    run = partial(rc.agree, X, protocol, t=t, epsilon=epsilon, synchronous=synchronous, adversary=adversary)
    clock(RUNS, name, run, rounds=1)


@pytest.mark.parametrize("name", STEPS)
def test_step(name, cycle, clock):
    clock(RUNS, name, partial(STEPS[name], data()[0]))


def test_it_agrees():
    X, epsilon = data()
    assert rc.agree(X[:, :100], "box", t=5, epsilon=epsilon, adversary="late").agreed
