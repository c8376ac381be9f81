"""What comes back: frozen, and complete enough to explain itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from robustcore.rules._base import Rule


@dataclass(frozen=True, eq=False)
class BindingBall:
    """The smallest ball around n - f vectors, one of those that decide where the result of `MinMaxMEB` is.

    Attributes
    ----------
    members : (n - f,) int64
        The clients in it (behind a mixing: the mixed vectors, counted from 0), in increasing order.
    radius : float
        In the unit of the updates.
    share : float
        The result is the sum of the centers times their shares.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> r = rc.MinMaxMEB(f=1).aggregate(np.array([[0.0], [1.0], [2.0], [9.0]]))
    >>> [(ball.members.tolist(), round(ball.radius, 6)) for ball in r.optimum.balls]
    [([0, 1, 2], 1.0), ([1, 2, 3], 4.0)]
    """

    members: NDArray[np.int64]
    radius: float
    share: float


@dataclass(frozen=True)
class Optimum:
    """What a rule that searches has found, and what is proved about it.

    Attributes
    ----------
    value : float
        What the rule minimises, at its answer: the diameter for `MDA`, the variance for `SMEA`, c* for `MinMaxMEB`.
    bound : float
        No answer has less. Below ``value`` only where the search was stopped by its budget.
    balls : tuple of BindingBall
        For `MinMaxMEB`, the balls that decide; empty for the others.

    Examples
    --------
    >>> import robustcore as rc
    >>> rc.Optimum(value=2.0, bound=1.5).exact
    False
    """

    value: float
    bound: float
    balls: tuple[BindingBall, ...] = field(default=(), repr=False)

    @property
    def exact(self) -> bool:
        """Whether the answer is proved to be the best."""
        return self.value <= self.bound


@dataclass(frozen=True, eq=False)
class Aggregation:
    """One aggregate, and how it came about.

    Client numbers are positions in the input; clients that were dropped keep theirs.

    Attributes
    ----------
    value
        The aggregate, in the structure, shapes and dtype of one update.
    weights : (n,) float64 or None
        ``value`` is the sum of ``weights[i]`` times update i. The weights sum to 1, but where updates were clipped: the
        origin, or the center of `CenteredClip`, has the rest. Zero for clients that were dropped or not selected: their
        data did not enter the value. None for coordinate-wise rules.
    selected : (k,) int64
        The clients whose data entered the value, in increasing order: those of non-zero weight; where no client has a
        weight, all whose values were looked at, which is no sign of trust.
    scores : (n,) float64 or None
        What the rule ranked the clients by, low is good; NaN for dropped clients; None where a rule ranks nobody.
    dropped : dict of int to str
        The clients whose update could not be used, and why. They count against f.
    rule
        The rule that was applied.
    guarantee : float or None
        An upper bound on the robustness coefficient kappa* of the rule for this (n, f, m):
        ``|value - mean(S)|^2 <= guarantee * variance(S)`` for whichever n - f clients S were honest. None where none
        is known, and where a search was stopped by its budget.
    gap : float or None
        By how much, at most, what the rule minimises is above its minimum at these weights: for `MEBCenter` the radius,
        as a share of it; for `MinMaxMEB` c*, in radii; for `GeometricMedian` the sum of distances, as a share of the
        sum of the n // 2 + 1 smallest. None for the others.
    optimum : Optimum or None
        For rules that search among subsets (`MDA`, `SMEA`, `MinMaxMEB`): how good the answer is, and whether it is
        proved to be the best. None for the others.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [9.0, 9.0], [np.nan, 0.0]])
    >>> r = rc.MultiKrum(f=2, m=2).aggregate(X)
    >>> r.selected, r.dropped
    (array([0, 1]), {4: 'not finite'})
    >>> r.value
    array([0. , 0.5])
    """

    value: Any = field(repr=False)
    weights: NDArray[np.float64] | None = field(repr=False)
    selected: NDArray[np.int64]
    scores: NDArray[np.float64] | None = field(repr=False)
    dropped: dict[int, str]
    rule: Rule
    guarantee: float | None
    gap: float | None = None
    optimum: Optimum | None = None


@dataclass(frozen=True, eq=False)
class Ball:
    """A ball around points, and the proof that no smaller one holds them.

    The proof: `weights` are convex, and whatever the center, the largest distance squared is at least the sum of
    ``weights[i]`` times the squared distance of point i from ``sum(weights[i] * x_i)``, which is where the center is.
    (With weighted distances w_i, it is that sum over the sum of ``weights[i] / w_i^2``.)

    Attributes
    ----------
    center
        In the structure and dtype of one point: the combination of the points with `weights`, rounded once.
    radius : float
        The largest (weighted) distance of a point from that combination, in the unit of the points.
    support : (k,) int64
        The points that decide, in increasing order: they lie on the sphere, and the others might be missing.
    weights : (n,) float64
        Not negative, summing to 1, zero off the support.
    gap : float
        By what share, at most, the radius is above the smallest possible, with what rounding may have done.
    dropped : dict of int to str
        The points that are not finite, a minority: they are not in the ball.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> ball = rc.minimum_enclosing_ball(np.array([[0.0, 0.0], [4.0, 0.0], [1.0, 1.0]]))
    >>> ball.center, ball.radius, ball.support, ball.gap < 1e-13
    (array([2., 0.]), 2.0, array([0, 1]), True)
    """

    center: Any = field(repr=False)
    radius: float
    support: NDArray[np.int64]
    weights: NDArray[np.float64] = field(repr=False)
    gap: float
    dropped: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class CentroidBall:
    """A ball around the centroids of all subsets of n - f points, and the proof that no smaller one holds them.

    The proof: `shares` are convex, and whatever the center, the largest distance squared of a centroid is at least the
    sum of ``shares[j]`` times the squared distance of the centroid of ``subsets[j]`` from their combination, which is
    where the center is. That no other centroid sticks out is what the search has proved.

    Attributes
    ----------
    center
        In the structure and dtype of one point: the combination of the points with `weights`, rounded once.
    radius : float
        The distance of the farthest centroid from that combination; where the search was stopped by its budget, a bound
        on it.
    weights : (n,) float64
        Of the points in the center: not negative, summing to 1, at most 1 / (n - f).
    subsets : (s, n - f) int64
        The subsets whose centroids decide: those lie on the sphere, and the others might be missing. Each in increasing
        order, all in lexicographic order.
    shares : (s,) float64
        Of their centroids in the center: positive, summing to 1.
    gap : float
        By what share, at most, the radius is above the smallest possible, with what rounding may have done.
    dropped : dict of int to str
        The points that are not finite, at most f: they are in no subset, and count against f.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> ball = rc.centroid_ball(np.array([[0.0], [0.0], [0.0], [1.0]]), f=1)
    >>> ball.center, ball.radius, ball.gap < 1e-11  # between 0 and 1/3
    (array([0.16666667]), 0.16666666666666666, True)
    >>> ball.subsets.tolist(), ball.shares
    ([[0, 1, 2], [1, 2, 3]], array([0.5, 0.5]))
    """

    center: Any = field(repr=False)
    radius: float
    weights: NDArray[np.float64] = field(repr=False)
    subsets: NDArray[np.int64] = field(repr=False)
    shares: NDArray[np.float64] = field(repr=False)
    gap: float
    dropped: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Worst:
    """The choice of honest clients for which an output is worst.

    Attributes
    ----------
    low : float
        What it is for ``honest``: attained.
    high : float
        What no choice exceeds: proved. Above ``low`` only where the search was stopped by its budget (or, in the last
        digits, where clients are at many scales at once).
    honest : (n - f,) int64
        The clients that would have to be the honest ones, in increasing order; the others lie. Empty where there is
        nothing to compare with (`Certificate.kappa` is -inf then).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.Worst(low=1.0, high=1.5, honest=np.array([0, 1])).exact
    False
    """

    low: float
    high: float
    honest: NDArray[np.int64] = field(repr=False)

    @property
    def exact(self) -> bool:
        """Whether both are the same."""
        return self.low == self.high


@dataclass(frozen=True)
class Bound:
    """What is proved of a rule for any input, with the same n, f and d; None where nothing is.

    Attributes
    ----------
    rule : str
        Its name in ``robustcore.RULES``, or the rule itself as it prints, where it made the output.
    meb_factor, kappa, centroid_ratio : float or None
        What the `Certificate` of its output cannot exceed.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> certificate = rc.certify(np.arange(8.0).reshape(4, 2), np.ones(2), f=1)
    >>> next(bound for bound in certificate.bounds if bound.rule == "trimmed_mean")
    Bound(rule='trimmed_mean', meb_factor=1.224744871391589, kappa=0.5, centroid_ratio=2.8284271247461903)
    """

    rule: str
    meb_factor: float | None
    kappa: float | None
    centroid_ratio: float | None


@dataclass(frozen=True, eq=False)
class Certificate:
    """What an output is worth on its input: at worst over every choice of n - f honest clients.

    Attributes
    ----------
    n, f, d : int
        Clients, Byzantine clients at most, and coordinates.
    worst : dict of str to Worst
        For "meb_factor", "kappa" and "centroid_ratio": the interval in which each is proved to lie, and who would have
        to be honest.
    promised : Bound or None
        What theory promises of the rule that made the output, where that was an `Aggregation` for this f, of a finished
        search if any.
    bounds : tuple of Bound
        What it promises of the rules in ``robustcore.RULES``, for these n, f and d.
    dropped : dict of int to str
        The clients whose update could not be used, and why. They count against f.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 1.0], [1.0, 9.0]])
    >>> c = rc.certify(X, np.array([1.0, 0.5]), f=1)
    >>> round(c.meb_factor, 3), c.exact
    (0.89, True)
    """

    n: int
    f: int
    d: int
    worst: dict[str, Worst]
    promised: Bound | None = field(default=None, repr=False)
    bounds: tuple[Bound, ...] = field(default=(), repr=False)
    dropped: dict[int, str] = field(default_factory=dict)

    @property
    def meb_factor(self) -> float:
        """The smallest c for which the output is proved to be c-MEB valid, whoever is honest.

        The largest ``|y - c_T| / r_T`` over the smallest balls around n - f clients; infinite where n - f clients agree
        and y is elsewhere.
        """
        return self.worst["meb_factor"].high

    @property
    def kappa(self) -> float:
        """The largest ``|y - mean(S)|^2 / variance(S)`` over the S of n - f clients; 0 / 0 is -inf, as in the paper."""
        return self.worst["kappa"].high

    @property
    def centroid_ratio(self) -> float:
        """The largest distance of the output from the mean of n - f clients, over the radius of `centroid_ball`.

        1 is the best that can be. Where nothing is left of f there is but one mean: 0 where y is that, up to rounding,
        and else infinite.
        """
        return self.worst["centroid_ratio"].high

    @property
    def exact(self) -> bool:
        """Whether all three are exact."""
        return all(worst.exact for worst in self.worst.values())
