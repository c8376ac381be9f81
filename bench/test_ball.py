"""Enclosing balls: against the fastest of others, over our own distances, with weights, and tiny."""

from __future__ import annotations

import subprocess
import sys
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pytest

import robustcore as rc
from bench.peers_balls import NAMES

SCRIPT = Path(__file__).with_name("peers_balls.py")
PATIENCE = 10.0  # seconds that a peer has for a call, more or less
OURS = "robustcore"
GAP = "gap"  # not seconds
WIDE = {
    f"50 x {d:.0e} {dtype}".replace("e+0", "e"): (d, dtype) for d in (10**5, 10**6) for dtype in ("float32", "float64")
}
GROUP = "ball, "
WEIGHTED = "1e6 x 20, weighted"


def gaussian(n, d, dtype="float64"):
    return np.random.default_rng(0).standard_normal((n, d), dtype=dtype)


def sphere(n, d):
    """Nearly: most points are nearly as far out as the farthest."""
    X = gaussian(n, d)
    return X / np.linalg.norm(X, axis=1, keepdims=True) * (1 + 1e-3 * np.random.default_rng(1).standard_normal((n, 1)))


CASES = {
    "1e6 x 2": partial(gaussian, 10**6, 2),
    "1e6 x 3": partial(gaussian, 10**6, 3),
    "1e6 x 10": partial(gaussian, 10**6, 10),
    "1e6 x 20": partial(gaussian, 10**6, 20),
    "1e5 x 20, nearly on a sphere": partial(sphere, 10**5, 20),
    "1000 x 100": partial(gaussian, 1000, 100),
    "20 x 1000": partial(gaussian, 20, 1000),
}
TINY = {"5 x 2": partial(gaussian, 5, 2), "10 x 3": partial(gaussian, 10, 3)}


@lru_cache(maxsize=1)
def points(name):
    return (CASES | TINY)[name]()


@pytest.fixture(scope="session")
def peers(pytestconfig, measured):
    """The interpreter that has it, for each peer that is there."""
    found = {}
    for python in (sys.executable, *pytestconfig.getoption("with_python")):
        answer = subprocess.run([python, SCRIPT], capture_output=True, text=True, check=True)
        for name, version in (line.split() for line in answer.stdout.splitlines()):
            found.setdefault(name, python)
            measured.versions[name] = version
    return found


@pytest.fixture(scope="session")
def file(tmp_path_factory):
    """Where an array is saved for a peer in another process; the last one stays."""
    path = tmp_path_factory.mktemp("points") / "points.npy"
    saved = None

    def file(name):
        nonlocal saved
        if saved != name:
            np.save(path, points(name))
            saved = name
        return path

    return file


def run(python, peer, path):
    """Seconds and radius; infinite seconds where that takes too long or too much memory."""
    try:
        answer = subprocess.run(
            [python, SCRIPT, peer, path, "1"], capture_output=True, text=True, check=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return np.inf, np.nan
    except subprocess.CalledProcessError as error:
        if "MemoryError" not in error.stderr:
            raise
        return np.inf, np.nan
    return tuple(map(float, answer.stdout.split()))


@pytest.mark.parametrize("who", [OURS, *NAMES])
@pytest.mark.parametrize("name", CASES | TINY)
def test_against_others(name, who, cycle, request, measured, neighbours, peers, file):
    if who == OURS:
        X, clock = points(name), request.getfixturevalue("clock")
        calls = 1000 if name in TINY else 1

        def call():
            for _ in range(calls):
                rc.minimum_enclosing_ball(X)

        clock(GROUP + name, OURS, call, rounds=10, per=calls)
        measured.note(GROUP + name, GAP, rc.minimum_enclosing_ball(X).gap)
        return
    if who not in peers:
        pytest.skip(f"{who} is not installed")
    if measured.values.get((GROUP + name, who)) == np.inf:
        return  # not again
    path = file(name)
    neighbours.wait()
    seconds, radius = run(peers[who], who, path)
    measured.note(GROUP + name, who, seconds)
    if np.isfinite(seconds):
        assert radius == pytest.approx(rc.minimum_enclosing_ball(points(name)).radius, rel=1e-6)


@lru_cache(maxsize=1)
def wide(d, dtype):
    return gaussian(50, d, dtype)


@pytest.mark.parametrize("what", ["pass", "ball"])
@pytest.mark.parametrize("name", WIDE)
def test_over_the_pass(name, what, cycle, clock):
    call = rc.pairwise_sqdist if what == "pass" else rc.minimum_enclosing_ball
    clock(GROUP + name, what, partial(call, wide(*WIDE[name])))


def test_weighted(cycle, clock, measured):
    X = points("1e6 x 20")
    w = np.random.default_rng(1).uniform(0.5, 2.0, len(X))
    clock(GROUP + WEIGHTED, OURS, partial(rc.weighted_one_center, X, w))
    measured.note(GROUP + WEIGHTED, GAP, rc.weighted_one_center(X, w).gap)
