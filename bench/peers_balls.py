"""One peer on one array, in an interpreter that need have nothing but numpy and the peer.

python peers_balls.py                    its peers and their versions
python peers_balls.py NAME FILE SECONDS  seconds of the fastest call, as many as fit that time, and the radius
"""

from __future__ import annotations

import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version

import numpy as np

NAMES = ("cyminiball", "miniballcpp", "miniball")  # the last two have the same name as modules
MEMORY = 4 << 30  # bytes: miniball copies the list of all points for each of them


def call(name, X):
    """The seconds of one call, and the radius."""
    start = time.perf_counter()
    if name == "cyminiball":
        import cyminiball

        square = cyminiball.compute_no_checks(X)[1]
    elif name == "miniballcpp":
        from miniball import Miniball

        ball = Miniball(X)
        square = ball.squared_radius()
        own = ball.get_time()  # without what turns the array into lists; in microseconds
        if own > 1e-3:
            return own, square**0.5
    else:
        from miniball import get_bounding_ball

        square = get_bounding_ball(X)[1]
    return time.perf_counter() - start, square**0.5


def here():
    """The peers that this interpreter has; of two by the same name, the one that can be imported."""
    found = {}
    for name in NAMES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if "miniball" in found and "miniballcpp" in found:
        import miniball

        del found["miniball" if hasattr(miniball, "Miniball") else "miniballcpp"]
    return found


def main(name, file, seconds):
    X = np.load(file)
    call(name, X[:3])  # imports
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    best, end = np.inf, time.perf_counter() + float(seconds)
    while True:
        taken, radius = call(name, X)
        best = min(best, taken)
        if time.perf_counter() + taken > end:
            break
    print(best, radius)


if __name__ == "__main__":
    if sys.argv[1:]:
        main(*sys.argv[1:])
    else:
        for name, number in here().items():
            print(name, number)
