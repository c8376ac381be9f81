"""SMEA: the mean of the subset of updates that varies least in its widest direction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robustcore import _core, theory
from robustcore._budget import Budget
from robustcore._geometry import Geometry
from robustcore._result import Optimum
from robustcore._threads import get_num_threads
from robustcore._updates import OnMalformed
from robustcore.rules._base import Mixings, SearchRule, Weights, face_of
from robustcore.theory.centroid import BETWEEN_CANDIDATES


@dataclass(frozen=True, repr=False)
class SMEA(SearchRule):
    """Smallest maximum eigenvalue averaging: the mean of the n - f updates that vary least in their widest direction.

    Of all subsets of n - f updates it takes the one whose covariance (the mean of the squared deviations) has the
    smallest largest eigenvalue; of eigenvalues that agree to ten digits, the first subset in lexicographic order.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine, n > 2f. Each update that is dropped lowers n and f by one.
    budget : float or Budget, optional
        Seconds, or a `Budget`, for the search; by default as long as it takes. Where it is spent, the best subset that
        was found is averaged: `Aggregation.optimum` says what its eigenvalue is, and a proven lower bound on the
        smallest.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more than f updates are not finite.
    ValueError, TypeError
        When the budget is none.

    Notes
    -----
    Cost: distances as for `Krum`; branch and bound over the subsets, about 3 n^3 operations for each that is met,
    exponential at worst: of updates drawn at random in 1000 dimensions 20 ms at n = 20, f = 4 and a second at n = 30,
    f = 5, much less where attackers stand out, more where they make ties; one read of the n - f chosen updates.

    Guarantee: kappa* <= 4f / (n - 2f) (`robustcore.theory.smea_upper_bound`), for the largest eigenvalue of the
    honest covariance in place of the variance even; a candidate centroid itself, and so within 2 radii of
    `centroid_ball` of the true one.

    References
    ----------
    Allouah, Guerraoui, Gupta, Pinot, Stephan, *On the privacy-robustness-utility trilemma in distributed learning*,
    ICML 2023.

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> X = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [2.0, 9.0]])
    >>> r = rc.SMEA(f=1).aggregate(X)
    >>> r.value, r.selected
    (array([0.5, 0.5]), array([0, 1, 2, 3]))
    >>> round(r.optimum.value, 3), r.optimum.exact
    (0.25, True)
    """

    f: int
    name: ClassVar[str] = "smea"
    minimised: ClassVar[str] = "the largest variance"
    exact: ClassVar[bool] = True

    def _guarantee(self, n: int) -> float | None:
        return theory.smea_upper_bound(n, self.f)

    def _centroid_ratio(self, n: int, d: int) -> float | None:
        return BETWEEN_CANDIDATES

    def weigh(self, geometry: Geometry, f: int) -> Weights:
        D, scale = geometry.finite(geometry.unit())
        steps, seconds = self.limits
        chosen, *found = _core.smallest_variance(
            geometry.vectors(D), f, get_num_threads(), steps, seconds, geometry.progress
        )
        bound, value = (x / scale / scale for x in found)
        weights = np.zeros(geometry.n)
        weights[chosen] = 1 / len(chosen)
        return Weights(weights, optimum=Optimum(value, bound))


@face_of(SMEA)
def smea(
    X: Any,
    f: int,
    *,
    budget: Budget | float | None = None,
    mixing: Mixings = (),
    malformed: OnMalformed = "raise",
) -> Any:
    return SMEA(f, budget=budget, mixing=mixing)(X, malformed=malformed)
