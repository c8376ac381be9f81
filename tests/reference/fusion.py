"""The fusion centre's steps word for word, and the best clustering of a few weighted points, by trying all."""

import numpy as np


def summary(X, weights, matrix, replies, t, rho, power):
    """Steps 7 to 10 of Algorithms 1 and 2, for well-formed replies (None otherwise): kept, costs, Y, g."""
    costs, shares = [], []
    for row, Y in zip(matrix, replies, strict=True):
        own = np.flatnonzero(row)
        if Y is None:
            costs.append(np.inf)
            shares.append(None)
            continue
        share, cost = np.zeros(len(Y)), 0.0
        for x, w in zip(X[own], weights[own], strict=True):
            distances = [np.sqrt(((x - y) ** 2).sum()) for y in Y]
            nearest = int(np.argmin(distances))
            share[nearest] += w
            cost += w * distances[nearest] ** power
        costs.append(cost)
        shares.append(share)
    kept = sorted(range(len(matrix)), key=lambda i: (costs[i], replies[i] is None, i))[: len(matrix) - t]
    Y = np.array([y for i in kept for y in replies[i]])
    g = np.array([rho * share for i in kept for share in shares[i]])
    return kept, np.array(costs), Y, g


def optimum(X, k, power, weights=None):
    """The smallest cost of k centers in R^d, and such centers: of all ways to share out the points, none forgotten.

    Of power 2, every cluster has its mean; of power 1, its geometric median, to about 1e-9 of its cost.
    """
    X = np.asarray(X, np.float64)
    weights = np.ones(len(X)) if weights is None else np.asarray(weights, np.float64)
    X, weights = X[weights > 0], weights[weights > 0]
    if not len(X):
        return 0.0, np.zeros((k, X.shape[1]))
    X, to = np.unique(X, axis=0, return_inverse=True)
    weights = np.bincount(to.ravel(), weights)
    n = len(X)
    subsets = (np.arange(1, 2**n)[:, None] >> np.arange(n)) & 1
    centers = _centers(X, subsets * weights, power)
    away = np.linalg.norm(X - centers[:, None], axis=2) ** power
    alone = np.concatenate([[0.0], (subsets * weights * away).sum(axis=1)])
    best, chosen = alone, [np.arange(2**n)]  # of every subset, with as many clusters as there are entries in chosen
    for _ in range(1, min(k, n)):
        better, first = best.copy(), np.zeros(2**n, int)
        for S in range(1, 2**n) if len(chosen) < min(k, n) - 1 else [2**n - 1]:
            T = _parts(S)
            costs = alone[T] + best[S & ~T]
            at = costs.argmin()
            better[S], first[S] = costs[at], T[at]
        best = better
        chosen.append(first)
    S, found = 2**n - 1, []
    for first in reversed(chosen):
        T = int(first[S])
        if T:
            found.append(centers[T - 1])
        S &= ~T
    return float(best[-1]), np.resize(np.array(found), (k, X.shape[1]))


def _parts(S):
    """The subsets of S, the empty one included."""
    bits = [bit for bit in range(S.bit_length()) if S >> bit & 1]
    masks = np.array([0])
    for bit in bits:
        masks = np.concatenate([masks, masks | 1 << bit])
    return masks


def _centers(X, weights, power):
    """The best center of X for each row of weights, none of them without any."""
    y = weights @ X / weights.sum(axis=1, keepdims=True)
    if power == 2:
        return y
    for _ in range(400):
        pull = weights / np.maximum(np.linalg.norm(X - y[:, None], axis=2), 1e-12)
        y = pull @ X / pull.sum(axis=1, keepdims=True)
    # Weiszfeld's steps are slow where the median is one of the points.
    apart = np.linalg.norm(X[:, None] - X, axis=2)
    at_points = np.where(weights > 0, weights @ apart, np.inf)
    costs = (weights * np.linalg.norm(X - y[:, None], axis=2)).sum(axis=1)
    nearest = at_points.argmin(axis=1)
    at_point = np.take_along_axis(at_points, nearest[:, None], axis=1)[:, 0] <= costs
    return np.where(at_point[:, None], X[nearest], y)
