"""MinMax-MEB: the point that is closest, in radii, to lying in the smallest ball of whoever may be honest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from robustcore import _core, theory
from robustcore._budget import Budget
from robustcore._constraints import ConstraintError
from robustcore._geometry import Geometry
from robustcore._result import BindingBall, Optimum
from robustcore._threads import get_num_threads
from robustcore._updates import OnMalformed
from robustcore._view import view
from robustcore.rules._base import Mixings, SearchRule, Weights, face_of

# Up to f vectors may be this many times farther away than n - f of them reach. They are as good as infinitely far: from
# every ball that holds one, whoever is close to the others is one radius away, to ASIDE. Without them, the others keep
# their digits.
FARTHEST = 2.0**26
ASIDE = 1e-7
ROUNDING = 1e-9  # of c*, in radii


def check_searchable(name: str, n: int) -> None:
    """Raise ConstraintError where there are more points than the search among their balls has bits for."""
    if n > _core.MOST_POINTS:
        raise ConstraintError(f"{name} needs n <= {_core.MOST_POINTS} to search among subsets; here n = {n}")


@dataclass(frozen=True, repr=False)
class MinMaxMEB(SearchRule):
    """The optimal rule for validity in enclosing balls: as few radii as possible from every candidate's center.

    Any n - f updates may be the honest ones. Of their smallest enclosing balls, with centers c_T and radii r_T, the
    result minimises the largest |y - c_T| / r_T. That smallest value, c*, is in ``Aggregation.optimum.value``, with the
    balls that decide, its ``balls``: where c* <= 1, the result lies in all of the balls (safeMEB), and whoever is
    honest, it is MEB valid; else it is c*-MEB valid, and no rule does better on this input. If n - f updates are equal,
    they are returned.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine, n > 2f. Each update that is dropped lowers n and f by one.
    budget : float or Budget, optional
        Seconds, or a `Budget`, for the search; by default as long as it takes. Where it is spent, the result minimises
        the largest distance from the balls that were found, and ``Aggregation.optimum`` has what is proved: it is at
        most ``value`` radii from every ball, and no point is less than ``bound`` from all of them.

    Raises
    ------
    ConstraintError
        When n and f do not fit, more than f updates are not finite, or there are more than 512.
    ValueError, TypeError
        When the budget is none.

    Notes
    -----
    The minimiser is unique. c* is exact to 1e-9 of a radius (`Aggregation.gap`); distances are formed in float64 from
    all dtypes. Updates more than 6e7 times farther away than n - f of them reach are left aside: wherever they are,
    every point near the others is one radius from the balls that hold them, to 1e-7, and c* is known to that.

    Cost: distances as for `Krum`, in float64; a search among subsets: exponential at worst, but only balls that may
    matter are looked at. 20 updates with f = 6 take up to 0.1 s, 30 with f = 10 outliers up to 0.3 s; updates drawn at
    random in many dimensions are the hardest: 24 with f = 8 take 2 s. One more read.

    Guarantee: c*-MEB valid, and c* <= 1 + (k - 1) / (k + 1 + sqrt(2 k (k + 1))) < sqrt(2) for updates in k dimensions
    (Theorem 5.4,
    `robustcore.theory.minmax_meb_factor`); c* <= 1 for n > (k + 1) f (Lemma 5.1), and
    c* <= 1 + 2f / (n - f) always, as for `MDA`, which does no better.

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Algorithm 1, Theorems 5.2 and 5.4.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> r = rc.MinMaxMEB(f=1).aggregate(np.array([[0.0], [1.0], [2.0], [9.0]]))
    >>> r.value.round(6), round(r.optimum.value, 6), r.optimum.exact  # in both [0, 2] and [1, 9]
    (array([1.8]), 0.8, True)
    """

    f: int
    name: ClassVar[str] = "minmax_meb"
    minimised: ClassVar[str] = "c*"
    exact: ClassVar[bool] = True

    def _check(self, n: int) -> None:
        super()._check(n)
        check_searchable(self.name, n)

    def _meb_factor(self, n: int, d: int) -> float | None:
        if n > (d + 1) * self.f:  # Lemma 5.1
            return 1.0
        return min(theory.minmax_meb_factor(n, self.f, d), theory.mda_meb_factor(n, self.f))  # no rule does better

    def weigh(self, geometry: Geometry, f: int) -> Weights:
        equal = np.flatnonzero((geometry.vectors(geometry.distances) == 0.0).sum(axis=1) >= geometry.n - f)
        if len(equal):
            return _equal(geometry, f, int(equal[0]), len(equal))
        center, reach = geometry.reach(geometry.n - f)  # no radius is less than half of that
        seen = view(geometry, center, reach)
        near = np.flatnonzero(geometry.vectors(geometry.distances)[center] <= FARTHEST * reach)
        aside = geometry.n - len(near)
        points, scale = seen.coordinates(near)
        steps, seconds = self.limits
        shares, value, bound, balls, _, _ = _core.minmax_meb(
            points, f - aside, get_num_threads(), steps, seconds, geometry.progress
        )
        weights = np.zeros(geometry.n)
        weights[near] = shares
        names = geometry.names()[near]
        decide = tuple(BindingBall(names[T], radius / scale, share) for T, radius, share, _ in balls)
        gap = max(value - bound, 0.0)
        value = bound if gap < ROUNDING else value
        if aside:
            value, bound, gap = max(value, 1.0 + ASIDE), max(bound, 1.0 - ASIDE), gap + ASIDE
        return Weights(weights, gap=gap, optimum=Optimum(value, bound, decide))


def _equal(geometry: Geometry, f: int, first: int, count: int) -> Weights:
    """Where n - f vectors are equal: from a ball that holds one more, they are one radius away."""
    weights = np.zeros(geometry.n)
    weights[first] = 1.0
    members = np.flatnonzero(geometry.vectors(geometry.distances)[first] == 0.0)[: geometry.n - f]
    c = 0.0 if count == geometry.n or f == 0 else 1.0
    return Weights(weights, gap=0.0, optimum=Optimum(c, c, (BindingBall(geometry.names()[members], 0.0, 1.0),)))


@face_of(MinMaxMEB)
def minmax_meb(
    X: Any,
    f: int,
    *,
    budget: Budget | float | None = None,
    mixing: Mixings = (),
    malformed: OnMalformed = "raise",
) -> Any:
    return MinMaxMEB(f, budget=budget, mixing=mixing)(X, malformed=malformed)


@dataclass(frozen=True, eq=False)
class SafeMEB:
    """Whether the smallest balls around all n - f of the updates have a point in common, and the proof.

    Attributes
    ----------
    point
        In all of the balls, to 1e-7 of their radii, in the structure and dtype of one update; None where they have no
        point in common (or none was found within the budget).
    margin : float
        ``1 - c``: by what share all balls may shrink around their centers and still hold a common point; negative by
        as much as they would have to grow.
    empty : bool
        Whether it is proved that there is no such point: `balls` alone have none in common.
    exact : bool
        Whether `margin` is the largest; else it is only known that the largest is at least `margin`: the budget was
        spent, or updates were left aside.
    balls : tuple of BindingBall
        The balls that decide, at most d + 2.
    dropped : dict of int to str
        The clients whose update could not be used, and why.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> safe = rc.safe_meb(np.array([[0.0], [1.0], [2.0], [9.0]]), f=1)
    >>> safe.point.round(6), safe.empty, round(safe.margin, 6)
    (array([1.8]), False, 0.2)
    """

    point: Any = field(repr=False)
    margin: float
    empty: bool
    exact: bool
    balls: tuple[BindingBall, ...] = field(repr=False)
    dropped: dict[int, str]


class _Safe(MinMaxMEB):
    name = "safe_meb"  # for its errors


def safe_meb(X: Any, f: int, *, budget: Budget | float | None = None, malformed: OnMalformed = "raise") -> SafeMEB:
    """A point that lies in the smallest ball around any n - f of the updates, or the proof that there is none.

    Parameters
    ----------
    X
        n updates, in any of the structures of `krum`.
    f : int
        How many clients may be Byzantine, n > 2f. Each update that is dropped lowers n and f by one.
    budget
        As in `MinMaxMEB`.
    malformed : {"raise", "drop"}
        As in `krum`.

    Returns
    -------
    SafeMEB

    Raises
    ------
    ConstraintError, ValueError, TypeError
        As in `MinMaxMEB`.

    Notes
    -----
    The point is that of `MinMaxMEB`, which is in the common part of all balls if there is one; as deep in it, in radii,
    as a point can be. Condition: n > 2f. With n > (d + 1) f there always is such a point. Cost: as `MinMaxMEB`.

    Source: Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated
    learning*, Definition 3.5, Theorem 4.1, Lemma 5.1.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> corners = np.exp(2j * np.pi * np.arange(3) / 3)  # three balls of radius 1 that touch each other
    >>> z = 2 / 3**0.5 * corners
    >>> X = np.concatenate([np.repeat((z + np.roll(z, 1)) / 2, 2), z + corners]).view(float).reshape(9, 2)
    >>> safe = rc.safe_meb(X, f=4)
    >>> safe.empty, round(1 - safe.margin, 6), round(2 / 3**0.5, 6)
    (True, 1.154701, 1.154701)
    """
    r = _Safe(f, budget=budget).aggregate(X, malformed=malformed)
    assert r.optimum is not None
    c, low = r.optimum.value, r.optimum.bound
    return SafeMEB(
        point=r.value if c <= 1.0 + ASIDE else None,
        margin=1.0 - c,
        empty=low > 1.0 + ASIDE,
        exact=r.optimum.exact,
        balls=r.optimum.balls,
        dropped=r.dropped,
    )
