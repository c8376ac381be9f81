"""What the library computes, as plainly as it can be said. Slow on purpose; every kernel is held against these."""

import itertools
import math
from fractions import Fraction

import numpy as np


def pairwise_sqdist(X):
    """(n, n) float64: differences and squares in float64, added without error, so off by a few 1e-16."""
    X = np.array(X, np.float64)
    X[~np.isfinite(X).all(axis=1)] = np.nan
    D = np.empty((len(X), len(X)))
    with np.errstate(over="ignore"):
        for i, j in itertools.combinations_with_replacement(range(len(X)), 2):
            D[i, j] = D[j, i] = math.fsum(((X[i] - X[j]) ** 2).tolist())
    return D


def exact_sqdist(X):
    """(n, n) Fractions, without any error."""
    rows = [[Fraction(float(v)) for v in x] for x in X]
    D = [[sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) for y in rows] for x in rows]
    return np.array(D, dtype=object)


def krum_scores(D, f, neighbors="theory"):
    """One score for each row of D; exact where D is."""
    n = len(D)
    if neighbors == "theory":  # the n - f nearest, the point itself among them
        return [sum(sorted(D[i])[: n - f]) / (n - f) for i in range(n)]
    return [sum(sorted(np.delete(D[i], i))[: n - f - 2]) for i in range(n)]  # the n - f - 2 nearest others


def multi_krum(D, f, m, neighbors="theory"):
    """The m indices of the lowest scores, in increasing order; ties go to the lowest index."""
    scores = krum_scores(D, f, neighbors)
    return sorted(sorted(range(len(D)), key=lambda i: (scores[i], i))[:m])


def krum(D, f, neighbors="theory"):
    """The index of the lowest score; ties go to the lowest index."""
    return multi_krum(D, f, 1, neighbors)[0]


def combine(X, weights):
    """(d,) float64: sum of weights[i] * X[i], rounded once."""
    columns = np.array(X, np.float64).T.tolist()
    w = [Fraction(float(v)) for v in weights]
    return np.array([float(sum(a * Fraction(x) for a, x in zip(w, column, strict=True))) for column in columns])


def mean(X):
    """(d,) float64: the mean of the rows, rounded once."""
    columns = np.array(X, np.float64).T.tolist()
    return np.array([float(sum(map(Fraction, column)) / len(column)) for column in columns])
