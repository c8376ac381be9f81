"""The ball of all centroids, in coordinates: what it does with the machine."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from robustcore import _core

HARD = np.random.default_rng(0).normal(size=(80, 80))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt])
def test_what_progress_raises_stops_it(threads, error):
    def progress(fraction):
        assert 0.0 <= fraction <= 1.0
        raise error("enough")

    with pytest.raises(error, match="enough"):
        _core.centroid_ball(HARD, 35, threads, progress=progress)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(80, 80), (400, 400)])
def test_interrupts_are_heard_at_once(shape):
    x, before = np.random.default_rng(0).normal(size=shape), []

    def press():
        before.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.5, press)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        _core.centroid_ball(x, len(x) // 3, 2)
    assert time.perf_counter() - before[0] < 1.0


@pytest.mark.parametrize("f", [-1, 4])
def test_what_makes_no_sense_is_refused(f):
    with pytest.raises(ValueError, match="0 <= f < n"):
        _core.centroid_ball(np.eye(4), f)
    with pytest.raises(ValueError, match="finite"):
        _core.centroid_ball(np.full((4, 1), np.inf), 2)
