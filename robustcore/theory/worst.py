"""Worst-case inputs: where a rule is as bad as the papers say that it can be, or a condition cannot be met."""

from __future__ import annotations

from math import ceil, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustcore._constraints import (
    AGREEMENT,
    KRUM_F,
    KRUM_M,
    MAJORITY,
    ConstraintError,
    Inequality,
    as_count,
    as_number,
    check_f,
    check_least,
    check_m,
)
from robustcore.theory._numbers import Floats
from robustcore.theory.kappa import two_point_lower_bound

_BELOW_ALL = Inequality("1 <= m <= n - f and m < n", lambda n, f, m: KRUM_M["theory"].holds(n, f, m) and m < n)
FAR = 10.0  # where a single Byzantine point is that is only to be outside


class WorstCase(NamedTuple):
    """An input, who is honest, and how bad that is: ``X, S, value = worst_case``.

    Attributes
    ----------
    X : (n, d) float64
        The updates.
    S : sorted (n - f,) int64
        The rows of X that are honest.
    value : float
        What the function that made it says.

    Examples
    --------
    >>> from robustcore import theory
    >>> X, S, value = theory.krum_worst_case(n=5, f=1)
    >>> X.ravel(), S, value
    (array([1., 1., 0., 0., 0.]), array([0, 1, 2, 3]), 1.0)
    """

    X: Floats
    S: NDArray[np.int64]
    value: float


def _counts(name: str, **counts: Any) -> list[int]:
    return [as_count(name, key, value) for key, value in counts.items()]


def _groups(*groups: tuple[Any, int]) -> Floats:
    """Points, each as often as it says."""
    return np.concatenate([np.repeat([np.asarray(point, float)], count, axis=0) for point, count in groups])


def _rows(groups: list[int], chosen: str) -> NDArray[np.int64]:
    """The rows of groups of these sizes, called A, B, C, ..."""
    return np.flatnonzero(np.isin(np.repeat(np.arange(len(groups)), groups), [ord(name) - ord("A") for name in chosen]))


def krum_worst_case(n: int, f: int, m: int = 1) -> WorstCase:
    """Two points, of which Krum, or m-MultiKrum, follows the one that most are at.

    k = min(n - m, ceil(n/2) - 1) updates are 1 and honest, the others are 0, and all that is chosen.

    Parameters
    ----------
    n, f, m : int
        Clients, Byzantine clients, clients averaged (1: Krum).

    Returns
    -------
    WorstCase
        Its value is |F(X) - mean(S)|^2 / variance(S): `two_point_lower_bound`, which for m <= n/2 + 1 is that of Krum,
        `krum_lower_bound`.

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: n > 2f, n >= 3, 1 <= m <= n - f and m < n.

    References
    ----------
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Theorem 3; for m > 1 it is ours.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, kappa = rc.theory.krum_worst_case(n=9, f=2)
    >>> y = rc.krum(X, f=2)
    >>> ((y - X[S].mean()) ** 2 / X[S].var()).round(6), round(kappa, 6)
    (array([1.333333]), 1.333333)
    """
    name = "krum_worst_case"
    n, f, m = _counts(name, n=n, f=f, m=m)
    check_f(name, KRUM_F["theory"], n, f)
    check_least(name, "n", n, 3)
    check_m(name, _BELOW_ALL, n, f, m)
    k = min(n - m, ceil(n / 2) - 1)
    return WorstCase(_groups(([1], k), ([0], n - k)), np.arange(n - f), two_point_lower_bound(n, f, m))


def multi_krum_worst_case(n: int, f: int, m: int | None = None, *, epsilon: float = 2.0**-30) -> WorstCase:
    """Lies at 1 - epsilon, a little nearer to most than the honest ones at -1.

    f updates are 1 - epsilon, n - 2f are 0, and f are -1. The zeros are chosen first and then the lies: the honest
    updates at -1 are not.

    Parameters
    ----------
    n, f : int
        Clients, and Byzantine clients.
    m : int, optional
        Clients averaged; n - f by default.
    epsilon : float
        Below 1. With 0 there are ties, in which the lies come first as well.

    Returns
    -------
    WorstCase
        Its value is the limit of |F(X) - mean(S)|^2 / variance(S) for epsilon -> 0: 4f / (n - 2f) for m = n - f.

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: n > 3f, f >= 1, 1 <= m <= n - f.

    References
    ----------
    Bareilles, Bouaziz, Fageot, El-Mhamdi, *Byzantine machine learning: MultiKrum and an optimal notion of
    robustness*, Theorem 4 and Proposition B.1 (its proof has a wrong mean of the chosen ones).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, kappa = rc.theory.multi_krum_worst_case(n=100, f=10)
    >>> y = rc.multi_krum(X, f=10)
    >>> ((y - X[S].mean()) ** 2 / X[S].var()).round(6), kappa
    (array([0.5]), 0.5)
    """
    name = "multi_krum_worst_case"
    n, f = _counts(name, n=n, f=f)
    check_f(name, AGREEMENT, n, f)
    check_least(name, "f", f, 1)
    m = n - f if m is None else as_count(name, "m", m)
    check_m(name, KRUM_M["theory"], n, f, m)
    epsilon = as_number(name, "epsilon", epsilon, ">= 0")
    if epsilon >= 1:
        raise ValueError(f"{name}: epsilon must be below 1, not {epsilon!r}")
    X = _groups(([1 - epsilon], f), ([0], n - 2 * f), ([-1], f))
    return WorstCase(X, np.arange(f, n), f / (n - 2 * f) * (1 + max(m - n + 2 * f, 0) / m * (n - f) / f) ** 2)


def safe_meb_worst_case(f: int, d: int, *, y: float | None = None) -> WorstCase:
    """Enclosing balls with no point in common: no answer is MEB valid.

    d unit balls with one point in common, any d - 1 of them with another, and a large ball that only these others are
    in: n = (d + 1) f - d^2 + 1 updates (`docs/validity.md` says why not (d + 1) f - d, as printed).

    Parameters
    ----------
    f : int
        Byzantine clients.
    d : int
        Dimensions.
    y : float, optional
        All coordinates of the center of the large ball; far enough for the balls to have no point in common by default,
        10 in the plane and 3 elsewhere.

    Returns
    -------
    WorstCase
        Its value is the smallest c for which the d + 1 balls, c times as large around their centers, have a common
        point: no answer is within fewer radii of all, and so MinMax-MEB's c* is at least that. S are the rows of the
        large ball.

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: d >= 2, f >= d + 2.

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Theorem 4.3, with other counts.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, c = rc.theory.safe_meb_worst_case(f=4, d=2)
    >>> X.shape, round(c, 4), rc.safe_meb(X, f=4).empty
    ((9, 2), 1.028, True)
    """
    name = "safe_meb_worst_case"
    f, d = _counts(name, f=f, d=d)
    check_least(name, "d", d, 2)
    check_least(name, "f", f, d + 2)
    y = (10.0 if d == 2 else 3.0) if y is None else as_number(name, "y", y)
    X = _balls(d, f - d, f - d, y)
    p, q = X[0], X[f - d]
    # Along the diagonal: from p to the center of the large ball, and u from p on to where all are c radii away.
    R2, D = ((y - q) ** 2).sum(), sqrt(d) * (y - p[0])
    if not D**2 > R2 > 1:
        raise ValueError(f"{name}: with y = {y!r}, the balls have a point in common")
    u = (sqrt(D**2 + (R2 - 1) * (D**2 - R2)) - D) / (R2 - 1)
    members = np.append(np.arange(f - d, (d + 1) * (f - d)), len(X) - 1)
    return WorstCase(X, members, sqrt(1 + u**2))


def _balls(d: int, common: int, each: int, y: float) -> Floats:
    """The points of Theorem 4.3: ``common`` in p, where d unit balls meet, ``each`` in all q_i, where all but one do.

    One opposite p in each unit ball, and one opposite the q_i in the large ball around y (1, ..., 1).
    """
    ones, units = np.ones(d), np.eye(d)
    p, q = ones / sqrt(d * (d - 1)), (sqrt(d) + 1) / (d - 1) ** 1.5 * (ones - units)
    opposite = 2 * sqrt(d / (d - 1)) * units - p
    z = y * ones + np.linalg.norm(y * ones - q[0]) * ones / sqrt(d)
    return _groups((p, common), *((at, each) for at in q), *((at, 1) for at in opposite), (z, 1))


def medoid_worst_case(f: int, *, x: float = FAR) -> WorstCase:
    """Two arms of updates, at the tip of one of which the medoid is: sqrt(5) radii from the other.

    In the plane, n = 2f + 1: f/2 - 1 updates at (0, 0), f/2 at (1, 1), f/2 at (3, 1), f/2 - 1 at (4, 0), two at (2, 0)
    and one at (2, x). The medoid is (1, 1).

    Parameters
    ----------
    f : int
        Byzantine clients, an even number of them.
    x : float
        At least 5.

    Returns
    -------
    WorstCase
        Its value is the number of radii from the medoid to the center of the ball around S, sqrt(5).

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: f even, f >= 12 (for fewer, the medoid is (2, 0), in both balls).

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Theorem 6.6, which claims it for every f.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, c = rc.theory.medoid_worst_case(f=12)
    >>> ball = rc.minimum_enclosing_ball(X[S])
    >>> round(float(np.linalg.norm(rc.medoid(X, f=12) - ball.center) / ball.radius), 6), round(c, 6)
    (2.236068, 2.236068)
    """
    name = "medoid_worst_case"
    (f,) = _counts(name, f=f)
    check_least(name, "f", f, 12)
    if f % 2:
        raise ConstraintError(f"{name} needs an even f; here f = {f}")
    x = _far(name, x)
    sizes = [f // 2 - 1, f // 2, f // 2, f // 2 - 1, 2, 1]
    X = _groups(*zip([(0, 0), (1, 1), (3, 1), (4, 0), (2, 0), (2, x)], sizes, strict=True))
    return WorstCase(X, _rows(sizes, "CDE"), sqrt(5))


def _far(name: str, x: Any) -> float:
    number = as_number(name, "x", x)
    if number < 5:
        raise ValueError(f"{name}: x must be at least 5, not {x!r}")
    return number


def geometric_median_worst_case(f: int, *, x: float = FAR) -> WorstCase:
    """Three heaps of updates, between which the geometric median is: outside of the ball around two of them.

    In the plane, n = 3f - 3: f - 2 updates at (1, 1), at (3, 1) and at (2, 0), one at (0, 0), at (4, 0) and at (2, x).

    Parameters
    ----------
    f : int
        Byzantine clients.
    x : float
        At least 5.

    Returns
    -------
    WorstCase
        Its value is the number of radii from the geometric median to the center of the ball around S. It decreases to
        sqrt(7/3 - 2/sqrt(3)) = 1.0857 for many clients.

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: f >= 4.

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Theorem 6.8, which has the limit.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, c = rc.theory.geometric_median_worst_case(f=5)
    >>> ball = rc.minimum_enclosing_ball(X[S])
    >>> round(float(np.linalg.norm(rc.geometric_median(X) - ball.center) / ball.radius), 6), round(c, 6)
    (1.135264, 1.135264)
    """
    name = "geometric_median_worst_case"
    (f,) = _counts(name, f=f)
    check_least(name, "f", f, 4)
    x, heap = _far(name, x), f - 2
    sizes = [1, heap, heap, 1, heap, 1]
    X = _groups(*zip([(0, 0), (1, 1), (3, 1), (4, 0), (2, 0), (2, x)], sizes, strict=True))

    def slope(h: float) -> float:  # of the sum of distances at (2, h), which grows with h
        return 2 * h / sqrt(4 + h * h) - 2 * heap * (1 - h) / sqrt(1 + (1 - h) ** 2) + heap - 1

    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(middle) > 0 else (middle, high)
    return WorstCase(X, _rows(sizes, "ABE"), sqrt(1 + low**2))  # the ball has radius 1 around (1, 0)


def convexity_worst_case(f: int) -> WorstCase:
    """Three corners of a triangle, inside of which the geometric median is: in the hull of no two of them.

    In the plane, n = 3f + 1: f + 1 updates at (0, 0), f at (1, 0) and f at (0, 1). The median is (s, s) with
    s = (1 - 1 / sqrt(4f^2 / (f + 1)^2 - 1)) / 2.

    Parameters
    ----------
    f : int
        Byzantine clients.

    Returns
    -------
    WorstCase
        Its value is s, the distance of the geometric median from the convex hull of S.

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: f >= 3 (for fewer, the median is (0, 0)).

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Theorem 6.9, which claims it for f large.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, s = rc.theory.convexity_worst_case(f=10)
    >>> rc.geometric_median(X).round(6), round(s, 6)
    (array([0.170724, 0.170724]), 0.170724)
    """
    (f,) = _counts("convexity_worst_case", f=f)
    check_least("convexity_worst_case", "f", f, 3)
    X = _groups(((0, 0), f + 1), ((1, 0), f), ((0, 1), f))
    return WorstCase(X, np.arange(2 * f + 1), (1 - (f + 1) / sqrt(4 * f**2 - (f + 1) ** 2)) / 2)


def safe_area_worst_case(f: int, d: int, *, delta: float = 1e-6) -> WorstCase:
    """A safe area of one point, about 2d radii from the mean of the honest.

    n = (d + 1) f + 1: f + 1 updates at the origin, of which one is honest, and f at each of (1, 0, ..., 0) + delta e_j.
    The origin is all that the hulls of any n - f updates have in common.

    Parameters
    ----------
    f, d : int
        Byzantine clients, and dimensions.
    delta : float
        Above 0, at most 1.

    Returns
    -------
    WorstCase
        Its value is the centroid ratio of the origin, 2 sqrt((d + delta)^2 + (d - 1) delta^2) / (1 + delta) whatever f
        is. It tends to 2d for delta -> 0.

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: f >= 1, d >= 1.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*,
    Theorem 4.1.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, ratio = rc.theory.safe_area_worst_case(f=2, d=3)
    >>> round(float(np.linalg.norm(X[S].mean(axis=0)) / rc.centroid_ball(X, f=2).radius), 4), round(ratio, 4)
    (6.0, 6.0)
    """
    name = "safe_area_worst_case"
    f, d = _counts(name, f=f, d=d)
    check_least(name, "f", f, 1)
    check_least(name, "d", d, 1)
    delta = as_number(name, "delta", delta)
    if delta > 1:
        raise ValueError(f"{name}: delta must be at most 1, not {delta!r}")
    units = np.eye(d)
    X = _groups((np.zeros(d), f + 1), *((units[0] + delta * unit, f) for unit in units))
    # The candidates are (sum of X - sum of f updates) / (n - f). Between them are all points that are made by taking f
    # times a point between the d + 1 places: their ball is that of the places, f / (n - f) times as large, and for
    # delta <= 1 that has the first two places as a diameter.
    ratio = 2 * sqrt((d + delta) ** 2 + (d - 1) * delta**2) / (1 + delta)
    return WorstCase(X, np.append(0, np.arange(f + 1, len(X))), ratio)


def mda_worst_case(n: int, f: int, *, reach: float = 0.999) -> WorstCase:
    """Lies a little nearer to most than the honest ones: MDA leaves the box of the honest.

    In the plane, n - 2f updates at (0, 0) and f at (1, 0) are honest, f at (0, reach) are not.

    Parameters
    ----------
    n, f : int
        Clients, and Byzantine clients.
    reach : float
        Above 0 and below 1.

    Returns
    -------
    WorstCase
        Its value is the distance of MDA from the box around S, reach f / (n - f).

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: n > 2f, f >= 1.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*,
    Lemma 4.12.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, distance = rc.theory.mda_worst_case(n=10, f=3)
    >>> rc.mda(X, f=3).round(6), round(distance, 6)
    (array([0.      , 0.428143]), 0.428143)
    """
    name = "mda_worst_case"
    n, f = _majority(name, n, f)
    reach = as_number(name, "reach", reach)
    if reach >= 1:
        raise ValueError(f"{name}: reach must be below 1, not {reach!r}")
    return WorstCase(_groups(((0, 0), n - 2 * f), ((1, 0), f), ((0, reach), f)), np.arange(n - f), reach * f / (n - f))


def _majority(name: str, n: Any, f: Any) -> list[int]:
    n, f = _counts(name, n=n, f=f)
    check_f(name, MAJORITY, n, f)
    check_least(name, "f", f, 1)
    return [n, f]


def strong_validity_worst_case(n: int, f: int) -> WorstCase:
    """Updates where a strongly valid rule is two radii from the mean of the honest.

    n - f updates are 0 and f are 1. If all n - f are honest, 0 is what they agree on, and a strongly valid rule returns
    it; if n - 2f of them and the others are, as S says, their mean is f / (n - f), the farthest candidate.

    Parameters
    ----------
    n, f : int
        Clients, and Byzantine clients.

    Returns
    -------
    WorstCase
        Its value is the centroid ratio of 0, which is 2.

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: n > 2f, f >= 1.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*,
    Lemma 4.13.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, ratio = rc.theory.strong_validity_worst_case(n=10, f=3)
    >>> y = rc.mda(X, f=3)
    >>> abs(y - X[S].mean(axis=0)) / rc.centroid_ball(X, f=3).radius, ratio
    (array([2.]), 2.0)
    """
    n, f = _majority("strong_validity_worst_case", n, f)
    return WorstCase(_groups(([0], n - f), ([1], f)), np.arange(f, n), 2.0)


def centroid_ball_worst_case(n: int, f: int) -> WorstCase:
    """Updates where the best guess at the centroid is not strongly valid.

    n - f honest updates are 0, f Byzantine ones are 1: the center of the ball around all candidate centroids is not 0.

    Parameters
    ----------
    n, f : int
        Clients, and Byzantine clients.

    Returns
    -------
    WorstCase
        Its value is the distance of that center from what all honest clients sent, f / (2 (n - f)).

    Raises
    ------
    ConstraintError
        When the numbers do not fit.
    ValueError, TypeError
        When they are of the wrong kind.

    Notes
    -----
    Cost: that of writing X. Condition: n > 2f, f >= 1.

    References
    ----------
    Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*,
    Figure 2 and Observation 4.7.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X, S, distance = rc.theory.centroid_ball_worst_case(n=10, f=2)
    >>> rc.centroid_ball(X, f=2).center, distance
    (array([0.125]), 0.125)
    """
    n, f = _majority("centroid_ball_worst_case", n, f)
    return WorstCase(_groups(([0], n - f), ([1], f)), np.arange(n - f), f / (2 * (n - f)))
