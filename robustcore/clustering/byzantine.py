"""ByzantineKMedians and ByzantineKMeans: clustering on machines of which t may lie, as scikit-learn's estimators."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from robustcore._constraints import ConstraintError, as_count
from robustcore._extras import extra
from robustcore.clustering.assignment import Assignment, resilience
from robustcore.clustering.attacks import Attack, Scene, make_attack
from robustcore.clustering.engines import Engine, Local, Task
from robustcore.clustering.fusion import approximation, summarise
from robustcore.clustering.kmedians import (
    KMedians,
    as_clusters,
    as_weights,
    assign,
    in_unit,
    nearest,
    total,
    unit_of,
    use_idle,
)

with extra("clustering", "clustering needs scipy, scikit-learn and networkx"):
    from sklearn.base import BaseEstimator, ClusterMixin
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data
    from threadpoolctl import threadpool_limits

__all__ = ["ByzantineKMeans", "ByzantineKMedians"]

Floats = NDArray[np.float64]
Solver = Callable[..., tuple[Floats, int]]  # (points, weights, *, k, seed, starts) -> centers, iterations
NUMBERS = (np.float64, np.float32)
LOCAL_STARTS, FINAL_STARTS = 4, 16  # the final problem is small, and decides for all
MORE, TOLERANCE = 300, 1e-6  # iterations, each of which takes off at least this share of the cost


class _ByzantineClustering(ClusterMixin, BaseEstimator):  # type: ignore[misc]
    """What both share: all but the solver."""

    _power: ClassVar[int]
    _solve: ClassVar[Solver]

    def __init__(
        self,
        n_clusters: int,
        *,
        t: int,
        assignment: Any,
        byzantine: Any = None,
        attack: Attack | str | None = None,
        strict: bool = True,
        engine: Engine | None = None,
        random_state: Any = None,
    ) -> None:
        self.n_clusters = n_clusters
        self.t = t
        self.assignment = assignment
        self.byzantine = byzantine
        self.attack = attack
        self.strict = strict
        self.engine = engine
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: None = None, sample_weight: ArrayLike | None = None) -> Any:
        """Find the centers of X (n, d); ``sample_weight`` (n,), or one for all, counts a point as many times."""
        name = type(self).__name__
        points = validate_data(self, X, dtype=NUMBERS, order="C")
        n = len(points)
        k, t = as_clusters(self.n_clusters, n), as_count(name, "t", self.t)
        weights, heaviness = as_weights(sample_weight, n)
        assignment = Assignment.of(self.assignment(n) if callable(self.assignment) else self.assignment, n)
        m = assignment.m
        rho, delta, _ = resilience(assignment, t, strict=self.strict)
        attack = self.attack if isinstance(self.attack, Attack) else make_attack(self.attack or "random")
        *seeds, of_liars, of_attack, of_end = check_random_state(self.random_state).randint(2**31 - 1, size=m + 3)
        liars = drawn_liars(name, self.byzantine, m, np.random.default_rng(of_liars))

        # Where squares of the numbers are none, everything up to the end is in another unit.
        unit = unit_of(points)
        seen = in_unit(points, unit)
        solve = partial(type(self)._solve, k=k)
        tasks = [
            Task(i, partial(_shard, seen, weights, assignment, i), partial(_centers, solve, int(seed)))
            for i, seed in enumerate(seeds)
        ]
        engine = Local() if self.engine is None else self.engine
        if not callable(getattr(engine, "solve", None)):
            raise TypeError(f"{name}: engine must be Local(...), Dask(client) or None, not {engine!r}")
        replies = list(engine.solve(tasks))
        scene = Scene(seen, weights, assignment, list(replies), liars, k, t, self._power)
        for machine, lie in attack(scene, int(of_attack)).items():
            replies[machine] = lie
        summary = summarise(seen, weights, assignment, replies, k=k, t=t, rho=rho, power=self._power)
        if not len(summary.centers):
            raise ConstraintError(f"{name}: the machines that were kept hold no points")
        centers, self.n_iter_ = solve(summary.centers, summary.weights, seed=int(of_end), starts=FINAL_STARTS)
        centers = centers[np.lexsort(centers.T[::-1])]
        labels, distances = nearest(seen, centers)

        with np.errstate(over="ignore", under="ignore"):
            other = unit ** (self._power - 1)  # the square of the unit might be no number
            self.summary_ = replace(
                summary,
                centers=summary.centers / unit,
                weights=summary.weights * heaviness,
                costs=summary.costs / unit / other * heaviness,
            )
            self.cluster_centers_ = centers / unit
            self.inertia_ = float(np.float64(total(weights, distances**self._power)) / unit / other * heaviness)
        self.labels_ = labels
        self.assignment_, self.rho_, self.delta_ = assignment, rho, delta
        faults = {*liars.tolist(), *summary.malformed}
        self.factor_ = approximation(delta, self._power) if np.isfinite(delta) and len(faults) <= t else None
        self.byzantine_ = liars
        self.kept_, self.costs_ = self.summary_.kept, self.summary_.costs
        self.malformed_, self.uncovered_ = self.summary_.malformed, self.summary_.uncovered
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """The nearest center of each of the points X (n, d): (n,) int32."""
        check_is_fitted(self)
        return self._nearest(X)[0]

    def score(self, X: ArrayLike, y: None = None, sample_weight: ArrayLike | None = None) -> float:
        """Minus the cost of X (n, d): larger is better."""
        check_is_fitted(self)
        distances = self._nearest(X)[1]
        weights, heaviness = as_weights(sample_weight, len(distances))
        return -total(weights, distances**self._power) * heaviness

    def _nearest(self, X: ArrayLike) -> tuple[NDArray[np.int32], Floats]:
        return assign(validate_data(self, X, reset=False, dtype=NUMBERS, order="C"), self.cluster_centers_)


def drawn_liars(name: str, byzantine: Any, m: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """The Byzantine machines, in order: none, so many, or those given."""
    if byzantine is None:
        return np.empty(0, np.int64)
    if isinstance(byzantine, Iterable) and not (isinstance(byzantine, np.ndarray) and byzantine.ndim == 0):
        given = [as_count(name, "a Byzantine machine", i) for i in byzantine]
        if len(set(given)) < len(given) or any(i >= m for i in given):
            raise ValueError(f"{name}: Byzantine machines are different numbers from 0 to {m - 1}, not {given}")
        return np.array(sorted(given), np.int64)
    count = as_count(name, "byzantine", byzantine)
    if count > m:
        raise ValueError(f"{name}: of {m} machines, {count} cannot be Byzantine")
    return np.sort(rng.permutation(m)[:count]).astype(np.int64)


def _shard(
    X: NDArray[Any], weights: Floats | None, assignment: Assignment, machine: int
) -> tuple[NDArray[Any], Floats | None]:
    points = assignment.points(machine)
    return X[points], None if weights is None else weights[points]


def _centers(solve: Solver, seed: int, points: NDArray[Any], weights: Floats | None) -> Floats:
    """What an honest machine sends."""
    return solve(points, weights, seed=seed, starts=LOCAL_STARTS)[0]


def _counted(points: NDArray[Any], weights: Floats | None) -> tuple[NDArray[Any], Floats | None]:
    """Without the points that have no weight."""
    if weights is None or weights.all():
        return points, weights
    return points[weights > 0.0], weights[weights > 0.0]


def _few(points: NDArray[Any], k: int) -> Floats | None:
    """The points, repeated up to k of them, where no more than k are different; zeros where there are none."""
    if not len(points):
        return np.zeros((k, points.shape[1]))
    seen = 2 * k
    while True:  # most often, the first few tell
        different = np.unique(points[:seen], axis=0)
        if len(different) > k:
            return None
        if seen >= len(points):
            return np.resize(different.astype(np.float64), (k, points.shape[1]))
        seen *= 4


def _kmeans(points: NDArray[Any], weights: Floats | None, *, k: int, seed: int, starts: int) -> tuple[Floats, int]:
    points, weights = _counted(points, weights)
    few = _few(points, k)
    if few is not None:
        return few, 1
    # On more than one thread, sums come out otherwise each time. Where points that differ are equal to rounding,
    # k-means finds fewer clusters and says so; then centers repeat.
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(k, n_init=starts, random_state=seed).fit(points.astype(np.float64), sample_weight=weights)
    return _settled(points, weights, found.cluster_centers_, found.n_iter_)


def _settled(points: NDArray[Any], weights: Floats | None, centers: Floats, done: int) -> tuple[Floats, int]:
    """On from there, to the means of clusters, for as long as that takes off from the cost.

    scikit-learn stops where centers move little against the variance of all points, which one far point makes large.
    """
    best, least = centers, np.inf
    for iteration in range(done, done + MORE):
        labels, distances = nearest(points, centers)
        cost = total(weights, distances**2)
        if not cost < least * (1.0 - TOLERANCE):
            break
        best, least, done = centers, cost, iteration
        mass = np.bincount(labels, weights, len(centers))
        counted = points.T if weights is None else weights * points.T
        sums = np.stack([np.bincount(labels, column, len(centers)) for column in counted], axis=1)
        centers = sums / np.where(mass > 0.0, mass, 1.0)[:, np.newaxis]
        use_idle(points, weights, labels, distances, centers)
    return best, done


def _kmedians(points: NDArray[Any], weights: Floats | None, *, k: int, seed: int, starts: int) -> tuple[Floats, int]:
    points, weights = _counted(points, weights)
    few = _few(points, k)
    if few is not None:
        return few, 1
    found = KMedians(k, n_init=starts, random_state=seed).fit(points, sample_weight=weights)
    return found.cluster_centers_.astype(np.float64), found.n_iter_


class ByzantineKMedians(_ByzantineClustering):
    """k-medians on m machines, of which t may lie: centers with a small sum of distances.

    An estimator after scikit-learn's conventions. Every machine is given its points, by the matrix, and solves its own
    problem (`KMedians`); the Byzantine ones send something else. Of the m machines, the m - t are kept whose
    centers cost least on their own points. Their centers, each with the weight of its cluster, are clustered in turn.

    Parameters
    ----------
    n_clusters : int
        k, at most as many as there are points.
    t : int
        How many machines may be Byzantine.
    assignment : Assignment, (m, n) matrix of 0 and 1, or callable
        Which machine holds which points; or what makes that of n, such as
        ``functools.partial(fractional_repetition, 10, s=7)``, which also can be pickled.
    byzantine : int or sequence of int, optional
        For experiments: how many machines lie (which ones is drawn), or which.
    attack : str or Attack, optional
        What they send: a name in `robustcore.clustering.attacks`, by default "random".
    strict : bool
        Whether a matrix is refused that is not resilient against t machines. If not, points that no machine kept
        holds are in ``uncovered_``, and nothing is guaranteed.
    engine : Local or Dask, optional
        Where the machines' problems are solved, by default in this process. Copies of the estimator share it.
    random_state : int, RandomState or None
        What draws the seeds, one for each machine, and all else. The same state gives the same centers, bit for bit,
        on every engine and for every number of threads.

    Attributes
    ----------
    cluster_centers_ : (n_clusters, d) float64
        The centers, in lexicographic order.
    labels_ : (n,) int32
        The nearest center of each point, the first of several.
    inertia_ : float
        The cost of all points: the weighted sum of distances to their nearest center.
    factor_ : float or None
        3 (1 + delta_): what `inertia_` is at most, in multiples of the smallest cost, if every machine's and the
        last problem are solved optimally, which solvers like these cannot promise; `approximation` says what it is
        where they are not. None where nothing is guaranteed: the matrix is not resilient, or more than t machines lied
        or sent nothing that can be used.
    assignment_ : Assignment
        The matrix.
    rho_, delta_ : float
        Of its resilience.
    summary_ : Summary
        What the fusion centre made of the replies; ``kept_``, ``costs_``, ``malformed_`` and ``uncovered_`` are its.
    byzantine_ : (b,) int64
        The machines that lied, as they were told.
    n_iter_ : int
        The iterations of the last step.
    n_features_in_ : int
        d.

    Raises
    ------
    ConstraintError
        When the matrix is not resilient against t machines, or more than t sent nothing that can be used.
    ValueError, TypeError
        When X is not a finite (n, d) matrix with n >= n_clusters, or another argument is not what it must be.

    Notes
    -----
    Cost: every machine solves a problem of as many points as it holds, and the fusion centre takes k distances for each
    of them; then a problem of (m - t) k points. X is never copied as a whole.

    Condition: every point is held by more than t machines.

    Guarantee: 3 (1 + delta) times the smallest cost, for optimal solvers.

    References
    ----------
    Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant data
    assignment*, Algorithm 1, Theorem III.4.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import ByzantineKMedians, fractional_repetition
    >>> X = np.random.default_rng(0).normal(size=(900, 2)) + 20.0 * (np.arange(900) % 3)[:, np.newaxis]
    >>> A = fractional_repetition(10, len(X), s=5)
    >>> model = ByzantineKMedians(3, t=2, assignment=A, byzantine=2, attack="shift", random_state=0).fit(X)
    >>> model.byzantine_, sorted(model.kept_.tolist()), model.factor_
    (array([5, 6]), [0, 1, 2, 3, 4, 7, 8, 9], 5.0)
    >>> model.cluster_centers_[:, 0].round() + 0.0
    array([ 0., 20., 40.])
    """

    _power = 1
    _solve = staticmethod(_kmedians)


class ByzantineKMeans(_ByzantineClustering):
    """k-means on m machines, of which t may lie: centers with a small sum of squared distances.

    As `ByzantineKMedians` in all but the squares: parameters, attributes, errors and costs are the same. Machines solve
    their problems by scikit-learn's ``KMeans``, and go on to the means of its clusters as long as that makes a
    difference. It measures distances from the mean of all points: one that is 1e16 times farther away than others takes
    their digits, and they may share a center. k-medians has no such limit.

    Notes
    -----
    Condition: every point is held by more than t machines.

    Guarantee: ``factor_``, 9 (1 + delta) times the smallest cost, for optimal solvers (the paper proves 10: see
    `approximation`).

    References
    ----------
    Bulusu, Gandikota, Mazumdar, Rawat, Varshney, *Byzantine resilient distributed clustering with redundant data
    assignment*, Algorithm 2, Theorem III.5.

    Examples
    --------
    >>> import numpy as np
    >>> from robustcore.clustering import ByzantineKMeans, fractional_repetition
    >>> X = np.random.default_rng(0).normal(size=(900, 2)) + 20.0 * (np.arange(900) % 3)[:, np.newaxis]
    >>> A = fractional_repetition(10, len(X), s=5)
    >>> model = ByzantineKMeans(3, t=2, assignment=A, byzantine=2, attack="malformed", random_state=0).fit(X)
    >>> model.malformed_[5], round(model.factor_, 3)
    ('its centers have shape (4, 2), not (3, 2)', 15.0)
    >>> model.cluster_centers_[:, 0].round() + 0.0
    array([ 0., 20., 40.])
    """

    _power = 2
    _solve = staticmethod(_kmeans)
