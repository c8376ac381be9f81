"""MDA: the mean of the subset of updates with the smallest diameter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from robustcore import _core, theory
from robustcore._budget import Budget
from robustcore._geometry import FAR, NEAR, Floats, Geometry
from robustcore._result import Optimum
from robustcore._updates import OnMalformed, read
from robustcore.rules._base import Mixings, SearchRule, Weights, face_of
from robustcore.theory.centroid import BETWEEN_CANDIDATES


@dataclass(frozen=True, repr=False)
class MDA(SearchRule):
    """Minimum-diameter averaging: the mean of the n - f updates whose largest distance is smallest.

    Exact, for hundreds of clients. Of several such subsets it is the first in lexicographic order.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine, n > 2f. Each update that is dropped lowers n and f by one.
    budget : float or Budget, optional
        Seconds, or a `Budget`, for the search; by default as long as it takes. Where it is spent, the best subset that
        was found is averaged: `Aggregation.optimum` says what its diameter is, and a proven lower bound on the
        smallest. It may be spent on ties as well: then the diameter is the smallest, but the subset not always the
        first.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.
    ValueError, TypeError
        When the budget is none.

    Notes
    -----
    Cost: distances as for `Krum`; a bisection over them, in each of its steps a search for f updates without which no
    pair is too far apart: exponential at worst, for updates drawn at random about n^2 operations (15 ms in all at
    n = 500); one read of the n - f chosen updates.

    Guarantee: kappa* <= 8 f^2 / (n - f) (`robustcore.theory.sharp_upper_bound`). For any n - f of the updates, those of
    honest clients among them, within 1 + 2f / (n - f) radii of the centre of their smallest enclosing ball (Theorem 6.4
    of the second reference); a candidate centroid itself, and so within 2 radii of `centroid_ball` of the true one.

    References
    ----------
    El-Mhamdi, Farhadkhani, Guerraoui, Guirguis, Hoang, Rouault, *Collaborative learning in the jungle*, NeurIPS 2021;
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Definition 6.1; Cambus, Melnyk, *Centroid approximation with multidimensional approximate agreement protocols*,
    Definition 4.8.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0, 0.0], [3.0, 4.0], [3.0, 0.0], [0.0, 4.0], [1e30, 0.0]])
    >>> r = rc.MDA(f=1).aggregate(X)
    >>> r.value, r.selected
    (array([1.5, 2. ]), array([0, 1, 2, 3]))
    >>> r.optimum.value, r.optimum.exact  # the diameter is proved to be the smallest
    (5.0, True)
    """

    f: int
    name: ClassVar[str] = "mda"
    minimised: ClassVar[str] = "the diameter"

    def _guarantee(self, n: int) -> float | None:
        return theory.sharp_upper_bound(self.name, n, self.f)

    def _meb_factor(self, n: int, d: int) -> float | None:
        return theory.mda_meb_factor(n, self.f)

    def _centroid_ratio(self, n: int, d: int) -> float | None:
        return BETWEEN_CANDIDATES

    def search(self, geometry: Geometry, f: int) -> Found:
        """The subset of the vectors."""
        D = _in_order(geometry)
        steps, seconds = self.limits
        vectors, low, high = _core.smallest_diameter(D, f, steps, seconds, geometry.progress)
        distances = geometry.vectors(geometry.distances)
        value = float(distances[np.ix_(vectors, vectors)].max())
        bound = value if low == high else min(value, float(distances[low == D].min()))
        return Found(vectors, Optimum(value, bound))

    def weigh(self, geometry: Geometry, f: int) -> Weights:
        found = self.search(geometry, f)
        weights = np.zeros(geometry.n)
        weights[found.vectors] = 1 / len(found.vectors)
        return Weights(weights, optimum=found.optimum)


class Found(NamedTuple):
    """A subset of the vectors of a geometry, and how good it is."""

    vectors: NDArray[np.int64]
    optimum: Optimum


def _in_order(geometry: Geometry) -> Floats:
    """The squared distances; where float64 cannot tell some of them apart, numbers in the order of the true ones."""
    D = geometry.sqdist
    vanish, overflow = D < _core.VANISHING, np.isinf(D)
    if not geometry.is_wide or (vanish.sum() == len(D) and not overflow.any()):
        return D
    out, before = np.empty_like(D), 0
    for part, scale in ((vanish, NEAR), (~(vanish | overflow), 1.0), (overflow, FAR)):
        if part.any():
            scaled = D if scale == 1.0 else geometry.vectors(geometry.scaled(scale))
            values, place = np.unique(scaled[part], return_inverse=True)
            out[part] = before + place
            before += len(values)
    return out


@face_of(MDA)
def mda(
    X: Any,
    f: int,
    *,
    budget: Budget | float | None = None,
    mixing: Mixings = (),
    malformed: OnMalformed = "raise",
) -> Any:
    return MDA(f, budget=budget, mixing=mixing)(X, malformed=malformed)


class _Subset(MDA):
    name = "minimum_diameter_subset"  # for its errors


def minimum_diameter_subset(
    X: Any, f: int, *, budget: Budget | float | None = None, malformed: OnMalformed = "raise"
) -> NDArray[np.int64]:
    """The n - f clients whose updates have the smallest largest distance.

    Parameters
    ----------
    X, f, malformed
        As in `krum`; needs n > 2f.
    budget : float or Budget, optional
        As in `MDA`.

    Returns
    -------
    (n - f,) int64
        In increasing order; of several such subsets the first in lexicographic order.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are unusable.
    ValueError, TypeError
        When an update or the budget is malformed, or X is no collection of updates.

    Notes
    -----
    Cost and source: see `MDA`, without the read of those chosen.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.minimum_diameter_subset(np.array([[0.0], [7.0], [1.0], [9.0], [2.0]]), f=2)
    array([0, 2, 4])
    """
    rule, updates = _Subset(f, budget=budget), read(X, malformed)
    rule.check(updates.n)
    geometry = rule.geometry(updates)
    found = rule.search(geometry, rule.f - len(geometry.dropped))
    return updates.clients[geometry.kept[found.vectors]]
