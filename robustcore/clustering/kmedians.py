"""Weighted Euclidean k-medians: k centers in R^d with a small sum of distances of the points to their nearest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustcore import _core
from robustcore._constraints import as_count, as_number, check_least
from robustcore._extras import extra
from robustcore._threads import get_num_threads

with extra("clustering", "clustering needs scikit-learn"):
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data

Floats = NDArray[np.float64]
Points = NDArray[np.floating[Any]]  # (n, d) float32 or float64, C-contiguous
Labels = NDArray[np.int32]

NUMBERS = (np.float64, np.float32)
EXACT = 1e-7  # the share by which the sum of distances of a cluster may be above that of its median
ROUGH = 1e-2  # the same at first
SAMPLE, SHARE = 1 << 15, 256  # points that tell good starts from bad ones: in all, and for each cluster
FAR = 2.0**300  # points as far apart as this, or as near to each other as its inverse, are squared in another unit


def assign(X: ArrayLike, centers: ArrayLike) -> tuple[Labels, Floats]:
    """Find the nearest center of each point.

    Parameters
    ----------
    X : (n, d) array_like
        The points, finite. float32 and float64 in C order are read where they are.
    centers : (k, d) array_like
        The centers, finite.

    Returns
    -------
    labels : (n,) int32
        Which center is nearest; the first of several that are equally near.
    distances : (n,) float64
        How far it is: differences and sums in float64, the same on every machine and for every number of threads.

    Raises
    ------
    ValueError
        When either is no matrix of finite numbers, or they have not as many columns.

    Notes
    -----
    Cost: one read of the points, 2 n k d operations, beside a look at how large and how finite the numbers are.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import assign
    >>> assign(np.array([[0.0, 3.0], [9.0, 0.0]]), [[0.0, 0.0], [5.0, 0.0]])
    (array([0, 1], dtype=int32), array([3., 4.]))
    """
    points: Points = check_array(X, dtype=NUMBERS, order="C", input_name="X")
    to = check_array(centers, dtype=np.float64, order="C", input_name="centers")
    unit = unit_of(points, to)
    labels, distances = nearest(in_unit(points, unit), to * unit)
    return labels, distances / unit


def nearest(X: Points, centers: Points) -> tuple[Labels, Floats]:
    """What `assign` says of matrices as they are; a distance whose square is beyond float64 is infinite."""
    return _core.nearest_centers(X, np.ascontiguousarray(centers, np.float64), get_num_threads())


def as_weights(sample_weight: ArrayLike | None, n: int) -> tuple[Floats | None, float]:
    """``sample_weight`` as n finite numbers >= 0 of which the largest is about 1, and the unit that they are in.

    None where all points count alike.
    """
    if sample_weight is None:
        return None, 1.0
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "fiub":
        raise ValueError(f"sample_weight must be numbers, not {weights.dtype}")
    weights = np.full(n, weights, np.float64) if not weights.ndim else np.ascontiguousarray(weights, np.float64)
    if weights.shape != (n,):
        raise ValueError(f"sample_weight has the shape {weights.shape}; it must be ({n},), one for each point")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        raise ValueError(f"sample_weight[{bad[0]}] is {weights[bad[0]]}; weights are finite numbers >= 0")
    if not weights.any():
        raise ValueError("sample_weight is zero for all points")
    exponent = max(-1000, min(1000, math.frexp(float(weights.max()))[1]))
    return weights * 2.0**-exponent, 2.0**exponent


def total(weights: Floats | None, values: Floats) -> float:
    """The weighted sum of values."""
    return float(_costs(weights, values).sum())


def _costs(weights: Floats | None, values: Floats) -> Floats:
    return values if weights is None else weights * values


class KMedians(ClassNamePrefixFeaturesOutMixin, TransformerMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """Clustering with k centers anywhere in R^d, for a small sum of Euclidean distances.

    An estimator after scikit-learn's conventions. Unlike in k-means, which squares them, a far point counts no more
    than its distance; unlike in k-medoids, centers need not be points. Centers are in lexicographic order.

    Parameters
    ----------
    n_clusters : int
        k, at most as many as there are points. Where fewer points are distinct, centers repeat.
    n_init : int
        How many times to start anew; the lowest cost counts.
    max_iter : int
        The most iterations of one start.
    tol : float
        A start ends when an iteration takes off less than this share of the cost.
    random_state : int, RandomState or None
        What draws the seeds. The same state gives the same centers, bit for bit, for every number of threads.

    Attributes
    ----------
    cluster_centers_ : (n_clusters, d), dtype of X
        The centers.
    labels_ : (n,) int32
        The nearest center of each point, the first of several.
    inertia_ : float
        The cost: the weighted sum of distances of the points to their nearest center.
    n_iter_ : int
        The iterations of the best start.
    n_features_in_ : int
        d.

    Raises
    ------
    ValueError
        When X is not a finite (n, d) matrix with n >= n_clusters, or weights are not finite and >= 0.

    Notes
    -----
    Seeds are drawn with probabilities in proportion to the distance to those before (k-means++ with distances rather
    than their squares), the best of 2 + log(k) draws each time. Then points go to the nearest center, and each center
    to the weighted geometric median of its cluster (within 1e-7 of the smallest sum of distances, proved by the pull of
    its points; a point that is the median is met exactly), until nothing changes; a center that loses all points goes
    to the one that costs most. Then points are drawn in the same way as seeds, and where having one for a center, in
    place of the center that is missed least, is better, it goes on from there; until k in a row are no better. Where
    there are more points than twice 32768 and 256 k, starts are tried on so many drawn from them, and the best
    goes on with all.

    Cost: an iteration reads the points once for 2 n k d operations, and about ten times for 6 n d operations; seeding
    takes 2 n k d (2 + log k), and so many again looking for a better center.

    Condition: 1 <= n_clusters <= n.

    References
    ----------
    Arthur, Vassilvitskii, *k-means++: the advantages of careful seeding*, 2007 (seeding, for powers of distances);
    Lattanzi, Sohler, *A better k-means++ algorithm via local search*, 2019 (going on with better points); Vardi, Zhang,
    *The multivariate L1-median and associated data depth*, PNAS 2000 (the step of the centers).

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import KMedians
    >>> X = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [90.0, 0.0], [90.0, 1.0], [90.0, 9.0]])
    >>> found = KMedians(n_clusters=2, random_state=0).fit(X)
    >>> found.cluster_centers_[found.labels_[5]], round(found.inertia_, 3)
    (array([90.,  1.]), 10.932)
    """

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        n_init: int = 4,
        max_iter: int = 300,
        tol: float = 1e-5,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None, sample_weight: ArrayLike | None = None) -> KMedians:
        """Find the centers of X (n, d); ``sample_weight`` (n,), or one for all, counts a point as many times."""
        points: Points = validate_data(self, X, dtype=NUMBERS, order="C")
        k = as_clusters(self.n_clusters, len(points))
        for name in ("n_init", "max_iter"):
            check_least("KMedians", name, as_count("KMedians", name, getattr(self, name)), 1)
        as_number("KMedians", "tol", self.tol, ">= 0")
        weights, heaviness = as_weights(sample_weight, len(points))
        unit = unit_of(points)
        seen = in_unit(points, unit)
        draw = check_random_state(self.random_state)
        few, of_few = seen, weights
        if len(seen) > 2 * (size := max(SAMPLE, SHARE * k)):  # starts are tried on fewer points
            few, of_few = seen[_drawn(_costs(weights, np.ones(len(seen))), draw, size)], None
        starts = (self._search(few, of_few, _seeds(few, of_few, k, draw), draw) for _ in range(self.n_init))
        centers, _, self.n_iter_ = min(starts, key=lambda start: start[1])
        if few is not seen:
            centers, _, self.n_iter_ = self._search(seen, weights, centers, draw)
        centers = centers[np.lexsort(centers.T[::-1])]
        self.cluster_centers_ = (centers / unit).astype(points.dtype)
        self.labels_, distances = nearest(seen, self.cluster_centers_.astype(np.float64) * unit)
        self.inertia_ = total(weights, distances) / unit * heaviness
        return self

    def _search(
        self, X: Points, weights: Floats | None, centers: Floats, draw: np.random.RandomState
    ) -> tuple[Floats, float, int]:
        """Down from some centers, and on for as long as one of k further points in a row is a better center."""
        centers, cost, iterations = self._descend(X, weights, centers)
        failed = 0
        swaps = _Swaps(X, weights, centers)
        while failed < len(centers) > 1:
            swapped, worth = swaps.draw(draw)
            if worth < cost * (1.0 - self.tol):
                centers, cost, more = self._descend(X, weights, swapped)
                swaps, iterations, failed = _Swaps(X, weights, centers), iterations + more, 0
            else:
                failed += 1
        return centers, cost, iterations

    def _descend(self, X: Points, weights: Floats | None, centers: Floats) -> tuple[Floats, float, int]:
        """The centers, their cost, and the iterations that led there.

        On the way, medians are as exact as the progress asks for: what they miss is about the square of the tolerance.
        """
        labels, distances = nearest(X, centers)
        cost, tolerance, iterations = total(weights, distances), ROUGH, 0
        while iterations < self.max_iter:
            iterations += 1
            moved = _core.cluster_medians(X, weights, labels, centers, tolerance, get_num_threads())
            use_idle(X, weights, labels, distances, moved)
            labels, distances = nearest(X, moved)
            drop = cost - total(weights, distances)
            if drop > 0.0:
                centers, cost = moved, cost - drop
            if drop > self.tol * cost:
                if tolerance > EXACT:
                    tolerance = max(EXACT, min(ROUGH, 0.3 * math.sqrt(drop / cost)))
            elif tolerance == EXACT:
                break
            else:
                tolerance = EXACT
                if not drop > 0.0:  # by rounding alone
                    labels, distances = nearest(X, centers)
        return centers, cost, iterations

    def predict(self, X: ArrayLike) -> Labels:
        """The nearest center of each of the points X (n, d): (n,) int32."""
        return self._assigned(X)[0]

    def score(self, X: ArrayLike, y: None = None, sample_weight: ArrayLike | None = None) -> float:
        """Minus the cost of X (n, d), the weighted sum of distances to the nearest centers: larger is better."""
        distances = self._assigned(X)[1]
        weights, heaviness = as_weights(sample_weight, len(distances))
        return -total(weights, distances) * heaviness

    def transform(self, X: ArrayLike) -> Points:
        """The distances of the points X (n, d) to all centers: (n, n_clusters)."""
        check_is_fitted(self)
        points = validate_data(self, X, reset=False, dtype=NUMBERS, order="C")
        return np.stack([assign(points, center[np.newaxis])[1] for center in self.cluster_centers_], axis=1)

    def _assigned(self, X: ArrayLike) -> tuple[Labels, Floats]:
        check_is_fitted(self)
        return assign(validate_data(self, X, reset=False, dtype=NUMBERS, order="C"), self.cluster_centers_)

    @property
    def _n_features_out(self) -> int:
        return len(self.cluster_centers_)


def as_clusters(n_clusters: Any, n: int) -> int:
    """k, a whole number from 1 to n."""
    if isinstance(n_clusters, bool) or not isinstance(n_clusters, int | np.integer):
        raise TypeError(f"n_clusters must be a whole number; it is {n_clusters!r}")
    if not 1 <= n_clusters <= n:
        raise ValueError(f"n_clusters must be from 1 to n_samples={n}; it is {n_clusters}")
    return int(n_clusters)


def in_unit(X: Points, unit: float) -> Points:
    """X times a power of two."""
    return X if unit == 1.0 else X * np.asarray(unit, X.dtype)


def unit_of(*arrays: Points) -> float:
    """A power of two that brings the largest of the numbers where its square is a number, if it is not there."""
    most = max(max(float(X.max()), -float(X.min())) for X in arrays)  # without a copy
    return 1.0 if most == 0.0 or 1 / FAR < most < FAR else 2.0 ** -max(-1000, min(1000, math.frexp(most)[1]))


def _drawn(costs: Floats, draw: np.random.RandomState, count: int) -> NDArray[np.int64]:
    """``count`` points, drawn with probabilities in proportion to their costs; none where all cost nothing."""
    mass = np.cumsum(costs)
    at: NDArray[np.int64] = np.searchsorted(mass, draw.random_sample(count) * mass[-1], side="right")
    return at.clip(max=len(costs) - 1) if mass[-1] > 0.0 else at[:0]


def _seeds(X: Points, weights: Floats | None, k: int, draw: np.random.RandomState) -> Floats:
    """Draw k points, each far from those before, as chance will have it."""
    n, d = X.shape
    centers = np.empty((k, d))
    distances, costs = np.full(n, np.inf), np.ones(n) if weights is None else weights
    for c in range(k):
        candidates = X[_drawn(costs, draw, 2 + int(math.log(k)))].astype(np.float64)
        if not len(candidates):  # no other points are left
            centers[c:] = centers[0]
            break
        best = np.argmin(_core.costs_with(X, weights, distances, candidates, get_num_threads()))
        centers[c] = candidates[best]
        distances = np.minimum(distances, nearest(X, centers[c : c + 1])[1])
        costs = _costs(weights, distances)
    return centers


class _Swaps:
    """What it would cost to have a point for a center, in place of the center that is missed least."""

    def __init__(self, X: Points, weights: Floats | None, centers: Floats) -> None:
        self.X, self.weights, self.centers = X, weights, centers
        self.labels, self.nearest = nearest(X, centers)
        self.second = np.zeros(len(X))  # the distance to the nearest of the other centers
        for c in range(len(centers) if len(centers) > 1 else 0):
            own = np.flatnonzero(self.labels == c)
            if len(own):
                self.second[own] = nearest(X[own], np.delete(centers, c, axis=0))[1]

    def draw(self, draw: np.random.RandomState) -> tuple[Floats, float]:
        """Centers, one of which is a point drawn with a probability in proportion to its cost, and their cost."""
        at = _drawn(_costs(self.weights, self.nearest), draw, 1)
        if not len(at):
            return self.centers, math.inf
        there = nearest(self.X, self.X[at].astype(np.float64))[1]
        with_it = np.minimum(self.nearest, there)
        more = _costs(self.weights, np.minimum(self.second, there) - with_it)
        missed = np.bincount(self.labels, more, len(self.centers))
        c = int(np.argmin(missed))
        swapped = self.centers.copy()
        swapped[c] = self.X[at[0]]
        return swapped, total(self.weights, with_it) + float(missed[c])


def use_idle(X: Points, weights: Floats | None, labels: Labels, distances: Floats, centers: Floats) -> None:
    """Centers without points go to the points that cost most."""
    idle = np.flatnonzero(np.bincount(labels, weights, len(centers)) == 0.0)
    if not len(idle):
        return
    costs = _costs(weights, distances)
    dearest = np.argsort(-costs, kind="stable")[: len(idle)]
    worth = dearest[costs[dearest] > 0.0]
    centers[idle[: len(worth)]] = X[worth]
