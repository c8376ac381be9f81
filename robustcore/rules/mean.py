"""The plain mean: no protection beyond dropping what is not finite; the baseline (FedAvg with equal weights)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from robustcore._constraints import check_dropped
from robustcore._geometry import NOT_FINITE, Geometry, Progress
from robustcore._result import Aggregation
from robustcore._threads import get_num_threads
from robustcore._updates import OnMalformed, Updates
from robustcore.rules._base import LinearRule, Mixings, Weights, add_up, aggregation, face_of
from robustcore.theory.centroid import BETWEEN_CANDIDATES


@dataclass(frozen=True, repr=False)
class Mean(LinearRule):
    """The mean of all updates; one Byzantine client can move it anywhere.

    Parameters
    ----------
    f : int, optional
        How many updates may be unusable; n > 2f. Without it, a minority may be.

    Raises
    ------
    ConstraintError
        When more updates are not finite.

    Notes
    -----
    Cost: one read of the n*d numbers, and a few more where some are not finite.

    Guarantee: none against finite lies. As the mean of all candidate centroids it is within 2 radii of `centroid_ball`
    of the true one, but that ball is as large as a lie makes it.

    References
    ----------
    McMahan, Moore, Ramage, Hampson, Aguera y Arcas, *Communication-efficient learning of deep networks from
    decentralized data*, AISTATS 2017 (federated averaging, here with equal weights).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.mean(np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, 0.0]]))
    array([2., 3.])
    """

    f: int | None = None
    name: ClassVar[str] = "mean"

    def _centroid_ratio(self, n: int, d: int) -> float | None:
        return BETWEEN_CANDIDATES  # it is the mean of all candidates

    def weigh(self, geometry: Geometry, f: int) -> Weights:
        return Weights(np.full(geometry.n, 1 / geometry.n))

    def _aggregate(self, updates: Updates, progress: Progress) -> Aggregation:
        if self.mixings:
            return super()._aggregate(updates, progress)
        while True:  # without distances: whether all rows are finite shows in their sum
            check_dropped(self.name, updates.n, self.f, updates.dropped)
            weights, outputs = np.full(len(updates.clients), 1 / len(updates.clients)), updates.empty()
            if add_up(updates, updates.core, weights, outputs, progress):
                break
            good = updates.core.finite_rows(get_num_threads(), progress)
            if good.all():  # finite float64 rows may have an infinite sum
                break
            updates = updates.keep(good, NOT_FINITE)
        return aggregation(self, updates, outputs, weights=weights)


@face_of(Mean)
def mean(X: Any, f: int | None = None, *, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return Mean(f, mixing=mixing)(X, malformed=malformed)
