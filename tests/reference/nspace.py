"""The rules that distances decide, on the vectors themselves and as plainly as they can be said."""

from itertools import combinations

import columnwise
import numpy as np


def sum_of_distances(X, v, smoothing=0.0):
    """In extended precision; a distance r < smoothing counts as (r^2 / smoothing + smoothing) / 2."""
    r = np.sqrt(((np.asarray(X, np.longdouble) - v) ** 2).sum(axis=1))
    return sum((x * x / smoothing + smoothing) / 2 if x < smoothing else x for x in r)


def medoid(X):
    """The index of the vector with the smallest sum of distances; ties go to the lowest index."""
    sums = [sum(sorted(np.linalg.norm(X - x, axis=1))) for x in X]
    return sums.index(min(sums))


def _eliminate(A, b, least):
    """The solution of A y = b for A >= 0, lifted to `least` where it is singular; LAPACK has no extended precision."""
    A, y = np.array(A), np.array(b)
    for k in range(len(y)):
        A[k, k] = max(A[k, k], least)
        rest = A[k + 1 :, k] / A[k, k]
        A[k + 1 :] -= rest[:, None] * A[k]
        y[k + 1 :] -= rest * y[k]
    for k in reversed(range(len(y))):
        y[k] = (y[k] - A[k, k + 1 :] @ y[k + 1 :]) / A[k, k]
    return y


def _descend(X, v, step, smoothing):
    """v + step, halved until it has a smaller sum of distances; v itself if none has."""
    least = sum_of_distances(X, v, smoothing)
    for halving in range(100):
        if sum_of_distances(X, w := v + step / np.longdouble(2) ** halving, smoothing) < least:
            return w
    return v


def _pulls(X, v, smoothing):
    """The distances, and the vectors of at most unit length with which each of X pulls at v; none where it is v."""
    r = np.maximum(np.sqrt(((X - v) ** 2).sum(axis=1)), max(smoothing, np.finfo(np.longdouble).tiny ** 0.5))
    return r, (X - v) / r[:, None]


def _newton(X, v, smoothing):
    """Newton's method on the coordinates, damped, until extended precision sees no descent; then one full step."""
    for _ in range(100):
        r, u = _pulls(X, v, smoothing)
        linear = u * (r > smoothing)[:, None]
        scale = (1 / r).sum()
        H = np.diag(np.full(len(v), scale)) - (linear.T / r) @ linear
        step = _eliminate(H, u.sum(axis=0), np.finfo(np.longdouble).eps * scale)
        if (w := _descend(X, v, step, smoothing)) is v:
            break
        v = w
    return min([v, v + step], key=lambda w: (_pulls(X, w, smoothing)[1].sum(axis=0) ** 2).sum())


def geometric_median(X, smoothing=0.0):
    """In extended precision: a vector that is the median (Kuhn's test), or what Newton's method finds.

    It begins at the mean, at the coordinate-wise median, and beside the best of the vectors: from there on it is below
    the sum of distances at every vector, so that it never meets one, and the sum is smooth and convex all the way.
    """
    X = np.asarray(X, np.longdouble)
    best = X[np.argmin([sum_of_distances(X, x, smoothing) for x in X])]
    pull = _pulls(X, best, smoothing)[1].sum(axis=0)
    if smoothing == 0.0 and np.sqrt(pull @ pull) <= (best == X).all(axis=1).sum() * (1 + 1e-17):
        return best
    beside = _descend(X, best, pull * np.abs(X - best).max(), smoothing)
    found = [_newton(X, v, smoothing) for v in (X.mean(axis=0), np.median(X, axis=0), beside)]
    return min([best, *found], key=lambda v: sum_of_distances(X, v, smoothing))


def centered_clip(X, tau, center, iterations=1):
    """v moves by the mean of the differences x - v, each shortened to tau."""
    v = np.array(center, np.float64)
    for _ in range(iterations):
        steps = X - v
        v = v + np.mean([s * min(1.0, tau / r) if (r := np.linalg.norm(s)) else s for s in steps], axis=0)
    return v


def monna(X, f, pivot=0):
    """The mean of the n - f vectors nearest to the pivot; ties go to the lowest index, the pivot first."""
    order = sorted(range(len(X)), key=lambda j: (j != pivot, np.linalg.norm(X[pivot] - X[j]), j))
    return X[order[: len(X) - f]].mean(axis=0)


def caf_rounds(X, f):
    """Round by round the weights c, the variances of the weighted vectors along the axes, largest last, and tau."""
    c = np.ones(len(X))
    while True:
        share = c / c.sum()
        deviations = X - share @ X
        values, vectors = np.linalg.eigh((share[:, None] * deviations).T @ deviations)
        tau = np.where(c > 0, (deviations * vectors[:, -1]).sum(axis=1) ** 2, 0.0)
        yield c, values, tau
        if not tau.any():
            return
        c = c * (1 - tau / tau.max())
        if c.sum() <= len(X) - 2 * f:
            return


def caf(X, f):
    """The weights c, as shares, of the round with the smallest largest variance; from covariance matrices."""
    c, _, _ = min(caf_rounds(X, f), key=lambda found: found[1][-1])
    return c / c.sum()


def bulyan_rounds(D, f):
    """The classic Krum scores of those left, round by round; the lowest, and of equal ones the first, is taken out."""
    left = list(range(len(D)))
    while len(left) > 2 * f:
        count = min(len(left) - 1, max(1, len(left) - f - 2))
        scores = {i: sum(sorted(D[i][j] for j in left if j != i)[:count]) for i in left}
        yield scores
        left.remove(min(left, key=lambda i: (scores[i], i)))


def bulyan(D, f, X):
    """Whom Krum chooses one by one, and the mean of the n - 4f values of theirs around the median, by coordinate."""
    chosen = sorted(min(scores, key=lambda i: (scores[i], i)) for scores in bulyan_rounds(D, f))
    return chosen, columnwise.meamed([X[i] for i in chosen], 2 * f)


def quadratic(G, h, T):
    """The sum of h over T, and of G over its ordered pairs."""
    return sum(h[i] for i in T) + 2 * sum(G[i][j] for i, j in combinations(T, 2))


def largest_quadratic(G, h, t):
    """Of the subsets of t indices the one with the largest value; ties go to the first in lexicographic order."""
    return max(combinations(range(len(h)), t), key=lambda T: quadratic(G, h, T))


def farthest_centroid(X, t, y):
    """Which t of the vectors are to be left out so that the mean of the others is farthest from y."""
    left_out = combinations(range(len(X)), t)
    return max(left_out, key=lambda T: np.linalg.norm(np.delete(X, T, axis=0).mean(axis=0) - y))


def minimum_diameter_subset(D, f):
    """The first in lexicographic order of the (n - f)-subsets with the smallest largest distance, and that distance."""

    def diameter(subset):
        return max(D[i][j] for i in subset for j in subset)

    subset = min(combinations(range(len(D)), len(D) - f), key=diameter)  # the first of equal ones
    return list(subset), diameter(subset)


def largest_eigenvalue(X):
    """Of the covariance of the vectors, the mean of the squared deviations."""
    deviations = X - X.mean(axis=0)
    return np.linalg.eigvalsh(deviations.T @ deviations / len(X))[-1]


def smea(X, f):
    """The smallest largest eigenvalue of the covariance of n - f of the vectors, and all such subsets by theirs."""
    found = {subset: largest_eigenvalue(X[list(subset)]) for subset in combinations(range(len(X)), len(X) - f)}
    return min(found.values()), found
