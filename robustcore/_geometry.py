"""What n-space sees of the data: squared distances between points, and how the points come from the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from robustcore import _core
from robustcore._threads import get_num_threads
from robustcore._updates import Core, Updates
from robustcore._updates import Floats as Floats
from robustcore._updates import Progress as Progress

NOT_FINITE = "not finite"
NEAR, FAR = 2.0**600, 2.0**-600
LARGEST = 2.0**1000  # what a squared distance beyond float64 counts as where a rule must add it to others
LARGEST_RATIO = 1000  # the exponent of numbers that can still be multiplied and divided by others near 1
LONGEST = np.finfo(np.float64).max
ORIGIN = None  # the row of zeros: see _core.Updates
# From a point, others that are this many times farther away than most leave little of their direction in the distances.
MOST_SPREAD = 100.0
MOST_STRETCHED = 2.0**300  # farther away, directions are the same


class Geometry:
    """The points that a rule decides by: vectors, and behind them extra points (the origin, a center).

    The vectors are the finite rows of the updates, or, after `mix`, what a mixing has made of them. Every point is an
    affine combination of the rows of ``core``.

    Attributes
    ----------
    n : int
        The number of vectors.
    full : (n + extra, n + extra) float64
        Squared distances between all points: infinite where float64 rows are more than about 1e154 apart, inaccurate
        below 2^-900, where they are closer than about 1e-135.
    total, dropped
        How many clients there are, and who of them was dropped why.
    owner : (clients left,) int64
        The vector that each finite row went into.
    is_exact : bool
        Whether the distances were formed in float64.
    """

    def __init__(
        self,
        updates: Updates,
        extra: Sequence[Any] = (),
        progress: Progress = None,
        exact: bool = False,
    ):
        self._updates = updates
        self.core = updates.core_of(None, extra)
        self.is_wide = updates.is_wide
        self.progress = progress
        self.total, self.dropped = updates.n, updates.dropped
        self.is_exact = exact or self.is_wide
        self.full = self.core.sqdist(get_num_threads(), progress, exact)
        self.kept = np.arange(self.core.n)  # the rows of core that the points are, before any mixing
        if np.isnan(self.full.trace()):
            good = ~np.isnan(self.full.diagonal())
            self.dropped = self.dropped | dict.fromkeys(
                updates.clients[~good[: len(updates.clients)]].tolist(), NOT_FINITE
            )
            self.kept = np.flatnonzero(good)
            self.full = np.ascontiguousarray(self.full[np.ix_(good, good)])
        self.n = len(self.kept) - len(extra)
        self._mixed: Floats | None = None
        self._relative = False
        self.owner = self.kept if self.is_plain else np.arange(self.n)

    def with_extra(self) -> Geometry:
        """The same with the extra points as vectors behind the others."""
        out = copy(self)
        out.n = len(self.full)
        return out

    @property
    def is_plain(self) -> bool:
        """Whether the points are the rows of core, all vectors and none dropped."""
        return self._mixed is None and self.n == self.core.n

    @property
    def sqdist(self) -> Floats:
        """(n, n): the squared distances between the vectors."""
        return self.vectors(self.full)

    def vectors(self, D: Floats) -> Floats:
        """The part of a matrix over all points that is about the vectors."""
        return D if self.n == len(D) else np.ascontiguousarray(D[: self.n, : self.n])

    @property
    def M(self) -> Floats:
        """(points, rows of core): the weights of the rows in each point."""
        return np.eye(self.core.n)[self.kept] if self._mixed is None else self._mixed

    @property
    def rows(self) -> Core:
        """The points as rows for a pass."""
        plain = self._mixed is None and len(self.kept) == self.core.n
        return self.core if plain else self.core.mixed(self.M, self._relative)

    def mix(self, M: Floats, owner: NDArray[np.int64]) -> Geometry:
        """The geometry of the mixed vectors M (k, points); vector i goes into ``owner[i]``, extra points stay.

        Decided by the distances alone, unless too many digits cancel: then by a pass over the data.
        """
        points = np.vstack([M, np.eye(len(self.full))[self.n :]])
        out = self._combined(points, _core.mixed_sqdist(self.full, points, get_num_threads(), self.progress))
        out.n = len(M)
        out.owner = owner[self.owner]
        return out

    def pulled(self, center: int, radius: float, exact: bool = False) -> tuple[Geometry, Floats, float]:
        """Points very far from one of them, pulled in to this radius around it; and how far each was stretched.

        The others stay, or, where a share of a distance would be too small a number, all move away from the center by
        the factor that comes last. The distances of a point pulled in come from the data: those that are here know
        nothing about the direction of a point at 1e30. With ``exact``, all come from a pass in float64, whoever is far.
        The points are then differences from the center: their weights are none of updates.
        """
        distances = np.minimum(self.distances[center], LONGEST)
        far = distances > MOST_SPREAD * radius
        if radius == 0.0 or (not far.any() and (self.is_exact or not exact)):
            return self, np.ones(len(distances)), 1.0
        least = 1.0 if self._mixed is None else np.abs(self._mixed).min(initial=1.0, where=self._mixed != 0.0)
        needed = math.frexp(min(distances.max(), LONGEST))[1] - math.frexp(radius)[1] - math.frexp(least)[1]
        growth = math.ldexp(1.0, min(max(needed - LARGEST_RATIO, 0), LARGEST_RATIO))
        share = np.where(far, radius * growth / np.where(far, distances, 1.0), growth)
        M = np.diag(share)
        M[:, center] -= share
        with np.errstate(over="ignore"):
            return self._combined(M, None, relative=True), np.where(far, distances / radius, 1.0), growth

    def _combined(self, points: Floats, sqdist: Floats | None, relative: bool = False) -> Geometry:
        out = copy(self)
        out._relative = relative
        out.__dict__.pop("distances", None)
        out._mixed = _core.product(points, self.M)
        out.full = out.rows.sqdist(get_num_threads(), self.progress) if sqdist is None else sqdist
        return out

    def scaled(self, scale: float) -> Floats:
        """``full`` times ``scale`` squared; FAR tells the infinite ones apart, NEAR those that vanish."""
        D = self.full.copy()
        self.rows.sqdist_scaled(D, scale, get_num_threads(), self.progress)
        return D

    @cached_property
    def distances(self) -> Floats:
        """(points, points): the distances, whatever their scale."""
        out = np.sqrt(self.full)
        if self.is_wide:
            if np.isinf(out).any():
                with np.errstate(over="ignore"):  # numbers of both signs may be farther apart than float64 can say
                    out = np.where(np.isinf(out), np.sqrt(self.scaled(FAR)) / FAR, out)
            if (self.full < _core.VANISHING).sum() > len(out):
                out = np.where(self.full < _core.VANISHING, np.sqrt(self.scaled(NEAR)) / NEAR, out)
        return out

    def reach(self, count: int | None = None) -> tuple[int, float]:
        """The vector that a majority (or ``count``), itself among them, is nearest to, and how far that reaches."""
        last = self.n // 2 if count is None else count - 1
        reach = np.partition(self.vectors(self.distances), last, axis=1)[:, last]
        center = int(reach.argmin())
        return center, float(reach[center])

    def unit(self) -> float:
        """The scale of most distances: that reach, or, where the majority is equal, how far half of the others are."""
        center, reach = self.reach()
        distances = self.vectors(self.distances)[center]
        others = np.sort(distances[distances > 0.0])
        return reach or (float(others[(len(others) - 1) // 2]) if len(others) else 0.0)

    def finite(self, unit: float) -> tuple[Floats, float]:
        """``full`` times a scale squared, and that scale, by which distances of about ``unit`` have squares to add up.

        What is more than about 1e270 times larger counts as LARGEST, and what is as much smaller vanishes.
        """
        if not self.is_wide:
            return self.full, 1.0
        exponent, farthest = (math.frexp(min(x, LONGEST))[1] for x in (unit, self.distances.max()))
        if abs(exponent) <= 100 and farthest <= 480:
            return self.full, 1.0
        one = min(max(exponent, farthest - 480), exponent + 420)  # the exponent of what becomes 1
        scale = math.ldexp(1.0, max(-LARGEST_RATIO, min(-one, LARGEST_RATIO)))
        return np.minimum(self.scaled(scale), LARGEST), scale

    def vector_of(self, client: int) -> int | None:
        """The vector that this client's update went into; None where there is none."""
        rows = self.kept[: len(self.owner)]
        at = np.flatnonzero(self._updates.clients[rows] == client)
        return int(self.owner[at[0]]) if len(at) else None

    def names(self) -> NDArray[np.int64]:
        """(n,): who the vectors are: clients, or, once mixed, their own numbers."""
        return self._updates.clients[self.kept[: self.n]] if self._mixed is None else np.arange(self.n)

    def only(self, vectors: NDArray[np.int64]) -> tuple[Core, NDArray[np.int64]]:
        """These vectors as rows for a pass, and the clients whose updates went into them."""
        clients = self._updates.clients
        if self._mixed is None:
            rows = self.kept[vectors]
            return self._updates.core_of(rows), clients[rows]
        M = self._mixed[vectors]
        return self.core.mixed(M), clients[(M != 0.0).any(axis=0)[: len(clients)]]

    def weights(self, weights: Floats) -> Floats:
        """(rows of core,): the weights of the rows, from those of the points, or of the vectors alone."""
        if self.is_plain:
            return weights
        points = np.zeros((1, len(self.full)))
        points[0, : len(weights)] = weights
        if self._mixed is not None:
            return _core.product(points, self._mixed).reshape(-1)
        out = np.zeros(self.core.n)
        out[self.kept] = points[0]
        return out
