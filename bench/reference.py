"""Rules as one would write them down: the naive numpy baselines."""

from __future__ import annotations

from itertools import combinations

import numpy as np

import robustcore as rc


def sqdist(X: np.ndarray) -> np.ndarray:
    D = np.zeros((len(X), len(X)))
    for i in range(len(X)):
        for j in range(i):
            D[i, j] = D[j, i] = np.sum((X[i] - X[j]) ** 2)
    return D


def multi_krum(X: np.ndarray, f: int) -> np.ndarray:
    closest = len(X) - f  # the update itself among them
    scores = np.sort(sqdist(X), axis=1)[:, :closest].mean(axis=1)
    return np.mean(X[np.argsort(scores, kind="stable")[:closest]], axis=0)


def trimmed_mean(X: np.ndarray, f: int) -> np.ndarray:
    return np.sort(X, axis=0)[f : len(X) - f].mean(axis=0)


def mda(X: np.ndarray, f: int) -> np.ndarray:
    D = sqdist(X)
    best = min(combinations(range(len(X)), len(X) - f), key=lambda subset: D[np.ix_(subset, subset)].max())
    return X[list(best)].mean(axis=0)


def smea(X: np.ndarray, f: int) -> np.ndarray:
    def variance(subset: tuple[int, ...]) -> float:
        part = X[list(subset)] - X[list(subset)].mean(axis=0)
        return float(np.linalg.norm(part, 2))

    return X[list(min(combinations(range(len(X)), len(X) - f), key=variance))].mean(axis=0)


def centroids(X: np.ndarray, f: int) -> np.ndarray:
    return np.array([X[list(subset)].mean(axis=0) for subset in combinations(range(len(X)), len(X) - f)])


def minmax_meb(X: np.ndarray, f: int) -> float:
    """c* of MinMax-MEB, from the balls of all subsets, with robustcore's own balls."""
    balls = [rc.minimum_enclosing_ball(X[list(subset)]) for subset in combinations(range(len(X)), len(X) - f)]
    return rc.weighted_one_center(np.array([b.center for b in balls]), np.array([1 / b.radius for b in balls])).radius


def certify(X: np.ndarray, y: np.ndarray, f: int) -> tuple[float, float, float]:
    """MEB factor, kappa and centroid ratio of y, from all subsets, with robustcore's own balls."""
    subsets = [X[list(subset)] for subset in combinations(range(len(X)), len(X) - f)]
    means = np.array([S.mean(axis=0) for S in subsets])
    off = np.linalg.norm(means - y, axis=1)
    balls = [rc.minimum_enclosing_ball(S) for S in subsets]
    return (
        max(float(np.linalg.norm(y - ball.center)) / ball.radius for ball in balls),
        max(d**2 / np.mean(np.sum((S - m) ** 2, axis=1)) for d, S, m in zip(off, subsets, means, strict=True)),
        float(off.max()) / rc.minimum_enclosing_ball(means).radius,
    )


def in_safe_area(X: np.ndarray, y: np.ndarray, f: int) -> bool:
    """Whether y is a convex combination of any n - f of the rows: a linear programme for each choice."""
    from scipy.optimize import linprog

    def holds(S: np.ndarray) -> bool:
        return linprog(np.zeros(len(S)), A_eq=np.vstack([S.T, np.ones(len(S))]), b_eq=np.append(y, 1.0)).status == 0

    return all(holds(X[list(subset)]) for subset in combinations(range(len(X)), len(X) - f))
