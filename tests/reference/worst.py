"""What an output is worth at worst, as it is defined: by trying every choice of honest clients."""

from fractions import Fraction
from itertools import combinations

import numpy as np
from balls import centroids, meb_factor


def kappa(X, f, y):
    """The largest |y - mean(S)|^2 / variance(S) over the S of n - f rows, without rounding; 0 / 0 is -inf."""
    rows, y = [[Fraction(x) for x in row] for row in np.asarray(X, float)], [Fraction(v) for v in np.asarray(y, float)]
    worst, size = -np.inf, len(rows) - f
    for S in combinations(rows, size):
        mean = [sum(column) / size for column in zip(*S, strict=True)]
        off = sum((v - m) ** 2 for v, m in zip(y, mean, strict=True))
        variance = sum((v - m) ** 2 for row in S for v, m in zip(row, mean, strict=True)) / size
        worst = max(worst, off / variance if variance else np.inf if off else -np.inf)
    return float(worst)


def centroid_ratio(X, f, y):
    """The largest distance of y from a mean of n - f rows, over the radius of the smallest ball around all of these."""
    from robustcore import minimum_enclosing_ball  # held against the definition in tests/rules/test_ball.py

    X, middle = np.asarray(X, float), np.median(X, axis=0)
    C = np.unique(centroids(X - middle, f), axis=0)
    farthest = np.linalg.norm(C - (y - middle), axis=1).max()
    radius = minimum_enclosing_ball(C).radius
    if len(C) > 1:
        return float(farthest / radius)
    rounding = 1e-12 * np.abs(X - middle).max() + np.finfo(float).eps * np.linalg.norm(y)
    return np.inf if farthest > rounding else 0.0  # f = 0, and y may be rounded


ALL = {"meb_factor": meb_factor, "kappa": kappa, "centroid_ratio": centroid_ratio}
