"""MoNNA: the mean of the updates nearest to one that is trusted."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np

from robustcore._constraints import ConstraintError
from robustcore._geometry import Geometry
from robustcore._updates import OnMalformed
from robustcore.rules._base import LinearRule, Mixings, Weights, face_of, own_count
from robustcore.theory.centroid import BETWEEN_CANDIDATES


@dataclass(frozen=True, repr=False)
class MoNNA(LinearRule):
    """The mean of the n - f updates nearest to one that is trusted, that one among them.

    A node that takes part in an agreement trusts itself: its own vector is the pivot. Ties go to the lowest index.

    Parameters
    ----------
    f : int
        How many clients may be Byzantine, n > 2f. Each update that is dropped lowers n and f by one.
    pivot : int
        The client that is trusted, from 0 on.

    Raises
    ------
    ConstraintError
        When n and f do not fit, there is no such client, its update is not finite, or more than f others are not.

    Notes
    -----
    Cost: as `Krum`, and one read of the n - f chosen updates.

    Guarantee: a candidate centroid itself, and so within 2 radii of `centroid_ball` of the true one.

    References
    ----------
    Farhadkhani, Guerraoui, Gupta, Hoang, Pinot, Stephan, *Robust collaborative learning with linear gradient overhead*,
    ICML 2023, Algorithm 1 (nearest-neighbour averaging).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.monna(np.array([[1.0], [2.0], [3.0], [90.0]]), f=1)
    array([2.])
    """

    f: int
    _: KW_ONLY
    pivot: int = 0
    name: ClassVar[str] = "monna"

    def __post_init__(self) -> None:
        super().__post_init__()
        own_count(self, "pivot")

    def check(self, n: int) -> None:
        super().check(n)
        if self.pivot >= n:
            raise ConstraintError(f"{self.name} needs pivot < n; here n = {n} and pivot = {self.pivot}")

    def _centroid_ratio(self, n: int, d: int) -> float | None:
        return BETWEEN_CANDIDATES

    def weigh(self, geometry: Geometry, f: int) -> Weights:
        n, pivot = geometry.n, geometry.vector_of(self.pivot)
        if pivot is None:
            why = geometry.dropped[self.pivot]
            raise ConstraintError(f"{self.name} needs client {self.pivot}, the pivot; it cannot be used ({why})")
        scores = geometry.distances[pivot, :n].copy()
        scores[pivot] = -1.0  # itself first, whoever equals it
        weights = np.zeros(n)
        weights[np.argsort(scores, kind="stable")[: n - f]] = 1 / (n - f)
        scores[pivot] = 0.0
        return Weights(weights, scores)


@face_of(MoNNA)
def monna(X: Any, f: int, *, pivot: int = 0, mixing: Mixings = (), malformed: OnMalformed = "raise") -> Any:
    return MoNNA(f, pivot=pivot, mixing=mixing)(X, malformed=malformed)
