"""Centered clipping: from a center, a mean of steps of bounded length."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

import numpy as np

from robustcore import _core
from robustcore._constraints import as_number
from robustcore._geometry import MOST_STRETCHED, ORIGIN, Geometry
from robustcore._updates import OnMalformed, Updates
from robustcore.rules._base import LinearRule, Mixings, Weights, face_of, own_count


@dataclass(frozen=True, repr=False, eq=False)
class CenteredClip(LinearRule):
    """Centered clipping: v moves by the mean of the differences x_i - v, each shortened to tau at most.

    v begins at ``center``, as a rule what the last round ended with; the rule itself remembers nothing. The weights of
    the result need not sum to 1: the center has the rest.

    Parameters
    ----------
    tau : float
        The largest length of a difference, in the unit of the updates; positive.
    f : int, optional
        How many clients may be Byzantine, n > 2f. The rule has no use for it but to judge how many unusable updates are
        too many; without it, a minority may be.
    center : an update, optional
        Where v begins: of the structure, shapes and dtypes of an update, and finite. The zero vector by default.
    iterations : int
        How often v moves, at least 1.

    Raises
    ------
    ConstraintError
        When n and f do not fit, or more updates are not finite.

    Notes
    -----
    Cost: distances as for `Krum` and of the center to all, O(n^2) for each iteration, one more read. From the second
    iteration on, where updates are more than 100 tau away from the center, one more pass over the data, in float64.

    References
    ----------
    Karimireddy, He, Jaggi, *Learning from history for Byzantine robust optimization*, ICML 2021, Algorithm 2 and
    equation (CC).

    Examples
    --------
    >>> import numpy as np, robustcore as rc
    >>> rc.centered_clip(np.array([[1.0, 0.0], [0.0, 1.0], [-1e30, 0.0]]), tau=1.0).round(3)
    array([0.   , 0.333])
    """

    tau: float
    f: int | None = None
    _: KW_ONLY
    center: Any = field(default=None, repr=False)
    iterations: int = 1
    name: ClassVar[str] = "centered_clip"

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "tau", as_number(self.name, "tau", self.tau))
        own_count(self, "iterations")
        if self.iterations == 0:
            raise ValueError("centered_clip: iterations must be at least 1, not 0")

    def _extra(self, updates: Updates) -> list[Any]:
        return [ORIGIN] if self.center is None else [updates.like(self.center, f"{self.name}: center")]

    def weigh(self, geometry: Geometry, f: int) -> Weights:
        center = len(geometry.full) - 1
        scores = geometry.distances[center, : geometry.n]
        seen = [*range(geometry.n), center]  # an origin that a mixing wanted to see is none of the vectors
        weights = np.zeros(center + 1)
        if self.iterations == 1:  # the first step wants to know no more than how far they are
            weights[: geometry.n] = self.tau / np.maximum(scores, self.tau) / geometry.n
            weights[center] = 1.0 - weights.sum()
            return Weights(weights, scores)
        near, stretch, growth = geometry.pulled(center, self.tau)
        D, scale = near.finite(self.tau * growth)
        D = np.ascontiguousarray(D[np.ix_(seen, seen)])
        stretch = stretch[seen]
        found = _core.centered_clip(
            D, np.minimum(stretch, MOST_STRETCHED), geometry.n, self.tau * growth * scale, self.iterations
        )
        weights[seen] = found / stretch  # from those of the points pulled in to those of the real ones
        weights[center] = 1.0 - weights[: geometry.n].sum()
        return Weights(weights, scores)


@face_of(CenteredClip)
def centered_clip(
    X: Any,
    tau: float,
    f: int | None = None,
    *,
    center: Any = None,
    iterations: int = 1,
    mixing: Mixings = (),
    malformed: OnMalformed = "raise",
) -> Any:
    return CenteredClip(tau, f, center=center, iterations=iterations, mixing=mixing)(X, malformed=malformed)
