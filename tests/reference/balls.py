"""Enclosing balls as they are defined: by trying every support, and by what convex weights prove."""

from itertools import combinations

import numpy as np


def proven(P, weights, w=1.0):
    """(value, bound): the largest weighted distance from the point with these weights, and what they prove.

    For every y: max w_i^2 |y - p_i|^2 >= sum a_i |y - p_i|^2 / sum a_i / w_i^2 >= the same at sum a_i p_i.
    """
    P, w = np.asarray(P, float), np.broadcast_to(np.asarray(w, float), len(P))
    heaviest = P[np.argmax(w * (weights > 0))]
    square = ((P - heaviest - weights @ (P - heaviest)) ** 2).sum(axis=1)
    return float(np.sqrt((w**2 * square).max())), float(np.sqrt(weights @ square / (weights @ w**-2.0)))


def circumsphere(P):
    """(center, radius) of the sphere through affinely independent points, in their hull; None if they are not."""
    A = P[1:] - P[0]
    G = A @ A.T
    if len(A) and np.linalg.matrix_rank(A, tol=1e-9 * np.abs(A).max()) < len(A):
        return None
    center = P[0] + np.linalg.solve(G, 0.5 * np.diag(G)) @ A if len(A) else P[0]
    return center, np.linalg.norm(center - P[0])


def minimum_enclosing_ball(P):
    """(center, radius): of all circumspheres, the smallest that holds all points."""
    best = None
    for size in range(1, min(len(P), P.shape[1] + 1) + 1):
        for S in combinations(range(len(P)), size):
            found = circumsphere(P[list(S)])
            if found is None or (best is not None and found[1] >= best[1]):
                continue
            if np.linalg.norm(P - found[0], axis=1).max() <= found[1] * (1 + 1e-12) + 1e-15:
                best = found
    return best


def candidates(X, f):
    """(centers, radii) of the smallest balls around all n - f of the points."""
    from robustcore import minimum_enclosing_ball  # held against the definition in tests/rules/test_ball.py

    balls = [minimum_enclosing_ball(X[list(T)]) for T in combinations(range(len(X)), len(X) - f)]
    return np.array([ball.center for ball in balls]), np.array([ball.radius for ball in balls])


def meb_factor(X, f, y):
    """The largest |y - c_T| / r_T over all n - f of the points: y is that-MEB valid, whoever is honest."""
    centers, radii = candidates(np.asarray(X, float), f)
    distances = np.linalg.norm(centers - y, axis=1)
    return float(np.divide(distances, radii, out=np.where(distances > 0, np.inf, 0.0), where=radii > 0).max())


def centroids(X, f):
    """The centroids of all subsets of n - f points."""
    return np.array([X[list(subset)].mean(axis=0) for subset in combinations(range(len(X)), len(X) - f)])
