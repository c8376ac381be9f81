"""k-medians in plain NumPy: the nearest center, and the weighted geometric median of a cluster."""

import itertools

import numpy as np


def nearest(X, centers):
    """labels, distances: the first of several centers that are equally near."""
    X, centers = np.asarray(X, np.float64), np.asarray(centers, np.float64)
    distances = np.sqrt(((X[:, None] - centers) ** 2).sum(axis=2))
    return distances.argmin(axis=1), distances.min(axis=1)


def cost(X, centers, weights=None, power=1):
    """The weighted sum of distances to the nearest center, or of their squares."""
    return float(
        np.average(nearest(X, centers)[1] ** power, weights=weights) * (len(X) if weights is None else sum(weights))
    )


def median(X, weights, steps=3000):
    """Weiszfeld's algorithm from the mean, for a long time; and no worse than any of the points."""
    X = np.asarray(X, np.float64)
    y = np.average(X, axis=0, weights=weights)
    for _ in range(steps):
        away = np.maximum(np.linalg.norm(X - y, axis=1), 1e-300)
        y = (weights / away) @ X / (weights / away).sum()
    return min((y, *X), key=lambda c: cost(X, [c], weights))


def best(X, k, weights=None):
    """The smallest cost of k centers: of all ways to share the points out, each with its medians."""
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, np.float64)
    least = np.inf
    for labels in itertools.product(range(k), repeat=len(X)):
        if any(label > 1 + max(labels[:i], default=-1) for i, label in enumerate(labels)):
            continue  # the same clusters have been there under other names
        total = 0.0
        for c in set(labels):
            own = np.equal(labels, c) & (weights > 0)
            if own.any():
                total += cost(X[own], [median(X[own], weights[own], 200)], weights[own])
        least = min(least, total)
    return least
