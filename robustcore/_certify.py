"""What a given output is worth on the given input, whoever of its clients may be honest."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._budget import Budget, as_budget
from robustcore._constraints import MAJORITY, as_count, check_dropped, check_f
from robustcore._geometry import LONGEST, MOST_STRETCHED, Floats, Geometry, Progress
from robustcore._hull import SMALLEST, SPACING, columns, numbers
from robustcore._result import Aggregation, Bound, Certificate, Worst
from robustcore._threads import get_num_threads
from robustcore._updates import InMemory, OnMalformed, Updates, read
from robustcore._view import View, view
from robustcore.rules import bound_of, known_bounds
from robustcore.rules.ball import enclose
from robustcore.rules.minmax import ASIDE, FARTHEST, ROUNDING, check_searchable

SEARCHES = 4  # that share a budget
NOBODY = np.empty(0, np.int64)
LOOKED_AT = 1024  # coordinates of an array, to see whether an aggregate is one of these updates
ONE_CENTROID = 1e-12  # of how far the farthest client is: where there is but one centroid, y is it if it is this close


def certify(
    X: Any,
    y: Any,
    f: int,
    *,
    budget: Budget | float | None = None,
    malformed: OnMalformed = "raise",
    progress: Progress = None,
) -> Certificate:
    """How wrong y may be as an aggregate of X, at worst over every choice of n - f honest clients.

    Parameters
    ----------
    X
        n updates, in any of the structures of `krum`. Each that is not finite is left out, and lowers n and f by one.
    y
        The output: a vector in the structure, shapes and dtype of one update, or the `Aggregation` of X that it came
        with. Of that, the weights are taken where it has any that sum to 1, and what they give before it was rounded to
        the dtype of the updates is certified.
    f : int
        How many clients may be Byzantine, n > 2f.
    budget : float or Budget, optional
        Seconds, or a `Budget`, for the four searches, a quarter of its steps for each; by default as long as they take.
        Where it is spent, the certificate still holds: `Worst.high` is what is proved by then.
    malformed : {"raise", "drop"}
        As in `krum`.
    progress
        As in `Rule.aggregate`.

    Returns
    -------
    Certificate

    Raises
    ------
    ConstraintError
        When n and f do not fit, more than f updates are not finite, or there are more than 512.
    ValueError, TypeError
        When X is malformed, as in `krum`, y is not like its updates or not finite, or the budget is none.

    Notes
    -----
    Each of the three is the largest value over all C(n, f) subsets of n - f clients, and exact: to 1e-9 of it; the MEB
    factor to 1e-7 of a radius where y is that near to a center, or clients are more than 6e7 times farther away than
    n - f of them reach.

    Condition: n > 2f, and n <= 512.

    Cost: one pass over the updates and y, in float64, for their distances; where the weights of y are known, over the
    updates alone. Where some are more than 100 times farther away than n - f of them reach, one more. Then searches
    that do not see the data, by branch and bound: kappa by Dinkelbach's method, with a convex quadratic form of the
    n - f clients for each value that is tried; the MEB factor by the oracle of `MinMaxMEB`; the centroid ratio by that
    of `centroid_ball`. Exponential at worst; on two cores 0.1 s at n = 20, f = 6, and where f = 10 of 30 are outliers.
    The MEB factor of updates drawn at random in many dimensions is the hardest: 10 s at n = 30, f = 10 in a thousand
    of them, where the other two take milliseconds.

    Source: Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated
    learning*, Definition 3.4 (MEB factor); Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning:
    MultiKrum and an optimal notion of robustness*, Definition 2 (kappa); Cambus, Melnyk, *Centroid approximation with
    multidimensional approximate agreement protocols*, Definition 3.8 (centroid ratio).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> c = rc.certify(X, rc.mean(X, f=1), f=1)
    >>> round(c.kappa, 9), c.worst["kappa"].honest  # the mean is 3; that of clients 0, 1, 2 is 1, their variance 2/3
    (6.0, array([0, 1, 2]))
    >>> round(rc.certify(X, rc.median(X), f=1).kappa, 3)  # at 1.5, most wrong if 1, 2 and 9 are honest
    0.493
    """
    name, updates = "certify", read(X, malformed)
    f = as_count(name, "f", f)
    check_f(name, MAJORITY, updates.n, f)
    check_searchable(name, updates.n)
    search = _Search(as_budget(name, budget), progress)
    clients, whole, rounding = _with_output(updates, y, progress)
    left = check_dropped(name, clients.total, f, clients.dropped)
    points = _Points(clients, whole, left, rounding)
    kappa, centroid, meb = points.kappa(search), points.centroid_ratio(search), points.meb_factor(search)
    names = updates.clients[clients.kept[: clients.n]]
    worst = {
        what: Worst(found.low, found.high, names[found.subset])
        for what, found in (("meb_factor", meb), ("kappa", kappa), ("centroid_ratio", centroid))
    }
    return Certificate(
        n=updates.n,
        f=f,
        d=updates.core.d,
        worst=worst,
        promised=_promised(y, updates, f),
        bounds=known_bounds(updates.n, f, updates.core.d),
        dropped=dict(sorted(clients.dropped.items())),
    )


def _promised(y: Any, updates: Updates, f: int) -> Bound | None:
    """What is proved of the rule that made y, if y says which: for this f, and where it has finished its search."""
    if not isinstance(y, Aggregation) or (y.optimum is not None and not y.optimum.exact):
        return None
    told: dict[str, Any] = {"f": f} if y.rule.f is None and "f" in vars(y.rule) else {}
    rule = replace(y.rule, **told)
    return None if rule.f != f else bound_of(rule, updates.n, updates.core.d, repr(y.rule))


def _with_output(updates: Updates, y: Any, progress: Progress) -> tuple[Geometry, Geometry, float]:
    """The geometry of the clients' updates, that with y as one more vector behind them, and how far y was rounded."""
    vector = updates.like(y.value if isinstance(y, Aggregation) else y, "certify: y")
    if isinstance(y, Aggregation) and y.weights is not None:
        if len(y.weights) != updates.n:
            raise ValueError(f"certify: y is an aggregation of {len(y.weights)} updates, X has {updates.n}")
        if math.isclose(y.weights.sum(), 1.0):  # else a center, which is none of the updates, has the rest
            if not all(updates.each(partial(_is_of, y.weights[updates.clients]), vector)):
                raise ValueError("certify: y is the aggregation of other updates than X")
            clients = Geometry(updates, progress=progress, exact=True)
            weights = y.weights[updates.clients[clients.kept]]
            if math.isclose(weights.sum(), 1.0):
                return clients, clients.mix(np.vstack([np.eye(clients.n), weights]), np.arange(clients.n)), 0.0
    clients = Geometry(updates, [vector], progress, exact=True)
    return clients, clients.with_extra(), math.hypot(*updates.each(_rounding, vector))


def _is_of(weights: Floats, updates: InMemory, vector: list[Any]) -> bool:
    """Whether the vector is what these weights of the rows give, or the aggregate of others.

    That shows in a few coordinates: here in at most LOOKED_AT of each array.
    """
    weighed = [(weight, row) for weight, row in zip(weights, updates.rows, strict=True) if weight != 0.0]
    for segment, name in enumerate(updates.names):

        def first(row: list[Any], segment: int = segment, name: str = name) -> Floats:
            return numbers(np.asarray(row[segment]).flat[:LOOKED_AT], name).astype(np.float64)

        terms = np.array([weight * first(row) for weight, row in weighed])
        # The weights sum to 1 but for rounding, and what is missing is that of the heaviest, of 1 / n at least.
        error = 4.0 * SPACING[name] + updates.n**2 * SPACING["float64"]
        with np.errstate(all="ignore"):
            off = np.abs(terms.sum(axis=0) - first(vector))
            if (off > error * (np.abs(terms).sum(axis=0) + SMALLEST[name])).any():
                return False
    return True


def _rounding(updates: InMemory, vector: list[Any]) -> float:
    """How far a vector may be from what was rounded to it."""
    total = 0.0
    for segment, _, block in columns([vector], updates.names):
        largest = float(np.abs(block).max())
        total = math.hypot(
            total, SPACING[updates.names[segment]] * largest * float(np.linalg.norm(block / (largest or 1.0)))
        )
    return total


class _Found(NamedTuple):
    """The subset for which something is worst, how much so, and what no subset exceeds."""

    subset: NDArray[np.int64]
    low: float
    high: float

    def times(self, factor: float) -> _Found:
        return self._replace(low=self.low * factor, high=self.high * factor)


class _Search:
    """The searches of one certificate, which share its budget and its progress."""

    def __init__(self, budget: Budget, progress: Progress):
        self._steps, seconds = budget.limits
        self._end = time.monotonic() + seconds if seconds else None
        self._report = progress
        self._done = 0

    def __call__(self, search: Callable[..., Any], *arguments: Any) -> Any:
        left = SEARCHES - self._done
        steps = max(self._steps // SEARCHES, 1) if self._steps else 0
        seconds = 0.0 if self._end is None else max((self._end - time.monotonic()) / left, 1e-9)
        done, report = self._done, self._report
        self._done += 1
        progress = None if report is None else lambda share: report((done + share) / SEARCHES)
        return search(*arguments, get_num_threads(), steps, seconds, progress)

    def worst(self, of: str, points: Floats, f: int, y: Floats, exponents: NDArray[np.int32] | None = None) -> _Found:
        return _Found(*self(_core.worst_subset, of, points, f, y, exponents))


class _Points:
    """n vectors and y, as points with coordinates, the origin in one that n - f of them are nearest to."""

    def __init__(self, clients: Geometry, whole: Geometry, f: int, rounding: float):
        self.n, self.f, self.rounding = clients.n, f, rounding
        self.distances = whole.vectors(whole.distances)  # y comes last
        self.center, self.reach = clients.reach(self.n - f)
        self.seen: View = view(whole, self.center, self.reach, exact=True)
        self.equal = (self.distances[self.center, :-1] == 0.0) & (self.reach == 0.0)
        self.agreeing = np.flatnonzero(self.equal)[: self.n - self.f]
        self.are_equal = bool(self.equal.all())
        self.is_apart = self.reach == 0.0 and self.distances[self.center, -1] > 0.0  # y from n - f equal vectors

    def coordinates(
        self, of: NDArray[np.int64] | None = None, stretch: Floats | None = None
    ) -> tuple[Floats, Floats, float]:
        """Of these vectors (all), of y, and the scale of both; as far as they are, or stretched so."""
        points, scale = self.seen.coordinates(None if of is None else np.append(of, self.n), stretch)
        return points[:-1], points[-1], scale

    def output_within(self, farthest: float) -> tuple[Floats, float]:
        """How much to stretch what is seen, y by no more than this; and how many times farther it is.

        Beside y, all other points are then one: their distances from it grow by that factor.
        """
        stretch = self.seen.distant.copy()
        factor = max(float(stretch[-1]) / farthest, 1.0)
        stretch[-1] /= factor
        return stretch, factor

    def infinite(self) -> _Found:
        return _Found(self.agreeing, math.inf, math.inf)

    def kappa(self, search: _Search) -> _Found:
        if self.is_apart:
            return self.infinite()
        if self.are_equal:
            return _Found(NOBODY, -math.inf, -math.inf)
        exponents = np.maximum(np.frexp(self.seen.distant)[1] - np.frexp(MOST_STRETCHED)[1], 0).astype(np.int32)
        points, y, _ = self.coordinates(stretch=np.ldexp(self.seen.distant, -exponents))
        return _settled(search.worst("kappa", points, self.f, y, exponents), ROUNDING)

    def centroid_ratio(self, search: _Search) -> _Found:
        if self.are_equal:
            return self.infinite() if self.is_apart else _Found(self.agreeing, 0.0, 0.0)
        stretch, factor = self.output_within(MOST_STRETCHED * float(self.seen.distant[:-1].max()))
        points, y, scale = self.coordinates(stretch=stretch)
        far = search.worst("centroid", points, self.f, y).times(factor)
        _, _, radius, gap = search(_core.centroid_ball, points, self.f)
        if radius == 0.0:
            apart = far.low > ONE_CENTROID * float(np.abs(points).max()) + self.rounding * scale
            ratio = math.inf if apart else 0.0
            return _Found(far.subset, ratio, ratio)
        return _settled(_Found(far.subset, far.low / radius, far.high * (1.0 + gap) / radius), ROUNDING)

    def meb_factor(self, search: _Search) -> _Found:
        if self.is_apart:
            return self.infinite()
        if self.reach == 0.0:  # y is in all balls; and on the sphere of any other subset but this one
            others = np.flatnonzero(~self.equal)
            if not len(others) or self.f == 0:
                return _Found(self.agreeing, 0.0, 0.0)
            subset = np.append(self.agreeing[:-1], others[0])
            return _Found(np.sort(subset), 1.0, 1.0)
        near = np.flatnonzero(self.distances[self.center, :-1] <= FARTHEST * self.reach)
        stretch, factor = self.output_within(MOST_STRETCHED)
        points, y, _ = self.coordinates(near, stretch)
        aside = self.n - len(near)
        found = search.worst("meb_factor", points, self.f - aside, y).times(factor)
        found = found._replace(subset=near[found.subset])
        if not aside:
            return _settled(found, ROUNDING, 1.0)
        # A ball that holds x_i, far away, and x has a radius of |x_i - x| / 2 at least, and y is in it but for |y - x|.
        far = np.delete(np.arange(self.n), near)
        some = near[self.distances[near, -1].argsort(kind="stable")[: self.f + 1]]  # of which every subset has one
        off, apart = (
            float(min(distance, LONGEST))
            for distance in (self.distances[some, -1].max(), self.distances[np.ix_(far, some)].min())
        )
        bound = 1.0 + 2.0 * off / apart
        example = self._ball_with(int(far[self.distances[self.center, far].argmax()]), near)
        low = max(found, example, key=lambda one: one.low)
        return _settled(_Found(low.subset, low.low, max(found.high, bound, low.low)), ASIDE, 1.0)

    def _ball_with(self, client: int, near: NDArray[np.int64]) -> _Found:
        """The smallest ball around this one and those nearest to the center."""
        order = near[self.distances[self.center, near].argsort(kind="stable")]
        subset = np.sort(np.append(order[: self.n - self.f - 1], client))
        points, y, _ = self.coordinates(subset)
        ball = enclose(points, None)
        assert ball is not None
        value = float(np.linalg.norm(y - ball.center) / ball.value)
        return _Found(subset, value, value)


def _settled(found: _Found, rounding: float, unit: float = 0.0) -> _Found:
    """The same, exact where only rounding keeps it from being so."""
    if found.high - found.low <= rounding * max(found.high, unit):
        return found._replace(high=found.low)
    return found
