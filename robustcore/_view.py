"""The vectors as they are seen from one of them, so that what is near is known to the last digit, whoever is far."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._geometry import LONGEST, MOST_STRETCHED, Floats, Geometry


@dataclass(frozen=True)
class View:
    """The vectors as they are seen from one of them, the very far ones pulled in: see csrc/nspace/position.hpp.

    Attributes
    ----------
    D : (n, n) float64
        The squared distances of the vectors as they are seen, times ``scale`` squared.
    stretch, reference
        How much farther from the reference each really is.
    beyond : (n,) float64
        How much farther still; 1 but for float64 vectors of 1e90 times the scale of the others.
    medoid : int
        Who has the smallest sum of distances, also where some are so far away that all sums are equal in float64.
    scores : (n,) float64
        The sums of distances.
    """

    D: Floats
    scale: float
    stretch: Floats
    beyond: Floats
    reference: int
    medoid: int
    scores: Floats

    @property
    def distant(self) -> Floats:
        """How much farther from the reference each really is; LONGEST where that is more than float64 can say."""
        return np.minimum(self.stretch * self.beyond, LONGEST)

    def coordinates(self, of: NDArray[np.int64] | None = None, stretch: Floats | None = None) -> tuple[Floats, float]:
        """The vectors in as few dimensions as they need, the reference in the origin, times a scale; and that scale.

        All of them, or these: in increasing order, the reference among them (or else another is in the origin). As far
        away as they are, or ``stretch`` times as far as they are seen.
        """
        D, reference, stretch = self.D, self.reference, self.distant if stretch is None else stretch
        if of is not None:
            D, stretch = np.ascontiguousarray(D[np.ix_(of, of)]), stretch[of]
            reference = int((of < reference).sum())
        unit = math.ldexp(1.0, 1 - math.frexp(stretch.max())[1])  # the farthest stays where it is seen
        return _core.coordinates(D, stretch * unit, reference), self.scale * unit

    def true(self, weights: Floats) -> Floats:
        """The weights, for vectors that are farther away than their stretch says."""
        if (self.beyond == 1.0).all():
            return weights
        out = weights / self.beyond
        out[self.reference] += 1.0 - out.sum()
        return out


def view(geometry: Geometry, reference: int, radius: float, exact: bool = False) -> View:
    """The view from a vector; what is much farther away than the radius is pulled in to that."""
    n, distances = geometry.n, geometry.vectors(geometry.distances)
    radius = radius or nearest_other(distances[reference])  # where a majority is equal
    near, stretch, growth = geometry.pulled(reference, radius, exact)
    D, scale = near.finite(radius * growth)
    scale *= growth
    D, beyond, stretch = near.vectors(D), stretch[:n] / MOST_STRETCHED, np.minimum(stretch[:n], MOST_STRETCHED)
    far = stretch != 1.0
    with np.errstate(over="ignore"):  # float64 numbers near the end of the range are farther apart than it can say
        sums = _core.sums_of_distances(D, stretch, reference) / scale
        scores = sums
        if far.any():
            scores = np.where(far, distances.sum(axis=1), sums + distances[reference, far].sum())
    return View(D, scale, stretch, np.maximum(beyond, 1.0), reference, int(sums.argmin()), scores)


def view_from_the_midst(geometry: Geometry, least: float = 0.0, exact: bool = False) -> View:
    """The view from whom a majority is nearest to; what is not much farther away than ``least`` is not far."""
    center, reach = geometry.reach()
    return view(geometry, center, max(reach, least), exact)


def nearest_other(distances: Floats) -> float:
    """The smallest distance that is not zero; zero if there is none."""
    return float(distances.min(initial=np.inf, where=distances > 0.0)) if distances.any() else 0.0
