"""Points with known centres: a mixture like the data set of Section V, and which of its centres are found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import as_count, as_number, check_least
from robustcore._extras import extra

with extra("clustering", "clustering needs scipy, scikit-learn and networkx"):
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

Floats = NDArray[Any]
Ints = NDArray[np.int64]

NEAR = 0.05  # of the extent: a true centre that has one of ours so near is found
# The shape of S1 (Fränti, Virmajoki 2006), measured: each in units of the extent.
WIDEST = (0.030, 0.038)  # the larger standard deviation of a cluster
SHAPE = (0.6, 1.0)  # the smaller ones, in units of the larger
APART = 0.165  # no two centres are nearer
MARGIN = 0.12  # nor is one nearer to the edge
SIZES = (300, 350)  # of the smallest and of the largest cluster, if there are 5000 points in 15


def gaussians(
    n: int = 5000, k: int = 15, d: int = 2, *, extent: float = 1e6, rng: Any = 0
) -> tuple[Floats, Floats, Ints]:
    """Draw a mixture of the shape of the data set S1: k stretched Gaussian clusters that overlap slightly.

    Parameters
    ----------
    n, k, d : int
        Points, clusters, dimensions.
    extent : float
        The edge of the box that the centres are in, and nearly all points.
    rng : None, int or numpy.random.Generator
        What is drawn from.

    Returns
    -------
    points : (n, d) float64
        One cluster after the other, as S1 has them.
    centers : (k, d) float64
        The true ones.
    labels : (n,) int64
        The cluster of each point.

    Raises
    ------
    ValueError
        When k clusters so far apart do not fit into a box of so few dimensions (about 20 do in the plane), or n < k, or
        the extent is not above 0.

    Notes
    -----
    Cost: n d numbers drawn, n d^2 multiplications. Sizes differ by up to a seventh, distances between centres are at
    least 0.165 extents, and clusters are at most 0.030 to 0.038 extents wide (one standard deviation).

    References
    ----------
    P. Fränti, O. Virmajoki, *Iterative shrinking method for clustering problems*, Pattern Recognition 39(5), 2006.

    Examples
    --------
    >>> from robustcore.clustering.mixture import gaussians
    >>> X, centers, labels = gaussians()
    >>> X.shape, centers.shape, np.bincount(labels)[:3]
    ((5000, 2), (15, 2), array([308, 311, 315]))
    """
    n, k, d = as_count("gaussians", "n", n), as_count("gaussians", "k", k), as_count("gaussians", "d", d)
    for name, count, least in (("k", k, 1), ("d", d, 1), ("n", n, k)):
        check_least("gaussians", name, count, least)
    extent = as_number("gaussians", "extent", extent)
    rng = np.random.default_rng(rng)
    centers = extent * _apart(k, d, rng)
    ends = np.round(np.cumsum(np.linspace(*SIZES, k)) / np.linspace(*SIZES, k).sum() * n).astype(np.int64)
    labels = np.repeat(np.arange(k), np.diff(ends, prepend=0))
    X = rng.standard_normal((n, d))
    for j, center in enumerate(centers):
        widths = extent * rng.uniform(*WIDEST) * np.append(rng.uniform(*SHAPE, d - 1), 1.0)
        turned, _ = np.linalg.qr(rng.standard_normal((d, d)))
        own = slice(ends[j - 1] if j else 0, ends[j])
        X[own] = X[own] * widths @ turned.T + center
    return X, centers, labels


def _apart(k: int, d: int, rng: np.random.Generator) -> Floats:
    """(k, d): points in the unit box, none near another or the edge."""
    for _ in range(20):
        found = np.empty((0, d))
        for point in rng.uniform(MARGIN, 1 - MARGIN, (200 * k, d)):
            if (np.hypot.reduce(found - point, axis=1) >= APART).all():
                found = np.vstack([found, point])
            if len(found) == k:
                return found
    raise ValueError(f"gaussians: {k} clusters so far apart do not fit into {d} dimension{'s' * (d > 1)}")


def extent_of(X: Floats) -> float:
    """The longest edge of the box around points.

    Parameters
    ----------
    X : (n, d) array

    Returns
    -------
    float

    Examples
    --------
    >>> from robustcore.clustering.mixture import extent_of
    >>> extent_of(np.array([[0.0, 1.0], [2.0, 9.0]]))
    8.0
    """
    return float((np.asarray(X.max(axis=0), np.float64) - np.asarray(X.min(axis=0), np.float64)).max())


def match(centers: Floats, truth: Floats, extent: float, *, near: float = NEAR) -> NDArray[np.bool_]:
    """Say which true centres have been found: as many as can have a centre of their own that is near.

    Parameters
    ----------
    centers : (k, d) array
        Those found; one that is not finite is near to nothing.
    truth : (q, d) array
        The true ones.
    extent : float
        The unit of distances, as from `extent_of`.
    near : float
        What still counts as found, in extents.

    Returns
    -------
    (q,) bool

    Notes
    -----
    Cost: k q distances, and a largest matching between those that are near.

    Examples
    --------
    >>> from robustcore.clustering.mixture import match
    >>> match(np.array([[0.0], [0.1], [7.0]]), np.array([[0.1], [5.0], [7.1], [0.0]]), extent=10.0).tolist()
    [True, False, True, True]
    """
    truth = np.asarray(truth, np.float64)
    with np.errstate(all="ignore"):
        apart = np.asarray(centers, np.float64)[None] - truth[:, None]
        close = np.hypot.reduce(apart, axis=2) <= near * extent
    return np.asarray(maximum_bipartite_matching(csr_array(close), perm_type="column") >= 0)
