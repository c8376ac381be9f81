"""Assignment matrices as they are defined: by trying all sets of machines."""

from itertools import combinations

import numpy as np


def held(A, t):
    """For each set of m - t machines, how many of them hold the point that fewest hold, and that most hold."""
    A = np.asarray(A)
    counts = [A[list(left)].sum(axis=0) for left in combinations(range(len(A)), len(A) - t)]
    return np.array([(count.min(), count.max()) for count in counts])


def holds(A, t, rho, delta):
    """Property III.1 for these numbers, up to rounding."""
    low, high = held(A, t).T
    return bool((rho * low + 1e-12 >= 1).all() and (rho * high <= (1 + delta) * (1 + 1e-12)).all())


def most_lost(A, t):
    """How many points may be held by none but t machines."""
    A = np.asarray(A)
    return max(int((A[list(left)].sum(axis=0) == 0).sum()) for left in combinations(range(len(A)), len(A) - t))


def expansion(graph):
    """The larger of |lambda_2| and |lambda_m| of a symmetric matrix."""
    values = np.linalg.eigvalsh(graph)
    return max(values[-2], -values[0])
