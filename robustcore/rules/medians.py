"""Points with the smallest sum of distances to the updates: among all points, and among the updates themselves."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from robustcore import _core, theory
from robustcore._constraints import as_number
from robustcore._geometry import Geometry
from robustcore._updates import OnMalformed
from robustcore._view import view, view_from_the_midst
from robustcore.rules._base import LinearRule, Mixings, Weights, face_of

MOST_VIEWS = 4  # each but the first is a pass over the data
TOLERANCE = 1e-12  # what GeometricMedian aims at: its share above the minimum, proved by a dual solution


@dataclass(frozen=True, repr=False)
class Medoid(LinearRule):
    """The update with the smallest sum of (unsquared) distances to the others.

    Ties go to the lowest index.

    Parameters
    ----------
    f : int, optional
        How many clients may be Byzantine, n > 2f. The medoid has no use for it but to judge how many unusable updates
        are too many; without it, a minority may be.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more updates are not finite.

    Notes
    -----
    Cost: one read of the n*d numbers and n(n-1)/2 * d differences and multiply-adds for the distances, O(n^2 log n) for
    the sums, one read of the winner. Where some updates are more than 100 times farther away than most, one more pass
    over the data, in float64: beside their distances, all others would be equal.

    Guarantee: kappa* <= 2 (n - f) (n - f - 1) / (n - 2f)^2 (`robustcore.theory.sharp_upper_bound`), and within
    (3n - 2f) / (n - 2f) radii of the centre of the honest updates' smallest enclosing ball (Theorem 6.5 of the
    reference).

    References
    ----------
    Cambus, Melnyk, Milentijevic, Schmid, *Practical validity conditions for Byzantine-tolerant federated learning*,
    Definition 6.3.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.medoid(np.array([[0.0], [1.0], [2.0], [2.5], [90.0]]))
    array([2.])
    """

    f: int | None = None
    name: ClassVar[str] = "medoid"

    def _guarantee(self, n: int) -> float | None:
        return None if self.f is None else theory.sharp_upper_bound(self.name, n, self.f)

    def _meb_factor(self, n: int, d: int) -> float | None:
        return None if self.f is None else theory.medoid_meb_factor(n, self.f)

    def weigh(self, geometry: Geometry, f: int) -> Weights:
        seen = view_from_the_midst(geometry)
        weights = np.zeros(geometry.n)
        weights[seen.medoid] = 1.0
        return Weights(weights, seen.scores)


@dataclass(frozen=True, repr=False)
class GeometricMedian(LinearRule):
    """The point with the smallest sum of distances to the updates, certified.

    `Aggregation.gap` says by how much its sum of distances is above the minimum, at most, as a share of the sum of the
    n // 2 + 1 smallest: no attacker, however far away, makes that look better. It is 1e-12 or less where the distances
    can tell; what rounding leaves in doubt counts, so that it is larger where updates lie at many scales at once (1e-7
    is rare) or a majority agrees to the last digits. It is about the distances as the pass forms them, of float32
    updates to 1e-6. Where none is certified, no update has a smaller sum. Where an update is the median, that update is
    returned bit for bit.

    Parameters
    ----------
    f : int, optional
        How many clients may be Byzantine, n > 2f; as in `Medoid`.
    smoothing : float
        With nu > 0, a distance r < nu counts as (r^2 / nu + nu) / 2 (the smoothed Weiszfeld algorithm of Pillutla et
        al., carried to its limit): close to the updates the result becomes a mean. In the unit of the updates.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more updates are not finite.

    Notes
    -----
    Cost: one read of the n*d numbers and n(n-1)/2 * d differences and multiply-adds for the distances; a few Newton
    steps of n^3/6 multiply-adds; one more read. Where some updates are more than 100 times farther away than most, one
    more pass over the data, in float64, finds the directions in which they lie; where the gap stays above 1e-12, up to
    four.

    Guarantee: without smoothing, kappa* = (n - 1) / (n - 2f + 1) for n odd, n / (n - 2f) for n even
    (`robustcore.theory.sharp_upper_bound`), from which follows a distance of at most sqrt(1 + kappa*) radii from the
    centre of the honest updates' smallest enclosing ball; the reference has the square of it for n even, 2 (n - f) /
    (n - 2f) (`robustcore.theory.geometric_median_meb_factor`).

    References
    ----------
    Chen, Su, Xu, *Distributed statistical machine learning in adversarial settings: Byzantine gradient descent*, 2017;
    Vardi, Zhang, *The multivariate L1-median and associated data depth*, PNAS 2000 (where an iterate meets an update);
    Pillutla, Kakade, Harchaoui, *Robust aggregation for federated learning*, 2022 (smoothing).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0], [1.0, 1.0], [1e30, 0.0]])
    >>> rc.geometric_median(X).round(3)
    array([1., 1.])
    >>> rc.GeometricMedian().aggregate(X).gap <= 1e-12
    True
    """

    f: int | None = None
    _: KW_ONLY
    smoothing: float = 0.0
    name: ClassVar[str] = "geometric_median"
    minimised: ClassVar[str] = "the sum of distances"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "smoothing", as_number(self.name, "smoothing", self.smoothing, ">= 0"))

    def _guarantee(self, n: int) -> float | None:
        return None if self.f is None or self.smoothing else theory.sharp_upper_bound(self.name, n, self.f)

    def _meb_factor(self, n: int, d: int) -> float | None:
        return None if self.f is None or self.smoothing else theory.geometric_median_meb_factor(n, self.f)

    def weigh(self, geometry: Geometry, f: int) -> Weights:
        seen = view_from_the_midst(geometry, self.smoothing)
        scores, best, least = seen.scores, None, np.inf
        visited: set[int] = set()
        while True:
            weights, gap, _, nearest = _core.geometric_median(
                seen.D, seen.stretch, seen.reference, seen.medoid, self.smoothing * seen.scale, TOLERANCE
            )
            if best is None or gap < least:
                best, least = Weights(seen.true(weights), scores, gap), gap
            if gap <= TOLERANCE or nearest in visited or len(visited) == MOST_VIEWS:
                return best
            # Whatever the scales, all is accurate when seen from whom the median is nearest to.
            visited.add(nearest)
            seen = view(geometry, nearest, self.smoothing, exact=True)


@face_of(Medoid)
def medoid(X: Any, f: int | None = None, *, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return Medoid(f, mixing=mixing)(X, malformed=malformed)


@face_of(GeometricMedian)
def geometric_median(
    X: Any,
    f: int | None = None,
    *,
    smoothing: float = 0.0,
    mixing: Mixings = (),
    malformed: OnMalformed = "raise",
) -> Any:
    return GeometricMedian(f, smoothing=smoothing, mixing=mixing)(X, malformed=malformed)
